"""Reports of runs as their workflows leave them, and the page of a participant made of them by another pipeline."""

from __future__ import annotations

import datetime
import pickle
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, File, SimpleInterface, TraitedSpec, traits

from qmri_bids import __version__
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.reports.content import RunReport, SubjectReport
from qmri_bids.scans.session_plan import SessionPlan

SOFTWARE = ("numpy", "scipy", "torch", "antspyx", "dipy", "nilearn", "scikit-image", "nibabel", "nipype")
"""Packages whose versions a report names."""


def load_run_report(path: str | Path) -> RunReport:
    """Return the report of a run.

    Parameters
    ----------
    path
        The output `report` of the workflow of a run, one of `reports` of that of a participant.
    """
    report = pickle.loads(Path(path).read_bytes())
    if not isinstance(report, RunReport):
        raise ValueError(f"{path}: expected the report of a run, found {type(report).__name__}")
    return report


def write_participant_report(
    reports: Sequence[str | Path],
    *,
    plan: SessionPlan,
    options: ProcessingOptions,
    output_dir: Path,
    bids_dir: Path,
    command: str,
) -> Path:
    """Write `sub-<label>.html` as the program does, for a pipeline that has embedded the workflow.

    Parameters
    ----------
    reports
        The output `reports` of `init_qmri_wf`.
    plan
        From `plan_participant`: what it refuses stands in the report, too.
    options
        As given to `init_qmri_wf`.
    output_dir, bids_dir
        Roots of the derivatives and of the raw dataset.
    command
        What was run, for the reader.

    Returns
    -------
    Path
        The page; the figures of the runs lie beside it in `sub-<label>/figures`.
    """
    from qmri_bids.reports.methods import methods_text
    from qmri_bids.reports.render import write_report
    from qmri_bids.workflows.methods import method_sentences

    text, references = methods_text(method_sentences(plan.runs, options))
    report = SubjectReport(
        participant=plan.subject,
        version=__version__,
        command=command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        software={"Python": platform.python_version()} | {name: version(name) for name in SOFTWARE},
        runs=tuple(load_run_report(path) for path in reports),
        refusals=tuple(str(refusal) for refusal in plan.refusals),
        decisions=plan.notes,
        methods=text,
        references=references,
        bids_dir=bids_dir.name,
        output_dir=output_dir.name,
        exit_status=1 if plan.refusals else 0,
    )
    return write_report(report, output_dir / f"sub-{plan.subject}.html")


class _WriteParticipantReportInput(BaseInterfaceInputSpec):
    reports = traits.List(File(exists=True), mandatory=True, desc="report of each run")
    plan = traits.Any(mandatory=True, desc="SessionPlan")
    options = traits.Any(mandatory=True, desc="ProcessingOptions")
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    command = traits.Str(mandatory=True, desc="what was run, for the reader")


class _WriteParticipantReportOutput(TraitedSpec):
    page = File(exists=True, desc="sub-<label>.html")


class WriteParticipantReport(SimpleInterface):
    """Write the page of a participant in a workflow around `init_qmri_wf`."""

    input_spec = _WriteParticipantReportInput
    output_spec = _WriteParticipantReportOutput
    needs = NodeMemory(fixed=400e6)

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        page = write_participant_report(
            inputs.reports,
            plan=inputs.plan,
            options=inputs.options,
            output_dir=Path(inputs.output_dir),
            bids_dir=Path(inputs.bids_dir),
            command=inputs.command,
        )
        self._results["page"] = str(page)
        return runtime
