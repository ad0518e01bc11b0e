"""Names of outputs against the validator of BIDS, and the files against those who read them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids import __version__
from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.bids.layout import BidsInputError, load_filter_file, open_layout, strip_label
from qmri_bids.bids.names import ENTITY_ORDER, output_path, outputs, sidecar_path
from qmri_bids.bids.provenance import bids_uri, map_metadata
from qmri_bids.bids.write import (
    CONFOUND_DESCRIPTIONS,
    atomic_path,
    write_json,
    write_map,
    write_table,
    write_text,
    write_transforms,
)
from qmri_bids.estimation.base import Status
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=4, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618, field_strength=3.0
)
AFFINE = np.diag([1.3, 1.3, 1.3, 1.0])
RUNS = (
    {"sub": "01", "acq": "pcbssfp", "flip": "1"},
    {"sub": "01", "ses": "1", "acq": "pcbssfp", "rec": "norm", "run": "2", "flip": "2"},
    {"sub": "02", "flip": "1"},
    {"sub": "02", "ses": "1", "acq": "APTw"},
)
SATURATION_OUTPUTS = (
    *(f"{name}{kind}" for name in ("MTRmap", "MTsat", "R1map", "MTRasym") for kind in ("", "_std")),
    *(f"amplitude_{pool}{kind}" for pool in ("water", "MT", "amide", "NOE", "amine") for kind in ("", "_std")),
    *(f"arex_{pool}{kind}" for pool in ("MT", "amide", "NOE", "amine") for kind in ("", "_std")),
    *("TB1map_std", "preproc_cest", "corrected_cest", "tissue", "volume_transforms"),
    *(f"{name}_to_scan_transform" for name in ("b0", "t1", "b1", "power1", "power2", "power3", "power4")),
)


def write_everything(root: Path, entities: dict[str, str]) -> None:
    """Write one file of every output of a run."""
    for key, row in outputs().items():
        suffix = {"figure": "T1map", "log": "crash"}.get(row.kind)
        path = output_path(root, entities=entities, output=key, suffix=suffix)
        if row.kind in ("map", "mask"):
            shape = (3, 4, 2, 4) if row.suffix in ("VFA", "cest") else (3, 4, 2)
            array = np.ones(shape, dtype=np.uint8 if row.kind == "mask" else np.float32)
            metadata = map_metadata(
                key,
                sources=["bids:raw:sub-01/anat/sub-01_flip-1_part-mag_VFA.nii.gz"],
                protocol=PROTOCOL,
                algorithm="maximum likelihood",
                reference="a paper",
                model={"Name": "ml", "Version": "1"},
            )
            write_map(path, array, affine=AFFINE, metadata=metadata)
        elif row.suffix == "dseg":
            write_text(path, "index\tname\n1\tGray Matter\n")
        elif row.kind == "table":
            write_table(path, {name: [0.0] * 4 for name in CONFOUND_DESCRIPTIONS}, descriptions=CONFOUND_DESCRIPTIONS)
        elif row.kind == "transform":
            write_transforms(path, [np.eye(4)])
        else:
            write_text(path, "content")


def validate(folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("bids-validator-deno") or str(Path(os.sys.executable).parent / "bids-validator-deno")  # type: ignore[attr-defined]
    return subprocess.run([program, "--ignoreWarnings", str(folder)], capture_output=True, text=True, check=False)


def test_whole_tree_is_valid(raw: Any) -> None:
    derivatives = raw.root / "derivatives" / "qmri_bids"
    write_dataset_description(derivatives, bids_dir=raw.root)
    write_bidsignore(derivatives)
    for entities in RUNS:
        write_everything(derivatives, entities)
    write_text(derivatives / "logs" / "CITATION.md", "text")
    (derivatives / "sub-01" / "anat" / ".sub-01_T1map-123.nii.gz").touch()  # left by a job that was killed
    result = validate(derivatives)
    assert result.returncode == 0, result.stdout
    # the test can fail: without a required key the tree is not valid
    write_json(output_path(derivatives, entities=RUNS[0], output="T1map", extension=".json"), {})
    broken = validate(derivatives)
    assert broken.returncode == 16
    assert "SkullStripped" in broken.stdout


def test_raw_fixture_is_valid(raw: Any) -> None:
    result = validate(raw.root)
    assert result.returncode == 0, result.stdout


def test_names_of_all_outputs() -> None:
    root = Path("out")
    names = {
        key: output_path(root, entities=RUNS[1], output=key, suffix=None if row.suffix or row.kind == "report" else "x")
        for key, row in outputs().items()
    }
    assert len(set(names.values())) == len(names)
    stem = "out/sub-01/ses-1/{}/sub-01_ses-1_acq-pcbssfpRecnormFlip2_run-2_{}"
    expected = {
        "T1map": stem.format("anat", "T1map.nii.gz"),
        "T2map_std": stem.format("anat", "desc-std_T2map.nii.gz"),
        "fieldmap": stem.format("fmap", "fieldmap.nii.gz"),
        "fieldmap_magnitude": stem.format("fmap", "magnitude.nii.gz"),
        "TB1map": stem.format("fmap", "TB1map.nii.gz"),
        "quality_mask": stem.format("anat", "desc-quality_mask.nii.gz"),
        "preproc_magnitude": stem.format("anat", "flip-2_part-mag_desc-preproc_VFA.nii.gz"),
        "cycle_transforms": stem.format("anat", "from-orig_to-pcbssfp_mode-image_desc-hmc_xfm.txt"),
        "confounds": stem.format("anat", "desc-confounds_timeseries.tsv"),
        "report": "out/sub-01_ses-1.html",
    }
    assert {key: names[key].as_posix() for key in expected} == expected


def test_names_of_cest_and_mt_outputs() -> None:
    names = {key: output_path(Path("out"), entities=RUNS[3], output=key).name for key in SATURATION_OUTPUTS}
    stem = "sub-02_ses-1_acq-APTw_"
    expected = {
        "MTRmap": "MTRmap.nii.gz",
        "MTRmap_std": "desc-std_MTRmap.nii.gz",
        "MTsat": "MTsat.nii.gz",
        "MTsat_std": "desc-std_MTsat.nii.gz",
        "R1map": "R1map.nii.gz",
        "R1map_std": "desc-std_R1map.nii.gz",
        "MTRasym": "desc-asymAPT_MTRmap.nii.gz",
        "MTRasym_std": "desc-asymAPTstd_MTRmap.nii.gz",
        "amplitude_water": "desc-water_amplitudemap.nii.gz",
        "amplitude_NOE_std": "desc-NOEstd_amplitudemap.nii.gz",
        "arex_amide": "desc-amide_arexmap.nii.gz",
        "arex_amide_std": "desc-amidestd_arexmap.nii.gz",
        "TB1map_std": "desc-std_TB1map.nii.gz",
        "preproc_cest": "desc-preproc_cest.nii.gz",
        "corrected_cest": "desc-zspectrum_cest.nii.gz",
        "tissue": "dseg.nii.gz",
        "volume_transforms": "from-orig_to-scan_mode-image_desc-hmc_xfm.txt",
        "b0_to_scan_transform": "from-B0_to-scan_mode-image_xfm.txt",
        "t1_to_scan_transform": "from-T1_to-scan_mode-image_xfm.txt",
        "b1_to_scan_transform": "from-TB1_to-scan_mode-image_xfm.txt",
        **{f"power{n}_to_scan_transform": f"from-power{n}_to-scan_mode-image_xfm.txt" for n in (1, 2, 3, 4)},
    }
    assert {key: names[key] for key in expected} == {key: stem + name for key, name in expected.items()}
    other = output_path(Path(), entities=RUNS[3], output="MTRasym_std", desc="asym2p0std")
    assert other.name == f"{stem}desc-asym2p0std_MTRmap.nii.gz"


def test_every_standard_deviation_has_the_place_and_unit_of_its_map() -> None:
    rows = outputs()
    for key, row in rows.items():
        if key.endswith("_std"):
            assert (row.suffix, row.units, row.folder) == (
                rows[key.removesuffix("_std")].suffix,
                rows[key.removesuffix("_std")].units,
                rows[key.removesuffix("_std")].folder,
            ), key


def test_tissues_have_the_labels_of_bids(tmp_path: Path) -> None:
    content = map_metadata("tissue", sources=["bids:raw:sub-02/anat/sub-02_acq-APTw_cest.nii.gz"])
    assert [text.partition(":")[0] for text in content["Levels"].values()][1:] == ["GM", "WM", "CSF"]
    assert "SkullStripped" not in content
    assert "Units" not in content


def test_runs_never_share_a_name() -> None:
    runs = [
        {"sub": "01", "acq": "pcbssfp", "flip": "1"},
        {"sub": "01", "acq": "pcbssfp", "flip": "2"},
        {"sub": "01", "acq": "pcbssfp", "run": "1", "flip": "1"},
        {"sub": "01", "acq": "pcbssfp", "rec": "a", "flip": "1"},
        {"sub": "01", "acq": "pcbssfp", "ce": "a", "flip": "1"},
    ]
    assert len({output_path(Path(), entities=run, output="T1map") for run in runs}) == len(runs)


def test_other_desc_space_and_bad_labels() -> None:
    run = RUNS[0]
    name = output_path(Path(), entities=run, output="T1map", desc="ml", space="T1w").name
    assert name == "sub-01_acq-pcbssfp_space-T1w_desc-ml_T1map.nii.gz"
    with pytest.raises(ValueError, match="desc: expected a label of letters and digits, found 'a_b'"):
        output_path(Path(), entities=run, output="T1map", desc="a_b")
    with pytest.raises(ValueError, match="expected a suffix, found none"):
        output_path(Path(), entities=run, output="figure")
    with pytest.raises(ValueError, match="expected the suffix T1map, found T2map"):
        output_path(Path(), entities=run, output="T1map", suffix="T2map")


def test_entity_order_agrees_with_the_schema() -> None:
    from bidsschematools.schema import load_schema

    schema = load_schema()
    order = [schema.objects.entities[key].name for key in schema.rules.entities]
    assert [key for key in ENTITY_ORDER if key in order] == [key for key in order if key in ENTITY_ORDER]


def test_codes_of_the_quality_mask_are_those_of_the_estimators() -> None:
    levels = outputs()["quality_mask"].levels
    assert levels is not None
    assert {int(code) for code in levels} == {int(code) for code in Status}


def test_map_has_a_fresh_header(tmp_path: Path) -> None:
    path = output_path(tmp_path, entities=RUNS[0], output="T1map")
    values = np.linspace(0.1, 5.0, 24).reshape(3, 4, 2)
    values[0, 0, 0] = np.nan
    write_map(path, values, affine=AFFINE, metadata=map_metadata("T1map", sources=[], protocol=PROTOCOL))
    image = nib.load(path)
    header = image.header
    assert header.get_data_dtype() == np.float32
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert image.dataobj.slope == 1.0
    assert image.dataobj.inter == 0.0
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(image.dataobj), values.astype(np.float32))
    metadata = json.loads(sidecar_path(path).read_text())
    assert metadata["Units"] == "s"
    assert metadata["SkullStripped"] is True
    assert metadata["RepetitionTimeExcitation"] == 0.0048
    assert metadata["RFPhaseIncrement"] == [45.0, 135.0, 225.0, 315.0]
    assert metadata["FlipAngle"] == pytest.approx(15.0, abs=1e-3)


def test_masks_are_uint8_and_other_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_desc-brain_mask.nii.gz"
    write_map(path, np.ones((2, 2, 2), dtype=bool), affine=AFFINE, metadata={})
    assert nib.load(path).get_data_dtype() == np.uint8
    for bad in (np.ones((2, 2, 2), dtype=np.int64), np.ones((2, 2, 2), dtype=complex)):
        with pytest.raises(ValueError, match="expected real numbers, bool or uint8"):
            write_map(path, bad, affine=AFFINE, metadata={})
    with pytest.raises(ValueError, match="expected three or four axes"):
        write_map(path, np.ones((2, 2)), affine=AFFINE, metadata={})


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_T1map.nii.gz"
    path.write_text("old")

    def fail_halfway() -> None:
        with atomic_path(path) as temporary:
            assert temporary.name.startswith(".")
            assert temporary.name.endswith(".nii.gz")
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail_halfway()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_files_get_the_permissions_of_the_user(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    assert write_text(tmp_path / "ours.txt", "x").stat().st_mode == usual.stat().st_mode


def test_table_and_transforms(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "sub-01_desc-confounds_timeseries.tsv",
        {"trans_x": [0.0, 0.25], "framewise_displacement": [float("nan"), 0.5]},
        descriptions=CONFOUND_DESCRIPTIONS,
    )
    assert path.read_text() == "trans_x\tframewise_displacement\n0\tn/a\n0.25\t0.5\n"
    assert json.loads(sidecar_path(path).read_text())["trans_x"]["Units"] == "mm"
    with pytest.raises(ValueError, match=r"found none of \['other'\]"):
        write_table(path, {"other": [1]}, descriptions=CONFOUND_DESCRIPTIONS)
    with pytest.raises(ValueError, match="expected columns of one length"):
        write_table(path, {"trans_x": [1], "trans_y": [1, 2]}, descriptions=CONFOUND_DESCRIPTIONS)


def test_ants_reads_the_transforms_as_they_are_meant(tmp_path: Path) -> None:
    import ants

    angle = 0.1
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = [1.0, 2.0, 3.0]
    path = write_transforms(tmp_path / "one_xfm.txt", [matrix])
    point = np.array([10.0, 20.0, 30.0])
    to_lps = np.array([-1.0, -1.0, 1.0])
    moved = np.asarray(ants.read_transform(str(path)).apply_to_point(tuple(point * to_lps))) * to_lps
    np.testing.assert_allclose(moved, matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-6)


def test_description_links_the_raw_dataset_and_is_kept(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QMRI_BIDS_DOCKER_TAG", "1.2.3")
    derivatives = raw.root / "derivatives" / "qmri_bids"
    assert write_dataset_description(derivatives, bids_dir=raw.root) == ()
    path = derivatives / "dataset_description.json"
    content = json.loads(path.read_text())
    assert content["DatasetType"] == "derivative"
    assert content["GeneratedBy"] == [
        {
            "Name": "qmri_bids",
            "Version": __version__,
            "Container": {"Type": "docker", "Tag": "qmri_bids:1.2.3"},
        }
    ]
    uri = bids_uri(raw.anat / f"{raw.stem}_part-mag_VFA.nii.gz", root=raw.root, dataset="raw")
    _, name, relative = uri.split(":")
    assert (derivatives / content["DatasetLinks"][name] / relative).exists()
    # a second job changes nothing; what others wrote stays
    content["Acknowledgements"] = "all"
    content["GeneratedBy"][0]["Version"] = "0.0.1"
    write_json(path, content)
    (sentence,) = write_dataset_description(derivatives, bids_dir=raw.root)
    assert "has results of qmri_bids 0.0.1" in sentence
    merged = json.loads(path.read_text())
    assert merged["Acknowledgements"] == "all"
    assert [entry["Version"] for entry in merged["GeneratedBy"]] == ["0.0.1", __version__]
    before = path.stat().st_mtime_ns
    assert write_dataset_description(derivatives, bids_dir=raw.root) == ()
    assert path.stat().st_mtime_ns == before


def test_description_of_a_foreign_folder(raw: Any, tmp_path: Path) -> None:
    with pytest.raises(BidsInputError, match="found a raw dataset"):
        write_dataset_description(raw.root, bids_dir=raw.root)
    other = tmp_path / "other"
    write_dataset_description(other, bids_dir=raw.root)
    (sentence,) = write_dataset_description(other, bids_dir=Path("/data/elsewhere/raw"))[1:]
    assert "the former is kept" in sentence
    (other / "dataset_description.json").write_text("{")
    with pytest.raises(BidsInputError, match="expected JSON"):
        write_dataset_description(other, bids_dir=raw.root)


def test_bidsignore_keeps_the_lines_that_are_there(tmp_path: Path) -> None:
    (tmp_path / ".bidsignore").write_text("mine\n*.html")
    write_bidsignore(tmp_path)
    write_bidsignore(tmp_path)
    lines = (tmp_path / ".bidsignore").read_text().splitlines()
    assert lines[:2] == ["mine", "*.html"]
    assert len(lines) == len(set(lines))
    assert "*_xfm.*" in lines


def test_database_is_kept_for_each_choice_of_subjects(raw: Any, tmp_path: Path) -> None:
    shutil.copytree(raw.root / "sub-01", raw.root / "sub-02")
    database = tmp_path / "database"
    for subject in ("01", "02", "01"):
        assert open_layout(raw.root, subjects=[subject], database_dir=database).get_subjects() == [subject]
    assert len(list(database.glob("qmri_bids-*/layout_index.sqlite"))) == 2


def test_database_of_somebody_else_without_the_subject(raw: Any, tmp_path: Path) -> None:
    database = tmp_path / "database"
    open_layout(raw.root, subjects=["01"], database_dir=database)
    (made,) = database.glob("qmri_bids-*")
    shutil.copytree(raw.root / "sub-01", raw.root / "sub-02")
    with pytest.raises(BidsInputError, match="expected an index with sub-02, found one without"):
        open_layout(raw.root, subjects=["02"], database_dir=made)


def test_labels_and_filter_files(tmp_path: Path) -> None:
    assert strip_label("ses-1", entity="ses") == "1"
    with pytest.raises(BidsInputError, match="label of participant: expected letters and digits"):
        strip_label("sub-0 1", entity="sub")
    path = tmp_path / "filter.json"
    path.write_text('{"pcbssfp": {"run": 1}}')
    assert load_filter_file(path) == {"pcbssfp": {"run": 1}}
    path.write_text('{"t1w": {"run": 1}}')
    with pytest.raises(BidsInputError, match=r"expected an object with some of the keys pcbssfp, b1.*found t1w"):
        load_filter_file(path)
    path.write_text("{")
    with pytest.raises(BidsInputError, match="expected a BIDS filter file in JSON"):
        load_filter_file(path)
