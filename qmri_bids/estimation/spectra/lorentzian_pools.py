"""Pools of the Lorentzian fit, with starts and bounds, and tables of the bounds by field strength.

Imports nothing heavy: the command line offers their names.

Widths are those of full lines at half maximum at the low powers (0.5 to 1 µT) of multi-pool protocols. The width of the line of
a solute in hertz (exchange, T2, power) hardly depends on the field, so that it is narrower in ppm the higher the field; the
relayed NOE at -3.5 ppm is a band of many lines and stays as wide in ppm.

Sources: five pools at free positions within bounds are those of Windschuh et al., NMR Biomed 28:529 (2015), and Zaiss et al.,
NeuroImage 112:180 (2015), at 7 T, and of Deshmane et al., Magn Reson Med 81:2412 (2019), at 3 T; the public BrukerCEST pipeline
lets amide be 0.2 to 5 ppm wide, amine 0.2 to 3.5 and NOE 1 to 4.5. The tables are no copy of any of these: lower ends are what
the Bloch-McConnell equations give for published rates and T2 of solutes at each field, upper ends keep a solute from taking the
place of its neighbours; those of 9.4 T are those of 7 T, the widths of solutes and water over the ratio of the fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qmri_bids.physics.pools import Lineshape
from qmri_bids.units import ppm_to_hertz

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

FIELDS = (3.0, 7.0, 9.4)
"""Field strengths of the tables [T]."""

WIDTHS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "water": ((0.4, 6.0), (0.2, 4.0), (0.15, 3.0)),
    "amide": ((0.4, 3.0), (0.2, 2.0), (0.15, 1.6)),
    "amine": ((0.4, 3.5), (0.2, 3.0), (0.15, 2.5)),
    "NOE": ((1.0, 4.5), (1.0, 4.5), (1.0, 4.5)),
}
"""Smallest and largest width [ppm] at each field."""

POSITIONS: Mapping[str, tuple[float, float]] = {
    "water": (0.0, 0.3),
    "MT": (-2.4, 1.0),
    "amide": (3.5, 0.2),
    "amine": (2.0, 0.3),
    "NOE": (-3.5, 0.4),
}
"""Centre and how far from it a position may lie [ppm]."""

HEIGHTS: Mapping[str, tuple[float, float]] = {
    "water": (0.02, 1.5),
    "MT": (0.0, 1.0),
    "amide": (0.0, 0.4),
    "amine": (0.0, 0.4),
    "NOE": (0.0, 0.4),
}
"""Smallest and largest height. With MT on top the flat bottom of a saturated dip is best described by a line of water above 1."""

LORENTZIAN_MT = (10.0, 150.0)
"""Width of a Lorentzian line of MT [ppm]: it describes what was sampled of a line of another shape."""

SEMISOLID_T2 = (6e-6, 17e-6)
"""T2 of a semisolid pool with the super-Lorentzian line [s], that of saturation broadening included."""

SUPER_LORENTZIAN_WIDTH = 0.053932
"""Full width at half maximum of that line times T2, the line continued inside 1 kHz · 10 µs/T2 (`lines.half_width`)."""


def field_pools(field_strength: float, *, mt_line: Lineshape) -> Mapping[str, LorentzianPool]:
    """Return the pools of the fit at a field [T], with the line that MT has.

    Starts are the middle of the bounds, that of widths and of heights in their logarithm where they span decades.

    Examples
    --------
    >>> [round(each, 2) for each in vars(field_pools(5.0, mt_line=Lineshape.LORENTZIAN)["amide"].width).values()]
    [0.87, 0.3, 2.5]
    """
    pools = {}
    for name, pool in POOLS.items():
        low, high = _mt_widths(field_strength, mt_line) if name == "MT" else _widths(name, field_strength)
        centre, reach = POSITIONS[name]
        pools[name] = replace(
            pool,
            amplitude=Bounded(start=pool.amplitude.start, lower=HEIGHTS[name][0], upper=HEIGHTS[name][1]),
            width=Bounded(start=math.sqrt(low * high), lower=low, upper=high),
            position=Bounded(start=centre, lower=centre - reach, upper=centre + reach),
            line=mt_line if name == "MT" else Lineshape.LORENTZIAN,
        )
    return pools


def _widths(name: str, field_strength: float) -> tuple[float, float]:
    rows = WIDTHS[name]
    if field_strength <= FIELDS[0]:
        return rows[0]
    for place, upper in enumerate(FIELDS[1:], start=1):
        if field_strength <= upper:
            share = (field_strength - FIELDS[place - 1]) / (upper - FIELDS[place - 1])
            low, high = ((1.0 - share) * rows[place - 1][k] + share * rows[place][k] for k in (0, 1))
            return low, high
    return rows[-1]


def _mt_widths(field_strength: float, line: Lineshape) -> tuple[float, float]:
    if line is Lineshape.LORENTZIAN:
        return LORENTZIAN_MT
    short, long = SEMISOLID_T2
    hertz = ppm_to_hertz(1.0, field_strength=field_strength)
    return SUPER_LORENTZIAN_WIDTH / long / hertz, SUPER_LORENTZIAN_WIDTH / short / hertz


def field_sentence(field_strength: float) -> str:
    """Return from which table the bounds are, as a sentence."""
    for field in FIELDS:
        if math.isclose(field_strength, field, rel_tol=0.05):
            return f"Bounds of widths are those of the table for {field:g} T."
    if FIELDS[0] < field_strength < FIELDS[-1]:
        tables = ", ".join(f"{field:g}" for field in FIELDS)
        return f"Bounds of widths at {field_strength:g} T were interpolated between the tables for {tables} T."
    nearest = FIELDS[0] if field_strength < FIELDS[0] else FIELDS[-1]
    return f"There is no table of widths for {field_strength:g} T: the bounds are those for {nearest:g} T."
