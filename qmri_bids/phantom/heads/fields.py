"""Smooth fields of the head: random variation, transmit field, off-resonance, receiver phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.volume import Points, Volume
from qmri_bids.units import GYROMAGNETIC_RATIO

AIR_MINUS_TISSUE = 9.4e-6
"""Volume susceptibility of air (0.36 ppm) minus that of water-like tissue (-9.05 ppm); Schenck, Med Phys
23:815 (1996)."""


def smooth_variation(grid: Volume, *, length: float, rng: np.random.Generator) -> Volume:
    """Return a smooth random field within (-1, 1) on a grid.

    Parameters
    ----------
    grid
        Only its geometry is used.
    length
        Distance over which the field varies [mm].
    rng
        Source of randomness.
    """
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.standard_normal(grid.data.shape).astype(np.float32), length / grid.spacing, mode="wrap")
    return grid.with_data(np.tanh((field - field.mean()) / field.std()))


def transmit_field(grid: Volume, *, semi_axes: tuple[float, float, float], rng: np.random.Generator) -> Volume:
    """Return B1+ over its nominal value, from 0.7 at the rim to 1.25 in the middle of the head.

    The central brightening of a 3 T body coil: a bell over the head's ellipsoid, tilted and modulated by
    smooth random fields. The level 0.05 + 0.88·bell ± 0.05 stays within (0, 1).

    Parameters
    ----------
    grid
        Only its geometry is used; its origin of coordinates is the centre of the head.
    semi_axes
        Half the extent of the head [mm].
    rng
        Source of randomness.
    """
    centre = rng.uniform(-8.0, 8.0, size=3)
    scaled = (grid.points() - centre[:, None]) / np.array(semi_axes)[:, None]
    distance = np.sum(scaled**2, axis=0).reshape(grid.data.shape)
    variation = smooth_variation(grid, length=45.0, rng=rng).data
    bell = np.exp(-distance / (2.0 * 0.60**2))
    level = 0.05 + 0.88 * bell + 0.05 * variation
    return grid.with_data(0.70 + 0.55 * level)


def susceptibility_field(air: NDArray[np.floating], *, spacing: float, field_strength: float) -> NDArray[np.float32]:
    """Return the off-resonance of a distribution of air in tissue [Hz], main field along z.

    First-order dipole field with the Lorentz sphere: ΔB(k) = (1/3 - kz²/k²) χ(k) B0 (Marques and Bowtell,
    Concepts Magn Reson B 25:65, 2005; Salomir et al. 2003). The grid is doubled along every axis so that no
    copy is near.

    Parameters
    ----------
    air
        Share of air in a voxel, 1 in air, 0 in tissue, shape (x, y, z).
    spacing
        Distance of voxel centres [mm]; isotropic.
    field_strength
        B0 [T].
    """
    from scipy.fft import irfftn, next_fast_len, rfftn

    shape = [next_fast_len(2 * n, real=True) for n in air.shape]
    # Outside the grid air goes on: the padding holds tissue minus air = 0, the grid tissue =
    # -AIR_MINUS_TISSUE.
    tissue = (-AIR_MINUS_TISSUE * (1.0 - air)).astype(np.float32)
    frequencies = [np.fft.fftfreq(n, d=spacing) for n in shape[:2]] + [np.fft.rfftfreq(shape[2], d=spacing)]
    kx, ky, kz = np.meshgrid(*[f.astype(np.float32) for f in frequencies], indexing="ij", sparse=True)
    squared = kx**2 + ky**2 + kz**2
    squared[0, 0, 0] = 1.0
    kernel = np.float32(1.0 / 3.0) - kz**2 / squared
    kernel[0, 0, 0] = 0.0
    shift = irfftn(rfftn(tissue, s=shape) * kernel, s=shape)[: air.shape[0], : air.shape[1], : air.shape[2]]
    return (shift * GYROMAGNETIC_RATIO * field_strength).astype(np.float32)


def shim(field: NDArray[np.float32], *, points: Points, region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the field minus its best fit of second order inside a region, as a scanner's shim does.

    Parameters
    ----------
    field
        Off-resonance [Hz], shape (x, y, z).
    points
        Positions of its voxels [mm], shape (3, x·y·z).
    region
        Voxels that count in the fit, shape (x, y, z).
    """
    x, y, z = points / 100.0
    terms = np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x**2 - y**2, 2.0 * z**2 - x**2 - y**2], axis=1)
    inside = region.ravel()
    coefficients, *_ = np.linalg.lstsq(terms[inside], field.ravel()[inside], rcond=None)
    return (field.ravel() - terms @ coefficients).reshape(field.shape).astype(np.float32)


def receiver_phase(points: Points, *, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the receiver phase [rad] at positions in the scanner's frame: a polynomial of second order.

    Parameters
    ----------
    points
        Positions [mm], shape (3, n).
    coefficients
        Constant, three linear and three quadratic terms per (100 mm) and (100 mm)² [rad], shape (7,).
    """
    scaled = points / 100.0
    phase: NDArray[np.float64] = coefficients[0] + coefficients[1:4] @ scaled + coefficients[4:7] @ scaled**2
    return phase
