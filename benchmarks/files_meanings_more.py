"""Mistakes in B1, CEST and MT scans, and whether header, sidecar or data hold evidence of them; see `files_meanings_bssfp.py`."""

from __future__ import annotations

import json

import numpy as np
from files_changes import (
    B1_ANGLES,
    B1_IMAGE,
    MRF_AMIDE,
    MRF_MT,
    MTR_OFF,
    MTR_ON,
    MTS_ON,
    MTS_PD,
    MTS_T1,
    OTHER,
    WASABI,
    ZSPEC,
    both,
    column,
    copied,
    exchange,
    factors,
    half_empty,
    header,
    keys,
    noise,
    offset,
    offsets,
    one,
    placed,
    read,
    shifted,
    smooth,
    stored,
    table,
    times,
    turned,
    types_rolled,
    values,
    write,
    zoomed,
)

TIME = "RepetitionTimeExcitation"
WITHIN = "T1 stays within what tissue may have, and nothing else states it"
TISSUE = "T1 beyond what tissue of the stated field has"
APART = "it does not lie on the anatomical image beside it"
COILS = "T1 of one tissue goes with the map"
PAIR = (B1_ANGLES, B1_IMAGE)


def _as_map(make):
    """Put a TB1map, made of relative B1, in the place of the scan."""

    def change(root):
        head, angles = read(root / f"{B1_ANGLES}.nii.gz")
        for stem in PAIR:
            for ending in (".nii.gz", ".json"):
                (root / f"{stem}{ending}").unlink()
        head.set_slope_inter(1.0, 0.0)
        relative = angles.astype(np.float32) / 800.0
        write(root / "sub-01/fmap/sub-01_TB1map.nii.gz", head, np.asarray(make(relative), dtype=np.float32))
        (root / "sub-01/fmap/sub-01_TB1map.json").write_text(json.dumps({"Units": "arbitrary"}))

    return change


def _inverse(angles):
    return np.where(angles > 0, 640000.0 / np.maximum(angles, 1.0), 0.0)


def _ramp(angles):
    return angles * np.linspace(0.7, 1.3, angles.shape[0])[:, None, None]


def _b1(make):
    return values(B1_ANGLES, make=make)


