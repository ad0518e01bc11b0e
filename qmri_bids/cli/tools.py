"""`qmri-tools`: simulate a dataset, import one, train networks, list them, compare estimators, check the installation."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.cli.caches import draw_to_files, keep_caches_of_one_call
from qmri_bids.cli.commands.benchmark import add_benchmark
from qmri_bids.cli.commands.compare import add_compare
from qmri_bids.cli.commands.doctor import add_doctor
from qmri_bids.cli.commands.import_ import add_import
from qmri_bids.cli.commands.pools import add_train_exchange
from qmri_bids.cli.commands.profile import add_train_natural
from qmri_bids.cli.commands.train import add_train

DEFAULT_VOXEL_SIZE = 2.0
"""Edge of a voxel [mm], that of `phantom.dataset`: here so that `--help` does not import the phantom."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `qmri-tools`."""
    parser = argparse.ArgumentParser(prog="qmri-tools", description="Tools around qmri_bids.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"qmri-tools {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_simulate(commands.add_parser("simulate", help="write a simulated BIDS dataset with its truth"))
    add_import(commands)
    add_train(commands)
    add_train_natural(commands)
    add_train_exchange(commands)
    add_benchmark(commands)
    add_compare(commands)
    described = commands.add_parser("boutiques", help="write the Boutiques descriptor of qmri_bids")
    described.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    described.set_defaults(run=_boutiques)
    models = commands.add_parser("models", help="list the networks that ship with the package")
    models.set_defaults(run=_models)
    add_doctor(commands)
    return parser


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="OUT", help="folder of the dataset; must not exist or be empty")
    parser.add_argument("--subjects", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--anatomy",
        type=Path,
        metavar="WHOLE_HEAD",
        help="NIfTI file of a T1-weighted whole head (or of a brain alone, such as an animal's) that becomes the digital head",
    )
    parser.add_argument(
        "--brain",
        type=Path,
        metavar="BRAIN",
        help="NIfTI file on the same voxels as WHOLE_HEAD that is above 0 in the brain: a mask or a skull-stripped image; "
        "default: what the library of brain extraction finds",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="factor on the size of the head of --anatomy: images in a standard space are larger than the head was, and 0.91 gives "
        "many of them their size back; default: 1",
    )
    parser.add_argument(
        "--face-motion",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the skull's motion, 0 to 1, that face and neck of --anatomy do not follow; default: 0, a rigid head",
    )
    parser.add_argument(
        "--phantom",
        choices=("head", "spheres", "cylinder"),
        default="head",
        help="what is scanned: a head, a ball of water with 14 spheres of known T1 and T2, or a cylinder of doped water with an "
        "insert; default: %(default)s",
    )
    parser.add_argument("--sessions", type=int, default=0, metavar="N", help="sessions a subject; 0 for none (default)")
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        metavar="N",
        help="pc-bSSFP runs a session; default: %(default)s, without run in the name",
    )
    parser.add_argument(
        "--matrix",
        type=int,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="number of voxels; default: 96 112 96, or what holds the head of --anatomy or the object of --phantom",
    )
    parser.add_argument(
        "--voxel-size",
        type=float,
        default=DEFAULT_VOXEL_SIZE,
        metavar="MM",
        help="edge of a voxel; default: %(default)s mm",
    )
    parser.add_argument(
        "--slices",
        type=int,
        metavar="N",
        help="N axial slices of their own (2D) around the middle of the brain; default: a volume encoded in 3D",
    )
    parser.add_argument(
        "--slice-thickness",
        type=float,
        metavar="MM",
        help="edge along the last axis of the files; default: --voxel-size",
    )
    parser.add_argument(
        "--cut",
        action="store_true",
        help="the field of view may be smaller than what is scanned; it lies around the middle of the brain",
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
    parser.add_argument(
        "--b1",
        "--b1-method",
        choices=("TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map", "none"),
        default="TB1TFL",
        help="how the transmit field is measured; default: %(default)s",
    )
    parser.add_argument(
        "--layout",
        choices=("mag-phase", "real-imag", "complex", "split"),
        default="mag-phase",
        help="how the complex cycles are stored; default: %(default)s",
    )
    parser.add_argument(
        "--cest", nargs="+", choices=("mrf", "aptw", "zspectrum"), default=(), help="CEST scans to add; default: none"
    )
    parser.add_argument("--mt", nargs="+", choices=("mtr", "mts"), default=(), help="MT scans to add; default: none")
    parser.add_argument("--wasabi", action="store_true", help="add a WASABI scan of B0 and B1")
    parser.add_argument("--t1w", action="store_true", help="add a T1-weighted anatomical scan")
    parser.add_argument(
        "--cest-snr",
        type=float,
        default=100.0,
        metavar="SNR",
        help="M0 signal of grey matter over noise in CEST, MT and WASABI scans; default: %(default)s",
    )
    parser.add_argument(
        "--physics",
        choices=("simple", "full"),
        default="simple",
        help="simple: bSSFP by the closed form of one pool and hard pulses; full: by the Bloch equations with a finite pulse and a "
        "semisolid pool in grey and white matter and muscle, the same that the scans of --cest, --mt and --wasabi meet; it takes "
        "minutes; default: %(default)s",
    )
    parser.add_argument(
        "--excitation-pulse",
        metavar="SHAPE:MILLISECONDS",
        help="excitation pulse of --physics full: rect, sinc (Hann window, time-bandwidth product 2.7) or gauss, and its duration; "
        "default: sinc:1",
    )
    parser.add_argument(
        "--semisolid-line",
        choices=("lorentzian", "super-lorentzian", "gaussian"),
        help="absorption line of the semisolid pool of --physics full; default: lorentzian, the line of the fit of fingerprints",
    )
    parser.add_argument(
        "--semisolid-t2",
        type=float,
        metavar="MICROSECONDS",
        help="T2 of the semisolid pool of --physics full; default: 40 for the Lorentzian line, 10 for the others",
    )
    parser.add_argument(
        "--semisolid-r1",
        metavar="PER_SECOND|water",
        help="R1 of the semisolid pool of --physics full [1/s], or that of free water; default: 1",
    )
    parser.add_argument(
        "--drift",
        type=float,
        default=0.0,
        metavar="HZ",
        help="growth of the frequency from the first to the last cycle, linear, centred on 0, with a random scatter of 5 %% of it "
        "(standard deviation); default: 0",
    )
    parser.add_argument(
        "--gain-scatter",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="standard deviation of the random gains of the phase cycles; default: 0",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    from qmri_bids.phantom.dataset import simulate_dataset
    from qmri_bids.phantom.scans.physics import PhysicsSettings
    from qmri_bids.phantom.scans.semisolid import Semisolid

    semisolid = {"line": options.semisolid_line, "t2": options.semisolid_t2, "r1": options.semisolid_r1}
    try:
        simulate_dataset(
            options.output,
            subjects=options.subjects,
            sessions=options.sessions,
            runs=options.runs,
            matrix=None if options.matrix is None else tuple(options.matrix),
            voxel_size=options.voxel_size,
            phase_cycles=options.phase_cycles,
            snr=options.snr,
            motion=options.motion,
            seed=options.seed,
            layout=options.layout,
            b1=options.b1,
            cest=tuple(options.cest),
            mt=tuple(options.mt),
            wasabi=options.wasabi,
            cest_snr=options.cest_snr,
            t1w=options.t1w,
            phantom=options.phantom,
            anatomy=options.anatomy,
            brain=options.brain,
            scale=options.scale,
            face_motion=options.face_motion,
            slices=options.slices,
            slice_thickness=options.slice_thickness,
            cut=options.cut,
            physics=PhysicsSettings(
                physics=options.physics,
                excitation_pulse=options.excitation_pulse,
                semisolid=Semisolid.named(**semisolid)
                if any(each is not None for each in semisolid.values())
                else None,
                drift=options.drift,
                gain_scatter=options.gain_scatter,
            ),
        )
    except (ValueError, OSError) as error:
        print(f"qmri-tools simulate: {error}", file=sys.stderr)
        return 2
    print(f"Simulated dataset: {options.output}")
    return 0


def _boutiques(options: argparse.Namespace) -> int:
    """Write the descriptor and return the exit code."""
    # The table of options is not needed for the other commands.
    from qmri_bids.cli.commands.boutiques import descriptor, written
    from qmri_bids.cli.parsing.parser import build_parser as program_parser

    text = written(descriptor(program_parser()))
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"qmri-tools boutiques: {error}", file=sys.stderr)
        return 2
    return 0


def _models(options: argparse.Namespace) -> int:
    import json
    from importlib.resources import files

    for entry in sorted((files("qmri_bids") / "data" / "weights").iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".json"):
            card = json.loads(entry.read_text())
            print(f"{card['name']}: {card['description']}{_flip_angles(card)}")
    return 0


def _flip_angles(card: Mapping[str, Any]) -> str:
    """Return the actual flip angles that a card covers; nothing for a network that serves all."""
    covered = card.get("coverage", {}).get("flip_angle")
    if covered is None:
        return ""
    low, high = (math.degrees(each) for each in covered)
    return f"; actual flip angles {low:.1f}-{high:.1f}°, any TR"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qmri-tools` and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    draw_to_files()
    options = build_parser().parse_args(given)
    keep_caches_of_one_call()
    options.command_line = shlex.join(["qmri-tools", *given])
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; what Python still wants to write at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
