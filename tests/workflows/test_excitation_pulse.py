"""The duration of the excitation pulse from the node of the estimation to sidecar, methods and picture."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.scans.bssfp import outputs
from qmri_bids.scans.bssfp.hard_cycles import drawn_without_duration
from qmri_bids.scans.bssfp.methods import relaxometry_sentences
from qmri_bids.scans.bssfp.run import CycleFiles, PcBssfpRun
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation, init_pcbssfp_wf

SHAPE = (12, 5, 4)
PULSE = ExcitationPulse.of("rect", 1e-3, duration_stdev=2e-5)
PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=8, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
RUN = PcBssfpRun(
    entities={"sub": "01"},
    suffix="VFA",
    layout_kind="complex",
    files=CycleFiles(),
    grid=SHAPE,
    protocol=PROTOCOL,
    b1=None,
    sources=(
        ValueSource(key="flip_angle", value="15", unit="deg", source="a.json: FlipAngle"),
        ValueSource(key="excitation_pulse", value="rect", unit="", source="a.json: RFPulseShape"),
        ValueSource(key="excitation_pulse_duration", value="1", unit="ms", source="a.json: RFPulseDuration"),
    ),
    warnings=(),
    pulse=PULSE,
)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A block of one tissue whose field grows over one period and a half of 1/TR."""
    folder, rng = tmp_path_factory.mktemp("scan"), np.random.default_rng(2)
    voxels = math.prod(SHAPE)
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=tuple(PROTOCOL.rf_phase_increment),
        pulse=RfPulse.rect(1e-3),
    )
    field = np.repeat(np.linspace(-150.0, 150.0, SHAPE[0]), voxels // SHAPE[0])
    ones = np.ones(voxels)
    cycles = simulate_cycles(ones, 0.07 * ones, ones, field, ones.astype(complex), sequence=sequence)
    cycles += 2e-4 * rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0]
    return {
        "cycles": save_volume(folder / "cycles.nii", cycles.reshape(*SHAPE, 8).astype(np.complex64), np.eye(4)),
        "mask": save_volume(folder / "mask.nii", np.ones(SHAPE, dtype=bool), np.eye(4)),
    }


def estimated(scan: dict[str, str], folder: Path, **more: Any) -> Any:
    folder.mkdir()
    node = EstimateRelaxation(protocol=PROTOCOL, estimator="ml", posterior="uniform-extended", **scan, **more)
    return node.run(cwd=str(folder)).outputs


def test_maps_of_a_known_pulse(scan: dict[str, str], tmp_path: Path) -> None:
    blind = np.load(estimated(scan, tmp_path / "blind").estimate)["T1"]
    found = estimated(scan, tmp_path / "known", pulse=PULSE, pulse_source="a.json: RFPulseShape")
    t1 = np.load(found.estimate)["T1"]
    assert np.abs(np.median(blind, axis=(1, 2)) - 1.0).max() > 0.03
    assert np.abs(np.median(t1, axis=(1, 2)) - 1.0).max() < 0.005
    assert any(
        each.startswith("The excitation pulse takes time (rect of 1 ms, from a.json: RFPulseShape)")
        for each in found.decisions
    )


def test_the_picture_of_the_profile_shows_what_was_fitted(scan: dict[str, str], tmp_path: Path) -> None:
    found = np.load(estimated(scan, tmp_path / "known", pulse=PULSE).estimate)
    cycles = load_volume(scan["cycles"])[0].reshape(-1, 8)
    field = np.repeat(np.linspace(-150.0, 150.0, SHAPE[0]), len(cycles) // SHAPE[0])
    maps = SimpleNamespace(values={name: found[name].ravel() for name in ("T1", "T2")})
    drawn = drawn_without_duration(
        cycles, maps, b1=np.ones(len(cycles)), off_resonance=field, pulse=PULSE, protocol=PROTOCOL
    )
    change = np.abs(np.abs(drawn) / np.abs(cycles) - 1.0)
    assert 0.01 < np.median(change) < 0.05
    maps.values["T1"] = np.full(len(cycles), np.nan)
    unknown = drawn_without_duration(
        cycles, maps, b1=np.ones(len(cycles)), off_resonance=field, pulse=PULSE, protocol=PROTOCOL
    )
    np.testing.assert_array_equal(unknown, cycles)


def test_the_workflow_hands_the_pulse_on(tmp_path: Path) -> None:
    places = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "report_file": tmp_path / "report"}
    options = ProcessingOptions(estimator="ml", ignore=("gibbs", "motion", "calibration"))
    known = init_pcbssfp_wf(run=RUN, options=options, **places)
    inputs = known.get_node("estimate_relaxation").inputs
    assert inputs.pulse == PULSE
    assert inputs.pulse_source == "a.json: RFPulseShape, RFPulseDuration"
    assert "The duration of the excitation pulses was taken out of the cycles." in known.__desc__
    unknown = init_pcbssfp_wf(run=replace(RUN, pulse=None), options=options, **places)
    assert "duration" not in unknown.__desc__


def test_what_sidecar_and_methods_say() -> None:
    content = outputs.pulse_metadata(PULSE)
    assert content == {
        "Shape": "rect",
        "Duration": 1e-3,
        "RelativeB1": [1.0] * 32,
        "DurationStandardDeviation": 2e-5,
    }
    options = ProcessingOptions(estimator="ml")
    said = " ".join(sentence.text.format(**sentence.values) for sentence in relaxometry_sentences([RUN], options))
    assert "The duration of the excitation pulses (rect of 1 ms) was accounted for" in said
    said = " ".join(
        sentence.text.format(**sentence.values)
        for sentence in relaxometry_sentences([replace(RUN, pulse=None)], options)
    )
    assert "Excitation pulses were taken to need no time." in said
