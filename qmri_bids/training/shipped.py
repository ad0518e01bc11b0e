"""The networks that ship with the package; `qmri-tools train --shipped` trains them all again."""

from __future__ import annotations

import math

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.missing import spec_for
from qmri_bids.training.simulation import TrainingSpec


def paper_protocol(number_of_cycles: int) -> BssfpProtocol:
    """Return the acquisition of Birk et al. 2025 with N cycles."""
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=number_of_cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


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
