"""M0 volumes in a file of their own, which the sidecar of a series names."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.physics.saturation import Start
from qmri_bids.preprocessing.loading.series import load_series
from qmri_bids.scans.cest.find import read_cest_protocol
from qmri_bids.scans.cest.m0 import RELAXED, with_m0
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings

M0 = "sub-01_acq-M0_cest"
OFFSETS = [float(each) for each in np.linspace(-4.0, 4.0, 17)]
SHAPE = (24, 26, 20)


def write_image(path: Any, values: np.ndarray, *, move: float = 0.0) -> None:
    values = np.array(values, dtype=np.float32)
    values[-1] = 0.0  # air
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[0, 3] = move
    nib.save(nib.Nifti1Image(values, affine), path)


def scans(
    empty: Any, *, name: Any = f"{M0}.nii.gz", shape: tuple[int, ...] = (*SHAPE, 2), table: str | None = None
) -> None:
    """A spectrum of saturated volumes alone, whose sidecar names an M0 series."""
    empty.cest(change={"SaturationOffset": OFFSETS, "M0File": name}, shape=(*SHAPE, len(OFFSETS)))
    write_image(empty.anat / "sub-01_acq-APTw_cest.nii.gz", np.full((*SHAPE, len(OFFSETS)), 500.0))
    write_image(empty.anat / f"{M0}.nii.gz", np.full(shape, 1000.0) + np.arange(shape[3]))
    empty.json(empty.anat / f"{M0}.json", {"MagneticFieldStrength": 3.0})
    if table is not None:
        empty.table(empty.anat / "sub-01_acq-M0_cestcontext.tsv", table)


@pytest.mark.parametrize("name", [f"{M0}.nii.gz", f"bids::sub-01/anat/{M0}.nii.gz"])
def test_m0_of_another_file_comes_before_the_saturated_volumes(empty: Any, name: str) -> None:
    scans(empty, name=name)
    plan = empty.plan()
    assert plan.refusals == ()
    (run,) = plan.cest
    assert run.kind == "z-spectrum"
    assert run.roles == ("m0", "m0", *("cest",) * 17)
    assert [image.offset for image in run.protocol.images] == [None, None, *OFFSETS]
    volumes, _ = load_series(run.paths, volumes=run.volumes)
    assert volumes[0, 0, 0].tolist() == [1000.0, 1001.0, *[500.0] * 17]
    assert any("taken to have the same gain" in sentence for sentence in run.warnings)
    assert any(source.key == "m0_file" and "2 volume(s)" in source.value for source in run.sources)
    assert any(f"{M0}.nii.gz: M0 of sub-01/anat/sub-01_acq-APTw_cest.nii.gz" in note for note in plan.notes)


def test_dummies_of_the_m0_file_are_left_out(empty: Any) -> None:
    scans(empty, table="volume_type\ndummy\nm0scan")
    (run,) = empty.plan().cest
    volumes, _ = load_series(run.paths, volumes=run.volumes)
    assert volumes[0, 0, 0, 0] == 1001.0
    assert run.roles.count("m0") == 1


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"name": "sub-01_acq-none_cest.nii.gz"}, "M0File", "which is not there"),
        ({"name": 3}, "M0File", "3"),
        ({"name": "bids::../other/m0.nii.gz"}, "M0File", "bids::../other/m0.nii.gz"),
        ({"name": "sub-01_acq-APTw_cest.nii.gz"}, "M0File", "sub-01_acq-APTw_cest.nii.gz"),
        ({"shape": (24, 26, 10, 2)}, "shape", "(24, 26, 10)"),
        ({"table": "volume_type offset_ppm\nm0scan n/a\ncest 3.5"}, "volume_type", "saturated volumes ([1], from 0)"),
        ({"table": "volume_type\ndummy\ndummy"}, "volume_type", "dummies"),
    ],
)
def test_an_m0_file_that_cannot_serve_is_refused(empty: Any, change: dict[str, Any], key: str, words: str) -> None:
    scans(empty, **change)
    plan = empty.plan()
    assert [run for run in plan.cest if "APTw" in run.label] == []
    assert any(refusal.key == key and words in refusal.found for refusal in plan.refusals), plan.refusals


def test_an_m0_file_of_another_place_or_with_saturation_is_refused(empty: Any) -> None:
    scans(empty)
    write_image(empty.anat / f"{M0}.nii.gz", np.full((*SHAPE, 2), 1000.0), move=6.0)
    (refusal,) = empty.plan().refusals
    assert (refusal.key, refusal.expected) == ("affine", "the grid of sub-01/anat/sub-01_acq-APTw_cest.nii.gz")
    write_image(empty.anat / f"{M0}.nii.gz", np.full((*SHAPE, 2), 1000.0))
    empty.json(empty.anat / f"{M0}.json", {"MagneticFieldStrength": 3.0, "SaturationOffset": [-300.0, 3.5]})
    (refusal,) = empty.plan().refusals
    assert refusal.key == "SaturationOffset"
    assert "M0 scans alone" in refusal.expected


def test_without_the_key_the_advice_names_it(empty: Any) -> None:
    empty.cest(change={"SaturationOffset": OFFSETS}, shape=(*SHAPE, len(OFFSETS)))
    (refusal,) = empty.plan().refusals
    assert refusal.key == "M0"
    assert "M0File" in refusal.advice


def test_a_fingerprint_starts_from_full_relaxation_after_m0_of_another_series(empty: Any) -> None:
    empty.cest(
        change={
            "SaturationOffset": [3.5] * 12,
            "SaturationB1RMS": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0] * 2,
            "RecoveryTime": 1.0,
            "M0File": f"{M0}.nii.gz",
        },
        shape=(*SHAPE, 12),
    )
    write_image(empty.anat / "sub-01_acq-APTw_cest.nii.gz", np.full((*SHAPE, 12), 500.0))
    write_image(empty.anat / f"{M0}.nii.gz", np.full((*SHAPE, 2), 1000.0))
    path = empty.anat / "sub-01_acq-APTw_cest.nii.gz"
    sidecar = Findings(root=empty.root, options=FindOptions()).sidecar(path)
    reading = read_cest_protocol(sidecar, path=path, root=empty.root, number_of_volumes=12, suffix="cest", has_m0=True)
    protocol = with_m0(reading.protocol, 2)
    assert protocol.start is Start.PREVIOUS
    assert [image.recovery for image in protocol.images] == [RELAXED, RELAXED, RELAXED, *[1.0] * 11]
