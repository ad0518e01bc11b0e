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
    assert np.isfinite(result.stdev[result.measured]).all()
    assert np.isnan(result.stdev[~result.measured]).all()


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
