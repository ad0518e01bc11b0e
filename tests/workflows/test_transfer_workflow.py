"""The workflow that frees T1 and M0 of magnetisation transfer: where its maps come from, what is said, what fails with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exchange_runs import fingerprint, fixed, from_run, relaxation, short, stage

from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.saturation_presets import mrf_mt
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.reports.methods import methods_text
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.find import with_transfer
from qmri_bids.scans.transfer.run import TransferRun
from qmri_bids.workflows.base import missing_sources, with_dependents, with_sources
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.run_kinds import init_qmri_wf, run_name

OPTIONS = ProcessingOptions(estimator="ml", exchange_estimator="ml")


def session() -> tuple[PcBssfpRun, ExchangeRun, TransferRun]:
    """Return a scan of a known pulse, a fingerprint that is solved together with it, and what is freed by both."""
    scan = replace(relaxation(), pulse=ExcitationPulse.of("sinc", 1e-3))
    pools = replace(
        fingerprint(from_run("t1", "t2", "off_resonance"), fixed(b1=1.0)),
        relaxometry=Relaxometry(pulse=ExcitationPulse.of("sinc", 1e-3), protocol=scan.protocol),
    )
    plan = SessionPlan(subject="01", session=None, pcbssfp=(scan,), exchange=(pools,))
    (freed,) = with_transfer(plan, options=FindOptions()).transfer
    assert isinstance(freed, TransferRun)
    return scan, pools, freed


def test_a_run_takes_maps_of_both(tmp_path: Path) -> None:
    runs = session()
    workflow = init_qmri_wf(
        runs=runs, options=OPTIONS, bids_dir=tmp_path, output_dir=tmp_path / "out", work_dir=tmp_path / "work"
    )
    freed = workflow.get_node(run_name(runs[2]))
    edges = workflow._graph.in_edges(freed, data=True)
    connected = {source.name: sorted(target for _, target in data["connect"]) for source, _, data in edges}
    assert connected == {
        run_name(runs[0]): ["inputnode.pcbssfp_magnitude", "inputnode.pcbssfp_maps"],
        run_name(runs[1]): ["inputnode.pools_magnitude", "inputnode.pools_maps"],
    }
    names = {node.name for node in freed._graph.nodes()}
    assert {"load_image", "bring_pools", "free_of_transfer", "write_derivatives", "describe_run"} <= names
    assert not any(name.startswith(("correct_motion", "remove_gibbs")) for name in names), "the image is aligned"
    estimate = freed.get_node("free_of_transfer")
    given = {target for _, _, data in freed._graph.in_edges(estimate, data=True) for _, target in data["connect"]}
    assert {"run", "apparent", "pools", "mask", "series"} <= given


def test_a_fingerprint_is_told_which_scan_has_seen_its_t1(tmp_path: Path) -> None:
    runs = session()
    workflow = init_qmri_wf(
        runs=runs, options=OPTIONS, bids_dir=tmp_path, output_dir=tmp_path / "out", work_dir=tmp_path / "work"
    )
    pools = workflow.get_node(run_name(runs[1]))
    assert pools.get_node("estimate_exchange").inputs.relaxometry == runs[1].relaxometry


def test_what_the_methods_say() -> None:
    text, references = methods_text(method_sentences(session(), OPTIONS))
    assert "Fraction and exchange rate of the semisolid pool of sub-01_acq-MRF_exchange were rigidly registered" in text
    assert (
        "T1 and M0 of sub-01_acq-pcbssfp_flip-1, which magnetization transfer lowers, were freed of that: by the two-pool"
        in text
    )
    assert (
        "under its pulse (sinc of 1 ms), with a Lorentzian line of G(0) = 12.7 µs and R1 of the semisolid pool that of"
        in text
    )
    assert any("10.1002/mrm.21705" in str(each) for each in references)
    alone, _ = methods_text(method_sentences(session()[:2], OPTIONS))
    assert "were freed of that" not in alone


def test_a_run_whose_giver_has_failed_names_it() -> None:
    scan, pools, freed = session()
    (error,) = missing_sources(freed, [pools])
    assert error.message == f"It takes maps from {pools.label}, and that run has failed."
    (error,) = missing_sources(freed, [scan])
    assert error.message == f"It takes T1 and T2 from {scan.label}, and that run has failed."


def test_one_run_is_computed_again_with_what_it_takes() -> None:
    scan, pools, freed = session()
    other = replace(stage("WASABI", short(mrf_mt())), kind="wasabi")
    assert with_sources([freed], [scan, other, pools]) == [freed, scan, pools]
    assert set(map(id, with_dependents([scan], [scan, pools, freed, other]))) == {id(scan), id(pools), id(freed)}