B1 = (
    ("b1 0.5×", _b1(times(0.5)), "data", TISSUE),
    ("b1 0.7×", _b1(times(0.7)), "data", TISSUE),
    ("b1 0.9×", _b1(times(0.9)), "", WITHIN),
    ("b1 1.1×", _b1(times(1.1)), "", WITHIN),
    ("b1 1.25×", _b1(times(1.25)), "", WITHIN),
    ("b1 1.35×", _b1(times(1.35)), "data", TISSUE),
    ("b1 2×", _b1(times(2.0)), "data", TISSUE),
    ("b1 in degrees", _b1(times(0.1)), "data", "a median of 8 and not of 800"),
    ("b1 in hundredths of degrees", _b1(times(10.0)), "data", "a median of 8000 and not of 800"),
    ("b1 in percent", _b1(times(0.125)), "data", "a median of 100 and not of 800"),
    ("b1 per unit", values(B1_ANGLES, make=times(1 / 800), floats=True), "data", "a median of 1 and not of 800"),
    ("b1 constant", _b1(lambda a: np.where(a > 0, 800.0, 0.0)), "data", "one value"),
    (
        "b1 of noise",
        _b1(lambda a: np.where(a > 0, np.random.default_rng(1).uniform(400, 1200, a.shape), 0)),
        "data",
        "no field is so rough",
    ),
    ("b1 mirrored", stored(B1_ANGLES, make=lambda v: v[::-1]), "data", APART),
    ("b1 upside down", stored(B1_ANGLES, make=lambda v: v[:, :, ::-1]), "data", APART),
    ("b1 back to front", stored(B1_ANGLES, make=lambda v: v[:, ::-1]), "data", APART),
    ("b1 and image mirrored", stored(*PAIR, make=lambda v: v[::-1]), "data", "it does not lie on the cycles"),
    ("b1 and image upside down", stored(*PAIR, make=lambda v: v[:, :, ::-1]), "data", "it does not lie on the cycles"),
    ("b1 and image back to front", stored(*PAIR, make=lambda v: v[:, ::-1]), "data", "it does not lie on the cycles"),
    ("b1 rotated by 90", stored(B1_ANGLES, make=turned), "data", APART),
    ("b1 and image rotated by 90", stored(*PAIR, make=turned), "data", "it does not lie on the cycles"),
    ("b1 moved by 3 voxels", stored(B1_ANGLES, make=lambda v: np.roll(v, 3, axis=1)), "data", APART),
    ("b1 20 mm elsewhere", placed(B1_ANGLES, make=shifted(1, 20.0)), "header", "another grid than its image"),
    ("b1 and image 20 mm elsewhere", placed(*PAIR, make=shifted(1, 20.0)), "data", "registration tells"),
    ("b1 voxels 1.2× larger", placed(*PAIR, make=zoomed(1.2, 1.2, 1.2)), "data", "its head is larger"),
    ("b1 inverse", _b1(_inverse), "data", COILS),
    ("b1 squared", _b1(lambda a: a * a / 800.0), "data", COILS),
    ("b1 with a ramp", _b1(_ramp), "data", COILS),
    ("b1 as its departure doubled", _b1(lambda a: np.where(a > 0, 2.0 * a - 800.0, 0.0)), "data", COILS),
    (
        "b1 of another participant",
        both(*(copied(f"{OTHER}/{stem}", stem) for stem in PAIR)),
        "",
        "a head like this one",
    ),
    ("b1 half empty", _b1(half_empty(0)), "data", "nothing in half of the head"),
    ("b1 cut off at 80°", _b1(lambda a: np.minimum(a, 800.0)), "data", "many voxels have the largest value"),
    ("b1 with an offset", _b1(lambda a: a + 100.0), "data", "air has 10°"),
    ("b1 empty in the middle", _b1(lambda a: np.where(a > np.percentile(a[a > 0], 70), 0.0, a)), "data", "a hole"),
    ("b1 smoothed with air", _b1(smooth(2.0)), "data", "it falls towards the edge of the head"),
    ("b1 and image exchanged", exchange(*PAIR), "data", "an anatomical image of no field"),
    ("b1 for an angle of 40", keys(*PAIR, FlipAngle=40.0), "data", "twice nominal everywhere"),
    ("b1 for an angle of 90", keys(*PAIR, FlipAngle=90.0), "", WITHIN),
    ("b1 for the angle of its readout", keys(*PAIR, FlipAngle=8.0), "data", "ten times nominal"),
    ("b1 for an angle in radians", keys(*PAIR, FlipAngle=1.396), "data", "57 times nominal"),
    ("TB1map in per mille", _as_map(times(1000.0)), "data", "a median of 1000"),
    ("TB1map in tenths", _as_map(times(10.0)), "data", "a median of 10"),
    ("TB1map of angles of 80°", _as_map(times(80.0)), "data", "a median of 80 may be 80 %, but T1 speaks against it"),
    ("TB1map of angles of 90°", _as_map(times(90.0)), "", "a median of 90 may be 90 %"),
    ("TB1map squared", _as_map(np.square), "data", COILS),
    ("TB1map as departure in percent", _as_map(lambda b: np.where(b > 0, 100.0 * (b - 1), 0)), "data", "a median of 0"),
)

_FAT = "NOE and fat lie upfield: the sense of the spectrum"


def _z(make):
    return values(ZSPEC, make=make)


