"""Images with JSON files as a converter leaves them: flat names, keys of the vendor, none that only BIDS has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (6, 5, 4)
AFFINE = np.array([[-2.0, 0.0, 0.0, 10.0], [0.0, 2.0, 0.1, -7.0], [0.0, -0.1, 2.0, 3.0], [0.0, 0.0, 0.0, 1.0]])

SIEMENS_VE = {
    "Modality": "MR",
    "MagneticFieldStrength": 3,
    "ImagingFrequency": 123.254,
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Prisma",
    "PatientPosition": "HFS",
    "SoftwareVersions": "syngo MR E11",
    "MRAcquisitionType": "3D",
    "ScanningSequence": "GR",
    "SequenceVariant": "SK_SP",
    "ConversionSoftware": "dcm2niix",
}
SIEMENS_XA = SIEMENS_VE | {"ManufacturersModelName": "Cima.X", "SoftwareVersions": "syngo MR XA60"}
GE = {
    "Modality": "MR",
    "MagneticFieldStrength": 3,
    "Manufacturer": "GE",
    "ManufacturersModelName": "SIGNA Premier",
    "MRAcquisitionType": "3D",
    "ScanningSequence": "GR",
    "SequenceVariant": "SS_SK",
}
PHILIPS = {
    "Modality": "MR",
    "MagneticFieldStrength": 3,
    "Manufacturer": "Philips",
    "ManufacturersModelName": "Ingenia",
    "PhilipsRescaleSlope": 1.5,
    "MRAcquisitionType": "3D",
}


def values(seed: int, *shape: int, low: int = 1, high: int = 4000) -> NDArray[np.int16]:
    """Return integers that differ from seed to seed."""
    return np.random.default_rng(seed).integers(low, high, size=shape or SHAPE).astype(np.int16)


def write_series(
    folder: Path,
    stem: str,
    array: NDArray[Any],
    sidecar: Mapping[str, Any] | None,
    *,
    affine: NDArray[np.float64] = AFFINE,
    slope: float = 1.0,
    intercept: float = 0.0,
    ending: str = ".nii.gz",
) -> Path:
    """Write an image and its JSON file, none if there is no sidecar, and return the image."""
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, folder / f"{stem}{ending}")
    if sidecar is not None:
        (folder / f"{stem}.json").write_text(json.dumps(dict(sidecar), indent=2))
    return folder / f"{stem}{ending}"


def meaning(path: Path) -> NDArray[Any]:
    """Return the values that an image means."""
    return np.asarray(nib.load(path).dataobj)


def stated(path: Path) -> dict[str, Any]:
    """Return the sidecar of an image."""
    return json.loads(path.with_name(path.name.partition(".")[0] + ".json").read_text())
