"""Every fault of a run is refused with file, key, expected and found; nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ADVICE_ORDER = "the order is never guessed"


def contains(text: str, *parts: str) -> bool:
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"
    return True


@pytest.mark.parametrize(
    ("change", "without", "parts"),
    [
        ({}, ["RepetitionTimeExcitation"], ["RepetitionTimeExcitation: expected the time", "found nothing"]),
        (
            {"RepetitionTime": 0.0048},
            ["RepetitionTimeExcitation"],
            [
                "RepetitionTime = 0.0048 is there, and was not taken since MRAcquisitionType does not say 3D: copy it only"
            ],
        ),
        ({"RepetitionTimeExcitation": 4.8}, [], ["found 4.8, which looks like milliseconds", "write 0.0048"]),
        ({"RepetitionTimeExcitation": "4.8 ms"}, [], ["found '4.8 ms'"]),
        ({"RepetitionTimeExcitation": -1}, [], ["RepetitionTimeExcitation", "found -1"]),
        ({"RepetitionTimeExcitation": float("nan")}, [], ["RepetitionTimeExcitation", "found nan"]),
        ({"EchoTime": 2.4}, [], ["EchoTime", "found 2.4, which looks like milliseconds", "write 0.0024"]),
        (
            {"EchoTime": 0.0049},
            [],
            ["EchoTime: expected the echo time in seconds, shorter than TR", "found 0.0049"],
        ),
        ({"EchoTime": True}, [], ["EchoTime", "found True"]),
        ({}, ["FlipAngle"], ["FlipAngle: expected the flip angle in degrees", "found nothing"]),
        ({"FlipAngle": 0.26}, [], ["found 0.26, which looks like radians"]),
        ({"FlipAngle": 270}, [], ["FlipAngle", "found 270"]),
        ({"FlipAngle": [15, 15, 30, 30]}, [], ["the same for all volumes", "flip-1, flip-2"]),
        ({"MagneticFieldStrength": 30000}, [], ["MagneticFieldStrength", "found 30000"]),
        ({}, ["RFPhaseIncrement"], ["RFPhaseIncrement: expected an array of 4 increments", ADVICE_ORDER]),
        (
            {"RFPhaseIncrement": [0, 120, 240]},
            [],
            ["expected 4 increments, one per volume, found 3", ADVICE_ORDER],
        ),
        ({"RFPhaseIncrement": 45}, [], ["expected an array of numbers in degrees, one per volume, found 45"]),
        ({"RFPhaseIncrement": [0, "90", 180, 270]}, [], ["an array of numbers", "'90'"]),
        ({"RFPhaseIncrement": [0, 1.571, 3.142, 4.712]}, [], ["which looks like radians", "57.29578"]),
        ({"RFPhaseIncrement": [0, 180, 360, 540]}, [], ["at least 3 different increments, found 2"]),
        ({"PhaseInc": [0, 1, 2, 3]}, [], ["the same values as RFPhaseIncrement"]),
        (
            {"SpoilingRFPhaseIncrement": [0, 9, 18, 27]},
            ["RFPhaseIncrement"],
            ["one number for one 3D file in BIDS"],
        ),
        ({"RFPhaseIncrementReference": "180"}, [], ["'absolute'", "'alternating'", "found '180'"]),
        ({"PulseSequenceType": "SPGR"}, [], ["PulseSequenceType: expected balanced SSFP", "found 'SPGR'"]),
        (
            {},
            ["RFPhaseIncrement", "PulseSequenceType"],
            ["PulseSequenceType, RFPhaseIncrement: expected", "found none of these", "--metadata FILE"],
        ),
    ],
)
def test_metadata(
    raw: Any, refusal: Callable[..., str], change: dict[str, Any], without: list[str], parts: list[str]
) -> None:
    raw.pcbssfp(change=change, without=tuple(without))
    text = refusal()
    assert text.startswith("sub-01/anat/sub-01_acq-pcbssfp_flip-1")
    assert contains(text, *parts)


def test_missing_sequence_type_is_a_warning_where_increments_are_stated(raw: Any) -> None:
    raw.pcbssfp(without=("PulseSequenceType",))
    (run,) = raw.plan().pcbssfp
    assert "PulseSequenceType is missing" in run.warnings[0]


def test_parts_that_disagree(raw: Any, refusal: Callable[..., str]) -> None:
    raw.json(
        raw.anat / f"{raw.stem}_part-phase_VFA.json",
        raw.metadata | {"Units": "rad", "RepetitionTimeExcitation": 0.0052},
    )
    assert contains(refusal(), "part-phase_VFA.json", "RepetitionTimeExcitation", "expected 0.0048", "found 0.0052")


@pytest.mark.parametrize(("content", "found"), [("{,}", "Expecting property name"), ("[1]", "found a list")])
def test_broken_sidecar(raw: Any, refusal: Callable[..., str], content: str, found: str) -> None:
    (raw.anat / f"{raw.stem}_VFA.json").write_text(content)
    assert contains(refusal(), "_VFA.json: file: expected a JSON", found)


def test_empty_file(raw: Any, refusal: Callable[..., str]) -> None:
    (raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz").write_bytes(b"")
    assert contains(
        refusal(), "part-mag_VFA.nii.gz: file: expected a readable NIfTI image, found an empty file (0 bytes)"
    )


def test_file_that_is_no_nifti(raw: Any, refusal: Callable[..., str]) -> None:
    (raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz").write_text("no image")
    assert contains(refusal(), "part-mag_VFA.nii.gz: file: expected a readable NIfTI image")


def test_link_to_content_that_was_not_fetched(raw: Any, refusal: Callable[..., str]) -> None:
    path = raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz"
    path.unlink()
    path.symlink_to("../.git/annex/objects/xyz")
    assert contains(refusal(), "a link to a file that is not here", "datalad get")


@pytest.mark.parametrize("extension", ["nii.gz", "nii"])
def test_truncated_file(raw: Any, refusal: Callable[..., str], extension: str) -> None:
    for part in ("mag", "phase"):
        (raw.anat / f"{raw.stem}_part-{part}_VFA.nii.gz").unlink()
        noise = np.random.default_rng(0).random((*raw.shape, 4))  # constants compress to nothing
        path = raw.image(raw.anat / f"{raw.stem}_part-{part}_VFA.{extension}", noise)
    path.write_bytes(path.read_bytes()[:-300])
    assert contains(refusal(), "part-phase_VFA.nii", "file size: expected 2272 bytes of image", "truncated")


def test_the_range_of_a_phase_without_units_tells_its_unit(raw: Any) -> None:
    raw.json(raw.anat / f"{raw.stem}_part-phase_VFA.json", raw.metadata)
    (run,) = raw.plan().pcbssfp
    assert run.files.phase_units == "arbitrary"
    assert any("Units of the phase is missing" in each for each in run.warnings)


def test_phase_in_degrees(raw: Any, refusal: Callable[..., str]) -> None:
    raw.json(raw.anat / f"{raw.stem}_part-phase_VFA.json", raw.metadata | {"Units": "deg"})
    assert contains(refusal(), "Units: expected 'rad' or 'arbitrary'", "found 'deg'")


def test_phase_that_is_not_in_rad_as_stated(raw: Any, refusal: Callable[..., str]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-phase_VFA.nii.gz", 4095.0)
    assert contains(refusal(), "Units: expected 'arbitrary'", "whose values reach 4095")


def test_shapes_that_differ(raw: Any, refusal: Callable[..., str]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-phase_VFA.nii.gz", shape=(6, 5, 3, 4))
    assert contains(refusal(), "part-phase", "shape: expected (6, 5, 4, 4), found (6, 5, 3, 4)")


def test_affines_that_differ(raw: Any, refusal: Callable[..., str]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-phase_VFA.nii.gz", shift=2.0)
    assert contains(refusal(), "part-phase", "affine", "differs by up to 2 mm")


def test_three_axes_where_four_are_needed(raw: Any, refusal: Callable[..., str]) -> None:
    for part in ("mag", "phase"):
        raw.image(raw.anat / f"{raw.stem}_part-{part}_VFA.nii.gz", shape=raw.shape)
    assert contains(refusal(), "shape: expected four axes, the last one the cycles, found (6, 5, 4)")


@pytest.mark.parametrize(
    ("left", "missing", "advice"),
    [("mag", "part-phase", "Magnitude alone is not supported (yet)"), ("phase", "part-mag", "add the magnitude too")],
)
def test_a_part_is_missing(raw: Any, refusal: Callable[..., str], left: str, missing: str, advice: str) -> None:
    (raw.anat / f"{raw.stem}_{missing}_VFA.nii.gz").unlink()
    assert contains(
        refusal(), f"found part-{left} ({missing} is missing)", "Relaxation times are estimated from complex data"
    )


def test_magnitude_without_part(empty: Any) -> None:
    empty.image(empty.anat / f"{empty.stem}_VFA.nii.gz")
    empty.json(empty.anat / f"{empty.stem}_VFA.json", empty.metadata)
    (refusal,) = empty.plan(no_b1=True).refusals
    assert contains(str(refusal), "found real values without part- (part-phase is missing)")


def test_phase_beside_magnitude_without_part_is_used_with_a_warning(empty: Any) -> None:
    empty.pcbssfp()
    (empty.anat / f"{empty.stem}_part-mag_VFA.nii.gz").rename(empty.anat / f"{empty.stem}_VFA.nii.gz")
    (run,) = empty.plan(no_b1=True).pcbssfp
    assert run.layout_kind == "mag-phase"
    assert "taken as magnitude" in run.warnings[0]


def test_complex_values_under_a_part(raw: Any, refusal: Callable[..., str]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz", 1j, dtype=np.complex64)
    assert contains(refusal(), "datatype: expected real values, as the name states a part, found complex values")


def test_compressed_and_uncompressed_twice(raw: Any, refusal: Callable[..., str]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-mag_VFA.nii")
    assert contains(refusal(), "expected one file of this name", "Keep one of them")


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("increment\n0\n", ["rf_phase_increment: expected a tab-separated column", "['increment']"]),
        ("rf_phase_increment\n0\n90\n180\n", ["expected 4 increments, one per volume, found 3"]),
        (
            "rf_phase_increment\n0\n90\nn/a\n270\n",
            ["rf_phase_increment, row 3: expected a number, found 'n/a'"],
        ),
        ("rf_phase_increment\tvalid\n0\t1\n90\t1\n180\t2\n270\t1\n", ["valid: expected 0 or 1"]),
        (
            "rf_phase_increment\tvalid\n0\t1\n90\t0\n180\t0\n270\t1\n",
            ["at least 3 different increments, found 2"],
        ),
        (
            "rf_phase_increment\tflip_angle\n0\t5\n90\t5\n180\t9\n270\t9\n",
            ["flip_angle: expected one flip angle"],
        ),
    ],
)
def test_table(raw: Any, refusal: Callable[..., str], table: str, parts: list[str]) -> None:
    (raw.anat / f"{raw.stem}_ssfpcontext.tsv").write_text(table)
    text = refusal()
    assert text.startswith(f"sub-01/anat/{raw.stem}_ssfpcontext.tsv")
    assert contains(text, *parts)


def test_one_bad_run_does_not_stop_the_others(raw: Any) -> None:
    raw.pcbssfp(stem="sub-01_acq-pcbssfp_run-2_flip-1", change={"FlipAngle": "15"})
    plan = raw.plan()
    assert [run.label for run in plan.pcbssfp] == ["sub-01_acq-pcbssfp_flip-1"]
    assert [refusal.key for refusal in plan.refusals] == ["FlipAngle"]
    assert "Write 15 as a number, without quotation marks." in str(plan.refusals[0])


def test_increments_in_gon_are_refused(raw: Any, refusal: Any) -> None:
    """Those that are spaced evenly over 400; uneven ones, and ten from 0 to 360, are left to the data."""
    for part in ("mag", "phase"):
        metadata = raw.anat / f"{raw.stem}_part-{part}_VFA.json"
        content = json.loads(metadata.read_text())
        raw.json(metadata, content | {"RFPhaseIncrement": [50.0, 150.0, 250.0, 350.0]})
    contains(refusal(), "which are spaced evenly over 400, as gon are", "multiply by 0.9")


def with_images(raw: Any, magnitude: Any, phase: Any, shape: tuple[int, ...]) -> None:
    raw.image(raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz", magnitude, shape=shape)
    raw.image(raw.anat / f"{raw.stem}_part-phase_VFA.nii.gz", phase, shape=shape)


def test_a_phase_in_half_turns_is_refused_by_its_values(raw: Any, refusal: Any) -> None:
    shape = (24, 24, 6, 4)
    rng = np.random.default_rng(0)
    magnitude, phase = rng.uniform(1.0, 9.0, shape), rng.uniform(-1.0, 1.0, shape)
    for bound in (1.0, 0.5):
        with_images(raw, magnitude, bound * phase, shape)
        contains(refusal(), f"one that fills ±{bound:g} and ends there: is it in turns or half turns?")
    # In radians, and the smooth phase of an image without air.
    for honest in (np.pi * phase, np.pi * (phase + 1.0), 0.9 * np.sin(np.linspace(-1.0, 1.0, 4)) * np.ones(shape)):
        with_images(raw, magnitude, honest, shape)
        assert raw.plan().refusals == ()


def test_magnitude_and_phase_exchanged(raw: Any, refusal: Any) -> None:
    rng = np.random.default_rng(0)
    shape = (*raw.shape, 4)
    with_images(raw, rng.uniform(-3.1, 3.1, shape), rng.uniform(0.0, 1.0, shape), shape)
    contains(refusal(), "part-mag_VFA.nii.gz: values: expected magnitudes, found negative values down to -")


def test_one_grid_within_a_fraction_of_a_voxel(raw: Any, refusal: Any) -> None:
    """Voxels of 1.3 mm that lie 0.01 mm apart are one grid, 0.1 mm apart they are two."""
    path = raw.anat / f"{raw.stem}_part-phase_VFA.nii.gz"
    raw.image(path, 1.0, shift=0.01)
    assert raw.plan().refusals == ()
    raw.image(path, 1.0, shift=0.1)
    contains(refusal(), "affine", "one that differs by up to 0.1 mm, which places a corner 0.077 voxels away")
