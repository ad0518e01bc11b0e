"""Checks of what images hold, the same for cycles, saturated images, MT images and B1 scans.

Whatever would give a number that looks like any other is found here: images that are empty, constant, negative or not finite,
maps of a field that are noise.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

FEWEST_VOXELS = 30
"""Voxels with signal from which something is said: a slice of zeros is missing and not empty, a median is one."""

LEAST_SPREAD, ROUGH = 0.07, 0.8
"""Median deviation of a field from its median, relative to nominal, and difference of neighbours relative to that of noise alone,
from which both together say that a map is noise: simulated B1 scans have 0.1 to 0.4."""


BLOCK, SMOOTH_SHARE = 6, 0.1
"""Side of the boxes of a map whose head is not known [voxels], and the share of them that a field makes smooth: a head fills more
of its image."""


BRIGHT, FEWEST_BRIGHT = 0.1, 2000
"""Share of the largest value above which steps and cut-off values are looked for, and voxels from which they are told."""

SAME_VALUE, CUT_OFF, FEWEST_STEPS = 1e-5, 0.005, 100
"""Relative difference of equal values; share of voxels at the largest value from which an image was cut off (one voxel of an image
as it was scanned has it); different values below which it was stored in too few steps."""


NEXT_TO_NOTHING = 0.05
"""Negative values below this share of the largest one are what denoising or interpolation made of magnitudes."""


class ContentError(ValueError):
    """Images that hold something else than their names, headers and sidecars state; the message is for users."""


def check_magnitudes(volume: NDArray[np.floating], *, name: str) -> None:
    """Refuse what is no magnitude image.

    Parameters
    ----------
    volume
        Values as stored, any shape.
    name
        File and volume, for the message.

    Raises
    ------
    ContentError
        If a value is not finite or negative, or all are equal.

    Examples
    --------
    >>> check_magnitudes(np.zeros((2, 2, 2)), name="sub-01_cest.nii.gz: volume 3")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    qmri_bids.preprocessing.content.images.ContentError: sub-01_cest.nii.gz: volume 3: expected an image, found 0 everywhere; ...
    """
    check_finite(volume, name=name, what="magnitudes")
    largest = float(volume.max())
    if 0.0 > volume.min() > -NEXT_TO_NOTHING * largest:
        raise ContentError(
            f"{name}: expected magnitudes, found negative values down to {volume.min():g} beside {largest:g}, as denoising and "
            "interpolation leave: set them to 0"
        )
    if volume.min() < 0.0:
        raise ContentError(
            f"{name}: expected magnitudes, found negative values down to {volume.min():g}; give the magnitude image, not a real "
            "part or a phase"
        )
    if not np.ptp(volume) > 0.0:
        raise ContentError(
            f"{name}: expected an image, found {volume.flat[0]:g} everywhere; leave the volume out, or restore it"
        )


def doubts_of_values(volume: NDArray[np.floating], *, name: str) -> tuple[str, ...]:
    """Return a warning of magnitudes that were stored in too few steps, or cut off.

    Parameters
    ----------
    volume
        Magnitudes, any shape.
    name
        File and volume, for the message.

    Examples
    --------
    >>> bright = np.minimum(np.linspace(0.0, 1.0, 20000), 0.9)
    >>> doubts_of_values(bright, name="a.nii: volume 1")[0][:62]
    'a.nii: volume 1: 11 % of the bright voxels have the largest va'
    """
    largest = float(volume.max())
    bright = volume[volume > BRIGHT * largest]
    if bright.size < FEWEST_BRIGHT:
        return ()
    cut = float(np.mean(bright >= (1.0 - SAME_VALUE) * largest))
    if cut > CUT_OFF:
        return (
            f"{name}: {100.0 * cut:.2g} % of the bright voxels have the largest value, {largest:.4g}: it was cut off there. Scan "
            "with less gain, or convert it with another scale.",
        )
    steps = len(np.unique(np.round(bright / (SAME_VALUE * largest))))
    if steps < FEWEST_STEPS:
        return (
            f"{name}: its voxels have only {steps} different values above {100.0 * BRIGHT:.0f} % of the largest: it was stored in "
            "too few steps. Convert it again, with a scale that uses the range of its data type.",
        )
    return ()


def check_finite(volume: NDArray[np.generic], *, name: str, what: str) -> None:
    """Refuse values that are NaN or infinite; arguments as of `check_magnitudes`, and what was expected."""
    broken = int(np.count_nonzero(~np.isfinite(volume)))
    if broken:
        raise ContentError(
            f"{name}: expected {what}, found {broken} values that are NaN or infinite; convert the image again (values "
            "in air may be set to 0), or leave the volume out of a series that is no fingerprint (valid 0 in its table)"
        )


def check_field(values: NDArray[np.floating], *, inside: NDArray[np.bool_], what: str, head_known: bool = True) -> None:
    """Refuse a map of a field that differs from voxel to voxel as noise does; fields of a coil vary over centimetres.

    Parameters
    ----------
    values
        Shape (X, Y, Z), relative to what is nominal.
    inside
        Where there are values: the head, or all of it where that is not known.
    what
        The map, for the message.
    head_known
        Whether `inside` is the head. Air may hold noise: of a map whose head is not known one smooth tenth is enough.

    Raises
    ------
    ContentError
        If neighbours differ as much as any two voxels, and by more than `LEAST_SPREAD`.
    """
    known = np.asarray(values, dtype=float)
    if head_known:
        step, noisy = _roughness(known, inside)
    else:
        blocks = [_roughness(known[box], inside[box]) for box in _blocks(known.shape)]
        found = [each for each in blocks if math.isfinite(each[0])]
        noisy = sum(each[1] for each in found) > (1.0 - SMOOTH_SHARE) * len(found)
        step = float(np.median([each[0] for each in found])) if found else math.nan
    if noisy:
        raise ContentError(
            f"{what} holds noise and no field: neighbouring voxels of the head differ by {step:.2f} (median), as much as voxels "
            "far apart do. Scan or convert it again, or run with --no-b1"
        )


def _blocks(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return boxes of `BLOCK` voxels a side that cover a volume."""
    starts = np.ndindex(*(max(1, math.ceil(size / BLOCK)) for size in shape))
    return [tuple(slice(BLOCK * at, BLOCK * (at + 1)) for at in start) for start in starts]


