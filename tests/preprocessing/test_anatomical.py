"""Mask and tissues of an anatomical image on the grid of a scan."""

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.preprocessing.registration import anatomical
from qmri_bids.preprocessing.registration.anatomical import bring_anatomy, load_anatomical
from qmri_bids.preprocessing.registration.scans import RegistrationFailed, ScanRegistration

FINE = np.diag([2.0, 2.0, 2.0, 1.0])
COARSE = np.diag([4.0, 4.0, 4.0, 1.0])
SHIFT = np.array([[1.0, 0, 0, 8.0], [0, 1.0, 0, -4.0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
"""From a position in the scan to that in the anatomical image."""


@pytest.fixture
def files(tmp_path):
    """A cube of brain: fluid, grey and white matter one in another, as a T1w image shows them."""
    labels = np.zeros((24, 24, 24), dtype=np.uint8)
    labels[4:20, 4:20, 4:20] = 3
    labels[6:18, 6:18, 6:18] = 1
    labels[8:16, 8:16, 8:16] = 2
    image = np.choose(labels, [0.0, 0.6, 1.0, 0.2]).astype(np.float32)

    def save(name, data):
        nib.save(nib.Nifti1Image(data, FINE), tmp_path / name)
        return tmp_path / name

    return {
        "t1w": save("sub-01_T1w.nii.gz", image),
        "brain_mask": save("sub-01_desc-brain_mask.nii.gz", (labels > 0).astype(np.uint8)),
        "dseg": save("sub-01_dseg.nii.gz", labels),
        "fsl": save("sub-02_dseg.nii.gz", np.choose(labels, [0, 2, 3, 1]).astype(np.uint8)),
        "probseg": {
            name: save(f"sub-01_label-{name}_probseg.nii.gz", (labels == label).astype(np.float32))
            for name, label in (("GM", 1), ("WM", 2), ("CSF", 3))
        },
    }


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    found = ScanRegistration(transform=SHIFT, similarity=(0.3, 0.6), decisions=("Registered.",), warnings=("Doubt.",))
    monkeypatch.setattr(anatomical, "register_scans", lambda *_, **__: found)


def bring(loaded, shape=(12, 12, 12)):
    return bring_anatomy(loaded, magnitude=np.ones(shape, dtype=np.float32), affine=COARSE)


def test_mask_and_tissues_come_to_where_the_scan_has_them(files):
    brought = bring(
        load_anatomical(files["t1w"], brain_mask=files["brain_mask"], dseg=files["dseg"], probseg=files["probseg"])
    )
    # The cube of 8 to 38 mm lies 8 mm lower along x and 4 mm higher along y in the scan.
    occupied = np.argwhere(brought.mask)
    np.testing.assert_array_equal(occupied.min(axis=0), [0, 3, 2])
    np.testing.assert_array_equal(occupied.max(axis=0), [7, 10, 9])
    assert (brought.tissue[brought.mask] > 0).all()
    assert (brought.tissue[~brought.mask] == 0).all()
    assert brought.tissue[3, 6, 5] == 2
    assert brought.warnings == ("sub-01_T1w.nii.gz: Doubt.",)
    assert "label-…_probseg of sub-01" in brought.decisions[-1]


def test_order_of_labels_is_read_off_the_image(files):
    bids = bring(load_anatomical(files["t1w"], dseg=files["dseg"]))
    fsl = bring(load_anatomical(files["t1w"], dseg=files["fsl"]))
    np.testing.assert_array_equal(bids.tissue, fsl.tissue)
    assert any("labels rise from fluid to white matter, as FSL has them" in each for each in fsl.decisions)


def test_image_alone_gives_neither_mask_nor_tissues(files):
    brought = bring(load_anatomical(files["t1w"]))
    assert brought.mask is None
    assert brought.tissue is None
    assert brought.image.max() == pytest.approx(1.0)


def test_scan_of_another_place_is_refused(files):
    loaded = load_anatomical(files["t1w"], brain_mask=files["brain_mask"])
    with pytest.raises(RegistrationFailed, match=r"only 0 mm³ of the brain of sub-01_T1w.nii.gz lie in the scan"):
        bring_anatomy(loaded, magnitude=np.ones((4, 4, 4), dtype=np.float32), affine=np.eye(4) + 0.0)
