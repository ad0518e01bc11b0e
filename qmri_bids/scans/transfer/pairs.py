"""Which other pc-bSSFP run of a session tells the semisolid pool together with a run, since its pulses saturate it differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmri_bids.physics.excitation.transfer import Relaxometry, saturation_rate
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.units import radians_to_degrees

FEWEST_CYCLES = 6
"""Cycles of either run: what fewer tell of T1, T2 and M0 was not tested."""

RATIO, CONTRAST = 1.5, 0.5
"""Ratio and difference [1/s] of W of both runs at B1 = 1. F of one voxel at SNR 25 is known to 10 to 19 % where W differs by 2.5
1/s (white matter of 12 cycles to grey matter of 6), and to the inverse of the difference: to 50 to 95 % at 0.5 1/s, of which
thirteen voxels, the fewest of a mean, make 14 to 26 %."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The run that tells the pool together with another.

    Parameters
    ----------
    run
        The run.
    relaxometry
        Its pulse and protocol.
    rates
        W of the run that is freed and of this one at B1 = 1 [1/s].
    """

    run: PcBssfpRun
    relaxometry: Relaxometry
    rates: tuple[float, float]


def relaxometry_of(run: PcBssfpRun) -> Relaxometry | None:
    """Return pulse and protocol of a run; None where its pulse is not known."""
    return None if run.pulse is None else Relaxometry(pulse=run.pulse, protocol=run.protocol)


def other_run(run: PcBssfpRun, runs: Sequence[PcBssfpRun], *, line: float) -> tuple[Pair | None, list[str]]:
    """Return the run of a session that tells the semisolid pool best together with this one, and why others do not.

    Parameters
    ----------
    run
        The run that is to be freed.
    runs
        All pc-bSSFP runs of the plan.
    line
        G(0) of the semisolid pool [s].

    Returns
    -------
    pair
        The run with the largest ratio of W; of equal ones the one whose name differs least, then the first. None if none serves.
    reasons
        Where none serves: for every other run of the session, why, as a sentence.
    """
    own = relaxometry_of(run)
    others = [each for each in runs if each.label != run.label and each.entities.get("ses") == run.entities.get("ses")]
    pairs, reasons = [], []
    for other in others:
        there = relaxometry_of(other)
        if own is None or there is None:
            continue
        rates = _rates(own, there, line=line)
        reason = _reason(run, other, rates)
        if reason:
            reasons.append(
                f"{run.label} and {other.label} do not tell the semisolid pool: {reason}. T1 and M0 are not freed of "
                "magnetization transfer by them."
            )
        else:
            pairs.append(Pair(run=other, relaxometry=there, rates=rates))
    if pairs:
        return min(pairs, key=lambda pair: (-round(_ratio(pair.rates), 2), _apart(run, pair.run))), []
    return None, reasons


def in_words(run: PcBssfpRun, rate: float) -> str:
    """Return a run with its pulse, flip angle and W in words."""
    name = "" if run.pulse is None else f"{run.pulse.name}, "
    return f"{run.label} ({name}{radians_to_degrees(run.protocol.flip_angle):.3g}°, W = {rate:.2g} 1/s)"


def _rates(one: Relaxometry, other: Relaxometry, *, line: float) -> tuple[float, float]:
    first, second = (
        float(saturation_rate(each.pulse, each.protocol, b1=np.ones(1), line=line)[0]) for each in (one, other)
    )
    return first, second


def _ratio(rates: tuple[float, float]) -> float:
    return max(rates) / min(rates)


def _reason(run: PcBssfpRun, other: PcBssfpRun, rates: tuple[float, float]) -> str:
    """Return why two runs do not tell the pool; empty where they do."""
    cycles = min(run.protocol.number_of_cycles, other.protocol.number_of_cycles)
    if cycles < FEWEST_CYCLES:
        return f"at least {FEWEST_CYCLES} cycles of both are needed, {cycles} were found"
    if _ratio(rates) < RATIO or abs(rates[0] - rates[1]) < CONTRAST:
        return (
            f"their pulses saturate it alike, by {rates[0]:.2g} and {rates[1]:.2g} 1/s at nominal B1, where a ratio of {RATIO:g} "
            f"and a difference of {CONTRAST:g} 1/s are needed (other durations, shapes or flip angles)"
        )
    if _measured(run.b1) != _measured(other.b1):
        return "they do not have B1 from the same scan"
    return ""


def _measured(b1: B1Run | None) -> tuple[object, ...] | None:
    """Return what tells one source of B1 from another."""
    return None if b1 is None else (b1.run, b1.map, b1.map_volume)


def _apart(run: PcBssfpRun, other: PcBssfpRun) -> int:
    """Return in how many entities two names differ."""
    keys = set(run.entities) | set(other.entities)
    return sum(run.entities.get(key) != other.entities.get(key) for key in keys)
