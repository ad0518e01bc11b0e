"""What the tables of a comparison come to, in a few sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qmri_bids.evaluation.own_scan.differences import PARAMETERS, DifferenceRow
from qmri_bids.reports.comparison.content import shown_name

ALIKE = 0.01
"""Relative difference of medians up to which estimators agree."""

MORE_SPREAD = 0.1
"""Relative difference of stated standard deviations that is worth a word."""

LIKELY = ("ml", "pinn")
"""Estimators to which the others are compared in words, the first that is there: they come near the Cramér-Rao bound."""

WORDS = {"WM": "white matter", "GM": "grey matter"}


def differences_in_short(rows: Sequence[DifferenceRow], *, tissues: Sequence[str], reference: str) -> tuple[str, ...]:
    """Return which estimators agree, by how much the others are away, and who states another standard deviation.

    Parameters
    ----------
    rows
        Of all estimators, parameters and tissues.
    tissues
        Those that are spoken of.
    reference
        Estimator to which differences were taken; it is the measure where none of `LIKELY` is there.
    """
    names = list(dict.fromkeys(row.estimator for row in rows))
    if len(names) < 2:
        return ()
    base = next((name for name in LIKELY if name in names), reference)
    found = {(row.estimator, row.parameter, row.tissue): row for row in rows}
    sentences = []
    for parameter in PARAMETERS:
        away, spread = {}, {}
        for name in names:
            own = {tissue: found[name, parameter, tissue] for tissue in tissues}
            of_base = {tissue: found[base, parameter, tissue] for tissue in tissues}
            away[name] = {each: own[each].value.median / of_base[each].value.median - 1.0 for each in tissues}
            spread[name] = {each: own[each].stated.median / of_base[each].stated.median - 1.0 for each in tissues}
        alike = [name for name in names if all(abs(each) <= ALIKE for each in away[name].values())]
        parts = []
        if len(alike) > 1:
            apart = max(
                max(away[name][each] for name in alike) - min(away[name][each] for name in alike) for each in tissues
            )
            agreeing = [base, *(name for name in alike if name != base)]
            parts.append(f"{_listed([shown_name(name) for name in agreeing])} agree within {_percent(apart)}")
        for name in names:
            if name not in alike and any(math.isfinite(each) for each in away[name].values()):
                where = _by_tissue(away[name], more=f"above {shown_name(base)}", less=f"below {shown_name(base)}")
                parts.append(f"{shown_name(name)} lies {where}")
        for name in names:
            other = {tissue: each for tissue, each in spread[name].items() if abs(each) > MORE_SPREAD}
            if other:
                where = _by_tissue(other, more="more sd", less="less sd")
                parts.append(f"{shown_name(name)} states {where} than {shown_name(base)}")
        if parts:
            sentences.append(f"{parameter}: {'; '.join(parts)}.")
    said = " and ".join(WORDS.get(each, f"the {each}") for each in tissues)
    return (*sentences, f"Numbers are those of medians in {said}.") if sentences else ()


def _by_tissue(values: dict[str, float], *, more: str, less: str) -> str:
    """Return signed shares by tissue in words; the direction is named where it changes.

    Examples
    --------
    >>> _by_tissue({"WM": 0.35, "GM": 0.02}, more="more sd", less="less sd")
    '35 % more sd in white matter and 2.0 % in grey matter'
    """
    parts, before = [], ""
    for tissue, value in values.items():
        if math.isfinite(value):
            way = more if value > 0.0 else less
            parts.append(f"{_percent(abs(value))} {'' if way == before else f'{way} '}in {WORDS.get(tissue, tissue)}")
            before = way
    return " and ".join(parts)


def _percent(share: float) -> str:
    """Return a share in percent with two digits at most.

    Examples
    --------
    >>> _percent(0.3531), _percent(0.0031), _percent(0.00001)
    ('35 %', '0.3 %', '0.1 %')
    """
    percent = 100.0 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{max(percent, 0.1):.1f} %"


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
