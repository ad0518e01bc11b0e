"""Volumes as short strings of bytes: quantised in stated steps, predicted from their neighbours, deflated.

`templates/viewer.js` reads what is written here. A volume is packed over the voxels of a domain (the brain, the head), in the order
of an array (Z, Y, X): first one bit a voxel, whether it has a value; then, for those that have one, the difference of its code to
what its three neighbours before it predict, the lowest bytes of all voxels first.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_CODE = 1 << 28
"""Steps are such that usual values have codes up to about this, whose differences fit into 32 bits."""

FARTHEST_CODE = 1 << 30
"""Values beyond this many steps are shown as beyond a limit: one of them would make all others 0."""

USUAL_PERCENTILE = 99.0
"""Sizes of values up to this percentile must have a code."""

STEPS_OF_WINDOW = 1000.0
"""Display steps over the window of a map."""

STEPS_OF_STDEV = 10.0
"""Display steps over a standard deviation, where that allows for coarser ones."""

STDEV_RATIO = 1.1
"""Ratio of neighbouring codes of a standard deviation: it is shown to 5 %."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A volume, packed.

    Parameters
    ----------
    data
        Deflated bytes (zlib).
    planes
        Bytes a difference takes.
    step, origin
        The value of a code is `origin + step * code`; where `ratio` is set it is `ratio ** code` instead.
    ratio
        Ratio of neighbouring codes, None where they are even steps.
    zero
        Code that stands for a value of 0 among ratios.
    limit
        Size at which values that are farther from 0 stand; None where there are none.
    """

    data: bytes
    planes: int
    step: float = 0.0
    origin: float = 0.0
    ratio: float | None = None
    zero: int | None = None
    limit: float | None = None


SMALLEST_STEP = 1e-300
"""Steps below it are no numbers of one digit any more."""


def round_step(largest: float) -> float:
    """Return the largest number of one digit that is not above a number; 1 where that is not positive and finite.

    Parameters
    ----------
    largest
        A positive number.

    Examples
    --------
    >>> round_step(2.5), round_step(0.97)
    (2.0, 0.9)
    """
    if not SMALLEST_STEP <= largest < math.inf:
        return SMALLEST_STEP if 0.0 < largest < SMALLEST_STEP else 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return float(f"{math.floor(largest / power * (1 + 1e-9)) * power:.1g}")


def display_step(
    values: NDArray[np.floating], *, window: tuple[float, float], stdev: NDArray[np.floating] | None = None
) -> float:
    """Return the step in which a map is shown: a thousandth of its window, coarser only where noise is ten steps of it.

    Of a window that is no window the range of the usual values is taken.

    Parameters
    ----------
    values
        Finite values of the map in the unit on display.
    window
        Limits on display.
    stdev
        Their standard deviations, None where there are none.
    """
    span = float(window[1]) - float(window[0])
    if not 0.0 < span < math.inf:
        span = float(np.ptp(np.percentile(values, [2, 98], method="lower"))) if values.size else 0.0
    step = span / STEPS_OF_WINDOW
    if stdev is not None:
        known = stdev[np.isfinite(stdev) & (stdev > 0.0)]
        if known.size:
            step = max(step, float(np.percentile(known, 2)) / STEPS_OF_STDEV)
    return countable_step(step, values)


def countable_step(step: float, values: NDArray[np.floating]) -> float:
    """Return a step of one digit, coarser where usual values would need more of them than are counted.

    A few values that are farther from 0 than the others do not count: `pack_values` gives them a limit.

    Parameters
    ----------
    step
        Step that is wanted.
    values
        Finite values that are shown.
    """
    usual = float(np.percentile(np.abs(values), USUAL_PERCENTILE, method="lower")) if values.size else 0.0
    return round_step(max(step, usual / LARGEST_CODE))


def pack_values(values: NDArray[np.floating], *, domain: NDArray[np.bool_], step: float) -> Packed:
    """Return a map in even steps; NaN stays NaN, and what is too far from 0 for its steps stands at a limit.

    Parameters
    ----------
    values
        In the unit on display, shape (Z, Y, X).
    domain
        Voxels that are packed, same shape.
    step
        Step of the codes, as `display_step`.
    """
    known = domain & np.isfinite(values)
    codes = np.zeros(values.shape, dtype=np.int64)
    limit = round_step(FARTHEST_CODE * step)
    stated = values[known].astype(float)
    codes[known] = np.rint(np.clip(stated, -limit, limit) / step)
    data, planes = _deflated(codes, known=known, domain=domain)
    beyond = bool(np.any(np.abs(stated) > limit))
    return Packed(data=data, planes=planes, step=step, limit=limit if beyond else None)


def pack_stdev(stdev: NDArray[np.floating], *, domain: NDArray[np.bool_]) -> Packed:
    """Return standard deviations in steps of a ratio; one that is not finite or below 0 has no value.

    Parameters
    ----------
    stdev
        In the unit on display, shape (Z, Y, X).
    domain
        Voxels that are packed, same shape.
    """
    known = domain & np.isfinite(stdev) & (stdev >= 0.0)
    positive = known & (stdev > 0.0)
    codes = np.zeros(stdev.shape, dtype=np.int64)
    codes[positive] = np.rint(np.log(stdev[positive].astype(float)) / math.log(STDEV_RATIO))
    zero = int(codes[positive].min(initial=0)) - 1
    codes[known & ~positive] = zero
    data, planes = _deflated(codes, known=known, domain=domain)
    return Packed(data=data, planes=planes, ratio=STDEV_RATIO, zero=zero)


def pack_labels(labels: NDArray[np.integer], *, domain: NDArray[np.bool_]) -> bytes:
    """Return labels up to 255 of the voxels of a domain, one byte each, deflated."""
    return zlib.compress(labels[domain].astype(np.uint8).tobytes(), 9)


def pack_domain(domain: NDArray[np.bool_]) -> bytes:
    """Return which voxels belong to a domain, one bit each, deflated."""
    return zlib.compress(np.packbits(domain.ravel(), bitorder="little").tobytes(), 9)


def _deflated(codes: NDArray[np.int64], *, known: NDArray[np.bool_], domain: NDArray[np.bool_]) -> tuple[bytes, int]:
    """Return the packed codes and how many bytes a difference takes."""
    difference = (codes - _predicted(codes, known))[known]
    # Signs alternate with noise: folded to the even and odd numbers they leave the higher bytes at 0.
    folded = np.where(difference < 0, -2 * difference - 1, 2 * difference).astype(np.uint64)
    largest = int(folded.max(initial=0))
    planes = max(1, (largest.bit_length() + 7) // 8)
    parts = [np.packbits(known[domain], bitorder="little").tobytes()]
    parts += [((folded >> np.uint64(8 * plane)) & np.uint64(255)).astype(np.uint8).tobytes() for plane in range(planes)]
    # Noise has no repetitions: the bytes are coded by how often they occur.
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return coder.compress(b"".join(parts)) + coder.flush(), planes


def _predicted(codes: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the mean of the known neighbours before each voxel, rounded down; where there is none the last known code."""
    total, count = np.zeros_like(codes), np.zeros_like(codes)
    for axis in range(3):
        here = tuple(slice(1, None) if other == axis else slice(None) for other in range(3))
        before = tuple(slice(None, -1) if other == axis else slice(None) for other in range(3))
        total[here] += np.where(known[before], codes[before], 0)
        count[here] += known[before]
    predicted = np.floor_divide(total, np.maximum(count, 1))
    in_order = codes[known]
    last = np.zeros_like(codes)
    last[known] = np.concatenate([np.zeros(min(1, in_order.size), dtype=np.int64), in_order[:-1]])
    return np.where(count > 0, predicted, last)
