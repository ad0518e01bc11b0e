"""B1+ made smooth and whole: a penalised least-squares surface through what was measured, weighted and robust.

The surface minimises Σ w (u - y)² + (ℓ/2π)⁶ (|∇Δu|² + |∇u|²/d⁴). It is the spline of Garcia (Comput Stat Data Anal 54:1167, 2010),
one order higher and with a length in place of cross-validation: structure of the wavelength ℓ is halved, that of 2ℓ keeps 98 %.
B1 varies over centimetres, since half a wavelength of the radio frequency in tissue is 13 cm at 3 T and 6 cm at 7 T. Where nothing
was measured the surface goes on with its slope and curvature and becomes level over the distance d.

The noise that such a surface keeps is that of long waves. Tissue that a method sees as B1, ringing and voxels of the scanner that
depend on each other raise it above what single voxels scatter, so it is told from the longest waves that the residual still holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import shrink
from qmri_bids.preprocessing.registration.rigid_freedom import blocks

WAVELENGTH = 40.0
"""Structure of B1 of this wavelength is halved [mm]."""
LEVELLING = 40.0
"""Distance over which an extrapolated map becomes level [mm]."""
COARSE_VOXEL = 5.0
"""Finer voxels are averaged before the fit, which they would only slow down [mm]."""
ROUNDS = 3
"""Fits, each with the weights of the residuals of the one before."""
CUTOFF = 4.685
"""Of Tukey's weights, in standard deviations."""
NORMAL_MAD = 1.4826
LONG_WAVES = (0.05, 0.5)
"""Shares of a wave that the surface keeps, between which a wave counts as long: 25 to 40 mm."""
SHORT_WAVES = 0.02
"""Share of a wave that the surface keeps, below which it is short."""
FEWEST_WAVES = 50
"""Waves of either kind from which their noise is told; a few slices have less."""
CONTINUED_DISTANCE, CONTINUED_POWER = 60.0, 1.5
"""Where a continued map errs by as much as B1 varies within what was measured [mm], and the power of the distance by which the
error grows: four cuts through a digital head that the benchmark does not use."""
_ITERATIONS = 200
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class SmoothB1:
    """A smooth map of B1.

    Parameters
    ----------
    map
        Actual over nominal flip angle everywhere, float32, shape (X, Y, Z).
    stdev
        Standard deviation, shape (X, Y, Z): from the noise where B1 was measured, with what the distance adds where the map is
        extrapolated.
    single
        Standard deviation of one measured voxel, median.
    long_waves
        Noise of long waves over that of short ones, at least 1, by which `stdev` is raised.
    outliers
        Share of the measured voxels that the surface passes by.
    """

    map: NDArray[np.float32]
    stdev: NDArray[np.float32]
    single: float
    long_waves: float
    outliers: float


@dataclass(frozen=True, kw_only=True)
class CoarseB1:
    """Relative B1 on voxels of a size that its smooth surface needs; as the arguments of `coarsened`."""

    b1: NDArray[np.float32]
    valid: NDArray[np.bool_]
    stdev: NDArray[np.float32] | None
    affine: NDArray[np.float64]


def coarsened(
    b1: NDArray[np.floating],
    *,
    valid: NDArray[np.bool_],
    stdev: NDArray[np.floating] | None,
    affine: NDArray[np.floating],
) -> CoarseB1:
    """Return B1 averaged over blocks of about `COARSE_VOXEL`; as it is where its voxels are no smaller.

    Parameters
    ----------
    b1, stdev
        Actual over nominal flip angle and its standard deviation (None where it is not known), shape (X, Y, Z).
    valid
        Where it was measured: a block counts from half of its voxels on.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    """
    factor = blocks(b1.shape, affine=affine, voxel=COARSE_VOXEL)
    if max(factor) == 1:
        spread = None if stdev is None else np.asarray(stdev, dtype=np.float32)
        return CoarseB1(
            b1=np.asarray(b1, dtype=np.float32), valid=valid, stdev=spread, affine=np.asarray(affine, dtype=np.float64)
        )
    weights = valid.astype(np.float32)
    if stdev is not None:
        known = valid & np.isfinite(stdev) & (stdev > 0.0)
        typical = float(np.median(stdev[known])) if known.any() else 1.0
        weights = weights / np.where(known, np.maximum(np.nan_to_num(stdev, nan=typical), 0.5 * typical), typical) ** 2
    share, small_affine = shrink(valid.astype(np.float32), affine=affine, factor=factor)
    total, _ = shrink(weights.astype(np.float32), affine=affine, factor=factor)
    values, _ = shrink(np.where(valid, weights * b1, 0.0).astype(np.float32), affine=affine, factor=factor)
    counted = share >= 0.5
    mean = np.divide(values, total, out=np.zeros_like(values), where=counted)
    small = None
    if stdev is not None:
        small = np.full_like(total, np.nan)
        small[counted] = 1.0 / np.sqrt(total[counted] * float(np.prod(factor)))
    return CoarseB1(b1=mean, valid=counted, stdev=small, affine=small_affine)


