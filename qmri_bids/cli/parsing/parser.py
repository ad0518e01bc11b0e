"""The command line of `qmri_bids`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from qmri_bids import __version__
from qmri_bids.cli.parsing.config_file import ConfigError, configuration, spelled_with_dashes, take_config
from qmri_bids.cli.parsing.table import CHECKED, GROUPS

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
    parser = argparse.ArgumentParser(
        prog="qmri_bids",
        description="Quantitative maps with uncertainty and a report from phase-cycled bSSFP, B1, CEST and MT scans in BIDS.\n"
        "Options may be written with underscores, too, and be kept in a file (--config-file).",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"qmri_bids {__version__}")
    for group in GROUPS:
        group.add_to(parser)
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
    options.configuration = configuration(options)
    for group in CHECKED:
        group.check(parser, options)
    return options
