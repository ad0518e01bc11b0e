import re

import numpy as np
import pytest

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.preprocessing.tissues.mixtures import TYPICAL_PROTOCOL, mixed_times
from qmri_bids.preprocessing.tissues.pure import pure_tissue
from qmri_bids.preprocessing.tissues.segmentation import segment_t1w, segment_tissues
from qmri_bids.tissue_labels import FLUID, GREY, WHITE

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


@pytest.fixture(scope="module")
def block():
    """Layers of fluid, grey and white matter, 60, 36 and 36 voxels of 3 mm, maps as noisy as they say."""
    shape = (60, 36, 36)
    mask = np.ones(shape, dtype=bool)
    times = np.empty((*shape, 2))
    times[:10], times[10:26], times[26:] = (4.0, 1.5), (1.4, 0.085), (0.94, 0.062)
    rng = np.random.default_rng(1)
    noisy = times * (1.0 + 0.08 * rng.standard_normal(times.shape))
    maps = {
        "t1": noisy[..., 0],
        "t2": noisy[..., 1],
        "t1_stdev": 0.08 * times[..., 0],
        "t2_stdev": 0.08 * times[..., 1],
    }
    return maps, mask


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
    assert sum(int(each) for each in re.findall(r"(\d+) (?:voxels|more look)", found.decisions[1])) == count
    assert "no label" in found.decisions[1]
    assert count - lesion.sum() < 0.002 * truth.brain.sum()


LESIONS = [
    (1.2, 0.09),
    (1.4, 0.15),
    (1.4, 0.25),
    (1.9, 0.15),
    (1.9, 0.2),
    (2.2, 0.25),
    (1.2, 0.25),
    (2.2, 0.09),
    (1.6, 0.12),
]


@pytest.mark.parametrize("diameter", [8.0, 12.0])
def test_lesions_in_white_matter_are_no_pure_grey_matter(block, diameter):
    maps, mask = block
    rng = np.random.default_rng(2)
    places = [(43, y, z) for y in (6, 18, 30) for z in (6, 18, 30)]
    balls = []
    for (t1, t2), place in zip(LESIONS, places, strict=True):
        ball = (
            3.0 * np.linalg.norm(np.indices(mask.shape) - np.array(place)[:, None, None, None], axis=0) < diameter / 2.0
        )
        balls.append(ball)
        for name, value in (("t1", t1), ("t2", t2)):
            noisy = value * (1.0 + 0.08 * rng.standard_normal(mask.shape))
            maps = maps | {
                name: np.where(ball, noisy, maps[name]),
                f"{name}_stdev": np.where(ball, 0.08 * value, maps[f"{name}_stdev"]),
            }
    found = segment_tissues(**maps, mask=mask, protocol=TYPICAL_PROTOCOL)
    pure = pure_tissue(found.labels, mask=mask, fluid=found.probabilities[..., 2]).labels
    assert np.count_nonzero(pure == GREY) > 1000
    for (_, t2), ball in zip(LESIONS, balls, strict=True):
        assert not (pure[ball] == GREY).any()
        if t2 >= 0.15:
            assert np.mean(found.labels[ball] == 0) > 0.5


def test_a_mixture_is_labelled_by_its_larger_volume(block):
    """A sheet of 60 % grey matter shows a T2 of 0.29 s, four fifths of the way to fluid."""
    maps, mask = block
    t1, t2 = mixed_times(
        np.array([[0.6, 0.4]]), t1=np.array([1.4, 4.0]), t2=np.array([0.085, 1.5]), m0=np.array([0.8, 1.0])
    )
    sheet = np.zeros(mask.shape, dtype=bool)
    sheet[9] = True
    maps = maps | {"t1": np.where(sheet, t1[0], maps["t1"]), "t2": np.where(sheet, t2[0], maps["t2"])}
    found = segment_tissues(**maps, mask=mask, protocol=TYPICAL_PROTOCOL)
    assert np.mean(found.labels[9] == GREY) > 0.9
    np.testing.assert_allclose(np.median(found.probabilities[9, ..., 2]), 0.4, atol=0.1)


def test_maps_that_state_no_uncertainty_are_told_apart_too(block):
    maps, mask = block
    found = segment_tissues(maps["t1"], maps["t2"], mask=mask, protocol=TYPICAL_PROTOCOL)
    for label, layer in ((FLUID, slice(0, 9)), (GREY, slice(11, 25)), (WHITE, slice(27, 60))):
        assert np.mean(found.labels[layer] == label) > 0.97
    assert np.mean(found.unfitted) < 0.005


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
