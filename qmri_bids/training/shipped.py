"""The networks that ship with the package; `qmri-tools train --shipped` trains them all again."""

from __future__ import annotations

from qmri_bids.training.missing import spec_for
from qmri_bids.training.simulation import TrainingSpec, paper_protocol

_SHIPPED = {
    "pinn-complex-uniform": (12, 6, 4),
    "svnn-complex-uniform": (12, 6, 4),
    "pinn-magnitude-uniform": (12, 6, 4),
    "svnn-magnitude-uniform": (12, 6, 4),
    "pinn-complex-uniform-extended": (12, 6, 4),
    "svnn-complex-uniform-extended": (12, 6, 4),
    "pinn-complex-in-vivo": (12,),
}

SHIPPED: tuple[TrainingSpec, ...] = tuple(
    spec_for(paper_protocol(number), estimator) for estimator, numbers in _SHIPPED.items() for number in numbers
)
"""Their specifications, in the order of training."""
