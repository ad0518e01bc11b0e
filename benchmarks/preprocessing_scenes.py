"""Scenes for masks: heads of several sizes and poses as bSSFP, CEST M0 and T1w show them, with the brain that is really there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.head import Sample
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.acquisition import acquire, add_noise, bssfp_signal, noise_stdev, oversampling
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.scans.truth import Truth, true_maps

SEED = 0
SUBJECTS = 3
POSES = 10
CYCLES = 6
FIELD_OF_VIEW = (220.0, 256.0, 220.0)
"""Left-right, posterior-anterior, inferior-superior [mm]."""
CEST_VOXELS = ((2.0, 2.0, 5.0), (3.0, 3.0, 3.0), (4.0, 4.0, 4.0), (5.0, 5.0, 5.0), (2.0, 2.0, 2.0))
"""Of the poses in turn [mm]."""
SLAB = 60.0
"""Thickness of a partial slab [mm]."""
BIAS = 0.25
"""Receive sensitivity goes as the exponential of a polynomial with coefficients up to this."""
SNR = 25.0
WEIGHTED_NOISE = {"CEST M0": 0.028, "T1w": 0.0136}
"""Standard deviation of real and imaginary part where M0 of fluid is 1: white matter has 25 times that."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image of one head: `images` (X, Y, Z, volumes) as the node of the mask gets them, affine, and the truth."""

    images: NDArray[np.float32]
    affine: NDArray[np.float64]
    truth: Truth
    size: float


def placement(pose: int) -> tuple[NDArray[np.float64], float]:
    """Return where a head is, and its size against the subject's: ±20 mm, pitch ±20°, other angles ±10°, size ±10 %."""
    rng = np.random.default_rng([SEED, pose, 7])
    if pose < 2:  # the corners of the range, the rest drawn
        sign = 1.0 - 2.0 * pose
        shift, angles, size = np.full(3, 20.0 * sign), np.array([20.0, -10.0, 10.0]) * sign, 1.0 + 0.1 * sign
    else:
        shift, angles = rng.uniform(-20.0, 20.0, 3), rng.uniform(-1.0, 1.0, 3) * (20.0, 10.0, 10.0)
        size = rng.uniform(0.9, 1.1)
    rigid = Pose(translation=tuple(shift.tolist()), rotation=tuple(np.deg2rad(angles).tolist())).matrix
    return rigid @ np.diag([size, size, size, 1.0]), float(size)


def grid_of(voxel: tuple[float, float, float], *, sagittal: bool, slab: float | None = None) -> Grid:
    """Return a field of view around the isocentre; every other one is stored in sagittal slices."""
    extent = [*FIELD_OF_VIEW[:2], slab or FIELD_OF_VIEW[2]]
    shape = [math.ceil(length / step) for length, step in zip(extent, voxel, strict=True)]
    order = [1, 2, 0] if sagittal else [0, 1, 2]
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, direction in enumerate(order):
        affine[direction, axis] = voxel[direction]
    stored = np.array([shape[direction] for direction in order])
    affine[:3, 3] = -affine[:3, :3] @ (0.5 * (stored - 1.0))
    affine[2, 3] += 15.0 if slab else 0.0
    return Grid(shape=tuple(stored.tolist()), affine=affine)


def _sensitivity(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    scaled = points / 100.0
    linear, quadratic = rng.uniform(-BIAS, BIAS, (2, 3))
    return np.exp(linear @ scaled + quadratic @ scaled**2).astype(np.float32)


def _proton_density(sample: Sample, points: NDArray[np.float64], *, seed: int) -> NDArray[np.complex64]:
    return (sample.m0 * _sensitivity(points, np.random.default_rng(seed)))[:, None].astype(np.complex64)


def _t1_weighted(sample: Sample, points: NDArray[np.float64], *, seed: int) -> NDArray[np.complex64]:
    """MPRAGE: inversion 1.2 s before the centre of k-space, 2.3 s between inversions."""
    decay, whole = np.exp(-1.2 / sample.t1), np.exp(-2.3 / sample.t1)
    contrast = sample.m0 * (1.0 - 2.0 * decay / (1.0 + whole))
    return (contrast * _sensitivity(points, np.random.default_rng(seed)))[:, None].astype(np.complex64)


def scene(
    contrast: str, pose: int, *, voxel: tuple[float, float, float], stripped: bool = False, slab: float | None = None
) -> Scene:
    """Simulate one scene.

    Parameters
    ----------
    contrast
        `bSSFP`, `CEST M0` or `T1w`.
    pose
        Number of the pose; it draws subject, place, size and orientation of the file.
    voxel
        Edges along left-right, posterior-anterior, inferior-superior [mm].
    stripped
        Whether only the brain has a signal.
    slab
        Thickness of a partial slab above the centre [mm].
    """
    head = build_head(subject=1 + pose % SUBJECTS, seed=SEED)
    where, size = placement(pose)
    grid = grid_of(voxel, sagittal=pose % 2 == 1 and slab is None, slab=slab)
    rng = np.random.default_rng([SEED, pose, 8])
    factor = oversampling(float(grid.voxel_sizes.max()))
    if contrast == "bSSFP":
        protocol = simulated_protocol(phase_cycles=CYCLES)
        signal = partial(bssfp_signal, protocol=protocol, cycles=tuple(range(CYCLES)), receiver=np.zeros(7))
        volumes, noise = CYCLES, noise_stdev(SNR)
    else:
        form = {"CEST M0": _proton_density, "T1w": _t1_weighted}[contrast]
        signal = partial(form, seed=pose)
        volumes, noise = 1, WEIGHTED_NOISE[contrast]
    images = acquire(head, grid=grid, placement=where, signal=signal, volumes=volumes, factor=factor)
    for volume in range(volumes):
        add_noise(images[..., volume], stdev=noise, rng=rng)
    truth = true_maps(head, grid=grid, placement=where)
    if stripped:
        images[~truth.brain] = 0.0
    return Scene(images=np.abs(images), affine=grid.affine, truth=truth, size=size)
