"""What the signal of balanced SSFP leaves of corrected cycles beside their noise: all that is in them and not in the model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.images import FEWEST_VOXELS
from qmri_bids.preprocessing.content.misfit import FEWEST_CYCLES, UNKNOWNS, Increments, bright_voxels, profile_misfit
from qmri_bids.preprocessing.content.scale import noise_levels

UNEXPLAINED_DOUBT = 0.045
"""Signal that neither the model nor noise explains, relative to the signal, from which maps are doubted: 0.017 in a digital head of
4 mm after all corrections, 0.015 to 0.025 in a real one of 3 mm as scanned, 0.09 where it moved by 2 mm and was not corrected."""

LOUD_AIR = 2.5
"""Noise of the air over what all of the cycles leaves in tissue, from which the air holds something else."""


def unexplained_signal(
    cycles: NDArray[np.complexfloating], *, mask: NDArray[np.bool_], rf_phase_increment: Increments
) -> tuple[float, float] | None:
    """Return what a fit of the profiles leaves and what noise would leave, both relative to the signal.

    None where there are too few cycles or voxels, or no air that tells the noise.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N), as they are estimated from.
    mask
        The brain or object, shape (X, Y, Z).
    rf_phase_increment
        Of every cycle [rad].
    """
    from scipy.stats import chi2

    number = cycles.shape[3]
    levels = noise_levels(cycles) if number >= FEWEST_CYCLES else None
    signal = bright_voxels(np.ascontiguousarray(cycles[mask])[:, None, None, :]) if mask.any() else None
    if levels is None or signal is None or len(signal) < FEWEST_VOXELS:
        return None
    freedom = 2 * number - UNKNOWNS
    typical = float(np.median(np.median(np.abs(signal), axis=1)))
    # The misfit is a median over voxels of what has few degrees of freedom.
    chance = math.sqrt(float(chi2.ppf(0.5, freedom)) / (2.0 * number))
    return profile_misfit(signal, rf_phase_increment), math.sqrt(2.0) * levels.stdev * chance / typical


def unexplained_sentences(found: tuple[float, float] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return decisions and warnings that say what was found.

    Examples
    --------
    >>> unexplained_sentences((0.05, 0.04))[1]
    ()
    """
    if found is None:
        return (
            "Whether the cycles hold more than the model and noise was not checked: there are too few cycles, or there is no air "
            "that tells the noise.",
        ), ()
    misfit, noise = found
    if noise > LOUD_AIR * misfit:
        return (), (
            f"The air around the head is {noise / misfit:.1f} times as bright as the noise in tissue would make it: an offset was "
            "added to the magnitudes, or they were compressed, or divided by a coil profile. If not all cycles were treated alike, "
            "or not by a factor alone, T1 and T2 are wrong: export the images as they were reconstructed.",
        )
    excess = math.sqrt(max(0.0, misfit**2 - noise**2))
    said = (
        f"The signal of bSSFP leaves {100.0 * misfit:.1f} % of the corrected cycles unexplained, where noise as it is "
        f"in the air alone leaves {100.0 * noise:.1f} % (medians over bright voxels, fluid and edges among them)"
    )
    if excess < UNEXPLAINED_DOUBT:
        return (f"{said}.",), ()
    return (), (
        f"{said}: something is in the cycles that is not in the model (magnitudes that were scaled, filtered or cut off, phase and "
        "magnitude that do not lie on each other, ghosts, flow, motion that was not corrected). T1 and T2 may be off by as much: "
        "look at the residual map.",
    )
