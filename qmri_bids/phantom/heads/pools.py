"""What exchanges with the water of each tissue: fractions and rates at 3 T from the literature.

Every fraction is the equilibrium magnetisation of the pool over that of water (M0 of water = 1), for amide as for the semisolid
pool: an amide fraction of 0.19 % is 1.9e-3 here, not millimolar and not a share of all protons. Rates lead from the pool to water.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.physics.pools import CestPool, MtForm, MtPool, PoolModel, Water


def _semisolid(fraction: float, rate: float) -> MtPool:
    return MtPool(name="MT", fraction=fraction, rate=rate, shift=-2.5, t2=40e-6, form=MtForm.FULL)


def _amide(fraction: float, rate: float) -> CestPool:
    return CestPool(name="amide", fraction=fraction, rate=rate, shift=3.5, t2=40e-3)


_AMINE = CestPool(name="amine", fraction=1.0e-3, rate=1000.0, shift=2.0, t2=40e-3)
_NOE = CestPool(name="NOE", fraction=4.5e-3, rate=20.0, shift=-3.5, t2=5e-3)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What exchanges with the water of a tissue.

    Parameters
    ----------
    mt
        The semisolid pool, with x, y and z and a Lorentzian line as in published fingerprinting (T2 40 µs, -2.5 ppm).
        `scans.semisolid` gives it the R1, line and T2 that all scans of full physics share.
    amide
        The amide pool at +3.5 ppm.
    others
        Pools that a fingerprint of three pools leaves out: amine at +2 ppm and NOE at -3.5 ppm.
    """

    mt: MtPool | None = None
    amide: CestPool | None = None
    others: tuple[CestPool, ...] = ()


EXCHANGE: Mapping[int, Exchange] = {
    Label.GM: Exchange(mt=_semisolid(0.063, 40.0), amide=_amide(2.4e-3, 365.0), others=(_AMINE, _NOE)),
    Label.WM: Exchange(mt=_semisolid(0.112, 29.0), amide=_amide(1.9e-3, 162.0), others=(_AMINE, _NOE)),
    Label.CSF: Exchange(),
    Label.FAT: Exchange(),
    Label.MUSCLE: Exchange(mt=_semisolid(0.07, 40.0)),
    Label.MARROW: Exchange(),
    Label.VITREOUS: Exchange(),
}
"""Semisolid and amide pools of grey and white matter: Heo et al., NeuroImage 189:202 (2019). Amine and NOE: round values after the
white matter of the BMsim challenge (guanidine 9e-4, 1000 1/s; NOE 4.5e-3, 20 1/s, T2 5 ms). Muscle: round values beside grey
matter (Stanisz et al., MRM 54:507, 2005: 7.4 %, 66 1/s). Fat and marrow are water at their chemical shift, without exchange."""


def pool_model(label: int, *, every_pool: bool, tissue: Tissue | None = None) -> PoolModel:
    """Return the pools of a tissue with the relaxation times of its water.

    Parameters
    ----------
    label
        The tissue.
    every_pool
        Whether amine and NOE are among the pools; else water, amide and the semisolid pool alone.
    tissue
        Its relaxation times; by default those of `tissues.TISSUES`. Where no exchange is known there is none.
    """
    exchange = EXCHANGE.get(label, Exchange())
    tissue = TISSUES[Label(label)] if tissue is None else tissue
    liquids = () if exchange.amide is None else (exchange.amide,)
    return PoolModel(
        water=Water(t1=tissue.t1, t2=tissue.t2),
        cest=(*liquids, *exchange.others) if every_pool else liquids,
        mt=exchange.mt,
    )
