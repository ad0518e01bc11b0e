"""The noise of a series as it was read: stated, told by a few images, or by a series that was denoised before it came here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.component_noise import denoised_noise, rounding_noise
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.loading.series import noise_of_series
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.motion.head_regions import depth

RIM = 12.0
"""Thickness of scalp and skull, in which edges and fat are no noise [mm]."""

INNER = 0.3
"""Share of the head that must lie deeper for the rim to be left out: an object or an animal has none."""

FEWEST_DENOISED = 1000
"""Voxels of an object from which on what denoising left is told where components do not agree on it: with 200 it was wrong by a
factor of up to 100, with 2000 by a fifth."""

MOST_STATED = 0.5
"""Stated noise over the brightest voxels above which it is doubted."""

UNSURE = " Components do not agree on it: it may be wrong by a factor of two."

ADVICE = "State the noise of one volume with --noise-sd."


@dataclass(frozen=True, kw_only=True)
class ReadNoise:
    """What is known of the noise before the volumes are aligned.

    Parameters
    ----------
    level
        Standard deviation of one volume, in units of the images; None where the aligned series has to tell it.
    before
        What it was before the series was denoised, if it was; None as `level`.
    decisions, warnings
        Sentences.
    """

    level: float | None = None
    before: float | None = None
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def noise_as_read(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    stated: float | None = None,
    saturated: bool,
) -> ReadNoise:
    """Return the noise of a series as far as it is known before it is aligned.

    Parameters
    ----------
    volumes
        Magnitudes as read, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    stated
        Standard deviation of the noise of one volume, from `--noise-sd`.
    saturated
        Whether it is a series of saturated images, whose components tell the noise, or a few images.
    """
    if stated is not None:
        return _stated(stated, volumes)
    if not saturated:
        return _of_images(volumes)
    head = head_mask(volumes.mean(axis=3))
    inner = depth(head, affine=affine) > RIM
    where = inner if inner.sum() > INNER * head.sum() else head
    found = denoised_noise(volumes, inside=where)
    if found is None:
        return ReadNoise()
    if np.count_nonzero(where) < FEWEST_DENOISED and not found.sure:
        raise ContentError(
            "The series was denoised before it came here: its weak components hold next to no noise beside the strong ones. The "
            f"{np.count_nonzero(where)} voxels of the object are too few to tell what is left ({FEWEST_DENOISED} needed). {ADVICE}"
        )
    floor = rounding_noise(volumes)
    if not found.left > floor:
        return ReadNoise(
            level=floor,
            before=max(found.before, floor),
            warnings=(
                f"THE NOISE OF THE SERIES CANNOT BE TOLD: it holds no more than the rounding of its values ({floor:.2g}), and "
                f"standard deviations are too small. {ADVICE}",
            ),
        )
    level, before = float(np.hypot(found.left, floor)), float(np.hypot(found.before, floor))
    warning = (
        "THE SERIES WAS DENOISED before it came here: its weak components hold next to no noise beside the strong ones. Standard "
        f"deviation of one volume, from what the strong ones scatter where there is little anatomy: {level:.4g}; before "
        f"denoising: {before:.4g}."
        f"{'' if found.sure else UNSURE} Signal that denoising has taken away is not in the images. If the noise of the scan is "
        "known, state it with --noise-sd."
    )
    return ReadNoise(level=level, before=before, warnings=(warning,))


def _stated(stated: float, volumes: NDArray[np.floating]) -> ReadNoise:
    """Return a noise that was stated, beside what the images say of it."""
    said = f"The standard deviation of the noise of one volume was stated: {stated:.4g} (--noise-sd)."
    floor, brightest = rounding_noise(volumes), float(np.percentile(np.abs(volumes), 99.0))
    if stated < floor:
        warning = (
            f"THE STATED NOISE ({stated:.4g}, --noise-sd) IS LESS THAN ROUNDING OF THE VALUES LEAVES, {floor:.2g}, which is taken. "
            "Is it in units of the images?"
        )
        return ReadNoise(level=floor, before=floor, decisions=(said,), warnings=(warning,))
    warnings: tuple[str, ...] = ()
    if stated > MOST_STATED * brightest:
        warnings = (
            f"THE STATED NOISE ({stated:.4g}, --noise-sd) IS {100.0 * stated / max(brightest, 1e-300):.0f} % OF THE BRIGHTEST "
            f"VOXELS ({brightest:.4g}): is it in units of the images?",
        )
    return ReadNoise(level=stated, before=stated, decisions=(said,), warnings=warnings)


def _of_images(volumes: NDArray[np.floating]) -> ReadNoise:
    """Return the noise of a few images from their finest detail."""
    found = noise_of_series(volumes)
    if found is None:
        said = f"The head covers too few voxels to tell the noise from its finest detail. {ADVICE}"
        return ReadNoise(decisions=(said,))
    floor = rounding_noise(volumes)
    level = max(found, floor)
    warnings: tuple[str, ...] = ()
    if not found > floor:
        warnings = (
            f"THE NOISE OF THE IMAGES CANNOT BE TOLD: it is no more than the rounding of their values ({floor:.2g}), and "
            f"standard deviations are too small. {ADVICE}",
        )
    said = (
        "Standard deviation of the noise of one image, from the finest detail where the head is flattest: "
        f"{level:.4g} (edges make it too large rather than too small; smoothing before makes it too small)."
    )
    return ReadNoise(level=level, before=level, decisions=(said,), warnings=warnings)
