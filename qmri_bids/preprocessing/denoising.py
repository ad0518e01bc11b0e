"""Denoising of an aligned series by principal components of a patch around every voxel, with the noise that is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.component_noise import FEWEST_VOLUMES, denoised_noise

SMALLEST_RADIUS = 2
"""Radius of a patch along axes that have room [voxels]."""

SAMPLES_A_VOLUME = 2.0
"""Voxels of a patch over volumes of the series from which on its eigenvalues tell noise from signal."""


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """A denoised series and its noise.

    Parameters
    ----------
    series
        Magnitudes, shape (X, Y, Z, N); outside of the mask as they were.
    left
        Standard deviation of one volume around the signal, in units of the images; None where nothing was denoised.
    before
        That of the noise of one volume before.
    decisions, warnings
        Sentences.
    """

    series: NDArray[np.float32]
    left: float | None
    before: float | None
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def patch_radius(shape: tuple[int, ...], *, volumes: int) -> tuple[int, int, int] | None:
    """Return the radius of the smallest patch with enough voxels along the axes of a grid, None where there is none.

    Parameters
    ----------
    shape
        Of the grid, (X, Y, Z).
    volumes
        Volumes of the series.

    Examples
    --------
    >>> patch_radius((96, 112, 40), volumes=38), patch_radius((96, 112, 1), volumes=38)
    ((2, 2, 2), (4, 4, 0))
    """
    room = [(size - 1) // 2 for size in shape[:3]]
    for radius in range(SMALLEST_RADIUS, max(room) + 1):
        x, y, z = (min(radius, most) for most in room)
        if (2 * x + 1) * (2 * y + 1) * (2 * z + 1) >= SAMPLES_A_VOLUME * volumes:
            return x, y, z
    return None


def denoise_series(
    series: NDArray[np.floating],
    *,
    mask: NDArray[np.bool_],
    noise: float | None = None,
    noise_before: float | None = None,
) -> Denoised:
    """Return a series without the components of every patch that noise alone explains (MP-PCA; Veraart et al., 2016).

    What is left of the noise follows from what each component of the denoised series scatters and from the noise that the
    eigenvalues of the patches told (`denoised_noise`).

    Parameters
    ----------
    series
        Aligned magnitudes, shape (X, Y, Z, N).
    mask
        Voxels whose patches are denoised, shape (X, Y, Z).
    noise
        Standard deviation of the noise of one volume where it is known, in units of the images; else the eigenvalues tell it.
    noise_before
        What it was before a denoising that the series has behind it: if it was larger, the series is left as it is.
    """
    from dipy.denoise.localpca import genpca

    volumes = np.asarray(series, dtype=np.float32)
    number = volumes.shape[3]
    radius = patch_radius(volumes.shape, volumes=number)
    why = ""
    if noise is not None and noise_before is not None and noise < noise_before:
        why = "it was denoised before it came here"
    elif number < FEWEST_VOLUMES:
        why = f"it has {number} volumes, at least {FEWEST_VOLUMES} are needed"
    elif radius is None or np.count_nonzero(mask) < SAMPLES_A_VOLUME * number:
        why = "it has too few voxels"
    if why or radius is None:
        warning = f"The series was not denoised, although --cest-denoise asks for it: {why}."
        return Denoised(series=volumes, left=noise, before=noise_before, warnings=(warning,))
    with np.errstate(divide="ignore", invalid="ignore"):  # voxels in no patch
        found, level = genpca(
            volumes, sigma=noise, mask=mask, patch_radius=np.array(radius), return_sigma=True, suppress_warning=True
        )
    done = mask & np.isfinite(found).all(axis=3)
    result = np.where(done[..., None], found, volumes).astype(np.float32)
    before = float(np.median(np.asarray(level)[done])) if noise is None else noise
    size = " × ".join(str(2 * each + 1) for each in radius)
    said = (
        f"The aligned series was denoised by principal components of patches of {size} voxels, of which those remain that "
        "noise alone does not explain (MP-PCA)."
    )
    told = denoised_noise(result, inside=done, before=before)
    if told is None:
        warning = (
            "The series was denoised, but the mask is too small to tell the noise that is left: standard deviations are those of "
            "the noise before."
        )
        return Denoised(series=result, left=before, before=before, decisions=(said,), warnings=(warning,))
    level_said = (
        f"Standard deviation of one volume: {before:.4g} before denoising, {told.left:.4g} after it (noise of the components "
        "that remain, and signal that went with the others)."
    )
    return Denoised(series=result, left=told.left, before=before, decisions=(said, level_said))
