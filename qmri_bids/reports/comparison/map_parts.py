"""Parts whose figures are maps: differences, fewer cycles, added noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate
from qmri_bids.evaluation.own_scan.differences import PARAMETERS, DifferenceRow
from qmri_bids.evaluation.own_scan.fewer_cycles import FewerCycles
from qmri_bids.evaluation.own_scan.monte_carlo import Draws, MonteCarloRow
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.evaluation.own_scan.voxels import BRAIN, OwnScan
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import stdev
from qmri_bids.reports.comparison.bottom_line import differences_in_short
from qmri_bids.reports.comparison.content import (
    KeptMap,
    Part,
    ShownTable,
    Table,
    cell,
    shown_name,
    summary_columns,
    summary_descriptions,
)
from qmri_bids.reports.comparison.drawing import DIFFERENCE, Row, Scale, picture_table
from qmri_bids.reports.content import Figure
from qmri_bids.reports.drawing.encode import encode_in_true_color
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

PERCENT = fraction_to_percent(1.0)
MILLISECONDS = seconds_to_milliseconds(1.0)
DIFFERENCES = {"T1": 200.0, "T2": 20.0}
"""Ends of the colours of differences [ms]."""
FEWER, SHIFT = 30.0, 10.0
"""Ends of the colours of relative differences: from fewer cycles, and by noise [%]."""
SPREADS = {"T1": 25.0, "T2": 25.0}
"""Ends of the colours of standard deviations [%]."""
KEYS = {
    "estimator": {"Description": "Estimator, a name of --bssfp-estimator"},
    "parameter": {"Description": "Relaxation time"},
    "tissue": {"Description": "Tissue of desc-tissue_dseg; brain: all voxels that were estimated"},
    "cycles": {"Description": "Number of phase cycles that were kept"},
    "factor": {"Description": "What was multiplied: added noise over that of the scan, or B1"},
}
FLUID_DOUBT = (
    "What pinn and ml state holds the doubt about fluid next door, too, which few cycles do not settle: their "
    "stated sd grows by more than "
    "noise does, and repeats lie closer together than it says."
)
QUARTILES = "median ± its standard error (quartiles across voxels)"


def main_tissues(tissue: Mapping[str, Any]) -> list[str]:
    """Return the tissues that tables of the page show: white and grey matter, or all voxels where neither is told apart."""
    named = [name for name in ("WM", "GM") if name in tissue and np.any(tissue[name])]
    return named or [BRAIN]


def time_scale(parameter: str) -> Scale:
    """Return the colours of a map of T1 or T2 as the report of the run has them."""
    display = QUANTITIES[parameter].display
    return Scale(title=parameter, unit=display.unit, window=display.window or (0.0, 1.0), colormap=display.colormap)


def spread_scale(parameter: str) -> Scale:
    """Return the colours of a standard deviation of T1 or T2 as the report of the run has them."""
    display = stdev(QUANTITIES[parameter]).display
    return Scale(
        title=f"stated sd of {parameter}",
        unit=display.unit,
        window=display.window or (0.0, 1.0),
        colormap=display.colormap,
    )


def picture(
    rows: Sequence[Row], scales: Sequence[Scale], *, key: str, title: str, caption: str, affine: Any, mask: Any
) -> Figure:
    """Return rows of pictures as a figure of the page."""
    canvas, how = picture_table(rows, scales, affine=affine, mask=mask)
    return Figure(
        key=key, title=title, caption=f"{caption} {how}", image=encode_in_true_color(canvas), alternative=title
    )


def by_tissue(
    rows: Sequence[Any], *, tissues: Sequence[str], text: Callable[[Any], str], names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Return a line an estimator with a cell for each parameter and tissue."""
    found = {(row.estimator, row.parameter, row.tissue): row for row in rows}
    return tuple(
        (
            shown_name(name),
            *(
                text(found[name, parameter, tissue]) if (name, parameter, tissue) in found else "–"
                for parameter in PARAMETERS
                for tissue in tissues
            ),
        )
        for name in names
    )


def tissue_head(tissues: Sequence[str]) -> tuple[str, ...]:
    """Return the head of `by_tissue`."""
    return ("Estimator", *(f"{parameter}, {tissue}" for parameter in PARAMETERS for tissue in tissues))


