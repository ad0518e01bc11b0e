"""What is applied to a run instead of being fitted again, as frozen data that can be pickled. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class EarlierMotion:
    """The motion of a series, as an earlier call has left it.

    Parameters
    ----------
    transforms
        Text file of ITK, one rigid transform a volume.
    reference
        Index of the volume to which all others are brought.
    registered
        Whether each volume was registered by itself, or has the motion of its neighbours; empty for phase cycles.
    source
        The file, as sentences name it.
    """

    transforms: Path
    reference: int
    registered: tuple[bool, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class EarlierFits:
    """What is applied to a run.

    Parameters
    ----------
    mask
        Mask on the grid of the run; None where it is to be found.
    mask_source
        That file, as sentences name it.
    kind
        What the mask holds: `brain`, or `object` where it is that of a phantom, an animal, or whatever has signal.
    by_hand
        Whether a person has made or corrected the mask.
    motion
        None where motion is to be fitted.
    sentences
        What is taken from where, and what is not and why.
    """

    mask: Path | None = None
    mask_source: str = ""
    kind: str = "brain"
    by_hand: bool = False
    motion: EarlierMotion | None = None
    sentences: tuple[str, ...] = ()


def earlier_sentences(fits: Mapping[str, EarlierFits], *, prefix: str = "") -> tuple[str, ...]:
    """Return what is applied to which run, and what is not and why.

    Parameters
    ----------
    fits
        By the label of the run.
    prefix
        How the labels begin that are wanted, e.g. `sub-01_`; all by default.

    Examples
    --------
    >>> fits = {"sub-01_VFA": EarlierFits(sentences=("No motion is taken.",)), "sub-02_VFA": EarlierFits()}
    >>> earlier_sentences(fits, prefix="sub-01_")
    ('sub-01_VFA: No motion is taken.',)
    """
    return tuple(
        f"{label}: {sentence}"
        for label, each in fits.items()
        if label.startswith(prefix)
        for sentence in each.sentences
    )
