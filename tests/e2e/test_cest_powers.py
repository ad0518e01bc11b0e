"""A simulated head whose Z-spectra of two powers are taken to nominal B1, with T1 of a file: files, words and figures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.phantom.files import saturation as saturation_dataset
from qmri_bids.phantom.scans import cest as cest_scan
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import z_spectrum

pytestmark = pytest.mark.slow

WHITE = 2
SIDE = (50.0, 20.0, 10.0, 6.0, 5.0, 4.2, 3.5, 2.8, 2.0, 1.2, 0.7, 0.3)
OFFSETS = (*(-each for each in SIDE), 0.0, *reversed(SIDE))


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def design(label: str, code: int, power: float) -> cest_scan.CestDesign:
    train = Saturation(pulse=Pulse.block(amplitude=power, duration=2.0))
    return replace(
        cest_scan.CEST_SCANS["zspectrum"][0],
        label=label,
        code=code,
        protocol=z_spectrum(train, OFFSETS, recovery=3.5),
        pulse_shape="HARD",
    )


def slope(arex: np.ndarray, b1: np.ndarray) -> float:
    """Return the relative change of a map by relative B1."""
    usable = np.isfinite(arex) & (arex > 0.0) & np.isfinite(b1)
    line = np.polyfit(b1[usable] - 1.0, arex[usable], 1)
    return float(line[0] / line[1])


def test_two_powers_and_a_t1map(run_app: Callable[..., subprocess.CompletedProcess], tmp_path: Path) -> None:
    bids, out = tmp_path / "bids", tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        designs = (design("low", 41, 0.7e-6), design("high", 42, 1.05e-6))
        patched.setattr(saturation_dataset, "CEST_SCANS", {"zspectrum": designs})
        simulate_dataset(
            bids,
            matrix=(38, 45, 38),
            voxel_size=5.1,
            motion=0.0,
            seed=4,
            cest=("zspectrum",),
        )
    for path in (bids / "sub-01").rglob("*pcbssfp*"):
        path.unlink()
    anat, truth = bids / "sub-01" / "anat", bids / "derivatives" / "truth" / "sub-01"
    t1 = nib.load(truth / "anat" / "sub-01_acq-low_T1map.nii.gz")
    nib.save(nib.Nifti1Image(1e3 * np.asarray(t1.dataobj), t1.affine), anat / "sub-01_T1map.nii.gz")
    (anat / "sub-01_T1map.json").write_text(json.dumps({"Units": "ms"}))
    places = (bids, out, "participant", "--work-dir", tmp_path / "work", "--nprocs", 2)
    done = run_app(*places, "--cest-b1-correction", "powers", "--ignore", "motion")
    assert done.returncode == 0, done.stderr + done.stdout
    own, corrected = (out / "sub-01" / "anat" / f"sub-01_acq-{label}" for label in ("low", "lowB1corrected"))
    said = json.loads(Path(f"{corrected}_desc-amide_arexmap.json").read_text())
    assert (said["T1From"], said["T1Kind"]) == ("sub-01_T1map.nii.gz", "T1 as the file holds it")
    assert said["B1Correction"]["Spectra"] == ["sub-01_acq-high_cest"]
    assert said["B1Correction"]["RelativePower"] == pytest.approx([1.5])
    assert any(each.endswith("sub-01_T1map.nii.gz") for each in said["Sources"])
    assert any("acq-high_desc-preproc_cest" in each for each in said["Sources"])
    report = (out / "sub-01.html").read_text()
    for sentence in (
        "in milliseconds by its sidecar, converted to seconds",
        "is taken to its nominal B1 by the spectrum of sub-01_acq-high_cest",
        "Spectra were taken to their nominal B1 by those at 1, 1.5 times it",
        "of AREX holds none of T1",
    ):
        assert sentence in report, sentence
    b1 = load(truth / "fmap" / "sub-01_acq-low_TB1map.nii.gz") / 100.0
    # The fit of voxels that hold other tissue too depends on where in the head they are, as B1 does.
    white = binary_erosion(load(truth / "anat" / "sub-01_acq-low_dseg.nii.gz") == WHITE)
    for pool in ("MT", "amide"):
        before, after = (
            slope(load(Path(f"{stem}_desc-{pool}_arexmap.nii.gz"))[white], b1[white]) for stem in (own, corrected)
        )
        assert abs(after) < 0.4 * abs(before), f"{pool}: {before:.2f} without, {after:.2f} with correction"
