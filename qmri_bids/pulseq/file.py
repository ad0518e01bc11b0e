"""The text tables of a pulseq file, versions 1.2 to 1.5, as they stand: nothing is rasterised.

Source: Layton et al., MRM 77:1544 (2017), and the specification of the format at pulseq.github.io. A pulse of seconds at a raster
of 1 µs is two numbers in the file and stays two numbers here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qmri_bids.bids.files.plain import UnreadableError, read_bytes
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.pulseq.shapes import Envelope, Shape, envelope

VERSIONS = ((1, 2), (1, 5))
"""First and last version of the format that is read."""

LARGEST = 64 * 2**20
"""Of a file that is read [bytes]: sequences of CEST take thousands of lines."""

_RASTER = {"RadiofrequencyRasterTime": 1e-6, "GradientRasterTime": 1e-5, "BlockDurationRaster": 1e-5}
"""Used where the definitions do not state them [s], as versions before 1.4 did not."""

_AGAIN = "Write the sequence again with pulseq, or restore the file."


@dataclass(frozen=True, kw_only=True)
class RfEvent:
    """A row of the RF table.

    Parameters
    ----------
    envelope
        Amplitude and phase, delay and silence at its ends left out.
    lead
        From the start of the block to the first sample that is not zero [s].
    end
        From the start of the block to the end of the shape [s].
    frequency, frequency_ppm
        Offset [Hz], and a further part in ppm of the field (version 1.5).
    frequency_precision
        What printing may have taken from `frequency` [Hz].
    phase, phase_ppm, phase_precision
        At the start of the shape, in the same manner [rad].
    """

    envelope: Envelope
    lead: float
    end: float
    frequency: float
    frequency_ppm: float
    frequency_precision: float
    phase: float
    phase_ppm: float
    phase_precision: float


@dataclass(frozen=True, kw_only=True)
class SeqBlock:
    """A row of the block table.

    Parameters
    ----------
    number
        As the file counts.
    duration
        [s].
    rf
        What is transmitted, or None.
    gradient
        Whether a gradient is on.
    samples
        Samples that are acquired.
    """

    number: int
    duration: float
    rf: RfEvent | None
    gradient: bool
    samples: int


@dataclass(frozen=True, kw_only=True)
class SeqFile:
    """Contents of a pulseq file.

    Parameters
    ----------
    name
        As shown in messages.
    version
        Major and minor.
    definitions
        Numbers, or the text where it is none.
    blocks
        In order of play.
    sha256
        Of the file.
    warnings
        Doubts about the file, as sentences.
    """

    name: str
    version: tuple[int, int]
    definitions: Mapping[str, tuple[float, ...] | str]
    blocks: tuple[SeqBlock, ...]
    sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Columns:
    """Places in a row; None where the version has no such column, and how many a row has."""

    rf: tuple[int, int, int | None, int, int | None, int | None, int, int]
    rf_length: int
    gradient: tuple[int, int | None, int]
    gradient_length: int


# RF: mag, phase, time shape, delay, frequency in ppm, phase in ppm, frequency, phase. Gradient: shape, time shape, delay.
_LAYOUTS = {
    (1, 2): _Columns((2, 3, None, 4, None, None, 5, 6), 7, (2, None, 3), 4),
    (1, 3): _Columns((2, 3, None, 4, None, None, 5, 6), 7, (2, None, 3), 4),
    (1, 4): _Columns((2, 3, 4, 5, None, None, 6, 7), 8, (2, 3, 4), 5),
    (1, 5): _Columns((2, 3, 4, 6, 7, 8, 9, 10), 11, (4, 5, 6), 7),
}

_Table = dict[int, list[str]]
_Event = TypeVar("_Event")


def read_seq_file(path: Path, *, root: Path | None = None) -> SeqFile:
    """Read the tables of a pulseq text file.

    Extensions (labels, triggers, soft delays) change no saturation and are passed over.

    Parameters
    ----------
    path
        The file.
    root
        Of the dataset, for messages.

    Raises
    ------
    RefusedError
        If the file cannot be read, is binary, of another version, or a table is missing, damaged or cut off.
    """
    shown = str(path) if root is None else relative_name(path, root)
    try:
        content = read_bytes(path, largest=LARGEST)
    except UnreadableError as error:
        raise refuse(
            file=shown, key="file", expected="a readable pulseq file", found=str(error), advice="Restore the file."
        ) from error
    if b"\0" in content:
        raise refuse(
            file=shown,
            key="file",
            expected="the text form of a pulseq file",
            found="binary content",
            advice="Write the sequence as text (.seq), not in the binary form.",
        )
    # Comments may name an author in any encoding; all that is read is ASCII.
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return _Reader(shown, content, text).read()


class _Reader:
    def __init__(self, shown: str, content: bytes, text: str) -> None:
        self.shown = shown
        self.content = content
        self.sections = _sections(text)

    def bad(self, key: str, expected: str, found: str) -> RefusedError:
        return refuse(file=self.shown, key=key, expected=expected, found=found, advice=_AGAIN)

    def read(self) -> SeqFile:
        self.version = self._version()
        self.columns = _LAYOUTS[self.version]
        if "BLOCKS" not in self.sections:
            raise self.bad("[BLOCKS]", "a table of blocks", "no such section")
        self.definitions = self._definitions()
        self.raster = {key: self._raster(key) for key in _RASTER}
        self.shapes = self._shapes()
        self.rf = {key: self._rf(key, row) for key, row in self._table("RF").items()}
        self.gradients = self._gradients()
        self.adc = {key: self._adc(key, row) for key, row in self._table("ADC").items()}
        self.delays = {key: 1e-6 * self._numbers("DELAYS", row, 2)[1] for key, row in self._table("DELAYS").items()}
        return SeqFile(
            name=self.shown,
            version=self.version,
            definitions=self.definitions,
            blocks=self._blocks(),
            sha256=hashlib.sha256(self.content).hexdigest(),
            warnings=self._signature(),
        )

    def _version(self) -> tuple[int, int]:
        if "VERSION" not in self.sections:
            raise self.bad("[VERSION]", "a pulseq file that states its version", "no such section")
        stated = {row[0]: row[1] for row in self.sections["VERSION"] if len(row) > 1}
        name = ".".join(stated.get(key, "?") for key in ("major", "minor", "revision"))
        first, last = VERSIONS
        try:
            version = int(stated["major"]), int(stated["minor"])
        except (KeyError, ValueError):
            version = (0, 0)
        if not first <= version <= last:
            raise refuse(
                file=self.shown,
                key="[VERSION]",
                expected=f"version {first[0]}.{first[1]} to {last[0]}.{last[1]} of the pulseq format",
                found=f"version {name}",
                advice="Write the sequence in one of these versions.",
            )
        return version

    def _definitions(self) -> dict[str, tuple[float, ...] | str]:
        found: dict[str, tuple[float, ...] | str] = {}
        for key, *values in self.sections.get("DEFINITIONS", ()):
            try:
                found[key] = tuple(float(value) for value in values)
            except ValueError:
                found[key] = " ".join(values)
        return found

    def _raster(self, key: str) -> float:
        value = self.definitions.get(key, (_RASTER[key],))
        if isinstance(value, str) or len(value) != 1 or not 0.0 < value[0] < 1.0:
            raise self.bad(f"definition {key}", "a time in seconds", " ".join(map(str, value)) or "nothing")
        return value[0]

    def _table(self, section: str) -> _Table:
        return {int(self._numbers(section, row[:1], 1)[0]): row for row in self.sections.get(section, ())}

    def _numbers(self, section: str, row: Sequence[str], length: int) -> list[float]:
        try:
            numbers = [float(each) for each in row[:length]]
        except ValueError:
            numbers = []
        if len(numbers) < length or not all(map(math.isfinite, numbers)):
            raise self.bad(f"[{section}]", f"rows of at least {length} numbers", f"the row '{' '.join(row)}'")
        return numbers

    def _shapes(self) -> dict[int, Shape]:
        shapes: dict[int, Shape] = {}
        name, number, packed = -1, 0, [0.0]
        rows = [*self.sections.get("SHAPES", ()), ["shape_id", "-1"]]
        for row in rows:
            if row[0].lower() == "shape_id":
                if name >= 0:
                    shape = Shape.unpack(packed, number, may_be_plain=self.version >= (1, 4))
                    if shape is None:
                        raise self.bad(
                            "[SHAPES]",
                            f"{number} samples in shape {name}",
                            f"{len(packed)} packed values that give others",
                        )
                    shapes[name] = shape
                name, number, packed = int(self._numbers("SHAPES", row[1:], 1)[0]), 0, []
            elif row[0].lower() == "num_samples":
                number = int(self._numbers("SHAPES", row[1:], 1)[0])
            else:
                packed.append(self._numbers("SHAPES", row, 1)[0])
        return shapes

    def _shape(self, section: str, row: Sequence[str], place: int) -> Shape:
        number = int(float(row[place]))
        if number not in self.shapes:
            raise self.bad("[SHAPES]", f"shape {number}, which [{section}] refers to", "no such shape")
        return self.shapes[number]

    def _rf(self, key: int, row: list[str]) -> RfEvent:
        numbers = self._numbers("RF", row, self.columns.rf_length)
        mag, phase, time, delay, f_ppm, p_ppm, frequency, offset = self.columns.rf
        start = 1e-6 * numbers[delay]
        shape, end = envelope(
            amplitude=numbers[1],
            magnitude=self._shape("RF", row, mag),
            phase=self._shape("RF", row, phase) if numbers[phase] else None,
            times=self._shape("RF", row, time) if time is not None and numbers[time] > 0 else None,
            raster=self.raster["RadiofrequencyRasterTime"],
        )
        return RfEvent(
            envelope=shape,
            lead=start + shape.lead,
            end=start + end,
            frequency=numbers[frequency],
            frequency_ppm=numbers[f_ppm] if f_ppm is not None else 0.0,
            frequency_precision=_printed_precision(row[frequency]),
            phase=numbers[offset],
            phase_ppm=numbers[p_ppm] if p_ppm is not None else 0.0,
            phase_precision=_printed_precision(row[offset]),
        )

    def _gradients(self) -> dict[int, float]:
        """Return when each gradient ends [s]."""
        found = {}
        for key, row in self._table("TRAP").items():
            found[key] = 1e-6 * sum(self._numbers("TRAP", row, 5)[2:]) + (1e-6 * float(row[5]) if len(row) > 5 else 0.0)
        place, time, delay = self.columns.gradient
        for key, row in self._table("GRADIENTS").items():
            numbers = self._numbers("GRADIENTS", row, self.columns.gradient_length)
            steps = float(self._shape("GRADIENTS", row, place).number)
            if time is not None and numbers[time] > 0:
                steps = float(self._shape("GRADIENTS", row, time).samples()[-1])
            elif time is not None and numbers[time] < 0:
                steps /= 2.0  # oversampled twice
            found[key] = 1e-6 * numbers[delay] + steps * self.raster["GradientRasterTime"]
        return found

    def _adc(self, key: int, row: list[str]) -> tuple[int, float]:
        _, samples, dwell, delay = self._numbers("ADC", row, 4)
        return int(samples), 1e-6 * delay + 1e-9 * dwell * samples

    def _blocks(self) -> tuple[SeqBlock, ...]:
        blocks = []
        timed = self.version >= (1, 4)
        for row in self.sections["BLOCKS"]:
            number, length, rf, gx, gy, gz, adc = map(int, self._numbers("BLOCKS", row, 7))
            gradients = [
                self._entry("TRAP or GRADIENTS", number, each, self.gradients) for each in (gx, gy, gz) if each
            ]
            pulse = self._entry("RF", number, rf, self.rf) if rf else None
            samples, acquired = self._entry("ADC", number, adc, self.adc) if adc else (0, 0.0)
            if timed:
                duration = length * self.raster["BlockDurationRaster"]
            else:
                wait = self._entry("DELAYS", number, length, self.delays) if length else 0.0
                duration = max(wait, acquired, pulse.end if pulse else 0.0, *gradients, 0.0)
            blocks.append(
                SeqBlock(number=number, duration=duration, rf=pulse, gradient=bool(gradients), samples=samples)
            )
        if not blocks:
            raise self.bad("[BLOCKS]", "at least one block", "an empty table")
        return tuple(blocks)

    def _entry(self, section: str, block: int, key: int, table: Mapping[int, _Event]) -> _Event:
        if key not in table:
            raise self.bad(
                f"[{section}]", f"event {key}, which block {block} refers to", "no such event: is the file cut off?"
            )
        return table[key]

    def _signature(self) -> tuple[str, ...]:
        stated = {row[0]: row[1] for row in self.sections.get("SIGNATURE", ()) if len(row) > 1}
        # The tools of pulseq-CEST add their comments after signing.
        if (
            stated.get("Type", "").lower() != "md5"
            or "Hash" not in stated
            or b"# Created for Pulseq-CEST" in self.content
        ):
            return ()
        signed = self.content.partition(b"\n[SIGNATURE]")[0]
        if hashlib.md5(signed, usedforsecurity=False).hexdigest() == stated["Hash"].lower():
            return ()
        return (f"{self.shown}: the signature does not fit the content: the file was changed after it was written.",)


def _sections(text: str) -> dict[str, list[list[str]]]:
    """Return the words of every line under the name of its section, comments and empty lines left out."""
    sections: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("[") and words[0].endswith("]"):
            rows = sections.setdefault(words[0][1:-1].upper(), [])
        else:
            rows.append(words)
    return sections


def _printed_precision(word: str) -> float:
    """Return half a unit of the last digit of a number as printed, of the sixth where fewer are left."""
    mantissa = word.lower().partition("e")[0].lstrip("+-")
    digits = len(mantissa.replace(".", "").lstrip("0"))
    value = abs(float(word))
    return 0.0 if value == 0.0 else 0.5 * 10.0 ** (math.floor(math.log10(value)) + 1 - max(6, digits))
