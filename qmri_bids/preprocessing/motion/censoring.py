"""Volumes that are left out of the estimation because the head moved too far before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.units import metres_to_millimetres


@dataclass(frozen=True, kw_only=True)
class Censored:
    """Which volumes are left out.

    Parameters
    ----------
    censored
        Whether a volume is left out, shape (N,).
    threshold
        Largest framewise displacement [m].
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    censored: NDArray[np.bool_]
    threshold: float
    decisions: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def censor(framewise_displacement: NDArray[np.floating], *, threshold: float, noun: str) -> Censored:
    """Choose the volumes whose framewise displacement exceeds a threshold.

    Parameters
    ----------
    framewise_displacement
        Displacement from each volume to the next [m], shape (N,); the first is 0 and stays.
    threshold
        Largest displacement of a volume that stays [m].
    noun
        What one volume is called.

    Raises
    ------
    ValueError
        If the threshold is not positive.

    Examples
    --------
    >>> found = censor(np.array([0.0, 0.2e-3, 1.4e-3]), threshold=0.5e-3, noun="cycle")
    >>> found.censored.tolist()
    [False, False, True]
    >>> found.warnings[0]
    '1 of 3 cycles left out of the estimation, before which the head moved by more than 0.5 mm: 3 (1.40 mm).'
    """
    if not threshold > 0.0:
        raise ValueError(f"threshold must be positive, found {threshold}")
    displacement = np.asarray(framewise_displacement, dtype=float)
    censored = displacement > threshold
    limit = f"{metres_to_millimetres(threshold):g} mm"
    if not censored.any():
        return Censored(
            censored=censored,
            threshold=threshold,
            decisions=(f"No {noun} was left out: none moved by more than {limit} against the one before.",),
        )
    moved = ", ".join(
        f"{index + 1} ({metres_to_millimetres(displacement[index]):.2f} mm)" for index in np.flatnonzero(censored)
    )
    sentence = (
        f"{np.count_nonzero(censored)} of {len(censored)} {noun}s left out of the estimation, before which the head moved by more "
        f"than {limit}: {moved}."
    )
    return Censored(censored=censored, threshold=threshold, decisions=(sentence,), warnings=(sentence,))


def censor_saturated(
    framewise_displacement: NDArray[np.floating], *, threshold: float, roles: Sequence[str], droppable: bool
) -> Censored:
    """Choose the volumes of a saturated series that are left out.

    Parameters
    ----------
    framewise_displacement, threshold
        Displacement from each volume to the next [m], shape (N,), and the largest of a volume that stays [m]; see `censor`.
    roles
        What each volume is; none for a few scans of different contrast, which all are needed.
    droppable
        Whether the estimation can do without single volumes.

    Raises
    ------
    ValueError
        If a volume moved too far without which there is no estimation.
    """
    found = censor(framewise_displacement, threshold=threshold, noun="volume")
    if not found.censored.any():
        return found
    which = found.decisions[0].partition(": ")[2]
    limit = f"--fd-threshold {metres_to_millimetres(threshold):g}"
    if not roles:
        raise ValueError(
            f"{limit} would leave out scans that are all needed: {which} Raise the threshold or leave it out."
        )
    if not droppable:
        raise ValueError(
            f"{limit} would leave out volumes of a fingerprint, which needs its whole train: the head moved before volumes {which} "
            "Raise the threshold, or leave the option out."
        )
    references = np.array([role == "m0" for role in roles])
    if references.any() and found.censored[references].all():
        raise ValueError(
            f"{limit} would leave out every unsaturated volume, by which the others are normalised: {which} Raise the threshold or "
            "leave it out."
        )
    return found


def too_few(found: Censored, *, needed: int, noun: str) -> ValueError:
    """Return the error where less is left than an estimation needs."""
    kept = int(np.count_nonzero(~found.censored))
    return ValueError(
        f"--fd-threshold {metres_to_millimetres(found.threshold):g} left {kept} of {len(found.censored)} {noun}s, expected at "
        f"least {needed}; raise the threshold or leave the option out. {found.decisions[0]}"
    )
