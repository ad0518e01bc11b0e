"""From the volumes of a saturation series to Z-spectra at sorted offsets, repetitions averaged, and the noise of one volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import normalise
from qmri_bids.estimation.spectra.spline import cross_validated_smoothing
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.saturation import Saturation, SaturationProtocol

SAME_OFFSET = 1e-3
"""Offsets closer than this [ppm] are repetitions of one."""

NORMAL_QUARTILE = 0.6745
"""Median modulus of the standard normal distribution."""

SAME_POWER = 0.02
"""Root mean squares of B1 that differ by no more than this share are one."""

SMOOTHING_VOXELS = 2000
"""Voxels, about, that choose the smoothing of the spline and tell the noise."""

NEAR_WATER = 1.5
"""Within this of water [ppm] spectra bend too much for neighbours to predict each other."""

SPARSE = 1.5
"""Offsets further apart than this [ppm] do not predict each other either."""

FEWEST_PREDICTED = 3
"""Offsets away from water needed for these limits; with fewer, all offsets count."""


@dataclass(frozen=True, kw_only=True)
class SeriesLayout:
    """Which volumes make up the spectrum of one role.

    Parameters
    ----------
    unsaturated
        Indices of the volumes that normalise.
    members
        Indices of the volumes of every offset, in the order of `offsets`.
    offsets
        Offsets of the spectrum, increasing, all different [ppm], shape (K,).
    saturation
        What is played before every volume of the spectrum.
    undrift
        Matrix that takes a drift of the field out of 1 - Z of the volumes of the spectrum in the order of acquisition
        (`drift.find_drift`); None where nothing is to be taken out.
    """

    unsaturated: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    offsets: NDArray[np.float64]
    saturation: Saturation
    undrift: NDArray[np.float64] | None = None

    @property
    def ordered(self) -> tuple[int, ...]:
        """Indices of the volumes of the spectrum in the order of acquisition."""
        return tuple(sorted(index for group in self.members for index in group))

    @property
    def repetitions(self) -> int:
        """Smallest number of volumes of an offset."""
        return min(len(each) for each in self.members)


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Z-spectra of V voxels at the offsets of a layout.

    Parameters
    ----------
    values
        Values of Z, shape (V, K); all NaN where the status is not CONVERGED.
    stdev
        Standard deviation of one value of a voxel by the noise of its saturated volumes, shape (V,).
    scale_stdev
        Relative standard deviation that all values of a voxel share by the noise of its unsaturated volumes, shape (V,).
    status
        The worst of its values, `Status` codes, shape (V,).
    directions
        Further errors that the values of a voxel share, each as the change of all values by its standard deviation, shape
        (V, D, K); None where there are none.
    """

    values: NDArray[np.float64]
    stdev: NDArray[np.float64]
    scale_stdev: NDArray[np.float64]
    status: NDArray[np.uint8]
    directions: NDArray[np.float64] | None = None


def series_layout(protocol: SaturationProtocol, *, roles: Sequence[str], role: str) -> SeriesLayout:
    """Return which volumes make up the spectrum of a role.

    Parameters
    ----------
    protocol
        One image a volume.
    roles
        "m0", "cest" or "wassr" for every volume.
    role
        Whose spectrum.

    Raises
    ------
    ValueError
        If roles and images differ in number, no volume has the role, one has no offset, or their saturation differs.
    """
    if len(roles) != protocol.number_of_images:
        raise ValueError(f"roles must be as many as images, expected {protocol.number_of_images}, found {len(roles)}")
    chosen = [index for index, each in enumerate(roles) if each == role]
    if not chosen:
        raise ValueError(f"no volume has the role {role!r}, found {sorted(set(roles))}")
    images = [protocol.images[index] for index in chosen]
    saturations = [each.saturation for each in images]
    first = saturations[0]
    if first is None or any(each is None for each in saturations):
        raise ValueError(f"volumes of role {role!r} must be saturated, found one without RF; check its offset and role")
    power = [each.b1_rms for each in saturations if each is not None]
    if max(power) > (1.0 + SAME_POWER) * min(power):
        raise ValueError(
            f"a spectrum is measured at one power, found B1 of {1e6 * min(power):.3g} to {1e6 * max(power):.3g} µT in "
            f"the volumes of role {role!r}; give each power as a run of its own"
        )
    offsets = np.array([each.offset for each in images], dtype=np.float64)
    groups: list[list[int]] = []
    levels: list[float] = []
    for place in np.argsort(offsets, kind="stable"):
        if not levels or offsets[place] - levels[-1] > SAME_OFFSET:
            groups.append([])
            levels.append(float(offsets[place]))
        groups[-1].append(chosen[place])
    return SeriesLayout(
        unsaturated=tuple(index for index, each in enumerate(roles) if each == "m0"),
        members=tuple(tuple(sorted(group)) for group in groups),
        offsets=np.array(levels),
        saturation=first,
    )


