"""The nodes that leave volumes out of the estimation, on volumes of noise with a motion made by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import z_spectrum
from qmri_bids.pipeline.motion.nodes import CensorCycles
from qmri_bids.pipeline.motion.series_nodes import AlignSeries
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.preprocessing.motion import saturated as saturated_motion
from qmri_bids.preprocessing.motion.saturated import SaturatedMotion
from qmri_bids.scans.saturation.estimates import _roles_of

SHAPE = (5, 6, 7)


@dataclass(frozen=True)
class Run:
    protocol: BssfpProtocol


def censor(folder, displacement, *, estimator="ml", threshold=0.5e-3):
    rng = np.random.default_rng(0)
    number = len(displacement)
    cycles = (rng.standard_normal((*SHAPE, number)) + 1j).astype(np.complex64)
    path = save_volume(folder / "cycles.nii", cycles, np.eye(4))
    np.savez(folder / "in.npz", framewise_displacement=np.asarray(displacement), reference=number // 2)
    node = CensorCycles(
        run=Run(simulated_protocol(phase_cycles=number)),
        cycles=path,
        motion=str(folder / "in.npz"),
        threshold=threshold,
        estimator=estimator,
    )
    return cycles, node.run(cwd=str(folder)).outputs


def test_estimation_gets_the_cycles_that_are_left_and_the_table_all(tmp_path):
    displacement = [0.0, 0.1e-3, 2e-3, 0.3e-3, 0.1e-3, 0.9e-3]
    cycles, found = censor(tmp_path, displacement)
    kept = [0, 1, 3, 4]
    full = simulated_protocol(phase_cycles=6).rf_phase_increment
    np.testing.assert_array_equal(load_volume(found.cycles)[0], cycles[..., kept])
    assert found.protocol.rf_phase_increment == tuple(full[index] for index in kept)
    assert found.run.protocol == found.protocol
    with np.load(found.motion) as motion:
        assert np.flatnonzero(motion["censored"]).tolist() == [2, 5]
        np.testing.assert_array_equal(motion["rf_phase_increment"], full)
    assert "2 of 6 cycles left out" in found.warnings[0]


def test_too_few_cycles_and_increments_that_no_estimator_serves_fail(tmp_path):
    with pytest.raises(ValueError, match="left 2 of 4 cycles, expected at least 3"):
        censor(tmp_path, [0.0, 1e-3, 1e-3, 0.0])
    with pytest.raises(ValueError, match="which the estimator does not serve: expected evenly spaced"):
        censor(tmp_path, [0.0, 0.0, 1e-3, 0.0, 0.0, 0.0], estimator="miracle")


def test_images_of_spectra_that_moved_are_no_part_of_the_estimation(tmp_path, monkeypatch):
    protocol = z_spectrum(
        Saturation(pulse=Pulse.block(amplitude=1e-6, duration=1.0)), np.array([-3.0, 0.0, 3.0]), recovery=3.0
    )
    roles = ["m0", "cest", "cest", "cest"]
    displacement = np.array([0.0, 0.1e-3, 1.2e-3, 0.2e-3])

    def align(series, **_):
        return SaturatedMotion(
            volumes=series,
            transforms=np.tile(np.eye(4), (4, 1, 1)),
            parameters=np.zeros((4, 6)),
            centre=np.zeros(3),
            framewise_displacement=displacement,
            coverage=np.ones(SHAPE, dtype=bool),
            reference=1,
            trusted=np.ones(4, dtype=bool),
            assessed=np.ones(6, dtype=bool),
            remaining=np.zeros(4),
            decisions=("Aligned.",),
        )

    monkeypatch.setattr(saturated_motion, "correct_saturated_motion", align)
    path = save_volume(tmp_path / "series.nii", np.ones((*SHAPE, 4), dtype=np.float32), np.eye(4))
    known = {"protocol": protocol, "roles": roles, "kind": "zspectrum", "series": path, "threshold": 0.5e-3}
    found = AlignSeries(**known).run(cwd=str(tmp_path)).outputs
    assert "1 of 4 volumes left out" in found.warnings[0]
    assert _roles_of(SimpleNamespace(motion=found.motion), roles) == ("m0", "cest", "left out", "cest")
    with pytest.raises(ValueError, match="volumes of a fingerprint"):
        AlignSeries(**known, droppable=False).run(cwd=str(tmp_path))
