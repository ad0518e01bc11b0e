"""Checks of phase cycles: which of them stand out, increments of another unit or order, phase that is none.

They are held against the signal of balanced SSFP, which needs no T1, T2 or B1: divided by (1 - b cos ψ) a profile is
M (1 - E2 e^{-iψ}), ψ = θ - φ (see `physics.bssfp`), so that

    S = m0 + m1 e^{iφ} + S (c cos φ + s sin φ)

with two complex and two real unknowns in every voxel. What they leave unexplained, the misfit, is noise where the cycles are
what their metadata say, and several times as much where they are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.images import FEWEST_VOXELS, ContentError, check_finite, doubts_of_values
from qmri_bids.preprocessing.content.scale import check_scale

Increments = Sequence[float] | NDArray[np.floating]
"""RF phase increment of every cycle [rad]."""

UNKNOWNS = 6
"""Real unknowns of a profile: two complex amplitudes and the two components of b."""

FEWEST_CYCLES, FEWEST_WITHOUT_ONE = 4, 6
"""Cycles from which a profile has fewer unknowns than values, and from which it is known without one of them, too."""

VOXELS = 1000
"""Voxels that are looked at: medians over them vary by 3 %."""

BRIGHT = 0.15
"""Share of the brightest (99.5th percentile) above which a voxel is looked at; air lies below."""

ROUNDS = 3
"""Of the weighting by the denominator, after which the fit is one of the signal itself."""

SMALLEST_DENOMINATOR = 0.02

STANDS_OUT = 1.1
"""How much better the others must fit without a cycle than without any other one before it stands out: 1.00 to 1.03 in simulated
heads, slices and phantoms; 1.14 or more where one of twelve cycles was scaled by 0.8."""

STANDS_OUT_BY_FAR = 3.0
"""The same where a cycle is as bright as it should be: 1.6 where it lies one voxel aside, 2.9 rotated by 90°, 6 with another
phase."""

GAIN_DOUBT, GAIN_WRONG = (0.87, 1.15), (0.67, 1.5)
"""Signal of a cycle over that predicted from the others: outside of the first a warning, of the second a refusal."""

OTHER_UNIT = 1.6
"""Ratio of misfits from which another reading of increments or phase is the right one: 2.3 or more where it is, below 1 else."""

SMALLEST_MISFIT = 0.005
"""Below this share of the signal a misfit is rounding, and ratios of misfits say nothing."""

NO_PROFILE = 0.3
"""Misfit relative to the signal beyond which cycles are no profiles of bSSFP: 0.01 to 0.08 at an SNR of 25, 0.6 in wrong order."""

ANY_ORDER = 0.8
"""Misfit relative to that of increments in other orders from which the stated order says nothing of the cycles: much noise makes
the misfit large, too, but other orders fit worse all the same."""

NOISE_ALONE = 0.3
"""Correlation of neighbouring voxels in a cycle, relative to the other cycles, below which it holds no image: noise has 0.02."""

SHORT_PHASE = 2.1
"""Phase that nowhere goes further [rad] may be in turns (0.5, 1) or half turns (1, 2)."""

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

_LEAVE_OUT = (
    "mark it as not valid (column `valid`, 0, of the table _ssfpcontext.tsv), so that the others are used, or convert the scan "
    "again"
)


@dataclass(frozen=True, kw_only=True)
class CycleContent:
    """What was found in phase cycles.

    Parameters
    ----------
    misfit
        What the signal of bSSFP leaves unexplained, relative to the signal; NaN where there are too few cycles to tell.
    decisions, warnings
        Sentences.
    """

    misfit: float
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_cycles(
    cycles: NDArray[np.complexfloating], *, rf_phase_increment: Increments, names: Sequence[str] | None = None
) -> CycleContent:
    """Hold phase cycles against each other and against the signal of balanced SSFP.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N), as read.
    rf_phase_increment
        Of every cycle [rad].
    names
        What the cycles are called in messages; `cycle 1` … by default.

    Raises
    ------
    ContentError
        If a cycle is empty, constant, noise alone, a copy of another, lacks slices, or has a signal that is far from what the
        others predict; if the increments are in another unit.
    """
    number = cycles.shape[3]
    names = [f"cycle {index + 1} of {number}" for index in range(number)] if names is None else names
    _check_each(cycles, names)
    _check_copies(cycles, rf_phase_increment, names)
    _check_noise(cycles, names)
    doubts = tuple(
        said for index, name in enumerate(names) for said in doubts_of_values(np.abs(cycles[..., index]), name=name)
    )
    signal = bright_voxels(cycles)
    if number < FEWEST_CYCLES or len(signal) < FEWEST_VOXELS:
        return CycleContent(
            misfit=math.nan,
            decisions=(
                "Whether the cycles follow the signal of bSSFP with the increments that are stated was not checked: "
                f"there are too few {'cycles' if number < FEWEST_CYCLES else 'voxels with signal'}.",
            ),
            warnings=(*doubts, *check_scale(cycles, names=names)),
        )
    misfit = profile_misfit(signal, rf_phase_increment)
    _check_increments(signal, rf_phase_increment, misfit)
    gains = _check_gains(signal, rf_phase_increment, names) if number >= FEWEST_WITHOUT_ONE else ()
    warnings = [*doubts, *(gains or check_scale(cycles, names=names))]
    if _differ(np.asarray(rf_phase_increment, dtype=float)):
        warnings += _check_order(signal, rf_phase_increment, misfit)
    if misfit > NO_PROFILE and misfit > ANY_ORDER * _misfit_of_other_orders(signal, rf_phase_increment):
        warnings.append(
            f"The cycles do not follow the signal of balanced SSFP with the increments that are stated: {100.0 * misfit:.0f} % of "
            "the signal is left unexplained (a few percent are usual). T1 and T2 cannot be relied on: check order and unit of "
            "the increments, that magnitude and phase belong together, and that the scan has more signal than noise."
        )
    said = f"With the increments stated the signal of bSSFP explains all but {100.0 * misfit:.1f} % of the cycles."
    return CycleContent(misfit=misfit, decisions=(said,), warnings=tuple(warnings))


def check_phase(cycles: NDArray[np.complexfloating], *, rf_phase_increment: Increments) -> None:
    """Refuse cycles whose phase was read in a wrong unit, or whose magnitude and phase are exchanged.

    Both leave values that could be a phase by their range. Only what explains the cycles far better than the reading as it is, and
    explains them well, speaks against it.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N), composed of magnitude and phase as read.
    rf_phase_increment
        Of every cycle [rad].

    Raises
    ------
    ContentError
        With what the phase seems to be.
    """
    if cycles.shape[3] < FEWEST_CYCLES:
        return
    flat = cycles.reshape(-1, cycles.shape[3])
    if len(flat) > 50 * VOXELS:
        flat = flat[np.random.default_rng(0).choice(len(flat), 50 * VOXELS, replace=False)]
    # Air that was set to 0 is explained by any reading.
    flat = flat[np.median(np.abs(flat), axis=1) > 0.0]
    if len(flat) < FEWEST_VOXELS:
        return
    magnitude, angle = np.abs(flat), np.angle(flat)
    as_phase = 2.0 * math.pi * magnitude / max(float(magnitude.max()), np.finfo(np.float32).tiny)
    readings = [
        (values * np.exp(1j * as_phase), "magnitude and phase are exchanged: name the files by what they hold")
        for values in (angle % (2.0 * math.pi), angle - float(angle.min()))
    ]
    largest = float(np.abs(angle[magnitude > 0.0]).max())
    if largest <= SHORT_PHASE:
        readings += [
            (
                magnitude * np.exp(1j * factor * angle),
                f"the phase is in {unit} and not in radians: multiply it by {name}",
            )
            for factor, unit, name in ((math.pi, "half turns", "π"), (2.0 * math.pi, "turns", "2π"))
        ]
    stated = _misfit_of(flat, rf_phase_increment)
    found = [(_misfit_of(reading, rf_phase_increment), meaning) for reading, meaning in readings]
    other, meaning = min(found)
    if other < NO_PROFILE and stated > OTHER_UNIT * max(other, SMALLEST_MISFIT):
        raise ContentError(
            f"part-phase: {meaning}. As they stand the signal of bSSFP leaves {100.0 * stated:.0f} % of the cycles unexplained, so "
            f"{100.0 * other:.1f} %; the phase as read spans {angle.min():.3g} to {angle.max():.3g} rad."
        )


def _misfit_of(flat: NDArray[np.complexfloating], increments: Increments) -> float:
    """Return the misfit of the bright ones among voxels of shape (V, N), infinite where there are too few."""
    signal = bright_voxels(flat[:, None, None, :])
    return profile_misfit(signal, increments) if len(signal) >= FEWEST_VOXELS else math.inf


def bright_voxels(cycles: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Return voxels with signal, shape (V, N): those of the object, chosen evenly, the same every time.

    The median over the cycles tells them, so that one odd cycle does not matter.
    """
    flat = cycles.reshape(-1, cycles.shape[3])
    typical = np.median(np.abs(flat), axis=1)
    chosen = np.flatnonzero(typical > BRIGHT * np.percentile(typical, 99.5))
    if len(chosen) > VOXELS:
        chosen = np.random.default_rng(0).choice(chosen, VOXELS, replace=False)
    return flat[chosen].astype(np.complex128)


