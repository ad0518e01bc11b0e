"""`qmri-tools compare` on a small head of eight cycles that the program has processed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.cli.tools import main
from qmri_bids.phantom.dataset import simulate_dataset

ESTIMATORS = ("miracle", "pinn", "ml", "pinn-complex-uniform")
STEM = "sub-01_acq-pcbssfp"


@dataclass(frozen=True)
class Compared:
    bids: Path
    out: Path
    work: Path

    @property
    def page(self) -> str:
        return (self.folder / "compare.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")

    @property
    def folder(self) -> Path:
        return self.out / "compare" / STEM

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / "tables" / f"{STEM}_desc-{name}_compare.tsv").open(encoding="utf-8") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))


def call(bids: Path, out: Path, *more: object) -> int:
    return main(["compare", str(bids), str(out), *(str(each) for each in more)])


QUICK = ("--estimators", *ESTIMATORS, "--draws", 8, "--train-epochs", 2, "--train-samples", 2000, "--train-networks", 1)


@pytest.fixture(scope="module")
def processed_head(tmp_path_factory: pytest.TempPathFactory, run_app: Callable[..., Any]) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    bids, out = folder / "bids", folder / "out"
    simulate_dataset(bids, matrix=(22, 26, 22), voxel_size=8.0, phase_cycles=8, motion=0.5, seed=4)
    done = run_app(bids, out, "participant", "--work-dir", folder / "work", "--skip-bids-validation")
    assert done.returncode == 0, done.stderr + done.stdout
    return bids, out


@pytest.fixture(scope="module")
def compared(processed_head: tuple[Path, Path]) -> Compared:
    bids, out = processed_head
    work = bids.with_name("compare_work")
    assert call(bids, out, "--work-dir", work, *QUICK) == 0
    return Compared(bids, out, work)


def test_the_run_is_prepared_again_as_it_was_processed(compared: Compared) -> None:
    page = compared.page
    assert f"pinn finds the same T1 as in {STEM}_T1map.nii.gz: within 0.1 % in" in page
    assert "<h2>In short</h2>" in page
    assert "WM and GM are all voxels that" in page
    written = np.asanyarray(nib.load(compared.out / "sub-01" / "anat" / f"{STEM}_T1map.nii.gz").dataobj)
    again = np.asanyarray(nib.load(compared.folder / "maps" / f"{STEM}_desc-pinn_T1map.nii.gz").dataobj)
    there = np.isfinite(written) & np.isfinite(again)
    assert there.sum() > 0.98 * np.isfinite(written).sum()
    assert np.median(np.abs(again[there] / written[there] - 1.0)) < 1e-3


def test_what_this_scan_cannot_give_is_said(compared: Compared) -> None:
    page = compared.page
    assert "pinn-complex-uniform is left out: expected" in page
    assert "6 of 8 cycles: the increments allow no even spacing" in page
    assert "4 of 8 cycles: every second, evenly spaced, in 2 ways that share no cycle." in page
    assert "MIRACLE is biased below 12 cycles (this scan has 8)" in page


def test_tables_hold_what_physics_says(compared: Compared) -> None:
    fewer = {
        (row["estimator"], row["cycles"], row["parameter"], row["tissue"]): row for row in compared.table("cycles")
    }
    growth = [float(fewer["ml", cycles, "T1", "brain"]["stated_growth_median"]) for cycles in ("6", "4")]
    assert 1.0 < growth[0] < growth[1]
    wrong = {(row["estimator"], row["factor"], row["parameter"], row["tissue"]): row for row in compared.table("b1")}
    for name in ("ml", "miracle"):
        assert 0.4 < float(wrong[name, "0.8", "T1", "WM"]["relative_median"]) < 0.7
        assert abs(float(wrong[name, "0.8", "T2", "WM"]["relative_median"])) < 0.03
    drawn = {(row["estimator"], row["parameter"], row["tissue"]): row for row in compared.table("noise")}
    assert 0.6 < float(drawn["ml", "T1", "brain"]["ratio_median"]) < 1.4
    apart = {(row["estimator"], row["parameter"], row["tissue"]): row for row in compared.table("differences")}
    assert float(apart["miracle", "T1", "WM"]["difference_median"]) == 0.0
    assert compared.table("epochs")[-1]["agreement"] == "1"
    assert {row["kind"] for row in compared.table("time")} == {"measured", "extrapolated"}


def test_every_file_is_explained_and_hidden_from_the_validator(compared: Compared) -> None:
    assert "compare/**" in (compared.out / ".bidsignore").read_text(encoding="utf-8").splitlines()
    tables = sorted((compared.folder / "tables").glob("*.tsv"))
    assert len(tables) == 6
    for path in tables:
        explained = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        with path.open(encoding="utf-8") as stream:
            assert set(next(csv.reader(stream, delimiter="\t"))) <= set(explained)
    maps = sorted((compared.folder / "maps").glob("*.nii.gz"))
    assert {
        f"{STEM}_desc-{each}_T1map.nii.gz" for each in ("miracle", "mlMinusMiracle", "ml4cycles", "mlDrawnStd")
    } <= {path.name for path in maps}
    for path in maps:
        sidecar = json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text(encoding="utf-8"))
        assert sidecar["Units"] == "s"
        assert sidecar["Sources"][0].startswith("bids:raw:sub-01/anat/")
    assert not [path.name for path in compared.folder.parent.iterdir() if path.name != STEM]


def test_the_page_stands_alone_in_a_browser(compared: Compared, probe_page: Callable[[Path], dict[str, Any]]) -> None:
    found = probe_page(compared.folder / "compare.html")
    assert len(found["widths"]) == 9
    assert min(found["widths"]) > 0
    assert found["broken"] == []
    assert found["twice"] == []
    assert found["overflow"] <= 0
    assert min(found["alternatives"]) > 10


def test_a_second_call_replaces_the_first_and_one_part_can_be_asked_for(
    compared: Compared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "elsewhere"
    asked = ("--work-dir", compared.work, "--output", place, "--parts", "b1", "--estimators", "ml", "--b1-factors", 0.9)
    assert call(compared.bids, compared.out, *asked) == 0
    assert call(compared.bids, compared.out, *asked) == 0
    assert sorted(path.name for path in (place / STEM / "tables").iterdir()) == [
        f"{STEM}_desc-b1_compare.json",
        f"{STEM}_desc-b1_compare.tsv",
    ]
    page = (place / STEM / "compare.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "Differences are taken to ml: miracle is not among" in page
    assert f"Prepared again, pinn finds the same T2 as in {STEM}_T2map.nii.gz: within 0.1 % in" in page
    (place / STEM / "compare.html").unlink()
    assert call(compared.bids, compared.out, *asked) == 2
    assert "expected no folder, an empty one or that of an earlier comparison" in capsys.readouterr().err


def test_what_is_not_there_is_one_clear_refusal(
    processed_head: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bids, out = processed_head
    for arguments, message in (
        ((bids, tmp_path / "nothing"), "expected a folder, found none"),
        ((bids, tmp_path), "found no participant; process it first: qmri_bids"),
        ((bids, out, "--participant-label", "07"), "expected sub-07 of those in"),
        ((bids, out, "--run-label", "MRF"), "found 0 of sub-01_acq-pcbssfp_flip-1"),
        ((bids, out, "--parts", "pools"), "expected a pc-bSSFP run or a fingerprint for pools"),
        ((bids, out, "--estimators", "magic"), "--estimators: expected some of"),
        ((bids, out, "--cycles", 2), "--cycles: expected 3 or more"),
        ((bids, out, "--draws", 1), "--draws: expected 3 or more, found 1"),
    ):
        assert call(*arguments) == 2
        assert message in capsys.readouterr().err
