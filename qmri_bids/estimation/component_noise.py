"""The noise of a long series from its components: of one as scanned, and of one from which components were removed.

The weakest principal components of a series as scanned hold noise alone, and as much of it as all others. After denoising by
principal components (of all voxels, or of a patch around every voxel) they hold next to nothing, while the strong ones keep
their noise: what they scatter from one voxel to the next tells of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_VOLUMES = 12
"""Fewer volumes may all be signal."""

VOXELS_A_VOLUME = 50
"""With so many voxels for every volume the eigenvalues of pure noise lie within a third of one another."""

SHARE = 0.1
"""Share of the components, the weakest, that is taken for noise."""

FEWEST_CUBES = 100
"""Cubes of 2 × 2 × 2 voxels (squares of one slice) that tell the noise of a component."""

NORMAL_QUARTILE = 0.6745
"""Median of the modulus of a standard normal variable."""

DENOISED = 2.5
"""How much more strong components scatter than weak ones from which on a series counts as denoised: on simulated heads 1.0 to 1.7
as scanned, at rest or moving, and after denoising 7 and more of those at rest, 2.8 and more of those that move."""

LEADING = slice(1, 5)
"""Components whose scatter is compared with that of the weakest quarter."""

TELLING = slice(2, 6)
"""Components of which the one that scatters most has kept its noise, and holds next to no anatomy."""

FLATTEST = (0.1, 0.2, 0.35)
"""Shares of the cubes, where the strongest component is flattest, that must agree for it to tell the noise, without anatomy."""

AGREEING = 1.25
"""Largest over smallest of what they tell."""

PLATEAU = 0.8
"""The second of the telling components over the first from which on both have kept all of their noise."""

FARTHEST = 3.0
"""How much more than they the strongest component may tell: more is anatomy."""

REMOVED_SIGNAL = 1.5
"""What denoising takes of the signal, in components of as much power as the noise of one: those are removed that do not rise above
noise. Chosen, with all above, on simulated series of three subjects, and judged on a fourth (`benchmarks/cest_noise.py`)."""

CLIFF = 1e3
"""Factor between two eigenvalues that follow each other which no scan has."""


@dataclass(frozen=True, kw_only=True)
class DenoisedNoise:
    """The noise of a series from which components were removed.

    Parameters
    ----------
    left
        Standard deviation of one volume around the signal, in units of the images: noise that is left, and signal that was lost.
    before
        Standard deviation of the noise of one volume before. Components that were kept have all of it: a fit whose parameters live
        in the strongest of them meets it undiminished.
    contrast
        How much more strong components scatter than weak ones.
    sure
        Whether components agree on it; else it may be wrong by a factor of two.
    """

    left: float
    before: float
    contrast: float
    sure: bool


def component_noise(signal: NDArray[np.floating]) -> float | None:
    """Return the standard deviation of one volume as the level of the weakest principal components of the series.

    Spectra of a head are smooth mixtures of a few shapes, varied by B0, B1 and tissue: they need far fewer components than there
    are volumes, and the weakest hold noise alone (the idea of Veraart et al., NeuroImage 142:394, 2016). What motion left between
    volumes adds to them: the level is that of the noise or above. On the simulated head at 4 mm it is 1.3 to 1.8 times the noise.
    A series that was denoised has none in them: see `denoised_noise`.

    Parameters
    ----------
    signal
        Magnitudes of brain voxels, shape (V, N).

    Returns
    -------
    float or None
        Standard deviation of the noise in the unit of the signal; None where volumes or voxels are too few.
    """
    usable = signal[np.isfinite(signal).all(axis=1)].astype(np.float64)
    voxels, number = usable.shape
    if number < FEWEST_VOLUMES or voxels < VOXELS_A_VOLUME * number:
        return None
    values = np.linalg.eigvalsh(usable.T @ usable / voxels)
    return float(np.sqrt(max(values[: max(2, round(SHARE * number))].mean(), 0.0)))


def denoised_noise(
    series: NDArray[np.floating], *, inside: NDArray[np.bool_], before: float | None = None
) -> DenoisedNoise | None:
    """Return the noise of a series that was denoised by principal components, None of one that was not, or is too short to tell.

    The variance of one volume around the signal is the mean over the components of what each scatters, and what was lost. The
    strongest, which hold anatomy, are taken to have all of the noise; the others tell theirs.

    Parameters
    ----------
    series
        Magnitudes, not interpolated since they were denoised, shape (X, Y, Z, N).
    inside
        Where there is tissue, no rim of scalp, shape (X, Y, Z).
    before
        Noise of one volume before denoising where it is known, as it is of a series that is denoised here: then it was.
    """
    number = series.shape[3]
    voxels = series[inside].astype(np.float64)
    voxels = voxels[np.isfinite(voxels).all(axis=1)]
    if number < FEWEST_VOLUMES or len(voxels) < number:
        return None
    values, vectors = np.linalg.eigh(voxels.T @ voxels / len(voxels))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    scores = np.nan_to_num(series).astype(np.float64) @ vectors
    detail = finest_detail(scores, inside=inside)
    if len(detail) < FEWEST_CUBES:
        return _beyond_cliff(values) if before is None else None
    scatter = np.median(np.abs(detail), axis=0) / NORMAL_QUARTILE
    weak = float(np.median(scatter[-(number // 4) :]))
    contrast = float(np.median(scatter[LEADING])) / weak if weak > 0.0 else math.inf
    sure = True
    if before is None:
        if contrast < DENOISED:
            return None
        steepness = _steepness(scores[..., 0], inside=inside)
        before, sure = _noise_before(detail[:, 0], steepness=steepness, scatter=scatter)
    kept = np.minimum(scatter, before)
    kept[0] = before
    return DenoisedNoise(
        left=math.sqrt((float(np.square(kept).sum()) + REMOVED_SIGNAL * before**2) / number),
        before=before,
        contrast=contrast,
        sure=sure,
    )


def finest_detail(images: NDArray[np.floating], *, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the finest diagonal detail of images (X, Y, Z, …) in the cubes that lie inside, shape (C, …).

    See `estimation.mt.maps.noise_of_volume`.
    """
    corners, signs = _corners(images)
    usable = np.all(_corners(inside)[0], axis=0)
    detail = sum(sign * corner[usable] for sign, corner in zip(signs, corners, strict=True))
    return np.asarray(detail / math.sqrt(len(signs)))