def profile_misfit(signal: NDArray[np.complexfloating], rf_phase_increment: Increments) -> float:
    """Return what the signal of bSSFP leaves unexplained in cycles of these increments, relative to the signal.

    Parameters
    ----------
    signal
        Shape (V, N), N ≥ 4; of either sense of precession.
    rf_phase_increment
        Shape (N,) [rad].

    Examples
    --------
    >>> from qmri_bids.physics.bssfp import profile
    >>> increments = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
    >>> signal = profile(np.array([0.94]), np.array([0.7]), np.array([1.0]), rf_phase_increment=increments)
    >>> round(profile_misfit(signal, increments), 6), profile_misfit(signal, 0.9 * increments) > 0.02
    (0.0, True)
    """
    return min(_misfit(each, rf_phase_increment)[0] for each in (signal, signal.conj()))


def _misfit(
    signal: NDArray[np.complexfloating], rf_phase_increment: Increments, *, without: int | None = None
) -> tuple[float, NDArray[np.complex128]]:
    """Return the misfit of the cycles that are used, median over the voxels, and all cycles as they predict them."""
    used = [index for index in range(signal.shape[1]) if index != without]
    predicted = _fit(signal, np.asarray(rf_phase_increment, dtype=float), used)
    left = np.sqrt(np.mean(np.abs(signal - predicted)[:, used] ** 2, axis=1))
    # A median, so that one cycle that is far too bright does not make everything else look small.
    return float(np.median(left / np.median(np.abs(signal), axis=1))), predicted


