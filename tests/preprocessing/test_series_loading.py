"""Reading series, and what tells their noise."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from qmri_bids.pipeline.motion.series_nodes import LoadSeries
from qmri_bids.preprocessing.loading.series import load_series, noise_of_series

RNG = np.random.default_rng(3)


def grid(value: float) -> np.ndarray:
    """An image that is not constant, with this value in its first voxel."""
    data = np.full((3, 4, 5), value)
    data[-1] = 7.0
    return data


def write(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data.astype(np.float32), np.eye(4) if affine is None else affine), path)
    return path


def test_files_follow_one_another_and_volumes_are_chosen(tmp_path: Path) -> None:
    first = write(tmp_path / "a.nii.gz", grid(1.0))
    second = write(tmp_path / "b.nii.gz", np.stack([grid(2.0), grid(3.0)], axis=-1))
    series, affine = load_series([first, second])
    assert series[0, 0, 0].tolist() == [1.0, 2.0, 3.0]
    assert (affine == np.eye(4)).all()
    chosen, _ = load_series([first, second], volumes=[2, 0])
    assert chosen[0, 0, 0].tolist() == [3.0, 1.0]


def test_another_grid_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.nii.gz", grid(1.0))
    second = write(tmp_path / "b.nii.gz", grid(1.0), np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"b\.nii\.gz: expected the grid of .*a\.nii\.gz"):
        load_series([first, second])


@pytest.mark.parametrize(("value", "found"), [(-1.0, "negative values down to -1"), (np.nan, "1 values that are NaN")])
def test_what_is_no_magnitude_is_refused(tmp_path: Path, value: float, found: str) -> None:
    data = grid(1.0)
    data[1, 1, 1] = value
    with pytest.raises(ValueError, match=rf"a\.nii\.gz: volume 1: expected magnitudes, found {found}"):
        load_series([write(tmp_path / "a.nii.gz", data)])


def test_an_empty_volume_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz", np.stack([grid(1.0), np.zeros((3, 4, 5))], axis=-1))
    with pytest.raises(ValueError, match="volume 2: expected an image, found 0 everywhere"):
        load_series([path])


def test_noise_of_a_head_with_edges() -> None:
    """Edges make it too large, never too small."""
    blocks = np.kron(RNG.uniform(0.5, 1.0, (8, 8, 8)), np.ones((5, 5, 5)))
    head = np.zeros((48, 48, 48))
    head[4:44, 4:44, 4:44] = gaussian_filter(blocks, 0.6)
    noisy = np.abs(head + 0.01 * RNG.normal(size=head.shape))
    found = noise_of_series(noisy[..., None])
    assert found is not None
    assert 0.009 < found < 0.03


def test_a_small_head_tells_no_noise() -> None:
    head = np.zeros((20, 20, 20))
    head[6:14, 6:14, 6:14] = 1.0
    assert noise_of_series(head[..., None] + 0.01) is None


def test_what_is_left_out_may_hold_anything(tmp_path: Path) -> None:
    """The way out that the messages name: a volume that a table marks as not valid is not looked at."""
    path = write(tmp_path / "a.nii.gz", np.stack([grid(1.0), np.full((3, 4, 5), np.nan), grid(2.0)], axis=-1))
    assert load_series([path], volumes=[2, 0])[0][0, 0, 0].tolist() == [2.0, 1.0]
    with pytest.raises(ValueError, match="volume 2: expected magnitudes, found 60 values that are NaN"):
        load_series([path])


def test_grids_agree_within_a_fraction_of_a_voxel(tmp_path: Path) -> None:
    near, far = np.eye(4), np.eye(4)
    near[0, 3], far[0, 3] = 0.01, 0.2
    first = write(tmp_path / "a.nii.gz", grid(1.0))
    series, _ = load_series([first, write(tmp_path / "b.nii.gz", grid(2.0)[..., None, None], near)])
    assert series.shape == (3, 4, 5, 2)
    with pytest.raises(
        ValueError, match=r"c\.nii\.gz: .* grid of .*a\.nii\.gz, found another \(up to 0\.2 voxels away\)"
    ):
        load_series([first, write(tmp_path / "c.nii.gz", grid(2.0), far)])


@pytest.mark.parametrize("place", ["data", "checksum"])
def test_a_file_whose_data_fail_their_checksum_is_refused(tmp_path: Path, place: str) -> None:
    """Stored blocks, so that the damage is no error of the compression: only the checksum at the end of the file tells."""
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(np.random.default_rng(0).uniform(1.0, 2.0, (8, 8, 8)).astype(np.float32), np.eye(4))
    content = bytearray(gzip.compress(image.to_bytes(), compresslevel=0, mtime=0))
    path.write_bytes(content)
    load_series([path])
    content[len(content) // 2 if place == "data" else -6] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: cannot be read as NIfTI \(CRC check failed.*copy it again"):
        load_series([path])


def test_a_pair_of_one_image_is_refused_and_a_repeated_volume_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both images of an MTR pair from one file give an MTR of 0 everywhere."""
    monkeypatch.chdir(tmp_path)
    data = gaussian_filter(RNG.uniform(1.0, 2.0, (12, 12, 12)), 1.0)
    paths = [str(write(tmp_path / name, data)) for name in ("mt-on_MTR.nii.gz", "mt-off_MTR.nii.gz")]
    with pytest.raises(ValueError, match=r"mt-on_MTR.*volume 2 of the series is a copy of volume 1, to the last digit"):
        LoadSeries(paths=paths).run()
    said = LoadSeries(paths=paths, volumes=[0, 1], roles=["m0", "cest"]).run().outputs.decisions
    assert said[0].startswith("Volume 2 of the series is a copy of volume 1")
