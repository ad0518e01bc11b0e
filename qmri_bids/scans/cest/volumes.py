"""Which volumes of a CEST series are used, and what for."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.scans.cest.book import Book
from qmri_bids.scans.cest.context import RowRole
from qmri_bids.scans.cest.values import Stated

FAR_OFFSET = 100.0
"""From here on [ppm] the farthest offset of a series is that of its M0."""

FARTHEST_MEANINGFUL = 1000.0
"""Offset of a saturated volume beyond which its unit is wrong [ppm]."""


def read_roles(book: Book, *, offsets: Stated, b1: Stated) -> tuple[RowRole, ...]:
    """Return what each volume is for: as the table says, else M0 is what has no saturation or the farthest offset."""
    if book.table is not None and book.table.roles is not None:
        roles = book.table.roles
        book.sources.append(
            ValueSource(key="m0", value=_listed(roles, "m0"), unit="", source=f"{book.table.name}: volume_type")
        )
        return roles
    numbers = [abs(offset) for offset in offsets.values if offset is not None]
    farthest = max(numbers, default=0.0)
    found: list[RowRole] = []
    for index, offset in enumerate(offsets.values):
        silent = offset is None or b1.values[index] == 0.0
        far = offset is not None and farthest >= FAR_OFFSET and abs(offset) >= 0.999 * farthest
        silent = silent or (book.played is not None and book.played.images[index].is_m0)
        found.append("m0" if silent or far else "cest")
    reason = "volumes without saturation"
    if farthest >= FAR_OFFSET:
        reason += f" or at the farthest offset, {farthest:g} ppm,"
    reason += " normalise the others"
    if "m0" in found:
        source = f"derived: {reason}; no volume_type is stated"
        book.sources.append(ValueSource(key="m0", value=_listed(found, "m0"), unit="", source=source))
    return tuple(found)


def _listed(roles: Sequence[str], role: str) -> str:
    """Return the indices of the volumes of a role, as text."""
    found = [str(index) for index, each in enumerate(roles) if each == role]
    shown = ", ".join(found[:6]) + (", …" if len(found) > 6 else "")
    return f"volume {shown} (from 0)" if found else "none"


def say_left_out(book: Book, roles: Sequence[RowRole], used: Sequence[int]) -> None:
    """Add a warning for dummies and for volumes that are marked as not valid."""
    dummies = [index for index, role in enumerate(roles) if role == "dummy"]
    marked = [index for index in range(book.number) if index not in used and index not in dummies]
    name = book.table.name if book.table is not None else ""
    if dummies:
        book.warnings.append(f"{name}: the volumes {dummies} (from 0) are dummies: they are left out.")
    if marked:
        book.warnings.append(f"{name} marks the volumes {marked} (from 0) as not valid: they are left out.")


def check_offsets(offsets: Stated, roles: Sequence[RowRole], used: Sequence[int]) -> None:
    """Check that every saturated volume has an offset [ppm] that means something.

    Raises
    ------
    RefusedError
        If one has none, or one of more than 1000 ppm.
    """
    for index in used:
        value = offsets.values[index]
        if roles[index] == "m0":
            continue
        if value is None or abs(value) > FARTHEST_MEANINGFUL:
            raise refuse(
                file=offsets.file,
                key=f"{offsets.key}, volume {index} (from 0)",
                expected=f"an offset of at most {FARTHEST_MEANINGFUL:g} ppm for a saturated volume",
                found="nothing" if value is None else f"{value:g} ppm: is it in Hz?",
                advice="Correct the offset, or mark the volume as m0scan or dummy in volume_type.",
            )
