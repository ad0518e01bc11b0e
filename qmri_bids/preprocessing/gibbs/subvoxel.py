"""Gibbs ringing removed from complex volumes by local subvoxel shifts (Kellner et al. 2016).

Beside an edge the ringing of a truncated k-space crosses zero once a voxel. Sampled there it is not seen: every voxel is read
from the grid, shifted along its line by at most half a voxel, on which its surroundings vary least, and interpolated back. Real
and imaginary parts share the shift, since the variation is that of the complex signal. Where several axes were acquired each is
cleaned alone, and the results are mixed in k-space so that along each axis only what lies at its edge is taken from its own.

dipy's `gibbs_removal` was the model and lost against this: it takes magnitudes alone and slices alone, and interpolates between
two shifts of up to 0.9 voxels of their own, by which structures as wide as a voxel vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def clean_lines(
    lines: NDArray[np.float32], shifts: NDArray[np.float32], first: int, last: int, cleaned: NDArray[np.float32]
) -> None:
    """Read every voxel from the shifted grid on which its surroundings vary least, interpolated back.

    Parameters
    ----------
    lines
        L lines of n voxels, real parts beside imaginary ones, shape (n, 2L).
    shifts
        Matrices that shift a line by s/S of a voxel, s = 0 … S - 1, shape (S, n, n).
    first, last
        Neighbours between which the variation is summed.
    cleaned
        Cleaned lines, to be filled, shape (n, 2L).
    """
    number, count, steps = lines.shape[0], lines.shape[1] // 2, shifts.shape[0]
    rim = last + 2
    one = np.float32(1.0)
    shifted = np.empty_like(lines)
    # Step from each voxel of the shifted grid to the next, and beyond both ends of the line, which is periodic.
    change = np.empty((number + 2 * rim, count), np.float32)
    least = np.full((number, count), np.float32(3e38), np.float32)
    for step in range(steps):
        if step == 0:
            shifted[:] = lines
        else:
            np.dot(shifts[step], lines, shifted)
        for here in range(number):
            following = here + 1 if here + 1 < number else 0
            for line in range(count):
                real = shifted[following, line] - shifted[here, line]
                imaginary = shifted[following, count + line] - shifted[here, count + line]
                change[here + rim, line] = np.sqrt(real * real + imaginary * imaginary)
        for outside in range(rim):
            for line in range(count):
                change[outside, line] = change[number + outside, line]
                change[number + rim + outside, line] = change[rim + outside, line]
        shift = np.float32(step) / np.float32(steps)
        # A point of the grid lies `shift` after each voxel and one 1 - `shift` before it: the nearer one stands for the voxel.
        nearest = rim if 2 * step <= steps else rim - 1
        for here in range(number):
            before = here - 1 if here > 0 else number - 1
            centre = here + nearest
            for line in range(count):
                right = change[centre + first, line]
                left = change[centre - 1 - first, line]
                for distance in range(first + 1, last + 1):
                    right += change[centre + distance, line]
                    left += change[centre - 1 - distance, line]
                variation = min(right, left)
                better = variation < least[here, line]
                least[here, line] = variation if better else least[here, line]
                value = (one - shift) * shifted[here, line] + shift * shifted[before, line]
                cleaned[here, line] = value if better else cleaned[here, line]
                value = (one - shift) * shifted[here, count + line] + shift * shifted[before, count + line]
                cleaned[here, count + line] = value if better else cleaned[here, count + line]


STEPS = 10
"""Shifts by which the grid is tried, over one voxel; twice as many change no error by more than 2 %."""
WINDOW = (1, 3)
"""The variation is that between these neighbours on one side, the quieter one: without the voxel itself, so that structures as
wide as a voxel stay."""
_LINES = 64
"""Lines that are worked on at once: they and their shifted copies stay in the cache of a core."""


@dataclass(frozen=True, kw_only=True)
class GibbsResult:
    """Volumes without ringing.

    Parameters
    ----------
    volumes
        Complex volumes, shape (X, Y, Z, K).
    decisions
        What was decided, as sentences.
    """

    volumes: NDArray[np.complex64]
    decisions: tuple[str, ...]


def remove_gibbs_ringing(
    volumes: NDArray[np.complexfloating], *, axes: Sequence[int] = (0, 1, 2), processes: int = 1
) -> GibbsResult:
    """Remove Gibbs ringing from every volume along some axes.

    Parameters
    ----------
    volumes
        Complex volumes, shape (X, Y, Z, K), as acquired: neither interpolated nor zero-filled nor filtered along `axes`.
    axes
        Axes along which k-space was acquired: three of a 3D acquisition, the two of the plane where slices were excited.
    processes
        Threads; the result does not depend on them.

    Returns
    -------
    GibbsResult
        Volumes of the same shape.

    Raises
    ------
    ValueError
        If the shape or an axis does not fit.

    Examples
    --------
    >>> flat = np.ones((16, 16, 8, 1), dtype=np.complex64)
    >>> bool(np.allclose(remove_gibbs_ringing(flat, axes=(0, 1)).volumes, flat, atol=1e-5))
    True
    """
    from threadpoolctl import threadpool_limits

    if volumes.ndim != 4:
        raise ValueError(f"volumes must have the shape (X, Y, Z, K), found {volumes.shape}")
    if not axes or len(set(axes)) != len(axes) or not set(axes) <= {0, 1, 2}:
        raise ValueError(f"axes must be different ones of 0, 1 and 2, found {tuple(axes)}")
    shape = volumes.shape[:3]
    shifts = {shape[axis]: shift_matrices(shape[axis]) for axis in axes}
    weights = directional_weights(shape, axes=axes)
    cleaned = np.empty(volumes.shape, dtype=np.complex64)

    def clean(index: int) -> None:
        cleaned[..., index] = _clean_volume(volumes[..., index], weights, shifts)

    # One thread for each matrix product, in whatever order volumes are taken: the sums are the same.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=processes) as pool:
        list(pool.map(clean, range(volumes.shape[3])))
    where = "all three axes" if len(axes) == 3 else "axis " + " and ".join(str(axis) for axis in sorted(axes))
    return GibbsResult(
        volumes=cleaned,
        decisions=(
            f"Gibbs ringing was removed from {volumes.shape[3]} volumes by local subvoxel shifts along {where}, the same for real "
            "and imaginary parts.",
        ),
    )


def directional_weights(shape: Sequence[int], *, axes: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Return how much of each spatial frequency is taken from the volume cleaned along each axis; they add up to 1.

    Kellner's weights, ∏(1 + cos k_b) over the other axes b, continued to three axes: frequencies at the edge of one axis come
    from the volume cleaned along it, those at no edge from all alike.

    Parameters
    ----------
    shape
        Shape of the volume, (X, Y, Z).
    axes
        Axes that are cleaned.

    Returns
    -------
    dict
        Shares by axis, each of a shape that broadcasts to `shape`, in the order of `numpy.fft.fftfreq`.
    """
    least = np.finfo(np.float32).tiny
    products = {}
    for axis in axes:
        product = np.ones((1, 1, 1))
        for other in axes:
            if other != axis:
                reach = 1.0 + np.cos(2.0 * np.pi * np.fft.fftfreq(shape[other]))
                product = product * np.maximum(reach, least).reshape([-1 if each == other else 1 for each in range(3)])
        products[axis] = product
    total = sum(np.broadcast_to(product, shape) for product in products.values())
    return {axis: (product / total).astype(np.float32) for axis, product in products.items()}


