import numpy as np
import pytest

from qmri_bids.phantom.anatomy import build_head
from qmri_bids.phantom.geometry import Grid, Pose
from qmri_bids.phantom.truth import true_maps
from qmri_bids.preprocessing.tissue_segmentation import FLUID, GREY, WHITE, segment_t1w, segment_tissues

ERROR = 0.05


@pytest.fixture(scope="module")
def slab():
    """Twelve slices of 2 mm through the ventricles, with maps as noisy as they say."""
    affine = np.array([[2.0, 0, 0, -80.0], [0, 2.0, 0, -95.0], [0, 0, 2.0, 0.0], [0, 0, 0, 1.0]])
    truth = true_maps(
        build_head(subject=1, seed=0), grid=Grid(shape=(80, 96, 12), affine=affine), placement=Pose().matrix
    )
    rng = np.random.default_rng(0)
    t1, t2 = (each * (1.0 + ERROR * rng.standard_normal(each.shape)) for each in (truth.t1, truth.t2))
    return truth, affine, {"t1": t1, "t2": t2, "t1_stdev": ERROR * truth.t1, "t2_stdev": ERROR * truth.t2}


def dice(first, second):
    return 2.0 * np.sum(first & second) / (first.sum() + second.sum())


def scores(labels, truth):
    return [dice(labels == label, truth.segmentation == label) for label in (GREY, WHITE, FLUID)]


def test_tissues_are_those_of_the_head(slab):
    truth, _, maps = slab
    found = segment_tissues(**maps, mask=truth.brain)
    assert np.all(np.array(scores(found.labels, truth)) > (0.93, 0.93, 0.88))
    assert not found.labels[~truth.brain].any()
    np.testing.assert_allclose(found.probabilities[found.labels > 0].sum(axis=1), 1.0, atol=1e-5)
    alone = segment_tissues(maps["t1"], None, mask=truth.brain, t1_stdev=maps["t1_stdev"])
    assert min(scores(alone.labels, truth)) > 0.85
    assert "by T1 (" in alone.decisions[0]


def test_a_lesion_gets_no_label_and_is_counted(slab):
    truth, _, maps = slab
    lesion = np.zeros(truth.brain.shape, dtype=bool)
    lesion[26:34, 48:56, 4:7] = True
    lesion &= truth.segmentation == WHITE
    changed = maps | {"t1": np.where(lesion, 1.1, maps["t1"]), "t2": np.where(lesion, 0.25, maps["t2"])}
    found = segment_tissues(**changed, mask=truth.brain)
    assert lesion.sum() > 20
    assert found.unfitted[lesion].mean() > 0.9
    assert not found.labels[found.unfitted].any()
    count = int(found.unfitted.sum())
    assert f"{count} voxels" in found.decisions[1]
    assert "no label" in found.decisions[1]
    assert count - lesion.sum() < 0.002 * truth.brain.sum()


def test_a_voxel_without_a_value_has_no_label(slab):
    truth, _, maps = slab
    hole = np.zeros(truth.brain.shape, dtype=bool)
    hole[30:40, 40:50, 4:8] = True
    found = segment_tissues(**(maps | {"t2": np.where(hole, np.nan, maps["t2"])}), mask=truth.brain)
    assert not found.labels[hole].any()
    assert f"{np.count_nonzero(hole & truth.brain)} more have no value" in found.decisions[1]


def test_bad_input_is_refused():
    values, mask = np.ones((8, 8, 8)), np.ones((8, 8, 8), dtype=bool)
    with pytest.raises(ValueError, match="one shape"):
        segment_tissues(values, None, mask=mask[1:])
    with pytest.raises(ValueError, match="at least 300 different values"):
        segment_tissues(values, None, mask=mask)


def test_tissues_of_a_shaded_t1_weighted_image(slab):
    truth, affine, _ = slab
    share = {int(label): values for label, values in truth.fractions.items()}
    shading = np.exp(0.3 * np.linspace(-1.0, 1.0, truth.brain.shape[1]))[None, :, None]
    image = shading * (0.23 * share[GREY] + 0.34 * share[WHITE] + 0.05 * share[FLUID])
    image = image + 0.01 * np.random.default_rng(1).standard_normal(image.shape)
    labels, decisions = segment_t1w(image, affine=affine, mask=truth.brain)
    assert min(scores(labels, truth)[:2]) > 0.85
    assert "N4" in decisions[0]
