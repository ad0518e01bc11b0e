"""Which fingerprints are processed, with maps of which runs, and for which of them networks are trained."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from protocol_presets import aptw_3t_000

from qmri_bids.estimation.base import EstimatorOptions, ProtocolNotSupported
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.scans.bssfp.run import CycleFiles, PcBssfpRun
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.planning import (
    link_runs,
    missing_exchange_trainings,
    refuse_unsupported,
    refuse_unsupported_exchange,
    train_missing_exchange,
)


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


def series(acq: str, *, kind: str = "z-spectrum", protocol=None) -> CestRun:
    protocol = protocol or aptw_3t_000()
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
    )


def fingerprints(**more) -> SessionPlan:
    stages = (("MRFMT", mrf_mt()), ("MRFamide", mrf_amide()))
    found = [series(acq, kind="fingerprint", protocol=protocol) for acq, protocol in stages]
    return SessionPlan(subject="01", session=None, **{"cest": (series("WASABI", kind="wasabi"), *found)} | more)


class Stub:
    """An estimator of pools that serves the semisolid pool alone, until a network is trained."""

    trained = False

    def __init__(self, options: ExchangeOptions) -> None:
        self.options = options

    def check(self, scan: ExchangeScan) -> None:
        if scan.pools != ("MT",) and not Stub.trained:
            raise ProtocolNotSupported(expected="MT", found=" and ".join(scan.pools), advice="Take another.")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    monkeypatch.setattr(Stub, "trained", False)
    entry = ExchangeEntry(summary="stub", references=(), methods=(), create=Stub, loss="physics")
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "stub", entry)
    return Stub


def test_fingerprints_are_linked_to_the_runs_that_give_their_known_maps() -> None:
    (linked,) = link_runs([fingerprints(pcbssfp=(relaxation(),))])
    (run,) = linked.exchange
    assert run.label == "sub-01_acq-MRF_exchange"
    assert {source.run for source in run.known} == {"sub-01_acq-pcbssfp", "sub-01_acq-WASABI_cest"}
    assert [each.label for each in linked.cest] == ["sub-01_acq-WASABI_cest"]
    assert linked.runs[-1] is run


def test_a_fingerprint_takes_no_maps_of_a_run_that_was_refused() -> None:
    """The estimator of relaxation times refuses first: no link leads to what is not processed."""
    uneven = replace(relaxation(), protocol=replace(relaxation().protocol, rf_phase_increment=(0.0, 1.0, 2.5, 3.0)))
    found = refuse_unsupported(
        [fingerprints(pcbssfp=(uneven,))], estimator="pinn-complex-uniform", options=EstimatorOptions()
    )
    assert found[0].pcbssfp == ()
    (linked,) = link_runs(found)
    assert linked.exchange == ()
    assert linked.refusals[-1].key == "T1 and T2 maps"
    (linked,) = link_runs(found, options=FindOptions(cest_t1=1.2, cest_t2=0.08))
    assert {source.method for source in linked.exchange[0].known} == {"fixed", "wasabi"}


def test_a_fingerprint_that_the_estimator_does_not_cover_is_refused(stub: type[Stub]) -> None:
    plans = [fingerprints(pcbssfp=(relaxation(),))]
    mt = fingerprints(cest=(series("WASABI", kind="wasabi"), series("MRF", kind="fingerprint", protocol=mrf_mt())))
    plans.append(replace(mt, pcbssfp=(relaxation(),)))
    checked = refuse_unsupported_exchange(link_runs(plans), estimator="stub", options=ExchangeOptions())
    assert [len(plan.exchange) for plan in checked] == [0, 1]
    assert str(checked[0].refusals[-1]) == (
        "sub-01_acq-MRF_exchange: --cest-estimator: expected MT, found MT and amide. Take another."
    )


def test_no_estimator_of_pools_is_made_without_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ExchangeEntry(summary="", references=(), methods=(), create=lambda _: 1 / 0)
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "stub", entry)
    plans = (SessionPlan(subject="01", session=None, cest=(series("APTw"),)),)
    assert refuse_unsupported_exchange(plans, estimator="stub", options=ExchangeOptions()) == plans
    assert missing_exchange_trainings(plans, losses=("physics",), options=ExchangeOptions()) == ()
    train_missing_exchange((), cache=Path("nowhere"), processes=1)


def test_networks_of_pools_that_are_missing_are_trained_once(
    stub: type[Stub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def ensure(
        scan: ExchangeScan, *, cache: Path, threads: int, device: str, seed: int, loss: str, progress: object
    ) -> None:
        calls.append((scan, cache, threads, device, seed, loss))
        stub.trained = True

    module = SimpleNamespace(ensure_exchange_weights=ensure)
    monkeypatch.setitem(sys.modules, "qmri_bids.training.pools.missing", module)
    short = replace(mrf_mt(), images=mrf_mt().images[:12])
    other = (
        series("MRFMT", kind="fingerprint", protocol=short),
        series("MRFamide", kind="fingerprint", protocol=mrf_amide()),
    )
    plans = link_runs([fingerprints(pcbssfp=(relaxation(),), cest=(series("WASABI", kind="wasabi"), *other))] * 2)
    missing = missing_exchange_trainings(plans, losses=("physics", "supervised"), options=ExchangeOptions())
    run = plans[0].exchange[0]
    assert missing == ((run, "physics"), (run, "supervised"))
    train_missing_exchange(missing, cache=tmp_path, processes=2, device="cpu", seed=3)
    assert calls == [(run.scan, tmp_path, 2, "cpu", 3, loss) for loss in ("physics", "supervised")]
    assert refuse_unsupported_exchange(plans, estimator="stub", options=ExchangeOptions()) == plans


def test_the_default_trains_what_it_lacks_though_it_serves_every_scan() -> None:
    assert EXCHANGE_ESTIMATORS["pinn"].trainable
    assert not EXCHANGE_ESTIMATORS["ml"].trainable


def test_posterior_maps_without_network_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    short = replace(mrf_mt(), images=mrf_mt().images[:12])
    plan = fingerprints(cest=(series("WASABI", kind="wasabi"), series("MRF", kind="fingerprint", protocol=short)))
    plans = link_runs([replace(plan, pcbssfp=(relaxation(),))])
    (checked,) = refuse_unsupported_exchange(plans, estimator="ml", options=ExchangeOptions(), posterior="uniform")
    assert checked.exchange == ()
    assert "--cest-posterior: expected a protocol for which a network was trained" in str(checked.refusals[-1])
