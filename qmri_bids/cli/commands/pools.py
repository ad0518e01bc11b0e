"""`qmri-tools train-exchange`: train the networks of pool fractions and exchange rates again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

NAMES = ("pinn_exchange_mrf_3t", "svnn_exchange_mrf_3t")
"""Keys of `training.pools.shipped.SHIPPED_EXCHANGE`, here so that `--help` imports no torch."""


def add_train_exchange(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser(
        "train-exchange", help="train the networks of pool fractions and exchange rates that ship with the package"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of weights and model cards")
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="which; default: all")
    parser.add_argument("--threads", type=int, default=1, help="threads; one gives the same weights again")
    parser.set_defaults(run=run_train_exchange)


def run_train_exchange(options: argparse.Namespace) -> int:
    """Train and return the exit code."""
    import torch

    from qmri_bids.networks.checkpoint import save_checkpoint
    from qmri_bids.training.pools.card import exchange_card
    from qmri_bids.training.pools.shipped import SHIPPED_EXCHANGE
    from qmri_bids.training.pools.specification import train_exchange

    if options.threads < 1:
        print(f"qmri-tools train-exchange: --threads must be at least 1, found {options.threads}", file=sys.stderr)
        return 2
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"qmri-tools train-exchange: {error}", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    for name in options.names:
        spec = SHIPPED_EXCHANGE[name]
        result = train_exchange(spec, threads=options.threads, progress=lambda line: print(line, flush=True))
        command = f"qmri-tools train-exchange --names {name} --threads {options.threads} --output DIR"
        card = exchange_card(result.network, spec, losses=result.losses, seconds=result.seconds, command=command)
        path = save_checkpoint(result.network, card, options.output)
        for condition, figures in card.metrics.items():
            print(f"{condition}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
        print(f"Weights: {path}")
    return 0
