"""The dataset as a whole: participants, files that are there, identity, the table, exit codes, arrays, and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from converted_series import AFFINE, SHAPE, SIEMENS_VE, meaning, stated, values, write_series
from scipy.io import savemat

from qmri_bids.cli.tools import main
from qmri_bids.importing import writing
from qmri_bids.importing.arrays import TEMPLATE
from qmri_bids.importing.run import import_folder

T1W = Path("sub-01/anat/sub-01_T1w.nii.gz")
MPRAGE = SIEMENS_VE | {"SeriesDescription": "t1w_mprage"}

IDENTITY = {
    "PatientName": "Doe^Jane",
    "PatientID": "12345",
    "PatientBirthDate": "1970-01-01",
    "PatientSex": "F",
    "PatientWeight": 70,
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Smith",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.4",
    "StudyID": "9",
    "AcquisitionDateTime": "2025-01-01T10:00:00",
}
"""What dcm2niix writes with `-ba n`."""


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_another_folder_is_not_added_to_a_participant_whom_nobody_named(folder, bids, imported, tmp_path):
    def scan(where, name):
        write_series(where, name, values(1), SIEMENS_VE | {"SeriesDescription": "mprage", "InversionTime": 0.9})

    scan(folder, "first_mprage")
    assert imported(subject_is_given=False).exit_code == 0
    assert imported(subject_is_given=False).exit_code == 0, "the same folder again"
    other = tmp_path / "other"
    other.mkdir()
    scan(other, "second_mprage")
    with pytest.raises(ValueError, match="expected no sub-01 yet, found one that was made of other files"):
        import_folder(other, bids, subject_is_given=False)


def test_what_identifies_a_person_is_left_out_and_said(folder, bids, imported):
    nested = {"global": {"const": {"PatientName": "Doe^Jane", "EchoTime": 2.5}}}
    write_series(folder, "t1w", values(1), MPRAGE | IDENTITY | nested)
    done = imported()
    sidecar = stated(bids / T1W)
    assert sidecar == MPRAGE | {"global": {"const": {"EchoTime": 2.5}}}
    assert sidecar["PatientPosition"] == "HFS"
    assert all(key in done.rows[0].note for key in IDENTITY)
    assert b"Doe" not in b"".join(data for name, data in content(bids).items() if name.endswith((".json", ".tsv")))


def test_files_of_the_dataset(folder, bids, imported, validate):
    write_series(folder, "t1w", values(1), MPRAGE)
    done = imported()
    description = json.loads((bids / "dataset_description.json").read_text())
    assert description["DatasetType"] == "raw"
    assert description["GeneratedBy"][0]["Name"].startswith("qmri_bids")
    assert (bids / "participants.tsv").read_text() == "participant_id\nsub-01\n"
    assert "*_cest.*" in (bids / ".bidsignore").read_text().splitlines()
    assert set(done.dataset_files) == {"dataset_description.json", "README.md", ".bidsignore", "participants.tsv"}
    validate()


def test_a_second_participant_is_added(folder, bids, imported, validate):
    write_series(folder, "t1w", values(1), MPRAGE)
    imported()
    (bids / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\n")
    (bids / "README.md").write_text(
        "Mine: what was measured and why, in enough words for the validator to be content with this text.\n"
    )
    before = content(bids)
    done = imported(subject="sub-02", session="ses-a")
    assert done.exit_code == 0
    assert (bids / "participants.tsv").read_text() == "participant_id\tage\nsub-01\t30\nsub-02\tn/a\n"
    assert (bids / "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz").is_file()
    after = content(bids)
    assert {name: after[name] for name in before if name != "participants.tsv"} == {
        n: d for n, d in before.items() if n != "participants.tsv"
    }
    validate()


def test_what_is_there_already_stays(folder, bids, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    imported()
    before = (bids / T1W).stat().st_mtime_ns
    done = imported()
    assert (done.exit_code, done.rows[0].status) == (0, "there already")
    assert (bids / T1W).stat().st_mtime_ns == before


def test_other_files_of_the_same_name_are_refused_unless_told(folder, bids, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    imported()
    before = content(bids / "sub-01")
    write_series(folder, "t1w", values(2), MPRAGE)
    done = imported()
    assert (done.exit_code, done.rows[0].status) == (1, "refused")
    assert "expected none of this name, found one that differs" in done.rows[0].note
    assert "--overwrite" in done.rows[0].note
    assert content(bids / "sub-01") == before
    assert imported(overwrite=True).exit_code == 0
    np.testing.assert_array_equal(meaning(bids / T1W), values(2))


def test_a_write_that_fails_leaves_nothing_behind(folder, bids, imported, monkeypatch):
    write_series(folder, "a_t1w", values(1), MPRAGE)
    write_series(folder, "b_anat_tfl_b1", values(2), SIEMENS_VE | {"SeriesDescription": "tfl_b1 anat"})
    write_series(folder, "b_famp_tfl_b1", values(3), SIEMENS_VE | {"SeriesDescription": "tfl_b1 famp"})
    real = writing.write_copy

    def full(source: Path, target: Path) -> None:
        if "famp" in target.name:
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(writing, "write_copy", full)
    done = imported()
    assert done.exit_code == 1
    assert {row.file: row.status for row in done.rows}["a_t1w.nii.gz"] == "written"
    refused = [row for row in done.rows if row.status == "refused"]
    assert len(refused) == 2
    assert all("no space left on device" in row.note and "famp_TB1TFL" in row.note for row in refused)
    assert {name.split("/")[1] for name in content(bids) if name.startswith("sub-")} == {"anat"}
    assert not list(bids.rglob(".*-*"))
    assert not (bids / "sub-01/fmap").exists()


@pytest.mark.parametrize("damage", ["image", "sidecar"])
def test_one_bad_file_costs_itself(folder, bids, imported, rows, damage):
    write_series(folder, "t1w", values(1), MPRAGE)
    path = write_series(folder, "other", values(2), MPRAGE)
    if damage == "image":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.with_name("other.json").write_text('{"EchoTime": ')
    done = imported()
    assert done.exit_code == 1
    found = rows(done)
    assert found["other.nii.gz"].status == "refused"
    assert "other" in found["other.nii.gz"].note
    assert found["t1w.nii.gz"].status == "written"


def test_nothing_of_the_folder_is_changed_and_the_dataset_may_lie_in_it(folder, imported):
    from qmri_bids.importing.run import import_folder

    write_series(folder, "t1w", values(1), MPRAGE)
    before = content(folder)
    for _ in range(2):
        assert len(import_folder(folder, folder / "bids").rows) == 1
    assert {name: data for name, data in content(folder).items() if not name.startswith("bids/")} == before


def test_a_corrected_table_wins(folder, bids, imported, rows):
    write_series(
        folder, "scan_3", values(1, low=80, high=120), SIEMENS_VE | {"SeriesDescription": "special", "FlipAngle": 5}
    )
    write_series(folder, "t1w", values(2), MPRAGE)
    done = imported()
    assert rows(done)["scan_3.nii.gz"].taken_for == "left alone"
    with done.table.open(newline="") as handle:
        table = list(csv.DictReader(handle, delimiter="\t"))
    for row in table:
        row["taken_for"], row["flip"] = (
            ("TB1map", "60") if row["file"] == "scan_3.nii.gz" else ("left alone", row["flip"])
        )
    with done.table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, table[0], delimiter="\t")
        writer.writeheader()
        writer.writerows(table)
    again = imported(table=done.table, subject="02")
    assert again.exit_code == 0
    path = bids / "sub-02/fmap/sub-02_TB1map.nii.gz"
    np.testing.assert_array_equal(meaning(path), values(1, low=80, high=120))
    assert stated(path)["FlipAngle"] == 60
    assert not (bids / "sub-02/anat").exists()
    found = rows(again)["scan_3.nii.gz"]
    assert (found.sure, found.status) == ("given", "written")
    assert "FlipAngle 60 from the table" in found.note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file\ttaken_for\nt1w.nii.gz\tT2star\n",
            r"line 2 \(t1w.nii.gz\): taken_for: expected one of pcbssfp, .* found 'T2star'",
        ),
        (
            "file\ttaken_for\tincrement\nt1w.nii.gz\tpcbssfp\tninety\n",
            "increment: expected degrees, one for each volume",
        ),
        ("file\ttaken_for\nt1w.nii.gz\tT1w\nt1w.nii.gz\tT1w\n", "line 3: file: expected each file once"),
        ("file,taken_for\nt1w.nii.gz,T1w\n", "columns: expected file, taken_for"),
        ("file\ttaken_for\tflip\nt1w.nii.gz\tT1w\t-3\n", "flip: expected degrees above zero, found '-3'"),
    ],
)
def test_a_table_that_cannot_be_meant_is_a_wrong_call(folder, bids, imported, text, message):
    write_series(folder, "t1w", values(1), MPRAGE)
    (folder / "t.tsv").write_text(text)
    with pytest.raises(ValueError, match=message):
        imported(table=folder / "t.tsv")
    assert not bids.exists()


def test_a_row_without_its_file_is_said(folder, imported, rows):
    write_series(folder, "t1w", values(1), MPRAGE)
    (folder / "t.tsv").write_text("file\ttaken_for\ngone.nii.gz\tT1w\nt1w.nii.gz\tT1w\n")
    done = imported(table=folder / "t.tsv")
    assert done.exit_code == 1
    assert "expected in" in rows(done)["gone.nii.gz"].note


DESCRIPTION = {
    "VoxelSize": [1.5, 2, 3],
    "Kind": "pcbssfp",
    "Part": "complex",
    "Axes": ["cycle", "x", "y", "z"],
    "FlipAngle": 15,
    "RepetitionTimeExcitation": 0.005,
    "EchoTime": 0.0025,
    "RFPhaseIncrement": [0, 90, 180, 270],
}


def saved(folder: Path, ending: str, array) -> str:
    if ending == ".npy":
        np.save(folder / "cycles.npy", array)
    elif ending == ".npz":
        np.savez(folder / "cycles.npz", image=array)
    else:
        savemat(folder / "cycles.mat", {"image": array, "note": "text", "tr": 5.0})
    return f"cycles{ending}"


@pytest.mark.parametrize("ending", [".npy", ".npz", ".mat"])
def test_arrays_become_images(folder, bids, imported, validate, ending):
    array = (values(1, 4, *SHAPE) + 1j * values(2, 4, *SHAPE)).astype(np.complex64)
    saved(folder, ending, array)
    (folder / "cycles.json").write_text(json.dumps(DESCRIPTION))
    done = imported()
    assert done.exit_code == 0, done.rows[0].note
    image = nib.load(bids / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_VFA.nii.gz")
    assert image.get_data_dtype() == np.complex64
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.moveaxis(array, 0, -1))
    np.testing.assert_allclose(np.diag(image.affine), [1.5, 2, 3, 1])
    # the centre between the first and the last voxel is the origin
    np.testing.assert_allclose(image.affine @ [*(np.array(SHAPE) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-6)
    sidecar = stated(bids / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_VFA.nii.gz")
    assert "VoxelSize" not in sidecar
    assert sidecar["RFPhaseIncrement"] == [0, 90, 180, 270]
    validate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "expected cycles.json beside it, found none"),
        ({"VoxelSize": [2, 2]}, r"cycles.json: VoxelSize: expected three numbers above zero in mm, found \[2, 2\]"),
        ({"Axes": ["x", "y", "z"]}, "cycles.json: Axes: expected one of x, y, z and cycle"),
        ({"Variable": "nothing"}, "Variable: expected the name of the array"),
        ({"Kind": "bold"}, "Kind: expected one of pcbssfp"),
    ],
)
def test_descriptions_that_do_not_fit(folder, imported, change, message):
    saved(folder, ".npy", np.ones((4, *SHAPE)))
    if change is not None:
        (folder / "cycles.json").write_text(json.dumps(DESCRIPTION | change))
    (row,) = imported().rows
    assert row.status in ("refused", "left alone")
    import re

    assert re.search(message, row.note), row.note


def test_the_description_to_copy_works(folder, imported):
    saved(folder, ".npy", np.ones((*SHAPE, 4), dtype=complex) * np.arange(1, 5))
    (folder / "cycles.json").write_text(TEMPLATE)
    assert imported().exit_code == 0


def test_matlab_files_of_version_7_3_are_refused_with_the_way_out(folder, imported):
    (folder / "cycles.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    (folder / "cycles.json").write_text(json.dumps(DESCRIPTION))
    (row,) = imported().rows
    assert "'-v7'" in row.note


def test_arrays_with_objects_are_not_opened(folder, imported):
    np.save(folder / "cycles.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (folder / "cycles.json").write_text(json.dumps(DESCRIPTION))
    (row,) = imported().rows
    assert row.status == "refused"


def test_the_command(folder, bids, capsys):
    write_series(folder, "t1w", values(1), MPRAGE)
    write_series(folder, "dwi", values(2), SIEMENS_VE)
    assert main(["import", str(folder), str(bids), "--subject", "P1"]) == 0
    said = capsys.readouterr().out
    assert "-> sub-P1/anat/sub-P1_T1w.nii.gz" in said
    assert "Files: 1 written, 1 left alone." in said
    assert f"Table: {bids / 'code/import_sub-P1.tsv'}" in said
    assert "--dry-run" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none", "{bids}"], "expected a folder of images, found none"),
        (["{folder}", "{folder}"], "expected another folder"),
        (["{folder}", "{bids}", "--subject", "a_b"], "--subject: expected a label of letters and digits, found 'a_b'"),
        (["{folder}", "{bids}", "--table", "{folder}/none.tsv"], "expected a table of an import"),
        (["{folder}", "{other}"], "would mix both"),
    ],
)
def test_wrong_calls_end_with_one_line(folder, bids, tmp_path, capsys, arguments, message):
    other = tmp_path / "other"
    (other / "things").mkdir(parents=True)
    places = {"folder": folder, "bids": bids, "other": other}
    assert main(["import", *(each.format(**places) for each in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not bids.exists()


def test_nothing_recognised(folder, bids, capsys):
    assert main(["import", str(folder), str(bids)]) == 3
    write_series(folder, "dwi", values(2), SIEMENS_VE)
    assert main(["import", str(folder), str(bids)]) == 3
    assert "Correct it" in capsys.readouterr().out
    assert not (bids / "dataset_description.json").exists()


def test_a_folder_that_may_not_be_written(folder, bids, capsys, monkeypatch):
    write_series(folder, "t1w", values(1), MPRAGE)

    def locked(path: Path, text: str) -> Path:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("qmri_bids.importing.run.write_text", locked)
    assert main(["import", str(folder), str(bids)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "import_sub-01.tsv: this user may not read or write it" in error


def test_a_dry_run_writes_the_table_alone(folder, bids, capsys):
    write_series(folder, "t1w", values(1), MPRAGE)
    assert main(["import", str(folder), str(bids), "--dry-run"]) == 0
    assert list(content(bids)) == ["code/import_sub-01.tsv"]
    assert "1 to be written" in capsys.readouterr().out
    assert main(["import", str(folder), str(bids), "--table", str(bids / "code/import_sub-01.tsv")]) == 0
    assert (bids / T1W).is_file()


def test_a_header_with_an_extension_is_said(folder, imported):
    path = write_series(folder, "t1w", values(1), MPRAGE)
    image = nib.load(path)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe"))
    data = np.asarray(image.dataobj).copy()
    nib.save(nib.Nifti1Image(data, AFFINE, image.header), path)
    assert "extension" in imported().rows[0].note


def test_sessions_and_none_do_not_mix(folder, bids, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    imported()
    with pytest.raises(ValueError, match="expected sessions, as the call has it, found anat"):
        imported(session="1")


def test_labels_of_scans_part_two_runs(folder, bids, imported):
    common = SIEMENS_VE | {
        "SequenceName": "tfi3d1",
        "SeriesDescription": "bssfp",
        "FlipAngle": 15,
        "RFPhaseIncrement": [0, 120, 240],
    }
    for stem, code in (("a", "M"), ("b", "M"), ("c", "P"), ("d", "P")):
        write_series(folder, f"bssfp_{stem}", values(ord(stem), *SHAPE, 3), common | {"ImageType": [code]})
    done = imported()
    assert done.exit_code == 1
    assert all("different labels in the column scan" in row.note for row in done.rows)
    lines = ["file\ttaken_for\tscan", *(f"bssfp_{s}.nii.gz\tpcbssfp\trun {1 + k % 2}" for k, s in enumerate("abcd"))]
    (folder / "t.tsv").write_text("\n".join(lines))
    assert imported(table=folder / "t.tsv").exit_code == 0
    second = bids / "sub-01/anat/sub-01_acq-pcbssfp_run-2_flip-1_part-phase_VFA.nii.gz"
    np.testing.assert_array_equal(meaning(second), values(ord("d"), *SHAPE, 3))


def test_numbers_that_are_none_become_null(folder, bids, imported):
    path = write_series(folder, "t1w", values(1), MPRAGE)
    path.with_name("t1w.json").write_text('{"SeriesDescription": "t1w", "EchoTime": NaN}')
    imported()
    assert stated(bids / T1W)["EchoTime"] is None


def test_colours_and_planes_are_no_scans(folder, imported):
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, AFFINE), folder / "colFA.nii.gz")
    write_series(folder, "plane", values(1, 6, 5), SIEMENS_VE)
    write_series(folder, "t1w", values(1), MPRAGE)
    done = imported()
    assert done.exit_code == 0
    assert {row.file: row.status for row in done.rows} == {
        "colFA.nii.gz": "left alone",
        "plane.nii.gz": "left alone",
        "t1w.nii.gz": "written",
    }


@pytest.mark.parametrize("dtype", [">f8", "int64", "bool", "float16", "uint16", ">i2", "complex128"])
def test_arrays_of_every_type_keep_their_values(folder, bids, imported, dtype):
    array = np.asfortranarray(values(1).astype(dtype))
    np.save(folder / "t1.npy", array)
    (folder / "t1.json").write_text(json.dumps({"VoxelSize": [1, 1, 1], "Kind": "T1w"}))
    assert imported().exit_code == 0
    np.testing.assert_array_equal(meaning(bids / T1W), array)


def test_pairs_of_arrays(folder, bids, imported, validate):
    for state in (True, False):
        np.save(folder / f"x{state}.npy", values(1 + state))
        (folder / f"x{state}.json").write_text(json.dumps({"VoxelSize": [1, 1, 1], "Kind": "MTR", "MTState": state}))
    for part, seed in (("mag", 5), ("phase", 6)):
        np.save(folder / f"cycles_{part}.npy", values(seed, *SHAPE, 4))
        (folder / f"cycles_{part}.json").write_text(
            json.dumps(DESCRIPTION | {"Part": part, "Axes": ["x", "y", "z", "cycle"]})
        )
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    np.testing.assert_array_equal(meaning(bids / "sub-01/anat/sub-01_mt-on_MTR.nii.gz"), values(2))
    np.testing.assert_array_equal(
        meaning(bids / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-phase_VFA.nii.gz"), values(6, *SHAPE, 4)
    )
    validate()


def test_a_folder_inside_the_dataset(bids):
    from qmri_bids.importing.run import import_folder

    write_series(bids / "sourcedata" / "a  b", "t1  w", values(1), MPRAGE)
    done = import_folder(bids / "sourcedata", bids)
    assert done.exit_code == 0
    again = import_folder(bids / "sourcedata", bids, table=done.table)
    assert [row.status for row in again.rows] == ["there already"]


ODD = [
    None,
    True,
    5,
    -1.5,
    "",
    "text",
    [],
    [None],
    ["M", 3],
    [[1]],
    {"a": 1},
    "1e400",
    [0, 90],
    {"ImageType": ["M"]},
    10**400,
    float("nan"),
]


def test_odd_values_of_sidecars_end_no_call(folder, tmp_path):
    from qmri_bids.importing.run import import_folder

    keys = (
        "SeriesDescription",
        "ProtocolName",
        "ImageType",
        "SequenceName",
        "PulseSequenceType",
        "FlipAngle",
        "EchoTime",
        "EchoNumber",
    )
    keys += (
        "RepetitionTime",
        "RFPhaseIncrement",
        "MTState",
        "ScanOptions",
        "InversionTime",
        "SaturationOffset",
        "SaturationDuration",
    )
    keys += (
        "SaturationB1RMS",
        "Units",
        "SeriesNumber",
        "AcquisitionTime",
        "PulseqFile",
        "EchoTime1",
        "EchoTime2",
        "ScanningSequence",
    )
    random = np.random.default_rng(3)
    names = (
        "trufi_pc0",
        "trufi_pc180_ph",
        "mtsat_mt_on",
        "mt_off",
        "tfl_b1",
        "afi_tr1",
        "dam",
        "b1map",
        "fieldmap_ph",
        "field_map",
        "apt",
        "t1w",
    )
    for number in range(12):
        shape = SHAPE if number % 2 else (*SHAPE, 4)
        for name in names:
            sidecar = {key: ODD[random.integers(len(ODD))] for key in keys if random.random() < 0.3}
            write_series(folder, name, values(1, *shape), sidecar)
        done = import_folder(folder, tmp_path / f"bids{number}")
        assert not [row.note for row in done.rows if "fault of this program" in row.note]
        assert len(done.rows) == len(names)


def test_a_dataset_is_imported_as_it_is(folder, bids, imported, tmp_path):
    from qmri_bids.importing.run import import_folder

    common = {
        "PulseSequenceType": "bSSFP",
        "RFPhaseIncrement": [0, 120, 240],
        "FlipAngle": 15,
        "RepetitionTimeExcitation": 0.005,
    }
    for part, low in (("mag", 1), ("phase", -4096)):
        more = {"Units": "arbitrary"} if part == "phase" else {}
        write_series(
            folder, f"sub-09_acq-pcbssfp_flip-1_part-{part}_VFA", values(low + 5000, *SHAPE, 3, low=low), common | more
        )
    for role in ("anat", "famp"):
        write_series(folder, f"sub-09_acq-{role}_TB1TFL", values(2, low=500, high=1000), {"FlipAngle": 80})
    write_series(
        folder,
        "sub-09_acq-APT_cest",
        values(3, *SHAPE, 4),
        {"SaturationB1RMS": 2, "SaturationDuration": 1, "MagneticFieldStrength": 3},
    )
    (folder / "sub-09_acq-APT_cestcontext.tsv").write_text(
        "volume_type\toffset_ppm\nm0scan\tn/a\ncest\t-3\ncest\t0\ncest\t3\n"
    )
    for state in ("on", "off"):
        write_series(folder, f"sub-09_mt-{state}_MTR", values(4), {"MTState": state == "on"})
    assert imported().exit_code == 0
    again = import_folder(bids / "sub-01", tmp_path / "again")
    assert again.exit_code == 0

    def files(root: Path) -> dict[str, bytes]:
        return {name: data for name, data in content(root).items() if name.startswith("sub-")}

    found = files(tmp_path / "again")
    assert {name for name in found if name.endswith(".nii.gz")} == {
        *(f"sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz" for part in ("mag", "phase")),
        *(f"sub-01/fmap/sub-01_acq-{role}_TB1TFL.nii.gz" for role in ("anat", "famp")),
        *(f"sub-01/anat/sub-01_mt-{state}_MTR.nii.gz" for state in ("on", "off")),
        next(name for name in found if name.endswith("_cest.nii.gz")),
    }
    assert {data for name, data in found.items() if name.endswith(".nii.gz")} == {
        data for name, data in files(bids).items() if name.endswith(".nii.gz")
    }
