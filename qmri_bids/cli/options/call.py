"""The options of the call itself: where it takes its options from, and how much of the work it does."""

from __future__ import annotations

from pathlib import Path

from qmri_bids.cli.parsing.option import Option, OptionGroup, Relation

MODES = ("dry_run", "reports_only", "boilerplate_only")
"""Options of which a call takes one at most."""

AT_LEVEL_GROUP = Relation(
    ("analysis_level",),
    "{option} goes with the level participant alone, found group: call that level by itself, without {option}",
    ("group",),
)

NOTHING_COMPUTED = (Relation(MODES, "{option} goes with a call that computes, found {others}"),)
"""What an option says that means nothing to a call that computes nothing."""


def _other_modes(mode: str) -> Relation:
    others = tuple(other for other in MODES if other != mode)
    return Relation(others, "{option} and {others} exclude each other: give one of them")


CALL = OptionGroup(
    title="the call",
    rows=(
        Option(
            name="--config-file",
            type=Path,
            metavar="FILE",
            help="TOML file of options, named as here without the dashes in front; what the command line says takes precedence. "
            "Each call leaves such a file in output_dir/logs",
            in_file=False,
        ),
        Option(
            name="--dry-run",
            also=("--check",),
            action="store_true",
            help="print what would be processed, the protocol and where each value came from, what is refused and why; compute "
            "nothing",
            excluded_by=(_other_modes("dry_run"), AT_LEVEL_GROUP),
        ),
        Option(
            name="--reports-only",
            action="store_true",
            help="write the reports again from what work_dir keeps, with the options of the call that made it; compute nothing",
            excluded_by=(
                _other_modes("reports_only"),
                Relation(("clean_workdir",), "{option} needs what {others} empties: give one of the two"),
                AT_LEVEL_GROUP,
            ),
        ),
        Option(
            name="--boilerplate-only",
            action="store_true",
            help="write only the methods text and its references (output_dir/logs/CITATION.*) of what would be processed",
            excluded_by=(_other_modes("boilerplate_only"), AT_LEVEL_GROUP),
        ),
    ),
)
