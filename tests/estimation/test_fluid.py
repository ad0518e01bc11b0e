"""Tissue beside fluid: its T1 and T2, the fraction of fluid, and standard deviations that hold what cannot be told.

The signals are those of the phantom, which shares no code with the estimators.
"""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, NaturalPoint, Status
from qmri_bids.estimation.bssfp.fluid.fit import fit_mixed, score_fluid
from qmri_bids.estimation.bssfp.fluid.times import FEWEST_VOXELS, LITERATURE, fluid_times
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.bssfp import natural_coordinates, relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol

GREY, FLUID = (1.4, 0.085, 0.8), (4.0, 2.0, 1.0)
NOISE = 0.074 / (math.sqrt(2.0) * 25.0)


def make_protocol(cycles):
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


def signal_of(tissue, off_resonance, protocol, b1=None):
    number = len(off_resonance)
    t1, t2, m0 = (np.full(number, each, dtype=np.float32) for each in tissue)
    b1 = np.ones(number) if b1 is None else b1
    return balanced_signal(
        t1,
        t2,
        b1.astype(np.float32),
        off_resonance.astype(np.float32),
        m0.astype(np.complex64),
        protocol.repetition_time,
        protocol.echo_time,
        protocol.flip_angle,
        np.array(protocol.rf_phase_increment),
    ).astype(np.complex128)


def mixture(share, off_resonance, protocol, b1=None):
    """Grey matter and fluid; the share is one of volume."""
    tissue, fluid = (signal_of(each, off_resonance, protocol, b1) for each in (GREY, FLUID))
    return (1.0 - share)[:, None] * tissue + share[:, None] * fluid


def fraction_of(share):
    """Share of the magnetisation at equilibrium."""
    return share * FLUID[2] / (share * FLUID[2] + (1.0 - share) * GREY[2])


def with_noise(cycles, seed):
    drawn = np.random.default_rng(seed).standard_normal((2, *cycles.shape))
    return (cycles + NOISE * (drawn[0] + 1j * drawn[1])).astype(np.complex64)


def block(cycles, *, seed=0, levels=(0.02, 0.06, 0.2, 0.4)):
    """Return an image of fluid with layers of grey matter that hold less and less of it, and deep grey matter."""
    shape = (40, 24, 12)
    share = np.zeros(shape)
    share[:8] = 1.0
    for place, each in enumerate(sorted(levels, reverse=True)):
        share[8 + place] = each
    rng = np.random.default_rng(seed)
    x, y, _ = np.indices(shape)
    off_resonance = 12.0 * np.sin(x / 6.0) + 90.0 * (y / shape[1]) + rng.uniform(-90.0, 90.0)
    protocol = make_protocol(cycles)
    data = mixture(share.ravel(), off_resonance.ravel(), protocol)
    return share, with_noise(data, seed + 1), protocol


@pytest.mark.parametrize("cycles", [6, 12])
def test_without_noise_tissue_and_share_are_exact(cycles):
    protocol = make_protocol(cycles)
    share = np.repeat([-0.05, 0.0, 0.03, 0.3, 0.6], 13)
    off_resonance = np.tile(np.linspace(-100.0, 100.0, 13), 5)
    b1 = np.tile(np.linspace(0.85, 1.15, 13), 5)
    data = mixture(share, off_resonance, protocol, b1)
    e2f, bf = natural_coordinates(np.full(65, FLUID[0]), np.full(65, FLUID[1]), b1=b1, protocol=protocol)
    e2, b = natural_coordinates(np.full(65, GREY[0]), np.full(65, GREY[1]), b1=b1, protocol=protocol)
    single = fit_natural(data, rf_phase_increment=protocol.rf_phase_increment)
    fit = fit_mixed(
        data,
        rf_phase_increment=protocol.rf_phase_increment,
        fluid=NaturalPoint(e2=e2f, b=bf, theta=single.theta),
        start=NaturalPoint(e2=single.e2, b=single.b, theta=single.theta),
        second=NaturalPoint(e2=0.99 * e2, b=0.9 * b, theta=single.theta),
        again=np.ones(65, dtype=bool),
    )
    assert fit.converged.all()
    np.testing.assert_allclose(fit.e2, e2, rtol=2e-4)
    np.testing.assert_allclose(fit.b, b, rtol=2e-3)
    tissue, fluid = (abs(signal_of(each, off_resonance, protocol, b1)).max(axis=1) for each in (GREY, FLUID))
    assert np.isfinite(tissue / fluid).all()
    assert np.all(np.sign(fit.beta[np.abs(share) > 0.0]) == np.sign(share[np.abs(share) > 0.0]))
    assert np.abs(fit.beta[share == 0.0]).max() < 1e-3


