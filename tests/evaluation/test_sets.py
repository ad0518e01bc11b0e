import math

import numpy as np
import pytest
from relaxometry_sets import brain_set

from qmri_bids.evaluation.sets import (
    NOISE_REFERENCE,
    PAPER_T1,
    TISSUES,
    circle_set,
    grid_set,
    tissue_set,
    uniform_set,
)
from qmri_bids.physics.bssfp import configurations
from qmri_bids.training.simulation import paper_protocol


def test_noise_has_the_deviation_of_the_paper_in_each_channel():
    truth = uniform_set(20_000, protocol=paper_protocol(), seed=0)
    noise = truth.cycles(snr=25.0, seed=1) - truth.cycles(snr=math.inf)
    expected = NOISE_REFERENCE / (math.sqrt(2) * 25.0)
    assert noise.real.std() == pytest.approx(expected, rel=0.01)
    assert noise.imag.std() == pytest.approx(expected, rel=0.01)
    assert abs(np.mean(noise.real * noise.imag)) < 0.01 * expected**2


def test_the_reference_of_the_noise_is_the_signal_of_brain_tissue():
    truth = tissue_set(4000, protocol=paper_protocol(), seed=0)
    tissue = truth.groups["WM"] | truth.groups["GM"]
    modes = configurations(
        truth.cycles(snr=math.inf), rf_phase_increment=truth.protocol.rf_phase_increment, orders=(0,)
    )
    assert np.abs(modes[tissue]).mean() == pytest.approx(NOISE_REFERENCE, rel=0.15)


def test_uniform_set_covers_the_whole_circle_and_is_the_same_for_the_same_seed():
    first, again = (uniform_set(5000, protocol=paper_protocol(), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.t1, again.t1)
    assert first.theta.min() < -0.99 * math.pi
    assert first.theta.max() > 0.99 * math.pi
    np.testing.assert_array_equal(first.cycles(snr=20, seed=5), again.cycles(snr=20, seed=5))


def test_grid_runs_over_t2_first():
    grid = grid_set(side=20, protocol=paper_protocol())
    assert grid.t1.reshape(20, 20)[0].tolist() == [PAPER_T1[0]] * 20
    assert (np.diff(grid.t2.reshape(20, 20), axis=1) > 0).all()


def test_lesions_are_rare_and_every_voxel_belongs_to_one_tissue():
    for truth, names in (
        (tissue_set(50_000, protocol=paper_protocol(), seed=0), set(TISSUES)),
        (brain_set(50_000, protocol=paper_protocol(), seed=0), {"WM", "GM", "mixed", "lesion"}),
    ):
        assert set(truth.groups) == names
        assert (sum(mask.astype(int) for mask in truth.groups.values()) == 1).all()
        assert truth.groups["lesion"].mean() == pytest.approx(0.01, abs=0.002)
        assert np.median(truth.t1[truth.groups["lesion"]]) == pytest.approx(TISSUES["lesion"][0], rel=0.01)


def test_mixed_voxels_lie_between_their_tissues():
    truth = brain_set(20_000, protocol=paper_protocol(), seed=0, spread=0.0)
    mixed = truth.t1[truth.groups["mixed"]]
    assert TISSUES["WM"][0] < mixed.min() < mixed.max() < TISSUES["GM"][0]
    assert np.ptp(truth.t1[truth.groups["WM"]]) == 0.0


def test_signal_of_the_circle_closes():
    cycles = circle_set(11, tissue="WM", protocol=paper_protocol(6)).cycles(snr=math.inf)
    # θ of -π and π differ by the phase of the echo alone.
    np.testing.assert_allclose(np.abs(cycles[0]), np.abs(cycles[-1]), rtol=1e-12)


def test_an_snr_that_is_no_number_of_signals_is_refused():
    with pytest.raises(ValueError, match=r"snr must be positive .* found 0"):
        uniform_set(5, protocol=paper_protocol(), seed=0).cycles(snr=0.0)