def smooth_b1(
    b1: NDArray[np.floating],
    *,
    valid: NDArray[np.bool_],
    voxel_sizes: NDArray[np.floating],
    stdev: NDArray[np.floating] | None = None,
    wavelength: float = WAVELENGTH,
) -> SmoothB1:
    """Return a smooth map through what was measured.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, shape (X, Y, Z).
    valid
        Where it was measured.
    voxel_sizes
        Edges of a voxel [mm], shape (3,).
    stdev
        Standard deviation of `b1`, by which it is weighted; alike everywhere, and told from the residual, where None.
    wavelength
        See `WAVELENGTH` [mm].

    Raises
    ------
    ValueError
        If nothing was measured.
    """
    if not valid.any():
        raise ValueError("B1 was not measured in any voxel")
    surface = _Surface(b1.shape, voxel_sizes=np.asarray(voxel_sizes, dtype=np.float64), wavelength=wavelength)
    values = np.where(valid, b1, 0.0).astype(np.float64)
    relative = np.ones(b1.shape)
    if stdev is not None:
        known = valid & np.isfinite(stdev) & (stdev > 0.0)
        typical = float(np.median(stdev[known])) if known.any() else 1.0
        # A weight says how often a voxel counts: no more than four times the typical one, lest single voxels carry the map.
        relative = np.where(known, np.maximum(np.nan_to_num(stdev, nan=typical) / typical, 0.5), 1.0)
    weights = np.where(valid, 1.0 / relative**2, 0.0)
    robust = np.ones(b1.shape)
    start = float(np.average(values[valid], weights=weights[valid]))
    fitted = np.full(b1.shape, start)
    scale = 0.0
    for _ in range(ROUNDS):
        fitted = surface.fit(values, weights * robust, start=fitted)
        residual = (values - fitted) / relative
        scale = NORMAL_MAD * float(np.median(np.abs(residual[valid])))
        if scale <= 0.0:
            break
        robust = np.square(np.clip(1.0 - np.square(residual / (CUTOFF * scale)), 0.0, None))
    single = scale / surface.share_of_noise * relative
    if stdev is not None:
        # What the images say, unless the surface finds more: partial volume and ringing count as noise of a voxel.
        single = np.maximum(single, np.nan_to_num(stdev, nan=0.0))
    kept = valid & (robust > 0.0)
    rise = surface.rise(np.where(kept, values - fitted, 0.0), inside=kept)
    spread = _continued(
        rise * surface.stdev(single, weights * robust), fitted, measured=valid, voxel_sizes=np.asarray(voxel_sizes)
    )
    return SmoothB1(
        map=fitted.astype(np.float32),
        stdev=spread.astype(np.float32),
        single=float(np.median(single[valid])),
        long_waves=rise,
        outliers=float(np.mean(robust[valid] == 0.0)),
    )