def test_the_score_is_the_fraction_to_first_order_and_its_stdev_that_of_repeated_scans():
    protocol = make_protocol(12)
    number = 4000
    off_resonance = np.full(number, 20.0)
    share = np.full(number, 0.01)
    data = with_noise(mixture(share, off_resonance, protocol), 3)
    single = fit_natural(data, rf_phase_increment=protocol.rf_phase_increment)
    ones = np.ones(number)
    e2f, bf = natural_coordinates(FLUID[0] * ones, FLUID[1] * ones, b1=ones, protocol=protocol)
    tissue = NaturalPoint(e2=single.e2, b=single.b, theta=single.theta)
    fluid = NaturalPoint(e2=e2f, b=bf, theta=single.theta)
    found = score_fluid(data, rf_phase_increment=protocol.rf_phase_increment, tissue=tissue, fluid=fluid)
    assert np.std(found.beta) == pytest.approx(NOISE * np.median(found.stdev), rel=0.06)
    without = with_noise(mixture(0.0 * share, off_resonance, protocol), 4)
    single = fit_natural(without, rf_phase_increment=protocol.rf_phase_increment)
    tissue = NaturalPoint(e2=single.e2, b=single.b, theta=single.theta)
    none = score_fluid(without, rf_phase_increment=protocol.rf_phase_increment, tissue=tissue, fluid=fluid)
    assert np.mean(found.beta) - np.mean(none.beta) > 10.0 * NOISE * np.median(found.stdev) / math.sqrt(number)


@pytest.mark.parametrize("cycles", [4, 12])
def test_times_of_fluid_come_from_all_its_voxels_together(cycles):
    share, data, protocol = block(cycles, seed=2)
    inside = np.ones(share.shape, dtype=bool)
    single = fit_natural(data, rf_phase_increment=protocol.rf_phase_increment)
    t1, t2 = relaxation_times(single.e2, single.b, b1=np.ones(len(data)), protocol=protocol)
    times = fluid_times(
        data,
        theta=single.theta,
        t1=t1,
        t2=t2,
        b1=np.ones(len(data)),
        protocol=protocol,
        inside=inside,
    )
    assert times.voxels >= FEWEST_VOXELS
    assert abs(times.t1 - FLUID[0]) < max(3.0 * times.t1_stdev, 0.02 * FLUID[0])
    assert abs(times.t2 - FLUID[1]) < max(3.0 * times.t2_stdev, 0.02 * FLUID[1])
    assert "voxels that fluid surrounds, together" in times.sentence()


def test_thin_fluid_of_coarse_voxels_tells_its_times_too():
    """A sheet of three voxels whose outer layers hold tissue in places: hardly any voxel has nothing but fluid around it."""
    shape, rng, protocol = (12, 14, 14), np.random.default_rng(12), make_protocol(12)
    share = np.zeros(shape)
    share[4:7] = 1.0
    share[[4, 6]] = rng.random((2, 14, 14)) > 0.3
    off_resonance = np.full(share.size, 15.0)
    data = with_noise(mixture(share.ravel(), off_resonance, protocol), 13)
    single = fit_natural(data, rf_phase_increment=protocol.rf_phase_increment)
    ones = np.ones(share.size)
    t1, t2 = relaxation_times(single.e2, single.b, b1=ones, protocol=protocol)
    times = fluid_times(
        data, theta=single.theta, t1=t1, t2=t2, b1=ones, protocol=protocol, inside=np.ones(shape, dtype=bool)
    )
    assert times.voxels >= FEWEST_VOXELS
    assert abs(times.t1 - FLUID[0]) < 2.0 * times.t1_stdev < 0.4 * FLUID[0]
    assert abs(times.t2 - FLUID[1]) < 2.0 * times.t2_stdev < 0.4 * FLUID[1]
    # Not all around is fluid: the error that is stated for the place is larger.
    assert times.covariance[0, 0] > 0.07**2


