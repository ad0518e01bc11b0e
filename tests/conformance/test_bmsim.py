"""The cases of the BMsim challenge, signed, against two independent engines."""

from dataclasses import replace

import numpy as np
import pytest
from protocol_presets import PROTOCOL_PRESETS
from torch_bloch_mcconnell import signal

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import SPOILER, z_spectrum

TWO_POOLS = PoolModel(
    water=Water(t1=3.0, t2=2.0),
    cest=(CestPool(name="creatine", fraction=5e-4, rate=50.0, shift=1.9, t1=1.05, t2=0.1),),
)
FIVE_POOLS = PoolModel(
    water=Water(t1=1.0, t2=0.04),
    cest=(
        CestPool(name="amide", fraction=9.009e-4, rate=50.0, shift=3.5, t1=1.0, t2=0.1),
        CestPool(name="guanidine", fraction=9.009e-4, rate=1000.0, shift=2.0, t1=1.0, t2=0.1),
        CestPool(name="noe", fraction=4.5e-3, rate=20.0, shift=-3.0, t1=1.3, t2=5e-3),
    ),
    mt=MtPool(name="mt", fraction=0.1351, rate=30.0, shift=-3.0, t1=1.0, t2=4e-5, form=MtForm.FULL),
)
GAUSS = Pulse.sinc_gauss(mean_amplitude=1.78e-6, duration=50e-3)


def spectrum(pulse, offsets, *, number=1, gap=0.0):
    return z_spectrum(Saturation(pulse=pulse, number=number, gap=gap, spoiler=SPOILER), offsets, recovery=0.0)


def block(duration, amplitude=2e-6):
    return Pulse.block(amplitude=amplitude, duration=duration)


WIDE = np.linspace(-15.0, 15.0, 121)
CASES = {
    1: (TWO_POOLS, spectrum(block(15.0), WIDE)),
    2: (TWO_POOLS, spectrum(block(2.0), WIDE)),
    3: (FIVE_POOLS, spectrum(block(2.0), WIDE)),
    4: (FIVE_POOLS, spectrum(block(5e-3, 3.7e-6), np.linspace(-2.0, 2.0, 81))),
    5: (TWO_POOLS, spectrum(GAUSS, np.linspace(-2.0, 2.0, 21))),
    6: (TWO_POOLS, spectrum(GAUSS, (-2.0, 0.4, 1.9), number=36, gap=5e-3)),
    7: (FIVE_POOLS, spectrum(GAUSS, (-3.0, 0.4, 3.5), number=36, gap=5e-3)),
    8: (FIVE_POOLS, spectrum(block(5e-3, 3.7e-6), np.linspace(-2.0, 2.0, 81), number=2, gap=1e-4)),
}


@pytest.mark.parametrize("case", CASES)
def test_case_agrees_with_plain_exponentials(case, scipy_signal):
    model, protocol = CASES[case]
    expected = scipy_signal(model, protocol)
    np.testing.assert_allclose(signal(model, protocol, VoxelParameters()).numpy(), expected, atol=1e-9, rtol=0)
    compiled = signal_and_jacobian(model, protocol, VoxelParameters()).signal
    np.testing.assert_allclose(compiled, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("case", [case for case in CASES if case not in (6, 7)])
def test_case_agrees_with_bmctool(case, bmctool):
    model, protocol = CASES[case]
    found = signal_and_jacobian(model, protocol, VoxelParameters()).signal
    np.testing.assert_allclose(found, bmctool(model, protocol), atol=1e-8, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", [6, 7])
def test_train_agrees_with_bmctool(case, bmctool):
    model, protocol = CASES[case]
    few = replace(protocol, images=(protocol.images[0], protocol.images[-1]))
    found = signal_and_jacobian(model, few, VoxelParameters()).signal
    np.testing.assert_allclose(found, bmctool(model, few), atol=1e-8, rtol=0)


def test_signal_keeps_its_sign():
    model, protocol = CASES[8]
    assert signal_and_jacobian(model, protocol, VoxelParameters()).signal.min() < -0.7


def test_far_off_resonance_is_m0():
    for model, protocol in CASES.values():
        first = signal_and_jacobian(model, protocol, VoxelParameters()).signal[0]
        assert 0.9 < first <= 1.0 + 1e-12


@pytest.mark.parametrize("name", ["MRF_MT_3T", "MRF_amide_3T", "APTw_3T_004", "WASABI_3T_001"])
def test_preset_agrees_with_plain_exponentials(name, scipy_signal):
    model = PoolModel(
        water=Water(t1=1.0, t2=0.07),
        cest=(CestPool(name="amide", fraction=2.4e-3, rate=162.0, shift=3.5, t2=0.04),),
        mt=MtPool(name="mt", fraction=0.112, rate=29.0, shift=0.0, t2=4e-5, form=MtForm.FULL),
    )
    protocol = PROTOCOL_PRESETS[name]()
    voxel = {"t1": 1.2, "t2": 0.08, "b1": 0.83, "off_resonance": 17.0}
    expected = scipy_signal(model, protocol, **voxel)
    compiled = signal_and_jacobian(model, protocol, VoxelParameters(**voxel)).signal
    np.testing.assert_allclose(compiled, expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(signal(model, protocol, VoxelParameters(**voxel)).numpy(), expected, atol=1e-9, rtol=0)
