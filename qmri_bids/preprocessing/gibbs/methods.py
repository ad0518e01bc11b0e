"""The table of ways to remove Gibbs ringing from phase cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.gibbs.apodization import apodize
from qmri_bids.preprocessing.gibbs.k_space_edge import k_space_edge, undo_alternation
from qmri_bids.preprocessing.gibbs.subvoxel import GibbsResult, remove_gibbs_ringing

FEWEST_SLICES = 8
"""Along fewer voxels nothing is removed: a thick slab has no inside, and one slice no neighbour."""
TAIL = 0.05
"""Share of each half-axis of k-space that `subvoxel` tapers at the end.

Far from every edge ringing alternates from voxel to voxel, and local shifts leave some of it: counted as noise, it makes standard
deviations wrong. The last twentieth of k-space holds it. The point spread function widens by 0.005 voxels.
"""

RemoveRinging = Callable[[NDArray[np.complexfloating], Sequence[int], int], GibbsResult]
"""Function of cycles (X, Y, Z, N), axes along which k-space is as acquired and number of processes, to cleaned cycles."""


def remove_ringing(
    cycles: NDArray[np.complexfloating], *, method: str, in_slices: bool = False, processes: int = 1
) -> GibbsResult:
    """Remove Gibbs ringing along the axes along which the scan was neither zero-filled nor filtered.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N), as scanned: before any interpolation. Where their signs alternate from voxel to voxel, they
        no longer do so in the result.
    method
        Key of `GIBBS_METHODS`.
    in_slices
        Whether slices along the third axis were excited one by one (MRAcquisitionType 2D): k-space has no such axis then.
    processes
        Processes; the result does not depend on them.

    Raises
    ------
    ValueError
        If the shape does not fit.
    """
    cycles, said = undo_alternation(cycles)
    edge = k_space_edge(cycles)
    said += edge.reasons
    axes = [axis for axis in edge.axes_left if cycles.shape[axis] >= FEWEST_SLICES]
    if in_slices and 2 in axes:
        axes.remove(2)
        said += ("Gibbs ringing was removed within the slices alone, which were excited one by one.",)
    short = [axis for axis in edge.axes_left if cycles.shape[axis] < FEWEST_SLICES]
    said += tuple(
        f"Along axis {axis} there are {cycles.shape[axis]} voxels: Gibbs ringing was not removed there."
        for axis in short
    )
    if not axes:
        return GibbsResult(volumes=np.asarray(cycles, dtype=np.complex64), decisions=said)
    result = GIBBS_METHODS[method](cycles, axes, processes)
    return GibbsResult(volumes=result.volumes, decisions=(*said, *result.decisions))


def _apodization(cycles: NDArray[np.complexfloating], axes: Sequence[int], processes: int) -> GibbsResult:
    return apodize(cycles, axes=axes, processes=processes)


def _subvoxel(cycles: NDArray[np.complexfloating], axes: Sequence[int], processes: int) -> GibbsResult:
    result = remove_gibbs_ringing(cycles, axes=axes, processes=processes)
    tapered = apodize(result.volumes, taper=TAIL, axes=axes, processes=processes)
    last = f"What is left far from edges was removed by a taper of the outermost {100.0 * TAIL:.0f} % of k-space."
    return GibbsResult(volumes=tapered.volumes, decisions=(*result.decisions, last))


GIBBS_METHODS: dict[str, RemoveRinging] = {"subvoxel": _subvoxel, "apodization": _apodization}
"""`subvoxel` samples beside each edge where the ringing crosses zero, `apodization` tapers the outer half of k-space. Both work on
every cycle as acquired: shifts on the low configurations of aligned cycles, in a quarter of the time, leave the ringing of the
higher orders, which then counts as noise (standard deviations 1.1 to 1.5 times too large)."""
