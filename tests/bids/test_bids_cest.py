"""Every way to describe a CEST series is read into the same protocol, and Z-spectra find their source of B0."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from protocol_presets import PROTOCOL_PRESETS

from qmri_bids.bids.names import output_path
from qmri_bids.physics.saturation import Readout, SaturationProtocol, SpinLock, Start
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.reports.content import Level
from qmri_bids.scans.image_checks import ImageChecks
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.saturation.outputs import checks
from qmri_bids.scans.saturation.run import NOT_CORRECTED, CestRun
from qmri_bids.units import ppm_to_hertz, tesla_to_microtesla

TRAIN = ("MTNumberOfPulses", "MTPulseDuration", "SaturationInterpulseDelay", "SaturationDuration", "MTPulseShape")


def runs(dataset: Any, **options: Any) -> tuple[CestRun, ...]:
    plan = dataset.plan(**options)
    assert [str(refusal) for refusal in plan.refusals] == []
    return plan.cest


def only_run(dataset: Any, **options: Any) -> CestRun:
    (run,) = runs(dataset, **options)
    return run


def source_of(run: CestRun, key: str) -> tuple[str, str, str]:
    (found,) = [source for source in run.sources if source.key == key]
    return found.value, found.unit, found.source


def sidecar_of(protocol: SaturationProtocol, *, shape: str) -> dict[str, Any]:
    """Return what a careful converter would write about a protocol."""
    trains = [image.saturation for image in protocol.images]
    first = next(train for train in trains if train is not None)
    return {
        "MagneticFieldStrength": protocol.field_strength,
        "SaturationOffset": [image.offset for image in protocol.images],
        "SaturationB1RMS": [None if train is None else tesla_to_microtesla(train.b1_rms) for train in trains],
        "RecoveryTime": [image.recovery for image in protocol.images],
        "MTPulseShape": shape,
        "MTPulseDuration": first.pulse.duration,
        "SaturationInterpulseDelay": first.gap,
        "MTNumberOfPulses": first.number,
        "SaturationDuration": first.duration,
        "SaturationDutyCycle": first.duty_cycle,
    }


def test_z_spectrum(empty: Any) -> None:
    empty.cest()
    run = only_run(empty)
    assert (run.label, run.suffix, run.kind) == ("sub-01_acq-APTw_cest", "cest", "z-spectrum")
    assert run.grid == empty.shape
    assert run.volumes == tuple(range(18))
    assert run.roles == ("m0", *("cest",) * 17)
    assert run.protocol.offsets == tuple(empty.cest_offsets)
    assert run.protocol.m0_images == (0,)
    assert (run.protocol.start, run.protocol.field_strength) == (Start.RELAXED, 3.0)
    assert [image.recovery for image in run.protocol.images] == [10.0, *[3.5] * 17]
    assert run.warnings == ()
    saturation = run.protocol.images[1].saturation
    assert saturation is not None
    assert (saturation.number, saturation.gap) == (36, 0.005)
    assert saturation.pulse.duration == pytest.approx(0.05)
    assert saturation.b1_rms == pytest.approx(2e-6, rel=1e-12)


def test_every_value_names_its_source(empty: Any) -> None:
    empty.cest()
    run = only_run(empty)
    file = "sub-01/anat/sub-01_acq-APTw_cest.json"
    assert source_of(run, "b1_rms") == ("2", "µT", f"{file}: SaturationB1RMS")
    assert source_of(run, "offsets") == ("18 values from -300 to 4", "ppm", f"{file}: SaturationOffset")
    assert source_of(run, "recovery_m0") == ("10", "s", f"{file}: RecoveryTimeM0")
    assert source_of(run, "pulse_duration") == ("0.05", "s", f"{file}: MTPulseDuration")
    value, _, source = source_of(run, "m0")
    assert value == "volume 1"
    assert source.startswith("derived: volumes without saturation or at the farthest offset, 300 ppm,")


@pytest.mark.parametrize(
    ("preset", "shape", "kind"),
    [
        ("APTw_3T_000", "continuous", "z-spectrum"),
        ("APTw_3T_001", "sinc-gaussian", "z-spectrum"),
        ("APTw_3T_004", "spin-lock", "z-spectrum"),
        ("WASABI_3T_001", "block", "wasabi"),
        ("MultiPool_3T_001", "gaussian", "z-spectrum"),
        ("MRF_MT_3T", "spin-lock", "fingerprint"),
        ("MRF_amide_3T", "spin-lock", "fingerprint"),
    ],
)
def test_presets_come_back_from_their_sidecars(empty: Any, preset: str, shape: str, kind: str) -> None:
    protocol = PROTOCOL_PRESETS[preset]()
    empty.cest(change=sidecar_of(protocol, shape=shape), shape=(*empty.shape, protocol.number_of_images))
    run = only_run(empty)
    assert run.kind == kind
    assert run.protocol.offsets == protocol.offsets
    assert run.protocol.m0_images == protocol.m0_images
    for read, meant in zip(run.protocol.images, protocol.images, strict=True):
        assert read.recovery == meant.recovery
        assert (read.saturation is None) == (meant.saturation is None)
        if read.saturation is not None and meant.saturation is not None:
            assert read.saturation.b1_rms == pytest.approx(meant.saturation.b1_rms, rel=1e-9)
            assert read.saturation.duration == pytest.approx(meant.saturation.duration)
            np.testing.assert_allclose(
                [segment.amplitude for segment in read.saturation.pulse.segments],
                [segment.amplitude for segment in meant.saturation.pulse.segments],
                rtol=1e-9,
            )


def test_fingerprint_follows_from_the_image_before(empty: Any) -> None:
    protocol = PROTOCOL_PRESETS["MRF_amide_3T"]()
    content = sidecar_of(protocol, shape="block") | {
        "SpinLock": "ideal",
        "FlipAngle": 15,
        "NumberOfReadoutPulses": 45,
        "RepetitionTimeExcitation": 0.02837,
    }
    empty.cest(change=content, shape=(*empty.shape, 31))
    run = only_run(empty)
    assert run.protocol.start is Start.PREVIOUS
    assert run.protocol.readout == Readout(number=45, flip_angle=np.radians(15.0), spacing=0.02837)
    assert run.b0 is None
    train = run.protocol.images[1].saturation
    assert train is not None
    assert train.spin_lock is SpinLock.ALL_POOLS
    assert run.warnings == ()
    empty.cest(change=sidecar_of(protocol, shape="block"), shape=(*empty.shape, 31))
    assert "the readout is not described" in only_run(empty).warnings[0]
    empty.cest(change=content, without=("RecoveryTime", "RecoveryTimeM0"), shape=(*empty.shape, 31))
    run = only_run(empty)
    assert run.protocol.start is Start.RELAXED
    assert "RecoveryTime is not stated" in run.warnings[0]


@pytest.mark.parametrize(("value", "lock"), [(True, "liquid pools"), ("all pools", "all pools"), (False, "none")])
def test_spin_lock(empty: Any, value: Any, lock: str) -> None:
    empty.cest(change={"MTPulseShape": "rect", "SpinLock": value})
    saturation = only_run(empty).protocol.images[1].saturation
    assert saturation is not None
    assert saturation.spin_lock == lock


@pytest.mark.parametrize(
    "keys",
    [
        {"MTPulseDuration": 0.05, "SaturationInterpulseDelay": 0.05, "MTNumberOfPulses": 20},
        {"MTPulseDuration": 0.05, "SaturationDutyCycle": 0.5, "MTNumberOfPulses": 20},
        {"MTPulseDuration": 0.05, "SaturationDutyCycle": 0.5, "SaturationDuration": 1.95},
        {"MTPulseDuration": 0.05, "SaturationInterpulseDelay": 0.05, "SaturationDuration": 2.0},  # with the last gap
        {"MTPulseDuration": 0.05, "MTNumberOfPulses": 20, "SaturationDuration": 1.95},
        {"SaturationDuration": 1.95, "SaturationInterpulseDelay": 0.05, "MTNumberOfPulses": 20},
        {"SaturationDuration": 1.95, "SaturationDutyCycle": 0.5, "MTNumberOfPulses": 20},
    ],
)
def test_a_train_is_told_by_any_three_numbers(empty: Any, keys: dict[str, float]) -> None:
    empty.cest(change={"MTPulseShape": "gaussian"} | keys, without=tuple(set(TRAIN) - set(keys) - {"MTPulseShape"}))
    train = only_run(empty).protocol.images[1].saturation
    assert train is not None
    assert train.number == 20
    assert (train.pulse.duration, train.gap, train.b1_rms) == pytest.approx((0.05, 0.05, 2e-6))


def test_continuous_block_is_assumed_aloud(empty: Any) -> None:
    content = empty.cest(without=TRAIN)
    empty.json(empty.anat / "sub-01_acq-APTw_cest.json", content | {"SaturationDuration": 2})
    run = only_run(empty)
    assert run.warnings == (
        "sub-01/anat/sub-01_acq-APTw_cest.json: MTPulseShape is missing; one continuous block of 2 s is assumed.",
    )
    saturation = run.protocol.images[1].saturation
    assert saturation is not None
    assert (saturation.number, saturation.pulse.power) == pytest.approx((1, 2e-6**2 * 2))


def test_offsets_in_hertz(empty: Any) -> None:
    frequency = 123.2
    hertz = [round(offset * frequency, 3) for offset in empty.cest_offsets]
    empty.cest(
        change={"SaturationFrequencyOffset": hertz, "ImagingFrequency": frequency}, without=("SaturationOffset",)
    )
    run = only_run(empty)
    np.testing.assert_allclose(run.protocol.offsets, empty.cest_offsets, rtol=1e-9)
    assert run.protocol.field_strength == pytest.approx(123.2 / 42.5764)
    assert ppm_to_hertz(1.0, run.protocol.field_strength) == pytest.approx(frequency)
    assert source_of(run, "offsets")[1] == "Hz"
    assert source_of(run, "field_strength")[2].endswith("ImagingFrequency")


def table_of(offsets: list[float], columns: str = "volume_type offset_ppm", row: str = "") -> str:
    lines = [columns]
    for offset in offsets:
        lines.append(f"{'m0scan' if abs(offset) > 99 else 'cest'} {offset} {row}")
    return "\n".join(lines)


def test_table_takes_precedence_over_arrays(empty: Any) -> None:
    shifted = [offset if offset < -99 else offset * 0.75 for offset in empty.cest_offsets]
    empty.cest(table=table_of(shifted, "volume_type offset_ppm b1_rms recovery_time", "1.5 2.5"))
    run = only_run(empty)
    assert run.protocol.offsets == pytest.approx(shifted)
    assert run.protocol.images[3].recovery == 2.5
    saturation = run.protocol.images[3].saturation
    assert saturation is not None
    assert saturation.b1_rms == pytest.approx(1.5e-6)
    assert source_of(run, "b1_rms")[2] == "sub-01/anat/sub-01_acq-APTw_cestcontext.tsv: b1_rms"
    assert "SaturationOffset differs from" in run.warnings[0]
    assert "takes precedence and is used" in run.warnings[0]


def test_dummies_invalid_volumes_and_m0_without_saturation(empty: Any) -> None:
    rows = ["volume_type offset_hz b1_rms valid", "dummy n/a n/a 1", "m0scan n/a n/a 1", "M0 -38318.8 2 0"]
    rows += [f"cest {offset * 127.7292} 2 {int(offset != 0.0)}" for offset in empty.cest_offsets[1:]]
    empty.cest(table="\n".join(rows), without=("SaturationOffset", "SaturationB1RMS"), shape=(*empty.shape, 20))
    run = only_run(empty)
    assert run.volumes == (1, *range(3, 11), *range(12, 20))
    assert run.protocol.images[0].saturation is None
    assert run.protocol.m0_images == (0,)
    assert run.protocol.offsets[1:] == pytest.approx([each for each in empty.cest_offsets[1:] if each])
    assert "volume 1 (from 1): dummies" in run.warnings[0]
    assert "marks volume 3, 12 (from 1) as not valid" in run.warnings[1]


def test_volumes_of_no_power_are_unsaturated(empty: Any) -> None:
    """In a spectrum they normalise the others; in a fingerprint they keep their place and their own recovery."""
    rows = table_of(empty.cest_offsets, "volume_type offset_ppm b1_rms", "2").splitlines()
    empty.cest(table="\n".join([*rows[:-1], "cest 4 0"]))
    run = only_run(empty)
    assert run.roles == ("m0", *("cest",) * 16, "m0")
    assert (run.protocol.images[17].saturation, run.protocol.images[17].offset) == (None, None)
    assert run.protocol.reference_offsets(run.roles) == (-300.0,)
    assert source_of(run, "unsaturated")[::2] == (
        "volume 18",
        "sub-01/anat/sub-01_acq-APTw_cestcontext.tsv: b1_rms is 0: without saturation, used like M0 whatever their type and offset",
    )
    powers = [2.0, *(0.4 * (index % 6) for index in range(17))]
    columns = "volume_type offset_ppm b1_rms recovery_time"
    offsets = [-300.0, *(3.5 if index % 2 else 4.0 for index in range(17))]
    rows = [columns] + [
        f"{'cest' if index else 'm0scan'} {offset} {power} {3 if index else 10}"
        for index, (offset, power) in enumerate(zip(offsets, powers, strict=True))
    ]
    empty.cest(table="\n".join(rows), without=("RecoveryTimeM0",))
    run = only_run(empty)
    assert run.kind == "fingerprint"
    assert [index for index, role in enumerate(run.roles) if role == "m0"] == [0, 1, 7, 13]
    assert [run.protocol.images[index].recovery for index in (0, 1, 7)] == [10.0, 3.0, 3.0]
    assert run.protocol.start == Start.PREVIOUS


def test_table_and_sidecar_are_inherited(empty: Any) -> None:
    content = empty.cest()
    empty.json(empty.anat / "sub-01_acq-APTw_cest.json", {})
    empty.json(empty.root / "cest.json", content)
    empty.table(empty.root / "sub-01" / "sub-01_cestcontext.tsv", table_of(empty.cest_offsets))
    run = only_run(empty)
    assert source_of(run, "b1_rms")[2] == "cest.json: SaturationB1RMS"
    assert source_of(run, "m0")[2] == "sub-01/sub-01_cestcontext.tsv: volume_type"


def test_m0_at_1560_ppm_and_saturated_volumes_at_100_ppm(empty: Any) -> None:
    offsets = [-1560.0, -100.0, *empty.cest_offsets[1:], 100.0]
    empty.cest(change={"SaturationOffset": offsets}, shape=(*empty.shape, 20))
    assert only_run(empty).roles == ("m0", *("cest",) * 19)


def test_volumes_without_offset_or_power_are_m0(empty: Any) -> None:
    offsets = [None, "n/a", *empty.cest_offsets[1:], 3.5]
    empty.cest(change={"SaturationOffset": offsets, "SaturationB1RMS": [2.0] * 19 + [0.0]}, shape=(*empty.shape, 20))
    run = only_run(empty)
    assert [index for index, role in enumerate(run.roles) if role == "m0"] == [0, 1, 19]
    assert source_of(run, "m0")[0] == "volume 1, 2, 20"


def test_powers_differ_but_each_is_scaled(empty: Any) -> None:
    powers = [2.0, *(1.0 + 0.1 * index for index in range(17))]
    empty.cest(change={"SaturationB1RMS": powers})
    run = only_run(empty)
    assert run.kind == "fingerprint"
    rms = [image.saturation.b1_rms for image in run.protocol.images if image.saturation is not None]
    np.testing.assert_allclose(rms, np.array(powers) * 1e-6)


# --- names and folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "stem", "label"),
    [
        ("anat", "sub-01_cest", "sub-01_acq-cest_cest"),
        ("cest", "sub-01_acq-APTw_run-2_cest", "sub-01_acq-APTw_run-2_cest"),
        ("anat", "sub-01_rec-norm_MTR", "sub-01_acq-cest_rec-norm_MTR"),
        ("anat", "sub-01_acq-APTw_part-mag_cest", "sub-01_acq-APTw_cest"),
    ],
)
def test_names_and_folders(empty: Any, folder: str, stem: str, label: str) -> None:
    empty.cest(stem=stem, folder=empty.root / "sub-01" / folder)
    run = only_run(empty)
    assert (run.label, run.kind) == (label, "z-spectrum")
    name = output_path(Path("out"), entities=run.entities, output="quality_mask").name
    assert name.startswith(label.rpartition("_")[0].replace("cest_rec-norm", "cestRecnorm"))


def test_uncompressed_and_sessions(empty: Any) -> None:
    folder = empty.root / "sub-01" / "ses-b" / "cest"
    empty.cest(stem="sub-01_ses-b_acq-APTw_cest", folder=folder)
    empty.image(folder / "sub-01_ses-b_acq-APTw_cest.nii", shape=(*empty.shape, 18))
    (folder / "sub-01_ses-b_acq-APTw_cest.nii.gz").unlink()
    assert only_run(empty, session="ses-b").image.name == "sub-01_ses-b_acq-APTw_cest.nii"


def test_phase_is_left_alone_with_a_note(empty: Any) -> None:
    empty.cest(stem="sub-01_acq-APTw_part-mag_cest")
    empty.image(empty.anat / "sub-01_acq-APTw_part-phase_cest.nii.gz", shape=(*empty.shape, 18))
    plan = empty.plan()
    assert [run.image.name for run in plan.cest] == ["sub-01_acq-APTw_part-mag_cest.nii.gz"]
    assert plan.notes == (
        "sub-01/anat/sub-01_acq-APTw_part-phase_cest.nii.gz: saturation is read from the magnitude; left alone.",
    )


def test_runs_and_filters(empty: Any) -> None:
    for run in (1, 2):
        empty.cest(stem=f"sub-01_acq-APTw_run-{run}_cest")
    empty.wasabi(stem="sub-01_acq-WASABI_run-1_cest")
    assert len(runs(empty)) == 3
    assert {run.label for run in runs(empty, run_label="run-01")} == {
        "sub-01_acq-APTw_run-1_cest",
        "sub-01_acq-WASABI_run-1_cest",
    }
    (found,) = runs(empty, filters={"cest": {"acquisition": "APTw", "run": 2}})
    assert found.label == "sub-01_acq-APTw_run-2_cest"


def test_pcbssfp_beside_it_is_untouched(raw: Any) -> None:
    raw.cest()
    plan = raw.plan()
    assert [run.label for run in plan.runs] == ["sub-01_acq-pcbssfp_flip-1", "sub-01_acq-APTw_cest"]
    assert plan.refusals == ()
    assert len(plan.b1) == 1


def test_b1_maps_are_not_looked_at_without_need(empty: Any) -> None:
    empty.cest()
    empty.tfl(flip_angle=8)  # would be refused
    assert len(runs(empty)) == 1


def test_plan_can_be_pickled_and_printed(empty: Any) -> None:
    empty.cest()
    empty.wasabi()
    plan = empty.plan()
    assert pickle.loads(pickle.dumps(plan)) == plan
    text = plan_table([plan])
    assert "z-spectrum: 18 images of 6 × 5 × 4 voxels (1 m0, 17 cest)" in text
    assert "wasabi: 22 images" in text
    assert "B0: The shift of water comes from the WASABI run sub-01_acq-WASABI_cest." in text
    assert "[sub-01_acq-APTw_cest.json: SaturationB1RMS]" in text
    assert "2 run(s) can be computed, 0 refusal(s)." in text


def test_raw_names_pass_the_validator(empty: Any) -> None:
    empty.cest(table=table_of(empty.cest_offsets))
    empty.wasabi(stem="sub-01_acq-B0_wassr", folder=empty.root / "sub-01" / "cest")
    patterns = "*_cest.*\n*_cestcontext.*\n*_wassr.*\n**/cest\n"
    (empty.root / ".bidsignore").write_text(patterns)
    program = shutil.which("bids-validator-deno") or str(Path(sys.executable).parent / "bids-validator-deno")
    command = [program, "--ignoreWarnings", str(empty.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(runs(empty)) == 2


# --- kinds ------------------------------------------------------------------------------------------------------------


def test_wasabi_whatever_it_is_called(empty: Any) -> None:
    empty.wasabi(stem="sub-01_acq-APTw_cest")
    run = only_run(empty)
    assert (run.kind, run.b0) == ("wasabi", None)
    saturation = run.protocol.images[1].saturation
    assert saturation is not None
    assert (saturation.pulse.duration, saturation.pulse.segments[0].amplitude) == pytest.approx((5e-3, 3.7e-6))


@pytest.mark.parametrize(
    ("stem", "power", "reach", "kind"),
    [
        ("sub-01_wassr", 0.2, 1.0, "wassr"),
        ("sub-01_wassr", 2.0, 4.0, "wassr"),
        ("sub-01_acq-shim_cest", 0.2, 1.0, "wassr"),
        ("sub-01_acq-shim_cest", 0.2, 4.0, "z-spectrum"),
        ("sub-01_acq-shim_cest", 1.0, 1.0, "z-spectrum"),
    ],
)
def test_wassr_by_suffix_or_by_reach_and_power(empty: Any, stem: str, power: float, reach: float, kind: str) -> None:
    offsets = [-300.0, *np.linspace(-reach, reach, 17)]
    empty.cest(stem=stem, change={"SaturationOffset": offsets, "SaturationB1RMS": power})
    run = only_run(empty)
    assert run.kind == kind
    assert set(run.roles) == {"m0", "wassr" if kind == "wassr" else "cest"}
    assert run.entities["acq"] == ("shim" if "shim" in stem else "wassr")


def test_wassr_needs_no_m0(empty: Any) -> None:
    offsets = list(np.linspace(-1.0, 1.0, 11))
    empty.cest(stem="sub-01_wassr", change={"SaturationOffset": offsets}, shape=(*empty.shape, 11))
    assert only_run(empty).roles == ("wassr",) * 11


# --- source of B0 -----------------------------------------------------------------------------------------------------


def spectrum(dataset: Any, **options: Any) -> CestRun:
    (run,) = [run for run in runs(dataset, **options) if run.kind == "z-spectrum"]
    return run


def write_fieldmap(
    dataset: Any, *, content: dict[str, Any] | None = None, name: str = "sub-01", magnitude: bool = True
) -> None:
    dataset.image(dataset.fmap / f"{name}_fieldmap.nii.gz", 12.0, shape=dataset.shape)
    dataset.json(dataset.fmap / f"{name}_fieldmap.json", {"Units": "Hz"} | (content or {}))
    if magnitude:
        dataset.image(dataset.fmap / f"{name}_magnitude.nii.gz", 100.0, shape=dataset.shape)


def wassr_rows(dataset: Any) -> str:
    rows = ["volume_type offset_ppm b1_rms"]
    rows += [f"wassr {offset} 0.2" for offset in np.linspace(-1.0, 1.0, 11)]
    rows += [f"{'m0scan' if offset < -99 else 'cest'} {offset} 2" for offset in dataset.cest_offsets]
    return "\n".join(rows)


def test_a_dry_run_goes_on_without_a_wasabi_run_whose_images_are_refused(
    empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.cest()
    empty.wasabi()
    monkeypatch.setattr(CestRun, "check_images", lambda run: ())
    plan = empty.plan()
    (left,) = ImageChecks(root=empty.root).refuse([plan])
    assert left.cest == plan.cest

    def refuse_wasabi(run: CestRun) -> tuple[str, ...]:
        if run.kind == "wasabi":
            raise ContentError("its images hold one value")
        return ()

    monkeypatch.setattr(CestRun, "check_images", refuse_wasabi)
    (left,) = ImageChecks(root=empty.root).refuse([plan])
    (run,) = left.cest
    assert [refusal.file for refusal in left.refusals] == ["sub-01_acq-WASABI_cest"]
    assert (run.label, run.b0 and run.b0.method) == ("sub-01_acq-APTw_cest", "spectrum")
    assert "WASABI" in run.warnings[-1]


def test_sources_of_b0_from_the_best_to_the_spectrum(empty: Any) -> None:
    empty.cest(table=wassr_rows(empty), without=("SaturationOffset",), shape=(*empty.shape, 29))
    empty.wasabi()
    empty.cest(stem="sub-01_acq-B0_wassr")
    write_fieldmap(empty)
    run = spectrum(empty)
    assert run.roles.count("wassr") == 11
    assert run.b0 is not None
    assert (run.b0.method, run.b0.run) == ("wasabi", "sub-01_acq-WASABI_cest")
    assert run.b0.sentence == "The shift of water comes from the WASABI run sub-01_acq-WASABI_cest."
    for path in empty.anat.glob("*WASABI*"):
        path.unlink()
    run = spectrum(empty)
    assert run.b0 is not None
    assert (run.b0.method, run.b0.run) == ("wassr", "sub-01_acq-B0_wassr")
    for path in empty.anat.glob("*wassr*"):
        path.unlink()
    run = spectrum(empty)
    assert run.b0 is not None
    assert (run.b0.method, run.b0.run) == ("wassr", None)
    assert "the 11 WASSR volumes of the run itself" in run.b0.sentence
    empty.cest()
    (empty.anat / "sub-01_acq-APTw_cestcontext.tsv").unlink()
    run = spectrum(empty)
    assert run.b0 is not None
    assert (run.b0.method, run.b0.fieldmap.path, run.b0.fieldmap.magnitude) == (
        "fieldmap",
        empty.fmap / "sub-01_fieldmap.nii.gz",
        empty.fmap / "sub-01_magnitude.nii.gz",
    )
    assert run.warnings == ()
    shutil.rmtree(empty.fmap)
    run = spectrum(empty)
    assert run.b0 is not None
    assert run.b0.method == "spectrum"
    assert run.b0.sentence == (
        "The shift of water is read from the dip of the spectrum itself: the session has no WASABI run; there is no WASSR run and "
        "no wassr volume in the run; the session has no field map that can be used."
    )


@pytest.mark.parametrize("method", ["wasabi", "wassr", "fieldmap", "spectrum"])
def test_a_source_of_b0_that_is_asked_for(empty: Any, method: str) -> None:
    empty.cest()
    if method != "spectrum":
        (refusal,) = empty.plan(cest_b0=method).refusals
        assert refusal.key == "--cest-b0"
        assert "expected a" in str(refusal)
        assert "found none: the" in str(refusal)
        assert "run with --cest-b0 auto" in str(refusal)
    empty.wasabi()
    empty.cest(stem="sub-01_acq-B0_wassr")
    write_fieldmap(empty)
    run = spectrum(empty, cest_b0=method)
    assert run.b0 is not None
    assert run.b0.method == method
    assert "(--cest-b0)" in run.b0.sentence


def far_from_water(dataset: Any, nearest: float) -> None:
    """Write a spectrum without offsets near water."""
    offsets = [-300.0, *(sign * (nearest + 0.5 * step) for sign in (-1, 1) for step in range(6))]
    dataset.cest(change={"SaturationOffset": offsets}, shape=(*dataset.shape, len(offsets)))


def test_a_spectrum_without_b0_where_none_is_asked_for(empty: Any) -> None:
    far_from_water(empty, 1.5)
    run = spectrum(empty, cest_b0="none")
    assert run.b0 is not None
    assert (run.b0.method, run.takes) == ("none", ())
    assert run.b0.sentence.startswith(
        "B0 IS NOT CORRECTED: every voxel is taken to have water at its nominal frequency (--cest-b0)"
    )
    assert run.warnings[-1] == NOT_CORRECTED
    estimate = SimpleNamespace(status={"": np.ones(empty.shape, dtype=np.uint8)}, values={}, arrays={})
    results: Any = SimpleNamespace(estimate=estimate, motion=None, affine=np.eye(4), registrations={}, b1=None)
    (light,) = [check for check in checks(results, run, {}) if check.name == "B0"]
    assert (light.value, light.level) == ("not corrected", Level.CHECK)


def test_a_spectrum_far_from_water_needs_no_b0(empty: Any) -> None:
    far_from_water(empty, 8.0)
    empty.wasabi()
    run = spectrum(empty)
    assert run.b0 is not None
    assert (run.b0.method, run.warnings) == ("none", ())
    assert run.b0.sentence.startswith("B0 is not corrected: no offset is nearer to water than 8 ppm")
    asked = spectrum(empty, cest_b0="wasabi").b0
    assert asked is not None
    assert asked.method == "wasabi"


@pytest.mark.parametrize(("nearest", "stands_in"), [(0.5, True), (1.5, False)])
def test_a_dip_that_was_not_sampled_does_not_stand_in_for_a_failed_run(
    empty: Any, nearest: float, stands_in: bool
) -> None:
    far_from_water(empty, nearest)
    empty.wasabi()
    (take,) = spectrum(empty).takes
    assert (take.without is not None) == stands_in


def test_the_nearest_of_several_runs(empty: Any) -> None:
    for run in (1, 3):
        empty.wasabi(stem=f"sub-01_acq-WASABI_run-{run}_cest")
    empty.cest(stem="sub-01_acq-APTw_run-3_cest")
    run = spectrum(empty)
    assert run.b0 is not None
    assert run.b0.run == "sub-01_acq-WASABI_run-3_cest"
    assert "nearest by run and acq (the others: sub-01_acq-WASABI_run-1_cest)" in run.b0.sentence


def test_runs_of_another_session_are_not_taken(empty: Any) -> None:
    for session, write in (("a", empty.cest), ("b", empty.wasabi)):
        name = "APTw" if session == "a" else "WASABI"
        folder = empty.root / "sub-01" / f"ses-{session}" / "anat"
        write(stem=f"sub-01_ses-{session}_acq-{name}_cest", folder=folder)
    run = spectrum(empty)
    assert run.b0 is not None
    assert run.b0.method == "spectrum"


def test_field_map_of_the_run_among_several(empty: Any) -> None:
    empty.cest(change={"B0FieldSource": "shim"})
    for name in ("one", "two"):
        write_fieldmap(empty, name=f"sub-01_acq-{name}")
    run = spectrum(empty)
    assert run.b0 is not None
    assert "several field maps could be meant" in run.b0.sentence
    (refusal,) = empty.plan(cest_b0="fieldmap").refusals
    assert "several field maps could be meant (sub-01_acq-one_fieldmap.nii.gz, sub-01_acq-two" in str(refusal)
    write_fieldmap(empty, name="sub-01_acq-two", content={"B0FieldIdentifier": "shim"})
    run = spectrum(empty)
    assert run.b0 is not None
    assert run.b0.fieldmap.path == empty.fmap / "sub-01_acq-two_fieldmap.nii.gz"
    assert "B0FieldIdentifier is the B0FieldSource" in run.b0.sentence
    intended = {"IntendedFor": ["bids::sub-01/anat/sub-01_acq-APTw_cest.nii.gz"]}
    write_fieldmap(empty, name="sub-01_acq-one", content=intended)
    run = spectrum(empty)
    assert run.b0 is not None
    assert run.b0.fieldmap.path == empty.fmap / "sub-01_acq-one_fieldmap.nii.gz"
    (run,) = runs(empty, filters={"fieldmap": {"acquisition": "two"}})
    assert run.b0 is not None
    assert run.b0.fieldmap.path == empty.fmap / "sub-01_acq-two_fieldmap.nii.gz"


@pytest.mark.parametrize(
    ("content", "reason", "note"),
    [
        ({"IntendedFor": "func/sub-01_task-rest_bold.nii.gz"}, "intended for other files", ""),
        ({"Units": "ppm"}, "no field map that can be used", "Units: expected Hz or rad/s, found 'ppm'"),
        ({"Units": None}, "no field map that can be used", "Units: expected Hz or rad/s, found nothing"),
    ],
)
def test_field_maps_that_are_not_taken(empty: Any, content: dict[str, Any], reason: str, note: str) -> None:
    empty.cest()
    write_fieldmap(empty, content=content)
    plan = empty.plan()
    assert plan.cest[0].b0.method == "spectrum"
    assert reason in plan.cest[0].b0.sentence
    assert note in "".join(plan.notes)
    assert bool(plan.notes) == bool(note)


def test_field_map_without_magnitude(empty: Any) -> None:
    empty.cest()
    write_fieldmap(empty, magnitude=False)
    run = spectrum(empty)
    assert run.b0 is not None
    assert (run.b0.method, run.b0.fieldmap.magnitude) == ("fieldmap", None)
    assert "placed by scanner coordinates" in run.warnings[-1]
    empty.image(empty.fmap / "sub-01_magnitude.nii.gz", 100.0, shape=(3, 3, 3))
    assert "The magnitude is not used." in spectrum(empty).warnings[0]


# --- pulseq -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pulseq(empty: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file whose content does not matter, and a reader that plays APTw_3T_000."""
    from qmri_bids.pulseq import protocol as module

    path = empty.root / "code" / "apt.seq"
    path.parent.mkdir()
    path.write_text("# a pulseq file\n")

    def read(path: Path, *, root: Path | None = None, field_strength: float | None = None) -> Any:
        protocol = PROTOCOL_PRESETS["APTw_3T_000"]()
        return SimpleNamespace(protocol=protocol, warnings=("apt.seq: a doubt.",), sha256="0")

    monkeypatch.setattr(module, "read_seq_protocol", read)
    return empty


