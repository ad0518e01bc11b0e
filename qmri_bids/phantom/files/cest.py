"""Raw CEST and MT scans as BIDS files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.files.b1 import SCANNER
from qmri_bids.phantom.files.writing import integers, write_image, write_json, write_table
from qmri_bids.phantom.scans.cest import CestDesign, SaturationScan
from qmri_bids.phantom.scans.mt import MtDesign
from qmri_bids.phantom.signals.mt import SpoiledEcho
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol, SpinLock
from qmri_bids.units import GYROMAGNETIC_RATIO, radians_to_degrees, tesla_to_microtesla

IGNORED = ("*_cest.*", "*_cestcontext.*")
"""What the validator must be told to leave alone."""

ECHO_TIME = 2.5e-3
"""Echo time in the sidecars [s]; nothing decays until then."""

_COLUMNS = {
    "volume_type": {
        "Description": "What the volume is for",
        "Levels": {"m0scan": "normalises the others", "cest": "saturated"},
    },
    "offset_ppm": {"Description": "Carrier from water, positive downfield", "Units": "ppm"},
    "b1_rms": {"Description": "B1, root mean square over pulse and gap", "Units": "uT"},
    "saturation_duration": {"Description": "From the first pulse to the end of the last", "Units": "s"},
}


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")


def _row(image: SaturatedImage) -> tuple[str, ...]:
    kind = "m0scan" if image.is_m0 else "cest"
    if image.saturation is None or image.offset is None:
        return kind, "n/a", "0", "0"
    power = tesla_to_microtesla(image.saturation.b1_rms)
    return kind, f"{image.offset:.10g}", f"{power:.10g}", f"{image.saturation.duration:.10g}"


def _values(numbers: list[float]) -> float | list[float]:
    """Return one number if all are the same."""
    numbers = [_rounded(number) for number in numbers]
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _train(protocol: SaturationProtocol, pulse_shape: str) -> dict[str, Any]:
    trains = [image.saturation for image in protocol.images if image.saturation is not None]
    first = trains[0]
    powers = [
        0.0 if each.saturation is None else tesla_to_microtesla(each.saturation.b1_rms) for each in protocol.images
    ]
    durations = [0.0 if each.saturation is None else each.saturation.duration for each in protocol.images]
    normal = [image.recovery for image in protocol.images if not image.is_m0]
    recovery = {"RecoveryTime": _values([image.recovery for image in protocol.images])}
    if len(set(normal)) == 1:
        recovery = {"RecoveryTime": normal[0], "RecoveryTimeM0": protocol.images[protocol.m0_images[0]].recovery}
    return {
        "SaturationB1RMS": _values(powers),
        "SaturationDuration": _values(durations),
        "MTPulseDuration": _rounded(first.pulse.duration),
        "SaturationInterpulseDelay": first.gap,
        "MTNumberOfPulses": first.number,
        "SaturationDutyCycle": _rounded(first.duty_cycle),
        "MTPulseShape": pulse_shape,
        "SpinLock": False if first.spin_lock is SpinLock.NONE else first.spin_lock.value,
        **recovery,
    }


def _cest_sidecar(design: CestDesign, scanner: Mapping[str, Any]) -> dict[str, Any]:
    protocol = design.protocol
    readout = protocol.readout
    train = {} if readout is None else {
        "NumberOfReadoutPulses": readout.number,
        "RepetitionTimeExcitation": readout.spacing,
    }  # fmt: skip
    return {
        **scanner,
        "MagneticFieldStrength": protocol.field_strength,
        "ImagingFrequency": _rounded(GYROMAGNETIC_RATIO * protocol.field_strength * 1e-6),
        "PulseSequenceType": "CEST, snapshot readout",
        "PulseSequenceDetails": design.description,
        "FlipAngle": _rounded(radians_to_degrees(design.readout_flip_angle)),
        "EchoTime": ECHO_TIME,
        **train,
        **_train(protocol, design.pulse_shape),
    }


def write_cest(
    folder: Path,
    prefix: str,
    *,
    design: CestDesign,
    scan: SaturationScan,
    affine: NDArray[np.float64],
    scanner: Mapping[str, Any] = SCANNER,
) -> tuple[str, ...]:
    """Write a CEST series and return the name of the image.

    Parameters
    ----------
    folder
        The folder of the subject or session.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    design, scan
        What was played, and what it gave.
    affine
        Matrix from voxel index to RAS [mm].
    scanner
        What the sidecar says of the scanner.
    """
    stem = folder / "anat" / f"{prefix}acq-{design.label}"
    stored, slope = integers(scan.images, largest=float(scan.images.max()))
    write_image(
        stem.parent / f"{stem.name}_cest", stored, affine=affine, sidecar=_cest_sidecar(design, scanner), slope=slope
    )
    rows = [_row(image) for image in design.protocol.images]
    write_table(stem.parent / f"{stem.name}_cestcontext.tsv", columns=tuple(_COLUMNS), rows=rows)
    write_json(stem.parent / f"{stem.name}_cestcontext.json", _COLUMNS)
    return (f"anat/{stem.name}_cest.nii.gz",)


def _echo_sidecar(echo: SpoiledEcho, field_strength: float, scanner: Mapping[str, Any]) -> dict[str, Any]:
    pulse = echo.mt_pulse
    played = {} if pulse is None else {
        "MTOffsetFrequency": pulse.offset,
        "MTPulseBandwidth": round(pulse.bandwidth, 1),
        "MTNumberOfPulses": 1,
        "MTPulseShape": "GAUSSIAN",
        "MTPulseDuration": pulse.duration,
        "SaturationB1RMS": tesla_to_microtesla(pulse.b1_rms),
    }  # fmt: skip
    return {
        **scanner,
        "MagneticFieldStrength": field_strength,
        "PulseSequenceType": "Spoiled gradient echo",
        "PulseSequenceDetails": "spoiled gradient echo, simulated in exact steady state with perfect spoiling",
        "ScanningSequence": "GR",
        "FlipAngle": _rounded(radians_to_degrees(echo.flip_angle)),
        "RepetitionTimeExcitation": echo.repetition_time,
        "EchoTime": ECHO_TIME,
        "MTState": pulse is not None,
        **played,
    }


def write_mt(
    folder: Path,
    prefix: str,
    *,
    design: MtDesign,
    scan: SaturationScan,
    affine: NDArray[np.float64],
    field_strength: float,
    scanner: Mapping[str, Any] = SCANNER,
) -> tuple[str, ...]:
    """Write the echoes of an MT scan, one file each with one scale, and return the names of the images.

    Parameters
    ----------
    folder, prefix
        Folder of the subject or session, and start of every file name.
    design, scan
        What was played, and what it gave.
    affine
        Matrix from voxel index to RAS [mm].
    field_strength
        B0 [T].
    scanner
        What the sidecars say of the scanner.
    """
    stored, slope = integers(scan.images, largest=float(scan.images.max()))
    written = []
    for volume, (entities, echo) in enumerate(design.echoes.items()):
        name = f"{prefix}acq-{design.label}_{entities}_{design.suffix}"
        sidecar = _echo_sidecar(echo, field_strength, scanner)
        write_image(folder / "anat" / name, stored[..., volume], affine=affine, sidecar=sidecar, slope=slope)
        written.append(f"anat/{name}.nii.gz")
    return tuple(written)
