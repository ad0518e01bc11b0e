"""The record of a participant: what is written is read back, and what is broken is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.bids.refusal import Refusal
from qmri_bids.reports.content import Check, ErrorEntry, Level, QualityRow, RunReport, StatisticsRow, SubjectReport
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.record import RecordError, participant_record, read_record, record_path, write_record

DONE = RunReport(
    title="pc-bSSFP relaxometry",
    session="1",
    entities={"acq": "pcbssfp", "run": "2"},
    checks=(
        Check(
            name="Motion",
            value="at most 0.40 mm between cycles",
            level=Level.CHECK,
            measures=(Measure(key="displacement_max", value=0.4),),
        ),
    ),
    warnings=("EchoTime is missing: TR/2 was taken.",),
    quality=(QualityRow(code=0, name="outside", meaning="Outside", voxels=5, percent=None),),
    statistics=(
        StatisticsRow(
            map="T1",
            unit="ms",
            region="white matter",
            median=900.0,
            lower_quartile=880.0,
            upper_quartile=930.0,
            mean=905.0,
            standard_deviation=30.0,
            voxels=1000,
        ),
    ),
    measures=(Measure(key="relative_stdev", value=2.5, of="T1"), Measure(key="residual", value=float("nan"))),
    outputs=("sub-01/ses-1/anat/sub-01_ses-1_acq-pcbssfp_run-2_T1map.nii.gz",),
)
REPORT = SubjectReport(
    participant="01",
    version="0.1.0",
    command="qmri_bids /data /out participant",
    created="2025-11-21T10:20:00+00:00",
    runs=(DONE, RunReport(title="CEST", errors=(ErrorEntry(title="t", message="m.", advice="a.", details="trace"),))),
    refusals=(
        Refusal(
            file="sub-01/ses-2/anat/sub-01_ses-2_acq-APT_cest.json",
            key="SaturationOffset",
            expected="numbers",
            found="nothing",
            advice="Add them.",
        ),
        "a sentence",
    ),
    duration=60.5,
    settings={"bssfp-estimator": "pinn"},
    exit_status=1,
)


def _stored(tmp_path: Path) -> dict[str, Any]:
    """Return a record as strict JSON has it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    path = write_record(REPORT, output_dir=tmp_path)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return content


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_record(REPORT, output_dir=tmp_path)
    assert path == tmp_path / "sub-01" / "log" / "sub-01_record.json" == record_path(tmp_path, "01")
    assert list(path.parent.iterdir()) == [path]
    # repr, since NaN is not equal to itself
    assert repr(read_record(path)) == repr(participant_record(REPORT))


def test_every_run_is_named_with_its_state(tmp_path: Path) -> None:
    runs = participant_record(REPORT).runs
    assert [(run.session, run.run, run.state, run.level.value) for run in runs] == [
        ("1", "acq-pcbssfp_run-2", "done", "check"),
        ("", "", "failed", "bad"),
        ("2", "acq-APT_cest", "refused", "check"),
        ("", "", "refused", "check"),
    ]
    assert runs[1].messages == ("t: m. a.",)
    assert "expected numbers, found nothing" in runs[2].messages[0]


def test_the_file_is_strict_and_states_units_but_no_traceback(tmp_path: Path) -> None:
    content = _stored(tmp_path)
    first = content["runs"][0]
    assert content["schema_version"] == 1
    assert first["checks"][0]["measures"] == [
        {"key": "displacement_max", "value": 0.4, "of": "", "about": "", "unit": "mm"}
    ]
    assert first["measures"][1] == {"key": "residual", "value": None, "of": "", "about": "", "unit": "%"}
    assert "trace" not in json.dumps(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version: expected 1, found 2"),
        ({"runs": [3]}, "expected an object for RunRecord, found 3"),
        ({"level": "splendid"}, "splendid"),
        ({"participant": None}, "expected the key 'participant'"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {
        key: value for key, value in (_stored(tmp_path) | change).items() if value is not None or key != "participant"
    }
    path = record_path(tmp_path, "01")
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RecordError, match=message) as caught:
        read_record(path)
    assert str(caught.value).startswith("sub-01_record.json: ")


def test_half_a_record_is_named(tmp_path: Path) -> None:
    path = write_record(replace(REPORT, runs=()), output_dir=tmp_path)
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    with pytest.raises(RecordError, match="expected a record in JSON"):
        read_record(path)


def test_a_measure_without_description_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'speed': add it to MEASURES"):
        Measure(key="speed", value=1.0)


def _session(label: str, tmp_path: Path) -> RunReport:
    """Return a run of a session whose map has been written."""
    name = f"sub-01/ses-{label}/anat/sub-01_ses-{label}_T1map.nii.gz"
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return RunReport(title="pc-bSSFP relaxometry", session=label, entities={"acq": "pcbssfp"}, outputs=(name,))


def test_sessions_may_be_processed_one_by_one(tmp_path: Path) -> None:
    lost = RunReport(title="CEST", session="1", errors=(ErrorEntry(title="t", message="m"),))
    first = replace(REPORT, created="first", refusals=(), runs=(_session("1", tmp_path), lost))
    second = replace(REPORT, created="second", refusals=(), runs=(_session("2", tmp_path),))
    write_record(first, output_dir=tmp_path)
    path = write_record(second, output_dir=tmp_path)
    assert [(run.session, run.state, run.created) for run in read_record(path).runs] == [
        ("2", "done", "second"),
        ("1", "done", "first"),
        ("1", "failed", "first"),
    ]
    # Session 1 again, now with one run: what failed in it is no longer there to fail.
    write_record(replace(first, created="third", runs=(_session("1", tmp_path),)), output_dir=tmp_path)
    assert [(run.session, run.created) for run in read_record(path).runs] == [("1", "third"), ("2", "second")]


def test_a_run_whose_files_are_gone_is_not_kept(tmp_path: Path) -> None:
    run = _session("1", tmp_path)
    write_record(replace(REPORT, runs=(run,), refusals=()), output_dir=tmp_path)
    (tmp_path / run.outputs[0]).unlink()
    path = write_record(replace(REPORT, runs=(), refusals=()), output_dir=tmp_path)
    assert read_record(path).runs == ()


def test_what_cannot_be_kept_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = record_path(tmp_path, "01")
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    write_record(REPORT, output_dir=tmp_path)
    assert "sub-01: what it says of earlier calls is lost: sub-01_record.json" in caplog.text
