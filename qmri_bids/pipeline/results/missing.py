"""Where the voxels without a value lie, in words, as far as the mask alone tells it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import WITH_VALUE, Status

FEWEST_MISSING = 20
"""Fewer voxels lie nowhere in particular."""

MOST = 0.5
"""Share of the missing voxels that must lie in a part of the mask for it to be named."""

ENRICHED = 2.0
"""That share must be at least so many times the share of the mask that lies there."""

LOW, FRONT = 0.4, 0.5
"""Heights from the base, and depths from the front, that count as low and in front, relative to the extent of the mask."""


def where_missing(
    status: Mapping[str, NDArray[np.integer]],
    *,
    mask: NDArray[np.bool_],
    affine: NDArray[np.floating],
    brain: bool,
) -> str:
    """Return where most of the voxels without a value lie, in words; empty where they lie in no part that has a name.

    Parameters
    ----------
    status
        Codes of `Status` by group of maps, shape (X, Y, Z) each. A voxel is missing where any group has no value.
    mask
        Mask of what was estimated, shape (X, Y, Z).
    affine
        Voxel to RAS [mm], shape (4, 4): front and base are told by it.
    brain
        Whether the mask holds a brain: of objects only the edge has a name.
    """
    from scipy.ndimage import binary_erosion

    without = [~np.isin(codes, WITH_VALUE) & (codes != Status.OUTSIDE) for codes in status.values()]
    missing = mask & np.logical_or.reduce(without, axis=0) if without else np.zeros_like(mask)
    if np.count_nonzero(missing) < FEWEST_MISSING:
        return ""
    parts: dict[str, NDArray[np.bool_]] = {}
    if brain:
        indices = np.argwhere(mask)
        world = indices @ np.asarray(affine, dtype=float)[:3, :3].T
        depth, height = _relative(world[:, 1]), _relative(world[:, 2])
        parts["low in the front, on the side of the sinuses"] = _volume(mask, (height < LOW) & (depth > 1.0 - FRONT))
        parts["near its base"] = _volume(mask, height < LOW)
    parts["at its edge"] = mask & ~binary_erosion(mask, border_value=0)
    total = np.count_nonzero(mask)
    for words, part in parts.items():
        share = np.count_nonzero(missing & part) / np.count_nonzero(missing)
        if share >= MOST and share >= ENRICHED * np.count_nonzero(part) / total:
            return words
    return ""


def _relative(positions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return positions from 0 to 1 over their extent."""
    low, high = float(positions.min()), float(positions.max())
    relative: NDArray[np.floating] = (positions - low) / (high - low if high > low else 1.0)
    return relative


def _volume(mask: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    volume = np.zeros_like(mask)
    volume[mask] = chosen
    return volume
