"""Images that are none of a scan, though they lie beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from converted_series import SIEMENS_VE, meaning, values, write_series

SPOILED = SIEMENS_VE | {"SequenceName": "*fl3d1", "SequenceVariant": "SP", "EchoTime": 0.0025, "FlipAngle": 6}
PULSE = {"ScanOptions": "MT", "SequenceVariant": "MTC_SP"}
FMAP = Path("sub-01/fmap")


@pytest.mark.parametrize(
    ("stem", "sidecar", "kind"),
    [
        (
            "7",
            SIEMENS_VE | {"SeriesDescription": "7", "ScanningSequence": "SE", "SequenceName": "tse2d1"},
            "left alone",
        ),
        ("gre_8", SPOILED | {"SeriesDescription": "gre", "ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "left alone"),
        ("gre_9", SIEMENS_VE | {"SeriesDescription": "gre", "ScanningSequence": "SE"}, "left alone"),
        ("T1w_10", SIEMENS_VE | {"SeriesDescription": "T1w", "SequenceName": "*tfl3d1"}, "T1w"),
    ],
)
@pytest.mark.parametrize("name", ["gre MT on", "MT on"])
def test_foreign_images_are_no_images_without_pulse(folder, imported, rows, stem, sidecar, kind, name):
    write_series(folder, "mt_on_5", values(1), SPOILED | PULSE | {"SeriesDescription": name})
    write_series(folder, stem, values(2), sidecar)
    found = rows(imported())
    assert found[f"{stem}.nii.gz"].taken_for == kind
    assert found[f"{stem}.nii.gz"].mt == ""
    assert found["mt_on_5.nii.gz"].status == "refused"


def test_an_image_of_the_same_name_and_sequence_is_the_one_without_pulse(folder, imported):
    write_series(folder, "gre_5", values(1), SPOILED | PULSE | {"SeriesDescription": "gre mt"})
    write_series(folder, "gre_6", values(2), SPOILED | {"SeriesDescription": "gre"})
    done = imported()
    assert [row.mt for row in done.rows] == ["on", "off"]
    assert done.exit_code == 0


@pytest.mark.parametrize("stated", [{}, {"SeriesDescription": "gre mt"}])
def test_numbers_that_count_series_are_no_states(folder, imported, stated):
    for number in (1, 2):
        write_series(folder, f"gre_mt_{number}", values(number), SPOILED | {"SeriesNumber": number} | stated)
    done = imported()
    assert not any(row.mt for row in done.rows)
    assert not any(row.status == "written" for row in done.rows)
    again = imported(table=done.table)
    assert not any(row.mt or row.status == "written" for row in again.rows)


def test_a_description_tells_where_the_file_counts(folder, imported):
    for number, state in ((1, "off"), (2, "on")):
        name = {"SeriesNumber": number, "SeriesDescription": f"gre mt {state}"}
        write_series(folder, f"gre_mt_{number}", values(number), SPOILED | name)
    done = imported()
    assert [row.mt for row in done.rows] == ["off", "on"]
    assert done.exit_code == 0, [row.note for row in done.rows]


def test_numbers_that_are_states(folder, imported):
    for number, seed in ((1, 5), (0, 4)):
        write_series(folder, f"gre_mt_{number}", values(seed), SPOILED | {"SeriesNumber": seed})
    done = imported()
    assert [row.mt for row in done.rows] == ["off", "on"]
    assert done.exit_code == 0


B1 = SIEMENS_VE | {"PulseSequenceDetails": "%SiemensSeq%\\tfl_b1map", "FlipAngle": 80}


@pytest.mark.parametrize(
    "angles", [["DERIVED", "PRIMARY", "FLIP ANGLE MAP"], ["ORIGINAL", "PRIMARY", "B1"], ["M", "FLIP ANGLE MAP"]]
)
def test_image_types_come_before_names_of_roles(folder, bids, imported, angles):
    common = B1 | {"SeriesDescription": "B1_famp"}
    write_series(folder, "B1_famp_5", values(1), common | {"ImageType": ["ORIGINAL", "PRIMARY", "M"]})
    write_series(folder, "B1_famp_6", values(2, low=500, high=1000), common | {"ImageType": angles})
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-anat_TB1TFL.nii.gz"), values(1))


def test_a_phase_is_no_image_of_a_b1_scan(folder, bids, imported, rows):
    common = B1 | {"SeriesDescription": "B1"}
    write_series(folder, "B1_5", values(1), common | {"ImageType": ["ORIGINAL", "PRIMARY", "M"]})
    write_series(folder, "B1_famp_6", values(2, low=500, high=1000), common | {"ImageType": ["FLIP ANGLE MAP"]})
    write_series(folder, "B1_famp_7_ph", values(3), common | {"ImageType": ["ORIGINAL", "PRIMARY", "P"]})
    done = imported()
    assert rows(done)["B1_famp_7_ph.nii.gz"].taken_for == "left alone"
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert len(list((bids / FMAP).glob("*.nii.gz"))) == 2
