"""Z-spectra of tissue at 3 T by the Bloch-McConnell equations of five pools, and of fat by those of its own line alone."""

from __future__ import annotations

import numpy as np

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import SaturatedImage, Saturation, SaturationProtocol

HERTZ_PER_PPM = 127.7292

SOLUTES = {"amide": (1e-3, 60.0, 3.5, 0.02), "amine": (3e-4, 3000.0, 2.8, 0.01), "NOE": (5e-3, 16.0, -3.5, 1e-3)}
"""Fraction, rate [1/s], shift [ppm] and T2 [s]."""


def tissue_spectra(
    offsets: np.ndarray, *, train: Saturation, shift: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return Z (V, N) of voxels whose T1, T2, B1 and semisolid fraction are drawn over those of brain.

    Parameters
    ----------
    offsets
        Offsets [ppm], shape (N,).
    train
        What is played before every image.
    shift
        Shift of water [ppm], shape (V,).
    rng
        For the draw.
    """
    model = PoolModel(
        water=Water(t1=1.2, t2=0.07),
        cest=tuple(
            CestPool(name=name, fraction=fraction, rate=rate, shift=place, t2=t2)
            for name, (fraction, rate, place, t2) in SOLUTES.items()
        ),
        mt=MtPool(
            name="MT",
            fraction=0.08,
            rate=30.0,
            shift=-2.5,
            t2=1e-5,
            t1=1.0,
            form=MtForm.Z_ONLY,
            lineshape=Lineshape.SUPER_LORENTZIAN,
        ),
    )
    voxels = len(shift)
    known = VoxelParameters(
        t1=rng.uniform(0.9, 1.5, voxels),
        t2=rng.uniform(0.05, 0.09, voxels),
        b1=rng.uniform(0.85, 1.15, voxels),
        off_resonance=HERTZ_PER_PPM * shift,
        fractions={"MT": rng.uniform(0.05, 0.12, voxels), "NOE": rng.uniform(3e-3, 9e-3, voxels)},
        rates={},
    )
    return signal_and_jacobian(model, _protocol(offsets, train), known).signal


def fat_spectra(offsets: np.ndarray, *, train: Saturation, shift: np.ndarray) -> np.ndarray:
    """Return Z (V, N) of fat at -3.4 ppm from water, which exchanges with nothing; parameters as in `tissue_spectra`."""
    known = VoxelParameters(off_resonance=HERTZ_PER_PPM * (shift - 3.4), fractions={}, rates={})
    fat = PoolModel(water=Water(t1=0.37, t2=0.06), cest=(), mt=None)
    return signal_and_jacobian(fat, _protocol(offsets, train), known).signal


def _protocol(offsets: np.ndarray, train: Saturation) -> SaturationProtocol:
    images = tuple(SaturatedImage(saturation=train, offset=float(offset), recovery=3.0) for offset in offsets)
    return SaturationProtocol(field_strength=3.0, images=images)
