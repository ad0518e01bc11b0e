"""B1 from arrays: actual over nominal flip angle of pairs of images, or of maps of the angle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.api.arrays import check_place, flip_angle_in_radians, given, noise_level, seconds, times_of
from qmri_bids.api.result import Result
from qmri_bids.estimation.b1_maps import B1Estimate, actual_flip_angle, double_angle
from qmri_bids.estimation.base import Status

LONGEST_TR = 1.0
"""Repetition time of actual flip-angle imaging [s]; milliseconds are larger numbers."""


def b1_from_dam(first: Any, second: Any, *, flip_angle: float, noise: float | None = None) -> Result:
    """Return B1 of the double-angle method, from magnitudes at α and 2α (Insko and Bolinger 1993).

    Parameters
    ----------
    first, second
        Magnitudes at α and at 2α, shape (...), repetition time of several T1.
    flip_angle
        Nominal α [degrees].
    noise
        Standard deviation of the noise of one image; without it there is no standard deviation.

    Returns
    -------
    Result
        `b1`, 1 where the flip angle is nominal.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> actual = np.deg2rad(60 * 1.1)
    >>> found = q.b1_from_dam(np.sin(actual), np.sin(2 * actual), flip_angle=60, noise=0.001)
    >>> round(float(found.maps["b1"]), 3)
    1.1
    """
    pair, like = _pair(first, second)
    angle = flip_angle_in_radians(flip_angle)
    return _result(double_angle(*pair, flip_angle=angle, noise=noise_level(noise)), like=like)


def b1_from_afi(
    first: Any, second: Any, *, flip_angle: float, tr: tuple[float, float], noise: float | None = None
) -> Result:
    """Return B1 of actual flip-angle imaging (Yarnykh, MRM 57:192, 2007).

    Parameters
    ----------
    first, second
        Magnitudes after the pulses that TR1 and TR2 follow, shape (...).
    flip_angle
        Nominal flip angle [degrees].
    tr
        TR1 and TR2 [s].
    noise
        Standard deviation of the noise of one image; without it there is no standard deviation.

    Returns
    -------
    Result
        `b1`, 1 where the flip angle is nominal.
    """
    pair, like = _pair(first, second)
    if np.shape(given(tr, name="tr").values) != (2,):
        raise ValueError(f"tr: expected TR1 and TR2 in seconds, found {tr!r}: give both, as (0.02, 0.1)")
    first_tr, second_tr = (seconds(time, name="tr", longest=LONGEST_TR) for time in times_of(tr, 2, name="tr"))
    if first_tr >= second_tr:
        raise ValueError(
            f"tr: expected TR1 shorter than TR2, found {first_tr:g} and {second_tr:g} s: swap them, and the images"
        )
    angle = flip_angle_in_radians(flip_angle)
    return _result(
        actual_flip_angle(*pair, flip_angle=angle, repetition_times=(first_tr, second_tr), noise=noise_level(noise)),
        like=like,
    )


def b1_from_angle(angle: Any, *, flip_angle: float) -> Result:
    """Return B1 of a map of the actual flip angle.

    Parameters
    ----------
    angle
        Actual flip angle [degrees], shape (...); 0 is no value.
    flip_angle
        Nominal flip angle [degrees].

    Returns
    -------
    Result
        `b1`, 1 where the flip angle is nominal; it has no standard deviation, since one map does not tell its noise.

    Raises
    ------
    ValueError
        If the median is ten times the nominal angle: tenths of degrees, as some scanners store.
    """
    like = given(angle, name="angle")
    if np.iscomplexobj(like.values):
        raise ValueError("angle: expected degrees, found complex numbers: give the angle itself")
    values = np.asarray(like.values, dtype=np.float64)
    nominal = np.degrees(flip_angle_in_radians(flip_angle))
    with np.errstate(invalid="ignore"):
        ratio = np.where((values > 0.0) & np.isfinite(values), values / nominal, np.nan)
    if np.isfinite(ratio).any() and not 0.2 < float(np.nanmedian(ratio)) < 5.0:
        raise ValueError(
            f"angle: expected degrees around {nominal:g}, found a median of {np.nanmedian(values[values > 0]):g}: are they tenths "
            "of degrees, or radians?"
        )
    return _result(B1Estimate(b1=ratio.astype(np.float32), stdev=None), like=like)


def _pair(first: Any, second: Any) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], Any]:
    one, two = given(first, name="first"), given(second, name="second")
    if one.values.shape != two.values.shape:
        raise ValueError(f"second: expected shape {one.values.shape} as of the first image, found {two.values.shape}")
    if np.iscomplexobj(one.values) or np.iscomplexobj(two.values):
        raise ValueError("first, second: expected magnitudes, found complex numbers: give np.abs of both images")
    check_place(two, affine=one.affine, name="second")
    return (np.asarray(one.values, dtype=np.float64), np.asarray(two.values, dtype=np.float64)), one


def _result(found: B1Estimate, *, like: Any) -> Result:
    status = np.where(np.isfinite(found.b1), Status.CONVERGED, Status.NO_ROOT).astype(np.uint8)
    return Result(
        maps={"b1": like.as_given(found.b1)},
        stdev={} if found.stdev is None else {"b1": like.as_given(found.stdev)},
        status=like.as_given(status),
        units={"b1": ""},
        like=like,
    )
