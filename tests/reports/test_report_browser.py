"""The report in a real browser: every picture loads and every link leads somewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.reports.content import SubjectReport
from qmri_bids.reports.render import write_report


@pytest.fixture
def probe(report: SubjectReport, probe_page: Callable[[Path], dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    return probe_page(write_report(report, tmp_path / "sub-01.html"))


def test_every_picture_loads_and_is_described_and_every_link_leads_somewhere(
    probe: dict[str, list[int]], report: SubjectReport
) -> None:
    assert len(probe["widths"]) == len(report.runs[0].figures) >= 15
    assert all(width > 1000 for width in probe["widths"])
    assert all(length > 10 for length in probe["alternatives"])
    assert probe["broken"] == []
    assert probe["twice"] == []


def test_the_pictures_have_one_width_and_fit_a_laptop(probe: dict[str, list[int]]) -> None:
    # Maps stand in two or three columns, all else in one.
    assert len(set(probe["wide"])) <= 3
    assert min(probe["wide"]) >= 380
    assert probe["overflow"] == 0


def test_the_first_screen_holds_every_map_and_light_of_four_runs(
    report: SubjectReport, probe_page: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    run = report.runs[0]
    runs = tuple(replace(run, entities={"acq": f"scan{number}"}) for number in range(4))
    found = probe_page(write_report(replace(report, runs=runs, refusals=(), errors=()), tmp_path / "sub-01.html"))
    maps = [figure for figure in run.figures if figure.overview is not None and figure.section in ("maps", "b1")]
    assert found["thumbnails"] == 4 * len(maps) >= 16
    assert 0 < found["lowest"] < 900
    assert found["twice"] == []


def test_a_missing_browser_is_named(
    report: SubjectReport,
    probe_page: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = write_report(report, tmp_path / "sub-01.html")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        probe_page(page)
