"""The page of a participant in a real browser: what is seen without scrolling, contrast, phone, print and size.

    python benchmarks/report_page.py [--data FOLDER | --page PAGE] [--demo PAGE]

A participant with four scans (pc-bSSFP, MTS, a Z-spectrum, fingerprints of two pools; 48 × 56 × 48 voxels of 4 mm) is simulated and
processed in FOLDER, or its page written again where that was done before. Rows are saved in `results/report_page.json`:

maps and lights below the first screen
    Pictures of maps and lights of the overview whose box (getBoundingClientRect) does not end within 1400 × 900 pixels.
page at 1400 pixels
    Height of the page as it opens: folded sections are closed.
least contrast
    Least ratio of contrast (WCAG 2) between a text and what lies behind it, over 3:1 for large text and 4.5:1 for other, at 1280
    pixels, in the light and in the dark scheme, all sections open. 1 is AA.
widest overflow on a phone
    Width of the page less that of the window at 360 pixels, all sections open.
unreachable by keyboard
    Links, folded sections and tables that scroll sideways which the tabulator does not reach.
A4 pages
    Pages of `--print-to-pdf`; of the demo where `--demo` gives its page.
size
    Of the HTML file.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rows import AtLeast, Row, save

PROBE = Path(__file__).with_name("report_page_probe.js")

FRAME = """<!DOCTYPE html>
<meta name="color-scheme" content="light dark"><body><script>
window.addEventListener("message", event => {{
  const found = document.createElement("pre");
  found.id = "probe";
  found.textContent = event.data;
  document.body.append(found);
}});
</script><iframe src="{page}" width="{width}" height="{height}" style="border: 0"></iframe></body>"""
"""A window as narrow as a phone: a browser has none of its own below 500 pixels."""

FIRST_SCREEN, PHONE = (1400, 900), (360, 800)


def main() -> None:
    """Measure the page and save the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that keeps the dataset and what is computed of it")
    parser.add_argument("--page", type=Path, help="page of a participant with four runs, in place of one made here")
    parser.add_argument("--demo", type=Path, help="page of the demo, whose print is measured too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = options.page or four_runs(options.data or Path(folder))
        rows = measured(page, of="four runs")
        if options.demo is not None:
            rows.append(printed(options.demo, of="demo", bar=10))
        save("report_page", rows)


def four_runs(folder: Path) -> Path:
    """Return the page of the participant with four scans; simulate and process it where that was not done."""
    tools = [str(Path(sys.executable).with_name(name)) for name in ("qmri-tools", "qmri_bids")]
    bids, out, work = (str(folder / name) for name in ("bids", "out", "work"))
    if not Path(bids).is_dir():
        options = [
            *("--matrix", "48", "56", "48", "--voxel-size", "4", "--cest", "zspectrum", "mrf"),
            *("--mt", "mts", "--seed", "3", "--t1w"),
        ]
        subprocess.run([tools[0], "simulate", bids, *options], check=True)
    page = Path(out, "sub-01.html")
    again = ["--reports-only"] if page.is_file() else []
    subprocess.run([tools[1], bids, out, "participant", "-w", work, *again], check=True)
    return page


def measured(page: Path, *, of: str) -> list[Row]:
    """Return the rows of a page."""
    first = probed(page, size=FIRST_SCREEN)
    whole = {scheme: probed(page, size=(1280, 900), scheme=scheme, opened=True) for scheme in ("light", "dark")}
    phone = probed(page, size=PHONE, opened=True)
    assert phone["width"] == PHONE[0], f"the browser gave {phone['width']} pixels, not {PHONE[0]}"
    number = len(first["seen"])
    rows = [
        Row(
            figure=f"{of}: maps and lights below the first screen",
            unit="",
            bar=0,
            value=sum(bottom > FIRST_SCREEN[1] for bottom in first["seen"]),
            baseline=f"{number} maps and lights of {first['runs']} runs, the lowest ends at {max(first['seen']):.0f} of 900 px",
        ),
        Row(figure=f"{of}: page at 1400 pixels", unit="px", bar=22000, value=first["height"], baseline="22,000 before"),
    ]
    for scheme, found in whole.items():
        worst = found["contrast"]
        rows.append(
            Row(
                figure=f"{of}: least contrast, {scheme}",
                unit="of AA",
                bar=AtLeast(1.0),
                value=worst["share"],
                baseline=f"{worst['ratio']:.2f}:1, {worst['texts']} texts, the least in {worst['text']!r}",
            )
        )
    rows += [
        Row(
            figure=f"{of}: widest overflow on a phone",
            unit="px",
            bar=0,
            value=phone["overflow"],
            baseline="360 px wide",
        ),
        Row(
            figure=f"{of}: unreachable by keyboard",
            unit="",
            bar=0,
            value=whole["light"]["unreachable"],
            baseline=f"{whole['light']['reachable']} stops of the tabulator",
        ),
        printed(page, of=of, bar=None),
        Row(figure=f"{of}: size", unit="MB", bar=12, value=page.stat().st_size / 1e6),
    ]
    return rows


def printed(page: Path, *, of: str, bar: int | None) -> Row:
    """Return the row of the pages that a page takes on paper."""
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder, "page.pdf")
        _browser(page, folder, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
        pages = len(re.findall(rb"/Type\s*/Page[^s]", pdf.read_bytes()))
    return Row(figure=f"{of}: A4 pages", unit="pages", bar=bar, value=pages)


def probed(page: Path, *, size: tuple[int, int], scheme: str = "light", opened: bool = False) -> dict[str, Any]:
    """Return what the probe finds on a page, in a window of this size."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "probed.html")
        script = f"<script>const OPENED = {json.dumps(opened)};\n{PROBE.read_text(encoding='utf-8')}</script>"
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script + "</body>"), encoding="utf-8")
        frame = Path(folder, "frame.html")
        frame.write_text(FRAME.format(page=copy.name, width=size[0], height=size[1]), encoding="utf-8")
        dump = _browser(
            frame,
            folder,
            f"--window-size={size[0] + 40},{size[1] + 40}",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
            "--hide-scrollbars",
            "--virtual-time-budget=20000",
            "--dump-dom",
        )
    match = re.search(r'<pre id="probe">(.*?)</pre>', dump, re.DOTALL)
    assert match, f"the browser did not run the probe: {dump[-500:]}"
    text = match.group(1).replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    found: dict[str, Any] = json.loads(text)
    return found


def _browser(page: Path, folder: str, *options: str) -> str:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}/profile"]
    command = [program, *quiet, *options, page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


if __name__ == "__main__":
    main()
