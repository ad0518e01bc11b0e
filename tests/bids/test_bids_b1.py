"""B1 maps: scale, order, choice, and a refusal wherever one of them is in doubt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest


def b1_of(dataset: Any, **options: Any) -> Any:
    plan = dataset.plan(**options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.pcbssfp
    return run.b1


def refusals(dataset: Any, **options: Any) -> list[str]:
    plan = dataset.plan(**options)
    assert plan.pcbssfp == ()
    return [str(refusal) for refusal in plan.refusals]


def test_tfl_is_ten_times_the_flip_angle(raw: Any) -> None:
    b1 = b1_of(raw)
    assert (b1.method, b1.map.name) == ("TB1TFL", "sub-01_acq-famp_TB1TFL.nii.gz")
    assert b1.anatomical.name == "sub-01_acq-anat_TB1TFL.nii.gz"
    assert b1.nominal_flip_angle == pytest.approx(math.radians(80))
    assert 800 * b1.scale == pytest.approx(1.0)


def test_flip_angle_of_the_readout_is_refused_and_can_be_overridden(bare: Any) -> None:
    bare.tfl(flip_angle=8)
    first, second = refusals(bare)
    assert "acq-famp_TB1TFL.nii.gz: flip angles: expected a median of 4.8° to 11.2°" in first
    assert "found median flip angle of 80°" in first
    assert "--b1-nominal-fa" in first
    assert "--b1-scale" in first
    assert "B1 map: expected a B1+ map" in second
    b1 = b1_of(bare, b1_nominal_flip_angle=math.radians(80))
    assert 800 * b1.scale == pytest.approx(1.0)
    assert b1.sources[0].source == "command line: --b1-nominal-fa"
    assert b1_of(bare, b1_scale=1 / 800).scale == pytest.approx(1 / 800)


def test_flip_angle_missing_or_text(bare: Any) -> None:
    bare.tfl(flip_angle=None)
    assert "FlipAngle: expected the nominal flip angle of the preparation" in refusals(bare)[0]
    bare.tfl(flip_angle="80")
    assert "found '80'" in refusals(bare)[0]
    assert b1_of(bare, b1_nominal_flip_angle=math.radians(80)).scale == pytest.approx(1 / 800)


def test_zero_voxels_do_not_enter_the_check(bare: Any) -> None:
    bare.tfl()
    values = np.zeros(bare.shape)
    values[0] = 800.0
    bare.image(bare.fmap / "sub-01_acq-famp_TB1TFL.nii.gz", values, shape=bare.shape)
    assert b1_of(bare).scale == pytest.approx(1 / 800)
    bare.image(bare.fmap / "sub-01_acq-famp_TB1TFL.nii.gz", 0.0, shape=bare.shape)
    assert "no value above zero" in refusals(bare)[0]


def test_both_images_in_one_file(bare: Any) -> None:
    values = np.stack([np.full(bare.shape, 300.0), np.full(bare.shape, 800.0)], axis=-1)
    bare.image(bare.fmap / "sub-01_TB1TFL.nii.gz", values, shape=values.shape)
    bare.json(bare.fmap / "sub-01_TB1TFL.json", {"FlipAngle": 80})
    b1 = b1_of(bare)
    assert (b1.anatomical, b1.anatomical_volume, b1.map_volume) == (b1.map, 0, 1)
    assert len(b1.paths) == 1
    assert "the first is taken as anatomical image" in b1.warnings[0]
    bare.image(bare.fmap / "sub-01_TB1TFL.nii.gz", values[..., ::-1], shape=values.shape)
    assert "found median flip angle of 30°" in refusals(bare)[0]


def test_tfl_without_flip_angle_image_or_anatomical_image(bare: Any) -> None:
    bare.tfl()
    famp = bare.fmap / "sub-01_acq-famp_TB1TFL.nii.gz"
    content = famp.read_bytes()
    famp.unlink()
    assert "found no acq-famp" in refusals(bare)[0]
    famp.write_bytes(content)
    (bare.fmap / "sub-01_acq-anat_TB1TFL.nii.gz").unlink()
    b1 = b1_of(bare)
    assert b1.anatomical is None
    assert "cannot be registered" in b1.warnings[0]


def test_broken_images(bare: Any) -> None:
    bare.tfl()
    anatomical = bare.image(bare.fmap / "sub-01_acq-anat_TB1TFL.nii.gz", shape=(6, 5, 3))
    assert "shape: expected (6, 5, 4), found (6, 5, 3)" in refusals(bare)[0]
    anatomical.write_bytes(b"")
    assert "an empty file (0 bytes)" in refusals(bare)[0]


@pytest.mark.parametrize(("value", "scale", "word"), [(1.02, 1.0, "ratio"), (97.0, 0.01, "percent")])
def test_tb1map_as_ratio_or_percent(bare: Any, value: float, scale: float, word: str) -> None:
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", value, shape=bare.shape)
    plan = bare.plan()
    (run,) = plan.pcbssfp
    assert (run.b1.method, run.b1.scale, run.b1.anatomical) == ("TB1map", pytest.approx(scale), None)
    assert f"read as {word}" in run.warnings[0]


def test_tb1map_of_another_scale(bare: Any) -> None:
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", 800.0, shape=bare.shape)
    assert "found a median of 800. If the values have another scale" in refusals(bare)[0]
    assert b1_of(bare, b1_scale=1 / 800).scale == pytest.approx(1 / 800)


def test_tb1map_whose_units_contradict_its_values(bare: Any) -> None:
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", 1.0, shape=bare.shape)
    bare.json(bare.fmap / "sub-01_TB1map.json", {"Units": "percent"})
    assert "found a median of 1 with Units 'percent'" in refusals(bare)[0]


@pytest.mark.parametrize("method", ["TB1EPI", "TB1SRGE"])
def test_unsupported_methods_are_named(bare: Any, method: str) -> None:
    bare.image(bare.fmap / f"sub-01_acq-x_{method}.nii.gz", shape=bare.shape)
    plan = bare.plan()
    (refusal,) = plan.refusals
    assert f"{method}, which is not supported (yet)" in str(refusal)
    assert any(method in note for note in plan.notes)
    assert "--no-b1" in str(refusal)
    bare.tfl()
    assert b1_of(bare).method == "TB1TFL"


def test_no_b1_is_a_refusal_or_a_loud_warning(bare: Any) -> None:
    (text,) = refusals(bare)
    assert "sub-01_acq-pcbssfp_flip-1_VFA: B1 map: expected a B1+ map in fmap/ of the same session" in text
    assert "found none" in text
    (run,) = bare.plan(no_b1=True).pcbssfp
    assert run.b1 is None
    assert "NO B1 MAP IS USED: B1 = 1 is assumed everywhere" in run.warnings[0]


def test_map_of_another_session_is_not_used(empty: Any) -> None:
    for session in ("1", "2"):
        folder = empty.root / "sub-01" / f"ses-{session}"
        empty.pcbssfp(stem=f"sub-01_ses-{session}_acq-pcbssfp_flip-1", folder=folder / "anat")
    empty.tfl(folder=empty.root / "sub-01" / "ses-1" / "fmap", ses="ses-1_")
    plan = empty.plan()
    assert [run.entities["ses"] for run in plan.pcbssfp] == ["1"]
    assert ["ses-2" in refusal.file for refusal in plan.refusals] == [True]


def test_several_maps_need_a_choice(bare: Any) -> None:
    for run in ("run-1_", "run-2_"):
        bare.tfl(run=run)
    (text,) = refusals(bare)
    assert "expected one B1 map for this run" in text
    assert "IntendedFor" in text
    assert b1_of(bare, filters={"b1": {"run": 2}}).entities["run"] == "2"
    intended = {"FlipAngle": 80, "IntendedFor": [f"bids::sub-01/anat/{bare.stem}_part-mag_VFA.nii.gz"]}
    bare.json(bare.fmap / "sub-01_acq-famp_run-2_TB1TFL.json", intended)
    assert b1_of(bare).entities["run"] == "2"
    bare.json(bare.fmap / "sub-01_acq-famp_run-2_TB1TFL.json", {"FlipAngle": 80})
    bare.json(
        bare.fmap / "sub-01_acq-famp_run-1_TB1TFL.json",
        {"FlipAngle": 80, "IntendedFor": f"anat/{bare.stem}_part-mag_VFA.nii.gz"},
    )
    assert b1_of(bare).entities["run"] == "1"


def test_choice_by_identifier(bare: Any) -> None:
    for run in ("run-1_", "run-2_"):
        bare.tfl(run=run)
    bare.json(bare.fmap / "sub-01_acq-famp_run-1_TB1TFL.json", {"FlipAngle": 80, "B0FieldIdentifier": "b1first"})
    bare.pcbssfp(change={"B0FieldSource": "b1first"})
    assert b1_of(bare).entities["run"] == "1"


def test_only_map_is_used_though_intended_for_something_else(bare: Any) -> None:
    bare.tfl()
    bare.json(bare.fmap / "sub-01_acq-famp_TB1TFL.json", {"FlipAngle": 80, "IntendedFor": "anat/sub-01_T1w.nii.gz"})
    (run,) = bare.plan().pcbssfp
    assert run.b1 is not None
    assert "IntendedFor names other files only" in run.warnings[-1]


def test_a_broken_map_beside_a_good_one_stops_nothing(bare: Any) -> None:
    bare.tfl()
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", 12345.0, shape=bare.shape)
    plan = bare.plan()
    assert (len(plan.pcbssfp), plan.refusals) == (1, ())
    assert any("12345" in note or "1.23e+04" in note for note in plan.notes)


def test_b1_is_not_looked_at_where_there_is_no_run(empty: Any) -> None:
    empty.tfl(flip_angle=8)
    plan = empty.plan()
    assert (plan.pcbssfp, plan.refusals) == ((), ())


def test_options_are_checked(bare: Any) -> None:
    with pytest.raises(ValueError, match="b1_scale must be a number above zero, found 0"):
        bare.plan(b1_scale=0.0)


def test_a_map_of_one_value_was_not_measured(bare: Any) -> None:
    """A filled image is refused; the same image with B1 of a head, or with too few voxels to tell, is not."""
    shape = (12, 12, 12)
    path = bare.image(bare.fmap / "sub-01_TB1map.nii.gz", 1.0, shape=shape)
    text = " ".join(refusals(bare))
    assert "expected values of B1 that vary over the head, as measured, found 1 in all 1728 voxels" in text
    assert "--no-b1" in text
    bare.image(path, np.random.default_rng(0).uniform(0.8, 1.2, shape), shape=shape)
    assert b1_of(bare).method == "TB1map"


def test_flip_angles_of_one_value_were_not_measured(bare: Any) -> None:
    shape = (12, 12, 12)
    bare.tfl()
    bare.image(bare.fmap / "sub-01_acq-anat_TB1TFL.nii.gz", 300.0, shape=shape)
    bare.image(bare.fmap / "sub-01_acq-famp_TB1TFL.nii.gz", 800.0, shape=shape)
    text = " ".join(refusals(bare))
    assert "expected flip angles that vary over the head, as measured, found 800 in all 1728 voxels" in text
