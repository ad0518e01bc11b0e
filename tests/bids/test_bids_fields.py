"""B1 scans and field maps as runs of their own: where they are, where they are not, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from qmri_bids.cli.levels.finding import nothing_found
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.planning import link_runs


def linked(dataset: Any, **options: Any) -> SessionPlan:
    """Return the plan as a call has it before anything is computed."""
    (plan,) = link_runs([dataset.plan(**options)], options=FindOptions(**options))
    return plan


def labels(plan: SessionPlan) -> list[str]:
    return [run.label for run in plan.runs]


def fieldmap(dataset: Any, *, stem: str = "sub-01", magnitude: bool = True, **content: Any) -> None:
    dataset.image(dataset.fmap / f"{stem}_fieldmap.nii.gz", 12.0, shape=dataset.shape)
    dataset.json(dataset.fmap / f"{stem}_fieldmap.json", {"Units": "Hz"} | content)
    if magnitude:
        dataset.image(dataset.fmap / f"{stem}_magnitude.nii.gz", shape=dataset.shape)


def test_a_b1_scan_alone_is_a_run(empty: Any) -> None:
    empty.tfl()
    plan = linked(empty)
    (run,) = plan.runs
    assert (run.label, run.kind, run.title) == ("sub-01_acq-TB1TFL_TB1TFL", "b1", "B1 map")
    assert run.entities == {"sub": "01", "acq": "TB1TFL"}
    assert [path.name for path in run.paths] == ["sub-01_acq-anat_TB1TFL.nii.gz", "sub-01_acq-famp_TB1TFL.nii.gz"]
    assert run.image == run.paths[0]
    assert (run.grid, run.number_of_volumes) == (empty.shape, 1)
    assert plan.b1 == (run.scan,)
    table = plan_table([plan])
    assert "no run of the session takes it" in table
    assert "b1_nominal_flip_angle" in table


def test_several_b1_scans_are_several_runs(empty: Any) -> None:
    empty.tfl(run="run-1_")
    empty.tfl(run="run-2_")
    empty.image(empty.fmap / "sub-01_acq-3mm_TB1map.nii.gz", 98.0, shape=empty.shape)
    empty.json(empty.fmap / "sub-01_acq-3mm_TB1map.json", {"Units": "percent"})
    plan = linked(empty)
    assert labels(plan) == [
        "sub-01_acq-3mmTB1map_TB1map",
        "sub-01_acq-TB1TFL_run-1_TB1TFL",
        "sub-01_acq-TB1TFL_run-2_TB1TFL",
    ]
    assert plan.runs[0].image is None
    assert labels(linked(empty, run_label="2")) == ["sub-01_acq-TB1TFL_run-2_TB1TFL"]


def test_where_a_run_takes_b1_no_b1_scan_is_a_run(raw: Any) -> None:
    raw.image(raw.fmap / "sub-01_acq-other_TB1map.nii.gz", 98.0, shape=raw.shape)
    raw.json(raw.fmap / "sub-01_acq-other_TB1map.json", {})
    raw.json(
        raw.fmap / "sub-01_acq-famp_TB1TFL.json",
        {"FlipAngle": 80, "IntendedFor": "anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz"},
    )
    plan = linked(raw)
    assert plan.field_b1 == ()
    assert len(plan.pcbssfp) == 1


def test_beside_runs_that_take_no_b1_it_is_one(empty: Any) -> None:
    empty.cest()
    empty.tfl()
    plan = linked(empty)
    assert labels(plan) == ["sub-01_acq-APTw_cest", "sub-01_acq-TB1TFL_TB1TFL"]
    empty.tfl(flip_angle=8)
    plan = linked(empty)
    assert labels(plan) == ["sub-01_acq-APTw_cest"]
    assert plan.refusals == ()  # the other run goes on without it
    assert any("flip angles: expected a median" in note for note in plan.notes)


def test_a_session_with_a_refusal_is_mended_first(raw: Any) -> None:
    raw.pcbssfp(change={"RFPhaseIncrement": [45.0]})
    plan = linked(raw)
    assert plan.runs == ()
    assert len(plan.refusals) == 1


def test_a_filter_that_leaves_out_the_run_makes_no_run_of_its_b1_scan(raw: Any) -> None:
    plan = linked(raw, filters={"pcbssfp": {"acquisition": "other"}})
    assert (plan.runs, plan.refusals) == ((), ())
    plan = linked(raw, filters={"mt": {"acquisition": "other"}})
    assert labels(plan) == ["sub-01_acq-pcbssfp_flip-1"]


def test_sessions_stand_for_themselves(empty: Any) -> None:
    for session in ("1", "2"):
        folder = empty.root / "sub-01" / f"ses-{session}"
        empty.tfl(folder=folder / "fmap", ses=f"ses-{session}_")
    anat = empty.root / "sub-01" / "ses-1" / "anat"
    empty.pcbssfp(folder=anat, stem="sub-01_ses-1_acq-pcbssfp_flip-1")
    assert labels(linked(empty)) == [
        "sub-01_ses-1_acq-pcbssfp_flip-1",
        "sub-01_ses-2_acq-TB1TFL_TB1TFL",
    ]


def test_a_b1_scan_that_cannot_be_used_is_refused_or_left_alone(empty: Any) -> None:
    empty.tfl(flip_angle=8)
    plan = linked(empty)
    assert plan.runs == ()
    (refusal,) = plan.refusals
    assert "acq-famp_TB1TFL.nii.gz: flip angles: expected a median" in str(refusal)
    plan = linked(empty, no_b1=True)
    assert (plan.runs, plan.refusals) == ((), ())
    assert any("left alone, as asked (--no-b1)" in note for note in plan.notes)


def test_a_field_map_alone_is_a_run(empty: Any) -> None:
    fieldmap(empty)
    (run,) = linked(empty).runs
    assert (run.label, run.kind, run.title) == ("sub-01_acq-fieldmap_fieldmap", "b0", "B0 field map")
    assert run.image.name == "sub-01_magnitude.nii.gz"
    assert [(source.key, source.value, source.unit) for source in run.sources] == [
        ("b0_scale", "1", "Hz per stored value")
    ]


def test_phases_alone_are_a_run(empty: Any) -> None:
    for number, time in ((1, 0.00492), (2, 0.00738)):
        empty.image(empty.fmap / f"sub-01_phase{number}.nii.gz", 0.5, shape=empty.shape)
        empty.json(empty.fmap / f"sub-01_phase{number}.json", {"EchoTime": time, "Units": "rad"})
    empty.image(empty.fmap / "sub-01_magnitude1.nii.gz", shape=empty.shape)
    (run,) = linked(empty).runs
    assert run.label == "sub-01_acq-phase1_phase1"
    assert [path.name[7:] for path in run.paths] == ["phase1.nii.gz", "phase2.nii.gz", "magnitude1.nii.gz"]
    assert (run.sources[0].value, run.sources[0].unit) == ("4.92, 7.38", "ms")


def test_b1_and_b0_alone_are_two_runs(empty: Any) -> None:
    empty.tfl()
    fieldmap(empty)
    assert labels(linked(empty)) == ["sub-01_acq-TB1TFL_TB1TFL", "sub-01_acq-fieldmap_fieldmap"]


def test_beside_any_other_run_a_field_map_is_none(raw: Any) -> None:
    fieldmap(raw)
    assert linked(raw).field_b0 == ()


@pytest.mark.parametrize("folder", ["func", "dwi", "perf"])
def test_field_maps_of_other_scans_are_left_to_those(empty: Any, folder: str) -> None:
    fieldmap(empty)
    empty.image(empty.root / "sub-01" / folder / "sub-01_task-rest_bold.nii.gz")
    plan = linked(empty)
    assert (plan.runs, plan.refusals) == ((), ())
    assert any(f"a field map beside scans in {folder}" in note for note in plan.notes)


def test_a_field_map_follows_its_intended_for(empty: Any) -> None:
    fieldmap(empty, IntendedFor="anat/sub-01_T1w.nii.gz")
    assert len(linked(empty).field_b0) == 1  # what it names is not there
    empty.image(empty.anat / "sub-01_T1w.nii.gz", shape=empty.shape)
    plan = linked(empty)
    assert plan.runs == ()
    assert any("intended for anat/sub-01_T1w.nii.gz" in note for note in plan.notes)


def test_a_field_map_that_cannot_be_used_is_refused(empty: Any) -> None:
    fieldmap(empty, magnitude=False)
    (refusal,) = linked(empty).refusals
    assert "expected a magnitude image beside it on the same grid" in str(refusal)
    fieldmap(empty, Units="T")
    (refusal,) = linked(empty).refusals
    assert "expected Hz or rad/s, found 'T'" in str(refusal)


def test_what_was_looked_for_names_them(empty: Any) -> None:
    class Options:
        bids_dir = empty.root

    text = nothing_found(Options(), [linked(empty)])  # type: ignore[arg-type]
    assert "no pc-bSSFP, CEST, MT, B1 or B0 run found" in text
    assert "fmap/*_{TB1TFL,TB1RFM,TB1DAM,TB1AFI,TB1map}" in text
    assert "fmap/*_{fieldmap,phasediff,phase1} with a magnitude image" in text
