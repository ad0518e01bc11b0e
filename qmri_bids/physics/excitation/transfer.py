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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import MtPool
from qmri_bids.physics.protocol import BssfpProtocol

LONGEST_T1 = 20.0
"""Of free water in a fit [s]."""

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


def line_on_resonance(pool: MtPool) -> float:
    """Return G(0) [s] of a semisolid pool: T2/π of a Lorentzian line, as one with x, y and z has it, else its lineshape's."""
    if pool.lineshape is None:
        return pool.t2 / math.pi
    line, _ = absorption(pool.lineshape, np.zeros(1), t2=pool.t2)
    return float(line[0])


@dataclass(frozen=True, kw_only=True)
class FreeWater:
    """T1 of free water of V voxels and what it changes with, shape (V,) each.

    Parameters
    ----------
    t1
        T1 [s].
    by_fraction, by_rate, by_t1, by_b1
        Its derivatives in F, in the rate from the semisolid pool [s²], in the apparent T1, and in B1.
    """

    t1: Values
    by_fraction: Values
    by_rate: Values
    by_t1: Values
    by_b1: Values


@dataclass(frozen=True, kw_only=True)
class Relaxometry:
    """The bSSFP scan that has seen an apparent T1.

    Parameters
    ----------
    pulse, protocol
        What was played.
    """

    pulse: ExcitationPulse
    protocol: BssfpProtocol

    def free_water(
        self, t1: Values, *, b1: Values, fraction: Values, rate: Values, r1m: float | None, line: float
    ) -> FreeWater:
        """Return T1 of free water beside a semisolid pool where a fit of one pool has found `t1`.

        Parameters
        ----------
        t1
            Apparent T1 [s], shape (V,).
        b1
            Actual over nominal flip angle.
        fraction, rate
            F and the rate from the semisolid pool to water [1/s].
        r1m
            R1 of the semisolid pool [1/s]; None for that of free water.
        line
            G(0) [s].

        Returns
        -------
        FreeWater
            A pool that would leave no recovery of its own to water gives `LONGEST_T1`, with derivatives of 0: so a fit that tries
            one is led back.
        """
        power = saturation_rate(self.pulse, self.protocol, b1=b1, line=line)
        given = None if r1m is None else np.full(np.shape(t1), r1m)
        r1 = free_rate(1.0 / t1, fraction=fraction, rate=rate, r1m=given, saturation=power)
        out = r1 <= 1.0 / LONGEST_T1
        r1 = np.where(out, 1.0 / LONGEST_T1, r1)
        held = (r1 if given is None else given) + power
        leaving = rate / (rate + held)
        # Where R1 of the semisolid pool is that of water, R1 appears on both sides.
        weight = 1.0 + (fraction * leaving**2 if given is None else 0.0)
        slope = np.where(out, 0.0, 1.0 / (r1**2 * weight))
        return FreeWater(
            t1=1.0 / r1,
            by_fraction=slope * leaving * held,
            by_rate=slope * fraction * np.square(held / (rate + held)),
            by_t1=slope / np.square(t1),
            by_b1=slope * fraction * leaving**2 * 2.0 * power / b1,
        )
