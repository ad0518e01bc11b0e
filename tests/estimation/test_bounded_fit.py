"""Maximum likelihood within bounds: against an exhaustive search of the box, and what bounds must leave alone."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, NaturalPoint, Status, has_value
from qmri_bids.estimation.bssfp.bounded_fit import RelaxationBounds, bounded_fit
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.physics.bssfp import natural_coordinates, profile, relaxation_times, signal
from qmri_bids.physics.protocol import BssfpProtocol

BOUNDS = RelaxationBounds(t1=(0.36, 2.08), t2=(0.02, 0.12))
UNEVEN = (0.1, 1.0, 2.5, 3.3, 5.6)


def make_protocol(cycles=12, increments=None):
    if increments is None:
        increments = tuple(math.pi * (2 * j + 1) / cycles for j in range(cycles))
    return BssfpProtocol(
        repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15), rf_phase_increment=increments
    )


def draw(number, protocol, *, snr, b1=(0.7, 1.3), seed=3):
    """Cycles of tissue within the bounds, and B1."""
    rng = np.random.default_rng(seed)
    b1 = rng.uniform(*b1, number)
    cycles = signal(
        rng.uniform(*BOUNDS.t1, number),
        rng.uniform(*BOUNDS.t2, number),
        b1=b1,
        off_resonance=rng.uniform(-0.5, 0.5, number) / protocol.repetition_time,
        protocol=protocol,
    )
    stdev = 0.074 / (math.sqrt(2.0) * snr)
    return cycles + stdev * (rng.normal(size=cycles.shape) + 1j * rng.normal(size=cycles.shape)), b1


def residual_of(point, cycles, protocol):
    """Residual sum with the best amplitude, in the shapes of the point."""
    model = profile(point.e2, point.b, point.theta, rf_phase_increment=protocol.rf_phase_increment)
    overlap = np.abs(np.sum(model.conj() * cycles, axis=-1)) ** 2
    return np.sum(np.abs(cycles) ** 2, axis=-1) - overlap / np.sum(np.abs(model) ** 2, axis=-1)


def lowest_on_grid(cycles, b1, protocol, bounds, *, times=45, angles=120):
    """Lowest residual sum on a fine grid of the box, edges included, and all θ; one B1 for all voxels."""
    t1, t2 = (np.geomspace(*each, times) for each in (bounds.t1, bounds.t2))
    theta = np.linspace(-math.pi, math.pi, angles, endpoint=False)
    highest = np.zeros(len(cycles))
    for row in t2:
        e2, b = natural_coordinates(t1, np.full(times, row), b1=b1, protocol=protocol)
        grid = np.broadcast_arrays(e2[:, None], b[:, None], theta)
        model = profile(*grid, rf_phase_increment=protocol.rf_phase_increment).reshape(-1, protocol.number_of_cycles)
        model /= np.linalg.norm(model, axis=1, keepdims=True)
        highest = np.maximum(highest, np.max(np.abs(model.conj() @ cycles.T) ** 2, axis=0))
    return np.sum(np.abs(cycles) ** 2, axis=1) - highest


def times_of(point, b1, protocol):
    return relaxation_times(point.e2, point.b, b1=b1, protocol=protocol)


def inside(t1, t2, bounds, *, slack=0.0):
    return np.logical_and.reduce(
        [
            (values >= low * (1.0 - slack)) & (values <= high * (1.0 + slack))
            for values, (low, high) in ((t1, bounds.t1), (t2, bounds.t2))
        ]
    )


def outside_voxels(protocol, *, snr, number=300):
    """Cycles whose unconstrained optimum lies outside the bounds, all of B1 = 0.9."""
    cycles, b1 = draw(10 * number, protocol, snr=snr, b1=(0.9, 0.9))
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    return cycles[~inside(*times_of(fit, b1, protocol), BOUNDS)][:number]


@pytest.mark.parametrize(
    ("protocol", "snr"),
    [
        (make_protocol(12), 10.0),
        (make_protocol(12), 5.0),
        (make_protocol(6), 5.0),
        (make_protocol(4), 5.0),
        (make_protocol(3), 10.0),
        (make_protocol(0, UNEVEN), 7.0),
    ],
)
def test_no_point_of_the_box_explains_the_data_better(protocol, snr):
    cycles = outside_voxels(protocol, snr=snr)
    assert len(cycles) == 300
    b1 = np.full(300, 0.9)
    free = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    found = bounded_fit(free, cycles, b1=b1, protocol=protocol, bounds=BOUNDS)
    energy = free.signal_sum
    np.testing.assert_allclose(
        found.fit.residual_sum / energy, residual_of(found.fit, cycles, protocol) / energy, atol=1e-12
    )
    assert inside(*times_of(found.fit, b1, protocol), BOUNDS, slack=1e-9).all()
    assert found.fit.converged.mean() > 0.99
    margin = (lowest_on_grid(cycles, 0.9, protocol, BOUNDS) - found.fit.residual_sum) / energy
    assert np.sum(margin < -1e-12) == 0
    assert margin.max() < 0.01  # the grid is fine enough to have met every mode
    # The amplitude belongs to the point.
    model = profile(found.fit.e2, found.fit.b, found.fit.theta, rf_phase_increment=protocol.rf_phase_increment)
    explained = np.sum(np.abs(cycles - found.fit.amplitude[:, None] * model) ** 2, axis=1)
    np.testing.assert_allclose(explained / energy, found.fit.residual_sum / energy, atol=1e-12)


def test_the_optimum_on_an_edge_is_not_the_clamped_one():
    protocol = make_protocol()
    cycles = outside_voxels(protocol, snr=10.0)
    b1 = np.full(len(cycles), 0.9)
    free = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    t1, t2 = times_of(free, b1, protocol)
    found = bounded_fit(free, cycles, b1=b1, protocol=protocol, bounds=BOUNDS)
    assert found.at_bound.all()
    new_t1, new_t2 = times_of(found.fit, b1, protocol)
    long = (t1 > BOUNDS.t1[1]) & (t2 < BOUNDS.t2[1] * 0.9) & (t2 > BOUNDS.t2[0])
    assert long.sum() > 20
    np.testing.assert_allclose(new_t1[long], BOUNDS.t1[1], rtol=1e-9)
    # At a given profile a shorter T1 asks for a longer T2: their errors are correlated.
    assert np.mean(np.abs(new_t2[long] / t2[long] - 1.0)) > 0.01


@pytest.mark.parametrize("cycles", [12, 4])
def test_voxels_inside_the_bounds_are_the_same_to_the_last_bit(cycles):
    protocol = make_protocol(cycles)
    data, b1 = draw(3000, protocol, snr=10.0)
    known = KnownMaps(b1=b1, b1_stdev=np.full(3000, 0.02))
    plain, bounded = MaximumLikelihood(), MaximumLikelihood(bounds=BOUNDS)
    before, after = (each.natural(data, b1=b1, protocol=protocol) for each in (plain, bounded))
    same = inside(*times_of(before, b1, protocol), BOUNDS)
    assert 0.5 < same.mean() < 0.9
    for name in ("e2", "b", "theta"):
        np.testing.assert_array_equal(getattr(before, name)[same], getattr(after, name)[same])
    free, held = (each.estimate(data, protocol=protocol, known=known) for each in (plain, bounded))
    np.testing.assert_array_equal(free.status[same], held.status[same])
    for name in free.values:
        np.testing.assert_array_equal(free.values[name][same], held.values[name][same])
        np.testing.assert_array_equal(free.stdev[name][same], held.stdev[name][same])
    assert inside(*times_of(after, b1, protocol), BOUNDS, slack=1e-9).all()
    moved = ~same & (free.status != Status.LOW_SIGNAL)
    assert np.mean(held.status[moved] == Status.AT_BOUND) > 0.99
    edge = held.status == Status.AT_BOUND
    for maps in (held.values, held.stdev):
        for values in maps.values():
            assert np.isnan(values[edge]).all()
    # Where it is lower, the unconstrained fit had settled in a lesser mode.
    assert np.mean(held.residual[moved] >= free.residual[moved] * (1.0 - 1e-6)) > 0.98


def test_bounds_that_hold_every_voxel_change_nothing():
    protocol = make_protocol()
    data, b1 = draw(500, protocol, snr=100.0)
    wide = MaximumLikelihood(bounds=RelaxationBounds(t1=(0.05, 6.0), t2=(0.002, 3.0)))
    free, held = (
        each.estimate(data, protocol=protocol, known=KnownMaps(b1=b1)) for each in (MaximumLikelihood(), wide)
    )
    np.testing.assert_array_equal(free.status, held.status)
    for name in free.values:
        np.testing.assert_array_equal(free.values[name], held.values[name])


def test_a_second_mode_inside_the_box_is_an_estimate():
    """Three cycles leave two solutions: where one lies outside, the bounds choose the other, and it has a standard deviation."""
    protocol = make_protocol(3)
    cycles = outside_voxels(protocol, snr=10.0)
    b1 = np.full(len(cycles), 0.9)
    free = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    found = bounded_fit(free, cycles, b1=b1, protocol=protocol, bounds=BOUNDS)
    interior = ~found.at_bound
    assert 0.03 < interior.mean() < 0.5
    point = NaturalPoint(e2=found.fit.e2[interior], b=found.fit.b[interior], theta=found.fit.theta[interior])
    again = fit_natural(cycles[interior], rf_phase_increment=protocol.rf_phase_increment, start=point)
    for name in ("e2", "b"):
        np.testing.assert_allclose(getattr(again, name), getattr(point, name), rtol=1e-3)
    np.testing.assert_allclose(again.covariance, found.fit.covariance[interior], rtol=0.02)
    assert np.isfinite(found.fit.covariance[interior]).all()
    assert np.isnan(found.fit.covariance[found.at_bound]).all()
    held = MaximumLikelihood(bounds=BOUNDS).estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    strong = held.status != Status.LOW_SIGNAL
    assert strong.mean() > 0.7
    assert (interior & strong).sum() > 10
    np.testing.assert_array_equal(has_value(held.status)[strong], interior[strong])


def test_voxels_that_cannot_be_estimated_keep_their_status():
    protocol = make_protocol(4)
    cycles, b1 = draw(400, protocol, snr=100.0)
    rng = np.random.default_rng(1)
    cycles[0, 2] = np.nan
    cycles[1] = 0.0
    cycles[2:40] = 0.002 * (rng.normal(size=(38, 4)) + 1j * rng.normal(size=(38, 4)))
    b1[40], b1[41], b1[42] = np.nan, -1.0, 13.0
    free, held = (
        each.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
        for each in (MaximumLikelihood(), MaximumLikelihood(bounds=BOUNDS))
    )
    weak = free.status == Status.LOW_SIGNAL
    assert weak.sum() > 5
    assert (held.status[weak] == Status.LOW_SIGNAL).all()
    np.testing.assert_array_equal(held.status[[0, 1, 40, 41, 42]], free.status[[0, 1, 40, 41, 42]])
    point = MaximumLikelihood(bounds=BOUNDS).natural(cycles, b1=b1, protocol=protocol)
    assert np.isnan(point.e2[:2]).all()


def test_threads_and_empty_input():
    protocol = make_protocol(6)
    cycles, b1 = draw(20_000, protocol, snr=8.0)
    one, two = (
        MaximumLikelihood(threads=threads, bounds=BOUNDS).natural(cycles, b1=b1, protocol=protocol)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.b, two.b)
    np.testing.assert_array_equal(one.theta, two.theta)
    known = KnownMaps(b1=b1[:0])
    assert MaximumLikelihood(bounds=BOUNDS).estimate(cycles[:0], protocol=protocol, known=known).status.shape == (0,)


@pytest.mark.parametrize("wrong", [(1.0, 1.0), (2.0, 0.3), (0.0, 1.0), (0.5, math.inf), (math.nan, 1.0)])
def test_bounds_that_hold_no_box_are_refused(wrong):
    message = r"bounds of {} must be \(low, high\) in seconds with 0 < low < high < inf, found \("
    with pytest.raises(ValueError, match=message.format("t1")):
        RelaxationBounds(t1=wrong, t2=(0.02, 0.12))
    with pytest.raises(ValueError, match=message.format("t2")):
        RelaxationBounds(t1=(0.3, 2.0), t2=wrong)


def test_arrays_that_do_not_belong_together_are_refused():
    protocol = make_protocol(4)
    cycles, b1 = draw(5, protocol, snr=10.0)
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    with pytest.raises(ValueError, match=r"found \(5, 4\) and \(4,\)"):
        bounded_fit(fit, cycles, b1=b1[:4], protocol=protocol, bounds=BOUNDS)


def test_a_reader_of_the_maps_is_told_of_the_bounds():
    told = MaximumLikelihood(bounds=BOUNDS).remarks(make_protocol(12))
    assert len(told) == 1
    assert "T1 360 to 2080 ms, T2 20 to 120 ms" in told[0]
    assert MaximumLikelihood().remarks(make_protocol(12)) == ()
