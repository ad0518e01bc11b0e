"""What a T1-weighted image of a whole head shows, voxel by voxel: shares of tissues, bone without signal, and air.

Inside the brain intensity tells white matter, grey matter and fluid: around the intensity of each lies a plateau of pure tissue,
between two neighbours the mixture is linear. Where white matter borders on the ventricles their mixture has the intensity of grey
matter; there the mixture is of these two. Outside the brain intensity and place tell fat, muscle, marrow, the eyes, bone and air.
All thresholds are in units of the intensity of white matter; distances are millimetres of a head of usual size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.tissues import Label

PLATEAU = 0.25
"""Share of the distance between the intensities of two tissues over which each of them is pure."""
DARK, DARK_FLUID = 0.20, 0.65
"""Bone and air are darker than both: this in units of white matter, and this in units of fluid."""
SOLID = 0.42
"""From here on a voxel outside the brain is full of tissue."""
FAT_FROM, FAT_TO = 0.80, 1.20
"""Between them a mixture of muscle and fat."""
RIM = 2.0
"""Fluid around the brain [mm]."""
SKULL_DEPTH, SKULL_REACH = 9.0, 14.0
"""Marrow lies deeper below the skin and closer to the brain [mm]."""
AIR_RADIUS = 3.5
"""Dark regions that hold a ball of this radius are air, others bone [mm]."""
AIR_BEHIND = 35.0
"""No cavity lies farther behind the middle of the brain [mm]."""
EYE_RADIUS = 6.0
"""Every eye holds a ball of this radius [mm]."""
EYE_VOLUME = (1.5e3, 12e3)
"""[mm³]"""
EYE_REACH = 38.0
"""The fat behind an eye lies so near to its middle [mm]."""

SHADING = 0.15
"""Where the bright tissue of eighths of the brain differs by more, shading is taken out first."""
DEEPER = 1.2
"""White matter lies at least so many times as deep below the surface of the brain as grey matter, on average."""

LABELS = (Label.GM, Label.WM, Label.CSF, Label.FAT, Label.MUSCLE, Label.MARROW, Label.VITREOUS)
"""Order of the shares."""


@dataclass(frozen=True, kw_only=True)
class Tissues:
    """What lies in every voxel of an image.

    Parameters
    ----------
    shares
        Share of each of `LABELS`, 255 for the whole, shape (x, y, z, 7); what is left is bone or air.
    brain
        The brain, shape (x, y, z).
    inside_skull
        Brain, fluid and what lies between.
    head
        All within the skin, air in cavities included.
    air
        Air within the skin.
    decisions
        What was found, in sentences.
    """

    shares: NDArray[np.uint8]
    brain: NDArray[np.bool_]
    inside_skull: NDArray[np.bool_]
    head: NDArray[np.bool_]
    air: NDArray[np.bool_]
    decisions: tuple[str, ...]


def box_around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """Return the box around a mask with a margin [voxels], within its array."""
    box = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        first, last = (int(there[0]), int(there[-1])) if len(there) else (0, 0)
        box.append(slice(max(0, first - margin), min(mask.shape[axis], last + margin + 1)))
    return tuple(box)


def grown(mask: NDArray[np.bool_], radius: float, spacing: float) -> NDArray[np.bool_]:
    """Return all that lies within a distance [mm] of a mask."""
    from scipy.ndimage import distance_transform_edt

    box = box_around(mask, int(np.ceil(radius / spacing)) + 1)
    out = np.zeros(mask.shape, dtype=bool)
    out[box] = distance_transform_edt(~mask[box], sampling=spacing) <= radius
    return out


def shrunk(mask: NDArray[np.bool_], radius: float, spacing: float) -> NDArray[np.bool_]:
    """Return what lies deeper in a mask than a distance [mm]; where the image ends the mask does not."""
    from scipy.ndimage import distance_transform_edt

    box = box_around(mask, 1)
    out = np.zeros(mask.shape, dtype=bool)
    out[box] = mask[box] if mask[box].all() else distance_transform_edt(mask[box], sampling=spacing) > radius
    return out


def opened(mask: NDArray[np.bool_], radius: float, spacing: float) -> NDArray[np.bool_]:
    """Return the part of a mask that holds a ball of a radius [mm]."""
    return grown(shrunk(mask, radius, spacing), radius, spacing) & mask


def closed(mask: NDArray[np.bool_], radius: float, spacing: float) -> NDArray[np.bool_]:
    """Return a mask with all gaps that hold no ball of a radius [mm]."""
    margin = int(np.ceil(radius / spacing)) + 1
    padded = np.pad(mask, margin)
    inner = (slice(margin, -margin),) * 3
    return shrunk(grown(padded, radius, spacing), radius, spacing)[inner] | mask


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected part of a mask."""
    from scipy.ndimage import label

    parts, number = label(mask)
    if number == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    part: NDArray[np.bool_] = parts == int(np.argmax(sizes))
    return part


