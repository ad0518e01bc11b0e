"""Conventions of the scanner that the data themselves betray: sense of precession and reference of the RF phase."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import configurations
from qmri_bids.physics.protocol import BssfpProtocol

SHORTEST_TISSUE_T1 = 0.3
"""Shortest T1 [s] expected to dominate a head; decides whether the sense can be told."""


@dataclass(frozen=True, kw_only=True)
class Sense:
    """Sense of precession against the model's e^{+iθ}.

    Parameters
    ----------
    sign
        +1 as in the model, -1 opposite (the data are to be conjugated), 0 undecidable.
    ratio
        Energy of F-1 over that of F1 in the data as given.
    sentence
        What was found, for log and report.
    """

    sign: Literal[-1, 0, 1]
    ratio: float
    sentence: str


def precession_sense(cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol) -> Sense:
    """Tell the sense of precession from the two lowest echo and FID configurations.

    |F-1| > |F1| exactly when E2 > b, that is when E1 > cos a: for every flip angle above the Ernst angle. A scanner of the
    opposite sense, or an image reconstructed as the conjugate, swaps the two.

    Parameters
    ----------
    cycles
        Complex signal, shape (..., N), background and head together.
    protocol
        The acquisition.

    Returns
    -------
    Sense
        Undecidable for unevenly spaced increments, at or below the Ernst angle, or when the energies differ by less than 10 %.
    """
    if not protocol.is_evenly_spaced:
        return Sense(
            sign=0,
            ratio=math.nan,
            sentence="Sense of precession not checked: increments are not evenly spaced.",
        )
    ernst = math.acos(math.exp(-protocol.repetition_time / SHORTEST_TISSUE_T1))
    if protocol.flip_angle <= ernst:
        return Sense(
            sign=0,
            ratio=math.nan,
            sentence=(
                f"Sense of precession not checked: the flip angle is below the Ernst angle of T1 = "
                f"{SHORTEST_TISSUE_T1:g} s ({math.degrees(ernst):.1f}°)."
            ),
        )
    modes = configurations(cycles, rf_phase_increment=protocol.rf_phase_increment, orders=(-1, 1))
    energy = np.square(np.abs(modes.reshape(-1, 2)), dtype=np.float64).sum(axis=0)
    ratio = float(energy[0] / energy[1]) if energy[1] > 0 else math.inf
    if ratio > 1.1:
        return Sense(sign=1, ratio=ratio, sentence=f"Sense of precession as in the model (|F-1|²/|F1|² = {ratio:.2f}).")
    if ratio < 1 / 1.1:
        return Sense(
            sign=-1,
            ratio=ratio,
            sentence=(
                f"Sense of precession opposite to the model (|F-1|²/|F1|² = {ratio:.2f}): the data were conjugated, "
                "so that positive off-resonance means faster precession."
            ),
        )
    return Sense(sign=0, ratio=ratio, sentence=f"Sense of precession undecided (|F-1|²/|F1|² = {ratio:.2f}).")


def increment_reference_warning(off_resonance: NDArray[np.floating], *, protocol: BssfpProtocol) -> str | None:
    """Return a warning if the off-resonance of the head centres on ±1/(2TR) rather than on 0.

    A shimmed head does not; a scanner that counts its increments from the alternating 0°/180° scheme makes it look so.

    Parameters
    ----------
    off_resonance
        ΔB0 in the brain [Hz]; NaN is ignored.
    protocol
        The acquisition.
    """
    theta = 2.0 * math.pi * protocol.repetition_time * off_resonance[np.isfinite(off_resonance)]
    if theta.size == 0:
        return None
    resultant = complex(np.mean(np.exp(1j * theta)))
    if abs(resultant) < 0.3 or abs(np.angle(resultant)) < 0.75 * math.pi:
        return None
    return (
        f"The off-resonance of the brain centres on {np.angle(resultant) / math.pi:+.2f}π per TR. If the scanner counts RF phase "
        'increments from the alternating 0°/180° scheme, set "RFPhaseIncrementReference": "alternating" in the sidecar: '
        "T1 and T2 do not change, the fieldmap does."
    )