def _fit(
    signal: NDArray[np.complexfloating], increments: NDArray[np.float64], used: Sequence[int]
) -> NDArray[np.complex128]:
    """Return the profiles that fit some of the cycles, for all cycles, shape (V, N)."""
    voxels, number = signal.shape
    turned = np.exp(1j * increments)
    fixed = np.stack([np.ones(number), np.full(number, 1j), turned, 1j * turned], axis=-1)
    own = signal[..., None] * np.stack([np.cos(increments), np.sin(increments)], axis=-1)
    design = np.concatenate([np.broadcast_to(fixed, (voxels, number, 4)), own], axis=-1)
    weight = np.ones((voxels, number))
    for _ in range(ROUNDS):
        # Dividing by the denominator turns an error of the equation into one of the signal.
        weighted, target = design * weight[..., None], signal * weight
        rows = np.concatenate([weighted[:, used].real, weighted[:, used].imag], axis=1)
        values = np.concatenate([target[:, used].real, target[:, used].imag], axis=1)
        turned_over = np.swapaxes(rows, 1, 2)
        normal = turned_over @ rows
        scale = np.trace(normal, axis1=1, axis2=2)[:, None, None] / UNKNOWNS
        normal += np.maximum(1e-9 * scale, np.finfo(float).tiny) * np.eye(UNKNOWNS)
        found = np.linalg.solve(normal, turned_over @ values[..., None])[..., 0]
        denominator = 1.0 - found[:, 4:5] * np.cos(increments) - found[:, 5:6] * np.sin(increments)
        denominator = np.where(np.abs(denominator) < SMALLEST_DENOMINATOR, SMALLEST_DENOMINATOR, denominator)
        weight = 1.0 / np.abs(denominator)
    amplitude = found[:, 0:1] + 1j * found[:, 1:2] + (found[:, 2:3] + 1j * found[:, 3:4]) * turned
    return amplitude / denominator


