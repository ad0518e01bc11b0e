import numpy as np
import pytest

from qmri_bids.preprocessing.masks import BrainNotFound, bounding_box, brain_mask, head_mask, shrink


def dice(first, second):
    return 2.0 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def tilt(degrees, shift):
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def test_the_brain_is_found_under_bands_and_scalp(still_scan):
    pose = tilt(20.0, (5.0, 10.0, -20.0))
    magnitude = np.abs(still_scan.session.cycles).mean(axis=3)
    mask, decisions = brain_mask(magnitude, affine=pose @ still_scan.affine)
    assert dice(mask, still_scan.brain) > 0.96
    assert "litres" in decisions[0]


def test_fluid_that_is_dark_belongs_to_the_brain(still_scan):
    truth = still_scan.session.truth
    share = {int(label): values for label, values in truth.fractions.items()}
    scalp = np.abs(still_scan.session.cycles).mean(axis=3) * ~truth.brain
    image = 0.23 * share[1] + 0.34 * share[2] + 0.05 * share[3] + 5.0 * scalp
    image += 0.01 * np.random.default_rng(0).random(image.shape)
    mask, decisions = brain_mask(image.astype(np.float32), affine=still_scan.affine)
    assert dice(mask, truth.brain) > 0.95
    assert any("Fluid is dark" in each for each in decisions)


def test_neck_is_cut_off_a_slab_is_told_and_scalp_is_missed(still_scan):
    magnitude = np.abs(still_scan.session.cycles).mean(axis=3)
    brain = still_scan.brain
    lowest = np.argwhere(brain)[:, 2].min()
    x, y, _ = np.argwhere(brain[:, :, lowest : lowest + 2]).mean(axis=0).round().astype(int)
    neck = magnitude.copy()
    neck[x - 5 : x + 6, y - 5 : y + 6, : lowest + 2] = np.median(magnitude[brain])
    mask, decisions = brain_mask(neck, affine=still_scan.affine)
    assert dice(mask, brain) > 0.95
    assert any("cut off" in each for each in decisions)
    slab = (slice(None), slice(None), slice(22, 34))
    affine = still_scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [0, 0, 22]
    mask, _ = brain_mask(magnitude[slab], affine=affine)
    assert dice(mask, brain[slab]) > 0.95
    mask, decisions = brain_mask(np.where(brain, magnitude, 0.0), affine=still_scan.affine)
    assert dice(mask, brain) > 0.95
    assert any("skull-stripped" in each for each in decisions)


def test_the_head_holds_the_brain_and_not_the_air(still_scan):
    magnitude = np.abs(still_scan.session.cycles).mean(axis=3)
    head = head_mask(magnitude)
    assert head[still_scan.brain].all()
    assert 0.15 < head.mean() < 0.5
    box = bounding_box(head, margin=1)
    assert head[box].sum() == head.sum()


def test_an_image_without_a_brain_is_refused():
    x = np.indices((24, 24, 24)) - 12.0
    ball = (np.sum(x**2, axis=0) < 25.0) + 0.01 * np.random.default_rng(0).random((24, 24, 24))
    with pytest.raises(BrainNotFound, match="litres, expected"):
        brain_mask(ball.astype(np.float32), affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    with pytest.raises(ValueError, match="no head in it"):
        head_mask(np.ones((8, 8, 8)))


def test_shrinking_keeps_positions():
    affine = np.array([[0.0, 1.0, 0.0, 3.0], [2.0, 0.0, 0.0, -4.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])
    axes = np.indices((8, 6, 4)).reshape(3, -1)
    for row in range(3):
        position = (affine[:3, :3] @ axes + affine[:3, 3:])[row].reshape(8, 6, 4)
        small, small_affine = shrink(position, affine=affine, factor=(2, 3, 1))
        coarse = np.indices(small.shape).reshape(3, -1)
        expected = (small_affine[:3, :3] @ coarse + small_affine[:3, 3:])[row].reshape(small.shape)
        np.testing.assert_allclose(small, expected, atol=1e-5)
