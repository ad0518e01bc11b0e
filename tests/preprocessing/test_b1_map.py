import numpy as np
import pytest

from qmri_bids.preprocessing.b1 import (
    RegistrationFailed,
    b1_from_tb1map,
    b1_from_tb1tfl,
    register_b1,
)


def test_tb1tfl_is_ten_times_degrees():
    famp = np.array([0.0, 640.0, 800.0, 960.0])
    ratio, decision = b1_from_tb1tfl(famp, nominal_flip_angle=np.deg2rad(80.0))
    np.testing.assert_allclose(ratio, [0.0, 0.8, 1.0, 1.2], rtol=1e-6)
    assert "80.0°" in decision
    with pytest.raises(ValueError, match=r"median of the famp image is 80.0°.*nominal flip angle of 8.0°"):
        b1_from_tb1tfl(famp, nominal_flip_angle=np.deg2rad(8.0))


@pytest.mark.parametrize(("scale", "name"), [(1.0, "ratio"), (100.0, "percent")])
def test_tb1map_is_ratio_or_percent(scale, name):
    values = scale * np.array([0.0, np.nan, 0.8, 1.0, 1.2])
    ratio, decision = b1_from_tb1map(values)
    np.testing.assert_allclose(ratio, [0.0, 0.0, 0.8, 1.0, 1.2], rtol=1e-6)
    assert name in decision


def test_a_map_of_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="median of TB1map is 900"):
        b1_from_tb1map(np.full(5, 900.0))


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
    assert any("extrapolated" in sentence for sentence in result.decisions)


def test_without_anatomical_image_the_header_is_trusted(still_scan):
    inputs = prepared(still_scan) | {"anatomical": None}
    result = register_b1(inputs.pop("b1"), **inputs)
    np.testing.assert_array_equal(result.transform, np.eye(4))
    assert "by its header alone" in result.decisions[0]
    relative = (result.map / still_scan.session.truth.b1)[still_scan.brain]
    assert (relative / np.median(relative)).std() < 0.015


def test_a_registration_that_runs_away_is_an_error(still_scan):
    inputs = prepared(still_scan)
    far = inputs["b1_affine"].copy()
    far[0, 3] += 60.0  # a header that lies: the anatomical image itself is found 60 mm away
    inputs["b1_affine"] = far
    with pytest.raises(RegistrationFailed, match="expected at most 50 mm"):
        register_b1(inputs.pop("b1"), **inputs)
