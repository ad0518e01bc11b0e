"""Z-spectra at their nominal power, from spectra at several powers and a map of B1 (Windschuh et al., NMR Biomed 28:529, 2015).

Where B1 is off, every spectrum was measured at another power than it is named after. Between the powers that a voxel has met, Z
at the nominal one is interpolated offset by offset. What is interpolated is ln(1/Z - 1) over ln B1: in a steady state 1/Z is
1 + Rex/R1, whose direct part goes with the square of B1 and whose exchanging parts with a lower power of it (Zaiss and Bachert,
NMR Biomed 26:507, 2013), so that between two powers a straight line holds. It passes through every spectrum that was measured, and
Z tends to 1 where B1 tends to 0, as it must.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import correct_shift
from qmri_bids.estimation.spectra.series import Spectra

EXPONENT_SPREAD = 0.3
"""Standard deviation of the exponent of B1 over the voxels of an image, at one offset; direct saturation alone has 2."""

EXPONENT_MODEL = 0.15
"""Standard deviation of the exponent beyond the powers that were measured."""

FARTHEST = 1.25
"""By no more than this factor of B1 is a spectrum taken beyond the powers that a voxel has met."""

STEP = 1e-4
"""Of numerical derivatives."""


@dataclass(frozen=True, kw_only=True)
class OtherSpectra:
    """Spectra of the same voxels and offsets at another power.

    Parameters
    ----------
    ratio
        Nominal B1 over that of the spectra that are corrected.
    values
        Values of Z, shape (V, K), NaN where there are none.
    stdev, scale_stdev
        Standard deviation of one value of a voxel and, relative, of what all values of a voxel share, shape (V,).
    water_shift
        Shift of water while they were measured [ppm], shape (V,); None where it is that of the spectra that are corrected.
    """

    ratio: float
    values: NDArray[np.float64]
    stdev: NDArray[np.float64]
    scale_stdev: NDArray[np.float64]
    water_shift: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class Powers:
    """What takes the spectra of V voxels to their nominal power.

    Parameters
    ----------
    others
        Spectra at other powers.
    b1
        Actual over nominal B1, shape (V,).
    b1_stdev
        Its standard deviation, shape (V,); None where B1 counts as exact.
    """

    others: tuple[OtherSpectra, ...]
    b1: NDArray[np.float64]
    b1_stdev: NDArray[np.float64] | None = None

    def __getitem__(self, part: slice) -> Powers:
        """Return those of some voxels."""
        return Powers(
            others=tuple(
                OtherSpectra(
                    ratio=each.ratio,
                    values=each.values[part],
                    stdev=each.stdev[part],
                    scale_stdev=each.scale_stdev[part],
                    water_shift=None if each.water_shift is None else each.water_shift[part],
                )
                for each in self.others
            ),
            b1=self.b1[part],
            b1_stdev=None if self.b1_stdev is None else self.b1_stdev[part],
        )


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """Spectra of all powers, the weakest first: ratios (P,), Z and its noise (P, V, K) and (P, V), and which are the own ones."""

    ratios: NDArray[np.float64]
    values: NDArray[np.float64]
    stdev: NDArray[np.float64]
    scale_stdev: NDArray[np.float64]


def _stack(own: Spectra, powers: Powers) -> _Stack:
    ratios = np.array([1.0, *(each.ratio for each in powers.others)])
    order = np.argsort(ratios)
    parts = (own, *powers.others)
    return _Stack(
        ratios=ratios[order],
        values=np.stack([parts[index].values for index in order]),
        stdev=np.stack([parts[index].stdev for index in order]),
        scale_stdev=np.stack([parts[index].scale_stdev for index in order]),
    )


def at_one_shift(powers: Powers, *, offsets: NDArray[np.float64], water_shift: NDArray[np.float64]) -> Powers:
    """Return spectra at other powers as they had been measured with the shift of water of the spectra that are corrected.

    Parameters
    ----------
    powers
        Of V voxels.
    offsets
        Nominal offsets of all spectra, increasing [ppm], shape (K,).
    water_shift
        That shift [ppm], shape (V,).

    Returns
    -------
    Powers
        The outermost offsets, which would be extrapolated, keep the value that was measured: spectra are flat there.
    """
    moved = []
    for each in powers.others:
        if each.water_shift is None:
            moved.append(each)
            continue
        found = correct_shift(
            each.values, offsets=offsets, water_shift=each.water_shift - water_shift, noise=each.stdev
        )
        edge = found.status == Status.OUT_OF_RANGE
        moved.append(replace(each, values=np.where(edge, each.values, found.values), water_shift=None))
    return replace(powers, others=tuple(moved))


def typical_exponents(own: Spectra, powers: Powers) -> NDArray[np.float64]:
    """Return by which power of B1 1/Z - 1 of an image rises between one nominal B1 and the next, shape (P - 1, K).

    Parameters
    ----------
    own, powers
        Some voxels of the image.

    Raises
    ------
    ValueError
        If no voxel has all spectra.
    """
    stack = _stack(own, powers)
    whole = np.isfinite(stack.values).all(axis=(0, 2))
    if not whole.any():
        raise ValueError("no voxel has a spectrum at every power, so that none can be taken to nominal B1")
    middle = np.median(stack.values[:, whole], axis=1)
    lost = np.log(1.0 / np.clip(middle, 1e-3, 0.999) - 1.0)
    return np.diff(lost, axis=0) / np.diff(np.log(stack.ratios))[:, None]


def correct_power(own: Spectra, powers: Powers, *, exponents: NDArray[np.float64]) -> Spectra:
    """Return spectra at their nominal power.

    Between the two powers next to the nominal one ln(1/Z - 1) is a straight line over ln B1. Its slope is that of the voxel as far
    as noise lets it be told, else that of the image: the two are weighed by the noise and by `EXPONENT_SPREAD`.

    Parameters
    ----------
    own
        The spectra to be corrected.
    powers
        Spectra at other powers, and B1.
    exponents
        Those of the image, from `typical_exponents`.

    Returns
    -------
    Spectra
        Its noise is the root mean square over the offsets; `directions` hold what its values share by the M0 of every run, by B1
        and, beyond the powers that were measured, by the model. OUT_OF_RANGE where the nominal power lies by more than the factor
        `FARTHEST` beyond these, INVALID_INPUT where B1 or a spectrum has no value.
    """
    stack = _stack(own, powers)
    b1 = np.asarray(powers.b1, dtype=np.float64)
    valid = np.isfinite(b1) & (b1 > 0.0) & np.isfinite(stack.values).all(axis=(0, 2))
    b1_stdev = np.zeros(len(b1)) if powers.b1_stdev is None else np.asarray(powers.b1_stdev, dtype=np.float64)
    valid &= np.isfinite(b1_stdev)
    away = -np.log(np.where(valid, b1, 1.0))
    # The pair of powers around the nominal one, by its lower member; the outermost pair where it lies beyond.
    levels = np.log(stack.ratios)
    pair = np.clip(np.searchsorted(levels, away, side="right") - 1, 0, len(levels) - 2)
    every = np.arange(len(b1))
    below, above = stack.values[pair, every], stack.values[pair + 1, every]
    noise_below, noise_above = stack.stdev[pair, every], stack.stdev[pair + 1, every]
    reach = np.diff(levels)[pair]
    start = levels[pair]
    line = _Line.of(below, above, noise=(noise_below, noise_above), reach=reach, image=exponents[pair])

    place = away - start
    with np.errstate(all="ignore"):
        values = line.at(below, above, place)
        # Steps go towards the middle: Z of a voxel with an exponent of its own stays between 0 and 1.
        step_below, step_above = (np.where(each < 0.5, STEP, -STEP) for each in (below, above))
        by_below = (line.at(below + step_below, above, place) - values) / step_below
        by_above = (line.at(below, above + step_above, place) - values) / step_above
        by_b1 = (line.at(below, above, place + STEP) - values) / STEP * (-1.0 / b1)[:, None]
        by_exponent = line.by_image(below, above, place)
        beyond = np.maximum(np.maximum(-place, place - reach), 0.0)
        noise = np.sqrt(
            np.square(by_below * noise_below[:, None])
            + np.square(by_above * noise_above[:, None])
            + np.square(by_exponent * EXPONENT_SPREAD)
        )
        inner = np.clip(values, 0.0, 1.0)
        directions = np.stack(
            [
                by_below * below * stack.scale_stdev[pair, every][:, None],
                by_above * above * stack.scale_stdev[pair + 1, every][:, None],
                by_b1 * b1_stdev[:, None],
                inner * (1.0 - inner) * (beyond * EXPONENT_MODEL)[:, None],
            ],
            axis=1,
        )
    status = own.status.copy()
    good = status == Status.CONVERGED
    status[good & (beyond > math.log(FARTHEST))] = Status.OUT_OF_RANGE
    status[good & ~(valid & np.isfinite(values).all(axis=1) & np.isfinite(noise).all(axis=1))] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Spectra(
        values=np.where(good[:, None], values, math.nan),
        stdev=np.where(good, np.sqrt(np.square(noise).mean(axis=1)), math.nan),
        scale_stdev=np.where(good, 0.0, math.nan),
        status=status,
        directions=np.where(good[:, None, None], directions, math.nan),
    )


@dataclass(frozen=True, kw_only=True)
class _Line:
    """How Z follows from B1 between two powers: with the exponent of the voxel by a share, shape (V, K), else that of the image."""

    share: NDArray[np.float64]
    image: NDArray[np.float64]
    reach: NDArray[np.float64]
    dark: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        below: NDArray[np.float64],
        above: NDArray[np.float64],
        *,
        noise: tuple[NDArray[np.float64], NDArray[np.float64]],
        reach: NDArray[np.float64],
        image: NDArray[np.float64],
    ) -> _Line:
        """Return how far the exponent of a voxel is told: its variance by noise against that over the image."""
        with np.errstate(all="ignore"):
            variance = sum(
                np.square(each[:, None] / (z * (1.0 - z))) for z, each in zip((below, above), noise, strict=True)
            )
            variance = variance / np.square(reach)[:, None]
            share = EXPONENT_SPREAD**2 / (EXPONENT_SPREAD**2 + variance)
        inside = (below > 0.0) & (below < 1.0) & (above > 0.0) & (above < 1.0)
        return cls(
            share=np.where(inside & np.isfinite(share), share, 0.0),
            image=image,
            reach=reach,
            dark=below + above < 1.0,
        )

    def at(self, below: NDArray[np.float64], above: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray:
        """Return Z at `place` = ln B1 from the lower power, shape (V,)."""
        with np.errstate(all="ignore"):
            own = (np.log(1.0 / above - 1.0) - np.log(1.0 / below - 1.0)) / self.reach[:, None]
        exponent = np.where(self.share > 0.0, self.share * own + (1.0 - self.share) * self.image, self.image)
        return self._at(below, above, place, exponent)

    def by_image(self, below: NDArray[np.float64], above: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray:
        """Return the change of Z with the exponent, as far as it is that of the image: its standard deviation is the rest."""
        with np.errstate(all="ignore"):
            own = (np.log(1.0 / above - 1.0) - np.log(1.0 / below - 1.0)) / self.reach[:, None]
        exponent = np.where(self.share > 0.0, self.share * own + (1.0 - self.share) * self.image, self.image)
        changed = self._at(below, above, place, exponent + STEP) - self._at(below, above, place, exponent)
        return changed / STEP * (1.0 - self.share)

    def _at(
        self, below: NDArray, above: NDArray, place: NDArray[np.float64], exponent: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return Z by both powers, weighed by their distance; where Z is small the odds of Z are averaged, else their inverse.

        Neither mean divides by what noise may have taken through zero.
        """
        second = np.clip(place / self.reach, 0.0, 1.0)[:, None]
        from_below, from_above = exponent * place[:, None], exponent * (place - self.reach)[:, None]
        with np.errstate(all="ignore"):
            odds = (1.0 - second) * below / (1.0 - below) * np.exp(-from_below)
            odds = odds + second * above / (1.0 - above) * np.exp(-from_above)
            lost = (1.0 - second) * (1.0 / below - 1.0) * np.exp(from_below)
            lost = lost + second * (1.0 / above - 1.0) * np.exp(from_above)
            return np.where(self.dark, odds / (1.0 + odds), 1.0 / (1.0 + lost))


