"""Laws of the Bloch-McConnell signal: limits, symmetries, gradients, and the compiled form against the one of torch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from protocol_presets import PROTOCOL_PRESETS
from torch_bloch_mcconnell import affine_maps, exponential_less_one, signal

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters, parameter_names
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Carrier, Pulse, Readout, Saturation, SpinLock, Start
from qmri_bids.physics.saturation_presets import z_spectrum

AMIDE = CestPool(name="amide", fraction=3e-3, rate=150.0, shift=3.5, t2=0.04)
NOE = CestPool(name="noe", fraction=5e-3, rate=20.0, shift=-3.5, t2=5e-3, t1=1.3)
FULL = MtPool(name="mt", fraction=0.1, rate=30.0, shift=-2.5, t2=4e-5, form=MtForm.FULL)
Z_ONLY = replace(FULL, t2=1e-5, t1=0.9, form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN)
WATER = Water(t1=1.1, t2=0.07)
MODELS = {
    "water": PoolModel(water=WATER),
    "full": PoolModel(water=WATER, cest=(AMIDE,), mt=FULL),
    "z-only": PoolModel(water=WATER, cest=(AMIDE, NOE), mt=Z_ONLY),
}
VOXELS = VoxelParameters(
    t1=np.array([0.9, 1.0, 1.3]),
    t2=np.array([0.05, 0.07, 0.1]),
    b1=np.array([0.8, 1.0, 1.15]),
    off_resonance=np.array([10.0, 1.0, -30.0]),
)
READOUT = Readout(number=20, flip_angle=math.radians(12.0), spacing=0.02)
SHAPED = Saturation(
    pulse=Pulse.sinc_gauss(mean_amplitude=2e-6, duration=0.05, steps=7), number=4, gap=0.01, spoiler=6.5e-3
)
LOCKED = Saturation(
    pulse=Pulse.block(amplitude=2e-6, duration=0.1),
    number=5,
    gap=0.05,
    spin_lock=SpinLock.LIQUID_POOLS,
    carrier=Carrier.RUNS,
)
TRAINS = {"shaped": SHAPED, "locked": LOCKED}


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch to one thread: for matrices this small a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def protocol_of(train, start=Start.RELAXED, offsets=(-3.0, 0.4, 3.5)):
    return replace(z_spectrum(train, offsets, recovery=1.0), start=start, readout=READOUT)


@pytest.mark.parametrize("start", Start)
@pytest.mark.parametrize("train", TRAINS)
@pytest.mark.parametrize("model", MODELS)
def test_compiled_signal_is_that_of_torch(model, train, start):
    protocol = protocol_of(TRAINS[train], start)
    found = signal_and_jacobian(MODELS[model], protocol, VOXELS).signal
    np.testing.assert_allclose(found, signal(MODELS[model], protocol, VOXELS).numpy(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("start", Start)
@pytest.mark.parametrize("train", TRAINS)
@pytest.mark.parametrize("model", MODELS)
def test_compiled_jacobian_is_that_of_automatic_differentiation(model, train, start):
    model, protocol = MODELS[model], protocol_of(TRAINS[train], start)
    names = parameter_names(model)
    values = {name: np.broadcast_to(each, (3,)).astype(float) for name, each in VOXELS.resolved(model).items()}

    def of(stacked):
        each = dict(zip(names, stacked, strict=True))
        voxels = VoxelParameters(
            t1=each["t1"],
            t2=each["t2"],
            b1=each["b1"],
            off_resonance=each["off_resonance"],
            fractions={name: each[f"{name}.fraction"] for name in model.names},
            rates={name: each[f"{name}.rate"] for name in model.names},
        )
        # Voxels do not depend on one another: the gradient of their sum holds the gradient of each.
        return signal(model, protocol, voxels).sum(0)

    stacked = torch.tensor(np.stack([values[name] for name in names]))
    expected = torch.autograd.functional.jacobian(of, stacked).permute(2, 0, 1).numpy()
    found = signal_and_jacobian(model, protocol, VOXELS, parameters=names).jacobian
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max(), rtol=1e-9)


def test_jacobian_in_the_off_resonance_is_a_difference():
    model, protocol, step = MODELS["z-only"], protocol_of(SHAPED, Start.PREVIOUS), 1e-3
    found = signal_and_jacobian(model, protocol, VOXELS, parameters=("off_resonance",)).jacobian[..., 0]
    ends = [
        signal_and_jacobian(model, protocol, replace(VOXELS, off_resonance=VOXELS.off_resonance + s)).signal
        for s in (step, -step)
    ]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2.0 * step), atol=1e-8)


def test_result_depends_neither_on_threads_nor_on_neighbours():
    model, protocol = MODELS["full"], protocol_of(LOCKED, Start.PREVIOUS)
    b1 = np.linspace(0.7, 1.2, 1100)
    options = {"parameters": ("mt.fraction", "amide.rate")}
    one = signal_and_jacobian(model, protocol, VoxelParameters(b1=b1), **options)
    two = signal_and_jacobian(model, protocol, VoxelParameters(b1=b1), threads=2, **options)
    alone = signal_and_jacobian(model, protocol, VoxelParameters(b1=b1[137]), **options)
    np.testing.assert_array_equal(one.signal, two.signal)
    np.testing.assert_array_equal(one.jacobian, two.jacobian)
    np.testing.assert_allclose(one.jacobian[137], alone.jacobian, rtol=1e-10, atol=1e-13)
    assert alone.jacobian.shape == (4, 2)


def test_voxel_that_is_not_finite_is_nan_and_harms_no_other():
    t1 = np.array([1.0, np.nan, 0.0, np.inf, 1.0])
    found = signal_and_jacobian(MODELS["full"], protocol_of(LOCKED), VoxelParameters(t1=t1), parameters=("t1",))
    assert np.isfinite(found.signal).all(axis=1).tolist() == [True, False, False, False, True]
    assert np.isfinite(found.jacobian[0]).all()
    np.testing.assert_array_equal(found.signal[0], found.signal[4])


def test_continuous_rf_ends_in_the_steady_state_of_water():
    """Closed form of Bloch: Z = (1 + Δ²T2²)/(1 + Δ²T2² + ω1² T1 T2)."""
    train = Saturation(pulse=Pulse.block(amplitude=0.5e-6, duration=60.0))
    protocol = z_spectrum(train, (0.0, 0.3, 2.0), recovery=0.0)
    found = signal_and_jacobian(MODELS["water"], protocol, VoxelParameters()).signal
    away = 2.0 * math.pi * np.array(protocol.offsets) * 42.5764 * 3.0
    power = (2.0 * math.pi * 42.5764 * 0.5) ** 2 * WATER.t1 * WATER.t2
    lorentz = 1.0 + (away * WATER.t2) ** 2
    np.testing.assert_allclose(found, lorentz / (lorentz + power), atol=1e-10)


def test_weak_exchange_of_a_slow_pool_is_its_exchange_rate():
    """Saturated fully, a pool far from water takes f·k from it: Z = R1/(R1 + f k) in the limit of a long pulse."""
    pool = CestPool(name="slow", fraction=1e-3, rate=30.0, shift=60.0, t1=1.1, t2=0.1)
    train = Saturation(pulse=Pulse.block(amplitude=4e-6, duration=30.0))
    protocol = z_spectrum(train, (60.0, -60.0), recovery=0.0)
    found = signal_and_jacobian(PoolModel(water=WATER, cest=(pool,)), protocol, VoxelParameters()).signal
    assert found[1] / found[2] == pytest.approx(1.0 / (1.0 + 1.1 * 30.0 * 1e-3), rel=2e-3)


def test_spectrum_mirrors_with_shifts_and_off_resonance():
    mirrored = replace(MODELS["full"], cest=(replace(AMIDE, shift=-AMIDE.shift),), mt=replace(FULL, shift=-FULL.shift))
    for train in TRAINS.values():
        one = signal_and_jacobian(MODELS["full"], protocol_of(train), VOXELS).signal
        flipped = replace(VOXELS, off_resonance=-VOXELS.off_resonance)
        other = signal_and_jacobian(mirrored, protocol_of(train, offsets=(3.0, -0.4, -3.5)), flipped).signal
        np.testing.assert_allclose(one[:, 1:], other[:, 1:], atol=1e-12)


def test_off_resonance_shifts_the_spectrum():
    hertz = 0.5 * 42.5764 * 3.0
    train = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0))
    here = signal_and_jacobian(MODELS["full"], protocol_of(train), VoxelParameters()).signal
    there = protocol_of(train, offsets=(-2.5, 0.9, 4.0))
    shifted = signal_and_jacobian(MODELS["full"], there, VoxelParameters(off_resonance=hertz)).signal
    np.testing.assert_allclose(here[1:], shifted[1:], atol=1e-12)


def test_empty_pools_change_nothing():
    protocol = protocol_of(LOCKED, Start.PREVIOUS)
    empty = VoxelParameters(fractions={"amide": 0.0, "mt": 0.0})
    alone = signal_and_jacobian(MODELS["water"], protocol, VoxelParameters()).signal
    np.testing.assert_allclose(signal_and_jacobian(MODELS["full"], protocol, empty).signal, alone, atol=1e-13)


def test_lorentzian_line_of_z_alone_comes_near_the_full_form():
    """With R2 far above ω1, k and R1 the transverse magnetisation of the solid follows z: the two forms of one T2 meet."""
    reduced = replace(
        MODELS["full"], mt=replace(FULL, form=MtForm.Z_ONLY, lineshape=Lineshape.LORENTZIAN, fraction=0.05)
    )
    full = replace(MODELS["full"], mt=replace(FULL, fraction=0.05))
    train = Saturation(pulse=Pulse.block(amplitude=1e-6, duration=2.0))
    protocol = protocol_of(train, offsets=(-8.0, 8.0, 30.0))
    one, other = (signal_and_jacobian(model, protocol, VoxelParameters()).signal for model in (full, reduced))
    # What remains is exchange of transverse magnetisation, which z alone does not have: it widens the line of water by f k.
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_steady_state_is_reached_by_repetition():
    protocol = protocol_of(SHAPED, offsets=(3.5,) * 40)
    repeated = signal_and_jacobian(MODELS["full"], replace(protocol, start=Start.PREVIOUS), VOXELS).signal
    steady = signal_and_jacobian(MODELS["full"], replace(protocol, start=Start.STEADY_STATE), VOXELS).signal
    np.testing.assert_allclose(repeated[:, -1], steady[:, -1], atol=1e-12)
    assert np.abs(repeated[:, 1] - steady[:, 1]).min() > 1e-4


def test_series_is_the_recursion_of_affine_maps():
    model, protocol = MODELS["full"], PROTOCOL_PRESETS["MRF_MT_3T"]()
    a, b = (each.numpy() for each in affine_maps(model, protocol, VoxelParameters()))
    r1, readout, z, series = 1.0 / WATER.t1, protocol.readout, 1.0, []
    for index, image in enumerate(protocol.images):
        if index:
            for _ in range(readout.number):
                z = 1.0 - (1.0 - z * math.cos(readout.flip_angle)) * math.exp(-r1 * readout.spacing)
            z = 1.0 - (1.0 - z) * math.exp(-r1 * image.recovery)
        z = a[index] * z + b[index]
        series.append(z)
    np.testing.assert_allclose(signal_and_jacobian(model, protocol, VoxelParameters()).signal, series, atol=1e-12)
    assert series[0] == 1.0


def test_tips_that_leave_the_solid_alone_differ_a_little():
    protocol = PROTOCOL_PRESETS["MRF_MT_3T"]()
    images = tuple(
        replace(image, saturation=replace(image.saturation, spin_lock=SpinLock.LIQUID_POOLS))
        if image.saturation
        else image
        for image in protocol.images
    )
    one, other = (
        signal_and_jacobian(MODELS["full"], each, VoxelParameters()).signal
        for each in (protocol, replace(protocol, images=images))
    )
    assert 1e-4 < np.abs(one - other).max() < 1e-2


def test_single_precision_holds():
    for name in ("MRF_MT_3T", "MRF_amide_3T", "APTw_3T_000"):
        protocol = PROTOCOL_PRESETS[name]()
        double = signal(MODELS["full"], protocol, VOXELS)
        single = signal(MODELS["full"], protocol, VOXELS, dtype=torch.float32)
        assert single.dtype is torch.float32
        assert torch.isfinite(single).all()
        # -300 ppm for 2 s is 5e5 rad: no phase is left in single precision, but neither is any to be read.
        assert float((single - double).abs().max()) < 1e-3


def test_single_precision_survives_the_longest_block():
    train = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=15.0))
    protocol = z_spectrum(train, (-15.0, 3.5), recovery=0.0)
    single = signal(MODELS["full"], protocol, VOXELS, dtype=torch.float32)
    assert float((single - signal(MODELS["full"], protocol, VOXELS)).abs().max()) < 1e-3


def test_gradients_flow_in_single_precision():
    fraction = torch.tensor([0.05, 0.1], requires_grad=True)
    voxels = VoxelParameters(fractions={"mt": fraction})
    signal(MODELS["full"], PROTOCOL_PRESETS["MRF_MT_3T"](), voxels, dtype=torch.float32).sum().backward()
    known = VoxelParameters(fractions={"mt": fraction.detach().numpy()})
    found = signal_and_jacobian(MODELS["full"], PROTOCOL_PRESETS["MRF_MT_3T"](), known, parameters=("mt.fraction",))
    np.testing.assert_allclose(fraction.grad, found.jacobian[..., 0].sum(-1), rtol=1e-3)


def test_exponential_keeps_a_slow_rate_beside_a_fast_one():
    rates = torch.tensor([-1e-7, -2e4], dtype=torch.float32)
    found = exponential_less_one(torch.diag(rates))
    assert float(found[0, 0]) == pytest.approx(-1e-7, rel=1e-5)
    assert float(found[1, 1]) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VoxelParameters(rates={"amine": 1.0}).resolved(MODELS["full"]), r"names the pools \['amine'\]"),
        (
            lambda: signal_and_jacobian(MODELS["full"], protocol_of(LOCKED), VOXELS, parameters=("k",)),
            r"parameters must be among .* found \['k'\]",
        ),
        (lambda: signal(MODELS["full"], protocol_of(LOCKED), VoxelParameters(t1=math.nan)), "must be finite"),
    ],
)
def test_what_cannot_be_computed_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
