"""Writing NIfTI files, sidecars and tables of the simulated dataset."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 32767
"""Largest number of int16, the type of stored images."""
_PHASE_STEPS = 4096
"""Steps of a turn in which Siemens stores phase."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, *, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a TSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns), *("\t".join(str(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_image(
    stem: Path,
    data: NDArray[Any],
    *,
    affine: NDArray[np.float64],
    sidecar: Mapping[str, Any],
    repetition_time: float | None = None,
    slope: float | None = None,
    intercept: float = 0.0,
) -> None:
    """Write a NIfTI file and its sidecar.

    Parameters
    ----------
    stem
        Path without extension.
    data
        Values as they are stored.
    affine
        Matrix from voxel index to RAS [mm].
    sidecar
        Content of the JSON file.
    repetition_time
        Fourth `pixdim` of a series [s].
    slope, intercept
        The values are stored·slope + intercept; no scaling if not given.
    """
    import nibabel

    stem.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm", "sec" if data.ndim == 4 else None)
    if repetition_time is not None and data.ndim == 4:
        image.header["pixdim"][4] = repetition_time
    # Stored integers are final: with a slope in its header nibabel writes them as they are.
    image.header.set_slope_inter(1.0 if slope is None else slope, intercept)
    image.to_filename(stem.parent / f"{stem.name}.nii.gz")
    write_json(stem.parent / f"{stem.name}.json", sidecar)


def integers(values: NDArray[np.floating], *, largest: float) -> tuple[NDArray[np.int16], float]:
    """Return values as int16 with the slope that gives them back; `largest` becomes 32767."""
    slope = largest / _LARGEST
    return np.rint(values / np.float32(slope)).astype(np.int16), slope


def phase_integers(phase: NDArray[np.floating]) -> tuple[NDArray[np.int16], float, float]:
    """Return a phase [rad] as Siemens stores it: 0..4095, slope 2, intercept -4096: ±4096 is ±π."""
    stored = np.rint((phase / np.float32(math.pi) + 1.0) * (_PHASE_STEPS / 2)).astype(np.int16) % _PHASE_STEPS
    return stored.astype(np.int16), 2.0, -float(_PHASE_STEPS)
