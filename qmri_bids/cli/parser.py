"""The command line of `qmri_bids`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from qmri_bids import __version__
from qmri_bids.choices import PAPER_PRIORS
from qmri_bids.cli.call_options import add_call_options, check_call_options
from qmri_bids.cli.cest_options import add_cest_options, check_cest_options
from qmri_bids.cli.config_file import ConfigError, configuration, spelled_with_dashes, take_config
from qmri_bids.cli.data_options import add_data_options, check_data_options, check_folders
from qmri_bids.cli.estimator_options import check_estimators
from qmri_bids.cli.mask_options import add_mask_options, check_mask_options
from qmri_bids.cli.motion_options import add_motion_options, check_motion_options
from qmri_bids.cli.resource_options import add_resource_options, check_resource_options
from qmri_bids.cli.space_options import add_space_options, check_space_options
from qmri_bids.estimation.table import DEFAULT_ESTIMATOR, ESTIMATORS
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.workflows.options import DEFAULT_GIBBS_METHOD, GIBBS_CHOICES, IGNORABLE_STEPS, POSTERIOR_PRIORS

EXIT_CODES = """\
exit codes:
  0  every eligible run was processed (group: of every participant)
  1  a run was refused or failed, and the others are done: the reports say which and why (group: or a participant is missing)
  2  the command line, a file of options or a folder is wrong; nothing was computed
  3  no pc-bSSFP, CEST or MT run was found (group: no participant was processed)
  130, 143  interrupted; the same command goes on from the last step that was done
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
        description="Quantitative maps with uncertainty and a report from phase-cycled bSSFP, B1, CEST and MT scans in BIDS.\n"
        "Options may be written with underscores, too, and be kept in a file (--config-file).",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "bids_dir", type=Path, help="root of the raw BIDS dataset (dataset_description.json lies in it)"
    )
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives; made if it does not exist")
    parser.add_argument(
        "analysis_level",
        choices=("participant", "group"),
        help="participant: maps and reports; group: tables and a page of all participants that were processed",
    )
    parser.add_argument("--version", action="version", version=f"qmri_bids {__version__}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice for debugging")

    add_data_options(parser)
    add_call_options(parser)
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
        choices=GIBBS_CHOICES,
        default=DEFAULT_GIBBS_METHOD,
        help="how Gibbs ringing is removed from every cycle: subvoxel by local shifts; apodization tapers k-space, which costs "
        "resolution; default: %(default)s",
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

    add_mask_options(parser)
    add_motion_options(parser)
    add_cest_options(parser)
    add_space_options(parser)

    add_resource_options(parser)
    return parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check what can be checked without reading the dataset.

    Exits with code 2 and one clear message on anything wrong.
    """
    parser = build_parser()
    arguments = spelled_with_dashes(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    try:
        take_config(options, arguments, build=build_parser)
    except ConfigError as error:
        parser.error(f"--config-file {error}")
    options.configuration = configuration(options, parser=parser)
    check_call_options(parser, options)
    check_folders(parser, options)
    check_resource_options(parser, options)
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
    check_mask_options(parser, options)
    check_motion_options(parser, options)
    check_cest_options(parser, options)
    check_space_options(parser, options)
    check_data_options(parser, options)
    return options
