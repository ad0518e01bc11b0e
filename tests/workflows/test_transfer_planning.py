"""Which pc-bSSFP runs are freed of magnetisation transfer, by the pools of which fingerprint."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
from exchange_runs import relaxation, stage

from qmri_bids.bids.refusal import Refusal
from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.find import with_transfer
from qmri_bids.scans.transfer.run import TransferRun
from qmri_bids.workflows.planning import link_runs, refuse_unsupported_exchange

PULSE = ExcitationPulse.of("sinc", 1e-3)
TRANSFER = "sub-01_acq-pcbssfpMT_transfer"


def scan(**entities: str) -> PcBssfpRun:
    """Return a pc-bSSFP run of a known pulse."""
    return replace(relaxation(), entities={"sub": "01", "acq": "pcbssfp", **entities}, pulse=PULSE)


def wasabi() -> CestRun:
    return replace(stage("WASABI", mrf_mt()), kind="wasabi")


def plan(*scans: PcBssfpRun, stages: tuple[CestRun, ...] | None = None, **options: Any) -> SessionPlan:
    """Return the plan of a session with its runs linked."""
    found = (stage("MRFMT", mrf_mt()), stage("MRFamide", mrf_amide())) if stages is None else stages
    given = SessionPlan(subject="01", session=None, pcbssfp=scans, cest=(wasabi(), *found))
    (linked,) = link_runs([given], options=FindOptions(**options))
    return linked


def test_a_known_pulse_and_a_fingerprint_free_t1() -> None:
    linked = plan(scan(flip="1"))
    (fingerprint,) = linked.exchange
    (run,) = linked.transfer
    assert isinstance(run, TransferRun)
    assert run.label == TRANSFER
    assert run.entities == {"sub": "01", "acq": "pcbssfpMT"}
    assert run.relaxometry == fingerprint.relaxometry == Relaxometry(pulse=PULSE, protocol=relaxation().protocol)
    assert [(take.key, take.run) for take in run.takes] == [
        ("pcbssfp", "sub-01_acq-pcbssfp_flip-1"),
        ("pools", "sub-01_acq-MRF_exchange"),
    ]
    assert run.line == pytest.approx(40e-6 / math.pi)
    assert (run.line_name, run.r1) == ("Lorentzian", None)
    assert linked.runs.index(run) > linked.runs.index(fingerprint)
    assert any("T1 of free water and the pools are solved in one model" in said for said in fingerprint.decisions)
    assert any("(sinc of 1 ms)" in said for said in fingerprint.decisions)
    assert not any("APPARENT" in said for said in fingerprint.warnings)
    assert pickle.loads(pickle.dumps(run)) == run


def test_what_is_said_of_a_run() -> None:
    (run,) = plan(scan(flip="1")).transfer
    freed, same, assumed = run.choices
    assert "are one" in same
    assert freed == (
        "T1 and M0 of sub-01_acq-pcbssfp_flip-1 are freed of magnetization transfer by the semisolid pool of "
        "sub-01_acq-MRF_exchange."
    )
    assert assumed == (
        "The semisolid pool has a Lorentzian line with G(0) = 12.7 µs, and R1 of free water; the excitation pulse is a "
        "sinc of 1 ms."
    )
    assert run.lines[0] == "T1 and M0 of sub-01_acq-pcbssfp_flip-1, 14 × 16 × 12 voxels"
    assert "R1 of 1 1/s" in replace(run, r1=1.0).choices[1]


def test_a_pulse_that_is_not_known_frees_nothing_and_is_said() -> None:
    linked = plan(replace(scan(), pulse=None))
    assert linked.transfer == ()
    (fingerprint,) = linked.exchange
    assert fingerprint.relaxometry is None
    (said,) = [each for each in fingerprint.warnings if "APPARENT" in each]
    assert said.startswith("T1 of sub-01_acq-pcbssfp IS APPARENT, lowered by magnetization transfer")
    assert "its excitation pulse is not known" in said


def test_a_fingerprint_that_does_not_estimate_the_semisolid_pool_frees_nothing() -> None:
    linked = plan(scan())
    (fingerprint,) = linked.exchange
    amide = replace(fingerprint, scan=replace(fingerprint.scan, pools=("amide",)))
    assert with_transfer(replace(linked, exchange=(amide,)), options=FindOptions()).transfer == ()
    # One after the other, the one that tells the pool gives it.
    (run,) = with_transfer(replace(linked, exchange=(amide, fingerprint)), options=FindOptions()).transfer
    assert run.takes[1].run == fingerprint.label


def test_without_fingerprints_nothing_is_freed() -> None:
    linked = plan(scan(), stages=())
    assert (linked.exchange, linked.transfer) == ((), ())


def test_pools_of_a_t1_that_is_one_number_free_nothing() -> None:
    """They were not solved together with what this scan has seen."""
    linked = plan(replace(scan(), pulse=None), cest_t1=1.2, cest_t2=0.08)
    assert linked.transfer == ()


def test_pools_of_another_session_free_nothing() -> None:
    linked = plan(scan(flip="1"))
    (fingerprint,) = linked.exchange
    other = replace(scan(flip="1"), entities={"sub": "01", "ses": "2", "acq": "pcbssfp", "flip": "1"})
    assert with_transfer(replace(linked, pcbssfp=(other,)), options=FindOptions()).transfer == ()
    moved = replace(fingerprint, entities={"sub": "01", "ses": "2", "acq": "MRF"})
    (run,) = with_transfer(replace(linked, pcbssfp=(other,), exchange=(moved,)), options=FindOptions()).transfer
    assert run.label == "sub-01_ses-2_acq-pcbssfpMT_transfer"
    both = with_transfer(
        replace(linked, pcbssfp=(scan(flip="1"), other), exchange=(fingerprint, moved)), options=FindOptions()
    )
    assert [each.pools.run for each in both.transfer if isinstance(each, TransferRun)] == [
        fingerprint.label,
        moved.label,
    ]


def test_two_scans_are_freed_by_the_same_pools_under_names_of_their_own() -> None:
    linked = plan(scan(flip="1"), replace(scan(flip="2"), pulse=ExcitationPulse.of("rect", 0.5e-3)))
    (fingerprint,) = linked.exchange
    assert [run.label for run in linked.transfer] == [TRANSFER, "sub-01_acq-pcbssfpFlip2MT_transfer"]
    first, second = linked.transfer
    assert isinstance(first, TransferRun)
    assert isinstance(second, TransferRun)
    assert {first.pools.run, second.pools.run} == {fingerprint.label}
    assert (first.relaxometry.pulse.name, second.relaxometry.pulse.name) == ("sinc of 1 ms", "rect of 0.5 ms")
    assert second.scan.run == "sub-01_acq-pcbssfp_flip-2"


def test_a_scan_without_a_pulse_is_left_out_beside_one_that_has_it() -> None:
    linked = plan(scan(flip="1"), replace(scan(flip="2"), pulse=None))
    assert [run.label for run in linked.transfer] == [TRANSFER]


def test_a_scan_whose_acquisition_has_no_name_gets_one() -> None:
    bare = replace(scan(), entities={"sub": "01"})
    (run,) = plan(bare).transfer
    assert run.entities["acq"].endswith("MT")


def test_b1_that_is_assumed_is_said() -> None:
    (run,) = plan(scan()).transfer
    assert run.warnings == ("B1 = 1 IS ASSUMED: what the pulses saturate goes with its square.",)
    b1 = B1Run(entities={"sub": "01"}, method="WASABI", anatomical=None, map=wasabi().image, run=wasabi().label)
    (run,) = plan(replace(scan(), b1=b1)).transfer
    assert run.warnings == ()
    assert run.b1_scans == (b1,)


class Refusing:
    """An estimator of pools that serves nothing."""

    def __init__(self, options: ExchangeOptions) -> None:
        self.options = options

    def check(self, scan: object) -> None:
        raise ProtocolNotSupported(expected="another", found="this", advice="Take another.")


def test_a_fingerprint_that_is_refused_frees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ExchangeEntry(summary="stub", references=(), methods=(), create=Refusing)
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "stub", entry)
    (checked,) = refuse_unsupported_exchange([plan(scan())], estimator="stub", options=ExchangeOptions())
    assert (checked.exchange, checked.transfer) == ((), ())
    # The one that would be freed by it says so, too.
    assert {refusal.key for refusal in checked.refusals} == {"--cest-estimator"}


@pytest.mark.parametrize("refused", ["sub-01_acq-pcbssfp_flip-1", "sub-01_acq-MRF_exchange"])
def test_what_takes_maps_of_a_run_that_is_refused_is_refused_with_it(refused: str) -> None:
    refusal = Refusal(file=refused, key="mask", expected="this grid", found="another", advice="Mend it.")
    left = plan(scan(flip="1")).without({refused: refusal})
    assert left.transfer == ()
    assert left.refusals[0] == refusal
    assert left.refusals[-1].file == f"{TRANSFER}, which takes a map of it"
    assert {run.label for run in left.runs} == (
        {wasabi().label} if "pcbssfp" in refused else {wasabi().label, "sub-01_acq-pcbssfp_flip-1"}
    )


def second(name: str = "pcbssfpLong", *, milliseconds: float = 1.0, **changes: Any) -> PcBssfpRun:
    """Return a run of another duration of the pulse."""
    other = replace(scan(acq=name, flip="1"), pulse=ExcitationPulse.of("rect", 1e-3 * milliseconds))
    return replace(other, **changes)


def short(**changes: Any) -> PcBssfpRun:
    return second("pcbssfp", milliseconds=0.2, **changes)


def of_cycles(number: int) -> BssfpProtocol:
    protocol = relaxation().protocol
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=number,
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
    )


TWELVE = {"protocol": of_cycles(12)}


def test_two_runs_whose_pulses_saturate_differently_free_each_other() -> None:
    one, other = short(**TWELVE), second(**TWELVE)
    linked = plan(one, other, stages=())
    assert [run.label for run in linked.transfer] == [TRANSFER, "sub-01_acq-pcbssfpLongMT_transfer"]
    first, last = linked.transfer
    assert isinstance(first, TransferRun)
    assert isinstance(last, TransferRun)
    assert [(take.key, take.method, take.run) for take in first.takes] == [
        ("pcbssfp", "pcbssfp", one.label),
        ("pools", "pcbssfp", other.label),
    ]
    assert other.pulse is not None
    assert first.other == last.relaxometry == Relaxometry(pulse=other.pulse, protocol=other.protocol)
    assert last.pools.run == one.label
    # Two runs do not tell R1 of the pool, and fingerprints take that of water.
    assert (first.r1, first.line) == (1.0, pytest.approx(40e-6 / math.pi))
    assert first.pools.sentence == (
        "T1 and M0 of sub-01_acq-pcbssfp_flip-1 are freed of magnetization transfer by the semisolid pool that "
        "sub-01_acq-pcbssfp_flip-1 (rect of 0.2 ms, 17.2°, W = 3.6 1/s) and sub-01_acq-pcbssfpLong_flip-1 (rect of 1 ms, 17.2°, "
        "W = 0.72 1/s) tell together, whose pulses saturate it differently: its fraction is that of regions, its exchange rate, "
        "R1 and line are those of the literature."
    )
    assert linked.notes == ()
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_fingerprint_goes_before_another_run() -> None:
    linked = plan(short(**TWELVE), second(**TWELVE))
    (fingerprint,) = linked.exchange
    assert {run.pools.run for run in linked.transfer if isinstance(run, TransferRun)} == {fingerprint.label}
    assert [run.other for run in linked.transfer if isinstance(run, TransferRun)] == [None, None]


def test_the_run_that_saturates_most_differently_is_taken_then_the_one_named_most_alike() -> None:
    middle, far = second("middle", milliseconds=0.5, **TWELVE), second("other", **TWELVE)
    near = replace(far, entities={**far.entities, "acq": "pcbssfp", "run": "2"})
    found = plan(short(**TWELVE), middle, far, stages=()).transfer[0]
    assert isinstance(found, TransferRun)
    assert found.pools.run == far.label
    far = replace(far, entities={**far.entities, "run": "2"})
    found = plan(short(**TWELVE), middle, far, near, stages=()).transfer[0]
    assert isinstance(found, TransferRun)
    assert found.pools.run == near.label


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"milliseconds": 0.25, **TWELVE}, "their pulses saturate it alike, by 3.6 and 2.9 1/s at nominal B1"),
        ({"protocol": of_cycles(5)}, "at least 6 cycles of both are needed, 5 were found"),
        ({"b1": B1Run(entities={"sub": "01"}, method="TB1map", anatomical=None, map=wasabi().image), **TWELVE}, "B1"),
    ],
)
def test_runs_that_do_not_tell_the_pool_free_nothing_and_say_why(changes: dict[str, Any], words: str) -> None:
    linked = plan(short(**TWELVE), second(**changes), stages=())
    assert linked.transfer == ()
    assert len(linked.notes) == 2
    assert all("do not tell the semisolid pool: " in note and words.split(", by")[0] in note for note in linked.notes)
    assert any(words in note for note in linked.notes)
    assert all(note.endswith("T1 and M0 are not freed of magnetization transfer by them.") for note in linked.notes)


def test_a_run_of_another_session_or_of_an_unknown_pulse_does_not_count() -> None:
    other = second(**TWELVE)
    moved = replace(other, entities={"sub": "01", "ses": "2", "acq": "pcbssfp"})
    for each in (moved, replace(other, pulse=None)):
        linked = plan(short(**TWELVE), each, stages=())
        assert (linked.transfer, linked.notes) == ((), ())


def test_without_the_other_run_nothing_is_freed() -> None:
    refusal = Refusal(file="x", key="mask", expected="this grid", found="another", advice="Mend it.")
    linked = plan(short(**TWELVE), second(**TWELVE), stages=())
    assert linked.without({"sub-01_acq-pcbssfpLong_flip-1": refusal}).transfer == ()


def test_a_scan_that_is_called_like_what_is_freed_keeps_its_name() -> None:
    """Two runs of one name would write each other's files away."""
    linked = plan(scan(flip="1"))
    (fingerprint,) = linked.exchange
    other = replace(scan(), entities={"sub": "01", "acq": "pcbssfpMT", "flip": "1"})
    runs = with_transfer(
        replace(linked, pcbssfp=(scan(flip="1"), other), exchange=(fingerprint,), transfer=()), options=FindOptions()
    ).transfer
    names = [run.entities["acq"] for run in runs]
    assert len(set(names)) == 2
    assert "pcbssfpMT" not in names