def spectra(signal: NDArray[np.floating], *, layout: SeriesLayout, noise: float) -> Spectra:
    """Return normalised spectra; several unsaturated volumes follow a drift of the scanner, linear between two of them.

    Parameters
    ----------
    signal
        All volumes in the order of acquisition, shape (V, N).
    layout
        Which of them.
    noise
        Standard deviation of one volume.
    """
    voxels, number = signal.shape
    z = normalise(signal, unsaturated=layout.unsaturated, reference="linear", noise=noise)
    places = np.setdiff1d(np.arange(number), layout.unsaturated)
    columns = [np.searchsorted(places, group) for group in layout.members]
    status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
    used = z.status[:, np.concatenate(columns)]
    for code in (Status.LOW_SIGNAL, Status.INVALID_INPUT):
        status[(used == code).any(axis=1)] = code
    good = status == Status.CONVERGED
    volumes = z.values
    if layout.undrift is not None:
        order = np.searchsorted(places, layout.ordered)
        volumes = volumes.copy()
        volumes[:, order] = 1.0 - (1.0 - volumes[:, order]) @ layout.undrift.T
    values = np.stack([volumes[:, group].mean(axis=1) for group in columns], axis=1)
    values[~good] = math.nan
    with np.errstate(all="ignore"):
        base = np.asarray(signal, dtype=np.float64)[:, layout.unsaturated].mean(axis=1)
        # Between two unsaturated volumes the noise of one or two is shared; over the series it is that of about half of them.
        share = 1.0 / max(1.0, 0.5 * len(layout.unsaturated))
        stdev = np.where(good, noise / base, math.nan)
    return Spectra(
        values=values,
        stdev=stdev / math.sqrt(layout.repetitions),
        scale_stdev=stdev * math.sqrt(share),
        status=status,
    )


def normalised_volumes(signal: NDArray[np.floating], *, layout: SeriesLayout, noise: float) -> NDArray[np.float64]:
    """Return Z of the volumes of the spectrum in the order of acquisition, shape (V, n); NaN where there is none.

    Parameters
    ----------
    signal, layout, noise
        As in `spectra`.
    """
    z = normalise(signal, unsaturated=layout.unsaturated, reference="linear", noise=noise)
    places = np.setdiff1d(np.arange(signal.shape[1]), layout.unsaturated)
    return z.values[:, np.searchsorted(places, layout.ordered)]


def spectrum_smoothing(z: NDArray[np.floating], *, offsets: NDArray[np.floating]) -> float:
    """Return the cross-validated smoothing of some voxels; none where no voxel is finite, for all of those fail."""
    finite = z[np.isfinite(z).all(axis=1)]
    return cross_validated_smoothing(finite, offsets=offsets) if len(finite) else 0.0


def some_voxels(signal: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return one voxel in every few, `SMOOTHING_VOXELS` to twice as many."""
    return signal[:: max(len(signal) // SMOOTHING_VOXELS, 1)]


def series_noise(signal: NDArray[np.floating], *, layout: SeriesLayout) -> tuple[float, str]:
    """Return the standard deviation of one volume, the same in all voxels, and a sentence on where it is from.

    With three or more unsaturated volumes it is what a straight line in time leaves; else what a cubic through the neighbours of an
    offset leaves of it, away from water: a smooth curve through the whole spectrum leaves three times the noise of a dip.

    Parameters
    ----------
    signal
        All volumes in the order of acquisition, shape (V, N).
    layout
        Which volumes normalise and which make up the spectrum.

    Raises
    ------
    ValueError
        If there are too few offsets for either.
    """
    some = np.asarray(some_voxels(signal), dtype=np.float64)
    places = np.array(layout.unsaturated)
    if len(places) >= 3:
        full = some[:, places]
        line = np.stack([np.ones(len(places)), places - places.mean()], axis=1)
        residual = full - full @ line @ np.linalg.inv(line.T @ line) @ line.T
        level = _level(np.square(residual).sum(axis=1), len(places) - 2)
        return (
            level,
            f"The noise was told from the {len(places)} unsaturated volumes, as what a straight line in time leaves.",
        )
    z = spectra(some, layout=layout, noise=0.0)
    weights, predicted = _prediction(layout.offsets)
    base = some[:, places].mean(axis=1)
    left = (
        (z.values[:, predicted] - z.values @ weights.T) * base[:, None] / np.sqrt(1.0 + np.square(weights).sum(axis=1))
    )
    usable = left[np.isfinite(left)]
    level = float(np.median(np.abs(usable))) / NORMAL_QUARTILE if usable.size else 0.0
    return level * math.sqrt(layout.repetitions), (
        f"The noise was told from {len(predicted)} offsets of the spectrum, as what a cubic through the two neighbours on either "
        "side leaves."
    )


def _prediction(offsets: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the weights (P, K) by which neighbours predict P of the offsets, and which those are."""
    places = np.arange(2, len(offsets) - 2)
    if not len(places):
        raise ValueError(
            f"{len(offsets)} offsets and fewer than three unsaturated volumes do not tell the noise; give its standard deviation"
        )
    wide = np.maximum(offsets[places] - offsets[places - 1], offsets[places + 1] - offsets[places])
    quiet = places[(np.abs(offsets[places]) >= NEAR_WATER) & (wide <= SPARSE)]
    chosen = quiet if len(quiet) >= FEWEST_PREDICTED else places
    weights = np.zeros((len(chosen), len(offsets)))
    for row, place in enumerate(chosen):
        around = [place - 2, place - 1, place + 1, place + 2]
        for each in around:
            others = [other for other in around if other != each]
            weights[row, each] = np.prod(
                [(offsets[place] - offsets[other]) / (offsets[each] - offsets[other]) for other in others]
            )
    return weights, chosen


def _level(residual_sum: NDArray[np.float64], freedom: int) -> float:
    """Return the standard deviation of the scan; of few voxels the root mean square."""
    found = moderated_variance(residual_sum, freedom)
    usable = found.variance[np.isfinite(found.variance)]
    if not math.isnan(found.prior_variance):
        return math.sqrt(found.prior_variance)
    return math.sqrt(float(usable.mean())) if len(usable) else 0.0
