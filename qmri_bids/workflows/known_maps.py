"""The known maps of fingerprints under the names that they have in the different places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownMap:
    """The names of a known map.

    Parameters
    ----------
    shown
        In sentences.
    stored
        In files between nodes, and in the tables of styles.
    output
        Row in `data/outputs.json` of the map of the run that estimated it; with `known_` before, of the map as used.
    transform
        Row in `data/outputs.json` of the transform by which it came.
    """

    shown: str
    stored: str
    output: str
    transform: str


KNOWN_MAPS: Mapping[str, KnownMap] = {
    "t1": KnownMap(shown="T1", stored="T1", output="T1map", transform="t1_to_scan_transform"),
    "t2": KnownMap(shown="T2", stored="T2", output="T2map", transform="t2_to_scan_transform"),
    "b1": KnownMap(shown="B1", stored="b1", output="TB1map", transform="b1_to_scan_transform"),
    "off_resonance": KnownMap(
        shown="off-resonance", stored="off_resonance", output="fieldmap", transform="b0_to_scan_transform"
    ),
}
"""By the names of `physics.exchange_scan.KNOWN`."""


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
    """Return known maps as a list in a sentence."""
    return listed(KNOWN_MAPS[name].shown for name in names)


def shown_stored(names: Iterable[str]) -> str:
    """Return maps by the names that they have in files between nodes as a list in a sentence; others as they are.

    Examples
    --------
    >>> shown_stored(["T1", "off_resonance"])
    'T1 and off-resonance'
    """
    rows = {row.stored: row.shown for row in KNOWN_MAPS.values()}
    return listed(rows.get(name, name) for name in names)
