"""What the report of a run keeps for its viewer: packed volumes and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qmri_bids.reports.viewer.packing import Packed


def size_in_page(packed: bytes) -> int:
    """Return the letters that bytes take in a page, where four stand for three bytes."""
    return 4 * math.ceil(len(packed) / 3)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume of all voxels, and of every second one along each axis for a page that would be too large.

    Parameters
    ----------
    full, half
        Packed volumes.
    rank
        Place in the order in which volumes are halved: the highest goes first.
    """

    full: Packed
    half: Packed
    rank: int

    @property
    def saved(self) -> int:
        """Letters of the page that halving saves."""
        return size_in_page(self.full.data) - size_in_page(self.half.data)


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """What the viewer of a run shows.

    Parameters
    ----------
    meta
        All but the volumes, as JSON has it; it calls these by their numbers.
    volumes
        Maps, standard deviations and images.
    labels
        Domains and labels, deflated; they are never halved.
    """

    meta: Mapping[str, Any]
    volumes: tuple[Volume, ...]
    labels: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class ViewerPage:
    """A viewer as it stands in a page: what JSON says, and the text of its labels and volumes (base64)."""

    meta: Mapping[str, Any]
    blobs: tuple[str, ...]
