"""Sidecars as converters write them: what is read from other keys, what is never, and all that is missing in one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qmri_bids.bids.metadata.added import load_added_metadata
from qmri_bids.bids.metadata.sequences import is_balanced, translated

GRADIENT_ECHO = {"MRAcquisitionType": "3D", "ScanningSequence": "GR", "SequenceVariant": "SP", "RepetitionTime": 0.025}
TRUFI = {
    "Manufacturer": "Siemens",
    "MRAcquisitionType": "3D",
    "ScanningSequence": "GR",
    "SequenceVariant": "SK\\SS",
    "PulseSequenceDetails": "%SiemensSeq%\\trufi",
    "SequenceName": "*tfi3d1",
    "RepetitionTime": 0.0048,
}


@pytest.mark.parametrize(
    ("change", "suffix", "taken"),
    [
        ({}, "MTS", True),
        ({"ScanningSequence": ["GR"]}, "MTS", True),
        ({"ScanningSequence": "GR\\IR"}, "MTS", False),
        ({"ScanningSequence": "GR_IR"}, "MTS", False),
        ({"ScanningSequence": "EP\\GR"}, "MTS", False),
        ({"SequenceVariant": "SP\\MP"}, "MTS", False),
        ({"ScanningSequence": "SE"}, "MTS", False),
        ({"MRAcquisitionType": "2D"}, "MTS", False),
        ({"MRAcquisitionType": None}, "MTS", False),
        ({"RepetitionTime": 2.0}, "MTS", False),
        ({"RepetitionTime": "0.025"}, "MTS", False),
        ({"RepetitionTimeExcitation": 0.03}, "MTS", False),
        ({}, "cest", False),
        ({"ScanningSequence": "RM", "PulseSequenceName": "3D B-FFE"}, "VFA", True),
        ({"ScanningSequence": "EP\\GR", "PulseSequenceType": "bSSFP"}, "VFA", False),
        ({"ScanningSequence": "GR_IR", "PulseSequenceType": "bSSFP"}, "VFA", False),
        ({"SequenceVariant": "SS_MP", "PulseSequenceType": "bSSFP"}, "VFA", False),
        ({"InversionTime": 0.5}, "MTS", False),
        ({"EchoTrainLength": 15}, "MTS", False),
        ({"EchoTrainLength": 1, "InversionTime": 0}, "MTS", True),
        ({"MRAcquisitionType": "2D", "PulseSequenceType": "bSSFP"}, "VFA", False),
    ],
)
def test_the_repetition_time_of_excitations(change: dict[str, Any], suffix: str, taken: bool) -> None:
    values = {key: value for key, value in (GRADIENT_ECHO | change).items() if value is not None}
    found = [each.value for each in translated(values, suffix=suffix) if each.key == "RepetitionTimeExcitation"]
    assert found == ([values["RepetitionTime"]] if taken else [])


@pytest.mark.parametrize(
    "name", ["%SiemensSeq%\\trufi", "*tfi3d1", "FIESTA", "B-FFE", "_ciss3d1", "true_fisp", "B-TFE"]
)
def test_names_of_balanced_sequences(name: str) -> None:
    assert is_balanced(name)


@pytest.mark.parametrize(
    "name",
    [
        *("*fl3d1", "*tfl3d1_ns", "EFGRE3D", "T1FFE", "*fm2d2r", "%SiemensSeq%\\gre"),
        *(
            "unbalanced SSFP",
            "imbalanced SSFP",
            "non-balanced SSFP",
            "nbSSFP",
            "DW-SSFP",
            "ssfp fid",
            "fid-ssfp",
            "SSFP ECHO",
        ),
    ],
)
def test_names_of_other_sequences(name: str) -> None:
    assert not is_balanced(name)


def test_a_trufi_sidecar_of_a_converter_serves(raw: Any) -> None:
    raw.pcbssfp(change=TRUFI, without=("PulseSequenceType", "RepetitionTimeExcitation"))
    (run,) = raw.plan().pcbssfp
    assert run.protocol.repetition_time == 0.0048
    sources = {source.key: source.source for source in run.sources}
    assert sources["repetition_time"].endswith("part-mag_VFA.json: RepetitionTime")
    said = " ".join(run.warnings)
    assert "RepetitionTime (4.8 ms) is taken as the time between two excitations" in said
    assert "balanced SSFP by PulseSequenceDetails" in said


def test_all_missing_keys_are_named_at_once(raw: Any) -> None:
    raw.pcbssfp(
        change=TRUFI | {"MRAcquisitionType": "2D"},
        without=("PulseSequenceType", "RepetitionTimeExcitation", "RFPhaseIncrement", "FlipAngle"),
    )
    (refusal,) = raw.plan().refusals
    assert refusal.key == "RepetitionTimeExcitation, FlipAngle, RFPhaseIncrement"
    said = str(refusal)
    assert '"FlipAngle": "<degrees>"' in said
    assert "numbers in degrees, in the order of the volumes" in said
    assert '{"pcbssfp": {' in said
    assert "the scan is 2D" in said


def test_a_file_of_metadata_adds_what_is_missing(raw: Any, tmp_path: Path) -> None:
    stated = {key: raw.metadata[key] for key in ("RFPhaseIncrement", "FlipAngle")}
    raw.pcbssfp(change=TRUFI, without=("PulseSequenceType", "RepetitionTimeExcitation", *stated))
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"pcbssfp": stated | {"RepetitionTime": 3}, "cest": {"SaturationB1RMS": 2}}))
    added = load_added_metadata(path)
    plan = raw.plan(metadata=added)
    assert plan.refusals == ()
    (run,) = plan.pcbssfp
    assert {source.key: source.source for source in run.sources}["flip_angle"] == "--metadata metadata.json: FlipAngle"
    assert run.protocol.repetition_time == 0.0048, "a sidecar comes first"
    assert added.unused == ("cest",)


def test_what_a_sidecar_states_comes_before_the_file(raw: Any, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"*_part-mag_VFA": {"FlipAngle": 33}}))
    (run,) = raw.plan(metadata=load_added_metadata(path)).pcbssfp
    assert any(
        "FlipAngle is 15, and 33 in metadata.json (--metadata): the sidecar comes first" in each
        for each in run.warnings
    )


def test_keys_and_names_that_nothing_reads_are_said(raw: Any, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"pcbssfp": {"RepetitionTimeExitation": 0.0048}, "MTS": {"FlipAngle": 6}}))
    added = load_added_metadata(path)
    raw.plan(metadata=added)
    assert added.doubts() == (
        "metadata.json: 'MTS' fits no file that was read; is it the right kind of scan, suffix or pattern of file names?",
        "metadata.json: nothing reads 'RepetitionTimeExitation'; is RepetitionTimeExcitation meant?",
    )


def test_what_differs_from_image_to_image_is_not_asked_for_all(empty: Any) -> None:
    for stem, state in (("flip-1_mt-off", False), ("flip-1_mt-on", True), ("flip-2_mt-off", False)):
        path = empty.anat / f"sub-01_{stem}_MTS.nii.gz"
        empty.image(path, shape=empty.shape)
        empty.json(path.with_name(f"sub-01_{stem}_MTS.json"), {"FlipAngle": 6 if "1" in stem else 20, "MTState": state})
    (refusal,) = empty.plan().refusals
    assert '"*_flip-2_mt-off_MTS": {"RepetitionTimeExcitation": "<seconds>"}' in str(refusal)


@pytest.mark.parametrize("content", ["[]", "{", '{"pcbssfp": 3}', '{"bold": {"FlipAngle": 3}}'])
def test_a_file_of_metadata_that_cannot_be_read(content: str, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"metadata\.json: expected an object whose keys are kinds of scans \(pcbssfp, b1"
    ):
        load_added_metadata(path)


def test_null_is_no_statement_and_a_wrong_value_of_the_file_is_mended_there(raw: Any, tmp_path: Path) -> None:
    raw.pcbssfp(change={"FlipAngle": None})
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"pcbssfp": {"FlipAngle": 15}}))
    (run,) = raw.plan(metadata=load_added_metadata(path)).pcbssfp
    assert run.protocol.flip_angle == pytest.approx(0.2618, rel=1e-3)
    path.write_text(json.dumps({"pcbssfp": {"FlipAngle": [1, "x"]}}))
    (refusal,) = raw.plan(metadata=load_added_metadata(path)).refusals
    assert "Correct FlipAngle in that file." in str(refusal)


def test_a_contradiction_of_b1_and_cest_is_said(raw: Any, empty: Any, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"b1": {"FlipAngle": 60}, "cest": {"MagneticFieldStrength": 7}}))
    empty.cest()
    plan = raw.plan(metadata=load_added_metadata(path))
    assert any("FlipAngle is 80, and 60 in metadata.json" in each for each in plan.pcbssfp[0].warnings)
    assert any("MagneticFieldStrength is" in each for each in plan.cest[0].warnings)


def test_a_b1_map_in_degrees_is_refused_with_the_way_out(bare: Any) -> None:
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", 74.0, shape=bare.shape)
    bare.json(bare.fmap / "sub-01_TB1map.json", {"Units": "degrees"})
    assert "--b1-scale with 1 over the nominal flip angle" in str(bare.plan().refusals)
