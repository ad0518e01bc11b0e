"""A table that is given again: labels that nobody touched, folders that changed, and what the user wrote."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from converted_series import SIEMENS_VE, meaning, values, write_series

from qmri_bids.importing.run import import_folder

TRUFI = SIEMENS_VE | {"SequenceName": "tfi3d1", "FlipAngle": 15, "EchoTime": 0.0025, "RepetitionTime": 0.005}
MPRAGE = SIEMENS_VE | {"SeriesDescription": "t1w_mprage"}


def edited(path: Path, change) -> None:
    """Apply a function to every row of a table."""
    with path.open(newline="") as handle:
        table = list(csv.DictReader(handle, delimiter="\t"))
    for row in table:
        change(row)
    path.write_text("\n".join("\t".join(cells) for cells in [table[0].keys(), *(row.values() for row in table)]) + "\n")


def test_an_unedited_table_survives_a_new_series(folder, bids, imported, rows):
    for number in (5, 6):
        write_series(folder, f"t1w_{number}", values(number), MPRAGE | {"SeriesNumber": number})
    first = imported()
    write_series(folder, "t1w_2", values(2), MPRAGE | {"SeriesNumber": 2})
    done = imported(table=first.table, overwrite=True)
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert len({row.scan for row in done.rows}) == 3
    for path in (bids / "sub-01/anat").glob("*_T1w.nii.gz"):
        assert meaning(path).ndim == 3


def test_runs_of_cycles_stay_apart(folder, bids, imported):
    def run(first, time):
        for part, code in (("mag", "M"), ("phase", "P")):
            for place, degrees in enumerate((0, 120, 240)):
                sidecar = TRUFI | {"ImageType": [code], "RFPhaseIncrement": degrees, "SeriesNumber": first + place}
                sidecar |= {"SeriesDescription": f"trufi_{time}"}
                write_series(folder, f"{time}_{place}_{part}", values(first + place, low=-4096), sidecar)

    run(10, "b")
    run(20, "c")
    first = imported()
    assert first.exit_code == 0, [row.note for row in first.rows]
    run(1, "a")
    done = imported(table=first.table, overwrite=True)
    scans = {row.file.partition("_")[0]: set() for row in done.rows}
    for row in done.rows:
        scans[row.file.partition("_")[0]].add(row.scan)
    assert [len(labels) for labels in scans.values()] == [1, 1, 1]
    assert len(set.union(*scans.values())) == 3


def test_a_label_of_another_scan_means_that_scan(folder, imported, rows):
    """The user moves a file to the scan of others; the labels of today differ from those of the table."""
    for number in (5, 6):
        write_series(folder, f"t1w_{number}", values(number), MPRAGE | {"SeriesNumber": number})
    first = imported(dry_run=True)
    write_series(folder, "t1w_2", values(2), MPRAGE | {"SeriesNumber": 2})
    edited(first.table, lambda row: row.update(scan="T1w-1"))
    found = rows(imported(table=first.table))
    assert found["t1w_5.nii.gz"].scan == found["t1w_6.nii.gz"].scan != found["t1w_2.nii.gz"].scan
    assert "expected one image of T1w" in found["t1w_5.nii.gz"].note


def test_a_label_of_the_user_stays_the_users(folder, imported, rows):
    write_series(folder, "t1w_5", values(5), MPRAGE)
    first = imported(dry_run=True)
    edited(first.table, lambda row: row.update(scan="T1w-2"))
    again = imported(dry_run=True, table=first.table)
    write_series(folder, "t1w_6", values(6), MPRAGE)
    found = rows(imported(table=again.table))
    assert found["t1w_5.nii.gz"].scan == "T1w-2"
    assert found["t1w_6.nii.gz"].scan != "T1w-2"


def test_a_table_of_another_folder_is_refused_and_stays(folder, bids, imported, tmp_path):
    for name in "abc":
        write_series(folder, f"t1w_{name}", values(ord(name)), MPRAGE)
    first = imported(dry_run=True)
    edited(first.table, lambda row: row.update(flip="33"))
    before = first.table.read_bytes()
    other = tmp_path / "other"
    write_series(other, "t1w_a", values(1), MPRAGE)
    with pytest.raises(ValueError, match=r"expected the files of this table in .*other, found 1 of 3"):
        import_folder(other, bids, table=first.table)
    assert first.table.read_bytes() == before


def test_what_the_user_wrote_is_kept(folder, imported, rows):
    for name in "abc":
        write_series(folder, f"t1w_{name}", values(ord(name)), MPRAGE)
    first = imported(dry_run=True)
    edited(first.table, lambda row: row.update(flip="33", taken_for="T1w"))
    (folder / "t1w_a.nii.gz").unlink()
    (folder / "t1w_b.json").write_text("{")
    done = imported(table=first.table)
    assert done.table == first.table
    assert {name: (row.flip, row.taken_for) for name, row in rows(done).items()} == {
        f"t1w_{name}.nii.gz": ("33", "T1w") for name in "abc"
    }


def test_a_table_with_a_column_of_the_user_is_not_overwritten(folder, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    first = imported(dry_run=True)
    edited(first.table, lambda row: row.update(comment="mine"))
    before = first.table.read_bytes()
    done = imported(table=first.table)
    assert done.exit_code == 0
    assert done.table != first.table
    assert first.table.read_bytes() == before


def test_a_row_of_a_lost_file_that_is_left_alone_is_kept(folder, imported):
    for name in "abc":
        write_series(folder, f"t1w_{name}", values(ord(name)), MPRAGE)
    first = imported(dry_run=True)
    edited(first.table, lambda row: row.update(taken_for="left alone" if "_a" in row["file"] else "T1w", flip="33"))
    before = first.table.read_bytes()
    (folder / "t1w_a.nii.gz").unlink()
    done = imported(table=first.table)
    assert done.exit_code == 0
    assert first.table.read_bytes() == before or "t1w_a" in first.table.read_text()


@pytest.mark.parametrize("angle", [0, float("nan"), 720])
def test_an_angle_that_is_none_leaves_a_table_that_can_be_read(folder, imported, angle):
    write_series(folder, "t1w", values(1), MPRAGE | {"FlipAngle": angle})
    first = imported()
    assert first.rows[0].flip == ""
    assert imported(table=first.table).exit_code == 0


def test_a_label_may_be_any_sign(folder, imported):
    write_series(folder, "t1w", values(1), MPRAGE)
    path = folder / "t.tsv"
    path.write_text("file\ttaken_for\tscan\nt1w.nii.gz\tT1w\t²\n")
    assert imported(table=path).exit_code == 0
