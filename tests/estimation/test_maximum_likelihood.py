"""Maximum likelihood against the Cramér-Rao bound: accuracy, coverage, propagation of B1, status; linear beside it."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, ProtocolNotSupported, Status
from qmri_bids.estimation.bssfp.linear import Linear
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.estimation.bssfp.relaxation import finished_estimate, relaxation_maps
from qmri_bids.estimation.bssfp.steady_state import MAPS, ValidRange
from qmri_bids.physics.bssfp import relaxation_times, signal
from qmri_bids.physics.cramer_rao import cramer_rao_bound
from qmri_bids.physics.protocol import BssfpProtocol

RANGES = {"T1": (0.36, 2.08), "T2": (0.02, 0.12)}
UNEVEN = (0.1, 1.0, 2.5, 3.3, 5.6)


def make_protocol(cycles=12, increments=None, *, te=2.4e-3):
    if increments is None:
        increments = tuple(math.pi * (2 * j + 1) / cycles for j in range(cycles))
    return BssfpProtocol(
        repetition_time=4.8e-3, echo_time=te, flip_angle=math.radians(15), rf_phase_increment=increments
    )


def estimate_of(fit, b1, protocol, valid_range):
    maps = relaxation_maps(fit, b1=b1, protocol=protocol)
    cycles = np.zeros((len(b1), protocol.number_of_cycles), dtype=np.complex64)
    return finished_estimate(maps, cycles, known=KnownMaps(b1=b1), protocol=protocol, valid_range=valid_range)


def noise_stdev(snr):
    return 0.074 / (math.sqrt(2.0) * snr)


def draw(number, protocol, *, snr=math.inf, seed=0, m0=1.0):
    rng = np.random.default_rng(seed)
    truth = {
        "T1": rng.uniform(*RANGES["T1"], number),
        "T2": rng.uniform(*RANGES["T2"], number),
        "M0": np.full(number, m0),
        "off_resonance": rng.uniform(-0.5, 0.5, number) / protocol.repetition_time,
    }
    b1 = rng.uniform(0.7, 1.3, number)
    receiver = np.exp(1j * rng.uniform(-3, 3, number))
    cycles = signal(
        truth["T1"],
        truth["T2"],
        b1=b1,
        off_resonance=truth["off_resonance"],
        protocol=protocol,
        m0=m0 * receiver,
    )
    if math.isfinite(snr):
        noise = rng.normal(size=cycles.shape) + 1j * rng.normal(size=cycles.shape)
        cycles = cycles + m0 * noise_stdev(snr) * noise
    return truth, cycles, b1


def bound_of(truth, b1, protocol, snr):
    return cramer_rao_bound(
        truth["T1"],
        truth["T2"],
        b1=b1,
        off_resonance=truth["off_resonance"],
        noise_stdev=noise_stdev(snr),
        m0=1.0,
        protocol=protocol,
    )


@pytest.mark.parametrize("protocol", [make_protocol(12), make_protocol(3), make_protocol(0, UNEVEN, te=1e-3)])
def test_noise_free_maps_are_exact_in_single_precision(protocol):
    truth, cycles, b1 = draw(2000, protocol, m0=250.0)
    found = MaximumLikelihood().estimate(cycles.astype(np.complex64), protocol=protocol, known=KnownMaps(b1=b1))
    assert (found.status == Status.CONVERGED).all()
    for name in ("T1", "T2", "M0"):
        np.testing.assert_allclose(found.values[name], truth[name], rtol=1e-5)
    turns = (found.values["off_resonance"] - truth["off_resonance"]) * protocol.repetition_time
    assert np.max(np.abs(turns - np.round(turns))) < 1e-6
    assert np.max(found.residual) < 1e-6


@pytest.mark.parametrize(
    ("cycles", "over_bound", "clamped"),
    [(12, (1.06, 1.06), (6.6, 6.5)), (6, (1.09, 1.09), (9.2, 9.3)), (4, (1.15, 1.15), (11.8, 12.8))],
)
def test_errors_at_snr_25_are_those_of_the_bound(cycles, over_bound, clamped):
    protocol = make_protocol(cycles)
    truth, data, b1 = draw(20_000, protocol, snr=25.0)
    estimator = MaximumLikelihood()
    found = estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    assert np.mean(good) > 0.998
    bound = bound_of(truth, b1, protocol, 25.0)
    point = estimator.natural(data, b1=b1, protocol=protocol)
    bare = dict(zip(("T1", "T2"), relaxation_times(point.e2, point.b, b1=b1, protocol=protocol), strict=True))
    for name, most, bar in zip(("T1", "T2"), over_bound, clamped, strict=True):
        error = (found.values[name] - truth[name])[good]
        assert 0.97 < math.sqrt(np.mean(np.square(error / bound[name][good]))) < most
        assert abs(np.median(error / truth[name][good])) < 0.015
        assert abs(np.mean(error / truth[name][good])) < 0.025
        inside = np.clip(bare[name], *RANGES[name])
        assert 100 * np.mean(np.abs(inside / truth[name] - 1)) < bar


@pytest.mark.parametrize("cycles", [12, 6, 4])
def test_stated_uncertainty_covers_what_it_says_at_snr_25(cycles):
    protocol = make_protocol(cycles)
    truth, data, b1 = draw(20_000, protocol, snr=25.0, seed=1)
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    turn = 1.0 / protocol.repetition_time
    for name in MAPS:
        if name == "off_resonance":
            error = (found.values[name] - truth[name] + turn / 2) % turn - turn / 2
            scaled = np.abs(error / found.stdev[name])[good]
        else:
            # On the logarithm: T1 and T2 are skewed at four cycles.
            scaled = np.abs(np.log(found.values[name] / truth[name]) * found.values[name] / found.stdev[name])[good]
        assert 0.66 < np.mean(scaled < 1.0) < 0.70
        assert 0.94 < np.mean(scaled < 1.96) < 0.96


def test_three_cycles_are_covered_where_the_signal_is_strong():
    protocol = make_protocol(3)
    truth, data, b1 = draw(20_000, protocol, snr=250.0)
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    assert np.mean(good) > 0.99
    for name in ("T1", "T2"):
        covered = (np.abs(found.values[name] - truth[name]) < found.stdev[name])[good]
        assert 0.64 < np.mean(covered) < 0.72
    assert "second solution" in MaximumLikelihood().remarks(protocol)[0]
    assert MaximumLikelihood().remarks(make_protocol(4)) == ()


@pytest.mark.parametrize("protocol", [make_protocol(12), make_protocol(4), make_protocol(0, UNEVEN, te=1e-3)])
def test_gain_of_the_noise_is_the_bound_and_gain_of_b1_the_slope(protocol):
    truth, cycles, b1 = draw(300, protocol)
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    maps = relaxation_maps(fit, b1=b1, protocol=protocol)
    bound = bound_of(truth, b1, protocol, 0.074 / math.sqrt(2.0))
    for row, name in enumerate(MAPS):
        np.testing.assert_allclose(maps.noise_gain[row], bound[name], rtol=1e-7)
    up = relaxation_maps(fit, b1=b1 + 1e-6, protocol=protocol).values
    down = relaxation_maps(fit, b1=b1 - 1e-6, protocol=protocol).values
    slope = (up - down) / 2e-6
    np.testing.assert_allclose(maps.b1_gain, slope[[0, 2]], rtol=1e-6)
    np.testing.assert_array_equal(slope[[1, 3]], 0.0)


def test_uncertainty_of_b1_enters_t1_and_m0_alone():
    protocol = make_protocol()
    truth, cycles, b1 = draw(20_000, protocol, snr=1000.0)
    measured = b1 + 0.03 * np.random.default_rng(7).normal(size=len(b1))
    exact = MaximumLikelihood().estimate(cycles, protocol=protocol, known=KnownMaps(b1=measured))
    honest = MaximumLikelihood().estimate(
        cycles, protocol=protocol, known=KnownMaps(b1=measured, b1_stdev=np.full(len(b1), 0.03))
    )
    for name in ("T1", "M0"):
        error = np.abs(honest.values[name] - truth[name])
        assert 0.64 < np.mean(error < honest.stdev[name]) < 0.72
        assert np.mean(error < exact.stdev[name]) < 0.3
    for name in ("T2", "off_resonance"):
        np.testing.assert_array_equal(honest.stdev[name], exact.stdev[name])


def test_status_says_why_a_voxel_has_no_value():
    protocol = make_protocol(4)
    _, cycles, b1 = draw(400, protocol, snr=100.0)
    b1_stdev = np.full(400, 0.01)
    rng = np.random.default_rng(1)
    cycles[0, 2] = np.nan
    cycles[1] = 0.0
    cycles[2:40] = 0.002 * (rng.normal(size=(38, 4)) + 1j * rng.normal(size=(38, 4)))
    b1[40], b1[41], b1[42] = np.nan, -1.0, 13.0  # the last turns 15° into 195°
    b1_stdev[43] = np.inf
    cycles[44] = signal(np.array(4.0), np.array(2.0), b1=b1[44], off_resonance=np.array(20.0), protocol=protocol)
    estimator = MaximumLikelihood()
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1, b1_stdev=b1_stdev))
    assert (found.status[[0, 1, 40, 41, 43]] == Status.INVALID_INPUT).all()
    assert (found.status[2:40] != Status.CONVERGED).mean() > 0.9
    assert Status.LOW_SIGNAL in found.status[2:40]
    assert found.status[42] in (Status.OUT_OF_RANGE, Status.NO_ROOT)
    assert found.status[44] == Status.CONVERGED
    assert (found.status[45:] == Status.CONVERGED).all()
    failed = found.status != Status.CONVERGED
    for maps in (found.values, found.stdev):
        for values in maps.values():
            assert values.dtype == np.float32
            assert np.isnan(values[failed]).all()
            assert np.isfinite(values[~failed]).all()
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    narrow = estimate_of(fit, b1, protocol, ValidRange(t1=(0.3, 1.0)))
    slow = found.values["T1"] > 1.001
    assert (narrow.status[slow] == Status.OUT_OF_RANGE).all()
    converged = narrow.status == Status.CONVERGED
    assert 10 < converged.sum() < 300
    assert (narrow.values["T1"][converged] <= 1.0).all()
    hasty = fit_natural(cycles[45:], rf_phase_increment=protocol.rf_phase_increment, iterations=0)
    assert (estimate_of(hasty, b1[45:], protocol, ValidRange()).status == Status.NOT_CONVERGED).all()


def test_noise_of_one_voxel_is_that_of_the_scan():
    """Moderation: the stated sd of equal tissue is nearly equal at four cycles, where its own residual would scatter it by 40 %."""
    protocol = make_protocol(4)
    ones = np.ones(3000)
    clean = signal(0.9 * ones, 0.06 * ones, b1=ones, off_resonance=10.0 * ones, protocol=protocol)
    rng = np.random.default_rng(0)
    data = clean + noise_stdev(200.0) * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=ones))
    spread = np.std(found.stdev["T1"]) / np.mean(found.stdev["T1"])
    assert spread < 0.15
    assert np.mean(found.stdev["T1"]) == pytest.approx(np.std(found.values["T1"]), rel=0.05)


def test_volumes_threads_and_empty_masks():
    protocol = make_protocol()
    _, cycles, b1 = draw(120, protocol, snr=30)
    flat = MaximumLikelihood().estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    volume = MaximumLikelihood(threads=2).estimate(
        cycles.reshape(4, 5, 6, 12), protocol=protocol, known=KnownMaps(b1=b1.reshape(4, 5, 6))
    )
    for name in MAPS:
        np.testing.assert_array_equal(volume.values[name].ravel(), flat.values[name])
        assert volume.stdev[name].shape == (4, 5, 6)
    empty = MaximumLikelihood().estimate(cycles[:0], protocol=protocol, known=KnownMaps(b1=b1[:0]))
    assert empty.status.shape == (0,)
    with pytest.raises(ValueError, match="threads must be at least 1, found 0"):
        MaximumLikelihood(threads=0)


def test_arrays_that_do_not_belong_together_are_refused():
    protocol = make_protocol()
    with pytest.raises(ValueError, match="cycles has 8 volumes, the protocol 12 increments"):
        MaximumLikelihood().estimate(np.ones((5, 8), complex), protocol=protocol, known=KnownMaps(b1=np.ones(5)))
    with pytest.raises(ValueError, match="B1 standard deviation has shape"):
        MaximumLikelihood().estimate(
            np.ones((5, 12), complex), protocol=protocol, known=KnownMaps(b1=np.ones(5), b1_stdev=np.ones(4))
        )


@pytest.mark.parametrize("estimator", [MaximumLikelihood(), Linear()], ids=lambda each: each.name)
def test_uneven_increments_are_served_and_equal_ones_refused(estimator):
    protocol = make_protocol(0, UNEVEN)
    truth, cycles, b1 = draw(1000, protocol)
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    for name in ("T1", "T2", "M0"):
        np.testing.assert_allclose(found.values[name], truth[name], rtol=1e-5)
    with pytest.raises(
        ProtocolNotSupported, match=f"3 different RF phase increments .*estimator {estimator.name}.* found 2"
    ):
        estimator.check(make_protocol(0, (0.0, 1.0, 1.0)))


def test_linear_is_noisier_than_maximum_likelihood_and_says_so():
    protocol = make_protocol(0, UNEVEN)
    truth, cycles, b1 = draw(10_000, protocol, snr=50.0)
    known = KnownMaps(b1=b1)
    linear, ml = (each.estimate(cycles, protocol=protocol, known=known) for each in (Linear(), MaximumLikelihood()))
    both = (linear.status == Status.CONVERGED) & (ml.status == Status.CONVERGED)
    error = {each: np.abs(found.values["T1"] - truth["T1"])[both] for each, found in (("linear", linear), ("ml", ml))}
    assert error["linear"].mean() > 1.1 * error["ml"].mean()
    assert 0.62 < np.mean(error["linear"] < linear.stdev["T1"][both]) < 0.72


@pytest.mark.parametrize(("t1", "t2"), [(0.939, 0.062), (1.4, 0.085), (1.8, 0.110)])
def test_neither_mean_nor_median_of_a_tissue_is_biased(t1, t2):
    protocol = make_protocol(12)
    number = 30_000
    rng = np.random.default_rng(8)
    off_resonance = rng.uniform(-0.5, 0.5, number) / protocol.repetition_time
    data = signal(
        np.full(number, t1), np.full(number, t2), b1=np.ones(number), off_resonance=off_resonance, protocol=protocol
    )
    noise = rng.normal(size=(*data.shape, 2)).view(complex)[..., 0]
    data = data + 0.074 / (math.sqrt(2.0) * 25.0) * noise
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=np.ones(number)))
    for name, value in (("T1", t1), ("T2", t2)):
        assert abs(np.mean(found.values[name]) / value - 1.0) < 0.011
        assert abs(np.median(found.values[name]) / value - 1.0) < 0.011
