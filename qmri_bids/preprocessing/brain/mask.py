"""The mask of a scan: its brain, or the object that it shows, with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.choices import MASK_METHODS

if TYPE_CHECKING:
    from qmri_bids.preprocessing.brain.template import Laid


@dataclass(frozen=True, kw_only=True)
class FoundMask:
    """A mask and what speaks for it.

    Parameters
    ----------
    mask
        Boolean, on the grid of the image, shape (X, Y, Z).
    kind
        What it holds: `brain`, `object` or `all`.
    method
        What found it: `library`, `template`, `stripped`, `object` or `none`.
    level
        Traffic light: `good`, `check` or `bad`.
    value
        Short text beside the light.
    explanation
        What the light means and what to do.
    measures
        Numbers behind the light by name.
    decisions
        What was decided, as sentences.
    laid
        The template that judged a brain.
    """

    mask: NDArray[np.bool_]
    kind: str
    method: str
    level: str
    value: str
    explanation: str
    measures: Mapping[str, float]
    decisions: tuple[str, ...]
    laid: Laid | None = field(default=None, repr=False, compare=False)


def find_mask(magnitude: NDArray[np.floating], *, affine: NDArray[np.floating], method: str = "auto") -> FoundMask:
    """Return the mask of an image.

    Parameters
    ----------
    magnitude
        Magnitude image, shape (X, Y, Z); of phase cycles best the mean, in which the bands are weakest. Voxels that are not
        finite count as empty.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    method
        One of `MASK_METHODS`.

    Raises
    ------
    ValueError
        If the method is unknown, or the image holds no signal: it is constant, or nowhere above zero.
    """
    from qmri_bids.preprocessing.masks import object_mask

    if method not in MASK_METHODS:
        raise ValueError(f"method: expected one of {', '.join(MASK_METHODS)}, found {method!r}")
    affine = np.asarray(affine, dtype=np.float64)
    if method == "none":
        return _everything(np.asarray(magnitude, dtype=np.float32), affine)
    image = _scaled(magnitude)
    if method == "object":
        return _object(object_mask(image), affine, asked=True)
    image = np.maximum(image / float(np.quantile(image[image > 0.0], 0.99)), 0.0)
    if method == "auto":
        stripped = _stripped(image, affine)
        if stripped is not None:
            return stripped
    candidates = []
    if method in ("auto", "library"):
        candidates.append(_library(image, affine))
    if method == "template" or (method == "auto" and not _believed(candidates)):
        first = candidates[0].mask if candidates and candidates[0] is not None else None
        candidates.append(_by_template(image, affine, start=first))
    found = [each for each in candidates if each is not None]
    if _believed(found):
        return min(found, key=lambda each: LEVELS.index(each.level))
    if method != "auto" and found:
        return found[0]  # asked for by name: it comes with its red light
    return _object(object_mask(image), affine, asked=False)


LEVELS = ("good", "check", "bad")
WHOLE_OVERLAP = (0.93, 0.87)
"""Overlap with the template from which the mask of a head is good, and believed. Masks with neck, face, scalp or without a lobe had
0.77 to 0.90, and their surfaces lay 8 to 48 mm apart; right masks of proton density, where fluid is bright, had 0.91."""
FAINT = 0.13
"""Share of the variance within a head that the template explains below which it may have been placed wrongly, and nothing is green:
rightly placed it was 0.16 to 0.36, over masks beside their brain that overlapped by 0.9 and more 0.02 to 0.09."""
SHAPE = 0.95
"""Overlap with the template laid by shape alone from which a mask is then believed, but never green: leaks reached 0.92."""
SLAB_OVERLAP = (0.94, 0.88)
"""The same for slabs, where the template has more freedom: it must explain the image, too, and both passes must agree."""
LIKENESS = (0.30, 0.05)
"""Share of the variance within a slab that the template explains; where heads were taken for brains it was 0.01 to 0.26."""
AGREEMENT = (0.95, 0.94)
"""Dice of both passes over a slab: below, the mask itself had less than 0.90."""
SURFACE = (12.0, 14.0)
"""How far the surface of a mask may lie outside and inside of the template's [mm], but for 2 % of it."""
SLAB_SURFACE = (12.0, 18.0)
"""The same for slabs, outside alone."""
FARTHEST = 8.0
"""No brain lies further outside of the template that is laid over it [mm]: a mask is cut there."""
LITTLE = 0.5
"""Share that is cut without a word; more, and the light is not green [%]."""
VOLUME = (0.9, 2.3)
"""Least and largest volume of a whole brain with its fluid [litres]: beyond, a mask is not good. Children from one year on are
within."""
NOTHING = 0.01
"""Share of the brightest signal: what is less above the lowest value is nothing."""
FLAT = 0.25
"""Share of voxels at the lowest value from which the surroundings may have been removed."""


