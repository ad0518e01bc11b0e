"""Rigid motion between a few scans of one grid that differ in contrast for good: with and without MT pulse, of two flip angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.motion import framewise_displacement, motion_parameters
from qmri_bids.preprocessing.resampling import grid_coverage, resample
from qmri_bids.preprocessing.saturated_motion import SaturatedMotion
from qmri_bids.preprocessing.scan_registration import register_scans


def align_scans(volumes: NDArray[np.floating], *, affine: NDArray[np.floating]) -> SaturatedMotion:
    """Align every scan to the first by mutual information.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Raises
    ------
    RegistrationFailed
        If two scans cannot be aligned.
    """
    series = np.asarray(volumes, dtype=np.float32)
    shape, number = series.shape[:3], series.shape[3]
    transforms = np.tile(np.eye(4), (number, 1, 1))
    sentences = []
    for index in range(1, number):
        found = register_scans(series[..., 0], fixed_affine=affine, moving=series[..., index], moving_affine=affine)
        transforms[index] = found.transform
        sentences += [f"Scan {index + 1} to scan 1: {sentence}" for sentence in found.decisions]
    aligned = [
        resample(series[..., index], affine=affine, target_shape=shape, target_affine=affine, transform=transform)
        for index, transform in enumerate(transforms)
    ]
    centre = (np.asarray(affine) @ np.append((np.asarray(shape) - 1) / 2.0, 1.0))[:3]
    parameters = motion_parameters(transforms, centre=centre)
    coverage = np.ones(shape, dtype=bool)
    for transform in transforms:
        coverage &= grid_coverage(shape=shape, affine=affine, transform=transform)
    return SaturatedMotion(
        volumes=np.stack(aligned, axis=-1),
        transforms=transforms,
        parameters=parameters,
        centre=centre,
        framewise_displacement=framewise_displacement(parameters),
        coverage=coverage,
        reference=0,
        trusted=np.ones(number, dtype=bool),
        decisions=tuple(sentences),
    )
