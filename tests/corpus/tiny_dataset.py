"""A raw dataset of three participants, so small that a check of all of it takes a moment: each has every kind of run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (6, 5, 4)
SUBJECTS = ("01", "02", "03")
INCREMENTS = [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]
OFFSETS = [-300.0, *(0.5 * step for step in range(-8, 9))]

BSSFP: dict[str, Any] = {
    "PulseSequenceType": "bSSFP",
    "FlipAngle": 15,
    "RepetitionTimeExcitation": 0.0048,
    "EchoTime": 0.0024,
    "MagneticFieldStrength": 3,
    "RFPhaseIncrement": INCREMENTS,
}
CEST: dict[str, Any] = {
    "MagneticFieldStrength": 3,
    "SaturationOffset": OFFSETS,
    "SaturationB1RMS": 2.0,
    "SaturationDuration": 1.975,
    "MTPulseShape": "gaussian",
    "MTPulseDuration": 0.05,
    "SaturationInterpulseDelay": 0.005,
    "MTNumberOfPulses": 36,
    "RecoveryTime": 3.5,
    "RecoveryTimeM0": 10,
}


def write_image(
    path: Path,
    values: Any = 100.0,
    *,
    shape: tuple[int, ...] = SHAPE,
    dtype: Any = np.float32,
    ramp: float = 0.1,
) -> Path:
    """Write an image of 1.3 mm whose values differ from voxel to voxel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    slope = 1.0 + ramp * np.linspace(0.0, 1.0, int(np.prod(shape))).reshape(shape)
    affine = np.diag([1.3, 1.3, 1.3, 1.0])
    image = nib.Nifti1Image((values * slope).astype(dtype), affine)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def phase_cycles() -> NDArray[np.complex128]:
    """Return what one tissue gives with these increments, with off-resonance along the first axis and some noise."""
    rng = np.random.default_rng(0)
    turn = np.linspace(-1.0, 1.0, SHAPE[0])[:, None, None, None] - np.radians(INCREMENTS)
    signal = 100.0 * (1.0 - 0.94 * np.exp(-1j * turn)) / (1.0 - 0.65 * np.cos(turn)) * np.ones((*SHAPE, 1))
    return signal + rng.normal(size=(*signal.shape, 2)).view(complex)[..., 0]


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_participant(root: Path, label: str) -> None:
    """Write a pc-bSSFP run with a B1 scan, a Z-spectrum with its table, a pair for MTR and a T1w image."""
    anat, fmap = root / f"sub-{label}" / "anat", root / f"sub-{label}" / "fmap"
    begin = f"sub-{label}"
    cycles = phase_cycles()
    for part, values in (("mag", np.abs(cycles)), ("phase", np.angle(cycles))):
        stem = f"{begin}_acq-pcbssfp_flip-1_part-{part}_VFA"
        write_image(anat / f"{stem}.nii.gz", values, shape=cycles.shape, ramp=0.0)
        write_json(anat / f"{stem}.json", BSSFP | ({"Units": "rad"} if part == "phase" else {}))
    write_image(anat / f"{begin}_acq-APTw_cest.nii.gz", shape=(*SHAPE, len(OFFSETS)))
    write_json(anat / f"{begin}_acq-APTw_cest.json", CEST)
    rows = ["offset_ppm\tvolume_type", *(f"{each:g}\t{'m0scan' if each < -100 else 'cest'}" for each in OFFSETS)]
    (anat / f"{begin}_acq-APTw_cestcontext.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for state in ("on", "off"):
        write_image(anat / f"{begin}_mt-{state}_MTR.nii.gz", 80.0 if state == "on" else 100.0)
        write_json(anat / f"{begin}_mt-{state}_MTR.json", {"FlipAngle": 10, "MTState": state == "on"})
    for role, value in (("anat", 300.0), ("famp", 800.0)):
        write_image(fmap / f"{begin}_acq-{role}_TB1TFL.nii.gz", value)
        write_json(fmap / f"{begin}_acq-{role}_TB1TFL.json", {"FlipAngle": 80})
    write_image(anat / f"{begin}_T1w.nii.gz")


def write_dataset(root: Path) -> Path:
    """Write the whole dataset."""
    root.mkdir(parents=True)
    write_json(root / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.11.1"})
    (root / "README").write_text("Three participants for tests.\n", encoding="utf-8")
    for label in SUBJECTS:
        write_participant(root, label)
    return root


def runs_of(text: str, label: str) -> list[str]:
    """Return the runs of a participant that a check lists."""
    return re.findall(rf"^  run +(sub-{label}_\S+)", text, re.MULTILINE)
