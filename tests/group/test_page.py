"""The page of the group level: links that lead somewhere, nothing from outside, text that is escaped."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qmri_bids.group.collect import collect_group
from qmri_bids.group.findings import findings_of
from qmri_bids.group.page import write_page
from qmri_bids.group.tables import write_tables

LABELS = ("01", "02", "03", "04", "05", "06", "07", "08", "09")


class Page(HTMLParser):
    """Collects addresses, anchors, and text by table row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.anchors: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        self.links += filter(None, [attributes.get("href")])
        self.sources += filter(None, [attributes.get("src")])
        self.anchors += filter(None, [attributes.get("id")])
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += f"{data} "


def _page(output_dir: Path, labels: tuple[str, ...] = LABELS, *, only: bool = False) -> str:
    group = collect_group(output_dir, participants=labels, only=only)
    findings = findings_of(group, output_dir=output_dir)
    write_tables(findings, output_dir=output_dir)
    path = write_page(findings, output_dir=output_dir, version="0.1.0", command="qmri_bids /data /out group")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(mixed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return derivatives with the page and the tables."""
    output_dir = shutil.copytree(mixed_once, tmp_path_factory.mktemp("page") / "out")
    _page(output_dir)
    return output_dir


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return (written / "group.html").read_text(encoding="utf-8")


def test_every_link_leads_somewhere(html: str, written: Path) -> None:
    page = Page(html)
    assert len(page.anchors) == len(set(page.anchors))
    reports = 0
    for link in page.links:
        name, _, anchor = link.partition("#")
        target = Page((written / name).read_text(encoding="utf-8")) if name.endswith(".html") else page
        reports += name.endswith(".html")
        assert (written / name).exists()
        assert not anchor or anchor in target.anchors, link
    assert reports > 9


def test_nothing_is_loaded_from_outside_and_text_is_escaped(html: str) -> None:
    page = Page(html)
    assert page.tags.isdisjoint({"link", "iframe", "b"})
    assert page.sources == []
    assert re.findall(r"https?://[^\s<\"]+", html) == []
    assert "&lt;b&gt;no&lt;/b&gt;" in html


def test_it_names_who_lies_apart_and_who_has_no_result(html: str) -> None:
    rows = [" ".join(row.split()) for row in Page(html).rows]
    apart = [row for row in rows if row.startswith("sub-06") and "T1, white matter" in row]
    assert apart == ["sub-06 acq-pcbssfp_run-1 T1, white matter 1500 ms 902.0 +57.6"]
    for start in (
        "sub-07 acq-APT CEST failed",
        "sub-07 acq-MT_mt-on_MTR refused",
        "sub-08 – unreadable",
        "sub-09 – not",
    ):
        assert sum(row.startswith(start) for row in rows) == 1, start
    assert "0.2.0: sub-07." in html
    assert "not judged, since most of the values are equal: Voxels with a value" in html


def test_few_participants_are_not_judged_and_it_says_so(good: Path) -> None:
    html = _page(good, ("01", "02", "03", "06"), only=True)
    assert "no outliers are judged, since fewer than 5 participants have it (4)" in html
    assert 'lie apart</span><span class="value">not judged</span><span class="why">(fewer than 5 participants)' in html
    assert "No value was judged (fewer than 5 participants)." in html
    assert "Every run of every participant was processed." in html


def test_values_of_one_run_are_lines_without_pictures(good: Path) -> None:
    html = _page(good, ("01",), only=True)
    assert html.count("One run alone has each of these values: there is nothing to compare it with.") == 2
    words = " ".join(re.sub(r"<[^>]+>", "", html).split())
    assert "T1 [ms] sub-01 run-1: white matter 900.0 · grey matter 1350" in words
    assert "<svg" not in html


def test_the_lights_of_all_runs_stand_below_the_summary(html: str) -> None:
    assert html.index('id="summary"') < html.index('id="runs"') < html.index('id="amiss"')
    assert re.search(
        r'Runs processed</span><span class="value">\d+</span><span class="why">\d+ [^<]+, <a href="#runs">', html
    )


def test_without_any_result_there_is_a_page(mixed: Path) -> None:
    html = _page(mixed, ("08", "09"), only=True)
    assert "data:image" not in html
    assert "<svg" not in html
    assert "1 of 2" in html


def test_the_same_records_give_the_same_page(html: str, mixed: Path) -> None:
    assert _page(mixed) == html
    assert re.search(r"records up to 2025-11-21, 10:07", html)
