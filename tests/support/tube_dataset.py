"""Tubes of one solute: a series of QUESP, a Z-spectrum, maps of T1 and T2, and the labels of the tubes with what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from pool_files import write_pool_model
from tube_series import tube_scan, tube_signal

from qmri_bids.physics.pools import CestPool, PoolModel, Water

SHAPE = (26, 26, 3)
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])
SHIFT, FIELD = 4.3, 7.0
PROTONS = 2
TUBES = {
    1: ("20 mM", 20.0, 600.0, 6.6),
    2: ("40 mM", 40.0, 600.0, 6.6),
    3: ("80 mM", 80.0, 600.0, 6.6),
    4: ("80 mM, pH 7", 80.0, 1200.0, 7.0),
}
"""Name, concentration [mM], exchange rate [1/s] and pH by label."""
POWERS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
OFFSETS = tuple(np.round(np.arange(-6.0, 6.01, 0.5), 2))
NOISE = 0.003
T1, T2 = 2.5, 1.0


def tube_labels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Return the labels of four tubes in a bath."""
    x, y, _ = np.indices(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    for label, (first, second) in zip(TUBES, ((8, 8), (8, 17), (17, 8), (17, 17)), strict=True):
        labels[(x - first) ** 2 + (y - second) ** 2 <= 3.4**2] = label
    return labels


def write_tubes(root: Path, *, atlas: str = "sub-01_desc-tubes_dseg", seed: int = 1) -> Path:
    """Write the dataset, `pools.yaml` and the labels beside it, and return the folder of the dataset."""
    bids, rng = root / "bids", np.random.default_rng(seed)
    anat = bids / "sub-01" / "anat"
    anat.mkdir(parents=True)
    description = {"Name": "Tubes", "BIDSVersion": "1.11.1", "DatasetType": "raw"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    (bids / "README").write_text("Tubes of iohexol in water, simulated.\n")
    (bids / ".bidsignore").write_text("*_cest.*\n*_cestcontext.*\n")
    labels = tube_labels()
    x, y, _ = np.indices(SHAPE)
    bath = (x - 12.5) ** 2 + (y - 12.5) ** 2 <= 11.5**2
    quesp = tube_scan(shift=SHIFT, powers=POWERS, field_strength=FIELD, name="iohexol")
    spectrum = tube_scan(shift=SHIFT, powers=(1.5,), field_strength=FIELD, name="iohexol", offsets=OFFSETS)
    for acq, scan in (("QUESP", quesp), ("ZSPEC", spectrum)):
        (protocol,) = scan.protocols
        images = np.zeros((*SHAPE, protocol.number_of_images), dtype=np.float32)
        images[bath] = tube_signal(scan, 1e-12, 600.0)
        for label, (_, concentration, rate, _) in TUBES.items():
            images[labels == label] = tube_signal(scan, concentration * PROTONS / 111e3, rate)
        images = 1000.0 * (images + NOISE * rng.standard_normal(images.shape))
        nib.save(nib.Nifti1Image(np.abs(images).astype(np.float32), AFFINE), anat / f"sub-01_acq-{acq}_cest.nii.gz")
        rows = ["volume_type\toffset_ppm\tb1_rms\tsaturation_duration"]
        for image in protocol.images:
            if image.saturation is None:
                rows.append("m0scan\tn/a\tn/a\tn/a")
            else:
                power, duration = 1e6 * image.saturation.b1_rms, image.saturation.duration
                rows.append(f"cest\t{image.offset:g}\t{power:.6g}\t{duration:g}")
        (anat / f"sub-01_acq-{acq}_cestcontext.tsv").write_text("\n".join(rows) + "\n")
        content = {"MagneticFieldStrength": FIELD, "MTPulseShape": "block"}
        (anat / f"sub-01_acq-{acq}_cest.json").write_text(json.dumps(content))
    for name, value, error in (("T1map", T1, 0.02), ("T2map", T2, 0.02)):
        values = value * (1.0 + error * rng.standard_normal(SHAPE))
        for desc, stored in (("", values), ("desc-std_", np.full(SHAPE, error * value))):
            nib.save(nib.Nifti1Image(stored.astype(np.float32), AFFINE), anat / f"sub-01_{desc}{name}.nii.gz")
            (anat / f"sub-01_{desc}{name}.json").write_text(json.dumps({"Units": "s"}))
    pool = CestPool(name="iohexol", fraction=1e-3, rate=500.0, shift=SHIFT, t2=0.02)
    write_pool_model(PoolModel(water=Water(t1=T1, t2=T2), cest=(pool,)), root / "pools.yaml")
    nib.save(nib.Nifti1Image(labels, AFFINE), root / f"{atlas}.nii.gz")
    table = ["index\tname\tconcentration_mM\texchange_rate\tpH"]
    table += [f"{label}\t" + "\t".join(map(str, values)) for label, values in TUBES.items()]
    (root / f"{atlas}.tsv").write_text("\n".join(table) + "\n")
    return bids