def value_step(series: NDArray[np.floating]) -> float:
    """Return the distance of the values that a series was stored with, 0 where they are not those of integers.

    Rounding to it is noise of this distance over √12.

    Parameters
    ----------
    series
        Of any shape, as read.
    """
    some = np.unique(np.ravel(series)[:: max(1, series.size // 200_000)].astype(np.float64))
    if len(some) < 2:
        return 0.0
    apart, extent = np.diff(some), float(some[-1] - some[0])
    # Many steps of single precision tell the step better than one.
    step = extent / max(round(extent / float(apart[apart < 1.5 * apart.min()].mean())), 1)
    whole = (some - some[0]) / step
    # Single precision leaves this much of multiples that are exact.
    exact = np.abs(whole - np.round(whole)) * step <= 4.0 * np.finfo(np.float32).eps * np.abs(some).max()
    return step if exact.all() and np.abs(some).max() < 1e5 * step else 0.0


def rounding_noise(series: NDArray[np.floating]) -> float:
    """Return the standard deviation that rounding of the values gives: what noise cannot be less than."""
    largest = float(np.abs(series).max(initial=0.0))
    return max(value_step(series), float(np.spacing(np.float32(largest)))) / math.sqrt(12.0)


def _corners(images: NDArray) -> tuple[list[NDArray], list[float]]:
    """Return the voxels of cubes of 2 × 2 × 2 (squares of one slice) corner by corner, and the sign of each."""
    edges = [min(2, size) for size in images.shape[:3]]
    even = images[tuple(slice(0, edge * (size // edge)) for edge, size in zip(edges, images.shape[:3], strict=True))]
    places: Sequence[tuple[int, ...]] = list(np.ndindex(*edges))
    corners = [even[i :: edges[0], j :: edges[1], k :: edges[2]] for i, j, k in places]
    return corners, [(-1.0) ** sum(place) for place in places]


def _steepness(image: NDArray[np.float64], *, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the largest gradient in each cube that lies inside, shape (C,)."""
    from scipy.ndimage import gaussian_filter

    long = [size > 1 for size in image.shape]
    width = [1.5 if axis else 0.0 for axis in long]
    slopes = [
        gaussian_filter(image, width, order=[int(axis == other) for other in range(3)])
        for axis in range(3)
        if long[axis]
    ]
    gradient = np.sqrt(sum(np.square(slope) for slope in slopes))
    return np.asarray(np.max(_corners(gradient)[0], axis=0)[np.all(_corners(inside)[0], axis=0)])


def _noise_before(
    detail: NDArray[np.float64], *, steepness: NDArray[np.float64], scatter: NDArray[np.float64]
) -> tuple[float, bool]:
    """Return the noise before denoising, and whether it is sure.

    It is where two components agree on it, or the strongest tells it where it is flat.
    """
    second, least = np.sort(scatter[TELLING])[-2:]
    if second >= PLATEAU * least:
        return float(least), True
    told = [
        float(np.median(np.abs(detail[steepness <= np.quantile(steepness, share)]))) / NORMAL_QUARTILE
        for share in FLATTEST
    ]
    if max(told) < AGREEING * min(told) and told[1] < FARTHEST * least:
        return max(float(least), told[1]), True
    return float(least), False


def _beyond_cliff(values: NDArray[np.float64]) -> DenoisedNoise | None:
    """Return the noise of a series of so few voxels that only a cliff of its eigenvalues, in descending order, can be seen."""
    floor = values[0] * np.finfo(np.float32).eps ** 2
    ratio = values[1:-1] / np.maximum(values[2:], floor)
    rank = int(np.argmax(ratio)) + 2
    if not ratio.max(initial=0.0) > CLIFF:
        return None
    # What the weakest component that was kept holds is noise, or more.
    before = math.sqrt(values[rank - 1])
    left = before * math.sqrt((rank + REMOVED_SIGNAL) / len(values))
    return DenoisedNoise(left=left, before=before, contrast=math.inf, sure=False)
