"""A made-up group: eight participants, one that lies apart, and one of each thing that can go wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qmri_bids.bids.refusal import Refusal
from qmri_bids.reports.content import (
    Check,
    ErrorEntry,
    Level,
    QualityRow,
    RunReport,
    StatisticsRow,
    SubjectReport,
)
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.record import record_path, write_record
from qmri_bids.reports.render import write_report

T1 = {"01": 900.0, "02": 910.0, "03": 890.0, "04": 905.0, "05": 895.0, "06": 1500.0}
"""Median T1 of white matter [ms]: sub-06 lies apart."""

MISSING = "09"


def _statistics(name: str, unit: str, region: str, median: float) -> StatisticsRow:
    return StatisticsRow(
        map=name,
        unit=unit,
        region=region,
        median=median,
        lower_quartile=0.9 * median,
        upper_quartile=1.1 * median,
        mean=1.01 * median,
        standard_deviation=0.1 * median,
        voxels=1000,
    )


@pytest.fixture(scope="session")
def processed() -> Callable[..., SubjectReport]:
    """Return the report of a participant with one run that was processed."""

    def report(label: str, t1: float, **changes: object) -> SubjectReport:
        motion = (
            Measure(key="displacement_max", value=t1 / 3000.0),
            Measure(key="displacement_mean", value=t1 / 9000.0),
        )
        run = RunReport(
            title="pc-bSSFP relaxometry",
            entities={"acq": "pcbssfp", "run": "1"},
            checks=(
                Check(name="Motion", value="some", level=Level.CHECK, measures=motion),
                Check(
                    name="Voxels with a value",
                    value="99 %",
                    level=Level.GOOD,
                    measures=(Measure(key="valid_voxels", value=99.0),),
                ),
            ),
            warnings=("EchoTime is missing:\tTR/2\nwas taken.",),
            quality=(
                QualityRow(code=0, name="outside", meaning="Outside", voxels=5, percent=None),
                QualityRow(code=1, name="converged", meaning="Fine", voxels=99, percent=99.0),
            ),
            statistics=(
                _statistics("T1", "ms", "white matter", t1),
                _statistics("T1", "ms", "grey matter", 1.5 * t1),
                _statistics("M0", "arbitrary", "white matter", 7.0 * t1),
            ),
            measures=(Measure(key="mirror_ratio", value=0.5, of="the B1 scan"),),
        )
        return replace(
            SubjectReport(
                participant=label,
                version="0.1.0",
                command="qmri_bids /data /out participant",
                created=f"2025-11-21T10:{label}:00+00:00",
                runs=(run,),
                exit_status=0,
            ),
            **changes,
        )

    return report


@pytest.fixture
def bids_dir(tmp_path: Path) -> Path:
    """Return a dataset of folders."""
    for label in [*T1, "07", "08", MISSING]:
        (tmp_path / "bids" / f"sub-{label}").mkdir(parents=True)
    return tmp_path / "bids"


@pytest.fixture(scope="session")
def good_once(tmp_path_factory: pytest.TempPathFactory, processed: Callable[..., SubjectReport]) -> Path:
    """Return derivatives in which six participants were processed."""
    output_dir = tmp_path_factory.mktemp("good")
    for label, t1 in T1.items():
        report = processed(label, t1)
        write_record(report, output_dir=output_dir)
        write_report(report, output_dir / f"sub-{label}.html")
    return output_dir


@pytest.fixture(scope="session")
def mixed_once(
    good_once: Path, tmp_path_factory: pytest.TempPathFactory, processed: Callable[..., SubjectReport]
) -> Path:
    """Return derivatives in which also one failed and was refused a run, and one has half a record and a temporary one."""
    good = tmp_path_factory.mktemp("mixed") / "out"
    shutil.copytree(good_once, good)
    failed = RunReport(
        title="CEST",
        entities={"acq": "APT"},
        errors=(ErrorEntry(title="CEST failed", message="<b>no</b>\nvolumes.", advice="Copy it again."),),
    )
    refusal = Refusal(
        file="sub-07/anat/sub-07_acq-MT_mt-on_MTR.json",
        key="FlipAngle",
        expected="a number in degrees",
        found="nothing",
        advice="Add it.",
    )
    report = processed("07", 902.0)
    report = replace(report, runs=(*report.runs, failed), refusals=(refusal,), version="0.2.0", exit_status=1)
    write_record(report, output_dir=good)
    write_report(report, good / "sub-07.html")
    path = write_record(processed("08", 900.0), output_dir=good)
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    log = record_path(good, MISSING).parent
    log.mkdir(parents=True)
    (log / ".sub-09_record-123-abcdef01.json").write_text("{", encoding="utf-8")
    return good


@pytest.fixture
def good(good_once: Path, tmp_path: Path) -> Path:
    """Return a copy of the derivatives in which all went well."""
    return shutil.copytree(good_once, tmp_path / "good")


@pytest.fixture
def mixed(mixed_once: Path, tmp_path: Path) -> Path:
    """Return a copy of the derivatives in which not all went well."""
    return shutil.copytree(mixed_once, tmp_path / "mixed")
