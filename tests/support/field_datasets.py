"""Datasets whose participants hold one scan of a field each, cut out of simulated heads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from qmri_bids.phantom.dataset import simulate_dataset

TFL, MAP, FIELDMAP, PHASES, WASABI = "01", "02", "03", "04", "05"
"""Participants: TB1TFL, TB1map, a field map in Hz, the phase difference of two echoes, and WASABI."""

ECHO_TIMES = (0.00492, 0.00738)
SIGNAL_TO_NOISE = 40.0
"""Of the brightest voxels of the image of one echo."""

HEAD: dict[str, Any] = {"subjects": 1, "matrix": (48, 56, 48), "voxel_size": 4.0, "motion": 0.0, "seed": 4}


def write_one_field_each(root: Path, *, scratch: Path) -> None:
    """Write a dataset with one scan of a field, and nothing else, of every participant; truth as the simulation writes it.

    Parameters
    ----------
    root
        The dataset, not there yet.
    scratch
        Folder for the simulated heads from which it is cut.
    """
    simulate_dataset(scratch / "heads", b1="TB1TFL", wasabi=True, **HEAD)
    simulate_dataset(scratch / "maps", b1="TB1map", **HEAD)
    for name in ("dataset_description.json", "README.md", "participants.json", ".bidsignore"):
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(scratch / "heads" / name, root / name)
    everyone = (TFL, MAP, FIELDMAP, PHASES, WASABI)
    rows = "".join(f"sub-{subject}\tphantom\n" for subject in everyone)
    (root / "participants.tsv").write_text(f"participant_id\tspecies\n{rows}")
    _copy(scratch / "heads", root, subject=TFL, pattern="fmap/*TB1TFL*")
    _copy(scratch / "maps", root, subject=MAP, pattern="fmap/*TB1map*")
    _copy(scratch / "heads", root, subject=WASABI, pattern="anat/*WASABI*")
    truth = scratch / "heads" / "derivatives" / "truth"
    shutil.copytree(truth, root / "derivatives" / "truth")
    image: Any = nib.load(truth / "sub-01" / "fmap" / "sub-01_acq-pcbssfp_fieldmap.nii.gz")
    field = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float64))
    head: Any = nib.load(truth / "sub-01" / "fmap" / "sub-01_acq-pcbssfp_magnitude.nii.gz")
    magnitude = np.where(field != 0.0, np.asarray(head.dataobj, dtype=np.float64), 0.0)
    rng = np.random.default_rng(5)
    sigma = float(np.percentile(magnitude, 99)) / SIGNAL_TO_NOISE

    def echo(time: float) -> np.ndarray:
        noise = rng.normal(size=field.shape) + 1j * rng.normal(size=field.shape)
        return np.asarray(magnitude * np.exp(2j * np.pi * field * time) + sigma * noise)

    first, second = (echo(time) for time in ECHO_TIMES)
    _write(root, FIELDMAP, "fieldmap", field, affine=image.affine, sidecar={"Units": "Hz"})
    _write(root, FIELDMAP, "magnitude", np.abs(first), affine=image.affine, sidecar={})
    times = {"EchoTime1": ECHO_TIMES[0], "EchoTime2": ECHO_TIMES[1]}
    difference = np.angle(second * first.conj())
    _write(root, PHASES, "phasediff", difference, affine=image.affine, sidecar={"Units": "rad", **times})
    for number, image_of_echo in enumerate((first, second), start=1):
        sidecar = {"EchoTime": ECHO_TIMES[number - 1]}
        _write(root, PHASES, f"magnitude{number}", np.abs(image_of_echo), affine=image.affine, sidecar=sidecar)


def _copy(source: Path, root: Path, *, subject: str, pattern: str) -> None:
    for path in sorted((source / "sub-01").glob(pattern)):
        folder = root / f"sub-{subject}" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name.replace("sub-01", f"sub-{subject}"))


def _write(
    root: Path, subject: str, suffix: str, values: np.ndarray, *, affine: np.ndarray, sidecar: dict[str, Any]
) -> None:
    folder = root / f"sub-{subject}" / "fmap"
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values.astype(np.float32), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, folder / f"sub-{subject}_{suffix}.nii.gz")
    (folder / f"sub-{subject}_{suffix}.json").write_text(json.dumps(sidecar))
