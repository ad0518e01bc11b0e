"""The page of the group in a real browser: drawn, coloured, searched, used by keyboard, and readable without scripts."""

from __future__ import annotations

import html as text_of_html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.group.collect import collect_group
from qmri_bids.group.findings import findings_of
from qmri_bids.group.page import write_page

LABELS = ("01", "02", "03", "04", "05", "06", "07", "08", "09")

USE = """<script>window.addEventListener("load", () => {
  const by = id => document.getElementById(id), found = {};
  const fills = () => new Set([...document.querySelectorAll("svg .p > *")].map(node => getComputedStyle(node).fill));
  const choose = name => {
    const color = by("color");
    color.value = [...color.options].find(option => option.text === name).value;
    color.dispatchEvent(new Event("change"));
  };
  found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.out = [...document.querySelectorAll("svg text")].filter(node => {
    const box = node.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth);
  }).map(node => node.textContent);
  const titles = [...document.querySelectorAll(".panels figcaption")].map(node => node.getBoundingClientRect());
  found.overlapping = titles.filter((one, number) => titles.some((other, place) => place !== number
    && one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)).length;
  found.columns = [...by("color").options].map(option => option.text);
  choose("site"); found.site = by("legend").innerText.trim().split(/\\s*\\n\\s*/); found.hues = fills().size;
  choose("age"); found.age = by("legend").innerText.trim().replace(/\\s+/g, " ");
  choose("nothing");
  const svg = [...document.querySelectorAll("svg")].find(node => node.getAttribute("aria-label").startsWith("T1, white matter"));
  svg.focus();
  svg.dispatchEvent(new KeyboardEvent("keydown", { key: "End" }));
  found.tip = by("tip").innerText;
  const last = svg.querySelector(".a > *").getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent("pointermove", { clientX: last.left + last.width / 2, clientY: last.top + last.height / 2 }));
  found.hover = by("tip").innerText;
  const box = by("tip").getBoundingClientRect();
  found.tipInside = box.left >= 0 && box.right <= document.documentElement.clientWidth;
  const search = by("search");
  search.value = "sub-03"; search.dispatchEvent(new Event("input"));
  found.rows = [...document.querySelectorAll("#runs tbody tr")].filter(row => row.offsetParent).map(row => row.cells[0].innerText);
  found.links = [...by("found").querySelectorAll("a")].map(link => link.getAttribute("href"));
  found.dim = document.querySelectorAll("svg .dim").length;
  search.value = ""; search.dispatchEvent(new Event("input"));
  found.back = document.querySelectorAll("svg .dim").length;
  const ink = getComputedStyle(document.body);
  found.colors = [ink.color, ink.backgroundColor];
  document.body.innerHTML = "";
  const result = document.createElement("pre");
  result.id = "probe"; result.textContent = JSON.stringify(found);
  document.body.append(result);
});</script>"""


@pytest.fixture(scope="module")
def page(mixed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a group with sites and ages."""
    folder = tmp_path_factory.mktemp("browser")
    output_dir = shutil.copytree(mixed_once, folder / "out")
    rows = ["participant_id\tage\tsite"]
    rows += [
        f"sub-{label}\t{30 + number if number != 2 else 'n/a'}\t{'AB'[number % 2]}"
        for number, label in enumerate(LABELS)
    ]
    (folder / "participants.tsv").write_text("\n".join(rows))
    group = collect_group(output_dir, participants=LABELS)
    findings = findings_of(group, output_dir=output_dir, bids_dir=folder)
    return write_page(findings, output_dir=output_dir, version="0.1.0", command="qmri_bids group")


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return what opens a page in a real browser of a width, uses it, and tells what it found."""

    def use(page: Path, *, width: int, more: tuple[str, ...] = ()) -> dict[str, Any]:
        browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert browser, "no browser on PATH: install one with `apt-get install chromium`"
        folder = tmp_path_factory.mktemp("used")
        copy = folder / "page.html"
        # A headless window is never narrower than 500 pixels; a frame is as narrow as a phone.
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", USE + "</body>"), encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
        sizes = (f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=20000")
        command = [browser, *options, *sizes, *more, "--dump-dom", copy.as_uri()]
        dump = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
        match = re.search(r'<pre id="probe">(.*?)</pre>', dump, re.DOTALL)
        assert match, f"the browser did not run the probe: {dump[-500:]}"
        found: dict[str, Any] = json.loads(text_of_html.unescape(match.group(1)))
        return found

    return use


def test_points_are_named_coloured_searched_and_reached_by_keyboard(
    page: Path, browse: Callable[..., dict[str, Any]]
) -> None:
    found = browse(page, width=1400)
    assert (found["wide"], found["out"], found["overlapping"]) == (0, [], 0)
    assert found["columns"] == ["nothing", "age", "site", "light of the report"]
    assert found["site"] == ["A", "B"]
    assert found["hues"] == 2
    assert found["age"] == "≤ 30≥ 38 missing"
    assert found["tip"].startswith("sub-06 run-1\n1500 ms, lies apart")
    assert found["hover"] == found["tip"]
    assert found["tipInside"]
    assert found["rows"] == ["sub-03"]
    assert found["links"] == ["sub-03.html"]
    assert found["dim"] > 0
    assert found["back"] == 0


def test_it_fits_a_narrow_screen_and_has_a_dark_mode(page: Path, browse: Callable[..., dict[str, Any]]) -> None:
    found = browse(page, width=500, more=("--blink-settings=preferredColorScheme=0",))
    assert (found["wide"], found["out"], found["overlapping"]) == (0, [], 0)
    ink, field = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in found["colors"])
    assert ink > 600
    assert field < 120


def test_without_scripts_pictures_and_tables_stand_in_the_file(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    static = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    labels = re.findall(r'role="img" aria-label="([^"]*)"', static)
    white = [label for label in labels if label.startswith("T1, white matter")]
    assert white == ["T1, white matter: 7 values, median 902 ms, quartiles 897.5 to 907.5; apart: sub-06 run-1 1500"]
    assert len(labels) == static.count("<figcaption>") > 5
    assert 'href="sub-06.html#run-1-acq-pcbssfp-run-1"' in static
    assert "sub-06 run-1: 1500" in re.sub(r"<[^>]+>", " ", static)
