"""What table and sidecar of a CEST series state, one value a volume, with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import wrong_value
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.scans.cest.context import NOT_STATED, CestTable
from qmri_bids.units import microtesla_to_tesla, ppm_to_hertz, tesla_to_microtesla

SAME = 0.02
"""Relative difference up to which two statements of one value agree."""

SAME_OFFSET = 0.02
"""The same for offsets near water [ppm]."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value that may change from volume to volume.

    Parameters
    ----------
    name
        As in the list of sources.
    column, key
        Column of the table and key of the sidecar.
    unit
        In both.
    expected
        For messages.
    low, high
        What is plausible, in that unit; zero always is.
    doubt
        Question for a message where a value is not plausible.
    """

    name: str
    column: str
    key: str
    unit: str
    expected: str
    low: float
    high: float
    doubt: str


OFFSET_PPM = Quantity(
    name="offsets",
    column="offset_ppm",
    key="SaturationOffset",
    unit="ppm",
    expected="offsets in ppm from water, positive downfield",
    low=-1e4,
    high=1e4,
    doubt="is it in Hz?",
)
OFFSET_HZ = replace(
    OFFSET_PPM,
    column="offset_hz",
    key="SaturationFrequencyOffset",
    unit="Hz",
    expected="offsets in Hz from water, positive downfield",
    low=-1e7,
    high=1e7,
    doubt="what is its unit?",
)
B1_RMS = Quantity(
    name="b1_rms",
    column="b1_rms",
    key="SaturationB1RMS",
    unit="µT",
    expected="B1 in µT, root mean square over pulse and gap",
    low=0.03,
    high=50.0,
    doubt="is it in T, nT or Hz? In gauss 1 µT is 0.01",
)
DURATION = Quantity(
    name="saturation_duration",
    column="saturation_duration",
    key="SaturationDuration",
    unit="s",
    expected="the duration of the whole saturation in seconds",
    low=1e-4,
    high=30.0,
    doubt="is it in ms?",
)
RECOVERY = Quantity(
    name="recovery",
    column="recovery_time",
    key="RecoveryTime",
    unit="s",
    expected="the time between readout and saturation in seconds",
    low=0.0,
    high=60.0,
    doubt="is it in ms?",
)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """Values of one place.

    Parameters
    ----------
    values
        One for every volume, None where none is stated; in the unit of the file until converted.
    file, key
        Where they stand.
    per_volume
        Whether they are stated volume by volume (table, array), which takes precedence over a pulseq file.
    """

    values: tuple[float | None, ...]
    file: str
    key: str
    per_volume: bool

    @property
    def origin(self) -> str:
        """File and key."""
        return f"{self.file}: {self.key}"

    def times(self, factor: float) -> Stated:
        """Return the values in another unit."""
        return replace(self, values=tuple(None if value is None else value * factor for value in self.values))

    def source(self, quantity: Quantity) -> ValueSource:
        """Return the entry in the list of sources; values in the unit of the file."""
        return ValueSource(key=quantity.name, value=summary(self.values), unit=quantity.unit, source=self.origin)


def summary(values: Sequence[float | None]) -> str:
    """Return values as text: one number, a short list, or how many there are and their range.

    Examples
    --------
    >>> summary([2.0, None, 2.0]), summary([1.0, 3.0, 2.0]), summary(list(range(20)))
    ('2', '1, 3, 2', '20 values from 0 to 19')
    """
    numbers = [value for value in values if value is not None]
    if len(set(numbers)) <= 1:
        return f"{numbers[0]:g}" if numbers else "none"
    if len(values) <= 8:
        return ", ".join("n/a" if value is None else f"{value:g}" for value in values)
    return f"{len(numbers)} values from {min(numbers):g} to {max(numbers):g}"


def read_stated(
    quantity: Quantity, *, table: CestTable | None, sidecar: Sidecar, number_of_volumes: int
) -> list[Stated]:
    """Return all statements of a quantity, the one that takes precedence first.

    Raises
    ------
    RefusedError
        If a value is no number or not plausible, or an array has another length than the series.
    """
    found = []
    if table is not None and quantity.column in table.numbers:
        numbers = table.numbers[quantity.column]
        found.append(Stated(values=numbers, file=table.name, key=quantity.column, per_volume=True))
    if quantity.key in sidecar.values:
        found.append(_from_sidecar(quantity, sidecar, number_of_volumes))
    for stated in found:
        for index, value in enumerate(stated.values):
            if value and not (quantity.low <= value <= quantity.high):
                place = f", volume {index} (from 0)" if len(set(stated.values)) > 1 else ""
                raise refuse(
                    file=stated.file,
                    key=f"{stated.key}{place}",
                    expected=quantity.expected,
                    found=f"{value:g}: {quantity.doubt}",
                    advice="Correct the value or its unit.",
                )
    return found


def _from_sidecar(quantity: Quantity, sidecar: Sidecar, number_of_volumes: int) -> Stated:
    key, value = quantity.key, sidecar.values[quantity.key]
    items = value if isinstance(value, list) else [value]
    numbers = [None if isinstance(value, list) and _is_not_stated(item) else item for item in items]
    if not items or not all(item is None or is_number(item) for item in numbers):
        raise wrong_value(
            sidecar,
            key,
            expected=f"{quantity.expected}, one number or an array of one per volume",
            advice="Correct the sidecar; a volume without saturation has null.",
        )
    if not isinstance(value, list):
        numbers = numbers * number_of_volumes
    elif len(items) != number_of_volumes:
        raise refuse(
            file=sidecar.origin(key),
            key=key,
            expected=f"{number_of_volumes} values, one per volume of {sidecar.file}",
            found=str(len(items)),
            advice="State every volume in the order of the image, M0 scans too; the order is never guessed.",
        )
    return Stated(
        values=tuple(None if item is None else float(item) for item in numbers),
        file=sidecar.origin(key),
        key=key,
        per_volume=isinstance(value, list),
    )


def _is_not_stated(item: object) -> bool:
    if item is None or (isinstance(item, float) and math.isnan(item)):
        return True
    return isinstance(item, str) and item.strip().lower() in NOT_STATED


def read_offsets(
    *, table: CestTable | None, sidecar: Sidecar, field_strength: float, number_of_volumes: int
) -> tuple[list[Stated], list[ValueSource]]:
    """Return all statements of the offsets [ppm], the one that takes precedence first, and their sources.

    Raises
    ------
    RefusedError
        As `read_stated`, and if ppm and hertz of one place disagree.
    """
    both = [
        read_stated(quantity, table=table, sidecar=sidecar, number_of_volumes=number_of_volumes)
        for quantity in (OFFSET_PPM, OFFSET_HZ)
    ]
    in_ppm, in_hertz = both
    table_name = table.name if table is not None else None
    converted = []
    for hertz in in_hertz:
        converted.append(hertz.times(1.0 / ppm_to_hertz(1.0, field_strength)))
    for ppm in in_ppm:
        for other in converted:
            same_place = (ppm.file == table_name) == (other.file == table_name)
            if same_place and not agree(ppm, other, SAME_OFFSET):
                volume = next(index for index in range(number_of_volumes) if not _close(ppm, other, index, SAME_OFFSET))
                raise refuse(
                    file=ppm.file,
                    key=f"{ppm.key} and {in_hertz[converted.index(other)].key}",
                    expected=f"the same offsets at {field_strength:g} T",
                    found=f"{_shown(ppm.values[volume])} and {_shown(other.values[volume])} ppm in volume {volume} (from 0)",
                    advice="Keep one of the two, or correct ImagingFrequency.",
                )
    listed = [(stated, stated.source(OFFSET_PPM)) for stated in in_ppm]
    for stated, hertz in zip(converted, in_hertz, strict=True):
        source = hertz.source(OFFSET_HZ)
        listed.append((stated, replace(source, source=f"{source.source}, {field_strength:.5g} T")))
    listed.sort(key=lambda entry: (entry[0].file != table_name, not entry[0].per_volume))
    return [entry[0] for entry in listed], [entry[1] for entry in listed]


def agree(first: Stated, second: Stated, slack: float = 0.0) -> bool:
    """Whether two statements agree in all volumes that both state."""
    return all(_close(first, second, index, slack) for index in range(len(first.values)))


def _close(first: Stated, second: Stated, index: int, slack: float) -> bool:
    one, other = first.values[index], second.values[index]
    return one is None or other is None or math.isclose(one, other, rel_tol=SAME, abs_tol=slack)


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def read_b1(*, table: CestTable | None, sidecar: Sidecar, number_of_volumes: int) -> list[Stated]:
    """Return all statements of B1 [T], the one that takes precedence first."""
    stated = read_stated(B1_RMS, table=table, sidecar=sidecar, number_of_volumes=number_of_volumes)
    return [each.times(microtesla_to_tesla(1.0)) for each in stated]


def b1_source(stated: Stated) -> ValueSource:
    """Return the entry of B1 [T] in the list of sources."""
    return stated.times(tesla_to_microtesla(1.0)).source(B1_RMS)


def missing(sidecar: Sidecar, quantity: Quantity, *, advice: str) -> RefusedError:
    """Return the refusal of a quantity that is stated nowhere."""
    return refuse(
        file=sidecar.origin(quantity.key), key=quantity.key, expected=quantity.expected, found="nothing", advice=advice
    )