ZSPECTRA = (
    ("z offsets in Hz as ppm", column(ZSPEC, "offset_ppm", times(127.7)), "data", "water is 128 times too narrow"),
    (
        "z offsets in ppm as Hz",
        column(ZSPEC, "offset_ppm", lambda x: x, called="offset_hz"),
        "data",
        "water is 128 times too wide",
    ),
    ("z offsets negated", column(ZSPEC, "offset_ppm", times(-1.0)), "data", _FAT),
    ("z offsets doubled", column(ZSPEC, "offset_ppm", times(2.0)), "data", "NOE at -7 ppm"),
    ("z offsets halved", column(ZSPEC, "offset_ppm", times(0.5)), "data", "NOE at -1.75 ppm"),
    ("z offsets 1.1×", column(ZSPEC, "offset_ppm", times(1.1)), "", "pools are 1 ppm wide"),
    ("z offsets + 1", column(ZSPEC, "offset_ppm", lambda x: x + 1.0), "", "the frequency may be off by as much"),
    ("z offsets shuffled", offsets(ZSPEC, lambda o: np.random.default_rng(1).permutation(o)), "data", "no spectrum"),
    ("z offsets moved on by one", offsets(ZSPEC, lambda o: np.roll(o, 1)), "data", "the far ones stand out"),
    ("z table moved on by one", table(ZSPEC, types_rolled(1)), "data", "M0 is less than a saturated volume"),
    ("z M0 as the last volume", table(ZSPEC, types_rolled(-1)), "data", "M0 is less than a saturated volume"),
    ("z M0 0.8×", _z(one(0, times(0.8))), "data", "Z above 1"),
    ("z M0 1.25×", _z(one(0, times(1.25))), "", "a semisolid pool of 20 %"),
    ("z one volume empty", _z(one(38, times(0.0))), "data", "no image"),
    (
        "z one volume as its neighbour",
        _z(lambda v: v[..., [*range(38), 37, *range(39, v.shape[3])]]),
        "data",
        "equal to the last digit",
    ),
    ("z volume at 3.5 ppm 0.9×", _z(one(37, times(0.9))), "data", "no line is so narrow"),
    ("z every second volume 0.97×", _z(lambda v: v * np.where(np.arange(v.shape[3]) % 2, 0.97, 1.0)), "data", "jagged"),
    ("z drifting by 20 %", _z(lambda v: v * np.linspace(1.0, 0.8, v.shape[3])), "data", "far offsets differ"),
    ("z with an offset", _z(offset(0.1)), "data", "air is bright"),
    ("z scaled to one mean", _z(lambda v: v / v.mean(axis=(0, 1, 2))), "data", "Z of 1 everywhere"),
    ("z of roots", _z(np.sqrt), "", "a weaker saturation looks like it"),
    (
        "z power in gauss",
        both(keys(ZSPEC, SaturationB1RMS=times(0.01)), column(ZSPEC, "b1_rms", times(0.01))),
        "data",
        "saturation without power",
    ),
    (
        "z power 2×",
        both(keys(ZSPEC, SaturationB1RMS=times(2)), column(ZSPEC, "b1_rms", times(2.0))),
        "",
        "the maps do not depend on it",
    ),
    (
        "z duration in ms",
        both(keys(ZSPEC, SaturationDuration=times(1e3)), column(ZSPEC, "saturation_duration", times(1e3))),
        "sidecar",
        "the train lasts 3 s",
    ),
    ("z field 7 for 3 T", keys(ZSPEC, MagneticFieldStrength=7.0), "sidecar", "ImagingFrequency says 3 T"),
    (
        "z mirrored every second volume",
        _z(lambda v: np.stack([v[..., n] if n % 2 else v[::-1, ..., n] for n in range(v.shape[3])], axis=-1)),
        "data",
        "no registration",
    ),
)


def _w(make):
    return values(WASABI, make=make)


def _power(series, factor):
    return both(keys(series, SaturationB1RMS=times(factor)), column(series, "b1_rms", times(factor)))


