"""B1 scans of two images, RF maps and WASABI: what is read from them, and every refusal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qmri_bids.physics.b1_signals import afi_signals

TIMES = (0.02, 0.1)


class Scans:
    """A good pc-bSSFP run, and B1 scans of a head with B1 = 1.05."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        raw.pcbssfp()

    def dam(self, *, angles: Any = (60, 120), time: Any = 10.0, ratio: float | None = None, shape: Any = None) -> None:
        actual = 1.05 * math.radians(60.0)
        values = 1000.0 * math.sin(actual), 1000.0 * math.sin(2.0 * actual)
        if ratio is not None:
            values = 1000.0, 1000.0 * ratio
        for number, (value, angle) in enumerate(zip(values, angles, strict=True), start=1):
            stem = self.raw.fmap / f"sub-01_flip-{number}_TB1DAM"
            self.raw.image(stem.with_suffix(".nii.gz"), value, shape=shape if shape and number == 2 else self.raw.shape)
            content = {"FlipAngle": angle, "RepetitionTimeExcitation": time}
            self.raw.json(stem.with_suffix(".json"), {k: v for k, v in content.items() if v is not None})

    def afi(self, *, times: Any = TIMES, angles: Any = (60, 60), exchanged: bool = False, key: str = "") -> None:
        values = [1000.0 * float(each) for each in afi_signals(1.05 * math.pi / 3.0, t1=1.2, repetition_times=TIMES)]
        for number, value in enumerate(values[::-1] if exchanged else values):
            stem = self.raw.fmap / f"sub-01_acq-tr{number + 1}_TB1AFI"
            self.raw.image(stem.with_suffix(".nii.gz"), value, shape=self.raw.shape)
            content = {"FlipAngle": angles[number]}
            if times is not None:
                content[key or "RepetitionTimeExcitation"] = times[number]
            self.raw.json(stem.with_suffix(".json"), content)

    def rfm(self, *, degrees: float = 84.0, angle: Any = 80, rescaled: bool = False) -> None:
        stored = np.full(self.raw.shape, degrees * 4096 / 180 if rescaled else 2048 + degrees * 2048 / 180)
        anatomical = np.full(self.raw.shape, 300.0)
        stored[0], anatomical[0] = (-4096.0 if rescaled else 0.0), 0.0
        for role, values in (("anat", anatomical), ("famp", stored)):
            stem = self.raw.fmap / f"sub-01_acq-{role}_TB1RFM"
            self.raw.image(stem.with_suffix(".nii.gz"), values, shape=self.raw.shape)
            self.raw.json(stem.with_suffix(".json"), {"FlipAngle": angle})

    def b1(self, **options: Any) -> Any:
        plan = self.raw.plan(**options)
        assert [str(refusal) for refusal in plan.refusals] == []
        (run,) = plan.pcbssfp
        return run.b1

    def refusal(self, **options: Any) -> str:
        plan = self.raw.plan(**options)
        assert plan.pcbssfp == ()
        return str(plan.refusals[0])


@pytest.fixture
def scans(empty: Any) -> Scans:
    return Scans(empty)


def test_double_angle(scans: Scans) -> None:
    scans.dam()
    b1 = scans.b1()
    assert (b1.method, b1.map.name, b1.second.name) == (
        "TB1DAM",
        "sub-01_flip-1_TB1DAM.nii.gz",
        "sub-01_flip-2_TB1DAM.nii.gz",
    )
    assert b1.anatomical == b1.map
    assert b1.nominal_flip_angle == pytest.approx(math.radians(60))
    assert len(b1.paths) == 2
    # A negligible error of the method is a row, no warning.
    assert b1.warnings == ()
    (row,) = (each for each in b1.sources if each.key == "b1_relaxation_error")
    assert (row.value, row.unit) == ("+0.0", "%")


def test_double_angle_of_a_short_tr_is_said_loudly_and_one_without_tr_as_well(scans: Scans) -> None:
    scans.dam(time=1.5)
    assert "THE REPETITION TIME IS SHORT" in scans.b1().warnings[0]
    assert "+15.5 % in grey matter" in scans.b1().warnings[0]
    scans.dam(time=None)
    assert "could not be checked" in scans.b1().warnings[0]


