"""Parts whose figures are curves: epochs of a training, time, wrong B1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.evaluation.own_scan.differences import PARAMETERS
from qmri_bids.evaluation.own_scan.duration import DurationRow
from qmri_bids.evaluation.own_scan.epochs import EpochsRow
from qmri_bids.evaluation.own_scan.voxels import BRAIN, OwnScan
from qmri_bids.evaluation.own_scan.wrong_b1 import B1Row
from qmri_bids.reports.comparison.content import Part, ShownTable, Table, cell, shown_name
from qmri_bids.reports.comparison.drawing import (
    COLORS,
    DIFFERENCE,
    Row,
    Scale,
    curve_canvas,
    curve_style,
    legend_below,
)
from qmri_bids.reports.comparison.map_parts import (
    KEYS,
    MILLISECONDS,
    PERCENT,
    QUARTILES,
    by_tissue,
    long_table,
    main_tissues,
    picture,
    time_scale,
    tissue_head,
)
from qmri_bids.reports.content import Figure
from qmri_bids.reports.drawing.encode import encode_picture

WORST_AGREEMENT = 0.0
"""Lowest coefficient of determination that the curves show: below it an epoch is worse than a constant."""


def epochs_part(
    rows: Sequence[EpochsRow], *, scan: OwnScan, affine: NDArray[np.floating], sentences: Sequence[str]
) -> Part:
    """Return how the predictions of trainings came to those of their last epochs."""
    tissues = [*main_tissues(scan.tissue), *([BRAIN] if main_tissues(scan.tissue) != [BRAIN] else [])]
    canvas, panels = curve_canvas(rows=2, columns=len(rows), height=4.6)
    for (top, bottom), row in zip(panels.T, rows, strict=True):
        epochs = np.arange(1, len(row.seconds) + 1)
        for index, parameter in enumerate(PARAMETERS):
            for number, tissue in enumerate(tissues):
                top.plot(
                    epochs,
                    np.maximum(row.agreement[parameter, tissue], WORST_AGREEMENT),
                    label=f"{parameter}, {tissue}",
                    color=COLORS[index],
                    linestyle=("-", "--", ":")[number],
                    marker="o",
                    markersize=3,
                )
        top.set_title(row.system, fontsize=9)
        top.set_ylim(WORST_AGREEMENT, 1.02)
        bottom.semilogy(epochs, row.validation_loss, color="#1d2733", marker="o", markersize=3)
        bottom.set_xlabel("epoch", fontsize=9)
        bottom.xaxis.get_major_locator().set_params(integer=True)
        top.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels.flat:
        axes.tick_params(which="both", labelsize=8)
    panels[0, 0].set_ylabel("CoD with the last epoch", fontsize=8)
    panels[1, 0].set_ylabel("validation loss", fontsize=8)
    legend_below(canvas, [panels[0, 0]], columns=6)
    figures = [
        Figure(
            key="epochs-curves",
            title="Agreement of every epoch with the last, on this scan",
            caption="Above the coefficient of determination between the maps after an epoch and those after the "
            "last (values below 0 "
            "are drawn at 0), below the loss on simulated samples that the training does not see.",
            image=encode_picture(canvas),
        )
    ]
    scales = []
    for parameter in PARAMETERS:
        value = time_scale(parameter)
        scales += [
            Scale(title=f"{parameter}, epoch 1", unit="ms", window=value.window, colormap=value.colormap),
            Scale(title=f"{parameter}, last", unit="ms", window=value.window, colormap=value.colormap),
            Scale(title="first against last", unit="%", window=(-30.0, 30.0), colormap=DIFFERENCE),
        ]
    lines = []
    for row in rows:
        volumes = []
        for parameter in PARAMETERS:
            first, last = (scan.volume(each[parameter]) for each in (row.first, row.last))
            volumes += [MILLISECONDS * first, MILLISECONDS * last, PERCENT * (first / last - 1.0)]
        lines.append(Row(name=row.system, volumes=tuple(volumes)))
    figures.append(
        picture(
            lines,
            scales,
            key="epochs-maps",
            title="Maps after the first epoch and after the last",
            caption="Nothing is flagged here: a network answers in every voxel, within its range.",
            affine=affine,
            mask=scan.inside,
        )
    )
    columns: dict[str, list[object]] = {key: [] for key in ("system", "epoch", "parameter", "tissue", "agreement")}
    columns |= {"validation_loss": [], "seconds": []}
    for row in rows:
        for (parameter, tissue), values in row.agreement.items():
            for epoch, agreement in enumerate(values, start=1):
                for key, content in {
                    "system": row.system,
                    "epoch": epoch,
                    "parameter": parameter,
                    "tissue": tissue,
                    "agreement": float(agreement),
                    "validation_loss": float(row.validation_loss[epoch - 1]),
                    "seconds": float(row.seconds[epoch - 1]),
                }.items():
                    columns[key].append(content)
    table = Table(
        name="epochs",
        columns=columns,
        descriptions={
            "system": {"Description": "Network and loss"},
            "epoch": {"Description": "Epoch of the training, from 1"},
            "parameter": KEYS["parameter"],
            "tissue": KEYS["tissue"],
            "agreement": {
                "Description": "Coefficient of determination between the maps after this epoch and after the last"
            },
            "validation_loss": {"Description": "Loss on simulated samples that the training does not see"},
            "seconds": {"Description": "Duration of the epoch", "Units": "s"},
        },
    )
    shown = ShownTable(
        caption="Agreement (CoD) with the last epoch after epochs 1, 2 and the last but one; seconds of one epoch, mean ± sd",
        head=("Network", *(f"{parameter}, {tissue}" for parameter in PARAMETERS for tissue in tissues), "s an epoch"),
        rows=tuple(
            (
                row.system,
                *(
                    "; ".join(f"{row.agreement[parameter, tissue][epoch]:.3f}" for epoch in _epochs(len(row.seconds)))
                    for parameter in PARAMETERS
                    for tissue in tissues
                ),
                f"{np.mean(row.seconds):.2f} ± {np.std(row.seconds):.2f}",
            )
            for row in rows
        ),
    )
    return Part(
        key="epochs",
        title="Epochs of a training",
        after="Birk et al. 2025, figure 8",
        sentences=tuple(sentences),
        shown=(shown,),
        figures=tuple(figures),
        tables=(table,),
    )


def _epochs(number: int) -> list[int]:
    """Return the epochs that the page names, counted from 0: the first two and the last but one."""
    return sorted({0, min(1, number - 1), max(0, number - 2)})


def time_part(rows: Sequence[DurationRow], *, sentences: Sequence[str]) -> Part:
    """Return how long estimators take, measured and extrapolated."""
    canvas, panels = curve_canvas(rows=1, columns=1, height=4.4)
    axes = panels[0, 0]
    for index, row in enumerate(rows):
        style = curve_style(index)
        axes.loglog(row.voxels, row.seconds, "o", color=style["color"], markersize=3.5)
        largest = max(row.voxels)
        last = row.start + row.slope * largest
        sizes = np.array([_voxels_at(edge, row) for edge in row.expected])
        seconds = np.array([value for value, _ in row.expected.values()])
        spread = np.array([error for _, error in row.expected.values()])
        axes.loglog([largest, *sizes], [last, *seconds], label=shown_name(row.estimator), **style)
        low, high = np.maximum(seconds - 1.96 * spread, 0.1 * seconds), seconds + 1.96 * spread
        axes.fill_between(sizes, low, high, color=style["color"], alpha=0.15, linewidth=0)
    edges = list(rows[0].expected)
    for edge in edges:
        place = _voxels_at(edge, rows[0])
        axes.axvline(place, color="#b8c1c9", linewidth=0.8, zorder=0)
        axes.text(
            place, 1.01, f"{edge:g} mm", transform=axes.get_xaxis_transform(), fontsize=7, ha="center", va="bottom"
        )
    axes.set_ylim(bottom=0.5 * min(min(row.seconds) for row in rows))
    axes.set_xlabel("voxels", fontsize=9)
    axes.set_ylabel("time [s]", fontsize=9)
    legend_below(canvas, [axes])
    figure = Figure(
        key="time-curves",
        title="Time over the number of voxels",
        caption="Dots are measured on voxels of this scan; lines go on to the voxels that the same brain has at finer resolutions: "
        "extrapolated, with 95 % bands of the fitted line.",
        image=encode_picture(canvas),
    )
    shown = ShownTable(
        caption="Time of one voxel as measured, and of this brain at other edges of voxels as extrapolated; ± "
        "one standard deviation",
        head=("Estimator", "µs a voxel", *(f"{edge:g} mm [s]" for edge in edges)),
        rows=tuple(
            (
                shown_name(row.estimator),
                f"{1e6 * row.slope:.2f} ± {1e6 * row.slope_stdev:.2f}",
                *(f"{value:.2f} ± {error:.2f}" for value, error in row.expected.values()),
            )
            for row in rows
        ),
    )
    measured = [(row, number, second) for row in rows for number, second in zip(row.voxels, row.seconds, strict=True)]
    foreseen = [(row, edge, *pair) for row in rows for edge, pair in row.expected.items()]
    table = Table(
        name="time",
        columns={
            "estimator": [each[0].estimator for each in measured] + [each[0].estimator for each in foreseen],
            "kind": ["measured"] * len(measured) + ["extrapolated"] * len(foreseen),
            "edge": [None] * len(measured) + [each[1] for each in foreseen],
            "voxels": [each[1] for each in measured] + [round(_voxels_at(each[1], each[0])) for each in foreseen],
            "seconds": [each[2] for each in measured] + [float(each[2]) for each in foreseen],
            "seconds_standard_deviation": [None] * len(measured) + [float(each[3]) for each in foreseen],
        },
        descriptions={
            "estimator": KEYS["estimator"],
            "kind": {
                "Description": "Whether the time was measured, or extrapolated by a line through what was measured"
            },
            "edge": {"Description": "Edge of the voxels for which was extrapolated", "Units": "mm"},
            "voxels": {"Description": "Number of voxels"},
            "seconds": {"Description": "Time of one estimation", "Units": "s"},
            "seconds_standard_deviation": {"Description": "Standard deviation of what was extrapolated", "Units": "s"},
        },
    )
    return Part(
        key="time",
        title="Time",
        after="Birk et al. 2025, figure S9",
        sentences=tuple(sentences),
        shown=(shown,),
        figures=(figure,),
        tables=(table,),
    )


def _voxels_at(edge: float, row: DurationRow) -> float:
    return row.volume / edge**3


def b1_part(rows: Sequence[B1Row], *, scan: OwnScan, sentences: Sequence[str]) -> Part:
    """Return what a wrong B1 does to estimates."""
    tissues = main_tissues(scan.tissue)
    names = list(dict.fromkeys(row.estimator for row in rows))
    factors = sorted({row.factor for row in rows})
    canvas, panels = curve_canvas(rows=len(PARAMETERS), columns=len(tissues), height=5.4)
    fine = np.linspace(factors[0], factors[-1], 61)
    for line, parameter in zip(panels, PARAMETERS, strict=True):
        for axes, tissue in zip(line, tissues, strict=True):
            for index, name in enumerate(names):
                chosen = [
                    each for each in rows if (each.estimator, each.parameter, each.tissue) == (name, parameter, tissue)
                ]
                chosen.sort(key=lambda each: each.factor)
                places = [each.factor for each in chosen]
                style = curve_style(index)
                axes.plot(places, [PERCENT * each.relative.median for each in chosen], label=shown_name(name), **style)
                low, high = (
                    [PERCENT * getattr(each.relative, end) for each in chosen]
                    for end in ("lower_quartile", "upper_quartile")
                )
                axes.fill_between(places, low, high, color=style["color"], alpha=0.12, linewidth=0)
            expected = fine**-2.0 - 1.0 if parameter == "T1" else np.zeros_like(fine)
            axes.plot(
                fine, PERCENT * expected, color="#1d2733", linewidth=0.9, linestyle=":", label="small flip angles"
            )
            axes.set_title(f"{parameter}, {tissue}", fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel("change [%]", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("B1 used / B1 measured", fontsize=9)
    legend_below(canvas, [panels[0, 0]])
    figure = Figure(
        key="b1-curves",
        title="Change of T1 and T2 with a wrong B1",
        caption="Medians over the tissue, bands between quartiles. Dotted: what small flip angles make of it, T1 with the inverse "
        "square of B1 and T2 not at all.",
        image=encode_picture(canvas),
    )
    shown = tuple(
        ShownTable(
            caption=f"B1 × {factor:g}: change [%], {QUARTILES}",
            head=tissue_head(tissues),
            rows=by_tissue(
                [row for row in rows if row.factor == factor],
                tissues=tissues,
                names=names,
                text=lambda row: cell(row.relative, factor=PERCENT, signed=True),
            ),
        )
        for factor in factors
        if factor != 1.0
    )
    table = long_table(
        "b1",
        rows,
        keys=("estimator", "factor", "parameter", "tissue"),
        summaries={"relative": ("estimate minus that with B1 as measured, as a fraction of the latter", None)},
    )
    return Part(
        key="b1",
        title="Wrong B1",
        after="Birk et al. 2025, figure S10",
        sentences=tuple(sentences),
        shown=shown,
        figures=(figure,),
        tables=(table,),
    )
