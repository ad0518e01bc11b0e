"""The compiled search of `gibbs` for the shift of every voxel; apart, since numba takes a second to import."""

from __future__ import annotations

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
        Where the result goes, shape (n, 2L).
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
