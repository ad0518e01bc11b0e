"""What the pulseq file plays that the sidecar of a CEST series names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.pulseq.named import FILE_KEY, named_file


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
    named = named_file(sidecar, root=root)
    if named is None:
        return None
    from qmri_bids.pulseq.protocol import read_seq_protocol

    try:
        reading = read_seq_protocol(named.path, root=root, field_strength=field_strength)
    except (ValueError, OSError) as error:
        raise refuse(
            file=named.name,
            key=FILE_KEY,
            expected="a pulseq file of a CEST sequence",
            found=str(error),
            advice="Repair the file, or state the protocol in the sidecar.",
        ) from error
    images = reading.protocol.number_of_images
    if images != number_of_volumes:
        raise refuse(
            file=named.name,
            key="readouts",
            expected=f"{number_of_volumes} images, one per volume of {sidecar.file}",
            found=str(images),
            advice="Name the sequence that was played, or write every volume of it to the image.",
        )
    source = ValueSource(
        key="pulseq_file",
        value=f"{named.name} (SHA-256 {named.sha256[:12]}…)",
        unit="",
        source=f"{sidecar.origin(FILE_KEY)}: {FILE_KEY}",
    )
    return PulseqReading(name=named.name, protocol=reading.protocol, source=source, warnings=reading.warnings)
