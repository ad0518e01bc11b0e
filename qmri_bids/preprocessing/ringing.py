"""The table of ways to remove Gibbs ringing from phase cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.apodization import apodize
from qmri_bids.preprocessing.gibbs import GibbsResult, remove_gibbs_from_modes

IN_PLANE_PASSES = (2, 0)
"""Axes across the planes of the two passes of `subvoxel`: together they clean all three axes of a 3D acquisition."""

RemoveRinging = Callable[[NDArray[np.complexfloating], Sequence[float], int], GibbsResult]
"""From cycles (X, Y, Z, N), their RF phase increments [rad] and a number of processes to cleaned cycles."""


def _apodization(
    cycles: NDArray[np.complexfloating], rf_phase_increment: Sequence[float], processes: int
) -> GibbsResult:
    return apodize(cycles, processes=processes)


def _subvoxel(cycles: NDArray[np.complexfloating], rf_phase_increment: Sequence[float], processes: int) -> GibbsResult:
    decisions: tuple[str, ...] = ()
    for axis in IN_PLANE_PASSES:
        result = remove_gibbs_from_modes(
            cycles, rf_phase_increment=rf_phase_increment, slice_axis=axis, processes=processes
        )
        cycles, decisions = result.volumes, decisions + result.decisions
    return GibbsResult(volumes=cycles, decisions=tuple(dict.fromkeys(decisions)))


GIBBS_METHODS: dict[str, RemoveRinging] = {"apodization": _apodization, "subvoxel": _subvoxel}
"""`apodization` tapers k-space before anything is interpolated; `subvoxel` is dipy's, on the configurations of aligned
cycles (Birk et al. 2025)."""
