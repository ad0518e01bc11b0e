"""Whether k-space was acquired up to the edge of what the images hold, or was zero-filled or filtered before.

Ringing of zero-filled images has another period than the voxels, that of filtered images is gone: to remove it again costs
resolution for nothing. An acquired k-space falls smoothly to its edge, and noise keeps it from falling far. Along each axis the
mean power of the spectrum is compared at the edge with that further in.

Some scanners store volumes whose slices alternate in sign (a shift of the Fourier transform that was left out): the middle of
their k-space lies at its edge. Voxel by voxel that is a phase like any other, but whatever looks at neighbours sees ringing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VOLUMES = 4
"""Volumes that are looked at."""
_SHORTEST = 8
"""Along fewer voxels k-space has no edge to judge: it counts as acquired."""
_EDGE = 0.96
"""Share of the half-axis from which on frequencies are the edge."""
_ACQUIRED = (0.25, 0.35)
"""Share of the half-axis that is acquired in whatever is zero-filled up to threefold."""
_EMPTY = 2e-3
"""Power relative to `_ACQUIRED` below which a frequency is empty: a head without any noise has 5e-2 left at the edge."""
_ABRUPT = 0.03
"""Power relative to `_ACQUIRED` just before the first empty frequency, from which on zeros were filled in."""
_CENTRE = 0.25
"""Share of the half-axis around its middle that holds most of the power of any image, and as much at its edge."""
_ALTERNATES = 4.0
"""Power at the edge relative to the middle beyond which signs alternate: 0.02 or less in a head, 1 in noise alone."""
_INNER = (0.6, 0.7)
"""Shares of the half-axis between which the power is what that at the edge is compared with."""
_FILTERED = 0.1
"""Power at the edge relative to `_INNER` below which k-space was filtered: 0.3 to 1 as acquired, 0.03 after a Hamming window."""


@dataclass(frozen=True, kw_only=True)
class KSpaceEdge:
    """What was found along each axis.

    Parameters
    ----------
    filled
        Share of each half-axis that holds data; 1 where nothing was filled with zeros, shape (3,).
    edge_power
        Power at the edge relative to further in, of each axis, shape (3,).
    """

    filled: tuple[float, float, float]
    edge_power: tuple[float, float, float]

    @property
    def zero_filled(self) -> tuple[bool, bool, bool]:
        """Whether each axis was filled with zeros."""
        first, second, third = (share < 1.0 for share in self.filled)
        return first, second, third

    @property
    def filtered(self) -> tuple[bool, bool, bool]:
        """Whether each axis was filtered, but not filled with zeros."""
        pairs = zip(self.edge_power, self.zero_filled, strict=True)
        first, second, third = (power < _FILTERED and not filled for power, filled in pairs)
        return first, second, third

    @property
    def axes_left(self) -> tuple[int, ...]:
        """The axes along which k-space is as acquired."""
        return tuple(axis for axis in range(3) if not self.zero_filled[axis] and not self.filtered[axis])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why axes are left alone, as sentences."""
        sentences = []
        for axis in range(3):
            if self.zero_filled[axis]:
                sentences.append(
                    f"Along axis {axis} k-space is empty beyond {100.0 * self.filled[axis]:.0f} % of its half-width: the images "
                    "were zero-filled (interpolated), and Gibbs ringing was not removed there."
                )
            elif self.filtered[axis]:
                sentences.append(
                    f"Along axis {axis} the power at the edge of k-space is {100.0 * self.edge_power[axis]:.2g} % of that further "
                    "in, less than noise alone leaves: the images were filtered before, and Gibbs ringing was not removed there."
                )
        return tuple(sentences)


