"""B0 and B1 maps from WASABI (Schuenke et al., Magn Reson Med 77:571, 2017) by least squares, with covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.blocks import run_blocks
from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.lorentzian_maps import masked
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.estimation.wasabi_kernels import fit_voxels
from qmri_bids.physics.wasabi import WasabiProtocol

MAPS = ("off_resonance", "b1", "c", "d")
"""Maps in the order of the columns of the fit: off-resonance [Hz], actual over nominal B1, level, depth."""

ITERATIONS = 60
"""Most evaluations from each start."""

BLOCK = 1024
"""Voxels handed to a thread at a time."""

MINIMUM_DEPTH = 8.0
"""d over its standard deviation: the best of thousands of fringes in pure noise reaches four."""

RATIOS = (0.45, 0.55, 0.7)
"""Ratios c/d whose signs the dictionary tries: 1/2 without relaxation, more with it."""

PHASE_STEP = 0.2
"""Step of the dictionary in the phase π t_p f of the fringes [rad]: well within the basin of a fringe."""


@dataclass(frozen=True, kw_only=True)
class WasabiBounds:
    """Box within which WASABI is fitted; a voxel at its edge has no value and is AT_BOUND.

    Parameters
    ----------
    b1
        Actual over nominal B1. Below 0.2 the fringes vanish.
    off_resonance
        Largest shift of water [Hz]; None for as far as the offsets reach.
    c, d
        Level and depth of Z; of an ideal pulse 1 and 2.

    Raises
    ------
    ValueError
        Unless every lower bound is below its upper bound, and those of B1 are positive.
    """

    b1: tuple[float, float] = (0.2, 2.0)
    off_resonance: float | None = None
    c: tuple[float, float] = (0.0, 3.0)
    d: tuple[float, float] = (0.0, 6.0)

    def __post_init__(self) -> None:
        for name, (low, high) in (("b1", self.b1), ("c", self.c), ("d", self.d)):
            if not low < high:
                raise ValueError(f"the bounds of {name} must increase, found {(low, high)}")
        if not self.b1[0] > 0.0:
            raise ValueError(f"the lower bound of b1 must be positive, found {self.b1[0]}")
        if self.off_resonance is not None and not self.off_resonance > 0.0:
            raise ValueError(f"the bound of off_resonance must be positive, found {self.off_resonance} Hz")


@dataclass(frozen=True, kw_only=True)
class _Dictionary:
    grid: NDArray[np.float64]
    signs: NDArray[np.float64]
    signed_fringes: NDArray[np.float64]
    sums: NDArray[np.float64]


def _dictionary(protocol: WasabiProtocol, lower: NDArray[np.float64], upper: NDArray[np.float64]) -> _Dictionary:
    step = PHASE_STEP / (math.pi * protocol.pulse_duration)
    shifts = np.linspace(lower[0], upper[0], 2 + int((upper[0] - lower[0]) / step))
    b1 = np.linspace(lower[1], upper[1], 2 + int((upper[1] - lower[1]) * protocol.nutation_frequency / step))
    grid = np.stack([each.ravel() for each in np.meshgrid(shifts, b1, indexing="ij")], axis=1)
    power = np.square(grid[:, 1:] * protocol.nutation_frequency)
    square = power + np.square(np.asarray(protocol.offsets) - grid[:, :1])
    fringes = power / square * np.square(np.sin(math.pi * protocol.pulse_duration * np.sqrt(square)))
    signs = np.where(fringes < np.array(RATIOS)[:, None, None], 1.0, -1.0)
    sums = np.stack([fringes.sum(axis=1), np.square(fringes).sum(axis=1)], axis=1)
    return _Dictionary(grid=grid, signs=signs, signed_fringes=signs * fringes, sums=sums)


def fit_wasabi(
    z: NDArray[np.floating],
    *,
    protocol: WasabiProtocol,
    bounds: WasabiBounds | None = None,
    noise: NDArray[np.floating] | float | None = None,
    threads: int = 1,
) -> Estimate:
    """Map B0 and B1.

    Parameters
    ----------
    z
        Signal over that of the normalisation volume, shape (V, N).
    protocol
        The acquisition.
    bounds
        Box of the fit; `WasabiBounds()` by default.
    noise
        Standard deviation of Z, shape (V,) or one for all; from the residual, moderated over all voxels, by default.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Estimate
        `off_resonance` [Hz], `b1`, `c` and `d`, shape (V,), NaN where the status is not CONVERGED. A voxel whose fringes do not
        stand out of the noise (standard deviation of B1 above a quarter of it, or d below eight of its own) is LOW_SIGNAL.

    Raises
    ------
    ValueError
        If shapes do not belong together.

    Examples
    --------
    >>> from qmri_bids.physics.wasabi import wasabi_signal
    >>> protocol = WasabiProtocol(offsets=tuple(np.linspace(-255.0, 255.0, 31)))
    >>> z = wasabi_signal(np.array([12.0]), np.array([0.9]), c=0.8, d=1.5, protocol=protocol)
    >>> found = fit_wasabi(z, protocol=protocol)
    >>> [round(float(found.values[name][0]), 3) for name in ("off_resonance", "b1")]
    [12.0, 0.9]
    """
    number = len(protocol.offsets)
    if z.ndim != 2 or z.shape[1] != number:
        raise ValueError(
            f"z must have shape (V, {number}), one column for every offset of the protocol, found {z.shape}"
        )
    voxels = len(z)
    if noise is not None and np.shape(noise) not in ((), (voxels,)):
        raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
    box = bounds or WasabiBounds()
    offsets = np.array(protocol.offsets, dtype=np.float64)
    reach = (offsets.min(), offsets.max()) if box.off_resonance is None else (-box.off_resonance, box.off_resonance)
    lower, upper = np.array([reach, box.b1, box.c, box.d], dtype=np.float64).T.copy()
    dictionary = _dictionary(protocol, lower, upper)
    parameters, covariance = np.empty((voxels, 4)), np.empty((voxels, 4, 4))
    residual_sum = np.empty(voxels)
    active, converged = np.empty((voxels, 4), dtype=np.bool_), np.empty(voxels, dtype=np.bool_)

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        fit_voxels(
            np.ascontiguousarray(z[part], dtype=np.float64),
            offsets,
            protocol.nutation_frequency,
            protocol.pulse_duration,
            dictionary.grid,
            dictionary.signs,
            dictionary.signed_fringes,
            dictionary.sums,
            lower,
            upper,
            ITERATIONS,
            parameters[part],
            covariance[part],
            residual_sum[part],
            active[part],
            converged[part],
        )

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    usable = np.isfinite(residual_sum)
    if noise is None:
        variance = moderated_variance(np.where(converged, residual_sum, math.nan), number - 4).variance
        sigma = np.sqrt(np.where(converged, variance, residual_sum / (number - 4)))
    else:
        sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
    with np.errstate(all="ignore"):
        stdev = np.sqrt(np.einsum("vii->vi", covariance)) * sigma[:, None]
        residual = np.sqrt(residual_sum / np.square(z, dtype=np.float64).sum(axis=1))
        status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
        status[active.any(axis=1)] = Status.AT_BOUND
        status[~converged] = Status.NOT_CONVERGED
        clear = (stdev[:, 1] < 0.25 * parameters[:, 1]) & (parameters[:, 3] > MINIMUM_DEPTH * stdev[:, 3])
        status[usable & ~clear] = Status.LOW_SIGNAL
    status[~(np.isfinite(z).all(axis=1) & (z != 0.0).any(axis=1))] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={name: masked(parameters[:, column], good) for column, name in enumerate(MAPS)},
        stdev={name: masked(stdev[:, column], good) for column, name in enumerate(MAPS)},
        residual=masked(residual, usable),
        status=status,
    )
