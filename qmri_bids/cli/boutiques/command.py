"""`qmri-tools boutiques`: describe the command line of `qmri_bids` for platforms that speak Boutiques."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_boutiques(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser("boutiques", help="write the Boutiques descriptor of qmri_bids")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.set_defaults(run=run_boutiques)


def run_boutiques(options: argparse.Namespace) -> int:
    """Write the descriptor and return the exit code."""
    from qmri_bids.cli.boutiques.descriptor import descriptor, written
    from qmri_bids.cli.parsing.parser import build_parser

    text = written(descriptor(build_parser()))
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"qmri-tools boutiques: {error}", file=sys.stderr)
        return 2
    return 0
