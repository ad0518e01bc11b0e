import numpy as np
import pytest

from qmri_bids.evaluation.scores import (
    coefficient_of_determination,
    coverage,
    normal_interval,
    rank_histogram,
    rank_histogram_of,
    rmse_over_bound,
    score,
)


def test_score_of_a_constant_factor_with_a_hole():
    truth = np.array([1.0, 2.0, 4.0, 8.0])
    estimate = np.array([1.1, 2.2, 4.4, np.nan])
    found = score(estimate, truth)
    assert found.mean_absolute_error == pytest.approx(0.1)
    assert found.bias == pytest.approx(0.1)
    assert found.rmse == pytest.approx(0.1)
    assert found.missing == 0.25


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="none of 3 estimates is finite"):
        score(np.full(3, np.nan), np.ones(3))
    with pytest.raises(ValueError, match="none of 2 probabilities"):
        rank_histogram_of(np.full(2, np.nan))


def test_mean_absolute_error_keeps_what_bias_hides():
    truth = np.ones(100_000)
    estimate = truth + 0.1 * np.random.default_rng(0).standard_normal(truth.size)
    found = score(estimate, truth)
    assert abs(found.bias) < 0.002
    assert found.mean_absolute_error == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.02)


def test_coefficient_of_determination_is_one_for_the_truth_and_zero_for_its_mean():
    truth = np.linspace(1, 2, 50)
    assert coefficient_of_determination(truth, truth) == 1.0
    assert coefficient_of_determination(np.full(50, truth.mean()), truth) == pytest.approx(0.0)
    assert coefficient_of_determination(truth[::-1], truth) == pytest.approx(-3.0)


def test_an_efficient_estimate_is_at_the_bound():
    rng = np.random.default_rng(1)
    bound = rng.uniform(0.1, 2.0, 50_000)
    truth = rng.uniform(1, 2, 50_000)
    assert rmse_over_bound(truth + bound * rng.standard_normal(50_000), truth, bound) == pytest.approx(1.0, abs=0.01)


def test_right_intervals_cover_and_rank_flat():
    rng = np.random.default_rng(2)
    stdev = rng.uniform(0.5, 3.0, 40_000)
    truth = rng.normal(size=40_000)
    estimate = truth + stdev * rng.standard_normal(40_000)
    for probability in (0.68, 0.95):
        low, high = normal_interval(estimate, stdev, probability=probability)
        assert coverage(low, high, truth) == pytest.approx(probability, abs=0.01)
    ranks = rank_histogram(estimate, stdev, truth)
    assert sum(ranks.counts) == 40_000
    assert ranks.p_value > 0.001
    assert ranks.largest_deviation < 0.1


@pytest.mark.parametrize(("factor", "middle_is_high"), [(2.0, True), (0.5, False)])
def test_wrong_intervals_show_as_hump_or_bowl(factor, middle_is_high):
    rng = np.random.default_rng(3)
    estimate = rng.standard_normal(20_000)
    ranks = rank_histogram(estimate, np.full(20_000, factor), np.zeros(20_000))
    assert ranks.p_value < 1e-6
    middle, ends = sum(ranks.counts[9:11]), ranks.counts[0] + ranks.counts[-1]
    assert (middle > ends) == middle_is_high


def test_probability_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match=r"probability must lie in \(0, 1\), found 95"):
        normal_interval(np.zeros(1), np.ones(1), probability=95)
