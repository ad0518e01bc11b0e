"""Colours of missing values, regions and curves."""

from __future__ import annotations

import numpy as np

from qmri_bids.reports.drawing.colormaps import color_table

NO_VALUE_COLORS = ("#8c8c8c", "#2a9d8f", "#e76f9b")
"""Colours of a voxel inside the mask that has no value: the first one that the colour map does not hold."""


def no_value_color(colormap: str) -> str:
    """Return a colour for missing values that cannot be taken for a value: grey, unless the map holds grey.

    Parameters
    ----------
    colormap
        Name of a colour map, as `colormaps.color_table` takes it.

    Raises
    ------
    ValueError
        If the colour map holds all candidates.
    """
    from matplotlib.colors import to_rgb

    colors = color_table(colormap)
    for candidate in NO_VALUE_COLORS:
        if np.linalg.norm(colors - np.array(to_rgb(candidate)), axis=1).min() > 0.15:
            return candidate
    raise ValueError(f"the colour map {colormap} leaves no colour for missing values: choose another one")


TISSUE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of regions and curves (Okabe and Ito)."""
