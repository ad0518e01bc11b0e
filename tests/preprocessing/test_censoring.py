import numpy as np
import pytest

from qmri_bids.preprocessing.motion.censoring import censor, censor_saturated, too_few

MOVED = np.array([0.0, 0.1e-3, 0.8e-3, 0.2e-3, 2e-3])


def test_volumes_beyond_the_threshold_are_left_out_and_named():
    found = censor(MOVED, threshold=0.5e-3, noun="cycle")
    assert found.censored.tolist() == [False, False, True, False, True]
    assert "2 of 5 cycles left out" in found.warnings[0]
    assert "3 (0.80 mm), 5 (2.00 mm)" in found.decisions[0]
    assert "expected at least 4" in str(too_few(found, needed=4, noun="cycle"))


def test_still_series_loses_nothing_and_warns_of_nothing():
    found = censor(MOVED, threshold=2e-3, noun="volume")
    assert not found.censored.any()
    assert found.warnings == ()
    assert "No volume was left out" in found.decisions[0]


def test_spectra_lose_offsets_but_not_their_last_reference():
    roles = ["m0", "cest", "cest", "cest", "m0"]
    found = censor_saturated(MOVED, threshold=0.5e-3, roles=roles, droppable=True)
    assert found.censored.tolist() == [False, False, True, False, True]
    with pytest.raises(ValueError, match="every unsaturated volume"):
        censor_saturated(MOVED, threshold=0.5e-3, roles=["cest", "cest", "m0", "cest", "cest"], droppable=True)


def test_fingerprints_and_pairs_are_refused_as_a_whole():
    with pytest.raises(ValueError, match="volumes of a fingerprint"):
        censor_saturated(MOVED, threshold=0.5e-3, roles=["cest"] * 5, droppable=False)
    with pytest.raises(ValueError, match="scans that are all needed"):
        censor_saturated(MOVED[:3], threshold=0.5e-3, roles=(), droppable=True)
    assert not censor_saturated(MOVED, threshold=3e-3, roles=["cest"] * 5, droppable=False).censored.any()


def test_thresholds_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="threshold must be positive, found 0"):
        censor(MOVED, threshold=0.0, noun="volume")
