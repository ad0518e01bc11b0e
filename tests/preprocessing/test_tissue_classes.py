import tempfile

import numpy as np
import pytest

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.preprocessing.tissues.classes import tissue_classes

GREY, WHITE, FLUID = 1, 2, 3


@pytest.fixture(scope="module")
def slab():
    """Twenty slices of 2 mm through the ventricles."""
    affine = np.array([[2.0, 0, 0, -80.0], [0, 2.0, 0, -95.0], [0, 0, 2.0, -10.0], [0, 0, 0, 1.0]])
    grid = Grid(shape=(80, 96, 20), affine=affine)
    return true_maps(build_head(subject=1, seed=0), grid=grid, placement=Pose().matrix), affine


def dice(first, second):
    return 2.0 * np.sum(first & second) / (first.sum() + second.sum())


@pytest.mark.parametrize(
    ("contrast", "ascending", "least"),
    [("T1", (WHITE, GREY, FLUID), (0.8, 0.8, 0.8)), ("MTR", (FLUID, GREY, WHITE), (0.8, 0.8, 0.7))],
)
def test_tissues_of_a_noisy_map_are_those_of_the_head(slab, contrast, ascending, least):
    truth, affine = slab
    rng = np.random.default_rng(0)
    share = {int(label): values for label, values in truth.fractions.items()}
    values = {
        "T1": truth.t1 * (1.0 + 0.05 * rng.standard_normal(truth.t1.shape)),
        "MTR": 0.38 * share[GREY]
        + 0.46 * share[WHITE]
        + 0.06 * share[FLUID]
        + 0.015 * rng.standard_normal(truth.t1.shape),
    }[contrast]
    labels, decisions = tissue_classes(values, affine=affine, mask=truth.brain, ascending=ascending)
    found = [dice(labels == label, truth.segmentation == label) for label in (GREY, WHITE, FLUID)]
    assert np.all(np.array(found) > least), found
    assert not labels[~truth.brain].any()
    assert "no segmentation" in decisions[0]


def test_voxel_without_a_value_has_no_label(slab):
    truth, affine = slab
    values = truth.t1.copy()
    hole = np.zeros(values.shape, dtype=bool)
    hole[30:40, 40:50, 5:10] = True
    values[hole] = np.nan
    labels, _ = tissue_classes(values, affine=affine, mask=truth.brain, ascending=(WHITE, GREY, FLUID))
    assert not labels[hole].any()
    assert labels[truth.brain & ~hole].all()


def test_bad_input_is_refused():
    values, mask = np.ones((8, 8, 8)), np.ones((8, 8, 8), dtype=bool)
    with pytest.raises(ValueError, match="shape of the mask"):
        tissue_classes(values, affine=np.eye(4), mask=mask[1:], ascending=(1, 2, 3))
    with pytest.raises(ValueError, match="3 different labels, found"):
        tissue_classes(values, affine=np.eye(4), mask=mask, ascending=(1, 2, 2))
    with pytest.raises(ValueError, match="at least 300 different values"):
        tissue_classes(values, affine=np.eye(4), mask=mask, ascending=(1, 2, 3))
    values[0] = 2.0
    with pytest.raises(ValueError, match="more than half of the map"):
        tissue_classes(values, affine=np.eye(4), mask=mask, ascending=(1, 2, 3))


def test_no_file_of_the_segmentation_stays_behind(slab, tmp_path, monkeypatch):
    truth, affine = slab
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tissue_classes(truth.t1, affine=affine, mask=truth.brain, ascending=(WHITE, GREY, FLUID))
    assert not list(tmp_path.iterdir())
