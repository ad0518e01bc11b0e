"""`qmri-tools import`: make a BIDS dataset of a folder of converted images."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qmri_bids.importing.run import Imported

DESCRIPTION = (
    "Make a BIDS dataset of a folder of NIfTI and JSON files, as dcm2niix writes them, and of arrays (.npy, .npz, .mat) with a "
    "JSON description. Files are recognised by their metadata, then by their names; a table says what each was taken for, and may "
    "be corrected and given again. Nothing of FOLDER is changed. Exit code: 0 all that was recognised is in the dataset, "
    "1 something was refused, 2 wrong command line or folder, 3 nothing was recognised. See docs/importing.md."
)


def add_import(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser(
        "import", help="make a BIDS dataset of a folder of converted images", description=DESCRIPTION
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images with their JSON files, in any depth")
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="the dataset; made, or added to")
    parser.add_argument(
        "--subject",
        metavar="LABEL",
        help="label of the participant; default: 01, unless the dataset holds that one, made of other files",
    )
    parser.add_argument("--session", default="", metavar="LABEL", help="label of the session; default: no sessions")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="a table of an earlier call (BIDS_DIR/code/import_sub-….tsv), corrected: its columns taken_for, part, "
        "scan, increment, "
        "flip and mt win over what is recognised",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of the dataset that have the name of a new one but differ from it; without it, such a scan is refused. "
        "Other files are never touched",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="write the table alone, to be looked at and given again by --table"
    )
    parser.set_defaults(run=run_import)


def run_import(options: argparse.Namespace) -> int:
    """Import and return the exit code."""
    from qmri_bids.importing.run import import_folder

    try:
        done = import_folder(
            options.folder,
            options.bids_dir,
            subject=options.subject or "01",
            subject_is_given=options.subject is not None,
            session=options.session,
            table=options.table,
            overwrite=options.overwrite,
            dry_run=options.dry_run,
        )
    except ValueError as error:
        print(f"qmri-tools import: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        from qmri_bids.cli.failures import describe_failure

        print(f"qmri-tools import: {describe_failure(error, output_dir=None, command='')}", file=sys.stderr)
        return 1
    _say(done, options)
    return done.exit_code


def _say(done: Imported, options: argparse.Namespace) -> None:
    from qmri_bids.cli.failures import say
    from qmri_bids.importing.table import shown

    width = shutil.get_terminal_size((120, 24)).columns
    number = {
        state: sum(row.status == state for row in done.rows)
        for state in ("written", "to be written", "there already", "refused", "left alone")
    }
    lines = [shown(done.rows, width=width), ""] if done.rows else ["No image was found.", ""]
    lines.append(
        "Files: " + ", ".join(f"{count} {state}" for state, count in number.items() if count) + "." if done.rows else ""
    )
    if done.dataset_files:
        lines.append(f"Written or added to in {options.bids_dir}: {', '.join(done.dataset_files)}.")
    lines.append(f"Table: {done.table}")
    if number["refused"] or number["to be written"] or not (number["written"] or number["there already"]):
        lines.append(
            f"Correct it (taken_for, part, scan, increment, flip, mt) and import again with --table {done.table}"
            " (and --overwrite, where that changes files that are there)"
        )
    if number["written"]:
        lines.append(f"Check with: qmri_bids {options.bids_dir} OUT_DIR participant --dry-run")
    say("\n".join(lines).strip("\n"))