def test_a_scan_without_fluid_takes_its_times_from_the_literature_and_says_so():
    protocol = make_protocol(12)
    data = with_noise(signal_of(GREY, np.linspace(-90.0, 90.0, 800), protocol), 5)
    known = KnownMaps(b1=np.ones(800), inside=np.ones((20, 10, 4), dtype=bool))
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=known)
    plain = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=np.ones(800)))
    # Pooled noise alone makes a difference: it enters the correction for skew.
    np.testing.assert_allclose(found.values["T2"], plain.values["T2"], rtol=1e-3)
    assert abs(np.mean(found.values["fluid_fraction"])) < 0.01
    assert "as in the literature" in LITERATURE.sentence()
    assert found.decisions == ("No voxel holds fluid or lies beside it: one pool was fitted everywhere.",)


def test_twelve_cycles_tell_tissue_and_fraction_beside_fluid():
    share, data, protocol = block(12, seed=8)
    inside = np.ones(share.shape, dtype=bool)
    known = KnownMaps(b1=np.ones(len(data)), inside=inside)
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=known)
    plain = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=np.ones(len(data))))
    flat = share.ravel()
    for level in (0.02, 0.06, 0.2, 0.4):
        voxels = flat == level
        t2, stdev = found.values["T2"][voxels], found.stdev["T2"][voxels]
        assert abs(np.median(t2) / GREY[1] - 1.0) < 0.06
        assert 0.58 < np.mean(np.abs(t2 - GREY[1]) < stdev) < 0.88
        assert np.mean(np.abs(t2 - GREY[1]) < 1.96 * stdev) > 0.88
        fraction, its = found.values["fluid_fraction"][voxels], found.stdev["fluid_fraction"][voxels]
        error = fraction - fraction_of(level)
        assert np.mean(np.abs(error)) < 0.03
        # Its standard deviation holds what fluid may vary by, which here it does not.
        assert 0.58 < np.mean(np.abs(error) < its) < 0.92
    assert np.median(plain.values["T2"][flat == 0.06]) > 1.1 * GREY[1]
    fluid = found.values["fluid_fraction"][flat == 1.0]
    assert np.nanmedian(fluid) == pytest.approx(1.0, abs=0.02)
    # Deep in tissue nothing changes.
    deep = np.indices(share.shape)[0].ravel() > 24
    same = np.isclose(found.values["T1"][deep], plain.values["T1"][deep], rtol=5e-3)
    assert np.mean(same) > 0.999
    assert np.mean(found.status[deep] == Status.CONVERGED) > 0.998
    assert "were both fitted" in found.decisions[1]


@pytest.mark.parametrize("cycles", [4, 6])
def test_few_cycles_do_not_tell_fluid_and_their_standard_deviations_say_so(cycles):
    share, data, protocol = block(cycles, seed=11)
    known = KnownMaps(b1=np.ones(len(data)), inside=np.ones(share.shape, dtype=bool))
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=known)
    plain = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=np.ones(len(data))))
    flat = share.ravel()
    mixed = (flat > 0.03) & (flat < 0.5)
    error = np.abs(found.values["T2"][mixed] - GREY[1])
    assert np.mean(error < found.stdev["T2"][mixed]) > 0.6
    assert np.mean(error < 1.96 * found.stdev["T2"][mixed]) > 0.88
    alone = np.abs(plain.values["T2"][mixed] - GREY[1])
    assert np.mean(alone < plain.stdev["T2"][mixed]) < 0.5
    assert np.mean(found.status[mixed] == Status.MIXED) > 0.1
    assert ("fluid_fraction" in found.values) == (cycles == 6)
    assert ("no map" in found.decisions[2]) == (cycles == 4)