def _continued(
    stdev: NDArray[np.float64],
    surface: NDArray[np.float64],
    *,
    measured: NDArray[np.bool_],
    voxel_sizes: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return a standard deviation that grows with the distance to what was measured, from that of the nearest measured voxel."""
    from scipy import ndimage

    if measured.all():
        return stdev
    distance, nearest = ndimage.distance_transform_edt(~measured, sampling=voxel_sizes, return_indices=True)
    centre = np.median(surface[measured])
    spread = NORMAL_MAD * float(np.median(np.abs(surface[measured] - centre)))
    grown: NDArray[np.float64] = np.hypot(
        stdev[tuple(nearest)], spread * (distance / CONTINUED_DISTANCE) ** CONTINUED_POWER
    )
    return grown


class _Surface:
    """The penalty on a grid, in the frequencies of the cosine transform (mirrors at the edges)."""

    def __init__(self, shape: tuple[int, ...], *, voxel_sizes: NDArray[np.float64], wavelength: float) -> None:
        self.shape = shape
        squares = [
            (2.0 - 2.0 * np.cos(np.pi * np.arange(number) / number)) / size**2
            for number, size in zip(shape, voxel_sizes, strict=True)
        ]
        laplacian = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
        self.penalty: NDArray[np.float64] = (wavelength / (2.0 * np.pi)) ** 6 * (
            laplacian**3 + laplacian / LEVELLING**4
        )

    @property
    def share_of_noise(self) -> float:
        """Share of the noise of a voxel (standard deviations) that the residual keeps inside the measured region."""
        gain = 1.0 / (1.0 + self.penalty)
        return float(np.sqrt(np.mean(np.square(1.0 - gain))))

    def _apply(self, values: NDArray[np.float64], gain: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.fft import dctn, idctn

        filtered: NDArray[np.float64] = idctn(dctn(values, norm="ortho") * gain, norm="ortho")
        return filtered

    def fit(
        self, values: NDArray[np.float64], weights: NDArray[np.float64], *, start: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the surface through values of these weights, by conjugate gradients."""
        from scipy.sparse.linalg import LinearOperator, cg

        size = int(np.prod(self.shape))
        mean = max(float(weights.mean()), 1e-6)

        def normal(flat: NDArray[np.float64]) -> NDArray[np.float64]:
            volume = flat.reshape(self.shape)
            return (weights * volume + self._apply(volume, self.penalty)).ravel()

        def precondition(flat: NDArray[np.float64]) -> NDArray[np.float64]:
            return self._apply(flat.reshape(self.shape), 1.0 / (mean + self.penalty)).ravel()

        solution, _ = cg(
            LinearOperator((size, size), matvec=normal, dtype=np.float64),
            (weights * values).ravel(),
            x0=start.ravel(),
            rtol=_TOLERANCE,
            maxiter=_ITERATIONS,
            M=LinearOperator((size, size), matvec=precondition, dtype=np.float64),
        )
        return np.asarray(solution, dtype=np.float64).reshape(self.shape)

    def rise(self, residual: NDArray[np.float64], *, inside: NDArray[np.bool_]) -> float:
        """Return the noise of long waves over that of short ones in a residual (0 where nothing was measured), at least 1."""
        from scipy import ndimage
        from scipy.fft import dctn

        # Near the edge the surface follows the noise; where a scan is too thin to leave it out there are no long waves either.
        inner = ndimage.binary_erosion(inside, iterations=2)
        gain = 1.0 / (1.0 + self.penalty)
        long, short = (gain > LONG_WAVES[0]) & (gain < LONG_WAVES[1]), gain < SHORT_WAVES
        if min(np.count_nonzero(long), np.count_nonzero(short), np.count_nonzero(inner)) < FEWEST_WAVES:
            return 1.0
        power = np.square(dctn(np.where(inner, residual, 0.0), norm="ortho") / (1.0 - gain + (gain >= LONG_WAVES[1])))
        weakest = float(np.mean(power[short]))
        return max(1.0, float(np.sqrt(np.mean(power[long]) / weakest))) if weakest > 0.0 else 1.0

    def stdev(self, single: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standard deviation of the surface, to the order of a weighted mean over its kernel."""
        from scipy.fft import irfftn, rfftn

        impulse = np.zeros(self.shape)
        centre = tuple(number // 2 for number in self.shape)
        impulse[centre] = 1.0
        kernel = np.roll(self._apply(impulse, 1.0 / (1.0 + self.penalty)), [-each for each in centre], axis=(0, 1, 2))

        def convolve(image: NDArray[np.float64], with_kernel: NDArray[np.float64]) -> NDArray[np.float64]:
            result: NDArray[np.float64] = irfftn(rfftn(image) * rfftn(with_kernel), s=self.shape)
            return result

        total = np.maximum(convolve(weights, kernel), 1e-3)
        variance = np.maximum(convolve(np.square(weights * single), np.square(kernel)), 0.0)
        result: NDArray[np.float64] = np.sqrt(variance) / total
        return result
