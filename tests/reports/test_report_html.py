"""What the HTML says, and what it must not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qmri_bids.reports.content import (
    Check,
    ErrorEntry,
    Figure,
    Level,
    Overview,
    RunReport,
    Section,
    SubjectReport,
)
from qmri_bids.reports.render import SECTION_TITLES, page_environment, report_html, write_report

ATTACK = '<script>alert("x")</script><img src="http://evil.example/a.png">'


class Tags(HTMLParser):
    """Collects tags with their attributes and checks that they nest."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(report: SubjectReport) -> str:
    return report_html(report)


def test_nothing_is_loaded_from_outside(html: str) -> None:
    tags = Tags(html)
    assert tags.open == []
    for tag, attributes in tags.found:
        assert tag not in ("link", "iframe", "object", "base")
        if tag == "script":
            assert set(attributes) <= {"type", "class"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name == "src":
                assert re.match("data:image/(png|webp);base64,", value or "")
            if name == "href":
                assert re.match(r"#|https://doi\.org/10\.|sub-[A-Za-z0-9]+/[A-Za-z0-9_./-]+$", value or "")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)


def test_texts_are_escaped_wherever_they_come_from() -> None:
    run = RunReport(
        title=ATTACK,
        entities={"acq": ATTACK},
        checks=(Check(name=ATTACK, value=ATTACK, level=Level.CHECK, explanation=ATTACK),),
        decisions=(ATTACK,),
        warnings=(ATTACK,),
        errors=(ErrorEntry(title=ATTACK, message=ATTACK, advice=ATTACK, details=ATTACK),),
        outputs=(ATTACK,),
    )
    report = SubjectReport(
        participant=ATTACK,
        version=ATTACK,
        command=ATTACK,
        created=ATTACK,
        software={ATTACK: ATTACK},
        runs=(run,),
        refusals=(ATTACK,),
        errors=(ErrorEntry(title=ATTACK, message=ATTACK),),
        methods=ATTACK,
    )
    html = report_html(report)
    tags = [tag for tag, _ in Tags(html).found]
    assert "script" not in tags
    assert "img" not in tags
    assert html.count("&lt;script&gt;") > 15


def test_every_section_has_its_heading_in_the_order_of_the_sections(html: str) -> None:
    places = [html.index(f"<h3>{SECTION_TITLES[section]}</h3>") for section in Section]
    assert places == sorted(places)
    assert list(SECTION_TITLES) == list(Section)


def test_the_user_finds_refusal_warning_decision_error_and_source(html: str) -> None:
    for text in (
        "RFPhaseIncrement: expected 6 values, found 5",
        "EchoTime is missing",
        "The phase was read as radians.",
        "sub-01_TB1TFL.nii.gz is empty",
        "Copy it again.",
        "sub-01_VFA.json: EchoTime",
        "qmri_bids /data /out participant",
        "10 min 05 s",
        "10.1002/mrm.24986",
    ):
        assert text in html
    assert "No errors to report." not in html


def test_a_report_without_errors_says_so(report: SubjectReport) -> None:
    assert "No errors to report." in report_html(replace(report, errors=()))


def test_a_participant_without_any_run_is_a_problem_that_is_stated() -> None:
    report = SubjectReport(participant="02", version="0.1.0", command="", created="")
    assert report.level is Level.BAD
    assert "No run of this participant was processed." in report_html(report)


@pytest.mark.parametrize(
    ("run", "level"),
    [
        (RunReport(title="a"), Level.GOOD),
        (RunReport(title="a", checks=(Check(name="n", value="v", level=Level.INFO),)), Level.INFO),
        (RunReport(title="a", warnings=("w",)), Level.CHECK),
        (
            RunReport(
                title="a",
                warnings=("w",),
                checks=(
                    Check(name="n", value="v", level=Level.BAD),
                    Check(name="m", value="v", level=Level.GOOD),
                ),
            ),
            Level.BAD,
        ),
        (RunReport(title="a", errors=(ErrorEntry(title="t", message="m"),)), Level.BAD),
    ],
)
def test_the_worst_finding_sets_the_light(run: RunReport, level: Level) -> None:
    assert run.level is level


def test_the_same_content_gives_the_same_bytes_and_replaces_the_old_file(report: SubjectReport, tmp_path: Path) -> None:
    path = tmp_path / "new" / "sub-01.html"
    first = write_report(report, path).read_bytes()
    path.write_text("old", encoding="utf-8")
    assert write_report(report, path).read_bytes() == first
    assert list(path.parent.iterdir()) == [path]
    assert len(first) < 6_000_000


def test_a_failed_write_leaves_the_old_report(
    report: SubjectReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sub-01.html"
    path.write_text("old", encoding="utf-8")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_report(report, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_computed_image_has_no_light_of_its_own_unless_the_run_asks_for_a_look() -> None:
    overview = Overview(image=b"", symbol="x", window="0 to 1", with_value=1.0)
    figures = tuple(
        Figure(key=key, title=key, caption="", image=b"", overview=overview)
        for key in ("t1", "synthetic-flair", "synthetic-late-t2w", "bandfree-rss")
    )

    def dots(level: Level) -> int:
        check = Check(name="Motion", value="", level=level)
        run = RunReport(title="pc-bSSFP", checks=(check,), figures=figures)
        html = report_html(SubjectReport(participant="01", version="0", command="", created="", runs=(run,)))
        return html.partition('<ul class="thumbs"')[2].partition("</ul>")[0].count('class="dot ')

    assert dots(Level.GOOD) == 1
    assert dots(Level.CHECK) == len(figures)


def test_numbers_have_true_minus_signs_and_names_keep_their_hyphens() -> None:
    glue = page_environment().filters["glue"]
    assert glue("-0.5 % (-4096 to 5), sub-01_run-2, 2026-12-01, --nprocs 1, |F-1|, 1-2") == (
        "\u22120.5\xa0% (\u22124096 to 5), sub-01_run-2, 2026-12-01, --nprocs 1, |F-1|, 1-2"
    )
