"""What the display of a map consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qmri_bids.reports.content import Section


def _as_is(value: Any) -> Any:
    """Return the value unchanged: the map is shown in the unit that it has inside."""
    return value


@dataclass(frozen=True, kw_only=True)
class MapStyle:
    """The display of one kind of map.

    Parameters
    ----------
    label
        Name of the quantity.
    symbol
        Its short form at the colour bar.
    unit
        Unit on display.
    window
        Limits on display [`unit`]; None means the 2nd and 98th percentile of the map itself.
    colormap
        Name of a matplotlib colour map.
    display
        Converts from the unit inside the package to `unit`.
    note
        What a reader must know about the unit of the file.
    section
        The part of the report in which the map stands.
    """

    label: str
    symbol: str
    unit: str
    window: tuple[float, float] | None
    colormap: str
    display: Callable[[Any], Any] = _as_is
    note: str = ""
    section: Section = Section.MAPS
