"""MTR and MT saturation maps with standard deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, KnownMaps, Status
from qmri_bids.estimation.mt.corrections import MTSAT_CORRECTIONS
from qmri_bids.estimation.spectra.lorentzian.maps import masked
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.zspectrum import dual_angle_relaxation, magnetization_transfer_ratio, mt_saturation

MINIMUM_SIGNAL_TO_NOISE = 3.0
"""A signal below so many standard deviations of the noise is LOW_SIGNAL."""


@dataclass(frozen=True, kw_only=True)
class SpoiledProtocol:
    """A spoiled gradient echo.

    Parameters
    ----------
    flip_angle
        Nominal flip angle [rad].
    repetition_time
        TR [s].

    Raises
    ------
    ValueError
        If a value has no physical meaning.
    """

    flip_angle: float
    repetition_time: float

    def __post_init__(self) -> None:
        if not 0.0 < self.flip_angle < 0.5 * math.pi:
            raise ValueError(f"flip_angle must lie in (0, π/2) rad, found {self.flip_angle}")
        if not 0.0 < self.repetition_time < 10.0:
            raise ValueError(f"repetition_time must lie in (0, 10) s, found {self.repetition_time}")


def noise_of_volume(volume: NDArray[np.floating]) -> float:
    """Return the standard deviation of the noise of a volume, from its finest diagonal detail.

    Mean differences over cubes of 2 × 2 × 2 voxels (squares within a single slice), alternating in sign along every axis, hold
    almost no anatomy; their median modulus over 0.6745 is the standard deviation (Donoho, IEEE Trans Inf Theory 41:613, 1995).
    Background without signal, where the noise of magnitudes is smaller, and interpolated images make it low: give a volume cut to
    the head, as it was scanned. Sharp edges make it high, by 5 % where they run through one cube in twelve.

    Parameters
    ----------
    volume
        Volume as it was scanned, shape (X, Y, Z), at least 2 along two axes; cubes with a value that is not finite or zero do not
        count.

    Raises
    ------
    ValueError
        If fewer than 50 cubes count.
    """
    edges = [min(2, size) for size in volume.shape]
    even = volume[tuple(slice(0, edge * (size // edge)) for edge, size in zip(edges, volume.shape, strict=True))]
    places = list(np.ndindex(*edges))
    corners = [even[i :: edges[0], j :: edges[1], k :: edges[2]].astype(np.float64) for i, j, k in places]
    signs = [(-1.0) ** sum(place) for place in places]
    usable = np.all([np.isfinite(each) & (each != 0.0) for each in corners], axis=0)
    if np.count_nonzero(usable) < 50:
        raise ValueError(
            f"the noise needs at least 50 cubes of {' × '.join(str(edge) for edge in edges)} voxels with signal, found "
            f"{np.count_nonzero(usable)}; "
            "give the standard deviation of the noise"
        )
    detail = sum(sign * each[usable] for sign, each in zip(signs, corners, strict=True)) / math.sqrt(len(places))
    return float(np.median(np.abs(detail)) / 0.6745)


def mtr(
    saturated: NDArray[np.floating],
    unsaturated: NDArray[np.floating],
    *,
    noise: NDArray[np.floating] | float | None = None,
) -> Estimate:
    """Return the magnetisation transfer ratio of images with and without MT pulse.

    Parameters
    ----------
    saturated, unsaturated
        Signals, shapes (V, R_on) and (V, R_off), repetitions last.
    noise
        Standard deviation of one image, shape (V,) or one for all. None to take it from the repetitions, moderated over all voxels;
        of a single pair give it (`noise_of_volume`).

    Returns
    -------
    Estimate
        `MTR` as a fraction, shape (V,). The residual is that of the repetitions, NaN without any.

    Raises
    ------
    ValueError
        If shapes do not belong together, or noise is neither given nor to be told.
    """
    if saturated.ndim != 2 or unsaturated.ndim != 2 or len(saturated) != len(unsaturated):
        raise ValueError(
            f"signals must have shapes (V, R_on) and (V, R_off), found {saturated.shape} and {unsaturated.shape}"
        )
    voxels = len(saturated)
    counts = saturated.shape[1], unsaturated.shape[1]
    images = [np.asarray(each, dtype=np.float64) for each in (saturated, unsaturated)]
    means = [each.mean(axis=1) for each in images]
    spread = sum(
        np.square(each - mean[:, None]).sum(axis=1) for each, mean in zip(images, means, strict=True)
    ) + np.zeros(voxels)
    freedom = sum(counts) - 2
    if noise is None:
        if freedom < 1:
            raise ValueError(
                "one pair of images does not tell its noise: give its standard deviation, as of noise_of_volume"
            )
        sigma = np.sqrt(moderated_variance(spread, freedom).variance)
    else:
        sigma = _noise_of_voxels(noise, voxels)
    with np.errstate(all="ignore"):
        ratio = magnetization_transfer_ratio(*means)
        stdev = sigma / means[1] * np.sqrt(1.0 / counts[0] + np.square(1.0 - ratio) / counts[1])
        energy = sum(np.square(each).sum(axis=1) for each in images)
        residual = np.sqrt(spread / energy) if freedom else np.full(voxels, math.nan)
        status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
        status[~(means[1] > MINIMUM_SIGNAL_TO_NOISE * sigma)] = Status.LOW_SIGNAL
    status[~(np.isfinite(means[0]) & np.isfinite(means[1]) & np.isfinite(sigma))] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={"MTR": masked(ratio, good)},
        stdev={"MTR": masked(stdev, good)},
        residual=masked(residual, good),
        status=status,
    )


def mtsat(
    pd_weighted: NDArray[np.floating],
    t1_weighted: NDArray[np.floating],
    mt_weighted: NDArray[np.floating],
    *,
    protocols: tuple[SpoiledProtocol, SpoiledProtocol, SpoiledProtocol],
    known: KnownMaps,
    noise: NDArray[np.floating] | float,
    correction: str = "helms",
) -> Estimate:
    """Return MT saturation, R1 and amplitude of three spoiled gradient echoes.

    Parameters
    ----------
    pd_weighted, t1_weighted, mt_weighted
        Signals, shape (V,).
    protocols
        Protocols of the three images, in this order.
    known
        B1 and, where known, its standard deviation, shape (V,); ones where there is no B1 map.
    noise
        Standard deviation of one image, shape (V,) or one for all.
    correction
        Row of `MTSAT_CORRECTIONS`: how the saturation is taken to nominal B1.

    Returns
    -------
    Estimate
        `MTsat` as a fraction, `R1` [1/s] and `A` [unit of the signals], shape (V,). Standard deviations are those of noise and B1,
        to first order. Three signals give three unknowns: the residual is NaN. NO_ROOT where R1 or A is not positive.

    Raises
    ------
    ValueError
        If shapes do not belong together or the correction has no row.
    """
    shape = pd_weighted.shape
    maps = {"T1w": t1_weighted, "MTw": mt_weighted, "B1": known.b1, "B1 standard deviation": known.b1_stdev}
    for name, values in maps.items():
        if values is not None and (len(shape) != 1 or values.shape != shape):
            raise ValueError(f"all maps must have one shape (V,), found {shape} for PDw and {values.shape} for {name}")
    if correction not in MTSAT_CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(MTSAT_CORRECTIONS)}, found {correction!r}")
    factor = MTSAT_CORRECTIONS[correction]
    pd, t1, mt = protocols

    def solve(inputs: list[NDArray]) -> list[NDArray]:
        b1 = inputs[3]
        rate, amplitude = dual_angle_relaxation(
            inputs[0],
            inputs[1],
            flip_angles=(b1 * pd.flip_angle, b1 * t1.flip_angle),
            repetition_times=(pd.repetition_time, t1.repetition_time),
        )
        saturation = mt_saturation(
            inputs[2],
            relaxation_rate=rate,
            amplitude=amplitude,
            flip_angle=b1 * mt.flip_angle,
            repetition_time=mt.repetition_time,
        )
        return [saturation * factor(b1), rate, amplitude]

    names = ("MTsat", "R1", "A")
    inputs = [np.asarray(each, dtype=np.float64) for each in (pd_weighted, t1_weighted, mt_weighted, known.b1)]
    sigma = _noise_of_voxels(noise, len(inputs[0]))
    b1_stdev = np.zeros(shape) if known.b1_stdev is None else known.b1_stdev
    with np.errstate(all="ignore"):
        found = solve(inputs)
        variance = [np.zeros(shape) for _ in names]
        for place, spread in enumerate((sigma, sigma, sigma, b1_stdev)):
            # The imaginary part of an analytic function a tiny imaginary step away is its exact derivative.
            step = 1e-30
            moved = solve([each + 1j * step if k == place else each for k, each in enumerate(inputs)])
            for row, each in enumerate(moved):
                variance[row] += np.square(np.imag(each) / step * spread)
        weakest = np.min(inputs[:3], axis=0)
        status = np.full(shape, Status.CONVERGED, dtype=np.uint8)
        status[~((found[1] > 0.0) & (found[2] > 0.0))] = Status.NO_ROOT
        status[~(weakest > MINIMUM_SIGNAL_TO_NOISE * sigma)] = Status.LOW_SIGNAL
        finite = np.isfinite([*inputs, sigma, b1_stdev]).all(axis=0) & (inputs[3] > 0.0)
    status[~finite] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={name: masked(found[row], good) for row, name in enumerate(names)},
        stdev={name: masked(np.sqrt(variance[row]), good) for row, name in enumerate(names)},
        residual=np.full(shape, math.nan, dtype=np.float32),
        status=status,
    )


def _noise_of_voxels(noise: NDArray[np.floating] | float, voxels: int) -> NDArray[np.float64]:
    if np.shape(noise) not in ((), (voxels,)):
        raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
    return np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