def long_table(
    name: str, rows: Sequence[Any], *, keys: Sequence[str], summaries: Mapping[str, tuple[str, str | None]]
) -> Table:
    """Return rows of summaries as a table that is written: a line for each, attributes named in `keys` first."""
    columns: dict[str, Any] = {key: [getattr(row, key) for row in rows] for key in keys}
    found: dict[str, list[Summary]] = {each: [getattr(row, each) for row in rows] for each in summaries}
    columns |= summary_columns(found)
    return Table(
        name=name,
        columns=columns,
        descriptions={**{key: KEYS[key] for key in keys}, **summary_descriptions(summaries)},
    )


def label(name: str) -> str:
    """Return the name of an estimator as the label of a file: letters and digits.

    Examples
    --------
    >>> label("pinn-complex-uniform")
    'pinnComplexUniform'
    """
    first, *others = name.split("-")
    return first + "".join(each.capitalize() for each in others)


def differences_part(
    rows: Sequence[DifferenceRow],
    *,
    estimates: Mapping[str, Estimate],
    reference: str,
    scan: OwnScan,
    affine: NDArray[np.floating],
    sentences: Sequence[str],
) -> Part:
    """Return differences of all estimators to one."""
    tissues = main_tissues(scan.tissue)
    names = list(estimates)
    maps, scales = [], []
    volumes: dict[str, list[NDArray[Any] | None]] = {name: [] for name in names}
    for parameter in PARAMETERS:
        end = DIFFERENCES[parameter]
        scales += [
            time_scale(parameter),
            Scale(title=f"{parameter} − {shown_name(reference)}", unit="ms", window=(-end, end), colormap=DIFFERENCE),
            spread_scale(parameter),
        ]
        standard = scan.volume(estimates[reference].values[parameter])
        for name in names:
            value = scan.volume(estimates[name].values[parameter])
            stated = estimates[name].stdev.get(parameter)
            volumes[name] += [
                MILLISECONDS * value,
                None if name == reference else MILLISECONDS * (value - standard),
                None if stated is None else MILLISECONDS * scan.volume(stated),
            ]
            maps.append(_map(f"{label(name)}", parameter, value, f"{parameter} by {name}"))
            if name != reference:
                what = f"{parameter} by {name} minus {parameter} by {reference}"
                maps.append(
                    _map(f"{label(name)}Minus{label(reference).capitalize()}", parameter, value - standard, what)
                )
    figure = picture(
        [Row(name=shown_name(name), volumes=tuple(volumes[name]), reason="reference") for name in names],
        scales,
        key="differences-maps",
        title=f"T1 and T2 by estimator, and the difference to {shown_name(reference)}",
        caption="The map, the difference, and the standard deviation that the estimator itself states of noise.",
        affine=affine,
        mask=scan.inside,
    )
    others = [name for name in names if name != reference]
    shown = (
        ShownTable(
            caption=f"Difference to {shown_name(reference)} [ms]: {QUARTILES}",
            head=tissue_head(tissues),
            rows=by_tissue(
                rows,
                tissues=tissues,
                names=others,
                text=lambda row: cell(row.difference, factor=MILLISECONDS, signed=True),
            ),
        ),
        ShownTable(
            caption=f"The same in percent of {shown_name(reference)}",
            head=tissue_head(tissues),
            rows=by_tissue(
                rows, tissues=tissues, names=others, text=lambda row: cell(row.relative, factor=PERCENT, signed=True)
            ),
        ),
        ShownTable(
            caption=f"The maps themselves [ms]: {QUARTILES}; after the semicolon the median stated sd",
            head=tissue_head(tissues),
            rows=by_tissue(
                rows,
                tissues=tissues,
                names=names,
                text=lambda row: f"{cell(row.value, factor=MILLISECONDS)}; {MILLISECONDS * row.stated.median:.1f}",
            ),
        ),
    )
    table = long_table(
        "differences",
        rows,
        keys=("estimator", "parameter", "tissue"),
        summaries={
            "value": ("the estimate", "s"),
            "stated": ("stated standard deviation by noise", "s"),
            "difference": (f"estimate minus that of {reference}", "s"),
            "relative": (f"the same as a fraction of that of {reference}", None),
        },
    )
    return Part(
        key="differences",
        title=f"Differences to {shown_name(reference)}",
        after="Birk et al. 2025, figure 4",
        sentences=tuple(sentences),
        in_short=differences_in_short(rows, tissues=tissues, reference=reference),
        shown=shown,
        figures=(figure,),
        tables=(table,),
        maps=tuple(maps),
    )


