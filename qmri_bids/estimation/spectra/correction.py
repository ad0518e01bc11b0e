"""From signals to Z-spectra: normalisation by unsaturated volumes, and correction of the water shift."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.mt.maps import MINIMUM_SIGNAL_TO_NOISE
from qmri_bids.estimation.spectra.spline import SplineOperator, SplineRows, spline_operator, take
from qmri_bids.estimation.variance import moderated_variance

BLOCK = 4096
"""Voxels interpolated at a time."""


def _mean(reference: NDArray[np.float64], volumes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full((len(volumes), len(reference)), 1.0 / len(reference))


def _between(reference: NDArray[np.float64], volumes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.interp(volumes, reference, unit) for unit in np.eye(len(reference))], axis=1)


REFERENCES: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "mean": _mean,
    "linear": _between,
}
"""Weights (N, R) of R unsaturated volumes in the reference of N saturated ones, from their places in the series.

"mean": one reference for all, the least noise. "linear": between the unsaturated volumes before and after, which follows a drift;
the nearest one beyond the first and the last.
"""


@dataclass(frozen=True, kw_only=True)
class ZSpectrum:
    """Z-spectra of V voxels.

    Parameters
    ----------
    values
        Values of Z, shape (V, N); NaN where the status of the value is not CONVERGED.
    stdev
        Standard deviation of each value, shape (V, N); None where the noise is not known.
    status
        `Status` codes, shape (V, N).
    """

    values: NDArray[np.float64]
    stdev: NDArray[np.float64] | None
    status: NDArray[np.uint8]


def normalise(
    signal: NDArray[np.floating],
    *,
    unsaturated: Sequence[int],
    reference: str = "linear",
    noise: NDArray[np.floating] | float | None = None,
) -> ZSpectrum:
    """Return Z = signal over unsaturated signal, of the saturated volumes in their order.

    Parameters
    ----------
    signal
        All volumes in the order of acquisition, shape (V, M).
    unsaturated
        Indices of the unsaturated volumes.
    reference
        Row of `REFERENCES`.
    noise
        Standard deviation of a volume, shape (V,) or one for all. By default from the unsaturated volumes where there are three or
        more, as what a straight line in time leaves, moderated over all voxels; not known where there are fewer.

    Raises
    ------
    ValueError
        If shapes, indices or the reference are none.
    """
    if signal.ndim != 2:
        raise ValueError(f"signal must have shape (V, M), found {signal.shape}")
    voxels, number = signal.shape
    places = np.array(sorted(set(unsaturated)), dtype=np.intp)
    if not len(places) or len(places) != len(unsaturated) or places[0] < 0 or places[-1] >= number:
        raise ValueError(
            f"unsaturated must hold different indices below {number}, at least one, found {list(unsaturated)}"
        )
    if len(places) == number:
        raise ValueError("all volumes are unsaturated: there is no Z-spectrum")
    if reference not in REFERENCES:
        raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, found {reference!r}")
    if noise is not None and np.shape(noise) not in ((), (voxels,)):
        raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
    rest = np.setdiff1d(np.arange(number), places)
    weights = REFERENCES[reference](places.astype(np.float64), rest.astype(np.float64))
    full, top = np.asarray(signal, dtype=np.float64)[:, places], np.asarray(signal, dtype=np.float64)[:, rest]
    sigma = (
        _reference_noise(full, places) if noise is None else np.broadcast_to(np.asarray(noise, np.float64), (voxels,))
    )
    with np.errstate(all="ignore"):
        base = full @ weights.T
        z = top / base
        status = np.full(z.shape, Status.CONVERGED, dtype=np.uint8)
        floor = np.zeros(voxels) if sigma is None else MINIMUM_SIGNAL_TO_NOISE * sigma
        status[~(base > floor[:, None])] = Status.LOW_SIGNAL
        status[~(np.isfinite(top) & np.isfinite(base))] = Status.INVALID_INPUT
        if sigma is not None:
            status[~np.isfinite(sigma)] = Status.INVALID_INPUT
        good = status == Status.CONVERGED
        stdev = None
        if sigma is not None:
            share = np.square(weights).sum(axis=1)
            stdev = np.where(good, sigma[:, None] / base * np.sqrt(1.0 + share * z**2), math.nan)
    return ZSpectrum(values=np.where(good, z, math.nan), stdev=stdev, status=status)


def _reference_noise(full: NDArray[np.float64], places: NDArray[np.intp]) -> NDArray[np.float64] | None:
    if full.shape[1] < 3:
        return None
    line = np.stack([np.ones(len(places)), places - places.mean()], axis=1)
    residual = full - full @ line @ np.linalg.inv(line.T @ line) @ line.T
    return np.sqrt(moderated_variance(np.square(residual).sum(axis=1), full.shape[1] - 2).variance)


def correct_shift(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    water_shift: NDArray[np.floating],
    noise: NDArray[np.floating] | float,
    targets: NDArray[np.floating] | None = None,
    water_shift_stdev: NDArray[np.floating] | None = None,
    smoothing: float = 0.0,
) -> ZSpectrum:
    """Return Z at offsets that count from the true frequency of water.

    Parameters
    ----------
    z
        Z-spectra at the nominal offsets, shape (V, N).
    offsets
        Nominal offsets [ppm], shape (N,), any order, all different.
    water_shift
        Shift of water from its nominal frequency [ppm], shape (V,).
    noise
        Standard deviation of Z, shape (V,) or one for all.
    targets
        Offsets at which Z is wanted [ppm], shape (K,); the nominal ones by default.
    water_shift_stdev
        Standard deviation of the shift [ppm], shape (V,); None where it counts as exact.
    smoothing
        Smoothing of the spline (`spline.spline_operator`): 0 interpolates; `cross_validated_smoothing` finds one.

    Returns
    -------
    ZSpectrum
        Shape (V, K). A value that would be extrapolated is NaN and OUT_OF_RANGE, the others of its voxel stand; a voxel with a
        value that is not finite is INVALID_INPUT. Neighbouring values share noise.

    Raises
    ------
    ValueError
        If shapes do not belong together or a target lies outside the offsets even without a shift.
    """
    wanted = np.asarray(offsets if targets is None else targets, dtype=np.float64)
    operator = _operator(z, offsets=offsets, water_shift=water_shift, wanted=wanted, smoothing=smoothing)
    sigma, shift_stdev = _spreads(len(z), noise, water_shift_stdev)
    values, stdev = np.empty((len(z), len(wanted))), np.empty((len(z), len(wanted)))
    status = np.empty(values.shape, dtype=np.uint8)
    for begin in range(0, len(z), BLOCK):
        part = slice(begin, begin + BLOCK)
        nodes, rows, valid = _interpolation(operator, z[part], water_shift[part], wanted)
        slope = take(nodes, rows.rows, rows.slopes)
        values[part] = take(nodes, rows.rows, rows.weights)
        variance = operator.squared_norm(rows.rows, rows.weights) * np.square(sigma[part, None])
        stdev[part] = np.sqrt(variance + np.square(slope * shift_stdev[part, None]))
        status[part] = np.where(rows.inside, Status.CONVERGED, Status.OUT_OF_RANGE)
        status[part][~(valid & np.isfinite(sigma[part]) & np.isfinite(shift_stdev[part]))] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return ZSpectrum(values=np.where(good, values, math.nan), stdev=np.where(good, stdev, math.nan), status=status)


def _operator(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    water_shift: NDArray[np.floating],
    wanted: NDArray[np.float64],
    smoothing: float,
) -> SplineOperator:
    if z.ndim != 2 or np.shape(offsets) != (z.shape[1],) or np.shape(water_shift) != (len(z),):
        raise ValueError(
            "z, offsets and water_shift must have shapes (V, N), (N,) and (V,), "
            f"found {z.shape}, {np.shape(offsets)} and {np.shape(water_shift)}"
        )
    low, high = float(np.min(offsets)), float(np.max(offsets))
    outside = [float(each) for each in wanted if not low <= each <= high]
    if outside:
        raise ValueError(f"Z was measured from {low} to {high} ppm and is not extrapolated to {outside}")
    return spline_operator(offsets, smoothing=smoothing)


def _spreads(
    voxels: int, noise: NDArray[np.floating] | float, water_shift_stdev: NDArray[np.floating] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spreads = []
    for name, each in (
        ("noise", noise),
        ("water_shift_stdev", 0.0 if water_shift_stdev is None else water_shift_stdev),
    ):
        if np.shape(each) not in ((), (voxels,)):
            raise ValueError(f"{name} must be one number or of shape ({voxels},), found shape {np.shape(each)}")
        spreads.append(np.broadcast_to(np.asarray(each, dtype=np.float64), (voxels,)))
    return spreads[0], spreads[1]


def _interpolation(
    operator: SplineOperator, z: NDArray[np.floating], shift: NDArray[np.floating], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], SplineRows, NDArray[np.bool_]]:
    valid = np.isfinite(z).all(axis=1) & np.isfinite(shift)
    nodes = operator.nodes(np.where(valid[:, None], z, 0.0))
    rows = operator.rows(wanted + np.where(valid, shift, 0.0)[:, None])
    return nodes, rows, valid
