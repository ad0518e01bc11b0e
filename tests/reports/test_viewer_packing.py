"""What a page holds of volumes: steps, what is given up first, and inputs at the edge."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.reports.viewer.content import Viewer
from qmri_bids.reports.viewer.grid import ViewerMap, build_viewer
from qmri_bids.reports.viewer.packing import display_step, pack_values, round_step
from qmri_bids.reports.viewer.page import pages_of
from qmri_bids.tissue_labels import FLUID, WHITE

SHAPE = (30, 32, 28)


def viewer(shape: tuple[int, int, int] = SHAPE, *, empty: bool = False) -> Viewer:
    rng = np.random.default_rng(3)
    mask = np.zeros(shape, dtype=bool)
    if not empty:
        mask[2:-2, 2:-2] = True
    values = np.where(mask, 1.0 + 0.05 * rng.standard_normal(shape), np.nan)
    maps = [
        ViewerMap(name="T1", values=values, stdev=0.05 * values),
        ViewerMap(name="T2", values=0.07 * values, stdev=0.005 * values),
        ViewerMap(name="misfit", values=values),
    ]
    return build_viewer(
        maps,
        affine=np.diag([2.0, 2.0, 2.0, 1.0]),
        mask=mask,
        status={"": mask.astype(np.uint8)},
        images={"mean magnitude": rng.random(shape), "first image": rng.random(shape)},
    )


@pytest.mark.parametrize(("largest", "step"), [(2.5, 2.0), (0.0999, 0.09), (7.0, 7.0), (1e-3, 1e-3), (0.3, 0.3)])
def test_a_step_has_one_digit_and_is_not_above_what_was_asked_for(largest: float, step: float) -> None:
    assert round_step(largest) == step


def test_a_step_is_a_thousandth_of_the_window_or_a_tenth_of_the_noise() -> None:
    values = np.linspace(0.0, 2000.0, 50)
    assert display_step(values, window=(0.0, 2500.0)) == 2.0
    assert display_step(values, window=(0.0, 2500.0), stdev=np.full(50, 60.0)) == 6.0
    assert display_step(values, window=(0.0, 2500.0), stdev=np.full(50, np.nan)) == 2.0
    assert (
        display_step(np.array([1e15]), window=(0.0, 1.0)) * (1 << 28)
        <= 1e15
        < display_step(np.array([1e15]), window=(0.0, 1.0)) * (1 << 29)
    )


@pytest.mark.parametrize("far", [1e8, 1e30, -1e30])
@pytest.mark.parametrize("name", ["M0", "T1"])
def test_one_far_value_stands_at_a_limit_and_the_others_keep_their_steps(name: str, far: float) -> None:
    values = np.random.default_rng(2).uniform(0.5, 2.5, (9, 8, 7)).astype(np.float32)
    mask = np.ones(values.shape, dtype=bool)
    values[4, 4, 4] = far
    entries = [ViewerMap(name=name, values=values)]
    image = np.where(np.isfinite(values), values, 1.0)
    built = build_viewer(
        entries, affine=np.eye(4), mask=mask, status={"": mask.astype(np.uint8)}, images={"mean": image}
    )
    for packed in (built.volumes[0].full, built.volumes[0].half, built.volumes[1].full):
        assert packed.step <= (0.1 if packed is built.volumes[1].full else 5.0 if name == "T1" else 0.01)
        assert packed.limit is not None
        assert 1e5 * packed.step < packed.limit < min(abs(far) * (1e3 if name == "T1" else 1.0), 1e10)
    json.loads(json.dumps(pages_of([built], others=0)[0].meta, allow_nan=False))


@pytest.mark.parametrize("window", [(np.nan, 1.0), (0.0, np.inf), (-np.inf, np.inf), (1.0, 1.0)])
def test_a_window_that_is_none_is_that_of_the_values(window: tuple[float, float]) -> None:
    values = np.linspace(1.0, 2.0, 60)
    assert display_step(values, window=window) == 9e-4
    assert display_step(np.zeros(0), window=window) == display_step(np.zeros(5), window=window) == 1.0
    mask = np.ones((5, 4, 3), dtype=bool)
    entry = ViewerMap(name="T1", values=values.reshape(mask.shape), window=window)
    built = build_viewer(
        [entry], affine=np.eye(4), mask=mask, status={"": mask.astype(np.uint8)}, images={"mean": mask * 1.0}
    )
    low, high = json.loads(json.dumps(built.meta, allow_nan=False))["maps"][0]["window"]
    assert low < high


def test_smooth_values_take_little_and_no_value_takes_next_to_nothing() -> None:
    x, y, z = np.meshgrid(*[np.linspace(0, 1, 32)] * 3, indexing="ij")
    domain = np.ones(x.shape, dtype=bool)
    smooth = pack_values(100 * x + 50 * y * z, domain=domain, step=0.1)
    assert len(smooth.data) < 0.25 * x.size
    assert len(pack_values(np.full(x.shape, np.nan), domain=domain, step=0.1).data) < 200
    assert len(zlib.decompress(pack_values(x, domain=~domain, step=0.1).data)) == 0


def test_a_page_gives_up_what_matters_least_first_and_no_more_than_it_must() -> None:
    """From all voxels to every second one: the page keeps within its room, and nothing more would have fitted."""
    one = viewer()
    whole = pages_of([one], others=0)[0]
    assert whole is not None
    assert names_of_halved(one, whole.meta["volumes"]) == set()
    full = sum(map(len, whole.blobs))
    first: dict[str, int] = {}
    for number, share in enumerate(np.linspace(0.98, 0.2, 12)):
        room = int(share * full)
        page = pages_of([one], others=2_950_000 - 40_000 - room)[0]
        assert page is not None
        taken = sum(map(len, page.blobs))
        assert taken <= room + 8
        halved = [which for which, said in enumerate(page.meta["volumes"]) if said["stride"] == 2]
        assert all(taken + one.volumes[which].saved > room - 8 for which in halved)
        for name in names_of_halved(one, page.meta["volumes"]):
            first.setdefault(name, number)
    assert max(first["misfit"], first["first image"]) <= min(first["T2"], first["T1"])
    assert max(first.values()) == first["T1"] > first["T2"]
    assert pages_of([None, None], others=10**9) == (None, None)


def names_of_halved(one: Viewer, volumes: list[dict[str, object]]) -> set[str]:
    names = {}
    for entry in one.meta["maps"]:
        names[entry["volume"]] = {"Residual over noise": "misfit"}.get(entry["label"], entry["label"])
        if "stdev" in entry:
            names[entry["stdev"]["volume"]] = f"sd of {entry['label']}"
    names |= {entry["volume"]: entry["label"] for entry in one.meta["images"]}
    return {names[number] for number, said in enumerate(volumes) if said["stride"] == 2}


@pytest.mark.parametrize("shape", [(12, 14, 1), (1, 1, 1), SHAPE])
def test_few_slices_and_an_empty_mask_have_a_viewer_that_json_can_say(shape: tuple[int, int, int]) -> None:
    for empty in (True, False):
        page = pages_of([viewer(shape, empty=empty)], others=0)[0]
        assert page is not None
        json.loads(json.dumps(page.meta, allow_nan=False))


def test_the_crosshair_begins_inside_white_matter_that_converged() -> None:
    shape = (9, 9, 9)
    mask = np.ones(shape, dtype=bool)
    tissue = np.full(shape, FLUID)
    tissue[5:8, 3:6, 3:6] = WHITE
    tissue[4, 5, 4] = WHITE  # nearest to the middle, at an edge
    status = np.full(shape, Status.CONVERGED, dtype=np.uint8)
    values = np.full(shape, 0.9)

    def start(tissue: NDArray[np.int_] | None) -> list[int]:
        found: list[int] = build_viewer(
            [ViewerMap(name="T1", values=values)],
            affine=np.diag([-2.0, 2.0, 2.0, 1.0]),
            mask=mask,
            status={"": status},
            images={"mean magnitude": np.ones(shape)},
            tissue=tissue,
        ).meta["start"]
        return found

    assert start(tissue) == [8 - 6, 4, 4], "the page has x towards the right"
    assert start(None) == [4, 4, 4]
    status[6, 4, 4] = Status.MIXED
    assert start(tissue) != [2, 4, 4]
    x, y, z = start(tissue)
    assert tissue[8 - x, y, z] == WHITE
    assert status[8 - x, y, z] == Status.CONVERGED
