"""Which measures a spectrum allows by its offsets, said in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, WATER
from qmri_bids.estimation.spectra.measures.far_lines import FAR, FARTHEST, FEWEST_FAR

THREE_OFFSET, DIFFERENCE, INVERSE, EXTRAPOLATED = "three-offset", "lda", "rex", "emr"
"""Measures beside MTR asymmetry: those of `choices.SPECTRUM_MEASURES`."""

NEAREST = 0.3
"""An offset that a measure takes needs one that was measured so close to it [ppm]."""

THREE_OFFSETS: Mapping[str, tuple[float, float, float]] = {"APT": (3.5, 3.0, 4.0), "NOE": (-3.5, -2.0, -5.0)}
"""Offset of a solute and the two beside it [ppm]."""

NEAR = 1.0
"""Up to here [ppm] from water its line counts; …"""

BEYOND = 6.5
"""… and from here outwards that of MT. In between lie amide (3.5), amine and guanidine (2 to 3) and NOE (-1.6 to -5)."""

FEWEST_NEAR = 3
"""Offsets needed near water."""

FEWEST_BEYOND = 2
"""Offsets needed beyond, on either side."""

REACH = 10.0
"""The outermost offsets must lie so far from water [ppm] on either side for the broad line of MT to be told."""

BACKGROUND_POOLS = (WATER, *SHIPPED_LINES.semisolid)

DIFFERENCE_AT: Mapping[str, float] = {"APT": 3.5, "NOE": -3.5}
"""Where the differences to the background are taken [ppm]."""


def of_background(offsets: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which offsets from true water [ppm] tell the background."""
    return (np.abs(offsets) <= NEAR) | (np.abs(offsets) >= BEYOND)


def why_no_background(offsets: Sequence[float]) -> str:
    """Return what offsets [ppm] lack for a background, as the end of a sentence; empty where they tell one.

    Examples
    --------
    >>> why_no_background([-4.0, -3.5, -1.0, 0.0, 1.0, 3.5, 4.0])
    'it needs offsets out to ±10 ppm'
    """
    places = np.asarray(offsets, dtype=np.float64)
    if places.min() > -REACH or places.max() < REACH:
        return f"it needs offsets out to ±{REACH:g} ppm"
    near = int(np.count_nonzero(np.abs(places) <= NEAR))
    if near < FEWEST_NEAR:
        return f"it needs {FEWEST_NEAR} offsets within {NEAR:g} ppm of water, found {near}"
    beyond = min(int(np.count_nonzero(sign * places >= BEYOND)) for sign in (-1.0, 1.0))
    if beyond < FEWEST_BEYOND:
        return f"it needs {FEWEST_BEYOND} offsets beyond {BEYOND:g} ppm on either side, found {beyond} on one"
    number, free = int(np.count_nonzero(of_background(places))), SHIPPED_LINES.free_parameters(BACKGROUND_POOLS)
    return f"{number} offsets away from solutes do not tell its {free} parameters" if number <= free else ""


def why_no_reference(offsets: Sequence[float]) -> str:
    """Return what offsets [ppm] lack for a line of MT to be extrapolated from far ones, as the end of a sentence.

    Examples
    --------
    >>> why_no_reference([-20.0, -10.0, -3.5, 0.0, 3.5, 10.0])
    'it needs 4 offsets at 8 ppm or more from water, found 3'
    """
    distances = np.abs(np.asarray(offsets, dtype=np.float64))
    far = int(np.count_nonzero(distances >= FAR))
    if far < FEWEST_FAR:
        return f"it needs {FEWEST_FAR} offsets at {FAR:g} ppm or more from water, found {far}"
    if distances.max() < FARTHEST:
        return f"it needs offsets out to {FARTHEST:g} ppm, found them to {distances.max():g} ppm"
    return ""


