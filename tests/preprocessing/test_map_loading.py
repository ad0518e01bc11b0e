"""Maps in files: units, missing values, grids."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.preprocessing.loading.maps import load_maps

SHAPE = (10, 12, 8)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def save(path: Path, values: NDArray[np.floating]) -> Path:
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    return path


def head() -> NDArray[np.float64]:
    values = np.zeros(SHAPE)
    values[2:-2, 2:-2, 2:-2] = 1.0
    return values


def test_zeros_are_no_values_but_of_off_resonance(tmp_path: Path) -> None:
    files = {
        name: save(tmp_path / f"{name}.nii", scale * head()) for name, scale in (("T1", 1.2), ("off_resonance", 20.0))
    }
    loaded = load_maps(files)
    np.testing.assert_array_equal(np.isfinite(loaded.maps["T1"]), head() > 0.0)
    np.testing.assert_allclose(loaded.maps["off_resonance"], 20.0 * head())
    np.testing.assert_allclose(loaded.affine, AFFINE)


@pytest.mark.parametrize(("scale", "words"), [(1.0, "as a ratio"), (100.0, "in percent")])
def test_b1_is_a_ratio_whatever_its_file_holds(tmp_path: Path, scale: float, words: str) -> None:
    files = {"b1": save(tmp_path / "b1.nii", 0.9 * scale * head())}
    loaded = load_maps(files, stdev_files={"b1": save(tmp_path / "std.nii", 0.02 * scale * head())})
    assert np.nanmedian(loaded.maps["b1"]) == pytest.approx(0.9)
    assert loaded.maps["b1_stdev"][5, 5, 4] == pytest.approx(0.02)
    assert words in loaded.decisions[0]


def test_standard_deviations_of_zero_and_less_are_none(tmp_path: Path) -> None:
    files = {"T1": save(tmp_path / "T1.nii", 1.2 * head())}
    spread = 0.05 * head()
    spread[4, 4, 4], spread[5, 4, 4] = 0.0, -0.05
    loaded = load_maps(files, stdev_files={"T1": save(tmp_path / "std.nii", spread)})
    np.testing.assert_array_equal(np.isfinite(loaded.maps["T1_stdev"]), spread > 0.0)
    with pytest.raises(ValueError, match=r"std\.nii: expected standard deviations above 0, found them in 0 %"):
        load_maps(files, stdev_files={"T1": save(tmp_path / "std.nii", -0.05 * head())})


def test_a_last_axis_of_one_is_no_axis(tmp_path: Path) -> None:
    assert load_maps({"T2": save(tmp_path / "T2.nii", head()[..., None])}).maps["T2"].shape == SHAPE


def test_what_cannot_be_a_map_is_named(tmp_path: Path) -> None:
    one = save(tmp_path / "one.nii", head())
    with pytest.raises(ValueError, match=r"two\.nii: expected the grid of the other maps"):
        load_maps({"T1": one, "T2": save(tmp_path / "two.nii", np.ones((4, 4, 4)))})
    with pytest.raises(ValueError, match=r"empty\.nii: expected a map, found no value"):
        load_maps({"T1": save(tmp_path / "empty.nii", np.zeros(SHAPE))})
    with pytest.raises(ValueError, match=r"series\.nii: expected a map of three dimensions"):
        load_maps({"T1": save(tmp_path / "series.nii", np.ones((*SHAPE, 3)))})
    with pytest.raises(ValueError, match="expected at least one map"):
        load_maps({})
