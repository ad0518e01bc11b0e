"""`qmri-tools doctor`: what this installation is made of, and whether it computes what it should."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qmri_bids import __version__

PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "numba",
    "nibabel",
    "nipype",
    "antspyx",
    "dipy",
    "deepbet",
    "matplotlib",
)
"""Distributions that the program needs."""

LARGEST_ERROR = 0.02
"""Relative error of T1 and T2 of noise-free simulated cycles above which this installation computes something else."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report: what was looked at, what was found, whether that is right, and what to do where it is not."""

    name: str
    found: str
    right: bool
    advice: str = ""


def add_doctor(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser("doctor", help="versions, folders, weights and a self-check of this installation")
    parser.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Print what was found; 0 if all is right, else 1."""
    wrong = 0
    for finding in _findings():
        print(f"{'ok   ' if finding.right else 'WRONG'} {finding.name}: {finding.found}", flush=True)
        if not finding.right:
            wrong += 1
            print(f"      {finding.advice}", flush=True)
    print("Everything is right." if not wrong else f"{wrong} of these {'is' if wrong == 1 else 'are'} wrong.")
    return 1 if wrong else 0


def _findings() -> Iterator[Finding]:
    yield Finding(
        name="qmri_bids",
        found=f"{__version__} with Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors",
        right=sys.version_info >= (3, 11),
        advice="Install it with Python 3.11 or later.",
    )
    for name in PACKAGES:
        try:
            yield Finding(name=name, found=version(name), right=True)
        except PackageNotFoundError:
            yield Finding(
                name=name, found="missing", right=False, advice="Install qmri_bids again in this environment."
            )
    yield _validator()
    yield _caches()
    yield from _weights()
    yield from _self_check()


def _validator() -> Finding:
    """Say whether datasets are validated; the program does without."""
    from qmri_bids.bids.validation import PROGRAM, validator

    return Finding(
        name=PROGRAM,
        found=validator() or f"not there, datasets are not validated; `pip install {PROGRAM}` adds it",
        right=True,
    )


def _caches() -> Finding:
    """Say where compiled kernels are kept."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if folder is None:
        return Finding(name="compiled kernels", found="kept beside the package or in the home folder", right=True)
    return Finding(
        name="compiled kernels",
        found=f"kept in {folder}",
        right=os.access(folder, os.W_OK),
        advice="Give a folder that can be written in NUMBA_CACHE_DIR.",
    )


def _weights() -> Iterator[Finding]:
    """Compare every shipped network with its card."""
    from qmri_bids.networks.checkpoint import available_weights, check_weights

    number = 0
    for weights in available_weights():
        try:
            check_weights(weights)
        except (ValueError, OSError) as error:
            yield Finding(
                name="network",
                found=str(error),
                right=False,
                advice="Install the package again: its files have changed.",
            )
        else:
            number += 1
    yield Finding(
        name="networks", found=f"{number}, each as its card says", right=number > 0, advice="Install the package again."
    )


def _self_check() -> Iterator[Finding]:
    """Estimate simulated voxels of known T1 and T2."""
    import numpy as np

    import qmri_bids as q

    truth = {"T1": np.array([0.94, 1.4, 2.0]), "T2": np.array([0.062, 0.085, 0.2])}
    scan = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15.0, "rf_phase_increment": np.arange(12) * 30.0}
    cycles = q.simulate_bssfp(t1=truth["T1"], t2=truth["T2"], off_resonance=np.array([-40.0, 0.0, 70.0]), **scan)
    for estimator in ("pinn", "ml"):
        maps = q.fit_bssfp(cycles, **scan, estimator=estimator).maps
        error = max(float(np.abs(maps[name] / truth[name] - 1.0).max()) for name in truth)
        yield Finding(
            name=f"self-check of {estimator}",
            found=f"T1 and T2 of three simulated voxels within {100.0 * error:.2g} %",
            right=error <= LARGEST_ERROR,  # NaN is not
            advice="This installation does not compute what it should: install the versions of constraints.txt.",
        )