def _roughness(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[float, bool]:
    """Return the median difference of neighbours, NaN where there are too few, and whether it is that of noise alone."""
    steps = []
    for axis in range(3):
        first, second = np.moveaxis(values, axis, 0)[:-1], np.moveaxis(values, axis, 0)[1:]
        both = np.moveaxis(inside, axis, 0)[:-1] & np.moveaxis(inside, axis, 0)[1:]
        steps.append(np.abs(second - first)[both])
    differences, own = np.concatenate(steps), values[inside]
    if differences.size < FEWEST_VOXELS:
        return math.nan, False
    step, spread = float(np.median(differences)), float(np.median(np.abs(own - np.median(own))))
    # Of noise alone the difference of two voxels is larger than that from the median by the root of two.
    return step, spread > LEAST_SPREAD and step > ROUGH * math.sqrt(2.0) * spread


def copies(volumes: NDArray[np.generic]) -> tuple[tuple[int, int], ...]:
    """Return the volumes that are equal to an earlier one to the last digit, with that one; noise makes all of them differ.

    Parameters
    ----------
    volumes
        Shape (X, Y, Z, N).

    Examples
    --------
    >>> copies(np.array([[[[1.0, 2.0, 1.0, 3.0]]]]))
    ((0, 2),)
    """
    first: dict[bytes, int] = {}
    found = []
    for index in range(volumes.shape[3]):
        digest = hashlib.blake2b(np.ascontiguousarray(volumes[..., index]).tobytes()).digest()
        if first.setdefault(digest, index) != index:
            found.append((first[digest], index))
    return tuple(found)