def _believed(found: Sequence[FoundMask | None]) -> bool:
    return any(each is not None and each.level != "bad" for each in found)


def _volume(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> float:
    """Return the volume of a mask [mL]."""
    return float(np.count_nonzero(mask)) * abs(float(np.linalg.det(affine[:3, :3]))) * 1e-3


def _scaled(magnitude: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return an image whose largest value is 1, voxels that are not finite empty, so that any unit and type will do."""
    values = np.asarray(np.real(magnitude), dtype=np.float64)
    values = np.where(np.isfinite(values), values, 0.0)
    largest = float(values.max(initial=0.0))
    if not largest > 0.0 or not np.ptp(values) > 0.0:
        raise ValueError(
            "the magnitude image holds no signal: it is constant, or nowhere above zero; check the files of this run"
        )
    return np.asarray(values / largest, dtype=np.float32)


def _stripped(image: NDArray[np.float32], affine: NDArray[np.floating]) -> FoundMask | None:
    """Return what has signal where that is a brain: the skull has been removed before."""
    from qmri_bids.preprocessing.brain.extraction import largest_filled, slab_axis

    nothing = image <= float(image.min()) + NOTHING
    if float(np.mean(nothing)) < FLAT:
        return None
    mask = largest_filled(~nothing, thin=slab_axis(image.shape, affine))
    judged = judge_brain(image, mask, affine, method="stripped")
    if judged.level != "good":
        return None
    # What another program left beside the brain, a stub of the neck or a rim of skull, fits the template as well: nobody but a
    # person can tell, and a green light would promise it.
    said = "What was left around the brain before cannot be told from it here: look at the outline."
    return replace(judged, level="check", decisions=(*judged.decisions, said))


def _library(image: NDArray[np.float32], affine: NDArray[np.floating]) -> FoundMask | None:
    from qmri_bids.preprocessing.brain.extraction import extract_brain, largest_filled, slab_axis
    from qmri_bids.preprocessing.brain.template import template_brain

    brain = extract_brain(image, affine=affine)
    if brain is None:
        return None
    judged = judge_brain(image, brain.mask, affine, method="library", agreement=brain.agreement)
    laid = judged.laid
    if laid is None or laid.astray or laid.overlap < WHOLE_OVERLAP[1]:
        return judged
    near = template_brain(laid, shape=image.shape, affine=affine, margin=FARTHEST)
    mask = largest_filled(brain.mask & near, thin=slab_axis(image.shape, affine))
    lost = 100.0 * (1.0 - np.count_nonzero(mask) / np.count_nonzero(brain.mask))
    if lost == 0.0:
        return judged
    if lost < LITTLE:
        return replace(judged, mask=mask)
    again = judge_brain(image, mask, affine, method="library", agreement=brain.agreement)
    said = f"{lost:.1f} % of it lay more than {FARTHEST:g} mm outside of the template's brain and were cut off."
    level = "check" if again.level == "good" else again.level
    return replace(again, level=level, decisions=(*again.decisions, said))


def _by_template(
    image: NDArray[np.float32], affine: NDArray[np.floating], *, start: NDArray[np.bool_] | None
) -> FoundMask | None:
    """Return the brain of the template where the image itself has drawn it."""
    from qmri_bids.preprocessing.brain.template import depth_of_head, lay_over, template_brain
    from qmri_bids.preprocessing.masks import object_mask

    starts = [depth_of_head(object_mask(image), affine=affine)] if start is None else [start]
    for mask in starts:
        laid = lay_over(image, mask=mask, affine=affine)
        if laid is None or laid.astray:
            continue
        placed = template_brain(laid, shape=image.shape, affine=affine)
        # Laid again from there: a place that holds is where it comes back to.
        judged = judge_brain(image, placed, affine, method="template")
        if judged.measures.get("template_likeness", 0.0) < LIKENESS[0]:
            return replace(judged, level="bad")
        return replace(judged, level="check" if judged.level == "good" else judged.level)
    return None


def judge_brain(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    affine: NDArray[np.floating],
    *,
    method: str,
    agreement: float = 1.0,
) -> FoundMask:
    """Return a mask of the brain with the light that the template registered to the image itself gives it.

    Parameters
    ----------
    image, mask
        Magnitudes and the mask on trial, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    method
        What made the mask: `library`, `template` or `stripped`.
    agreement
        Dice of two ways to it.
    """
    from qmri_bids.preprocessing.brain.extraction import slab_axis
    from qmri_bids.preprocessing.brain.template import lay_over

    volume = _volume(mask, affine)
    slab = slab_axis(image.shape, affine) is not None
    laid = lay_over(image, mask=mask, affine=affine)
    measures = {"brain_volume": volume}
    if slab:
        measures["agreement"] = agreement
    level = "bad"
    if laid is not None:
        measures |= laid.measures
        surface = max(laid.beyond, laid.within)
        if slab:
            fits = [
                laid.overlap >= overlap and laid.alike >= alike and agreement >= agreed and laid.beyond <= reach
                for overlap, alike, agreed, reach in zip(SLAB_OVERLAP, LIKENESS, AGREEMENT, SLAB_SURFACE, strict=True)
            ]
        else:
            fits = [
                laid.overlap >= overlap and surface <= reach + 4.0
                for overlap, reach in zip(WHOLE_OVERLAP, SURFACE, strict=True)
            ]
            whole = 1e-3 * volume / max(laid.share, 0.2)
            fits[0] = fits[0] and laid.alike >= FAINT and VOLUME[0] <= whole <= VOLUME[1]
        fits = [each and not laid.astray for each in fits]
        if not slab and laid.alike < FAINT:
            fits[1] = fits[1] or laid.by_shape >= SHAPE
        level = "good" if fits[0] else "check" if fits[1] else "bad"
    overlap = f", overlap with the template {laid.overlap:.2f}" if laid is not None else ""
    amount = f"{1e-3 * volume:.2f} litres" if volume >= 100.0 else f"{volume:.0f} mL"
    return FoundMask(
        mask=mask,
        kind="brain",
        method=method,
        level=level,
        value=amount + overlap,
        explanation=_EXPLANATION,
        measures=measures,
        laid=laid,
        decisions=(
            _SAID[method].format(amount=amount)
            + (" The image shows a part of the head: it was continued." if slab else ""),
        ),
    )


_SAID = {
    "library": "The brain mask is that of deepbet's networks ({amount}).",
    "template": "The brain mask is the brain of the MNI template laid over the image by its intensities ({amount}).",
    "stripped": "The image is skull-stripped already: the brain mask is what has signal in it ({amount}).",
}
_EXPLANATION = (
    "The brain of the MNI template was registered to the image itself. Good: it overlaps with the mask (Dice) by 0.93 or more (in "
    "a slab by 0.94, and it explains the intensities there), both surfaces lie within 12 mm of each other, and the volume is that "
    "of a brain. Else look at the outline: mend the mask by hand and give it with --mask-file, take another --mask-method, or give "
    "the mask of an anatomical image with --derivatives."
)


def _object(mask: NDArray[np.bool_], affine: NDArray[np.floating], *, asked: bool) -> FoundMask:
    volume = _volume(mask, affine)
    amount = f"{1e-3 * volume:.2f} litres" if volume >= 100.0 else f"{volume:.3g} mL"
    if asked:
        explanation = (
            "The mask holds everything that has signal, as --mask-method object asks for: look at its outline."
        )
        said = f"The mask holds everything that has signal ({amount}), as asked for."
    else:
        explanation = (
            "No brain was found that can be believed: the mask holds everything that has signal, scalp and neck too. Of a phantom "
            "or an animal say so with --mask-method object; of a head take --mask-method template or library, give a mask with "
            "--mask-file, or that of an anatomical image with --derivatives."
        )
        said = (
            f"NO BRAIN WAS FOUND THAT CAN BE BELIEVED: the mask holds everything that has signal ({amount}). See --mask-method, "
            "--mask-file and --derivatives."
        )
    empty = not mask.any()
    return FoundMask(
        mask=mask,
        kind="object",
        method="object",
        level="check" if asked and not empty else "bad",
        value=amount,
        explanation=explanation,
        measures={"brain_volume": volume},
        decisions=(said,),
    )


def _everything(image: NDArray[np.float32], affine: NDArray[np.floating]) -> FoundMask:
    mask = np.isfinite(image)
    volume = _volume(mask, affine)
    return FoundMask(
        mask=mask,
        kind="all",
        method="none",
        level="check",
        value="every voxel",
        explanation="No mask, as --mask-method none asks for: maps of air are noise.",
        measures={"brain_volume": volume},
        decisions=("No mask was applied, as asked for: every voxel is fitted.",),
    )
