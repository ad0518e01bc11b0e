"""What lies in the dataset or the folder already: stale files, links, leftovers, and files that nothing can read."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from converted_series import AFFINE, SHAPE, SIEMENS_VE, stated, values, write_series

from qmri_bids.importing import writing
from qmri_bids.importing.run import import_folder
from qmri_bids.system.temporaries import temporary_path

T1W = Path("sub-01/anat/sub-01_T1w.nii.gz")
MPRAGE = SIEMENS_VE | {"SeriesDescription": "t1w_mprage"}
CEST = SIEMENS_VE | {"SeriesDescription": "APTw", "SaturationB1RMS": 2.0, "SaturationDuration": 2.0}


def test_a_table_of_offsets_of_an_earlier_import_is_refused(folder, bids, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, 3), CEST)
    (folder / "7_apt.txt").write_text("-3\n0\n3\n")
    assert imported().exit_code == 0
    (folder / "7_apt.txt").unlink()
    write_series(folder, "7_apt", values(1, *SHAPE, 3), CEST | {"SaturationOffset": [-4, 0, 4]})
    before = {path: path.read_bytes() for path in (bids / "sub-01").rglob("*") if path.is_file()}
    done = imported(overwrite=True)
    assert done.exit_code == 1
    assert "sub-01_acq-APTw_cestcontext.tsv: file: expected none" in done.rows[0].note
    assert before == {path: path.read_bytes() for path in (bids / "sub-01").rglob("*") if path.is_file()}
    (bids / "sub-01/anat/sub-01_acq-APTw_cestcontext.tsv").unlink()
    assert imported(overwrite=True).exit_code == 0


def test_the_other_image_of_a_pair_that_became_one_file_is_refused(folder, bids, imported):
    common = SIEMENS_VE | {"FlipAngle": 80}
    for role in ("anat", "famp"):
        write_series(folder, f"tfl_b1_{role}", values(1), common | {"SeriesDescription": f"tfl_b1 {role}"})
    assert imported().exit_code == 0
    for path in folder.iterdir():
        path.unlink()
    write_series(folder, "tb1tfl", values(1, *SHAPE, 2), common | {"SeriesDescription": "tb1tfl"})
    done = imported(overwrite=True)
    assert done.exit_code == 1
    assert "sub-01_acq-anat_TB1TFL.nii.gz" in done.rows[0].note


def test_the_name_in_the_header_of_gzip_is_left_out(folder, bids, imported):
    path = write_series(folder, "t1w", values(1), MPRAGE, ending=".nii")
    content = path.read_bytes()
    path.unlink()
    with (folder / "t1w.nii.gz").open("wb") as handle, gzip.GzipFile("Doe_Jane.nii", "wb", fileobj=handle) as packed:
        packed.write(content)
    assert b"Doe_Jane" in (folder / "t1w.nii.gz").read_bytes()
    assert imported().exit_code == 0
    assert b"Doe" not in (bids / T1W).read_bytes()
    assert gzip.decompress((bids / T1W).read_bytes()) == content
    assert imported().rows[0].status == "there already"


@pytest.mark.parametrize(
    "key",
    [
        "IssuerOfPatientID",
        "AdditionalPatientHistory",
        "SubjectName",
        "PersonName",
        "DateOfBirth",
        "MedicalRecordLocator",
        "IrradiationEventUID",
        "PerformedProcedureStepStartDate",
        "ContentCreatorName",
        "EthnicGroup",
        "ImageComments",
        "StudyDescription",
        "00100010",
        "0008103e",
    ],
)
def test_more_keys_that_identify_a_person(folder, bids, imported, key):
    write_series(folder, "t1w", values(1), MPRAGE | {key: "Doe"})
    done = imported()
    assert stated(bids / T1W) == MPRAGE
    assert key in done.rows[0].note


@pytest.mark.parametrize("field", ["descrip", "intent_name"])
def test_texts_of_headers_are_said(folder, imported, field):
    path = write_series(folder, "t1w", values(1), MPRAGE)
    image = nib.load(path)
    header = image.header.copy()
    header[field] = b"Doe"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj).copy(), AFFINE, header), path)
    assert f"its NIfTI header holds {field}" in imported().rows[0].note


@pytest.mark.parametrize("name", ["participants.tsv", ".bidsignore"])
@pytest.mark.parametrize("damage", ["encoding", "folder", "link"])
def test_tables_that_cannot_be_added_to_stop_the_call_before_it_writes(folder, bids, imported, name, damage):
    write_series(folder, "t1w", values(1), MPRAGE)
    bids.mkdir()
    (bids / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    if damage == "encoding":
        (bids / name).write_bytes(b"participant_id\nsub-\xe9\n")
    elif damage == "folder":
        (bids / name).mkdir()
    else:
        (bids / name).symlink_to(bids / "annex")
    with pytest.raises(ValueError, match=f"{name}: expected text"):
        imported()
    assert not (bids / "sub-01").exists()
    assert not (bids / "code").exists()


@pytest.mark.parametrize("name", ["code", "sub-01"])
def test_files_in_place_of_folders_stop_the_call(folder, bids, imported, name):
    write_series(folder, "t1w", values(1), MPRAGE)
    bids.mkdir()
    (bids / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    (bids / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name}: expected a folder, found a file"):
        imported()
    assert (bids / name).read_text() == "mine"


def test_a_name_in_another_encoding_costs_itself(folder, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    try:
        os.rename(os.fsencode(write_series(folder, "x", values(1), None)), os.fsencode(folder) + b"/sch\xe4del.nii.gz")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    done = imported()
    assert done.exit_code == 1
    assert {row.status for row in done.rows} == {"written", "refused"}
    assert any("expected a name in UTF-8" in row.note for row in done.rows)
    assert "\\xe4" in done.table.read_text()


def test_a_link_to_nothing_is_there(folder, bids, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    (bids / T1W).parent.mkdir(parents=True)
    (bids / T1W).symlink_to("annex/object")
    done = imported()
    assert done.exit_code == 1
    assert "expected none of this name" in done.rows[0].note
    assert (bids / T1W).is_symlink()


def test_what_a_killed_import_left_behind_is_removed(folder, bids, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    program = (
        "from pathlib import Path; from qmri_bids.system.temporaries import temporary_path; "
        f"print(temporary_path(Path({str(bids / T1W)!r})))"
    )
    left = Path(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    )
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    mine = temporary_path(bids / T1W)
    mine.write_bytes(b"of a call that runs")
    assert imported().exit_code == 0
    assert not left.exists()
    assert mine.exists()


def test_two_calls_at_once_do_not_mix_a_scan(tmp_path, bids, monkeypatch):
    """The second call waits until the first has renamed all, then finds its files."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, each in enumerate(folders):
        write_series(each, "t1w", values(seed), MPRAGE | {"EchoTime": seed})
    both = threading.Barrier(2, timeout=5)
    real = os.replace

    def slow(source, target):
        if str(target).endswith(("T1w.json", "T1w.nii.gz")):
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=1)
        return real(source, target)

    monkeypatch.setattr(writing.os, "replace", slow)
    done = {}

    def call(each):
        done[each] = import_folder(each, bids)

    calls = [threading.Thread(target=call, args=(each,)) for each in folders]
    for thread in calls:
        thread.start()
    for thread in calls:
        thread.join()
    assert sorted(each.rows[0].status for each in done.values()) == ["refused", "written"]


