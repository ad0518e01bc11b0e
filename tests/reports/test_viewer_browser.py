"""The viewer in a real browser: what it says of a voxel against the arrays, its keys, and pages that would be too large."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_script import run_in_page
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.quantities import get_quantity
from qmri_bids.reports.content import Figure, RunReport, SubjectReport
from qmri_bids.reports.drawing.status_styles import STATUS_STYLES
from qmri_bids.reports.render import write_report
from qmri_bids.reports.viewer.content import Viewer
from qmri_bids.reports.viewer.grid import ViewerMap, build_viewer

SHAPE = (22, 20, 18)
"""The grid of the file: its axes run back, to the right and down."""

WAIT = """
const viewer = window.qmriViewers[0];
viewer.root.scrollIntoView();
viewer.open();
for (let n = 0; n < 400 && !viewer.root.dataset.complete; n++) await rest(50);
const text = (name) => viewer.root.querySelector(".viewer-" + name).textContent;
const rows = () => Array.from(viewer.root.querySelectorAll(".viewer-values tr"),
  (row) => Array.from(row.children, (cell) => cell.textContent));
const canvases = Array.from(viewer.root.querySelectorAll(".viewer-planes > canvas"));
const press = (canvas, x, y) => {
  const box = canvas.getBoundingClientRect();
  const at = {clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1, button: 0, bubbles: true};
  for (const kind of ["pointerdown", "pointermove", "pointerup"]) canvas.dispatchEvent(new PointerEvent(kind, at));
};
const key = (canvas, name) => canvas.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
"""


class Scan:
    """Arrays on an oblique grid, and the viewer made of them; T2 [s] of one voxel may be given."""

    def __init__(self, *, far: float = 0.07) -> None:
        rng = np.random.default_rng(20260101)
        turned = np.deg2rad(10.0)
        rotation = np.array(
            [[np.cos(turned), -np.sin(turned), 0], [np.sin(turned), np.cos(turned), 0], [0, 0, 1]], dtype=float
        )
        axes = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, -1]], dtype=float)
        self.affine = np.eye(4)
        self.affine[:3, :3] = rotation @ axes @ np.diag([3.0, 3.5, 4.0])
        self.affine[:3, 3] = [-30.0, 28.0, 31.0]
        x, y, z = np.meshgrid(*[np.linspace(-1.2, 1.2, size) for size in SHAPE], indexing="ij")
        radius = np.sqrt(x**2 + y**2 + z**2)
        self.mask = radius < 1.0
        self.status = np.where(self.mask, Status.CONVERGED, Status.OUTSIDE).astype(np.uint8)
        self.status[self.mask & (x > 0.5)] = Status.LOW_SIGNAL
        valued = self.status == Status.CONVERGED
        noise = rng.standard_normal((4, *SHAPE))
        self.values = {
            "T1": np.where(valued, 1.2 + 0.5 * x + 0.03 * noise[0], np.nan),
            "T2": np.where(valued, 0.07 + 0.003 * noise[1], np.nan),
            "off_resonance": np.where(valued, 60 * y + noise[2], np.nan),
            "b1": 1.0 - 0.2 * radius**2,
        }
        self.values["T1"][11, 10, 9] = 40.0  # far outside of the window
        self.values["T2"][11, 10, 9] = far
        self.stdev = {
            "T1": np.where(valued, 0.03 * np.exp(0.2 * noise[3]), np.nan),
            "T2": np.where(valued, 0.003 * np.exp(0.2 * noise[0]), np.nan),
        }
        self.magnitude = np.where(radius < 1.15, 100.0 + 5 * noise[1], 0.0)
        maps = [ViewerMap(name=name, values=values, stdev=self.stdev.get(name)) for name, values in self.values.items()]
        self.viewer: Viewer = build_viewer(
            maps,
            affine=self.affine,
            mask=self.mask,
            status={"": self.status},
            images={"mean magnitude": self.magnitude},
            tissue=np.where(self.mask, np.where(x > 0, 1, 2), 0),
        )

    def page(self, folder: Path, *, figures: tuple[Figure, ...] = ()) -> Path:
        run = RunReport(title="pc-bSSFP relaxometry", viewer=self.viewer, figures=figures)
        report = SubjectReport(participant="01", version="0.1.0", command="", created="", runs=(run,))
        return write_report(report, folder / "sub-01.html")

    def shown(self, name: str, where: tuple[int, ...], of: dict[str, NDArray[Any]]) -> float:
        """The value in the unit on display."""
        return float(get_quantity(name).display.convert(of[name][where]))


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan()


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def place(text: str) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """The position [mm] and the voxel of the line above the table."""
    found = re.fullmatch(r"x = (\S+), y = (\S+), z = (\S+) mm · voxel \((\d+), (\d+), (\d+)\) of the files, .*", text)
    assert found, text
    return np.array([number(found[n]) for n in (1, 2, 3)]), tuple(int(found[n]) for n in (4, 5, 6))


def test_values_under_the_crosshair_are_those_of_the_arrays(scan: Scan, tmp_path: Path) -> None:
    """Sixty places pressed in three slices: value within half a step, sd to 5 %, or the words of the code."""
    script = (
        WAIT
        + """
    const found = [];
    let seed = 7;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    for (let n = 0; n < 60; n++) {
      press(canvases[n % 3], 0.1 + 0.8 * random(), 0.1 + 0.8 * random());
      found.push({place: text("place"), rows: rows()});
    }
    return found;
    """
    )
    labels = {get_quantity(name).label: name for name in scan.values}
    seen = dict.fromkeys(scan.values, 0)
    outside = low = 0
    for answer in run_in_page(scan.page(tmp_path), script, folder=tmp_path):
        world, voxel = place(answer["place"])
        np.testing.assert_allclose(world, (scan.affine @ [*voxel, 1.0])[:3], atol=0.051)
        told = {row[0]: row[1:] for row in answer["rows"]}
        for label, name in labels.items():
            value = scan.shown(name, voxel, scan.values)
            if not scan.mask[voxel]:
                outside += 1
                assert told[label] == ["outside the brain mask, not estimated"]
            elif np.isnan(value):
                low += 1
                style = STATUS_STYLES[Status.LOW_SIGNAL]
                assert told[label] == [f"{style.name}: {style.meaning}"]
            else:
                shown, sd, unit, step, neighbour = told[label]
                assert abs(number(shown) - value) <= 0.501 * number(step) + 1e-5 * abs(value)
                window = get_quantity(name).display.window
                assert window is not None
                assert unit == get_quantity(name).display.unit
                assert neighbour == ""
                if name in scan.stdev:
                    expected = scan.shown(name, voxel, scan.stdev)
                    assert abs(number(sd) / expected - 1.0) < 0.1  # 5 % and the rounding to two digits
                    assert number(step) <= max((window[1] - window[0]) / 1000, expected / 5)
                else:
                    assert sd == "–"
                    assert number(step) <= (window[1] - window[0]) / 1000
                seen[name] += 1
        code = Status(int(scan.status[voxel]))
        said = told["quality mask"][0]
        assert said.startswith(f"{int(code)} " if scan.mask[voxel] else "outside")
    assert min(seen.values()) >= 20
    assert outside > 0
    assert low > 0


def test_keys_windows_sides_and_lists_do_what_they_say(scan: Scan, tmp_path: Path) -> None:
    script = (
        WAIT
        + """
    const at = () => text("place");
    const found = {start: at(), told: text("told"), focus: canvases.map((canvas) => canvas.tabIndex),
      labels: canvases.map((canvas) => canvas.getAttribute("aria-label"))};
    const choose = (name, value) => {
      const select = viewer.root.querySelector(".viewer-" + name);
      select.value = value;
      select.dispatchEvent(new Event("change", {bubbles: true}));
    };
    key(canvases[0], "ArrowRight"); found.right = at(); key(canvases[0], "ArrowLeft");
    choose("sides", "neurological");
    key(canvases[0], "ArrowRight"); found.other = at(); key(canvases[0], "ArrowLeft");
    key(canvases[0], "ArrowUp"); found.up = at(); key(canvases[0], "ArrowDown");
    key(canvases[0], "PageUp"); found.above = at(); key(canvases[0], "Home"); found.home = at();
    canvases[0].focus();
    canvases[0].dispatchEvent(new WheelEvent("wheel", {deltaY: 10, bubbles: true, cancelable: true}));
    found.wheel = at(); key(canvases[0], "Home");
    const pixel = () => Array.from(canvases[0].getContext("2d")
      .getImageData(canvases[0].width * 0.6, canvases[0].height * 0.45, 1, 1).data);
    found.before = pixel();
    const high = viewer.root.querySelector(".viewer-high");
    high.value = "1000"; high.dispatchEvent(new Event("input", {bubbles: true}));
    found.after = pixel();
    high.value = "-5"; high.dispatchEvent(new Event("input", {bubbles: true}));
    found.invalid = high.getAttribute("aria-invalid");
    viewer.root.querySelector(".viewer-reset").click();
    found.reset = pixel();
    found.options = Array.from(viewer.root.querySelectorAll(".viewer-map option"), (option) => option.textContent);
    found.shown = [];
    for (let n = 0; n < found.options.length; n++) {
      choose("map", String(n));
      await rest(20);
      found.shown.push(pixel().join());
    }
    for (const name of ["outline", "tissue", "around"]) viewer.root.querySelector(".viewer-" + name).click();
    await rest(1000);
    found.key = text("key");
    found.live = text("live");
    return found;
    """
    )
    found = run_in_page(scan.page(tmp_path), script, folder=tmp_path)
    start, _ = place(found["start"])
    sizes = {"right": (0, -3.4), "other": (0, 3.4), "up": (1, 2.9), "above": (2, 4.0), "wheel": (2, -4.0)}
    for name, (axis, least) in sizes.items():
        moved = place(found[name])[0] - start
        assert moved[axis] / least > 0.97, name
    assert found["home"] == found["start"]
    assert found["focus"] == [0, 0, 0]
    assert [label.split()[0] for label in found["labels"]] == ["Axial", "Coronal", "Sagittal"]
    assert "up to 10° off those of the scanner" in found["told"]
    assert found["before"] != found["after"]
    assert found["reset"] == found["before"]
    assert found["invalid"] == "true"
    assert found["options"] == [
        *("T1", "T2", "Off-resonance", "B1", "sd of T1", "sd of T2"),
        *("mean magnitude", "quality mask"),
    ]
    assert len(set(found["shown"])) >= 7
    assert "1 converged" in found["key"]
    assert "outline of white matter" in found["key"]
    assert found["live"].startswith("quality mask 1 converged")


def test_of_a_page_that_would_be_too_large_every_second_voxel_is_kept_and_said(scan: Scan, tmp_path: Path) -> None:
    large = Figure(key="large", title="large", caption="", image=np.random.default_rng(1).bytes(2_400_000))
    script = (
        WAIT
        + """
    const found = [];
    for (let n = 0; n < 12; n++) { press(canvases[0], 0.35 + 0.02 * n, 0.5); found.push({place: text("place"), rows: rows()}); }
    return {told: text("told"), found: found};
    """
    )
    answer = run_in_page(scan.page(tmp_path, figures=(large,)), script, folder=tmp_path)
    assert "every second voxel along each axis is kept" in answer["told"]
    neighbours = 0
    for entry in answer["found"]:
        _, voxel = place(entry["place"])
        told = next(row for row in entry["rows"] if row[0] == "T2")
        if len(told) < 6 or not told[5].startswith("of voxel"):
            continue
        kept = tuple(int(part) for part in re.findall(r"\d+", told[5]))
        assert max(abs(one - other) for one, other in zip(kept, voxel, strict=True)) == 1
        assert abs(number(told[1]) - scan.shown("T2", kept, scan.values)) <= 0.501 * number(told[4])
        neighbours += 1
    assert neighbours > 3


def test_a_value_beyond_all_steps_is_said_to_lie_above_a_limit(tmp_path: Path) -> None:
    script = (
        WAIT
        + """
    const entry = viewer.list.find((one) => one.label === "T2");
    await viewer.ready(entry);
    const at = entry.domain.index.indexOf(entry.values.findIndex((value) => value > 1e6));
    const [nx, ny] = viewer.meta.shape;
    viewer.go([at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))]);
    viewer.read();
    return {told: text("told"), place: text("place"), rows: rows()};
    """
    )
    answer = run_in_page(Scan(far=1e20).page(tmp_path), script, folder=tmp_path)
    assert "Values of T2 that are too far from 0" in answer["told"]
    assert place(answer["place"])[1] == (11, 10, 9)
    shown, step = (next(row for row in answer["rows"] if row[0] == "T2")[column] for column in (1, 4))
    assert re.fullmatch(r"> \d+", shown) or re.fullmatch(r"> \de\+\d+", shown)
    assert number(step) < 1.0


def test_without_the_means_to_unpack_a_sentence_says_so(scan: Scan, tmp_path: Path) -> None:
    page = scan.page(tmp_path)
    old = page.read_text(encoding="utf-8").replace(
        "<head>", "<head><script>delete window.DecompressionStream;</script>", 1
    )
    page.write_text(old, encoding="utf-8")
    script = "await window.qmriViewers[0].open(); return document.querySelector('.viewer-state').textContent;"
    said = run_in_page(page, script, folder=tmp_path)
    assert "cannot unpack the viewer" in said
    assert "pictures below" in said


def test_two_registered_images_are_looked_at_in_turn(report: SubjectReport, tmp_path: Path) -> None:
    """Off at first; one button shows the other image, one alternates, one brings both back."""
    script = """
    const figure = document.querySelector("figure.flicker");
    const [other, turn, both] = figure.querySelectorAll(".flicker-controls button");
    const frame = figure.querySelector(".flicker-frame");
    const height = () => frame.getBoundingClientRect().height;
    const said = () => figure.querySelector(".flicker-said").textContent;
    const found = {number: document.querySelectorAll("figure.flicker").length, whole: height(), start: said()};
    other.click(); found.first = said(); found.half = height();
    other.click(); found.second = said();
    turn.click(); found.pressed = turn.getAttribute("aria-pressed");
    const seen = new Set();
    for (let n = 0; n < 30; n++) { await rest(100); seen.add(said()); }
    found.turns = seen.size;
    both.click(); found.back = height(); found.end = said();
    return found;
    """
    found = run_in_page(write_report(report, tmp_path / "sub-01.html"), script, folder=tmp_path)
    assert found["number"] == 2
    assert (found["start"], found["end"], found["pressed"]) == ("", "", "true")
    assert found["first"] == "Shown: mean bSSFP magnitude"
    assert found["second"] == "Shown: anatomical image of the T1 scan"
    assert found["turns"] == 2
    assert 0.49 * found["whole"] < found["half"] < 0.53 * found["whole"]
    assert found["back"] == pytest.approx(found["whole"], abs=1.0)
