"""The pulseq file that a sidecar names: where it is, whether it is the one that was meant, and what it plays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from qmri_bids.bids.files.plain import UnreadableError, read_bytes
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import wrong_value
from qmri_bids.bids.refusal import ValueSource, refuse, relative_name
from qmri_bids.physics.saturation import SaturationProtocol

FILE_KEY = "PulseqFile"
HASH_KEY = "PulseqFileHash"


@dataclass(frozen=True, kw_only=True)
class PulseqReading:
    """What the pulseq file of a series plays.

    Parameters
    ----------
    name
        The file, relative to the dataset.
    protocol
        One image a volume.
    source
        The file and its hash, for the list of sources.
    warnings
        As in `CestRun`.
    """

    name: str
    protocol: SaturationProtocol
    source: ValueSource
    warnings: tuple[str, ...]


def read_pulseq(
    sidecar: Sidecar, *, root: Path, field_strength: float | None, number_of_volumes: int
) -> PulseqReading | None:
    """Read the pulseq file of a series, None if its sidecar names none.

    Parameters
    ----------
    sidecar
        With PulseqFile: a BIDS URI (`bids::code/seq/apt.seq`) or a path from the top of the dataset; and PulseqFileHash, its
        SHA-256 in hexadecimal.
    root
        The dataset.
    field_strength
        [T], None where the sidecar states none.
    number_of_volumes
        Of the series; the file must play as many images.

    Raises
    ------
    RefusedError
        If the file is not there, not readable, another one than was meant, or of another number of images.
    """
    if FILE_KEY not in sidecar.values:
        return None
    path = _resolve(sidecar, root)
    name = relative_name(path, root)
    stated = sidecar.values.get(HASH_KEY)
    from qmri_bids.pulseq.file import LARGEST
    from qmri_bids.pulseq.protocol import read_seq_protocol

    try:
        digest = hashlib.sha256(read_bytes(path, largest=LARGEST)).hexdigest()
    except UnreadableError as error:
        raise wrong_value(
            sidecar,
            FILE_KEY,
            expected=f"a readable .seq file; {name} cannot be read ({error})",
            advice="Restore the file, fetch it (datalad get), or remove the key.",
        ) from error
    if stated is not None and str(stated).lower().removeprefix("sha256:").strip() != digest:
        raise refuse(
            file=name,
            key=HASH_KEY,
            expected=f"{stated} as {sidecar.origin(HASH_KEY)} says",
            found=digest,
            advice="The file was changed or is another one: restore it, or correct the hash (SHA-256).",
        )

    try:
        reading = read_seq_protocol(path, root=root, field_strength=field_strength)
    except (ValueError, OSError) as error:
        raise refuse(
            file=name,
            key=FILE_KEY,
            expected="a pulseq file of a CEST sequence",
            found=str(error),
            advice="Repair the file, or state the protocol in the sidecar.",
        ) from error
    images = reading.protocol.number_of_images
    if images != number_of_volumes:
        raise refuse(
            file=name,
            key="readouts",
            expected=f"{number_of_volumes} images, one per volume of {sidecar.file}",
            found=str(images),
            advice="Name the sequence that was played, or write every volume of it to the image.",
        )
    source = ValueSource(
        key="pulseq_file",
        value=f"{name} (SHA-256 {digest[:12]}…)",
        unit="",
        source=f"{sidecar.origin(FILE_KEY)}: {FILE_KEY}",
    )
    return PulseqReading(name=name, protocol=reading.protocol, source=source, warnings=reading.warnings)


def _resolve(sidecar: Sidecar, root: Path) -> Path:
    value = sidecar.values[FILE_KEY]
    expected = "a .seq file of this dataset: bids::path or a path from the top of the dataset"
    advice = "Correct the path; the file must lie in the dataset, for example in code/."
    text = value if isinstance(value, str) else ""
    if text.startswith("bids:"):
        dataset, _, text = text.removeprefix("bids:").partition(":")
        text = unquote(text) if not dataset else ""
    parts = PurePosixPath(text)
    if not text or parts.is_absolute() or ".." in parts.parts:
        raise wrong_value(sidecar, FILE_KEY, expected=expected, advice=advice)
    path = root / parts
    if not path.exists():
        raise wrong_value(
            sidecar, FILE_KEY, expected=f"{expected}; there is no {relative_name(path, root)}", advice=advice
        )
    return path
