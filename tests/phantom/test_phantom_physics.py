"""Heads with finite pulses and magnetisation transfer, and cycles whose frequency and gain differ."""

import json
import math

import numpy as np
import pytest

from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.cli.tools import main
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.phantom.files.raw import played_pulse
from qmri_bids.phantom.heads.head import Sample
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.phantom.scans.acquisition import bssfp_signal
from qmri_bids.phantom.scans.physics import Physics, PhysicsSettings
from qmri_bids.phantom.scans.semisolid import Semisolid
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.signals.bloch.sequence import RfPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.bssfp.pulse import read_pulse

NO_RECEIVER = np.zeros(7)
TRAPEZE = RfPulse(duration=1e-3, shape=(0.5, 1.0, 1.0, 0.5))
PROTOCOL = simulated_protocol(phase_cycles=4)
SMALL = {"matrix": (24, 28, 24), "voxel_size": 8.0, "phase_cycles": 4, "b1": "none", "layout": "complex"}


@pytest.fixture(scope="module")
def sample() -> Sample:
    n = 4
    return Sample(
        label=np.array([Label.WM, Label.GM, Label.CSF, Label.FAT], dtype=np.uint8),
        t1=np.array([0.939, 1.4, 4.0, 0.371], dtype=np.float32),
        t2=np.array([0.062, 0.085, 1.5, 0.133], dtype=np.float32),
        m0=np.ones(n, dtype=np.float32),
        off_resonance=np.array([20.0, -30.0, 70.0, 0.0], dtype=np.float32),
        chemical_shift=np.array([0.0, 0.0, 0.0, -434.0], dtype=np.float32),
        b1=np.ones(n, dtype=np.float32),
        share=np.ones(n, dtype=np.float32),
    )


def _signal(sample: Sample, physics: Physics | None, cycles: tuple[int, ...] = (0, 1, 2, 3)) -> np.ndarray:
    points = np.zeros((3, len(sample.t1)))
    return bssfp_signal(sample, points, protocol=PROTOCOL, cycles=cycles, receiver=NO_RECEIVER, physics=physics)


def test_full_physics_of_a_short_pulse_is_the_closed_form_but_for_the_semisolid_pool(sample):
    full = _signal(sample, Physics(pulse=RfPulse.rect(1e-6), semisolid=Semisolid()))
    simple = _signal(sample, None)
    alone = np.array([Semisolid().pool(int(label)) is None for label in sample.label])
    np.testing.assert_allclose(full[alone], simple[alone], atol=1e-4)
    assert np.abs(full[~alone] - simple[~alone]).max(axis=1).min() > 0.01


@pytest.mark.parametrize("pulse", [None, RfPulse.rect(1e-3)], ids=["simple", "full"])
def test_every_cycle_has_its_own_frequency_and_gain(sample, pulse):
    drift, gain = (-3.0, -1.0, 1.0, 3.0), (0.9, 1.0, 1.1, 1.05)
    pools = None if pulse is None else Semisolid()
    found = _signal(sample, Physics(pulse=pulse, semisolid=pools, drift=drift, gain=gain))
    for cycle in range(4):
        shifted = Sample(**{**vars(sample), "off_resonance": sample.off_resonance + np.float32(drift[cycle])})
        expected = gain[cycle] * _signal(shifted, Physics(pulse=pulse, semisolid=pools), (cycle,))[:, 0]
        np.testing.assert_allclose(found[:, cycle], expected, atol=1e-6)
    # Cycles that are asked for alone are the same.
    np.testing.assert_array_equal(
        _signal(sample, Physics(pulse=pulse, semisolid=pools, drift=drift, gain=gain), (1, 3)), found[:, [1, 3]]
    )