def undo_alternation(
    volumes: NDArray[np.complexfloating],
) -> tuple[NDArray[np.complexfloating], tuple[str, ...]]:
    """Return volumes whose sign does not alternate from voxel to voxel along any axis.

    Parameters
    ----------
    volumes
        Complex volumes, shape (X, Y, Z, K), as acquired.

    Returns
    -------
    volumes, decisions
        The input itself where nothing alternates; what was undone, as sentences.
    """
    chosen = np.unique(np.linspace(0, volumes.shape[3] - 1, _VOLUMES).astype(int))
    sentences: tuple[str, ...] = ()
    for axis in range(3):
        number = volumes.shape[axis]
        if number < _SHORTEST:
            continue
        power, distance = _spectrum(volumes, chosen, axis), 2.0 * np.abs(np.fft.fftfreq(number))
        if power[distance >= 1.0 - _CENTRE].sum() <= _ALTERNATES * power[distance <= _CENTRE].sum():
            continue
        signs = np.where(np.arange(number) % 2 == 0, 1.0, -1.0).astype(np.float32)
        volumes = volumes * signs.reshape([-1 if each == axis else 1 for each in range(4)])
        sentences += (
            f"Along axis {axis} the sign of the images alternated from voxel to voxel (the middle of k-space lay at its edge): "
            "every second one was multiplied by -1.",
        )
    return volumes, sentences


def k_space_edge(volumes: NDArray[np.complexfloating]) -> KSpaceEdge:
    """Look at the edge of k-space along the three axes.

    Parameters
    ----------
    volumes
        Complex volumes, shape (X, Y, Z, K), before any interpolation. Magnitudes tell nothing: taking them fills the edge.

    Raises
    ------
    ValueError
        If the shape does not fit.
    """
    if volumes.ndim != 4:
        raise ValueError(f"volumes must have the shape (X, Y, Z, K), found {volumes.shape}")
    chosen = np.unique(np.linspace(0, volumes.shape[3] - 1, _VOLUMES).astype(int))
    filled, edges = [], []
    for axis in range(3):
        if volumes.shape[axis] < _SHORTEST:
            filled.append(1.0)
            edges.append(1.0)
            continue
        distance, power = _power(volumes, chosen, axis)
        filled.append(_filled(distance, power))
        outer = _mean(power, distance >= _EDGE)
        edges.append(outer / max(_mean(power, _between(distance, _INNER)), np.finfo(float).tiny))
    return KSpaceEdge(filled=(filled[0], filled[1], filled[2]), edge_power=(edges[0], edges[1], edges[2]))


def _spectrum(volumes: NDArray[np.complexfloating], chosen: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
    """Return the power of each spatial frequency along an axis, in the order of `numpy.fft.fftfreq`."""
    from scipy.fft import fft

    others = tuple(each for each in range(3) if each != axis)
    total = np.zeros(volumes.shape[axis])
    for index in chosen:
        spectrum = fft(np.asarray(volumes[..., index], dtype=np.complex64), axis=axis)
        total += np.sum(spectrum.real.astype(float) ** 2 + spectrum.imag.astype(float) ** 2, axis=others)
    return total


def _power(
    volumes: NDArray[np.complexfloating], chosen: NDArray[np.integer], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance from the centre of k-space as a share of the half-axis, and mean power of both sides, ascending."""
    number = volumes.shape[axis]
    total = _spectrum(volumes, chosen, axis)
    half = (number - 1) // 2
    # The more filled of both sides: partial Fourier leaves one of them empty, and rings all the same.
    sides = np.maximum(total[1 : half + 1], total[: number - half - 1 : -1])
    return np.arange(1, half + 1) / (number / 2.0), sides


def _between(distance: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (distance >= limits[0]) & (distance <= limits[1])


def _mean(power: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    # Short axes have no frequency in a narrow band: then the outermost stands for the edge.
    return float(power[where].mean()) if where.any() else float(power[-1])


def _filled(distance: NDArray[np.float64], power: NDArray[np.float64]) -> float:
    """Return the share of the half-axis that holds data; one frequency alone may be empty by chance."""
    typical = _mean(power, _between(distance, _ACQUIRED))
    data = np.flatnonzero(power > _EMPTY * typical)
    if len(data) == 0 or data[-1] >= len(power) - 2:
        return 1.0
    # Where zeros begin, power ends at once; a filter fades out.
    abrupt = power[max(0, data[-1] - 2) : data[-1] + 1].max() > _ABRUPT * typical
    return float(distance[data[-1]]) if abrupt else 1.0
