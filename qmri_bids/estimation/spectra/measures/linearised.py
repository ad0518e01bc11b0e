"""Functions of a Z-spectrum near what was measured, and their standard deviations.

To first order a function of a spectrum changes with the values of Z by weights, and with the shift of water by a slope. The values
of a voxel have noise of their own, and share that of the unsaturated volumes between which they were measured: Z_k = S_k/Σ w_kr
M_r, so that dZ_k/dM_r = -Z_k w_kr/M. A difference of two functions has the difference of their weights: what both share cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.correction import REFERENCES
from qmri_bids.estimation.spectra.series import SeriesLayout
from qmri_bids.estimation.spectra.spline import SplineOperator, take


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Spectra of V voxels as they were measured, and their noise.

    Parameters
    ----------
    z
        Values of Z at the nominal offsets, shape (V, K).
    stdev
        Standard deviation of a value by its own volumes, shape (V,).
    offsets
        Nominal offsets [ppm], shape (K,).
    shift, shift_stdev
        Shift of water and its standard deviation [ppm], shape (V,); None where the shift counts as exact.
    shared
        Weight of each unsaturated volume in the reference of each value, shape (K, R).
    repeated
        Standard deviation of one volume over `stdev`, by the number of volumes of an offset.
    directions
        Further errors that the values of a voxel share (`series.Spectra`), shape (V, D, K); None where there are none.
    """

    z: NDArray[np.float64]
    stdev: NDArray[np.float64]
    offsets: NDArray[np.float64]
    shift: NDArray[np.float64]
    shift_stdev: NDArray[np.float64] | None
    shared: NDArray[np.float64]
    repeated: float
    directions: NDArray[np.float64] | None = None


def shared_weights(layout: SeriesLayout) -> NDArray[np.float64]:
    """Return the weight of each of R unsaturated volumes in the reference of each of K offsets, shape (K, R)."""
    reference = np.array(sorted(layout.unsaturated), dtype=np.float64)
    rows = [REFERENCES["linear"](reference, np.array(group, dtype=np.float64)).mean(axis=0) for group in layout.members]
    return np.stack(rows)


@dataclass(frozen=True, kw_only=True)
class Linearised:
    """A function of the spectra of V voxels.

    Parameters
    ----------
    values
        Its values, shape (V,).
    weights
        Its derivatives by the values of Z, shape (V, K).
    by_shift
        Its derivative by the shift of water [1/ppm], shape (V,).
    apart
        Variance that does not come from the spectrum, in units of the square of `Measured.stdev`, shape (V,).
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    by_shift: NDArray[np.float64]
    apart: NDArray[np.float64]

    def stdev(self, measured: Measured) -> NDArray[np.float64]:
        """Return its standard deviation by noise of all volumes and of the shift, shape (V,)."""
        of_reference = measured.repeated * (self.weights * measured.z) @ measured.shared
        variance = np.square(self.weights).sum(axis=1) + np.square(of_reference).sum(axis=1) + self.apart
        variance *= np.square(measured.stdev)
        if measured.shift_stdev is not None:
            variance += np.square(self.by_shift * measured.shift_stdev)
        if measured.directions is not None:
            variance += np.square(np.einsum("vk,vdk->vd", self.weights, measured.directions)).sum(axis=1)
        return np.sqrt(variance)


def combined(
    parts: Sequence[Linearised], slopes: Sequence[NDArray[np.float64] | float], values: NDArray[np.float64]
) -> Linearised:
    """Return a function of other functions, by its derivatives in them: numbers or shape (V,)."""
    columns = [np.broadcast_to(np.asarray(slope, dtype=np.float64), values.shape) for slope in slopes]
    return Linearised(
        values=values,
        weights=np.add.reduce([slope[:, None] * part.weights for slope, part in zip(columns, parts, strict=True)]),
        by_shift=np.add.reduce([slope * part.by_shift for slope, part in zip(columns, parts, strict=True)]),
        apart=np.add.reduce([slope**2 * part.apart for slope, part in zip(columns, parts, strict=True)]),
    )


def sampled(measured: Measured, operator: SplineOperator, at: float) -> Linearised:
    """Return Z at an offset from true water [ppm] by a spline; NaN where that lies beyond the offsets measured.

    Parameters
    ----------
    measured
        The spectra.
    operator
        Spline through their offsets.
    at
        The offset.
    """
    found = operator.rows((at + measured.shift)[:, None])
    nodes = operator.nodes(measured.z)
    # Rows of the operator are of sorted data; the offsets of a layout are sorted.
    weights = np.einsum("vr,vrk->vk", found.weights[:, 0], operator.matrix[found.rows[:, 0]])
    nothing = np.where(found.inside[:, 0], 0.0, np.nan)
    return Linearised(
        values=take(nodes, found.rows, found.weights)[:, 0] + nothing,
        weights=weights,
        by_shift=take(nodes, found.rows, found.slopes)[:, 0],
        apart=np.zeros(len(measured.z)),
    )


def average(parts: Sequence[Linearised], shares: Sequence[float]) -> Linearised:
    """Return a sum of functions with constant shares."""
    values = np.add.reduce([share * part.values for share, part in zip(shares, parts, strict=True)])
    return combined(parts, list(shares), values)
