"""One subject, one model: finite pulses, magnetisation transfer in bSSFP, and fingerprints solved together with it.

    python benchmarks/one_model.py [--only pulses known covers loop statement speed app lines]

The judge of bSSFP is the phantom's simulator of the Bloch equations (`phantom.signals.bloch`), which shares no code with the
estimators; fingerprints are those of the Bloch-McConnell solver, which agrees with another engine to 2e-12. Rows name R1 of the
semisolid pool (R1m), its line and the pulse in head and fit. T1 is judged against that of an inversion recovery and that of free
water. Baseline is the map of the single pool. The last two parts process whole heads by the command line: folder
QMRI_BENCHMARK_WORK keeps them.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rows import Row, Within, run_parts

from qmri_bids.estimation.base import Estimate, KnownMaps
from qmri_bids.estimation.bssfp.finite_pulse import as_by_hard_pulses
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.one_model.bias import expected_bias
from qmri_bids.estimation.one_model.together import estimate_together
from qmri_bids.estimation.one_model.transfer import ApparentMaps, SemisolidPool, TransferMaps, freed_of_transfer
from qmri_bids.estimation.pools.network import RefinedExchangeNetwork
from qmri_bids.evaluation.pools.sets import TISSUES
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.fingerprint import KnownVoxels, exchange_signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.pools.shipped import PLAYED_SCAN

PULSES = {
    "rect 0.2 ms": (RfPulse.rect(0.2e-3), ExcitationPulse.of("rect", 0.2e-3)),
    "rect 0.3 ms": (RfPulse.rect(0.3e-3), ExcitationPulse.of("rect", 0.3e-3)),
    "rect 0.5 ms": (RfPulse.rect(0.5e-3), ExcitationPulse.of("rect", 0.5e-3)),
    "rect 1 ms": (RfPulse.rect(1e-3), ExcitationPulse.of("rect", 1e-3)),
    "sinc 1 ms": (RfPulse.sinc(1e-3), ExcitationPulse.of("sinc", 1e-3)),
}
"""Pulses of the judge and of the fit."""

TIMES = {"WM": (0.94, 0.062), "GM": (1.33, 0.085), "lesion": (1.25, 0.11)}
"""T1 of an inversion recovery and T2 [s]."""

POOLS = {
    "WM": TwoPools(fraction=0.12, exchange_rate=3.5),
    "GM": TwoPools(fraction=0.06, exchange_rate=3.5),
    "lesion": TwoPools(fraction=0.05, exchange_rate=1.5),
}
"""F, kf; R1m 1/s and G(0) 14 µs. The lesion is demyelinated white matter."""

NOISE = 0.074 / (math.sqrt(2.0) * 25.0)
"""At SNR 25, M0 of white matter 0.8."""

Values = NDArray[np.float64]


def protocol_of(cycles: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


def cycles_of(
    t1: Values | float, t2: float, *, b1: Values, offset: Values, pulse: RfPulse, pools: TwoPools | None, cycles: int
) -> NDArray[np.complex64]:
    """Return what the judge sees of free water of T1 and T2 [s], M0 = 1."""
    protocol = protocol_of(cycles)
    sequence = PulseSequence(
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
        increments=protocol.rf_phase_increment,
        pulse=pulse,
    )
    return simulate_cycles(t1, t2, b1, offset, 1.0, sequence=sequence, pools=pools).astype(np.complex64)


def fitted(
    data: NDArray[np.complex64], *, b1: Values, offset: Values, pulse: ExcitationPulse | None, cycles: int
) -> Estimate:
    """Return the maps of one pool, the duration of the pulse accounted for where it is given."""
    protocol, estimator = protocol_of(cycles), MaximumLikelihood(threads=2)
    if pulse is not None:

        def fit(given: NDArray[np.complexfloating]) -> tuple[Values, Values, Values]:
            point = estimator.natural(given, b1=b1, protocol=protocol)
            t1, t2 = relaxation_times(point.e2, point.b, b1=b1, protocol=protocol)
            return t1, t2, point.theta / (2.0 * math.pi * protocol.repetition_time)

        data = as_by_hard_pulses(data, fit=fit, b1=b1, off_resonance=offset, pulse=pulse, protocol=protocol).cycles
    return estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))


def percent(found: NDArray[np.floating], truth: Values | float) -> Values:
    return 100.0 * (np.asarray(found, dtype=np.float64) / truth - 1.0)


def worst(errors: list[Values]) -> float:
    return float(max(np.abs(each).max() for each in errors))


def pulses() -> list[Row]:
    """Finite pulses without magnetisation transfer, over the true offset."""
    offset = np.linspace(-200.0, 200.0, 81)
    b1, rows = np.ones(offset.shape), []
    for cycles in (12, 6):
        for name in ("rect 0.3 ms", "rect 1 ms", "sinc 1 ms"):
            judge, own = PULSES[name]
            after, before = [], []
            for t1, t2 in TIMES.values():
                data = cycles_of(t1, t2, b1=b1, offset=offset, pulse=judge, pools=None, cycles=cycles)
                before.append(percent(fitted(data, b1=b1, offset=offset, pulse=None, cycles=cycles).values["T1"], t1))
                after.append(percent(fitted(data, b1=b1, offset=offset, pulse=own, cycles=cycles).values["T1"], t1))
            low, high = min(each.min() for each in before), max(each.max() for each in before)
            rows.append(
                Row(
                    figure=f"no MT, {name}, offset within ±200 Hz, N={cycles}: worst bias of T1 in WM, GM, lesion",
                    unit="%",
                    bar=0.5,
                    value=worst(after),
                    baseline=f"one pool, hard pulses {low:+.1f}…{high:+.1f}",
                )
            )
    return rows


def freed(
    found: Estimate, *, b1: Values, pools: TwoPools, pulse: ExcitationPulse, cycles: int, **given: object
) -> TransferMaps:
    """Return maps freed by pools that are known but for what is given."""
    full = np.ones(b1.shape)
    pool = SemisolidPool(
        fraction=pools.fraction * full,
        fraction_stdev=0.0 * full,
        rate=pools.exchange_rate / pools.fraction * full,
        rate_stdev=0.0 * full,
        correlation=0.0 * full,
        line=pools.line,
        line_stdev=0.0,
        r1=pools.r1,
        r1_stdev=0.0,
    )
    return freed_of_transfer(
        ApparentMaps(
            t1=found.values["T1"].astype(np.float64),
            t1_stdev=found.stdev["T1"].astype(np.float64),
            t2=found.values["T2"].astype(np.float64),
            m0=found.values["M0"].astype(np.float64),
            m0_stdev=found.stdev["M0"].astype(np.float64),
            b1=b1,
            b1_stdev=None,
        ),
        pool=replace(pool, **given),  # type: ignore[arg-type]
        pulse=pulse,
        protocol=protocol_of(cycles),
    )


def known() -> list[Row]:
    """Magnetisation transfer by pools that are known."""
    rng = np.random.default_rng(11)
    offset, b1 = rng.uniform(-200.0, 200.0, 200), rng.uniform(0.8, 1.2, 200)
    rows = []
    for name in ("rect 0.2 ms", "rect 0.5 ms", "rect 1 ms", "sinc 1 ms"):
        judge, own = PULSES[name]
        errors: dict[str, list[Values]] = {"T1 of an inversion recovery": [], "T1 of free water": [], "M0": []}
        before: list[Values] = []
        for tissue, (t1, t2) in TIMES.items():
            pools = POOLS[tissue]
            free = float(pools.free_t1(np.array(t1)))
            data = cycles_of(free, t2, b1=b1, offset=offset, pulse=judge, pools=pools, cycles=12)
            found = fitted(data, b1=b1, offset=offset, pulse=own, cycles=12)
            maps = freed(found, b1=b1, pools=pools, pulse=own, cycles=12)
            before.append(percent(found.values["T1"], t1))
            errors["T1 of an inversion recovery"].append(percent(maps.recovery_t1, t1))
            errors["T1 of free water"].append(percent(maps.free_t1, free))
            errors["M0"].append(percent(maps.free_m0, 1.0))
        low, high = min(each.min() for each in before), max(each.max() for each in before)
        rows += [
            Row(
                figure=f"MT, pools known, R1m 1/s, G(0) 14 µs, {name}, B1 0.8-1.2: worst bias of {what}",
                unit="%",
                bar=1.0,
                value=worst(each),
                baseline=f"apparent T1 {low:+.0f}…{high:+.0f}",
            )
            for what, each in errors.items()
        ]
    return rows


SPREADS = {"fraction": 0.15, "rate": 0.4, "line": 0.2, "duration": 0.1}
"""Relative standard deviations by which pools, line and duration are wrong."""


def covers() -> list[Row]:
    """What the standard deviation holds where pools, line and duration are wrong by theirs, at SNR 25."""
    rng = np.random.default_rng(12)
    number, rows = 20_000, []
    judge, own = PULSES["sinc 1 ms"]
    for tissue, (t1, t2) in TIMES.items():
        pools = POOLS[tissue]
        free = float(pools.free_t1(np.array(t1)))
        offset, b1 = rng.uniform(-100.0, 100.0, number), rng.uniform(0.8, 1.2, number)
        data = cycles_of(free, t2, b1=b1, offset=offset, pulse=judge, pools=pools, cycles=12)
        noise = NOISE / 0.8  # M0 is 1 here
        data = data + (noise * (rng.standard_normal((2, *data.shape)) * np.array([1.0, 1.0j])[:, None, None]).sum(0))
        found = fitted(data.astype(np.complex64), b1=b1, offset=offset, pulse=own, cycles=12)
        wrong = {name: 1.0 + sd * rng.standard_normal(number) for name, sd in SPREADS.items()}
        # A pool that is wrong by all of itself is no pool.
        wrong = {name: np.maximum(each, 0.05) for name, each in wrong.items()}
        back = pools.exchange_rate / pools.fraction
        # Line and duration are one number a scan: each voxel stands for a scan here, by its saturation.
        inside = {68: 0, 95: 0}
        maps = []
        for begin in range(0, number, 200):
            part = slice(begin, begin + 200)
            line, duration = float(wrong["line"][begin]), float(wrong["duration"][begin])
            one = Estimate(
                values={name: each[part] for name, each in found.values.items()},
                stdev={name: each[part] for name, each in found.stdev.items()},
                residual=found.residual[part],
                status=found.status[part],
            )
            believed = replace(own, duration=own.duration * duration, duration_stdev=SPREADS["duration"] * own.duration)
            maps.append(
                freed(
                    one,
                    b1=b1[part],
                    pools=pools,
                    pulse=believed,
                    cycles=12,
                    fraction=pools.fraction * wrong["fraction"][part],
                    fraction_stdev=np.full(200, SPREADS["fraction"] * pools.fraction),
                    rate=back * wrong["rate"][part],
                    rate_stdev=np.full(200, SPREADS["rate"] * back),
                    line=pools.line * line,
                    line_stdev=SPREADS["line"],
                ).__dict__
            )
        t1_found, sd = (np.concatenate([each[name] for each in maps]) for name in ("recovery_t1", "recovery_t1_stdev"))
        good = np.isfinite(t1_found) & np.isfinite(sd)
        score = np.abs(t1_found[good] - t1) / sd[good]
        inside = {68: 100.0 * np.mean(score < 1.0), 95: 100.0 * np.mean(score < 1.96)}
        single = np.abs(found.values["T1"] - t1) / found.stdev["T1"]
        rows += [
            Row(
                figure=f"F, kr, G(0), duration wrong by 15, 40, 20, 10 %, {tissue}, sinc 1 ms: T1 in the {level} % interval",
                unit="%",
                bar=Within(64, 72) if level == 68 else Within(93, 97),
                value=float(inside[level]),
                baseline=f"apparent {100.0 * np.nanmean(single < limit):.0f}; {100.0 * np.mean(good):.1f} % have a value",
            )
            for level, limit in ((68, 1.0), (95, 1.96))
        ]
    return rows


def fingerprint_set(
    tissue: str, *, number: int, r1m: float | None, noise: float, seed: int
) -> tuple[NDArray[np.float64], KnownVoxels, Relaxometry, float]:
    """Return fingerprints of a tissue with the T1 that the judge's bSSFP shows, both of the same pools; and free T1 [s]."""
    rng = np.random.default_rng(seed)
    truth = TISSUES[tissue]
    pool = PLAYED_SCAN.model.mt
    assert pool is not None
    fraction, rate = truth["MT.fraction"], truth["MT.rate"]
    pools = TwoPools(fraction=fraction, exchange_rate=fraction * rate, r1=r1m, line=pool.t2 / math.pi)
    free = float(pools.free_t1(np.array(truth["t1"])))
    b1, offset = rng.uniform(0.85, 1.15, number), rng.uniform(-40.0, 40.0, number)
    judge, own = PULSES["sinc 1 ms"]
    data = cycles_of(free, truth["t2"], b1=b1, offset=offset, pulse=judge, pools=pools, cycles=12)
    seen = fitted(data, b1=b1, offset=offset, pulse=own, cycles=12).values["T1"].astype(np.float64)
    scan = replace(
        PLAYED_SCAN, model=replace(PLAYED_SCAN.model, mt=replace(pool, t1=None if r1m is None else 1.0 / r1m))
    )
    values = np.tile([truth[name] for name in scan.parameters], (number, 1))
    water = KnownVoxels(t1=np.full(number, free), t2=np.full(number, truth["t2"]), b1=b1, off_resonance=offset)
    signal = exchange_signal(scan, values, water, threads=2) + noise * rng.standard_normal(
        (number, scan.number_of_images)
    )
    return signal, replace(water, t1=seen), Relaxometry(pulse=own, protocol=protocol_of(12)), free


