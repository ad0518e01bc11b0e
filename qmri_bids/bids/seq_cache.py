"""Protocols of pulseq files compiled once: small JSON files under the checksum of the sequence."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from qmri_bids.bids.refusal import refuse, relative_name
from qmri_bids.bids.seq_protocol import SeqReading, read_seq_protocol
from qmri_bids.physics.saturation import (
    Carrier,
    Pulse,
    Readout,
    RfSegment,
    SaturatedImage,
    Saturation,
    SaturationProtocol,
    SpinLock,
    Start,
)

FORMAT = 1
"""Counts up when reading changes, so that what older programs kept is not used."""


def protocol_to_dict(protocol: SaturationProtocol) -> dict[str, Any]:
    """Return a protocol as lists and numbers of JSON, each pulse and train once.

    Units are those of `physics.saturation`; segments are [amplitude, duration, phase].
    """
    pulses: dict[Pulse, int] = {}
    trains: dict[Saturation, int] = {}
    images = []
    for image in protocol.images:
        train = image.saturation
        if train is not None:
            pulses.setdefault(train.pulse, len(pulses))
            trains.setdefault(train, len(trains))
        images.append(
            [None if train is None else trains[train], image.offset, image.recovery, image.is_m0],
        )
    readout = protocol.readout
    return {
        "field_strength": protocol.field_strength,
        "start": protocol.start.value,
        "readout": readout and [readout.number, readout.flip_angle, readout.spacing, readout.scales_with_b1],
        "pulses": [[[each.amplitude, each.duration, each.phase] for each in pulse.segments] for pulse in pulses],
        "trains": [
            [pulses[each.pulse], each.number, each.gap, each.spin_lock.value, each.carrier.value, each.spoiler]
            for each in trains
        ],
        "images": images,
    }


def protocol_from_dict(stored: dict[str, Any]) -> SaturationProtocol:
    """Return the protocol that `protocol_to_dict` was given.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        If the content is something else.
    """
    pulses = [
        Pulse(segments=tuple(RfSegment(amplitude=a, duration=d, phase=p) for a, d, p in segments))
        for segments in stored["pulses"]
    ]
    trains = [
        Saturation(
            pulse=pulses[pulse],
            number=number,
            gap=gap,
            spin_lock=SpinLock(spin_lock),
            carrier=Carrier(carrier),
            spoiler=spoiler,
        )
        for pulse, number, gap, spin_lock, carrier, spoiler in stored["trains"]
    ]
    images = tuple(
        SaturatedImage(
            saturation=None if train is None else trains[train], offset=offset, recovery=recovery, is_m0=is_m0
        )
        for train, offset, recovery, is_m0 in stored["images"]
    )
    readout = None
    if stored["readout"] is not None:
        number, flip_angle, spacing, scales = stored["readout"]
        readout = Readout(number=number, flip_angle=flip_angle, spacing=spacing, scales_with_b1=scales)
    return SaturationProtocol(
        field_strength=stored["field_strength"], images=images, start=Start(stored["start"]), readout=readout
    )


def cached_seq_protocol(
    path: Path,
    *,
    cache: Path | None,
    root: Path | None = None,
    field_strength: float | None = None,
    start: Start | None = None,
    readout: Readout | None = None,
) -> SeqReading:
    """Return `read_seq_protocol`, from the cache where it was read before.

    Parameters
    ----------
    path
        Pulseq file.
    cache
        Folder of what is kept, made if need be; None to keep nothing.
    root, field_strength, start, readout
        As in `read_seq_protocol`; each choice is kept by itself.

    Raises
    ------
    RefusedError
        As `read_seq_protocol`.
    """
    if cache is None:
        return read_seq_protocol(path, root=root, field_strength=field_strength, start=start, readout=readout)
    shown = str(path) if root is None else relative_name(path, root)
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise refuse(
            file=shown, key="file", expected="a readable pulseq file", found=str(error), advice="Restore the file."
        ) from error
    # Sentences name the file, and the rest changes the protocol.
    choice = hashlib.sha256(repr((FORMAT, shown, field_strength, start, readout)).encode()).hexdigest()
    kept = cache / f"seq-{sha256[:32]}-{choice[:8]}.json"
    note: tuple[str, ...] = ()
    if kept.is_file():
        try:
            return _load(kept, sha256)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            note = (f"{kept.name} in the cache is damaged and was made again from {shown} ({type(error).__name__}).",)
    reading = read_seq_protocol(path, root=root, field_strength=field_strength, start=start, readout=readout)
    _save(kept, reading)
    return SeqReading(protocol=reading.protocol, warnings=(*note, *reading.warnings), sha256=reading.sha256)


def _load(kept: Path, sha256: str) -> SeqReading:
    stored = json.loads(kept.read_text(encoding="utf-8"))
    if stored["format"] != FORMAT or stored["sha256"] != sha256:
        raise ValueError("another format or file")
    return SeqReading(
        protocol=protocol_from_dict(stored["protocol"]), warnings=tuple(map(str, stored["warnings"])), sha256=sha256
    )


def _save(kept: Path, reading: SeqReading) -> None:
    """Write beside the target and move: a reader sees all or nothing."""
    content = {
        "format": FORMAT,
        "sha256": reading.sha256,
        "warnings": reading.warnings,
        "protocol": protocol_to_dict(reading.protocol),
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=kept.parent, prefix=f".{kept.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, separators=(",", ":"), ensure_ascii=False)
        os.replace(temporary, kept)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
