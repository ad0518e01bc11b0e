"""`--boilerplate-only`: the methods text of what would be processed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.plan import SessionPlan
from qmri_bids.cli.data_options import part_asked_for
from qmri_bids.cli.participant import processing_options
from qmri_bids.reports.citation import write_citation
from qmri_bids.workflows.method_steps import method_steps


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
    steps = {}
    for subject in dict.fromkeys(plan.subject for plan in plans if plan.runs):
        runs = [run for plan in plans if plan.subject == subject for run in plan.runs]
        steps[subject] = method_steps(
            runs, processing_options(options, subject=subject, cache=options.work_dir / "spaces")
        )
    return write_citation(steps, output_dir=options.output_dir, part=part_asked_for(options))
