"""Every kind of scan but phase-cycled bSSFP, as converters of each vendor name and describe it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from converted_series import AFFINE, GE, PHILIPS, SHAPE, SIEMENS_VE, SIEMENS_XA, meaning, stated, values, write_series

FMAP, ANAT = Path("sub-01/fmap"), Path("sub-01/anat")


def files(bids: Path) -> set[str]:
    return {path.relative_to(bids).as_posix() for path in bids.rglob("sub-*/**/*") if path.is_file()}


def images(bids: Path) -> set[str]:
    return {Path(name).name for name in files(bids) if name.endswith(".nii.gz")}


@pytest.mark.parametrize("vendor", [SIEMENS_VE, SIEMENS_XA], ids=["VE", "XA"])
def test_turbo_flash_b1_of_siemens(folder, bids, imported, validate, rows, vendor):
    common = vendor | {
        "PulseSequenceDetails": "%SiemensSeq%\\tfl_b1map",
        "SequenceName": "tfl2d1_16",
        "MRAcquisitionType": "2D",
        "FlipAngle": 80,
    }
    common |= {"SeriesDescription": "B1map", "ProtocolName": "B1map"}
    write_series(
        folder, "B1map_10", values(1), common | {"SeriesNumber": 10, "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}
    )
    write_series(
        folder,
        "B1map_11",
        values(2, low=500, high=1000),
        common | {"SeriesNumber": 11, "ImageType": ["DERIVED", "PRIMARY", "FLIP ANGLE MAP", "ND"]},
    )
    done = imported()
    assert done.exit_code == 0
    found = rows(done)
    assert found["B1map_10.nii.gz"].part == "anat"
    assert found["B1map_11.nii.gz"].part == "famp"
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-famp_TB1TFL.nii.gz"), values(2, low=500, high=1000))
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-anat_TB1TFL.nii.gz"), values(1))
    assert all(row.sure == "high" and "tfl_b1map" in row.evidence for row in done.rows)
    validate()


def test_the_image_that_is_no_magnitude_holds_the_angles(folder, bids, imported, rows):
    common = SIEMENS_XA | {
        "PulseSequenceDetails": "%CustomerSeq%\\tfl_b1map_v2",
        "SeriesDescription": "B1",
        "FlipAngle": 80,
    }
    write_series(folder, "B1_3", values(1), common | {"ImageType": ["DERIVED", "PRIMARY", "B1", "NONE"]})
    write_series(folder, "B1_4", values(2), common | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NONE"]})
    done = imported()
    assert done.exit_code == 0
    assert "taken as famp" in rows(done)["B1_3.nii.gz"].note
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-famp_TB1TFL.nii.gz"), values(1))


def test_two_images_whose_roles_nothing_tells_are_refused(folder, bids, imported):
    for number in (10, 11):
        write_series(
            folder, f"tfl_b1_{number}", values(number), SIEMENS_VE | {"SeriesDescription": "tfl_b1", "FlipAngle": 80}
        )
    done = imported()
    assert done.exit_code == 1
    assert all("fill the columns part and scan" in row.note for row in done.rows)
    table = folder / "given.tsv"
    table.write_text("file\ttaken_for\tpart\ntfl_b1_10.nii.gz\tTB1TFL\tfamp\n")
    assert imported(table=table).exit_code == 0
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-famp_TB1TFL.nii.gz"), values(10))


def test_one_file_of_both_images(folder, bids, imported, validate):
    write_series(
        folder, "tb1tfl_4", values(1, *SHAPE, 2), SIEMENS_VE | {"SeriesDescription": "tb1tfl", "FlipAngle": 80}
    )
    assert imported().exit_code == 0
    assert images(bids) == {"sub-01_acq-famp_TB1TFL.nii.gz"}


def test_rf_field_mapping(folder, bids, imported, validate):
    common = SIEMENS_VE | {"PulseSequenceDetails": "%SiemensSeq%\\rf_map", "FlipAngle": 90}
    write_series(folder, "rfmap_anat_3", values(1), common | {"SeriesDescription": "rfmap anat"})
    write_series(folder, "rfmap_famp_4", values(2), common | {"SeriesDescription": "rfmap famp"})
    assert imported().exit_code == 0
    assert images(bids) == {"sub-01_acq-anat_TB1RFM.nii.gz", "sub-01_acq-famp_TB1RFM.nii.gz"}
    validate()


def test_double_angle(folder, bids, imported, validate):
    for number, angle in ((4, 120), (5, 60)):
        sidecar = GE | {
            "SeriesDescription": f"DAM FA{angle}",
            "SeriesNumber": number,
            "FlipAngle": angle,
            "RepetitionTime": 5.0,
            "EchoTime": 0.003,
        }
        write_series(folder, f"{number}_DAM_FA{angle}", values(angle), sidecar)
    assert imported().exit_code == 0
    for flip, angle in (("1", 60), ("2", 120)):
        path = bids / FMAP / f"sub-01_flip-{flip}_TB1DAM.nii.gz"
        assert stated(path)["FlipAngle"] == angle
        np.testing.assert_array_equal(meaning(path), values(angle))
    validate()


def test_actual_flip_angle(folder, bids, imported, rows):
    for number, role in ((4, "TR2"), (5, "TR1")):
        sidecar = PHILIPS | {
            "SeriesDescription": f"AFI {role}",
            "FlipAngle": 60,
            "RepetitionTime": 0.02,
            "EchoTime": 0.003,
        }
        write_series(folder, f"AFI_{role}_{number}", values(number), sidecar)
    done = imported()
    assert done.exit_code == 0
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-tr1_TB1AFI.nii.gz"), values(5))
    assert all("--b1-afi-tr" in row.note for row in done.rows)


def test_shorter_time_is_tr1(folder, bids, imported, validate):
    for number, time in ((4, 0.1), (5, 0.02)):
        write_series(
            folder,
            f"{number}_afi",
            values(number),
            GE | {"SeriesDescription": "afi", "FlipAngle": 55, "RepetitionTime": time},
        )
    assert imported().exit_code == 0
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_acq-tr1_TB1AFI.nii.gz"), values(5))
    validate()


@pytest.mark.parametrize(("low", "high", "said"), [(80, 120, "percent"), (500, 900, "neither a ratio")])
def test_ready_b1_map(folder, bids, imported, low, high, said):
    write_series(folder, "B1_map_9", values(1, low=low, high=high), PHILIPS | {"SeriesDescription": "B1 map"})
    done = imported()
    assert said in done.rows[0].note
    assert images(bids) == ({"sub-01_TB1map.nii.gz"} if said == "percent" else set())
    assert done.exit_code == (0 if said == "percent" else 3)


SPOILED = SIEMENS_VE | {"SequenceName": "*fl3d1", "SequenceVariant": "SP", "EchoTime": 0.0025}


def test_mt_saturation(folder, bids, imported, validate):
    for number, (name, angle, time, more) in enumerate(
        [
            ("mtsat_t1w", 20, 0.018, {}),
            ("mtsat_pdw", 6, 0.028, {}),
            ("mtsat_mtw", 6, 0.028, {"ScanOptions": "MT", "SequenceVariant": "MTC_SP"}),
        ]
    ):
        sidecar = (
            SPOILED
            | {"SeriesDescription": name, "SeriesNumber": number, "FlipAngle": angle, "RepetitionTime": time}
            | more
        )
        write_series(folder, f"{number}_{name}", values(number), sidecar)
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    expected = {
        "flip-2_mt-off": (0, False, 20, 0.018),
        "flip-1_mt-off": (1, False, 6, 0.028),
        "flip-1_mt-on": (2, True, 6, 0.028),
    }
    for entities, (seed, state, angle, time) in expected.items():
        path = bids / ANAT / f"sub-01_{entities}_MTS.nii.gz"
        np.testing.assert_array_equal(meaning(path), values(seed))
        sidecar = stated(path)
        assert (sidecar["MTState"], sidecar["FlipAngle"], sidecar["RepetitionTimeExcitation"]) == (state, angle, time)
    validate()


def test_mt_ratio(folder, bids, imported, validate, rows):
    for seed, name, more in ((1, "gre MT on", {"MTState": True}), (2, "gre MT off", {})):
        write_series(
            folder,
            f"{seed}_{name.replace(' ', '_')}",
            values(seed),
            SPOILED | {"SeriesDescription": name, "FlipAngle": 6} | more,
        )
    done = imported()
    assert done.exit_code == 0
    for state, seed in (("on", 1), ("off", 2)):
        path = bids / ANAT / f"sub-01_mt-{state}_MTR.nii.gz"
        np.testing.assert_array_equal(meaning(path), values(seed))
        assert stated(path)["MTState"] is (state == "on")
    assert {row.mt for row in done.rows} == {"on", "off"}
    validate()


@pytest.mark.parametrize(
    ("names", "angles"), [(("gre_mt_on", "gre_mt_off"), (6, 20)), (("mtsat_mtw", "mtsat_pdw"), (6, 6))]
)
def test_two_of_three_images_of_mt_saturation_are_no_ratio(folder, imported, names, angles):
    for seed, (name, angle) in enumerate(zip(names, angles, strict=True)):
        more = {"ScanOptions": "MT", "SequenceVariant": "MTC_SP"} if seed == 0 else {}
        write_series(folder, name, values(seed), SPOILED | {"SeriesDescription": name, "FlipAngle": angle} | more)
    done = imported()
    assert done.exit_code == 1
    assert all("2 without MT pulse for MTS" in row.note for row in done.rows)


def test_the_word_famp_tells_the_map_of_angles_where_types_do_not(folder, imported, rows):
    for seed, role in enumerate(("anat", "famp")):
        name = f"tfl_b1map_{role}"
        write_series(
            folder,
            name,
            values(seed),
            SIEMENS_VE | {"SeriesDescription": name, "ImageType": ["ORIGINAL", "PRIMARY", "M"]},
        )
    assert {row.part for row in imported().rows} == {"anat", "famp"}


def test_the_angle_of_the_readout_is_told(folder, imported):
    for name, median in (("tfl_b1map_anat", 300), ("tfl_b1map_famp", 760)):
        stored = np.random.default_rng(median).normal(median, 20, SHAPE).astype(np.int16)
        write_series(folder, name, stored, SIEMENS_VE | {"SeriesDescription": name, "FlipAngle": 8})
    notes = " ".join(row.note for row in imported().rows)
    assert "FlipAngle 8 is not that of the preparation pulse, since the flip angles have a median of 75.9" in notes


def test_a_lone_mt_image_is_refused(folder, imported):
    write_series(folder, "gre_mt_on", values(1), SPOILED | {"SeriesDescription": "gre mt on", "FlipAngle": 6})
    done = imported()
    assert done.exit_code == 1
    assert "expected one image with and 2 without MT pulse" in done.rows[0].note


CEST = SIEMENS_VE | {
    "SeriesDescription": "APTw 3T",
    "SaturationB1RMS": 2.0,
    "SaturationDuration": 2.0,
    "MTPulseShape": "block",
}
PPM = [-300, -4, -3.5, -3, 0, 3, 3.5, 4]


@pytest.mark.parametrize(
    ("name", "text", "column", "expected"),
    [
        ("7_apt.txt", "\n".join(map(str, PPM)), "offset_ppm", PPM),
        (
            "offsets.csv",
            "volume,offset (Hz)\n" + "\n".join(f"{i},{p * 123.25}" for i, p in enumerate(PPM)),
            "offset_hz",
            [p * 123.25 for p in PPM],
        ),
        (
            "7_apt_offsets.tsv",
            "volume_type\toffset_ppm\n" + "\n".join(f"{'m0scan' if p == -300 else 'cest'}\t{p}" for p in PPM),
            "offset_ppm",
            PPM,
        ),
        ("ppm_list.txt", "# offsets\n" + " ".join(map(str, PPM)), "offset_ppm", PPM),
        ("my_offsets.txt", "\n".join(str(p * 123.25) for p in PPM), "offset_hz", [p * 123.25 for p in PPM]),
    ],
)
def test_offsets_beside_a_cest_series(folder, bids, imported, validate, name, text, column, expected):
    source = write_series(folder, "7_apt", values(1, *SHAPE, len(PPM)), CEST)
    (folder / name).write_text(text)
    done = imported()
    assert done.exit_code == 0, done.rows[0].note
    path = bids / ANAT / "sub-01_acq-APTw3T_cest.nii.gz"
    assert path.read_bytes() == source.read_bytes()
    lines = (bids / ANAT / "sub-01_acq-APTw3T_cestcontext.tsv").read_text().splitlines()
    columns = lines[0].split("\t")
    found = [float(line.split("\t")[columns.index(column)]) for line in lines[1:]]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert ("NO UNIT IS STATED" in done.rows[0].note) == (name in ("7_apt.txt", "my_offsets.txt"))
    validate()


def test_wrong_number_of_offsets(folder, bids, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, len(PPM)), CEST)
    (folder / "7_apt.txt").write_text("1\n2\n3\n")
    done = imported()
    assert done.exit_code == 1
    assert "7_apt.txt: rows: expected 8, one for each volume of 7_apt.nii.gz, found 3." in done.rows[0].note


def test_cest_without_offsets(folder, imported):
    write_series(folder, "7_apt", values(1, *SHAPE, len(PPM)), CEST)
    (row,) = imported().rows
    assert (row.taken_for, row.status) == ("cest", "refused")
    assert "7_apt_offsets.tsv" in row.note


def test_pulseq_file_beside_a_series(folder, bids, imported, validate):
    write_series(folder, "7_apt", values(1, *SHAPE, 8), SIEMENS_VE | {"SeriesDescription": "APTw"})
    (folder / "apt.seq").write_bytes(b"# Pulseq sequence file\n")
    assert imported().exit_code == 0
    sidecar = stated(bids / ANAT / "sub-01_acq-APTw_cest.nii.gz")
    digest = hashlib.sha256(b"# Pulseq sequence file\n").hexdigest()
    assert sidecar["PulseqFile"] == f"bids::code/pulseq/apt_{digest[:8]}.seq"
    assert sidecar["PulseqFileHash"] == digest
    assert (bids / f"code/pulseq/apt_{digest[:8]}.seq").read_bytes() == b"# Pulseq sequence file\n"
    validate()


def test_wasabi_by_its_pulse(folder, bids, imported, validate):
    offsets = [-300, *np.linspace(-2, 2, 11).tolist()]
    sidecar = SIEMENS_XA | {
        "SeriesDescription": "prep",
        "SaturationB1RMS": 3.7,
        "SaturationDuration": 0.005,
        "SaturationOffset": offsets,
    }
    write_series(folder, "8_prep", values(1, *SHAPE, 12), sidecar)
    done = imported()
    assert done.exit_code == 0
    assert (done.rows[0].taken_for, done.rows[0].sure) == ("wasabi", "high")
    assert stated(bids / ANAT / "sub-01_acq-WASABI_cest.nii.gz")["SaturationOffset"] == offsets
    validate()


def test_phase_difference_of_siemens(folder, bids, imported, validate):
    common = SIEMENS_VE | {
        "SequenceName": "*fm2d2r",
        "MRAcquisitionType": "2D",
        "SeriesDescription": "gre_field_mapping",
        "FlipAngle": 60,
    }
    for echo, time in ((1, 0.00492), (2, 0.00738)):
        write_series(
            folder,
            f"gre_field_mapping_3_e{echo}",
            values(echo),
            common | {"EchoNumber": echo, "EchoTime": time, "ImageType": ["M"]},
        )
    write_series(
        folder,
        "gre_field_mapping_4_e2_ph",
        values(3, low=0, high=4096),
        common | {"EchoNumber": 2, "EchoTime": 0.00738, "ImageType": ["P", "PHASE"]},
    )
    assert imported().exit_code == 0
    assert images(bids) == {f"sub-01_{suffix}.nii.gz" for suffix in ("phasediff", "magnitude1", "magnitude2")}
    sidecar = stated(bids / FMAP / "sub-01_phasediff.nii.gz")
    assert (sidecar["EchoTime1"], sidecar["EchoTime2"]) == (0.00492, 0.00738)
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_magnitude2.nii.gz"), values(2))
    validate()


def test_phases_of_two_echoes(folder, bids, imported, validate):
    common = GE | {"SeriesDescription": "fieldmap"}
    for echo, time in ((2, 0.007), (1, 0.0045)):
        write_series(folder, f"5_fieldmap_e{echo}", values(echo), common | {"EchoTime": time})
        write_series(
            folder, f"5_fieldmap_e{echo}_ph", values(echo + 4, low=-3141, high=3141), common | {"EchoTime": time}
        )
    assert imported().exit_code == 0
    assert stated(bids / FMAP / "sub-01_phase1.nii.gz")["EchoTime"] == 0.0045
    np.testing.assert_array_equal(meaning(bids / FMAP / "sub-01_phase2.nii.gz"), values(6, low=-3141, high=3141))
    validate()


def test_field_map_in_hertz_of_philips(folder, bids, imported, validate):
    write_series(folder, "6_B0map", values(1), PHILIPS | {"SeriesDescription": "B0map", "EchoTime": 0.004})
    write_series(
        folder,
        "6_B0map_fieldmaphz",
        values(2, low=-200, high=200).astype(np.float32),
        PHILIPS | {"SeriesDescription": "B0map"},
    )
    assert imported().exit_code == 0
    assert stated(bids / FMAP / "sub-01_fieldmap.nii.gz")["Units"] == "Hz"
    assert images(bids) == {"sub-01_fieldmap.nii.gz", "sub-01_magnitude.nii.gz"}
    validate()


@pytest.mark.parametrize(
    ("sidecar", "sure"),
    [
        (
            SIEMENS_VE
            | {
                "ScanningSequence": "GR_IR",
                "SequenceVariant": "SK_SP_MP",
                "InversionTime": 0.9,
                "SeriesDescription": "head sag",
            },
            "high",
        ),
        (GE | {"SeriesDescription": "Sag T1 BRAVO"}, "fair"),
        (PHILIPS | {"ProtocolName": "3D_T1_TFE"}, "fair"),
    ],
)
def test_anatomy(folder, bids, imported, validate, sidecar, sure):
    write_series(folder, "2_anatomy", values(1), sidecar)
    done = imported()
    assert done.exit_code == 0
    assert done.rows[0].sure == sure
    assert images(bids) == {"sub-01_T1w.nii.gz"}
    validate()


@pytest.mark.parametrize("name", ["t2_flair", "dwi_b1000", "rest_bold", "mp2rage_t1w_uni"])
def test_anything_else_is_left_alone_with_a_reason(folder, bids, imported, name):
    write_series(folder, f"3_{name}", values(1), SIEMENS_VE | {"SeriesDescription": name})
    (row,) = imported().rows
    assert (row.taken_for, row.status) == ("left alone", "left alone")
    assert row.note
    assert images(bids) == set()


def test_metadata_come_before_names(folder, imported):
    sidecar = SIEMENS_VE | {"PulseSequenceDetails": "%SiemensSeq%\\tfl_b1map", "SeriesDescription": "t1w_mprage famp"}
    write_series(folder, "x", values(1, low=500, high=1000), sidecar)
    (row,) = imported().rows
    assert row.taken_for == "TB1TFL"
    assert "hints at anatomical image: the metadata decide" in row.note


def test_an_image_without_json_is_recognised_by_its_name_alone(folder, bids, imported):
    write_series(folder, "t1w_mprage", values(1), None)
    (row,) = imported().rows
    assert (row.status, row.sure) == ("written", "fair")
    assert "no JSON file" in row.note
    assert json.loads((bids / ANAT / "sub-01_T1w.json").read_text()) == {}


def test_affines_are_those_of_the_source(folder, bids, imported):
    import nibabel as nib

    write_series(folder, "t1w_mprage", values(1), {}, ending=".nii")
    imported()
    np.testing.assert_allclose(nib.load(bids / ANAT / "sub-01_T1w.nii.gz").affine, AFFINE, atol=1e-6)


def test_an_angiogram_with_mt_pulse_is_left_alone(folder, imported):
    write_series(folder, "tof_7", values(1), SPOILED | {"SeriesDescription": "tof", "SequenceVariant": "MTC_SP_OSP"})
    done = imported()
    assert done.exit_code == 3
    assert "no image without it" in done.rows[0].note


def test_both_stages_of_a_fingerprint_keep_their_names(folder, bids, imported):
    for number, name in ((3, "MRF MT"), (4, "MRF amide")):
        sidecar = SIEMENS_VE | {"SeriesDescription": name, "SaturationOffset": [-300, 8, 7, 6]}
        write_series(folder, f"{number}_{name.replace(' ', '_')}", values(number, *SHAPE, 4), sidecar)
    assert imported().exit_code == 0
    assert images(bids) == {"sub-01_acq-MRFMT_cest.nii.gz", "sub-01_acq-MRFamide_cest.nii.gz"}


def test_echoes_of_mt_saturation_are_runs_of_their_own(folder, bids, imported, validate):
    for number, (name, angle) in enumerate((("mpm_t1w", 20), ("mpm_pdw", 6), ("mpm_mtw", 6))):
        for echo in (1, 2):
            sidecar = SPOILED | {"SeriesDescription": name, "FlipAngle": angle, "RepetitionTime": 0.025}
            sidecar |= {"EchoNumber": echo, "EchoTime": 0.0025 * echo}
            write_series(folder, f"{number}_{name}_e{echo}", values(10 * number + echo), sidecar)
    done = imported()
    assert done.exit_code == 0, [row.note for row in done.rows]
    path = bids / ANAT / "sub-01_echo-2_flip-1_mt-on_MTS.nii.gz"
    np.testing.assert_array_equal(meaning(path), values(22))
    assert len(images(bids)) == 6
    validate()
