"""Phase cycles that calibrate themselves: what each has of its own is found, said and removed, and one that stands out is left out.

Gain, phase and frequency of a cycle differ because transmitter, receiver and magnet drift, the subject breathes and a head that
moves changes its field. A change of frequency shifts the profile of a cycle (Shcherbakova et al., MRM 82:1725, 2019, measured it
apart); of 10 Hz over a scan it makes stripes of -8 to +25 % in T2, and hardly shows in the residual of a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.bssfp.profile_fit import BLOCK, fit_natural
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.calibration.errors import (
    FREQUENCY_TERMS,
    PHASE_TERMS,
    CycleErrors,
    correct,
    no_errors,
    terms_at,
)
from qmri_bids.preprocessing.calibration.solve import NAMES, NothingFits, Solution, solve
from qmri_bids.system.blocks import run_blocks

LARGEST_SAMPLE = 40_000
"""Voxels that determine the errors; more do not change them beyond the noise."""

FEWEST_CYCLES = 4
"""Cycles from which a fit leaves a residual that tells anything."""

VOXELS_PER_COEFFICIENT = 20
"""Fewer voxels than this for each coefficient do not determine them well enough."""

TISSUE_T2 = 0.12
"""Mean T2 [s] of a neighbourhood beyond which fluid is in it: mixed voxels look like cycles that differ."""

SUSPICIOUS_PHASE = 0.05
"""Root mean square [rad] that a moving head does not reach: most often the increments are in another order than the volumes."""

LARGEST_PHASE = 0.5
"""A phase beyond this [rad] is no drift: nothing is corrected."""

SUSPICIOUS_GAIN, SUSPICIOUS_DRIFT = 0.05, 20.0
"""Gain and frequency [Hz] of a cycle against the others from which a reader is warned."""

SYSTEMATIC = ((8, 0.25, 5e-4), (6, 0.4, 2e-3), (FEWEST_CYCLES, 1.0, 5e-3))
"""From so many cycles on, standard deviation of frequency [Hz] and gain that no number of voxels falls below: what partial
volume and ringing imitate in digital heads of 4 mm, and below six cycles, of which gains and frequencies nearly imitate each other,
noise."""

SIGNIFICANT = 4.0
"""Standard deviations from which a frequency or a gain is taken for one."""

TOLD_APART = 8
"""Cycles from which frequencies and gains are told from each other by much."""

EXPLAINS_FEW, EXPLAINS = 1.09, 1.03
"""Power of the residual (75th percentile) up to which fewer kinds of errors explain four or five cycles, or more, as well as all:
1.08, 1.03 in heads without errors; 1.10 where a drift of 10 Hz over four cycles was left in, 1.07 and 1.04 where one of 3 Hz over
twelve and six, 1.4 where gains with a first cycle 5 % low."""

LARGEST_VOXEL = 4.2e-3
"""Edge of a voxel [m] beyond which mixtures of tissues imitate cycles that differ: in a digital head of 5 mm that moves, 3.7 Hz
and 1 % were found where there was nothing, which raised T1 by 3.5 %; in those of 4 mm and less nothing was."""

COARSE_VOXELS = (
    "Gain and frequency of the cycles were not looked for: in voxels as large as these mixtures of tissues imitate "
    "what differs between cycles."
)

LARGEST_PHASE_STDEV, LARGEST_AMBIGUITY = 0.006, 0.03
"""Standard deviation of a phase [rad], and difference of the phase that is found alone from that found with frequencies and gains,
beyond which it is not told: 5 mrad move T2 by 2 to 3 %, and in heads both are below 2 and 15 mrad."""

NO_WORSE = 1.01
"""Power of the residual after correction over that before, beyond which a solution is none; they differ by 0.3 % by chance."""

UNTOLD = (
    "Gain, phase and frequency of the cycles were not calibrated: the field varies too little over the object to tell them "
    "from T2."
)

FEWEST_LEFT = 5
"""Cycles that determine the fit and show that they follow it, without the one left out."""

CANDIDATE, STANDS_OUT = 1.15, 1.2
"""How much better (75th percentile of the power of the residual) the other cycles fit without one cycle than without any other
before calibration, and than all do after it, for a cycle to stand out: 1.00 to 1.09, and 0.95 to 1.06, in
heads with drift and gains."""

LEAST_LEFT = 3e-3
"""What is left, relative to the signal, below which cycles agree, however large it is against what is left without one of them."""

SAMPLE_OF_TEST = 6000
"""Voxels that tell whether a cycle stands out."""

ADVICE = "See whether RFPhaseIncrement is in the order of the volumes, and look at the phase images."


@dataclass(frozen=True, kw_only=True)
class CalibratedCycles:
    """Cycles of one gain, receive phase and frequency.

    Parameters
    ----------
    cycles
        complex64, shape (X, Y, Z, K): those that are left.
    protocol
        The acquisition of these.
    left_out
        Whether a cycle was left out, shape (N,).
    frequency, gain
        Frequency [Hz] and gain (1 is the mean) of every cycle against the others, in the middle of the volume, shape (N,); NaN
        where the cycle was left out or nothing was determined.
    phase
        Root mean square over the mask of the phase removed, that of the frequency at the echo included [rad], shape (N,).
    frequency_stdev, gain_stdev
        Their standard deviations.
    corrected
        Kinds of errors that were removed, of `solve.NAMES`.
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    cycles: NDArray[np.complex64]
    protocol: BssfpProtocol
    left_out: NDArray[np.bool_]
    frequency: NDArray[np.float64]
    gain: NDArray[np.float64]
    phase: NDArray[np.float64]
    frequency_stdev: NDArray[np.float64]
    gain_stdev: NDArray[np.float64]
    corrected: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Voxels that determine the errors: cycles (V, N) and terms in space (V, 7), zero where they do not determine one."""

    cycles: NDArray[np.complex128]
    terms: NDArray[np.float64]


def calibrate_cycles(
    cycles: NDArray[np.complexfloating],
    *,
    mask: NDArray[np.bool_],
    protocol: BssfpProtocol,
    numbers: Sequence[int] | None = None,
    serves: Callable[[BssfpProtocol], bool] = lambda _: True,
    voxel_size: float = 0.0,
    seed: int = 0,
    threads: int = 1,
) -> CalibratedCycles:
    """Find and remove what aligned cycles have of their own, and leave out one that follows nothing.

    Parameters
    ----------
    cycles
        Complex and aligned, shape (X, Y, Z, N).
    mask
        The brain or object, shape (X, Y, Z).
    protocol
        The acquisition; any increments.
    numbers
        What the cycles are called in sentences, from 1: their numbers in the scan; 1 to N by default.
    serves
        Whether what follows can do with the cycles of a protocol: a cycle is only left out where it does.
    voxel_size
        Largest edge of a voxel [m]: of large voxels phase alone is taken off.
    seed
        Of the choice of voxels.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    CalibratedCycles
        The cycles as they came, with the reason among the decisions, where nothing can be determined.
    """
    number = protocol.number_of_cycles
    called = tuple(range(1, number + 1)) if numbers is None else tuple(numbers)
    missing = np.full(number, math.nan)
    unchanged = CalibratedCycles(
        cycles=np.asarray(cycles, dtype=np.complex64),
        protocol=protocol,
        left_out=np.zeros(number, dtype=np.bool_),
        frequency=missing,
        gain=missing,
        phase=np.zeros(number),
        frequency_stdev=missing,
        gain_stdev=missing,
    )
    distinct = len({round(increment % (2.0 * math.pi), 3) for increment in protocol.rf_phase_increment})
    sample = _sample(cycles, mask, protocol, seed=seed, threads=threads) if distinct >= FEWEST_CYCLES else None
    if sample is None:
        reason = "Gain, phase and frequency of the cycles were not calibrated: too few cycles or voxels."
        return replace(unchanged, decisions=(reason,))
    kept, times = np.arange(number), np.asarray(called)
    try:
        solution = solve(sample.cycles, terms=sample.terms, protocol=protocol, order=times, threads=threads)
    except NothingFits:
        reason = "Gain, phase and frequency of the cycles were not calibrated: no voxel follows the signal of bSSFP."
        return replace(unchanged, decisions=(reason,))
    said: list[str] = []
    warned: list[str] = []
    odd = _odd_cycle(sample, solution, protocol, threads=threads)
    if odd is not None:
        index, ratio, without = odd
        rest = np.delete(kept, index)
        left = _protocol_of(protocol, rest)
        text = (
            f"Cycle {called[index]} does not follow the signal of the others (moved, spoiled or damaged): without it what the "
            f"signal model leaves is {ratio:.1f} times smaller in power"
        )
        if serves(left):
            kept, protocol, solution = rest, left, without
            # Chosen with the odd cycle among them, voxels were chosen badly.
            again = _sample(cycles[..., rest], mask, protocol, seed=seed, threads=threads)
            if again is not None:
                sample = again
                solution = solve(
                    sample.cycles,
                    terms=sample.terms,
                    protocol=protocol,
                    order=times[rest],
                    start=without.errors,
                    threads=threads,
                )
            warned.append(f"{text}. It was left out.")
        else:
            warned.append(
                f"{text}. It was used all the same, since the estimator does not serve the cycles that would be left: T1 and "
                "T2 may be wrong. --bssfp-estimator ml serves any."
            )
    names = tuple(called[index] for index in kept)
    coarse = voxel_size > LARGEST_VOXEL
    if coarse:
        found = solve(
            sample.cycles,
            terms=sample.terms,
            protocol=protocol,
            order=times[kept],
            kinds=("phase",),
            threads=threads,
        )
        solution = replace(solution, errors=found.errors, held=found.held, phase_stdev=found.phase_stdev)
        said.append(COARSE_VOXELS)
    joint = solution
    chosen: tuple[str, ...] = ("phase",)
    if not coarse:
        chosen, solution = _significant(sample, solution, protocol, order=times[kept], threads=threads)
    result = replace(
        unchanged,
        cycles=np.asarray(cycles[..., kept] if len(kept) < number else cycles, dtype=np.complex64),
        protocol=protocol,
        left_out=~np.isin(np.arange(number), kept),
    )
    if not _told(sample, solution, joint, chosen, protocol, threads=threads):
        return replace(result, decisions=(UNTOLD,), warnings=tuple(warned))
    phase = sample.terms @ solution.errors.echo_phase(protocol).T
    rms = np.sqrt(np.mean(phase**2, axis=0))
    of_frequency = 2.0 * math.pi * protocol.echo_time * float(np.abs(solution.errors.frequency[:, 0]).max())
    if np.abs(phase).max() > LARGEST_PHASE + of_frequency:
        said.append("Gain, phase and frequency of the cycles were not corrected, see the warning.")
        warned.append(
            f"The phase of the cycles differs from the model by up to {np.abs(phase).max():.2f} rad, which is no drift and was "
            f"not corrected. {ADVICE}"
        )
        return replace(result, decisions=tuple(said), warnings=tuple(warned))
    corrected, share = correct(result.cycles, mask=mask, errors=solution.errors, protocol=protocol, threads=threads)
    errors = solution.errors
    unknown = _undetermined(protocol)
    found_said = _found(errors, solution, rms, names, chosen, share, unknown=unknown)
    said += found_said[:1] if coarse else found_said
    warned += _doubts(errors, rms, names, echo_time=protocol.echo_time)

    def of_all(values: NDArray[np.float64]) -> NDArray[np.float64]:
        full = np.full(number, math.nan)
        full[kept] = values
        return full

    result = replace(
        result,
        cycles=corrected,
        phase=of_all(rms),
        corrected=chosen,
        decisions=tuple(said),
        warnings=tuple(warned),
    )
    if unknown or coarse:
        return result
    return replace(
        result,
        frequency=of_all(errors.frequency[:, 0]),
        gain=of_all(np.exp(errors.gain)),
        frequency_stdev=of_all(solution.frequency_stdev),
        gain_stdev=of_all(solution.gain_stdev),
    )


def _sample(
    cycles: NDArray[np.complexfloating], mask: NDArray[np.bool_], protocol: BssfpProtocol, *, seed: int, threads: int
) -> _Sample | None:
    """Return voxels that hold one tissue, as far as can be told, and the terms in space that they determine; None if too few."""
    number = protocol.number_of_cycles
    flat = cycles.reshape(-1, cycles.shape[3])
    inside = np.flatnonzero(mask.ravel())
    energy = np.sum(np.abs(flat[inside]) ** 2, axis=1)
    inside = inside[np.isfinite(energy) & (energy > 0.0)]
    if not len(inside):
        return None
    points = np.stack(np.unravel_index(inside, mask.shape), axis=1)
    tissue = _far_from_fluid(flat, inside, mask, protocol, threads=threads)
    all_terms = 2 * PHASE_TERMS - 2  # 7 + 4 + 1
    enough = VOXELS_PER_COEFFICIENT * number
    if np.count_nonzero(tissue) >= max(enough * all_terms, 0.1 * len(inside)):
        inside, points = inside[tissue], points[tissue]
    if len(inside) < 3 * enough:
        return None
    if len(inside) > LARGEST_SAMPLE:
        drawn = np.sort(np.random.default_rng(seed).choice(len(inside), LARGEST_SAMPLE, replace=False))
        inside, points = inside[drawn], points[drawn]
    terms = terms_at(points, mask.shape)
    if len(inside) < enough * all_terms:
        terms[:, 1:] = 0.0
    return _Sample(cycles=np.asarray(flat[inside], dtype=np.complex128), terms=terms)


def _far_from_fluid(
    flat: NDArray[np.complexfloating],
    inside: NDArray[np.intp],
    mask: NDArray[np.bool_],
    protocol: BssfpProtocol,
    *,
    threads: int,
) -> NDArray[np.bool_]:
    """Return the voxels of the mask in whose neighbourhood T2 is that of tissue, shape (V,)."""
    from scipy.ndimage import maximum_filter, uniform_filter

    t2 = np.empty(len(inside), dtype=np.float32)

    def fill(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        fit = fit_natural(flat[inside[part]], rf_phase_increment=protocol.rf_phase_increment, iterations=6)
        with np.errstate(all="ignore"):
            decay = -protocol.repetition_time / np.log(fit.e2)
        t2[part] = np.where(np.isfinite(decay), np.clip(decay, 0.0, 4.0 * TISSUE_T2), 4.0 * TISSUE_T2)

    run_blocks(fill, len(inside), block=BLOCK, threads=threads)
    box = tuple(slice(int(each.min()), int(each.max()) + 1) for each in np.nonzero(mask))
    full = np.zeros(mask.shape, dtype=np.float32)
    full.ravel()[inside] = t2
    held = mask[box].astype(np.float32)
    mean = uniform_filter(full[box], 3) / np.maximum(uniform_filter(held, 3), 1e-6)
    worst = np.zeros(mask.shape, dtype=np.float32)
    worst[box] = maximum_filter(np.where(mask[box], mean, 0.0), 3)
    return worst.ravel()[inside] < TISSUE_T2


def _protocol_of(protocol: BssfpProtocol, kept: NDArray[np.intp]) -> BssfpProtocol:
    return replace(protocol, rf_phase_increment=tuple(protocol.rf_phase_increment[index] for index in kept))


def _undetermined(protocol: BssfpProtocol) -> bool:
    """Return whether cycles do not tell gain and frequency apart: in heads 20 Hz and 8 % were found where there were none."""
    return protocol.number_of_cycles <= FEWEST_LEFT and not protocol.is_evenly_spaced


def _significant(
    sample: _Sample, solution: Solution, protocol: BssfpProtocol, *, order: NDArray[np.intp], threads: int
) -> tuple[tuple[str, ...], Solution]:
    """Return the kinds of errors that are more than noise, and the solution with these alone: the others add nothing to a scan."""
    number = protocol.number_of_cycles
    hertz, share = next((hertz, share) for least, hertz, share in SYSTEMATIC if number >= least)
    solution = replace(
        solution,
        frequency_stdev=np.hypot(solution.frequency_stdev, hertz),
        gain_stdev=np.hypot(solution.gain_stdev, share),
    )
    seen = {
        "frequency": np.abs(solution.errors.frequency[:, 0]) / solution.frequency_stdev,
        "gain": np.abs(solution.errors.gain) / solution.gain_stdev,
    }
    found = {kind for kind, ratio in seen.items() if ratio.max() > SIGNIFICANT}
    if _undetermined(protocol):
        found = set()
    elif number <= FEWEST_LEFT:
        return _simplest(sample, solution, protocol, order=order, threads=threads)
    if number < TOLD_APART and found:
        # Told from each other by little: to leave out one would put its part into the other.
        found = {"frequency", "gain"}
    chosen = tuple(kind for kind in NAMES if kind == "phase" or kind in found)

    def with_kinds(kinds: tuple[str, ...]) -> Solution:
        if kinds == NAMES:
            return solution
        found = solve(sample.cycles, terms=sample.terms, protocol=protocol, order=order, kinds=kinds, threads=threads)
        return replace(solution, errors=found.errors, held=found.held, phase_stdev=found.phase_stdev)

    plain = with_kinds(("phase",))
    if chosen == ("phase",):
        return chosen, plain
    full = with_kinds(chosen)
    step = max(1, len(sample.cycles) // SAMPLE_OF_TEST)
    without, left = (
        _left(
            sample.cycles[::step],
            sample.terms[::step],
            each.errors,
            protocol,
            np.arange(number),
            threads=threads,
        )
        for each in (plain, full)
    )
    # What single voxels hold beside one pool looks like errors of cycles: but to take these off explains hardly anything.
    return (chosen, full) if without > EXPLAINS * left else (("phase",), plain)


def _told(
    sample: _Sample,
    solution: Solution,
    joint: Solution,
    chosen: tuple[str, ...],
    protocol: BssfpProtocol,
    *,
    threads: int,
) -> bool:
    """Return whether the voxels tell the errors well enough that to take them off does no harm.

    Where θ is nearly the same everywhere, a phase imitates what T2 does: it is found with an uncertainty that would move T2 by more
    than a few percent, or as another one with and without a drift of the frequency beside it.
    """
    number = protocol.number_of_cycles
    if chosen == ("phase",):
        if float(solution.phase_stdev.max()) > LARGEST_PHASE_STDEV:
            return False
        if number <= FEWEST_LEFT:
            # With gains they would imitate anything.
            kinds = ("phase", "frequency")
            joint = solve(sample.cycles, terms=sample.terms, protocol=protocol, kinds=kinds, threads=threads)
        if not _undetermined(protocol):
            both = [sample.terms @ each.errors.echo_phase(protocol).T for each in (solution, joint)]
            apart = np.sqrt(np.mean((both[0] - both[1]) ** 2, axis=0)).max()
            if apart > LARGEST_AMBIGUITY:
                return False
    step = max(1, len(sample.cycles) // SAMPLE_OF_TEST)
    used = np.arange(number)
    before, after = (
        _left(sample.cycles[::step], sample.terms[::step], errors, protocol, used, threads=threads)
        for errors in (no_errors(number), solution.errors)
    )
    return bool(after <= NO_WORSE * before)


def _simplest(
    sample: _Sample, solution: Solution, protocol: BssfpProtocol, *, order: NDArray[np.intp], threads: int
) -> tuple[tuple[str, ...], Solution]:
    """Return the fewest kinds of errors that explain the cycles about as well as all of them do, and the solution with these.

    With few cycles frequencies and gains together imitate what mixed voxels do, to 9 Hz and 5 % in a head without either; alone
    neither does.
    """

    def left(errors: CycleErrors) -> float:
        cycles = np.arange(protocol.number_of_cycles)
        return _left(sample.cycles, sample.terms, errors, protocol, cycles, threads=threads)

    enough = EXPLAINS_FEW * left(solution.errors)
    for kinds in (("phase",), ("phase", "frequency"), ("phase", "gain")):
        simpler = solve(sample.cycles, terms=sample.terms, protocol=protocol, order=order, kinds=kinds, threads=threads)
        if left(simpler.errors) < enough:
            return kinds, replace(solution, errors=simpler.errors, held=simpler.held, phase_stdev=simpler.phase_stdev)
    return NAMES, solution


def _odd_cycle(
    sample: _Sample, solution: Solution, protocol: BssfpProtocol, *, threads: int
) -> tuple[int, float, Solution] | None:
    """Return a cycle that nothing brings to the others, how much better they fit without it, and their solution."""
    number = protocol.number_of_cycles
    if number <= FEWEST_LEFT:
        return None
    step = max(1, len(sample.cycles) // SAMPLE_OF_TEST)
    cycles, terms = sample.cycles[::step], sample.terms[::step]
    without = np.array(
        [
            _left(cycles, terms, no_errors(number), protocol, np.delete(np.arange(number), index), threads=threads)
            for index in range(number)
        ]
    )
    index = int(without.argmin())
    if np.partition(without, 1)[1] < CANDIDATE * without[index]:
        return None
    rest = np.delete(np.arange(number), index)
    left = _protocol_of(protocol, rest)
    again = solve(sample.cycles[:, rest], terms=sample.terms, protocol=left, order=rest, threads=threads)
    ratio = _left(cycles, terms, solution.errors, protocol, np.arange(number), threads=threads) / _left(
        cycles[:, rest], terms, again.errors, left, np.arange(number - 1), threads=threads
    )
    return (index, ratio, again) if ratio > STANDS_OUT else None


def _left(
    cycles: NDArray[np.complex128],
    terms: NDArray[np.float64],
    errors: CycleErrors,
    protocol: BssfpProtocol,
    used: NDArray[np.intp],
    *,
    threads: int,
) -> float:
    """Return the upper quartile of what the fit of some corrected cycles leaves, in power by degree of freedom."""
    clean = cycles * np.exp(-errors.gain - 1j * (terms @ errors.echo_phase(protocol).T))
    fit = fit_natural(clean[:, used], rf_phase_increment=tuple(errors.increments(protocol)[used]), threads=threads)
    least = LEAST_LEFT**2 * float(np.mean(np.abs(clean) ** 2))
    return float(np.nanpercentile(fit.residual_sum / fit.freedom, 75.0)) + least


def _listed(names: Sequence[int], values: NDArray[np.float64], form: str) -> str:
    return ", ".join(f"{name}: {format(value, form)}" for name, value in zip(names, values, strict=True))


def _found(
    errors: CycleErrors,
    solution: Solution,
    rms: NDArray[np.float64],
    names: tuple[int, ...],
    chosen: tuple[str, ...],
    share: float,
    *,
    unknown: bool,
) -> list[str]:
    """Return what was found in plain words."""
    said = [
        f"Receive phase that differs between cycles was removed: {1e3 * rms.max():.1f} mrad (root mean square in the mask) in the "
        "worst cycle."
    ]
    if "frequency" in chosen:
        frequency = errors.frequency[:, 0]
        place = np.asarray(names) - names[0]
        slope, offset = np.polyfit(place, frequency, 1)
        scatter = float(np.std(frequency - offset - slope * place))
        edge = float(np.abs(errors.frequency[:, 1:FREQUENCY_TERMS]).max())
        said.append(
            f"The frequency drifted by {slope * place[-1]:+.1f} Hz from the first to the last cycle, with a scatter of "
            f"{scatter:.2f} Hz about it and gradients of up to {edge:.1f} Hz from the middle to the edge of the volume (known to "
            f"{solution.frequency_stdev.max():.2f} Hz, relative to the mean of the cycles). The cycles were brought to the "
            f"increments of the protocol by the signal model"
            + (
                f", but for {100.0 * (1.0 - share):.1f} % of the mask, where it does not fit."
                if share < 0.9995
                else "."
            )
        )
    elif unknown:
        return [
            *said,
            f"Gains and frequencies of the {len(names)} cycles that are left were not calibrated: without even increments so few "
            "do not tell them apart.",
        ]
    else:
        said.append(
            "The frequency of the cycles does not differ by more than what mixed voxels and noise imitate (standard deviation "
            f"{solution.frequency_stdev.max():.2f} Hz): nothing was changed for it."
        )
    if "gain" in chosen:
        said.append(
            f"Gains of the cycles that differ were divided out (percent, by cycle: "
            f"{_listed(names, 100.0 * np.expm1(errors.gain), '+.2f')}; known to {100.0 * solution.gain_stdev.max():.2f} %)."
        )
    else:
        said.append(
            "The gain of the cycles does not differ by more than what mixed voxels and noise imitate (standard deviation "
            f"{100.0 * solution.gain_stdev.max():.2f} %): nothing was changed for it."
        )
    prior = [kind for kind in ("frequency", "gain") if solution.held.get(kind, 0.0) > HELD and kind in chosen]
    if len(names) <= FEWEST_LEFT and set(chosen) != {"phase"}:
        said.append(
            f"With {len(names)} cycles, gains and frequencies nearly imitate each other: they were found with the expectation that "
            "frequencies drift steadily (scatter 1.5 Hz) and gains differ by 2 %."
        )
    elif prior:
        said.append(
            f"The voxels do not determine the {' and '.join(prior)} of all cycles alone: what they leave open was taken to be as "
            "scanners usually are (steady drift with a scatter of 1.5 Hz, gains within 2 %)."
        )
    return said


HELD = 0.2
"""Share of the prior in the least known combination of cycles from which it is said."""


def _doubts(errors: CycleErrors, rms: NDArray[np.float64], names: tuple[int, ...], *, echo_time: float) -> list[str]:
    """Return what a reader must know."""
    warned = []
    if rms.max() > SUSPICIOUS_PHASE + 2.0 * math.pi * echo_time * float(np.abs(errors.frequency[:, 0]).max()):
        warned.append(
            f"The phase of the cycles differs from the model by {1e3 * rms.max():.0f} mrad (root mean square) in the worst "
            f"cycle, far more than motion or drift explain: T1 and T2 may be wrong. {ADVICE}"
        )
    gains = np.exp(errors.gain) / np.median(np.exp(errors.gain)) - 1.0
    far = np.flatnonzero(np.abs(gains) > SUSPICIOUS_GAIN)
    if len(far):
        listed = _listed([names[index] for index in far], 100.0 * gains[far], "+.1f")
        warned.append(
            f"The gain of single cycles differs from that of the others by more than {100.0 * SUSPICIOUS_GAIN:.0f} % (percent, "
            f"by cycle: {listed}). It was corrected; look for a scan that had not reached its steady state, or images that were "
            "scaled."
        )
    span = float(np.ptp(errors.frequency[:, 0]))
    if span > SUSPICIOUS_DRIFT:
        warned.append(
            f"The frequency of the cycles differs by {span:.0f} Hz over the scan, more than scanners usually drift. It was "
            "corrected; what is left of it is in T2."
        )
    return warned
