"""`qmri-tools`: simulate a dataset, train a network, list the networks."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from qmri_bids import __version__

DEFAULT_MATRIX = (96, 112, 96)
DEFAULT_VOXEL_SIZE = 2.0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `qmri-tools`."""
    parser = argparse.ArgumentParser(prog="qmri-tools", description="Tools around qmri_bids.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"qmri-tools {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_simulate(commands.add_parser("simulate", help="write a simulated BIDS dataset with its truth"))
    _add_train(commands.add_parser("train", help="train a network on simulated signals"))
    models = commands.add_parser("models", help="list the networks that ship with the package")
    models.set_defaults(run=_models)
    return parser


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="OUT", help="folder of the dataset; must not exist or be empty")
    parser.add_argument("--subjects", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--sessions", type=int, default=0, metavar="N", help="sessions a subject; 0 for none (default)")
    parser.add_argument(
        "--matrix",
        type=int,
        nargs=3,
        default=DEFAULT_MATRIX,
        metavar=("X", "Y", "Z"),
        help="default: 96 112 96",
    )
    parser.add_argument(
        "--voxel-size",
        type=float,
        default=DEFAULT_VOXEL_SIZE,
        metavar="MM",
        help="isotropic; default: %(default)s mm",
    )
    parser.add_argument(
        "--phase-cycles", type=int, default=12, metavar="N", help="evenly spaced cycles; default: %(default)s"
    )
    parser.add_argument("--snr", type=float, default=25.0, help="signal-to-noise ratio; default: %(default)s")
    parser.add_argument(
        "--motion",
        type=float,
        default=0.5,
        metavar="MM",
        help="scale of the motion between cycles, in mm and in degrees; default: %(default)s",
    )
    parser.add_argument("--b1", choices=("TB1TFL", "TB1map", "none"), default="TB1TFL", help="kind of B1 scan")
    parser.add_argument(
        "--layout",
        choices=("mag-phase", "real-imag", "complex", "split"),
        default="mag-phase",
        help="how the complex cycles are stored; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    from qmri_bids.phantom.dataset import simulate_dataset

    try:
        simulate_dataset(
            options.output,
            subjects=options.subjects,
            sessions=options.sessions,
            matrix=tuple(options.matrix),
            voxel_size=options.voxel_size,
            phase_cycles=options.phase_cycles,
            snr=options.snr,
            motion=options.motion,
            seed=options.seed,
            layout=options.layout,
            b1=options.b1,
        )
    except (ValueError, OSError) as error:
        print(f"qmri-tools simulate: {error}", file=sys.stderr)
        return 2
    print(f"Simulated dataset: {options.output}")
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    from qmri_bids.networks.names import LOSS_NAMES, PRIOR_NAMES

    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of weights and model card")
    parser.add_argument("--name", default=None, help="name of the network; default: from what it is")
    parser.add_argument("--loss", choices=LOSS_NAMES, default="physics", help="physics (PINN) or supervised (SVNN)")
    parser.add_argument("--prior", choices=PRIOR_NAMES, default="log-uniform", help="where T1 and T2 are drawn")
    parser.add_argument("--phase-cycles", type=int, default=12, metavar="N", help="default: %(default)s")
    parser.add_argument("--tr", type=float, default=4.8, metavar="MS", help="repetition time; default: %(default)s ms")
    parser.add_argument("--flip-angle", type=float, default=15.0, metavar="DEGREES", help="default: %(default)s")
    parser.add_argument(
        "--snr", type=float, nargs=2, default=(5.0, 300.0), metavar=("LOW", "HIGH"), help="default: 5 300"
    )
    parser.add_argument("--noise-free", action="store_true", help="train without noise")
    parser.add_argument("--epochs", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=400_000, help="samples an epoch; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads; one gives the same weights again")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    import torch

    from qmri_bids.networks.checkpoint import save_checkpoint
    from qmri_bids.physics.protocol import BssfpProtocol
    from qmri_bids.training.loop import train
    from qmri_bids.training.simulation import TrainingSpec
    from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds

    if options.threads < 1:
        print(f"qmri-tools train: --threads must be at least 1, found {options.threads}", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    kind = {"physics": "pinn", "supervised": "svnn"}[options.loss]
    tr = milliseconds_to_seconds(options.tr)
    try:
        spec = TrainingSpec(
            name=options.name or f"{kind}_complex_n{options.phase_cycles}",
            protocol=BssfpProtocol.evenly_spaced(
                number_of_cycles=options.phase_cycles,
                repetition_time=tr,
                echo_time=tr / 2.0,
                flip_angle=degrees_to_radians(options.flip_angle),
            ),
            loss=options.loss,
            prior=options.prior,
            snr=None if options.noise_free else (options.snr[0], options.snr[1]),
            epochs=options.epochs,
            samples=options.samples,
            batch_size=options.batch_size,
            seed=options.seed,
        )
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"qmri-tools train: {error}", file=sys.stderr)
        return 2

    def progress(epoch: int, loss: float, seconds: float) -> None:
        print(f"epoch {epoch:3d}/{spec.epochs}  loss {loss:.3e}  {seconds:.1f} s", flush=True)

    result = train(spec, command=options.command_line, progress=progress)
    path = save_checkpoint(result.network, result.card, options.output)
    for name, value in result.card.metrics.items():
        print(f"{name}: {value}")
    print(f"Weights: {path}")
    return 0


def _models(options: argparse.Namespace) -> int:
    import json
    from importlib.resources import files

    for entry in sorted((files("qmri_bids") / "data" / "weights").iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".json"):
            card = json.loads(entry.read_text())
            low, high = (math.degrees(each) for each in card["flip_angle"])
            print(f"{card['name']}: {card['description']}; actual flip angles {low:.1f}-{high:.1f}°, any TR")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qmri-tools` and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = build_parser().parse_args(given)
    options.command_line = shlex.join(["qmri-tools", *given])
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
