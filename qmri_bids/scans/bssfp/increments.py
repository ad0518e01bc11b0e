"""RF phase increments of a run: from the table, the sidecar or one scalar a file, never from a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from qmri_bids.bids.files.tables import read_table
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS
from qmri_bids.bids.metadata.sidecar import Sidecar, applicable_files
from qmri_bids.bids.metadata.values import common_text, describe, wrong_value
from qmri_bids.bids.refusal import ValueSource, refuse, relative_name
from qmri_bids.units import degrees_to_radians

SCALAR_KEY = "SpoilingRFPhaseIncrement"
"""Key of BIDS for one number a file; it means RF spoiling in a spoiled sequence."""

REFERENCE_KEY = "RFPhaseIncrementReference"
MINIMUM_CYCLES = 3
ADD_INCREMENTS = (
    "State the increments in degrees, one per volume in the order of the volumes, as the array "
    "RFPhaseIncrement in "
    "the sidecar, or for the whole dataset in a file given by --metadata; the order is never guessed."
)


@dataclass(frozen=True, kw_only=True)
class Increments:
    """Increments of the cycles that are used.

    Parameters
    ----------
    radians
        One for every cycle, absolute [rad].
    volumes
        Index of the volume of each cycle.
    flip_angle
        Flip angle of the table [degrees] and its source, if it has one.
    sources
        Where the increments and their reference came from.
    warnings
        Sentences for the log and the report.
    """

    radians: tuple[float, ...]
    volumes: tuple[int, ...]
    flip_angle: tuple[float, str] | None
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]


def states_increments(sidecar: Sidecar) -> bool:
    """Whether a sidecar has a key that only a phase-cycled scan has."""
    return any(key in sidecar.values for key in INCREMENT_KEYS)


def read_series_increments(
    sidecars: Sequence[Sidecar], *, path: Path, root: Path, number_of_volumes: int
) -> Increments:
    """Return the increments of a 4D series.

    Parameters
    ----------
    sidecars
        Of the parts of the series (magnitude and phase …).
    path
        One of the images: `_ssfpcontext.tsv` is found beside or above it.
    root
        The dataset.
    number_of_volumes
        Length of the last axis of the images.

    Raises
    ------
    RefusedError
        If the increments are missing, not numeric, of another count than the volumes, fewer than three or in
        radians.
    """
    warnings: list[str] = []
    tables = applicable_files(path, root=root, suffix="ssfpcontext", extension=".tsv")
    sidecar_values = _from_arrays(sidecars)
    volumes = tuple(range(number_of_volumes))
    flip_angle = None
    if tables:
        table = _read_table(tables[-1], root=root, number_of_volumes=number_of_volumes)
        degrees, volumes, flip_angle = table.degrees, table.volumes, table.flip_angle
        file, key = table.name, "rf_phase_increment"
        if sidecar_values is not None and sidecar_values[0] != table.all_degrees:
            warnings.append(
                f"{sidecar_values[1]}: {sidecar_values[2]} differs from {table.name}; the table is used, as "
                f"it takes precedence."
            )
        if len(volumes) < number_of_volumes:
            left_out = sorted(set(range(number_of_volumes)) - set(volumes))
            shown = ", ".join(str(index + 1) for index in left_out)
            warnings.append(f"{table.name} marks cycles as not valid, which are left out: {shown} (the first is 1).")
    elif sidecar_values is not None:
        degrees, file, key = sidecar_values
        _check_count(degrees, number_of_volumes, file=file, key=key)
    elif any(SCALAR_KEY in sidecar.values for sidecar in sidecars):
        sidecar = next(sidecar for sidecar in sidecars if SCALAR_KEY in sidecar.values)
        raise wrong_value(
            sidecar,
            SCALAR_KEY,
            expected=f"the array RFPhaseIncrement for {number_of_volumes} volumes",
            advice=f"{SCALAR_KEY} is one number for one 3D file in BIDS. {ADD_INCREMENTS}",
        )
    else:
        raise wrong_value(
            sidecars[0],
            INCREMENT_KEYS[0],
            expected=f"an array of {number_of_volumes} increments in degrees",
            advice=ADD_INCREMENTS,
        )
    return _finish(degrees, sidecars, file=file, key=key, volumes=volumes, flip_angle=flip_angle, warnings=warnings)


def read_split_increments(sidecars: Sequence[Sidecar], *, all_sidecars: Sequence[Sidecar]) -> Increments:
    """Return the increments of a run of one 3D file a cycle.

    Parameters
    ----------
    sidecars
        One for every cycle, in the order of the cycles.
    all_sidecars
        Of all parts of all cycles: none may disagree with its cycle.

    Raises
    ------
    RefusedError
        As `read_series_increments`, and if labels like `PC090` name the same increments in another order.
    """
    degrees = tuple(_scalar(sidecar)[0] for sidecar in sidecars)
    first_key = _scalar(sidecars[0])[1]
    cycle_of = {_cycle_label(sidecar.file): value for sidecar, value in zip(sidecars, degrees, strict=True)}
    for sidecar in all_sidecars:
        stated = _scalar(sidecar)[0] if states_increments(sidecar) or SCALAR_KEY in sidecar.values else None
        expected = cycle_of[_cycle_label(sidecar.file)]
        if stated is not None and stated != expected:
            raise refuse(
                file=sidecar.file,
                key=_scalar(sidecar)[1],
                expected=f"{expected:g} as in the other part of this cycle",
                found=f"{stated:g}",
                advice="Correct the sidecar.",
            )
    _check_labels(sidecars, degrees)
    file = f"{sidecars[0].origin(first_key)} and {len(sidecars) - 1} more"
    return _finish(
        degrees,
        all_sidecars,
        file=file,
        key=first_key,
        volumes=tuple(range(len(degrees))),
        flip_angle=None,
        warnings=[],
    )


def _from_arrays(sidecars: Sequence[Sidecar]) -> tuple[tuple[float, ...], str, str] | None:
    """Return the array of increments, its file and key; all aliases and parts must agree."""
    found: tuple[tuple[float, ...], str, str] | None = None
    for sidecar in sidecars:
        for key in INCREMENT_KEYS:
            if key not in sidecar.values:
                continue
            value = sidecar.values[key]
            if not isinstance(value, list) or not all(is_number(item) for item in value):
                raise wrong_value(
                    sidecar,
                    key,
                    expected="an array of numbers in degrees, one per volume",
                    advice=ADD_INCREMENTS,
                )
            degrees = tuple(float(item) for item in value)
            if found is not None and degrees != found[0]:
                raise refuse(
                    file=sidecar.origin(key),
                    key=key,
                    expected=f"the same values as {found[2]} in {found[1]}",
                    found=describe(value),
                    advice="Keep one key, RFPhaseIncrement, the same for all parts of the run.",
                )
            found = found or (degrees, sidecar.origin(key), key)
    return found


def _scalar(sidecar: Sidecar) -> tuple[float, str]:
    """Return the increment of one 3D file and its key."""
    for key in (*INCREMENT_KEYS, SCALAR_KEY):
        if key in sidecar.values:
            value = sidecar.values[key]
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if not is_number(value):
                raise wrong_value(
                    sidecar,
                    key,
                    expected="one number in degrees for this 3D file",
                    advice="Correct the sidecar.",
                )
            return float(value), key
    raise wrong_value(
        sidecar,
        SCALAR_KEY,
        expected="one increment in degrees for this 3D file",
        advice=f"Add RFPhaseIncrement or {SCALAR_KEY} to the sidecar of every cycle; it is not read from "
        f"the file name.",
    )


def _cycle_label(file: str) -> str:
    return parse_name(Path(file)).entities.get("acq", "")


def _check_labels(sidecars: Sequence[Sidecar], degrees: tuple[float, ...]) -> None:
    """Refuse labels that name the increments of the sidecars in another order: one of the two is wrong."""
    labels = [re.search(r"PC(\d+)$", _cycle_label(sidecar.file)) for sidecar in sidecars]
    named = [float(label[1]) for label in labels if label is not None]
    if len(named) == len(degrees) and sorted(named) == sorted(degrees) and tuple(named) != degrees:
        wrong = next(index for index, value in enumerate(degrees) if value != named[index])
        raise refuse(
            file=sidecars[wrong].file,
            key=_scalar(sidecars[wrong])[1],
            expected=f"{named[wrong]:g} as the file name says",
            found=f"{degrees[wrong]:g}",
            advice="The sidecars and the names give the same increments to different files: correct one of them.",
        )


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    all_degrees: tuple[float, ...]
    degrees: tuple[float, ...]
    volumes: tuple[int, ...]
    flip_angle: tuple[float, str] | None


def _read_table(path: Path, *, root: Path, number_of_volumes: int) -> _Table:
    """Read `_ssfpcontext.tsv`: columns rf_phase_increment [degrees], flip_angle [degrees], valid (0 or 1)."""
    name = relative_name(path, root)
    columns, rows = read_table(path, root=root)
    if "rf_phase_increment" not in columns:
        raise refuse(
            file=name,
            key="rf_phase_increment",
            expected="a tab-separated column of this name",
            found=f"the columns {columns}",
            advice="Add the column, in degrees, one row per volume.",
        )

    def column(key: str) -> list[float]:
        numbers = []
        for index, row in enumerate(rows):
            try:
                number = float(row[key])
            except (TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number):
                raise refuse(
                    file=name,
                    key=f"{key}, row {index + 1}",
                    expected="a number",
                    found=describe(row[key]),
                    advice="Correct the table.",
                )
            numbers.append(number)
        return numbers

    all_degrees = tuple(column("rf_phase_increment"))
    _check_count(all_degrees, number_of_volumes, file=name, key="rf_phase_increment")
    volumes = tuple(range(len(all_degrees)))
    if "valid" in columns:
        valid = column("valid")
        if not set(valid) <= {0.0, 1.0}:
            raise refuse(file=name, key="valid", expected="0 or 1", found=describe(valid), advice="Correct the table.")
        volumes = tuple(index for index in volumes if valid[index])
    flip_angle = None
    if "flip_angle" in columns:
        angles = column("flip_angle")
        if len(set(angles)) > 1:
            raise refuse(
                file=name,
                key="flip_angle",
                expected="one flip angle for all volumes",
                found=describe(angles),
                advice="Write the volumes of each flip angle as a run of its own (flip-1, flip-2, …).",
            )
        flip_angle = angles[0], f"{name}: flip_angle"
    return _Table(
        name=name,
        all_degrees=all_degrees,
        degrees=tuple(all_degrees[index] for index in volumes),
        volumes=volumes,
        flip_angle=flip_angle,
    )


def _check_count(degrees: Sequence[float], number_of_volumes: int, *, file: str, key: str) -> None:
    if len(degrees) != number_of_volumes:
        raise refuse(
            file=file,
            key=key,
            expected=f"{number_of_volumes} increments, one per volume",
            found=str(len(degrees)),
            advice=ADD_INCREMENTS,
        )


def _in_gon(degrees: Sequence[float]) -> bool:
    """Whether increments are spaced evenly over 400 and not over 360; ten of them, from 0 to 360, may be either."""
    number, ordered = len(degrees), sorted(degrees)
    spaces = [second - first for first, second in pairwise(ordered)]
    if number < MINIMUM_CYCLES or max(spaces) - min(spaces) > 0.02 * max(spaces):
        return False
    turn = number * (ordered[-1] - ordered[0]) / (number - 1)
    return abs(turn - 400.0) < 0.5 and not (number == 10 and abs(ordered[-1] - 360.0) < 0.5)


def _finish(
    degrees: tuple[float, ...],
    sidecars: Sequence[Sidecar],
    *,
    file: str,
    key: str,
    volumes: tuple[int, ...],
    flip_angle: tuple[float, str] | None,
    warnings: list[str],
) -> Increments:
    """Check the values and convert them to absolute increments in radians."""
    different = len({round(value % 360.0, 3) % 360.0 for value in degrees})
    listed = ", ".join(f"{value:g}" for value in degrees)
    largest = max((abs(value) for value in degrees), default=0.0)
    if len(degrees) >= MINIMUM_CYCLES and 0.0 < largest < 2.0 * math.pi + 0.01:
        raise refuse(
            file=file,
            key=key,
            expected="increments in degrees",
            found=f"{listed}, which looks like radians",
            advice="Convert the increments to degrees (multiply by 57.29578).",
        )
    if _in_gon(degrees):
        raise refuse(
            file=file,
            key=key,
            expected="increments in degrees, 360 to a turn",
            found=f"{listed}, which are spaced evenly over 400, as gon are",
            advice="Convert the increments to degrees (multiply by 0.9).",
        )
    if different < MINIMUM_CYCLES:
        raise refuse(
            file=file,
            key=key,
            expected=f"at least {MINIMUM_CYCLES} different increments",
            found=f"{different} ({listed})",
            advice="T1, T2 and off-resonance need three phase cycles or more, best 12: this run cannot be used.",
        )
    if different < len(degrees):
        warnings.append(f"{file}: {key}: some of the {len(degrees)} cycles have the same increment ({listed}).")
    sources = [ValueSource(key="rf_phase_increment", value=listed, unit="deg", source=f"{file}: {key}")]
    text = "'absolute' (0: all pulses have the same phase) or 'alternating' (0: the 0°/180° scheme)"
    stated = common_text(sidecars, REFERENCE_KEY, expected=text, advice="Correct or remove the key.")
    radians = tuple(degrees_to_radians(value) for value in degrees)
    if stated is None:
        reference, origin = "absolute", "default: 0 means that all pulses have the same phase"
    else:
        reference, origin = stated[0].lower(), stated[1]
    if reference == "alternating":
        radians = tuple((value + math.pi) % (2.0 * math.pi) for value in radians)
        origin += ", converted to absolute by adding 180°"
    elif reference != "absolute":
        sidecar = next(sidecar for sidecar in sidecars if REFERENCE_KEY in sidecar.values)
        raise wrong_value(sidecar, REFERENCE_KEY, expected=text, advice="Correct or remove the key.")
    sources.append(ValueSource(key="rf_phase_increment_reference", value=reference, unit="", source=origin))
    return Increments(
        radians=radians,
        volumes=volumes,
        flip_angle=flip_angle,
        sources=tuple(sources),
        warnings=tuple(warnings),
    )
