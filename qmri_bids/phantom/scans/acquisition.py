"""The scanner: k-space of a moving head, truncated to the acquisition matrix, with noise.

The head is a set of points on a grid finer than the voxels, each of one tissue or of a mixture. Their signals are summed into
k-space up to the resolution of the acquisition, and the image is its inverse Fourier transform: partial
volume and Gibbs ringing are those of a scan. Tissue, off-resonance and transmit field move with the head; the
receiver phase rests with the scanner. Every phase cycle is a rigid head at rest in exact steady state:
nothing moves within a cycle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.head import Head, Sample, posed
from qmri_bids.phantom.heads.kernels import deposit
from qmri_bids.phantom.heads.volume import Points
from qmri_bids.phantom.scans.physics import Physics, full_signal
from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.protocol import BssfpProtocol

REFERENCE_SIGNAL = 0.074
"""Signal against which the ratio to noise is stated, in units of M0 = 1 (Birk et al., Sci Rep 15:4825,
2025)."""
POINTS_PER_SLAB = 400_000
"""Points of the fine grid that are worked on at once: about 60 MB."""

SpinSignal = Callable[[Sample, Points], NDArray[np.complex64]]
"""Function from what lies at n positions [scanner's RAS mm] to their signals: complex, shape (n, number of volumes)."""


def noise_stdev(snr: float) -> float:
    """Return the standard deviation of real and imaginary part, 0.074/(√2·SNR) where M0 = 1."""
    return REFERENCE_SIGNAL / (math.sqrt(2.0) * snr)


def oversampling(voxel_size: float) -> int:
    """Return into how many parts the edge of a voxel [mm] is divided: two at least, of at most 2 mm."""
    return max(2, math.ceil(voxel_size / 2.0))


def oversamplings(grid: Grid, *, least: int = 2) -> tuple[int, int, int]:
    """Return into how many parts a voxel is divided along every axis: at least `least`, of at most 2 mm."""
    x, y, z = (max(least, oversampling(float(size))) for size in grid.voxel_sizes)
    return x, y, z


def truncate(points: NDArray[np.complexfloating], *, number: int, axis: int) -> NDArray[np.complexfloating]:
    """Return the central `number` spatial frequencies -n/2 … n/2 - 1 of points along one axis.

    The points divide every voxel into equal parts; the phase of the spectrum counts from the centre of the
    first voxel, so that the inverse transform of length `number` gives the image at voxel centres. A constant
    keeps its value.

    Parameters
    ----------
    points
        Any shape, a whole multiple of `number` along `axis`.
    number
        Number of voxels.
    axis
        Axis along which to transform.
    """
    from scipy.fft import fft

    factor = points.shape[axis] // number
    frequencies = np.fft.fftfreq(number, d=1.0 / number)
    ramp = np.exp(-2j * np.pi * frequencies * (0.5 / factor - 0.5) / number) / factor
    shape = [1] * points.ndim
    shape[axis] = number
    spectrum: NDArray[np.complexfloating] = np.take(fft(points, axis=axis), frequencies.astype(int), axis=axis)
    spectrum *= ramp.reshape(shape).astype(spectrum.dtype)
    return spectrum


def slabs(grid: Grid) -> Iterator[tuple[int, int]]:
    """Yield ranges of the first index so that a slab holds about `POINTS_PER_SLAB` points."""
    thickness = max(1, POINTS_PER_SLAB // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], thickness):
        yield start, min(start + thickness, grid.shape[0])


def acquire(
    head: Head,
    *,
    grid: Grid,
    placement: NDArray[np.float64],
    signal: SpinSignal,
    volumes: int,
    factor: int | tuple[int, int, int],
    threads: int = 2,
) -> NDArray[np.complex64]:
    """Return the noise-free images of a head at rest.

    Slices of their own (`Grid.planar`) are encoded in their plane alone; along their normal the signal is the mean over the
    slice.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the acquisition.
    placement
        Matrix from coordinates of the head to the scanner's RAS [mm], shape (4, 4).
    signal
        Signal of the spins in every volume.
    volumes
        Number of volumes that `signal` returns.
    factor
        Points per voxel along every axis.
    threads
        Slabs worked on at once; the result does not depend on it.

    Returns
    -------
    ndarray
        The images, complex, shape (x, y, z, volumes).
    """
    from scipy.fft import ifftn

    fine = grid.finer(factor)
    inverse = np.linalg.inv(placement)
    hybrid = np.zeros((volumes, fine.shape[0], *grid.shape[1:]), dtype=np.complex64)

    def work(span: tuple[int, int]) -> None:
        """Fill one slab: positions along the first axis, spatial frequencies along the others."""
        points = fine.slab_points(*span)
        where, sample = head.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
        if not len(where):
            return
        values = signal(sample, points[:, where])
        slab = np.empty((span[1] - span[0], *fine.shape[1:]), dtype=np.complex64)
        for volume in range(volumes):
            deposit(values[:, volume], where, slab.reshape(-1))
            if grid.planar:
                rows = slab.reshape(*slab.shape[:2], grid.shape[2], -1).mean(axis=3)
            else:
                rows = truncate(slab, number=grid.shape[2], axis=2)
            hybrid[volume, slice(*span)] = truncate(rows, number=grid.shape[1], axis=1)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        for _ in pool.map(work, slabs(fine)):
            pass
    image = np.empty((*grid.shape, volumes), dtype=np.complex64)
    for volume in range(volumes):
        encoded = truncate(hybrid[volume], number=grid.shape[0], axis=0)
        image[..., volume] = ifftn(encoded, axes=(0, 1) if grid.planar else (0, 1, 2))
    return image


def bssfp_signal(
    sample: Sample,
    points: Points,
    *,
    protocol: BssfpProtocol,
    cycles: tuple[int, ...],
    receiver: NDArray[np.float64],
    physics: Physics | None = None,
) -> NDArray[np.complex64]:
    """Return the signal of some phase cycles in exact steady state, see `steady_state.balanced_signal` and `physics.full_signal`.

    The result has shape (n, len(cycles)); cycles in which the head lies elsewhere are not computed.

    Parameters
    ----------
    sample
        What lies at n positions.
    points
        The positions [scanner's RAS mm], shape (3, n).
    protocol
        The acquisition.
    cycles
        Indices of the cycles to compute.
    receiver
        Coefficients of the receiver phase.
    physics
        What there is beyond the closed form; None for nothing.
    """
    phase = receiver_phase(points, coefficients=receiver).astype(np.float32)
    m0 = (sample.m0 * (np.cos(phase) + np.complex64(1j) * np.sin(phase))).astype(np.complex64)
    physics = Physics() if physics is None else physics
    places = np.array(cycles)
    drift = np.zeros(len(cycles)) if physics.drift is None else np.array(physics.drift)[places]

    def closed(chosen: tuple[int, ...], added: float) -> NDArray[np.complex64]:
        """Return the closed form of cycles that add the same off-resonance [Hz]."""
        signal: NDArray[np.complex64] = balanced_signal(
            sample.t1,
            sample.t2,
            sample.b1,
            sample.off_resonance + sample.chemical_shift + np.float32(added),
            m0,
            protocol.repetition_time,
            protocol.echo_time,
            protocol.flip_angle,
            np.array([protocol.rf_phase_increment[cycle] for cycle in chosen], dtype=np.float64),
        )
        return signal

    if physics.pulse is not None:
        found = full_signal(
            sample,
            m0,
            pulse=physics.pulse,
            semisolid=physics.semisolid,
            protocol=protocol,
            cycles=cycles,
            drift=drift,
        )
    elif physics.drift is None:
        found = closed(cycles, 0.0)
    else:
        found = np.concatenate([closed((cycle,), added) for cycle, added in zip(cycles, drift, strict=True)], axis=1)
    return found if physics.gain is None else found * np.array(physics.gain, dtype=np.float32)[places]


def scan_bssfp(
    head: Head,
    *,
    grid: Grid,
    placement: NDArray[np.float64],
    poses: tuple[Pose, ...],
    protocol: BssfpProtocol,
    receiver: NDArray[np.float64],
    snr: float,
    rng: np.random.Generator,
    physics: Physics | None = None,
    threads: int = 2,
) -> NDArray[np.complex64]:
    """Return the complex images of all phase cycles with noise, shape (x, y, z, N), in units of M0 = 1.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the acquisition.
    placement
        Matrix from coordinates of the head to the scanner's RAS [mm] in the reference cycle, shape (4, 4).
    poses
        Poses of the head in every cycle, against the reference cycle.
    protocol
        The acquisition.
    receiver
        Coefficients of the receiver phase, see `fields.receiver_phase`.
    snr
        Signal to noise ratio, see `noise_stdev`.
    rng
        Source of the noise.
    physics
        What there is beyond the closed form; None for nothing.
    threads
        Slabs worked on at once.
    """
    images = np.empty((*grid.shape, protocol.number_of_cycles), dtype=np.complex64)
    groups: dict[Pose, list[int]] = {}
    for cycle, pose in enumerate(poses):
        groups.setdefault(pose, []).append(cycle)
    for pose, cycles in groups.items():
        images[..., cycles] = acquire(
            posed(head, placement=placement, motion=pose.matrix),
            grid=grid,
            placement=pose.matrix @ placement,
            signal=partial(bssfp_signal, protocol=protocol, cycles=tuple(cycles), receiver=receiver, physics=physics),
            volumes=len(cycles),
            factor=oversamplings(grid),
            threads=threads,
        )
    for cycle in range(protocol.number_of_cycles):
        add_noise(images[..., cycle], stdev=noise_stdev(snr), rng=rng)
    return images


def add_noise(image: NDArray[np.complex64], *, stdev: float, rng: np.random.Generator) -> None:
    """Add Gaussian noise of this standard deviation to real and imaginary part, in place."""
    for part in (image.real, image.imag):
        part += np.float32(stdev) * rng.standard_normal(image.shape, dtype=np.float32)
