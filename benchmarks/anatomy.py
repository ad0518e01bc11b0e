"""Real anatomy against its bars: a real head, slabs and slices, spheres, a cylinder and a macaque.

    python benchmarks/anatomy.py [--only PART ...]

The head is Colin27 from Debian's mricron-data. Every part prints its rows and saves them in `results/anatomy.json`.
"""

from __future__ import annotations

from collections.abc import Callable

from anatomy_gibbs import gibbs_real_head, gibbs_real_head_time
from anatomy_masks import mask_time, masks, slabs
from anatomy_motion import real_head_motion
from anatomy_objects import spheres, whole_program
from anatomy_tissue import end_to_end
from rows import Row, run_parts

PARTS: dict[str, Callable[[], list[Row]]] = {
    "masks": masks,
    "slabs": slabs,
    "mask-time": mask_time,
    "end-to-end": end_to_end,
    "motion": real_head_motion,
    "gibbs": gibbs_real_head,
    "gibbs-time": gibbs_real_head_time,
    "spheres": spheres,
    "whole-program": whole_program,
}


if __name__ == "__main__":
    run_parts("anatomy", PARTS, description=__doc__.splitlines()[0])
