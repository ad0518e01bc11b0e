"""What the calibration of cycles hands on: cycles that are left, the motion with what was left out, table, light and picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.motion.nodes import CalibrateCycles
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.reports.content import Level
from qmri_bids.reports.figure_table import calibration_figure
from qmri_bids.scans.bssfp.outputs import calibration_light

SHAPE = (16, 16, 14)
PROTOCOL = BssfpProtocol.evenly_spaced(number_of_cycles=8, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)


@dataclass(frozen=True)
class Run:
    protocol: BssfpProtocol


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Cycles 1 and 3 to 8 of eight, the second was left out before; of these the fourth of the scan holds another profile."""
    folder, rng = tmp_path_factory.mktemp("scan"), np.random.default_rng(0)
    voxels, single = int(np.prod(SHAPE)), np.float32
    cycles = balanced_signal(
        rng.uniform(0.8, 1.4, voxels).astype(single), rng.uniform(0.05, 0.09, voxels).astype(single), np.ones(voxels, single),
        np.linspace(-90.0, 90.0, voxels).astype(single), np.ones(voxels, np.complex64),
        4.8e-3, 2.4e-3, 0.26, np.array(PROTOCOL.rf_phase_increment),
    )  # fmt: skip
    cycles += 0.002 * rng.standard_normal((*cycles.shape, 2)) @ np.array([1.0, 1j])
    cycles[:, 3] = cycles[:, 3][::-1]
    kept = np.delete(np.arange(8), 1)
    np.savez(
        folder / "motion.npz", censored=np.arange(8) == 1, rf_phase_increment=PROTOCOL.rf_phase_increment, reference=4
    )
    return {
        "cycles": save_volume(
            folder / "cycles.nii", cycles[:, kept].reshape(*SHAPE, 7).astype(np.complex64), np.eye(4)
        ),
        "mask": save_volume(folder / "mask.nii", np.ones(SHAPE, dtype=bool), np.eye(4)),
        "motion": str(folder / "motion.npz"),
    }


def calibrated(scan: dict[str, str], folder: Path, *, estimator: str) -> Any:
    kept = tuple(PROTOCOL.rf_phase_increment[index] for index in np.delete(np.arange(8), 1))
    folder.mkdir()
    protocol = BssfpProtocol(repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26, rf_phase_increment=kept)
    return CalibrateCycles(run=Run(protocol), estimator=estimator, **scan).run(cwd=str(folder)).outputs


def test_a_cycle_left_out_is_left_out_everywhere(scan: dict[str, str], tmp_path: Path) -> None:
    found = calibrated(scan, tmp_path / "ml", estimator="ml")
    assert load_volume(found.cycles)[0].shape == (*SHAPE, 6)
    expected = tuple(PROTOCOL.rf_phase_increment[index] for index in (0, 2, 4, 5, 6, 7))
    assert found.protocol.rf_phase_increment == found.run.protocol.rf_phase_increment == expected
    assert "Cycle 4 does not follow" in found.warnings[0]
    with np.load(found.motion) as motion:
        assert np.flatnonzero(motion["censored"]).tolist() == [1, 3]
        np.testing.assert_allclose(motion["rf_phase_increment"], PROTOCOL.rf_phase_increment)
    with np.load(found.calibration) as stored:
        calibration = dict(stored)
    assert np.flatnonzero(calibration["left_out"]).tolist() == [3]
    assert np.flatnonzero(np.isnan(calibration["gain"])).tolist() == [1, 3]
    light = calibration_light(calibration)
    assert light.level == Level.CHECK
    assert light.value == "cycle 4 left out"
    picture = calibration_figure(calibration)
    assert picture is not None
    assert "does not follow the others (red): 4." in picture.caption


def test_a_cycle_stays_where_the_estimator_takes_even_increments_alone(scan: dict[str, str], tmp_path: Path) -> None:
    found = calibrated(scan, tmp_path / "miracle", estimator="miracle")
    assert load_volume(found.cycles)[0].shape == (*SHAPE, 7)
    assert "used all the same" in found.warnings[0]
    with np.load(found.calibration) as stored:
        assert not stored["left_out"].any()
        assert calibration_light(dict(stored)).level == Level.GOOD


def test_nothing_known_is_no_picture() -> None:
    unknown = np.full(4, np.nan)
    names = ("frequency", "frequency_stdev", "gain", "gain_stdev")
    assert calibration_figure({"left_out": np.zeros(4, dtype=bool)} | dict.fromkeys(names, unknown)) is None
