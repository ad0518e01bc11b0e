"""Preprocessing against its bars: motion, Gibbs ringing, B1 and B0 fields, masks, tissues and registration.

    python benchmarks/preprocessing.py [--only PART ...]

Every part prints its rows and saves them in `results/preprocessing.json`.
"""

from __future__ import annotations

from collections.abc import Callable

from preprocessing_b1 import b1
from preprocessing_gibbs import gibbs, gibbs_time
from preprocessing_masks import mask_time, masks, tissues
from preprocessing_motion import full_size, phase_cycles, saturated_series
from preprocessing_registration import registration, template
from rows import Row, run_parts

PARTS: dict[str, Callable[[], list[Row]]] = {
    "b1": b1,
    "phase-cycles": phase_cycles,
    "saturated-series": saturated_series,
    "motion-time": full_size,
    "gibbs": gibbs,
    "gibbs-time": gibbs_time,
    "registration": registration,
    "template": template,
    "masks": masks,
    "mask-time": mask_time,
    "tissues": tissues,
}


if __name__ == "__main__":
    run_parts("preprocessing", PARTS, description=__doc__.splitlines()[0])