def test_a_link_in_a_circle_costs_itself(folder, imported, rows):
    write_series(folder, "t1w", values(1), MPRAGE)
    (folder / "loop.nii.gz").symlink_to(folder / "loop.nii.gz")
    done = imported()
    assert {name: row.status for name, row in rows(done).items()} == {"t1w.nii.gz": "written", "loop.nii.gz": "refused"}


def test_a_link_to_data_that_are_not_here_says_how_to_get_them(folder, imported):
    (folder / "t1w.nii.gz").symlink_to("annex/object")
    (row,) = imported().rows
    assert "datalad get" in row.note


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble"])
def test_numbers_of_more_than_64_bits_are_refused_in_words(folder, imported, dtype):
    np.save(folder / "t1.npy", values(1).astype(dtype))
    (folder / "t1.json").write_text(json.dumps({"VoxelSize": [1, 1, 1], "Kind": "T1w"}))
    (row,) = imported().rows
    assert row.status == "refused"
    assert "expected numbers of 64 bits at most" in row.note


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_sidecars_that_are_nested_deeply_are_refused_in_words(folder, imported, rows, depth):
    write_series(folder, "t1w", values(1), MPRAGE)
    write_series(folder, "deep", values(1), MPRAGE)
    (folder / "deep.json").write_text('{"a": ' + "[" * depth + "]" * depth + "}")
    found = rows(imported())
    assert found["t1w.nii.gz"].status == "written"
    assert found["deep.nii.gz"].status == "refused"
    assert "deep.json: file: expected JSON" in found["deep.nii.gz"].note


@pytest.mark.parametrize(
    ("words", "names"), [(("magnitude", "phase"), ("mag", "phase")), (("Real", "imaginary"), ("real", "imag"))]
)
def test_words_for_parts_of_arrays(folder, bids, imported, words, names):
    for seed, word in enumerate(words):
        np.save(folder / f"cycles{seed}.npy", values(seed, *SHAPE, 4))
        description = {"VoxelSize": [1, 1, 1], "Kind": "pcbssfp", "Part": word, "RFPhaseIncrement": [0, 90, 180, 270]}
        (folder / f"cycles{seed}.json").write_text(json.dumps(description))
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert {path.name.split("part-")[1].split("_")[0] for path in bids.rglob("*.nii.gz")} == set(names)


def test_a_word_that_is_no_part(folder, imported):
    np.save(folder / "t1.npy", values(1))
    (folder / "t1.json").write_text(json.dumps({"VoxelSize": [1, 1, 1], "Kind": "T1w", "Part": "half"}))
    (row,) = imported().rows
    assert "t1.json: Part: expected one of mag, phase" in row.note


def test_a_linked_folder_is_said(folder, imported, rows, tmp_path):
    write_series(folder, "t1w", values(1), MPRAGE)
    write_series(tmp_path / "elsewhere", "more", values(1), MPRAGE)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    done = imported()
    assert done.exit_code == 0
    assert rows(done)["linked"].status == "left alone"
    assert "a link to a folder" in rows(done)["linked"].note