SCALARS = {"MagneticFieldStrength": 3, "SaturationB1RMS": 1.0, "PulseqFile": "bids::code/apt.seq"}


def write_pulseq(dataset: Any, *, table: str | None = None, **change: Any) -> None:
    dataset.cest(shape=(*dataset.shape, 34), table=table)
    dataset.json(dataset.anat / "sub-01_acq-APTw_cest.json", SCALARS | change)


@pytest.mark.parametrize("name", ["bids::code/apt.seq", "code/apt.seq"])
def test_pulseq_file_over_scalars(pulseq: Any, name: str) -> None:
    digest = hashlib.sha256((pulseq.root / "code" / "apt.seq").read_bytes()).hexdigest()
    write_pulseq(pulseq, PulseqFile=name, PulseqFileHash=f"sha256:{digest.upper()}")
    run = only_run(pulseq)
    assert run.protocol == PROTOCOL_PRESETS["APTw_3T_000"]()
    assert run.roles == ("m0", *("cest",) * 33)
    assert source_of(run, "offsets")[2] == "code/apt.seq: events"
    assert source_of(run, "pulseq_file")[0] == f"code/apt.seq (SHA-256 {digest[:12]}…)"
    assert run.warnings == (
        "apt.seq: a doubt.",
        "sub-01/anat/sub-01_acq-APTw_cest.json: SaturationB1RMS differs from code/apt.seq: events, which takes precedence "
        "and is used.",
    )


