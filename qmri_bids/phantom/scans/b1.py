"""The scans of the transmit field: turbo-FLASH with a preparation pulse, double angle, and actual flip-angle imaging.

The signal equations are those of the sequences; spoiling and slice profiles are ideal. TB1RFM is the prepared pair in another
scale: its own sequence is not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import SMALLEST_HEAD, Grid, Pose
from qmri_bids.phantom.heads.head import Head, Sample
from qmri_bids.phantom.heads.volume import Points
from qmri_bids.phantom.scans.acquisition import acquire, add_noise, noise_stdev, oversamplings
from qmri_bids.phantom.signals.steady_state import interleaved_echoes, spoiled_echo

PREPARATION_FLIP_ANGLE = math.radians(80.0)
"""Nominal flip angle of the preparation pulse [rad]."""
READOUT_FLIP_ANGLE = math.radians(8.0)
"""Nominal flip angle of the readout pulses [rad]."""
RECOVERY_TIME = 2.0
"""Time from readout to readout [s]."""
DOUBLE_ANGLE = math.radians(60.0)
"""Smaller flip angle of the double-angle scan [rad]."""
DOUBLE_ANGLE_TIME = 10.0
"""Its repetition time [s]."""
AFI_FLIP_ANGLE = math.radians(60.0)
"""Flip angle of actual flip-angle imaging [rad]."""
AFI_TIMES = (0.02, 0.1)
"""Its repetition times TR1 and TR2 [s]."""
SIGNAL_THRESHOLD = 8.0
"""The scanner gives a flip angle only where the anatomical image exceeds so many standard deviations of the
noise."""
SLICE_TILT = math.radians(-7.0)
"""Tilt of the slices about the left-right axis against the scanner's axes [rad]."""


@dataclass(frozen=True, kw_only=True)
class B1Scan:
    """A scan of the transmit field.

    Parameters
    ----------
    grid
        Its voxels: coarser than those of the bSSFP scan, and tilted against them.
    first, second
        Magnitude of both images in units of M0 = 1, shape (x, y, z); the first is the anatomical image.
    flip_angle
        Measured flip angle of the preparation pulse [rad], 0 where there is no signal, shape (x, y, z); None where the
        images are not computed at the scanner.
    """

    grid: Grid
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    flip_angle: NDArray[np.float32] | None = None

    @property
    def anatomical(self) -> NDArray[np.float32]:
        """Image by which the scan is registered."""
        return self.first


def coarse_grid(*, head: Points, voxel_size: float, motion: float) -> Grid:
    """Return the grid of the B1 scan around the head: 5 mm or more, coarser than the bSSFP scan.

    Parameters
    ----------
    head
        Positions on the skin [mm], shape (3, n).
    voxel_size
        Edge of a voxel of the bSSFP scan [mm].
    motion
        Room for a head that moves so far [mm and degrees].
    """
    across = float(np.ptp(head, axis=1).max())
    size = max(5.0 if across > SMALLEST_HEAD else across / 30.0, 1.25 * voxel_size)
    rotation = Pose(rotation=(SLICE_TILT, 0.0, 0.0)).matrix
    tilted = rotation[:3, :3].T @ head
    lower, upper = tilted.min(axis=1), tilted.max(axis=1)
    room = motion + np.deg2rad(motion) * np.abs(head).max() + size
    shape = 2 * np.ceil((upper - lower + 2.0 * room) / (2.0 * size)).astype(int)
    affine = rotation.copy()
    affine[:3, :3] *= size
    affine[:3, 3] = rotation[:3, :3] @ (0.5 * (lower + upper)) - affine[:3, :3] @ (0.5 * (shape - 1.0))
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def coarse_slices(grid: Grid) -> Grid:
    """Return slices of the B1 scan that cover those of another scan: voxels of 5 mm or more in the plane, none thinner.

    Parameters
    ----------
    grid
        Grid of the other scan.
    """
    covered = grid.voxel_sizes * np.array(grid.shape)
    edges = np.maximum(5.0, 1.25 * grid.voxel_sizes)
    edges[2] = max(5.0, grid.voxel_sizes[2])
    shape = np.maximum(1, np.ceil(covered / edges)).astype(int)
    affine = grid.affine.copy()
    affine[:3, :3] *= edges / grid.voxel_sizes
    centre = grid.affine[:3, 3] + grid.affine[:3, :3] @ (0.5 * (np.array(grid.shape) - 1.0))
    affine[:3, 3] = centre - affine[:3, :3] @ (0.5 * (shape - 1.0))
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine, planar=grid.planar)


Weights = Callable[[Sample], tuple[NDArray[np.floating], NDArray[np.floating]]]
"""Function from what lies at n positions to the real signals of both images, M0 = 1."""