WASABIS = (
    ("wasabi power 2×", _power(WASABI, 2.0), "data", "a B1 of 0.5"),
    ("wasabi power 1.1×", _power(WASABI, 1.1), "", "a B1 of 0.9"),
    ("wasabi power in gauss", _power(WASABI, 0.01), "sidecar", "it does not turn water"),
    ("wasabi power in Hz", _power(WASABI, 42.577), "sidecar", "160 µT"),
    (
        "wasabi duration 2×",
        both(
            keys(WASABI, SaturationDuration=0.01, MTPulseDuration=0.01),
            column(WASABI, "saturation_duration", times(2.0)),
        ),
        "data",
        "fringes half as wide",
    ),
    (
        "wasabi duration in ms",
        both(
            keys(WASABI, SaturationDuration=5.0, MTPulseDuration=5.0),
            column(WASABI, "saturation_duration", times(1000.0)),
        ),
        "sidecar",
        "no WASABI of 5 s",
    ),
    ("wasabi offsets negated", column(WASABI, "offset_ppm", times(-1.0)), "", "the field has no sense of its own"),
    ("wasabi offsets doubled", column(WASABI, "offset_ppm", times(2.0)), "data", "fringes twice as wide"),
    (
        "wasabi offsets shuffled",
        offsets(WASABI, lambda o: np.random.default_rng(1).permutation(o)),
        "data",
        "no fringes",
    ),
    (
        "wasabi offsets + 0.5",
        column(WASABI, "offset_ppm", lambda x: x + 0.5),
        "",
        "the frequency may be off by as much",
    ),
    (
        "wasabi offsets in Hz as ppm",
        column(WASABI, "offset_ppm", times(127.7)),
        "data",
        "fringes are 128 times as wide",
    ),
    ("wasabi field 7 for 3 T", keys(WASABI, MagneticFieldStrength=7.0), "sidecar", "ImagingFrequency says 3 T"),
    ("wasabi M0 0.5×", _w(one(0, times(0.5))), "data", "fringes above M0"),
    ("wasabi one volume empty", _w(one(10, times(0.0))), "data", "no image"),
    ("wasabi scaled to one mean", _w(lambda v: v / v.mean(axis=(0, 1, 2))), "data", "no fringes of the mean"),
)


def _on(make):
    return values(MTR_ON, make=make)


