"""A T1-weighted anatomical scan of the session: magnetisation-prepared gradient echoes, as MPRAGE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.files.b1 import SCANNER
from qmri_bids.phantom.files.truth import write_poses
from qmri_bids.phantom.files.writing import integers, write_image
from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import SMALLEST_HEAD, Grid, Pose, draw_poses
from qmri_bids.phantom.heads.head import Head, Sample, posed
from qmri_bids.phantom.heads.volume import Points
from qmri_bids.phantom.scans.acquisition import acquire, add_noise
from qmri_bids.phantom.scans.session import Session
from qmri_bids.units import radians_to_degrees

INVERSION_TIME = 0.9
"""Time from the inversion to the centre of k-space [s]."""
REPETITION_TIME = 2.3
"""Time from one inversion to the next [s]."""
FLIP_ANGLE = math.radians(9.0)
"""Nominal flip angle of the excitations [rad]."""
SNR = 40.0
"""Signal of white matter over the standard deviation of the noise."""
WHITE_MATTER = 0.033
"""Signal of white matter in units of M0 = 1."""
CODE = 40
"""Number of its stream of randomness, apart from those of all other scans."""


@dataclass(frozen=True, kw_only=True)
class T1wScan:
    """A T1-weighted scan.

    Parameters
    ----------
    grid
        Its voxels.
    image
        Magnitude in units of M0 = 1, shape (x, y, z).
    pose
        Pose of the head, against the reference cycle of the bSSFP scan.
    """

    grid: Grid
    image: NDArray[np.float32]
    pose: Pose


def scan_t1w(
    head: Head, *, session: Session, motion: float, entropy: Sequence[int], threads: int, size: float | None = None
) -> T1wScan:
    """Return a T1-weighted scan of the whole head with noise.

    Parameters
    ----------
    head, session
        What is scanned, and where it lay in the bSSFP scan.
    motion
        The head lies within ±`motion` millimetres and degrees of where it was there.
    entropy
        Seed, subject and session.
    threads
        Processor threads to use; the image does not depend on it.
    size
        Edge of a voxel [mm]; by default 0.6 of that of the bSSFP scan in its plane, at least 1 for a head.
    """
    rng = np.random.default_rng([*entropy, CODE])
    (pose,) = draw_poses(number=1, motion=motion, reference=None, rng=rng)
    placement = pose.matrix @ session.placement
    skin = placement[:3, :3] @ head.surface_points() + placement[:3, 3:]
    across = float(np.ptp(skin, axis=1).max())
    finest = 1.0 if across > SMALLEST_HEAD else across / 200.0
    edge = max(finest, 0.6 * float(session.grid.voxel_sizes[:2].max())) if size is None else size
    grid = _grid_around(skin, size=edge)
    images = acquire(
        posed(head, placement=session.placement, motion=pose.matrix),
        grid=grid,
        placement=placement,
        signal=partial(_signal, receiver=session.receiver),
        volumes=1,
        factor=2,
        threads=threads,
    )
    add_noise(images[..., 0], stdev=WHITE_MATTER / SNR, rng=rng)
    return T1wScan(grid=grid, image=np.abs(images[..., 0]), pose=pose)


def _grid_around(points: Points, *, size: float) -> Grid:
    """Return cubes of an edge [mm] along the axes of the scanner, with three to spare on every side."""
    lower, upper = points.min(axis=1), points.max(axis=1)
    shape = 2 * np.ceil((upper - lower + 6.0 * size) / (2.0 * size)).astype(int)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = 0.5 * (lower + upper) - size * 0.5 * (shape - 1.0)
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def _signal(sample: Sample, points: Points, *, receiver: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Return the signal at the centre of k-space, shape (n, 1).

    M0 (1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1))) sin(flip angle): the steady state of inversions, as if the small pulses of the
    readout left the recovery alone.
    """
    recovery = 1.0 - 2.0 * np.exp(-INVERSION_TIME / sample.t1) / (1.0 + np.exp(-REPETITION_TIME / sample.t1))
    weight = sample.m0 * np.sin(sample.b1 * FLIP_ANGLE) * recovery
    return (weight * np.exp(1j * receiver_phase(points, coefficients=receiver))).astype(np.complex64)[:, None]


def write_t1w(folder: Path, truth_folder: Path, prefix: str, *, scan: T1wScan) -> str:
    """Write the raw image and, in the truth, where the head lay; return the name of the image in the folder.

    Parameters
    ----------
    folder, truth_folder
        Folder of the subject or session in the raw dataset and in the truth.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    scan
        The scan.
    """
    stored, slope = integers(scan.image, largest=float(scan.image.max()))
    sidecar = {
        **SCANNER,
        "PulseSequenceType": "MPRAGE",
        "PulseSequenceDetails": "inversion recovery, gradient echoes at their start; simulated",
        "ScanningSequence": ["GR", "IR"],
        "FlipAngle": round(radians_to_degrees(FLIP_ANGLE), 6),
        "InversionTime": INVERSION_TIME,
        "RepetitionTimePreparation": REPETITION_TIME,
    }
    write_image(folder / "anat" / f"{prefix}T1w", stored, affine=scan.grid.affine, sidecar=sidecar, slope=slope)
    write_poses(truth_folder / "anat" / f"{prefix}acq-T1w_desc-poses_timeseries", (scan.pose,))
    return f"anat/{prefix}T1w.nii.gz"
