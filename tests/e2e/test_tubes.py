"""A phantom of tubes by command line: QUESP and a Z-spectrum, by region beside what is stated."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tube_dataset import TUBES, write_tubes

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    root = tmp_path_factory.mktemp("tubes")
    bids = write_tubes(root)
    options = [
        "--mask-method",
        "object",
        "--no-b1",
        "--cest-off-resonance",
        0,
        "--nprocs",
        1,
        "--work-dir",
        root / "work",
    ]
    pools = ["--cest-estimator", "quesp", "--cest-pools", root / "pools.yaml", "--cest-protons", "iohexol=2"]
    series = ["--ignore", "motion", "gibbs", "--mtrasym-offsets", 4.3]
    return [bids, root / "out", "participant", *options, *pools, *series]


@pytest.fixture(scope="module")
def done(asked: list[object], run_app: RunApp) -> Path:
    root = Path(str(asked[1])).parent
    found = run_app(*asked, "--atlas", root / "sub-01_desc-tubes_dseg.nii.gz")
    assert found.returncode == 0, found.stderr + found.stdout
    return root / "out"


def test_concentrations_and_rates_of_the_tubes_are_the_stated_ones(done: Path) -> None:
    rows = rows_of(done / "sub-01" / "anat" / "sub-01_acq-QUESP_atlas-sub01desctubesdseg_stats.tsv")
    for suffix, tolerance in (("concentrationmap", 0.03), ("exchangemap", 0.05)):
        own = [row for row in rows if row["map"] == f"desc-iohexol_{suffix}"]
        assert [row["name"] for row in own] == [name for name, *_ in TUBES.values()]
        for row in own:
            assert float(row["mean"]) == pytest.approx(float(row["stated"]), rel=tolerance)
            assert int(row["n"]) > 0.95 * int(row["size"])
            assert float(row["sd"]) / float(row["stated_sd"]) == pytest.approx(1.0, abs=0.5)


def test_curves_of_the_tubes_are_written_and_shown(done: Path) -> None:
    folder = done / "sub-01" / "anat"
    spectra = rows_of(folder / "sub-01_acq-ZSPEC_atlas-sub01desctubesdseg_desc-zspectra_stats.tsv")
    near = {row["name"]: float(row["mean"]) for row in spectra if float(row["offset_ppm"]) == 4.5}
    assert near["80 mM"] < near["40 mM"] < near["20 mM"] < 1.0
    assert len(rows_of(folder / "sub-01_acq-QUESP_atlas-sub01desctubesdseg_desc-signals_stats.tsv")) == 4 * 14
    page = (done / "sub-01.html").read_text()
    for said in ("Measured against stated values", "Omega plots of the regions", "Z-spectra of the regions"):
        assert said in page
    assert "QUESP used 6 pairs" in page
    sidecar = json.loads((folder / "sub-01_acq-QUESP_desc-iohexol_fractionmap.json").read_text())
    assert sidecar["EstimationAlgorithm"].startswith("quesp: QUESP and QUEST")


def test_outputs_are_valid_bids(done: Path) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    found = subprocess.run([program, "--ignoreWarnings", done], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_an_atlas_on_no_grid_of_a_run_is_refused(asked: list[object], run_app: RunApp, tmp_path: Path) -> None:
    import nibabel as nib
    import numpy as np

    path = tmp_path / "elsewhere.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((26, 26, 3), dtype=np.uint8), np.eye(4)), path)
    found = run_app(*asked, "--atlas", path)
    assert found.returncode == 2, found.stderr
    assert "at another place than the runs; give its space with --atlas-space" in found.stderr
