"""The interface for arrays against the functions inside: values, time, and what importing costs.

python benchmarks/library.py [--only PART ...]
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
from rows import Row, run_parts

import qmri_bids as q
from qmri_bids.api.bssfp import protocol_of
from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS

VOXELS = 700_000
SCAN = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15.0, "rf_phase_increment": np.arange(12) * 30.0}
REPEATS = 3
HEAVY = ("torch", "numba", "ants", "nipype")


def importing() -> list[Row]:
    """Return the time of `import qmri_bids`, best of five, and the heavy libraries that it loads."""
    code = (
        "import sys, time; start = time.perf_counter(); import qmri_bids; "
        f"print(time.perf_counter() - start, sum(name in sys.modules for name in {HEAVY!r}))"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    return [
        Row(figure="import qmri_bids", unit="s", bar=0.1, value=min(float(seconds) for seconds, _ in found)),
        Row(
            figure=f"of {', '.join(HEAVY)}: loaded by import qmri_bids",
            unit="1",
            bar=0.0,
            value=float(max(int(number) for _, number in found)),
        ),
    ]


def against_inner_functions() -> list[Row]:
    """Return the time of the interface over that of the estimator, in turns in one run, and the largest difference of maps."""
    drawn = np.random.default_rng(0)
    white = drawn.random(VOXELS) < 0.5
    cycles = q.simulate_bssfp(
        t1=np.where(white, 0.94, 1.4),
        t2=np.where(white, 0.062, 0.085),
        off_resonance=drawn.uniform(-100.0, 100.0, VOXELS),
        **SCAN,
        noise=0.002,
        seed=1,
    ).astype(np.complex64)
    b1 = drawn.uniform(0.8, 1.2, VOXELS)
    times: dict[str, list[float]] = {"inner": [], "interface": []}
    for repeat in range(REPEATS + 1):
        start = time.perf_counter()
        inner = (
            ESTIMATORS["pinn"]
            .create(EstimatorOptions(threads=2))
            .estimate(cycles, protocol=protocol_of(**SCAN), known=KnownMaps(b1=b1))
        )
        middle = time.perf_counter()
        found = q.fit_bssfp(cycles, **SCAN, b1=b1, threads=2)
        end = time.perf_counter()
        if repeat:  # the first compiles
            times["inner"].append(middle - start)
            times["interface"].append(end - middle)
    worst = max(
        float(np.nanmax(np.abs(np.asarray(found.maps[name]) - np.asarray(values))))
        for name, values in inner.values.items()
    )
    return [
        Row(
            figure=f"fit_bssfp over the estimator inside, {VOXELS:,} voxels: time",
            unit="×",
            bar=1.05,
            value=min(times["interface"]) / min(times["inner"]),
            baseline=f"inside {min(times['inner']):.2f} s",
        ),
        Row(figure="the same: largest difference of a map", unit="1", bar=0.0, value=worst),
    ]


if __name__ == "__main__":
    run_parts("library", {"import": importing, "inner": against_inner_functions}, description=__doc__.splitlines()[0])
