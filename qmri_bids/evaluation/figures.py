"""Figures of the experiments; each function returns a `Figure` and leaves no state behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qmri_bids.evaluation.convergence import ConvergenceRow
from qmri_bids.evaluation.experiments import CircleRow, NoiseRow, PlaneRow
from qmri_bids.evaluation.sets import PAPER_T1, PAPER_T2
from qmri_bids.networks.names import NETWORK_SYSTEMS, SYSTEMS
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#6A3D9A", "#000000")
"""Told apart in every common form of colour blindness; line styles carry on where they end."""
LINE_STYLES: tuple[str | tuple[int, tuple[int, ...]], ...] = ("-", "--", ":", "-.")
LARGEST_BIAS = 10.0
"""End of the colour scale of biases [%]."""
LARGEST_DIFFERENCE = 0.2
"""End of the axes of differences between coefficients of determination; what is farther off is out of the competition."""
MAGNITUDE_ESTIMATORS = {"miracle"} | {
    name for name, row in NETWORK_SYSTEMS.items() if SYSTEMS[row.system].inputs == "magnitude"
}
PARAMETERS = (("T1", "t1"), ("T2", "t2"))


def _style(index: int) -> dict[str, Any]:
    # Style changes with the colour, so that two curves that lie on each other both show.
    return {
        "color": COLORS[index % len(COLORS)],
        # Shifted after each round of colours: no pair comes back before all are used up.
        "linestyle": LINE_STYLES[(index + index // len(COLORS)) % len(LINE_STYLES)],
        "linewidth": 1.6,
    }


def _percent(values: Any) -> NDArray[np.floating]:
    return fraction_to_percent(1.0) * np.asarray(values)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=8)


def _legend_below(figure: Figure, *panels: Axes, columns: int) -> None:
    """Put one legend below all panels; `panels` hold all curves between them."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=max(1, min(columns, len(found))),
        frameon=False,
        fontsize=8,
    )


def _names(rows: Sequence[CircleRow] | Sequence[NoiseRow] | Sequence[PlaneRow]) -> list[str]:
    return list(dict.fromkeys(row.estimator for row in rows))