def loop() -> list[Row]:
    """Fingerprints and pc-bSSFP in one model, noise-free."""
    rows = []
    for r1m, name, bar in ((None, "that of water", 1.5), (1.0, "1/s in the head, that of water in the fit", None)):
        for tissue in TISSUES:
            signal, seen, scan, free = fingerprint_set(tissue, number=60, r1m=r1m, noise=0.0, seed=13)
            estimator = RefinedExchangeNetwork(threads=2)
            alone = estimator.estimate(signal, scan=PLAYED_SCAN, known=seen)
            found = estimate_together(estimator, signal, scan=PLAYED_SCAN, known=replace(seen, seen_by=scan))
            for parameter in ("MT.fraction", "MT.rate", "amide.fraction", "amide.rate"):
                truth = TISSUES[tissue][parameter]
                rows.append(
                    Row(
                        figure=f"loop without noise, {tissue}, Lorentzian line, R1m {name}: error of {parameter}",
                        unit="%",
                        bar=bar,
                        value=worst([percent(found.pools.values[parameter], truth)]),
                        baseline=f"apparent T1 {np.nanmedian(percent(alone.values[parameter], truth)):+.0f}",
                    )
                )
            rows += [
                Row(
                    figure=f"loop without noise, {tissue}, Lorentzian line, R1m {name}: error of {what}",
                    unit="%",
                    bar=bar,
                    value=worst([percent(values, true)]),
                    baseline=f"apparent T1 {np.median(percent(seen.t1, true)):+.0f}",
                )
                for what, values, true in (
                    ("T1 of an inversion recovery", found.water.recovery_t1, TISSUES[tissue]["t1"]),
                    ("T1 of free water", found.water.free_t1, free),
                )
            ]
    return rows


