"""The report in a real browser: every picture loads and every link leads somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qmri_bids.reports.content import SubjectReport
from qmri_bids.reports.render import write_report

# The probe is part of the test: the report itself holds no script.
PROBE = """<script>window.addEventListener("load", () => {
  const found = {
    widths: [...document.images].map(image => image.naturalWidth),
    alternatives: [...document.images].map(image => image.alt.length),
    broken: [...document.querySelectorAll('a[href^="#"]')].map(link => link.getAttribute("href"))
      .filter(target => !document.getElementById(target.slice(1))),
    twice: [...document.querySelectorAll("[id]")].map(node => node.id)
      .filter((id, index, all) => all.indexOf(id) !== index),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: [...document.images].map(image => Math.round(image.getBoundingClientRect().width)),
  };
  document.body.innerHTML = "";
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});</script>"""


def chromium() -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("no browser on PATH: install one with `apt-get install chromium`")
    return browser


@pytest.fixture
def probe(report: SubjectReport, tmp_path: Path) -> dict[str, list[int]]:
    written = write_report(report, tmp_path / "sub-01.html")
    copy = tmp_path / "probed.html"
    copy.write_text(
        written.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8"
    )
    command = [
        chromium(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1280,900",
        "--virtual-time-budget=20000",
        "--dump-dom",
        copy.as_uri(),
    ]
    dump = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    match = re.search(r'<pre id="probe">(.*?)</pre>', dump, re.DOTALL)
    assert match, f"the browser did not run the probe: {dump[-500:]}"
    result: dict[str, list[int]] = json.loads(match.group(1).replace("&gt;", ">").replace("&amp;", "&"))
    return result


def test_every_picture_loads_and_is_described_and_every_link_leads_somewhere(
    probe: dict[str, list[int]], report: SubjectReport
) -> None:
    assert len(probe["widths"]) == len(report.runs[0].figures) >= 15
    assert all(width > 1000 for width in probe["widths"])
    assert all(length > 10 for length in probe["alternatives"])
    assert probe["broken"] == []
    assert probe["twice"] == []


def test_the_pictures_have_one_width_and_fit_a_laptop(probe: dict[str, list[int]]) -> None:
    assert len(set(probe["wide"])) == 1
    assert probe["overflow"] == 0


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium()
