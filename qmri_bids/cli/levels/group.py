"""The group level of `qmri_bids`: the records of all participants in tables and on one page."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter

from qmri_bids import __version__
from qmri_bids.cli.failures import say
from qmri_bids.cli.options.outputs import PROGRAM

logger = logging.getLogger("qmri_bids")

DONE, INCOMPLETE, USAGE, NOTHING = 0, 1, 2, 3


def run_group(options: argparse.Namespace) -> int:
    """Collect the participants of a dataset and return the exit code.

    Parameters
    ----------
    options
        The command line: `bids_dir`, `output_dir`, `participant_label`, `command`.

    Returns
    -------
    int
        0 if every run of every participant was processed, of those who have any; 1 if one failed, was refused or is missing, or a
        record cannot be read (all is written); 2 if `bids_dir` has no participants or not those asked for; 3 if there is no
        record at all.
    """
    from qmri_bids.bids.description import write_bidsignore
    from qmri_bids.bids.layout import BidsInputError, select_subjects
    from qmri_bids.group.collect import collect_group
    from qmri_bids.group.findings import findings_of
    from qmri_bids.group.page import write_page
    from qmri_bids.group.tables import write_tables

    try:
        participants = select_subjects(options.bids_dir, options.participant_label)
    except BidsInputError as error:
        print(f"qmri_bids: error: {error}", file=sys.stderr)
        return USAGE
    group = collect_group(options.output_dir, participants=participants, only=bool(options.participant_label))
    if not group.recorded:
        print(
            f"qmri_bids: no record of any participant found in {options.output_dir} (sub-<label>/log/sub-<label>_record.json). "
            f"Process participants first: qmri_bids BIDS_DIR OUT_DIR participant.{_others(options)}",
            file=sys.stderr,
        )
        return NOTHING
    write_bidsignore(options.output_dir)
    findings = findings_of(group, output_dir=options.output_dir, bids_dir=options.bids_dir)
    tables = write_tables(findings, output_dir=options.output_dir)
    page = write_page(findings, output_dir=options.output_dir, version=__version__, command=options.command)
    for sentence in findings.sentences:
        logger.warning("%s", sentence)
    for run in group.amiss:
        name = "_".join(filter(None, (f"sub-{run.participant}", run.record.name if run.record else "")))
        say(f"{name}: {run.state.upper()}: {run.message}")
    counts = Counter(run.state for run in group.runs)
    say(
        f"{len(group.recorded)} of {len(group.participants)} participants have a record; runs: "
        + ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    )
    for path in (page, *tables):
        say(str(path))
    return DONE if group.complete else INCOMPLETE


def _others(options: argparse.Namespace) -> str:
    """Return which sets of options have been processed, where each has a folder of its own."""
    there = sorted(path.name for path in options.output_root.glob(f"{PROGRAM}-*-*") if path.is_dir())
    if not there:
        return ""
    return f" Other options have been processed there: {', '.join(there)}; give those of the participants to the group, too."
