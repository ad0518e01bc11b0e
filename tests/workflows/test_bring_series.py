"""A series brought to another scan: one transform a volume, one interpolation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from qmri_bids.pipeline.motion.series_nodes import BringSeries
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.registration.scans import RegistrationFailed

SHAPE = (40, 44, 36)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -2.0 * (np.array(SHAPE) - 1)


def head() -> NDArray[np.float32]:
    """A smooth head with structure inside."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in SHAPE), indexing="ij"))
    inside = (grid**2 / np.array([0.6, 0.7, 0.6])[:, None, None, None] ** 2).sum(axis=0) < 1.0
    texture = gaussian_filter(rng.standard_normal(SHAPE), 2.0)
    return gaussian_filter(np.where(inside, 1.0 + 3.0 * texture, 0.0), 0.8).astype(np.float32).clip(0.0)


def rigid(*shift: float, angle: float = 0.0) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", angle, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def seen(image: NDArray[np.float32], transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what a scan shows of a head that a transform (from the first scan to this one) has moved."""
    return resample(image, affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=np.linalg.inv(transform))


@pytest.fixture
def moved(tmp_path: Path) -> dict[str, object]:
    image = head()
    scan = rigid(3.0, -2.0, 1.0, angle=2.0)
    motion = np.stack([rigid(0, 0, 0), rigid(1.5, 0.5, 0.0, angle=1.0), rigid(-1.0, 1.0, 0.5)])
    series = np.stack([0.5 * (1 + n) * seen(image, matrix @ scan) for n, matrix in enumerate(motion)], axis=-1)
    aligned = np.stack([0.5 * (1 + n) * seen(image, scan) for n in range(3)], axis=-1)
    np.savez(tmp_path / "own.npz", transforms=motion, parameters=np.ones((3, 6)), coverage=np.ones(SHAPE, dtype=bool))
    return {
        "series": save_volume(tmp_path / "scan.nii", series, AFFINE),
        "aligned": save_volume(tmp_path / "aligned.nii", aligned, AFFINE),
        "motion": str(tmp_path / "own.npz"),
        "reference": save_volume(tmp_path / "reference.nii", image, AFFINE),
        "volumes": [0],
        "label": "sub-01_acq-MRFamide_cest",
    }


def test_motion_and_registration_are_joined(moved: dict[str, object], tmp_path: Path) -> None:
    done = BringSeries(**moved).run(cwd=str(tmp_path)).outputs
    image, inside = head(), head() > 0.5
    brought = load_volume(done.series)[0]
    for number in range(3):
        error = (brought[..., number] / (0.5 * (1 + number)) - image)[inside]
        assert np.sqrt(np.mean(error**2)) < 0.03
    with (
        np.load(done.motion) as motion,
        np.load(done.registration) as registration,
        np.load(str(moved["motion"])) as own,
    ):
        np.testing.assert_allclose(motion["transforms"], own["transforms"] @ registration["transform"])
        np.testing.assert_allclose(registration["transform"][:3, 3], [3.0, -2.0, 1.0], atol=0.5)
        assert (motion["parameters"] == 1.0).all(), "the motion of the series itself is kept"
        assert motion["coverage"].mean() < 1.0
        assert motion["coverage"][inside].all()
    assert done.decisions[0].startswith("The series sub-01_acq-MRFamide_cest: Registered rigidly, by")


def test_without_motion_correction_the_series_moves_as_a_whole(moved: dict[str, object], tmp_path: Path) -> None:
    moved |= {"series": moved["aligned"]}
    del moved["motion"]
    with np.load(BringSeries(**moved).run(cwd=str(tmp_path)).outputs.motion) as motion:
        assert set(motion.files) == {"transforms", "coverage"}
        assert len(np.unique(motion["transforms"].round(9), axis=0)) == 1


def test_a_stage_of_another_place_ends_the_run(moved: dict[str, object], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)
    moved |= {"aligned": save_volume(tmp_path / "noise.nii", noise, AFFINE)}
    with pytest.raises(RegistrationFailed):
        BringSeries(**moved).run(cwd=str(tmp_path))
