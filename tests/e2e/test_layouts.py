"""Every layout of the same scan is the same scan once it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qmri_bids.bids.layout import open_layout
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.scans.bssfp.workflow import LoadCycles
from qmri_bids.scans.find import find_runs


def read(bids: Path, folder: Path) -> np.ndarray:
    plan = find_runs(open_layout(bids, subjects=["01"]), subject="01")
    assert not plan.refusals
    (run,) = plan.pcbssfp
    folder.mkdir()
    result = LoadCycles(files=run.files, protocol=run.protocol).run(cwd=str(folder))
    return np.array(load_volume(result.outputs.cycles)[0])


@pytest.fixture(scope="module")
def expected(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return read(tiny, tmp_path_factory.mktemp("expected") / "node")


@pytest.mark.parametrize("layout", ["real-imag", "complex", "split"])
@pytest.mark.parametrize("b1", ["TB1TFL", "TB1map"])
def test_layouts_agree(expected: np.ndarray, tmp_path: Path, layout: str, b1: str) -> None:
    bids = tmp_path / "bids"
    simulate_dataset(bids, subjects=1, matrix=(32, 36, 32), voxel_size=6.0, motion=0.0, seed=1, layout=layout, b1=b1)
    found = read(bids, tmp_path / "node")
    # Magnitude and phase are stored as 12-bit integers of the phase and 16-bit integers of the magnitude.
    scale = np.vdot(found, expected) / np.vdot(found, found)
    assert abs(np.angle(scale)) < 1e-3
    assert np.linalg.norm(found * scale - expected) < 5e-3 * np.linalg.norm(expected)