def _map(desc: str, parameter: str, values: NDArray[Any], what: str) -> KeptMap:
    return KeptMap(
        desc=desc, suffix=f"{parameter}map", values=values, unit="s", description=f"{what}, compared on one scan"
    )


def fewer_part(
    found: FewerCycles, *, full: Mapping[str, Estimate], scan: OwnScan, affine: NDArray[np.floating]
) -> Part:
    """Return estimates of fewer cycles against those of all."""
    tissues = main_tissues(scan.tissue)
    numbers = list(dict.fromkeys(number for _, number in found.first))
    total = scan.protocol.number_of_cycles
    names = [name for name in full if any((name, number) in found.first for number in numbers)]
    figures, maps = [], []
    for parameter in PARAMETERS if numbers else ():
        value = time_scale(parameter)
        scales = [
            *(
                Scale(title=f"{number} cycles", unit="ms", window=value.window, colormap=value.colormap)
                for number in (total, *numbers)
            ),
            *(
                Scale(title=f"{number} against {total}", unit="%", window=(-FEWER, FEWER), colormap=DIFFERENCE)
                for number in numbers
            ),
        ]
        lines = []
        for name in names:
            whole = scan.volume(full[name].values[parameter])
            some = {
                number: scan.volume(found.first[name, number].values[parameter])
                for number in numbers
                if (name, number) in found.first
            }
            lines.append(
                Row(
                    name=shown_name(name),
                    volumes=(
                        MILLISECONDS * whole,
                        *(MILLISECONDS * some[number] if number in some else None for number in numbers),
                        *(PERCENT * (some[number] / whole - 1.0) if number in some else None for number in numbers),
                    ),
                    reason="does not serve\nthese cycles",
                )
            )
            maps += [
                _map(
                    f"{label(name)}{number}cycles",
                    parameter,
                    values,
                    f"{parameter} by {name} from {number} of {total} cycles",
                )
                for number, values in some.items()
            ]
        figures.append(
            picture(
                lines,
                scales,
                key=f"cycles-{parameter}",
                title=f"{parameter} from fewer cycles",
                caption=f"Maps of all {total} cycles and of the first choice of fewer, and what these differ by "
                f"from all, of the same "
                "estimator.",
                affine=affine,
                mask=scan.inside,
            )
        )
    shown = []
    for number in numbers:
        rows = [row for row in found.rows if row.cycles == number]
        there = [name for name in names if (name, number) in found.first]
        shown.append(
            ShownTable(
                caption=f"{number} cycles against {total} [%]: {QUARTILES}",
                head=tissue_head(tissues),
                rows=by_tissue(
                    rows, tissues=tissues, names=there, text=lambda row: cell(row.relative, factor=PERCENT, signed=True)
                ),
            )
        )
        expected = np.sqrt(total / number)
        shown.append(
            ShownTable(
                caption=f"Stated sd of {number} cycles over that of {total} (√({total}/{number}) = {expected:.2f} "
                f"if all cycles told "
                "alike): median; then the spread of the difference between two sets of cycles that share none, over what "
                "both state (1 where the stated sd holds)",
                head=tissue_head(tissues),
                rows=by_tissue(
                    rows,
                    tissues=tissues,
                    names=there,
                    text=lambda row: f"{_ratio(row.stated_growth.median)}; {_ratio(row.repeat_over_stated.spread)}",
                ),
            )
        )
    table = long_table(
        "cycles",
        found.rows,
        keys=("estimator", "cycles", "parameter", "tissue"),
        summaries={
            "relative": ("estimate of the first choice minus that of all cycles, as a fraction of the latter", None),
            "stated_growth": ("stated standard deviation over that of all cycles", None),
            "repeat_over_stated": (
                "logarithm of the ratio of two choices that share no cycle, over the relative standard deviation both state", None,
            ),
        },
    )  # fmt: skip
    return Part(
        key="cycles",
        title="Fewer phase cycles",
        after="Birk et al. 2025, figures 6 and 7",
        sentences=(*found.sentences, *([FLUID_DOUBT] if found.rows else [])),
        shown=tuple(shown),
        figures=tuple(figures),
        tables=(table,) if found.rows else (),
        maps=tuple(maps),
    )


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def noise_part(
    rows: Sequence[MonteCarloRow],
    *,
    drawn: Mapping[str, Draws],
    scan: OwnScan,
    affine: NDArray[np.floating],
    factor: float,
    draws: int,
    sentences: Sequence[str],
) -> Part:
    """Return what added noise does to estimates, beside what they state."""
    tissues = main_tissues(scan.tissue)
    names = list(drawn)
    figures, maps = [], []
    for parameter in PARAMETERS:
        value, end = time_scale(parameter), SPREADS[parameter]
        scales = (
            Scale(title="mean of the draws", unit="ms", window=value.window, colormap=value.colormap),
            Scale(title="mean, shifted by noise", unit="%", window=(-SHIFT, SHIFT), colormap=DIFFERENCE),
            Scale(title="sd over the draws", unit="%", window=(0.0, factor * end), colormap="plasma"),
            Scale(
                title="stated sd" + ("" if factor == 1.0 else f" × {factor:g}"),
                unit="%",
                window=(0.0, factor * end),
                colormap="plasma",
            ),
            Scale(title="the first over the second", unit="ratio", window=(0.5, 1.5), colormap=DIFFERENCE),
        )
        lines = []
        for name in names:
            one = drawn[name]
            before = np.asarray(one.before.values[parameter], dtype=np.float64)
            stated = one.before.stdev.get(parameter)
            spread = None if stated is None else factor * np.asarray(stated, dtype=np.float64)
            lines.append(
                Row(
                    name=shown_name(name),
                    volumes=(
                        MILLISECONDS * scan.volume(one.mean[parameter]),
                        PERCENT * scan.volume(one.mean[parameter] / before - 1.0),
                        PERCENT * scan.volume(one.stdev[parameter] / before),
                        None if spread is None else PERCENT * scan.volume(spread / before),
                        None if spread is None else scan.volume(one.stdev[parameter] / spread),
                    ),
                    reason="none is stated",
                )
            )
            for desc, values, what in (
                ("DrawnMean", one.mean[parameter], "mean"),
                ("DrawnStd", one.stdev[parameter], "standard deviation"),
            ):
                maps.append(
                    _map(
                        f"{label(name)}{desc}",
                        parameter,
                        scan.volume(values),
                        f"{what.capitalize()} of {parameter} by {name} over {draws} draws of added noise",
                    )
                )
        figures.append(
            picture(
                lines,
                scales,
                key=f"noise-{parameter}",
                title=f"{parameter} under added noise: spread over {draws} draws beside the stated one",
                caption="Where the stated standard deviation holds, the ratio is 1 (white); red: the draws scatter more.",
                affine=affine,
                mask=scan.inside,
            )
        )
    shown = (
        ShownTable(
            caption=f"Standard deviation over the draws, over the stated one (1 where it holds): {QUARTILES}",
            head=tissue_head(tissues),
            rows=by_tissue(rows, tissues=tissues, names=names, text=lambda row: cell(row.ratio)),
        ),
        ShownTable(
            caption="Standard deviation over the draws / stated, medians [%]",
            head=tissue_head(tissues),
            rows=by_tissue(
                rows,
                tissues=tissues,
                names=names,
                text=lambda row: f"{PERCENT * row.drawn.median:.1f} / {PERCENT * row.stated.median:.1f}",
            ),
        ),
        ShownTable(
            caption=f"Shift of the mean by the added noise [%]: {QUARTILES}",
            head=tissue_head(tissues),
            rows=by_tissue(
                rows, tissues=tissues, names=names, text=lambda row: cell(row.shift, factor=PERCENT, signed=True)
            ),
        ),
    )
    table = long_table(
        "noise",
        rows,
        keys=("estimator", "parameter", "tissue"),
        summaries={
            "drawn": ("standard deviation over the draws, as a fraction of the estimate without added noise", None),
            "stated": ("stated standard deviation of that estimate, likewise", None),
            "ratio": ("the first over the second and over the factor of the added noise", None),
            "shift": ("mean over the draws minus the estimate without added noise, as a fraction of it", None),
        },
    )
    return Part(
        key="noise",
        title="Added noise (Monte Carlo)",
        after="Birk et al. 2025, figures S5 to S7",
        sentences=tuple(sentences),
        shown=shown,
        figures=tuple(figures),
        tables=(table,),
        maps=tuple(maps),
    )
