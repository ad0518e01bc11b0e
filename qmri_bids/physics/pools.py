"""Pools of exchanging magnetisation: water, solutes seen by CEST, and the semisolid pool of magnetisation transfer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

PROTONS_OF_WATER = 111e3
"""Concentration of protons in water [mmol/L]: two in each of 55.5 mol of molecules (1 kg over 18.015 g/mol). Of a litre at 20 °C
it is 110.8e3, at 37 °C 110.3e3."""


class MtForm(StrEnum):
    """How the semisolid pool is described; the two differ by up to 30 % in fraction and 50 % in rate, and are never exchanged."""

    FULL = "full"
    """x, y and z with T2: a Lorentzian line that precesses and is tipped like a liquid."""
    Z_ONLY = "z-only"
    """z alone, saturated at the rate π ω1² g(Δω) of its lineshape."""


class Lineshape(StrEnum):
    """Absorption line g of a z-only semisolid pool (`physics.lineshapes`)."""

    SUPER_LORENTZIAN = "super-lorentzian"
    LORENTZIAN = "lorentzian"
    GAUSSIAN = "gaussian"


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{owner}: {name} must be positive and finite, found {value}")


def _not_negative(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"{owner}: {name} must be finite and not negative, found {value}")


@dataclass(frozen=True, kw_only=True)
class Water:
    """The observed pool; its equilibrium magnetisation is 1 and its shift 0 by definition.

    Parameters
    ----------
    t1, t2
        Relaxation times [s].

    Raises
    ------
    ValueError
        If a time is not positive.
    """

    t1: float
    t2: float

    def __post_init__(self) -> None:
        _positive("water", t1=self.t1, t2=self.t2)


@dataclass(frozen=True, kw_only=True)
class CestPool:
    """A pool of labile protons in exchange with water.

    Parameters
    ----------
    name
        What the pool is called in maps of parameters, such as "amide".
    fraction
        Equilibrium magnetisation relative to water.
    rate
        Exchange rate from the pool to water [1/s]; from water to the pool it is fraction times rate.
    shift
        Chemical shift from water [ppm], positive downfield.
    t2
        Transverse relaxation time [s].
    t1
        Longitudinal relaxation time [s]; None: that of water, voxel by voxel.

    Raises
    ------
    ValueError
        If a value has no physical meaning.
    """

    name: str
    fraction: float
    rate: float
    shift: float
    t2: float
    t1: float | None = None

    def __post_init__(self) -> None:
        owner = f"pool '{self.name}'"
        _positive(owner, t2=self.t2)
        _not_negative(owner, fraction=self.fraction, rate=self.rate)
        if self.t1 is not None:
            _positive(owner, t1=self.t1)
        if not math.isfinite(self.shift):
            raise ValueError(f"{owner}: shift must be finite [ppm], found {self.shift}")


@dataclass(frozen=True, kw_only=True)
class MtPool(CestPool):
    """The semisolid pool; its form is a choice that has no default.

    Parameters
    ----------
    form
        Full x, y, z with a Lorentzian line, or z alone with the absorption rate of a lineshape.
    lineshape
        Lineshape of the z-only form; None for the full form, whose line follows from T2.

    Raises
    ------
    ValueError
        If form and lineshape do not fit, or a value has no physical meaning.
    """

    form: MtForm
    lineshape: Lineshape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.form is MtForm.Z_ONLY) != (self.lineshape is not None):
            raise ValueError(
                f"pool '{self.name}': a lineshape is needed for form '{MtForm.Z_ONLY}' and only there, "
                f"found form '{self.form}' with lineshape {self.lineshape}"
            )


LARGEST_SHIFT = 20.0
"""Of a pool [ppm]; hertz are larger."""

LONGEST_T2 = {MtPool: 1e-3, CestPool: 1.0}
"""Of a semisolid pool and of any other [s]; milliseconds and microseconds are larger numbers."""


@dataclass(frozen=True, kw_only=True)
class PoolModel:
    """Water with any number of CEST pools and at most one semisolid pool.

    Parameters
    ----------
    water
        The observed pool.
    cest
        Pools of labile protons, in any order.
    mt
        The semisolid pool.

    Raises
    ------
    ValueError
        If two pools share a name.

    Examples
    --------
    >>> model = PoolModel(
    ...     water=Water(t1=1.0, t2=0.04),
    ...     cest=(CestPool(name="amide", fraction=1e-3, rate=50.0, shift=3.5, t2=0.04),),
    ... )
    >>> model.names, model.number_of_states
    (('amide',), 6)
    """

    water: Water
    cest: tuple[CestPool, ...] = ()
    mt: MtPool | None = None

    def __post_init__(self) -> None:
        shared = [name for name, times in Counter(self.names).items() if times > 1]
        if shared:
            raise ValueError(f"pools need names of their own, found {', '.join(map(repr, shared))} more than once")

    @property
    def exchanging(self) -> tuple[CestPool, ...]:
        """The pools in exchange with water, the semisolid pool last."""
        return self.cest if self.mt is None else (*self.cest, self.mt)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the exchanging pools."""
        return tuple(pool.name for pool in self.exchanging)

    @property
    def number_of_pools(self) -> int:
        """Number of pools, with water."""
        return 1 + len(self.exchanging)

    @property
    def number_of_rotating_pools(self) -> int:
        """Number of pools with transverse magnetisation, with water."""
        return self.number_of_pools - (self.mt is not None and self.mt.form is MtForm.Z_ONLY)

    @property
    def number_of_liquid_pools(self) -> int:
        """Number of pools other than the semisolid one, with water."""
        return 1 + len(self.cest)

    @property
    def number_of_states(self) -> int:
        """Number of components of the magnetisation."""
        return 2 * self.number_of_rotating_pools + self.number_of_pools
