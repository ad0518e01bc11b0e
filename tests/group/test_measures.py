"""A measure is named by what it measures, whatever file it was measured on, also in records of earlier versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from qmri_bids.group.collect import collect_group
from qmri_bids.group.covariates import collect_covariates
from qmri_bids.group.distributions import quality_distributions
from qmri_bids.group.drawing.axis import robust_axis
from qmri_bids.group.findings import findings_of
from qmri_bids.group.tables import write_tables
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.reports.content import Check, Level, SubjectReport
from qmri_bids.reports.drawing.thumbnail import middle_slice
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.record import record_path, write_record

LABELS = ("01", "02")
REGISTERED = {"similarity": (0.5, 0.9), "overlap": (0.8, 0.95), "mirrored": 0.4}


def _two_by_two(output_dir: Path, processed: Callable[..., SubjectReport], *, earlier: bool) -> None:
    """Write two participants of two sessions, each registered to the T1w image of its session."""
    for label in LABELS:
        runs = []
        for session in ("1", "2"):
            (own,) = processed(label, 900.0).runs
            file = f"sub-{label}_ses-{session}_T1w.nii.gz"
            light = registration_check(
                f"Registration to {file}", REGISTERED, of="Registration to the T1w image", about=file
            )
            runs.append(replace(own, session=session, checks=(light,)))
        path = write_record(processed(label, 900.0, runs=tuple(runs)), output_dir=output_dir)
        if earlier:
            content = json.loads(path.read_text())
            for run in content["runs"]:
                del run["protocol"], run["thumbnails"]
                for measure in [*run["measures"], *(each for check in run["checks"] for each in check["measures"])]:
                    file = measure.pop("about")
                    measure["of"] = f"Registration to {file}" if file else measure["of"]
            path.write_text(json.dumps(content))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_registration_is_one_measure_of_all(
    tmp_path: Path, processed: Callable[..., SubjectReport], earlier: bool
) -> None:
    _two_by_two(tmp_path, processed, earlier=earlier)
    group = collect_group(tmp_path, participants=LABELS)
    found = {each.title: each for each in quality_distributions(group)}
    overlap = found["Overlap of the heads, Registration to the T1w image"]
    assert len(overlap.points) == 4
    assert not any(".nii" in title for title in found)
    files = {measure.about for run in group.runs for check in run.record.checks for measure in check.measures}
    assert files == {f"sub-{label}_ses-{session}_T1w.nii.gz" for label in LABELS for session in "12"}
    said = [sentence for sentence in group.sentences if "earlier version (sub-01, sub-02)" in sentence]
    assert len(said) == earlier


def test_the_name_of_a_file_given_by_hand_is_no_measure_either(
    tmp_path: Path, processed: Callable[..., SubjectReport]
) -> None:
    (own,) = processed("01", 900.0).runs
    old = Check(
        name="x",
        value="y",
        level=Level.GOOD,
        measures=(Measure(key="head_overlap", value=0.9, of="Registration to my.nii"),),
    )
    write_record(processed("01", 900.0, runs=(replace(own, checks=(old,)),)), output_dir=tmp_path)
    assert quality_distributions(collect_group(tmp_path, participants=("01",)))[0].of == "Registration to the T1w image"


def test_records_hold_pictures_and_the_size_of_voxels(tmp_path: Path, processed: Callable[..., SubjectReport]) -> None:
    values = np.full((10, 20, 8), np.nan, dtype=np.float32)
    values[2:8, 3:17, 2:7] = 0.9
    name = "sub-01/anat/sub-01_T1map.nii.gz"
    (tmp_path / name).parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / name)
    (own,) = processed("01", 900.0).runs
    write_record(processed("01", 900.0, runs=(replace(own, outputs=(name, "gone_T2map.nii.gz")),)), output_dir=tmp_path)
    (run,) = collect_group(tmp_path, participants=("01",)).runs
    assert run.record.protocol == {"voxel_size": "2 × 2 × 3 mm"}
    assert [each.map for each in run.record.thumbnails] == ["T1"]
    assert len(run.record.thumbnails[0].image) < 3000
    cut, sides = middle_slice(tmp_path / name)
    assert cut.shape == (14, 6)
    assert sides.tolist() == [2.0, 2.0]


def test_pictures_have_anterior_above_and_the_right_side_left(tmp_path: Path) -> None:
    values = np.ones((6, 8, 3), dtype=np.float32)
    values[5, 7] = 9.0  # right (+x) and anterior (+y)
    for flips in ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)):
        stored = values[:: int(flips[0]), :: int(flips[1])]
        nib.save(nib.Nifti1Image(stored, np.diag([*flips, 1.0, 1.0])), tmp_path / "x_T1map.nii.gz")
        cut, _ = middle_slice(tmp_path / "x_T1map.nii.gz")
        assert np.unravel_index(np.argmax(cut), cut.shape) == (0, 0)


def test_a_map_that_cannot_be_read_costs_its_picture_not_the_record(
    tmp_path: Path, processed: Callable[..., SubjectReport], caplog: pytest.LogCaptureFixture
) -> None:
    name = "sub-01/anat/sub-01_T1map.nii.gz"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"no image")
    (own,) = processed("01", 900.0).runs
    write_record(processed("01", 900.0, runs=(replace(own, outputs=(name,)),)), output_dir=tmp_path)
    assert record_path(tmp_path, "01").is_file()
    assert "will show no maps of it" in caplog.text


def test_columns_of_participants_and_sessions_colour_points(
    tmp_path: Path, processed: Callable[..., SubjectReport]
) -> None:
    bids_dir, output_dir = tmp_path / "bids", tmp_path / "out"
    labels = tuple(f"{number:02d}" for number in range(1, 9))
    rows = ["participant_id\tage\tsite\tcode\tsame"]
    for number, label in enumerate(labels):
        (own,) = processed(label, 900.0).runs
        write_record(
            processed(label, 900.0, runs=(replace(own, session="a"), replace(own, session="b"))), output_dir=output_dir
        )
        (bids_dir / f"sub-{label}").mkdir(parents=True)
        age = "n/a" if number == 3 else str(20.5 + number)
        rows.append(f"sub-{label}\t{age}\t{'AB'[number % 2]}\t{number % 3}\t1")
    (bids_dir / "participants.tsv").write_text("\n".join(rows))
    (bids_dir / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\tdose\nses-a\t20\tlow\nses-b\t21\thigh\n")
    group = collect_group(output_dir, participants=labels)
    columns = {each.name: each for each in collect_covariates(bids_dir, group).columns}
    assert list(columns) == ["session", "age", "site", "code", "age (sessions.tsv)", "dose"]
    assert columns["age"].continuous
    assert columns["age"].values[:8] == (20.5, 20.5, 21.5, 21.5, 22.5, 22.5, None, None)
    assert (columns["code"].continuous, columns["code"].levels) == (False, ("0", "1", "2"))
    assert columns["dose"].values[:3] == ("low", "high", None)
    assert columns["site"].levels == ("A", "B")


def test_what_contradicts_itself_is_not_taken_and_no_column_replaces_those_of_the_page(
    good: Path, bids_dir: Path
) -> None:
    rows = [
        "participant_id\tage\tsex\tprotocol\tgroup\tgroup",
        "sub-01\t30\tF\tA\tx\ty",
        "sub-02\t31\tM\tB\tx\ty",
        "sub-02\t41\tM\tB\tx\ty",
        "03\t33\tn/a\tA\tx\tx",
        "sub-03\t33\tF\tA\tx\tx",
    ]
    (bids_dir / "participants.tsv").write_text("\n".join(rows))
    covariates = collect_covariates(bids_dir, collect_group(good, participants=("01", "02", "03"), only=True))
    found = {each.name: each.values for each in covariates.columns}
    assert found == {
        "age": ("30", None, "33"),
        "sex": ("F", "M", "F"),
        "protocol (participants.tsv)": ("A", "B", "A"),
    }
    assert covariates.sentences == (
        "Columns of participants.tsv that stand there more than once were not used: group.",
        "participants.tsv: sub-02, sub-03 have several rows each; nothing is taken where these differ: age of sub-02.",
    )


def test_a_table_of_participants_that_cannot_be_used_is_said(good: Path, bids_dir: Path) -> None:
    (bids_dir / "participants.tsv").write_text("id\tage\n01\t3\n")
    findings = findings_of(collect_group(good, participants=("01",), only=True), output_dir=good, bids_dir=bids_dir)
    assert "participants.tsv was not used: expected the column participant_id, found id, age." in findings.sentences


def test_regions_of_atlases_are_in_the_units_of_the_reports(
    good: Path, processed: Callable[..., SubjectReport]
) -> None:
    header = "index\tname\tmap\tsize\tn\tmedian\tiqr\tmean\tsd\tstated_sd\tsem\n"
    for number, label in enumerate(("01", "02")):
        name = f"sub-{label}/anat/sub-{label}_acq-pcbssfp_atlas-deep_stats.tsv"
        (good / name).parent.mkdir(parents=True)
        empty = "2\t2\tT1map\t9\t0" + 6 * "\tn/a"
        rows = f"1\tthalamus\tT1map\t9\t8\t{1.1 + number}\t0.1\t1.2\t0.05\t0.01\t0.02\n{empty}\n"
        (good / name).write_text(header + rows)
        (own,) = processed(label, 900.0).runs
        write_record(processed(label, 900.0, runs=(replace(own, outputs=(name,)),)), output_dir=good)
    table = good / "sub-02/anat/sub-02_acq-pcbssfp_atlas-deep_stats.tsv"
    table.write_text(table.read_text() + "3\tnuclei\tT1map\n")
    group = collect_group(good, participants=LABELS, only=True)
    findings = findings_of(group, output_dir=good)
    (thalamus,) = findings.regions
    assert (thalamus.title, thalamus.atlas, thalamus.unit) == ("T1, thalamus", "deep", "ms")
    assert thalamus.values.tolist() == pytest.approx([1100.0, 2100.0])
    assert any("atlas-deep_stats.tsv was not used" in sentence for sentence in findings.sentences)


def test_regions_of_one_name_are_kept_apart(good: Path, processed: Callable[..., SubjectReport]) -> None:
    for number, label in enumerate(("01", "02")):
        name = f"sub-{label}/anat/sub-{label}_acq-pcbssfp_atlas-deep_stats.tsv"
        (good / name).parent.mkdir(parents=True)
        rows = [
            f"{index}\t{region}\tT1map\t9\t8\t{index + 0.1 * number}\t0.1\t1.2\t0.05\t0.01\t0.02\n"
            for index, region in ((1, "thalamus"), (2, "nucleus"), (3, "nucleus"))
        ]
        header = "index\tname\tmap\tsize\tn\tmedian\tiqr\tmean\tsd\tstated_sd\tsem\n"
        (good / name).write_text(header + "".join(rows))
        (own,) = processed(label, 900.0).runs
        write_record(processed(label, 900.0, runs=(replace(own, outputs=(name,)),)), output_dir=good)
    findings = findings_of(collect_group(good, participants=LABELS, only=True), output_dir=good)
    found = {each.of: each.values.tolist() for each in findings.regions}
    assert list(found) == ["thalamus", "index 2: nucleus", "index 3: nucleus"]
    assert found["index 3: nucleus"] == pytest.approx([3000.0, 3100.0])
    table = next(path for path in write_tables(findings, output_dir=good) if path.name == "group_regions.tsv")
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    assert [row[rows[0].index("index")] for row in rows] == ["index", "1", "2", "3", "1", "2", "3"]


def test_one_far_value_does_not_squeeze_the_axis() -> None:
    values = np.array([*np.linspace(850.0, 950.0, 30), 9e5])
    axis = robust_axis(values, start=0.0, end=100.0, gutter=30.0)
    assert axis.at(950.0) - axis.at(850.0) > 60.0
    assert axis.side(9e5) == 1
    assert axis.at(9e5) == 100.0
    assert robust_axis(np.array([5.0]), start=0.0, end=1.0).at(5.0) == pytest.approx(0.5)


def test_pictures_are_of_a_format_that_browsers_show(tmp_path: Path) -> None:
    from qmri_bids.reports.drawing.thumbnail import thumbnails

    nib.save(nib.Nifti1Image(np.ones((70, 90, 3), dtype=np.float32), np.eye(4)), tmp_path / "sub-01_T1map.nii.gz")
    (found,) = thumbnails([tmp_path / "sub-01_T1map.nii.gz"])
    import base64
    import io

    with Image.open(io.BytesIO(base64.b64decode(found.image))) as picture:
        assert picture.format == "WEBP"
        assert picture.size == (47, 60)
