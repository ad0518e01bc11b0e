"""The Cramér-Rao bound against automatic differentiation, its laws, and the figures of the design."""

import math

import numpy as np
import pytest
import torch

from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.cramer_rao import UNKNOWNS, cramer_rao_bound
from qmri_bids.physics.protocol import BssfpProtocol

NOISE_AT_SNR_25 = 0.074 / (math.sqrt(2.0) * 25.0)


def make_protocol(cycles=12, increments=None):
    even = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=1.9e-3, flip_angle=math.radians(15)
    )
    if increments is None:
        return even
    return BssfpProtocol(
        repetition_time=4.8e-3, echo_time=1.9e-3, flip_angle=even.flip_angle, rf_phase_increment=tuple(increments)
    )


def draw(number, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "t1": rng.uniform(0.36, 2.08, number),
        "t2": rng.uniform(0.02, 0.12, number),
        "b1": rng.uniform(0.7, 1.3, number),
        "off_resonance": rng.uniform(-0.5, 0.5, number) / 4.8e-3,
    }


@pytest.mark.parametrize("increments", [None, (0.1, 1.0, 2.5, 3.3, 5.6), (0.1, 1.9, 4.6)])
def test_bound_is_that_of_automatic_differentiation(increments):
    protocol = make_protocol(increments=increments)
    tissue = draw(1)
    found = cramer_rao_bound(**tissue, noise_stdev=0.01, m0=3.0, protocol=protocol)
    b1 = torch.tensor(tissue["b1"])

    def cycles(unknowns):
        m0 = torch.complex(unknowns[2] * torch.cos(unknowns[4]), unknowns[2] * torch.sin(unknowns[4]))
        data = signal(unknowns[0:1], unknowns[1:2], b1=b1, off_resonance=unknowns[3:4], m0=m0, protocol=protocol)
        return torch.view_as_real(data).flatten()

    truth = torch.tensor([tissue["t1"][0], tissue["t2"][0], 3.0, tissue["off_resonance"][0], 0.7], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(cycles, truth) / 0.01
    # Scaled to unit diagonal: the unknowns have units of seconds and Hertz.
    norm = torch.linalg.vector_norm(jacobian, dim=0)
    expected = torch.linalg.inv((jacobian / norm).T @ (jacobian / norm)).diagonal().sqrt() / norm
    for name, value in zip(UNKNOWNS, expected[:4], strict=True):
        assert float(found[name][0]) == pytest.approx(float(value), rel=1e-6)


def test_torch_and_numpy_agree():
    protocol, tissue = make_protocol(4), draw(20)
    plain = cramer_rao_bound(**tissue, noise_stdev=0.01, protocol=protocol)
    other = cramer_rao_bound(**{k: torch.tensor(v) for k, v in tissue.items()}, noise_stdev=0.01, protocol=protocol)
    for name in UNKNOWNS:
        np.testing.assert_allclose(other[name].numpy(), plain[name], rtol=1e-9)


def test_noise_scales_and_repetition_averages():
    once, twice = make_protocol(6), make_protocol(increments=2 * make_protocol(6).rf_phase_increment)
    tissue = draw(50)
    plain = cramer_rao_bound(**tissue, noise_stdev=0.01, protocol=once)
    louder = cramer_rao_bound(**tissue, noise_stdev=0.03, protocol=once)
    stronger = cramer_rao_bound(**tissue, noise_stdev=0.03, m0=3.0, protocol=once)
    averaged = cramer_rao_bound(**tissue, noise_stdev=0.01, protocol=twice)
    for name in UNKNOWNS:
        np.testing.assert_allclose(louder[name], 3 * plain[name], rtol=1e-9)
        np.testing.assert_allclose(averaged[name], plain[name] / math.sqrt(2), rtol=1e-9)
        factor = 3.0 if name == "M0" else 1.0
        np.testing.assert_allclose(stronger[name], factor * plain[name], rtol=1e-9)


def test_many_cycles_make_off_resonance_irrelevant_and_few_do_not():
    tissue = draw(1) | {"off_resonance": np.linspace(-0.5, 0.5, 41) / 4.8e-3}
    spread = {
        cycles: np.ptp(bound["T1"]) / np.mean(bound["T1"])
        for cycles in (12, 4)
        for bound in [cramer_rao_bound(**tissue, noise_stdev=0.01, protocol=make_protocol(cycles))]
    }
    assert spread[12] < 0.001
    assert spread[4] > 0.03


@pytest.mark.parametrize(("cycles", "t1", "t2"), [(12, 8.6, 8.1), (6, 12.4, 11.7), (4, 16.0, 16.7)])
def test_median_bound_over_the_uniform_set_at_snr_25(cycles, t1, t2):
    tissue = draw(20_000)
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
    )
    bound = cramer_rao_bound(**tissue, noise_stdev=NOISE_AT_SNR_25, protocol=protocol)
    assert 100 * np.median(bound["T1"] / tissue["t1"]) == pytest.approx(t1, rel=0.04)
    assert 100 * np.median(bound["T2"] / tissue["t2"]) == pytest.approx(t2, rel=0.04)
