"""Fingerprints of a simulated head: what is written, that it is valid, and that it is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from written_files import written_files

from qmri_bids.phantom.dataset import simulate_dataset

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).with_name("expected_exchange_outputs.txt")
TISSUES = ("WM", "GM")
PURE = 0.9
"""Share of a tissue in a voxel from which on its values are those of the tissue."""

RunApp = Callable[..., subprocess.CompletedProcess]


@dataclass(frozen=True)
class Head:
    bids: Path
    out: Path
    work: Path

    def output(self, datatype: str, name: str) -> np.ndarray:
        return load(self.out / "sub-01" / datatype / f"sub-01_acq-MRF_{name}.nii.gz")

    def truth(self, datatype: str, name: str) -> np.ndarray:
        folder = self.bids / "derivatives" / "truth" / "sub-01" / datatype
        return load(folder / f"sub-01_acq-MRFMT_{name}.nii.gz")

    def pure(self, tissue: str) -> np.ndarray:
        return self.truth("anat", f"label-{tissue}_probseg") > PURE

    def sidecar(self, name: str) -> dict[str, Any]:
        return json.loads((self.out / "sub-01" / "anat" / f"sub-01_acq-MRF_{name}.json").read_text())


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


@pytest.fixture(scope="module")
def head(run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Head:
    """A coarse head with both stages of published fingerprinting; T1, T2 and B0 are those of pc-bSSFP, B1 that of its scan."""
    folder = tmp_path_factory.mktemp("exchange")
    simulate_dataset(folder / "bids", matrix=(36, 42, 36), voxel_size=5.0, motion=0.5, seed=6, cest=("mrf",))
    out, work = folder / "out", folder / "work"
    done = run_app(folder / "bids", out, "participant", "--work-dir", work, "--nprocs", 2, "--cest-estimator", "ml")
    assert done.returncode == 0, done.stderr + done.stdout
    return Head(folder / "bids", out, work)


def test_the_outputs_are_those_expected(head: Head) -> None:
    assert [name for name in written_files(head.out) if "acq-pcbssfp" not in name] == EXPECTED.read_text().split()


def test_derivatives_are_valid_bids(head: Head) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--ignoreWarnings", head.out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tissue", TISSUES)
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("desc-MT_fractionmap", 0.06),
        ("desc-MT_exchangemap", 0.15),
        ("desc-amide_fractionmap", 0.20),
        ("desc-amide_exchangemap", 0.20),
    ],
)
def test_pools_are_those_of_the_tissue(head: Head, tissue: str, name: str, tolerance: float) -> None:
    found, true = head.output("anat", name), head.truth("anat", name)
    where = head.pure(tissue)
    assert np.mean(np.isfinite(found[where])) > 0.85
    assert abs(np.nanmedian(found[where]) / np.nanmedian(true[where]) - 1.0) < tolerance


def test_white_and_grey_matter_are_told_apart(head: Head) -> None:
    white, grey = (
        {
            name: np.nanmedian(head.output("anat", f"desc-{name}")[head.pure(tissue)])
            for name in ("MT_fractionmap", "amide_exchangemap")
        }
        for tissue in TISSUES
    )
    assert white["MT_fractionmap"] > 1.5 * grey["MT_fractionmap"]
    assert white["amide_exchangemap"] < 0.7 * grey["amide_exchangemap"]


def test_uncertainty_and_codes_belong_to_the_maps(head: Head) -> None:
    for pool in ("MT", "amide"):
        codes = head.output("anat", f"desc-{pool}quality_mask")
        for kind in ("fractionmap", "exchangemap"):
            values, spread = (head.output("anat", f"desc-{pool}{end}_{kind}") for end in ("", "std"))
            np.testing.assert_array_equal(np.isfinite(values), codes == 1)
            np.testing.assert_array_equal(np.isfinite(spread), codes == 1)
            assert (spread[codes == 1] > 0.0).all()
        fluid = head.truth("anat", "label-CSF_probseg") > PURE
        assert np.mean(codes[fluid] == 1) < 0.6, "fluid holds no pool"
        assert np.abs(head.output("anat", f"desc-{pool}_correlationmap")[codes == 1]).max() <= 1.0


def test_known_maps_reach_the_series(head: Head) -> None:
    tissue = head.pure("WM") | head.pure("GM")
    for datatype, suffix, tolerance in (
        ("anat", "T1map", 0.15),
        ("anat", "T2map", 0.02),
        ("fmap", "TB1map", 2.0),
        ("fmap", "fieldmap", 2.0),
    ):
        error = (head.output(datatype, f"desc-known_{suffix}") - head.truth(datatype, suffix))[tissue]
        assert np.mean(np.isfinite(error)) > 0.95, suffix
        assert np.nanmedian(np.abs(error)) < tolerance, suffix


def test_the_sidecar_says_where_all_comes_from(head: Head) -> None:
    content = head.sidecar("desc-amide_exchangemap")
    assert content["KnownMaps"] == {
        "T1": "sub-01_acq-pcbssfp_flip-1",
        "T2": "sub-01_acq-pcbssfp_flip-1",
        "off-resonance": "sub-01_acq-pcbssfp_flip-1",
        "B1": "sub-01_acq-famp_TB1TFL.nii.gz",
    }
    assert [stage["Name"] for stage in content["Stages"]] == ["sub-01_acq-MRFMT_cest", "sub-01_acq-MRFamide_cest"]
    assert {pool["Name"]: pool["Estimated"] for pool in content["Pools"]} == {"amide": True, "MT": True}
    assert "bids::sub-01/fmap/sub-01_acq-pcbssfp_fieldmap.nii.gz" in content["Sources"]
    assert content["EstimationAlgorithm"].startswith("ml: ")


def test_motion_of_both_stages_is_found(head: Head) -> None:
    for stage in ("MRFMT", "MRFamide"):
        path = head.out / "sub-01" / "anat" / f"sub-01_acq-{stage}_desc-confounds_timeseries.tsv"
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        displacement = np.array([float(row[rows[0].index("framewise_displacement")]) for row in rows[1:]])
        assert len(displacement) == 31
        assert 0.05 < displacement[1:].mean() < 1.5


def test_the_report_shows_protocols_trajectories_and_maps(
    head: Head, probe_page: Callable[[Path], dict[str, Any]]
) -> None:
    found = probe_page(head.out / "sub-01.html")
    assert len(found["widths"]) >= 45
    assert found["broken"] == []
    assert found["twice"] == []
    text = (head.out / "sub-01.html").read_text()
    for words in (
        "CEST: pool fractions and exchange rates",
        "Trajectories of the tissues",
        "Saturation protocol of acq-MRFamide",
        "was unwrapped in space",
        "amide exchange rate",
        "Quality mask of MT",
    ):
        assert words in text, words
