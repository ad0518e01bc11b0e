"""What became of every participant, and which numbers lie apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qmri_bids.group.collect import Group, collect_group
from qmri_bids.group.distributions import (
    MAD_TO_SD,
    limit_of,
    quality_distributions,
    robust_scores,
    tissue_distributions,
)
from qmri_bids.reports.content import SubjectReport
from qmri_bids.reports.record import write_record

LABELS = ("01", "02", "03", "04", "05", "06", "07", "08", "09")


@pytest.fixture
def group(mixed: Path) -> Group:
    return collect_group(mixed, participants=LABELS)


def test_every_participant_and_run_is_accounted_for(group: Group) -> None:
    assert [(run.participant, run.run, run.state) for run in group.runs[6:]] == [
        ("07", "acq-pcbssfp_run-1", "done"),
        ("07", "acq-APT", "failed"),
        ("07", "acq-MT_mt-on_MTR", "refused"),
        ("08", "", "unreadable record"),
        ("09", "", "not processed"),
    ]
    assert group.recorded == LABELS[:8]
    assert [run.participant for run in group.amiss] == ["07", "07", "08", "09"]


def test_a_participant_without_scans_does_not_make_the_group_incomplete(tmp_path: Path) -> None:
    nobody = SubjectReport(participant="01", version="1.0.0", command="", created="2026-01-01T00:00:00", exit_status=0)
    write_record(nobody, output_dir=tmp_path)
    alone = collect_group(tmp_path, participants=("01",))
    assert [run.state for run in alone.runs] == ["nothing to process"]
    assert alone.complete
    assert not collect_group(tmp_path, participants=("01", "02")).complete


def test_messages_are_one_line_and_say_why(group: Group) -> None:
    messages = [run.message for run in group.runs]
    assert messages[0] == "Motion: some. EchoTime is missing: TR/2 was taken."
    assert messages[7] == "CEST failed: <b>no</b> volumes. Copy it again."
    assert "expected a number in degrees, found nothing. Add it." in messages[8]
    assert messages[9].startswith("sub-08_record.json: expected a record in JSON")


def test_links_lead_to_the_run_in_the_report(group: Group) -> None:
    assert [run.link for run in group.runs[6:]] == [
        "sub-07.html#run-1-acq-pcbssfp-run-1",
        "sub-07.html#run-2-acq-apt",
        "sub-07.html",
        "",
        "",
    ]


def test_mixed_versions_are_said(group: Group) -> None:
    assert len(group.sentences) == 1
    assert group.sentences[0].endswith("0.1.0: sub-01, sub-02, sub-03, sub-04, sub-05, sub-06; 0.2.0: sub-07.")


def test_different_settings_are_said(good: Path, processed: Callable[..., SubjectReport]) -> None:
    for label, estimator in (("01", "pinn"), ("02", "ml")):
        settings = {"bssfp-estimator": estimator, "ignore": "none"}
        write_record(processed(label, 900.0, settings=settings), output_dir=good)
    assert collect_group(good, participants=LABELS[:6]).sentences == (
        "The runs were processed with different settings: bssfp-estimator ml: sub-02; pinn: sub-01.",
    )


def test_a_record_of_nobody_in_the_dataset_counts_and_is_said(good: Path) -> None:
    group = collect_group(good, participants=LABELS[:5])
    assert len(group.recorded) == 6
    assert "Not in the dataset" in group.sentences[0]
    assert group.sentences[0].endswith("sub-06.")
    alone = collect_group(good, participants=LABELS[:5], only=True)
    assert len(alone.recorded) == 5
    assert alone.sentences == ()


def test_a_record_of_another_participant_is_not_read(good: Path) -> None:
    record = good / "sub-01" / "log" / "sub-01_record.json"
    record.write_text((good / "sub-02" / "log" / "sub-02_record.json").read_text(encoding="utf-8"), encoding="utf-8")
    first = collect_group(good, participants=LABELS[:6]).runs[0]
    assert first.state == "unreadable record"
    assert first.message == "sub-01_record.json: participant: expected '01', found '02'. Process the participant again."


def test_what_lies_apart_is_found(group: Group) -> None:
    white, grey, m0 = tissue_distributions(group)
    assert (white.title, white.unit, white.participants) == ("T1, white matter", "ms", 7)
    assert [point.name for point in white.apart] == ["sub-06"]
    assert white.apart[0].score == pytest.approx((1500.0 - 902.0) / (1.4826 * 7.0))
    assert [point.name for point in grey.apart] == ["sub-06"]
    assert m0.apart == ()
    assert m0.unjudged == "arbitrary units"
    by_title = {each.title: each for each in quality_distributions(group)}
    assert [point.name for point in by_title["Largest displacement"].apart] == ["sub-06"]
    assert by_title["Voxels with a value"].unjudged == "most values are equal"
    assert by_title["Mirror, the B1 scan"].unit == ""


def test_few_participants_are_not_judged(good: Path) -> None:
    group = collect_group(good, participants=("01", "02", "03", "06"), only=True)
    white = tissue_distributions(group)[0]
    assert white.apart == ()
    assert white.unjudged == "fewer than 5 participants"


def test_repetitions_are_compared_and_sessions_are_not_more_participants(
    tmp_path: Path, processed: Callable[..., SubjectReport]
) -> None:
    report = processed("01", 900.0)
    write_record(processed("01", 900.0, runs=report.runs * 5), output_dir=tmp_path)
    white = tissue_distributions(collect_group(tmp_path, participants=("01",)))[0]
    assert (len(white.points), white.participants, white.series) == (5, 1, "acq-pcbssfp")
    assert white.unjudged == "fewer than 5 participants"


@pytest.mark.parametrize(("number", "trials"), [(5, 20_000), (10, 20_000), (20, 20_000), (200, 4_000), (1000, 3_000)])
def test_chance_sets_a_value_apart_in_one_group_of_a_hundred(number: int, trials: int) -> None:
    values = np.random.default_rng(1).standard_normal((trials, number))
    away = np.abs(values - np.median(values, axis=1, keepdims=True))
    largest = away.max(axis=1) / (MAD_TO_SD * np.median(away, axis=1))
    assert np.mean(largest > limit_of(number)) == pytest.approx(0.01, abs=0.003)


def test_equal_values_have_no_scores() -> None:
    assert robust_scores(np.array([0.1 + 0.2, 0.3, 0.3, 0.3, 7.0])) is None
    assert robust_scores(np.zeros(5)) is None


def test_a_run_of_an_earlier_call_counts_and_is_said(tmp_path: Path, processed: Callable[..., SubjectReport]) -> None:
    report = processed("01", 900.0)
    (tmp_path / "map.nii.gz").touch()
    earlier = replace(report.runs[0], session="1", outputs=("map.nii.gz",))
    write_record(replace(report, runs=(earlier,), created="2025-11-20T10:00:00+00:00"), output_dir=tmp_path)
    write_record(replace(report, runs=(replace(earlier, session="2"),), version="0.2.0"), output_dir=tmp_path)
    (tmp_path / "sub-01.html").touch()
    group = collect_group(tmp_path, participants=("01",))
    assert [(run.session, run.version, run.link) for run in group.runs] == [
        ("2", "0.2.0", "sub-01.html#run-1-ses-2-acq-pcbssfp-run-1"),
        ("1", "0.1.0", "sub-01.html"),
    ]
    assert group.runs[1].message.startswith("Of an earlier call, which the report does not show. Motion")
    assert "0.1.0: sub-01; 0.2.0: sub-01." in group.sentences[0]
