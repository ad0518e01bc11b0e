"""T1 and T2 of fluid: from the scan's own ventricles, else from the literature with their spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qmri_bids.physics.bssfp import natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.units import seconds_to_milliseconds

LITERATURE_T1, LITERATURE_T2 = (4.2, 0.4), (2.0, 0.6)
"""T1 and T2 of cerebrospinal fluid [s] at 3 T with their spread between studies (T1 3.7-4.6 s: Rooney et al., MRM 57:308, 2007,
Lin et al., JMRI 14:289, 2001; T2 1.5-2.6 s: Daoust et al., MRM 77:1983, 2017, Spijkerman et al., MAGMA 31:415, 2018)."""

FLUID_T1, FLUID_T2 = 1.8, 0.35
"""Times [s] above which a voxel is taken for fluid: no tissue of the brain reaches both."""

FEWEST_VOXELS, MOST_VOXELS = 40, 1500
"""Voxels deep in fluid from which on its own times are used, and as many as are looked at."""

SURROUNDED, KNOWN_NEIGHBOURS = (0.9, 0.7), 0.45
"""Share of the neighbours with times that are fluid, and share of all 26 that have times, from which fluid surrounds a voxel:
nearly all, or most where too few are like that, in coarse voxels. A head of 3 mm has 25 of the first kind; of its 265 of the
second T1 and T2 are right within 1 % at SNR 100 and 4 % at SNR 25, those of half of the neighbours 13 % too low."""

WIDEST = 0.3
"""Relative standard deviation beyond which own times are worth less than those of the literature."""

PLACE = (0.05, 0.08)
"""By the share of the neighbours, relative standard deviation of both times together, from place to place and by what else is in
the voxels: in a digital head that moves they were 5 % too low."""

ROUNDS, LARGEST_STEP, STEP = 8, 0.3, 1e-5
"""Steps of the fit, the largest of a logarithm of a time or of θ [rad], and that of numerical derivatives."""


@dataclass(frozen=True, kw_only=True)
class FluidTimes:
    """Relaxation times of fluid.

    Parameters
    ----------
    t1, t2
        T1 and T2 [s].
    covariance
        Of the errors of log T1 and log T2, shape (2, 2): what makes one too low makes the other so, and their ratio, which the
        shape of the profile depends on most, is known better than either.
    voxels
        Voxels from which they are; 0 where they are from the literature.
    """

    t1: float
    t2: float
    covariance: NDArray[np.float64]
    voxels: int

    @property
    def t1_stdev(self) -> float:
        """Standard deviation of T1 [s]."""
        return self.t1 * math.sqrt(float(self.covariance[0, 0]))

    @property
    def t2_stdev(self) -> float:
        """Standard deviation of T2 [s]."""
        return self.t2 * math.sqrt(float(self.covariance[1, 1]))

    def one_stdev_away(self) -> tuple[tuple[tuple[float, float], tuple[float, float]], ...]:
        """Return T1 and T2 [s] one standard deviation to either side along the two independent directions of their error."""
        sizes, directions = np.linalg.eigh(self.covariance)
        moved = []
        for size, direction in zip(sizes, directions.T, strict=True):
            step = np.exp(math.sqrt(max(float(size), 0.0)) * direction)
            up, down = (self.t1 * step[0], self.t2 * step[1]), (self.t1 / step[0], self.t2 / step[1])
            moved.append(((float(up[0]), float(up[1])), (float(down[0]), float(down[1]))))
        return tuple(moved)

    def sentence(self) -> str:
        """Say what they are and where they are from."""
        said = " and ".join(
            f"{name} {seconds_to_milliseconds(value):.0f} ± {seconds_to_milliseconds(spread):.0f} ms"
            for name, value, spread in (("T1", self.t1, self.t1_stdev), ("T2", self.t2, self.t2_stdev))
        )
        if self.voxels:
            return f"Fluid has {said} in this scan ({self.voxels:,} voxels that fluid surrounds, together)."
        return (
            f"No times of fluid can be had from this scan (fewer than {FEWEST_VOXELS} voxels that fluid surrounds): it was taken "
            f"to have {said}, as in the literature."
        )


LITERATURE = FluidTimes(
    t1=LITERATURE_T1[0],
    t2=LITERATURE_T2[0],
    covariance=np.diag([(LITERATURE_T1[1] / LITERATURE_T1[0]) ** 2, (LITERATURE_T2[1] / LITERATURE_T2[0]) ** 2]),
    voxels=0,
)


def fluid_times(
    cycles: NDArray[np.complexfloating],
    *,
    theta: NDArray[np.floating],
    t1: NDArray[np.floating],
    t2: NDArray[np.floating],
    b1: NDArray[np.float64],
    protocol: BssfpProtocol,
    inside: NDArray[np.bool_],
) -> FluidTimes:
    """Return the times of fluid, from all voxels together that fluid surrounds.

    Noise spreads the times of single voxels of fluid unevenly, by which their mean and median are 12 % too low; the times that
    explain all of these voxels at once, each with its own amplitude and θ, are not.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    theta
        θ of a fit of one pool [rad], shape (V,).
    t1, t2
        Its times [s], shape (V,), however long; NaN where there are none.
    b1
        Actual over nominal flip angle, shape (V,); voxels where it is not a positive number do not count.
    protocol
        The acquisition.
    inside
        Where in the image the voxels lie, V of them True.
    """
    with np.errstate(invalid="ignore"):
        fluid = (t1 > FLUID_T1) & (t2 > FLUID_T2)
    # Whether a voxel is fluid is said by its neighbours: to choose by its own times would choose among their noise, and few cycles
    # leave some voxels of fluid without times.
    counts = []
    for each in (fluid, np.isfinite(t1) & np.isfinite(t2)):
        image = np.zeros(inside.shape)
        image[inside] = each
        counts.append(ndimage.uniform_filter(image, size=3, mode="nearest")[inside])
    told = (counts[1] >= KNOWN_NEIGHBOURS) & np.isfinite(theta) & (b1 > 0.0) & (np.abs(cycles).min(axis=1) > 0.0)
    ways = [np.flatnonzero(told & (counts[0] >= share * counts[1])) for share in SURROUNDED]
    enough = [len(way) >= FEWEST_VOXELS for way in ways]
    if not any(enough):
        return LITERATURE
    first = enough.index(True)
    chosen = ways[first]
    if len(chosen) > MOST_VOXELS:
        chosen = np.random.default_rng(0).choice(chosen, MOST_VOXELS, replace=False)
    signal = np.asarray(cycles[chosen], dtype=np.complex128)
    signal /= np.sqrt(np.sum(np.abs(signal) ** 2, axis=1, keepdims=True))
    start = np.log([float(np.nanmedian(t1[chosen])), float(np.nanmedian(t2[chosen]))])
    try:
        logs, scatter = _common_times(
            signal, np.array(theta[chosen], dtype=np.float64), start, b1=b1[chosen], protocol=protocol
        )
    except np.linalg.LinAlgError:
        return LITERATURE
    times, spread = np.exp(logs), np.sqrt(np.diag(scatter))
    if not (np.isfinite(spread).all() and (spread < WIDEST).all() and times[0] > FLUID_T1 and times[1] > FLUID_T2):
        return LITERATURE
    return FluidTimes(
        t1=float(times[0]),
        t2=float(times[1]),
        covariance=scatter + PLACE[first] ** 2,
        voxels=len(chosen),
    )


def _common_times(
    signal: NDArray[np.complex128],
    theta: NDArray[np.float64],
    logs: NDArray[np.float64],
    *,
    b1: NDArray[np.float64],
    protocol: BssfpProtocol,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log T1 and log T2 that explain all voxels best, and the covariance of their error.

    The covariance is that of a sum of independent voxels whatever their noise (White, Econometrica 48:817, 1980).
    """
    for _ in range(ROUNDS):
        columns = _slopes(theta, logs, b1=b1, protocol=protocol)
        shape, by_theta, by_t1, by_t2 = columns
        amplitude = np.sum(shape.conj() * signal, axis=1) / np.sum(np.abs(shape) ** 2, axis=1)
        residual = signal - amplitude[:, None] * shape
        own = np.stack([shape, 1j * shape, amplitude[:, None] * by_theta], axis=-1)
        common = amplitude[:, None, None] * np.stack([by_t1, by_t2], axis=-1)
        own, common = (np.concatenate([each.real, each.imag], axis=1) for each in (own, common))
        left = np.concatenate([residual.real, residual.imag], axis=1)[..., None]
        inverse = np.linalg.inv(np.swapaxes(own, 1, 2) @ own) @ np.swapaxes(own, 1, 2)
        beyond = common - own @ (inverse @ common)
        # A voxel that is not fluid alone leaves more and counts less.
        power = np.mean((left - own @ (inverse @ left))[..., 0] ** 2, axis=1)
        weight = 1.0 / (power + np.median(power))
        gradient = weight[:, None] * (np.swapaxes(beyond, 1, 2) @ left)[..., 0]
        information = np.einsum("v,vki,vkj->ij", weight, beyond, beyond)
        step = np.linalg.solve(information, gradient.sum(axis=0))
        step *= min(1.0, LARGEST_STEP / np.abs(step).max())
        logs = logs + step
        theta += (inverse @ (left - common @ step[:, None]))[:, 2, 0].clip(-LARGEST_STEP, LARGEST_STEP)
    inverse_information = np.linalg.inv(information)
    return logs, inverse_information @ (gradient.T @ gradient) @ inverse_information


def _slopes(
    theta: NDArray[np.float64], logs: NDArray[np.float64], *, b1: NDArray[np.float64], protocol: BssfpProtocol
) -> list[NDArray[np.complex128]]:
    """Return the profile of fluid and its slopes by θ, log T1 and log T2, shape (V, N) each."""

    def shape(theta: NDArray[np.float64], log_t1: float, log_t2: float) -> NDArray[np.complex128]:
        ones = np.ones(len(b1))
        e2, b = natural_coordinates(math.exp(log_t1) * ones, math.exp(log_t2) * ones, b1=b1, protocol=protocol)
        found: NDArray[np.complex128] = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
        return found

    t1, t2 = (float(each) for each in logs)
    return [
        shape(theta, t1, t2),
        (shape(theta + STEP, t1, t2) - shape(theta - STEP, t1, t2)) / (2.0 * STEP),
        (shape(theta, t1 + STEP, t2) - shape(theta, t1 - STEP, t2)) / (2.0 * STEP),
        (shape(theta, t1, t2 + STEP) - shape(theta, t1, t2 - STEP)) / (2.0 * STEP),
    ]