def power_sentences(powers: Powers, status: Sequence[int] | NDArray[np.uint8]) -> tuple[list[str], list[str]]:
    """Return what was decided and what a reader must know of spectra that were taken to nominal power, as sentences.

    Parameters
    ----------
    powers
        Of all voxels.
    status
        Of the corrected spectra, shape (V,).
    """
    status = np.asarray(status)
    levels = np.sort(np.array([1.0, *(each.ratio for each in powers.others)]))
    known = np.isfinite(powers.b1) & (powers.b1 > 0.0)
    if not known.any():
        return [], ["B1 has no value in any voxel: no spectrum was taken to nominal power."]
    b1 = powers.b1[known]
    met = (b1 * levels[0] <= 1.0) & (b1 * levels[-1] >= 1.0)
    low, high = np.percentile(b1, [2.0, 98.0])
    shown = ", ".join(f"{level:.3g}" for level in levels)
    decisions = [
        f"Spectra were taken to their nominal B1 by those at {shown} times it; actual B1 is {low:.2f} to {high:.2f} of the nominal "
        f"one (2nd and 98th percentile). In {100.0 * float(np.mean(met)):.1f} % of the voxels the nominal power lies within those "
        "measured."
    ]
    lost = float(np.mean(status == Status.OUT_OF_RANGE))
    warnings = []
    beyond = 1.0 - float(np.mean(met))
    if beyond >= 5e-4:
        warnings.append(
            f"IN {100.0 * beyond:.1f} % OF THE VOXELS THE NOMINAL POWER LIES BEYOND THOSE MEASURED: Z was extrapolated to a factor "
            f"of {FARTHEST:g} of B1, with wider standard deviations; {100.0 * lost:.1f} % lie further out and have no value "
            "(code 2). A further power beyond would close the gap."
        )
    return decisions, warnings
