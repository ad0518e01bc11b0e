"""Signals of tissues from tables against the Bloch-McConnell model, and MT echoes against a simulation pulse by pulse."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm
from spoiled_gradient_echo import spoiled_signal

from qmri_bids.phantom.heads.pools import pool_model
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.phantom.scans.cest import CEST_SCANS, WASABI, chemical_shift
from qmri_bids.phantom.signals.mt import MtPulse, SpoiledEcho, echo_signal, steady_state
from qmri_bids.phantom.signals.saturation import DirectSignal, SpectrumSignal, tissue_signal
from qmri_bids.phantom.signals.spline_table import Axis
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import PoolModel, Water
from qmri_bids.physics.saturation import SaturationProtocol, Start
from qmri_bids.units import GYROMAGNETIC_RATIO

FIELD = 3.0
APTW, ZSPECTRUM = CEST_SCANS["aptw"][0], CEST_SCANS["zspectrum"][0]
MRF_MT, MRF_AMIDE = CEST_SCANS["mrf"]
GREY = pool_model(Label.GM, every_pool=True)
FAT = pool_model(Label.FAT, every_pool=True)
GREY_PAIR = replace(GREY, cest=())
"""What makes narrow lines is water; further pools only take time."""


def _some(protocol: SaturationProtocol, *offsets: float) -> SaturationProtocol:
    """Fewer images of a spectrum: a table takes as long as what they reach."""
    return replace(protocol, images=tuple(image for image in protocol.images if image.offset in offsets))


def _voxels(model: PoolModel, number: int, *, shift: float = 0.0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3).uniform
    return {
        "t1": model.water.t1 * draw(0.91, 1.09, number),
        "t2": model.water.t2 * draw(0.91, 1.09, number),
        "b1": draw(0.70, 1.25, number),
        "off_resonance": shift + draw(-300.0, 420.0, number),
    }


@pytest.mark.parametrize(
    ("model", "protocol", "shift", "number"),
    [
        (GREY, WASABI.protocol, 0.0, 300),
        (pool_model(Label.CSF, every_pool=True), WASABI.protocol, 0.0, 300),
        (GREY_PAIR, _some(APTW.protocol, -300.0, -3.5, -1.5, 0.0, 0.25, 1.0, 3.5), 0.0, 200),
        (FAT, _some(APTW.protocol, -3.5, -3.25, 0.0, 3.5), chemical_shift(TISSUES[Label.FAT], FIELD), 300),
        (GREY_PAIR, _some(ZSPECTRUM.protocol, -3.5, -0.4, 0.0, 1.5, 50.0), 0.0, 200),
        (FAT, _some(ZSPECTRUM.protocol, -100.0, -3.5, -2.0, 0.0, 3.5), chemical_shift(TISSUES[Label.FAT], FIELD), 300),
        (pool_model(Label.WM, every_pool=False), MRF_MT.protocol, 0.0, 300),
        (pool_model(Label.CSF, every_pool=False), MRF_AMIDE.protocol, 0.0, 300),
    ],
    ids=["wasabi-GM", "wasabi-CSF", "aptw-GM", "aptw-fat", "zspectrum-GM", "zspectrum-fat", "mrf-WM", "mrf-CSF"],
)
def test_tables_are_within_3e_4_of_the_model(model, protocol, shift, number):
    voxels = _voxels(model, number, shift=shift)
    expected = signal_and_jacobian(model, protocol, VoxelParameters(**voxels), threads=2).signal
    tissue = tissue_signal(model, protocol, chemical_shift=shift)
    found = np.stack([tissue.z(image, **voxels) for image in range(protocol.number_of_images)], axis=1)
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_fluid_recalls_a_whole_train_and_is_simulated_point_by_point():
    fluid = tissue_signal(pool_model(Label.CSF, every_pool=True), APTW.protocol)
    assert isinstance(fluid, SpectrumSignal)
    assert fluid.bands == ()
    # Half a hertz is another signal: no table of reasonable size holds that.
    voxels = {
        "t1": np.full(200, 4.0),
        "t2": np.full(200, 1.5),
        "b1": np.ones(200),
        "off_resonance": np.arange(200) * 0.5,
    }
    z = fluid.z(APTW.protocol.offsets.index(0.0), **voxels)
    assert np.abs(np.diff(z)).max() > 0.1
    assert isinstance(fluid.exact, DirectSignal)


def test_a_protocol_of_several_trains_from_anywhere_is_refused():
    mixed = replace(APTW.protocol, start=Start.STEADY_STATE)
    with pytest.raises(
        ValueError, match=r"all its images start relaxed and share a saturation, or are spin-locked; found"
    ):
        tissue_signal(GREY_PAIR, mixed)


def test_values_beyond_a_table_are_refused():
    axis = Axis.over(0.7, 1.25, step=0.05)
    np.testing.assert_allclose(axis.nodes[axis.places(np.array([0.7, 1.25]), name="B1").astype(int)], (0.7, 1.25))
    with pytest.raises(ValueError, match=r"B1 must lie in \[0.7, 1.25\] to be interpolated, found 1.3"):
        axis.places(np.array([1.0, 1.3]), name="B1")


def test_echoes_without_mt_follow_ernst():
    water = PoolModel(water=Water(t1=1.0, t2=0.07))
    voxels = _voxels(water, 50)
    echo = SpoiledEcho(flip_angle=math.radians(20.0), repetition_time=18e-3)
    expected = spoiled_signal(
        np.ones(50), 1.0 / voxels["t1"], flip_angle=voxels["b1"] * echo.flip_angle, repetition_time=echo.repetition_time
    )
    np.testing.assert_allclose(steady_state(water, echo, **voxels, field_strength=FIELD), expected, rtol=1e-12)
    # A pulse so far off resonance saturates little of it.
    played = replace(echo, mt_pulse=MtPulse())
    pulsed = steady_state(water, played, **voxels, field_strength=FIELD)
    np.testing.assert_allclose(pulsed, expected, rtol=0.05)
    assert np.all(pulsed < expected)


def test_echoes_with_mt_are_what_a_simulation_pulse_by_pulse_reaches():
    model, b1, off = GREY_PAIR, 1.1, 40.0
    echo = SpoiledEcho(flip_angle=math.radians(6.0), repetition_time=28e-3, mt_pulse=MtPulse())
    mt, water = model.mt, model.water
    free = np.zeros((7, 7))
    for first, t1, t2 in ((0, water.t1, water.t2), (3, water.t1, mt.t2)):
        free[[first, first + 1, first + 2], [first, first + 1, first + 2]] -= (1 / t2, 1 / t2, 1 / t1)
    for k in range(3):
        free[k, 3 + k] += mt.rate
        free[3 + k, 3 + k] -= mt.rate
        free[3 + k, k] += mt.fraction * mt.rate
        free[k, k] -= mt.fraction * mt.rate
    free[2, 6], free[5, 6] = 1 / water.t1, mt.fraction / water.t1
    larmor = 2.0 * math.pi * GYROMAGNETIC_RATIO
    pulse = np.eye(7)
    for segment in echo.mt_pulse.pulse.segments:
        driven = free.copy()
        for first, shift in ((0, 0.0), (3, mt.shift * 1e-6 * FIELD * larmor)):
            away = 2.0 * math.pi * (off - echo.mt_pulse.offset) + shift
            driven[first, first + 1] += away
            driven[first + 1, first] -= away
            driven[first + 1, first + 2] += larmor * segment.amplitude * b1
            driven[first + 2, first + 1] -= larmor * segment.amplitude * b1
        pulse = expm(driven * segment.duration) @ pulse
    rest = expm(free * (echo.repetition_time - echo.mt_pulse.duration))
    spoil = np.diag([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    state = np.array([0.0, 0.0, 1.0, 0.0, 0.0, mt.fraction, 1.0])
    for _ in range(1500):
        state = spoil @ pulse @ state
        seen = state[2] * math.sin(b1 * echo.flip_angle)
        state[2] *= math.cos(b1 * echo.flip_angle)
        state = spoil @ rest @ state
    one = np.ones(1)
    voxel = {"t1": water.t1 * one, "t2": water.t2 * one, "b1": b1 * one, "off_resonance": off * one}
    np.testing.assert_allclose(steady_state(model, echo, **voxel, field_strength=FIELD), seen, rtol=1e-9)


@pytest.mark.parametrize("label", [Label.WM, Label.FAT])
def test_tables_of_echoes_are_within_1e_4(label):
    model = pool_model(label, every_pool=False)
    shift = chemical_shift(TISSUES[label], FIELD)
    voxels = _voxels(model, 300, shift=shift)
    plain = SpoiledEcho(flip_angle=math.radians(20.0), repetition_time=18e-3)
    echoes = (plain, replace(plain, flip_angle=math.radians(6.0), repetition_time=28e-3, mt_pulse=MtPulse()))
    tables = echo_signal(model, echoes, chemical_shift=shift, field_strength=FIELD)
    for index, echo in enumerate(echoes):
        exact = steady_state(replace(model, cest=()), echo, **voxels, field_strength=FIELD)
        np.testing.assert_allclose(tables.z(index, **voxels), exact, atol=1e-4)


def test_pools_are_those_of_the_literature():
    grey, white = (pool_model(label, every_pool=False) for label in (Label.GM, Label.WM))
    assert [(each.mt.fraction, each.mt.rate) for each in (grey, white)] == [(0.063, 40.0), (0.112, 29.0)]
    assert [(each.cest[0].fraction, each.cest[0].rate) for each in (grey, white)] == [(0.0024, 365.0), (0.0019, 162.0)]
    assert grey.names == ("amide", "MT")
    assert GREY.names == ("amide", "amine", "NOE", "MT")
    assert {pool.name: pool.shift for pool in GREY.exchanging} == {"amide": 3.5, "amine": 2.0, "NOE": -3.5, "MT": -2.5}
    for empty in (Label.CSF, Label.FAT):
        assert pool_model(empty, every_pool=True).names == ()
