"""`qmri-tools benchmark`: estimators against each other and against the bound, in silico."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

FIGURE_NUMBERS = (2, 3, 5, 8)
"""Keys of `evaluation.benchmark.FIGURES`, here so that `--help` imports no torch."""


def add_benchmark(subparsers: Any) -> None:
    """Add the command `benchmark` to the subparsers of `qmri-tools`."""
    parser = subparsers.add_parser("benchmark", help="compare estimators on simulated signals")
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="WHAT")
    _add_relaxometry(subjects)
    _add_cest(subjects)


def _add_relaxometry(subjects: Any) -> None:
    relaxometry = subjects.add_parser(
        "relaxometry",
        help="T1 and T2 from phase-cycled bSSFP",
        description=(
            "Error, bias and calibration of the estimators on simulated signals, as tables (JSON), and the in-silico figures of "
            "Birk et al. 2025 (SVG). MIRACLE and maximum likelihood always run beside."
        ),
    )
    relaxometry.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of tables and figures")
    relaxometry.add_argument(
        "--figures",
        type=int,
        nargs="*",
        choices=FIGURE_NUMBERS,
        default=list(FIGURE_NUMBERS),
        metavar="NUMBER",
        help="figures of Birk et al. 2025 to reproduce, of 2, 3, 5 and 8; default: all. Figure 8 trains two networks",
    )
    relaxometry.add_argument(
        "--estimators", nargs="+", default=None, metavar="NAME", help="default: the flagship and the paper's networks"
    )
    relaxometry.add_argument(
        "--samples", type=int, default=20_000, metavar="N", help="voxels of a table; default: %(default)s"
    )
    relaxometry.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    relaxometry.add_argument("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    relaxometry.set_defaults(run=_relaxometry)


def _add_cest(subjects: Any) -> None:
    cest = subjects.add_parser(
        "cest",
        help="pool fractions and exchange rates from fingerprints",
        description=(
            "Error, bias, coverage and sensitivity of the estimators on simulated fingerprints of two stages (semisolid, amide) at "
            "3 T, as tables (JSON) and figures (SVG). Maximum likelihood always runs beside."
        ),
    )
    cest.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of tables and figures")
    cest.add_argument(
        "--estimators",
        nargs="+",
        default=None,
        metavar="NAME",
        help="default: all but train-by-fit, which trains a network first and keeps it in DIR/weights",
    )
    cest.add_argument("--samples", type=int, default=4000, metavar="N", help="voxels of each set; default: %(default)s")
    cest.add_argument(
        "--noise", type=float, default=0.01, metavar="SD", help="of one image in units of M0; default: %(default)s"
    )
    cest.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    cest.add_argument("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    cest.set_defaults(run=_cest)


def _enough_threads(options: argparse.Namespace) -> bool:
    if options.threads < 1:
        print(f"qmri-tools benchmark: --threads must be at least 1, found {options.threads}", file=sys.stderr)
    return bool(options.threads >= 1)


def _relaxometry(options: argparse.Namespace) -> int:
    if not _enough_threads(options):
        return 2
    import torch

    from qmri_bids.estimation.base import EstimatorOptions
    from qmri_bids.estimation.estimators import ESTIMATORS
    from qmri_bids.evaluation.benchmark import (
        DEFAULT_ESTIMATORS,
        BenchmarkSettings,
        create_estimators,
        run_benchmark,
    )

    torch.set_num_threads(options.threads)
    names = options.estimators or [name for name in DEFAULT_ESTIMATORS if name in ESTIMATORS]
    try:
        run_benchmark(
            options.output,
            estimators=create_estimators(names, options=EstimatorOptions(threads=options.threads)),
            figures=options.figures,
            settings=BenchmarkSettings(samples=options.samples, seed=options.seed),
            progress=lambda line: print(line, flush=True),
        )
    except (ValueError, OSError) as error:
        print(f"qmri-tools benchmark: {error}", file=sys.stderr)
        return 2
    return 0


def _cest(options: argparse.Namespace) -> int:
    if not _enough_threads(options):
        return 2
    import torch

    from qmri_bids.estimation.pools.estimate import ExchangeOptions
    from qmri_bids.evaluation.pools.benchmark import (
        ExchangeSettings,
        create_exchange_estimators,
        run_exchange_benchmark,
    )

    torch.set_num_threads(options.threads)
    made = ExchangeOptions(threads=options.threads, weights_folder=options.output / "weights")
    try:
        run_exchange_benchmark(
            options.output,
            estimators=create_exchange_estimators(options.estimators, options=made),
            settings=ExchangeSettings(
                samples=options.samples, noise_stdev=options.noise, seed=options.seed, threads=options.threads
            ),
            progress=lambda line: print(line, flush=True),
        )
    except (ValueError, OSError) as error:
        print(f"qmri-tools benchmark: {error}", file=sys.stderr)
        return 2
    return 0
