"""Brain masks on ten poses in three contrasts, their time, and tissues of the digital brain end to end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from preprocessing_scenes import CEST_VOXELS, POSES, SLAB, Scene, scene
from rows import AtLeast, Row

from qmri_bids.preprocessing.brain.mask import find_mask
from qmri_bids.preprocessing.masks import shrink
from qmri_bids.preprocessing.registration.ants_bridge import (
    Schedule,
    deterministic_pool,
    register,
    to_ants,
    voxel_sizes,
)
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.tissues.classes import tissue_classes

BIN = Path(sys.executable).parent
FULL_SIZE = (176, 176, 128)
SLABS = 3
TISSUES = {"GM": 1, "WM": 2}


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2.0 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def template_mask(magnitude: NDArray[np.floating], affine: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Baseline: a first guess by intensity, an affine registration to the MNI template, its mask; runs in a process of its own."""
    import ants
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    image = np.asarray(magnitude, dtype=np.float32)
    factor = tuple(int(each) for each in np.maximum(1, np.round(2.0 / voxel_sizes(affine))))
    small, small_affine = shrink(image, affine=affine, factor=factor)
    guess = ants.get_mask(to_ants(small, affine=small_affine)).numpy() > 0
    template = load_mni152_template(resolution=2)
    matrix = register(
        fixed=template.get_fdata().astype(np.float32),
        fixed_affine=template.affine,
        moving=small * guess,
        moving_affine=small_affine,
        schedule=Schedule(iterations=(1000, 500), shrink_factors=(4, 2), smoothing=(2, 1)),
        transform="Affine",
        initial="centre",
    )
    mask = load_mni152_brain_mask(resolution=2)
    warped = resample(
        mask.get_fdata().astype(np.float32),
        affine=mask.affine,
        target_shape=image.shape,
        target_affine=affine,
        transform=np.linalg.inv(matrix),
        order=1,
    )
    return warped > 0.5


def _measured(one: Scene) -> tuple[float, float, float, float, float]:
    """Return Dice and volume of the mask and of the baseline against the truth, and the CPU time of the mask [s]."""
    magnitude = one.images.mean(axis=3)
    truth = one.truth.brain
    started = time.process_time()
    mask = find_mask(magnitude, affine=one.affine).mask
    seconds = time.process_time() - started
    with deterministic_pool(processes=1) as pool:
        other = pool.submit(template_mask, magnitude, one.affine).result()
    return dice(mask, truth), mask.sum() / truth.sum(), dice(other, truth), other.sum() / truth.sum(), seconds


def _rows(name: str, scenes: list[Scene], *, bar: AtLeast | None) -> list[Row]:
    found = np.array([_measured(each) for each in scenes])
    worst, median = found.min(axis=0), np.median(found, axis=0)
    bias = 100.0 * (found[:, 1] - 1.0)
    other = 100.0 * (found[:, 3] - 1.0)
    was = "template after affine registration"
    return [
        Row(
            figure=f"brain mask, {name}: worst Dice of {len(scenes)} poses",
            unit="",
            bar=bar,
            value=worst[0],
            baseline=f"{was} {worst[2]:.3f}",
        ),
        Row(
            figure=f"brain mask, {name}: median Dice",
            unit="",
            bar=None,
            value=median[0],
            baseline=f"{was} {median[2]:.3f}",
        ),
        Row(
            figure=f"brain mask, {name}: volume, largest error",
            unit="%",
            bar=None,
            value=float(np.abs(bias).max()),
            baseline=f"mean {bias.mean():+.1f} %; {was} {np.abs(other).max():.1f}, mean {other.mean():+.1f} %",
        ),
    ]


def masks() -> list[Row]:
    """Ten poses (±20 mm, pitch ±20°, other angles ±10°, size ±10 %) of three subjects, every other one in sagittal slices."""
    bar = AtLeast(0.95)
    scenes = {
        "bSSFP, 3 mm": [scene("bSSFP", pose, voxel=(3.0, 3.0, 3.0)) for pose in range(POSES)],
        "CEST M0, 2 to 5 mm": [scene("CEST M0", pose, voxel=CEST_VOXELS[pose % 5]) for pose in range(POSES)],
        "T1w, 2 mm": [scene("T1w", pose, voxel=(2.0, 2.0, 2.0)) for pose in range(POSES)],
        "CEST M0, slab of 60 mm": [scene("CEST M0", pose, voxel=(2.0, 2.0, 5.0), slab=SLAB) for pose in range(SLABS)],
        "T1w, skull-stripped": [scene("T1w", pose, voxel=(3.0, 3.0, 3.0), stripped=True) for pose in range(SLABS)],
    }
    return [row for name, each in scenes.items() for row in _rows(name, each, bar=bar)]


def mask_time() -> list[Row]:
    """A head at 176×176×128, one thread."""
    voxel = 220.0 / FULL_SIZE[0]
    one = scene("CEST M0", 2, voxel=(voxel, 256.0 / FULL_SIZE[1], 220.0 / FULL_SIZE[2]))
    dice_, _, other, _, seconds = _measured(one)
    return [
        Row(
            figure="brain mask at 176×176×128: CPU time, one thread",
            unit="s",
            bar=30.0,
            value=seconds,
            baseline=f"Dice {dice_:.3f}, template after affine registration {other:.3f}",
        )
    ]


def tissues() -> list[Row]:
    """The digital brain from raw files to its tissues, against k-means of the same T1 map."""

    def load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        image = nib.load(path)
        return np.asarray(image.dataobj, dtype=np.float32), image.affine

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run([BIN / "qmri-tools", "simulate", root / "bids"], check=True, capture_output=True)
        subprocess.run(
            [BIN / "qmri_bids", root / "bids", root / "out", "participant", "--work-dir", root / "work"],
            check=True,
            capture_output=True,
        )
        stem = "sub-01/anat/sub-01_acq-pcbssfp"
        return tissue_rows(
            truth=load(root / "bids" / "derivatives" / "truth" / f"{stem}_dseg.nii.gz")[0],
            found=load(root / "out" / f"{stem}_dseg.nii.gz")[0],
            t1=load(root / "out" / f"{stem}_T1map.nii.gz"),
            mask=load(root / "out" / f"{stem}_desc-brain_mask.nii.gz")[0] > 0,
        )


def tissue_rows(
    *,
    truth: NDArray[np.float32],
    found: NDArray[np.float32],
    t1: tuple[NDArray[np.float32], NDArray[np.float64]],
    mask: NDArray[np.bool_],
) -> list[Row]:
    values, affine = t1
    baseline, _ = tissue_classes(values, affine=affine, mask=mask, ascending=(2, 1, 3))
    return [
        Row(
            figure=f"tissues of the digital brain end to end, 2 mm: {name} Dice",
            unit="",
            bar=AtLeast(0.85),
            value=dice(found == label, truth == label),
            baseline=f"k-means of T1 {dice(baseline == label, truth == label):.3f}",
        )
        for name, label in TISSUES.items()
    ]
