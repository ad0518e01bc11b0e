r"""What magnetisation transfer does to T1 and M0 of balanced SSFP, and back.

Pulses saturate the semisolid pool, which takes magnetisation from free water by exchange. With F = M0m/M0f, rates kr from the
semisolid pool to water and kf = F·kr back, and the saturation W = π G(0) ⟨ω1²⟩, a mean over TR, the water recovers with

.. math::
    R_{1,app} = R_{1f} + k_f\frac{R_{1m} + W}{k_r + R_{1m} + W},\qquad
    \frac{M_{0,app}}{M_{0f}} = \frac{R_{1f} + k_f R_{1m}/(k_r + R_{1m} + W)}{R_{1,app}}

where an inversion recovery sees the slow eigenvalue of both pools at W = 0. T2 is not touched. Once the pulses' duration has been
accounted for (`estimation.bssfp.finite_pulse`) these forms hold to 0.02 % for pulses from 0.2 to 1 ms and B1 from 0.8 to 1.2.

Sources: Gloor et al., MRM 60:691 (2008); Bieri and Scheffler, MRM 56:1067 (2006); Wood et al., MRM 84:2246 (2020).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol

Values = NDArray[np.float64]


def saturation_rate(pulse: ExcitationPulse, protocol: BssfpProtocol, *, b1: Values, line: float) -> Values:
    """Return W [1/s], the mean over TR, at every B1; `line` is G(0) [s]."""
    share = pulse.duration / protocol.repetition_time
    return math.pi * line * pulse.mean_square(protocol.flip_angle) * share * np.square(b1)


def apparent_rate(r1: Values, *, fraction: Values, rate: Values, r1m: Values, saturation: Values) -> Values:
    """Return R1 that a fit of one pool finds [1/s], of R1 of free water [1/s] by the closed form."""
    held = r1m + saturation
    return r1 + fraction * rate * held / (rate + held)


def recovery_rate(r1: Values, *, fraction: Values, rate: Values, r1m: Values) -> Values:
    """Return the slow rate of recovery of both pools [1/s]: what an inversion recovery finds."""
    forward = fraction * rate
    total, apart = r1 + forward + r1m + rate, r1 + forward - r1m - rate
    return 0.5 * (total - np.sqrt(np.square(apart) + 4.0 * forward * rate))


def share_of_m0(r1: Values, *, fraction: Values, rate: Values, r1m: Values, saturation: Values) -> Values:
    """Return M0 that a fit of one pool finds over that of free water, by the closed form."""
    seen = apparent_rate(r1, fraction=fraction, rate=rate, r1m=r1m, saturation=saturation)
    return (r1 + fraction * rate * r1m / (rate + r1m + saturation)) / seen


def free_rate(r1: Values, *, fraction: Values, rate: Values, r1m: Values | None, saturation: Values) -> Values:
    """Return R1 of free water [1/s] of what a fit of one pool finds [1/s], by the closed form; R1m None for that of free water."""
    if r1m is not None:
        held = r1m + saturation
        return r1 - fraction * rate * held / (rate + held)
    # (R1f + x)(kr + W + R1f) with x = kf: R1f² + (kr + W + kf - R1app) R1f + kf W - R1app (kr + W) = 0.
    forward = fraction * rate
    half = 0.5 * (rate + saturation + forward - r1)
    with np.errstate(invalid="ignore"):
        return -half + np.sqrt(np.square(half) + r1 * (rate + saturation) - forward * saturation)
