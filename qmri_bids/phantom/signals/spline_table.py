"""Tables of a signal: cubic splines in frequency, phase and B1, polynomials of second order in T1 and T2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.pools import PoolModel

Values = NDArray[np.floating]

B1_RANGE = (0.70, 1.25)
"""Lowest and highest relative B1 of `fields.transmit_field`."""
RELAXATION_SPREAD = 0.09
"""Distance of the nodes in T1 and T2 from the tissue's own, relative: the largest variation of `heads.template.build_head`."""
MARGIN = 3
"""Nodes beyond the range: how the spline ends is forgotten there."""
RELAXATION_NODES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 1.0))
"""Variation of T1 and T2 in units of `RELAXATION_SPREAD`: six nodes tell the coefficients of 1, p, q, p², q² and pq."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Evenly spaced nodes, `MARGIN` of them beyond each end of the range.

    Parameters
    ----------
    start, step
        First node and distance of nodes.
    number
        Number of nodes.
    """

    start: float
    step: float
    number: int

    @classmethod
    def over(cls, lower: float, upper: float, *, step: float) -> Axis:
        """Return nodes at most `step` apart that cover a range."""
        parts = max(1, math.ceil((upper - lower) / step - 1e-9))
        step = (upper - lower) / parts
        return cls(start=lower - MARGIN * step, step=step, number=parts + 1 + 2 * MARGIN)

    @property
    def nodes(self) -> NDArray[np.float64]:
        """Positions of the nodes, shape (number,)."""
        nodes: NDArray[np.float64] = self.start + self.step * np.arange(self.number, dtype=np.float64)
        return nodes

    def places(self, values: Values, *, name: str) -> NDArray[np.float64]:
        """Return values counted in nodes.

        Raises
        ------
        ValueError
            If a value lies outside the range.
        """
        places: NDArray[np.float64] = (np.asarray(values, dtype=np.float64) - self.start) / self.step
        last = self.number - 1 - MARGIN
        outside = ~((places >= MARGIN - 1e-3) & (places <= last + 1e-3))
        if outside.any():
            lower, upper = self.start + MARGIN * self.step, self.start + last * self.step
            found = float(np.asarray(values)[outside][0])
            raise ValueError(f"{name} must lie in [{lower:g}, {upper:g}] to be interpolated, found {found:g}")
        return places


@dataclass(frozen=True, kw_only=True)
class SplineTable:
    """A signal as a function of frequency x, phase y, B1, T1 and T2.

    Parameters
    ----------
    model
        The pools, whose T1 and T2 of water are the middle of the table.
    x, b1
        Nodes; the unit of x is its user's.
    coefficients
        Coefficients of the splines, shape (X, Y, W, 6); y counts full turns, and Y is 1 where nothing depends on it.
    """

    model: PoolModel
    x: Axis
    b1: Axis
    coefficients: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, values: NDArray[np.float64], *, model: PoolModel, x: Axis, b1: Axis) -> SplineTable:
        """Return the table of values at the nodes, shape (X, Y, W, 6), the last axis as `RELAXATION_NODES`."""
        from scipy.ndimage import spline_filter1d

        centre, *others = np.moveaxis(values, -1, 0)
        t1_up, t2_up, t1_down, t2_down, both = (each - centre for each in others)
        rising = 0.5 * (t1_up - t1_down), 0.5 * (t2_up - t2_down)
        bending = 0.5 * (t1_up + t1_down), 0.5 * (t2_up + t2_down)
        out = np.stack([centre, *rising, *bending, both - t1_up - t2_up], axis=-1)
        out = _open_spline(_open_spline(out, axis=0), axis=2)
        if out.shape[1] > 1:
            out = spline_filter1d(out, order=3, axis=1, mode="grid-wrap")
        return cls(model=model, x=x, b1=b1, coefficients=np.ascontiguousarray(out))

    def at(self, x: Values, y: Values, *, b1: Values, t1: Values, t2: Values) -> NDArray[np.float64]:
        """Return the signal at n points, shape (n,)."""
        from qmri_bids.phantom.signals.train_kernels import evaluate

        p, q = (
            (np.asarray(each, dtype=np.float64) / own - 1.0) / RELAXATION_SPREAD
            for each, own in ((t1, self.model.water.t1), (t2, self.model.water.t2))
        )
        out = np.empty(len(x))
        evaluate(
            self.coefficients,
            self.x.places(x, name="frequency"),
            (y - np.floor(y)) * self.coefficients.shape[1],
            self.b1.places(b1, name="B1"),
            p,
            q,
            out,
        )
        return out


def _open_spline(values: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Return the coefficients of cubic B-splines along an axis, straight at its ends."""
    from scipy.linalg import solve_banded

    front = np.moveaxis(values, axis, 0)
    number = len(front)
    bands = np.repeat([[1.0 / 6.0], [2.0 / 3.0], [1.0 / 6.0]], number, axis=1)
    bands[1, [0, -1]] = 1.0
    bands[0, 1] = bands[2, -2] = 0.0
    found = solve_banded((1, 1), bands, front.reshape(number, -1))
    return np.moveaxis(found.reshape(front.shape), 0, axis)


def voxels_of_nodes(model: PoolModel, b1: Axis) -> dict[str, NDArray[np.float64]]:
    """Return B1, T1 and T2 at the nodes of a table, shape (W · 6,), B1 slowest."""
    strength, node = np.meshgrid(b1.nodes, np.arange(len(RELAXATION_NODES)), indexing="ij")
    relative = 1.0 + RELAXATION_SPREAD * np.array(RELAXATION_NODES)[node.ravel()]
    return {"b1": strength.ravel(), "t1": model.water.t1 * relative[:, 0], "t2": model.water.t2 * relative[:, 1]}
