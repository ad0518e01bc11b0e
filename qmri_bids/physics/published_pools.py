"""The pools of published semisolid and amide fingerprinting (Finkelstein et al., Commun Phys 8:164, 2025)."""

from __future__ import annotations

from qmri_bids.physics.pools import CestPool, MtForm, MtPool, PoolModel, Water

AMIDE = "amide"
MT = "MT"

PUBLISHED_POOLS = PoolModel(
    water=Water(t1=1.0, t2=0.07),
    cest=(CestPool(name=AMIDE, fraction=2e-3, rate=250.0, shift=3.5, t2=40e-3),),
    mt=MtPool(name=MT, fraction=0.09, rate=35.0, shift=-2.5, t2=40e-6, form=MtForm.FULL),
)
"""Shifts, T2 and form are those of the paper. Relaxation of water, fractions and rates stand for maps and estimates; what is not
estimated keeps them: rounded means of grey and white matter (Heo et al., NeuroImage 189:202, 2019)."""
