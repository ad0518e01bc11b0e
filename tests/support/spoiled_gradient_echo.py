"""The signal that maps of T1 and MT saturation invert."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


def spoiled_signal(
    amplitude: Values,
    relaxation_rate: Values,
    *,
    flip_angle: Values | float,
    repetition_time: float,
    mt_saturation: Values | float = 0.0,
) -> Values:
    r"""Return the steady state of a spoiled gradient echo with an MT pulse right after the readout.

    .. math:: S = A \\sin α \\frac{1 - E_1}{1 - (1 - δ) E_1 \\cos α}

    Parameters
    ----------
    amplitude
        Signal A of full magnetisation flipped by 90° [arbitrary].
    relaxation_rate
        R1 [1/s].
    flip_angle
        Actual flip angle α [rad].
    repetition_time
        TR [s].
    mt_saturation
        Fraction δ of the longitudinal magnetisation that one MT pulse destroys.

    Returns
    -------
    NDArray
        Broadcast shape; the unit of `amplitude`. For δ = 0 the equation of Ernst.
    """
    decay = np.exp(-repetition_time * relaxation_rate)
    return amplitude * np.sin(flip_angle) * (1.0 - decay) / (1.0 - (1.0 - mt_saturation) * decay * np.cos(flip_angle))
