"""The same maps again: to the bit, whatever the threads; the seed reaches what is drawn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.motion.nodes import CalibrateCycles
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation

SHAPE = (12, 12, 12)
PROTOCOL = BssfpProtocol.evenly_spaced(number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return noisy cycles whose receive phase drifts, and their mask."""
    folder = tmp_path_factory.mktemp("scan")
    rng = np.random.default_rng(0)
    t1, t2 = rng.uniform(0.6, 2.0, SHAPE), rng.uniform(0.04, 0.1, SHAPE)
    cycles = signal(t1, t2, b1=np.ones(SHAPE), off_resonance=rng.uniform(-40, 40, SHAPE), protocol=PROTOCOL)
    slope = np.linspace(-0.1, 0.1, SHAPE[0])[:, None, None, None] * np.linspace(-1.0, 1.0, 12)
    noise = rng.standard_normal((*cycles.shape, 2)) @ np.array([1.0, 1j]) * 0.01 * np.abs(cycles).mean()
    return {
        "cycles": save_volume(
            folder / "cycles.nii", (cycles * np.exp(1j * slope) + noise).astype(np.complex64), np.eye(4)
        ),
        "mask": save_volume(folder / "mask.nii", np.ones(SHAPE, dtype=bool), np.eye(4)),
    }


def outputs(interface: Any, folder: Path, *, torch_threads: int) -> Any:
    """Run an interface in a folder, torch set to a number of threads before."""
    folder.mkdir()
    before = torch.get_num_threads()
    torch.set_num_threads(torch_threads)
    try:
        return interface.run(cwd=str(folder)).outputs
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("estimator", ["pinn", "pinn-bare"])
def test_maps_do_not_depend_on_threads(estimator: str, scan: dict[str, str], tmp_path: Path):
    found = []
    for threads in (1, 3):
        node = EstimateRelaxation(protocol=PROTOCOL, estimator=estimator, processes=threads, **scan)
        path = outputs(node, tmp_path / str(threads), torch_threads=threads).estimate
        with np.load(path) as stored:
            found.append({name: stored[name] for name in stored.files})
    assert np.isfinite(found[0]["T1"]).mean() > 0.9
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_array_equal(found[1][name], values, err_msg=name)


def test_calibration_does_not_depend_on_threads_but_on_the_seed(scan: dict[str, str], tmp_path: Path, monkeypatch):
    # As in a whole head, not all voxels are looked at.
    monkeypatch.setattr("qmri_bids.preprocessing.calibration.cycles.LARGEST_SAMPLE", 600)
    monkeypatch.setattr("qmri_bids.preprocessing.calibration.cycles.VOXELS_PER_COEFFICIENT", 1)
    # So few of them do not tell a phase well enough for it to be taken off otherwise.
    monkeypatch.setattr("qmri_bids.preprocessing.calibration.cycles.LARGEST_PHASE_STDEV", 1.0)
    run = SimpleNamespace(protocol=PROTOCOL)
    cycles = {}
    for name, seed, threads in (("one", 0, 1), ("three", 0, 3), ("other", 1, 1)):
        node = CalibrateCycles(run=run, estimator="pinn", seed=seed, processes=threads, **scan)
        cycles[name] = load_volume(outputs(node, tmp_path / name, torch_threads=threads).cycles)[0]
    assert not np.array_equal(cycles["one"], load_volume(scan["cycles"])[0])
    np.testing.assert_array_equal(cycles["three"], cycles["one"])
    assert not np.array_equal(cycles["other"], cycles["one"])


def test_the_seed_reaches_estimators_that_draw():
    made = {
        name: [EXCHANGE_ESTIMATORS[name].create(ExchangeOptions(seed=seed)) for seed in (0, 3)]
        for name in ("train-by-fit", "dictionary")
    }
    assert [each._spec.seed for each in made["train-by-fit"]] == [0, 3]  # type: ignore[attr-defined]
    first, second = (each._seed for each in made["dictionary"])  # type: ignore[attr-defined]
    assert first != second
