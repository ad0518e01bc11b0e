"""Writing maps, tables and sidecars: whole or not at all, since jobs are killed and several write at once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qmri_bids.bids.names import sidecar_path
from qmri_bids.system.file_errors import naming
from qmri_bids.system.temporaries import temporary_path

SCANNER = 1
"""Code of sform and qform: coordinates of the scanner."""

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and move it there when the block ends without error.

    The temporary name begins with a dot, which validators and pybids ignore, keeps the extension, and is
    unique for every call. A failure leaves neither a temporary nor a partial file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with naming(path, instead_of=temporary):
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(
                    handle.fileno()
                )  # a renamed file whose content never reached a full or remote disk is worse than none
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON object, whole or not at all; paths become text, values that are not finite become null."""
    return write_text(path, json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return value.as_posix()
    return value


def write_map(path: Path, array: ArrayLike, *, affine: NDArray[np.floating], metadata: Mapping[str, Any]) -> Path:
    """Write a map with a header of its own, and its sidecar.

    The sidecar is written first: a map that is there is complete.

    Parameters
    ----------
    path
        From `output_path`, `.nii.gz`.
    array
        Map of shape (x, y, z) or (x, y, z, volumes): real numbers are stored as float32, bool and uint8
        (masks, codes) as uint8, never with a scale.
    affine
        Voxel to scanner coordinates [mm], shape (4, 4).
    metadata
        Content of the sidecar, from `map_metadata`.

    Raises
    ------
    ValueError
        If the array is complex, of integers that uint8 does not hold, or has not three or four axes.
    """
    import nibabel as nib

    values = np.asarray(array)
    if values.ndim not in (3, 4):
        raise ValueError(f"{path.name}: expected three or four axes, found shape {values.shape}")
    if values.dtype in (np.dtype(bool), np.dtype(np.uint8)):
        stored = values.astype(np.uint8)
    elif np.issubdtype(values.dtype, np.floating):
        stored = values.astype(np.float32)
    else:
        raise ValueError(f"{path.name}: expected real numbers, bool or uint8, found {values.dtype}")
    image = nib.Nifti1Image(stored, None)
    image.header.set_slope_inter(1.0, 0.0)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=SCANNER)
    image.set_qform(affine, code=SCANNER)
    write_json(sidecar_path(path), metadata)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
    return path


def write_table(
    path: Path, columns: Mapping[str, Sequence[Any]], *, descriptions: Mapping[str, Mapping[str, Any]]
) -> Path:
    """Write a tab-separated table and the JSON file that explains its columns.

    Parameters
    ----------
    path
        From `output_path`, `.tsv`.
    columns
        Values by column, all of one length; NaN and None become `n/a`.
    descriptions
        For every column an object with Description, and Units where it has one.

    Raises
    ------
    ValueError
        If columns differ in length or one is not described.
    """
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(
            f"{path.name}: expected columns of one length, found { {k: len(v) for k, v in columns.items()} }"
        )
    undescribed = sorted(set(columns) - set(descriptions))
    if undescribed:
        raise ValueError(f"{path.name}: expected a description of every column, found none of {undescribed}")

    def cell(value: Any) -> str:
        if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
            return "n/a"
        return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)

    rows = ["\t".join(columns), *("\t".join(map(cell, row)) for row in zip(*columns.values(), strict=True))]
    write_json(sidecar_path(path), {name: descriptions[name] for name in columns})
    return write_text(path, "\n".join(rows) + "\n")


CONFOUND_DESCRIPTIONS: dict[str, dict[str, str]] = {
    "rf_phase_increment": {"Description": "RF phase increment of the cycle, absolute", "Units": "deg"},
    "offset_ppm": {
        "Description": "Offset of the saturation from water, positive downfield; n/a without",
        "Units": "ppm",
    },
    "censored": {
        "Description": "1 where the volume was left out of the estimation, because its framewise displacement exceeds the "
        "threshold asked for or because it does not follow the signal of the others, else 0"
    },
    "frequency": {
        "Description": "Frequency of the cycle in the middle of the volume, relative to the mean of the cycles; 0 where no "
        "difference beyond its uncertainty was seen, and so nothing was changed",
        "Units": "Hz",
    },
    "frequency_stdev": {"Description": "Standard deviation of the frequency of the cycle", "Units": "Hz"},
    "gain": {
        "Description": "Gain of the cycle, relative to the geometric mean of the cycles; 1 where no difference "
        "beyond its uncertainty was seen, and so nothing was changed",
        "Units": "1",
    },
    "gain_stdev": {"Description": "Standard deviation of the gain of the cycle", "Units": "1"},
    "phase": {
        "Description": "Root mean square over the mask of the phase removed: receive phase, and 2π times frequency times TE",
        "Units": "rad",
    },
    "registered": {
        "Description": "1 where the volume was registered by itself, 0 where its motion is that of its neighbours"
    },
    **{f"trans_{axis}": {"Description": f"Translation of the volume along {axis}", "Units": "mm"} for axis in "xyz"},
    **{f"rot_{axis}": {"Description": f"Rotation of the volume about {axis}", "Units": "rad"} for axis in "xyz"},
    "framewise_displacement": {
        "Description": "Sum of the absolute changes of the six parameters since the volume before, rotations "
        "on a sphere of 50 mm (Power et al., NeuroImage 59:2142, 2012)",
        "Units": "mm",
    },
}
"""Columns of `desc-confounds_timeseries.tsv`, one row per volume (phase cycle, saturated image)."""


def write_transforms(path: Path, matrices: Sequence[NDArray[np.floating]]) -> Path:
    """Write rigid or affine transforms as one text file of ITK, as fMRIPrep writes head motion.

    Parameters
    ----------
    path
        From `output_path`, `.txt`.
    matrices
        For every cycle the matrix that takes points of the common grid to points of the cycle, scanner
        coordinates (RAS) [mm], shape (4, 4); written in the LPS coordinates of ITK.
    """
    lines = ["#Insight Transform File V1.0"]
    for index, matrix in enumerate(matrices):
        lps = _RAS_TO_LPS @ np.asarray(matrix, dtype=float) @ _RAS_TO_LPS
        # All digits: what is read again moves voxels to the same place to the bit.
        numbers = " ".join(repr(float(value)) for value in [*lps[:3, :3].ravel(), *lps[:3, 3]])
        lines += [
            f"#Transform {index}",
            "Transform: AffineTransform_double_3_3",
            f"Parameters: {numbers}",
            "FixedParameters: 0 0 0",
        ]
    return write_text(path, "\n".join(lines) + "\n")
