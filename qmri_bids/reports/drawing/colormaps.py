"""Colours of maps: those of relaxation that the field recommends, and the ones of matplotlib, as tables of 256 colours.

T1 is shown in lipari and T2 in navia, rates in the same ones reversed, all processed logarithmically (Fuderer et al. 2025,
doi:10.1002/mrm.30290): the lower part of the window is linear, the upper one logarithmic, so that tissue and fluid both have
contrast. The colours are those of Crameri, by the tables that the paper has published (`data/relaxation_colors.json`).
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.colors import ListedColormap

RELAXATION = ("lipari", "navia")
"""Colour maps of relaxation times; reversed (`lipari_r`) they are those of rates."""

LEVELS = 256
"""Colours of a table."""


def is_logarithmic(name: str) -> bool:
    """Return whether a colour map is processed logarithmically within its window.

    Parameters
    ----------
    name
        Name of a colour map.
    """
    return name.removesuffix("_r") in RELAXATION


@cache
def color_table(name: str) -> NDArray[np.float64]:
    """Return the colours of a map from low to high, shape (256, 3), from 0 to 1.

    Parameters
    ----------
    name
        One of `RELAXATION`, reversed where it ends in `_r`, or the name of a matplotlib colour map.

    Raises
    ------
    KeyError
        If neither knows the name.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if is_logarithmic(name):
        stored = json.loads((files("qmri_bids") / "data" / "relaxation_colors.json").read_text(encoding="utf-8"))
        table = np.array([to_rgb(color) for color in stored[name.removesuffix("_r")]])
        return table[::-1] if name.endswith("_r") else table
    return np.asarray(colormaps[name](np.linspace(0.0, 1.0, LEVELS))[:, :3])


def color_position(values: NDArray[np.floating], *, low: float, high: float) -> NDArray[np.float64]:
    """Return where values lie in a table of colours that is processed logarithmically, from 0 to 1.

    Up to `high`/e the position grows linearly, beyond it by the logarithm, with one slope where the two meet; where the window
    begins above `high`/e it is logarithmic throughout (Fuderer et al. 2025, doi:10.1002/mrm.30290).

    Parameters
    ----------
    values
        Values, any shape.
    low, high
        Limits of the window in the unit of the values. Of a window that does not end above zero, or begins below it, the logarithm
        tells nothing: it is linear.
    """
    inside = np.clip(np.asarray(values, dtype=float), low, high)
    if low < 0.0 or high <= 0.0:
        return np.asarray((inside - low) / (high - low))
    bend = high / math.e
    start = max(bend, low)
    share = (bend - low) / (2.0 * bend - low) if low < bend else 0.0
    upper = share + (1.0 - share) * np.log(np.maximum(inside, start) / start) / math.log(high / start)
    lower = share * (inside - low) / (bend - low) if low < bend else np.zeros_like(inside)
    return np.where(inside > start, upper, lower)


def windowed(name: str, *, low: float, high: float) -> ListedColormap:
    """Return the colours of a map in even steps of the value over its window.

    Parameters
    ----------
    name
        As `color_table`.
    low, high
        Limits of the window.
    """
    from matplotlib.colors import ListedColormap

    table = color_table(name)
    if is_logarithmic(name):
        at = color_position(np.linspace(low, high, LEVELS), low=low, high=high)
        table = table[np.rint(at * (LEVELS - 1)).astype(int)]
    return ListedColormap(table.tolist(), name=name)
