"""B1 of another run of the call: what is connected, what comes of it, and what happens when that run fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from protocol_presets import aptw_3t_000
from written_sentences import said

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import B1Run, Take
from qmri_bids.scans.b1.derivatives import b1_sources
from qmri_bids.scans.b1.workflow import AlignB1
from qmri_bids.scans.bssfp.run import CycleFiles, PcBssfpRun
from qmri_bids.scans.methods import b1_map
from qmri_bids.scans.saturation.run import CestRun, shift_of_water, t1_of_run
from qmri_bids.workflows.base import missing_sources, with_dependents, with_sources
from qmri_bids.workflows.run_kinds import init_qmri_wf, run_name

PROTOCOL = aptw_3t_000()


def relaxation() -> PcBssfpRun:
    return PcBssfpRun(
        entities={"sub": "01", "acq": "pcbssfp"},
        suffix="VFA",
        layout_kind="mag-phase",
        files=CycleFiles(),
        grid=(4, 4, 4),
        protocol=BssfpProtocol.evenly_spaced(
            number_of_cycles=4, repetition_time=5e-3, echo_time=2.5e-3, flip_angle=0.3, field_strength=3.0
        ),
        b1=None,
        sources=(),
        warnings=(),
    )


def series(acq: str, *, kind: str = "z-spectrum", b0: Take | None = None) -> CestRun:
    number = PROTOCOL.number_of_images
    return CestRun(
        entities={"sub": "01", "acq": acq},
        suffix="cest",
        image=Path(f"sub-01_acq-{acq}_cest.nii.gz"),
        grid=(4, 4, 4),
        volumes=tuple(range(number)),
        roles=("m0", *("cest",) * (number - 1)),
        protocol=PROTOCOL,
        kind=kind,
        b0=b0,
    )


WASABI = series("WASABI", kind="wasabi")
OF_WASABI = B1Run(
    entities={"sub": "01", "acq": "WASABI"}, method="WASABI", anatomical=None, map=Path("w.nii.gz"), run=WASABI.label
)


def test_a_bssfp_run_takes_b1_of_wasabi(tmp_path: Path) -> None:
    run = replace(relaxation(), b1=OF_WASABI)
    assert {take.key: take.run for take in run.takes} == {"b1": WASABI.label}
    workflow = init_qmri_wf(
        runs=(run, WASABI),
        options=ProcessingOptions(estimator="ml"),
        bids_dir=tmp_path,
        output_dir=tmp_path,
        work_dir=tmp_path,
    )
    ends = {(first.name, second.name) for first, second in workflow._graph.edges()}
    assert (run_name(WASABI), run_name(run)) in ends
    names = workflow.list_node_names()
    assert any(name.endswith("b1_wf.align_b1") for name in names)
    assert b1_map(OF_WASABI)[0] == said("taken from the WASABI series", run=WASABI.label)
    assert b1_sources(OF_WASABI, bids_dir=tmp_path, output_dir=tmp_path) == [
        "bids::sub-01/fmap/sub-01_acq-WASABI_TB1map.nii.gz"
    ]


def test_what_needs_a_run_that_failed_says_so_through_others() -> None:
    run = replace(relaxation(), b1=OF_WASABI)
    spectrum = replace(
        series("APTw", b0=shift_of_water(method="spectrum", sentence="its own")),
        t1=t1_of_run(run.label, kind="apparent"),
    )
    gone = with_dependents([WASABI], [run, spectrum])
    assert gone == [WASABI, run, spectrum]
    (error,) = missing_sources(run, gone)
    assert error.message == f"It takes B1 from {WASABI.label}, and that run has failed."
    # A run that is processed again needs what its sources need.
    assert with_sources([spectrum], [WASABI, run]) == [spectrum, run, WASABI]


def test_b1_of_maps_is_continued_beyond_the_brain(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y, z = np.meshgrid(*(np.linspace(-1.4, 1.4, 28),) * 3, indexing="ij")
    distance = np.sqrt((x / 0.9) ** 2 + (y / 1.1) ** 2 + z**2)
    head, brain = distance < 1.0, distance < 0.7
    image = head * (1.0 + 0.3 * np.sin(6.0 * x) * np.cos(5.0 * y + 2.0 * z)) + 0.5 * (head & ~brain)
    truth = 1.2 - 0.4 * distance**2
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    for name, values in (("image", image), ("mask", brain.astype(float))):
        nib.save(nib.Nifti1Image(values.astype(np.float32), affine), tmp_path / f"{name}.nii")
    measured = brain & (x < 0.4)
    np.savez(
        tmp_path / "maps.npz",
        b1=np.where(measured, truth, np.nan).astype(np.float32),
        b1_stdev=np.where(measured, 0.01, np.nan),
    )
    found = AlignB1(
        b1_run=OF_WASABI,
        magnitude=str(tmp_path / "image.nii"),
        mask=str(tmp_path / "mask.nii"),
        maps=str(tmp_path / "maps.npz"),
        image=str(tmp_path / "image.nii"),
    ).run(cwd=str(tmp_path))
    b1 = nib.load(found.outputs.b1).get_fdata()
    registration = np.load(found.outputs.registration)
    assert np.isfinite(b1).all()
    assert np.abs(b1 / truth - 1.0)[measured].max() < 0.02
    assert np.median(np.abs(b1 / truth - 1.0)[brain & ~measured]) < 0.05
    codes = registration["codes"]
    assert set(np.unique(codes[brain])) == {1, 2}
    assert (codes[~brain] == 0).all()
    assert found.outputs.warnings == []
