"""Published saturation protocols.

Sources: Finkelstein et al., Commun Phys 8:164 (2025), for the fingerprinting stages; the sequence library of pulseq-CEST
(Herz et al., MRM 86:1845, 2021) for the Z-spectra, under its names; RF as its files play it, not as their definitions state it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qmri_bids.physics.saturation import (
    Carrier,
    Pulse,
    Readout,
    SaturatedImage,
    Saturation,
    SaturationProtocol,
    SpinLock,
    Start,
)

FAR_OFFSET = -300.0
"""Offset of images that normalise a Z-spectrum [ppm]."""

SPOILER = 6.5e-3
"""Time from the last pulse to the end of the crusher in the sequence library [s]."""

_MRF_B1 = (2.0, 2.0, 1.7, 1.5, 1.2, 1.2, 3.0, 0.5, 3.0, 1.0, 2.2, 3.2, 1.5, 0.7, 1.5, 2.2, 2.5, 1.2, 3.0, 0.2,
           1.5, 2.5, 0.7, 4.0, 3.2, 3.5, 1.5, 2.7, 0.7, 0.5)  # fmt: skip
_MRF_MT_OFFSETS = (8.0, 6.0, 6.0, 10.0, 10.0, 10.0, 8.0, 6.0, 8.0, 14.0, 14.0, 10.0, 6.0, 10.0, 8.0, 6.0, 8.0, 10.0, 14.0,
                   14.0, 6.0, 8.0, 14.0, 6.0, 14.0, 14.0, 14.0, 8.0, 10.0, 8.0)  # fmt: skip


def _fingerprint(offsets: Sequence[float]) -> SaturationProtocol:
    images = [SaturatedImage(saturation=None, offset=None, recovery=15.0, is_m0=True)]
    for index, (micro_tesla, offset) in enumerate(zip(_MRF_B1, offsets, strict=True)):
        train = Saturation(
            pulse=Pulse.block(amplitude=micro_tesla * 1e-6, duration=0.1),
            number=13,
            gap=0.1,
            spin_lock=SpinLock.ALL_POOLS,
            carrier=Carrier.RUNS,
        )
        # The 15 s of the first repetition are spent after its readout, as the published simulation has them.
        images.append(SaturatedImage(saturation=train, offset=offset, recovery=1.0 if index else 15.0))
    # The published simulation leaves the excitations at their nominal angle.
    readout = Readout(number=45, flip_angle=math.radians(15.0), spacing=28.37e-3, scales_with_b1=False)
    return SaturationProtocol(field_strength=3.0, images=tuple(images), start=Start.PREVIOUS, readout=readout)


def mrf_mt() -> SaturationProtocol:
    """Return the semisolid stage of published fingerprinting at 3 T: M0 and 30 images, 13 locked blocks of 100/100 ms."""
    return _fingerprint(_MRF_MT_OFFSETS)


def mrf_amide() -> SaturationProtocol:
    """Return the amide stage of published fingerprinting at 3 T: as `mrf_mt` with all offsets at 3.5 ppm."""
    return _fingerprint((3.5,) * len(_MRF_B1))


def z_spectrum(
    saturation: Saturation,
    offsets: Sequence[float],
    *,
    recovery: float,
    m0_recovery: float | None = None,
    field_strength: float = 3.0,
) -> SaturationProtocol:
    """Return a Z-spectrum from full relaxation: an image at -300 ppm, then the offsets.

    Parameters
    ----------
    saturation
        What is played before every image.
    offsets
        Frequency offsets of the images after the first [ppm].
    recovery, m0_recovery
        Free recovery before the images and before the first of them [s].
    field_strength
        B0 [T].
    """
    far = SaturatedImage(
        saturation=saturation,
        offset=FAR_OFFSET,
        recovery=recovery if m0_recovery is None else m0_recovery,
        is_m0=True,
    )
    images = (replace(far, offset=float(offset), recovery=recovery, is_m0=False) for offset in offsets)
    return SaturationProtocol(field_strength=field_strength, images=(far, *images))


def aptw_3t_001() -> SaturationProtocol:
    """Return APTw_3T_001: 36 sinc-Gauss pulses of 50 ms, 5 ms apart, root mean square 2 µT."""
    pulse = Pulse.sinc_gauss(mean_amplitude=1.78e-6, duration=50e-3)
    train = Saturation(pulse=pulse, number=36, gap=5e-3, spoiler=SPOILER)
    return z_spectrum(train, np.linspace(-4.0, 4.0, 33).tolist(), recovery=3.5)


def wasabi_3t_001() -> SaturationProtocol:
    """Return WASABI_3T_001: one block of 5 ms, 3.7 µT, 31 offsets over ±2 ppm."""
    train = Saturation(pulse=Pulse.block(amplitude=3.7e-6, duration=5e-3), spoiler=SPOILER)
    return z_spectrum(train, np.linspace(-2.0, 2.0, 31).tolist(), recovery=3.0, m0_recovery=12.0)


def multipool_3t_001() -> SaturationProtocol:
    """Return the 0.6 µT half of the multi-pool protocol: 80 Gauss pulses of 20.48 ms, 20 ms apart, 55 offsets to ±100 ppm."""
    side = (100.0, 50.0, 40.0, 30.0, 20.0, *np.arange(10.0, 0.9, -0.5).tolist(), 0.6, 0.4, 0.2)
    offsets = (*(-offset for offset in side), 0.0, *reversed(side))
    pulse = Pulse.gauss(mean_amplitude=0.6e-6, duration=20.48e-3)
    train = Saturation(pulse=pulse, number=80, gap=20e-3, spoiler=SPOILER)
    return z_spectrum(train, offsets, recovery=0.0, m0_recovery=12.0)
