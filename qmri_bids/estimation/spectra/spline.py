"""Cubic splines of Z-spectra as linear operators: values anywhere, and their exact noise.

A natural spline through, or smoothed along (Reinsch, Numer Math 10:177, 1967), N offsets is linear in the N values. Two N × N
matrices give its values and curvatures at the offsets; a value anywhere combines four of them, and a quadratic form of
four rows gives its noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class SplineRows:
    """Combinations of the rows of a spline operator, one for every wanted value.

    Parameters
    ----------
    rows, weights
        Which rows and how much of each, shapes (V, K, 4).
    slopes
        How much of each for the derivative [1/ppm], shape (V, K, 4).
    inside
        Whether the position lies within the offsets, shape (V, K); outside, the rows are those of the nearest interval.
    """

    rows: NDArray[np.intp]
    weights: NDArray[np.float64]
    slopes: NDArray[np.float64]
    inside: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SplineOperator:
    """The spline of any data at fixed offsets.

    Parameters
    ----------
    offsets
        Offsets of the data, increasing, shape (N,).
    order
        Columns of the data in the order of `offsets`, shape (N,).
    matrix
        Matrix from sorted data to values, then curvatures at the offsets, shape (2N, N).
    gram
        `matrix` times its transpose, shape (2N, 2N).
    effective_freedom
        N less the trace of the smoother: degrees of freedom of the residual; 0 of an interpolation.
    """

    offsets: NDArray[np.float64]
    order: NDArray[np.intp]
    matrix: NDArray[np.float64]
    gram: NDArray[np.float64]
    effective_freedom: float

    def nodes(self, z: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values and curvatures at the offsets of data (V, N), shape (V, 2N)."""
        return np.asarray(z, dtype=np.float64)[:, self.order] @ self.matrix.T

    def rows(self, positions: NDArray[np.floating]) -> SplineRows:
        """Return the rows that give the spline at positions (V, K)."""
        last = len(self.offsets) - 1
        inside = (positions >= self.offsets[0]) & (positions <= self.offsets[-1])
        left = np.clip(np.searchsorted(self.offsets, positions, side="right") - 1, 0, last - 1)
        step = self.offsets[left + 1] - self.offsets[left]
        after = (positions - self.offsets[left]) / step
        before = 1.0 - after
        weights = [before, after, (before**3 - before) * step**2 / 6.0, (after**3 - after) * step**2 / 6.0]
        slopes = [-1.0 / step, 1.0 / step, (1.0 - 3.0 * before**2) * step / 6.0, (3.0 * after**2 - 1.0) * step / 6.0]
        rows = [left, left + 1, left + last + 1, left + last + 2]
        return SplineRows(
            rows=np.stack(rows, axis=-1),
            weights=np.stack(weights, axis=-1),
            slopes=np.stack(slopes, axis=-1),
            inside=inside,
        )

    def squared_norm(self, rows: NDArray[np.intp], weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the variance of a combination of rows for unit noise, rows and weights (..., R)."""
        total = np.zeros(rows.shape[:-1])
        for i in range(rows.shape[-1]):
            total += weights[..., i] ** 2 * self.gram[rows[..., i], rows[..., i]]
            for j in range(i):
                total += 2.0 * weights[..., i] * weights[..., j] * self.gram[rows[..., i], rows[..., j]]
        return np.maximum(total, 0.0)


def take(nodes: NDArray[np.float64], rows: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return combinations (V, K) of nodes (V, 2N), rows and weights (V, K, R)."""
    voxels = np.arange(len(nodes))[:, None, None]
    return (nodes[voxels, rows] * weights).sum(axis=-1)


def spline_operator(offsets: NDArray[np.floating], *, smoothing: float = 0.0) -> SplineOperator:
    """Return the operator of a natural cubic spline.

    Parameters
    ----------
    offsets
        Offsets of the data in any order, shape (N,), N ≥ 4, all different.
    smoothing
        λ of Σ (z - s)² + λ ∫ s''², in offset units cubed; 0 interpolates.

    Raises
    ------
    ValueError
        If offsets are too few or repeat, or the smoothing is negative.
    """
    order = np.argsort(offsets, kind="stable")
    knots = np.asarray(offsets, dtype=np.float64)[order]
    number = len(knots)
    if number < 4 or not np.all(np.diff(knots) > 0.0):
        raise ValueError(
            f"a spline needs at least 4 offsets, all different, found {sorted(map(float, offsets))}; average repetitions"
        )
    if not smoothing >= 0.0:
        raise ValueError(f"smoothing must not be negative, found {smoothing}")
    step = np.diff(knots)
    second = np.zeros((number - 2, number))
    band = np.zeros((number - 2, number - 2))
    for k in range(number - 2):
        second[k, k : k + 3] = 1.0 / step[k], -1.0 / step[k] - 1.0 / step[k + 1], 1.0 / step[k + 1]
        band[k, k] = (step[k] + step[k + 1]) / 3.0
        if k:
            band[k, k - 1] = band[k - 1, k] = step[k] / 6.0
    inner = np.linalg.solve(band + smoothing * second @ second.T, second)
    values = np.eye(number) - smoothing * second.T @ inner
    curvatures = np.zeros((number, number))
    curvatures[1:-1] = inner
    matrix = np.concatenate([values, curvatures])
    return SplineOperator(
        offsets=knots,
        order=order,
        matrix=matrix,
        gram=matrix @ matrix.T,
        effective_freedom=max(number - float(np.trace(values)), 0.0),
    )


def cross_validated_smoothing(z: NDArray[np.floating], *, offsets: NDArray[np.floating]) -> float:
    """Return the smoothing with the least generalised cross-validation score over all voxels.

    GCV = Σ residual²/(N - trace)² (Craven and Wahba, Numer Math 31:377, 1979), on a grid of two points a decade from a
    millionth of the cube of the median spacing to a thousand of them.

    Parameters
    ----------
    z
        Spectra, shape (V, N); voxels with a value that is not finite do not count.
    offsets
        Offsets of the spectra, shape (N,).

    Raises
    ------
    ValueError
        If no voxel is finite.
    """
    finite = np.asarray(z, dtype=np.float64)[np.isfinite(z).all(axis=1)]
    if not len(finite):
        raise ValueError(
            "cross-validation needs a voxel with a finite spectrum, found none; check the mask and the normalisation"
        )
    unit = float(np.median(np.diff(np.sort(offsets)))) ** 3
    number = len(offsets)

    def score(smoothing: float) -> float:
        operator = spline_operator(offsets, smoothing=smoothing)
        smooth = operator.nodes(finite)[:, :number]
        return float(np.square(finite[:, operator.order] - smooth).sum()) / operator.effective_freedom**2

    return min((unit * 10.0 ** (0.5 * k) for k in range(-12, 7)), key=score)
