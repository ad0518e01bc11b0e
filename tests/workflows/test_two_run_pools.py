"""The nodes by which two pc-bSSFP runs tell the semisolid pool and are freed by it: on maps, and on signals of the simulator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.estimation.base import KnownMaps, Status, has_value
from qmri_bids.estimation.bssfp.finite_pulse import as_by_hard_pulses
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import (
    Relaxometry,
    apparent_rate,
    recovery_rate,
    saturation_rate,
    share_of_m0,
)
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.scans.transfer.nodes import FreeOfTransfer
from qmri_bids.scans.transfer.pair_nodes import PoolsOfTwoRuns, TakeLogs, noise_of_t1
from qmri_bids.scans.transfer.run import POOLS, RELAXOMETRY, TransferRun
from qmri_bids.scans.transfer.workflow import TRANSFER

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
SHORT, LONG = ExcitationPulse.of("rect", 0.2e-3), ExcitationPulse.of("rect", 1e-3)
LINE, R1M, RATE, FRACTION = 40e-6 / math.pi, 1.0, 30.0, 0.12
FREE_T1, T2, M0 = 0.95, 0.062, 0.8
SHAPE = (7, 7, 7)
NOISE = 0.074 / (math.sqrt(2.0) * 25.0)
B1_STDEV = 0.02

Maps = dict[str, NDArray[Any]]


def full(value: float) -> NDArray[np.float64]:
    return np.full(SHAPE, value)


def run_of(**changes: Any) -> TransferRun:
    made = TransferRun(
        entities={"sub": "01", "acq": "pcbssfpMT"},
        relaxometry=Relaxometry(pulse=SHORT, protocol=PROTOCOL),
        scan=Take(names=("t1", "t2"), key=RELAXOMETRY, method="pcbssfp", run="sub-01_acq-pcbssfp"),
        pools=Take(names=("t1", "t2"), key=POOLS, method="pcbssfp", run="sub-01_acq-pcbssfpLong"),
        line=LINE,
        line_name="Lorentzian",
        r1=R1M,
        images=(Path("raw.nii.gz"),),
        b1=None,
        grid=SHAPE,
        other=Relaxometry(pulse=LONG, protocol=PROTOCOL),
    )
    return replace(made, **changes)


def seen_by(
    pulse: ExcitationPulse,
    *,
    rate: float = RATE,
    line: float = LINE,
    r1m: float = R1M,
    fraction: float = FRACTION,
    b1: float = 1.0,
) -> Maps:
    """Return the maps of a run by the closed forms without noise; B1 is taken for 1, whatever it was."""
    power = saturation_rate(pulse, PROTOCOL, b1=np.array(b1), line=line)
    pools = {"fraction": np.array(fraction), "rate": np.array(rate), "r1m": np.array(r1m), "saturation": power}
    r1 = np.array(1.0 / FREE_T1)
    # The profile holds tan²(a/2)/R1.
    factor = (math.tan(0.5 * b1 * PROTOCOL.flip_angle) / math.tan(0.5 * PROTOCOL.flip_angle)) ** 2
    return estimate(
        t1=full(float(factor / apparent_rate(r1, **pools))),
        t2=full(T2),
        m0=full(M0 * float(share_of_m0(r1, **pools))),
        t1_stdev=full(0.06),
        b1_stdev=B1_STDEV,
    )


def estimate(
    *,
    t1: NDArray[Any],
    t2: NDArray[Any],
    m0: NDArray[Any],
    t1_stdev: NDArray[Any],
    b1_stdev: float,
    off_resonance: NDArray[Any] | None = None,
    status: NDArray[Any] | None = None,
) -> Maps:
    """Return what a pc-bSSFP run leaves."""
    field = np.linspace(-80.0, 80.0, math.prod(SHAPE)).reshape(SHAPE) if off_resonance is None else off_resonance
    return {
        "T1": t1,
        "T1_stdev": t1_stdev,
        "T2": t2,
        "T2_stdev": 0.03 * t2,
        "M0": m0,
        "M0_stdev": 0.02 * m0,
        "off_resonance": field,
        "b1": full(1.0),
        "b1_stdev": full(b1_stdev),
        "status": np.full(SHAPE, Status.CONVERGED, dtype=np.uint8) if status is None else status,
    }


def pass_through(
    folder: Path, first: Mapping[str, Any], second: Mapping[str, Any], run: TransferRun
) -> tuple[Any, Maps]:
    """Return the results of the node of pools, and the estimate that is written."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "first.npz", **first)
    np.savez(folder / "second.npz", **second)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    mask = save_volume(folder / "mask.nii", np.ones(SHAPE, dtype=np.uint8), affine)
    logs = TakeLogs(maps=str(folder / "second.npz")).run(cwd=str(folder))
    pools = PoolsOfTwoRuns(run=run, apparent=str(folder / "first.npz"), other_run=logs.outputs.maps, mask=mask).run(
        cwd=str(folder)
    )
    series = save_volume(folder / "series.nii", np.ones((*SHAPE, 1), dtype=np.float32), affine)
    freed = FreeOfTransfer(
        run=run, apparent=str(folder / "first.npz"), pools=pools.outputs.maps, mask=mask, series=series
    ).run(cwd=str(folder))
    with np.load(freed.outputs.estimate) as stored:
        return pools.outputs, {name: stored[name] for name in stored.files}


