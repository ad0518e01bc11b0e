"""Signals of sequences whose images people read, in closed form: spin echo, inversion recovery, inverted gradient echoes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qmri_bids.physics.sequences import Contrast


def signed_signal(contrast: Contrast, *, t1: Any, t2: Any) -> Any:
    """Return the signal of a sequence before the magnitude is taken, for an equilibrium magnetisation of one.

    Spin echo of 90° and of 180° at TE/2, with the inversion where there is one:

    1 - 2 e^{-(TR - TE/2)/T1} + e^{-TR/T1} and 1 - 2 e^{-TI/T1} + 2 e^{-(TR - TE/2)/T1} - e^{-TR/T1}, times e^{-TE/T2}.

    Train: steady state of inversion, recovery, n excitations and recovery (Deichmann and Haase, J Magn Reson 96:608, 1992). T2* of
    a gradient echo is not known here: its decay is left out.

    Parameters
    ----------
    contrast
        What is played.
    t1, t2
        Relaxation times [s], any shape; complex ones for derivatives.
    """
    if contrast.flip_angle is None or contrast.echo_spacing is None or contrast.echoes is None:
        recovered = np.exp(-contrast.repetition_time / t1)
        refocused = np.exp(-(contrast.repetition_time - 0.5 * contrast.echo_time) / t1)
        decay = np.exp(-contrast.echo_time / t2)
        if contrast.inversion_time is None:
            return (1.0 - 2.0 * refocused + recovered) * decay
        return (1.0 - 2.0 * np.exp(-contrast.inversion_time / t1) + 2.0 * refocused - recovered) * decay
    half = contrast.echoes // 2
    per_echo = math.cos(contrast.flip_angle) * np.exp(-contrast.echo_spacing / t1)
    rest = (1.0 - np.exp(-contrast.echo_spacing / t1)) / (1.0 - per_echo)
    before = contrast.inversion_time - half * contrast.echo_spacing if contrast.inversion_time is not None else 0.0
    after = contrast.repetition_time - before - contrast.length
    e_before, e_after = np.exp(-before / t1), np.exp(-after / t1)
    train = per_echo**contrast.echoes
    # Mz before the inversion repeats: z = 1 - (1 - end) e_after, end = rest + (start - rest) train, start = 1 - (1 + z) e_before.
    slope = -e_before * train * e_after
    offset = 1.0 - e_after + e_after * (rest + (1.0 - e_before - rest) * train)
    z = offset / (1.0 - slope)
    start = 1.0 - (1.0 + z) * e_before
    centre = rest + (start - rest) * per_echo**half
    return centre * math.sin(contrast.flip_angle)


def weighted(contrast: Contrast, *, t1: Any, t2: Any, m0: Any) -> Any:
    """Return the magnitude of a sequence, up to the gain of the receiver.

    Parameters
    ----------
    contrast
        What is played.
    t1, t2
        Relaxation times [s], any shape.
    m0
        Equilibrium signal.
    """
    return m0 * np.abs(signed_signal(contrast, t1=t1, t2=t2))
