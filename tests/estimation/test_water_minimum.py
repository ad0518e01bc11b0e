import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.water_shift import water_minimum

OFFSETS = np.linspace(-4.0, 4.0, 33)


def dips(shift, width=1.6, depth=0.8):
    return 0.9 - depth / (1.0 + (2.0 * (OFFSETS - np.asarray(shift)[:, None]) / width) ** 2)


def test_centre_moves_with_the_shift_between_offsets():
    shift = np.linspace(-0.9, 0.9, 41)
    found = water_minimum(dips(shift), offsets=OFFSETS, noise=1e-3)
    np.testing.assert_allclose(found.values["water_shift"], shift, atol=1e-4)


def test_stated_uncertainty_holds():
    rng = np.random.default_rng(0)
    shift = rng.uniform(-0.5, 0.5, 2000)
    z = dips(shift) + 0.01 * rng.standard_normal((2000, len(OFFSETS)))
    found = water_minimum(z, offsets=OFFSETS, noise=0.01)
    score = (found.values["water_shift"] - shift) / found.stdev["water_shift"]
    # Misfit counts where it exceeds the noise, so that the uncertainty is rather too large.
    assert 0.75 < np.nanstd(score) < 1.05
    assert (found.status == Status.CONVERGED).mean() > 0.99


def test_order_of_offsets_and_threads_do_not_matter():
    rng = np.random.default_rng(1)
    z = dips(rng.uniform(-0.5, 0.5, 50)) + 0.01 * rng.standard_normal((50, len(OFFSETS)))
    order = rng.permutation(len(OFFSETS))
    first = water_minimum(z, offsets=OFFSETS, noise=0.01)
    second = water_minimum(z[:, order], offsets=OFFSETS[order], noise=0.01, threads=2)
    np.testing.assert_allclose(second.values["water_shift"], first.values["water_shift"], atol=1e-5)


def test_line_beside_water_draws_the_centre_little():
    shift = np.zeros(1)
    beside = 0.1 / (1.0 + ((OFFSETS - 2.0) / 0.6) ** 2)
    found = water_minimum(dips(shift, width=2.5) - beside, offsets=OFFSETS, noise=0.01)
    assert 0.0 < found.values["water_shift"][0] < 0.05


def test_spectra_without_a_dip_in_reach_have_no_value():
    rng = np.random.default_rng(2)
    z = np.concatenate(
        [
            np.full((1, len(OFFSETS)), 0.9) + 0.01 * rng.standard_normal((1, len(OFFSETS))),
            dips([3.5]),
            np.full((1, len(OFFSETS)), np.nan),
            dips([0.1]),
        ]
    )
    found = water_minimum(z, offsets=OFFSETS, noise=0.01)
    assert found.status.tolist() == [
        Status.LOW_SIGNAL, Status.OUT_OF_RANGE, Status.INVALID_INPUT, Status.CONVERGED,
    ]  # fmt: skip
    assert np.isnan(found.values["water_shift"][:3]).all()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"z must have shape \(V, N\)"):
        water_minimum(np.ones((3, 5)), offsets=OFFSETS, noise=0.01)
    far = np.array([-10.0, -8.0, -6.0, -2.0, -1.0, 0.0, 1.0, 2.0, 6.0, 8.0])
    with pytest.raises(ValueError, match=r"at least 6 offsets within ±2\.5 ppm, found 5; give a field map"):
        water_minimum(np.ones((3, 10)), offsets=far, noise=0.01)


def test_a_minimum_between_offsets_that_leave_it_out_is_none():
    """APTw without offsets around water: the minimum is that of the spline, and no number."""
    offsets = np.concatenate([-np.linspace(1.5, 4.0, 11)[::-1], np.linspace(1.5, 4.0, 11)])
    z = 0.9 - 0.8 / (1.0 + (2.0 * (offsets - np.array([[0.0], [0.3]])) / 2.5) ** 2)
    found = water_minimum(z, offsets=offsets, noise=0.01)
    assert found.status.tolist() == [Status.OUT_OF_RANGE] * 2
    assert np.isnan(found.values["water_shift"]).all()
    sampled = np.arange(-4.0, 4.1, 0.75)
    z = 0.9 - 0.8 / (1.0 + (2.0 * (sampled - np.array([[0.0], [0.3]])) / 2.5) ** 2)
    assert (water_minimum(z, offsets=sampled, noise=0.01).status == Status.CONVERGED).all()
