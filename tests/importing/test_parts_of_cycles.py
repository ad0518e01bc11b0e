"""Magnitude and phase of one cycle stay together, whatever table or sidecars state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from converted_series import SHAPE, SIEMENS_VE, meaning, stated, values, write_series

TRUFI = SIEMENS_VE | {"SequenceName": "tfi3d1", "FlipAngle": 15, "EchoTime": 0.0025, "RepetitionTime": 0.005}
ANAT = Path("sub-01/anat")
MAG, PHASE = (ANAT / f"sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz" for part in ("mag", "phase"))


def write(folder, names, *, keys=lambda index, part: {}, stem=lambda name, number, end: f"{name}{end}"):
    """Write a magnitude and a phase for each name, seeds 2 i and 2 i + 1."""
    for index, name in enumerate(names):
        for part, (code, end) in enumerate((("M", ""), ("P", "_ph"))):
            sidecar = TRUFI | {"SeriesDescription": "trufi", "ImageType": [code]} | keys(index, code)
            array = values(2 * index + part, *SHAPE, low=-4096 if part else 1, high=4096)
            write_series(folder, stem(name, 5 + 2 * index + part, end), array, sidecar)


def table(folder, cells):
    lines = ["file\ttaken_for\tincrement", *(f"{name}.nii.gz\tpcbssfp\t{cell}" for name, cell in cells.items())]
    path = folder / "given.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


SWAPPED = {"a": 0, "b": 120, "c": 240, "a_ph": 120, "b_ph": 0, "c_ph": 240}


def test_a_table_that_parts_magnitude_and_phase_is_refused(folder, bids, imported):
    write(folder, "abc")
    done = imported(table=table(folder, SWAPPED))
    assert done.exit_code == 1
    assert all("a.nii.gz has 0, a_ph.nii.gz has 120" in row.note for row in done.rows)
    assert not (bids / "sub-01").exists()


@pytest.mark.parametrize(
    "shared",
    [
        lambda index: {"SeriesNumber": 5 + index, "AcquisitionTime": f"10:0{index}:00"},
        lambda index: {"AcquisitionTime": f"10:0{index}:00"},
        lambda index: {"SeriesDescription": f"trufi_{'xyz'[index]}"},
    ],
)
def test_sidecars_that_part_magnitude_and_phase_are_refused(folder, imported, shared):
    increments = {"M": (0, 120, 240), "P": (120, 0, 240)}
    write(
        folder,
        "abc",
        keys=lambda index, code: shared(index) | {"RFPhaseIncrement": increments[code][index]},
        stem=lambda name, number, end: f"trufi_{number}{end}",
    )
    done = imported()
    assert done.exit_code == 1
    assert all("trufi_5.nii.gz has 0, trufi_6_ph.nii.gz has 120" in row.note for row in done.rows)


def test_half_a_table_is_enough(folder, bids, imported):
    write(folder, "abc")
    done = imported(table=table(folder, {"a": 240, "b": 0, "c": 120}))
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert stated(bids / PHASE)["RFPhaseIncrement"] == [0, 120, 240]
    for place, index in enumerate((1, 2, 0)):
        np.testing.assert_array_equal(meaning(bids / MAG)[..., place], values(2 * index, high=4096))
        np.testing.assert_array_equal(meaning(bids / PHASE)[..., place], values(2 * index + 1, low=-4096, high=4096))


def test_cycles_are_ordered_modulo_a_turn(folder, bids, imported):
    write(folder, "abc")
    done = imported(table=table(folder, {"a": 360, "b": 120, "c": -120, "a_ph": 0, "b_ph": 120, "c_ph": 240}))
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert stated(bids / MAG)["RFPhaseIncrement"] == stated(bids / PHASE)["RFPhaseIncrement"] == [360, 120, -120]
    for place in range(3):
        np.testing.assert_array_equal(meaning(bids / MAG)[..., place], values(2 * place, high=4096))
        np.testing.assert_array_equal(meaning(bids / PHASE)[..., place], values(2 * place + 1, low=-4096, high=4096))


def test_files_that_end_with_numbers_of_their_series_are_told_by_what_is_before(folder, imported):
    numbers = {"M": 5, "P": 6}
    write(
        folder,
        "abc",
        keys=lambda index, code: {"SeriesNumber": numbers[code] + 2 * index},
        stem=lambda name, number, end: f"trufi_{name}_{number}{end}",
    )
    stems = {"a_5": 0, "b_7": 120, "c_9": 240, "a_6_ph": 120, "b_8_ph": 0, "c_10_ph": 240}
    done = imported(table=table(folder, {f"trufi_{stem}": cell for stem, cell in stems.items()}))
    assert done.exit_code == 1
    assert all("trufi_a_5.nii.gz has 0, trufi_a_6_ph.nii.gz has 120" in row.note for row in done.rows)


@pytest.mark.parametrize(("kind", "low", "high"), [("T1w", 1, 4000), ("TB1map", 80, 120)])
def test_single_images_are_never_stacked(folder, bids, imported, kind, low, high):
    for stem in "ab":
        write_series(folder, stem, values(ord(stem), low=low, high=high), SIEMENS_VE)
    path = folder / "given.tsv"
    path.write_text("".join(["file\ttaken_for\tscan\n", *(f"{s}.nii.gz\t{kind}\tone\n" for s in "ab")]))
    done = imported(table=path)
    assert done.exit_code == 1
    assert all("a.nii.gz, b.nii.gz" in row.note for row in done.rows)
    assert not (bids / "sub-01").exists()


@pytest.mark.parametrize("suffix", ["TB1DAM", "TB1AFI"])
def test_repetition_times_of_b1_scans_stay_what_they_are(folder, bids, imported, suffix):
    for number, angle in enumerate((60, 120)):
        name, time = f"{suffix}_tr{number + 1}", 0.1
        sidecar = {"SeriesDescription": suffix, "FlipAngle": angle, "RepetitionTime": time, "EchoTime": 0.003}
        write_series(folder, name, values(number), SIEMENS_VE | sidecar)
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    for path in (bids / "sub-01/fmap").glob("*.json"):
        content = json.loads(path.read_text())
        assert "RepetitionTimeExcitation" not in content
        assert content["RepetitionTime"] == 0.1
    assert not any("STILL MISSING" in row.note for row in done.rows)
