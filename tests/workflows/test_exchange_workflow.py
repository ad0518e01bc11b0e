"""How the known maps of fingerprints get there, and what happens where they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_runs import RELAXATION, fingerprint, fixed, from_run, known_sources, relaxation, short, stage
from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.bids.digests import Digests
from qmri_bids.engine.execution import EngineOptions
from qmri_bids.physics.saturation_presets import mrf_mt
from qmri_bids.pipeline.maps.nodes import UnwrapOffResonance
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.reports.methods import methods_text
from qmri_bids.workflows import run_kinds
from qmri_bids.workflows.base import ParticipantRuns, process_runs
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.run_kinds import init_qmri_wf, run_name


@pytest.mark.parametrize(
    ("known", "nodes", "words"),
    [
        (
            (from_run("t1", "t2", "off_resonance"), fixed(b1=1.0)),
            {"unwrap_off_resonance", "bring_t1_t2_off_resonance"},
            ("unwrapped in space", "B1 was not measured: 1 was taken"),
        ),
        (
            (from_run("t1", "t2"), from_run("b1", "off_resonance", run="sub-01_acq-WASABI_cest", method="wasabi")),
            {"bring_t1_t2", "bring_b1_off_resonance"},
            ("B1 and off-resonance came from sub-01_acq-WASABI_cest",),
        ),
        (
            (
                Take(
                    names=("t1", "t2"),
                    method="maps",
                    files={"t1": Path("T1map.nii"), "t2": Path("T2map.nii")},
                    image=Path("T1w.nii"),
                    sentence="Maps.",
                ),
                Take(names=("off_resonance",), method="fieldmap", files={"off_resonance": Path("f.nii")}, sentence=""),
                known_sources(Path())[1],
            ),
            {"load_t1_t2", "bring_t1_t2", "load_off_resonance", "bring_off_resonance", "b1_wf"},
            (
                "T1map.nii and T2map.nii, rigidly",
                "f.nii, placed by the coordinates",
                "B1 came from sub-01_TB1map.nii.gz",
            ),
        ),
    ],
    ids=["relaxometry", "wasabi", "files"],
)
def test_known_maps_come_by_the_way_of_their_source(
    known: tuple[Take, ...], nodes: set[str], words: tuple[str, ...], tmp_path: Path
) -> None:
    run = fingerprint(*known)
    options = ProcessingOptions(estimator="ml", exchange_estimator="ml")
    workflow = run_kinds.RUN_KINDS["exchange"].init(
        run=run, options=options, bids_dir=tmp_path, output_dir=tmp_path, report_file=tmp_path / "report"
    )
    names = {node.name for node in workflow._graph.nodes()}
    assert nodes <= names
    assert {"load_series", "load_series_2", "correct_motion_2", "bring_series_2"} <= names
    assert ("unwrap_off_resonance" in names) == ("unwrap_off_resonance" in nodes)
    text, _ = methods_text(method_sentences([run], options))
    for each in (*words, "series sub-01_acq-MRFamide_cest was registered", "by maximum likelihood"):
        assert each in text


def test_stages_are_denoised_where_asked_for_and_their_noise_reaches_the_fit(tmp_path: Path) -> None:
    run = fingerprint(*known_sources(Path()))
    options = ProcessingOptions(estimator="ml", exchange_estimator="ml", denoise="mppca", noise_sd=3.0)
    workflow = run_kinds.RUN_KINDS["exchange"].init(
        run=run, options=options, bids_dir=tmp_path, output_dir=tmp_path, report_file=tmp_path / "report"
    )
    for load, denoise in (("load_series", "denoise_series"), ("load_series_2", "denoise_series_2")):
        assert workflow.get_node(load).inputs.noise_sd == 3.0
        pairs = workflow._graph.get_edge_data(workflow.get_node(load), workflow.get_node(denoise))["connect"]
        assert sorted(pairs) == [("noise", "noise"), ("noise_before", "noise_before")]
        gathered = workflow._graph.get_edge_data(workflow.get_node(denoise), workflow.get_node("collect_noise"))
        assert [source for source, _ in gathered["connect"]] == ["noise_before"]
    text, _ = methods_text(method_sentences([run], options))
    assert "MP-PCA" in text
    assert "was stated as 3 in units of the images" in text


def test_a_run_that_needs_two_others_is_connected_to_both(tmp_path: Path) -> None:
    wasabi = replace(stage("WASABI", short(mrf_mt())), kind="wasabi")
    run = fingerprint(
        from_run("t1", "t2"), from_run("b1", "off_resonance", run="sub-01_acq-WASABI_cest", method="wasabi")
    )
    assert {take.key: take.run for take in run.takes} == {"t1_t2": RELAXATION, "b1_off_resonance": wasabi.label}
    workflow = init_qmri_wf(
        runs=(relaxation(), wasabi, run),
        options=ProcessingOptions(estimator="ml"),
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
    )
    edges = workflow._graph.in_edges(workflow.get_node(run_name(run)), data=True)
    connected = {source.name: sorted(target for _, target in data["connect"]) for source, _, data in edges}
    assert connected == {
        run_name(relaxation()): ["inputnode.t1_t2_magnitude", "inputnode.t1_t2_maps"],
        run_name(wasabi): ["inputnode.b1_off_resonance_magnitude", "inputnode.b1_off_resonance_maps"],
    }


OUTPUTS = ("files", "maps", "report", "mask", "magnitude")
"""What the workflow of a participant takes from every run."""


class _FailsInput(BaseInterfaceInputSpec):
    text = traits.Str("", usedefault=True)


class _FailsOutput(TraitedSpec):
    estimate = traits.Str()
    magnitude = traits.Str()


class Fails(SimpleInterface):
    input_spec = _FailsInput
    output_spec = _FailsOutput

    def _run_interface(self, runtime: Any) -> Any:
        raise ValueError("the cycles are gone")


def test_a_fingerprint_without_its_source_fails_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**arguments: Any) -> pe.Workflow:
        workflow = pe.Workflow(name=arguments["name"])
        outputnode = pe.Node(IdentityInterface(fields=[*OUTPUTS, "estimate"]), name="outputnode")
        fails = pe.Node(Fails(), name="load_cycles")
        workflow.connect(fails, "estimate", outputnode, "estimate")
        workflow.connect(fails, "magnitude", outputnode, "magnitude")
        return workflow

    def waiting(**arguments: Any) -> pe.Workflow:
        workflow = pe.Workflow(name=arguments["name"])
        fields = ["t1_t2_off_resonance_maps", "t1_t2_off_resonance_magnitude"]
        inputnode = pe.Node(IdentityInterface(fields=fields), name="inputnode")
        last = pe.Node(IdentityInterface(fields=["maps"]), name="describe_run")
        workflow.connect(inputnode, fields[0], last, "maps")
        workflow.add_nodes([pe.Node(IdentityInterface(fields=list(OUTPUTS)), name="outputnode")])
        return workflow

    kinds = dict(run_kinds.RUN_KINDS)
    kinds["pcbssfp"] = replace(kinds["pcbssfp"], init=broken)
    kinds["exchange"] = replace(kinds["exchange"], init=waiting)
    monkeypatch.setattr(run_kinds, "RUN_KINDS", kinds)
    old = tmp_path / "out" / "sub-01" / "anat" / "sub-01_acq-MRFMT_desc-preproc_cest.nii.gz"
    old.parent.mkdir(parents=True)
    old.touch()
    participant = ParticipantRuns(
        subject="01",
        runs=(relaxation(), fingerprint(from_run("t1", "t2", "off_resonance"), fixed(b1=1.0))),
        options=ProcessingOptions(estimator="ml"),
        work_dir=tmp_path / "work" / "sub-01",
        crash_dir=tmp_path / "log",
        digests=Digests(None),
    )
    outcomes = process_runs(
        [participant], bids_dir=tmp_path, output_dir=tmp_path / "out", engine=EngineOptions(processors=1)
    )
    source, outcome = outcomes["01"]
    assert source.report is None
    assert "the cycles are gone" in source.errors[0].message
    assert outcome.report is None
    (error,) = outcome.errors
    assert error.message == f"It takes T1, T2 and off-resonance from {RELAXATION}, and that run has failed."
    assert not old.exists(), "what an earlier call wrote for a stage is not taken for a result"


def test_relaxometry_says_what_its_off_resonance_is_known_up_to(tmp_path: Path) -> None:
    ramp = np.linspace(-150.0, 150.0, 14)[:, None, None] * np.ones((14, 8, 8))
    np.savez(
        tmp_path / "maps.npz",
        off_resonance=(ramp + 100.0) % 200.0 - 100.0,
        T1=np.ones((14, 8, 8)),
        off_resonance_period=200.0,
    )
    done = UnwrapOffResonance(maps=str(tmp_path / "maps.npz")).run(cwd=str(tmp_path / ".."))
    with np.load(done.outputs.maps) as stored:
        np.testing.assert_allclose(stored["off_resonance"], ramp, atol=1e-3)
        assert set(stored.files) == {"off_resonance", "T1"}
    assert "multiples of 200.0 Hz" in done.outputs.decisions[0]