def truth(*, rate: float = RATE, r1m: float = R1M, fraction: float = FRACTION) -> float:
    """Return T1 as an inversion recovery sees it [s]."""
    r1 = np.array(1.0 / FREE_T1)
    return float(1.0 / recovery_rate(r1, fraction=np.array(fraction), rate=np.array(rate), r1m=np.array(r1m)))


@pytest.mark.parametrize("pulses", [(SHORT, LONG), (LONG, SHORT)], ids=["short first", "long first"])
def test_what_is_assumed_right_comes_out_right(tmp_path: Path, pulses: tuple[ExcitationPulse, ExcitationPulse]) -> None:
    own, other = pulses
    run = run_of(
        relaxometry=Relaxometry(pulse=own, protocol=PROTOCOL), other=Relaxometry(pulse=other, protocol=PROTOCOL)
    )
    second = seen_by(other)
    second["M0"] = 1.1 * second["M0"]
    told, found = pass_through(tmp_path, seen_by(own), second, run)
    middle = (3, 3, 3)
    assert found["MT_fraction"][middle] == pytest.approx(FRACTION, rel=2e-3)
    assert found["mtcorrected_T1"][middle] == pytest.approx(truth(), rel=1e-3)
    assert found["free_T1"][middle] == pytest.approx(FREE_T1, rel=1e-3)
    assert found["free_M0"][middle] == pytest.approx(M0, rel=1e-3)
    # What is written is F; the rate is not measured.
    assert list(found["estimated"]) == ["mtcorrected_T1", "free_T1", "free_M0", "MT_fraction"]
    assert not any(name.startswith("MT_rate") for name in found)
    said = " ".join(told.decisions)
    assert "is that of regions, not of single voxels: each value is a mean over neighbours within 8 mm" in said
    assert (
        "exchange rate (30 ± 15 1/s), R1 (1 ± 0.2 1/s) and line (G(0) = 12.7 µs ± 20 %) are those of the literature"
        in said
    )
    assert "The receiver of the other run was 1.100 times" in said
    assert told.warnings == []


