"""The options of the call itself: where it takes its options from, and how much of the work it does."""

from __future__ import annotations

import argparse
from pathlib import Path

MODES = ("dry_run", "reports_only", "boilerplate_only")
"""Options of which a call takes one at most."""


def add_call_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the call to a parser."""
    call = parser.add_argument_group("the call")
    call.add_argument(
        "--config-file",
        type=Path,
        metavar="FILE",
        help="TOML file of options, named as here without the dashes in front; what the command line says takes precedence. Each "
        "call leaves such a file in output_dir/logs",
    )
    call.add_argument(
        "--dry-run",
        "--check",
        action="store_true",
        help="print what would be processed, the protocol and where each value came from, what is refused and why; compute nothing",
    )
    call.add_argument(
        "--reports-only",
        action="store_true",
        help="write the reports again from what work_dir keeps; compute nothing",
    )
    call.add_argument(
        "--boilerplate-only",
        action="store_true",
        help="write only the methods text and its references (output_dir/logs/CITATION.*) of what would be processed",
    )


def check_call_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse two options that ask for different parts of the work."""
    given = [f"--{name.replace('_', '-')}" for name in MODES if getattr(options, name)]
    if len(given) > 1:
        parser.error(f"{' and '.join(given)} exclude each other: give one of them")
    if options.reports_only and options.clean_workdir:
        parser.error("--reports-only needs what --clean-workdir empties: give one of the two")
    if given and options.analysis_level == "group":
        parser.error(f"{given[0]} goes with the level participant, found group")