def plane_figure(rows: Sequence[PlaneRow]) -> Figure:
    """Return the bias over the plane of T1 and T2, one row an estimator (Birk et al. 2025, Fig. 2)."""
    figure = Figure(figsize=(6.4, 2.1 * len(rows) + 0.8), layout="constrained")
    panels = figure.subplots(len(rows), 2, squeeze=False, sharex=True, sharey=True)
    extent = (
        seconds_to_milliseconds(PAPER_T2[0]),
        seconds_to_milliseconds(PAPER_T2[1]),
        seconds_to_milliseconds(PAPER_T1[0]),
        seconds_to_milliseconds(PAPER_T1[1]),
    )
    image = None
    for line, row in zip(panels, rows, strict=True):
        for axes, (label, key) in zip(line, PARAMETERS, strict=True):
            bias = _percent(getattr(row, f"{key}_bias"))
            error = _percent(getattr(row, f"{key}_error"))
            image = axes.imshow(
                bias,
                origin="lower",
                aspect="auto",
                extent=extent,
                cmap="RdBu_r",
                vmin=-LARGEST_BIAS,
                vmax=LARGEST_BIAS,
                interpolation="nearest",
            )
            axes.set_title(f"{label}, mean |error| {np.nanmean(error):.1f} %", fontsize=9)
            axes.tick_params(labelsize=8)
        line[0].set_ylabel(f"{row.estimator}\nT1 (ms)", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("T2 (ms)", fontsize=9)
    assert image is not None
    bar = figure.colorbar(image, ax=panels, extend="both", shrink=min(1.0, 2.0 / len(rows)), aspect=25)
    bar.set_label(f"bias at SNR {rows[0].snr:g} (%)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def noise_figure(rows: Sequence[NoiseRow]) -> Figure:
    """Return the coefficient of determination of single draws against SNR (Birk et al. 2025, Fig. 3).

    On top that of the first estimator, below what the others have more or less of it.
    """
    sets, (reference, *others) = list(dict.fromkeys(row.set_name for row in rows)), _names(rows)
    figure = Figure(figsize=(3.4 * len(sets) + 0.4, 7.2), layout="constrained")
    panels = figure.subplots(3, len(sets), squeeze=False, sharex=True, sharey="row")
    for column, set_name in zip(panels.T, sets, strict=True):
        curves = {name: _curve(rows, name, set_name) for name in (reference, *others)}
        snrs, baseline = curves[reference]
        for index, (label, _) in enumerate(PARAMETERS):
            column[0].plot(snrs, baseline[index], label=label, color="0.1", linestyle=LINE_STYLES[index])
            for order, name in enumerate(others):
                column[1 + index].plot(snrs, curves[name][1][index] - baseline[index], label=name, **_style(order))
            column[1 + index].set_title(f"{label}, {set_name}: difference to {reference}", fontsize=9)
            column[1 + index].axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
            column[1 + index].set_ylim(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
        column[0].set_title(f"{reference}, {set_name}", fontsize=9)
        # Below zero an estimate is worse than a constant: how much worse is of no interest.
        column[0].set_ylim(0.0, 1.0)
        column[0].legend(frameon=False, fontsize=8, loc="lower right")
        column[-1].set_xlabel("SNR", fontsize=9)
        for axes in column:
            _tidy(axes)
    for axes, text in zip(panels[:, 0], ("CoD", "ΔCoD", "ΔCoD"), strict=True):
        axes.set_ylabel(text, fontsize=9)
    _legend_below(figure, panels[1, 0], columns=3)
    return figure


def _curve(rows: Sequence[NoiseRow], name: str, set_name: str) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return SNR, shape (S,), and coefficients of determination of T1 and T2, shape (2, S)."""
    chosen = [row for row in rows if (row.estimator, row.set_name) == (name, set_name) and math.isfinite(row.snr)]
    chosen.sort(key=lambda row: row.snr)
    values = [[getattr(row, f"{key}_single") for row in chosen] for _, key in PARAMETERS]
    return np.array([row.snr for row in chosen]), np.array(values)


def off_resonance_figure(rows: Sequence[CircleRow]) -> Figure:
    """Return the noise-free error over θ, one column a number of cycles (Birk et al. 2025, Fig. 5).

    Estimators that see magnitudes alone swing by tens of percent; they have lines of panels of their own.
    """
    numbers, names = list(dict.fromkeys(row.number_of_cycles for row in rows)), _names(rows)
    groups = [
        (text, group)
        for text, group in (
            ("magnitudes", [name for name in names if name in MAGNITUDE_ESTIMATORS]),
            ("complex", [name for name in names if name not in MAGNITUDE_ESTIMATORS]),
        )
        if group
    ]
    lines = [(text, group, *parameter) for text, group in groups for parameter in PARAMETERS]
    figure = Figure(figsize=(2.9 * len(numbers) + 0.6, 2.2 * len(lines) + 0.8), layout="constrained")
    panels = figure.subplots(len(lines), len(numbers), squeeze=False, sharex=True)
    for line, (text, group, label, key) in zip(panels, lines, strict=True):
        for axes, number in zip(line, numbers, strict=True):
            for row in rows:
                if row.number_of_cycles == number and row.estimator in group:
                    axes.plot(
                        np.asarray(row.theta) / math.pi,
                        _percent(getattr(row, key)),
                        label=row.estimator,
                        **_style(names.index(row.estimator)),
                    )
            axes.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
            axes.set_title(f"{label}, {number} cycles, {text}", fontsize=9)
            _tidy(axes)
        line[0].set_ylabel("error (%)", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("θ (π rad)", fontsize=9)
        axes.set_xticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    _legend_below(figure, *panels[:: len(PARAMETERS), 0], columns=4)
    return figure


def convergence_figure(rows: Sequence[ConvergenceRow]) -> Figure:
    """Return agreement with the final epoch and validation loss over the epochs, one column a system (Birk et al. 2025, Fig. 8)."""
    figure = Figure(figsize=(3.2 * len(rows) + 0.6, 5.2), layout="constrained")
    panels = figure.subplots(2, len(rows), squeeze=False, sharex="col", sharey="row")
    for (top, bottom), row in zip(panels.T, rows, strict=True):
        epochs = np.arange(1, len(row.t1) + 1)
        for index, (label, key) in enumerate(PARAMETERS):
            top.plot(epochs, getattr(row, key), marker="o", markersize=3, label=label, **_style(index))
        top.set_title(row.system, fontsize=9)
        top.legend(frameon=False, fontsize=8)
        bottom.semilogy(epochs, row.validation_loss, color="0.2", marker="o", markersize=3)
        bottom.set_xlabel("epoch", fontsize=9)
        _tidy(top)
        _tidy(bottom)
    panels[0, 0].set_ylabel("agreement with the last epoch (CoD)", fontsize=9)
    panels[1, 0].set_ylabel("validation loss", fontsize=9)
    return figure
