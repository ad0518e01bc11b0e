"""A folded piece of brain with fluid in its furrows and a ventricle: white matter, grey matter and fluid whose shares are known.

Every voxel is divided into points that hold one tissue each. The image is what a scan makes of them: k-space up to the resolution
of the voxels, tapered as the program tapers it, so that fluid reaches into the voxels beside it and rings; the noise is Gaussian.
The signals are those of the phantom, which shares no code with what is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

REFERENCE_SIGNAL = 0.074
"""Signal against which the ratio to noise is stated where M0 is 1 (Birk et al., Sci Rep 15:4825, 2025)."""

WHITE, GREY, FLUID = 0, 1, 2

TIMES = {WHITE: (0.939, 0.062, 0.70), GREY: (1.400, 0.085, 0.80), FLUID: (4.0, 2.0, 1.0)}
"""T1 [s], T2 [s] and M0 of the tissues."""

BESIDE = 0.05
"""Share of fluid in a neighbour from which on pure tissue lies beside fluid."""

TAPER = 0.5
"""Share of each half-axis of k-space that a Tukey window tapers."""

MARGIN = 4
"""Voxels at every face that are left out: k-space closes the scene to a ring."""

DEEP = 3
"""Voxels around a voxel that hold no fluid where it lies deep in tissue."""

Signal = Callable[..., NDArray[np.complex128]]
"""Function (t1, t2, b1, off_resonance, m0) of arrays of shape (n,) that returns cycles, shape (n, N)."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Voxels of a scene.

    Parameters
    ----------
    cycles
        Signal with noise, complex64, shape (X, Y, Z, N).
    share
        Share of each tissue in the image of a voxel, weighted by M0, shape (3, X, Y, Z): negative where it rings.
    within
        The same within the edges of the voxels.
    t1, t2
        T1 and T2 [s] of the tissue that fills most of the voxel beside fluid, shape (X, Y, Z).
    b1
        Actual over nominal flip angle, shape (X, Y, Z).
    off_resonance
        At the middle of the voxels [Hz].
    noise
        Standard deviation of the noise in real and imaginary part, shape (X, Y, Z).
    """

    cycles: NDArray[np.complex64]
    share: NDArray[np.float64]
    within: NDArray[np.float64]
    t1: NDArray[np.float64]
    t2: NDArray[np.float64]
    b1: NDArray[np.float64]
    off_resonance: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def fluid(self) -> NDArray[np.float64]:
        """Share of fluid, shape (X, Y, Z)."""
        return self.share[FLUID]

    @property
    def inner(self) -> NDArray[np.bool_]:
        """All but the margin."""
        inner = np.zeros(self.noise.shape, dtype=bool)
        inner[MARGIN:-MARGIN, MARGIN:-MARGIN, MARGIN:-MARGIN] = True
        return inner

    @property
    def pure(self) -> NDArray[np.bool_]:
        """Where a voxel holds white or grey matter alone within its edges."""
        return self.inner & (np.maximum(self.within[WHITE], self.within[GREY]) > 0.999)

    @property
    def beside_fluid(self) -> NDArray[np.bool_]:
        """Pure tissue with fluid in one of its 26 neighbours."""
        return self.pure & (ndimage.maximum_filter(self.within[FLUID], size=3) > BESIDE)

    @property
    def deep(self) -> NDArray[np.bool_]:
        """Pure tissue with no fluid near."""
        return self.pure & (ndimage.maximum_filter(self.within[FLUID], size=2 * DEEP + 1) < 1e-6)

    def grey_with_fluid(self, low: float, high: float) -> NDArray[np.bool_]:
        """Where grey matter holds fluid of a share in (low, high] and hardly any white matter."""
        return self.inner & (abs(self.share[WHITE]) < 0.02) & (self.fluid > low) & (self.fluid <= high)


def make_scene(
    signal: Signal,
    *,
    shape: tuple[int, int, int] = (64, 48, 32),
    parts: int = 3,
    snr: float = 25.0,
    noise_range: float = 1.0,
    b1_range: float = 0.1,
    field: float = 0.0,
    field_range: float = 30.0,
    fluid: tuple[float, float] = TIMES[FLUID][:2],
    spread: float = 0.04,
    seed: int = 0,
) -> Scene:
    """Return a scene.

    Parameters
    ----------
    signal
        Signal of spins.
    shape, parts
        Voxels, and points along each of their edges.
    snr
        Signal-to-noise ratio where the noise is lowest.
    noise_range
        Noise at one end of the first axis over that at the other.
    b1_range
        B1 goes from one minus to one plus this.
    field, field_range
        Off-resonance varies smoothly around the first over the range of the second [Hz]: half a hertz from voxel to voxel, as in
        most of a brain at 1.5 mm.
    fluid
        T1 and T2 of fluid [s].
    spread
        Relative standard deviation of T1 and T2 of tissue from place to place, smooth.
    seed
        Of geometry, fields and noise.
    """
    rng = np.random.default_rng(seed)
    fine = tuple(parts * each for each in shape)
    x, y, z = np.meshgrid(*((np.arange(n) + 0.5) / parts for n in fine), indexing="ij")
    phase = rng.uniform(0.0, 2.0 * np.pi, 4)
    # Height over a folded surface: fluid above, a layer of grey matter, white matter below.
    fold = 5.0 * np.sin(2 * np.pi * x / 13.0 + phase[0]) * np.cos(2 * np.pi * y / 29.0 + phase[1])
    height = z - 0.62 * shape[2] - fold - 1.5 * np.sin(2 * np.pi * y / 17.0 + phase[2])
    label = np.where(height > 0.0, FLUID, np.where(height > -2.6, GREY, WHITE))
    middle = np.array(shape) * (0.3, 0.5, 0.22)
    radius = np.sqrt((x - middle[0]) ** 2 + ((y - middle[1]) / 1.6) ** 2 + (z - middle[2]) ** 2)
    label[radius < 5.0] = FLUID
    label[(x > 0.75 * shape[0]) & (height < -6.0)] = GREY
    smooth = [_smooth(rng, shape, parts) for _ in range(3)]
    t1, t2, m0 = (np.take([TIMES[each][row] for each in (WHITE, GREY, FLUID)], label) for row in range(3))
    t1[label == FLUID], t2[label == FLUID] = fluid
    tissue = label != FLUID
    t1 = np.where(tissue, t1 * np.exp(spread * smooth[0]), t1)
    t2 = np.where(tissue, t2 * np.exp(spread * smooth[1]), t2)
    off = field + field_range * (x / shape[0] + 0.5 * y / shape[1] - 0.75 + 0.15 * smooth[2]) / 1.5
    b1 = 1.0 + b1_range * (2.0 * x / shape[0] - 1.0)
    values = signal(*(each.ravel() for each in (t1, t2, b1, off, m0.astype(complex))))
    values = values.reshape(*fine, -1)
    cycles = np.stack([_image(values[..., index], parts) for index in range(values.shape[-1])], axis=-1)
    masses = [m0 * (label == each) for each in (WHITE, GREY, FLUID)]
    weight = np.stack([_image(each, parts).real for each in masses])
    share = weight / weight.sum(axis=0)
    weight = np.stack([_mean(each, parts) for each in masses])
    times = [_of_tissue(values, label, m0, share, parts) for values in (t1, t2)]
    noise = REFERENCE_SIGNAL / (np.sqrt(2.0) * snr) * np.linspace(1.0, noise_range, shape[0])[:, None, None]
    noise = np.broadcast_to(noise, shape).copy()
    drawn = rng.standard_normal((2, *cycles.shape)) * noise[..., None]
    return Scene(
        cycles=(cycles + drawn[0] + 1j * drawn[1]).astype(np.complex64),
        share=share,
        within=weight / weight.sum(axis=0),
        t1=times[0],
        t2=times[1],
        b1=_mean(b1, parts),
        off_resonance=_mean(off, parts),
        noise=noise,
    )


def _of_tissue(
    values: NDArray, label: NDArray, m0: NDArray, share: NDArray[np.float64], parts: int
) -> NDArray[np.float64]:
    """Return the mean over the points of the tissue that fills most of a voxel beside fluid."""
    means = []
    for each in (WHITE, GREY):
        weight = m0 * (label == each)
        below = _mean(weight, parts)
        above = _mean(weight * values, parts)
        means.append(np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0.0))
    return np.where(share[WHITE] >= share[GREY], means[0], means[1])


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int], parts: int) -> NDArray[np.float64]:
    """Return a smooth field of unit standard deviation on the points."""
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape), 5.0, mode="wrap")
    coarse /= coarse.std()
    return ndimage.zoom(coarse, parts, order=1, grid_mode=True, mode="grid-wrap")


def _mean(points: NDArray, parts: int) -> NDArray:
    """Return the means over the points of every voxel."""
    x, y, z = points.shape
    return points.reshape(x // parts, parts, y // parts, parts, z // parts, parts).mean(axis=(1, 3, 5))


def _image(points: NDArray, parts: int) -> NDArray[np.complex128]:
    """Return the image of points: their k-space up to the resolution of the voxels, tapered."""
    for axis in range(3):
        number = points.shape[axis] // parts
        frequency = np.fft.fftfreq(number, d=1.0 / number)
        shift = np.exp(-2j * np.pi * frequency * (0.5 / parts - 0.5) / number) / parts
        distance = np.clip((np.abs(frequency) / (0.5 * number) - (1.0 - TAPER)) / TAPER, 0.0, 1.0)
        window = 0.5 + 0.5 * np.cos(np.pi * distance)
        shape = [1, 1, 1]
        shape[axis] = number
        spectrum = np.take(np.fft.fft(points, axis=axis), frequency.astype(int), axis=axis)
        points = np.fft.ifft(spectrum * (shift * window).reshape(shape), axis=axis)
    return points
