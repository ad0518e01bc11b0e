"""`qmri-tools train`: train one network of Birk et al. 2025, or all that ship with the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qmri_bids.networks.names import PRIOR_NAMES, SYSTEMS

if TYPE_CHECKING:
    from qmri_bids.training.simulation import TrainingSpec

OWN_RECIPE = {
    "network": "pinn-complex",
    "prior": "uniform-extended",
    "phase_cycles": 12,
    "tr": 4.8,
    "flip_angle": 15.0,
    "snr": (5.0, 300.0),
}
"""Defaults of the options that say what is trained; --shipped takes none of them."""


def add_train(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser("train", help="train a network on simulated signals")
    systems = "; ".join(f"{name}: {row.summary}" for name, row in SYSTEMS.items())
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of weights and model card")
    parser.add_argument(
        "--shipped",
        nargs="*",
        default=None,
        metavar="NAME",
        help="train networks of the package again, each by its fixed recipe and seed; without a name all of them",
    )
    parser.add_argument("--name", default=None, help="name of the network; default: from what it is")
    parser.add_argument("--network", choices=tuple(SYSTEMS), default=None, help=f"{systems}; default: pinn-complex")
    parser.add_argument(
        "--prior", choices=PRIOR_NAMES, default=None, help="where T1 and T2 are drawn; default: uniform-extended"
    )
    parser.add_argument("--phase-cycles", type=int, default=None, metavar="N", help="default: 12")
    parser.add_argument("--tr", type=float, default=None, metavar="MS", help="repetition time; default: 4.8 ms")
    parser.add_argument(
        "--flip-angle", type=float, default=None, metavar="DEGREES", help="nominal flip angle; default: 15"
    )
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument("--snr", type=float, nargs=2, default=None, metavar=("LOW", "HIGH"), help="default: 5 300")
    noise.add_argument("--noise-free", action="store_true", help="train without noise")
    parser.add_argument(
        "--epochs",
        type=int,
        default=None,
        help="default: 10 for magnitudes, 18 for complex input; three times that for a prior with fluid",
    )
    parser.add_argument("--samples", type=int, default=400_000, help="samples an epoch; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads; one gives the same weights again")
    parser.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> int:
    """Train and return the exit code."""
    import torch

    if options.threads < 1:
        print(f"qmri-tools train: --threads must be at least 1, found {options.threads}", file=sys.stderr)
        return 2
    try:
        specs = [_own(options)] if options.shipped is None else _shipped(options)
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"qmri-tools train: {error}", file=sys.stderr)
        return 2
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        for spec in specs:
            _train(spec, options)
    finally:
        torch.set_num_threads(threads)
    return 0


def _shipped(options: argparse.Namespace) -> list[TrainingSpec]:
    from qmri_bids.training.shipped import SHIPPED

    given = [name for name in (*OWN_RECIPE, "name", "epochs") if getattr(options, name) is not None]
    if given or options.noise_free:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "--noise-free"
        raise ValueError(
            f"--shipped trains fixed recipes and takes none of their options, found {names}; leave one out"
        )
    table = {spec.name: spec for spec in SHIPPED}
    unknown = [name for name in options.shipped if name not in table]
    if unknown:
        raise ValueError(f"--shipped knows {', '.join(table)}; found {', '.join(unknown)}")
    return [table[name] for name in options.shipped or table]


def _own(options: argparse.Namespace) -> TrainingSpec:
    from qmri_bids.physics.protocol import BssfpProtocol
    from qmri_bids.training.missing import BEYOND, LEARNING_RATE, epochs_for
    from qmri_bids.training.simulation import TrainingSpec
    from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds

    chosen: dict[str, Any] = {
        name: default if getattr(options, name) is None else getattr(options, name)
        for name, default in OWN_RECIPE.items()
    }
    system, number = chosen["network"], chosen["phase_cycles"]
    tr = milliseconds_to_seconds(chosen["tr"])
    return TrainingSpec(
        name=options.name or f"{system.replace('-', '_')}_{chosen['prior']}_n{number}",
        protocol=BssfpProtocol.evenly_spaced(
            number_of_cycles=number,
            repetition_time=tr,
            echo_time=tr / 2.0,
            flip_angle=degrees_to_radians(chosen["flip_angle"]),
        ),
        system=system,
        prior=chosen["prior"],
        beyond=BEYOND[SYSTEMS[system].loss],
        snr=None if options.noise_free else (chosen["snr"][0], chosen["snr"][1]),
        epochs=epochs_for(system, chosen["prior"]) if options.epochs is None else options.epochs,
        learning_rate=LEARNING_RATE,
        samples=options.samples,
        batch_size=options.batch_size,
        seed=options.seed,
    )


def _train(spec: TrainingSpec, options: argparse.Namespace) -> None:
    from qmri_bids.networks.checkpoint import save_checkpoint
    from qmri_bids.training.loop import VALIDATION_SNR, train

    def progress(epoch: int, loss: float, seconds: float) -> None:
        print(f"epoch {epoch:3d}/{spec.epochs}  loss {loss:.3e}  {seconds:.1f} s", flush=True)

    print(f"Training {spec.name}", flush=True)
    command = options.command_line if options.shipped is None else f"qmri-tools train --shipped {spec.name}"
    result = train(spec, command=command, progress=progress)
    path = save_checkpoint(result.network, result.card, options.output)
    for condition in VALIDATION_SNR:
        for name, value in result.card.metrics[condition].items():
            print(f"{condition} {name}: {value:.4g}")
    print(f"Weights: {path}", flush=True)
