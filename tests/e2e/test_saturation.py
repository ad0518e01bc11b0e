"""CEST and MT on a simulated head: what is written, that it is valid, and that it is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from written_files import written_files

from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.phantom.files import saturation as saturation_dataset
from qmri_bids.phantom.scans import cest as cest_scan
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import z_spectrum

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).with_name("expected_saturation_outputs.txt")
GREY, WHITE = 1, 2
SIDE = (100.0, 50.0, 20.0, 12.0, 8.0, 6.0, 5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.7, 0.4, 0.2)
OFFSETS = (*(-each for each in SIDE), 0.0, *reversed(SIDE))
RunApp = Callable[..., subprocess.CompletedProcess]


@dataclass(frozen=True)
class Head:
    bids: Path
    out: Path
    work: Path
    done: subprocess.CompletedProcess

    def output(self, datatype: str, name: str) -> np.ndarray:
        return load(self.out / "sub-01" / datatype / f"sub-01_{name}.nii.gz")

    def truth(self, datatype: str, name: str) -> np.ndarray:
        return load(self.bids / "derivatives" / "truth" / "sub-01" / datatype / f"sub-01_{name}.nii.gz")

    def tissue(self, label: str) -> np.ndarray:
        return np.isin(self.truth("anat", f"acq-{label}_dseg"), (GREY, WHITE))


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


@pytest.fixture(scope="module")
def head(run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Head:
    """A coarse head with a Z-spectrum of continuous saturation, which is quick to simulate, WASABI, MTR and MTsat."""
    folder = tmp_path_factory.mktemp("saturation")
    train = Saturation(pulse=Pulse.block(amplitude=0.8e-6, duration=2.0))
    design = replace(
        cest_scan.CEST_SCANS["zspectrum"][0], protocol=z_spectrum(train, OFFSETS, recovery=3.5), pulse_shape="HARD"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(saturation_dataset, "CEST_SCANS", {"zspectrum": (design,)})
        simulate_dataset(
            folder / "bids",
            matrix=(48, 56, 48),
            voxel_size=4.0,
            motion=0.5,
            seed=4,
            cest=("zspectrum",),
            mt=("mtr", "mts"),
            wasabi=True,
        )
    out, work = folder / "out", folder / "work"
    spectra = (
        "--mtrasym-offsets",
        3.5,
        2,
        "--mtrasym-ranges",
        "3:4",
        "--cest-measures",
        "three-offset",
        "lda",
        "rex",
        "emr",
    )
    done = run_app(folder / "bids", out, "participant", "--work-dir", work, "--nprocs", 2, *spectra)
    assert done.returncode == 0, done.stderr + done.stdout
    return Head(folder / "bids", out, work, done)


def test_the_outputs_are_those_expected(head: Head) -> None:
    assert [name for name in written_files(head.out) if "acq-pcbssfp" not in name] == EXPECTED.read_text().split()


def test_raw_data_and_derivatives_are_valid_bids(head: Head) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    for folder in (head.bids, head.out):
        done = subprocess.run([program, "--ignoreWarnings", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_wasabi_finds_b0_and_b1(head: Head) -> None:
    tissue = head.tissue("WASABI")
    b0 = (head.output("fmap", "acq-WASABI_fieldmap") - head.truth("fmap", "acq-WASABI_fieldmap"))[tissue]
    b1 = (head.output("fmap", "acq-WASABI_TB1map") - head.truth("fmap", "acq-WASABI_TB1map"))[tissue]
    assert np.mean(np.isfinite(b0)) > 0.95
    assert np.nanmedian(np.abs(b0)) < 1.5  # voxels of 4 mm, read half a millimetre beside the truth
    assert np.nanmedian(np.abs(b1)) < 1.5


def test_mtr_and_mtsat_are_those_of_the_noise_free_head(head: Head) -> None:
    ratio = head.output("anat", "acq-MT_MTRmap") - head.truth("anat", "acq-MT_desc-noisefree_MTRmap")
    assert abs(np.nanmedian(ratio[head.tissue("MT")])) < 1.0  # percent
    found, true = head.output("anat", "acq-MTS_MTsat"), head.truth("anat", "acq-MTS_desc-noisefree_MTsat")
    b1 = head.output("fmap", "acq-MTS_TB1map") / 100.0
    tissue = head.tissue("MTS") & np.isfinite(found)
    # the truth is without correction: that of the package is undone
    uncorrected = found / ((1.0 - 0.4) / (b1**2 * (1.0 - 0.4 * b1)))
    assert abs(np.median(uncorrected[tissue]) / np.median(true[tissue]) - 1.0) < 0.05


def test_the_z_spectrum_takes_b0_of_wasabi_and_t1_of_pcbssfp(head: Head) -> None:
    content = json.loads((head.out / "sub-01/anat/sub-01_acq-Zspec_desc-amide_arexmap.json").read_text())
    assert content["B0From"] == "sub-01_acq-WASABI_cest"
    assert content["T1From"].startswith("sub-01_acq-pcbssfp")
    tissue = head.tissue("Zspec")
    b0 = (head.output("fmap", "acq-Zspec_fieldmap") - head.truth("fmap", "acq-Zspec_fieldmap"))[tissue]
    assert np.nanmedian(np.abs(b0)) < 2.0
    for name in ("desc-amide_amplitudemap", "desc-MT_amplitudemap", "desc-amide_arexmap", "desc-asymAPT_MTRmap"):
        values = head.output("anat", f"acq-Zspec_{name}")[tissue]
        assert np.mean(np.isfinite(values)) > 0.6, name


def test_pools_follow_the_head(head: Head) -> None:
    """White matter holds more of the semisolid pool than grey matter: where it is, its line is the higher."""
    amplitude = head.output("anat", "acq-Zspec_desc-MT_amplitudemap")
    fraction = head.truth("anat", "acq-Zspec_desc-MT_fractionmap")
    label = head.truth("anat", "acq-Zspec_dseg")
    fluid = np.nanmedian(amplitude[label == 3])
    assert fluid < 0.7 * np.nanmedian(amplitude[label == WHITE])
    assert np.nanmedian(fraction[label == WHITE]) > np.nanmedian(fraction[label == GREY])


def test_motion_of_the_series_is_found(head: Head) -> None:
    table = (head.out / "sub-01/anat/sub-01_acq-Zspec_desc-confounds_timeseries.tsv").read_text().splitlines()
    columns = table[0].split("\t")
    assert columns[:2] == ["offset_ppm", "registered"]
    displacement = np.array([float(row.split("\t")[columns.index("framewise_displacement")]) for row in table[1:]])
    assert len(displacement) == 1 + len(OFFSETS)
    assert 0.05 < displacement[1:].mean() < 1.5


def test_every_map_has_its_uncertainty(head: Head) -> None:
    maps = [
        path
        for path in (head.out / "sub-01").rglob("*map.nii.gz")
        if "std" not in path.name and "residual" not in path.name and "acq-pcbssfp" not in path.name
    ]
    assert len(maps) > 15
    for path in maps:
        name = path.name
        if name == "sub-01_acq-MTS_TB1map.nii.gz":
            continue  # known, not estimated
        desc = next((part for part in name.split("_") if part.startswith("desc-")), None)
        stem, suffix = name.rsplit("_", 1)
        stdev = name.replace(desc, f"{desc}std") if desc else f"{stem}_desc-std_{suffix}"
        values, spread = load(path), load(path.with_name(stdev))
        with_value = np.isfinite(values) & (values != 0.0)
        assert np.mean(np.isfinite(spread[with_value])) > 0.99, name
        assert (spread[np.isfinite(spread)] >= 0.0).all()


def test_the_report_shows_spectra_protocol_and_maps(head: Head, probe_page: Callable[[Path], dict[str, Any]]) -> None:
    found = probe_page(head.out / "sub-01.html")
    assert len(found["widths"]) >= 60
    assert found["broken"] == []
    # Numbers and their units are kept on one line by spaces of another kind.
    text = " ".join((head.out / "sub-01.html").read_text().replace("&nbsp;", " ").split())
    for words in (
        "CEST: Z-spectrum",
        "CEST: B0 and B1 by WASABI",
        "MT saturation",
        "Mean Z-spectra",
        "Saturation protocol",
        "The mean spectrum tells",
        "The three-offset measure of APT is the line through Z",
    ):
        assert words in text, words


def test_without_b0_scan_the_spectrum_tells_it_and_a_second_call_says_so(
    head: Head, run_app: RunApp, tmp_path: Path
) -> None:
    done = run_app(
        head.bids,
        tmp_path / "out",
        "participant",
        "--work-dir",
        tmp_path / "work",
        "--dry-run",
        "--cest-b0",
        "spectrum",
    )
    assert done.returncode == 0
    assert "spectrum" in done.stdout
    refused = run_app(
        head.bids,
        tmp_path / "out",
        "participant",
        "--work-dir",
        tmp_path / "work",
        "--dry-run",
        "--cest-b0",
        "fieldmap",
    )
    assert refused.returncode == 1
    assert "fieldmap" in refused.stdout
