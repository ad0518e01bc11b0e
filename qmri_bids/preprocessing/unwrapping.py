"""Off-resonance that is known up to whole turns of its phase, made continuous."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unwrap_off_resonance(field: NDArray[np.floating], *, period: float) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return a continuous map of an off-resonance that is known up to multiples of a period.

    The phase is unwrapped along the most reliable neighbours first (Herráez et al., Appl Opt 41:7437, 2002). Parts that touch no
    other by a face are taken to the largest part by whole periods, as near as the closest voxels of both allow.

    Parameters
    ----------
    field
        Off-resonance [Hz], shape (X, Y, Z); NaN where there is no value, and there the result has none.
    period
        What it is known up to [Hz]: 1/TR of a bSSFP scan.

    Returns
    -------
    unwrapped, decisions
        The map, of which the median is as near to 0 as whole periods allow, and what was decided, as sentences.

    Raises
    ------
    ValueError
        If the map is not 3D, the period is not positive or no voxel has a value.

    Examples
    --------
    >>> ramp = np.linspace(-150.0, 150.0, 31).reshape(31, 1, 1) * np.ones((31, 4, 4))
    >>> wrapped = (ramp + 100.0) % 200.0 - 100.0
    >>> bool(np.allclose(unwrap_off_resonance(wrapped, period=200.0)[0], ramp))
    True
    """
    if field.ndim != 3:
        raise ValueError(f"the off-resonance must have three dimensions, found shape {field.shape}")
    if not period > 0.0:
        raise ValueError(f"the period must be positive [Hz], found {period}")
    valid = np.isfinite(field)
    if not valid.any():
        raise ValueError("the off-resonance has no value in any voxel: nothing to unwrap")
    unwrapped = np.full(field.shape, np.nan)
    unwrapped[valid] = _unwrapped(field, valid, period)[valid]
    _join(unwrapped, valid, period)
    turns = round(float(np.median(unwrapped[valid])) / period)
    unwrapped -= turns * period
    moved = float(np.mean(np.abs(unwrapped[valid] - field[valid]) > 0.5 * period))
    middle = float(np.median(unwrapped[valid]))
    return unwrapped.astype(np.float32), (
        f"Off-resonance, known up to multiples of {period:.1f} Hz, was unwrapped in space: {100.0 * moved:.1f} % of its voxels "
        f"moved by whole multiples. The multiple of all is the one whose median is nearest to 0 ({middle:+.1f} Hz): the scanner "
        "was taken to be on resonance to within half of it.",
    )


def _unwrapped(field: NDArray[np.floating], valid: NDArray[np.bool_], period: float) -> NDArray[np.float64]:
    """Return the field unwrapped within each connected part."""
    from skimage.restoration import unwrap_phase

    phase = np.where(valid, 2.0 * np.pi * np.asarray(field, dtype=np.float64) / period, 0.0)
    # Values may lie a rounding beyond the half turn, or on another turn altogether.
    phase = np.angle(np.exp(1j * phase))
    if min(field.shape) < 2:
        # A slice of one voxel has no third direction: unwrap in the others.
        squeezed = np.ma.masked_array(phase.squeeze(), mask=~valid.squeeze())
        found = np.ma.getdata(unwrap_phase(squeezed, rng=0)).reshape(field.shape)
    else:
        found = np.ma.getdata(unwrap_phase(np.ma.masked_array(phase, mask=~valid), rng=0))
    turns = np.round((found - phase) / (2.0 * np.pi))
    wrapped = phase * period / (2.0 * np.pi)
    return wrapped + turns * period


def _join(unwrapped: NDArray[np.float64], valid: NDArray[np.bool_], period: float) -> None:
    """Take the parts that touch no other to the largest one by whole periods, in place."""
    from scipy import ndimage

    parts, number = ndimage.label(valid)
    if number < 2:
        return
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    main = parts == int(np.argmax(sizes))
    nearest = ndimage.distance_transform_edt(~main, return_distances=False, return_indices=True)
    apart = unwrapped - unwrapped[tuple(nearest)]
    others = np.flatnonzero(sizes)
    medians = ndimage.median(np.nan_to_num(apart), labels=parts, index=others)
    shift = np.zeros(number + 1)
    shift[others] = period * np.round(np.asarray(medians) / period)
    unwrapped -= shift[parts]
