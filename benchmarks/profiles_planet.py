"""Ellipse fit of `planet` against that of the package `ssfp` on the same data.

    python benchmarks/profiles_planet.py

The peer needs NumPy 1 and a check of its input that NumPy refuses for arrays to be off (`-O`), so that it runs in an interpreter of
its own, which `SSFP_PYTHON` names (a virtual environment with `pip install "numpy<2" ssfp`). Without one the rows have no peer,
and say so. Signals are those of the phantom, which shares no code with the estimators.
"""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rows import AtMost, Row, run_parts

from qmri_bids.estimation.bssfp.planet import Planet
from qmri_bids.evaluation.sets import PAPER_B1, TISSUES, noise_stdev
from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.simulation import paper_protocol

VOXELS = 40_000
SEED = 2026
"""The fit was chosen on other seeds."""
PEER = "SSFP_PYTHON"
RUN_PEER = """
import sys, numpy
from ssfp import planet
data = numpy.load(sys.argv[1])
_, t1, t2, _ = planet(data["cycles"], data["flip_angle"], float(data["tr"]), pcs=data["increments"])
numpy.savez(sys.argv[2], t1=t1, t2=t2)
"""


def planet_against_peer() -> list[Row]:
    """Root mean square error of T1 and T2 in tissue at SNR 25, over B1 0.7-1.3 and all off-resonances."""
    rows = []
    for tissue, number in (("WM", 12), ("GM", 12), ("WM", 8)):
        protocol = paper_protocol(number)
        b1, cycles = _scan(tissue, protocol)
        point = Planet().natural(cycles, b1=b1, protocol=protocol)
        mine = _errors(*relaxation_times(point.e2, point.b, b1=b1, protocol=protocol), tissue)
        peer = _of_peer(b1, cycles, protocol)
        theirs = None if peer is None else _errors(*peer, tissue)
        beside = f"ssfp was not run: {PEER} names no interpreter that has it"
        for index, name in enumerate(("T1", "T2")):
            if theirs is not None:
                beside = f"ssfp {theirs[index]:.2f}, without a value {100.0 * theirs[2]:.2f} %"
            rows.append(
                Row(
                    figure=f"planet, {tissue}, N={number}, SNR 25: {name} RMSE",
                    unit="%",
                    bar=None if theirs is None else AtMost(round(theirs[index], 2)),
                    value=round(mine[index], 2),
                    baseline=f"{beside}; planet without a value {100.0 * mine[2]:.2f} %",
                )
            )
    return rows


def _scan(tissue: str, protocol: BssfpProtocol) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Return B1, shape (V,), and noisy cycles, shape (V, N), of one tissue."""
    rng = np.random.default_rng(SEED)
    t1, t2 = TISSUES[tissue]
    ones = np.ones(VOXELS)
    b1 = rng.uniform(*PAPER_B1, VOXELS)
    clean = balanced_signal(
        t1 * ones,
        t2 * ones,
        b1,
        rng.uniform(-0.5, 0.5, VOXELS) / protocol.repetition_time,
        np.exp(1j * rng.uniform(-math.pi, math.pi, VOXELS)),
        protocol.repetition_time,
        protocol.echo_time,
        protocol.flip_angle,
        np.asarray(protocol.rf_phase_increment),
    )
    noise = rng.standard_normal((*clean.shape, 2)).view(complex)[..., 0]
    return b1, clean + noise_stdev(25.0) * noise


def _errors(t1: NDArray[np.floating], t2: NDArray[np.floating], tissue: str) -> tuple[float, float, float]:
    """Return the root mean square errors of T1 and T2 [%], and the share of voxels without a value."""
    solved = np.isfinite(t1) & np.isfinite(t2)
    first, second = (
        100.0 * math.sqrt(np.mean((found[solved] / true - 1.0) ** 2))
        for found, true in zip((t1, t2), TISSUES[tissue], strict=True)
    )
    return first, second, float(np.mean(~solved))


def _of_peer(
    b1: NDArray[np.floating], cycles: NDArray[np.complexfloating], protocol: BssfpProtocol
) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
    """Return T1 and T2 [s] by the package `ssfp`; None where no interpreter has it."""
    program = os.environ.get(PEER)
    if program is None or subprocess.run([program, "-OWignore", "-c", "import ssfp"], capture_output=True).returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(
            given,
            cycles=cycles,
            flip_angle=b1 * protocol.flip_angle,
            tr=protocol.repetition_time,
            increments=np.asarray(protocol.rf_phase_increment),
        )
        subprocess.run([program, "-OWignore", "-c", RUN_PEER, str(given), str(found)], check=True)
        with np.load(found) as stored:
            return stored["t1"], stored["t2"]


if __name__ == "__main__":
    run_parts("profiles_planet", {"planet": planet_against_peer}, description=__doc__.splitlines()[0])
