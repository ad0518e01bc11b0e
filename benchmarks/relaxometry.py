"""Relaxometry against its bars: accuracy, bias, calibration and speed, each beside a baseline in the same run, one thread.

    python benchmarks/relaxometry.py [--only PART ...]

Every part prints its rows and saves them in `results/relaxometry.json`. Errors are mean |error| in percent of single noise draws at
the protocol of Birk et al. 2025, over uniform T1 360-2080 ms, T2 20-120 ms, B1 0.7-1.3 and all θ, unless a row says otherwise. Bars
that are published to a tenth of a percent are held against the figure rounded likewise.
"""

from __future__ import annotations

from collections.abc import Callable

import relaxometry_accuracy as accuracy
import relaxometry_posterior as posteriors
import relaxometry_speed as speed
from rows import Row, run_parts

PARTS: dict[str, Callable[[], list[Row]]] = {
    "clamped-miracle": accuracy.clamped_miracle,
    "noise-free": accuracy.noise_free,
    "bound": accuracy.bound,
    "paper-networks": accuracy.paper_networks,
    "flagship": accuracy.flagship,
    "other-protocols": accuracy.other_protocols,
    "bare-network": accuracy.bare_network,
    "tissue-bias": accuracy.tissue_bias,
    "posterior": posteriors.posterior_error,
    "posterior-by-tissue": posteriors.posterior_by_tissue,
    "calibration": posteriors.calibration,
    "throughput": speed.throughput,
    "miracle": speed.miracle,
    "brain": speed.brain,
}


if __name__ == "__main__":
    run_parts("relaxometry", PARTS, description=__doc__.splitlines()[0])
