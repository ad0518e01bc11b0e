"""Increments of the RF phase of a scan: from its table, from sidecars, else from names; the order of series tells nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from qmri_bids.bids.metadata.added import OPTION
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS
from qmri_bids.importing.images import SourceImage
from qmri_bids.importing.names import increment_of_name, without_part
from qmri_bids.scans.bssfp.increments import SCALAR_KEY

UNKNOWN = "unknown"
ROUNDING = 0.51
"""How far a whole number in a name may lie from the increment that fills the circle evenly [deg]."""

WAY_OUT = "fill the column increment (degrees) for each of its files and import again with --table"


class IncrementUnknownError(ValueError):
    """The increments of a scan are not known, or contradict each other: its message says what is."""


def parse_increments(cell: str) -> tuple[float, ...]:
    """Return the numbers of a cell of the table [deg], parted by blanks, commas or semicolons; empty where it states none.

    Raises
    ------
    ValueError
        If one is no number.

    Examples
    --------
    >>> parse_increments("0, 90 180;270"), parse_increments("unknown")
    ((0.0, 90.0, 180.0, 270.0), ())
    """
    if cell.strip().lower() in ("", "n/a", UNKNOWN):
        return ()
    try:
        numbers = tuple(float(word) for word in cell.replace(",", " ").replace(";", " ").split())
    except ValueError:
        numbers = (math.nan,)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(
            f"increment: expected degrees, one for each volume of the file, found {cell!r}. Correct the table."
        )
    return numbers


def increments_of(
    images: Sequence[SourceImage], *, parts: Mapping[str, str], given: Mapping[str, tuple[float, ...]]
) -> tuple[dict[str, tuple[float, ...]], str, list[str]]:
    """Return the increments of each file of a scan [deg], where they come from, and sentences on what was decided.

    Parameters
    ----------
    images
        Files of one scan: one 4D file a part, or one file a cycle and part.
    parts
        Part of each file, by its name.
    given
        What the table states, by the name of the file.

    Raises
    ------
    IncrementUnknownError
        If they are not known for every 3D file, contradict each other, or do not fit the volumes. Those of 4D files that nothing
        states are left out.
    """
    if any(image.volumes > 1 for image in images):
        return _of_series(images, given)
    series = list(_series(images, parts))
    given = _inherited(given, series)
    stated = {image.name: value for image in images if (value := _scalar(image)) is not None}
    by_part = [[image for image in images if parts[image.name] == part] for part in dict.fromkeys(parts.values())]
    if not all(_differ([stated[i.name] for i in same if i.name in stated]) for same in by_part):
        stated = {}  # one value for all is that of a spoiled sequence, or of the protocol
    known = stated | {name: value[0] for name, value in given.items() if len(value) == 1}
    many = next((name for name, value in given.items() if len(value) > 1), None)
    if many is not None:
        raise IncrementUnknownError(f"{many}: increment: expected one number for one volume, found {len(given[many])}")
    source = "table" if set(given) >= set(parts) else "sidecars and table" if given else "sidecars"
    said: list[str] = []
    named, called, doubt = _of_names(images)
    if set(known) < set(parts):
        if not named:
            lacking = [image.name for image in images if image.name not in known]
            raise IncrementUnknownError(
                f"increment unknown of {len(lacking)} of {len(images)} files ({lacking[0]} …): no RFPhaseIncrement in the sidecar, "
                f"and {doubt}; {WAY_OUT}"
            )
        wrong = next((name for name, value in known.items() if not _same(value, named[name])), None)
        if wrong is not None:
            raise IncrementUnknownError(
                f"increments contradict each other: {wrong} has {known[wrong]:g}, its name says {named[wrong]:g}; {WAY_OUT}"
            )
        known, source = named | known, f"{called} (they fill the circle evenly)"
    elif named and any(not _same(known[name], named[name]) for name in parts):
        said.append(f"the numbers in {called} are others than the increments: the {source} decide")
    _check_series(known, series, source)
    _check_parts(known, by_part)
    return {name: (value,) for name, value in known.items()}, source, said


def _series(images: Sequence[SourceImage], parts: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the names of files that are parts of one series: they share a name, or the number or time of acquisition.

    What several files of one part share tells nothing.
    """
    keys: tuple[Callable[[SourceImage], Hashable], ...] = (
        lambda image: without_part(image.name.removesuffix(image.name.rpartition("/")[2]) + image.stem),
        lambda image: _all_of(image, "SeriesNumber", "AcquisitionTime"),
        lambda image: _all_of(image, "AcquisitionTime"),
        lambda image: _all_of(image, "SeriesDescription"),
        _name_without_number,
    )
    for key in keys:
        groups: dict[Hashable, list[str]] = {}
        for image in images:
            if (value := key(image)) is not None:
                groups.setdefault(value, []).append(image.name)
        for names in groups.values():
            if len(names) > 1 and len({parts[name] for name in names}) == len(names):
                yield names


