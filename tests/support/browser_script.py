"""Runs a script inside a page in a real browser and returns what it found, together with what the page complained of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

COMPLAINTS = """<script>
window.complaints = [];
window.addEventListener("error", (event) => complaints.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => complaints.push(String(event.reason)));
console.error = (...said) => complaints.push(said.join(" "));
</script>"""

RUNNER = """<script>
window.addEventListener("load", async () => {
  const rest = (time) => new Promise((resolve) => setTimeout(resolve, time));
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = {failed: String(error.stack || error)}; }
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify({found: found === undefined ? null : found, complaints: window.complaints});
  document.body.append(out);
});
</script>"""


def run_in_page(page: Path, script: str, *, folder: Path, size: str = "1280,900", flags: tuple[str, ...] = ()) -> Any:
    """Return what the body of an async function returns in a page that has loaded; fail where the page complains.

    Parameters
    ----------
    page
        The page.
    script
        Body of the function; `rest(milliseconds)` waits.
    folder
        For the copy of the page and the profile of the browser.
    size
        Width and height of the window.
    flags
        Further flags of the browser.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("no browser on PATH: install one with `apt-get install chromium`")
    html = page.read_text(encoding="utf-8").replace("<head>", "<head>" + COMPLAINTS, 1)
    copy = folder / "script.html"
    copy.write_text(html.replace("</body>", RUNNER % script + "</body>"), encoding="utf-8")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={size}",
        "--virtual-time-budget=60000",
        *flags,
        "--dump-dom",
        copy.as_uri(),
    ]
    dump = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    match = re.search(r'<pre id="found">(.*?)</pre>', dump, re.DOTALL)
    assert match, f"the script did not end: {dump[-500:]}"
    text = match.group(1)
    for escape, letter in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\N{NO-BREAK SPACE}"), ("&amp;", "&")):
        text = text.replace(escape, letter)
    answer = json.loads(text)
    assert answer["complaints"] == []
    assert not (isinstance(answer["found"], dict) and "failed" in answer["found"]), answer["found"]
    return answer["found"]
