import nibabel as nib
import numpy as np
import pytest

from qmri_bids.preprocessing.b1 import B1Code, register_b1
from qmri_bids.preprocessing.loading.b1 import load_b1
from qmri_bids.preprocessing.registration.scans import RegistrationFailed


def test_a_map_is_read_with_its_scale_and_volume(tmp_path):
    both = np.stack([np.full((4, 5, 6), 300.0), np.full((4, 5, 6), 640.0)], axis=-1)
    both[0, 0, 0, 1] = np.nan
    path = tmp_path / "both.nii.gz"
    nib.save(nib.Nifti1Image(both.astype(np.float32), np.diag([5.0, 5.0, 5.0, 1.0])), path)
    loaded = load_b1(map_path=path, scale=0.00125, anatomical_path=path, map_volume=1, anatomical_volume=0)
    np.testing.assert_allclose(loaded.ratio[1:], 0.8, rtol=1e-6)
    assert loaded.ratio[0, 0, 0] == 0.0
    assert (loaded.anatomical == 300.0).all()
    assert load_b1(map_path=path, scale=1.0, map_volume=1).anatomical is None


def prepared(scan):
    measured = scan.session.b1_scan
    b1 = measured.flip_angle / measured.flip_angle[measured.flip_angle > 0].mean()
    return {
        "b1": b1,
        "b1_affine": measured.grid.affine,
        "anatomical": measured.anatomical,
        "target_magnitude": np.abs(scan.session.cycles).mean(axis=3),
        "target_affine": scan.affine,
    }


def test_the_map_arrives_where_it_belongs(moved_scan):
    inputs = prepared(moved_scan)
    result = register_b1(inputs.pop("b1"), **inputs)
    truth = moved_scan.session.truth.b1
    relative = (result.map / truth)[moved_scan.brain]
    assert (relative / np.median(relative)).std() < 0.015
    pose = moved_scan.session.b1_pose.matrix
    assert moved_scan.position_error([result.transform], [pose])[0] < 1.5  # voxels of about 12 mm
    assert result.similarity[1] > result.similarity[0]
    # Extrapolated, never empty: every voxel of the field of view has a plausible value.
    assert result.map.min() > 0.3
    assert result.measured[moved_scan.brain].mean() > 0.95
    assert any("continued from their surroundings" in sentence for sentence in result.decisions)


def test_without_anatomical_image_the_header_is_trusted(still_scan):
    inputs = prepared(still_scan) | {"anatomical": None}
    result = register_b1(inputs.pop("b1"), **inputs)
    np.testing.assert_array_equal(result.transform, np.eye(4))
    assert "by its header alone" in result.decisions[0]
    relative = (result.map / still_scan.session.truth.b1)[still_scan.brain]
    assert (relative / np.median(relative)).std() < 0.015


def test_implausible_b1_is_marked_and_said(still_scan):
    inputs = prepared(still_scan) | {"anatomical": None, "target_mask": still_scan.brain}
    b1 = inputs.pop("b1") * 1.4
    result = register_b1(b1, **inputs)
    beyond = still_scan.brain & (result.map > 1.7)
    assert beyond.any()
    np.testing.assert_array_equal(result.codes == B1Code.IMPLAUSIBLE, beyond)
    assert (result.codes[~still_scan.brain] == B1Code.OUTSIDE).all()
    (warning,) = result.warnings
    assert f"B1 IS IMPLAUSIBLE in {beyond.sum():,} voxels of the brain" in warning
    assert "desc-B1_mask" in warning


def test_the_standard_deviation_holds_what_a_map_may_have_wrong(moved_scan):
    inputs = prepared(moved_scan)
    b1 = inputs.pop("b1")
    brain, truth = moved_scan.brain, moved_scan.session.truth.b1
    result = register_b1(b1, target_mask=brain, **inputs)
    assert result.stdev.dtype == np.float32
    assert np.isfinite(result.stdev).all()
    # The nominal angle is that of the mean here: what all voxels have in common is not in it.
    error = (result.map / np.median((result.map / truth)[brain]) - truth)[brain]
    held = np.abs(error) / result.stdev[brain]
    assert np.mean(held < 1.0) > 0.6
    assert np.mean(held < 1.96) > 0.9
    wrong = register_b1(b1, target_mask=brain, method_error=0.05, **inputs)
    # Outside of the head the map is extrapolated where it was measured, and brought here afterwards.
    np.testing.assert_allclose(wrong.stdev, np.hypot(result.stdev, 0.05 * result.map), rtol=0.03)
    np.testing.assert_allclose(wrong.stdev[brain], np.hypot(result.stdev, 0.05 * result.map)[brain], rtol=0.02)
    assert "5 % that the method errs where T1 is not known" in wrong.decisions[-1]


def test_a_map_that_is_placed_by_its_header_may_lie_beside_the_head(still_scan):
    inputs = prepared(still_scan) | {"target_mask": still_scan.brain}
    b1 = inputs.pop("b1")
    registered, trusted = (register_b1(b1, **(inputs | more)) for more in ({}, {"anatomical": None}))
    slope = np.linalg.norm(np.gradient(trusted.map), axis=0)
    steep = still_scan.brain & trusted.measured & (slope > np.quantile(slope[still_scan.brain], 0.8))
    sizes = np.linalg.norm(still_scan.affine[:3, :3], axis=0)
    assert np.median(trusted.stdev[steep]) > 0.7 * np.median(slope[steep]) / sizes.mean()
    assert "a position known within 1 mm" in trusted.decisions[-1]
    assert "a position known within 1 mm" not in registered.decisions[-1]


def test_a_ready_made_map_has_no_standard_deviation_and_says_what_that_means(still_scan):
    inputs = prepared(still_scan) | {"anatomical": None}
    result = register_b1(inputs.pop("b1"), ready_made=True, **inputs)
    assert result.stdev is None
    assert "THE STANDARD DEVIATIONS OF THE MAPS THAT TAKE IT, T1 AND M0 ABOVE ALL, DO NOT HOLD" in result.decisions[-1]


def test_a_scan_that_covers_another_place_is_an_error(still_scan):
    inputs = prepared(still_scan) | {"anatomical": None, "target_mask": still_scan.brain}
    b1 = inputs.pop("b1").copy()
    b1[..., b1.shape[2] // 3 :] = 0.0
    with pytest.raises(RegistrationFailed, match="% of the brain in the other scan"):
        register_b1(b1, **inputs)


def test_a_registration_that_runs_away_is_an_error(still_scan):
    inputs = prepared(still_scan)
    far = inputs["b1_affine"].copy()
    far[0, 3] += 60.0  # a header that lies: the anatomical image itself is found 60 mm away
    inputs["b1_affine"] = far
    with pytest.raises(RegistrationFailed, match="expected at most 50 mm"):
        register_b1(inputs.pop("b1"), **inputs)
