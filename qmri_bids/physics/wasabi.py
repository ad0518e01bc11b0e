r"""The WASABI signal: water shift and B1 from the fringes of one short, strong off-resonance pulse.

Schuenke et al., Magn Reson Med 77:571 (2017), Eq. 2; with the nutation frequencies in Hz it reads

.. math:: Z(Δ) = \left| c - d \frac{f_1^2}{f_1^2 + Δ^2} \sin^2\left(π t_p \sqrt{f_1^2 + Δ^2}\right) \right|

where sin²(atan(f1/Δ)) is written without its pole. Without relaxation c = 1 and d = 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.units import GYROMAGNETIC_RATIO


@dataclass(frozen=True, kw_only=True)
class WasabiProtocol:
    """A WASABI acquisition.

    Parameters
    ----------
    offsets
        Frequency offsets of the pulse from the nominal frequency of water [Hz], one a volume, normalisation volumes left out.
    b1_nominal
        Nominal amplitude of the rectangular pulse [T].
    pulse_duration
        Its duration t_p [s].

    Raises
    ------
    ValueError
        If there are fewer than five offsets (four unknowns), or an entry has no physical meaning.
    """

    offsets: tuple[float, ...]
    b1_nominal: float = 3.7e-6
    pulse_duration: float = 5e-3

    def __post_init__(self) -> None:
        if len(set(self.offsets)) < 5:
            raise ValueError(
                f"offsets must hold at least 5 different values for 4 unknowns, found {len(set(self.offsets))}"
            )
        if not all(math.isfinite(offset) for offset in self.offsets):
            raise ValueError(f"offsets must be finite, found {self.offsets}")
        if not 0.0 < self.b1_nominal < 1e-3:
            raise ValueError(f"b1_nominal must lie in (0, 1e-3) T, found {self.b1_nominal}")
        if not 0.0 < self.pulse_duration < 1.0:
            raise ValueError(f"pulse_duration must lie in (0, 1) s, found {self.pulse_duration}")

    @property
    def nutation_frequency(self) -> float:
        """Nominal nutation frequency γ/2π · B1 [Hz]."""
        return GYROMAGNETIC_RATIO * self.b1_nominal


def wasabi_signal(
    off_resonance: NDArray[np.floating],
    b1: NDArray[np.floating],
    *,
    c: NDArray[np.floating] | float = 1.0,
    d: NDArray[np.floating] | float = 2.0,
    protocol: WasabiProtocol,
) -> NDArray[np.float64]:
    """Return Z at every offset.

    Parameters
    ----------
    off_resonance
        Shift of water from its nominal frequency [Hz], shape (...).
    b1
        Actual over nominal B1, shape (...).
    c, d
        Level and depth of the modulation, shape (...).
    protocol
        The acquisition, of N offsets.

    Returns
    -------
    NDArray
        Z, shape (..., N).

    Examples
    --------
    >>> protocol = WasabiProtocol(offsets=(-200.0, -100.0, 0.0, 100.0, 200.0))
    >>> z = wasabi_signal(np.array(0.0), np.array(1.0), protocol=protocol)
    >>> bool(abs(z[2] - abs(np.cos(2.0 * np.pi * protocol.nutation_frequency * 5e-3))) < 1e-12)
    True
    """
    nutation = np.square(np.asarray(b1, dtype=np.float64)[..., None] * protocol.nutation_frequency)
    detuning = np.asarray(protocol.offsets) - np.asarray(off_resonance, dtype=np.float64)[..., None]
    total = nutation + np.square(detuning)
    fringe = nutation / total * np.square(np.sin(math.pi * protocol.pulse_duration * np.sqrt(total)))
    return np.abs(np.asarray(c)[..., None] - np.asarray(d)[..., None] * fringe)
