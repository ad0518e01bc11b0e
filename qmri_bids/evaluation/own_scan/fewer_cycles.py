"""Estimates of some of the cycles of a scan against those of all (Birk et al. 2025, Figs. 6 and 7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Estimator, ProtocolNotSupported
from qmri_bids.evaluation.own_scan.differences import PARAMETERS
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.evaluation.own_scan.voxels import OwnScan
from qmri_bids.physics.protocol import BssfpProtocol

TURN = 2.0 * math.pi
MOST_SUBSETS = 50_000
"""Choices of cycles that are looked through where none is evenly spaced; with more, cycles next to even targets are taken."""


@dataclass(frozen=True, kw_only=True)
class Subsets:
    """Ways to leave out cycles.

    Parameters
    ----------
    indices
        Cycles of each subset; several share no cycle.
    even
        Whether their increments are evenly spaced.
    sentence
        What was chosen and why.
    """

    indices: tuple[tuple[int, ...], ...]
    even: bool
    sentence: str


def subsets_of(protocol: BssfpProtocol, number: int) -> Subsets:
    """Return the cycles that stand for an acquisition of fewer: evenly spaced ones where the increments allow.

    Parameters
    ----------
    protocol
        The acquisition.
    number
        Cycles that are left, at least 3 and fewer than there are.

    Raises
    ------
    ValueError
        If the number is not one of those.

    Examples
    --------
    >>> twelve = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26
    ... )
    >>> subsets_of(twelve, 4).indices
    ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11))
    """
    total = protocol.number_of_cycles
    if not 3 <= number < total:
        raise ValueError(f"number: expected 3 to {total - 1} of {total} cycles, found {number}")
    phases = np.mod(np.asarray(protocol.rf_phase_increment), TURN)
    order = np.argsort(phases)
    if protocol.is_evenly_spaced and total % number == 0:
        step = total // number
        indices = tuple(tuple(sorted(int(each) for each in order[first::step])) for first in range(step))
        return Subsets(
            indices=indices,
            even=True,
            sentence=f"{number} of {total} cycles: every {_ordinal(step)}, evenly spaced, in {step} ways that share no cycle.",
        )
    if math.comb(total, number) <= MOST_SUBSETS:
        choices = [tuple(each) for each in itertools.combinations(range(total), number)]
    else:
        choices = [_nearest(phases, number, start) for start in phases]
    chosen = max(choices, key=lambda each: _evenness(phases[list(each)]))
    gaps = np.degrees(_gaps(phases[list(chosen)]))
    return Subsets(
        indices=(chosen,),
        even=False,
        sentence=f"{number} of {total} cycles: the increments allow no even spacing; the most even choice has steps of "
        f"{gaps.min():.0f} to {gaps.max():.0f}°.",
    )


def _ordinal(step: int) -> str:
    return {2: "second", 3: "third"}.get(step, f"{step}th")


def _nearest(phases: NDArray[np.floating], number: int, start: float) -> tuple[int, ...]:
    """Return the cycles next to evenly spaced targets, fewer where two targets have the same."""
    targets = start + TURN * np.arange(number) / number
    distance = np.abs(np.angle(np.exp(1j * (phases[None, :] - targets[:, None]))))
    return tuple(sorted({int(each) for each in distance.argmin(axis=1)}))


def _gaps(phases: NDArray[np.floating]) -> NDArray[np.float64]:
    ordered = np.sort(phases)
    return np.diff(np.append(ordered, ordered[0] + TURN))


def _evenness(phases: NDArray[np.floating]) -> tuple[int, float]:
    """Return how many there are and the negative sum of squares of the steps between them: the larger, the more even."""
    return len(phases), -float(np.sum(_gaps(phases) ** 2))


@dataclass(frozen=True, kw_only=True)
class FewerRow:
    """One parameter of one estimator in one tissue from some of the cycles.

    Parameters
    ----------
    estimator, cycles, parameter, tissue
        What is summarised.
    relative
        Estimate from these cycles minus that from all, by the same estimator, as a fraction of the latter.
    stated_growth
        Stated standard deviation over that from all cycles.
    repeat_over_stated
        Difference between two subsets that share no cycle, over the standard deviation that both state: its spread is 1 where
        these hold, its median 0 where no bias depends on the increments; no voxels where there is one subset.
    """

    estimator: str
    cycles: int
    parameter: str
    tissue: str
    relative: Summary
    stated_growth: Summary
    repeat_over_stated: Summary


@dataclass(frozen=True, kw_only=True)
class FewerCycles:
    """Estimates from some of the cycles.

    Parameters
    ----------
    rows
        By estimator, number of cycles, parameter and tissue.
    first
        Estimate of the first subset by (estimator, number of cycles).
    sentences
        What was chosen, and which estimator cannot serve which number.
    """

    rows: tuple[FewerRow, ...]
    first: Mapping[tuple[str, int], Estimate]
    sentences: tuple[str, ...]


def fewer_cycles(
    estimators: Mapping[str, Estimator], *, scan: OwnScan, full: Mapping[str, Estimate], numbers: Sequence[int]
) -> FewerCycles:
    """Estimate from fewer cycles and compare with all.

    Parameters
    ----------
    estimators
        By name.
    scan
        The voxels.
    full
        Estimates of all cycles by the name of the estimator.
    numbers
        Numbers of cycles that are left.
    """
    rows: list[FewerRow] = []
    first: dict[tuple[str, int], Estimate] = {}
    sentences: list[str] = []
    total = scan.protocol.number_of_cycles
    for number in numbers:
        if not 3 <= number < total:
            sentences.append(f"{number} cycles: the scan has {total}, so that there is nothing to leave out.")
            continue
        subsets = subsets_of(scan.protocol, number)
        sentences.append(subsets.sentence)
        parts = [scan.of_cycles(indices) for indices in subsets.indices]
        for name, estimator in estimators.items():
            try:
                estimator.check(parts[0].protocol)
            except ProtocolNotSupported as error:
                sentences.append(
                    f"{name} does not serve these {number} cycles: expected {error.expected}, found {error.found}."
                )
                continue
            found = [estimator.estimate(each.cycles, protocol=each.protocol, known=each.known) for each in parts]
            first[name, number] = found[0]
            rows += _rows(name, number, found, full=full[name], scan=scan)
    return FewerCycles(rows=tuple(rows), first=first, sentences=tuple(sentences))


def _rows(name: str, number: int, found: Sequence[Estimate], *, full: Estimate, scan: OwnScan) -> list[FewerRow]:
    rows = []
    for parameter in PARAMETERS:
        all_cycles = np.asarray(full.values[parameter], dtype=np.float64)
        values = [np.asarray(each.values[parameter], dtype=np.float64) for each in found]
        stated = [np.asarray(each.stdev[parameter], dtype=np.float64) for each in found if parameter in each.stdev]
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = values[0] / all_cycles - 1.0
            growth = stated[0] / full.stdev[parameter] if stated else np.full(len(all_cycles), np.nan)
            repeat = np.full(len(all_cycles), np.nan)
            if len(stated) > 1:
                # Logarithms: noise spreads rates evenly and times unevenly.
                both = np.hypot(stated[0] / values[0], stated[1] / values[1])
                repeat = np.log(values[0] / values[1]) / both
        for tissue, chosen in scan.tissue.items():
            rows.append(
                FewerRow(
                    estimator=name,
                    cycles=number,
                    parameter=parameter,
                    tissue=tissue,
                    relative=Summary.of(relative[chosen]),
                    stated_growth=Summary.of(growth[chosen]),
                    repeat_over_stated=Summary.of(repeat[chosen]),
                )
            )
    return rows
