"""Which runs are comparable: those of one kind and name that were acquired alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.reports.content import parameter_key, parameter_name

NOT_COMPARED = ("m0", "m0_file")
"""Values of an acquisition that say nothing of its maps: which images have the full signal, and the name of their file."""

OTHER_SCANS = (
    "b1_nominal_flip_angle",
    "b1_flip_angle",
    "b1_scale",
    "b1_repetition_time",
    "b1_repetition_times",
    "b1_relaxation_error",
    "b1_first_order_error",
)
"""Values of the scan that measured B1, which is another one, by their keys."""

DIGITS = 3
"""Significant digits to which values are compared: scanners round, and the frequency of each head is its own."""

PROTONS = 42.577
"""Frequency of protons over the field [MHz/T]."""

NOMINAL_FIELDS = (0.35, 0.55, 1.0, 1.5, 3.0, 4.7, 7.0, 9.4, 10.5, 11.7)
"""Fields by which scanners are called [T]; one of 3 T may have 2.89."""

NEAR_FIELD = 0.05
"""Share by which the field of a scanner may differ from the one by which it is called."""

COMPARABLE = (
    "Comparable are runs of one kind and name whose stated acquisition is the same to three digits: size of the voxels, times, "
    "flip angles, phase cycles, offsets and pulses, at the same nominal field (2.89 T and 3 T are one), but not how B1 was "
    "measured. Each such protocol is judged by itself; repetitions and sessions are taken together."
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """An acquisition that several runs share.

    Parameters
    ----------
    kind, series
        What was done, and the entities that name the scan.
    number
        From 1, the most frequent first.
    runs
        How many runs have it.
    differs
        What of it differs from other protocols of the same scan, in words; empty where there is one alone.
    """

    kind: str
    series: str
    number: int
    runs: int
    differs: str


@dataclass(frozen=True, kw_only=True)
class Protocols:
    """The protocols of a group.

    Parameters
    ----------
    found
        All of them, those of one scan together.
    number_of
        Number of the protocol of every processed run, by its place in the group.
    """

    found: tuple[Protocol, ...]
    number_of: Mapping[int, int]

    def of(self, kind: str, series: str) -> tuple[Protocol, ...]:
        """Return the protocols of a scan."""
        return tuple(each for each in self.found if (each.kind, each.series) == (kind, series))


def protocols_of(group: Group) -> Protocols:
    """Return which runs were acquired alike.

    Runs of records that state no acquisition (those of earlier versions) are taken for one protocol of their own.
    """
    signatures: dict[tuple[str, str], dict[int, tuple[tuple[str, str], ...]]] = {}
    for place, run in enumerate(group.runs):
        if run.record is not None:
            signatures.setdefault((run.kind, run.series), {})[place] = signature(run)
    found: list[Protocol] = []
    number_of: dict[int, int] = {}
    for (kind, series), by_place in signatures.items():
        ordered = [each for each, _ in Counter(by_place.values()).most_common()]
        shared = set.intersection(*(set(each) for each in ordered))
        numbers = {each: number for number, each in enumerate(ordered, start=1)}
        counts = Counter(by_place.values())
        for each in ordered:
            own = [f"{parameter_name(key)} {value}" for key, value in each if (key, value) not in shared]
            words = "; ".join(own) or "nothing stated" if len(ordered) > 1 else ""
            found.append(Protocol(kind=kind, series=series, number=numbers[each], runs=counts[each], differs=words))
        number_of |= {place: numbers[each] for place, each in by_place.items()}
    return Protocols(found=tuple(found), number_of=number_of)


def signature(run: GroupRun) -> tuple[tuple[str, str], ...]:
    """Return the values of the acquisition of a run as they are compared, by key; earlier records tell it by name."""
    if run.record is None:
        return ()
    keys = run.record.protocol_keys
    stated = {keys.get(name) or parameter_key(name): value for name, value in run.record.protocol.items()}
    left_out = (*NOT_COMPARED, *OTHER_SCANS)
    return tuple((key, compared(key, value)) for key, value in sorted(stated.items()) if key not in left_out)


def compared(key: str, value: str) -> str:
    """Return a value as it is compared.

    Examples
    --------
    >>> compared("field_strength", "127.729 MHz"), compared("field_strength", "2.89 T"), compared("repetition_time", "4.8004 ms")
    ('3 T', '3 T', '4.8 ms')
    """
    if key == "field_strength":
        return "; ".join(dict.fromkeys(_field(each) for each in value.split("; ")))
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found.group()):.{DIGITS}g}", value)


def _field(value: str) -> str:
    """Return the nominal field in tesla, whether it was stated as a field or as the frequency of protons."""
    number, _, unit = value.partition(" ")
    try:
        field = float(number) / (PROTONS if unit == "MHz" else 1.0)
    except ValueError:
        return value
    near = next((each for each in NOMINAL_FIELDS if abs(field - each) <= NEAR_FIELD * each), round(field, 1))
    return f"{near:g} T"
