"""Where networks compute: names of devices, and that nothing of a network stays on the processor when it moves.

A network and its data lie on the processor here while new tensors go elsewhere by default: one that is made without the device of
the data, which would fail on a CUDA device, fails here as well.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.networks.devices import DeviceNotFoundError, device_of, resolve_device
from qmri_bids.networks.pools import ExchangeNetwork, ExchangeNetworkConfig
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)

ELSEWHERE = torch.device("meta")


def see(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let torch see a number of CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [(0, "auto", "cpu"), (2, "auto", "cuda:0"), (2, "cpu", "cpu"), (2, "cuda", "cuda:0"), (2, "cuda:1", "cuda:1")],
)
def test_names_of_devices(monkeypatch: pytest.MonkeyPatch, number: int, name: str, expected: str):
    see(monkeypatch, number)
    assert str(resolve_device(name)) == expected


@pytest.mark.parametrize(
    ("number", "name", "found"),
    [(0, "cuda", "found none"), (1, "cuda:1", "found cuda:0 alone"), (2, "cuda:2", "found cuda:0 to cuda:1")],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, number: int, name: str, found: str):
    see(monkeypatch, number)
    with pytest.raises(DeviceNotFoundError, match=f"--device {name}: expected a CUDA device that torch sees, {found}"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", ""])
def test_other_names_are_refused(name: str):
    with pytest.raises(ValueError, match="must be auto, cpu, cuda or cuda:N"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["pinn", "pinn-bare", "pinn-complex-uniform"])
def test_estimators_put_no_tensor_on_the_default_device(name: str):
    t1, t2, off_resonance = (np.array(each) for each in ([0.9, 1.5], [0.06, 0.09], [10.0, -20.0]))
    cycles = signal(t1, t2, b1=np.ones(2), off_resonance=off_resonance, protocol=PROTOCOL).astype(np.complex64)
    estimator = ESTIMATORS[name].create(EstimatorOptions(device="cpu"))
    expected = estimator.estimate(cycles, protocol=PROTOCOL, known=KnownMaps(b1=np.ones(2)))
    assert np.isfinite(expected.values["T1"]).all()
    with ELSEWHERE:
        found = estimator.estimate(cycles, protocol=PROTOCOL, known=KnownMaps(b1=np.ones(2)))
    for key, values in expected.values.items():
        np.testing.assert_array_equal(found.values[key], values)
        np.testing.assert_array_equal(found.stdev[key], expected.stdev[key])


def test_the_exchange_network_puts_no_tensor_on_the_default_device():
    config = ExchangeNetworkConfig(series=(6, 6), parameters=("MT.fraction", "MT.exchange_rate"), hidden=8, depth=2)
    network = ExchangeNetwork(config)
    images, known = torch.rand((5, 12)), torch.rand((5, 4))
    expected = network(images, known)
    with ELSEWHERE:
        found = network(images, known)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)
    assert device_of(network) == torch.device("cpu")