def _name_without_number(image: SourceImage) -> str | None:
    """Return the name of a file without part and number of its series, None where it does not end with that number."""
    start, _, number = without_part(image.stem).rpartition("_")
    return start if start and number.isdecimal() and int(number) == image.number("SeriesNumber") else None


def _all_of(image: SourceImage, *keys: str) -> Hashable:
    values = [image.values.get(key) for key in keys]
    return repr(values) if all(isinstance(value, int | float | str) for value in values) else None


def _inherited(given: Mapping[str, tuple[float, ...]], series: Sequence[Sequence[str]]) -> dict[str, tuple[float, ...]]:
    """Return what the table states, and for the other parts of the same series the same."""
    found = dict(given)
    for names in series:
        stated = next((given[name] for name in names if name in given), None)
        if stated is not None:
            found |= {name: found.get(name, stated) for name in names}
    return found


def _check_series(known: Mapping[str, float], series: Sequence[Sequence[str]], source: str) -> None:
    """Check that the parts of one series have one increment.

    Raises
    ------
    IncrementUnknownError
        Naming the files.
    """
    for first, *others in series:
        for other in others:
            if not _differ([known[first], known[other]]):
                continue
            raise IncrementUnknownError(
                f"increments contradict each other ({source}): {first} has {known[first]:g}, {other} has {known[other]:g}, and "
                "both "
                f"are parts of one series by their names, numbers or times; {WAY_OUT}"
            )


def _of_series(
    images: Sequence[SourceImage], given: Mapping[str, tuple[float, ...]]
) -> tuple[dict[str, tuple[float, ...]], str, list[str]]:
    found: dict[str, tuple[tuple[float, ...], str]] = {}
    for image in images:
        if image.name in given:
            found[image.name] = given[image.name], "table"
            continue
        for key in INCREMENT_KEYS:
            value = image.values.get(key)
            if isinstance(value, list) and value and all(is_number(item) for item in value):
                found[image.name] = tuple(float(item) for item in value), key
                break
    if not found:
        # The volumes keep their order: what they are can be said later.
        sentence = (
            f"increment unknown: no RFPhaseIncrement in the sidecar; before the {images[0].volumes} volumes are processed, fill "
            "the column increment (degrees, one for each volume, in their order) and import again with --table and --overwrite, or "
            f"give RFPhaseIncrement to qmri_bids by {OPTION}"
        )
        return {}, "", [sentence]
    from_table = {name: entry for name, entry in found.items() if entry[1] == "table"}
    used = from_table or found
    if len({values for values, _ in used.values()}) > 1:
        shown = "; ".join(f"{name}: {_shown(values)}" for name, (values, _) in used.items())
        raise IncrementUnknownError(f"increments contradict each other ({shown}); {WAY_OUT}")
    values, source = next(iter(used.values()))
    for image in images:
        if len(values) != image.volumes:
            raise IncrementUnknownError(
                f"{image.name}: increment: expected {image.volumes} numbers, one for each volume, found {len(values)} "
                f"({source}); {WAY_OUT}"
            )
    if not _differ(list(values)):
        raise IncrementUnknownError(f"increments are not different ({_shown(values)}, {source}); {WAY_OUT}")
    said = []
    if from_table and any(entry[0] != values for entry in found.values()):
        said.append("the table states other increments than the sidecar: the table decides")
    return {image.name: values for image in images}, source, said


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _scalar(image: SourceImage) -> float | None:
    for key in (*INCREMENT_KEYS, SCALAR_KEY):
        value = image.values.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if is_number(value):
            return float(value)
    return None


def _differ(values: Sequence[float]) -> bool:
    return len({residue(value) for value in values}) == len(values)