def statement() -> list[Row]:
    """What a report says without an MT scan, against the judge."""
    rows = []
    for name in ("rect 0.2 ms", "rect 1 ms", "sinc 1 ms"):
        judge, own = PULSES[name]
        said = expected_bias(own, protocol_of(12))
        for tissue in ("WM", "GM"):
            t1, t2 = TIMES[tissue]
            free = float(POOLS[tissue].free_t1(np.array(t1)))
            one = np.ones(1)
            data = cycles_of(free, t2, b1=one, offset=0.0 * one, pulse=judge, pools=POOLS[tissue], cycles=12)
            seen = fitted(data, b1=one, offset=0.0 * one, pulse=own, cycles=12)
            true = float(percent(seen.values["T1"], t1)[0])
            rows.append(
                Row(
                    figure=f"no MT scan, {name}, {tissue}: stated bias of T1 against that of the simulator",
                    unit="points",
                    bar=3.0,
                    value=abs(100.0 * said[tissue] - true),
                    baseline=f"stated {100.0 * said[tissue]:+.1f} %, simulator {true:+.1f} %",
                )
            )
    return rows


def speed() -> list[Row]:
    """A brain of fingerprints with the loop over without, on two cores."""
    number = 20_000
    signal, seen, scan, _ = fingerprint_set("GM", number=number, r1m=None, noise=0.01, seed=14)
    estimator = RefinedExchangeNetwork(threads=2)
    estimator.estimate(signal[:500], scan=PLAYED_SCAN, known=seen[:500])
    seconds = []
    for one in (False, True):
        best = math.inf
        for _ in range(2):
            begin = time.perf_counter()
            if one:
                estimate_together(estimator, signal, scan=PLAYED_SCAN, known=replace(seen, seen_by=scan))
            else:
                estimator.estimate(signal, scan=PLAYED_SCAN, known=seen)
            best = min(best, time.perf_counter() - begin)
        seconds.append(best)
    return [
        Row(
            figure=f"{number:,} voxels of fingerprints, two cores: with T1 in the model over without",
            unit="times",
            bar=2.0,
            value=seconds[1] / seconds[0],
            baseline=f"{seconds[1]:.0f} and {seconds[0]:.0f} s; 170,000 voxels: {170_000 / number * seconds[1]:.0f} s",
        )
    ]


