"""The excitation pulse of a pc-bSSFP run: what states it, what goes before what, and what is refused."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pypulseq
import pytest

PULSE_KEYS = ("RFPulseDuration", "RFPulseShape", "RFPulseTimeBandwidthProduct")


def read(raw: Any, *, without: tuple[str, ...] = PULSE_KEYS, options: Any = None, **change: Any) -> Any:
    """Return the run of a dataset whose sidecars state `change` of the pulse."""
    raw.pcbssfp(change=change, without=tuple(key for key in without if key not in change))
    (run,) = raw.plan(**(options or {})).pcbssfp
    return run


def pulse_sources(run: Any) -> dict[str, str]:
    return {
        source.key: f"{source.value} {source.unit}".strip() for source in run.sources if source.key.startswith("excit")
    }


@pytest.mark.parametrize(
    ("stated", "shape"),
    [("rect", "rect"), ("HARD", "rect"), ("Block", "rect"), ("GAUSS", "gauss"), ("Sinc", "sinc")],
)
def test_shapes_by_name(raw: Any, stated: str, shape: str) -> None:
    run = read(raw, RFPulseDuration=0.5e-3, RFPulseShape=stated, RFPulseTimeBandwidthProduct=4)
    assert run.pulse.form == shape
    assert run.pulse.duration == 0.5e-3
    assert pulse_sources(run)["excitation_pulse"] == shape
    assert pulse_sources(run)["excitation_pulse_duration"] == "0.5 ms"
    unused = [each for each in run.warnings if "RFPulseTimeBandwidthProduct is not used" in each]
    assert bool(unused) == (shape != "sinc")


def test_every_value_names_its_file(raw: Any) -> None:
    run = read(
        raw,
        RFPulseDuration=1e-3,
        RFPulseShape="sinc",
        RFPulseTimeBandwidthProduct=6,
        RFPulseDurationStandardDeviation=5e-5,
    )
    assert run.warnings == ()
    assert run.pulse.duration_stdev == 5e-5
    assert pulse_sources(run) == {
        "excitation_pulse": "sinc",
        "excitation_pulse_time_bandwidth": "6",
        "excitation_pulse_duration_stdev": "0.05 ms",
        "excitation_pulse_duration": "1 ms",
    }
    assert all("_VFA.json: RFPulse" in each.source for each in run.sources if each.key.startswith("excitation"))


def test_a_sinc_without_product_is_said(raw: Any) -> None:
    run = read(raw, RFPulseDuration=1e-3, RFPulseShape="sinc")
    assert "RFPulseTimeBandwidthProduct of the sinc is missing; 2.7 is assumed" in run.warnings[0]


def test_samples_go_before_a_name(raw: Any) -> None:
    run = read(raw, RFPulseDuration=1e-3, RFPulseShape="sinc", RFPulseSamples=[1, 2.5, 2.5, 1])
    assert run.pulse.form == "4 samples"
    assert run.pulse.shape[0] / run.pulse.shape[16] == pytest.approx(0.4)
    assert "RFPulseSamples goes before RFPulseShape, which is not used" in run.warnings[0]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({}, "RFPulseDuration and RFPulseShape or RFPulseSamples are missing"),
        ({"RFPulseDuration": 1e-3}, "RFPulseShape or RFPulseSamples is missing"),
        ({"RFPulseShape": "rect"}, "RFPulseDuration is missing"),
    ],
)
def test_what_is_not_known_is_said_once_with_its_size(raw: Any, change: dict[str, Any], missing: str) -> None:
    run = read(raw, **change)
    assert run.pulse is None
    (said,) = run.warnings
    for part in (missing, "3.5 % high on resonance", "25 % low at 300 Hz", "--excitation-pulse SHAPE:MILLISECONDS"):
        assert part in said


def test_simulations_have_pulses_without_duration(raw: Any) -> None:
    run = read(raw, RFPulseDuration=0)
    assert run.pulse is None
    assert run.warnings == ()
    assert pulse_sources(run) == {"excitation_pulse_duration": "0 ms"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"RFPulseDuration": 1},
            ["RFPulseDuration: expected a duration up to 0.0048 s", "milliseconds", "write 0.001"],
        ),
        ({"RFPulseDuration": 500}, ["found 500, which looks like microseconds", "write 0.0005"]),
        ({"RFPulseDuration": -1e-3}, ["found -0.001"]),
        (
            {"RFPulseDuration": 6e-3, "RFPulseShape": "rect"},
            ["found 0.006. Correct RFPulseDuration", "how long it can be"],
        ),
        ({"RFPulseDuration": 6e4}, ["found 60000", "EchoTime and RepetitionTimeExcitation say"]),
        ({"RFPulseDuration": "1 ms"}, ["RFPulseDuration", "found '1 ms'"]),
        ({"RFPulseShape": "slr"}, ["RFPulseShape: expected the shape", "rect, sinc, gauss", "found 'slr'"]),
        ({"RFPulseShape": 3}, ["RFPulseShape", "found 3"]),
        ({"RFPulseSamples": [1, -1]}, ["RFPulseSamples: expected an array", "2 samples with a sum of 0"]),
        ({"RFPulseSamples": []}, ["RFPulseSamples", "found []"]),
        ({"RFPulseSamples": [1, "2"]}, ["RFPulseSamples", "'2'"]),
        ({"RFPulseSamples": 1}, ["RFPulseSamples", "found 1"]),
        ({"RFPulseTimeBandwidthProduct": 0}, ["RFPulseTimeBandwidthProduct", "above 0 and up to 30, found 0"]),
        (
            {"RFPulseDurationStandardDeviation": 0.1},
            ["RFPulseDurationStandardDeviation", "below that (0.001), found 0.1"],
        ),
    ],
)
def test_refusals(raw: Any, refusal: Callable[..., str], change: dict[str, Any], parts: list[str]) -> None:
    raw.pcbssfp(change=change)
    text = refusal()
    assert text.startswith("sub-01/anat/sub-01_acq-pcbssfp_flip-1")
    for part in parts:
        assert part in text


def test_files_of_a_run_that_disagree(raw: Any, refusal: Callable[..., str]) -> None:
    raw.pcbssfp(change={"RFPulseSamples": [1, 2]})
    path = raw.anat / f"{raw.stem}_part-phase_VFA.json"
    raw.json(path, raw.metadata | {"Units": "rad", "RFPulseSamples": [1, 3]})
    assert "RFPulseSamples: expected the samples of" in refusal()


def test_the_option_goes_before_files_and_says_so(raw: Any) -> None:
    run = read(raw, RFPulseDuration=1e-3, RFPulseShape="sinc", options={"excitation_pulse": ("rect", 0.5e-3)})
    assert run.pulse.name == "rect of 0.5 ms"
    assert {each.source for each in run.sources if each.key.startswith("excitation")} == {"--excitation-pulse"}
    assert "--excitation-pulse goes before RFPulseDuration, RFPulseShape, which are not used" in run.warnings[0]
    assert read(raw, options={"excitation_pulse": ("rect", 0.5e-3)}).warnings == ()


def test_an_option_that_does_not_fit(raw: Any, refusal: Callable[..., str]) -> None:
    raw.pcbssfp()
    (refused,) = raw.plan(excitation_pulse=("rect", 6e-3)).refusals
    assert str(refused).startswith("--excitation-pulse: MILLISECONDS: expected a duration up to 4.8 ms")


def sequence(path: Path, *, pulses: tuple[Any, ...], adc: bool = True) -> str:
    """Write a .seq file that plays excitations, each with its echo, and return its SHA-256."""
    seq = pypulseq.Sequence()
    echo = pypulseq.make_adc(num_samples=16, duration=1e-3)
    for pulse in pulses:
        seq.add_block(pulse)
        if adc:
            seq.add_block(pypulseq.make_delay(0.5e-3))
            seq.add_block(echo)
    path.parent.mkdir(exist_ok=True)
    seq.write(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def block(angle: float = 15.0, *, duration: float = 1e-3, phase: float = 0.0, offset: float = 0.0) -> Any:
    return pypulseq.make_block_pulse(
        flip_angle=math.radians(angle), duration=duration, phase_offset=phase, freq_offset=offset, use="excitation"
    )


def test_the_pulse_of_a_sequence(raw: Any) -> None:
    path = raw.root / "code" / "bssfp.seq"
    digest = sequence(path, pulses=(block(7.5), block(phase=1.0), block(phase=2.0)))
    run = read(raw, PulseqFile="bids::code/bssfp.seq", PulseqFileHash=digest, RFPulseDuration=2e-3)
    assert run.pulse.duration == pytest.approx(1e-3)
    assert np.ptp(run.pulse.shape) < 1e-6
    assert run.pulse.name == "bssfp.seq of 1 ms"
    assert run.warnings == (
        f"sub-01/anat/{raw.stem}_part-mag_VFA.json: PulseqFile goes before RFPulseDuration, which is not used.",
    )
    assert "PulseqFile (SHA-256" in next(each.source for each in run.sources if each.key == "excitation_pulse")


def test_a_shaped_pulse_of_a_sequence(raw: Any) -> None:
    pulse = pypulseq.make_sinc_pulse(
        flip_angle=math.radians(15.0), duration=2e-3, time_bw_product=4, apodization=0.5, use="excitation"
    )
    sequence(raw.root / "code" / "bssfp.seq", pulses=(pulse,), adc=False)
    run = read(raw, PulseqFile="code/bssfp.seq")
    shape = np.array(run.pulse.shape)
    time = (np.arange(32) + 0.5) / 32 - 0.5
    expected = np.sinc(4 * time) * (0.5 + 0.5 * np.cos(2 * np.pi * time))
    np.testing.assert_allclose(shape / shape.max(), expected / expected.max(), atol=0.01)


def test_a_sequence_of_another_flip_angle_is_doubted(raw: Any) -> None:
    sequence(raw.root / "code" / "bssfp.seq", pulses=(block(30.0),))
    assert "turn by 30°, FlipAngle is 15°" in read(raw, PulseqFile="code/bssfp.seq").warnings[0]


@pytest.mark.parametrize(
    ("pulses", "found"),
    [
        ((block(), block(duration=0.5e-3)), "the RF of block 1 of 1 ms and the RF of block 4 of 0.5 ms, which differ"),
        ((block(offset=100.0),), "the RF of block 1 of 1 ms at 100 Hz"),
        ((block(duration=6e-3),), "found 6 ms"),
        ((), "found no RF"),
    ],
)
def test_sequences_that_are_refused(raw: Any, refusal: Callable[..., str], pulses: tuple[Any, ...], found: str) -> None:
    path = raw.root / "code" / "bssfp.seq"
    if pulses:
        sequence(path, pulses=pulses)
    else:
        seq = pypulseq.Sequence()
        seq.add_block(pypulseq.make_delay(1e-3))
        path.parent.mkdir()
        seq.write(str(path))
    raw.pcbssfp(change={"PulseqFile": "code/bssfp.seq"})
    text = refusal()
    assert text.startswith("code/bssfp.seq: [RF]: expected")
    assert found in text


def test_a_sequence_that_is_not_there(raw: Any, refusal: Callable[..., str]) -> None:
    raw.pcbssfp(change={"PulseqFile": "bids::code/none.seq"})
    assert "PulseqFile: expected a .seq file of this dataset" in refusal()
