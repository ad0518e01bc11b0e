"""From a matplotlib canvas to the bytes of a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure as Canvas
    from PIL import Image

DOTS_PER_INCH = 140
"""Enough for crisp text at the width of the page, also on a dense screen."""

_GRAYS = 64


def encode_picture(
    canvas: Canvas, *, colormap: Colormap | None = None, extra: Sequence[str] = (), colors: int = 256
) -> bytes:
    """Return the canvas as lossless WebP with 256 colours: a third of true colour, and a sixth less than PNG.

    Parameters
    ----------
    canvas
        The canvas.
    colormap
        The colour map of a map: the palette then holds it in even steps, and greys. Without it the palette is
        made from the colours of the picture.
    extra
        Further colours that this palette must hold.
    colors
        Size of the palette that is made from the picture: grey images with outlines look alike with 64, at two thirds of the bytes.

    Notes
    -----
    The same canvas gives the same bytes: no date and no version is written into the file.
    """
    from PIL import Image

    raw = io.BytesIO()
    canvas.savefig(raw, format="png", dpi=DOTS_PER_INCH)
    with Image.open(raw) as picture:
        pixels = picture.convert("RGB")
    if colormap is None:
        packed = pixels.quantize(colors=colors, dither=Image.Dither.NONE)
    else:
        # A palette by frequency would give rare values coarse steps, in the colour bar too.
        palette = _map_palette(colormap, extra)
        packed = Image.fromarray(_nearest(np.asarray(pixels), palette))
        packed.putpalette(palette.tobytes())
    return _webp(packed)


def encode_in_true_color(canvas: Canvas) -> bytes:
    """Return the canvas as lossless WebP in true colour: several colour maps in one picture need more than a palette."""
    from PIL import Image

    raw = io.BytesIO()
    canvas.savefig(raw, format="png", dpi=DOTS_PER_INCH)
    with Image.open(raw) as picture:
        return _webp(picture)


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, format="webp", lossless=True, quality=50, method=4)
    return file.getvalue()


def _map_palette(colormap: Colormap, extra: Sequence[str]) -> NDArray[np.uint8]:
    """Return 256 colours, shape (256, 3): the extra ones, greys, and the colour map in even steps."""
    from matplotlib.colors import to_rgb

    grays = np.repeat(np.linspace(0.0, 1.0, _GRAYS)[:, None], 3, axis=1)
    fixed = np.concatenate([np.array([to_rgb(color) for color in extra]).reshape(-1, 3), grays])
    colors = colormap(np.linspace(0.0, 1.0, 256 - len(fixed)))[:, :3]
    palette: NDArray[np.uint8] = np.round(255 * np.concatenate([fixed, colors])).astype(np.uint8)
    return palette


def _nearest(picture: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return for every pixel the index of the nearest colour of the palette, shape (rows, columns)."""
    from scipy.spatial import KDTree

    packed = (picture.astype(np.uint32) * np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)
    codes, inverse = np.unique(packed, return_inverse=True)
    colors = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=-1)
    _, index = KDTree(palette.astype(float)).query(colors.astype(float))
    nearest: NDArray[np.uint8] = index.astype(np.uint8)[inverse].reshape(picture.shape[:2])
    return nearest
