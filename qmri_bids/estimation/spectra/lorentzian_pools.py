"""Pools of the Lorentzian fit, with starts and bounds. Imports nothing heavy: the command line offers their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmri_bids.physics.pools import Lineshape

PARAMETERS = ("amplitude", "width", "position")
"""Parameters of a pool, in their order in a fit."""


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """Start and bounds of a parameter; equal bounds fix it.

    Parameters
    ----------
    start, lower, upper
        Start, lower and upper bound in the unit of the parameter.

    Raises
    ------
    ValueError
        Unless lower ≤ start ≤ upper, all finite.
    """

    start: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (self.lower <= self.start <= self.upper and math.isfinite(self.upper - self.lower)):
            raise ValueError(f"a start must lie within its bounds, found {self.start} for [{self.lower}, {self.upper}]")


@dataclass(frozen=True, kw_only=True)
class LorentzianPool:
    """A pool of the fit.

    Parameters
    ----------
    amplitude
        Saturation at the centre of its line.
    width
        Full width at half maximum [ppm].
    position
        Centre [ppm].
    line
        Lorentzian, or the super-Lorentzian of a semisolid pool.

    Raises
    ------
    ValueError
        If a width of zero or less is within the bounds, or the line is another.
    """

    amplitude: Bounded
    width: Bounded
    position: Bounded
    line: Lineshape = Lineshape.LORENTZIAN

    def __post_init__(self) -> None:
        if self.line not in (Lineshape.LORENTZIAN, Lineshape.SUPER_LORENTZIAN):
            raise ValueError(f"a pool of the fit has a Lorentzian or super-Lorentzian line, found {self.line!r}")
        if not self.width.lower > 0.0:
            raise ValueError(f"the lower bound of a width must be positive, found {self.width.lower} ppm")


def _pool(amplitude: Sequence[float], width: Sequence[float], position: Sequence[float]) -> LorentzianPool:
    rows = (Bounded(start=row[0], lower=row[1], upper=row[2]) for row in (amplitude, width, position))
    return LorentzianPool(**dict(zip(PARAMETERS, rows, strict=True)))  # type: ignore[arg-type]


POOLS: Mapping[str, LorentzianPool] = {
    "water": _pool((0.9, 0.02, 1.0), (1.4, 0.3, 10.0), (0.0, -1.0, 1.0)),
    "MT": _pool((0.1, 0.0, 1.0), (40.0, 10.0, 150.0), (-2.5, -2.5, -2.5)),
    "amide": _pool((0.025, 0.0, 0.5), (2.0, 0.4, 10.0), (3.5, 3.5, 3.5)),
    "NOE": _pool((0.05, 0.0, 0.5), (4.0, 1.0, 12.5), (-3.5, -3.5, -3.5)),
    "amine": _pool((0.01, 0.0, 0.5), (1.0, 0.4, 10.0), (2.0, 2.0, 2.0)),
}
"""Pools of the brain at 3 T at low power: (start, lower, upper) of amplitude, width [ppm] and position [ppm].

Positions of the solute and MT pools are fixed and their widths wide, as in the public code of Huang et al., Magn Reson Med 87:1529
(2022): five pools at 3 T at 3.5, -3.5, -2.5 and 2 ppm. Start and bounds of water are those of the public BrukerCEST pipeline.
Amplitudes may be larger than in either. The narrow start of amine matters: from a wide one, one voxel in a thousand ends in a
local optimum with a wide line of amine and a narrow one of amide.
"""
