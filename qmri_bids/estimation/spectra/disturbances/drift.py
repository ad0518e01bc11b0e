"""Drift of the field during a Z-spectrum, linear in time, one for the whole brain, told by offsets measured out of order.

A spectrum is smooth in its true offsets ω - d·t, whatever it looks like: it is a draw of a Gaussian process (Rasmussen and
Williams, Gaussian Processes for Machine Learning, MIT Press 2006, equation 5.8) of unknown amplitude, length and noise, and the
drift d is the most likely one. Where the order of the offsets is smooth in time (from - to +, or in from both ends), a drift is a
smooth warp of the axis, which an unknown spectrum can take for its own: then nothing can be told, and that is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.series import SeriesLayout, normalised_volumes, some_voxels
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.units import ppm_to_hertz

WINDOW = 5.0
"""Offsets within this of water tell a drift [ppm]: further out spectra are flat."""

NEAR_WATER = 3.0
"""Where the order of offsets matters most [ppm]."""

OUT_OF_ORDER = 0.05
"""Median departure of the time of an offset near water from the line through its neighbours, as a share of the series, that is
needed."""

FEWEST_VOLUMES = 10
"""Volumes within the window."""

FEWEST_VOXELS = 20
"""Voxels with a spectrum."""

LENGTHS = (0.2, 0.4, 0.7, 1.2, 2.0)
"""Lengths over which spectra vary [ppm]."""

RATIOS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Variance of the noise over that of the spectrum."""

FARTHEST = 0.4
"""Drifts that are tried [ppm over the series]."""

COARSE, FINE = 17, 9
"""Drifts that are tried over that range, and around one that is known roughly."""

LARGEST_STDEV = 0.04
"""A drift less certain than this [ppm] is not corrected: between sparse offsets a spectrum does not look smooth."""

LARGEST_BOUND_STDEV = 0.1
"""A drift less certain than this [ppm] is not even bounded."""

SIGNIFICANT = 3.0
"""A drift of so many standard deviations is corrected."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Drift of the field during a series.

    Parameters
    ----------
    hertz, stdev
        Rise of the frequency of water over the whole series [Hz], and its standard deviation; NaN where it cannot be told.
    times
        Time of every image of the protocol, as a share of the series, from the middle of the spectrum.
    operator
        Matrix from volumes of the spectrum, in the order of acquisition, to what they would be without the drift, applied to 1 - Z;
        None where nothing is corrected.
    decisions
        What was found, as sentences.
    """

    hertz: float
    stdev: float
    times: NDArray[np.float64]
    operator: NDArray[np.float64] | None
    decisions: tuple[str, ...]


def volume_times(protocol: SaturationProtocol) -> NDArray[np.float64]:
    """Return the time of every image, as a share of the series, shape (N,): by recovery and saturation, even where none is stated.

    Readouts and images that were left out do not count.
    """
    lasting = [
        image.recovery + (0.0 if image.saturation is None else image.saturation.duration) for image in protocol.images
    ]
    ends = np.cumsum(lasting)
    if not ends[-1] > 0.0:
        ends = np.arange(1.0, len(lasting) + 1.0)
    return np.asarray(ends / ends[-1])


def find_drift(
    signal: NDArray[np.floating], *, protocol: SaturationProtocol, layout: SeriesLayout, noise: float
) -> Drift:
    """Return the drift of the field, and what takes it out of spectra.

    Parameters
    ----------
    signal
        Aligned magnitudes in the order of acquisition, shape (V, N).
    protocol
        One image a volume.
    layout
        Which volumes make up the spectrum.
    noise
        Standard deviation of one volume.
    """
    members = layout.ordered
    times = volume_times(protocol)
    times = times - times[list(members)].mean()
    offsets = np.array([protocol.images[index].offset for index in members], dtype=np.float64)
    scale = ppm_to_hertz(1.0, field_strength=protocol.field_strength)
    nothing = Drift(hertz=math.nan, stdev=math.nan, times=times, operator=None, decisions=())
    near = np.abs(offsets) <= WINDOW
    mine = times[list(members)]
    if near.sum() < FEWEST_VOLUMES or departure_from_order(offsets, mine) < OUT_OF_ORDER:
        return replace(nothing, decisions=(_untold(scale),))
    z = normalised_volumes(some_voxels(signal), layout=layout, noise=noise)
    z = z[np.isfinite(z).all(axis=1)]
    if len(z) < FEWEST_VOXELS:
        return replace(nothing, decisions=("Too few voxels tell a drift of the field.",))
    lost = 1.0 - z[:, near]
    found = _most_likely(offsets[near], mine[near], lost.T @ lost / len(lost))
    hertz, stdev = found.drift * scale, found.stdev * scale
    if not found.stdev <= LARGEST_BOUND_STDEV or abs(found.drift) > FARTHEST:
        said = f"The offsets near water are too sparse to tell a drift of the field during the series. {_effect(scale)}"
        return replace(nothing, decisions=(said,))
    if abs(found.drift) < SIGNIFICANT * found.stdev or found.stdev > LARGEST_STDEV:
        bound = abs(hertz) + SIGNIFICANT * stdev
        said = (
            f"No drift of the field was found: {hertz:+.1f} ± {stdev:.1f} Hz over the series; one of more than {bound:.0f} Hz "
            "would have been seen."
        )
        return replace(nothing, hertz=hertz, stdev=stdev, decisions=(said,))
    operator = np.eye(len(offsets))
    inside = np.flatnonzero(near)
    operator[np.ix_(inside, inside)] += _undone(offsets[near], mine[near], found)
    said = (
        f"The field drifted by {hertz:+.1f} ± {stdev:.1f} Hz over the series (linear in time, one value for the whole brain, told "
        f"by {int(near.sum())} volumes near water that were not measured in the order of their offsets): spectra were brought to "
        "the field of its middle."
    )
    return Drift(hertz=hertz, stdev=stdev, times=times, operator=operator, decisions=(said,))