SIZE = ("--voxel-size", "3", "--matrix", "64", "76", "64")
SEED = 210


def _tool(name: str, *arguments: str | Path) -> None:
    path = Path(sys.executable).with_name(name)
    subprocess.run([path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def _head(work: Path, name: str, *options: str) -> tuple[Path, Path]:
    raw, out = work / name, work / f"{name}-out"
    if not out.is_dir():
        full = ("--physics", "full", "--cest", "mrf", "--seed", str(SEED))
        if not raw.is_dir():
            _tool("qmri-tools", "simulate", raw, *SIZE, *full, *options)
        _tool(
            "qmri_bids", raw, out, "participant", "-w", work / f"{name}-work", "--skip-bids-validation", "--nprocs", "2"
        )
    return raw / "derivatives" / "truth" / "sub-01" / "anat", out / "sub-01" / "anat"


def _image(path: Path) -> NDArray[np.float32]:
    return np.squeeze(np.asarray(nib.load(path).dataobj, dtype=np.float32))


PURE = 0.98
"""Share of one tissue from which a voxel of the truth is pure."""


def _tissues(truth: Path, scan: str) -> dict[str, NDArray[np.bool_]]:
    return {name: _image(truth / f"sub-01_acq-{scan}_label-{name}_probseg.nii.gz") > PURE for name in ("WM", "GM")}


def _compared(
    truth: Path, found: Path, *, scan: str, out: str, names: tuple[str, str], inside: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Return the median error [%] of a map and what its intervals hold [%], where the truth has one tissue."""
    true, map_ = (
        _image(truth / f"sub-01_acq-{scan}_{names[0]}.nii.gz"),
        _image(found / f"sub-01_acq-{out}_{names[1]}.nii.gz"),
    )
    base, _, suffix = names[1].rpartition("_")
    sd = _image(found / f"sub-01_acq-{out}_{base or 'desc-'}std_{suffix}.nii.gz")
    good = inside & np.isfinite(map_) & (true > 0.0)
    score = np.abs(map_[good] - true[good]) / sd[good]
    error = 100.0 * (map_[good] / true[good] - 1.0)
    return float(np.median(error)), 100.0 * float(np.mean(score < 1.0)), 100.0 * float(np.mean(score < 1.96))


def _head_rows(name: str, options: tuple[str, ...], *, described: str, bars: bool) -> list[Row]:
    work = Path(os.environ.get("QMRI_BENCHMARK_WORK") or tempfile.mkdtemp())
    truth, found = _head(work, name, *options)
    rows = []
    for tissue, inside in _tissues(truth, "pcbssfp").items():
        seen, *_ = _compared(truth, found, scan="pcbssfp", out="pcbssfp", names=("T1map", "T1map"), inside=inside)
        for what, names in (
            ("of an inversion recovery", ("T1map", "desc-mtcorrected_T1map")),
            ("of free water", ("desc-free_T1map", "desc-free_T1map")),
        ):
            error, one, two = _compared(truth, found, scan="pcbssfp", out="pcbssfpMT", names=names, inside=inside)
            rows.append(
                Row(
                    figure=f"whole program, {described}: median error of T1 {what} in {tissue}, size",
                    unit="%",
                    bar=2.5 if bars else 6.0,
                    value=abs(error),
                    baseline=f"{error:+.1f}; apparent T1 {seen:+.1f}",
                )
            )
            if what == "of an inversion recovery":
                rows += [
                    Row(
                        figure=f"whole program, {described}: T1 {what} in {tissue} within the {level} % interval",
                        unit="%",
                        bar=(Within(62, 74) if level == 68 else Within(90, 97)) if bars else None,
                        value=held,
                    )
                    for level, held in ((68, one), (95, two))
                ]
    for tissue, inside in _tissues(truth, "MRFMT").items():
        for map_, bar in (("desc-MT_fractionmap", 4.0), ("desc-MT_exchangemap", 8.0), ("desc-amide_fractionmap", 8.0)):
            error, one, two = _compared(truth, found, scan="MRFMT", out="MRF", names=(map_, map_), inside=inside)
            shown = map_.removeprefix("desc-").removesuffix("map")
            rows.append(
                Row(
                    figure=f"whole program, {described}: median error of {shown} in {tissue}, size",
                    unit="%",
                    bar=bar if bars else None,
                    value=abs(error),
                    baseline=f"{error:+.1f}; intervals {one:.0f}/{two:.0f}",
                )
            )
    return rows


def app() -> list[Row]:
    """Whole heads at SNR 25, pools and T1 of the same session, the same line on both sides."""
    return [
        *_head_rows(
            "water",
            ("--semisolid-r1", "water"),
            described="sinc 1 ms, Lorentzian line, R1m of water on both sides",
            bars=True,
        ),
        *_head_rows(
            "one", (), described="sinc 1 ms, Lorentzian line, R1m 1/s in the head, of water in the fit", bars=True
        ),
    ]


def lines() -> list[Row]:
    """A head whose semisolid pool has another line than the fit."""
    return _head_rows(
        "superlorentzian",
        ("--semisolid-line", "super-lorentzian"),
        described="sinc 1 ms, super-Lorentzian line (T2 10 µs) in the head, Lorentzian in the fit",
        bars=False,
    )


PARTS = {
    "pulses": pulses,
    "known": known,
    "covers": covers,
    "loop": loop,
    "statement": statement,
    "speed": speed,
    "app": app,
    "lines": lines,
}

if __name__ == "__main__":
    run_parts("one_model", PARTS, description=__doc__ or "")