@dataclass(frozen=True, kw_only=True)
class MeasurePlan:
    """What is measured beside the fit of pools.

    Parameters
    ----------
    asymmetry
        Offsets of MTR asymmetry that were measured on both sides [ppm].
    three_offset
        Solutes of the three-offset measure.
    difference, inverse
        Whether the Lorentzian difference, and the inverse difference to its background, are mapped.
    extrapolated
        Solutes of the difference to a line of MT that is extrapolated from far offsets.
    of_fit
        Whether the inverse difference to the fit without a pool is mapped.
    ranges
        Ranges of the mean MTR asymmetry [ppm].
    sentences, warnings
        What was decided, and what was asked for and is not there.
    """

    asymmetry: tuple[float, ...] = ()
    three_offset: tuple[str, ...] = ()
    difference: bool = False
    inverse: bool = False
    extrapolated: tuple[str, ...] = ()
    of_fit: bool = False
    ranges: tuple[tuple[float, float], ...] = ()
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def needs_background(self) -> bool:
        """Whether lines of water and MT are fitted to the offsets away from solutes."""
        return self.difference or self.inverse


def plan_measures(
    offsets: NDArray[np.floating],
    *,
    wanted: Sequence[str],
    asymmetry: tuple[float, ...],
    ranges: Sequence[tuple[float, float]],
    pools: Sequence[str],
) -> MeasurePlan:
    """Return what can be measured of spectra at these offsets [ppm].

    Parameters
    ----------
    offsets
        Offsets of the spectra, increasing, shape (K,).
    wanted
        Measures that were asked for.
    asymmetry
        Offsets of MTR asymmetry within those measured [ppm].
    ranges
        Ranges of the mean MTR asymmetry that were asked for [ppm].
    pools
        Pools of the fit; empty without one.
    """
    low, high = float(offsets[0]), float(offsets[-1])
    said, warnings, within, solutes = [], [], [], []
    for start, end in ranges:
        if low <= -end and high >= end:
            within.append((start, end))
        else:
            warnings.append(
                f"There is no MTR asymmetry from {start:g} to {end:g} ppm: the spectrum was measured from {low:g} to {high:g} ppm."
            )
    for solute, places in THREE_OFFSETS.items() if THREE_OFFSET in wanted else ():
        lacking = [each for each in sorted(places) if np.abs(offsets - each).min() > NEAREST or not low <= each <= high]
        if lacking:
            shown = ", ".join(f"{each:g}" for each in lacking)
            said.append(f"There is no three-offset measure of {solute}: it needs an offset at {shown} ppm.")
        else:
            solutes.append(solute)
            at, *beside = places
            said.append(
                f"The three-offset measure of {solute} is the line through Z at {beside[0]:g} and {beside[1]:g} ppm minus Z at "
                f"{at:g} ppm."
            )
    why = why_no_background(offsets.tolist())
    of_fit = INVERSE in wanted and bool(pools)
    difference, inverse = DIFFERENCE in wanted, INVERSE in wanted and not of_fit
    if of_fit:
        said.append("The inverse difference (MTR_Rex) of a pool is that of the fit with and without it.")
    if why and difference:
        said.append(f"There is no Lorentzian difference: {why}.")
    if why and inverse:
        said.append(f"There is no inverse difference (MTR_Rex): there is no fit of pools, and of a background {why}.")
    elif inverse:
        said.append(
            "The inverse difference (MTR_Rex) is that to the background of the Lorentzian difference: no pools were fitted."
        )
    extrapolated = _extrapolated(offsets, said) if EXTRAPOLATED in wanted else ()
    return MeasurePlan(
        asymmetry=asymmetry,
        three_offset=tuple(solutes),
        difference=difference and not why,
        inverse=inverse and not why,
        extrapolated=extrapolated,
        of_fit=of_fit,
        ranges=tuple(within),
        sentences=tuple(said),
        warnings=tuple(warnings),
    )


def _extrapolated(offsets: NDArray[np.floating], said: list[str]) -> tuple[str, ...]:
    """Return the solutes whose difference to the extrapolated line of MT can be taken, and say why others cannot."""
    why = why_no_reference(offsets.tolist())
    if why:
        said.append(f"There is no APT# or NOE#: {why}.")
        return ()
    solutes = []
    for solute, at in DIFFERENCE_AT.items():
        if np.abs(offsets - at).min() > NEAREST:
            said.append(f"There is no {solute}#: it needs an offset at {at:g} ppm.")
        else:
            solutes.append(solute)
    return tuple(solutes)
