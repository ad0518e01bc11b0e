"""Anatomies: what is found, what is said to be missing, what is refused."""

import json

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.anatomy.images import find_anatomy, pipeline_of
from qmri_bids.bids.anatomy.spaces import (
    Atlas,
    SpaceOptions,
    available_spaces,
    check_atlas_grid,
    check_spaces,
    read_atlas,
)
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.refusal import RefusedError

SHAPE = (4, 5, 6)
FILES = (
    "desc-preproc_T1w.nii.gz",
    "desc-brain_mask.nii.gz",
    "dseg.nii.gz",
    "label-GM_probseg.nii.gz",
    "label-WM_probseg.nii.gz",
    "label-CSF_probseg.nii.gz",
    "space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz",
    "from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5",
    "from-MNI152NLin2009cAsym_to-T1w_mode-image_xfm.h5",
    "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
    "from-T1w_to-fsnative_mode-image_xfm.txt",
)


def put(folder, prefix, names, shape=SHAPE):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{prefix}_{name}"
        if name.endswith(".nii.gz"):
            values = np.zeros(shape, dtype=np.float32)
            values[1:3, 1:3] = 1.0
            nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        else:
            path.write_bytes(b"\x89HDF, a transform")


@pytest.fixture
def fmriprep(tmp_path):
    root = tmp_path / "fmriprep"
    put(root / "sub-01" / "anat", "sub-01", FILES)
    description = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}]}
    (root / "dataset_description.json").write_text(json.dumps(description))
    return root


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    return root


def find(raw, *, session=None, **derivatives):
    return find_anatomy(bids_dir=raw, subject="01", session=session, derivatives=derivatives)


def test_all_that_fmriprep_leaves_is_found(raw, fmriprep):
    put(raw / "sub-01" / "anat", "sub-01", ["T1w.nii.gz"])
    anatomy, missing = find(raw, other=raw, any=fmriprep)
    assert missing == ()
    assert anatomy.source == "derivatives"
    assert anatomy.pipeline == "fMRIPrep 24.1.1"
    assert anatomy.t1w.name == "sub-01_desc-preproc_T1w.nii.gz"
    assert anatomy.brain_mask.name == "sub-01_desc-brain_mask.nii.gz"
    assert anatomy.dseg.name == "sub-01_dseg.nii.gz"
    assert set(anatomy.probseg) == {"GM", "WM", "CSF"}
    assert set(anatomy.to_template) == {"MNI152NLin2009cAsym", "MNI152NLin6Asym"}
    assert set(anatomy.from_template) == {"MNI152NLin2009cAsym"}
    # Without an image in a space its grid is unknown.
    assert anatomy.templates == ("MNI152NLin2009cAsym",)
    assert any("transform to MNI152NLin6Asym but no image in that space" in each for each in anatomy.sentences)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["desc-brain_mask.nii.gz"], "has no desc-brain_mask beside sub-01_desc-preproc_T1w.nii.gz"),
        (["label-WM_probseg.nii.gz"], "has no label-WM_probseg beside"),
        (["dseg.nii.gz", "label-GM_probseg.nii.gz"], "has no dseg and not all probseg beside"),
    ],
)
def test_missing_partners_are_named(raw, fmriprep, gone, said):
    for name in gone:
        (fmriprep / "sub-01" / "anat" / f"sub-01_{name}").unlink()
    anatomy, _ = find(raw, fmriprep=fmriprep)
    assert any(said in each for each in anatomy.sentences)


def test_mask_on_another_grid_is_refused(raw, fmriprep):
    put(fmriprep / "sub-01" / "anat", "sub-01", ["desc-brain_mask.nii.gz"], shape=(3, 3, 3))
    with pytest.raises(RefusedError, match=r"desc-brain_mask.nii.gz: grid: expected that of .*found shape \(3, 3, 3\)"):
        find(raw, fmriprep=fmriprep)