@pytest.mark.parametrize(
    ("wrong", "limit"),
    [
        ({"line": 1.2 * LINE}, 0.02),
        ({"rate": 45.0}, 0.02),
        ({"r1m": 1.2}, 0.006),
        ({"b1": 1.02}, 0.05),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_what_is_assumed_wrong_by_its_standard_deviation_moves_t1_less_than_is_stated(
    tmp_path: Path, wrong: dict[str, float], limit: float
) -> None:
    """A line that is 20 % too low makes F 17 % too high: most of it cancels in T1."""
    _, found = pass_through(tmp_path, seen_by(SHORT, **wrong), seen_by(LONG, **wrong), run_of())
    middle = (3, 3, 3)
    expected = truth(**{key: value for key, value in wrong.items() if key in ("rate", "r1m")})
    error = found["mtcorrected_T1"][middle] - expected
    assert abs(error) / expected < limit
    without_noise = math.sqrt(found["mtcorrected_T1_stdev"][middle] ** 2 - 0.055**2)
    assert abs(error) < 1.1 * without_noise
    assert abs(found["MT_fraction"][middle] - FRACTION) < 1.1 * found["MT_fraction_stdev"][middle]
    assert abs(found["free_T1"][middle] - FREE_T1) < 1.1 * found["free_T1_stdev"][middle]


def test_fluid_has_no_pool_and_keeps_its_t1(tmp_path: Path) -> None:
    _, found = pass_through(tmp_path, seen_by(SHORT, fraction=0.0), seen_by(LONG, fraction=0.0), run_of())
    assert abs(found["MT_fraction"][3, 3, 3]) < 1e-4
    assert found["mtcorrected_T1"][3, 3, 3] == pytest.approx(FREE_T1, rel=1e-3)


def test_voxels_whose_neighbours_are_too_few_are_not_freed(tmp_path: Path) -> None:
    first, second = seen_by(SHORT), seen_by(LONG)
    alone = np.zeros(SHAPE, dtype=bool)
    alone[::3, ::3, ::3] = True
    for name in ("T1", "T2", "M0", "T1_stdev"):
        second[name] = np.where(alone, second[name], np.nan)
    told, found = pass_through(tmp_path, first, second, run_of())
    assert told.warnings == ["The semisolid pool has no value anywhere: both runs have too few voxels in common."]
    assert np.isnan(found["mtcorrected_T1"]).all()
    assert (found["status"] == Status.NOT_IDENTIFIABLE).all()


def fitted(pulse: ExcitationPulse, *, seed: int) -> Maps:
    """Return what a fit of one pool finds of cycles of the simulator, as by hard pulses."""
    rng = np.random.default_rng(seed)
    number = math.prod(SHAPE)
    field = np.linspace(-80.0, 80.0, number)
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=PROTOCOL.rf_phase_increment,
        pulse=RfPulse.named(f"rect:{1e3 * pulse.duration:g}"),
    )
    pools = TwoPools(fraction=FRACTION, exchange_rate=RATE * FRACTION, r1=R1M, line=LINE)
    cycles = simulate_cycles(FREE_T1, T2, np.ones(number), field, M0, sequence=sequence, pools=pools)
    cycles = cycles + NOISE * rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0]
    estimator = MaximumLikelihood()
    known = KnownMaps(b1=np.ones(number, dtype=np.float32), b1_stdev=np.full(number, B1_STDEV, dtype=np.float32))

    def times(some: NDArray[Any]) -> Any:
        found = estimator.estimate(some, protocol=PROTOCOL, known=known)
        good = has_value(found.status)
        return tuple(np.where(good, found.values[name], np.nan).astype(float) for name in ("T1", "T2", "off_resonance"))

    hard = as_by_hard_pulses(
        cycles.astype(np.complex64),
        fit=times,
        b1=np.ones(number),
        off_resonance=field,
        pulse=pulse,
        protocol=PROTOCOL,
    )
    found = estimator.estimate(hard.cycles, protocol=PROTOCOL, known=known)
    good = has_value(found.status)

    def placed(values: NDArray[Any]) -> NDArray[Any]:
        return np.where(good, values, np.nan).reshape(SHAPE).astype(float)

    maps = estimate(
        t1=placed(found.values["T1"]),
        t2=placed(found.values["T2"]),
        m0=placed(found.values["M0"]),
        t1_stdev=placed(found.stdev["T1"]),
        b1_stdev=B1_STDEV,
        off_resonance=placed(found.values["off_resonance"]),
        status=found.status.reshape(SHAPE),
    )
    alone = estimator.estimate(hard.cycles, protocol=PROTOCOL, known=KnownMaps(b1=known.b1))
    return maps | {"alone": placed(alone.stdev["T1"])}


def test_signals_of_the_simulator_are_freed_and_their_noise_counts_once(tmp_path: Path) -> None:
    first, second = fitted(SHORT, seed=1), fitted(LONG, seed=2)
    noise = noise_of_t1(
        first["T1_stdev"],
        t1=first["T1"],
        t2=first["T2"],
        m0=first["M0"],
        b1=first["b1"],
        b1_stdev=first["b1_stdev"],
        protocol=PROTOCOL,
    )
    np.testing.assert_allclose(noise, first["alone"], rtol=0.02)
    _, found = pass_through(tmp_path, first, second, run_of())
    place = np.isfinite(found["mtcorrected_T1"])
    assert place.mean() > 0.6
    before = np.nanmedian(first["T1"])
    after = np.median(found["mtcorrected_T1"][place])
    assert before < 0.75 * truth()
    assert after == pytest.approx(truth(), rel=0.02)
    # B1, rate and line are right here: what is left is noise, once.
    common = found["mtcorrected_T1_stdev"][place]
    spread = np.std(found["mtcorrected_T1"][place] - after)
    of_noise = np.nanmedian(noise) * after**2 / before**2
    assert 0.85 < spread / of_noise < 1.2
    assert 0.6 < spread / np.median(common) < 1.05


def test_the_workflow_brings_the_other_run_and_reads_no_pools(tmp_path: Path) -> None:
    options = ProcessingOptions(estimator="ml")
    places = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "report_file": tmp_path / "report.pickle"}
    names = set(TRANSFER.init(run=run_of(), options=options, **places).list_node_names())
    assert {"take_logs", "bring_other_run", "pools_of_two_runs", "free_of_transfer"} <= names
    assert "bring_pools" not in names
    names = set(TRANSFER.init(run=run_of(other=None), options=options, **places).list_node_names())
    assert "bring_pools" in names
    assert "pools_of_two_runs" not in names


def test_what_the_methods_text_says() -> None:
    said = " ".join(
        sentence.text.format(**sentence.values)
        for sentence in TRANSFER.methods([run_of()], ProcessingOptions(estimator="ml"))
    )
    assert (
        "estimated from sub-01_acq-pcbssfp and sub-01_acq-pcbssfpLong, whose pulses (rect of 0.2 ms, 15° and rect of 1 ms, 15°)"
        in said
    )
    assert "within 5 mm, or 4 voxels where that is more, that are alike" in said
    assert "taken to be 30 ± 15 1/s, from the literature" in said
