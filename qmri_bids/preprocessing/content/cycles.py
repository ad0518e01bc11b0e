"""Checks of phase cycles: which of them stand out, which are none, and phase that is none.

They are held against each other and against the signal of balanced SSFP (`misfit`), with the increments stated and with others
(`increments`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.images import FEWEST_VOXELS, ContentError, check_finite, doubts_of_values
from qmri_bids.preprocessing.content.increments import (
    ANY_ORDER,
    NO_PROFILE,
    OTHER_UNIT,
    SMALLEST_MISFIT,
    check_increments,
    check_order,
    differ,
    misfit_of_other_orders,
)
from qmri_bids.preprocessing.content.misfit import (
    FEWEST_CYCLES,
    FEWEST_WITHOUT_ONE,
    VOXELS,
    Increments,
    bright_voxels,
    misfit_of_cycles,
    profile_misfit,
)
from qmri_bids.preprocessing.content.scale import check_scale
from qmri_bids.preprocessing.content.shared_noise import check_shared_noise

STANDS_OUT = 1.1
"""How much better the others must fit without a cycle than without any other one before it stands out: 1.00 to 1.03 in simulated
heads, slices and phantoms; 1.14 or more where one of twelve cycles was scaled by 0.8."""

STANDS_OUT_BY_FAR = 3.0
"""The same where a cycle is as bright as it should be: 1.6 where it lies one voxel aside, 2.9 rotated by 90°, 6 with another
phase."""

GAIN_DOUBT, GAIN_WRONG = (0.87, 1.15), (0.67, 1.5)
"""Signal of a cycle over that predicted from the others: outside of the first a warning, of the second a refusal."""

NOISE_ALONE = 0.3
"""Correlation of neighbouring voxels in a cycle, relative to the other cycles, below which it holds no image: noise has 0.02."""

SHORT_PHASE = 2.1
"""Phase that nowhere goes further [rad] may be in turns (0.5, 1) or half turns (1, 2)."""

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
    doubts = (
        *(said for index, name in enumerate(names) for said in doubts_of_values(np.abs(cycles[..., index]), name=name)),
        *check_shared_noise(cycles, names=names),
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
    check_increments(signal, rf_phase_increment, misfit)
    gains = _check_gains(signal, rf_phase_increment, names) if number >= FEWEST_WITHOUT_ONE else ()
    warnings = [*doubts, *(gains or check_scale(cycles, names=names))]
    if differ(np.asarray(rf_phase_increment, dtype=float)):
        warnings += check_order(signal, rf_phase_increment, misfit)
    if misfit > NO_PROFILE and misfit > ANY_ORDER * misfit_of_other_orders(signal, rf_phase_increment):
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
    both = [[misfit_of_cycles(sense, increments, without=index) for index in range(len(names))] for sense in senses]
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
        f"they fit each other {misfit_of_cycles(signal, increments)[0] / misfits[worst]:.1f} times as well"
    )
    if not GAIN_WRONG[0] <= gain <= GAIN_WRONG[1]:
        raise ContentError(f"{found}. {_sentence(_LEAVE_OUT)}")
    return (
        f"{_sentence(found)} Is it scaled otherwise, taken before the steady state, or is its increment another one? Correct "
        f"that, or {_LEAVE_OUT}.",
    )


def _sentence(text: str) -> str:
    """Return a text as a sentence; names of files stay as they are."""
    return f"{text}." if text.startswith("sub-") else f"{text[0].upper()}{text[1:]}."
