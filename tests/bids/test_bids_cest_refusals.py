"""Every fault of a CEST series is one refusal with file, key, expected, found and what to do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

STEM = "sub-01_acq-APTw_cest"
SIDECAR = f"sub-01/anat/{STEM}.json"
TABLE = "sub-01/anat/sub-01_acq-APTw_cestcontext.tsv"
OFFSETS = [-300.0, *(0.5 * step for step in range(-8, 9))]
TRAIN = ("MTNumberOfPulses", "MTPulseDuration", "SaturationInterpulseDelay", "SaturationDuration")


def refusal(dataset: Any, **options: Any) -> str:
    """Return the only refusal of a dataset, which then has no run that can be computed."""
    plan = dataset.plan(**options)
    assert plan.runs == ()
    assert len(plan.refusals) == 1, [str(each) for each in plan.refusals]
    return str(plan.refusals[0])


def check(text: str, *parts: str) -> None:
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"


HERTZ = [offset * 127.7292 for offset in OFFSETS]


@pytest.mark.parametrize(
    ("change", "without", "parts"),
    [
        ({}, ["SaturationOffset"], ["SaturationOffset: expected offsets in ppm", "found nothing", "order is never"]),
        ({"SaturationOffset": OFFSETS[:-1]}, [], ["expected 18 values, one per volume", "found 17", "never guessed"]),
        ({"SaturationOffset": [*OFFSETS[:-1], "4 ppm"]}, [], ["one number or an array of one per volume", "'4 ppm'"]),
        ({"SaturationOffset": "4"}, [], ["SaturationOffset: expected", "found '4'"]),
        ({"SaturationOffset": [*OFFSETS[:-1], 20000]}, [], ["volume 17 (from 0)", "found 20000: is it in Hz?"]),
        ({"SaturationOffset": HERTZ}, [], ["SaturationOffset", "found -38318.8: is it in Hz?"]),
        ({"SaturationOffset": [*HERTZ[1:], 0.0]}, [], ["a median distance of", "are they in Hz?"]),
        (
            {"SaturationOffset": [-2000, *OFFSETS[1:-1], 1500]},
            [],
            ["volume 17 (from 0): expected an offset of at most 1000 ppm", "found 1500 ppm: is it in Hz?"],
        ),
        (
            {"SaturationFrequencyOffset": [*HERTZ[:-1], 0.0]},
            [],
            [
                "SaturationOffset and SaturationFrequencyOffset: expected the same offsets at 3 T",
                "4 and 0 ppm in volume 17",
            ],
        ),
        (
            {"SaturationFrequencyOffset": HERTZ},
            ["SaturationOffset", "MagneticFieldStrength"],
            ["MagneticFieldStrength: expected the static field in tesla, or ImagingFrequency", "found nothing"],
        ),
        ({}, ["MagneticFieldStrength"], ["MagneticFieldStrength: expected the static field", "found nothing"]),
        ({"MagneticFieldStrength": 3000}, [], ["MagneticFieldStrength", "found 3000"]),
        ({"ImagingFrequency": 127729200}, [], ["ImagingFrequency: expected the frequency of water in MHz"]),
        ({"ImagingFrequency": 298.0}, [], ["expected the frequency of water at 3 T", "298.0 MHz, which is 7 T"]),
        (
            {},
            ["SaturationB1RMS"],
            ["SaturationB1RMS: expected B1 in µT", "found nothing", "of one block its amplitude"],
        ),
        ({"SaturationB1RMS": 2000}, [], ["SaturationB1RMS", "found 2000: is it in T, nT or Hz?"]),
        ({"SaturationB1RMS": 2e-6}, [], ["SaturationB1RMS", "found 2e-06: is it in T, nT or Hz?"]),
        ({"SaturationB1RMS": -2}, [], ["SaturationB1RMS", "found -2"]),
        ({"SaturationB1RMS": 0}, [], [f"{SIDECAR}: SaturationB1RMS: expected B1 above zero", "found 0 µT in every"]),
        ({"SaturationB1RMS": [2.0] * 4}, [], ["SaturationB1RMS: expected 18 values", "found 4"]),
        (
            {"SaturationB1RMS": [2.0] * 17 + [None]},
            [],
            ["SaturationB1RMS, volume 17 (from 0): expected B1 above zero", "found nothing", "m0scan"],
        ),
        (
            {"SaturationDuration": [1.975] * 17 + [None]},
            [],
            ["SaturationDuration, volume 17 (from 0): expected a duration above zero", "found nothing"],
        ),
        ({"SaturationDuration": 1975}, [], ["SaturationDuration", "found 1975: is it in ms?"]),
        ({"MTPulseDuration": 50}, [], ["MTPulseDuration", "found 50: is it in ms?"]),
        ({"SaturationInterpulseDelay": 5}, [], ["SaturationInterpulseDelay", "found 5: is it in ms?"]),
        ({"MTNumberOfPulses": 36.5}, [], ["MTNumberOfPulses: expected the number of pulses", "found 36.5"]),
        ({"SaturationDutyCycle": 91}, [], ["SaturationDutyCycle", "found 91: is it in percent?"]),
        ({"RecoveryTime": 3500}, [], ["RecoveryTime", "found 3500: is it in ms?"]),
        (
            {"SaturationDuration": 2.5},
            [],
            [
                "SaturationDuration: expected what pulses and gaps add up to, 1.975 s from 36 × (0.05 + 0.005) s",
                "2.5 s",
            ],
        ),
        (
            {"SaturationDutyCycle": 0.5},
            [],
            ["SaturationDutyCycle: expected what pulses and gaps add up to, 0.9091 from 36 ×", "found 0.5"],
        ),
        (
            {"SaturationDuration": 0.1},
            ["MTPulseDuration"],
            ["SaturationDuration: expected what pulses and gaps", "36 gaps of 0.005 s", "found 0.1 s"],
        ),
        ({}, TRAIN, ["SaturationDuration: expected the duration of the whole saturation", "cannot be told"]),
        (
            {"SaturationDutyCycle": 0.5},
            ["MTPulseDuration", "MTNumberOfPulses", "SaturationInterpulseDelay"],
            ["MTPulseDuration: expected the duration of one pulse", "found nothing"],
        ),
        (
            {},
            ["SaturationDuration", "MTNumberOfPulses"],
            ["MTNumberOfPulses: expected the number of pulses", "found nothing"],
        ),
        (
            {},
            ["MTNumberOfPulses", "SaturationInterpulseDelay"],
            ["SaturationInterpulseDelay: expected the time between", "found nothing"],
        ),
        ({}, ["MTPulseDuration", "SaturationInterpulseDelay"], ["MTPulseDuration: expected", "found nothing"]),
        ({"MTPulseShape": "FERMI"}, [], ["MTPulseShape: expected block", "'FERMI'", "PulseqFile"]),
        ({"SpinLock": True}, [], ["SpinLock: expected no spin lock around gaussian pulses", "found True"]),
        ({"MTPulseShape": "block", "SpinLock": "maybe"}, [], ["SpinLock: expected true, false", "'maybe'"]),
        ({"MTPulseShape": "spin-lock", "SpinLock": False}, [], ["as MTPulseShape says spin-lock", "found False"]),
        (
            {"FlipAngle": 15, "NumberOfReadoutPulses": 45, "RepetitionTimeExcitation": 28.37},
            [],
            ["RepetitionTimeExcitation: expected the time between two excitations", "found 28.37"],
        ),
        ({"PulseqFile": "../apt.seq"}, [], ["PulseqFile: expected a .seq file of this dataset", "'../apt.seq'"]),
        ({"PulseqFile": "bids:other:apt.seq"}, [], ["PulseqFile: expected a .seq file of this dataset"]),
        ({"PulseqFile": "code/no.seq"}, [], ["there is no code/no.seq", "found 'code/no.seq'"]),
    ],
)
def test_metadata(empty: Any, change: dict[str, Any], without: list[str], parts: list[str]) -> None:
    empty.cest(change=change, without=tuple(without))
    text = refusal(empty)
    assert text.startswith(f"sub-01/anat/{STEM}")
    check(text, *parts)


ROWS = [f"{'m0scan' if offset < -99 else 'cest'} {offset} 2" for offset in OFFSETS]
HEAD = "volume_type offset_ppm b1_rms"


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([HEAD, *ROWS[:-1]], ["rows: expected 18 rows, one per volume of", "found 17", "order is never guessed"]),
        ([HEAD, *ROWS[:-1], "cest four 2"], ["offset_ppm, row 18: expected a number or n/a", "'four'"]),
        ([HEAD, *ROWS[:-1], "cest n/a 2"], ["offset_ppm, volume 17 (from 0): expected an offset", "found nothing"]),
        ([HEAD, *ROWS[:-1], "cest 4 200"], ["b1_rms, volume 17 (from 0)", "found 200: is it in T, nT or Hz?"]),
        ([HEAD, *ROWS[:-1], "label 4 2"], ["volume_type, row 18: expected m0scan, cest, wassr or dummy", "'label'"]),
        ([HEAD, *ROWS[:-1], "cest 4"], ["b1_rms, volume 17 (from 0): expected B1 above zero", "found nothing"]),
        (["offset b1"] + ["1 2"] * 18, ["columns: expected volume_type, offset_ppm or offset_hz", "['offset', 'b1']"]),
        (["volume_type valid"] + ["cest yes"] * 18, ["valid, row 1: expected 0 or 1", "'yes'"]),
        (["volume_type"] + ["dummy"] * 18, ["volume_type: expected volumes that can be used"]),
        (
            ["offset_ppm offset_hz", *(f"{offset} {offset * 100}" for offset in OFFSETS)],
            ["offset_ppm and offset_hz: expected the same offsets at 3 T", "Keep one of the two"],
        ),
        (
            [HEAD, "m0scan 1.0 2", *ROWS[1:]],
            ["volume_type: expected m0scan without saturation, or saturated 10 ppm", "found saturation at 1 ppm"],
        ),
        ([HEAD, *(row.replace("m0scan", "cest") for row in ROWS)], ["M0: expected an image without saturation"]),
    ],
)
def test_table(empty: Any, rows: list[str], parts: list[str]) -> None:
    empty.cest(table="\n".join(rows))
    text = refusal(empty)
    assert text.startswith((TABLE, f"sub-01/anat/{STEM}.nii.gz"))
    check(text, *parts)


def test_table_that_is_no_text(empty: Any) -> None:
    empty.cest(table="volume_type")
    (empty.root / TABLE).write_bytes(b"\xff\xfe\x00volume_type")
    check(refusal(empty), TABLE, "file: expected a table of tab-separated values in UTF-8")


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 1), (6, 5, 4, 2, 2)])
def test_image_of_another_shape(empty: Any, shape: tuple[int, ...]) -> None:
    empty.cest(shape=shape)
    check(refusal(empty), f"{STEM}.nii.gz: shape: expected four axes", f"found {shape}", "one 4D file")


def test_images_that_cannot_be_used(empty: Any) -> None:
    empty.cest()
    path = empty.anat / f"{STEM}.nii.gz"
    path.write_bytes(b"")
    check(refusal(empty), "file: expected a readable NIfTI image, found an empty file (0 bytes)")
    empty.image(path, 1 + 1j, shape=(6, 5, 4, 18), dtype=np.complex64)
    check(refusal(empty), "datatype: expected magnitudes, found complex values", "part-mag")
    path.rename(path.with_name("sub-01_acq-APTw_part-phase_cest.nii.gz"))
    check(refusal(empty), "part: expected a magnitude image", "found part-phase alone")


def test_two_files_of_one_name(empty: Any) -> None:
    empty.cest()
    empty.image(empty.anat / f"{STEM}.nii", shape=(6, 5, 4, 18))
    check(refusal(empty), "file: expected one magnitude image of this name", f"{STEM}.nii, {STEM}.nii.gz")


def test_broken_sidecar(empty: Any) -> None:
    empty.cest()
    (empty.root / SIDECAR).write_text("{,}")
    check(refusal(empty), SIDECAR, "expected a JSON sidecar")


@pytest.mark.parametrize(
    ("offsets", "parts"),
    [
        (
            [-300, -3.5, -3, 3, 3.5],
            ["at least 5 offsets on both sides of water for a Z-spectrum", "found 4 (-3.5, -3, 3"],
        ),
        ([-300, 1, 2, 3, 3.5, 4], ["at least 5 offsets on both sides of water"]),
        ([-300, -1, 1, 2, 3, 3.5], ["2 or more on each", "found 5"]),
        (
            [-3.5, -2, -1, 0, 1, 2, 3.5],
            ["M0: expected an image without saturation or at 100 ppm or more", "found none"],
        ),
        ([None] * 6, ["found none with saturation"]),
    ],
)
def test_offsets_that_make_no_spectrum(empty: Any, offsets: list[Any], parts: list[str]) -> None:
    empty.cest(change={"SaturationOffset": offsets}, shape=(6, 5, 4, len(offsets)))
    check(refusal(empty), "sub-01/anat/", *parts)


def test_wasabi_of_few_offsets_or_without_m0(empty: Any) -> None:
    empty.wasabi(offsets=[-300, -1.5, -1, -0.5, 0.5, 1, 1.5])
    check(refusal(empty), "offsets: expected at least 9 offsets on both sides of water for WASABI", "found 6")
    empty.wasabi(offsets=list(np.linspace(-2, 2, 21)))
    check(refusal(empty), "M0: expected an image", "which WASABI (short blocks) is normalised by")


def test_whole_spectra_at_two_powers_are_two_runs(empty: Any) -> None:
    offsets = [*OFFSETS, *OFFSETS[1:]]
    powers = [0.6] * 18 + [0.9] * 17
    empty.cest(change={"SaturationOffset": offsets, "SaturationB1RMS": powers}, shape=(6, 5, 4, 35))
    check(refusal(empty), "b1_rms: expected one power for a Z-spectrum", "whole spectra at 0.6, 0.9 µT", "acq- label")


def test_volumes_left_out_in_the_midst_of_a_fingerprint(empty: Any) -> None:
    head = "volume_type offset_ppm b1_rms valid"
    rows = ["m0scan n/a n/a 1", *(f"cest 3.5 {1 + 0.2 * index} {int(index != 3)}" for index in range(8))]
    without = ("SaturationOffset", "SaturationB1RMS")
    empty.cest(table="\n".join([head, *rows]), without=without, shape=(6, 5, 4, 9))
    check(refusal(empty), "valid: expected all volumes of a fingerprint", "volumes [4] (from 0) left out")


def test_two_runs_whose_maps_would_have_one_name(empty: Any) -> None:
    empty.cest()
    empty.cest(stem="sub-01_acq-APTw_wassr", folder=empty.root / "sub-01" / "cest")
    plan = empty.plan()
    assert [run.suffix for run in plan.cest] == ["cest"]
    (text,) = map(str, plan.refusals)
    check(text, "maps of the same name as those of sub-01_acq-APTw_cest.nii.gz", "different acq- labels")


def test_a_run_of_another_kind_with_the_same_name(raw: Any) -> None:
    raw.cest(stem="sub-01_acq-pcbssfp_cest")
    plan = raw.plan()
    assert (len(plan.pcbssfp), plan.cest) == (1, ())
    check(str(plan.refusals[0]), "file name: expected entities that no other run of the session has")


def test_one_broken_run_stops_no_other(empty: Any) -> None:
    empty.cest(without=("SaturationB1RMS",))
    empty.wasabi()
    plan = empty.plan()
    assert [run.kind for run in plan.cest] == ["wasabi"]
    assert len(plan.refusals) == 1


# --- pulseq -----------------------------------------------------------------------------------------------------------


def test_pulseq_file_that_was_changed_or_is_none(empty: Any) -> None:
    path = empty.root / "code" / "apt.seq"
    path.parent.mkdir()
    path.write_text("no pulseq file\n")
    empty.cest(change={"PulseqFile": "bids::code/apt.seq", "PulseqFileHash": "00ff"})
    check(refusal(empty), "code/apt.seq: PulseqFileHash: expected 00ff as", "The file was changed or is another one")
    empty.cest(change={"PulseqFile": "bids::code/apt.seq"})
    check(refusal(empty), "code/apt.seq")


def test_pulseq_file_of_another_sequence(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from protocol_presets import PROTOCOL_PRESETS

    from qmri_bids.pulseq import protocol as module

    class Reading:
        protocol = PROTOCOL_PRESETS["APTw_3T_000"]()
        warnings = ()

    monkeypatch.setattr(module, "read_seq_protocol", lambda path, **_: Reading())
    path = empty.root / "code" / "apt.seq"
    path.parent.mkdir()
    path.touch()
    empty.cest(change={"PulseqFile": "code/apt.seq"})
    check(refusal(empty), "code/apt.seq: readouts: expected 18 images, one per volume of", "found 34")
    scalars = {"MagneticFieldStrength": 3, "PulseqFile": "code/apt.seq", "SaturationDuration": 1.0}
    empty.cest(shape=(6, 5, 4, 34))
    empty.json(empty.root / SIDECAR, scalars)
    check(refusal(empty), "SaturationDuration: expected the saturation that code/apt.seq plays, 2 s, found 1 s")


def test_spectrum_in_another_unit_is_refused() -> None:
    from qmri_bids.bids.refusal import RefusedError
    from qmri_bids.physics.saturation import Pulse, Saturation
    from qmri_bids.physics.saturation_presets import z_spectrum
    from qmri_bids.scans.cest.kind import kind_of

    def kind(offsets: list[float], duration: float) -> str:
        train = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=duration))
        images = z_spectrum(train, offsets, recovery=3.0).images
        return kind_of(images, ("m0", *("cest",) * len(offsets)), suffix="cest", file="sub-01_cest.json")

    spread = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert kind([2.0 * each for each in spread], 2.0) == "z-spectrum"
    with pytest.raises(RefusedError, match=r"offsets: expected offsets that reach 0\.5 ppm .* found 0\.02 ppm at most"):
        kind([0.01 * each for each in spread], 2.0)
    with pytest.raises(
        RefusedError, match=r"SaturationDuration: expected .* found a block of 5 s within ±2 ppm: is it in ms"
    ):
        kind(spread, 5.0)


@pytest.mark.parametrize(
    ("power", "parts"),
    [
        (0.037, ["expected a saturation that turns water by 36°", "turn it by 2.8°: is the power in gauss (3.7 µT)"]),
        (0.0037, ["SaturationB1RMS", "found 0.0037: is it in T, nT or Hz? In gauss 1 µT is 0.01"]),
    ],
)
def test_wasabi_in_another_unit_is_no_wassr(empty: Any, power: float, parts: list[str]) -> None:
    """A block of 5 ms at 3.7 µT, stated in gauss or in a tenth of it: nothing is saturated, whatever its name."""
    empty.wasabi()
    path = empty.anat / "sub-01_acq-WASABI_cest.json"
    empty.json(path, json.loads(path.read_text()) | {"SaturationB1RMS": power})
    text = refusal(empty)
    assert "WASSR" not in text
    check(text, *parts)


def test_a_spectrum_that_does_not_show_where_water_is(empty: Any) -> None:
    """Without a source of B0, offsets that leave out the dip of water are refused before anything is computed."""
    offsets = [-300.0, *(sign * (1.5 + 0.25 * step) for sign in (-1, 1) for step in range(9))]
    empty.cest(change={"SaturationOffset": offsets}, shape=(*empty.shape, len(offsets)))
    check(
        refusal(empty),
        "--cest-b0: expected a WASABI run of the session; a WASSR run",
        "the spectrum does not show the dip of water: no offset lies between -1.5 and 1.5 ppm, where its dip is",
        "Add one, or leave spectra as they are with --cest-b0 none.",
    )


def test_a_column_that_stands_twice_is_refused(empty: Any) -> None:
    empty.cest()
    table = empty.root / TABLE
    table.write_text("offset_ppm\toffset_ppm\n" + "".join(f"{offset:g}\t1\n" for offset in OFFSETS))
    check(refusal(empty), f"{TABLE}: offset_ppm: expected each column once, found 2 of them")
