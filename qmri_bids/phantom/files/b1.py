"""The scan of the transmit field as BIDS files, in every way that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.phantom.files.writing import integers, write_image
from qmri_bids.phantom.heads.geometry import Grid
from qmri_bids.phantom.scans.b1 import (
    AFI_FLIP_ANGLE,
    AFI_TIMES,
    DOUBLE_ANGLE,
    DOUBLE_ANGLE_TIME,
    PREPARATION_FLIP_ANGLE,
    B1Scan,
)
from qmri_bids.units import fraction_to_percent, radians_to_degrees

SCANNER = {
    "Manufacturer": "qmri_bids",
    "ManufacturersModelName": "digital phantom",
    "MagneticFieldStrength": 3.0,
    "MRAcquisitionType": "3D",
    "InstitutionName": "simulated",
}
"""What every sidecar says."""


def scanner_of(grid: Grid) -> dict[str, Any]:
    """Return what the sidecars of a scan on these voxels say of the scanner."""
    if not grid.planar:
        return SCANNER
    return {**SCANNER, "MRAcquisitionType": "2D", "SliceThickness": round(float(grid.voxel_sizes[2]), 6)}


def _degrees(angle: float) -> float:
    return round(radians_to_degrees(angle), 6)


def _pair(
    folder: Path, scan: B1Scan, names: tuple[str, str], sidecars: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    """Write both images on one scale."""
    largest = float(max(scan.first.max(), scan.second.max()))
    for image, name, sidecar in zip((scan.first, scan.second), names, sidecars, strict=True):
        stored, slope = integers(image, largest=largest)
        write_image(folder / "fmap" / name, stored, affine=scan.grid.affine, sidecar=sidecar, slope=slope)


def _angles(folder: Path, prefix: str, scan: B1Scan, *, kind: str, scale: float, zero: int, description: str) -> None:
    """Write an anatomical image and flip angles: stored = zero + degrees × scale, 0 without signal."""
    if scan.flip_angle is None:
        raise ValueError(f"{kind} stores flip angles, which this scan lacks")
    sidecar = {
        **scanner_of(scan.grid),
        "PulseSequenceType": "TurboFLASH with preparation pulse",
        "FlipAngle": _degrees(PREPARATION_FLIP_ANGLE),
        "EchoTime": 1.8e-3,
        "RepetitionTimePreparation": 10.0,
    }
    anatomical, slope = integers(scan.anatomical, largest=float(scan.anatomical.max()))
    write_image(
        folder / "fmap" / f"{prefix}acq-anat_{kind}",
        anatomical,
        affine=scan.grid.affine,
        sidecar=sidecar,
        slope=slope,
    )
    stored = np.where(scan.flip_angle > 0.0, zero + np.rint(scale * np.rad2deg(scan.flip_angle)), 0.0)
    write_image(
        folder / "fmap" / f"{prefix}acq-famp_{kind}",
        stored.astype(np.int16),
        affine=scan.grid.affine,
        sidecar={**sidecar, "Units": "arbitrary", "Description": description},
    )


def _tb1tfl(folder: Path, prefix: str, scan: B1Scan) -> None:
    description = "flip angle in degrees × 10, 0 without signal"
    _angles(folder, prefix, scan, kind="TB1TFL", scale=10.0, zero=0, description=description)


def _tb1rfm(folder: Path, prefix: str, scan: B1Scan) -> None:
    description = "2048 + flip angle in degrees × 2048/180, 0 without signal"
    _angles(folder, prefix, scan, kind="TB1RFM", scale=2048.0 / 180.0, zero=2048, description=description)


def _tb1dam(folder: Path, prefix: str, scan: B1Scan) -> None:
    sidecar = {
        **scanner_of(scan.grid),
        "PulseSequenceType": "spoiled gradient echo",
        "EchoTime": 2.0e-3,
        "RepetitionTimeExcitation": DOUBLE_ANGLE_TIME,
    }
    names = f"{prefix}flip-1_TB1DAM", f"{prefix}flip-2_TB1DAM"
    angles = _degrees(DOUBLE_ANGLE), _degrees(2.0 * DOUBLE_ANGLE)
    _pair(folder, scan, names, ({**sidecar, "FlipAngle": angles[0]}, {**sidecar, "FlipAngle": angles[1]}))


def _tb1afi(folder: Path, prefix: str, scan: B1Scan) -> None:
    sidecar = {
        **scanner_of(scan.grid),
        "PulseSequenceType": "actual flip-angle imaging",
        "FlipAngle": _degrees(AFI_FLIP_ANGLE),
        "EchoTime": 2.0e-3,
    }
    names = f"{prefix}acq-tr1_TB1AFI", f"{prefix}acq-tr2_TB1AFI"
    first, second = ({**sidecar, "RepetitionTimeExcitation": time} for time in AFI_TIMES)
    _pair(folder, scan, names, (first, second))


def _tb1map(folder: Path, prefix: str, scan: B1Scan) -> None:
    if scan.flip_angle is None:
        raise ValueError("TB1map stores B1, which this scan lacks")
    write_image(
        folder / "fmap" / f"{prefix}TB1map",
        fraction_to_percent(1.0) * scan.flip_angle / np.float32(PREPARATION_FLIP_ANGLE),
        affine=scan.grid.affine,
        sidecar={**scanner_of(scan.grid), "Units": "percent", "Description": "100 is nominal, 0 without signal"},
    )


_WRITERS: Mapping[str, Callable[[Path, str, B1Scan], None]] = {
    "TB1TFL": _tb1tfl,
    "TB1RFM": _tb1rfm,
    "TB1DAM": _tb1dam,
    "TB1AFI": _tb1afi,
    "TB1map": _tb1map,
}
B1_KINDS = (*_WRITERS, "none")
"""Ways to measure and store the transmit field."""


def write_b1(folder: Path, prefix: str, *, scan: B1Scan, kind: str) -> None:
    """Write the scan of the transmit field as one of `B1_KINDS`, `none` excepted."""
    _WRITERS[kind](folder, prefix, scan)
