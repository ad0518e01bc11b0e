"""A file that serves several participants, or one of another program, costs those alone that need it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_dataset import runs_of

from qmri_bids.bids.refusal import refusal_of
from qmri_bids.cli import run
from qmri_bids.networks.checkpoint import available_weights, package_weights
from qmri_bids.scans.mt import find as mt_find

Check = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("values", ["nan", "nothing", "colours", "cut"])
def test_a_t1w_image_without_numbers(dataset: Path, check: Check, values: str) -> None:
    path = dataset / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    image = nib.load(path)
    if values == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif values == "colours":
        colours = np.zeros(image.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        nib.save(nib.Nifti1Image(colours, image.affine), path)
    else:
        fill = np.nan if values == "nan" else 0.0
        nib.save(nib.Nifti1Image(np.full(image.shape, fill, dtype=np.float32), image.affine), path)
    code, text = check(dataset, dataset.parent, "--output-spaces", "T1w")
    said = " ".join(text.split())
    assert code == 1, text
    assert "sub-02_T1w.nii.gz" in said
    assert "6 run(s) can be computed, 1 refusal(s)" in said
    assert {label: len(runs_of(text, label)) for label in ("01", "02", "03")} == {"01": 3, "02": 0, "03": 3}
    assert check(dataset, dataset.parent)[0] == 0, "nothing else needs the image"


def test_a_damaged_pool_file_costs_fingerprints_alone(dataset: Path, check: Check) -> None:
    pools = dataset.parent / "pools.yaml"
    for text in ("a: &a [1]\nb: *a\n", "[" * 100_000, "water_pool: {f: " + "1" * 400 + ", t1: 1, t2: 1}", "\x00"):
        pools.write_text(text)
        code, said = check(dataset, dataset.parent, "--cest-pools", str(pools))
        assert "report it" not in said
        assert code == 0, said
        assert "9 run(s) can be computed" in said


@pytest.mark.parametrize("fault", ["cut", "missing", "keys", "deep", "list"])
def test_damaged_weights_are_known_before_computing(dataset: Path, check: Check, fault: str) -> None:
    folder = dataset.parent / "weights"
    folder.mkdir()
    weights = next(iter(available_weights())).path
    for path in (weights, weights.with_suffix(".json")):
        shutil.copy(path, folder)
    copy, card = folder / weights.name, folder / weights.with_suffix(".json").name
    assert check(dataset, dataset.parent, "--bssfp-weights", str(folder))[0] == 0
    content = json.loads(card.read_text())
    if fault == "cut":
        copy.write_bytes(copy.read_bytes()[:-10])
    elif fault == "missing":
        copy.unlink()
    elif fault == "keys":
        card.write_text(json.dumps({key: value for key, value in content.items() if key != "training"} | {"odd": 1}))
    else:
        card.write_text("[" * 100_000 if fault == "deep" else "[]")
    code, said = check(dataset, dataset.parent, "--bssfp-weights", str(folder))
    assert code == 2
    assert f"--bssfp-weights {folder}: {folder}" in said
    assert "report it" not in said
    assert package_weights() not in copy.parents


def test_a_fault_of_this_program_costs_its_run(
    dataset: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = mt_find._pair

    def fail(same, findings):
        if "sub-02" in same[0].path.name:
            raise KeyError("odd")
        return pair(same, findings)

    monkeypatch.setattr(mt_find, "_pair", fail)
    code, text = check(dataset, dataset.parent)
    said = " ".join(text.split())
    assert code == 1
    assert "8 run(s) can be computed, 1 refusal(s)" in said
    assert "sub-02_mt-off_MTR.nii.gz: check: expected files that can be checked, found a fault of this program" in said
    assert "KeyError" in said
    assert "Please report it with this line" in said


def test_a_fault_in_the_plan_of_a_participant_costs_that_one(
    dataset: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qmri_bids.scans import find

    with_b0 = find.with_b0

    def fail(runs, *, findings, fieldmaps):
        if any(run.label.startswith("sub-02") for run in runs):
            raise OSError(5, "Input/output error", "/mnt/disk/x.nii")
        return with_b0(runs, findings=findings, fieldmaps=fieldmaps)

    monkeypatch.setattr(find, "with_b0", fail)
    code, text = check(dataset, dataset.parent)
    assert code == 1
    assert "/mnt/disk/x.nii: file: expected a file that can be read, found input/output error" in " ".join(text.split())
    assert {label: len(runs_of(text, label)) for label in ("01", "02", "03")} == {"01": 3, "02": 0, "03": 3}


def test_refusals_of_other_errors_say_what_to_do() -> None:
    told = str(refusal_of(MemoryError(), file="a.nii"))
    assert "a.nii: size: expected files that fit into memory" in told
    told = str(refusal_of(PermissionError(13, os.strerror(13), "/x"), file="a.nii"))
    assert told.startswith("/x: file: expected a file that can be read, found permission denied")


def test_a_check_that_fails_leaves_no_file(dataset: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    from qmri_bids.scans import listing

    def fail(plans):
        raise KeyError("odd")

    monkeypatch.setattr(listing, "plan_table", fail)
    code, said = check(dataset, dataset.parent)
    assert code == 1
    assert "unexpected KeyError: 'odd'. Please report it with these details:" in said
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["raw"]


def test_earlier_fits_that_cannot_be_read_cost_their_participant(
    dataset: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qmri_bids.cli.levels import finding

    def fail(runs, **options):
        if any("sub-02" in run.label for run in runs):
            raise PermissionError(13, os.strerror(13), "/mnt/mine/sub-02")
        return {}

    monkeypatch.setattr(finding, "find_earlier_fits", fail)
    code, text = check(dataset, dataset.parent)
    assert code == 1
    assert "/mnt/mine/sub-02: file: expected a file that can be read, found permission denied" in " ".join(text.split())
    assert {label: len(runs_of(text, label)) for label in ("01", "02", "03")} == {"01": 3, "02": 0, "03": 3}


def test_a_report_that_cannot_be_written_costs_its_participant(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All runs are refused here, so that nothing is computed and the reports alone are written."""
    for path in dataset.rglob("*.nii.gz"):
        path.write_bytes(b"")
    out = dataset.parent / "out"
    (out / "sub-02.html").mkdir(parents=True)
    (dataset / "sub-01_old").mkdir()
    arguments = [dataset, out, "participant", "-w", dataset.parent / "work", "--skip-bids-validation"]
    assert run.main([str(each) for each in arguments]) == 1
    captured = capsys.readouterr()
    said = " ".join(captured.out.split())
    assert f"sub-02 NO REPORT {out}/sub-02.html: a folder of this name is where a file belongs" in said
    assert "'sub-01_old'" in said
    assert "report it" not in said + captured.err
    for label in ("01", "03"):
        assert (out / f"sub-{label}.html").is_file()
