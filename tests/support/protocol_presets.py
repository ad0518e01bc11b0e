"""Published saturation protocols of every kind by name: those of the package, and more of the sequence library of pulseq-CEST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qmri_bids.physics.saturation import Pulse, Saturation, SaturationProtocol, SpinLock
from qmri_bids.physics.saturation_presets import (
    SPOILER,
    aptw_3t_001,
    mrf_amide,
    mrf_mt,
    multipool_3t_001,
    wasabi_3t_001,
    z_spectrum,
)

_APT_OFFSETS = tuple(np.linspace(-4.0, 4.0, 33).tolist())


def aptw_3t_000() -> SaturationProtocol:
    """Return APTw_3T_000: one block of 2 s, 2 µT."""
    return z_spectrum(
        Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0), spoiler=SPOILER), _APT_OFFSETS, recovery=3.5
    )


def aptw_3t_002() -> SaturationProtocol:
    """Return APTw_3T_002: 20 sinc-Gauss pulses of 50 ms, 50 ms apart, root mean square 2 µT."""
    pulse = Pulse.sinc_gauss(mean_amplitude=2.4e-6, duration=50e-3)
    return z_spectrum(Saturation(pulse=pulse, number=20, gap=50e-3, spoiler=SPOILER), _APT_OFFSETS, recovery=3.5)


def aptw_3t_004() -> SaturationProtocol:
    """Return APTw_3T_004: 19 locked blocks of 100 ms, 5 ms apart, 2 µT; tips of 1 ms, so that liquids follow them."""
    train = Saturation(
        pulse=Pulse.block(amplitude=2e-6, duration=0.1),
        number=19,
        gap=5e-3,
        spin_lock=SpinLock.LIQUID_POOLS,
        spoiler=SPOILER,
    )
    return z_spectrum(train, _APT_OFFSETS, recovery=3.5)


def multipool_3t_002() -> SaturationProtocol:
    """Return the 0.9 µT half of the multi-pool protocol, that of deepCEST at 3 T."""
    half = multipool_3t_001()
    pulse = Pulse.gauss(mean_amplitude=0.9e-6, duration=20.48e-3)
    images = (replace(image, saturation=replace(image.saturation, pulse=pulse)) for image in half.images)
    return replace(half, images=tuple(images))


PROTOCOL_PRESETS: dict[str, Callable[[], SaturationProtocol]] = {
    "MRF_MT_3T": mrf_mt,
    "MRF_amide_3T": mrf_amide,
    "APTw_3T_000": aptw_3t_000,
    "APTw_3T_001": aptw_3t_001,
    "APTw_3T_002": aptw_3t_002,
    "APTw_3T_004": aptw_3t_004,
    "WASABI_3T_001": wasabi_3t_001,
    "MultiPool_3T_001": multipool_3t_001,
    "MultiPool_3T_002": multipool_3t_002,
}
"""Every preset by its name."""
