"""Every layout of pc-bSSFP is read into the same protocol; what is none is left alone."""

from __future__ import annotations

import math
import pickle
import shutil
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.layout import BidsInputError, open_layout
from qmri_bids.bids.metadata.sequences import is_balanced
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.find import find_runs
from qmri_bids.scans.listing import plan_table


def only_run(dataset: Any, **options: Any) -> PcBssfpRun:
    plan = dataset.plan(**options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.pcbssfp
    return run


def test_series_of_magnitude_and_phase(raw: Any) -> None:
    run = only_run(raw)
    assert run.layout_kind == "mag-phase"
    assert run.label == "sub-01_acq-pcbssfp_flip-1"
    assert [path.name for path in run.files.paths] == [
        f"{raw.stem}_part-{part}_VFA.nii.gz" for part in ("mag", "phase")
    ]
    assert run.files.phase_units == "rad"
    assert run.files.volumes == (0, 1, 2, 3)
    assert run.grid == raw.shape
    assert run.warnings == ()
    protocol = run.protocol
    assert (protocol.repetition_time, protocol.echo_time, protocol.field_strength) == (0.0048, 0.0024, 3)
    assert protocol.flip_angle == pytest.approx(math.radians(15))
    np.testing.assert_allclose(np.degrees(protocol.rf_phase_increment), raw.degrees)


def test_every_value_names_its_source(raw: Any) -> None:
    sources = {source.key: (source.value, source.unit, source.source) for source in only_run(raw).sources}
    file = "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.json"
    assert sources["repetition_time"] == ("4.8", "ms", f"{file}: RepetitionTimeExcitation")
    assert sources["flip_angle"] == ("15", "deg", f"{file}: FlipAngle")
    assert sources["rf_phase_increment"] == ("45, 135, 225, 315", "deg", f"{file}: RFPhaseIncrement")
    assert set(sources) >= {"echo_time", "field_strength", "rf_phase_increment_reference"}


def test_real_and_imaginary_are_preferred_and_said_so(raw: Any) -> None:
    for part in ("real", "imag"):
        raw.image(raw.anat / f"{raw.stem}_part-{part}_VFA.nii.gz")
    run = only_run(raw)
    assert run.layout_kind == "real-imag"
    assert (len(run.files.real), len(run.files.imaginary), run.files.magnitude) == (1, 1, ())
    assert "real and imaginary parts are used" in run.warnings[0]


def test_complex_uncompressed(empty: Any) -> None:
    empty.tfl()
    empty.image(empty.anat / f"{empty.stem}_VFA.nii", 1 + 2j, dtype=np.complex64)
    empty.json(empty.anat / f"{empty.stem}_VFA.json", empty.metadata)
    run = only_run(empty)
    assert run.layout_kind == "complex"
    assert run.files.complex_ == (empty.anat / f"{empty.stem}_VFA.nii",)


@pytest.mark.parametrize("key", ["SpoilingRFPhaseIncrement", "RFPhaseIncrement"])
def test_one_file_per_cycle(empty: Any, key: str) -> None:
    write_split(empty, key=key)
    empty.tfl()
    run = only_run(empty)
    assert run.layout_kind == "split-mag-phase"
    assert run.entities == {"sub": "01", "acq": "pcbssfp", "flip": "1"}
    assert [path.name[18:23] for path in run.files.phase] == ["PC045", "PC135", "PC225", "PC315"]
    np.testing.assert_allclose(np.degrees(run.protocol.rf_phase_increment), empty.degrees)


def write_split(dataset: Any, *, key: str = "SpoilingRFPhaseIncrement", degrees: Any = None) -> None:
    common = {name: value for name, value in dataset.metadata.items() if name != "RFPhaseIncrement"}
    dataset.json(dataset.root / "VFA.json", common)
    for named, stated in zip(dataset.degrees, degrees or dataset.degrees, strict=True):
        stem = f"sub-01_acq-pcbssfpPC{named:03.0f}_flip-1"
        for part in ("mag", "phase"):
            dataset.image(dataset.anat / f"{stem}_part-{part}_VFA.nii.gz", 1.0, shape=dataset.shape)
        dataset.json(dataset.anat / f"{stem}_part-mag_VFA.json", {key: stated})
        dataset.json(dataset.anat / f"{stem}_part-phase_VFA.json", {key: stated, "Units": "rad"})


def test_names_and_sidecars_of_cycles_that_are_swapped_are_refused(empty: Any) -> None:
    write_split(empty, degrees=[135.0, 45.0, 225.0, 315.0])
    (refusal,) = empty.plan(no_b1=True).refusals
    assert "expected 45 as the file name says, found 135" in str(refusal)


def test_labels_of_cycles_may_be_numbers_without_meaning(empty: Any) -> None:
    write_split(empty, degrees=[0.0, 90.0, 180.0, 270.0])
    np.testing.assert_allclose(
        np.degrees(only_run(empty, no_b1=True).protocol.rf_phase_increment), [0, 90, 180, 270], atol=1e-9
    )


def test_a_missing_cycle_sidecar_is_refused(empty: Any) -> None:
    write_split(empty)
    for part in ("mag", "phase"):
        sidecar = empty.anat / f"sub-01_acq-pcbssfpPC135_flip-1_part-{part}_VFA.json"
        empty.json(sidecar, {"Units": "rad"})
    (refusal,) = empty.plan(no_b1=True).refusals
    assert "expected one increment in degrees for this 3D file, found nothing" in str(refusal)
    assert "PC135" in refusal.file


def test_a_4d_series_may_have_a_label_like_that_of_a_cycle(empty: Any) -> None:
    empty.pcbssfp(stem="sub-01_acq-pcbssfpPC4_flip-1")
    assert only_run(empty, no_b1=True).entities["acq"] == "pcbssfpPC4"


@pytest.mark.parametrize("alias", ["RfPhaseIncrement", "PhaseInc", "PhaseIncrements", "PhaseCycles"])
def test_aliases_of_the_increment(empty: Any, alias: str) -> None:
    empty.pcbssfp(change={alias: empty.degrees}, without=("RFPhaseIncrement",))
    np.testing.assert_allclose(np.degrees(only_run(empty, no_b1=True).protocol.rf_phase_increment), empty.degrees)


def test_alternating_reference_is_converted_to_absolute(empty: Any) -> None:
    empty.pcbssfp(change={"RFPhaseIncrementReference": "alternating"})
    run = only_run(empty, no_b1=True)
    np.testing.assert_allclose(np.degrees(run.protocol.rf_phase_increment), [225, 315, 45, 135])
    assert any("converted to absolute by adding 180°" in source.source for source in run.sources)


@pytest.mark.parametrize(("kind", "in_slices"), [("2D", True), ("3D", False), (None, False)])
def test_slices_excited_one_by_one_are_known(empty: Any, kind: str | None, in_slices: bool) -> None:
    empty.pcbssfp(change={"MRAcquisitionType": kind} if kind else None)
    assert only_run(empty, no_b1=True).in_slices is in_slices


def test_table_takes_precedence_and_leaves_out_volumes(raw: Any) -> None:
    table = raw.anat / f"{raw.stem}_ssfpcontext.tsv"
    table.write_text("rf_phase_increment\tflip_angle\tvalid\n0\t20\t1\n90\t20\t1\n180\t20\t0\n270\t20\t1\n")
    run = only_run(raw)
    np.testing.assert_allclose(np.degrees(run.protocol.rf_phase_increment), [0, 90, 270])
    assert run.files.volumes == (0, 1, 3)
    assert run.protocol.flip_angle == pytest.approx(math.radians(20))
    assert "the table is used, as it takes precedence" in run.warnings[0]
    assert "marks cycles as not valid, which are left out: 3 (the first is 1)" in run.warnings[1]


def test_missing_echo_time_is_half_of_tr_with_a_warning(empty: Any) -> None:
    empty.pcbssfp(without=("EchoTime",))
    run = only_run(empty, no_b1=True)
    assert run.protocol.echo_time == pytest.approx(0.0024)
    assert "EchoTime is missing; TE = TR/2 = 2.4 ms is assumed" in run.warnings[0]
    assert any(source.source == "derived: TR/2" for source in run.sources)


def test_metadata_are_inherited_and_the_nearer_wins(raw: Any) -> None:
    raw.json(raw.root / "VFA.json", {"FlipAngle": 99, "MagneticFieldStrength": 7})
    raw.pcbssfp(without=("MagneticFieldStrength",))
    run = only_run(raw)
    assert run.protocol.field_strength == 7
    assert run.protocol.flip_angle == pytest.approx(math.radians(15))
    assert [source.source for source in run.sources if source.key == "field_strength"] == [
        "VFA.json: MagneticFieldStrength"
    ]


def test_runs_flip_angles_and_sessions_are_runs_of_their_own(empty: Any) -> None:
    for stem in ("run-1_flip-1", "run-2_flip-1", "run-2_flip-2"):
        empty.pcbssfp(stem=f"sub-01_acq-pcbssfp_{stem}")
    empty.pcbssfp(
        stem="sub-01_ses-b_acq-pcbssfp_flip-1",
        folder=empty.root / "sub-01" / "ses-b" / "anat",
        change={"FlipAngle": 30},
    )
    assert len(empty.plan(no_b1=True).pcbssfp) == 4
    assert [run.label for run in empty.plan(no_b1=True, session="ses-b").pcbssfp] == ["sub-01_ses-b_acq-pcbssfp_flip-1"]
    second = empty.plan(no_b1=True, run_label="run-02").pcbssfp
    assert [run.entities["flip"] for run in second] == ["1", "2"]
    filtered = empty.plan(no_b1=True, filters={"pcbssfp": {"run": 2, "flip": "2"}}).pcbssfp
    assert [run.label for run in filtered] == ["sub-01_acq-pcbssfp_run-2_flip-2"]
    assert len(empty.plan(no_b1=True, filters={"pcbssfp": {"session": None}}).pcbssfp) == 3


def test_spoiled_gradient_echo_is_left_alone(raw: Any) -> None:
    for flip in ("1", "2"):
        raw.image(raw.anat / f"sub-01_acq-vfa_flip-{flip}_VFA.nii.gz", shape=raw.shape)
    raw.json(
        raw.anat / "sub-01_acq-vfa_VFA.json",
        {"PulseSequenceType": "SPGR", "SpoilingRFPhaseIncrement": 117, "FlipAngle": 4},
    )
    plan = raw.plan()
    assert len(plan.pcbssfp) == 1
    assert plan.refusals == ()
    assert len(plan.notes) == 2
    assert "not a pc-bSSFP scan (PulseSequenceType 'SPGR'" in plan.notes[0]


def test_ordinary_balanced_ssfp_is_left_alone(raw: Any) -> None:
    raw.image(raw.anat / "sub-01_acq-ciss_T2w.nii.gz", shape=raw.shape)
    raw.json(raw.anat / "sub-01_acq-ciss_T2w.json", {"PulseSequenceType": "CISS"})
    raw.image(raw.anat / "sub-01_T2w.nii.gz", shape=raw.shape)
    plan = raw.plan()
    assert (len(plan.pcbssfp), plan.refusals) == (1, ())
    assert any("CISS without phase cycles" in note for note in plan.notes)


@pytest.mark.parametrize("name", ["bSSFP", "SSFP", "TRUFI", "TrueFISP", "FIESTA", "bFFE", "CISS", "Balanced FFE"])
def test_names_of_balanced_ssfp(name: str) -> None:
    assert is_balanced(name)


@pytest.mark.parametrize("name", ["SPGR", "FLASH", "spoiled SSFP", "SSFP-Echo", "PSIF", "DESS", "T1-FFE", "MPRAGE"])
def test_names_of_other_sequences(name: str) -> None:
    assert not is_balanced(name)


def test_plan_can_be_pickled_and_printed(raw: Any) -> None:
    plan = raw.plan()
    assert pickle.loads(pickle.dumps(plan)) == plan
    text = plan_table([plan])
    assert "4 cycles of 6 × 5 × 4 voxels, mag-phase" in text
    assert "repetition_time" in text
    assert "[sub-01_acq-pcbssfp_flip-1_part-mag_VFA.json: EchoTime]" in text
    assert "1 run(s) can be computed, 0 refusal(s)." in text
    raw.tfl(flip_angle=8)
    text = plan_table([raw.plan()])
    assert "--b1-nominal-fa" in text
    assert "0 run(s) can be computed, 2 refusal(s)." in text


def test_only_requested_subjects_are_indexed(raw: Any) -> None:
    for other in ("02", "012"):
        shutil.copytree(raw.root / "sub-01", raw.root / f"sub-{other}")
    shutil.copytree(raw.root / "sub-01", raw.root / "derivatives" / "old" / "sub-01")
    (raw.root / "sub-01" / "func").mkdir()
    (raw.root / "sub-01" / "func" / "sub-01_task-x_bold.nii.gz").touch()
    layout = open_layout(raw.root, subjects=["sub-01"])
    assert layout.get_subjects() == ["01"]
    names = [path.relative_to(raw.root).parts[:2] for path in layout.files]
    assert set(names) == {("sub-01", "anat"), ("sub-01", "fmap")}
    with pytest.raises(BidsInputError, match="expected sub-02 in the index"):
        find_runs(layout, subject="02")


def test_unknown_subject_or_session(raw: Any) -> None:
    with pytest.raises(BidsInputError, match=r"expected sub-1, found the subjects 01.*1 is not 01"):
        open_layout(raw.root, subjects=["1"])
    with pytest.raises(BidsInputError, match="expected sub-01/ses-2, found the sessions"):
        raw.plan(session="2")


def test_two_runs_whose_maps_would_have_one_name(empty: Any) -> None:
    empty.pcbssfp()
    empty.pcbssfp(stem="sub-01_flip-1", folder=empty.anat)
    plan = empty.plan(no_b1=True)
    assert len(plan.pcbssfp) == 1
    assert "maps of the same name" in str(plan.refusals[0])


def test_times_that_contradict_each_other_are_said(empty: Any) -> None:
    empty.pcbssfp(change={"RepetitionTimeExcitation": 0.0096})
    run = only_run(empty, no_b1=True)
    assert any("EchoTime (2.4 ms) is 25 % of RepetitionTimeExcitation (9.6 ms)" in each for each in run.warnings)
    empty.pcbssfp()
    assert not [each for each in only_run(empty, no_b1=True).warnings if "EchoTime" in each]


@pytest.mark.parametrize(("stated", "said"), [(5.28e-3, True), (4.8e-3, False), (0.92, False)])
def test_the_time_in_the_header_is_held_against_the_sidecar(empty: Any, stated: float, said: bool) -> None:
    empty.pcbssfp()
    for path in empty.anat.glob("*.nii.gz"):
        image = nib.load(path)
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = stated
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)
    found = [each for each in only_run(empty, no_b1=True).warnings if "pixdim[4]" in each]
    assert bool(found) is said
    if said:
        assert "RepetitionTimeExcitation is 4.8 ms, but the header of the image says 5.28 ms" in found[0]


def test_two_places_in_one_header_are_said(empty: Any) -> None:
    empty.pcbssfp()
    for path in empty.anat.glob("*.nii.gz"):
        image = nib.load(path)
        moved = image.affine.copy()
        moved[1, 3] += 80.0
        image.set_qform(moved, code=1)
        nib.save(image, path)
    assert any(
        "sform and qform of the header place the image up to 61.5 voxels apart" in each
        for each in only_run(empty, no_b1=True).warnings
    )
