"""Anatomy and spaces in the workflow of a run: failures are said, names are those of BIDS."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import Atlas, SpaceOptions
from qmri_bids.bids.write import write_map
from qmri_bids.pipeline.anatomy.workflow import gives_tissues, mask_node
from qmri_bids.pipeline.earlier.files import remove_files
from qmri_bids.pipeline.earlier.mask_record import file_of_person, mask_record
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.pipeline.results.report_additions import save_additions, with_additions
from qmri_bids.pipeline.spaces.files import Space, in_space, write_in_space
from qmri_bids.pipeline.spaces.nodes import clear_spaces, put_in_spaces
from qmri_bids.pipeline.spaces.scan import Scan
from qmri_bids.reports.content import Level, RunReport
from qmri_bids.reports.methods import methods_text
from qmri_bids.scans.methods import spaces_and_anatomies

RUN = {"sub": "01", "acq": "pcbssfp"}
SHAPE = (8, 8, 8)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def scan(**more):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:6, 2:6, 2:6] = True
    return Scan(entities=RUN, magnitude=np.ones(SHAPE, dtype=np.float32), mask=mask, affine=AFFINE, **more)


def put(tmp_path, **wanted):
    given = {"files": [], "registration": None, "spaces": (), "atlas": None, "anatomy": None} | wanted
    return put_in_spaces(scan=scan(), cache=tmp_path / "cache", bids_dir=tmp_path, output_dir=tmp_path / "out", **given)


@pytest.fixture
def anatomy(tmp_path):
    path = tmp_path / "sub-01_T1w.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype=np.float32), AFFINE), path)
    return Anatomy(t1w=path, root=tmp_path, source="raw")


def test_failed_registration_leaves_other_spaces_out_and_says_so(tmp_path, anatomy):
    path = tmp_path / "registration.npz"
    np.savez(path, failed="left and right are exchanged", warnings=np.array([], dtype=str))
    done = put(tmp_path, registration=str(path), anatomy=anatomy, spaces=("T1w", "MNI152NLin2009aSym"))
    assert done.files == ()
    (check,) = done.additions.checks
    assert (check.value, check.level) == ("failed", Level.BAD)
    assert "left and right are exchanged" in done.additions.warnings[0]
    assert "nothing was put into other spaces" in done.additions.warnings[0]


def test_run_without_contrast_or_image_is_not_put_into_the_template(tmp_path):
    done = put(tmp_path, spaces=("MNI152NLin2009aSym",))
    assert done.files == ()
    assert "no map of T1 or R1" in done.additions.warnings[0]
    assert done.additions.checks[0].level is Level.BAD


def test_atlas_on_the_grid_of_the_scanner_needs_no_registration(tmp_path):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[3, 3, 3], labels[0, 0, 0] = 1, 2
    path = tmp_path / "atlas.nii.gz"
    nib.save(nib.Nifti1Image(labels, AFFINE), path)
    atlas = Atlas(path=path, name="Own", space="native", regions={1: "one", 2: "two"})
    done = put(tmp_path, atlas=atlas)
    assert [each.name for each in done.files] == [
        "sub-01_acq-pcbssfp_atlas-Own_dseg.nii.gz",
        "sub-01_acq-pcbssfp_atlas-Own_stats.tsv",
    ]
    assert np.asarray(nib.load(done.files[0]).dataobj).sum() == 1
    assert done.additions.warnings == ("1 regions of atlas.nii.gz have no voxel in this run: two.",)
    # Another call without the atlas removes them.
    again = put(tmp_path)
    clear_spaces(RUN, keep=again.files, output_dir=tmp_path / "out")
    assert not any(each.exists() for each in done.files)


def test_anatomy_decides_who_finds_the_brain(anatomy):
    def options(**spaces):
        return ProcessingOptions(estimator="pinn", spaces=SpaceOptions(anatomies={"": anatomy}, **spaces))

    assert type(mask_node(options(), entities=RUN).interface).__name__ == "MaskBrain"
    assert type(mask_node(options(spaces=("T1w",)), entities=RUN).interface).__name__ == "MaskByAnatomy"
    assert not gives_tissues(options(spaces=("T1w",)), entities=RUN)


@pytest.mark.parametrize(
    ("measured", "level"),
    [
        ({"similarity": (0.3, 0.5), "overlap": (0.8, 0.9), "mirrored": 0.6}, Level.GOOD),
        ({"similarity": (0.3, 0.5), "overlap": (0.8, 0.9), "mirrored": 0.99}, Level.CHECK),
        ({"similarity": (0.5, 0.495), "overlap": (0.8, 0.9), "mirrored": 0.6}, Level.GOOD),
        ({"similarity": (0.5, 0.45), "overlap": (0.8, 0.9), "mirrored": 0.6}, Level.CHECK),
        ({"similarity": (np.nan, np.nan)}, Level.CHECK),
    ],
)
def test_light_of_a_registration(measured, level):
    assert registration_check("Registration", measured).level is level


def test_report_takes_what_is_added(tmp_path, anatomy):
    report = RunReport(title="a run", decisions=("one",))
    path = tmp_path / "registration.npz"
    np.savez(path, failed="why", warnings=np.array([], dtype=str))
    additions = put(tmp_path, registration=str(path), anatomy=anatomy).additions
    full = with_additions(report, save_additions(tmp_path / "more", additions))
    assert full.decisions == ("one",)
    assert full.level is Level.BAD
    assert with_additions(report, None) is report


def test_methods_say_what_was_done_and_cite_it(anatomy):
    options = SpaceOptions(anatomies={"": anatomy}, spaces=("T1w", "MNI152NLin2009aSym"))
    text, references = methods_text(spaces_and_anatomies([""], options))
    assert "registered rigidly to the T1-weighted image sub-01_T1w.nii.gz" in text
    assert "Maps were put into T1w and MNI152NLin2009aSym" in text
    assert {each.key for each in references} == {"avants2008", "avants2011", "fonov2011"}
    derived = replace(anatomy, source="derivatives", pipeline="fMRIPrep 24.1.1")
    text, _ = methods_text(spaces_and_anatomies([""], SpaceOptions(anatomies={"": derived})))
    assert "masks and tissues were those of fMRIPrep 24.1.1" in text
    assert spaces_and_anatomies([""], SpaceOptions(anatomies={"": anatomy})) == []


def test_names_have_the_space_where_bids_wants_it():
    path = Path("out/sub-01_ses-1_acq-APT_run-2_desc-amide_fractionmap.nii.gz")
    assert in_space(path, "T1w").name == "sub-01_ses-1_acq-APT_run-2_space-T1w_desc-amide_fractionmap.nii.gz"


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_mask_in_another_space_is_the_programs_own_whoever_made_the_native_one(tmp_path, by_hand):
    mask = scan().mask
    native = write_map(
        tmp_path / "sub-01" / "anat" / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz",
        mask,
        affine=AFFINE,
        metadata=mask_record(mask, by_hand=by_hand),
    )
    at = np.stack(np.meshgrid(*[np.arange(0.0, 28.0, 2.0)] * 3, indexing="ij")).astype(np.float32)
    space = Space(label="T1w", affine=np.diag([2.0, 2.0, 2.0, 1.0]), at=at, reference=None)
    (moved,) = write_in_space([native], space=space, output_dir=tmp_path)
    assert not file_of_person(moved)
    corrected = np.asarray(nib.load(moved).dataobj).copy()
    corrected[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(corrected, space.affine), moved)
    assert file_of_person(moved)
    nib.save(nib.Nifti1Image((corrected > 1).astype(np.uint8), space.affine), moved)
    assert remove_files([moved]) == ()
    (again,) = write_in_space([native], space=space, output_dir=tmp_path)
    assert remove_files([again, native]) == ((again,) if by_hand else (again, native))