def _check_each(cycles: NDArray[np.complexfloating], names: Sequence[str]) -> None:
    """Refuse cycles that are not finite, hold one value, or lack slices."""
    zero = np.zeros(cycles.shape, dtype=bool)
    empty = []
    for index, name in enumerate(names):
        cycle = cycles[..., index]
        check_finite(cycle, name=name, what="an image")
        magnitude = np.abs(cycle)
        if np.ptp(magnitude) <= 1e-6 * float(magnitude.max(initial=0.0)):
            empty.append(name)
        zero[..., index] = magnitude == 0.0
    if len(empty) == len(names):
        raise ContentError(f"{empty[0].rpartition(': ')[0]}: all cycles are empty: convert the scan again")
    if empty:
        more = "".join(f", {name.rpartition(': ')[2]}" for name in empty[1:])
        verb, each = ("are", "their magnitude has one value") if more else ("is", "its magnitude has one value")
        raise ContentError(
            f"{empty[0]}{more} {verb} empty: {each} everywhere. Was the scan stopped? {_sentence(_LEAVE_OUT)}"
        )
    # Air may be set to 0, in all cycles alike: only what others have is missing.
    filled = np.count_nonzero(zero, axis=3) <= cycles.shape[3] // 2
    for axis in range(3):
        others = tuple(each for each in range(3) if each != axis)
        expected = np.count_nonzero(filled, axis=others)
        for index, name in enumerate(names):
            lost = (expected >= FEWEST_VOXELS) & (np.count_nonzero(filled & ~zero[..., index], axis=others) == 0)
            if lost.any():
                raise ContentError(
                    f"{name} holds nothing in {np.count_nonzero(lost)} of {len(lost)} slices across axis {axis}, where the other "
                    f"cycles have an image. {_sentence(_LEAVE_OUT)}"
                )


def _check_copies(cycles: NDArray[np.complexfloating], increments: Increments, names: Sequence[str]) -> None:
    """Refuse a cycle that is the copy of another with another increment: noise alone makes two of them differ."""
    for second in range(1, len(names)):
        for first in range(second):
            apart = abs(math.remainder(increments[second] - increments[first], 2.0 * math.pi))
            if apart > 1e-3 and np.array_equal(cycles[..., first], cycles[..., second]):
                raise ContentError(
                    f"{names[second]} is a copy of {names[first].rpartition(': ')[2]}, to the last digit, though its increment is "
                    f"stated to differ by {math.degrees(apart):.4g}°. {_sentence(_LEAVE_OUT)}"
                )


def _check_noise(cycles: NDArray[np.complexfloating], names: Sequence[str]) -> None:
    """Refuse a cycle whose voxels know nothing of their neighbours, where those of the other cycles do."""
    found = np.array([_smoothness(cycles[..., index]) for index in range(len(names))])
    typical = float(np.median(found))
    for name, own in zip(names, found, strict=True):
        if typical > 0.2 and own < NOISE_ALONE * typical:
            raise ContentError(
                f"{name} holds noise and no image: neighbouring voxels correlate by {own:.2f}, in the other cycles by "
                f"{typical:.2f}. {_sentence(_LEAVE_OUT)}"
            )


def _smoothness(cycle: NDArray[np.complexfloating]) -> float:
    """Return the correlation of neighbouring voxels, 0 to 1, whatever phase lies between them."""
    shared = power = 0.0
    for axis in range(3):
        if cycle.shape[axis] > 1:
            first, second = (
                np.moveaxis(cycle, axis, 0)[:-1].astype(np.complex64),
                np.moveaxis(cycle, axis, 0)[1:].astype(np.complex64),
            )
            shared += abs(complex(np.sum(first * second.conj(), dtype=np.complex128)))
            power += math.sqrt(
                float(np.sum(np.abs(first) ** 2, dtype=float) * np.sum(np.abs(second) ** 2, dtype=float))
            )
    return shared / power if power > 0.0 else 0.0


def _check_gains(signal: NDArray[np.complex128], increments: Increments, names: Sequence[str]) -> tuple[str, ...]:
    """Refuse a cycle whose signal the others contradict by far, and return a sentence of one that they contradict a little.

    A head that moves changes single voxels and not the median of all: motion is told from a wrong scale.
    """
    senses = (signal, signal.conj())
    both = [[_misfit(sense, increments, without=index) for index in range(len(names))] for sense in senses]
    # The sense of precession is that in which the others fit best: with an odd cycle all of them together do not tell.
    sense = int(np.argmin([min(misfit for misfit, _ in fits) for fits in both]))
    signal, fits = senses[sense], both[sense]
    misfits = np.array([misfit for misfit, _ in fits])
    worst = int(np.argmin(misfits))
    predicted = np.abs(fits[worst][1][:, worst])
    known = predicted > 0.5 * np.median(np.abs(signal), axis=1)
    stands_out = np.sort(misfits)[1] / max(misfits[worst], np.finfo(float).tiny)
    if stands_out < STANDS_OUT or np.count_nonzero(known) < FEWEST_VOXELS:
        return ()
    gain = float(np.median(np.abs(signal[known, worst]) / predicted[known]))
    if GAIN_DOUBT[0] <= gain <= GAIN_DOUBT[1]:
        if stands_out < STANDS_OUT_BY_FAR:
            return ()
        return (
            f"{_sentence(names[worst])[:-1]} is as bright as the others predict, and still they fit each other {stands_out:.1f} "
            "times as well without it: does it have the phase of another cycle or unit, another increment, or did the head move "
            f"far? Correct that, or {_LEAVE_OUT}.",
        )
    found = (
        f"{names[worst]} stands out: its signal is {gain:.2f} times what the others predict of it, and without it "
        f"they fit each other {_misfit(signal, increments)[0] / misfits[worst]:.1f} times as well"
    )
    if not GAIN_WRONG[0] <= gain <= GAIN_WRONG[1]:
        raise ContentError(f"{found}. {_sentence(_LEAVE_OUT)}")
    return (
        f"{_sentence(found)} Is it scaled otherwise, taken before the steady state, or is its increment another one? Correct "
        f"that, or {_LEAVE_OUT}.",
    )


