"""MTR pairs and MTS triples: roles by metadata, names as help, and every fault a refusal."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmri_bids.bids.layout import BidsInputError, load_filter_file
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.saturation.run import MtrRun, MtsRun

SEQUENCE = {"FlipAngle": 10, "RepetitionTimeExcitation": 0.035, "EchoTime": 0.004}
MTS = {
    "flip-1_mt-on": {"FlipAngle": 6, "MTState": True},
    "flip-1_mt-off": {"FlipAngle": 6, "MTState": False},
    "flip-2_mt-off": {"FlipAngle": 21, "MTState": False},
}


def write_mtr(
    dataset: Any,
    *,
    stem: str = "sub-01",
    states: tuple[str, ...] = ("on", "off"),
    change: dict[str, Any] | None = None,
    volumes: int = 0,
) -> None:
    """Write a pair; `change` is for the sidecar of the image with MT pulse."""
    for state in states:
        name = f"{stem}_mt-{state}_MTR"
        dataset.image(dataset.anat / f"{name}.nii.gz", shape=(*dataset.shape, volumes) if volumes else dataset.shape)
        content = SEQUENCE | {"MTState": state == "on"} | ((change or {}) if state == "on" else {})
        dataset.json(dataset.anat / f"{name}.json", content)


def write_mts(
    dataset: Any,
    *,
    stem: str = "sub-01",
    change: dict[str, dict[str, Any]] | None = None,
    without: tuple[str, ...] = (),
    **common: Any,
) -> None:
    """Write the three images; `change` is for the sidecars by name."""
    for name, own in MTS.items():
        if name in without:
            continue
        content = {"RepetitionTimeExcitation": 0.025, "EchoTime": 0.0025} | own | common | (change or {}).get(name, {})
        dataset.image(dataset.anat / f"{stem}_{name}_MTS.nii.gz", shape=dataset.shape)
        content = {key: value for key, value in content.items() if value is not None}
        dataset.json(dataset.anat / f"{stem}_{name}_MTS.json", content)


def only_mtr(dataset: Any, **options: Any) -> MtrRun:
    plan = dataset.plan(**options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.mtr
    return run


def only_mts(dataset: Any, **options: Any) -> MtsRun:
    plan = dataset.plan(**options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.mts
    return run


def refusal(dataset: Any, **options: Any) -> str:
    plan = dataset.plan(**options)
    assert plan.runs == ()
    assert len(plan.refusals) == 1, [str(each) for each in plan.refusals]
    return str(plan.refusals[0])


def check(text: str, *parts: str) -> None:
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"


# --- MTR --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("volumes", [0, 3])
def test_pair(empty: Any, volumes: int) -> None:
    write_mtr(empty, volumes=volumes)
    run = only_mtr(empty)
    assert (run.label, run.grid) == ("sub-01_acq-MTR_MTR", empty.shape)
    assert [path.name for path in run.paths] == ["sub-01_mt-off_MTR.nii.gz", "sub-01_mt-on_MTR.nii.gz"]
    sources = {source.key: (source.value, source.unit) for source in run.sources}
    assert sources["flip_angle"] == ("10", "deg")
    assert sources["repetition_time"] == ("0.035", "s")
    assert sources["images"] == (f"{volumes or 1} mt-off, {volumes or 1} mt-on", "")
    assert run.warnings == ()


def test_repetitions_may_differ_in_number(empty: Any) -> None:
    write_mtr(empty)
    empty.image(empty.anat / "sub-01_mt-off_MTR.nii.gz", shape=(*empty.shape, 2))
    assert only_mtr(empty).sources[-1].value == "2 mt-off, 1 mt-on"


def test_state_by_the_name_alone(empty: Any) -> None:
    write_mtr(empty, stem="sub-01_acq-head_run-2", change={"MTState": "On"})
    empty.json(empty.anat / "sub-01_acq-head_run-2_mt-off_MTR.json", {})
    run = only_mtr(empty)
    assert run.entities == {"sub": "01", "acq": "head", "run": "2"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"FlipAngle": 12}, ["mt-on_MTR.json: FlipAngle: expected 10 as in sub-01/anat/sub-01_mt-off", "found 12"]),
        ({"EchoTime": 0.005}, ["EchoTime: expected 0.004", "found 0.005"]),
        ({"RepetitionTimeExcitation": 0.05}, ["RepetitionTimeExcitation: expected 0.035", "found 0.05"]),
        ({"EchoTime": "4 ms"}, ["EchoTime: expected the echo time in seconds", "'4 ms'"]),
        ({"MTState": False}, ["MTState: expected true, as the name says mt-on", "found False"]),
        ({"MTState": 1}, ["MTState: expected true or false", "found 1"]),
    ],
)
def test_pairs_that_do_not_match(empty: Any, change: dict[str, Any], parts: list[str]) -> None:
    write_mtr(empty, change=change)
    check(refusal(empty), *parts)


@pytest.mark.parametrize("state", ["on", "off"])
def test_missing_partner(empty: Any, state: str) -> None:
    write_mtr(empty, states=(state,))
    other = "off" if state == "on" else "on"
    check(refusal(empty), f"mt-{state}_MTR.nii.gz: mt: expected one mt-{other} image of the same name", "found none")


def test_rounded_grids_and_echo_times_are_one(empty: Any) -> None:
    """A pair that lies 0.01 mm apart, with echo times as stated and as played out; and a last axis of length 1."""
    write_mtr(empty, change={"EchoTime": 1.016 * SEQUENCE["EchoTime"]})
    empty.image(empty.anat / "sub-01_mt-on_MTR.nii.gz", shape=(*empty.shape, 1), shift=0.01)
    assert len(only_mtr(empty).paths) == 2
    write_mtr(empty, change={"EchoTime": 1.1 * SEQUENCE["EchoTime"]})
    check(refusal(empty), "EchoTime: expected")


def test_other_grids_and_files_that_are_no_images(empty: Any) -> None:
    write_mtr(empty)
    path = empty.anat / "sub-01_mt-on_MTR.nii.gz"
    empty.image(path, shape=empty.shape, shift=3.0)
    check(refusal(empty), "mt-on_MTR.nii.gz: affine: expected the affine of sub-01_mt-off_MTR.nii.gz", "3 mm")
    empty.image(path, shape=(6, 5, 3))
    check(refusal(empty), "shape: expected (6, 5, 4), found (6, 5, 3)")
    empty.image(path, 1j, shape=empty.shape, dtype=np.complex64)
    check(refusal(empty), "datatype: expected magnitudes, found complex values")
    path.write_bytes(b"")
    check(refusal(empty), "an empty file (0 bytes)")


def test_label_of_mt_that_is_none(empty: Any) -> None:
    write_mtr(empty, states=("on", "maybe"))
    check(refusal(empty), "mt: expected mt-on or mt-off, found mt-maybe")


def test_image_that_says_nothing_of_an_mt_pulse_is_left_alone(empty: Any) -> None:
    empty.image(empty.anat / "sub-01_MTR.nii.gz", shape=empty.shape)
    plan = empty.plan()
    assert (plan.runs, plan.refusals) == ((), ())
    assert "neither mt- in the name nor MTState, and no saturation offsets: left alone" in plan.notes[0]
    assert "no pc-bSSFP, CEST, MT, B1 or B0 run" in plan_table([plan])


# --- MTS --------------------------------------------------------------------------------------------------------------


def test_triple(empty: Any) -> None:
    write_mts(empty)
    empty.tfl()
    run = only_mts(empty)
    assert (run.label, run.grid) == ("sub-01_acq-MTS_MTS", empty.shape)
    names = [path.name for path in run.paths]
    assert names == [f"sub-01_{name}_MTS.nii.gz" for name in ("flip-1_mt-off", "flip-2_mt-off", "flip-1_mt-on")]
    assert [protocol.flip_angle for protocol in run.protocols] == pytest.approx([math.radians(x) for x in (6, 21, 6)])
    assert {protocol.repetition_time for protocol in run.protocols} == {0.025}
    assert run.b1 is not None
    assert run.b1.method == "TB1TFL"
    assert run.warnings == ()
    plan = empty.plan()
    assert plan.b1 == (run.b1,)
    assert pickle.loads(pickle.dumps(plan)) == plan
    text = plan_table([plan])
    check(text, "MT weighted: sub-01_flip-1_mt-on_MTS.nii.gz", "B1: sub-01_acq-famp_TB1TFL.nii.gz (TB1TFL)")
    check(text, "[sub-01_flip-2_mt-off_MTS.json: FlipAngle]", "1 run(s) can be computed")


def test_b1_is_needed_unless_the_user_says_no(empty: Any) -> None:
    write_mts(empty)
    check(refusal(empty), "sub-01_acq-MTS_MTS: B1 map: expected a B1+ map", "MT saturation is then off by about twice")
    run = only_mts(empty, no_b1=True)
    assert run.b1 is None
    assert "NO B1 MAP IS USED" in run.warnings[-1]
    empty.tfl(run="run-1_")
    empty.tfl(run="run-2_")
    check(refusal(empty), "B1 map: expected one B1 map for this run", "run-1_TB1TFL", "run-2_TB1TFL")
    empty.json(
        empty.fmap / "sub-01_acq-famp_run-2_TB1TFL.json",
        {"FlipAngle": 80, "IntendedFor": "bids::sub-01/anat/sub-01_flip-1_mt-on_MTS.nii.gz"},
    )
    b1 = only_mts(empty).b1
    assert b1 is not None
    assert b1.map.name == "sub-01_acq-famp_run-2_TB1TFL.nii.gz"


def test_a_broken_b1_map_is_reported_once_for_all_runs(raw: Any) -> None:
    write_mts(raw)
    raw.tfl(flip_angle=8)
    plan = raw.plan()
    assert plan.runs == ()
    assert [refusal.key for refusal in plan.refusals] == ["flip angles", "B1 map", "B1 map"]


def test_state_by_metadata_with_names_without_it(empty: Any) -> None:
    for name, state, angle in (("flip-1", True, 6), ("flip-2", False, 6), ("flip-3", False, 21)):
        empty.image(empty.anat / f"sub-01_{name}_MTS.nii.gz", shape=empty.shape)
        content = {"FlipAngle": angle, "RepetitionTimeExcitation": 0.025, "MTState": state}
        empty.json(empty.anat / f"sub-01_{name}_MTS.json", content)
    run = only_mts(empty, no_b1=True)
    assert [path.name[7:13] for path in run.paths] == ["flip-2", "flip-3", "flip-1"]


def test_names_help_where_metadata_are_silent(empty: Any) -> None:
    write_mts(empty, MTState=None)
    assert only_mts(empty, no_b1=True).mt_weighted.name == "sub-01_flip-1_mt-on_MTS.nii.gz"


def test_angles_decide_over_the_order_of_names(empty: Any) -> None:
    write_mts(
        empty,
        change={
            "flip-1_mt-on": {"FlipAngle": 21},
            "flip-1_mt-off": {"FlipAngle": 21},
            "flip-2_mt-off": {"FlipAngle": 6},
        },
    )
    run = only_mts(empty, no_b1=True)
    assert run.pd_weighted.name == "sub-01_flip-2_mt-off_MTS.nii.gz"
    assert "has the smaller flip angle, though its flip index is the larger" in run.warnings[0]
    assert "MT saturation loses precision" in run.warnings[1]


@pytest.mark.parametrize(
    ("change", "without", "parts"),
    [
        ({"flip-1_mt-on": {"FlipAngle": None}}, (), ["mt-on_MTS.json: FlipAngle: expected the flip angle in degrees"]),
        ({"flip-1_mt-on": {"FlipAngle": 0.1}}, (), ["found 0.1, which looks like radians"]),
        (
            {"flip-2_mt-off": {"RepetitionTimeExcitation": None, "RepetitionTime": 0.025}},
            (),
            ["RepetitionTimeExcitation: expected the time between", "found nothing", "RepetitionTime = 0.025 is there"],
        ),
        (
            {"flip-2_mt-off": {"RepetitionTimeExcitation": 25}},
            (),
            ["found 25, which looks like milliseconds", "write 0.025"],
        ),
        (
            {"flip-1_mt-off": {"FlipAngle": 21}, "flip-2_mt-off": {"FlipAngle": 6}},
            (),
            ["FlipAngle: expected", "is flip-1 too"],
        ),
        ({"flip-1_mt-on": {"MTState": False}}, (), ["MTState: expected true, as the name says mt-on", "found False"]),
        ({"flip-2_mt-off": {"EchoTime": 0.005}}, (), ["EchoTime: expected 0.0025", "found 0.005"]),
        (
            {"flip-2_mt-off": {"FlipAngle": 6}},
            (),
            ["expected another flip angle", "found 6°", "rename the images to MTR"],
        ),
        ({}, ("flip-2_mt-off",), ["file: expected three images, flip-1_mt-off", "1 with and 1 without MT pulse"]),
        ({}, ("flip-1_mt-on",), ["file: expected three images", "0 with and 2 without MT pulse"]),
    ],
)
def test_triples_that_cannot_be_used(
    empty: Any, change: dict[str, dict[str, Any]], without: tuple[str, ...], parts: list[str]
) -> None:
    write_mts(empty, change=change, without=without)
    check(refusal(empty, no_b1=True), *parts)


def test_series_are_no_triple(empty: Any) -> None:
    write_mts(empty)
    empty.image(empty.anat / "sub-01_flip-2_mt-off_MTS.nii.gz", shape=(*empty.shape, 2))
    check(refusal(empty, no_b1=True), "flip-2_mt-off_MTS.nii.gz: shape: expected three axes")


# --- both -------------------------------------------------------------------------------------------------------------


def test_echoes_runs_and_filters(empty: Any) -> None:
    for echo in (1, 2):
        write_mts(empty, stem=f"sub-01_acq-mpm_echo-{echo}")
    for run in (1, 2):
        write_mtr(empty, stem=f"sub-01_run-{run}")
    plan = empty.plan(no_b1=True)
    assert [run.label for run in plan.mts] == [f"sub-01_acq-mpm_echo-{echo}_MTS" for echo in (1, 2)]
    assert [run.label for run in plan.mtr] == [f"sub-01_acq-MTR_run-{run}_MTR" for run in (1, 2)]
    assert [run.label for run in empty.plan(no_b1=True, run_label="2").runs] == ["sub-01_acq-MTR_run-2_MTR"]
    filtered = empty.plan(no_b1=True, filters={"mt": {"suffix": "MTS", "echo": 1}})
    assert [run.label for run in filtered.runs] == ["sub-01_acq-mpm_echo-1_MTS"]


def test_names_that_collide(empty: Any) -> None:
    write_mtr(empty, stem="sub-01_acq-head")
    write_mts(empty, stem="sub-01_acq-head")
    plan = empty.plan(no_b1=True)
    assert [run.label for run in plan.runs] == ["sub-01_acq-head_MTR"]
    check(str(plan.refusals[0]), "maps of the same name as those of sub-01_acq-head_mt-off_MTR.nii.gz")


def test_mtr_with_offsets_is_a_series_and_no_pair(empty: Any) -> None:
    empty.cest(stem="sub-01_mt-on_MTR")
    plan = empty.plan()
    assert (plan.mtr, plan.refusals) == ((), ())
    assert [run.kind for run in plan.cest] == ["z-spectrum"]


def test_filter_file_knows_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    path.write_text('{"cest": {"acquisition": "APTw"}, "mt": {}, "fieldmap": {}}')
    assert set(load_filter_file(path)) == {"cest", "mt", "fieldmap"}
    path.write_text('{"cset": {}}')
    with pytest.raises(BidsInputError, match="pcbssfp, b1, cest, mt, fieldmap"):
        load_filter_file(path)