def test_image_that_cannot_be_read_is_refused(raw, fmriprep):
    (fmriprep / "sub-01" / "anat" / "sub-01_dseg.nii.gz").write_bytes(b"")
    with pytest.raises(RefusedError, match=r"dseg.nii.gz: image: expected a NIfTI image"):
        find(raw, fmriprep=fmriprep)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("desc-preproc_T1w.nii.gz", np.nan, r"values: expected finite values, found NaN or infinite in 1e\+02 %"),
        ("desc-preproc_T1w.nii.gz", 1.0, "values: expected an image of a head, found the value 1 everywhere"),
        ("desc-brain_mask.nii.gz", 0.0, "values: expected voxels of the brain, found no value above 0"),
        ("dseg.nii.gz", 17.0, "labels: expected 0 and three tissues, 1 to 3, found 17"),
    ],
)
def test_image_that_is_not_what_its_name_says_is_refused(raw, fmriprep, name, value, message):
    path = fmriprep / "sub-01" / "anat" / f"sub-01_{name}"
    nib.save(nib.Nifti1Image(np.full(SHAPE, value, dtype=np.float32), np.eye(4)), path)
    with pytest.raises(RefusedError, match=message):
        find(raw, fmriprep=fmriprep)


@pytest.mark.parametrize(("content", "found"), [(b"", "an empty file"), (b"text", "another format")])
def test_transform_that_is_none_is_refused(raw, fmriprep, content, found):
    (fmriprep / "sub-01" / "anat" / "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5").write_bytes(content)
    with pytest.raises(RefusedError, match=f"transform: expected an ITK transform, found {found}"):
        find(raw, fmriprep=fmriprep)


def test_damaged_files_that_nothing_needs_stop_nothing(raw, fmriprep):
    put(raw / "sub-01" / "anat", "sub-01", ["T1w.nii.gz"])
    (fmriprep / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz").write_bytes(b"")
    (raw / "sub-01" / "anat" / "sub-01_T1w.nii.gz").write_bytes(b"")
    known = {"bids_dir": raw, "subject": "01", "session": None}
    anatomy, _ = find_anatomy(**known, derivatives={"fmriprep": fmriprep}, use_masks=False)
    assert (anatomy.brain_mask, anatomy.dseg, dict(anatomy.probseg)) == (None, None, {})
    assert find_anatomy(**known, needed=False)[0].source == "raw"
    with pytest.raises(RefusedError, match=r"sub-01_T1w.nii.gz: image: expected a NIfTI image"):
        find_anatomy(**known)


def test_raw_image_serves_where_derivatives_lack_the_subject(raw, fmriprep):
    put(raw / "sub-01" / "anat", "sub-01", ["T1w.nii.gz"])
    (fmriprep / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.nii.gz").unlink()
    anatomy, _ = find(raw, fmriprep=fmriprep)
    assert anatomy.source == "raw"
    assert "has no desc-preproc_T1w of sub-01" in anatomy.sentences[0]


def test_nearest_session_serves_and_another_is_named(raw):
    put(raw / "sub-01" / "ses-1" / "anat", "sub-01_ses-1", ["T1w.nii.gz", "acq-other_T1w.nii.gz"])
    put(raw / "sub-01" / "ses-2" / "anat", "sub-01_ses-2", ["T2w.nii.gz"])
    own, _ = find(raw, session="1")
    assert own.t1w.name == "sub-01_ses-1_T1w.nii.gz"
    assert "(the others: sub-01_ses-1_acq-other_T1w.nii.gz)" in own.sentences[-1]
    other, _ = find(raw, session="2")
    assert other.t1w == own.t1w
    assert any("it is of ses-1" in each for each in other.sentences)


def test_without_any_image_that_is_said(raw):
    assert find(raw) == (None, ("sub-01 has no T1w image.",))


def test_pipeline_is_told_by_what_made_the_folder(tmp_path, fmriprep):
    assert pipeline_of(fmriprep) == "fMRIPrep 24.1.1"
    assert pipeline_of(tmp_path, name="smriprep") == "smriprep"
    assert pipeline_of(tmp_path, name="maps") is None
    (tmp_path / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "other"}]}')
    assert pipeline_of(tmp_path, name="fmriprep") is None


def test_spaces_that_cannot_be_had_are_named_with_those_that_can(raw, fmriprep):
    anatomy, _ = find(raw, fmriprep=fmriprep)
    assert available_spaces(anatomy) == ("native", "T1w", "MNI152NLin2009aSym", "MNI152NLin2009cAsym")
    wanted = ["native", "T1w", "T1w", "MNI152NLin2009cAsym"]
    assert check_spaces(wanted, atlas=None, anatomies={"sub-01": anatomy}) == ("T1w", "MNI152NLin2009cAsym")
    with pytest.raises(
        BidsInputError, match=r"(?s)sub-01 has native, T1w, .*but no image in that space that would show its grid"
    ):
        check_spaces(["MNI152NLin6Asym"], atlas=None, anatomies={"sub-01": anatomy})
    with pytest.raises(
        BidsInputError, match=r"--output-spaces T1w: sub-02 has native, MNI152NLin2009aSym\.\nThere is no T1w image"
    ):
        check_spaces(["T1w"], atlas=None, anatomies={"sub-01": anatomy, "sub-02": None})
    atlas = Atlas(path=raw / "a.nii.gz", name="a", space="MNI152NLin6Asym")
    with pytest.raises(BidsInputError, match=r"--atlas a.nii.gz lies in MNI152NLin6Asym: sub-01 has native"):
        check_spaces(["native"], atlas=atlas, anatomies={"sub-01": anatomy})


