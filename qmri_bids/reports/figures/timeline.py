"""One repetition of a saturation protocol, drawn to scale in time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.saturation import SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.units import seconds_to_milliseconds, tesla_to_microtesla

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"recovery": "#e9edf0", "pulses": "#0072b2", "spoiler": "#e3b5ce", "readout": "#eadcae"}
"""Colours of the parts of a repetition."""

_LEVEL = "#d55e00"
"""Colour of the root mean square of B1."""

MOST_STEPS = 64
"""Steps that a pulse is drawn with in a long train."""

_UNKNOWN_READOUT = 0.06
"""Share of a repetition that a readout of unknown length takes in the picture."""


def needs_zoom(protocol: SaturationProtocol, image: SaturatedImage, saturation: Saturation) -> bool:
    """Return whether a single pulse cannot be seen in the whole repetition."""
    readout = 0.0 if protocol.readout is None else protocol.readout.number * protocol.readout.spacing
    total = image.recovery + saturation.duration + saturation.spoiler + readout
    return saturation.number > 1 or saturation.duration < 0.2 * total


def _clock(seconds: float) -> tuple[float, str]:
    """Return the factor and unit in which a time of this length is read."""
    return (1.0, "s") if seconds >= 1.0 or seconds == 0.0 else (seconds_to_milliseconds(1.0), "ms")


def duration_text(seconds: float) -> str:
    """Return a time with its unit.

    Examples
    --------
    >>> duration_text(3.5), duration_text(0.0205)
    ('3.5 s', '20.5 ms')
    """
    factor, unit = _clock(seconds)
    return f"{factor * seconds:.4g} {unit}"


def envelope(saturation: Saturation, *, first: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return corners of B1 [µT] over time [s] from the start of pulse `first`; phase π counts as negative."""
    segments = saturation.pulse.segments
    amplitude = np.array([tesla_to_microtesla(each.amplitude) * _sign(each.phase) for each in segments])
    edges = np.concatenate([[0.0], np.cumsum([each.duration for each in segments])])
    if saturation.number - first > 4 and len(segments) > MOST_STEPS:
        kept = np.unique(np.linspace(0, len(segments) - 1, MOST_STEPS).astype(int))
        amplitude = amplitude[kept]
        edges = np.concatenate([edges[kept], edges[-1:]])
    # Every step has two corners; zero before and after makes the flanks of a pulse upright.
    time = np.concatenate([[0.0], np.repeat(edges, 2)[1:-1], edges[-1:]])
    height = np.concatenate([[0.0], np.repeat(amplitude, 2), [0.0]])
    step = saturation.pulse.duration + saturation.gap
    starts = step * np.arange(saturation.number - first)
    return (starts[:, None] + time).ravel(), np.tile(height, len(starts))


def _sign(phase: float) -> float:
    return -1.0 if math.cos(phase) < -0.999 else 1.0


def draw_repetition(axes: Axes, protocol: SaturationProtocol, image: SaturatedImage, saturation: Saturation) -> None:
    """Draw recovery, pulses, spoiler and readout of one image."""
    readout = None if protocol.readout is None else protocol.readout.number * protocol.readout.spacing
    known = image.recovery + saturation.duration + saturation.spoiler + (readout or 0.0)
    ends = np.cumsum(
        [
            0.0,
            image.recovery,
            saturation.duration,
            saturation.spoiler,
            known * _UNKNOWN_READOUT if readout is None else readout,
        ]
    )
    factor, unit = _clock(float(ends[-1]))
    time, height = envelope(saturation)
    for name, begin, end in zip(("recovery", "", "spoiler", "readout"), ends[:-1], ends[1:], strict=True):
        if name and end > begin:
            axes.axvspan(factor * begin, factor * end, color=COLORS[name], linewidth=0, zorder=0)
    if readout is None:
        axes.axvspan(
            factor * ends[3], factor * ends[4], facecolor="none", edgecolor="#b9a562", hatch="////", linewidth=0
        )
    axes.fill_between(factor * (ends[1] + time), 0.0, height, color=COLORS["pulses"], linewidth=0.3)
    level = tesla_to_microtesla(saturation.b1_rms)
    marks_level = level < 0.985 * float(np.abs(height).max())
    if marks_level:
        axes.plot(factor * ends[1:3], [level, level], color=_LEVEL, linewidth=1.2)
    axes.set_xlim(0.0, factor * ends[-1])
    axes.set_ylim(min(0.0, 1.15 * float(height.min())), 1.25 * float(height.max()))
    axes.set_xlabel(f"time in the repetition [{unit}]", fontsize=9)
    axes.set_ylabel("B1 [µT]", fontsize=9)
    plain(axes)
    axes.grid(False)
    train = (
        f"{saturation.number} pulses of {duration_text(saturation.pulse.duration)}"
        if saturation.number > 1
        else f"pulse {duration_text(saturation.pulse.duration)}"
    )
    names = {
        "recovery": f"recovery {duration_text(image.recovery)}" if image.recovery else "",
        "pulses": train,
        "spoiler": f"spoiler {duration_text(saturation.spoiler)}" if saturation.spoiler else "",
        "readout": "readout" if readout is None else f"readout {duration_text(readout)}",
    }
    _key(axes, {name: text for name, text in names.items() if text}, level=f"rms {level:.3g} µT" if marks_level else "")


def _key(axes: Axes, names: dict[str, str], *, level: str) -> None:
    """Write what the colours mean above the axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=COLORS[name], edgecolor="#999999", linewidth=0.4, label=text) for name, text in names.items()
    ]
    if level:
        handles.insert(-1, Line2D([], [], color=_LEVEL, linewidth=1.4, label=level))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncol=len(handles),
        frameon=False,
        fontsize=8,
        handlelength=1.1,
        handleheight=0.8,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def draw_end(axes: Axes, saturation: Saturation) -> None:
    """Draw the last pulses with their gap and the spoiler."""
    shown = min(saturation.number, 2)
    time, height = envelope(saturation, first=saturation.number - shown)
    length = shown * (saturation.pulse.duration + saturation.gap) - saturation.gap
    end = length + saturation.spoiler
    factor, unit = _clock(end)
    axes.fill_between(factor * time, 0.0, height, color=COLORS["pulses"], alpha=0.35, linewidth=0)
    axes.plot(factor * time, height, color=COLORS["pulses"], linewidth=1.2)
    if saturation.spoiler:
        axes.axvspan(factor * length, factor * end, color=COLORS["spoiler"], linewidth=0, zorder=0)
    if saturation.gap and shown > 1:
        begin = factor * saturation.pulse.duration
        axes.annotate(
            f"gap {duration_text(saturation.gap)}",
            (begin + 0.5 * factor * saturation.gap, 1.04 * float(height.max())),
            fontsize=8,
            ha="center",
            va="bottom",
        )
    axes.set_xlim(0.0, factor * end)
    axes.set_ylim(min(0.0, 1.15 * float(height.min())), 1.25 * float(height.max()))
    axes.set_xlabel(f"time [{unit}]", fontsize=9)
    axes.set_title("the last two pulses" if shown > 1 else "the pulse", fontsize=9, pad=4)
    plain(axes)
    axes.grid(False)
    axes.locator_params(axis="x", nbins=5)