def test_drift_is_straight_with_scatter_and_has_no_mean():
    physics = PhysicsSettings(drift=10.0, gain_scatter=1.0)
    drawn = [physics.of((seed, 1, 1), cycles=12) for seed in range(200)]
    assert drawn[0] == physics.of((0, 1, 1), cycles=12) != drawn[1]
    drift, gain = np.array([each.drift for each in drawn]), np.array([each.gain for each in drawn])
    np.testing.assert_allclose(drift.mean(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(drift.mean(axis=0), np.linspace(-5.0, 5.0, 12), atol=0.15)
    assert (drift - drift.mean(axis=0)).std() == pytest.approx(0.5, rel=0.1)
    assert np.log(gain).std() == pytest.approx(0.01, rel=0.1)
    assert PhysicsSettings().of((0, 1, 1), cycles=12) == Physics()


def test_a_dataset_says_what_physics_it_has(tmp_path):
    physics = PhysicsSettings(physics="full", excitation_pulse="rect:1", drift=10.0, gain_scatter=1.0)
    simulate_dataset(tmp_path / "full", **SMALL, physics=physics)
    sidecar = json.loads(next((tmp_path / "full" / "sub-01" / "anat").glob("*_VFA.json")).read_text())
    assert sidecar["RFPulseDuration"] == 1e-3
    assert sidecar["RFPulseShape"] == "rect"
    told = (tmp_path / "full" / "README.md").read_text()
    assert "| excitation pulse | rect, 1 ms |" in told
    assert "exchange with a semisolid pool, the same in all scans of the session" in told
    assert "| semisolid pool of all scans | R1 1 1/s, Lorentzian line of T2 40 µs, on resonance G(0) 12.7 µs; " in told
    assert "GM 0.063 and 40 1/s, WM 0.112 and 29 1/s, MUSCLE 0.07 and 40 1/s" in told
    assert "desc-cycles_timeseries.tsv" in told
    (table,) = (tmp_path / "full" / "derivatives" / "truth").rglob("*desc-cycles_timeseries.tsv")
    head, *rows = table.read_text().splitlines()
    assert head.split("\t") == ["rf_phase_increment", "frequency_offset", "gain"]
    values = np.array([row.split("\t") for row in rows], dtype=float)
    drawn = physics.of((0, 1, 1), cycles=4)
    np.testing.assert_allclose(values[:, 1:], np.stack([drawn.drift, drawn.gain], axis=1), atol=1e-6)


@pytest.mark.parametrize("pulse", [RfPulse.rect(0.5e-3), RfPulse.sinc(1e-3), RfPulse.gauss(1e-3), TRAPEZE])
def test_the_pulse_that_was_played_is_read_back(pulse, tmp_path):
    sidecar = played_pulse(pulse)
    stated = Sidecar(file="a.nii.gz", expected_name="a.json", values=sidecar, origins=dict.fromkeys(sidecar, "a.json"))
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=4, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26
    )
    found = read_pulse([stated], root=tmp_path, protocol=protocol)
    assert found.warnings == ()
    assert found.pulse.duration == pulse.duration
    played = np.repeat(pulse.shape, 32 // len(pulse.shape))
    np.testing.assert_allclose(
        np.array(found.pulse.shape) / np.sum(found.pulse.shape), played / played.sum(), rtol=1e-9
    )


def test_the_closed_form_has_pulses_without_duration():
    assert played_pulse(None) == {"RFPulseDuration": 0.0}


def test_settings_without_meaning_are_refused(tmp_path, capsys):
    for given, message in (
        (("--physics", "full", "--excitation-pulse", "box:1"), "an excitation pulse is SHAPE:MILLISECONDS"),
        (("--excitation-pulse", "rect:1"), "an excitation pulse belongs to full physics"),
        (("--gain-scatter", "-1"), "gain scatter must lie in [0, 50] percent"),
        (("--drift", "nan"), "drift must be a number of Hz"),
        (("--semisolid-r1", "2"), "line, T2 and R1 of the semisolid pool belong to full physics"),
        (("--physics", "full", "--semisolid-r1", "fast"), "must be a number of 1/s or 'water', found 'fast'"),
        (("--physics", "full", "--semisolid-r1", "0"), "R1 of the semisolid pool must be above 0 1/s, found 0"),
        (("--physics", "full", "--semisolid-r1", "30"), "an inversion recovery can find T1 of the head"),
        (("--physics", "full", "--semisolid-t2", "0.04"), "must lie in [1, 1000] µs, found 0.04 µs"),
    ):
        assert main(["simulate", str(tmp_path / "out"), *given]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert math.isclose(PhysicsSettings(physics="full").pulse.duration, 1e-3)