def residue(value: float) -> float:
    """Return an increment between 0 and 360, by which cycles are ordered and compared [deg].

    Examples
    --------
    >>> residue(-90.0), residue(360.0), residue(359.99999)
    (270.0, 0.0, 0.0)
    """
    return round(value % 360.0, 3) % 360.0


def _same(value: float, named: float) -> bool:
    return abs((value - named + 180.0) % 360.0 - 180.0) <= ROUNDING


def _of_names(images: Sequence[SourceImage]) -> tuple[dict[str, float], str, str]:
    """Return the increments that names tell, which names do, and why none does."""
    found: list[tuple[dict[str, float], str]] = []
    doubts: list[str] = []
    for called, key in (
        ("SeriesDescription", "SeriesDescription"),
        ("ProtocolName", "ProtocolName"),
        ("the file names", ""),
    ):
        numbers = {
            image.name: number
            for image in images
            if (number := increment_of_name(image.text(key) if key else image.stem)) is not None
        }
        if len(numbers) < len(images):
            continue
        different = sorted(set(numbers.values()))
        exact = dict(zip(different, _evened(different), strict=False))
        if exact:
            found.append(({name: exact[number] for name, number in numbers.items()}, called))
        elif len(different) > 1:
            doubts.append(f"the numbers in {called} ({_shown(different[:8])}) do not fill the circle evenly")
    if not found:
        return {}, "", "; ".join(doubts) or "no numbers of increments in the names"
    if any(not _same(found[0][0][name], other[name]) for other, _ in found[1:] for name in other):
        return {}, "", f"{found[0][1]} and {found[1][1]} state different increments"
    return found[0][0], found[0][1], ""


def _evened(values: Sequence[float]) -> list[float]:
    """Return different numbers that fill the circle evenly, freed of rounding to whole degrees; nothing if they do not.

    Examples
    --------
    >>> _evened([68, 22, 112, 158, 202, 248, 292, 338])[:2]
    [67.5, 22.5]
    >>> _evened([1, 2, 3, 4])
    []
    """
    number = len(values)
    if number < 2 or not _differ(values):
        return []
    step = 360.0 / number
    # Of rounded numbers the start is that of the grid of quarter degrees that all of them fit.
    order = sorted(range(number), key=lambda index: values[index])
    starts = [values[index] - rank * step for rank, index in enumerate(order)]
    if max(starts) - min(starts) > 2.0 * ROUNDING or min(values) < 0.0 or max(values) > 360.0:
        return []
    whole = all(value == int(value) for value in values)
    start = 0.5 * (max(starts) + min(starts))
    if not whole or max(starts) - min(starts) < 1e-9:
        return [float(value) for value in values] if max(starts) - min(starts) < 0.02 else []
    candidates = sorted(
        (round(start * 4.0) / 4.0 + shift / 4.0 for shift in (-2, -1, 0, 1, 2)), key=lambda s: abs(s - start)
    )
    # Cycles begin at 0 or half a step on the grids that are in use.
    candidates = [0.0, step / 2.0, *candidates]
    for candidate in candidates:
        if all(abs(candidate + rank * step - values[index]) <= ROUNDING for rank, index in enumerate(order)):
            exact = {index: candidate + rank * step for rank, index in enumerate(order)}
            return [exact[index] for index in range(number)]
    return []


def _check_parts(known: Mapping[str, float], by_part: Sequence[Sequence[SourceImage]]) -> None:
    """Check that every part has every increment once.

    Raises
    ------
    IncrementUnknownError
        Naming the files.
    """
    sets = []
    for same in by_part:
        seen: dict[float, str] = {}
        for image in same:
            value = residue(known[image.name])
            if value in seen:
                raise IncrementUnknownError(
                    f"{seen[value]} and {image.name} both have the increment {value:g}: correct the column increment, or give the "
                    "files of two runs different labels in the column scan, and import again with --table"
                )
            seen[value] = image.name
        sets.append(seen)
    for other in sets[1:]:
        lonely = set(sets[0]) ^ set(other)
        if lonely:
            value = min(lonely)
            name = sets[0].get(value) or other.get(value)
            raise IncrementUnknownError(
                f"increment {value:g} is there for {name} alone, without its other part: add the missing file; "
                "or, to do without this "
                f"cycle, write 'left alone' under taken_for of {name}, fill the column increment of all others, "
                "and import again with "
                "--table"
            )
