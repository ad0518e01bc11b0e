"""Picture of what each phase cycle has of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain, widen
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas

_LEFT_OUT = "#c0392b"
_COLOR = "#0072b2"


def calibration_figure(found: Mapping[str, NDArray[Any]]) -> Figure | None:
    """Return frequency and gain by cycle with their standard deviations, None where neither was determined.

    Parameters
    ----------
    found
        `frequency` [Hz], `gain` (1 is the mean), their `_stdev`, NaN where not known, and `left_out`, each of shape (N,).
    """
    out = np.asarray(found["left_out"], dtype=bool)
    frequency, gain = (
        np.asarray(found["frequency"], dtype=float),
        100.0 * (np.asarray(found["gain"], dtype=float) - 1.0),
    )
    if not (np.nan_to_num(frequency).any() or np.nan_to_num(gain).any() or out.any()):
        # Where nothing is beyond its uncertainty nothing was changed, and points at 0 would look like a measurement.
        return None
    numbers = np.arange(1, len(frequency) + 1)
    canvas = new_canvas(height=3.4)
    top, bottom = canvas.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.14})
    canvas.subplots_adjust(left=0.09, right=0.97, top=0.97, bottom=0.13)
    for axes, values, stdev, label, least in (
        (top, frequency, np.asarray(found["frequency_stdev"], dtype=float), "frequency [Hz]", 1.0),
        (bottom, gain, 100.0 * np.asarray(found["gain_stdev"], dtype=float), "gain [%]", 0.5),
    ):
        known = np.isfinite(values)
        axes.errorbar(
            numbers[known],
            values[known],
            yerr=np.nan_to_num(stdev[known]),
            fmt="o-",
            color=_COLOR,
            markersize=4,
            linewidth=1.2,
            elinewidth=1.0,
            capsize=2.5,
        )
        axes.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
        widen(axes, np.concatenate([np.nan_to_num(values - stdev), np.nan_to_num(values + stdev)]), least=least)
        axes.set_ylabel(label, fontsize=9)
        for number in numbers[out]:
            axes.axvspan(number - 0.5, number + 0.5, color=_LEFT_OUT, alpha=0.15, zorder=-1, linewidth=0)
        plain(axes)
    bottom.set_xlabel("cycle", fontsize=9)
    bottom.set_xlim(0.4, len(numbers) + 0.6)
    bottom.set_xticks(numbers[:: max(1, math.ceil(len(numbers) / 24))])
    canvas.align_ylabels([top, bottom])
    left_out = ", ".join(str(number) for number in numbers[out])
    return Figure(
        key="calibration",
        title="Frequency and gain of the cycles",
        caption="Frequency in the middle of the volume and gain of every cycle relative to the mean of the cycles, as found from "
        "all voxels of tissue together and removed, with their standard deviations; all 0 where no difference beyond them was seen."
        + (f" Left out, because it does not follow the others (red): {left_out}." if left_out else ""),
        image=encode_picture(canvas),
        section=Section.CYCLES,
        alternative="Frequency and gain over the cycles",
    )
