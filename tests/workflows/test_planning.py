"""Which runs feed which, and what happens when one of them fails."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from protocol_presets import aptw_3t_000
from written_sentences import said

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.scans.bssfp.run import CycleFiles, PcBssfpRun
from qmri_bids.scans.saturation.estimates import EstimateZSpectrum
from qmri_bids.scans.saturation.outputs import _maps_of_other_runs
from qmri_bids.scans.saturation.run import CestRun, shift_of_water, t1_of_run
from qmri_bids.scans.saturation.workflow import init_cest_wf
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.base import missing_sources, without_failed
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.planning import link_runs
from qmri_bids.workflows.run_kinds import init_qmri_wf, run_name

PROTOCOL = aptw_3t_000()


def relaxation(acq: str = "pcbssfp") -> PcBssfpRun:
    return PcBssfpRun(
        entities={"sub": "01", "acq": acq},
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


def series(acq: str, *, kind: str = "z-spectrum", protocol=PROTOCOL, b0: Take | None = None) -> CestRun:
    number = protocol.number_of_images
    return CestRun(
        entities={"sub": "01", "acq": acq},
        suffix="cest",
        image=Path(f"sub-01_acq-{acq}_cest.nii.gz"),
        grid=(4, 4, 4),
        volumes=tuple(range(number)),
        roles=("m0", *("cest",) * (number - 1)),
        protocol=protocol,
        kind=kind,
        b0=b0,
    )


def wasabi_source(label: str) -> Take:
    return shift_of_water(method="wasabi", run=label, sentence="from WASABI")


def test_a_spectrum_gets_t1_of_its_session_and_says_which_of_several() -> None:
    plan = SessionPlan(
        subject="01", session=None, pcbssfp=(relaxation(), relaxation("pcbssfp2")), cest=(series("APTw"),)
    )
    (linked,) = link_runs([plan])
    assert linked.cest[0].t1_run == "sub-01_acq-pcbssfp"
    assert "the first of 2" in linked.cest[0].warnings[0]


def test_without_relaxometry_there_is_no_t1() -> None:
    (linked,) = link_runs([SessionPlan(subject="01", session=None, cest=(series("APTw"),))])
    assert linked.cest[0].t1_run is None


def test_a_spectrum_is_freed_of_runs_that_failed_and_says_so() -> None:
    wasabi = series("WASABI", kind="wasabi")
    run = series("APTw", b0=wasabi_source(wasabi.label))
    assert {take.key: take.run for take in run.takes} == {"b0": wasabi.label}
    freed = without_failed(run, [wasabi, run])
    assert isinstance(freed, CestRun)
    assert freed.b0 is not None
    assert freed.b0.method == "spectrum"
    assert "since that run failed" in freed.warnings[-1]
    assert without_failed(wasabi, [wasabi]) is None


def test_a_run_whose_pools_failed_names_the_run_that_gave_them() -> None:
    """What is taken of it are no known maps of fingerprints, which have names of their own."""
    giver = SimpleNamespace(label="sub-01_acq-MRF_exchange")
    run: Any = SimpleNamespace(label="sub-01_acq-x_transfer", takes=(Take(names=(), key="pools", run=giver.label),))
    (error,) = missing_sources(run, [giver])  # type: ignore[list-item]
    assert error.message == "It takes maps from sub-01_acq-MRF_exchange, and that run has failed."


def test_the_workflow_connects_maps_of_other_runs(tmp_path: Path) -> None:
    wasabi = series("WASABI", kind="wasabi")
    plan = SessionPlan(
        subject="01",
        session=None,
        pcbssfp=(relaxation(),),
        cest=(wasabi, series("APTw", b0=wasabi_source(wasabi.label))),
    )
    (linked,) = link_runs([plan])
    workflow = init_qmri_wf(
        runs=linked.runs,
        options=ProcessingOptions(estimator="ml"),
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
    )
    spectrum = workflow.get_node(run_name(linked.cest[1]))
    sources = {source.name for source, _ in workflow._graph.in_edges(spectrum)}
    assert sources == {run_name(wasabi), run_name(linked.pcbssfp[0])}


def test_arex_reads_the_t1_of_its_run_under_its_name(tmp_path: Path) -> None:
    """Of the freed run T1 as an inversion recovery sees it, with its own standard deviation; files say the same."""
    places = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "report_file": tmp_path / "report"}
    options = ProcessingOptions(estimator="ml")
    run = replace(
        series("APTw"), t1=t1_of_run("sub-01_acq-pcbssfpMT_transfer", kind="mtcorrected"), t1_kind="mtcorrected"
    )
    assert init_cest_wf(run=run, options=options, **places).get_node("bring_t1").inputs.names == ["mtcorrected_T1"]
    (uri,) = _maps_of_other_runs(run, output_dir=tmp_path)
    assert uri == "bids::sub-01/anat/sub-01_acq-pcbssfpMT_desc-mtcorrected_T1map.nii.gz"
    apparent = replace(run, t1=t1_of_run("sub-01_acq-pcbssfp_flip-1", kind="apparent"), t1_kind="apparent")
    assert init_cest_wf(run=apparent, options=options, **places).get_node("bring_t1").inputs.names == ["T1"]
    (uri,) = _maps_of_other_runs(apparent, output_dir=tmp_path)
    assert uri == "bids::sub-01/anat/sub-01_acq-pcbssfp_T1map.nii.gz"


def test_the_node_of_z_spectra_takes_t1_under_its_name(tmp_path: Path) -> None:
    """Of a file that holds both: which one AREX is divided by, and its standard deviation."""
    shape, run = (6, 5, 4), series("spectrum")
    rng = np.random.default_rng(0)
    signal = 1.0 + 1e-3 * rng.standard_normal((*shape, run.number_of_volumes))
    path = save_volume(tmp_path / "series.nii", signal.astype(np.float32), np.eye(4))
    mask = save_volume(tmp_path / "mask.nii", np.ones(shape, dtype=bool), np.eye(4))
    maps = {"T1": 1.0, "T1_stdev": 0.1, "mtcorrected_T1": 2.0, "mtcorrected_T1_stdev": 0.02}
    zero = {"off_resonance": np.zeros(shape)}
    np.savez(tmp_path / "maps.npz", **zero, **{name: np.full(shape, value) for name, value in maps.items()})
    for name, kind in (("T1", "apparent"), ("mtcorrected_T1", "mtcorrected")):
        node = EstimateZSpectrum(
            run=replace(run, t1=t1_of_run("x", kind=kind), t1_kind=kind, b0=wasabi_source("y")),
            series=path,
            mask=mask,
            b0=str(tmp_path / "maps.npz"),
            t1=str(tmp_path / "maps.npz"),
            asymmetry=[3.5],
            pools=[],
        )
        found = np.load(node.run(cwd=str(tmp_path)).outputs.estimate)
        assert np.nanmedian(found["T1"]) == maps[name]
        assert np.nanmedian(found["T1_stdev"]) == pytest.approx(maps[f"{name}_stdev"])


def test_arex_is_left_out_where_t1_is_of_another_place(tmp_path: Path) -> None:
    shape, run = (3, 5, 4), series("spectrum")
    rng = np.random.default_rng(0)
    signal = 1.0 + 1e-3 * rng.standard_normal((*shape, run.number_of_volumes))
    t1 = np.full(shape, np.nan)
    t1[0, 0] = 1.2
    np.savez(tmp_path / "maps.npz", off_resonance=np.zeros(shape), T1=t1)
    node = EstimateZSpectrum(
        run=replace(run, t1=t1_of_run("elsewhere", kind="apparent"), t1_kind="apparent", b0=wasabi_source("y")),
        series=save_volume(tmp_path / "series.nii", signal.astype(np.float32), np.eye(4)),
        mask=save_volume(tmp_path / "mask.nii", np.ones(shape, dtype=bool), np.eye(4)),
        b0=str(tmp_path / "maps.npz"),
        t1=str(tmp_path / "maps.npz"),
        asymmetry=[3.5],
        pools=["water", "amide"],
    )
    outputs = node.run(cwd=str(tmp_path)).outputs
    assert any("AREX IS LEFT OUT: the T1 of elsewhere has values in 6.7 %" in each for each in outputs.warnings)
    assert any("AREX was not computed" in each for each in outputs.decisions)
    assert not any("AREX was computed" in each for each in outputs.decisions)
    assert "arex_amide" not in np.load(outputs.estimate).files


def test_each_sentence_of_the_methods_stands_once() -> None:
    plan = SessionPlan(subject="01", session=None, cest=(series("APTw"), series("APTw2")))
    sentences = method_sentences(plan.runs, ProcessingOptions(estimator="pinn"))
    assert len(sentences) == len({str(sentence) for sentence in sentences})
    texts = [sentence.text.partition("{")[0] for sentence in sentences]
    assert texts.count("The CEST series ") == 2
    assert sentences.count(said("brought to the nominal offsets by a cubic spline")) == 1
    assert said("Lorentzian lines were not fitted", reach="4") in sentences  # ±4 ppm do not tell the line of MT


def test_methods_without_maps_name_what_found_masks_and_motion() -> None:
    plan = SessionPlan(subject="01", session=None, cest=(series("APTw"), series("APTw2")))
    sentences = method_sentences(plan.runs, ProcessingOptions(estimator="pinn", level="minimal"))
    assert len(sentences) == len({str(sentence) for sentence in sentences})
    assert {"fisch2024", "avants2011", "power2012"} <= {key for sentence in sentences for key in sentence.cited}
    assert not any("maps" in sentence.text and sentence.paragraph == "outputs" for sentence in sentences)
    alone = method_sentences(plan.runs, ProcessingOptions(estimator="pinn", level="minimal", ignore=("motion",)))
    assert not any("power2012" in sentence.cited for sentence in alone)
