"""Ways to take MT saturation to nominal B1. Imports nothing heavy: the command line offers their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qmri_bids.sentence import Sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_MTSAT_CORRECTION = "helms"

MTSAT_CORRECTIONS: Mapping[str, Callable[[NDArray], NDArray]] = {
    "none": lambda b1: b1**0.0,
    "square": lambda b1: 1.0 / b1**2,
    "helms": lambda b1: (1.0 - 0.4) / (b1**2 * (1.0 - 0.4 * b1)),
    "helms-7T": lambda b1: (1.0 - 0.34) / (b1**2 * (1.0 - 0.34 * b1)),
    "linear": lambda b1: 1.0 / (1.0 + 1.2 * (b1 - 1.0)),
}
"""Factors that take the saturation which the MT pulse had to that of its nominal B1, as functions of actual over nominal B1.

"none": the saturation as it was. "square": power of the pulse. "helms": with the fall from the square law that Helms et al. found
at 3 T (arXiv:2104.14878, 2021); saturation computed with nominal flip angles already holds 1/B1², which is why the usual form of
the factor, (1 - 0.4)/(1 - 0.4 B1), lacks it. "helms-7T": the constant of Olsson et al., Magn Reson Med 2021 (doi
10.1002/mrm.28899). "linear": Lipp et al., Magn Reson Med 2023 (doi 10.1002/mrm.29524), for their strong pulse at 7 T. All but
"none" and "square" belong to the pulse that they were calibrated with.
"""

CORRECTION_SENTENCES: Mapping[str, Sentence] = {
    "none": Sentence(
        paragraph="mt", text="This correction is none: MT saturation is that of the B1 which the MT pulse had."
    ),
    "square": Sentence(
        paragraph="mt",
        text="This correction divides MT saturation by the square of B1, the power of the MT pulse.",
    ),
    "helms": Sentence(
        paragraph="mt", text="This correction is the one calibrated in the human brain at 3 T [helms2021]."
    ),
    "helms-7T": Sentence(
        paragraph="mt", text="This correction is the one calibrated in the human brain at 7 T [olsson2021]."
    ),
    "linear": Sentence(
        paragraph="mt",
        text="This correction is linear in B1, calibrated for a strong MT pulse at 7 T [lipp2023].",
    ),
}
"""What the methods text says of each."""
