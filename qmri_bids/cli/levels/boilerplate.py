"""`--boilerplate-only`: the methods text of what would be processed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.cli.levels.participant import processing_options
from qmri_bids.cli.options.data import part_asked_for
from qmri_bids.reports.citation import write_citation
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.methods import method_sentences


def write_boilerplate(plans: Sequence[SessionPlan], *, options: argparse.Namespace) -> Path:
    """Write the methods text and its references as if the runs had been processed; nothing is computed.

    Parameters
    ----------
    plans
        What was found.
    options
        The command line.

    Returns
    -------
    Path
        `logs/CITATION.md`. Participants that other calls have processed stand in it, too.
    """
    methods = {}
    for subject in dict.fromkeys(plan.subject for plan in plans if plan.runs):
        runs = [run for plan in plans if plan.subject == subject for run in plan.runs]
        methods[subject] = method_sentences(
            runs, processing_options(options, subject=subject, cache=options.work_dir / "spaces")
        )
    return write_citation(methods, output_dir=options.output_dir, part=part_asked_for(options))
