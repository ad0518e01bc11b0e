"""Files of an earlier call are told by the entities of their run, and no others are touched."""

from pathlib import Path

from qmri_bids.pipeline.earlier.files import files_of_run, remove_all, remove_others

RUN = {"sub": "01", "acq": "APTw"}


def write(root: Path, *names: str) -> list[Path]:
    paths = [root / "sub-01" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_files_of_a_run_are_those_with_its_entities(tmp_path: Path) -> None:
    own = write(
        tmp_path,
        "anat/sub-01_acq-APTw_desc-asymAPT_MTRmap.nii.gz",
        "anat/sub-01_acq-APTw_desc-confounds_timeseries.tsv",
        "fmap/sub-01_acq-APTw_fieldmap.nii.gz",
    )
    write(
        tmp_path,
        "anat/sub-01_acq-APTw_desc-asymAPT_MTRmap.json",
        "anat/sub-01_acq-APTw_run-2_desc-asymAPT_MTRmap.nii.gz",
        "anat/sub-01_acq-APTwLong_desc-asymAPT_MTRmap.nii.gz",
        "anat/sub-01_acq-pcbssfp_T1map.nii.gz",
    )
    assert set(files_of_run(RUN, output_dir=tmp_path)) == set(own)


def test_what_was_not_written_again_is_removed_with_its_sidecar(tmp_path: Path) -> None:
    kept, gone, sidecar = write(
        tmp_path,
        "anat/sub-01_acq-APTw_desc-asymAPT_MTRmap.nii.gz",
        "anat/sub-01_acq-APTw_desc-asym2p0_MTRmap.nii.gz",
        "anat/sub-01_acq-APTw_desc-asym2p0_MTRmap.json",
    )
    remove_others(RUN, [kept], output_dir=tmp_path)
    assert kept.exists()
    assert not gone.exists()
    assert not sidecar.exists()


def test_nothing_of_a_run_that_failed_is_left_not_even_a_sidecar_without_its_image(tmp_path: Path) -> None:
    image, sidecar, lone, other = write(
        tmp_path,
        "anat/sub-01_acq-APTw_desc-asymAPT_MTRmap.nii.gz",
        "anat/sub-01_acq-APTw_desc-asymAPT_MTRmap.json",
        "fmap/sub-01_acq-APTw_fieldmap.json",
        "anat/sub-01_acq-pcbssfp_T1map.json",
    )
    assert remove_all(RUN, output_dir=tmp_path) == (image,)
    assert not any(path.exists() for path in (image, sidecar, lone))
    assert other.exists()