def test_table_and_arrays_over_pulseq_file(pulseq: Any) -> None:
    offsets = [-300.0, *np.linspace(-4.0, 4.0, 33) + 0.1]
    table = "volume_type offset_ppm\n" + "\n".join(
        f"{'cest' if index else 'm0scan'} {offset}" for index, offset in enumerate(offsets)
    )
    write_pulseq(pulseq, table=table, SaturationB1RMS=[3.0] * 34)
    run = only_run(pulseq)
    np.testing.assert_allclose(run.protocol.offsets, offsets)
    train = run.protocol.images[5].saturation
    assert train is not None
    assert (train.b1_rms, train.duration) == pytest.approx((3e-6, 2.0))


def test_real_pulseq_file(empty: Any) -> None:
    """The smallest sequence: an image without RF, then one block at each of five offsets, each with its ADC."""
    import pypulseq

    sequence = pypulseq.Sequence()
    adc = pypulseq.make_adc(num_samples=1, duration=1e-3)
    sequence.add_block(pypulseq.make_delay(3.0))
    sequence.add_block(adc)
    offsets = [-4.0, -2.0, 0.5, 2.0, 4.0]
    for offset in offsets:
        amplitude = 1.5e-6 * 42.5764e6
        block = pypulseq.make_block_pulse(
            flip_angle=2.0 * np.pi * amplitude * 0.5, duration=0.5, freq_offset=offset * 127.7292, use="saturation"
        )
        sequence.add_block(pypulseq.make_delay(3.0))
        sequence.add_block(block)
        sequence.add_block(adc)
    sequence.set_definition("B0", 3.0)
    path = empty.root / "code" / "five.seq"
    path.parent.mkdir()
    sequence.write(str(path))
    empty.cest(shape=(*empty.shape, 6))
    write_fieldmap(empty)  # five offsets do not show where water is
    empty.json(empty.anat / "sub-01_acq-APTw_cest.json", {"MagneticFieldStrength": 3, "PulseqFile": "code/five.seq"})
    run = only_run(empty)
    assert run.roles == ("m0", *("cest",) * 5)
    np.testing.assert_allclose(run.protocol.offsets[1:], offsets, atol=1e-3)
    train = run.protocol.images[3].saturation
    assert train is not None
    assert train.b1_rms == pytest.approx(1.5e-6, rel=1e-3)
