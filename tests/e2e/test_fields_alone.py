"""Participants of whom only a field was scanned: B1, B0, or both by WASABI; each is mapped, and the maps are right."""

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
from field_datasets import FIELDMAP, MAP, PHASES, TFL, WASABI, write_one_field_each
from written_files import written_files

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).with_name("expected_field_outputs.txt")
RunApp = Callable[..., subprocess.CompletedProcess]


@dataclass(frozen=True)
class Fields:
    bids: Path
    out: Path
    done: subprocess.CompletedProcess

    def output(self, subject: str, name: str, *, folder: str = "fmap") -> Any:
        return nib.load(self.out / f"sub-{subject}" / folder / f"sub-{subject}_{name}.nii.gz")

    def sidecar(self, subject: str, name: str) -> dict[str, Any]:
        return json.loads((self.out / f"sub-{subject}" / "fmap" / f"sub-{subject}_{name}.json").read_text())

    def truth(self, name: str, *, folder: str = "fmap") -> Any:
        return nib.load(self.bids / "derivatives" / "truth" / "sub-01" / folder / f"sub-01_{name}.nii.gz")

    def on_grid_of(self, image: Any, name: str, *, folder: str = "fmap", scan: str = "pcbssfp") -> np.ndarray:
        """Return a true map interpolated on the grid of a scan: the head did not move."""
        from scipy.ndimage import map_coordinates

        true = self.truth(f"acq-{scan}_{name}", folder=folder)
        matrix = np.linalg.inv(true.affine) @ image.affine
        voxels = np.indices(image.shape).reshape(3, -1)
        at = matrix[:3, :3] @ voxels + matrix[:3, 3:]
        values = np.asarray(true.dataobj, dtype=np.float64)
        return map_coordinates(values, at, order=1, cval=np.nan, mode="constant").reshape(image.shape)

    def errors(self, subject: str, name: str, *, true: str, scan: str = "pcbssfp") -> tuple[np.ndarray, np.ndarray]:
        """Return map minus truth in the brain of the truth, NaN where the map has no value, and those voxels."""
        image = self.output(subject, name)
        brain = self.on_grid_of(image, "desc-brain_mask", folder="anat", scan=scan) > 0.99
        inside = brain & np.isfinite(self.on_grid_of(image, true, scan=scan))
        difference = values(image) - self.on_grid_of(image, true, scan=scan)
        return difference[inside], inside


def values(image: Any) -> np.ndarray:
    return np.asarray(image.dataobj, dtype=np.float64)


