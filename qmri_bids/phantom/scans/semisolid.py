"""The semisolid pool of a head as all its scans meet it: bSSFP and those with saturation share fraction, rate, R1 and line.

The head's T1 is what an inversion recovery finds; free water has the T1 that goes with it and the pools.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.pools import EXCHANGE, Exchange, pool_model
from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.phantom.signals.bloch.sequence import TwoPools
from qmri_bids.phantom.signals.spline_table import RELAXATION_SPREAD
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape, MtForm, MtPool, PoolModel
from qmri_bids.units import microseconds_to_seconds, seconds_to_microseconds

DEFAULT_T2: Mapping[Lineshape, float] = {
    Lineshape.LORENTZIAN: 40e-6,
    Lineshape.SUPER_LORENTZIAN: 10e-6,
    Lineshape.GAUSSIAN: 10e-6,
}
"""T2 of the pool [s] where none is given: that of published fingerprinting for the Lorentzian line; for the super-Lorentzian one a
round value after Stanisz et al., MRM 54:507 (2005); for the Gaussian one the same."""
LINE_NAMES: Mapping[Lineshape, str] = {
    Lineshape.LORENTZIAN: "Lorentzian",
    Lineshape.SUPER_LORENTZIAN: "super-Lorentzian",
    Lineshape.GAUSSIAN: "Gaussian",
}
"""Lines in texts."""
DEFAULT_R1 = 1.0
"""R1 of the pool [1/s] where none is given."""
WATER = "water"
"""What is asked for instead of a number where R1 of the pool is that of free water."""


@dataclass(frozen=True, kw_only=True)
class Semisolid:
    """What the semisolid pools of a head have in common; fraction and rate are those of `heads.pools.EXCHANGE`.

    Parameters
    ----------
    r1
        R1 of the pool [1/s]; None for that of free water, point by point.
    line
        Its absorption line. The Lorentzian one has x, y and z in scans with saturation, as in published fingerprinting; the others
        have z alone there. In bSSFP each is its value on resonance.
    t2
        T2 of the pool [s].

    Raises
    ------
    ValueError
        If a number has no meaning, or water cannot look to an inversion recovery as the tissues do.

    Examples
    --------
    >>> round(1e6 * Semisolid().on_resonance, 2)
    12.73
    """

    r1: float | None = DEFAULT_R1
    line: Lineshape = Lineshape.LORENTZIAN
    t2: float = DEFAULT_T2[Lineshape.LORENTZIAN]

    def __post_init__(self) -> None:
        if not 1e-6 <= self.t2 <= 1e-3:
            raise ValueError(
                f"T2 of the semisolid pool must lie in [1, 1000] µs, found {seconds_to_microseconds(self.t2):g} µs"
            )
        if self.r1 is not None and not 0.0 < self.r1 < math.inf:
            raise ValueError(f"R1 of the semisolid pool must be above 0 1/s, found {self.r1:g}")
        for label in EXCHANGE:
            if self.pool(label) is None:
                continue
            observed = TISSUES[Label(label)].t1 * np.array([1.0 - RELAXATION_SPREAD, 1.0 + RELAXATION_SPREAD])
            if not np.all(self.free_t1(label, observed) > 0.0):
                raise ValueError(
                    f"R1 of the semisolid pool must be so low that an inversion recovery can find T1 of the head (up to "
                    f"{observed[1]:.2f} s in {Label(label).name}), found {self.r1:g} 1/s; give a lower one"
                )

    @classmethod
    def named(cls, *, line: str | None = None, t2: float | None = None, r1: str | None = None) -> Semisolid:
        """Return what words and numbers of a command line ask for.

        Parameters
        ----------
        line
            A value of `physics.pools.Lineshape`; None for the Lorentzian one.
        t2
            T2 in MICROSECONDS; None for that of `DEFAULT_T2`.
        r1
            R1 [1/s] as a number, or `water` for that of free water; None for `DEFAULT_R1`.

        Raises
        ------
        ValueError
            If they ask for nothing that there is.
        """
        if line is not None and line not in tuple(Lineshape):
            raise ValueError(f"the line of the semisolid pool must be one of {', '.join(Lineshape)}, found {line!r}")
        shape = Lineshape.LORENTZIAN if line is None else Lineshape(line)
        rate: float | None = DEFAULT_R1
        if r1 == WATER:
            rate = None
        elif r1 is not None:
            try:
                rate = float(r1)
            except ValueError:
                raise ValueError(
                    f"R1 of the semisolid pool must be a number of 1/s or '{WATER}', found {r1!r}"
                ) from None
        return cls(r1=rate, line=shape, t2=DEFAULT_T2[shape] if t2 is None else microseconds_to_seconds(t2))

    @property
    def on_resonance(self) -> float:
        """G(0), the line on resonance [s]."""
        line, _ = absorption(self.line, np.zeros(1), t2=self.t2)
        return float(line[0])

    def pool(self, label: int) -> MtPool | None:
        """Return the pool as scans with saturation meet it; None in a tissue without."""
        known = EXCHANGE.get(label, Exchange()).mt
        if known is None:
            return None
        full = self.line is Lineshape.LORENTZIAN
        return replace(
            known,
            t2=self.t2,
            t1=None if self.r1 is None else 1.0 / self.r1,
            form=MtForm.FULL if full else MtForm.Z_ONLY,
            lineshape=None if full else self.line,
        )

    def two_pools(self, label: int) -> TwoPools | None:
        """Return the pool as bSSFP meets it; None in a tissue without."""
        pool = self.pool(label)
        if pool is None:
            return None
        return TwoPools(
            fraction=pool.fraction, exchange_rate=pool.fraction * pool.rate, r1=self.r1, line=self.on_resonance
        )

    def free_t1(self, label: int, observed: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return T1 of free water [s] where an inversion recovery finds `observed` [s], any shape."""
        pools = self.two_pools(label)
        return np.asarray(observed, dtype=np.float64) if pools is None else pools.free_t1(observed)

    @property
    def said(self) -> str:
        """R1, line and pools in one sentence, for the README."""
        rate = "R1 that of free water" if self.r1 is None else f"R1 {self.r1:g} 1/s"
        held = ", ".join(
            f"{Label(label).name} {pool.fraction:g} and {pool.rate:g} 1/s"
            for label in EXCHANGE
            if (pool := self.pool(label)) is not None
        )
        return (
            f"{rate}, {LINE_NAMES[self.line]} line of T2 {seconds_to_microseconds(self.t2):g} µs, on resonance G(0) "
            f"{seconds_to_microseconds(self.on_resonance):.1f} µs; fraction and rate to water: {held}"
        )


def model_of(label: int, tissue: Tissue, *, semisolid: Semisolid | None, every_pool: bool) -> PoolModel:
    """Return the pools of a tissue as scans with saturation meet them.

    Parameters
    ----------
    label, tissue
        The tissue; its T1 is what an inversion recovery finds.
    semisolid
        The semisolid pools of the head; None for those of `heads.pools.EXCHANGE` as they are, with the tissue's T1 in all pools.
    every_pool
        Whether amine and NOE are among the pools.
    """
    model = pool_model(label, every_pool=every_pool, tissue=tissue)
    if semisolid is None or model.mt is None:
        return model
    free = float(semisolid.free_t1(label, np.array(tissue.t1)))
    return replace(model, water=replace(model.water, t1=free), mt=semisolid.pool(label))
