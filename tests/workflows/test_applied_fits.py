"""The nodes that apply masks and motion of an earlier call: interpolated once, by the numbers of the file."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import fingerprint, fixed
from written_sentences import said

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import SpaceOptions
from qmri_bids.bids.digests import Digests
from qmri_bids.bids.names import output_path
from qmri_bids.bids.write import write_json, write_transforms
from qmri_bids.pipeline.anatomy.workflow import mask_node
from qmri_bids.pipeline.earlier.applied import ApplyMotion, ApplySeriesMotion, ReadMask, ReadMaskBesideAnatomy
from qmri_bids.pipeline.earlier.files import remove_all
from qmri_bids.pipeline.earlier.fits import find_earlier_fits
from qmri_bids.pipeline.earlier.plan import EarlierFits, EarlierMotion
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.preprocessing.motion.parameters import framewise_displacement
from qmri_bids.preprocessing.motion.phase_cycles import apply_motion
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.reports.methods import methods_text
from qmri_bids.scans.methods import brain_mask, given_motion
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.run_kinds import RUN_KINDS

SHAPE = (9, 10, 8)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
LABEL = "sub-01_acq-pcbssfp_flip-1"


def moved(number):
    """Return transforms of which the last turns and shifts."""
    transforms = np.tile(np.eye(4), (number, 1, 1))
    transforms[-1, :2, :2] = [[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]]
    transforms[-1, :3, 3] = (1.0, -0.5, 2.0)
    return transforms


def test_cycles_are_interpolated_once_by_the_transforms_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    cycles = (rng.random((*SHAPE, 4)) + 1j * rng.random((*SHAPE, 4))).astype(np.complex64)
    transforms = moved(4)
    found = (
        ApplyMotion(
            cycles=save_volume(tmp_path / "in.nii", cycles, AFFINE),
            transforms=str(write_transforms(tmp_path / "xfm.txt", transforms)),
            reference=1,
            source="mine: xfm.txt",
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    expected = resample(
        cycles[..., 3], affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=transforms[3]
    )
    aligned = load_volume(found.cycles)[0]
    np.testing.assert_array_equal(aligned[..., :3], cycles[..., :3])
    np.testing.assert_allclose(aligned[..., 3], expected, atol=1e-6)
    with np.load(found.motion) as motion:
        assert int(motion["reference"]) == 1
        np.testing.assert_allclose(motion["transforms"], transforms, atol=1e-9)
        np.testing.assert_allclose(motion["framewise_displacement"], framewise_displacement(motion["parameters"]))
        assert motion["framewise_displacement"][3] > 2e-3
        assert not motion["coverage"].all()
    assert (
        found.decisions[0] == "The motion was read from mine: xfm.txt, with volume 2 as the reference; none was fitted."
    )


def test_transforms_that_are_not_one_a_cycle_are_refused():
    cycles = np.zeros((*SHAPE, 4), dtype=np.complex64)
    with pytest.raises(ValueError, match=r"must have the shape \(4, 4, 4\)"):
        apply_motion(cycles, affine=AFFINE, transforms=moved(3), reference=0)
    with pytest.raises(ValueError, match="one of the 4 cycles, found index 4"):
        apply_motion(cycles, affine=AFFINE, transforms=moved(4), reference=4)


def test_scans_are_brought_back_and_thresholds_hold(tmp_path):
    series = np.random.default_rng(1).random((*SHAPE, 3)).astype(np.float32)
    known = {
        "series": save_volume(tmp_path / "in.nii", series, AFFINE),
        "transforms": str(write_transforms(tmp_path / "xfm.txt", moved(3))),
        "reference": 0,
        "registered": [True, False, True],
        "source": "mine: xfm.txt",
    }
    found = ApplySeriesMotion(**known).run(cwd=str(tmp_path)).outputs
    expected = resample(series[..., 2], affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=moved(3)[2])
    np.testing.assert_allclose(load_volume(found.series)[0][..., 2], np.maximum(expected, 0.0), atol=1e-6)
    with np.load(found.motion) as motion:
        assert motion["trusted"].tolist() == [True, False, True]
    with pytest.raises(ValueError, match="--fd-threshold 1 would leave out scans that are all needed"):
        ApplySeriesMotion(**known, threshold=1e-3).run(cwd=str(tmp_path))


def mask_file(folder):
    mask = np.zeros((*SHAPE, 1), dtype=np.uint8)
    mask[2:5, 2:6, 1:4] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), folder / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz")
    return folder / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz", mask[..., 0] > 0


def test_mask_is_that_of_the_file(tmp_path):
    path, mask = mask_file(tmp_path)
    series = np.random.default_rng(2).random((*SHAPE, 3)).astype(np.float32)
    found = (
        ReadMask(
            cycles=save_volume(tmp_path / "in.nii", series, AFFINE),
            volumes=[0, 2],
            mask_file=str(path),
            mask_source="mine",
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    np.testing.assert_array_equal(load_volume(found.mask)[0] > 0, mask)
    np.testing.assert_allclose(load_volume(found.magnitude)[0], series[..., [0, 2]].mean(axis=3), rtol=1e-6)
    assert found.decisions == ["The brain mask was read from mine (0.00 litres); none was looked for."]


@pytest.mark.parametrize("fails", [False, True])
def test_mask_goes_before_that_of_the_anatomy_whose_tissues_stay(tmp_path, monkeypatch, fails):
    from qmri_bids.preprocessing.registration import anatomical
    from qmri_bids.preprocessing.registration.anatomical import BroughtAnatomy
    from qmri_bids.preprocessing.registration.scans import RegistrationFailed

    path, mask = mask_file(tmp_path)
    tissue = np.full(SHAPE, 2, dtype=np.uint8)

    def load(t1w, *, brain_mask, dseg, probseg):
        assert brain_mask is None, "a mask that is not used must not be brought"
        return "anatomy"

    def bring(found, *, magnitude, affine):
        if fails:
            raise RegistrationFailed("left and right are exchanged")
        return BroughtAnatomy(
            registration=SimpleNamespace(stored={"transform": np.eye(4)}),
            image=magnitude,
            mask=None,
            tissue=tissue,
            decisions=(),
            warnings=(),
        )

    monkeypatch.setattr(anatomical, "load_anatomical", load)
    monkeypatch.setattr(anatomical, "bring_anatomy", bring)
    anatomy = Anatomy(
        t1w=path, root=tmp_path, source="derivatives", brain_mask=tmp_path / "sub-01_desc-brain_mask.nii.gz"
    )
    found = (
        ReadMaskBesideAnatomy(
            cycles=save_volume(tmp_path / "in.nii", np.ones((*SHAPE, 2), dtype=np.float32), AFFINE),
            anatomy=anatomy,
            mask_file=str(path),
            mask_source="mine",
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    np.testing.assert_array_equal(load_volume(found.mask)[0] > 0, mask)
    assert found.decisions[-1] == "The mask of this very run goes before that of sub-01_desc-brain_mask.nii.gz."
    with np.load(found.registration) as stored:
        assert bool(stored["failed"]) is fails
    if fails:
        assert found.tissue is None
    else:
        np.testing.assert_array_equal(load_volume(found.tissue)[0], np.where(mask, 2, 0))


def test_options_decide_which_nodes_read_and_a_changed_mask_is_noticed(tmp_path):
    from nipype.pipeline import engine as pe

    from qmri_bids.engine.input_content import note_content

    path, mask = mask_file(tmp_path)
    motion = EarlierMotion(transforms=path, reference=0, registered=(), source="mine: xfm.txt")
    known = {LABEL: EarlierFits(mask=path, mask_source="mine: mask", motion=motion)}
    options = ProcessingOptions(estimator="ml", earlier_fits=known)
    node = mask_node(options, entities={"sub": "01"}, label=LABEL)
    assert type(node.interface) is ReadMask
    assert type(mask_node(options, entities={"sub": "01"}, label="another").interface).__name__ == "MaskBrain"
    anatomy = Anatomy(t1w=path, root=tmp_path, source="raw")
    beside = ProcessingOptions(
        estimator="ml", earlier_fits=known, spaces=SpaceOptions(anatomies={"": anatomy}, spaces=("T1w",))
    )
    assert type(mask_node(beside, entities={"sub": "01"}, label=LABEL).interface) is ReadMaskBesideAnatomy
    assert options.earlier_motion(LABEL) is motion
    assert ProcessingOptions(estimator="ml", ignore=("motion",), earlier_fits=known).earlier_motion(LABEL) is None

    workflow = pe.Workflow(name="wf")
    workflow.add_nodes([node])
    note_content(workflow, Digests(None))
    before = dict(node.inputs.content)
    nib.save(nib.Nifti1Image((~mask).astype(np.uint8), AFFINE), path)
    note_content(workflow, Digests(None))
    assert set(before) == {str(path)}
    assert node.inputs.content != before


def test_methods_say_what_was_taken():
    motion = EarlierMotion(transforms=Path("xfm.txt"), reference=0, registered=(), source="mine: xfm.txt")
    options = ProcessingOptions(
        estimator="ml",
        earlier_fits={LABEL: EarlierFits(mask=Path("mask.nii.gz"), mask_source="mine: mask", motion=motion)},
    )

    class Run:
        def __init__(self, label):
            self.label = label

    taken, found = Run(LABEL), Run("another")
    assert given_motion(taken, options) == [said("The motion within {run}", run=LABEL, source="mine: xfm.txt")]
    assert given_motion(found, options) == []
    assert [brain_mask(run, options) for run in (taken, found)] == [
        said("was not found in the image but read", run=LABEL, source="mine: mask"),
        said("The brain was looked for"),
    ]


def test_a_mask_in_the_output_folder_outlives_a_failure(tmp_path):
    folder = tmp_path / "sub-01" / "anat"
    folder.mkdir(parents=True)
    path, _ = mask_file(folder)
    sidecar, other = folder / "sub-01_acq-pcbssfp_desc-brain_mask.json", folder / "sub-01_acq-pcbssfp_T1map.nii.gz"
    for each in (sidecar, other):
        each.touch()
    options = ProcessingOptions(estimator="ml", earlier_fits={LABEL: EarlierFits(mask=path)})
    remove_all({"sub": "01", "acq": "pcbssfp"}, output_dir=tmp_path, keep=options.applied_files)
    assert path.is_file()
    assert sidecar.is_file()
    assert not other.exists()


def test_fingerprints_take_the_motion_of_their_first_series_alone(tmp_path):
    run = fingerprint(fixed(t1=1.0, t2=0.1, b1=1.0, off_resonance=0.0))
    first, second = run.stages
    path, _ = mask_file(tmp_path)
    root = tmp_path / "out"
    write_json(root / "dataset_description.json", {"GeneratedBy": [{"Name": "qmri_bids"}]})
    write_transforms(output_path(root, entities=second.entities, output="volume_transforms"), moved(3))
    found = find_earlier_fits([run], bids_dir=tmp_path, derivatives={"mine": root})
    assert list(found) == [first.label, second.label, run.label]
    assert "holds the way to the first series" in found[second.label].sentences[0]

    motion = EarlierMotion(transforms=path, reference=0, registered=(True,), source="mine: xfm.txt")
    options = ProcessingOptions(
        estimator="ml",
        exchange_estimator="ml",
        earlier_fits=found
        | {first.label: EarlierFits(motion=motion), run.label: EarlierFits(mask=path, mask_source="mine: mask")},
    )
    workflow = RUN_KINDS[run.kind].init(
        run=run, options=options, bids_dir=tmp_path, output_dir=tmp_path, report_file=tmp_path / "report"
    )
    names = {node.name for node in workflow._graph.nodes()}
    assert {"apply_motion", "correct_motion_2", "read_mask"} <= names
    assert not {"correct_motion", "apply_motion_2", "mask_brain"} & names
    text, _ = methods_text(method_sentences([run], options))
    assert f"The motion within {first.label} was that of derivatives of an earlier call (mine: xfm.txt)" in text
    assert f"The brain mask of {run.label} was not found in the image" in text
    assert "aligned rigidly and jointly" in text
