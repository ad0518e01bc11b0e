"""Maps in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence.

    Examples
    --------
    >>> listed(["T1", "T2", "B1"]), listed(["T1"])
    ('T1, T2 and B1', 'T1')
    """
    each = list(names)
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}"


def shown(names: Iterable[str]) -> str:
    """Return known maps, by their names as arguments, as a list in a sentence."""
    return listed(KNOWN_QUANTITIES[name].bare_phrase for name in names)


def shown_stored(names: Iterable[str]) -> str:
    """Return maps by their names as a list in a sentence; what has no row of its own goes with one that has.

    Examples
    --------
    >>> shown_stored(["T1", "off_resonance"])
    'T1 and off-resonance'
    """
    return listed(QUANTITIES[name].bare_phrase for name in names if name in QUANTITIES)
