"""The scan of the transmit field: turbo-FLASH images without and with a preparation pulse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.acquisition import acquire, add_noise, noise_stdev
from qmri_bids.phantom.anatomy import Head, Sample
from qmri_bids.phantom.fields import receiver_phase
from qmri_bids.phantom.geometry import Grid, Pose
from qmri_bids.phantom.volume import Points

PREPARATION_FLIP_ANGLE = math.radians(80.0)
"""Nominal flip angle of the preparation pulse [rad]."""
READOUT_FLIP_ANGLE = math.radians(8.0)
"""Nominal flip angle of the readout pulses [rad]."""
RECOVERY_TIME = 2.0
"""Time from readout to readout [s]."""
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
    anatomical
        Magnitude in units of M0 = 1, shape (x, y, z).
    flip_angle
        Measured flip angle of the preparation pulse [rad], 0 where there is no signal, shape (x, y, z).
    """

    grid: Grid
    anatomical: NDArray[np.float32]
    flip_angle: NDArray[np.float32]


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
    size = max(5.0, 1.25 * voxel_size)
    rotation = Pose(rotation=(SLICE_TILT, 0.0, 0.0)).matrix
    tilted = rotation[:3, :3].T @ head
    lower, upper = tilted.min(axis=1), tilted.max(axis=1)
    room = motion + np.deg2rad(motion) * np.abs(head).max() + size
    shape = 2 * np.ceil((upper - lower + 2.0 * room) / (2.0 * size)).astype(int)
    affine = rotation.copy()
    affine[:3, :3] *= size
    affine[:3, 3] = rotation[:3, :3] @ (0.5 * (lower + upper)) - affine[:3, :3] @ (0.5 * (shape - 1.0))
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def _signals(sample: Sample, points: Points, *, receiver: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Return the signal without and with preparation, shape (n, 2).

    The second is the first times the cosine of the preparation angle: the readout follows the pulse at once
    (Chung et al., MRM 64:439, 2010). The first is weighted by the recovery of T1.
    """
    weight = sample.m0 * np.sin(sample.b1 * READOUT_FLIP_ANGLE) * (1.0 - np.exp(-RECOVERY_TIME / sample.t1))
    phase = receiver_phase(points, coefficients=receiver)
    first = weight * np.exp(1j * phase)
    return np.stack([first, first * np.cos(sample.b1 * PREPARATION_FLIP_ANGLE)], axis=1).astype(np.complex64)


def scan_b1(
    head: Head,
    *,
    grid: Grid,
    placement: NDArray[np.float64],
    receiver: NDArray[np.float64],
    snr: float,
    rng: np.random.Generator,
    threads: int = 2,
) -> B1Scan:
    """Return a turbo-FLASH scan of the transmit field with noise.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the scan.
    placement
        From coordinates of the head to the scanner's RAS [mm] in this scan, shape (4, 4).
    receiver
        Coefficients of the receiver phase.
    snr
        Signal to noise ratio as of the bSSFP scan: the noise has the same standard deviation.
    rng
        Source of the noise.
    threads
        Slabs worked on at once.
    """
    images = acquire(
        head,
        grid=grid,
        placement=placement,
        signal=partial(_signals, receiver=receiver),
        volumes=2,
        factor=3,
        threads=threads,
    )
    stdev = noise_stdev(snr)
    for index in range(2):
        add_noise(images[..., index], stdev=stdev, rng=rng)
    first, second = images[..., 0], images[..., 1]
    anatomical = np.abs(first)
    seen = anatomical > max(SIGNAL_THRESHOLD * stdev, 0.02 * float(anatomical.max()))
    ratio = np.divide((second * first.conj()).real, anatomical**2, out=np.full_like(anatomical, 2.0), where=seen)
    seen &= np.abs(ratio) <= 1.0
    flip_angle = np.where(seen, np.arccos(np.where(seen, ratio, 1.0)), 0.0).astype(np.float32)
    return B1Scan(grid=grid, anatomical=anatomical, flip_angle=flip_angle)
