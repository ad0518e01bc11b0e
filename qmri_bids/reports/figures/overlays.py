"""Pictures of anatomical images with an outline over them: the brain mask and a registration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.encode import DOTS_PER_INCH, encode_picture
from qmri_bids.reports.drawing.planes import GAP, RADIOLOGICAL, Panels, View, foreground, gray, lay_out, outline, show
from qmri_bids.tissue_labels import FLUID, WHITE

OUTLINED = 64
"""Colours of a grey image with outlines."""


def mask_figure(
    image: NDArray[np.floating],
    *,
    mask: NDArray[Any],
    affine: NDArray[np.floating],
    image_name: str = "mean magnitude of the cycles",
    key: str = "brain-mask",
    title: str = "Brain mask",
    section: Section = Section.CYCLES,
) -> Figure:
    """Return an anatomical image in three planes with the outline of the brain mask.

    Parameters
    ----------
    image
        Real image, shape (X, Y, Z).
    mask
        Brain mask, shape (X, Y, Z).
    affine
        Voxel to world [mm], shape (4, 4).
    image_name
        What the image is, for the caption.
    key, title, section
        Name, heading and place of the figure.
    """
    cropped = View(affine=affine, mask=mask)
    whole = View(affine=affine, mask=foreground(image) | np.asarray(mask, dtype=bool))
    # The cuts are those of the maps, the frame is the whole head: a mask that misses brain must be seen to.
    panels = lay_out(whole, cropped.standard_rows(), side=0.0)
    show(panels, whole, gray(whole.reorient(image), within=cropped.mask), cmap="gray", vmin=0, vmax=1)
    outline(panels, whole, cropped.mask, levels=[0.5], color="#f0e442")
    return Figure(
        key=key,
        title=title,
        caption=f"{image_name[:1].upper()}{image_name[1:]}; yellow: outline of the brain mask. {RADIOLOGICAL}",
        image=encode_picture(panels.canvas, colors=OUTLINED),
        section=section,
        alternative=f"Outline of the brain mask over the {image_name}",
    )


TISSUE_COLOURS = {FLUID: "#4f7bff", WHITE: "#3cc8dc"}
"""Outlines of fluid and white matter, in the order in which they are drawn."""


def tissue_figure(
    image: NDArray[np.floating],
    *,
    labels: NDArray[np.integer],
    mask: NDArray[Any],
    affine: NDArray[np.floating],
    image_name: str = "T1",
) -> Figure:
    """Return a map in three planes with the outlines of the tissues.

    Parameters
    ----------
    image
        A map, shape (X, Y, Z); values that are not finite count as 0.
    labels
        Labels of the tissues (`tissue_labels`), shape (X, Y, Z).
    mask
        Brain mask, shape (X, Y, Z).
    affine
        Voxel to world [mm], shape (4, 4).
    image_name
        What the map is, for the caption.
    """
    view = View(affine=affine, mask=mask)
    panels = lay_out(view, view.standard_rows(), side=0.0)
    show(panels, view, gray(view.reorient(np.nan_to_num(image)), within=view.mask), cmap="gray", vmin=0, vmax=1)
    for label, color in TISSUE_COLOURS.items():
        where = view.reorient((np.asarray(labels) == label).astype(np.float32))
        outline(panels, view, where, levels=[0.5], color=color)
    return Figure(
        key="tissues",
        title="Tissues",
        caption=f"{image_name} with outlines of white matter (cyan) and fluid (blue); the rest of the brain is grey matter, or has "
        f"no label. {RADIOLOGICAL}",
        image=encode_picture(panels.canvas, colors=OUTLINED),
        section=Section.MAPS,
        alternative=f"Outlines of the tissues over {image_name}",
    )


def registration_figure(
    fixed: NDArray[np.floating],
    moving: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[Any] | None = None,
    fixed_name: str = "mean bSSFP magnitude",
    moving_name: str = "anatomical image of the B1 scan",
    key: str = "registration",
    title: str = "Registration of the B1 map",
    section: Section = Section.B1,
) -> Figure:
    """Return two registered images below each other, both with the edges of the moving one.

    Parameters
    ----------
    fixed, moving
        Images on the same grid, shape (X, Y, Z).
    affine
        Voxel to world of that grid [mm], shape (4, 4).
    mask
        Brain mask that fixes the cuts; the foreground of `fixed` where none is given.
    fixed_name, moving_name
        Names for the caption.
    key, title, section
        Name, heading and place of the figure.
    """
    pair = _pair(fixed, moving, affine=affine, mask=mask)
    return Figure(
        key=key,
        title=title,
        caption=f"Top: {fixed_name}; bottom: {moving_name}, resampled to it. The red contours are those "
        "of the bottom image: at the top they should follow the edges seen there. "
        f"{RADIOLOGICAL}",
        image=encode_picture(pair.canvas, colors=OUTLINED),
        section=section,
        alternative=f"Contours of the {moving_name} over the {fixed_name}",
        frames=(fixed_name, moving_name),
        frame_step=_step(pair),
    )


def realigned_figure(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    name: str,
    displacement: float,
    key: str = "realigned",
    title: str = "Before and after the correction of motion",
) -> Figure:
    """Return the image of a series that had moved most, as it was scanned and as it was brought back.

    Parameters
    ----------
    before, after
        Magnitudes on the same grid, shape (X, Y, Z).
    affine
        Voxel to world of that grid [mm], shape (4, 4).
    mask
        Brain mask that fixes the cuts.
    name
        What the image is: `cycle 4 of 12`.
    displacement
        How far it lay from the reference, translations and arcs together [mm].
    key, title
        Name and heading of the figure.
    """
    pair = _pair(before, after, affine=affine, mask=mask)
    return Figure(
        key=key,
        title=title,
        caption=f"Top: {name}, which lay {displacement:.2f} mm from the reference (translations and arcs together), as it was "
        "scanned; bottom: brought back. The red contours are those of the bottom image: looked at in turn, the two show what was "
        f"corrected. {RADIOLOGICAL}",
        image=encode_picture(pair.canvas, colors=OUTLINED),
        section=Section.MOTION,
        alternative=f"The {name} before and after the correction of motion, with contours of the latter",
        frames=("as scanned", "brought back"),
        frame_step=_step(pair),
    )


def _pair(
    upper_image: NDArray[np.floating],
    lower_image: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[Any] | None,
) -> Panels:
    """Return two images below each other, in the same cuts and at the same scale, with the edges of the lower one."""
    from scipy.ndimage import gaussian_filter

    whole = View(affine=affine, mask=foreground(upper_image))
    cropped = whole if mask is None else View(affine=affine, mask=mask)
    row = cropped.mixed_row()
    panels = lay_out(whole, [row, row], side=0.0)
    half = len(panels.axes) // 2
    upper, lower = (
        Panels(canvas=panels.canvas, axes=axes, height=panels.height, right=panels.right)
        for axes in (panels.axes[:half], panels.axes[half:])
    )
    first, second = (gray(whole.reorient(image), within=cropped.mask) for image in (upper_image, lower_image))
    show(upper, whole, first, cmap="gray", vmin=0, vmax=1)
    show(lower, whole, second, cmap="gray", vmin=0, vmax=1)
    smooth = gaussian_filter(second, 0.8)
    levels = _edge_levels(smooth)
    for part in (upper, lower):
        outline(part, whole, smooth, levels=levels, color="#ff4d4d")
    return panels


def _step(pair: Panels) -> float:
    """Return how far the lower of two images lies below the upper one, as a share of the height of the picture."""
    pixels = DOTS_PER_INCH * pair.height
    return round(0.5 * (pixels - DOTS_PER_INCH * GAP)) / pixels


def _edge_levels(scaled: NDArray[np.floating]) -> list[float]:
    """Return half of the typical brightness, where the outline of a blurred edge lies, and 0.8 of it."""
    foreground = scaled[scaled > 0.1]
    typical = float(np.median(foreground)) if foreground.size else 0.0
    return [0.5 * typical, 0.8 * typical] if typical else []
