"""Removal of Gibbs ringing from complex volumes by local subvoxel shifts (Kellner et al. 2016, as in dipy).

dipy's `gibbs_removal` takes the magnitude of what it is given, silently. Real and imaginary parts therefore
pass through it apart, each lifted above zero by an offset that is subtracted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.child_processes import end_with_parent
from qmri_bids.physics.protocol import evenly_spaced_increments
from qmri_bids.preprocessing.masks import bounding_box, head_mask
from qmri_bids.worker_context import worker_context

_MARGIN = 6
"""Voxels around the head that are processed with it: beyond the three neighbours that dipy compares."""
_SLICES_PER_TASK = 16


@dataclass(frozen=True, kw_only=True)
class GibbsResult:
    """Volumes without ringing.

    Parameters
    ----------
    volumes
        Complex, shape (X, Y, Z, K).
    decisions
        What was decided, as sentences.
    """

    volumes: NDArray[np.complex64]
    decisions: tuple[str, ...]


def _remove_from_real(slab: NDArray[np.float32], slice_axis: int) -> NDArray[np.float32]:
    """Return a real, signed slab without ringing."""
    from dipy.denoise.gibbs import gibbs_removal

    # Twice the largest value: the shifted images that dipy compares overshoot, and none may reach zero.
    offset = np.float32(2.0 * np.abs(slab).max())
    if offset == 0.0:
        return slab
    return gibbs_removal(slab + offset, slice_axis=slice_axis, inplace=False, num_processes=1) - offset


def remove_gibbs_ringing(volumes: NDArray[np.complexfloating], *, slice_axis: int, processes: int = 1) -> GibbsResult:
    """Remove Gibbs ringing in the two axes across `slice_axis`.

    Parameters
    ----------
    volumes
        Complex, shape (X, Y, Z, K).
    slice_axis
        The axis 0, 1 or 2 along which ringing is left alone.
    processes
        Number of worker processes; the result does not depend on it.

    Returns
    -------
    GibbsResult
        Same shape; outside the bounding box of the head the input untouched.

    Raises
    ------
    ValueError
        If the shape or the slice axis does not fit.
    """
    if volumes.ndim != 4:
        raise ValueError(f"volumes must have the shape (X, Y, Z, K), found {volumes.shape}")
    if slice_axis not in (0, 1, 2):
        raise ValueError(f"slice_axis must be 0, 1 or 2, found {slice_axis}")
    box = bounding_box(head_mask(np.sqrt(np.mean(np.abs(volumes) ** 2, axis=3))), margin=_MARGIN)
    cleaned = volumes.astype(np.complex64)
    inside = cleaned[box]
    starts = range(0, inside.shape[slice_axis], _SLICES_PER_TASK)
    with ProcessPoolExecutor(max_workers=processes, mp_context=worker_context(), initializer=end_with_parent) as pool:
        tasks: list[tuple[Any, Any, Any]] = []
        for volume in range(volumes.shape[3]):
            for start in starts:
                selection: list[Any] = [slice(None), slice(None), slice(None), volume]
                selection[slice_axis] = slice(start, start + _SLICES_PER_TASK)
                slab = inside[tuple(selection)]
                tasks.append(
                    (
                        tuple(selection),
                        pool.submit(_remove_from_real, np.ascontiguousarray(slab.real), slice_axis),
                        pool.submit(_remove_from_real, np.ascontiguousarray(slab.imag), slice_axis),
                    )
                )
        for where, real, imaginary in tasks:
            inside[where] = real.result() + 1j * imaginary.result()
    size = "×".join(str(length) for length in inside.shape[:3])
    return GibbsResult(
        volumes=cleaned,
        decisions=(
            f"Gibbs ringing was removed by local subvoxel shifts from real and imaginary parts of "
            f"{volumes.shape[3]} volumes, across axis {slice_axis}, in a box of {size} voxels around the "
            "head.",
        ),
    )


def remove_gibbs_from_modes(
    cycles: NDArray[np.complexfloating],
    *,
    rf_phase_increment: Sequence[float],
    orders: Sequence[int] = (-1, 0, 1),
    slice_axis: int,
    processes: int = 1,
) -> GibbsResult:
    """Remove Gibbs ringing from the low SSFP configurations of phase cycles, and return cycles.

    The cycles are transformed to their N configurations, those of `orders` are cleaned and all transformed
    back (Birk et al. 2025 clean the three lowest): smooth images instead of moving bands, in a quarter of the
    time.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N).
    rf_phase_increment
        Increment of each cycle [rad], in any order.
    orders
        Configurations to clean.
    slice_axis, processes
        As in `remove_gibbs_ringing`.

    Returns
    -------
    GibbsResult
        Cycles, same shape. If the increments are not evenly spaced, every cycle is cleaned by itself, and the
        decisions say so.

    Raises
    ------
    ValueError
        If the number of increments is not the number of cycles.
    """
    number = cycles.shape[3]
    increments = np.asarray(rf_phase_increment, dtype=float)
    if increments.shape != (number,):
        raise ValueError(f"cycles has {number} volumes, rf_phase_increment {increments.size}")
    if not evenly_spaced_increments(rf_phase_increment) or len(orders) >= number:
        result = remove_gibbs_ringing(cycles, slice_axis=slice_axis, processes=processes)
        reason = f"the {number} phase increments are not evenly spaced: every cycle was cleaned by itself."
        return GibbsResult(volumes=result.volumes, decisions=(*result.decisions, reason[0].upper() + reason[1:]))
    # Only the change of the cleaned configurations returns to the cycles: the others pass without rounding.
    transform = np.exp(1j * np.outer(increments, orders)).astype(np.complex64) / np.float32(number)
    modes = cycles.astype(np.complex64) @ transform
    result = remove_gibbs_ringing(modes, slice_axis=slice_axis, processes=processes)
    back = np.exp(-1j * np.outer(orders, increments)).astype(np.complex64)
    cleaned = cycles.astype(np.complex64) + (result.volumes - modes) @ back
    names = ", ".join(str(order) for order in orders)
    return GibbsResult(
        volumes=cleaned,
        decisions=(
            *result.decisions,
            f"The volumes were the configurations of order {names}; the others passed unchanged.",
        ),
    )
