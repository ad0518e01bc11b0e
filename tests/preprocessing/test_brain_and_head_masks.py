import nibabel
import numpy as np
import pytest
from scipy import ndimage

from qmri_bids.pipeline import options
from qmri_bids.preprocessing.brain import extraction as brain_library
from qmri_bids.preprocessing.brain.mask import MASK_METHODS, find_mask, judge_brain
from qmri_bids.preprocessing.masks import bounding_box, head_mask, object_mask, shrink


def dice(first, second):
    return 2.0 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


@pytest.fixture(scope="session")
def real_head(coarse_colin27):
    """Magnitudes, affine and brain of Colin27 at 2 mm."""
    image = nibabel.load(coarse_colin27.whole_head)
    rough = np.asarray(nibabel.load(coarse_colin27.brain).dataobj) > 0
    labels, _ = ndimage.label(ndimage.binary_opening(rough))
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    brain = ndimage.distance_transform_edt(~ndimage.binary_fill_holes(largest)) <= 1.0
    return np.asarray(image.dataobj, dtype=np.float32), image.affine, brain


def part(real_head, low, high):
    magnitude, affine, brain = real_head
    moved = affine.copy()
    moved[:3, 3] += affine[:3, 2] * low
    return magnitude[:, :, low:high], moved, brain[:, :, low:high]


def test_a_real_brain_is_found(real_head):
    magnitude, affine, brain = real_head
    found = find_mask(magnitude, affine=affine)
    assert (found.kind, found.method, found.level) == ("brain", "library", "good")
    assert dice(found.mask, brain) > 0.945
    assert found.measures["template_overlap"] > 0.93
    assert "deepbet" in found.decisions[0]


def test_the_head_of_the_demo_has_its_brain(still_scan):
    found = find_mask(np.abs(still_scan.session.cycles).mean(axis=3), affine=still_scan.affine)
    assert found.kind == "brain"
    assert dice(found.mask, still_scan.brain) > 0.93


