"""Gibbs ringing removed by tapering the edge of k-space.

Far from an edge, ringing alternates from voxel to voxel: it lives in a narrow band at the highest spatial frequencies.
Relaxometry amplifies it, since T1 and T2 come from ratios of small differences: on a simulated head without noise a ringing
of a few percent of the signal is an error of 18 % in T1 deep inside white matter. A taper of the outer half of k-space
removes that band and costs resolution, linearly and alike in every cycle, so that no cycle is distorted against another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.gibbs.subvoxel import GibbsResult

TAPER = 0.5
"""Share of each half-axis of k-space that is tapered, from its edge (Tukey window).

The full width of the point spread function at half maximum grows from 1.21 to 1.57 voxels, its first side lobe falls from
22 % to 18 % and the later ones vanish, and the noise falls to 83 % for each axis.
"""


def apodize(
    volumes: NDArray[np.complexfloating],
    *,
    taper: float = TAPER,
    axes: Sequence[int] = (0, 1, 2),
    processes: int = 1,
) -> GibbsResult:
    """Multiply k-space with a Tukey window along some axes.

    Parameters
    ----------
    volumes
        Complex volumes, shape (X, Y, Z, K), as acquired: not interpolated, not zero-filled.
    taper
        Share of each half-axis that is tapered, from 0 (no filter) to 1 (Hann window).
    axes
        Axes along which k-space is tapered; all three by default.
    processes
        Threads of the Fourier transforms; the result does not depend on them.

    Returns
    -------
    GibbsResult
        Volumes of the same shape.

    Raises
    ------
    ValueError
        If `taper` is not in (0, 1].
    """
    from scipy.fft import fft, ifft

    if not 0.0 < taper <= 1.0:
        raise ValueError(f"taper must lie in (0, 1], found {taper}")
    where = "all three axes" if len(axes) == 3 else "axis " + " and ".join(str(axis) for axis in axes)
    filtered = np.empty(volumes.shape, dtype=np.complex64)
    for index in range(volumes.shape[3]):
        volume = np.asarray(volumes[..., index], dtype=np.complex64)
        for axis in axes:
            shape = [1, 1, 1]
            shape[axis] = volume.shape[axis]
            spectrum = fft(volume, axis=axis, workers=processes)
            volume = ifft(
                spectrum * tukey(volume.shape[axis], taper=taper).reshape(shape), axis=axis, workers=processes
            )
        filtered[..., index] = volume
    return GibbsResult(
        volumes=filtered,
        decisions=(
            f"Gibbs ringing was removed from {volumes.shape[3]} volumes by a Tukey window on the outer {100 * taper:.0f} % of "
            f"k-space along {where}, which costs resolution: the maps are smoother than the scan.",
        ),
    )


def apodize_magnitudes(
    volumes: NDArray[np.floating], *, taper: float = TAPER, processes: int = 1
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Taper k-space of magnitude images; see `apodize`.

    Where the phase of the image is smooth, its magnitude rings as it does itself.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, K), as acquired.
    taper, processes
        Share of each half-axis that is tapered, and threads of the Fourier transforms; see `apodize`.

    Returns
    -------
    volumes, decisions
        Float32, the little below 0 that a taper leaves in air set to 0; what was done, as sentences.
    """
    result = apodize(volumes.astype(np.complex64), taper=taper, processes=processes)
    return np.maximum(result.volumes.real, 0.0), result.decisions


def tukey(number: int, *, taper: float) -> NDArray[np.float32]:
    """Return the window on `number` spatial frequencies in the order of `numpy.fft.fftfreq`."""
    distance = 2.0 * np.abs(np.fft.fftfreq(number))
    falling = 0.5 * (1.0 + np.cos(np.pi * (distance - (1.0 - taper)) / taper))
    return np.where(distance <= 1.0 - taper, 1.0, falling).astype(np.float32)
