"""A folder as fMRIPrep leaves it, made of the truth of a simulated dataset."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import ants
import nibabel as nib
import numpy as np

from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.preprocessing.registration.resampling import resample

TEMPLATE = "MNI152NLin6Asym"
TO_TEMPLATE = np.array([[1.08, 0.02, 0.0, 2.0], [-0.02, 1.05, 0.0, -3.0], [0.0, 0.0, 1.1, 4.0], [0.0, 0.0, 0.0, 1.0]])
"""From a position in the T1w image to that in the template [RAS mm]."""
TEMPLATE_AFFINE = np.array([[6.0, 0, 0, -90.0], [0, 6.0, 0, -120.0], [0, 0, 6.0, -84.0], [0, 0, 0, 1.0]])
TEMPLATE_SHAPE = (31, 37, 31)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def t1w_pose(bids: Path) -> np.ndarray:
    """Return the matrix from a position of the head in the bSSFP scan to that in the T1w image [RAS mm]."""
    table = bids / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_acq-T1w_desc-poses_timeseries.tsv"
    (row,) = csv.DictReader(table.read_text().splitlines(), delimiter="\t")
    shift = tuple(float(row[f"translation_{axis}"]) for axis in "xyz")
    angles = tuple(float(np.deg2rad(float(row[f"rotation_{axis}"]))) for axis in "xyz")
    return Pose(translation=shift, rotation=angles).matrix


def write_transform(path: Path, matrix: np.ndarray) -> None:
    """Write a matrix on positions [RAS mm] as a transform of ITK."""
    lps = LPS @ matrix @ LPS
    ants.write_transform(
        ants.create_ants_transform(transform_type="AffineTransform", matrix=lps[:3, :3], translation=lps[:3, 3]),
        str(path),
    )


def write_fmriprep(root: Path, *, bids: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Write T1w image, brain mask, tissues and transforms of sub-01; names that hold one of `leave_out` are missing."""
    folder = root / "sub-01" / "anat"
    folder.mkdir(parents=True)
    described = {
        "Name": "fMRIPrep",
        "BIDSVersion": "1.4.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}],
    }
    (root / "dataset_description.json").write_text(json.dumps(described))
    image: Any = nib.load(bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    truth = bids / "derivatives" / "truth" / "sub-01" / "anat"
    back = np.linalg.inv(t1w_pose(bids))

    def save(name: str, data: np.ndarray, affine: np.ndarray = image.affine) -> None:
        if not any(each in name for each in leave_out):
            nib.save(nib.Nifti1Image(data, affine), folder / f"sub-01_{name}.nii.gz")

    def carried(name: str) -> np.ndarray:
        source: Any = nib.load(truth / f"sub-01_acq-pcbssfp_{name}.nii.gz")
        return resample(
            np.asarray(source.dataobj, dtype=np.float32),
            affine=source.affine,
            target_shape=image.shape,
            target_affine=image.affine,
            transform=back,
            order=1,
        )

    data = np.asarray(image.dataobj, dtype=np.float32)
    shares = {name: carried(f"label-{name}_probseg") for name in ("GM", "WM", "CSF")}
    brain = sum(shares.values()) > 0.5
    save("desc-preproc_T1w", data)
    save("desc-brain_mask", brain.astype(np.uint8))
    save("dseg", np.where(brain, 1 + np.argmax(np.stack(list(shares.values())), axis=0), 0).astype(np.uint8))
    for name, share in shares.items():
        save(f"label-{name}_probseg", share.astype(np.float32))
    moved = resample(
        data,
        affine=image.affine,
        target_shape=TEMPLATE_SHAPE,
        target_affine=TEMPLATE_AFFINE,
        transform=np.linalg.inv(TO_TEMPLATE),
        order=1,
    )
    save(f"space-{TEMPLATE}_res-6_desc-preproc_T1w", moved, TEMPLATE_AFFINE)
    # The transform of an image takes positions of the space it goes to into that it comes from.
    for name, matrix in (
        (f"from-T1w_to-{TEMPLATE}", np.linalg.inv(TO_TEMPLATE)),
        (f"from-{TEMPLATE}_to-T1w", TO_TEMPLATE),
    ):
        if not any(each in name for each in leave_out):
            write_transform(folder / f"sub-01_{name}_mode-image_xfm.h5", matrix)