MTRS = (
    ("mtr on and off exchanged", exchange(MTR_ON, MTR_OFF), "data", "MTR below 0"),
    (
        "mtr states exchanged with them",
        exchange(MTR_ON, MTR_OFF, sidecars=True),
        "sidecar",
        "name and MTState disagree",
    ),
    ("mtr on a copy of off", copied(MTR_OFF, MTR_ON), "data", "equal to the last digit"),
    ("mtr on 0.9×", _on(times(0.9)), "", "a stronger pulse looks like it"),
    ("mtr on 1.1×", _on(times(1.1)), "", "a weaker pulse looks like it"),
    ("mtr on 0.5×", _on(times(0.5)), "data", "fluid has an MTR of 50 %"),
    ("mtr on 2×", _on(times(2.0)), "data", "MTR below 0"),
    (
        "mtr on without its slope",
        header(MTR_ON, make=lambda head: head.set_slope_inter(1.0, 0.0)),
        "data",
        "MTR below 0",
    ),
    ("mtr on mirrored", stored(MTR_ON, make=lambda v: v[::-1]), "data", "it does not lie on the other"),
    ("mtr on moved by 2 voxels", stored(MTR_ON, make=lambda v: np.roll(v, 2, axis=1)), "data", "registration tells"),
    ("mtr on of noise", _on(noise), "data", "no image"),
    ("mtr both with an offset", values(MTR_ON, MTR_OFF, make=offset(0.2)), "data", "air is bright"),
    ("mtr on with another flip angle", keys(MTR_ON, FlipAngle=12.0), "sidecar", "the sidecars disagree"),
    ("mtr on with another tr", keys(MTR_ON, **{TIME: 0.056}), "sidecar", "the sidecars disagree"),
    ("mtr on smoothed", _on(smooth(1.0)), "data", "blurred against the other"),
)
MTSATS = (
    (
        "mts flip angles exchanged",
        both(keys(MTS_T1, FlipAngle=6.0), keys(MTS_PD, MTS_ON, FlipAngle=20.0)),
        "data",
        "R1 of no tissue",
    ),
    ("mts images of T1w and PDw exchanged", exchange(MTS_T1, MTS_PD), "data", "R1 of no tissue"),
    ("mts on and off exchanged", exchange(MTS_ON, MTS_PD), "data", "saturation below 0"),
    ("mts on a copy of off", copied(MTS_PD, MTS_ON), "data", "equal to the last digit"),
    ("mts flip angles 1.1×", keys(MTS_T1, MTS_PD, MTS_ON, FlipAngle=times(1.1)), "", WITHIN),
    ("mts flip angles 2×", keys(MTS_T1, MTS_PD, MTS_ON, FlipAngle=times(2.0)), "data", TISSUE),
    ("mts flip angles 0.5×", keys(MTS_T1, MTS_PD, MTS_ON, FlipAngle=times(0.5)), "data", TISSUE),
    ("mts flip angle of T1w 1.5×", keys(MTS_T1, FlipAngle=30.0), "data", TISSUE),
    ("mts tr 2×", keys(MTS_T1, MTS_PD, MTS_ON, **{TIME: times(2.0)}), "data", TISSUE),
    ("mts tr of T1w that of PDw", keys(MTS_T1, **{TIME: 0.028}), "", WITHIN),
    ("mts tr in ms", keys(MTS_T1, MTS_PD, MTS_ON, **{TIME: times(1e3)}), "sidecar", "no spoiled echo has a TR of 28 s"),
    ("mts T1w mirrored", stored(MTS_T1, make=lambda v: v[::-1]), "data", "it does not lie on the others"),
    ("mts T1w 0.5×", values(MTS_T1, make=times(0.5)), "data", TISSUE),
    ("mts T1w 2×", values(MTS_T1, make=times(2.0)), "data", TISSUE),
    ("mts T1w 1.1×", values(MTS_T1, make=times(1.1)), "", WITHIN),
    ("mts on 0.9×", values(MTS_ON, make=times(0.9)), "", "a stronger pulse looks like it"),
    ("mts on 2×", values(MTS_ON, make=times(2.0)), "data", "saturation below 0"),
    ("mts with an offset", values(MTS_T1, MTS_PD, MTS_ON, make=offset(0.2)), "data", "air is bright"),
    ("mts b1 0.5×", _b1(times(0.5)), "data", TISSUE),
    ("mts b1 inverse", _b1(_inverse), "data", COILS),
)
STAGES = (MRF_MT, MRF_AMIDE)


def _stages(change):
    return both(*(change(stage) for stage in STAGES))


FINGERPRINTS = (
    ("mrf power 2×", _stages(lambda s: _power(s, 2.0)), "data", "the model does not follow the images"),
    ("mrf power 1.1×", _stages(lambda s: _power(s, 1.1)), "", "fraction and rate may be others"),
    (
        "mrf powers shuffled",
        _stages(
            lambda s: both(
                table(s, lambda rows: [rows[0], *rows[:0:-1]]), keys(s, SaturationB1RMS=lambda b: [b[0], *b[:0:-1]])
            )
        ),
        "data",
        "the model does not follow the images",
    ),
    ("mrf stages exchanged", exchange(*STAGES), "data", "the model does not follow the images"),
    ("mrf recovery in ms", keys(*STAGES, RecoveryTime=times(1e3)), "sidecar", "1000 s of recovery"),
    ("mrf one image 0.5×", values(MRF_MT, make=one(9, times(0.5))), "data", "the model does not follow the images"),
    (
        "mrf images fluctuating",
        values(*STAGES, make=lambda v: factors(*(1 + 0.05 * (-1) ** n for n in range(v.shape[3])))(v)),
        "data",
        "the model does not follow the images",
    ),
)
