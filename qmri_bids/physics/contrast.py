"""Signals of sequences whose images people read, in closed form: spin echo, inversion recovery, inverted gradient echoes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A spin echo, with or without inversion, or an inversion-prepared train of spoiled gradient echoes.

    Parameters
    ----------
    name
        What the image is called.
    repetition_time, echo_time
        TR and TE [s].
    inversion_time
        Time from the inversion to the excitation of the centre of k-space [s]; None without inversion.
    flip_angle, echo_spacing, echoes
        Flip angle [rad], distance [s] and number of the gradient echoes of a train; None of a spin echo. The centre of k-space is
        the middle of the train.

    Raises
    ------
    ValueError
        If the times do not fit into one another.
    """

    name: str
    repetition_time: float
    echo_time: float
    inversion_time: float | None = None
    flip_angle: float | None = None
    echo_spacing: float | None = None
    echoes: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.echo_time < self.repetition_time < 60.0:
            raise ValueError(
                f"{self.name}: expected 0 ≤ echo_time < repetition_time [s], found {self.echo_time} and {self.repetition_time}"
            )
        train = (self.flip_angle, self.echo_spacing, self.echoes)
        if any(value is None for value in train) and not all(value is None for value in train):
            raise ValueError(f"{self.name}: flip_angle, echo_spacing and echoes go together, found {train}")
        length = 0.0 if self.echo_spacing is None or self.echoes is None else self.echo_spacing * self.echoes
        inversion = self.inversion_time
        if inversion is not None and not 0.5 * length < inversion < self.repetition_time - 0.5 * length:
            raise ValueError(
                f"{self.name}: inversion_time {inversion} s does not fit into a repetition of {self.repetition_time} s"
            )
        if length and inversion is None:
            raise ValueError(f"{self.name}: a train of gradient echoes needs an inversion_time, found none")

    @property
    def sentence(self) -> str:
        """What was played, for sidecars and reports."""
        parts = [f"TR {self.repetition_time:g} s", f"TE {1e3 * self.echo_time:g} ms"]
        if self.inversion_time is not None:
            parts.append(f"TI {self.inversion_time:g} s")
        if self.flip_angle is not None and self.echo_spacing is not None:
            parts.append(
                f"{self.echoes} gradient echoes of {math.degrees(self.flip_angle):g}° every {1e3 * self.echo_spacing:g} ms"
            )
        return f"{self.name} was computed for {', '.join(parts)}."


CONTRASTS: Mapping[str, Contrast] = {
    contrast.name: contrast
    for contrast in (
        Contrast(name="T1w", repetition_time=0.6, echo_time=0.01),
        Contrast(name="T2w", repetition_time=5.0, echo_time=0.1),
        Contrast(name="PDw", repetition_time=5.0, echo_time=0.015),
        Contrast(name="FLAIR", repetition_time=9.0, echo_time=0.1, inversion_time=2.5),
        Contrast(
            name="MPRAGE",
            repetition_time=2.3,
            echo_time=0.003,
            inversion_time=0.9,
            flip_angle=math.radians(9.0),
            echo_spacing=7e-3,
            echoes=176,
        ),
    )
}
"""Usual parameters at 3 T."""


def weighted(contrast: Contrast, *, t1: Any, t2: Any, m0: Any) -> Any:
    """Return the magnitude of a sequence, up to the gain of the receiver.

    Spin echo: M0 (1 - e^{-TR/T1}) e^{-TE/T2}, with an inversion M0 |1 - 2 e^{-TI/T1} + e^{-TR/T1}| e^{-TE/T2}. Train: steady
    state of inversion, recovery, n excitations and recovery (Deichmann and Haase, J Magn Reson 96:608, 1992). T2* of a gradient
    echo is not known here: its decay is left out.

    Parameters
    ----------
    contrast
        What is played.
    t1, t2
        Relaxation times [s], any shape; complex ones for derivatives.
    m0
        Equilibrium signal.
    """
    recovered = np.exp(-contrast.repetition_time / t1)
    if contrast.flip_angle is None or contrast.echo_spacing is None or contrast.echoes is None:
        decay = np.exp(-contrast.echo_time / t2)
        if contrast.inversion_time is None:
            return m0 * (1.0 - recovered) * decay
        return _magnitude(m0 * (1.0 - 2.0 * np.exp(-contrast.inversion_time / t1) + recovered) * decay)
    half = contrast.echoes // 2
    per_echo = math.cos(contrast.flip_angle) * np.exp(-contrast.echo_spacing / t1)
    rest = (1.0 - np.exp(-contrast.echo_spacing / t1)) / (1.0 - per_echo)
    before = contrast.inversion_time - half * contrast.echo_spacing if contrast.inversion_time is not None else 0.0
    after = contrast.repetition_time - before - contrast.echoes * contrast.echo_spacing
    e_before, e_after = np.exp(-before / t1), np.exp(-after / t1)
    train = per_echo**contrast.echoes
    # Mz before the inversion repeats: z = 1 - (1 - end) e_after, end = rest + (start - rest) train, start = 1 - (1 + z) e_before.
    slope = -e_before * train * e_after
    offset = 1.0 - e_after + e_after * (rest + (1.0 - e_before - rest) * train)
    z = offset / (1.0 - slope)
    start = 1.0 - (1.0 + z) * e_before
    centre = rest + (start - rest) * per_echo**half
    return _magnitude(m0 * centre * math.sin(contrast.flip_angle))


def _magnitude(values: Any) -> Any:
    """Return values with a positive real part: the magnitude, for which complex steps still give derivatives."""
    return np.where(np.real(values) < 0.0, -values, values)
