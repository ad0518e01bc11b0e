"""How vendors and old converters store parts, phase, B1 and repetition times: recognised, or refused with the way out.

Scales of the phase stand in `preprocessing/test_complex_data.py`.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def refusal_of(raw: Any, **options: Any) -> str:
    plan = raw.plan(**options)
    assert plan.runs == ()
    return "\n".join(map(str, plan.refusals))


def both_signs(shape: tuple[int, ...]) -> Any:
    return RNG.normal(scale=100.0, size=shape)


def test_real_and_imaginary_parts_as_volumes_are_refused(bare: Any) -> None:
    raw = bare
    for path in raw.anat.glob("*part-*"):
        path.unlink()
    raw.tfl()
    stem = raw.anat / "sub-01_acq-pcbssfp_flip-1_VFA"
    raw.image(Path(f"{stem}.nii.gz"), both_signs((*raw.shape, 8)), shape=(*raw.shape, 8))
    raw.json(Path(f"{stem}.json"), raw.metadata)
    said = refusal_of(raw)
    assert "real and imaginary parts as volumes of one file?" in said
    assert "part-real" in said
    raw.image(Path(f"{stem}.nii.gz"), both_signs((*raw.shape, 4, 2)), shape=(*raw.shape, 4, 2))
    assert "on a fifth axis" in refusal_of(raw)


def test_a_slope_of_zero_is_none_and_one_that_is_no_number_is_refused(raw: Any) -> None:
    (path,) = raw.anat.glob("*part-mag_VFA.nii*")
    before = raw.plan()
    assert before.refusals == ()
    import gzip

    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:116] = struct.pack("<f", 0.0)
    path.write_bytes(gzip.compress(bytes(content)))
    assert raw.plan().refusals == ()
    content[112:116] = struct.pack("<f", float("nan"))
    path.write_bytes(gzip.compress(bytes(content)))
    said = refusal_of(raw)
    assert "scl_slope" in said
    assert "Write the image again with slope 1" in said


@pytest.mark.parametrize(
    ("median", "way"),
    [(1000.0, "0.001 for tenths of a percent"), (800.0, "0.1 over the nominal flip angle"), (10.0, "--b1-scale")],
)
def test_a_map_in_tenths_is_refused_with_the_way_out(bare: Any, median: float, way: str) -> None:
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", RNG.normal(median, 0.1 * median, bare.shape), shape=bare.shape)
    said = refusal_of(bare)
    assert "--b1-scale" in said
    assert way in said
    (run,) = bare.plan(b1_scale=1.0 / median).pcbssfp
    assert run.b1.scale == pytest.approx(1.0 / median)


def test_a_b1_file_of_four_volumes_says_what_each_holds(bare: Any) -> None:
    volumes = np.stack([np.full(bare.shape, value) for value in (850.0, 420.0, 101.0, -3.0)], axis=-1)
    bare.image(bare.fmap / "sub-01_TB1map.nii.gz", volumes, shape=volumes.shape)
    said = refusal_of(bare)
    assert "found 4 volumes (medians of their values above zero: 850, 420, 101, none)" in said
    assert "a file of its own" in said


def test_an_afi_scan_of_which_one_repetition_time_is_stated(bare: Any) -> None:
    for number, value in ((1, 300.0), (2, 150.0)):
        stem = bare.fmap / f"sub-01_acq-tr{number}_TB1AFI"
        bare.image(Path(f"{stem}.nii.gz"), RNG.normal(value, 20.0, bare.shape), shape=bare.shape)
        bare.json(Path(f"{stem}.json"), {"FlipAngle": 60, "RepetitionTime": 0.02})
    said = refusal_of(bare)
    assert "RepetitionTime = 0.02 s in both" in said
    assert "--b1-afi-tr TR1 TR2" in said


@pytest.mark.parametrize("state", [True, False])
def test_metadata_of_all_scans_may_give_them(bare: Any, tmp_path: Path, state: bool) -> None:
    from qmri_bids.bids.metadata.added import load_added_metadata

    bare.tfl(flip_angle=None)
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"TB1TFL" if state else "b1": {"FlipAngle": 80}}))
    (run,) = bare.plan(metadata=load_added_metadata(path)).pcbssfp
    assert run.b1.scale == pytest.approx(1.0 / 800.0)