def _untold(scale: float) -> str:
    return (
        "A drift of the field during the series cannot be told: the offsets near water are too few or follow each other in time, "
        f"so that a drift looks like a broader, narrower or lopsided spectrum. {_effect(scale)}"
    )


def _effect(scale: float) -> str:
    return f"One of 10 Hz would displace the first and the last offset by {5.0 / scale:.2f} ppm."


def departure_from_order(offsets: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Return the median departure of the times of offsets near water from the line through their neighbours.

    Parameters
    ----------
    offsets, times
        Offset [ppm] and time of every volume, shape (N,).

    Examples
    --------
    >>> offsets = np.linspace(-2.0, 2.0, 9)
    >>> bool(departure_from_order(offsets, np.linspace(0.0, 1.0, 9)) < 1e-9)
    True
    >>> bool(departure_from_order(offsets, np.array([0.0, 0.6, 0.1, 0.7, 0.2, 0.8, 0.3, 0.9, 0.4])) > 0.2)
    True
    """
    order = np.lexsort((times, offsets))
    x, t = offsets[order], times[order]
    left = []
    for place in range(len(x)):
        around = [k for k in range(place - 2, place + 3) if 0 <= k < len(x) and k != place]
        if abs(x[place]) > NEAR_WATER or len(around) < 3:
            continue
        away = x[around] - x[place]
        columns = np.stack([np.ones(len(around)), away], axis=1)
        left.append(abs(t[place] - np.linalg.lstsq(columns, t[around], rcond=None)[0][0]))
    return float(np.median(left)) if left else 0.0


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The most likely drift [ppm over the series] with its standard deviation, and the length and noise of the spectrum."""

    drift: float
    stdev: float
    length: float
    ratio: float


def _most_likely(offsets: NDArray[np.float64], times: NDArray[np.float64], moments: NDArray[np.float64]) -> _Found:
    """Return the most likely drift; `moments` are the mean products of 1 - Z between volumes, shape (N, N).

    The standard deviation is that of the jackknife over volumes: what is wrong with one of them (motion, breathing, the smoothness
    that is assumed) is wrong in all voxels alike, and their number does not help.
    """
    tried = np.linspace(-FARTHEST, FARTHEST, COARSE)
    fits = [
        (*_best(offsets, times, moments, tried, length, ratio), length, ratio) for length in LENGTHS for ratio in RATIOS
    ]
    drift, _, length, ratio = min(fits, key=lambda fit: fit[1])
    around = np.linspace(-FARTHEST / COARSE, FARTHEST / COARSE, FINE) * 4.0
    drift = _best(offsets, times, moments, drift + around, length, ratio)[0]
    number = len(offsets)
    without = np.empty(number)
    for index in range(number):
        kept = np.arange(number) != index
        without[index] = _best(offsets[kept], times[kept], moments[np.ix_(kept, kept)], drift + around, length, ratio)[
            0
        ]
    stdev = math.sqrt((number - 1) / number * float(np.square(without - without.mean()).sum()))
    return _Found(drift=drift, stdev=stdev, length=length, ratio=ratio)


def _best(
    offsets: NDArray[np.float64],
    times: NDArray[np.float64],
    moments: NDArray[np.float64],
    tried: NDArray[np.float64],
    length: float,
    ratio: float,
) -> tuple[float, float]:
    """Return the most likely of the drifts that are tried, by a parabola through the best three, and its cost."""
    costs = np.array([_cost(offsets - drift * times, moments, length, ratio) for drift in tried])
    best = int(costs.argmin())
    if 0 < best < len(tried) - 1:
        before, here, after = costs[best - 1 : best + 2]
        step = tried[1] - tried[0]
        return float(tried[best] + 0.5 * step * (before - after) / (before - 2.0 * here + after)), float(here)
    # At the edge it runs away.
    return float(tried[best]) + math.copysign(FARTHEST, tried[best]), float(costs[best])


def _kernel(first: NDArray[np.float64], second: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return the Matérn covariance of order 5/2."""
    distance = math.sqrt(5.0) / length * np.abs(first[:, None] - second)
    return np.asarray((1.0 + distance + distance**2 / 3.0) * np.exp(-distance))


def _cost(offsets: NDArray[np.float64], moments: NDArray[np.float64], length: float, ratio: float) -> float:
    """Return minus twice the logarithm of the likelihood of one voxel, its amplitude profiled out."""
    number = len(offsets)
    root = np.linalg.cholesky(_kernel(offsets, offsets, length) + ratio * np.eye(number))
    half = np.linalg.solve(root, moments)
    spread = float(np.trace(np.linalg.solve(root, half.T)))
    return 2.0 * float(np.log(np.diag(root)).sum()) + number * math.log(spread)


def _undone(offsets: NDArray[np.float64], times: NDArray[np.float64], found: _Found) -> NDArray[np.float64]:
    """Return the matrix from 1 - Z as measured to its change from true to nominal offsets."""
    true = offsets - found.drift * times
    inner = _kernel(true, true, found.length)
    moved = _kernel(offsets, true, found.length) - inner
    return np.asarray(np.linalg.solve(inner + found.ratio * np.eye(len(true)), moved.T).T, dtype=np.float64)
