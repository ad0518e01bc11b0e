"""B1+ from pairs of images: the double angle, and actual flip-angle imaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.b1_signals import afi_signals, spoiled_signal

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class B1Estimate:
    """Relative B1 of a pair of images.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, float32, shape (...); NaN where the ratio of the images belongs to no flip angle.
    stdev
        Its standard deviation to first order from the noise of the images, shape (...); None where that is not known.
    """

    b1: NDArray[np.float32]
    stdev: NDArray[np.float32] | None


def double_angle(first: Array, second: Array, *, flip_angle: float, noise: float | None = None) -> B1Estimate:
    """Return B1 = acos(S2/(2 S1))/α of images with the flip angles α and 2α (Insko and Bolinger, J Magn Reson A 103:82, 1993).

    Holds where both images start from equilibrium: TR of several T1 (`double_angle_bias`). The sign of a magnitude is not known:
    an actual angle above 90° is found as far below it.

    Parameters
    ----------
    first, second
        Magnitudes at α and 2α, shape (...).
    flip_angle
        Nominal α [rad].
    noise
        Standard deviation of the noise of one image; None where it is not known.

    Examples
    --------
    >>> actual = 1.1 * np.pi / 3.0
    >>> round(float(double_angle(np.sin(actual), np.sin(2.0 * actual), flip_angle=np.pi / 3.0).b1), 6)
    1.1
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = second / (2.0 * first)
    spread = None
    if noise is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = noise / (2.0 * first) * np.sqrt(1.0 + 4.0 * cosine**2)
    return _from_cosine(cosine, (first > 0.0) & (second >= 0.0), spread, flip_angle)


def actual_flip_angle(
    first: Array, second: Array, *, flip_angle: float, repetition_times: tuple[float, float], noise: float | None = None
) -> B1Estimate:
    """Return B1 of actual flip-angle imaging: cos α = (r n - 1)/(n - r), r = S2/S1, n = TR2/TR1 (Yarnykh, MRM 57:192, 2007).

    First order in TR/T1: `afi_bias` says what that costs.

    Parameters
    ----------
    first, second
        Magnitudes after the pulses that are followed by TR1 and TR2, shape (...).
    flip_angle
        Nominal flip angle [rad].
    repetition_times
        TR1 and TR2 [s], in the order of the images; they must differ.
    noise
        Standard deviation of the noise of one image; None where it is not known.

    Raises
    ------
    ValueError
        If the repetition times are equal.
    """
    n = repetition_times[1] / repetition_times[0]
    if np.isclose(n, 1.0):
        raise ValueError(f"actual flip-angle imaging needs two different repetition times, found {repetition_times} s")
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = second / first
        cosine = (ratio * n - 1.0) / (n - ratio)
        spread = None
        if noise is not None:
            slope = (n**2 - 1.0) / (n - ratio) ** 2
            spread = np.abs(slope) * noise / first * np.sqrt(1.0 + ratio**2)
    return _from_cosine(cosine, (first > 0.0) & (second > 0.0), spread, flip_angle)


def _from_cosine(cosine: Array, usable: NDArray[np.bool_], spread: Array | None, flip_angle: float) -> B1Estimate:
    """Return B1 from the cosine of the actual flip angle and the standard deviation of the cosine."""
    usable = usable & (np.abs(cosine) < 1.0)
    inner = np.where(usable, cosine, 0.0)
    b1 = np.where(usable, np.arccos(inner) / flip_angle, np.nan).astype(np.float32)
    if spread is None:
        return B1Estimate(b1=b1, stdev=None)
    stdev = np.where(usable, spread / np.sqrt(1.0 - inner**2) / flip_angle, np.nan)
    return B1Estimate(b1=b1, stdev=stdev.astype(np.float32))


def double_angle_bias(*, flip_angle: float, repetition_time: float, t1: float, b1: float = 1.0) -> float:
    """Return the relative error of double-angle B1 where T1 has not fully relaxed.

    Parameters
    ----------
    flip_angle
        Nominal α [rad].
    repetition_time, t1
        Repetition time and T1 [s].
    b1
        True actual over nominal flip angle.

    Examples
    --------
    >>> abs(double_angle_bias(flip_angle=np.pi / 3.0, repetition_time=50.0, t1=1.0)) < 1e-6
    True
    """
    pair = [
        np.abs(spoiled_signal(times * b1 * flip_angle, t1=t1, repetition_time=repetition_time)) for times in (1.0, 2.0)
    ]
    return float(double_angle(*pair, flip_angle=flip_angle).b1) / b1 - 1.0


def afi_bias(*, flip_angle: float, repetition_times: tuple[float, float], t1: float, b1: float = 1.0) -> float:
    """Return the relative error that the first order in TR/T1 makes in B1 of actual flip-angle imaging.

    Parameters
    ----------
    flip_angle
        Nominal flip angle [rad].
    repetition_times
        TR1 and TR2 [s].
    t1
        T1 [s].
    b1
        True actual over nominal flip angle.
    """
    pair = afi_signals(b1 * flip_angle, t1=t1, repetition_times=repetition_times)
    found = actual_flip_angle(*pair, flip_angle=flip_angle, repetition_times=repetition_times)
    return float(found.b1) / b1 - 1.0