def clean_brain(brain: NDArray[np.bool_], *, spacing: float) -> NDArray[np.bool_]:
    """Return a brain mask without what hangs on it by a thread, with holes filled and its rim closed."""
    from scipy.ndimage import binary_fill_holes

    core = largest_part(opened(brain, 2.0 * spacing, spacing))
    filled: NDArray[np.bool_] = binary_fill_holes(closed(core, 2.0 * spacing, spacing))
    return filled


def evened(
    image: NDArray[np.float32], *, brain: NDArray[np.bool_], spacing: float
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return an image without shading, and a sentence where there was any: N4 where the eighths of the brain differ.

    Parameters
    ----------
    image
        T1-weighted image, shape (x, y, z).
    brain
        Its brain, same shape.
    spacing
        Edge of a voxel [mm].
    """
    inner = shrunk(brain, 2.0 * spacing, spacing)
    middle = np.argwhere(inner).mean(axis=0)
    upper = [np.arange(n) > at for n, at in zip(image.shape, middle, strict=True)]
    eighth = upper[0][:, None, None] + 2 * upper[1][:, None] + 4 * upper[2]
    bright = [float(np.percentile(image[inner & (eighth == part)], 80.0)) for part in range(8)]
    usual = float(np.percentile(image[inner], 80.0))
    spread = (max(bright) - min(bright)) / usual
    if spread < SHADING:
        return image, ()
    import ants

    def carried(values: NDArray) -> object:
        return ants.from_numpy(np.asarray(values, dtype=np.float32), spacing=(spacing,) * 3)

    corrected = ants.n4_bias_field_correction(
        carried(image),
        mask=carried(brain | (image > 0.15 * usual)),
        shrink_factor=int(max(1, round(6.0 / spacing))),
        convergence={"iters": [25, 25, 25], "tol": 1e-5},
    )
    said = f"The bright tissue of the eighths of the brain differs by {spread:.0%}: shading is taken out (N4)."
    return np.asarray(corrected.numpy(), dtype=np.float32), (said,)


def tissue_modes(values: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the intensities of fluid, grey matter and white matter of a T1-weighted brain.

    Three classes are told apart by Otsu's method; grey and white matter are the peaks of the smoothed histogram in the middle
    and the upper one, fluid the lowest tenth of the lowest, which holds its mixtures too.

    Raises
    ------
    ValueError
        If the classes are not those of a T1-weighted image.
    """
    from scipy.ndimage import gaussian_filter1d
    from skimage.filters import threshold_multiotsu

    upper = float(np.percentile(values, 99.5))
    kept = values[values < 1.1 * upper]
    low, high = threshold_multiotsu(kept, classes=3, nbins=128)
    counts, edges = np.histogram(kept, bins=256)
    smooth = gaussian_filter1d(counts.astype(float), 5.0)
    middle = 0.5 * (edges[1:] + edges[:-1])

    def peak(lower: float, upper: float) -> float:
        here = (middle >= lower) & (middle <= upper)
        return float(middle[here][np.argmax(smooth[here])])

    grey, white = peak(low, high), peak(high, float(edges[-1]))
    fluid = float(np.percentile(kept[kept < low], 10.0))
    if not fluid < 0.85 * grey < 0.85 * white:
        raise ValueError(
            f"the brain must show fluid darker than grey matter darker than white matter, as in T1 weighting; found intensities "
            f"{fluid:.4g}, {grey:.4g}, {white:.4g}; give a T1-weighted image"
        )
    return fluid, grey, white


def _ramp(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float32]:
    """Return 0 at `low` and 1 at `high`, linear between the plateaus around them."""
    step = PLATEAU * (high - low)
    return np.clip((values - low - step) / (high - low - 2.0 * step), 0.0, 1.0).astype(np.float32)


def tissues_of(
    image: NDArray[np.floating], *, brain: NDArray[np.bool_], spacing: float, stripped: bool = False
) -> Tissues:
    """Return the tissues of a T1-weighted image.

    Parameters
    ----------
    image
        T1-weighted image, shape (x, y, z), axes right, anterior, superior.
    brain
        The brain, same shape.
    spacing
        Edge of a voxel [mm] where the head has the size of a person's.
    stripped
        Whether the image holds the brain alone.

    Raises
    ------
    ValueError
        If the intensities are not those of a T1-weighted image.
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

    fluid, grey, white = tissue_modes(image[shrunk(brain, 2.0 * spacing, spacing)])
    decisions = [
        f"Intensities of fluid, grey and white matter: {fluid / white:.2f}, {grey / white:.2f} and 1 of white matter."
    ]
    depth = distance_transform_edt(brain, sampling=spacing)
    bright, middling = (
        float(np.mean(depth[brain & (np.abs(image - mode) < 0.25 * (white - grey))])) for mode in (white, grey)
    )
    if bright < DEEPER * middling:
        raise ValueError(
            "the brightest tissue of the brain must be white matter, which lies deeper than grey matter, as in T1 weighting; found "
            f"it {bright:.1f} mm below the surface and the next one {middling:.1f} mm; give a T1-weighted image"
        )
    relative = image / white
    fluid, grey = fluid / white, grey / white
    shares: dict[Label, NDArray[np.float32]] = {}

    dark = min(DARK, DARK_FLUID * fluid)

    # A mask of the brain that reaches into bone or air is cut back; then inside the brain.
    brain = clean_brain(brain & (relative > dark), spacing=spacing)
    wm, no_fluid = _ramp(relative, grey, 1.0), _ramp(relative, fluid, grey)
    gm, csf = no_fluid * (1.0 - wm), 1.0 - no_fluid
    ventricle = (csf > 0.9) & (depth > 15.0)
    border = grown(ventricle, 2.2, spacing) & grown((wm > 0.9) & brain, 2.2, spacing)
    both = _ramp(relative, fluid, 1.0)
    wm, gm, csf = np.where(border, both, wm), np.where(border, 0.0, gm), np.where(border, 1.0 - both, csf)
    outer = np.zeros(brain.shape, dtype=bool) if stripped else ~brain
    zero = np.zeros(brain.shape, dtype=np.float32)
    for label, share in ((Label.GM, gm), (Label.WM, wm), (Label.CSF, csf)):
        shares[label] = np.where(brain, share, zero)
    for label in (Label.FAT, Label.MUSCLE, Label.MARROW, Label.VITREOUS):
        shares[label] = zero.copy()
    head, inside_skull, air = brain, brain, np.zeros(brain.shape, dtype=bool)
    if not stripped:
        outline = largest_part(opened(relative > 1.2 * dark, spacing, spacing) | brain)
        head = binary_fill_holes(closed(outline, 5.0, spacing))
        # Nostrils, mouth and windpipe are open to the front and below: slices of the neck are filled one by one.
        inside_skull = closed(grown(brain, RIM, spacing), 8.0, spacing) & head
        outer = head & ~brain
        from_brain = distance_transform_edt(~brain, sampling=spacing)
        below_skin = distance_transform_edt(head, sampling=spacing)
        empty = head & ~brain & (relative < dark)
        middle = np.argwhere(brain).mean(axis=0)
        empty[:, : max(0, int(middle[1] - AIR_BEHIND / spacing)), :] = False
        air = opened(empty, AIR_RADIUS, spacing) & ~(inside_skull & (from_brain < RIM))
        solid = np.clip((relative - dark) / (SOLID - dark), 0.0, 1.0)
        fat = np.clip((relative - FAT_FROM) / (FAT_TO - FAT_FROM), 0.0, 1.0)
        eyes, centres = _eyes(relative, fluid=fluid, dark=dark, head=head, from_brain=from_brain, spacing=spacing)
        decisions.append(
            f"Eyes: {len(centres)} found by their fluid."
            if len(centres)
            else "No eyes were found: no region of their size is as dark as fluid."
        )
        orbit = np.zeros(brain.shape, dtype=bool)
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in brain.shape), indexing="ij", sparse=False), axis=-1)
        for centre in centres:
            orbit |= np.sum((spacing * (grid - centre)) ** 2, axis=-1) < EYE_REACH**2
        skull = outer & (below_skin > SKULL_DEPTH) & (from_brain < SKULL_REACH) & (from_brain > RIM) & ~orbit
        # The rim of the brain and what lies between it and the skull is fluid where it is as dark.
        wet = outer & inside_skull & ((from_brain <= RIM) | (relative > dark))
        water = np.where(from_brain <= RIM, 1.0, solid) * (1.0 - _ramp(relative, fluid, grey))
        shares[Label.CSF] += np.where(wet, water, zero)
        rest = np.where(wet, np.clip(solid - water, 0.0, 1.0), solid) * (outer & ~eyes)
        shares[Label.MARROW] += np.where(skull, rest * fat, zero)
        shares[Label.FAT] += np.where(skull, zero, rest * fat)
        shares[Label.MUSCLE] += rest * (1.0 - fat)
        shares[Label.VITREOUS] += np.where(eyes, 1.0, zero)
    packed = np.stack([np.rint(255.0 * shares[label]) for label in LABELS], axis=-1)
    return Tissues(
        shares=packed.astype(np.uint8),
        brain=brain,
        inside_skull=inside_skull,
        head=head,
        air=air,
        decisions=tuple(decisions),
    )


def _eyes(
    relative: NDArray[np.floating],
    *,
    fluid: float,
    dark: float,
    head: NDArray[np.bool_],
    from_brain: NDArray[np.floating],
    spacing: float,
) -> tuple[NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Return the humour of the eyes, and their middles [voxels]: compact regions as dark as fluid before the brain."""
    from scipy.ndimage import center_of_mass, label

    like_fluid = head & (from_brain > 4.0) & (relative > 1.2 * dark) & (relative < fluid + 0.22)
    front = np.zeros(head.shape, dtype=bool)
    brain = np.argwhere(from_brain == 0.0)
    front[:, int(np.median(brain[:, 1])) :, :] = True
    parts, number = label(opened(like_fluid & front, EYE_RADIUS, spacing))
    eyes, centres = np.zeros(head.shape, dtype=bool), []
    for part in range(1, number + 1):
        here = parts == part
        if EYE_VOLUME[0] <= np.count_nonzero(here) * spacing**3 <= EYE_VOLUME[1]:
            eyes |= here
            centres.append(np.array(center_of_mass(here)))
    return eyes, centres
