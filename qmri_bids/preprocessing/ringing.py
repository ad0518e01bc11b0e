"""The table of ways to remove Gibbs ringing from phase cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.apodization import apodize
from qmri_bids.preprocessing.gibbs import GibbsResult, remove_gibbs_from_modes
from qmri_bids.preprocessing.k_space_edge import k_space_edge

IN_PLANE_PASSES = (2, 0)
"""Axes across the planes of the two passes of `subvoxel`: together they clean all three axes of a 3D acquisition."""

RemoveRinging = Callable[[NDArray[np.complexfloating], Sequence[float], Sequence[int], int], GibbsResult]
"""From cycles (X, Y, Z, N), their RF phase increments [rad], axes along which k-space is as acquired and a number of processes to
cleaned cycles."""


def remove_ringing(
    cycles: NDArray[np.complexfloating],
    *,
    method: str,
    rf_phase_increment: Sequence[float],
    acquired: NDArray[np.complexfloating],
    processes: int = 1,
) -> GibbsResult:
    """Remove Gibbs ringing along the axes along which the scan was neither zero-filled nor filtered.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N), in the state that the method works on.
    method
        Key of `GIBBS_METHODS`.
    rf_phase_increment
        Of each cycle [rad].
    acquired
        The cycles as scanned, before any interpolation, by which k-space is judged.
    processes
        Processes; the result does not depend on them.
    """
    edge = k_space_edge(acquired)
    axes = edge.axes_left
    if not axes:
        return GibbsResult(volumes=np.asarray(cycles, dtype=np.complex64), decisions=edge.reasons)
    result = GIBBS_METHODS[method](cycles, rf_phase_increment, axes, processes)
    return GibbsResult(volumes=result.volumes, decisions=(*edge.reasons, *result.decisions))


def _apodization(
    cycles: NDArray[np.complexfloating], rf_phase_increment: Sequence[float], axes: Sequence[int], processes: int
) -> GibbsResult:
    return apodize(cycles, axes=axes, processes=processes)


def _subvoxel(
    cycles: NDArray[np.complexfloating], rf_phase_increment: Sequence[float], axes: Sequence[int], processes: int
) -> GibbsResult:
    # Each pass cleans two axes at once: where only some are as acquired, one pass across those that are must do.
    passes = [axis for axis in IN_PLANE_PASSES if set(range(3)) - {axis} <= set(axes)]
    if not passes and len(axes) == 2:
        passes = [next(iter(set(range(3)) - set(axes)))]
    if not passes:
        return GibbsResult(
            volumes=np.asarray(cycles, dtype=np.complex64),
            decisions=("Gibbs ringing was not removed: local subvoxel shifts need two axes as acquired.",),
        )
    decisions: tuple[str, ...] = ()
    for axis in passes:
        result = remove_gibbs_from_modes(
            cycles, rf_phase_increment=rf_phase_increment, slice_axis=axis, processes=processes
        )
        cycles, decisions = result.volumes, decisions + result.decisions
    return GibbsResult(volumes=cycles, decisions=tuple(dict.fromkeys(decisions)))


GIBBS_METHODS: dict[str, RemoveRinging] = {"apodization": _apodization, "subvoxel": _subvoxel}
"""`apodization` tapers k-space before anything is interpolated; `subvoxel` is dipy's, on the configurations of aligned
cycles (Birk et al. 2025)."""