@pytest.mark.parametrize("slices", [(40, 52), (44, 46)])
def test_slabs_and_slices_of_a_real_head(real_head, slices):
    magnitude, affine, brain = part(real_head, *slices)
    found = find_mask(magnitude, affine=affine)
    assert found.kind == "brain"
    assert found.level != "bad"
    assert dice(found.mask, brain) > 0.9
    assert found.measures["agreement"] > 0.93
    if slices == (44, 46):  # the same, stored in another order of axes
        turned = affine @ np.array([[0, 0, -1, magnitude.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        other = find_mask(np.moveaxis(magnitude, 0, 2)[:, :, ::-1] * 1e5, affine=turned)
        assert dice(np.moveaxis(other.mask[:, :, ::-1], 2, 0), found.mask) > 0.99


def test_what_was_stripped_before_is_its_own_mask(real_head):
    magnitude, affine, brain = real_head
    found = find_mask(np.where(brain, magnitude + 5.0, 0.0), affine=affine)
    assert (found.method, found.level) == ("stripped", "check")
    assert dice(found.mask, brain) > 0.99


def test_no_leak_is_green(real_head):
    magnitude, affine, brain = real_head
    head = object_mask(magnitude)
    height = np.arange(magnitude.shape[2])[None, None, :] - np.argwhere(brain)[:, 2].min()
    masks = {
        "neck and face": brain | (head & (height < 18)),
        "scalp": head & (ndimage.distance_transform_edt(~brain) < 4.5),
        "no top": brain & (height < 38),
        "head": head,
    }
    for name, mask in masks.items():
        assert judge_brain(magnitude, mask, affine, method="library").level != "good", name


def test_without_a_brain_the_object_is_the_mask_and_the_light_is_red():
    x = np.indices((40, 40, 40)) - 20.0
    rng = np.random.default_rng(0)
    ball = (np.sum(x**2, axis=0) < 150.0) + np.abs(0.02 * rng.standard_normal((40, 40, 40)))
    found = find_mask(ball, affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    assert (found.kind, found.method, found.level) == ("object", "object", "bad")
    assert all(option in found.explanation for option in ("--mask-method", "--mask-file", "--derivatives"))
    assert dice(found.mask, np.sum(x**2, axis=0) < 150.0) > 0.9


@pytest.mark.parametrize("slices", [1, 12])
def test_an_object_has_its_spheres_its_holes_and_no_air(slices):
    x, y = np.indices((80, 80)) - 40.0
    disc, tube = x**2 + y**2 < 900.0, (x - 12.0) ** 2 + y**2 < 60.0
    signal = np.where(tube, 0.0, np.where(disc, np.exp(x / 30.0), 0.0)) + np.where(
        (x + 36.0) ** 2 + y**2 < 9.0, 1.0, 0.0
    )
    rng = np.random.default_rng(0)
    noisy = signal[..., None] + 0.03 * (
        rng.standard_normal((80, 80, slices)) + 1j * rng.standard_normal((80, 80, slices))
    )
    found = find_mask(np.abs(noisy), affine=np.diag([2.0, 2.0, 3.0, 1.0]), method="object")
    assert (found.kind, found.level) == ("object", "check")
    assert dice(found.mask, np.repeat(disc[..., None], slices, axis=2)) > 0.95
    assert find_mask(np.abs(noisy), affine=np.eye(4), method="none").mask.all()


def test_the_command_line_offers_every_method():
    assert options.MASK_METHODS == MASK_METHODS


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match=r"method: expected one of auto, library, .*found 'bet'"):
        find_mask(np.zeros((4, 4, 4)), affine=np.eye(4), method="bet")
    with pytest.raises(ValueError, match="holds no signal: it is constant"):
        find_mask(np.ones((4, 4, 4)), affine=np.eye(4))
    with pytest.raises(ValueError, match="no head in it"):
        head_mask(np.ones((8, 8, 8)))


def test_weights_that_are_not_those_of_the_library_are_refused(monkeypatch):
    assert set(brain_library.weight_files()) == set(brain_library.WEIGHTS)
    monkeypatch.setitem(brain_library.WEIGHTS, "model.pt", "0" * 64)
    with pytest.raises(ValueError, match=r"model\.pt: sha256: expected 0000"):
        brain_library.weight_files()
    monkeypatch.setattr(brain_library, "WEIGHTS", {"other.pt": "0" * 64})
    with pytest.raises(FileNotFoundError, match="pip install deepbet"):
        brain_library.weight_files()


@pytest.mark.parametrize("way", [-1.0, 1.0])
@pytest.mark.parametrize("slices", [(0, None), (30, 40), (45, 46)])
def test_the_head_holds_the_brain_and_not_the_air(real_head, way, slices):
    magnitude, _, brain = part(real_head, *slices)
    places = np.linspace(-1.0, 1.0, magnitude.shape[1])[None, :, None]
    rng = np.random.default_rng(0)
    image = magnitude / np.median(magnitude[brain]) * np.exp(way * places)
    image = np.abs(image + 0.04 * (rng.standard_normal(image.shape) + 1j * rng.standard_normal(image.shape)))
    head = head_mask(image)
    assert head[brain].mean() > 0.99
    assert head[:2].mean() < 0.1
    box = bounding_box(head, margin=1)
    assert head[box].sum() == head.sum()


def test_shrinking_keeps_positions():
    affine = np.array([[0.0, 1.0, 0.0, 3.0], [2.0, 0.0, 0.0, -4.0], [0.0, 0.0, 1.5, 7.0], [0.0, 0.0, 0.0, 1.0]])
    axes = np.indices((8, 6, 4)).reshape(3, -1)
    for row in range(3):
        position = (affine[:3, :3] @ axes + affine[:3, 3:])[row].reshape(8, 6, 4)
        small, small_affine = shrink(position, affine=affine, factor=(2, 3, 1))
        coarse = np.indices(small.shape).reshape(3, -1)
        expected = (small_affine[:3, :3] @ coarse + small_affine[:3, 3:])[row].reshape(small.shape)
        np.testing.assert_allclose(small, expected, atol=1e-5)