@pytest.fixture(scope="module")
def fields(run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> Fields:
    folder = tmp_path_factory.mktemp("fields")
    write_one_field_each(folder / "bids", scratch=folder / "scratch")
    done = run_app(folder / "bids", folder / "out", "participant", "--work-dir", folder / "work", "--nprocs", 2)
    assert done.returncode == 0, done.stderr + done.stdout
    return Fields(folder / "bids", folder / "out", done)


def test_the_outputs_are_those_expected(fields: Fields) -> None:
    assert written_files(fields.out) == EXPECTED.read_text().split()


def test_raw_data_and_derivatives_are_valid_bids(fields: Fields) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    for folder in (fields.bids, fields.out):
        done = subprocess.run([program, "--ignoreWarnings", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("subject", "name"), [(TFL, "TB1TFL"), (MAP, "TB1map")])
def test_b1_is_that_of_the_head(fields: Fields, subject: str, name: str) -> None:
    error, _ = fields.errors(subject, f"acq-{name}_TB1map", true="TB1map")
    assert np.mean(np.isfinite(error)) > 0.98
    assert abs(np.nanmedian(error)) < 0.2  # percent of nominal
    assert np.nanmedian(np.abs(error)) < 0.5
    content = fields.sidecar(subject, f"acq-{name}_TB1map")
    assert (content["Units"], content["B1Method"]) == ("percent", name)
    assert all(source.startswith(f"bids:raw:sub-{subject}/fmap/") for source in content["Sources"])


def test_the_stdev_of_b1_is_that_of_the_scan_and_none_of_a_ready_made_map(fields: Fields) -> None:
    error, inside = fields.errors(TFL, "acq-TB1TFL_TB1map", true="TB1map")
    ratio = np.abs(error) / values(fields.output(TFL, "acq-TB1TFL_desc-std_TB1map"))[inside]
    assert 0.4 < np.nanmedian(ratio) < 1.7  # 0.67 for noise alone: what the surface smooths away adds to it
    assert not list((fields.out / f"sub-{MAP}").rglob("*std*"))
    assert "came ready-made" in (fields.out / f"sub-{MAP}.html").read_text()


def test_a_voxel_has_a_value_or_a_code(fields: Fields) -> None:
    for subject, run, name in (
        (TFL, "acq-TB1TFL", "TB1map"),
        (MAP, "acq-TB1map", "TB1map"),
        (FIELDMAP, "acq-fieldmap", "fieldmap"),
        (PHASES, "acq-phasediff", "fieldmap"),
    ):
        status = values(fields.output(subject, f"{run}_desc-quality_mask", folder="anat"))
        found = values(fields.output(subject, f"{run}_{name}"))
        assert (np.isfinite(found) == (status == 1)).all()
        # The mask of a map without an image holds the whole head, and bone has no signal.
        assert np.mean(status[status > 0] == 1) > (0.85 if subject == MAP else 0.95)


def test_b0_is_that_of_the_head(fields: Fields) -> None:
    error, _ = fields.errors(FIELDMAP, "acq-fieldmap_fieldmap", true="fieldmap")
    assert np.mean(np.isfinite(error)) > 0.98
    assert np.nanmax(np.abs(error)) < 1e-3  # hertz: it is read as it is
    error, inside = fields.errors(PHASES, "acq-phasediff_fieldmap", true="fieldmap")
    spread = values(fields.output(PHASES, "acq-phasediff_desc-std_fieldmap"))[inside]
    assert np.mean(np.isfinite(error)) > 0.97
    assert abs(np.nanmedian(error)) < 0.5
    assert 0.9 < np.nanmean(np.abs(error) < 1.96 * spread) < 0.98  # 0.95 for noise
    assert not list((fields.out / f"sub-{FIELDMAP}").rglob("*std*"))
    for subject, run in ((FIELDMAP, "acq-fieldmap"), (PHASES, "acq-phasediff")):
        assert fields.sidecar(subject, f"{run}_fieldmap")["Units"] == "Hz"
        assert values(fields.output(subject, f"{run}_magnitude")).max() > 0.0


def test_wasabi_alone_gives_both(fields: Fields) -> None:
    for name, limit in (("fieldmap", 1.5), ("TB1map", 1.5)):
        error, _ = fields.errors(WASABI, f"acq-WASABI_{name}", true=name, scan="WASABI")
        assert np.mean(np.isfinite(error)) > 0.95
        assert np.nanmedian(np.abs(error)) < limit


def test_the_reports_show_the_fields(fields: Fields, probe_page: Callable[[Path], dict[str, Any]]) -> None:
    for subject, words, figures in (
        (TFL, ("B1 map", "No run of the session takes the B1 scan", "What the smooth surface leaves"), 6),
        (PHASES, ("B0 field map", "no run that could take the field map", "Echo times (B0)"), 5),
        (MAP, ("no brain is looked for",), 5),
    ):
        page = fields.out / f"sub-{subject}.html"
        found = probe_page(page)
        assert len(found["widths"]) == figures
        assert found["broken"] == []
        text = page.read_text()
        for expected in words:
            assert expected in text, expected


def test_a_dry_run_lists_them_and_reads_their_images(fields: Fields, run_app: RunApp, tmp_path: Path) -> None:
    done = run_app(fields.bids, tmp_path / "out", "participant", "--work-dir", tmp_path / "work", "--dry-run", "-v")
    assert done.returncode == 0, done.stderr
    assert "5 run(s) can be computed, 0 refusal(s)." in done.stdout
    for run in ("sub-01_acq-TB1TFL_TB1TFL", "sub-04_acq-phasediff_phasediff"):
        assert f"The images of {run} are read" in done.stderr
