"""`qmri-tools train-natural`: train the protocol-free network again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_train_natural(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser(
        "train-natural", help="train the network of the default estimator, which serves every protocol"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of weights and model card")
    parser.add_argument("--steps", type=int, default=None, help="steps of the optimiser; default: those of the package")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads; one gives the same weights again")
    parser.set_defaults(run=run_train_natural)


def run_train_natural(options: argparse.Namespace) -> int:
    """Train and return the exit code."""
    import torch

    from qmri_bids.networks.checkpoint import save_checkpoint
    from qmri_bids.networks.profile import NaturalNetwork
    from qmri_bids.training.profile import NaturalTrainingSpec, train_natural
    from qmri_bids.training.profile_card import natural_card

    chosen = {"seed": options.seed} | ({} if options.steps is None else {"steps": options.steps})
    for name, value in (("steps", options.steps), ("threads", options.threads)):
        if value is not None and value < 1:
            print(f"qmri-tools train-natural: --{name} must be at least 1, found {value}", file=sys.stderr)
            return 2
    spec = NaturalTrainingSpec(**chosen)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"qmri-tools train-natural: {error}", file=sys.stderr)
        return 2

    def progress(step: int, loss: float, seconds: float, network: NaturalNetwork) -> None:
        print(f"step {step}/{spec.steps}  loss {loss:.3e}  {seconds:.0f} s", flush=True)

    torch.set_num_threads(options.threads)
    result = train_natural(spec, progress=progress)
    card = natural_card(
        result.network, spec, losses=result.losses, seconds=result.seconds, command=options.command_line
    )
    path = save_checkpoint(result.network, card, options.output)
    for condition, figures in card.metrics.items():
        print(f"{condition}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"Weights: {path}")
    return 0