def _prepared(sample: Sample) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the signal without and with preparation.

    The second is the first times the cosine of the preparation angle: the readout follows the pulse at once
    (Chung et al., MRM 64:439, 2010). The first is weighted by the recovery of T1.
    """
    weight = np.sin(sample.b1 * READOUT_FLIP_ANGLE) * (1.0 - np.exp(-RECOVERY_TIME / sample.t1))
    return weight, weight * np.cos(sample.b1 * PREPARATION_FLIP_ANGLE)


def _double_angle(sample: Sample) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    first, second = (
        spoiled_echo(times * sample.b1 * DOUBLE_ANGLE, t1=sample.t1, repetition_time=DOUBLE_ANGLE_TIME)
        for times in (1.0, 2.0)
    )
    return first, second


def _afi(sample: Sample) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    return interleaved_echoes(sample.b1 * AFI_FLIP_ANGLE, t1=sample.t1, repetition_times=AFI_TIMES)


@dataclass(frozen=True, kw_only=True)
class B1Sequence:
    """A way to measure the transmit field.

    Parameters
    ----------
    signals
        Function that returns the signals of both images from the spins, shape (n,) each, for M0 = 1.
    grey_matter
        Signal of grey matter in the first image at nominal B1, M0 = 1: the noise is scaled by it.
    computes
        Whether the scanner stores flip angles.
    """

    signals: Weights
    grey_matter: float
    computes: bool


_PREPARED = B1Sequence(
    signals=_prepared,
    grey_matter=math.sin(READOUT_FLIP_ANGLE) * (1.0 - math.exp(-RECOVERY_TIME / 1.4)),
    computes=True,
)
SEQUENCES: Mapping[str, B1Sequence] = {
    "TB1TFL": _PREPARED,
    "TB1RFM": _PREPARED,
    "TB1map": _PREPARED,
    "TB1DAM": B1Sequence(signals=_double_angle, grey_matter=math.sin(DOUBLE_ANGLE), computes=False),
    "TB1AFI": B1Sequence(
        signals=_afi,
        grey_matter=float(
            interleaved_echoes(np.array(AFI_FLIP_ANGLE), t1=np.array(1.4), repetition_times=AFI_TIMES)[0]
        ),
        computes=False,
    ),
}
"""Ways to measure the transmit field by the suffix of BIDS."""


def _signals(
    sample: Sample, points: Points, *, receiver: NDArray[np.float64], weights: Weights
) -> NDArray[np.complex64]:
    """Return the signal of both images, shape (n, 2)."""
    phase = receiver_phase(points, coefficients=receiver)
    magnetisation = sample.m0 * np.exp(1j * phase)
    return np.stack([magnetisation * weight for weight in weights(sample)], axis=1).astype(np.complex64)


def scan_b1(
    head: Head,
    *,
    grid: Grid,
    placement: NDArray[np.float64],
    receiver: NDArray[np.float64],
    snr: float,
    rng: np.random.Generator,
    kind: str = "TB1TFL",
    threads: int = 2,
) -> B1Scan:
    """Return a scan of the transmit field with noise.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the scan.
    placement
        Matrix from coordinates of the head to the scanner's RAS [mm] in this scan, shape (4, 4).
    receiver
        Coefficients of the receiver phase.
    snr
        Signal to noise ratio as of the bSSFP scan: the noise of a turbo-FLASH scan has the same standard deviation, that of the
        others the same ratio to the signal of grey matter in the first image (about 1.6 times this number).
    rng
        Source of the noise.
    kind
        Key of `SEQUENCES`.
    threads
        Slabs worked on at once.
    """
    sequence = SEQUENCES[kind]
    images = acquire(
        head,
        grid=grid,
        placement=placement,
        signal=partial(_signals, receiver=receiver, weights=sequence.signals),
        volumes=2,
        factor=oversamplings(grid, least=3),
        threads=threads,
    )
    stdev = noise_stdev(snr) * sequence.grey_matter / _PREPARED.grey_matter
    for index in range(2):
        add_noise(images[..., index], stdev=stdev, rng=rng)
    first, second = images[..., 0], images[..., 1]
    anatomical = np.abs(first)
    if not sequence.computes:
        return B1Scan(grid=grid, first=anatomical, second=np.abs(second))
    seen = anatomical > max(SIGNAL_THRESHOLD * stdev, 0.02 * float(anatomical.max()))
    ratio = np.divide((second * first.conj()).real, anatomical**2, out=np.full_like(anatomical, 2.0), where=seen)
    seen &= np.abs(ratio) <= 1.0
    flip_angle = np.where(seen, np.arccos(np.where(seen, ratio, 1.0)), 0.0).astype(np.float32)
    return B1Scan(grid=grid, first=anatomical, second=np.abs(second), flip_angle=flip_angle)
