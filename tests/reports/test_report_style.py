"""Colours of the page keep their contrast in both schemes, and what a reader needs stands in the page."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from qmri_bids.reports.content import Check, ErrorEntry, Level, QualityRow, RunReport, SubjectReport
from qmri_bids.reports.render import report_html

CSS = files("qmri_bids.reports").joinpath("templates", "report.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark", "print"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))


def _luminance(color: str) -> float:
    digits = color if len(color) == 6 else "".join(2 * digit for digit in color)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_colour_of_text_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    colors = dict(re.findall(r"--(\w+): #([0-9a-f]+)", SCHEMES[scheme]))
    assert {"ink", "soft", "accent", "good", "check", "bad", "info", "page", "pale"} <= set(colors)
    for text in ("ink", "soft", "accent", "good", "check", "bad", "info"):
        for back in ("page", "pale"):
            low, high = sorted((_luminance(colors[text]), _luminance(colors[back])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, text, back)


def _page(run: RunReport, **more: object) -> str:
    report = SubjectReport(participant="01", version="0", command="", created="2026-01-02T03:04:05+00:00", runs=(run,))
    return report_html(replace(report, **more))  # type: ignore[arg-type]


def test_files_are_linked_relative_to_the_page_whatever_they_are_called() -> None:
    html = _page(RunReport(title="a", outputs=("sub-01/anat/a b#1.nii.gz", "javascript:alert(1)")))
    assert 'href="sub-01/anat/a%20b%231.nii.gz"' in html
    assert 'href="javascript%3Aalert%281%29"' in html


def test_only_codes_that_occur_are_listed() -> None:
    rows = tuple(
        QualityRow(code=code, name=name, meaning=name, voxels=voxels, percent=None)
        for code, name, voxels in ((1, "converged", 5), (7, "at a bound", 0))
    )
    html = _page(RunReport(title="a", quality=rows))
    assert "converged" in html
    assert "at a bound" not in html


def test_a_green_exit_status_is_explained_beside_a_red_light() -> None:
    red = RunReport(title="a", checks=(Check(name="B1", value="none", level=Level.BAD),))
    assert "Lights judge the data, and a red one changes no exit status" in _page(red, exit_status=0)
    assert "a run failed or was refused" in _page(red, exit_status=1)


def test_what_the_data_decided_against_the_plan_stands_in_sight_and_under_the_methods() -> None:
    sentence = "The joint alignment moved cycle 12 by 3.7 mm and was discarded."
    html = _page(RunReport(title="a", decisions=("Phase is in radians.", sentence)), methods="All was aligned.")
    assert html.count("was discarded.") == 3  # in sight, folded among the decisions, and under the methods
    assert "Where the data decided otherwise" in html
    assert html.count("Phase is in radians.") == 1


def test_the_parts_of_a_failed_run_are_open_and_those_of_others_folded() -> None:
    run = RunReport(title="a", decisions=("Phase is in radians.",))
    assert '<details class="part">' in _page(run)
    failed = replace(run, errors=(ErrorEntry(title="estimate", message="No memory", advice="Take --low-mem."),))
    html = _page(failed)
    assert '<details class="part" open>' in html
    assert "Failed, no maps: No memory." in html
    assert "Take --low-mem." in html


def test_dates_are_readable() -> None:
    assert "2026-01-02, 03:04 UTC" in _page(RunReport(title="a"))
