"""The standard deviation of B1 reaches T1, M0, MT saturation and pools, or a sentence says that it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import fingerprint, known_sources, relaxation
from spoiled_gradient_echo import spoiled_signal

from qmri_bids.estimation.mt.maps import SpoiledProtocol
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.scans.b1.derivatives import add_b1
from qmri_bids.scans.b1.workflow import AlignB1
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation
from qmri_bids.scans.pools.estimates import EstimateExchange
from qmri_bids.scans.saturation.estimates import EstimateMtsat
from qmri_bids.scans.saturation.run import MtsRun
from qmri_bids.workflows.run_kinds import RUN_KINDS

SHAPE = (6, 5, 4)
PROTOCOL = BssfpProtocol.evenly_spaced(number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)
ANGLES = tuple(SpoiledProtocol(flip_angle=np.radians(angle), repetition_time=0.025) for angle in (6.0, 21.0, 6.0))
STEP = 1e-3
STDEV = 0.03


def saved(folder: Path, name: str, values: Any) -> str:
    return save_volume(folder / f"{name}.nii", np.asarray(values), np.eye(4))


def estimate(node: Any, folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir()
    with np.load(node.run(cwd=str(folder)).outputs.estimate) as stored:
        return {
            name: np.asarray(stored[name], dtype=float) for name in stored.files if stored[name].dtype.kind in "fiub"
        }


def by_b1(make: Any, folder: Path) -> tuple[dict[str, np.ndarray], ...]:
    """Return what a node finds without and with the sd of B1, and the derivative of its maps by B1."""
    exact, vague, more, less = (
        estimate(
            make(
                b1=saved(folder, f"b1{number}", np.full(SHAPE, 0.95 + shift, dtype=np.float32)),
                **({"b1_stdev": saved(folder, "sd", np.full(SHAPE, STDEV, dtype=np.float32))} if known else {}),
            ),
            folder / str(number),
        )
        for number, (shift, known) in enumerate(((0.0, False), (0.0, True), (STEP, False), (-STEP, False)))
    )
    return (
        exact,
        vague,
        {name: (more[name] - less[name]) / (2.0 * STEP) for name in exact if np.shape(exact[name]) == SHAPE},
    )


@pytest.mark.parametrize("estimator", ["ml", "linear", "planet"])
def test_stdev_of_relaxation_holds_that_of_b1(estimator: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ones = np.ones(SHAPE)
    cycles = signal(ones, 0.07 * ones, b1=0.95 * ones, off_resonance=rng.uniform(-40, 40, SHAPE), protocol=PROTOCOL)
    cycles = cycles + 1e-3 * rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0]
    scan = {
        "cycles": saved(tmp_path, "cycles", cycles.astype(np.complex64)),
        "mask": saved(tmp_path, "mask", np.ones(SHAPE, dtype=bool)),
    }
    exact, vague, slope = by_b1(
        lambda **b1: EstimateRelaxation(protocol=PROTOCOL, estimator=estimator, **scan, **b1), tmp_path
    )
    assert np.isfinite(exact["T1"]).all()
    for name in ("T1", "T2", "M0", "off_resonance"):
        np.testing.assert_array_equal(vague[name], exact[name])
        expected = np.hypot(exact[f"{name}_stdev"], STDEV * slope[name])
        np.testing.assert_allclose(vague[f"{name}_stdev"], expected, rtol=0.02)
    # T1 goes with the inverse square of B1: 3 % of B1 are 6 % of T1, and T2 has none of it.
    assert np.median(vague["T1_stdev"] / vague["T1"]) > 0.06
    np.testing.assert_allclose(vague["T2_stdev"], exact["T2_stdev"], rtol=1e-3)


def test_stdev_of_mt_saturation_holds_that_of_b1(tmp_path: Path) -> None:
    ones = np.ones(SHAPE)
    images = [
        spoiled_signal(1000.0 * ones, ones, flip_angle=0.95 * each.flip_angle, repetition_time=0.025, mt_saturation=mt)
        for each, mt in zip(ANGLES, (0.0, 0.0, 0.015), strict=True)
    ]
    scan = {
        "run": SimpleNamespace(protocols=ANGLES),
        "series": saved(tmp_path, "series", np.stack(images, axis=-1).astype(np.float32)),
        "mask": saved(tmp_path, "mask", np.ones(SHAPE, dtype=bool)),
    }
    exact, vague, slope = by_b1(lambda **b1: EstimateMtsat(noise=1.0, correction="helms", **scan, **b1), tmp_path)
    for name in ("MTsat", "R1", "A"):
        expected = np.hypot(exact[f"{name}_stdev"], STDEV * slope[name])
        np.testing.assert_allclose(vague[f"{name}_stdev"], expected, rtol=0.02)
    assert np.median(vague["R1_stdev"] / exact["R1_stdev"]) > 1.2


def test_pools_are_fitted_with_the_stdev_of_b1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []

    class Stop(Exception):
        pass

    def create(options: Any) -> Any:
        def keep(signal: Any, *, scan: Any, known: Any) -> Any:
            taken.append(known)
            raise Stop

        return SimpleNamespace(name="mine", model={}, estimate=keep)

    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "mine", SimpleNamespace(create=create))
    run = fingerprint()
    np.savez(
        tmp_path / "known.npz",
        T1=np.ones(SHAPE),
        T1_stdev=np.full(SHAPE, 0.05),
        T2=np.full(SHAPE, 0.07),
        T2_stdev=np.full(SHAPE, 0.01),
        off_resonance=np.zeros(SHAPE),
        off_resonance_stdev=np.ones(SHAPE),
    )
    number = run.scan.protocols[0].number_of_images
    scan = {
        "series": [saved(tmp_path, f"series{n}", np.ones((*SHAPE, number), dtype=np.float32)) for n in range(2)],
        "mask": saved(tmp_path, "mask", np.ones(SHAPE, dtype=bool)),
        "known": [str(tmp_path / "known.npz")],
        "b1": saved(tmp_path, "b1", np.full(SHAPE, 0.9, dtype=np.float32)),
        "b1_stdev": saved(tmp_path, "sd", np.full(SHAPE, STDEV, dtype=np.float32)),
    }
    with pytest.raises(Stop):
        EstimateExchange(scan=run.scan, estimator="mine", **scan).run(cwd=str(tmp_path))
    np.testing.assert_allclose(taken[0].stdev("b1"), STDEV, rtol=1e-6)


B1_SCAN = B1Run(entities={"sub": "01"}, method="TB1TFL", anatomical=Path("anat.nii.gz"), map=Path("famp.nii.gz"))


def mts() -> MtsRun:
    path = Path("sub-01_MTS.nii.gz")
    return MtsRun(
        entities={"sub": "01", "acq": "MTS"},
        pd_weighted=path,
        t1_weighted=path,
        mt_weighted=path,
        protocols=ANGLES,
        grid=SHAPE,
        b1=B1_SCAN,
    )


@pytest.mark.parametrize(
    ("run", "node"),
    [
        (replace(relaxation(), b1=B1_SCAN), "estimate_relaxation"),
        (mts(), "estimate_mtsat"),
        (replace(fingerprint(), known=known_sources(Path())), "estimate_exchange"),
    ],
    ids=["pc-bSSFP", "MTsat", "pools"],
)
def test_every_run_that_takes_a_b1_scan_takes_its_stdev(run: Any, node: str, tmp_path: Path) -> None:
    places = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "report_file": tmp_path / "report.pickle"}
    options = ProcessingOptions(estimator="ml")
    workflow = RUN_KINDS[run.kind].init(run=run, options=options, name="wf", **places)
    found = {
        pair
        for first, second, data in workflow._graph.edges(data=True)
        if (first.name, second.name) == ("b1_wf", node)
        for pair in data["connect"]
    }
    assert {("outputnode.b1", "b1"), ("outputnode.b1_stdev", "b1_stdev")} <= found


@pytest.mark.parametrize("method", ["TB1TFL", "TB1map"])
def test_a_ready_made_map_gives_none_writes_none_and_says_so(method: Any, tmp_path: Path) -> None:
    shape, affine = (24, 26, 22), np.diag([6.0, 6.0, 6.0, 1.0])
    x, y, z = np.meshgrid(*(np.linspace(-1.3, 1.3, size) for size in shape), indexing="ij")
    head = x**2 + y**2 + z**2 < 1.0
    rng = np.random.default_rng(1)
    b1 = np.where(head, 1.1 - 0.2 * (x**2 + y**2) + 0.02 * rng.standard_normal(shape), 0.0)
    for name, values in (("map", b1), ("magnitude", 100.0 * head), ("mask", head)):
        nib.save(nib.Nifti1Image(values.astype(np.float32), affine), tmp_path / f"{name}.nii")
    run = B1Run(entities={"sub": "01"}, method=method, anatomical=None, map=tmp_path / "map.nii")
    node = AlignB1(b1_run=run, magnitude=str(tmp_path / "magnitude.nii"), mask=str(tmp_path / "mask.nii"))
    found = node.run(cwd=str(tmp_path)).outputs
    written: list[str] = []
    with np.load(found.registration) as registration:
        add_b1(
            lambda key, values, **_: written.append(key),
            nib.load(found.b1).get_fdata(),
            run=run,
            registration=dict(registration),
            mask=head,
        )
        assert ("stdev" in registration) == (method == "TB1TFL")
    said = " ".join(found.decisions)
    assert ("DO NOT HOLD THAT OF B1" in said) == (method == "TB1map")
    assert len(written) == (3 if method == "TB1TFL" else 2)
    if method == "TB1map":
        assert not isinstance(found.b1_stdev, str)
        return
    spread = nib.load(found.b1_stdev).get_fdata()
    assert np.isfinite(spread).all()
    assert np.median(spread[head]) < 0.02
    assert "It enters the standard deviations of the maps that take B1" in said