def test_anatomy_is_used_only_where_something_needs_it(raw, fmriprep):
    put(raw / "sub-01" / "anat", "sub-01", ["T1w.nii.gz"])
    image, _ = find(raw)
    derived, _ = find(raw, fmriprep=fmriprep)
    assert SpaceOptions(anatomies={"": image}).anatomy_of(None) is None
    assert SpaceOptions(anatomies={"": image}, spaces=("T1w",)).anatomy_of(None) is image
    assert SpaceOptions(anatomies={"": derived}).anatomy_of(None) is derived
    assert SpaceOptions(anatomies={"": derived}, use_masks=False).anatomy_of(None) is None


def test_atlas_says_its_space_name_and_regions(tmp_path):
    path = tmp_path / "tpl-MNI152NLin2009aSym_atlas-Two_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), np.eye(4)), path)
    (tmp_path / "tpl-MNI152NLin2009aSym_atlas-Two_dseg.tsv").write_text("index\tname\n1\tleft\n2\tright side\n")
    atlas = read_atlas(path)
    assert (atlas.space, atlas.name, atlas.regions) == ("MNI152NLin2009aSym", "Two", {1: "left", 2: "right side"})
    assert read_atlas(path, space="native").space == "native"


def test_atlas_without_a_space_lies_on_the_grid_of_a_run(tmp_path):
    path = tmp_path / "tubes_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), np.eye(4)), path)
    (tmp_path / "tubes_dseg.tsv").write_text(
        "index\tname\tconcentration_mM\tpH\tvendor\n1\ta\t50\tn/a\tx\n2\tb\t\t6.5\ty\n"
    )
    atlas = read_atlas(path)
    assert (atlas.space, atlas.by_grid) == ("native", True)
    assert atlas.stated == {"concentration_mM": {1: 50.0}, "pH": {2: 6.5}}
    images = []
    for place, affine in enumerate((np.diag([1.0, 1.0, 2.0, 1.0]), np.eye(4))):
        images.append(tmp_path / f"run-{place}.nii")
        nib.save(nib.Nifti1Image(np.ones((*SHAPE, 3), dtype=np.float32), affine), images[-1])
    check_atlas_grid(atlas, images)
    with pytest.raises(
        BidsInputError, match=r"its space in the file name .* at another place than the runs; .*--atlas-space"
    ):
        check_atlas_grid(atlas, images[:1])
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), dtype=np.uint8), np.eye(4)), path)
    with pytest.raises(BidsInputError, match=r"2 × 2 × 2 voxels, where runs have others \(run-0.nii: "):
        check_atlas_grid(read_atlas(path), images)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1\ta\n1\tb\n", "index, row 2: expected each label once, found 1 twice"),
        ("1\ta\n1.5\tb\n", "index, row 2: expected a whole number, the label in the image, found '1.5'"),
    ],
)
def test_a_table_of_labels_that_is_not_clear_is_refused(tmp_path, rows, words):
    path = tmp_path / "tubes_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), np.eye(4)), path)
    (tmp_path / "tubes_dseg.tsv").write_text(f"index\tname\n{rows}")
    with pytest.raises(BidsInputError, match=f"tubes_dseg.tsv: {words}"):
        read_atlas(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(SHAPE, dtype=np.uint8), "a label above 0, found 0"),
        (np.ones(SHAPE, dtype=np.complex64), "found complex"),
    ],
)
def test_an_image_that_holds_no_labels_is_refused(tmp_path, values, words):
    path = tmp_path / "tubes_dseg.nii.gz"
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    with pytest.raises(BidsInputError, match=words):
        read_atlas(path)


def test_atlas_without_labels_is_refused(tmp_path):
    path = tmp_path / "regions.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 0.5, dtype=np.float32), np.eye(4)), path)
    with pytest.raises(BidsInputError, match="expected one volume of whole numbers from 0 up"):
        read_atlas(path, space="T1w")
