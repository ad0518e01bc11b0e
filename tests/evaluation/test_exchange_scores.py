import numpy as np
import pytest
from exchange_cases import SHORT
from fingerprint_sets import single_tissue_set

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.evaluation.pools.scores import WHOLE, clamped, score_estimator, serving
from qmri_bids.evaluation.pools.sets import box_set, tissue_set
from qmri_bids.physics.saturation_bound import exchange_bound


class Known:
    """Says the truth times a factor with a stated deviation; flags what it is told to."""

    name = "known"
    model = {}  # noqa: RUF012

    def __init__(self, samples, *, factor=1.0, stdev=None, flagged=None):
        self._values = factor * samples.values
        self._stdev = 0.1 * samples.values if stdev is None else stdev
        self._flagged = np.zeros(len(samples.values), dtype=bool) if flagged is None else flagged

    def check(self, scan):
        pass

    def point(self, signal, *, scan, known):
        return self._values

    def estimate(self, signal, *, scan, known):
        empty = np.zeros(len(signal))
        values = np.where(self._flagged[:, None], np.nan, self._values)
        return ExchangeEstimate(
            values=dict(zip(scan.parameters, values.T, strict=True)),
            stdev=dict(zip(scan.parameters, np.where(self._flagged[:, None], np.nan, self._stdev).T, strict=True)),
            correlation=dict.fromkeys(scan.pools, empty),
            status=dict.fromkeys(scan.pools, np.full(len(signal), Status.CONVERGED, dtype=np.uint8)),
            amplitude=np.ones((len(signal), 2)),
            fitted=signal,
            residual=empty,
            noise=empty,
        )


class Refusing(Known):
    def check(self, scan):
        raise ProtocolNotSupported(expected="another", found="this", advice="None.")


def score_of(estimator, samples, **options):
    settings = {"set_name": "some", "noise_stdev": 0.01, "seed": 0} | options
    return score_estimator("it", estimator, samples, **settings)


def test_a_constant_factor_is_found_in_every_group_and_parameter():
    samples = tissue_set(600, 0, scan=SHORT)
    rows = score_of(Known(samples, factor=1.05), samples)
    assert [row.group for row in rows[::4]] == [WHOLE, "WM", "GM", "lesion"]
    assert [row.parameter for row in rows[:4]] == list(SHORT.parameters)
    for row in rows:
        assert row.written.bias == pytest.approx(0.05)
        assert row.clamped.mean_absolute_error == pytest.approx(0.05)
        assert (row.coverage_68, row.coverage_95) == (1.0, 1.0)


def test_flagged_voxels_are_missing_from_the_map_and_not_from_the_point():
    samples = tissue_set(400, 1, scan=SHORT)
    flagged = samples.groups["WM"]
    rows = {row.group: row for row in score_of(Known(samples, flagged=flagged), samples)}
    assert rows["WM"].written is None
    assert rows["WM"].over_bound is None
    assert rows["WM"].coverage_68 is None
    assert rows["WM"].clamped.missing == 0.0
    assert rows[WHOLE].written.missing == pytest.approx(flagged.mean())


def test_points_are_clipped_into_the_box():
    samples = box_set(500, 0, scan=SHORT)
    low, high = clamped(np.array([[0.0] * 4, [np.inf] * 4]), SHORT.parameters)
    assert low.tolist() == [0.02, 5.0, 5e-4, 5.0]
    assert high.tolist() == [0.30, 100.0, 1e-2, 500.0]
    row = score_of(Known(samples, factor=1e3), samples)[0]
    assert row.written.mean_absolute_error == pytest.approx(999.0)
    assert row.clamped.mean_absolute_error < 20.0


def test_maximum_likelihood_is_at_the_bound_and_calibrated():
    samples = single_tissue_set(700, 2, tissue="GM", scan=SHORT)
    rows = [row for row in score_of(ExchangeLikelihood(), samples, noise_stdev=0.004) if row.group == "GM"]
    for row in rows:
        assert row.over_bound == pytest.approx(1.0, abs=0.12)
        assert row.coverage_68 == pytest.approx(0.68, abs=0.05)
        assert row.coverage_95 == pytest.approx(0.95, abs=0.03)


def test_over_bound_is_in_units_of_each_voxels_bound():
    samples = box_set(200, 3, scan=SHORT)
    bound = exchange_bound(SHORT, samples.values, samples.known, noise_stdev=0.01)
    shifted = Known(samples)
    shifted._values = samples.values + 2.0 * bound
    assert [row.over_bound for row in score_of(shifted, samples)] == pytest.approx([2.0] * 4)
    assert score_of(shifted, samples, noise_stdev=0.0)[0].over_bound is None


def test_an_estimator_is_left_out_where_it_does_not_serve():
    samples = box_set(10, 0, scan=SHORT)
    assert set(serving({"yes": Known(samples), "no": Refusing(samples)}, SHORT)) == {"yes"}