def test_flip_angles_of_the_double_angle_decide_and_are_checked(scans: Scans) -> None:
    scans.dam(angles=(60, 60))
    assert "60° and 60°: equal flip angles tell nothing of B1" in scans.refusal()
    scans.dam(angles=(60, 90))
    assert "expected flip angles α and 2α in degrees (twice 60°), found 90°" in scans.refusal()
    scans.dam(angles=(60, None))
    assert "FlipAngle: expected flip angles α and 2α in degrees, found nothing" in scans.refusal()
    assert scans.b1(b1_nominal_flip_angle=math.radians(60)).nominal_flip_angle == pytest.approx(math.radians(60))
    scans.dam(angles=(120, 60))
    b1 = scans.b1()
    assert (b1.map.name, b1.second.name) == ("sub-01_flip-2_TB1DAM.nii.gz", "sub-01_flip-1_TB1DAM.nii.gz")
    assert "the angles decide" in b1.warnings[0]


def test_double_angle_of_wrong_images(scans: Scans) -> None:
    scans.dam(ratio=2.5)
    assert "ratio of the images: expected relative B1 with a median of 0.6 to 1.4" in scans.refusal()
    assert "found a flip angle in 0 % of the voxels" in scans.refusal()
    scans.dam(ratio=1.9)
    assert "found a median of 0.303" in scans.refusal()
    scans.dam(shape=(6, 5, 3))
    assert "shape: expected (6, 5, 4), found (6, 5, 3)" in scans.refusal()
    (scans.raw.fmap / "sub-01_flip-2_TB1DAM.nii.gz").unlink()
    assert "expected flip-1 and flip-2 of the same scan" in scans.refusal()


def test_repetition_times_of_the_double_angle_are_checked(scans: Scans) -> None:
    scans.dam(time=10000)
    assert "expected a repetition time in seconds, at most 60, found 10000" in scans.refusal()
    scans.dam(time=10)
    scans.raw.json(scans.raw.fmap / "sub-01_flip-2_TB1DAM.json", {"FlipAngle": 120, "RepetitionTimeExcitation": 5})
    assert "expected 10 s, as of sub-01/fmap/sub-01_flip-1_TB1DAM.nii.gz" in scans.refusal()


def test_the_same_image_twice_is_no_double_angle(scans: Scans) -> None:
    scans.dam()
    first, second = (scans.raw.fmap / f"sub-01_flip-{number}_TB1DAM.nii.gz" for number in (1, 2))
    second.write_bytes(first.read_bytes())
    assert "found the values of sub-01/fmap/sub-01_flip-1_TB1DAM.nii.gz, voxel by voxel" in scans.refusal()


def test_double_angle_in_one_file(scans: Scans) -> None:
    values = np.stack([np.full(scans.raw.shape, 900.0), np.full(scans.raw.shape, 850.0)], axis=-1)
    scans.raw.image(scans.raw.fmap / "sub-01_TB1DAM.nii.gz", values, shape=values.shape)
    scans.raw.json(scans.raw.fmap / "sub-01_TB1DAM.json", {"FlipAngle": [60, 120], "RepetitionTimeExcitation": 10})
    b1 = scans.b1()
    assert (b1.map_volume, b1.second_volume, b1.map) == (0, 1, b1.second)


def test_actual_flip_angle_imaging(scans: Scans) -> None:
    scans.afi()
    b1 = scans.b1(b1_scale=2.0)
    assert (b1.method, b1.map.name, b1.second.name, b1.repetition_times) == (
        "TB1AFI",
        "sub-01_acq-tr1_TB1AFI.nii.gz",
        "sub-01_acq-tr2_TB1AFI.nii.gz",
        TIMES,
    )
    assert "--b1-scale is not used" in b1.warnings[0]
    assert len(b1.warnings) == 1
    (row,) = (each for each in b1.sources if each.key == "b1_first_order_error")
    assert (row.value, row.unit) == ("-0.17", "%")
    # White matter errs by -0.27 %, fat in the scalp by more, fluid by less.
    assert -0.004 < b1.method_error < -0.0017


