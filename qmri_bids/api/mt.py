"""Magnetization transfer ratio and saturation from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.api.arrays import (
    Given,
    Selection,
    check_place,
    deviation,
    flip_angle_in_radians,
    given,
    one_of,
    ratio_of_b1,
    seconds,
    times_of,
)
from qmri_bids.api.result import Result
from qmri_bids.estimation.base import Estimate, KnownMaps, Status, has_value
from qmri_bids.estimation.mt import maps
from qmri_bids.estimation.mt.corrections import MTSAT_CORRECTIONS
from qmri_bids.units import fraction_to_percent

LONGEST_TR = 5.0
"""Repetition time of a spoiled gradient echo [s]; milliseconds are larger numbers."""

PERCENT = ("MTR", "MTsat")
UNITS = {"MTR": "%", "MTsat": "%", "R1": "1/s", "A": "arbitrary"}


def fit_mtr(mt_on: Any, mt_off: Any, *, noise: Any = None, mask: Any = None) -> Result:
    """Return the magnetization transfer ratio 1 - on/off.

    Parameters
    ----------
    mt_on, mt_off
        Magnitudes with and without the MT pulse, shape (...).
    noise
        Standard deviation of one image, a number or map; from the finest detail of the image without pulse by default.
    mask
        Where to estimate, shape (...).

    Returns
    -------
    Result
        `MTR` [%].

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> found = q.fit_mtr(np.array([60.0]), np.array([100.0]), noise=1.0)
    >>> found.maps["MTR"], found.stdev["MTR"].round(1)
    (array([40.], dtype=float32), array([1.2], dtype=float32))
    """
    first, images = _images(mt_on=mt_on, mt_off=mt_off)
    chosen = Selection.of(mask, shape=images[0].shape, affine=first.affine)
    rows = [chosen.rows(image)[:, None] for image in images]
    estimate = maps.mtr(*rows, noise=_noise(noise, images[1], chosen=chosen))
    return _result(estimate, chosen=chosen, like=first)


def fit_mtsat(
    pd_weighted: Any,
    t1_weighted: Any,
    mt_weighted: Any,
    *,
    flip_angle: Any,
    tr: Any,
    b1: Any = 1.0,
    b1_stdev: Any = None,
    noise: Any = None,
    correction: str = "helms",
    mask: Any = None,
) -> Result:
    """Return MT saturation, R1 and amplitude of three spoiled gradient echoes (Helms et al., MRM 60:1396, 2008).

    Parameters
    ----------
    pd_weighted, t1_weighted, mt_weighted
        Magnitudes of the small angle, of the large angle, and of the one with MT pulse, shape (...).
    flip_angle
        Nominal flip angles of the three [degrees]; one number if they were equal.
    tr
        Repetition times of the three [s]; one number if they were equal.
    b1, b1_stdev
        Actual over nominal flip angle and its standard deviation: numbers or maps.
    noise
        Standard deviation of one image, a number or map; from the finest detail of the first image by default.
    correction
        How the saturation is taken to nominal B1 (`helms`, `square`, `none` …).
    mask
        Where to estimate, shape (...).

    Returns
    -------
    Result
        `MTsat` [%], `R1` [1/s] and `A`.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> found = q.fit_mtsat(
    ...     np.array([75.0]), np.array([62.0]), np.array([55.0]), flip_angle=(5, 15, 5), tr=(0.03, 0.03, 0.03), noise=0.3
    ... )
    >>> sorted(found.maps)
    ['A', 'MTsat', 'R1']
    """
    first, images = _images(pd_weighted=pd_weighted, t1_weighted=t1_weighted, mt_weighted=mt_weighted)
    shape = images[0].shape
    one_of(correction, MTSAT_CORRECTIONS, name="correction")
    chosen = Selection.of(mask, shape=shape, affine=first.affine)
    angles = [flip_angle_in_radians(angle) for angle in times_of(flip_angle, 3, name="flip_angle")]
    times = [seconds(time, name="tr", longest=LONGEST_TR) for time in times_of(tr, 3, name="tr")]
    pd, t1, mt = (
        maps.SpoiledProtocol(flip_angle=angle, repetition_time=time) for angle, time in zip(angles, times, strict=True)
    )
    estimate = maps.mtsat(
        *(chosen.rows(image) for image in images),
        protocols=(pd, t1, mt),
        known=KnownMaps(
            b1=chosen.rows(ratio_of_b1(b1, shape=shape, affine=first.affine)),
            b1_stdev=chosen.spread(b1_stdev, name="b1_stdev"),
        ),
        noise=_noise(noise, images[0], chosen=chosen),
        correction=correction,
    )
    return _result(estimate, chosen=chosen, like=first)


def _images(**arrays: Any) -> tuple[Given, list[NDArray[np.float64]]]:
    """Return the first array and all as real images of one shape.

    Raises
    ------
    ValueError
        If one is complex, has another shape or lies elsewhere.
    """
    found = {name: given(array, name=name) for name, array in arrays.items()}
    first = next(iter(found.values()))
    for name, image in found.items():
        if np.iscomplexobj(image.values):
            raise ValueError(f"{name}: expected magnitudes, found complex numbers: give np.abs({name})")
        if image.values.shape != first.values.shape:
            raise ValueError(
                f"{name}: expected shape {first.values.shape} as of the first image, found {image.values.shape}"
            )
        check_place(image, affine=first.affine, name=name)
    return first, [np.asarray(image.values, dtype=np.float64) for image in found.values()]


def _noise(noise: Any, image: NDArray[np.float64], *, chosen: Selection) -> NDArray[np.float64]:
    """Return the standard deviation of one image in the voxels that are estimated.

    Raises
    ------
    ValueError
        If it is not given and the array is no image that tells it.
    """
    if noise is not None:
        return deviation(noise, name="noise", chosen=chosen)
    if image.ndim not in (2, 3):
        raise ValueError("noise: expected the standard deviation of one image, found none: voxels alone do not tell it")
    level = maps.noise_of_volume(np.where(chosen.inside, image, 0.0).reshape((*image.shape, 1)[:3]))
    return np.full(int(np.count_nonzero(chosen.inside)), level)


def _result(estimate: Estimate, *, chosen: Selection, like: Given) -> Result:
    with np.errstate(over="ignore"):
        found = {
            kind: {name: np.asarray(values, dtype=np.float32) for name, values in maps_of_kind.items()}
            for kind, maps_of_kind in (("values", estimate.values), ("stdev", estimate.stdev))
        }
    # Images of another scale overflow on the way.
    finite = np.all([np.isfinite(rows) for kind in found.values() for rows in kind.values()], axis=0)
    overflown = has_value(estimate.status) & ~finite

    def whole(name: str, values: NDArray[np.float32]) -> Any:
        rows = np.where(overflown, np.float32(np.nan), values)
        return like.as_given(chosen.whole(fraction_to_percent(rows) if name in PERCENT else rows))  # type: ignore[arg-type]

    return Result(
        maps={name: whole(name, values) for name, values in found["values"].items()},
        stdev={name: whole(name, values) for name, values in found["stdev"].items()},
        status=like.as_given(
            chosen.whole(np.where(overflown, np.uint8(Status.INVALID_INPUT), estimate.status), fill=Status.OUTSIDE)
        ),
        units={name: UNITS[name] for name in estimate.values},
        decisions=estimate.decisions,
        like=like,
    )
