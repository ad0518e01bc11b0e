import numpy as np
import pytest

from qmri_bids.preprocessing.tissues.pure import FEWEST_PURE, pure_tissue
from qmri_bids.tissue_labels import FLUID, GREY, WHITE

SHAPE = (40, 30, 30)


def layers():
    """Fluid, grey and white matter side by side, of ten, ten and twenty voxels."""
    labels = np.full(SHAPE, WHITE, dtype=np.uint8)
    labels[:20], labels[:10] = GREY, FLUID
    return labels


def test_voxels_beside_fluid_or_the_other_tissue_are_not_pure():
    labels = layers()
    mask = np.ones(SHAPE, dtype=bool)
    found = pure_tissue(labels, mask=mask)
    expected = np.zeros(SHAPE, dtype=np.uint8)
    expected[11:19], expected[21:] = GREY, WHITE
    # The last of grey matter has white matter around it.
    np.testing.assert_array_equal(found.labels[:17], expected[:17])
    assert np.isin(found.labels[17:19], (0, GREY)).all()
    np.testing.assert_array_equal(found.labels[19:], expected[19:])
    assert "voxels of grey matter are pure: at least 2 voxels" in found.decisions[0]
    fluid = np.where(labels == FLUID, 1.0, 0.0)
    fluid[10:14] = 0.2
    assert not pure_tissue(labels, mask=mask, fluid=fluid).labels[:15].any()


def test_a_thin_cortex_is_looked_at_from_nearer_by():
    labels = np.full(SHAPE, FLUID, dtype=np.uint8)
    labels[15:18] = GREY
    found = pure_tissue(labels, mask=np.ones(SHAPE, dtype=bool))
    np.testing.assert_array_equal(np.flatnonzero((found.labels == GREY).any(axis=(1, 2))), [16])
    assert "at least 2 voxels" in found.decisions[0]
    labels[18:] = WHITE
    found = pure_tissue(labels, mask=np.ones(SHAPE, dtype=bool))
    assert np.flatnonzero((found.labels == GREY).any(axis=(1, 2))).tolist() == [16]
    labels[15] = FLUID
    found = pure_tissue(labels, mask=np.ones(SHAPE, dtype=bool))
    assert "at least 1.5 voxels from any that holds fluid or has no tissue, 1 from white matter" in found.decisions[0]


def test_without_any_pure_voxel_there_are_none():
    labels = np.full(SHAPE, WHITE, dtype=np.uint8)
    labels[::4] = GREY
    labels[1::4] = FLUID
    found = pure_tissue(labels, mask=np.ones(SHAPE, dtype=bool))
    assert not (found.labels == GREY).any()
    assert f"Fewer than {FEWEST_PURE} voxels of grey matter are pure" in found.decisions[0]


def test_grey_matter_in_the_midst_of_white_matter_does_not_count():
    labels = np.full((60, 60, 60), WHITE, dtype=np.uint8)
    labels[:12] = GREY
    distance = np.linalg.norm(np.indices(labels.shape) - np.array([36, 30, 30])[:, None, None, None], axis=0)
    labels[distance < 3.5] = GREY
    found = pure_tissue(labels, mask=np.ones(labels.shape, dtype=bool))
    assert (found.labels[:9] == GREY).all()
    assert not (found.labels[distance < 3.5]).any()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        pure_tissue(layers(), mask=np.ones((3, 3, 3), dtype=bool))
