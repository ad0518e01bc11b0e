r"""Saturation of water beside one dilute solute under continuous RF, in closed form: relaxation along the effective field.

Water relaxes towards :math:`Z_{ss} = \cos^2θ\,R_1/R_{1ρ}` at the rate

.. math:: R_{1ρ} = R_1\cos^2θ + R_2\sin^2θ + R_{ex}

with the exchange-dependent relaxation of a solute of fraction f and rate k at the distance Δ from its resonance

.. math:: R_{ex} = f k \sin^2θ\,\frac{δ^2 + \frac{R_{2s}}{k}(ω_1^2 + Δω^2) + R_{2s}(k + R_{2s})}{Γ^2/4 + Δ^2},\qquad
          Γ^2/4 = \frac{k + R_{2s}}{k} ω_1^2 + (k + R_{2s})^2.

On resonance and far from water this is :math:`f k α` with the labelling efficiency :math:`α = ω_1^2/(ω_1^2 + k(k + R_{2s}))` of
QUESP. It holds for a dilute solute whose exchange is slow against its shift, and for RF that outlasts what turns about the
effective field.

Sources: Zaiss and Bachert, NMR Biomed 26:507 (2013), for R_ex; Zaiss et al., Magn Reson Med 79:1708 (2018), for its transient use
in QUESP.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol, SpinLock, Start
from qmri_bids.units import GYROMAGNETIC_RATIO

Values = NDArray[np.float64]

_TWO_PI = 2.0 * math.pi


def exchange_relaxation(
    fraction: Values, rate: Values, *, amplitude: Values, water: Values, solute: Values, r2: float
) -> Values:
    """Return R_ex of a solute [1/s], shape (V,).

    Parameters
    ----------
    fraction, rate
        Fraction relative to water and exchange rate [1/s], shape (V,).
    amplitude
        ω1 [rad/s], shape (V,).
    water, solute
        Distance of the carrier from water and from the solute [rad/s], shape (V,).
    r2
        Transverse relaxation rate of the solute [1/s].
    """
    square = amplitude**2
    effective = square + water**2
    top = (water - solute) ** 2 + r2 / rate * effective + r2 * (rate + r2)
    width = (rate + r2) / rate * square + (rate + r2) ** 2
    return fraction * rate * square / effective * top / (width + solute**2)


def rotating_frame_signal(scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels) -> Values:
    """Return Z of water in all images, shape (V, N).

    Parameters
    ----------
    scan
        Series of continuous saturation, and one solute.
    values
        Fraction and rate of the solute, shape (V, 2).
    known
        Maps of the voxels; T1 is that of water.
    """
    fraction, rate = np.asarray(values, dtype=np.float64).T
    parts = [_series(protocol, scan, fraction, rate, known) for protocol in scan.protocols]
    return np.concatenate(parts, axis=1)


def _series(
    protocol: SaturationProtocol, scan: ExchangeScan, fraction: Values, rate: Values, known: KnownVoxels
) -> Values:
    t1 = np.asarray(known.t1, dtype=np.float64)
    z = np.ones(len(t1))
    signal = np.empty((len(t1), protocol.number_of_images))
    for number, image in enumerate(protocol.images):
        share, gained = _saturation(image, protocol, scan, fraction, rate, known)
        if protocol.start is Start.RELAXED:
            before = np.ones(len(t1))
        elif protocol.start is Start.PREVIOUS:
            before = z if number == 0 else _recovered(*_between(image, protocol, known), z)
        else:
            kept, added = _between(image, protocol, known)
            before = (kept * gained + added) / (1.0 - kept * share)
        z = share * before + gained
        signal[:, number] = z
    return signal


def _recovered(share: Values, gained: Values, z: Values) -> Values:
    return share * z + gained


def _between(image: SaturatedImage, protocol: SaturationProtocol, known: KnownVoxels) -> tuple[Values, Values]:
    """Return what readout and recovery before an image leave of z and add to it, shape (V,) each."""
    share, gained = np.ones(len(known.t1)), np.zeros(len(known.t1))
    readout = protocol.readout
    if readout is not None:
        angle = readout.flip_angle * (np.asarray(known.b1) if readout.scales_with_b1 else np.ones(len(known.t1)))
        decay = np.exp(-readout.spacing / known.t1)
        for _ in range(readout.number):
            share, gained = share * np.cos(angle) * decay, 1.0 - (1.0 - gained * np.cos(angle)) * decay
    decay = np.exp(-image.recovery / known.t1)
    return share * decay, 1.0 - (1.0 - gained) * decay


def _saturation(
    image: SaturatedImage,
    protocol: SaturationProtocol,
    scan: ExchangeScan,
    fraction: Values,
    rate: Values,
    known: KnownVoxels,
) -> tuple[Values, Values]:
    """Return what the saturation of an image leaves of z and adds to it, shape (V,) each."""
    train = image.saturation
    if train is None or image.offset is None:
        return np.ones(len(known.t1)), np.zeros(len(known.t1))
    pool = scan.model.cest[0]
    larmor = 1e-6 * GYROMAGNETIC_RATIO * protocol.field_strength
    r1, r2 = 1.0 / np.asarray(known.t1, dtype=np.float64), 1.0 / np.asarray(known.t2, dtype=np.float64)
    amplitude = _TWO_PI * GYROMAGNETIC_RATIO * train.pulse.segments[0].amplitude * np.asarray(known.b1)
    water = _TWO_PI * (image.offset * larmor - np.asarray(known.off_resonance))
    solute = water - _TWO_PI * pool.shift * larmor
    effective = np.maximum(amplitude**2 + water**2, 1e-300)
    along, across = water**2 / effective, amplitude**2 / effective
    exchange = exchange_relaxation(fraction, rate, amplitude=amplitude, water=water, solute=solute, r2=1.0 / pool.t2)
    relaxation = r1 * along + r2 * across + exchange
    locked = train.spin_lock is not SpinLock.NONE
    steady = (np.sqrt(along) if locked else along) * r1 / relaxation
    decay = np.exp(-relaxation * train.duration)
    share, gained = (decay if locked else along * decay), steady * (1.0 - decay)
    rest = np.exp(-train.spoiler * r1)
    return share * rest, 1.0 - (1.0 - gained) * rest
