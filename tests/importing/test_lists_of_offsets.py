"""Lists of offsets beside a CEST series: columns, units, cells, and what the sidecar states too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from converted_series import SHAPE, SIEMENS_VE, stated, values, write_series

CEST = SIEMENS_VE | {"SeriesDescription": "APTw", "SaturationB1RMS": 2.0, "SaturationDuration": 2.0}
PPM = [-300, -4, -3.5, -3, 0, 3, 3.5, 4]
CONTEXT = Path("sub-01/anat/sub-01_acq-APTw_cestcontext.tsv")


def listed(header: str, *columns) -> str:
    return "\n".join([header, *("\t".join(map(str, cells)) for cells in zip(*columns, strict=True))]) + "\n"


def columns_of(path: Path) -> dict[str, list[str]]:
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


@pytest.mark.parametrize(
    ("name", "text", "column", "expected"),
    [
        ("7_apt_ppm.txt", listed("offset_hz", [p * 100 for p in PPM]), "offset_hz", [p * 100 for p in PPM]),
        ("7_apt_hz.txt", listed("offset_ppm", PPM), "offset_ppm", PPM),
        ("7_apt.tsv", listed("frequency index\toffset (ppm)", range(8), PPM), "offset_ppm", PPM),
        ("7_apt.tsv", listed("freq_index\tHz", range(8), [p * 100 for p in PPM]), "offset_hz", [p * 100 for p in PPM]),
        ("7_apt.tsv", listed("b1_rms\toffset (ppm)", [2] * 8, PPM), "offset_ppm", PPM),
        ("7_apt.tsv", listed("offset_ppm", [str(p).replace("-", "\N{MINUS SIGN}") for p in PPM]), "offset_ppm", PPM),
        ("7_apt.txt", listed("offset (Hz)", [p * 100 for p in PPM]), "offset_hz", [p * 100 for p in PPM]),
        (
            "7_apt.tsv",
            listed("volume_type\toffset_ppm", ["m0scan"] + ["cest"] * 7, ["inf", *PPM[1:]]),
            "offset_ppm",
            [np.nan, *PPM[1:]],
        ),
    ],
)
def test_columns_and_units(folder, bids, imported, name, text, column, expected):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), CEST)
    (folder / name).write_text(text, encoding="utf-8")
    done = imported()
    assert done.exit_code == 0, done.rows[0].note
    found = columns_of(bids / CONTEXT)
    assert not {"offset_ppm", "offset_hz"} - {column} & set(found)
    np.testing.assert_allclose([np.nan if c == "n/a" else float(c) for c in found[column]], expected, rtol=1e-9)
    assert ("b1_rms" in found) == ("b1_rms" in text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("7_apt.tsv", listed("offset_khz", PPM), "expected ppm or Hz, found kHz in the name of the column"),
        ("7_apt.tsv", listed("offset (rad/s)", PPM), "expected ppm or Hz, found rad in the name of the column"),
        ("7_apt_offsets.tsv", listed("b1_rms", [2] * 8), "expected offset_ppm or offset_hz beside b1_rms"),
        ("7_apt.tsv", listed("offset_ppm", [*PPM[:-1], "four"]), "offset_ppm: expected a number or n/a, found 'four'"),
        ("7_apt.tsv", listed("offset_ppm", [*PPM[:-1], "3,5"]), "columns: expected"),
    ],
)
def test_lists_that_cannot_be_meant(folder, bids, imported, name, text, message):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), CEST)
    (folder / name).write_text(text)
    done = imported()
    assert done.exit_code == 1
    if message != "columns: expected":
        assert message in done.rows[0].note, done.rows[0].note
    assert not (bids / "sub-01").exists()


def test_a_list_that_contradicts_the_sidecar_is_refused(folder, bids, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), CEST | {"SaturationOffset": PPM[::-1]})
    (folder / "7_apt_offsets.tsv").write_text(listed("offset_ppm", PPM))
    done = imported()
    assert done.exit_code == 1
    assert "expected the offsets of 7_apt.json (SaturationOffset), found others" in done.rows[0].note


def test_a_list_and_a_sidecar_that_agree(folder, bids, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), CEST | {"SaturationOffset": PPM})
    (folder / "7_apt_offsets.tsv").write_text(listed("offset_ppm", PPM))
    assert imported().exit_code == 0
    (folder / "7_apt_offsets.tsv").write_text(listed("offset_hz", [p * 123.0 for p in PPM]))
    assert "SaturationOffset of the sidecar was not compared" in imported(overwrite=True).rows[0].note


def test_powers_beside_offsets_of_the_sidecar(folder, bids, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), CEST | {"SaturationOffset": PPM})
    (folder / "7_apt.tsv").write_text(listed("b1_rms\tfrequency index", [2] * 8, range(8)))
    done = imported()
    assert done.exit_code == 0, done.rows[0].note
    assert stated(bids / "sub-01/anat/sub-01_acq-APTw_cest.nii.gz")["SaturationOffset"] == PPM
