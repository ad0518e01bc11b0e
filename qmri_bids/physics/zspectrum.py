r"""Equations of the classical MT and CEST maps: MTR, MT saturation, Lorentzian pools and AREX.

Frequency offsets of a Z-spectrum are ppm of the Larmor frequency, positive downfield (amide protons +3.5 ppm), as in the
whole field; everything else is in SI units and fractions. All functions broadcast and know nothing of noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


def magnetization_transfer_ratio(saturated: Values, unsaturated: Values) -> Values:
    """Return MTR = 1 - S_on/S_off as a fraction (Dousset et al., Radiology 182:483, 1992).

    Parameters
    ----------
    saturated, unsaturated
        Signal with and without the off-resonance pulse, shapes that broadcast.
    """
    return 1.0 - saturated / unsaturated


def dual_angle_relaxation(
    pd_weighted: Values,
    t1_weighted: Values,
    *,
    flip_angles: tuple[Values, Values],
    repetition_times: tuple[float, float],
) -> tuple[Values, Values]:
    r"""Return R1 [1/s] and amplitude A of two spoiled gradient echoes.

    With the half-angle tangent t = 2 tan(α/2) the equation of Ernst is S = A t ρ/(ρ + t²/2), ρ = 2 tanh(R1 TR/2), exactly;
    ρ = R1 TR, wrong by (R1 TR)²/12, makes it linear in A and R1. Helms et al., Magn Reson Med 59:667 (2008), have t = α for small
    angles.

    Parameters
    ----------
    pd_weighted, t1_weighted
        Signals of small and of large flip angle.
    flip_angles
        Actual flip angles of both [rad].
    repetition_times
        TR of both [s].
    """
    (pd, t1), (tr_pd, tr_t1) = (2.0 * np.tan(np.asarray(angle) / 2.0) for angle in flip_angles), repetition_times
    rate = 0.5 * (t1_weighted * t1 / tr_t1 - pd_weighted * pd / tr_pd) / (pd_weighted / pd - t1_weighted / t1)
    amplitude = (
        pd_weighted
        * t1_weighted
        * (tr_pd * t1 / pd - tr_t1 * pd / t1)
        / (t1_weighted * tr_pd * t1 - pd_weighted * tr_t1 * pd)
    )
    return rate, amplitude


def mt_saturation(
    mt_weighted: Values,
    *,
    relaxation_rate: Values,
    amplitude: Values,
    flip_angle: Values | float,
    repetition_time: float,
) -> Values:
    r"""Return the MT saturation δ = (A t/S - 1) R1 TR - t²/2 as a fraction (Helms et al., Magn Reson Med 60:1396, 2008).

    t = 2 tan(α/2) as in `dual_angle_relaxation`. First order in R1 TR: δ is low by the fractions R1 TR/2 and α²/4 of itself (1 to
    2 % in brain at TR 25 ms and 6°), as everywhere in the literature.

    Parameters
    ----------
    mt_weighted
        Signal with the MT pulse.
    relaxation_rate, amplitude
        R1 [1/s] and A of `dual_angle_relaxation`.
    flip_angle
        Actual flip angle of the readout [rad].
    repetition_time
        TR [s].
    """
    tangent = 2.0 * np.tan(np.asarray(flip_angle) / 2.0)
    return (amplitude * tangent / mt_weighted - 1.0) * relaxation_rate * repetition_time - 0.5 * tangent**2


def lorentzian(offsets: Values, *, amplitude: Values, width: Values, position: Values) -> Values:
    r"""Return one Lorentzian line, :math:`A (Γ/2)^2 / ((Γ/2)^2 + (Δω - δ)^2)`.

    Parameters
    ----------
    offsets
        Frequency offsets Δω [ppm].
    amplitude
        Height A of the line: the saturation at its centre.
    width
        Full width Γ at half maximum [ppm].
    position
        Centre δ [ppm].

    Examples
    --------
    >>> line = lorentzian(np.array([3.5, 4.5]), amplitude=0.1, width=2.0, position=3.5)
    >>> [round(float(each), 3) for each in line]
    [0.1, 0.05]
    """
    square = 0.25 * np.square(width)
    return amplitude * square / (square + np.square(offsets - position))


def lorentzian_spectrum(
    offsets: Values, *, amplitude: Values, width: Values, position: Values, baseline: Values | float = 1.0
) -> Values:
    """Return a Z-spectrum that a sum of Lorentzian pools leaves (Zaiss, Schmitt, Bachert, J Magn Reson 211:149, 2011).

    Parameters
    ----------
    offsets
        Frequency offsets [ppm], shape (N,), or (..., N) where they differ by voxel.
    amplitude, width, position
        Amplitude, full width [ppm] and position [ppm] of every pool, shape (..., P).
    baseline
        Z without any saturation, shape (...).

    Returns
    -------
    NDArray
        Z, shape (..., N).
    """
    lines = lorentzian(
        np.asarray(offsets)[..., None, :],
        amplitude=np.asarray(amplitude)[..., None],
        width=np.asarray(width)[..., None],
        position=np.asarray(position)[..., None],
    )
    return np.asarray(baseline)[..., None] - lines.sum(axis=-2)


def apparent_exchange_relaxation(label: Values, reference: Values, t1: Values, *, duty_cycle: float = 1.0) -> Values:
    """Return R_ex = (1/Z_lab - 1/Z_ref)/(T1 · DC) [1/s]: AREX (Zaiss et al., NMR Biomed 27:240, 2014).

    Inverse Z-spectra add where rates add, so that dilution of the effect by direct water saturation and MT, and its
    dependence on the T1 of water, are gone. It holds for a saturation that has reached its steady state.

    Parameters
    ----------
    label
        Z with all pools at the offset of the pool of interest.
    reference
        Z there without that pool.
    t1
        Longitudinal relaxation time of water [s].
    duty_cycle
        Share of the saturation during which RF is on.
    """
    return (1.0 / label - 1.0 / reference) / (t1 * duty_cycle)
