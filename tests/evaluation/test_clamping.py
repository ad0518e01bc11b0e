import numpy as np
import pytest

from qmri_bids.estimation.base import NaturalPoint
from qmri_bids.estimation.bssfp.miracle import Miracle
from qmri_bids.evaluation.experiments import clamped_times
from qmri_bids.evaluation.scores import score
from qmri_bids.evaluation.sets import PAPER_T1, PAPER_T2, uniform_set
from qmri_bids.physics.bssfp import natural_coordinates
from qmri_bids.training.simulation import paper_protocol


def test_inside_the_range_nothing_changes():
    truth = uniform_set(2000, protocol=paper_protocol(), seed=0)
    e2, b = natural_coordinates(truth.t1, truth.t2, b1=truth.b1, protocol=truth.protocol)
    point = NaturalPoint(e2=e2, b=b, theta=truth.theta)
    t1, t2 = clamped_times(point, b1=truth.b1, protocol=truth.protocol)
    np.testing.assert_allclose(t1, truth.t1, rtol=1e-8)
    np.testing.assert_allclose(t2, truth.t2, rtol=1e-10)


def test_t1_falls_monotonically_with_b_from_one_end_of_the_range_to_the_other():
    """Also where b has left the physical domain: no jump, no hole."""
    b = np.linspace(-0.2, 1.2, 4001)
    for e2 in (0.3, 0.8, 0.93, 0.99, 1.0, 1.05):
        point = NaturalPoint(e2=np.full_like(b, e2), b=b, theta=np.zeros_like(b))
        t1, _ = clamped_times(point, b1=np.ones_like(b), protocol=paper_protocol(), t1=(0.001, 50.0))
        assert t1[0] == pytest.approx(50.0)
        assert t1[-1] == pytest.approx(0.001)
        assert (np.diff(t1) <= 1e-12).all()


@pytest.mark.parametrize(
    ("e2", "t2"), [(-0.1, PAPER_T2[0]), (0.0, PAPER_T2[0]), (1.0, PAPER_T2[1]), (1.3, PAPER_T2[1])]
)
def test_t2_beyond_the_physical_domain_is_an_end_of_the_range(e2, t2):
    point = NaturalPoint(e2=np.array([e2]), b=np.array([0.8]), theta=np.zeros(1))
    found_t1, found_t2 = clamped_times(point, b1=np.ones(1), protocol=paper_protocol())
    assert found_t2[0] == pytest.approx(t2)
    assert PAPER_T1[0] <= found_t1[0] <= PAPER_T1[1]


def test_no_estimate_stays_none():
    point = NaturalPoint(e2=np.array([np.nan, 0.9]), b=np.array([0.8, np.nan]), theta=np.zeros(2))
    for values in clamped_times(point, b1=np.ones(2), protocol=paper_protocol()):
        assert np.isnan(values).all()


@pytest.mark.parametrize(("cycles", "t1", "t2"), [(12, 6.8, 7.2), (6, 9.6, 11.5), (4, 17.1, 21.8)])
def test_clamped_miracle_has_the_errors_known_for_it(cycles, t1, t2):
    truth = uniform_set(60_000, protocol=paper_protocol(cycles), seed=4)
    point = Miracle().natural(truth.cycles(snr=25.0, seed=1), b1=truth.b1, protocol=truth.protocol)
    found = clamped_times(point, b1=truth.b1, protocol=truth.protocol)
    assert 100 * score(found[0], truth.t1).mean_absolute_error == pytest.approx(t1, abs=0.25)
    assert 100 * score(found[1], truth.t2).mean_absolute_error == pytest.approx(t2, abs=0.25)
