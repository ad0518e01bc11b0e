"""The command line of `qmri_bids`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from qmri_bids import __version__
from qmri_bids.cli.cest_options import add_cest_options, check_cest_options
from qmri_bids.cli.estimator_options import check_estimators
from qmri_bids.cli.motion_options import add_motion_options, check_motion_options
from qmri_bids.cli.space_options import add_space_options, check_space_options
from qmri_bids.estimation.table import DEFAULT_ESTIMATOR, ESTIMATORS
from qmri_bids.networks.names import NETWORK_SYSTEMS, PAPER_PRIORS
from qmri_bids.workflows.options import DEFAULT_GIBBS_METHOD, GIBBS_BEFORE_MOTION, IGNORABLE_STEPS, POSTERIOR_PRIORS

EXIT_CODES = """\
exit codes:
  0  every eligible run was processed
  1  a run was refused or failed; the others are done and the reports say which and why
  2  the command line or a folder is wrong; nothing was computed
  3  no pc-bSSFP, CEST or MT run was found
  130, 143  interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `qmri_bids`."""
    own = {name: entry for name, entry in ESTIMATORS.items() if name not in NETWORK_SYSTEMS}
    estimators = "; ".join(f"{name}: {entry.summary}" for name, entry in own.items())
    estimators += (
        f"; {{svnn,pinn}}-{{magnitude,complex}}-{{{','.join(PAPER_PRIORS)}}}: the networks of Birk et al. 2025 by the prior "
        "they were trained on"
    )
    parser = argparse.ArgumentParser(
        prog="qmri_bids",
        description="Quantitative maps with uncertainty and a report from phase-cycled bSSFP, B1, CEST and MT scans in BIDS.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "bids_dir", type=Path, help="root of the raw BIDS dataset (dataset_description.json lies in it)"
    )
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives; made if it does not exist")
    parser.add_argument("analysis_level", choices=("participant",), help="processing stage")
    parser.add_argument("--version", action="version", version=f"qmri_bids {__version__}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice for debugging")

    which = parser.add_argument_group("which data")
    which.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        metavar="LABEL",
        help="participants to process, with or without 'sub-'; all by default",
    )
    which.add_argument(
        "--session-label",
        "--session_label",
        "--session-id",
        "--session_id",
        nargs="+",
        metavar="LABEL",
        help="sessions to process, with or without 'ses-'; all by default",
    )
    which.add_argument("--run-id", "--run_id", nargs="+", metavar="INDEX", help="runs to process; all by default")
    which.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]PATH",
        help="folders of derivatives in which CEST fingerprints look for maps of T1, T2, B1 and off-resonance that the session "
        "itself does not give; those of fMRIPrep and sMRIPrep give brain masks, tissues and transforms to all runs",
    )
    which.add_argument(
        "--bids-filter-file",
        "--bids_filter_file",
        type=Path,
        metavar="FILE",
        help='JSON file that selects scans by entities, for instance {"pcbssfp": {"acquisition": "highres"}, "b1": {"run": 2}}',
    )
    which.add_argument(
        "--bids-database-dir",
        "--bids_database_dir",
        type=Path,
        metavar="PATH",
        help="where the index of the dataset is kept between calls",
    )
    which.add_argument(
        "--skip-bids-validation",
        "--skip_bids_validation",
        action="store_true",
        help="do not run bids-validator on the dataset; its errors are warnings here, since every run is checked anyway",
    )
    which.add_argument(
        "--dry-run",
        "--check",
        action="store_true",
        help="print what would be processed, the protocol and where each value came from, what is refused and why; compute nothing",
    )

    b1 = parser.add_argument_group("B1 map")
    b1.add_argument(
        "--no-b1",
        action="store_true",
        help="process runs that have no B1 map and assume B1 = 1; T1 is wrong by about twice the error of B1",
    )
    b1.add_argument(
        "--b1-nominal-fa",
        type=float,
        metavar="DEGREES",
        help="nominal flip angle of a B1 scan where its sidecar holds another angle (TB1DAM: the smaller one)",
    )
    b1.add_argument(
        "--b1-afi-tr",
        type=float,
        nargs=2,
        metavar=("TR1", "TR2"),
        help="repetition times of a TB1AFI scan in seconds, in the order of its images, where its sidecars do not tell them",
    )
    b1.add_argument(
        "--b1-scale",
        type=float,
        metavar="FACTOR",
        help="relative B1 (1 = nominal) per stored value of the B1 image, where the usual scale of its kind does not hold",
    )

    steps = parser.add_argument_group("steps")
    steps.add_argument(
        "--bssfp-estimator",
        choices=tuple(ESTIMATORS),
        default=DEFAULT_ESTIMATOR,
        metavar="NAME",
        help=f"how T1 and T2 are estimated ({estimators}); default: %(default)s",
    )
    steps.add_argument(
        "--no-refine",
        action="store_true",
        help="the network alone, without the refinement by maximum likelihood that follows it by default; holds for "
        "--bssfp-estimator and --cest-estimator",
    )
    steps.add_argument(
        "--posterior",
        choices=POSTERIOR_PRIORS,
        help="write posterior maps of T1 and T2 under this prior too (desc-posterior…), beside those of the estimator; a prior "
        "pulls values towards itself and hides rare tissue",
    )
    steps.add_argument(
        "--bssfp-weights",
        type=Path,
        metavar="DIR",
        help="folder of network weights made by qmri-tools train, searched before those that ship",
    )
    steps.add_argument(
        "--train-missing",
        action="store_true",
        help="train a network of Birk et al. 2025, or one of pools, for a protocol that no weights cover (no data needed) and keep "
        "it in --bssfp-weights or --cest-weights, by default in work_dir/weights",
    )
    steps.add_argument(
        "--gibbs-method",
        choices=tuple(GIBBS_BEFORE_MOTION),
        default=DEFAULT_GIBBS_METHOD,
        help="how Gibbs ringing is removed: apodization tapers k-space of every cycle, which costs resolution; subvoxel is "
        "dipy's local shift on the three lowest configurations; default: %(default)s",
    )
    steps.add_argument(
        "--ignore",
        nargs="+",
        choices=IGNORABLE_STEPS,
        default=(),
        metavar="STEP",
        help="steps to leave out: motion, gibbs, phase-drift; anatomy keeps this program's own brain masks and tissues where "
        "--derivatives hold others",
    )

    add_motion_options(parser)
    add_cest_options(parser)
    add_space_options(parser)

    resources = parser.add_argument_group("resources")
    resources.add_argument(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        "--n_cpus",
        type=int,
        default=None,
        metavar="N",
        help="processes to use; by default the cores this process may use",
    )
    resources.add_argument(
        "-w",
        "--work-dir",
        "--work_dir",
        type=Path,
        default=Path("work"),
        metavar="PATH",
        help="folder of intermediate results, outside bids_dir; default: ./work",
    )
    resources.add_argument(
        "--clean-workdir", action="store_true", help="empty this participant's part of work_dir first"
    )
    resources.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first run that fails")
    resources.add_argument("--notrack", action="store_true", help="accepted for habit's sake: there is no telemetry")
    return parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check what can be checked without reading the dataset.

    Exits with code 2 and one clear message on anything wrong.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    options.bids_dir = options.bids_dir.resolve()
    options.output_dir = options.output_dir.resolve()
    options.work_dir = options.work_dir.resolve()
    if options.nprocs is None:
        options.nprocs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.nprocs < 1:
        parser.error(f"--nprocs must be at least 1, found {options.nprocs}")
    _check_folders(parser, options)
    for name in ("b1_nominal_fa", "b1_scale"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be positive, found {value}")
    times = options.b1_afi_tr
    if times is not None and (min(times) <= 0 or times[0] == times[1] or max(times) > 5.0):
        parser.error(
            f"--b1-afi-tr takes two different repetition times in seconds, found {times[0]:g} and {times[1]:g}"
        )
    if options.no_b1 and (options.b1_scale is not None or options.b1_nominal_fa is not None or times is not None):
        parser.error("--no-b1 uses no B1 map: leave out --b1-scale, --b1-nominal-fa and --b1-afi-tr, or --no-b1")
    check_estimators(parser, options)
    check_motion_options(parser, options)
    check_cest_options(parser, options)
    check_space_options(parser, options)
    options.derivatives = _derivatives(parser, options.derivatives)
    options.participant_label = _labels(options.participant_label, "sub-")
    options.session_label = _labels(options.session_label, "ses-")
    return options


def _check_folders(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if not options.bids_dir.is_dir():
        parser.error(f"bids_dir {options.bids_dir} is not a folder; give the root of a BIDS dataset")
    if not (options.bids_dir / "dataset_description.json").is_file():
        parser.error(
            f"{options.bids_dir}/dataset_description.json not found: bids_dir must be the root of a BIDS dataset, "
            "where that file lies"
        )
    if options.output_dir == options.bids_dir:
        parser.error(
            f"output_dir is bids_dir ({options.bids_dir}); give another folder, for instance "
            f"{options.bids_dir / 'derivatives' / 'qmri_bids'}"
        )
    inside = options.bids_dir in options.output_dir.parents
    if inside and options.output_dir.relative_to(options.bids_dir).parts[0] != "derivatives":
        parser.error(
            f"output_dir {options.output_dir} lies inside the raw dataset; inside it only derivatives/… may be written, for "
            f"instance {options.bids_dir / 'derivatives' / 'qmri_bids'}"
        )
    if options.work_dir == options.output_dir:
        parser.error(f"work_dir is output_dir ({options.work_dir}); give another with --work-dir")
    for name, folder in (("output_dir", options.output_dir), ("work_dir", options.work_dir)):
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            parser.error(f"{name} {folder} cannot be written: {nearest} is not a folder that this user may write to")
    if options.work_dir == options.bids_dir or options.bids_dir in options.work_dir.parents:
        parser.error(
            f"work_dir {options.work_dir} lies inside bids_dir {options.bids_dir}; give another with --work-dir"
        )


def _derivatives(parser: argparse.ArgumentParser, given: Sequence[str]) -> dict[str, Path]:
    """Return folders of derivatives by name, that of the folder where none is given."""
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        folder = Path(path if equals else text).resolve()
        name = name if equals else folder.name
        if not any(folder.glob("sub-*")):
            parser.error(f"--derivatives {folder} holds no folder sub-…; give the root of one dataset of derivatives")
        if name in folders:
            parser.error(f"--derivatives names {name} twice; give them names of their own (NAME=PATH)")
        folders[name] = folder
    return folders


def _labels(labels: list[str] | None, prefix: str) -> tuple[str, ...] | None:
    return None if labels is None else tuple(label.removeprefix(prefix) for label in labels)
