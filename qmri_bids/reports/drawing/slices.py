"""One slice of a map as a small picture without letters, for the overview of a participant."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.drawing.planes import View

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

SLICE_SIDE = 132
"""Longest side of the picture [pixels]: twice that on the page, for dense screens."""

_HEIGHT = 0.60
"""Place of the slice between the base and the top of the mask: through the ventricles of a head."""


def slice_png(
    values: NDArray[np.floating],
    *,
    view: View,
    window: tuple[float, float],
    colormap: Colormap,
    absent: str,
) -> bytes:
    """Return a slice of a map as PNG with a palette; what is outside the mask is transparent.

    Parameters
    ----------
    values
        The map, reoriented as `view` is; NaN inside its mask has no value.
    view
        The volume and its mask.
    window
        Values of the first and of the last colour.
    colormap
        Colours from the first to the last value.
    absent
        Colour of voxels without a value.
    """
    from matplotlib.colors import to_rgb
    from PIL import Image

    cut = view.cuts(view.main_plane, (_HEIGHT,))[0]
    mask = view.image(view.mask, cut)[::-1]
    plane = view.image(values, cut)[::-1].astype(float)
    low, high = window
    known = mask & np.isfinite(plane)
    shade = np.zeros(plane.shape)
    shade[known] = np.clip((plane[known] - low) / (high - low), 0.0, 1.0)
    # 0: outside, 1: no value, then the colour map.
    index = np.zeros(plane.shape, dtype=np.uint8)
    index[mask] = 1
    index[known] = np.round(2 + 253 * shade[known]).astype(np.uint8)
    colors = np.asarray(colormap(np.linspace(0.0, 1.0, 254)))[:, :3]
    palette = np.round(255 * np.concatenate([[(0.0, 0.0, 0.0), to_rgb(absent)], colors])).astype(np.uint8)
    picture = Image.fromarray(index)
    picture.putpalette(palette.tobytes())
    width, height = view.size(cut.plane)
    scale = SLICE_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST).save(file, format="png", optimize=True, transparency=0)
    return file.getvalue()