def shift_matrices(number: int) -> NDArray[np.float32]:
    """Return the matrices that read a line of `number` voxels on grids shifted by multiples of 1/`STEPS`, shape (STEPS, n, n)."""
    frequencies = np.fft.fftfreq(number, d=1.0 / number)
    matrices = np.empty((STEPS, number, number), dtype=np.float32)
    distance = (np.arange(number)[None, :] - np.arange(number)[:, None]) % number
    for step in range(STEPS):
        factors = np.exp(2j * np.pi * frequencies * step / (STEPS * number))
        if number % 2 == 0:
            factors[number // 2] = np.cos(
                np.pi * step / STEPS
            )  # half of it at either end of k-space: real lines stay real
        matrices[step] = (np.fft.fft(factors).real / number)[distance]
    return matrices


def _clean_volume(
    volume: NDArray[np.complexfloating],
    weights: dict[int, NDArray[np.float32]],
    shifts: dict[int, NDArray[np.float32]],
) -> NDArray[np.complex64]:
    from scipy.fft import fftn, ifftn

    volume = np.ascontiguousarray(volume, dtype=np.complex64)
    if len(weights) == 1:
        (axis,) = weights
        return _clean_axis(volume, axis, shifts[volume.shape[axis]])
    spectrum = np.zeros(volume.shape, dtype=np.complex64)
    for axis, weight in weights.items():
        spectrum += weight * fftn(_clean_axis(volume, axis, shifts[volume.shape[axis]]), overwrite_x=True)
    return np.asarray(ifftn(spectrum, overwrite_x=True), dtype=np.complex64)


def _clean_axis(volume: NDArray[np.complex64], axis: int, shifts: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Clean all lines along one axis."""
    first = np.moveaxis(volume, axis, 0)
    lines = np.array(first, order="C").reshape(volume.shape[axis], -1)
    number = lines.shape[1]
    parts = np.zeros((lines.shape[0], 2 * _LINES), dtype=np.float32)
    cleaned = np.empty_like(parts)
    for start in range(0, number, _LINES):
        block = lines[:, start : start + _LINES]
        width = block.shape[1]
        parts[:, :width], parts[:, _LINES : _LINES + width] = block.real, block.imag
        clean_lines(parts, shifts, WINDOW[0], WINDOW[1], cleaned)
        block.real, block.imag = cleaned[:, :width], cleaned[:, _LINES : _LINES + width]
    return np.ascontiguousarray(np.moveaxis(lines.reshape(first.shape), 0, axis))
