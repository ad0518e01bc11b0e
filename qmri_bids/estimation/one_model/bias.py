"""How far T1 and M0 of one pool lie below the truth where no scan tells the semisolid pool: by pools of the literature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import apparent_rate, recovery_rate, saturation_rate
from qmri_bids.physics.protocol import BssfpProtocol

LITERATURE: Mapping[str, tuple[float, float, float]] = {"WM": (0.12, 3.5, 0.94), "GM": (0.06, 3.5, 1.33)}
"""F, rate from water to the semisolid pool [1/s] and T1 of an inversion recovery [s] at 3 T: round values after Gloor et al.,
MRM 60:691 (2008), and Stanisz et al., MRM 54:507 (2005)."""

LINE, R1 = 14e-6, 1.0
"""G(0) [s] and R1 [1/s] of the semisolid pool (Gloor et al. 2008)."""


def expected_bias(pulse: ExcitationPulse, protocol: BssfpProtocol, *, b1: float = 1.0) -> dict[str, float]:
    """Return the relative error of T1 of white and grey matter against an inversion recovery, by `LITERATURE`.

    Parameters
    ----------
    pulse, protocol
        What was played.
    b1
        Actual over nominal flip angle.

    Examples
    --------
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618
    ... )
    >>> found = expected_bias(ExcitationPulse.of("sinc", 1e-3), protocol)
    >>> {tissue: round(100.0 * bias) for tissue, bias in found.items()}
    {'WM': -20, 'GM': -14}
    """
    saturation = saturation_rate(pulse, protocol, b1=np.array(b1), line=LINE)
    found = {}
    for tissue, (fraction, forward, t1) in LITERATURE.items():
        own = {"fraction": np.array(fraction), "rate": np.array(forward / fraction), "r1m": np.array(R1)}
        # R1 of free water of which the slow rate is 1/T1: a few steps of a fixed point.
        free = np.array(1.0 / t1)
        for _ in range(20):
            free = free + 1.0 / t1 - recovery_rate(free, **own)
        found[tissue] = float(1.0 / (t1 * apparent_rate(free, **own, saturation=saturation)) - 1.0)
    return found