def _misfit_of_other_orders(signal: NDArray[np.complex128], increments: Increments) -> float:
    """Return the median misfit of the increments in a few orders that are not the one stated."""
    generator = np.random.default_rng(1)
    return float(np.median([profile_misfit(signal, generator.permutation(increments)) for _ in range(5)]))


def _check_increments(signal: NDArray[np.complex128], increments: Increments, misfit: float) -> None:
    """Refuse increments that explain the cycles far worse than the same numbers in another unit."""
    stated = np.asarray(increments, dtype=float)
    others = [
        (profile_misfit(signal, factor * stated), factor, meaning)
        for factor, meaning in _INCREMENT_SCALES
        if _differ(factor * stated)
    ]
    if not others:
        return
    other, factor, meaning = min(others)
    if misfit > OTHER_UNIT * max(other, SMALLEST_MISFIT):
        sense = min((signal, signal.conj()), key=lambda each: _misfit(each, stated)[0])
        if other > NEARLY_BEST * max(min(misfit for misfit, _ in _readings(sense, stated)), SMALLEST_MISFIT):
            return  # another step, order or single increment fits better than another unit
        raise ContentError(
            f"RFPhaseIncrement: the increments stated ({_degrees(stated)}) are {meaning}: with {factor:g} times their values the "
            f"signal of bSSFP leaves {100.0 * other:.1f} % of the cycles unexplained, with those stated {100.0 * misfit:.1f} %. "
            "Correct them in the sidecar or table."
        )


def _check_order(signal: NDArray[np.complex128], increments: Increments, misfit: float) -> tuple[str, ...]:
    """Return a warning where other increments explain the cycles better: two exchanged, another step, another one of one cycle.

    A phase that drifts from cycle to cycle, or that one cycle has of its own, is removed later on and is none of these.
    """
    stated = np.asarray(increments, dtype=float)
    sense = min((signal, signal.conj()), key=lambda each: _misfit(each, stated)[0])
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
        odd = int(np.argmin([_misfit(signal, stated, without=index)[0] for index in range(number)]))
        for change in ONE_OFF:
            other = stated + change * (np.arange(number) == odd)
            others.append((other, f"{math.degrees(other[odd]) % 360.0:.0f}° of cycle {odd + 1}"))
    return [(_misfit(signal, other)[0], meaning) for other, meaning in others if _differ(other)]


def _misfit_of_drift(signal: NDArray[np.complex128], increments: NDArray[np.float64]) -> float:
    """Return the misfit where a receive phase that grows evenly, or that of one cycle, is taken off."""
    number = len(increments)

    def without(drift: float) -> float:
        return _misfit(signal * np.exp(-1j * drift * np.arange(number)), increments)[0]

    best = min(DRIFTS, key=without)
    found = min(without(best + finer) for finer in FINER_DRIFTS)
    if number >= FEWEST_WITHOUT_ONE:
        fits = [_misfit(signal, increments, without=index) for index in range(number)]
        odd = int(np.argmin([misfit for misfit, _ in fits]))
        apart = np.sum(signal[:, odd].conj() * fits[odd][1][:, odd])
        own = np.ones(number, dtype=complex)
        own[odd] = apart / max(abs(apart), np.finfo(float).tiny)
        found = min(found, _misfit(signal * own, increments)[0])
    return found


def _degrees(increments: NDArray[np.float64]) -> str:
    return f"{', '.join(f'{math.degrees(each):.4g}' for each in increments)}°"


def _differ(increments: NDArray[np.float64]) -> bool:
    """Whether there are at least as many different increments as a profile needs."""
    return len({round(math.degrees(each) % 360.0, 2) % 360.0 for each in increments}) >= FEWEST_CYCLES


def _sentence(text: str) -> str:
    """Return a text as a sentence; names of files stay as they are."""
    return f"{text}." if text.startswith("sub-") else f"{text[0].upper()}{text[1:]}."
