"""Participants, sessions and files are found by what lies inside the dataset, one folder at a time and in linear time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.bids.index import read_path
from qmri_bids.bids.layout import (
    BidsInputError,
    list_sessions,
    list_subjects,
    load_filter_file,
    open_layout,
    query_files,
    stray_folders,
)
from qmri_bids.scans.find import find_runs
from qmri_bids.scans.find_options import FindOptions


def names(found: list[Any]) -> list[str]:
    return [each.path.name for each in found]


def test_folders_that_only_look_like_participants_are_told_apart(raw: Any) -> None:
    for name in ("sub-01_old", "sub-02 (copy)", "sub-", "sub-x'y", "sub-3.1"):
        (raw.root / name).mkdir()
    (raw.root / "sub-04").touch()
    assert list_subjects(raw.root) == ("01",)
    assert stray_folders(raw.root) == ("sub-", "sub-01_old", "sub-02 (copy)", "sub-3.1", "sub-x'y")


def test_a_folder_that_cannot_be_read_costs_its_participant(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(raw.root / "sub-01", raw.root / "sub-02")
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == raw.root / "sub-02" / "anat":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    layout = open_layout(raw.root, subjects=["01", "02"])
    assert len(find_runs(layout, subject="01").pcbssfp) == 1
    plan = find_runs(layout, subject="02")
    assert plan.runs == ()
    assert "sub-02/anat: folder: expected a folder that can be read, found Permission denied" in str(plan.refusals[0])
    assert "chmod" in str(plan.refusals[0])


def test_links_that_lead_in_circles_and_what_lies_too_deep(raw: Any) -> None:
    (raw.anat / "circle").symlink_to(raw.root / "sub-01")
    (raw.root / "sub-01" / "ses-1").symlink_to(raw.root / "sub-01")
    (raw.anat / "itself").symlink_to("itself")
    layout = open_layout(raw.root, subjects=["01"])
    assert len(query_files(layout, subject="01", suffix="VFA", datatype="anat")) >= 2
    plan = find_runs(layout, subject="01")
    assert [run.label for run in plan.pcbssfp] == ["sub-01_acq-pcbssfp_flip-1"]


@pytest.mark.parametrize("above", ["anat", "fmap", "perf", "sub-99", "ses-3", "run-2/func"])
def test_what_lies_above_the_dataset_says_nothing(raw: Any, tmp_path: Path, above: str) -> None:
    root = tmp_path / above / "data"
    shutil.copytree(raw.root, root)
    layout = open_layout(root, subjects=["01"])
    assert list_sessions(layout, subject="01") == (None,)
    assert [run.label for run in find_runs(layout, subject="01").pcbssfp] == ["sub-01_acq-pcbssfp_flip-1"]


def test_names_that_contradict_their_folder(tmp_path: Path) -> None:
    good = ("sub-01/anat/sub-01_VFA.nii.gz", "sub-01/ses-a/anat/sub-01_ses-a_VFA.nii")
    wrong = (
        "sub-01/anat/sub-02_VFA.nii.gz",
        "sub-01/anat/sub-011_VFA.nii.gz",
        "sub-01/anat/VFA.nii.gz",
        "sub-01/anat/sub-01_ses-a_VFA.nii.gz",
        "sub-01/ses-a/anat/sub-01_VFA.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-b_VFA.nii.gz",
        "sub-01/anat/sub-01_acq-1.5T_VFA.nii.gz",
    )
    for name in (*good, *wrong):
        found = read_path(tmp_path / name, root=tmp_path)
        assert found is not None
        assert (found.fault is None) == (name in good), name
        assert (found.entities["subject"], found.entities["suffix"]) == ("01", "VFA")
    assert read_path(tmp_path / "code" / "x.nii", root=tmp_path) is None
    assert read_path(Path("/elsewhere/sub-01/anat/sub-01_VFA.nii"), root=tmp_path) is None


def test_a_filter_only_narrows_down(empty: Any) -> None:
    for run in ("1", "02"):
        empty.pcbssfp(stem=f"sub-01_acq-pcbssfp_run-{run}_flip-1")
    shutil.copytree(empty.root / "sub-01", empty.root / "sub-02")
    layout = open_layout(empty.root, subjects=["01", "02"])
    asked = {"subject": "01", "suffix": ["VFA"], "extension": [".nii", ".nii.gz"], "datatype": "anat"}
    assert len(query_files(layout, **asked)) == 4
    for filters in (
        {"subject": "02"},
        {"suffix": "T2w"},
        {"extension": ".json"},
        {"datatype": "fmap"},
        {"session": "1"},
        {"reconstruction": "*"},
    ):
        assert query_files(layout, filters=filters, **asked) == [], filters
    for filters, number in (
        ({"run": 2}, 2),
        ({"run": ["1", "2"]}, 4),
        ({"part": "mag"}, 2),
        ({"session": None}, 4),
        ({"acquisition": "*"}, 4),
        ({"reconstruction": [None, "a"]}, 4),
        ({"subject": ["01", "02"]}, 4),
    ):
        assert len(query_files(layout, filters=filters, **asked)) == number, filters
    plan = find_runs(layout, subject="01", options=FindOptions(no_b1=True, filters={"pcbssfp": {"subject": "02"}}))
    assert (plan.runs, plan.refusals) == ((), ())
    assert any("the filter pcbssfp {'subject': '02'} selects none of 4 files" in note for note in plan.notes)


def test_filter_files_name_entities_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    for text, words in (
        ('{"pcbssfp": {"acq": "a"}}', "pcbssfp: expected an entity .*acquisition.*, found 'acq'"),
        ('{"pcbssfp": {"run": {"a": 1}}}', "run: expected a text, a number, null or a list of them"),
        ("[" * 100_000, "expected a BIDS filter file in JSON, found: JSON nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(BidsInputError, match=words):
            load_filter_file(path)


def test_an_index_of_another_program_is_read_and_a_damaged_one_is_named(raw: Any, tmp_path: Path) -> None:
    database = tmp_path / "database"
    database.mkdir()
    paths = [str(path) for path in (raw.root / "sub-01").rglob("*")]
    connection = sqlite3.connect(database / "layout_index.sqlite")
    with connection:
        connection.execute("CREATE TABLE files (path TEXT, filename TEXT, is_dir INTEGER)")
        connection.executemany("INSERT INTO files VALUES (?, '', 0)", [(path,) for path in [*paths, "/sub-01/x.nii"]])
    connection.close()
    layout = open_layout(raw.root, subjects=["01"], database_dir=database)
    assert layout.files == open_layout(raw.root, subjects=["01"]).files
    (database / "layout_index.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(BidsInputError, match=r"layout_index.sqlite: expected an index of a dataset.*Delete the file"):
        open_layout(raw.root, subjects=["01"], database_dir=database)


def planning(root: Path, number: int) -> float:
    """Return how long it takes to plan as many participants of ten empty files each [s]."""
    for index in range(number):
        anat = root / f"sub-{index:04d}" / "anat"
        anat.mkdir(parents=True)
        for run in range(5):
            stem = f"sub-{index:04d}_acq-pcbssfp_run-{run}_flip-1_part-mag_VFA"
            (anat / f"{stem}.nii.gz").touch()
            (anat / f"{stem}.json").touch()
    subjects = list_subjects(root)
    begun = time.process_time()
    layout = open_layout(root, subjects=subjects)
    plans = [find_runs(layout, subject=subject) for subject in subjects]
    assert all(len(plan.refusals) == 5 for plan in plans)
    return time.process_time() - begun


def test_planning_takes_time_in_proportion_to_participants(tmp_path: Path) -> None:
    few, many = planning(tmp_path / "few", 100), planning(tmp_path / "many", 400)
    assert many / 400 < 0.02
    assert many < 8.0 * few, (few, many)