def test_incomplete_relaxation_is_an_error_of_the_double_angle(scans: Scans) -> None:
    """By the signals themselves: two pulses, each from the steady state of its own angle."""
    errors = []
    for time in (10.0, 3.0):
        scans.dam(time=time)
        errors.append(scans.b1().method_error)
        found = 0.0
        for t1, share in ((0.9, 0.4), (1.4, 0.3), (4.0, 0.15), (0.38, 0.15)):
            left = math.exp(-time / t1)
            first, second = (
                math.sin(a) * (1 - left) / (1 - left * math.cos(a)) for a in (math.pi / 3, 2 * math.pi / 3)
            )
            found += share * (math.acos(second / (2 * first)) / (math.pi / 3) - 1)
        assert errors[-1] == pytest.approx(found, abs=2e-4)
    assert errors[1] > 5 * errors[0] > 0
    scans.dam(time=None)
    assert scans.b1().method_error == 0.0


@pytest.mark.parametrize("key", ["RepetitionTimePreparation", "RepetitionTime"])
def test_repetition_times_under_other_keys_and_as_a_list(scans: Scans, key: str) -> None:
    scans.afi(key=key)
    assert scans.b1().repetition_times == TIMES
    scans.afi(key=key, times=(list(TIMES), list(TIMES)))
    assert scans.b1().repetition_times == TIMES


def test_equal_repetition_times_are_refused_with_the_way_out(scans: Scans) -> None:
    scans.afi(times=(0.02, 0.02))
    text = scans.refusal()
    assert (
        "expected two different repetition times, TR1 and TR2, found RepetitionTimeExcitation = 0.02 s in both" in text
    )
    assert "Converters write the same TR to both images. Give both with --b1-afi-tr TR1 TR2 (seconds)" in text
    assert scans.b1(b1_afi_repetition_times=TIMES).repetition_times == TIMES
    scans.afi(times=None)
    assert "found none for both images" in scans.refusal()
    with pytest.raises(ValueError, match="two different numbers above zero"):
        scans.raw.plan(b1_afi_repetition_times=(0.02, 0.02))


def test_actual_flip_angle_imaging_of_wrong_images(scans: Scans) -> None:
    scans.afi(times=(20, 100))
    assert "expected repetition times in seconds, found 20 and 100" in scans.refusal()
    scans.afi(exchanged=True)
    assert "Are the images exchanged" in scans.refusal()
    scans.afi(angles=(60, 30))
    assert "expected 60° as in sub-01/fmap/sub-01_acq-tr1_TB1AFI.json, found 30°" in scans.refusal()
    (scans.raw.fmap / "sub-01_acq-tr1_TB1AFI.nii.gz").unlink()
    assert "expected acq-tr1 and acq-tr2 of the same scan" in scans.refusal()


@pytest.mark.parametrize("rescaled", [False, True])
def test_rf_map(scans: Scans, rescaled: bool) -> None:
    scans.rfm(rescaled=rescaled)
    b1 = scans.b1()
    stored = 84 * 4096 / 180 if rescaled else 2048 + 84 * 2048 / 180
    assert (stored - b1.offset) * b1.scale == pytest.approx(1.05)
    assert ("since values are negative" in b1.warnings[0]) == rescaled


def test_rf_map_of_another_scale_is_refused(scans: Scans) -> None:
    scans.rfm(angle=30)
    text = scans.refusal()
    assert "expected a median of 18° to 42° for a nominal 30°" in text
    assert "found median flip angle of 84° ((stored values - 2048) × 180/2048)" in text
    assert scans.b1(b1_nominal_flip_angle=math.radians(80)).nominal_flip_angle == pytest.approx(math.radians(80))


def test_wasabi_stands_in_for_a_b1_scan(scans: Scans) -> None:
    scans.raw.wasabi()
    b1 = scans.b1()
    assert (b1.method, b1.run) == ("WASABI", "sub-01_acq-WASABI_cest")
    (run,) = scans.raw.plan().pcbssfp
    assert "B1 comes from the WASABI run sub-01_acq-WASABI_cest: the session has no B1 scan." in run.warnings
    # A broken scan is passed over, and its fault is said.
    scans.dam(angles=(60, 60))
    plan = scans.raw.plan()
    assert plan.refusals == ()
    assert any("equal flip angles" in sentence for sentence in plan.pcbssfp[0].warnings)
    assert any("equal flip angles" in note for note in plan.notes)
    # A good one comes first.
    scans.dam()
    assert scans.b1().method == "TB1DAM"
    run = scans.raw.plan(no_b1=True).pcbssfp[0]
    assert run.b1 is None
    assert "Left alone, as asked:" in run.warnings[0]
    assert "_flip-1_TB1DAM.nii.gz" in run.warnings[0]
