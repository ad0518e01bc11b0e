"""The pictures: orientation, windows, voxels without a value, and inputs at the edge."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from qmri_bids.quantities import QUANTITIES
from qmri_bids.reports import figure_table as figures
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.colormaps import color_table
from qmri_bids.reports.drawing.encode import DOTS_PER_INCH
from qmri_bids.reports.drawing.planes import WIDTH, View
from qmri_bids.reports.drawing.styles import no_value_color

if TYPE_CHECKING:
    from conftest import Head


def pixels(figure: Figure) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(figure.image)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_all_pictures_have_the_width_of_the_page_and_a_place(all_figures: tuple[Figure, ...]) -> None:
    assert {pixels(figure).shape[1] for figure in all_figures} == {round(WIDTH * DOTS_PER_INCH)}
    assert len({figure.key for figure in all_figures}) == len(all_figures)
    assert {figure.section for figure in all_figures} == set(Section)
    assert sum(len(figure.image) for figure in all_figures) < 4_000_000


@pytest.mark.parametrize(
    ("flips", "order"),
    [((1, 1, 1), (0, 1, 2)), ((-1, 1, 1), (0, 1, 2)), ((-1, -1, 1), (2, 0, 1)), ((1, -1, -1), (1, 2, 0))],
)
def test_the_right_of_the_patient_is_at_the_left_whatever_the_storage(
    flips: tuple[int, int, int], order: tuple[int, int, int]
) -> None:
    # A marker at the right, anterior, superior corner of a volume in RAS, stored in another orientation.
    shape = np.array([10, 12, 14])
    world = np.zeros(shape)
    world[9, 11, 13] = 1.0
    stored = np.transpose(world[tuple(slice(None, None, flip) for flip in flips)], order)
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, source in enumerate(order):
        affine[source, axis] = flips[source]
        affine[source, 3] = 0 if flips[source] > 0 else shape[source] - 1
    view = View(affine=affine, mask=np.ones(stored.shape, dtype=bool))
    oriented = view.reorient(stored)
    for plane in ("axial", "coronal", "sagittal"):
        cut = view.cuts(plane, (1.0,))[0]
        image = view.image(oriented, cut)
        row, column = np.argwhere(image == 1.0)[0]
        # Origin is at the bottom: up is anterior (axial) or superior; left is the right side or anterior.
        assert (row, column) == (image.shape[0] - 1, 0)
        assert cut.position == pytest.approx(shape[{"sagittal": 0, "coronal": 1, "axial": 2}[plane]] - 1)


def test_a_panel_has_the_proportions_of_the_head_and_not_of_the_matrix() -> None:
    mask = np.ones((20, 20, 10), dtype=bool)
    view = View(affine=np.diag([1.0, 2.0, 6.0, 1.0]), mask=mask)
    assert view.size("axial") == (20.0, 40.0)
    assert view.size("coronal") == (20.0, 60.0)
    assert view.size("sagittal") == (40.0, 60.0)


def test_a_map_is_shown_in_the_unit_of_the_reader_with_its_fixed_window(head: Head) -> None:
    figure = figures.map_figure(head.estimate.values["T1"], affine=head.affine, mask=head.mask, name="T1")
    low, high = QUANTITIES["T1"].display.window or (0, 0)
    assert f"T1 [ms], fixed window {low:g} to {high:g} ms." in figure.caption
    assert "The file is in seconds." in figure.caption
    share = (head.labels == 2).sum() / np.isfinite(head.estimate.values["T1"]).sum()
    assert f"{100 * share:.1f} % of the voxels lie above the window." in figure.caption


def test_voxels_without_a_value_are_grey_and_counted(head: Head) -> None:
    def grey(values: NDArray[np.floating]) -> int:
        image = pixels(figures.map_figure(values, affine=head.affine, mask=head.mask, name="T2")).astype(int)
        # The neutral colour, to the step of the palette.
        return int((np.abs(image - 0x8C).max(axis=-1) <= 4).sum())

    whole = np.where(head.mask, 0.05, np.nan)
    failed = whole.copy()
    failed[18:] = np.nan
    assert grey(failed) > 20_000 > 500 > grey(whole)
    figure = figures.map_figure(failed, affine=head.affine, mask=head.mask, name="T2")
    count = int((head.mask & np.isnan(failed)).sum())
    assert f"No value: {count:,} voxels ({100 * count / head.mask.sum():.1f} % of the mask)." in figure.caption
    assert "No value" not in figures.map_figure(whole, affine=head.affine, mask=head.mask, name="T2").caption


@pytest.mark.parametrize("name", sorted({quantity.display.colormap for quantity in QUANTITIES.values()}))
def test_a_missing_value_cannot_be_taken_for_a_value(name: str) -> None:
    colors = color_table(name)
    assert np.linalg.norm(colors - np.array(to_rgb(no_value_color(name))), axis=1).min() > 0.15


def test_the_window_of_the_off_resonance_follows_the_repetition_time(head: Head) -> None:
    figure = figures.map_figure(
        head.estimate.values["off_resonance"],
        affine=head.affine,
        mask=head.mask,
        name="off_resonance",
        window=(-100.0, 100.0),
    )
    assert "window \N{MINUS SIGN}100 to 100 Hz" in figure.caption


@pytest.mark.parametrize("fill", [np.nan, 0.0, np.inf])
def test_a_map_without_information_still_gives_a_picture(fill: float) -> None:
    values = np.full((12, 12, 12), fill)
    mask = np.zeros(values.shape, dtype=bool)
    mask[3:9, 3:9, 3:9] = True
    for name in ("T1", "M0"):
        figure = figures.map_figure(values, affine=np.eye(4), mask=mask, name=name)
        assert ("No voxel of this map has a value." in figure.caption) == (not np.isfinite(fill))
        assert pixels(figure).std() > 10
    assert pixels(figures.histogram_figure({"T1": values, "M0": values}, mask=mask)).std() > 1


def test_an_empty_mask_and_a_single_slice_still_give_pictures() -> None:
    for shape in ((16, 16, 1), (16, 16, 3), (16, 16, 16)):
        status = np.zeros(shape, dtype=np.uint8)
        empty = figures.map_figure(np.full(shape, np.nan), affine=np.eye(4), mask=status, name="T1")
        assert "No voxel" in empty.caption
        assert pixels(figures.quality_figure(status, affine=np.eye(4))).shape[0] > 50
        image = np.ones(shape)
        assert figures.mask_figure(image, mask=status, affine=np.eye(4)).image
        assert figures.registration_figure(image, 0 * image, affine=np.eye(4)).image


@pytest.mark.parametrize("count", [3, 4, 12, 17])
def test_any_number_of_cycles_fits(count: int) -> None:
    magnitude = np.ones((12, 14, 10, count))
    magnitude[0, 0, 0] = np.nan
    figure = figures.cycles_figure(
        magnitude, increments=np.linspace(0, 6, count).tolist(), affine=np.eye(4), mask=np.ones((12, 14, 10))
    )
    assert pixels(figure).shape[1] == round(WIDTH * DOTS_PER_INCH)


def test_a_motionless_scan_looks_motionless() -> None:
    # Micrometres of numerical noise stay within the line: the axes never zoom in below 0.1 mm.
    still = 1e-6 * np.random.default_rng(1).standard_normal((8, 6))
    quiet = pixels(figures.motion_figure(np.zeros((8, 6)), np.zeros(8)))
    noisy = pixels(figures.motion_figure(still, np.abs(still[:, 0])))
    moved = pixels(figures.motion_figure(1e3 * still, 1e3 * np.abs(still[:, 0])))
    assert quiet.shape == noisy.shape
    far = (np.abs(quiet.astype(int) - noisy) > 60).any(axis=-1).mean()
    assert far < 0.01 < (np.abs(quiet.astype(int) - moved) > 60).any(axis=-1).mean()


def test_the_motion_is_that_of_the_cycles_unless_said_otherwise() -> None:
    still = np.zeros((5, 6)), np.zeros(5)
    usual = figures.motion_figure(*still, reference=2)
    assert usual.title == "Head motion between the cycles"
    assert "Rigid motion of every cycle relative to the reference (shaded)" in usual.caption
    other = figures.motion_figure(*still, noun="image")
    assert other.title == "Head motion between the images"
    assert "cycle" not in other.caption + other.alternative
    assert "shaded" not in other.caption


def test_the_mask_is_shown_over_the_image_that_is_named(head: Head) -> None:
    image = np.abs(head.cycles).mean(axis=-1)
    usual = figures.mask_figure(image, mask=head.mask, affine=head.affine)
    assert usual.caption.startswith("Mean magnitude of the cycles; yellow: outline of the brain mask.")
    assert usual.section is Section.CYCLES
    other = figures.mask_figure(
        image, mask=head.mask, affine=head.affine, image_name="mean of the M0 images", section=Section.SERIES
    )
    assert other.caption.startswith("Mean of the M0 images; yellow")
    assert other.section is Section.SERIES


def test_the_profile_is_drawn_only_where_something_was_estimated(head: Head) -> None:
    from dataclasses import replace

    none = replace(head.estimate, status=np.zeros_like(head.estimate.status))
    options: dict[str, Any] = {"b1": head.b1, "protocol": head.protocol}
    assert figures.profile_figure(head.cycles, estimate=none, **options) is None
    shown = figures.profile_figure(head.cycles, estimate=head.estimate, **options)
    assert shown is not None
    assert "T1 = 939 ms, T2 = 62 ms" in shown.caption


def test_mistakes_are_named(head: Head) -> None:
    geometry: dict[str, Any] = {"affine": head.affine, "mask": head.mask}
    with pytest.raises(ValueError, match="has no style"):
        figures.map_figure(head.b1, name="T3", **geometry)
    with pytest.raises(ValueError, match="leave unit out"):
        figures.map_figure(head.b1, name="T1", unit="s", **geometry)
    with pytest.raises(ValueError, match=r"shape of the mask \(36, 44, 30\), found \(2, 2, 2\)"):
        figures.map_figure(np.zeros((2, 2, 2)), name="T1", **geometry)
    with pytest.raises(ValueError, match=r"codes \[99\]"):
        figures.quality_figure(np.full((4, 4, 4), 99, dtype=np.uint8), affine=head.affine)
    with pytest.raises(ValueError, match=r"found \(3, 5\)"):
        figures.motion_figure(np.zeros((3, 5)), np.zeros(3))
    with pytest.raises(ValueError, match="for 2 increments"):
        figures.cycles_figure(np.abs(head.cycles), increments=(0.0, 1.0), **geometry)


def test_outlines_of_tissues_are_drawn_where_there_are_tissues(head: Head) -> None:
    plain = figures.tissue_figure(
        head.estimate.values["T1"], labels=np.zeros_like(head.labels), mask=head.mask, affine=head.affine
    )
    drawn = figures.tissue_figure(
        head.estimate.values["T1"], labels=2 * (head.labels > 0), mask=head.mask, affine=head.affine
    )
    assert drawn.key == "tissues"
    assert drawn.image != plain.image


def test_the_carpet_shows_every_cycle_and_names_what_does_not_fit(head: Head) -> None:
    carpet = np.ones((50, 4), dtype=np.float32)
    by_cycle = np.array([1.0, 1.9, 1.0, 0.9])
    figure = figures.carpet_figure(carpet, by_cycle=by_cycle, increments=(0.0, 1.57, 3.14, 4.71))
    assert figure.key == "carpet"
    assert "stripe" in figure.caption
    with pytest.raises(ValueError, match="must have 3 cycles"):
        figures.carpet_figure(carpet, by_cycle=by_cycle, increments=(0.0, 1.57, 3.14))
