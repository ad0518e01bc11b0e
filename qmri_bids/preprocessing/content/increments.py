"""Whether increments are those that were played out: where they are not, another unit, order or step explains the cycles better."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.content.misfit import (
    FEWEST_CYCLES,
    FEWEST_WITHOUT_ONE,
    Increments,
    misfit_of_cycles,
    profile_misfit,
)

OTHER_UNIT = 1.6
"""Ratio of misfits from which another reading of increments or phase is the right one: 2.3 or more where it is, below 1 else."""

SMALLEST_MISFIT = 0.005
"""Below this share of the signal a misfit is rounding, and ratios of misfits say nothing."""

NO_PROFILE = 0.3
"""Misfit relative to the signal beyond which cycles are no profiles of bSSFP: 0.01 to 0.08 at an SNR of 25, 0.6 in wrong order."""

ANY_ORDER = 0.8
"""Misfit relative to that of increments in other orders from which the stated order says nothing of the cycles: much noise makes
the misfit large, too, but other orders fit worse all the same."""

_INCREMENT_SCALES = (
    (0.9, "in gon (400 for a turn), not in degrees"),
    (2.0, "half of what was played out"),
    (0.5, "twice what was played out"),
)
"""Other readings of stated increments, as factors."""

STEPS = tuple(np.concatenate([np.arange(0.7, 0.97, 0.02), np.arange(1.04, 1.41, 0.02)]).tolist())
"""Other steps between increments that are tried, as factors."""

NEARLY_BEST = 1.2
"""Misfit of another unit over that of the best step at which the unit is what is wrong."""

ONE_OFF = tuple(np.radians([*range(-180, -5, 10), *range(10, 180, 10)]).tolist())
"""Departures of one increment that are tried [rad]."""

DRIFTS, FINER_DRIFTS = tuple(np.radians(range(-90, 91, 5)).tolist()), tuple(np.radians(range(-4, 5)).tolist())
"""Receive phase from cycle to cycle that is tried, and around the best of them [rad]."""

OTHER_ORDER = 1.15
"""Ratio of misfits from which other increments are named: 1.2 where one of six is wrong by 10°, 6.9 where two are exchanged, 1.0 in
scans that are as stated (simulated heads, SNR 25)."""

OTHER_STEPS = 1.05
"""The same of other steps, which fit worse by half where the stated ones are right; off by 3 % (1.08) they make T1 wrong by a
third."""

BETTER_THAN_DRIFT = 1.05
"""What a drift of the receive phase must leave relative to other increments for these to be named."""


def check_increments(signal: NDArray[np.complex128], increments: Increments, misfit: float) -> None:
    """Refuse increments that explain the cycles far worse than the same numbers in another unit."""
    stated = np.asarray(increments, dtype=float)
    others = [
        (profile_misfit(signal, factor * stated), factor, meaning)
        for factor, meaning in _INCREMENT_SCALES
        if differ(factor * stated)
    ]
    if not others:
        return
    other, factor, meaning = min(others)
    if misfit > OTHER_UNIT * max(other, SMALLEST_MISFIT):
        sense = min((signal, signal.conj()), key=lambda each: misfit_of_cycles(each, stated)[0])
        if other > NEARLY_BEST * max(
            min((misfit for misfit, _ in _readings(sense, stated)), default=math.inf), SMALLEST_MISFIT
        ):
            return  # another step, order or single increment fits better than another unit
        raise ContentError(
            f"RFPhaseIncrement: the increments stated ({_degrees(stated)}) are {meaning}: with {factor:g} times their values the "
            f"signal of bSSFP leaves {100.0 * other:.1f} % of the cycles unexplained, with those stated {100.0 * misfit:.1f} %. "
            "Correct them in the sidecar or table."
        )


def check_order(signal: NDArray[np.complex128], increments: Increments, misfit: float) -> tuple[str, ...]:
    """Return a warning where other increments explain the cycles better: two exchanged, another step, another one of one cycle.

    A phase that drifts from cycle to cycle, or that one cycle has of its own, is removed later on and is none of these.
    """
    stated = np.asarray(increments, dtype=float)
    sense = min((signal, signal.conj()), key=lambda each: misfit_of_cycles(each, stated)[0])
    found, meaning = min(_readings(sense, stated))
    better = OTHER_STEPS if meaning.startswith("steps") else OTHER_ORDER
    if misfit < better * max(found, SMALLEST_MISFIT) or found > NO_PROFILE:
        return ()
    # A phase of its own is told from another increment by what each leaves; where both leave the same, the drift is removed.
    if _misfit_of_drift(sense, stated) < BETTER_THAN_DRIFT * found:
        return ()
    return (
        f"THE CYCLES ARE EXPLAINED BETTER BY OTHER INCREMENTS than those stated ({_degrees(stated)}): with {meaning} the signal of "
        f"bSSFP leaves {100.0 * found:.1f} % of it unexplained, as stated {100.0 * misfit:.1f} %. T1 and T2 go with the "
        "increments: check RFPhaseIncrement and the order of the volumes.",
    )


def misfit_of_other_orders(signal: NDArray[np.complex128], increments: Increments) -> float:
    """Return the median misfit of the increments in a few orders that are not the one stated."""
    generator = np.random.default_rng(1)
    return float(np.median([profile_misfit(signal, generator.permutation(increments)) for _ in range(5)]))


def _readings(signal: NDArray[np.complex128], stated: NDArray[np.float64]) -> list[tuple[float, str]]:
    """Return the misfit of other increments, with what they are: two exchanged, other steps, another one of the odd cycle."""
    number = len(stated)
    others: list[tuple[NDArray[np.float64], str]] = []
    for first in range(number):
        for second in range(first + 1, number):
            if abs(math.remainder(stated[first] - stated[second], 2.0 * math.pi)) > 1e-3:
                order = np.arange(number)
                order[[first, second]] = second, first
                others.append((stated[order], f"cycles {first + 1} and {second + 1} exchanged"))
    for factor in STEPS:
        others.append((stated[0] + factor * (stated - stated[0]), f"steps of {factor:.2f} times those stated"))
    if number >= FEWEST_WITHOUT_ONE:
        odd = int(np.argmin([misfit_of_cycles(signal, stated, without=index)[0] for index in range(number)]))
        for change in ONE_OFF:
            other = stated + change * (np.arange(number) == odd)
            others.append((other, f"{math.degrees(other[odd]) % 360.0:.0f}° of cycle {odd + 1}"))
    return [(misfit_of_cycles(signal, other)[0], meaning) for other, meaning in others if differ(other)]


def _misfit_of_drift(signal: NDArray[np.complex128], increments: NDArray[np.float64]) -> float:
    """Return the misfit where a receive phase that grows evenly, or that of one cycle, is taken off."""
    number = len(increments)

    def without(drift: float) -> float:
        return misfit_of_cycles(signal * np.exp(-1j * drift * np.arange(number)), increments)[0]

    best = min(DRIFTS, key=without)
    found = min(without(best + finer) for finer in FINER_DRIFTS)
    if number >= FEWEST_WITHOUT_ONE:
        fits = [misfit_of_cycles(signal, increments, without=index) for index in range(number)]
        odd = int(np.argmin([misfit for misfit, _ in fits]))
        apart = np.sum(signal[:, odd].conj() * fits[odd][1][:, odd])
        own = np.ones(number, dtype=complex)
        own[odd] = apart / max(abs(apart), np.finfo(float).tiny)
        found = min(found, misfit_of_cycles(signal * own, increments)[0])
    return found


def _degrees(increments: NDArray[np.float64]) -> str:
    return f"{', '.join(f'{math.degrees(each):.4g}' for each in increments)}°"


def differ(increments: NDArray[np.float64]) -> bool:
    """Whether there are at least as many different increments as a profile needs."""
    return len({round(math.degrees(each) % 360.0, 2) % 360.0 for each in increments}) >= FEWEST_CYCLES
