"""Fixtures that several parts of the tests share."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_heads import MISSING, RealHeads, real_heads, write_coarse
from slow_tests import SlowTests

# The probe is part of the test, not of the report.
PROBE = """<script>window.addEventListener("load", () => {
  // Folded sections hide their pictures: they are looked at open.
  document.querySelectorAll("details").forEach(part => { part.open = true; });
  const pictures = [...document.querySelectorAll("figure img")];
  const found = {
    widths: pictures.map(image => image.naturalWidth),
    lowest: Math.max(0, ...[...document.querySelectorAll(".glance .thumbs li, .glance .chips li")]
      .map(node => node.getBoundingClientRect().bottom)),
    thumbnails: document.querySelectorAll(".thumbs img").length,
    alternatives: [...document.images].map(image => image.alt.length),
    broken: [...document.querySelectorAll('a[href^="#"]')].map(link => link.getAttribute("href"))
      .filter(target => !document.getElementById(target.slice(1))),
    twice: [...document.querySelectorAll("[id]")].map(node => node.id)
      .filter((id, index, all) => all.indexOf(id) !== index),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: pictures.map(image => Math.round(image.getBoundingClientRect().width)),
  };
  document.body.innerHTML = "";
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});</script>"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow-tests", action="store_true", help="write tests/slow_tests.txt from what is measured")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SlowTests(write=config.getoption("--write-slow-tests")))


def chromium() -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("no browser on PATH: install one with `apt-get install chromium`")
    return browser


@pytest.fixture
def probe_page(tmp_path: Path) -> Callable[[Path], dict[str, Any]]:
    """Open a page in a real browser and return what it found there."""

    def probe(page: Path) -> dict[str, Any]:
        copy = tmp_path / "probed.html"
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
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
        dump = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
        match = re.search(r'<pre id="probe">(.*?)</pre>', dump, re.DOTALL)
        assert match, f"the browser did not run the probe: {dump[-500:]}"
        result: dict[str, list[int]] = json.loads(match.group(1).replace("&gt;", ">").replace("&amp;", "&"))
        return result

    return probe


@pytest.fixture(scope="session")
def colin27() -> RealHeads:
    """Return the files of real heads; tests that cannot have them are counted at the end of the run."""
    found = real_heads()
    if found is None:
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="session")
def coarse_colin27(colin27: RealHeads, tmp_path_factory: pytest.TempPathFactory) -> RealHeads:
    """Return the same head with voxels of 2 mm, which becomes a digital head in a few seconds."""
    return write_coarse(colin27, tmp_path_factory.mktemp("coarse-head"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly how much was not tested for want of a real head."""
    number = sum(MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if number:
        terminalreporter.section("REAL ANATOMY WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(f"{number} tests could not run: {MISSING}", red=True)
