"""Spectra of the kind that people give, by the Bloch-McConnell equations of seven pools: the judge of `real_spectra.py`.

Water, a semisolid pool with a super-Lorentzian line (z alone), amide, amine and guanidine protons, and the relayed NOE at -3.5
and -1.6 ppm. Fractions, rates, T1 and T2, T2 of the semisolid pool, the true B1 and the shift of water are drawn voxel by voxel
over what is published of grey and white matter; no line of them is a Lorentzian, and the fit has fewer pools than they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.units import ppm_to_hertz

FAR = (100.0, 50.0, 30.0, 20.0, 15.0, 12.0)


def _both(side: tuple[float, ...]) -> np.ndarray:
    return np.array([*(-each for each in side), 0.0, *reversed(side)])


OFFSETS: Mapping[int, np.ndarray] = {
    41: _both(
        (50.0, 20.0, 10.0, 8.0, 6.0, 5.0, 4.5, 4.0, 3.75, 3.5, 3.25, 3.0, 2.5, 2.2, 2.0, 1.75, 1.5, 1.0, 0.6, 0.3)
    ),
    55: _both((*FAR[:4], *np.arange(10.0, 4.9, -1.0), *np.arange(4.5, 0.9, -0.25), 0.5, 0.25)),
    95: _both((*FAR, *np.arange(10.0, 5.9, -0.5), *np.arange(5.75, 0.1, -0.175))),
}
"""Offsets by their number [ppm]: few, those of most protocols, and many."""

RANGES: Mapping[float, Mapping[str, tuple[float, float]]] = {
    3.0: {"t1": (0.8, 1.5), "t2": (0.05, 0.09)},
    7.0: {"t1": (1.1, 2.0), "t2": (0.03, 0.055)},
}
"""T1 and T2 of water [s] by field [T]."""

POOLS = {
    "amide": ((6e-4, 2e-3), (30.0, 150.0), 3.5, 0.03),
    "amine": ((1e-4, 4e-4), (2000.0, 6000.0), 3.0, 0.01),
    "guanidine": ((2e-4, 5e-4), (300.0, 1100.0), 2.0, 0.02),
    "NOE": ((3e-3, 9e-3), (10.0, 25.0), -3.5, 1e-3),
    "NOE2": ((5e-4, 2e-3), (8.0, 20.0), -1.6, 3e-3),
}
"""Range of the fraction, range of the rate [1/s], shift [ppm] and T2 [s] of the solutes at 3 T; T2 is shorter at 7 T."""

JUDGED = {"amide": 3.5, "NOE": -3.5}


@dataclass(frozen=True)
class Scene:
    """Spectra of V voxels: offsets [ppm], Z without noise (V, N), shift of water [ppm] (V,), true amplitudes by pool (V,)."""

    offsets: np.ndarray
    z: np.ndarray
    shift: np.ndarray
    amplitude: Mapping[str, np.ndarray]


def protocol(offsets: np.ndarray, field: float) -> SaturationProtocol:
    """Return a block of low power, 0.6 µT over 2.5 s, before every image."""
    train = Saturation(pulse=Pulse.block(amplitude=0.6e-6, duration=2.5))
    images = tuple(SaturatedImage(saturation=train, offset=float(each), recovery=5.0) for each in offsets)
    return SaturationProtocol(field_strength=field, images=images)


TISSUE = tuple((Lineshape.SUPER_LORENTZIAN, 1e-6 * t2) for t2 in (8.5, 9.5, 10.5, 12.0))
"""Lines of the semisolid pool and T2 [s], in turns over the voxels."""

MIXED = ((Lineshape.LORENTZIAN, 1.6e-5), (Lineshape.SUPER_LORENTZIAN, 1e-5))
"""Voxels whose line is super-Lorentzian beside as many with a Lorentzian one: no line of a fit serves all."""

MT_SHIFT = -2.5
"""Centre of the semisolid pool [ppm]."""


def draw(
    number: int,
    *,
    field: float,
    offsets: np.ndarray,
    seed: int,
    semisolid: Sequence[tuple[Lineshape, float]] = TISSUE,
    shifted: bool = True,
) -> Scene:
    """Return spectra of voxels drawn over grey and white matter; `shifted` by the shift of water or not."""
    rng = np.random.default_rng(seed)
    shorter = 3.0 / field
    solutes = tuple(
        CestPool(name=name, fraction=fraction[0], rate=rate[0], shift=shift, t2=max(t2 * shorter, 4e-4))
        for name, (fraction, rate, shift, t2) in POOLS.items()
    )
    models = [
        PoolModel(
            water=Water(t1=1.2, t2=0.06),
            cest=solutes,
            mt=MtPool(
                name="MT", fraction=0.08, rate=30.0, shift=MT_SHIFT, t2=t2, t1=1.0,
                form=MtForm.Z_ONLY, lineshape=line,
            ),
        )
        for line, t2 in semisolid
    ]  # fmt: skip
    turn = np.arange(number) % len(models)
    shift = rng.uniform(-0.15, 0.15, number) * shifted
    voxels = {name: rng.uniform(*row, number) for name, row in RANGES[field].items()}
    voxels["b1"] = rng.uniform(0.85, 1.15, number)
    fractions = {name: rng.uniform(*row[0], number) for name, row in POOLS.items()}
    fractions["MT"] = rng.uniform(0.04, 0.13, number)
    rates = {name: rng.uniform(*row[1], number) for name, row in POOLS.items()}
    rates["MT"] = rng.uniform(20.0, 40.0, number)

    def z_of(where: np.ndarray, off: np.ndarray, **changed: np.ndarray) -> np.ndarray:
        z = np.empty((number, len(where)))
        for k, model in enumerate(models):
            mine = turn == k
            known = VoxelParameters(
                **{name: each[mine] for name, each in voxels.items()},
                off_resonance=off[mine],
                fractions={name: each[mine] for name, each in (fractions | changed).items()},
                rates={name: each[mine] for name, each in rates.items()},
            )
            z[mine] = signal_and_jacobian(model, protocol(where, field), known).signal
        return z

    z = z_of(offsets, ppm_to_hertz(1.0, field_strength=field) * shift)
    true = {}
    for name, at in JUDGED.items():
        place, none = np.array([at]), np.zeros(number)
        true[name] = (z_of(place, none, **{name: none}) - z_of(place, none))[:, 0]
    return Scene(offsets=offsets, z=z, shift=shift, amplitude=true)


def measured_like(number: int, *, field: float, offsets: np.ndarray, seed: int) -> Scene:
    """Return spectra that are sums of lines of the shapes that are measured, with a drift of the baseline.

    A semisolid line between super-Lorentzian and Lorentzian, amide and NOE as bands of several lines, and small pools at 1, 2,
    2.7 and -1.6 ppm, that of fast amine protons (2.7 ppm) low as at such power; the baseline drifts by some tenths of a percent
    over the series.
    """
    rng = np.random.default_rng(seed)
    narrow = 3.0 / field
    shift = rng.uniform(-0.15, 0.15, number)
    away = offsets - shift[:, None]

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (number, 1))

    def line(where: np.ndarray, at: float, width: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + 4.0 * ((where - at) / width) ** 2)

    def band(where: np.ndarray, centres: tuple[float, ...], width: np.ndarray) -> np.ndarray:
        return np.mean([line(where, at, width) for at in centres], axis=0)

    t2, part = uniform(8e-6, 1.2e-5), uniform(0.0, 0.3)
    hertz = ppm_to_hertz(1.0, field_strength=field)
    centre = np.empty_like(away)
    for k in range(number):
        radians = 2.0 * np.pi * hertz * np.append(away[k] - MT_SHIFT, 0.0)
        shape = absorption(Lineshape.SUPER_LORENTZIAN, radians, t2=float(t2[k, 0]))[0]
        centre[k] = shape[:-1] / shape[-1]
    semisolid = (1.0 - part) * centre + part * line(away, MT_SHIFT, uniform(30.0, 60.0) * narrow)
    amide, noe = (3.35, 3.5, 3.65), (-2.9, -3.2, -3.5, -3.8, -4.1)
    amide_width, noe_width = uniform(0.7, 1.2) * narrow**0.6, uniform(1.4, 2.2)
    amide_height, noe_height = uniform(0.02, 0.06), uniform(0.03, 0.09)
    lost = uniform(0.8, 0.88) * line(away, 0.0, uniform(1.2, 1.8) * narrow**0.5) + uniform(0.06, 0.14) * semisolid
    lost += amide_height * band(away, amide, amide_width) + noe_height * band(away, noe, noe_width)
    for at, height, width in ((1.0, 0.01, 0.8), (2.0, 0.03, 1.0), (2.7, 0.004, 3.0), (-1.6, 0.015, 1.2)):
        lost += uniform(0.3 * height, height) * line(away, at, width * narrow**0.6 * np.ones((number, 1)))
    z = 1.0 - lost + uniform(-0.002, 0.002) * np.linspace(-0.5, 0.5, len(offsets))
    true = {
        "amide": (amide_height * band(np.full((1, 1), 3.5), amide, amide_width))[:, 0],
        "NOE": (noe_height * band(np.full((1, 1), -3.5), noe, noe_width))[:, 0],
    }
    return Scene(offsets=offsets, z=z, shift=shift, amplitude=true)
