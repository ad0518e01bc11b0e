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
from dataclasses import dataclass
from itertools import pairwise

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
    semisolid
        Whether it is the broad line below all others, and no solute.

    Raises
    ------
    ValueError
        If a width of zero or less is within the bounds, or the line is another.
    """

    amplitude: Bounded
    width: Bounded
    position: Bounded
    line: Lineshape = Lineshape.LORENTZIAN
    semisolid: bool = False

    def __post_init__(self) -> None:
        if self.line not in (Lineshape.LORENTZIAN, Lineshape.SUPER_LORENTZIAN):
            raise ValueError(f"a pool of the fit has a Lorentzian or super-Lorentzian line, found {self.line!r}")
        if not self.width.lower > 0.0:
            raise ValueError(f"the lower bound of a width must be positive, found {self.width.lower} ppm")


def _pool(
    amplitude: Sequence[float], width: Sequence[float], position: Sequence[float], *, semisolid: bool = False
) -> LorentzianPool:
    rows = (Bounded(start=row[0], lower=row[1], upper=row[2]) for row in (amplitude, width, position))
    return LorentzianPool(**dict(zip(PARAMETERS, rows, strict=True)), semisolid=semisolid)  # type: ignore[arg-type]


POOLS: Mapping[str, LorentzianPool] = {
    "water": _pool((0.9, 0.02, 1.0), (1.4, 0.3, 10.0), (0.0, -1.0, 1.0)),
    "MT": _pool((0.1, 0.0, 1.0), (40.0, 10.0, 150.0), (-2.5, -2.5, -2.5), semisolid=True),
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


Range = tuple[float, float]
"""Smallest and largest value."""

WATER = "water"
"""The pool whose line all others stand on."""


@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """A pool of a set of lines, at any field.

    Parameters
    ----------
    position, within
        Centre and how far from it the line may lie [ppm].
    heights, start
        Smallest and largest height, and that from which fits begin.
    widths
        Smallest and largest width of a Lorentzian line [ppm], the same at all fields or by field [T]; None where the line is
        super-Lorentzian.
    t2
        Shortest and longest T2 of a super-Lorentzian line [s]; None where the line is Lorentzian. A pool with both has the line
        that the mean spectrum of the image tells.
    semisolid
        Whether it is the broad line below all others, and no solute.
    """

    position: float
    within: float
    heights: Range
    start: float
    widths: Range | Mapping[float, Range] | None
    t2: Range | None = None
    semisolid: bool = False

    @property
    def fields(self) -> tuple[float, ...]:
        """Fields for which widths are stated [T]; empty where they are the same at all."""
        return tuple(sorted(self.widths)) if isinstance(self.widths, Mapping) else ()

    @property
    def free(self) -> int:
        """Number of its free parameters."""
        ranges = (self.widths,) if isinstance(self.widths, tuple) else tuple((self.widths or {}).values())
        moving = (self.heights[1] > self.heights[0], self.within > 0.0, any(low < high for low, high in ranges))
        return sum(moving[:2]) + (self.t2 is not None or moving[2])

    def pool(self, field_strength: float, *, mt_line: Lineshape) -> LorentzianPool:
        """Return the pool at a field [T], with this line where it may have either."""
        broad = self.t2 is not None and (self.widths is None or mt_line is Lineshape.SUPER_LORENTZIAN)
        low, high = _widths_of_t2(self.t2, field_strength) if broad and self.t2 else self._widths(field_strength)
        return LorentzianPool(
            amplitude=Bounded(start=self.start, lower=self.heights[0], upper=self.heights[1]),
            width=Bounded(start=min(max(math.sqrt(low * high), low), high), lower=low, upper=high),
            position=Bounded(start=self.position, lower=self.position - self.within, upper=self.position + self.within),
            line=Lineshape.SUPER_LORENTZIAN if broad else Lineshape.LORENTZIAN,
            semisolid=self.semisolid,
        )

    def _widths(self, field_strength: float) -> Range:
        if isinstance(self.widths, tuple):
            return self.widths
        assert self.widths is not None
        fields = self.fields
        if field_strength <= fields[0]:
            return self.widths[fields[0]]
        for below, above in pairwise(fields):
            if field_strength <= above:
                share = (field_strength - below) / (above - below)
                low, high = ((1.0 - share) * self.widths[below][k] + share * self.widths[above][k] for k in (0, 1))
                return low, high
        return self.widths[fields[-1]]


@dataclass(frozen=True, kw_only=True)
class LineModel:
    """A set of lines: which pools a fit may have and within which bounds.

    Parameters
    ----------
    rows
        Pools by name, water among them.
    origin
        The file that states them; empty for those of the package.
    """

    rows: Mapping[str, PoolRow]
    origin: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pools."""
        return tuple(self.rows)

    @property
    def semisolid(self) -> tuple[str, ...]:
        """The pool that is the broad line below all others, if there is one."""
        return tuple(name for name, row in self.rows.items() if row.semisolid)

    def free_parameters(self, pools: Sequence[str]) -> int:
        """Return the number of free parameters of a fit of these pools."""
        return sum(self.rows[name].free for name in pools)


SHIPPED_LINES = LineModel(
    rows={
        name: PoolRow(
            position=POSITIONS[name][0],
            within=POSITIONS[name][1],
            heights=HEIGHTS[name],
            start=pool.amplitude.start,
            widths=dict(zip(FIELDS, WIDTHS[name], strict=True)) if name in WIDTHS else LORENTZIAN_MT,
            t2=None if name in WIDTHS else SEMISOLID_T2,
            semisolid=pool.semisolid,
        )
        for name, pool in POOLS.items()
    }
)
"""The lines that are fitted where none are stated."""


def field_pools(
    field_strength: float, *, mt_line: Lineshape, model: LineModel = SHIPPED_LINES
) -> Mapping[str, LorentzianPool]:
    """Return the pools of the fit at a field [T], with the line that MT has.

    Starts are the middle of the bounds, that of widths in their logarithm.

    Examples
    --------
    >>> [round(each, 2) for each in vars(field_pools(5.0, mt_line=Lineshape.LORENTZIAN)["amide"].width).values()]
    [0.87, 0.3, 2.5]
    """
    return {name: row.pool(field_strength, mt_line=mt_line) for name, row in model.rows.items()}


def _widths_of_t2(t2: Range, field_strength: float) -> Range:
    hertz = ppm_to_hertz(1.0, field_strength=field_strength)
    return SUPER_LORENTZIAN_WIDTH / t2[1] / hertz, SUPER_LORENTZIAN_WIDTH / t2[0] / hertz


def field_sentence(field_strength: float, *, model: LineModel = SHIPPED_LINES) -> str:
    """Return from which table the bounds are, as a sentence."""
    where = f" of {model.origin}" if model.origin else ""
    fields = sorted({field for row in model.rows.values() for field in row.fields})
    if not fields:
        return f"Bounds of widths are those{where or ' of the table'}, the same at all fields."
    for field in fields:
        if math.isclose(field_strength, field, rel_tol=0.05):
            return f"Bounds of widths are those of the table for {field:g} T{where}."
    if fields[0] < field_strength < fields[-1]:
        tables = ", ".join(f"{field:g}" for field in fields)
        return f"Bounds of widths at {field_strength:g} T were interpolated between the tables for {tables} T{where}."
    nearest = fields[0] if field_strength < fields[0] else fields[-1]
    return f"There is no table of widths for {field_strength:g} T{where}: the bounds are those for {nearest:g} T."
