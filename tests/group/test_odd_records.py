"""One odd record costs its participant, by name, and never the page of all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.cli import run
from qmri_bids.group.collect import UNREADABLE, collect_group
from qmri_bids.group.findings import findings_of
from qmri_bids.group.page import page_html
from qmri_bids.reports.content import SubjectReport
from qmri_bids.reports.record import record_path, write_record

LABELS = ("01", "02", "03")
HUGE = "1" * 400


@pytest.fixture
def out(tmp_path: Path, processed: Callable[..., SubjectReport]) -> Path:
    folder = tmp_path / "out"
    for label in LABELS:
        write_record(processed(label, 900.0), output_dir=folder)
    return folder


def at(*place: Any, value: Any) -> Callable[[dict[str, Any]], str]:
    """Return what puts a value into a record."""

    def change(content: Any) -> str:
        part = content
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = value
        return json.dumps(content)

    return change


RECORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "null": lambda _: "null",
    "list": lambda _: "[1, 2]",
    "deep": lambda _: "[" * 100_000,
    "deep-inside": lambda content: json.dumps(content)[:-1] + ', "more": ' + "[" * 100_000,
    "empty": lambda _: "",
    "huge": lambda content: json.dumps(content).replace("900.0", HUGE),
    "schema": at("schema_version", value="1"),
    "participant": at("participant", value=None),
    "created": at("created", value=3),
    "version": at("version", value=["1"]),
    "level": at("level", value="purple"),
    "level-is-a-list": at("level", value=[]),
    "duration": at("duration", value="long"),
    "messages": at("messages", value="text"),
    "messages-of-numbers": at("messages", value=[1]),
    "runs": at("runs", value=None),
    "runs-are-an-object": at("runs", value={"a": 1}),
    "run": at("runs", 0, value=None),
    "run-session": at("runs", 0, "session", value=1),
    "run-name": at("runs", 0, "run", value=None),
    "run-title": at("runs", 0, "title", value={}),
    "run-state": at("runs", 0, "state", value="odd"),
    "run-settings": at("runs", 0, "settings", value={"a": 1}),
    "run-warnings": at("runs", 0, "warnings", value=[None]),
    "run-outputs": at("runs", 0, "outputs", value=5),
    "checks": at("runs", 0, "checks", value=[[]]),
    "check-value": at("runs", 0, "checks", 0, "value", value=1.5),
    "check-level": at("runs", 0, "checks", 0, "level", value=None),
    "measure": at("runs", 0, "checks", 0, "measures", value=[{"key": "unknown", "value": 1, "of": ""}]),
    "measure-value": at("runs", 0, "checks", 0, "measures", 0, "value", value="1"),
    "measure-of": at("runs", 0, "checks", 0, "measures", 0, "of", value=[]),
    "statistics": at("runs", 0, "statistics", value="none"),
    "median": at("runs", 0, "statistics", 0, "median", value="900"),
    "median-is-huge": at("runs", 0, "statistics", 0, "median", value=1e300),
    "map": at("runs", 0, "statistics", 0, "map", value=None),
    "region": at("runs", 0, "statistics", 0, "region", value=["white"]),
    "voxels": at("runs", 0, "statistics", 0, "voxels", value=1.5),
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_an_odd_record_costs_its_participant(out: Path, change: Callable[[dict[str, Any]], str]) -> None:
    path = record_path(out, "02")
    path.write_text(change(json.loads(path.read_text())))
    group = collect_group(out, participants=LABELS)
    states = {each.participant: each.state for each in group.runs}
    assert states["02"] == UNREADABLE
    assert states["01"] == states["03"] == "done"
    (told,) = [each.message for each in group.runs if each.participant == "02"]
    assert "sub-02_record.json" in told
    assert "rocess the participant" in told or "expected a record in JSON" in told
    page = page_html(findings_of(group, output_dir=out), version="1", command="qmri_bids")
    assert "sub-02" in page
    assert "sub-03" in page


def test_numbers_that_could_not_be_told_are_no_fault(out: Path) -> None:
    path = record_path(out, "02")
    path.write_text(at("runs", 0, "statistics", 0, "median", value=None)(json.loads(path.read_text())))
    group = collect_group(out, participants=LABELS)
    assert {each.state for each in group.runs} == {"done"}
    page_html(findings_of(group, output_dir=out), version="1", command="qmri_bids")


def test_folders_where_files_belong(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids = tmp_path / "bids"
    for label in LABELS:
        (bids / f"sub-{label}").mkdir(parents=True)
    (bids / "dataset_description.json").write_text("{}")
    record = record_path(out, "02")
    record.unlink()
    record.mkdir()
    (out / "sub-03.html").mkdir()
    assert run.main([str(bids), str(out), "group"]) == 1
    said = capsys.readouterr().out
    assert "sub-02: NOT PROCESSED" in said
    page = out / "group.html"
    assert page.is_file()
    page.unlink()
    page.mkdir()
    assert run.main([str(bids), str(out), "group"]) == 1
    told = capsys.readouterr().err
    assert f"{page}: a folder of this name is where a file belongs: move it away" in told
    assert "report it" not in told
    shutil.rmtree(page)
    assert run.main([str(bids), str(out), "group"]) == 1
    assert page.is_file()
