"""The simulated B1 scans of every method tell the true transmit field when they are read back."""

from pathlib import Path

import numpy as np
import pytest

from qmri_bids.phantom.files.b1 import B1_KINDS, write_b1
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.b1 import coarse_grid, scan_b1
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.scans.b1.find import READERS, read_b1
from qmri_bids.scans.b1.workflow import load_scan
from qmri_bids.scans.find_options import FindOptions

KINDS = B1_KINDS[:-1]


@pytest.fixture(scope="module")
def head():
    head = build_head(subject=1, seed=0)
    grid = coarse_grid(head=head.surface_points(), voxel_size=8.0, motion=0.0)
    return head, grid, true_maps(head, grid=grid, placement=np.eye(4))


def test_every_method_that_is_read_can_be_simulated():
    assert set(KINDS) == set(READERS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_as_the_truth(tmp_path: Path, head, kind: str) -> None:
    phantom, grid, truth = head
    scan = scan_b1(
        phantom,
        grid=grid,
        placement=np.eye(4),
        receiver=np.zeros(7),
        snr=60.0,
        rng=np.random.default_rng(0),
        kind=kind,
        threads=1,
    )
    write_b1(tmp_path / "sub-01", "sub-01_", scan=scan, kind=kind)
    paths = sorted((tmp_path / "sub-01" / "fmap").glob("*.nii.gz"))
    run = read_b1(paths, root=tmp_path, options=FindOptions())
    assert run.method == kind
    loaded = load_scan(run)
    brain = truth.brain & (loaded.ratio > 0.0)
    assert brain.sum() > 0.95 * truth.brain.sum()
    relative = (loaded.ratio / truth.b1 - 1.0)[brain]
    assert abs(np.median(relative)) < 0.01
    assert (loaded.stdev is None) == (run.second is None)
