"""The viewer of the report in Chromium: size of the page, time to interactive, and values under the cursor against the NIfTI.

`demo` reads a finished demo (`QMRI_BIDS_DEMO`: the folder with `sub-01.html`; without it the demo is simulated and processed,
some minutes). `ten_maps` makes the page of a participant at 176×176×128 with pc-bSSFP, MTS and fingerprints, ten maps with their
standard deviations: the anatomy and noise of the demo, brought to that grid, since the size of the page follows from them and not
from how the maps were estimated. The time is that from the start of the navigation until a press in a slice has changed the
values, the viewer opened as soon as the script of the page has run.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rows import Row

FILES = {
    "T1": ("anat", "T1map", 1e3),
    "T2": ("anat", "T2map", 1e3),
    "M0": ("anat", "M0map", 1.0),
    "Fluid fraction": ("anat", "desc-fluid_fractionmap", 100.0),
    "Off-resonance": ("fmap", "fieldmap", 1.0),
    "B1": ("fmap", "TB1map", 1.0),
    "Residual of the fit": ("anat", "residualmap", 100.0),
    "Residual over noise": ("anat", "desc-misfit_residualmap", 1.0),
}
"""Folder, ending and factor from the unit of the file to that on display, by what the viewer calls the map."""

VOXELS = 20

SCRIPT = """<script>window.addEventListener("load", async () => {
const rest = (time) => new Promise((resolve) => setTimeout(resolve, time));
const complaints = [];
window.addEventListener("error", (event) => complaints.push(String(event.message)));
const answer = {loaded: performance.now(), found: []};
for (const [number, viewer] of window.qmriViewers.entries()) {
  viewer.root.scrollIntoView();
  viewer.open();
  while (!viewer.root.dataset.ready) await rest(5);
  const canvases = Array.from(viewer.root.querySelectorAll(".viewer-planes > canvas"));
  const press = (canvas, x, y) => {
    const box = canvas.getBoundingClientRect();
    const at = {clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1, button: 0, bubbles: true};
    for (const kind of ["pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(kind, at));
  };
  const cells = (row) => Array.from(row.children, (cell) => cell.textContent);
  const read = () => ({number: number, place: viewer.root.querySelector(".viewer-place").textContent,
    rows: Array.from(viewer.root.querySelectorAll(".viewer-values tr"), cells)});
  const before = read().place;
  press(canvases[0], 0.4, 0.4);
  if (read().place === before) complaints.push("a press changed nothing");
  if (number === 0) answer.interactive = performance.now();
  while (!viewer.root.dataset.complete) await rest(5);
  if (number === 0) answer.complete = performance.now();
  let seed = 11;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let n = 0; n < 60; n++) { press(canvases[n % 3], 0.15 + 0.7 * random(), 0.15 + 0.7 * random()); answer.found.push(read()); }
}
answer.complaints = complaints;
await fetch("http://127.0.0.1:PORT/", {method: "POST", mode: "no-cors", body: JSON.stringify(answer)});
});</script>"""


def opened(page: Path) -> dict[str, Any]:
    """Return what the script found in a page that Chromium has opened, in real time."""
    answer: dict[str, Any] = {}
    arrived = threading.Event()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made) / "page.html"
        script = SCRIPT.replace("PORT", str(server.server_port))
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script + "</body>"), encoding="utf-8")
        browser = subprocess.Popen(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *("--remote-debugging-port=0", f"--user-data-dir={made}/profile", "--window-size=1400,900"),
                copy.as_uri(),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not arrived.wait(240):
                raise SystemExit(f"{page}: the script did not end within 240 s")
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    if answer["complaints"]:
        raise SystemExit(f"{page}: {answer['complaints']}")
    return answer


@cache
def demo() -> Path:
    """Return the derivatives of the demo."""
    given = os.environ.get("QMRI_BIDS_DEMO")
    if given:
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="qmri-demo-"))
    code = "import sys; from qmri_bids.cli.{} import main; sys.exit(main())"
    for module, arguments in (
        ("tools", ["simulate", str(folder / "bids")]),
        ("run", [str(folder / "bids"), str(folder / "out"), "participant"]),
    ):
        subprocess.run(
            [sys.executable, "-c", code.format(module), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder
        )
    return folder / "out"


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def triple(text: str) -> tuple[int, ...]:
    found = re.search(r"voxel \((\d+), (\d+), (\d+)\)", text)
    assert found, text
    return tuple(int(part) for part in found.groups())


def worst_error(found: list[dict[str, Any]], volumes: dict[str, NDArray[np.floating]]) -> tuple[float, dict[str, int]]:
    """Return the largest difference to the files over the stated step, and how many voxels of each map were compared.

    A row that says it holds the value of a neighbour is compared with that voxel.
    """
    worst, seen = 0.0, dict.fromkeys(volumes, 0)
    for entry in found:
        place = triple(entry["place"])
        for row in entry["rows"]:
            label = row[0]
            if label not in volumes or seen[label] >= VOXELS:
                continue
            if len(row) < 6:
                continue
            where = triple(row[5]) if row[5].startswith("of voxel") else place
            worst = max(worst, abs(number(row[1]) - float(volumes[label][where])) / number(row[4]))
            seen[label] += 1
    return worst, seen


def page_rows(name: str, page: Path, found: dict[str, Any], *, size: float, time: float) -> list[Row]:
    """Return size and time of a page."""
    return [
        Row(
            figure=f"page of {name}: size",
            unit="MB",
            bar=size,
            value=page.stat().st_size / 1e6,
            baseline=f"{page.read_text(encoding='utf-8').count('<img ')} pictures",
        ),
        Row(
            figure=f"page of {name}: time to interactive",
            unit="s",
            bar=time,
            value=found["interactive"] / 1e3,
            baseline=f"loaded after {found['loaded'] / 1e3:.2f} s, all maps unpacked after {found['complete'] / 1e3:.2f} s",
        ),
    ]


def error_row(name: str, worst: float, seen: dict[str, int]) -> Row:
    """Return the row of the values under the cursor; NaN, which meets no bar, where a map had too few voxels."""
    return Row(
        figure=f"{name}: value under the cursor against the NIfTI, over the stated step",
        unit="steps",
        bar=1.0,
        value=worst if min(seen.values()) >= VOXELS else float("nan"),
        baseline=f"{len(seen)} maps, {min(seen.values())} voxels of each; rounding alone leaves 0.5",
    )


def demo_rows() -> list[Row]:
    """The page of the demo."""
    folder = demo()
    page = folder / "sub-01.html"
    found = opened(page)
    volumes = {}
    for label, (kind, ending, factor) in FILES.items():
        path = next(
            path for path in (folder / "sub-01" / kind).glob(f"*_{ending}.nii.gz") if f"pcbssfp_{ending}" in path.name
        )
        volumes[label] = factor * np.asarray(nib.load(path).dataobj, dtype=float)
    worst, seen = worst_error(found["found"], volumes)
    return [*page_rows("the demo", page, found, size=3.0, time=1.0), error_row("demo", worst, seen)]


def ten_maps_rows() -> list[Row]:
    """The page of a participant with three scans."""
    from report_ten_maps import write_participant

    with tempfile.TemporaryDirectory() as made:
        page, volumes = write_participant(demo(), Path(made))
        found = opened(page)
        worst, seen = 0.0, {}
        for run, maps in enumerate(volumes):
            of_run = [entry for entry in found["found"] if entry["number"] == run]
            largest, counted = worst_error(of_run, maps)
            worst = max(worst, largest)
            seen |= {f"{run} {label}": count for label, count in counted.items()}
        rows = page_rows("ten maps at 176×176×128", page, found, size=12.0, time=3.0)
        keep = os.environ.get("QMRI_BIDS_KEEP")
        if keep:
            shutil.copy(page, Path(keep) / "ten-maps.html")
    return [*rows, error_row("ten maps", worst, seen)]


PARTS = {"demo": demo_rows, "ten_maps": ten_maps_rows}
