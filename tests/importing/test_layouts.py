"""The four layouts of phase-cycled bSSFP, and the order of cycles."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from converted_series import AFFINE, GE, PHILIPS, SHAPE, SIEMENS_VE, SIEMENS_XA, meaning, stated, values, write_series

TRUFI = {"SequenceName": "tfi3d1", "FlipAngle": 15, "EchoTime": 0.0025, "RepetitionTime": 0.005}
"""Balanced SSFP as Siemens calls it."""

ANAT = Path("sub-01/anat")
MAG, PHASE = (ANAT / f"sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz" for part in ("mag", "phase"))


def cycles(
    folder: Path, increments, *, label=lambda degrees: f"trufi_pc{degrees:03d}", keys=lambda degrees: {}, first=5
):
    """Write a magnitude and a phase series for each cycle as Siemens VE does, in a shuffled order of series."""
    written = {}
    order = np.random.default_rng(1).permutation(len(increments))
    for place, index in enumerate(order):
        degrees = increments[index]
        name = label(degrees)
        number = first + 2 * place
        common = SIEMENS_VE | TRUFI | {"SeriesDescription": name, "ProtocolName": name} | keys(degrees)
        magnitude, phase = values(2 * index), values(2 * index + 1, *SHAPE, low=-4096, high=4096)
        write_series(
            folder,
            f"20250101_{name}_{number}",
            magnitude,
            common | {"SeriesNumber": number, "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
        )
        write_series(
            folder,
            f"20250101_{name}_{number + 1}_ph",
            phase,
            common | {"SeriesNumber": number + 1, "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
        )
        written[degrees] = magnitude, phase
    return written


def test_one_series_a_part_is_copied_bit_for_bit(folder, bids, imported, validate):
    common = SIEMENS_XA | TRUFI | {"SeriesDescription": "bssfp", "RFPhaseIncrement": [0, 90, 180, 270]}
    magnitude = write_series(
        folder, "bssfp_5", values(1, *SHAPE, 4), common | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NONE"]}, slope=0.5
    )
    phase = write_series(
        folder,
        "bssfp_5_ph",
        values(2, *SHAPE, 4, low=0, high=4096),
        common | {"ImageType": ["ORIGINAL", "PRIMARY", "P", "NONE"]},
        ending=".nii",
    )
    done = imported()
    assert done.exit_code == 0
    assert (bids / MAG).read_bytes() == magnitude.read_bytes()
    assert gzip.decompress((bids / PHASE).read_bytes()) == phase.read_bytes()
    sidecar = stated(bids / PHASE)
    assert sidecar == common | {
        "ImageType": ["ORIGINAL", "PRIMARY", "P", "NONE"],
        "RFPhaseIncrement": [0, 90, 180, 270],
        "PulseSequenceType": "bSSFP",
        "RepetitionTimeExcitation": 0.005,
        "Units": "arbitrary",
    }
    validate()


@pytest.mark.parametrize(
    ("label", "increments", "exact"),
    [
        (lambda d: f"trufi_pc{d:03d}", [45, 135, 225, 315], [45, 135, 225, 315]),
        (lambda d: f"PC_{d}_trufi", [0, 120, 240], [0, 120, 240]),
        (lambda d: f"bSSFP_inc{d}", [0, 90, 180, 270], [0, 90, 180, 270]),
        (lambda d: f"trufi phase{d}", [360, 90, 180, 270], [360, 90, 180, 270]),
        (lambda d: f"trufi_{d}deg", [0, 60, 120, 180, 240, 300], [0, 60, 120, 180, 240, 300]),
        (lambda d: f"trufi_pc{d:03d}", [22, 68, 112, 158, 202, 248, 292, 338], [22.5 + 45 * k for k in range(8)]),
    ],
)
def test_cycles_of_their_own_series_are_ordered_by_their_names(folder, bids, imported, rows, label, increments, exact):
    written = cycles(folder, increments, label=label)
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    assert stated(bids / MAG)["RFPhaseIncrement"] == stated(bids / PHASE)["RFPhaseIncrement"] == exact
    for place, degrees in enumerate(increments):
        np.testing.assert_array_equal(meaning(bids / MAG)[..., place], written[degrees][0])
        np.testing.assert_array_equal(meaning(bids / PHASE)[..., place], written[degrees][1])
    assert {row.volume for row in done.rows} == {str(place + 1) for place in range(len(increments))}


def test_increments_of_sidecars_come_before_names(folder, bids, imported, validate):
    names = itertools.count()
    cycles(
        folder,
        [0, 90, 180, 270],
        label=lambda d: f"trufi_{'abcd'[next(names) % 4]}",
        keys=lambda d: {"RFPhaseIncrement": d},
    )
    assert imported().exit_code == 0
    assert stated(bids / MAG)["RFPhaseIncrement"] == [0, 90, 180, 270]
    validate()


def test_what_differs_from_cycle_to_cycle_is_kept_by_volume(folder, bids, imported):
    cycles(folder, [0, 120, 240])
    imported()
    sidecar = stated(bids / MAG)
    assert "SeriesNumber" not in sidecar
    assert [each["SeriesDescription"] for each in sidecar["VolumeMetadata"]] == [
        "trufi_pc000",
        "trufi_pc120",
        "trufi_pc240",
    ]


@pytest.mark.parametrize(
    "label",
    [
        lambda d: f"trufi_pc{1 + d // 90}",  # a count of cycles
        lambda d: "trufi",  # nothing at all
        lambda d: f"trufi_pc{d // 9 * 10:03d}",  # 0, 100, 200, 300: gon, or anything
        lambda d: f"trufi_{'0123'[d // 90]}",
    ],
)
def test_an_order_is_never_guessed(folder, bids, imported, label):
    increments = [0, 90, 180, 270]
    names = {degrees: label(degrees) for degrees in increments}
    cycles(folder, increments, label=lambda d: names[d])
    done = imported()
    assert done.exit_code == 1
    assert {row.status for row in done.rows} == {"refused"}
    assert {row.taken_for for row in done.rows} == {"pcbssfp"}
    assert {row.increment for row in done.rows} == {"unknown"}
    assert all("increment unknown" in row.note and "--table" in row.note for row in done.rows)
    assert [path.name for path in bids.rglob("*") if path.is_file()] == ["import_sub-01.tsv"]


def test_the_table_states_the_increments(folder, bids, imported, validate):
    written = cycles(folder, [0, 90, 180, 270], label=lambda d: f"trufi_{'bdac'[d // 90]}")
    done = imported()
    text = done.table.read_text()
    lines = text.splitlines()
    columns = lines[0].split("\t")
    degrees_of = {"b": 0, "d": 90, "a": 180, "c": 270}
    corrected = [lines[0]]
    for line in lines[1:]:
        cells = dict(zip(columns, line.split("\t"), strict=True))
        cells["increment"] = str(degrees_of[cells["file"].split("_")[2]])
        corrected.append("\t".join(cells[column] for column in columns))
    done.table.write_text("\n".join(corrected) + "\n")
    again = imported(table=done.table)
    assert again.exit_code == 0, [row.note for row in again.rows]
    assert again.table == done.table
    assert stated(bids / MAG)["RFPhaseIncrement"] == [0, 90, 180, 270]
    for place, degrees in enumerate([0, 90, 180, 270]):
        np.testing.assert_array_equal(meaning(bids / PHASE)[..., place], written[degrees][1])
    validate()


def test_a_series_without_increments_keeps_its_order_until_the_table_has_them(folder, bids, imported):
    for stem, kind in (("trufi_5", "M"), ("trufi_6_ph", "P")):
        write_series(
            folder, stem, values(1, *SHAPE, 4), SIEMENS_VE | TRUFI | {"SeriesDescription": "trufi", "ImageType": [kind]}
        )
    done = imported()
    assert done.exit_code == 0
    assert all("increment unknown" in row.note for row in done.rows)
    assert all("--metadata" in row.note for row in done.rows)
    assert "RFPhaseIncrement" not in stated(bids / PHASE)
    table = folder / "mine.tsv"
    table.write_text("file\ttaken_for\tincrement\ntrufi_5.nii.gz\tpcbssfp\t0, 90, 180, 270\n")
    assert imported(table=table, overwrite=True).exit_code == 0
    assert stated(bids / PHASE)["RFPhaseIncrement"] == [0, 90, 180, 270]


def test_wrong_number_of_increments(folder, imported):
    for stem in ("trufi_5", "trufi_6_ph"):
        write_series(
            folder,
            stem,
            values(1, *SHAPE, 4),
            SIEMENS_VE | TRUFI | {"SeriesDescription": "trufi", "RFPhaseIncrement": [0, 180]},
        )
    (note,) = {row.note.split(";")[0] for row in imported().rows}
    assert "trufi_5.nii.gz: increment: expected 4 numbers, one for each volume, found 2 (RFPhaseIncrement)" in note


def test_real_and_imaginary_parts_of_ge(folder, bids, imported, validate):
    common = GE | {"PulseSequenceName": "3dfiesta", "FlipAngle": 15, "EchoTime": 0.002, "RepetitionTime": 0.0048}
    common |= {"SeriesDescription": "FIESTA cycled", "RFPhaseIncrement": [0, 90, 180, 270]}
    for end, seed in (("", 1), ("_ph", 2), ("_real", 3), ("_imaginary", 4)):
        if end in ("_real", "_imaginary"):
            write_series(
                folder,
                f"3_FIESTA{end}",
                values(seed, *SHAPE, 4, low=-2000, high=2000),
                common | {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]},
            )
    assert imported().exit_code == 0
    for part, seed in (("real", 3), ("imag", 4)):
        path = bids / ANAT / f"sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz"
        np.testing.assert_array_equal(meaning(path), values(seed, *SHAPE, 4, low=-2000, high=2000))
    validate()


def test_one_complex_image(folder, bids, imported, validate):
    array = (values(1, *SHAPE, 4) + 1j * values(2, *SHAPE, 4)).astype(np.complex64)
    source = write_series(folder, "bssfp", array, SIEMENS_VE | TRUFI | {"RFPhaseIncrement": [0, 90, 180, 270]})
    assert imported().exit_code == 0
    assert (bids / ANAT / "sub-01_acq-pcbssfp_flip-1_VFA.nii.gz").read_bytes() == source.read_bytes()
    validate()


def test_philips_cycles_keep_their_slopes(folder, bids, imported):
    common = PHILIPS | {"PulseSequenceName": "B-FFE", "FlipAngle": 20, "EchoTime": 0.002, "RepetitionTime": 0.004}
    for number, degrees in enumerate((0, 120, 240), start=3):
        name = {"SeriesDescription": f"bFFE_inc{degrees}", "SeriesNumber": number}
        write_series(
            folder,
            f"{number}_bFFE_inc{degrees}",
            values(degrees),
            common | name | {"ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]},
            slope=1.5,
        )
        # The phase of Philips is scaled to milliradians from image to image.
        write_series(
            folder,
            f"{number}_bFFE_inc{degrees}_ph",
            values(degrees + 1, high=4096),
            common | name | {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]},
            slope=0.0015 + degrees * 1e-7,
            intercept=-3.1415926,
        )
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    import nibabel as nib

    image = nib.load(bids / MAG)
    assert image.get_data_dtype() == np.int16
    assert image.dataobj.slope == 1.5
    np.testing.assert_array_equal(np.asarray(image.dataobj.get_unscaled())[..., 1], values(120))
    phase = nib.load(bids / PHASE)
    assert phase.get_data_dtype() == np.float32
    expected = values(241, high=4096) * (0.0015 + 240e-7) - 3.1415926
    np.testing.assert_allclose(meaning(bids / PHASE)[..., 2], expected, atol=1e-6)
    np.testing.assert_allclose(phase.affine, AFFINE, atol=1e-6)
    assert stated(bids / PHASE)["Units"] == "rad"
    assert any("32-bit" in row.note for row in done.rows if row.part == "phase")


def test_a_cycle_on_another_grid_is_refused_by_name(folder, bids, imported):
    cycles(folder, [0, 120, 240])
    shifted = AFFINE.copy()
    shifted[0, 3] += 1.0
    (path,) = folder.glob("*pc120*_ph.nii.gz")
    write_series(folder, path.name.removesuffix(".nii.gz"), values(9, low=-4096), stated(path), affine=shifted)
    done = imported()
    assert done.exit_code == 1
    assert all(path.name in row.note and "affine" in row.note for row in done.rows)
    assert not (bids / "sub-01").exists()


def test_a_lost_phase_is_refused(folder, imported):
    cycles(folder, [0, 120, 240])
    next(folder.glob("*pc120*_ph.nii.gz")).unlink()
    done = imported()
    assert done.exit_code == 1
    assert all("increment 120 is there for" in row.note and "alone" in row.note for row in done.rows)


def test_magnitudes_alone_are_refused(folder, imported):
    cycles(folder, [0, 120, 240])
    for path in folder.glob("*_ph.nii.gz"):
        path.unlink()
    assert all("add the other part" in row.note for row in imported().rows)


def test_a_localiser_is_left_alone(folder, imported):
    write_series(folder, "1_localizer", values(1), SIEMENS_VE | TRUFI | {"SeriesDescription": "localizer"})
    done = imported()
    assert done.exit_code == 3
    assert "a localiser?" in done.rows[0].note


def test_two_runs_are_two_runs(folder, bids, imported, validate):
    common = SIEMENS_VE | TRUFI | {"SeriesDescription": "bssfp", "RFPhaseIncrement": [0, 120, 240]}
    for number, time in ((5, "10:00:00.1"), (7, "10:30:00.1")):
        write_series(
            folder,
            f"bssfp_{number}",
            values(number, *SHAPE, 3),
            common | {"SeriesNumber": number, "AcquisitionTime": time, "ImageType": ["M"]},
        )
        phase = common | {"SeriesNumber": number + 1, "AcquisitionTime": time, "ImageType": ["P"]}
        write_series(folder, f"bssfp_{number + 1}_ph", values(number + 1, *SHAPE, 3, low=-4096, high=4096), phase)
    assert imported().exit_code == 0
    for run, number in (("1", 5), ("2", 7)):
        path = bids / ANAT / f"sub-01_acq-pcbssfp_run-{run}_flip-1_part-mag_VFA.nii.gz"
        np.testing.assert_array_equal(meaning(path), values(number, *SHAPE, 3))
        phase = path.with_name(path.name.replace("part-mag", "part-phase"))
        np.testing.assert_array_equal(meaning(phase), values(number + 1, *SHAPE, 3, low=-4096, high=4096))
    validate()
