"""The digital head: what a head must have for the simulation to be worth its name."""

import numpy as np
import pytest

from qmri_bids.phantom.heads.head import Head
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.phantom.heads.volume import empty_volume

BRAIN_LABELS = (Label.GM, Label.WM, Label.CSF)
SPACING = 3.0


@pytest.fixture(scope="module")
def heads() -> dict[int, Head]:
    return {subject: build_head(subject=subject, seed=7) for subject in (1, 2)}


def _sample(head: Head):
    lower, upper = head.extent
    grid = empty_volume(lower=tuple(lower - 6.0), upper=tuple(upper + 6.0), spacing=SPACING)
    inside, sample = head.sample(grid.points())
    labels = np.zeros(grid.data.size, dtype=np.uint8)
    labels[inside] = sample.label
    return labels.reshape(grid.data.shape), sample


def test_volumes_are_those_of_a_head(heads):
    labels, _ = _sample(heads[1])
    litres = {label: np.count_nonzero(labels == label) * SPACING**3 * 1e-6 for label in Label}
    assert 0.5 < litres[Label.GM] < 0.95
    assert 0.35 < litres[Label.WM] < 0.7
    assert 0.1 < litres[Label.CSF] < 0.4
    assert 0.2 < litres[Label.FAT] < 0.7
    extent = np.subtract(*heads[1].extent[::-1])
    assert np.all((extent > (130.0, 160.0, 140.0)) & (extent < (180.0, 220.0, 200.0)))


def test_a_dark_gap_lies_between_brain_and_scalp(heads):
    from scipy.ndimage import distance_transform_edt

    labels, _ = _sample(heads[1])
    brain, scalp = np.isin(labels, BRAIN_LABELS), labels == Label.FAT
    gap = distance_transform_edt(~brain)[scalp] * SPACING
    assert gap.min() >= 2.0
    # Seen from the middle every direction along the axes ends in fat.
    middle = tuple(size // 2 for size in labels.shape)
    for axis in range(3):
        line = np.moveaxis(labels, axis, 0)[(slice(None), *(m for a, m in enumerate(middle) if a != axis))]
        present = line[line != Label.NONE]
        assert present[0] == present[-1] == Label.FAT


def test_relaxation_varies_inside_a_tissue_around_its_value(heads):
    _, sample = _sample(heads[1])
    for label in BRAIN_LABELS:
        t1 = sample.t1[sample.label == label]
        assert np.mean(t1) == pytest.approx(TISSUES[label].t1, rel=0.08)
        assert 0.01 < np.std(t1) / np.mean(t1) < 0.06
        assert np.mean(sample.t2[sample.label == label]) == pytest.approx(TISSUES[label].t2, rel=0.08)
        assert np.all(np.abs(sample.m0[sample.label == label] / TISSUES[label].m0 - 1.0) < 0.04)


def test_off_resonance_is_small_in_most_of_the_brain_and_beyond_half_a_band_near_the_sinuses(heads):
    half_band = 1.0 / (2.0 * 4.8e-3)
    for head in heads.values():
        _, sample = _sample(head)
        field = sample.off_resonance[np.isin(sample.label, BRAIN_LABELS)]
        assert np.median(np.abs(field)) < 20.0
        assert 0.003 < np.mean(np.abs(field) > half_band) < 0.05
    assert np.all(sample.chemical_shift[sample.label == Label.FAT] < -400.0)


def test_subjects_differ_and_a_seed_repeats(heads):
    again = build_head.__wrapped__(subject=1, seed=7)
    np.testing.assert_array_equal(again.gm.data, heads[1].gm.data)
    np.testing.assert_array_equal(again.off_resonance.data, heads[1].off_resonance.data)
    assert not np.allclose(heads[1].extent, heads[2].extent, atol=0.5)
