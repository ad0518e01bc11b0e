"""Masks and motion of an earlier call are taken where they fit to their run; where not, why is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.digests import Digests, write_inputs
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata
from qmri_bids.bids.transform_files import read_transforms
from qmri_bids.bids.write import write_json, write_map, write_text, write_transforms
from qmri_bids.pipeline.earlier.files import remove_files
from qmri_bids.pipeline.earlier.fits import find_earlier_fits
from qmri_bids.pipeline.earlier.mask_record import file_of_person, mask_record
from qmri_bids.pipeline.earlier.plan import EarlierFits
from qmri_bids.workflows.planning import link_runs

AFFINE = np.diag([1.3, 1.3, 1.3, 1.0])
MOTIONS = np.tile(np.eye(4), (4, 1, 1))
MOTIONS[1, :3, :3] = [[np.cos(0.02), -np.sin(0.02), 0.0], [np.sin(0.02), np.cos(0.02), 0.0], [0.0, 0.0, 1.0]]
MOTIONS[1, :3, 3] = (0.3, -1.2, 2.0)


def brain(shape: tuple[int, ...] = (6, 5, 4)) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[1:4, 1:4, 1:3] = 1
    return mask


def leave(root: Path, raw: Any, *, name: str = "qmri_bids") -> dict[str, Path]:
    """Leave a mask and a motion as an earlier call does, and return their files."""
    run = raw.plan().pcbssfp[0]
    sources = [bids_uri(path, root=raw.root, dataset=RAW_NAME) for path in run.files.paths]
    mask = output_path(root, entities=run.entities, output="brain_mask")
    motion = output_path(root, entities=run.entities, output="cycle_transforms")
    write_map(mask, brain(), affine=AFFINE, metadata=map_metadata("brain_mask", sources=sources))
    write_transforms(motion, MOTIONS)
    write_json(sidecar_path(motion), map_metadata("cycle_transforms", sources=sources, extra={"ReferenceCycle": 2}))
    write_json(root / "dataset_description.json", {"DatasetType": "derivative", "GeneratedBy": [{"Name": name}]})
    digests = Digests(None)
    for path in run.files.paths:
        digests.of(path)
    write_inputs(digests, root / "sub-01" / "log" / "sub-01_inputs.json", bids_dir=raw.root)
    return {"mask": mask, "motion": motion}


def find(raw: Any, roots: dict[str, Path], **more: Any) -> EarlierFits:
    found = find_earlier_fits(raw.plan().runs, bids_dir=raw.root, derivatives=roots, **more)
    (fits,) = found.values()
    return fits


def test_transforms_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = write_transforms(tmp_path / "xfm.txt", MOTIONS)
    np.testing.assert_array_equal(read_transforms(path), MOTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#Insight Transform File V1.0\n", "expected transforms of ITK"),
        ("Parameters: 1 0 0 0 1 0\n", "expected 12 finite numbers"),
        ("Parameters: 1 0 0 0 x 0 0 0 1 0 0 0\n", "expected numbers"),
        ("Parameters: 1.1 0 0 0 1 0 0 0 1 0 0 0\n", "expected a rigid transform"),
        ("Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 5 0 0\n", "expected FixedParameters of 0"),
    ],
)
def test_what_is_no_rigid_transform_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"xfm.txt.*{message}"):
        read_transforms(write_text(tmp_path / "xfm.txt", text))


def test_mask_and_motion_that_fit_are_taken(raw: Any, tmp_path: Path) -> None:
    left = leave(tmp_path / "out", raw)
    fits = find(raw, {"mine": tmp_path / "out"})
    assert fits.mask == left["mask"]
    assert fits.motion is not None
    assert (fits.motion.transforms, fits.motion.reference) == (left["motion"], 2)
    assert fits.mask_source == "mine: sub-01/anat/sub-01_acq-pcbssfp_desc-brain_mask.nii.gz"
    assert [each.partition(" mine: ")[0] for each in fits.sentences] == [
        "The brain mask is read from",
        "The motion of the cycles is read from",
    ]


def test_mask_may_be_changed_by_hand_and_rounded_by_an_editor(raw: Any, tmp_path: Path) -> None:
    left = leave(tmp_path / "out", raw)
    content = json.loads(sidecar_path(left["mask"]).read_text())
    moved = AFFINE.copy()
    moved[0, 3] += 1e-3
    write_map(left["mask"], 255 * brain()[..., None], affine=moved, metadata=content)
    assert find(raw, {"mine": tmp_path / "out"}).mask == left["mask"]


def _other_grid(left: dict[str, Path]) -> None:
    write_map(
        left["mask"], brain((6, 5, 5)), affine=AFFINE, metadata=json.loads(sidecar_path(left["mask"]).read_text())
    )


def _shifted(left: dict[str, Path]) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 1.3
    write_map(left["mask"], brain(), affine=moved, metadata=json.loads(sidecar_path(left["mask"]).read_text()))


def _empty(left: dict[str, Path]) -> None:
    write_map(left["mask"], 0 * brain(), affine=AFFINE, metadata=json.loads(sidecar_path(left["mask"]).read_text()))


def _damaged(left: dict[str, Path]) -> None:
    left["mask"].write_bytes(b"no image")


def _of_another_run(left: dict[str, Path]) -> None:
    write_json(sidecar_path(left["mask"]), {"Sources": ["bids:raw:sub-01/anat/sub-01_other.nii.gz"]})


def _without_sidecar(left: dict[str, Path]) -> None:
    sidecar_path(left["mask"]).unlink()


def _fewer(left: dict[str, Path]) -> None:
    write_transforms(left["motion"], MOTIONS[:3])


def _no_reference(left: dict[str, Path]) -> None:
    content = json.loads(sidecar_path(left["motion"]).read_text())
    write_json(sidecar_path(left["motion"]), content | {"ReferenceCycle": 4})


@pytest.mark.parametrize(
    ("damage", "what", "message"),
    [
        (_other_grid, "mask", r"expected the grid of .*, \(6, 5, 4\), found \(6, 5, 5\)"),
        (_shifted, "mask", r"found one whose corners lie 1\.30 mm away"),
        (_empty, "mask", "found one that is empty"),
        (_damaged, "mask", "it cannot be read"),
        (_of_another_run, "mask", "found sub-01/anat/sub-01_other.nii.gz"),
        (_without_sidecar, "mask", "expected a JSON file"),
        (_fewer, "motion", "expected one transform for each of the 4 cycles, found 3"),
        (_no_reference, "motion", "ReferenceCycle of its sidecar: expected an index below 4, found 4"),
    ],
)
def test_what_does_not_fit_is_left_alone_and_why_is_said(
    raw: Any, tmp_path: Path, damage: Callable[[dict[str, Path]], None], what: str, message: str
) -> None:
    left = leave(tmp_path / "out", raw)
    damage(left)
    fits = find(raw, {"mine": tmp_path / "out"})
    other = {"mask": "motion", "motion": "mask"}[what]
    assert getattr(fits, what) is None
    assert getattr(fits, other) is not None
    (said,) = [each for each in fits.sentences if "was not taken" in each]
    assert left[what].name in said
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(said)


def test_another_folder_serves_where_the_first_does_not_fit(raw: Any, tmp_path: Path) -> None:
    _empty(leave(tmp_path / "first", raw))
    second = leave(tmp_path / "second", raw)
    fits = find(raw, {"first": tmp_path / "first", "second": tmp_path / "second"})
    assert fits.mask == second["mask"]
    assert "first: " in fits.sentences[0]
    assert "was not taken" in fits.sentences[0]


def test_runs_of_one_image_have_a_mask_and_no_motion(raw: Any, tmp_path: Path) -> None:
    """A freed run and a field scan: nobody looks for transforms of their images."""
    leave(tmp_path / "out", raw)
    raw.image(raw.anat / "sub-01_MPFmap.nii.gz", 0.1, shape=raw.shape)
    (freed,) = link_runs([raw.plan()])
    (fields,) = link_runs([replace(raw.plan(), pcbssfp=())])
    runs = (*freed.transfer, *fields.field_b1)
    assert [run.kind for run in runs] == ["transfer", "b1"]
    found = find_earlier_fits(runs, bids_dir=raw.root, derivatives={"earlier": tmp_path / "out"})
    for run in runs:
        assert found[run.label].motion is None
        assert not any("motion" in sentence for sentence in found[run.label].sentences)


def test_raw_file_that_has_changed_since_is_noticed(raw: Any, tmp_path: Path) -> None:
    leave(tmp_path / "out", raw)
    raw.image(raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz", 101.0)
    fits = find(raw, {"mine": tmp_path / "out"})
    assert (fits.mask, fits.motion) == (None, None)
    assert all("holds something else than when it was made" in each for each in fits.sentences)


def test_folders_of_other_programs_and_motion_that_is_ignored_are_left_alone(raw: Any, tmp_path: Path) -> None:
    leave(tmp_path / "other", raw, name="fMRIPrep")
    assert find_earlier_fits(raw.plan().runs, bids_dir=raw.root, derivatives={"other": tmp_path / "other"}) == {}
    leave(tmp_path / "out", raw)
    fits = find(raw, {"mine": tmp_path / "out"}, with_motion=False)
    assert fits.motion is None
    assert "--ignore motion leaves motion alone" in fits.sentences[1]


def test_series_need_the_table_that_says_what_was_registered(raw: Any, tmp_path: Path) -> None:
    raw.wasabi()
    plan = raw.plan()
    (run,) = plan.cest
    root = tmp_path / "out"
    write_json(root / "dataset_description.json", {"GeneratedBy": [{"Name": "qmri_bids"}]})
    number = len(run.volumes)
    path = write_transforms(
        output_path(root, entities=run.entities, output="volume_transforms"), np.tile(np.eye(4), (number, 1, 1))
    )
    sources = [bids_uri(each, root=raw.root, dataset=RAW_NAME) for each in run.paths]
    write_json(sidecar_path(path), map_metadata("volume_transforms", sources=sources, extra={"ReferenceVolume": 0}))
    without = find_earlier_fits([run], bids_dir=raw.root, derivatives={"mine": root})[run.label]
    assert without.motion is None
    assert any("expected its table" in each for each in without.sentences)
    table = output_path(root, entities=run.entities, output="confounds")
    write_text(table, "registered\n" + "1\n" * (number - 1) + "0\n")
    fits = find_earlier_fits([run], bids_dir=raw.root, derivatives={"mine": root})[run.label]
    assert fits.motion is not None
    assert fits.motion.registered == (*[True] * (number - 1), False)


def test_masks_of_a_person_are_told_from_the_programs_own(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz"
    mask = np.zeros((4, 5, 6), dtype=np.uint8)
    mask[1:3] = 1

    def save(values: np.ndarray, sidecar: object) -> None:
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        path.with_name("sub-01_acq-pcbssfp_desc-brain_mask.json").write_text(json.dumps(sidecar))

    save(mask, mask_record(mask, by_hand=False))
    assert not file_of_person(path)
    assert not file_of_person(path.with_name("sub-01_T1map.nii.gz"))
    for values, sidecar in (
        (1 - mask, mask_record(mask, by_hand=False)),  # corrected in an editor
        (mask, mask_record(mask, by_hand=True)),
        (mask, {}),
        (mask, []),
    ):
        save(values, sidecar)
        assert file_of_person(path)
        assert not file_of_person(path, besides=values)
        assert remove_files([path]) == ()
    save(mask, mask_record(mask, by_hand=False))
    assert remove_files([path]) == (path,)
    other = path.with_name("sub-01_acq-pcbssfp_desc-brain_mask.nii")
    nib.save(nib.Nifti1Image(mask, np.eye(4)), other)
    assert file_of_person(other)
