"""Pool fractions and exchange rates against their bars: the bound, bias, coverage, whole brains, the digital brain end to end.

    python benchmarks/cest_quantification.py [--only PART ...]

Every part prints its rows and saves them in `results/cest_quantification.json`. The scan is published fingerprinting at 3 T, both
stages of 31 images, the readout scaled by B1 as a scanner plays it; noise is 1 % of M0 unless a row says otherwise. Errors are
means of |estimate/truth - 1| of single noise draws, clipped into the box of the prior.
"""

from __future__ import annotations

from collections.abc import Callable

import exchange_accuracy as accuracy
import exchange_brain as brain
from rows import Row, run_parts

PARTS: dict[str, Callable[[], list[Row]]] = {
    "noise-free": accuracy.noise_free,
    "bound": accuracy.bound,
    "errors": accuracy.errors,
    "coverage": accuracy.coverage_of_intervals,
    "tissue-bias": accuracy.tissue_bias,
    "train-by-fit": brain.train_by_fit,
    "brain": brain.whole_brain,
    "digital-brain": brain.digital_brain,
    "weights": brain.weights,
}


if __name__ == "__main__":
    run_parts("cest_quantification", PARTS, description=__doc__.splitlines()[0])
