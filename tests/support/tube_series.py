"""Tubes of one solute in water and series of continuous saturation on both sides of water, judged by plain matrix exponentials."""

import numpy as np
from scipy.linalg import expm

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.physics.pools import CestPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol

GAMMA = 42.5764e6
M0_IMAGES = 2


def tube_scan(*, shift, powers, durations=(3.0,), field_strength=7.0, name="solute", t2=0.02, offsets=None):
    """Return the scan of powers [µT] and durations [s] at ±shift [ppm], or at given offsets."""
    pool = CestPool(name=name, fraction=1e-3, rate=300.0, shift=shift, t2=t2)
    images = [SaturatedImage(saturation=None, offset=None, is_m0=True)] * M0_IMAGES
    for duration in durations:
        for power in powers:
            train = Saturation(pulse=Pulse.block(amplitude=power * 1e-6, duration=duration))
            images += [SaturatedImage(saturation=train, offset=each) for each in offsets or (shift, -shift)]
    protocol = SaturationProtocol(field_strength=field_strength, images=tuple(images))
    model = PoolModel(water=Water(t1=2.5, t2=1.0), cest=(pool,))
    return ExchangeScan(protocols=(protocol,), model=model, pools=(name,))


def tube_signal(scan, fraction, rate, *, t1=2.5, t2=1.0, b1=1.0, off_resonance=0.0):
    """Return Z of one voxel in all images, each from full relaxation, by the whole matrix of two pools."""
    (protocol,), (pool,) = scan.protocols, scan.model.cest
    larmor = 1e-6 * GAMMA * protocol.field_strength
    signal = []
    for image in protocol.images:
        if image.saturation is None:
            signal.append(1.0)
            continue
        segment = image.saturation.pulse.segments[0]
        matrix = np.zeros((7, 7))
        w1 = 2 * np.pi * GAMMA * segment.amplitude * b1
        for first, shift, r1, r2, away in (
            (0, 0.0, 1 / t1, 1 / t2, fraction * rate),
            (3, pool.shift, 1 / t1, 1 / pool.t2, rate),
        ):
            x, y, z = first, first + 1, first + 2
            turn = 2 * np.pi * ((shift - image.offset) * larmor + off_resonance)
            matrix[x, y], matrix[y, x] = turn, -turn
            matrix[y, z], matrix[z, y] = w1, -w1
            other = 3 - first
            for each, relaxation in ((x, r2), (y, r2), (z, r1)):
                matrix[each, each] = -relaxation - away
                matrix[each - first + other, each] += away
            matrix[z, 6] = r1 * (1.0 if first == 0 else fraction)
        state = np.array([0, 0, 1.0, 0, 0, fraction, 1.0])
        signal.append((expm(matrix * segment.duration) @ state)[2])
    return np.array(signal)


def known_tubes(number, *, t1=2.5, t2=1.0, b1=1.0, off_resonance=0.0, errors=(0.0, 0.0, 0.0, 0.0), seed=0):
    """Return known maps with errors of the standard deviations: relative of T1, T2 and B1, in Hz of the off-resonance."""
    rng = np.random.default_rng(seed)
    stdev = np.array(errors) * np.array([t1, t2, b1, 1.0])
    values = [
        each + sd * rng.standard_normal(number) for each, sd in zip((t1, t2, b1, off_resonance), stdev, strict=True)
    ]
    names = ("t1", "t2", "b1", "off_resonance")
    spread = {f"{name}_stdev": np.full(number, sd) for name, sd in zip(names, stdev, strict=True) if sd}
    return KnownVoxels(**dict(zip(names, values, strict=True)), **spread)
