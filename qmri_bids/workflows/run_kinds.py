"""What is done with each kind of run, and the workflow of a participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, SimpleInterface, TraitedSpec, isdefined, traits
from nipype.interfaces.io import add_traits
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.anatomy.workflow import given_fields
from qmri_bids.pipeline.options import FULL, ProcessingOptions
from qmri_bids.pipeline.results.fits_alone import keep_fits_alone
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.scans.bssfp.workflow import PCBSSFP
from qmri_bids.scans.fields.workflow import B0_SCAN, B1_SCAN
from qmri_bids.scans.pools.workflow import EXCHANGE
from qmri_bids.scans.saturation.workflow import CEST, MT_KINDS
from qmri_bids.scans.transfer.workflow import TRANSFER

PER_RUN = {"files": "files", "maps": "maps", "report": "reports", "mask": "masks", "magnitude": "magnitudes"}
"""Outputs of the workflow of a run, and what they are called where they are of all runs."""


class _CollectRunsOutput(TraitedSpec):
    labels = traits.List(traits.Str, desc="names of the runs, in the order of the lists below")
    files = traits.List(traits.Str, desc="files written of all runs, those of the first run first")
    maps = traits.List(traits.Dict, desc="images of each run by what they show, for `select_map`")
    reports = traits.List(traits.Str, desc="report of each run, for `load_run_report`")
    masks = traits.List(traits.Str, desc="brain mask of each run")
    magnitudes = traits.List(traits.Str, desc="mean magnitude of each run")


class CollectRuns(SimpleInterface):
    """Make one list of each output of the runs.

    Parameters
    ----------
    labels
        Names of the runs; its inputs are called by `collected`.
    """

    input_spec = DynamicTraitedSpec
    output_spec = _CollectRunsOutput
    needs = NodeMemory(fixed=200e6)

    def __init__(self, *, labels: Sequence[str] = (), **arguments: Any) -> None:
        super().__init__(**arguments)
        self._labels = list(labels)
        add_traits(self.inputs, [collected(number, what) for number in range(len(labels)) for what in PER_RUN])

    def _run_interface(self, runtime: Any) -> Any:
        self._results["labels"] = self._labels
        for what, name in PER_RUN.items():
            values = [getattr(self.inputs, collected(number, what)) for number in range(len(self._labels))]
            missing = [label for label, value in zip(self._labels, values, strict=True) if not isdefined(value)]
            if missing:
                raise ValueError(f"{what}: expected one of each run, found none of {', '.join(missing)}")
            self._results[name] = [each for value in values for each in value] if what == "files" else values
        return runtime


def collected(number: int, what: str) -> str:
    """Return the input of `CollectRuns` for an output of a run."""
    return f"run{number}_{what}"


RUN_KINDS: Mapping[str, RunKind] = {
    "pcbssfp": PCBSSFP,
    "z-spectrum": CEST,
    "wasabi": CEST,
    "wassr": CEST,
    "exchange": EXCHANGE,
    "transfer": TRANSFER,
    **MT_KINDS,
    "b1": B1_SCAN,
    "b0": B0_SCAN,
}
"""By the `kind` of the run."""


def run_name(run: Run) -> str:
    """Return the name of the workflow of a run: its entities without signs that Nipype does not take."""
    return f"{RUN_KINDS[run.kind].prefix}_" + run.label.replace("-", "_").replace("+", "p") + "_wf"


def report_file(work_dir: Path, run: Run) -> Path:
    """Return where the report of a run is kept until the report of the participant is written."""
    return work_dir / "reports" / f"{run.label}.pickle"


def init_qmri_wf(
    *,
    runs: Sequence[Run],
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    work_dir: Path,
    name: str = "qmri_wf",
) -> pe.Workflow:
    """Process all runs of a participant.

    Parameters
    ----------
    runs
        Runs that passed the checks: those of `plan_participant`.
    options
        Estimator, steps to leave out, processes, and what a workflow around this one hands over (`options.spaces.given`).
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    work_dir
        Folder of intermediate results.
    name
        Name of the workflow.

    Inputs
    ------
    t1w_preproc, t1w_mask, …
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names; no other, and none without it.

    Outputs
    -------
    labels
        Names of the runs, in the order of the lists that follow.
    files
        All files written, sidecars left out.
    maps
        For each run the images by what they show; `select_map` takes one out.
    reports
        For each run its report, for `load_run_report`.
    masks, magnitudes
        For each run the brain mask and the mean magnitude.

    Returns
    -------
    nipype.pipeline.engine.Workflow
        One workflow a run, named by `run_name`; a run takes maps from those of other runs that it needs. The outputs are there
        when all runs have ended well; those of one run alone are those of its own workflow: `<run_name>.outputnode.maps`. With
        `options.level` "minimal" or "resampling" it has no outputs: masks and motion are found and written.

    Raises
    ------
    ValueError
        If there is no run.
    """
    if not runs:
        raise ValueError("init_qmri_wf: expected at least one run, found none; see what the plan refuses, and why")
    workflow = pe.Workflow(name=name, base_dir=str(work_dir))
    workflow.__desc__ = "Quantitative maps were computed run by run."
    parts = {
        run.label: RUN_KINDS[run.kind].init(
            run=run,
            options=options,
            bids_dir=bids_dir,
            output_dir=output_dir,
            report_file=report_file(work_dir, run),
            name=run_name(run),
        )
        for run in runs
    }
    workflow.add_nodes(list(parts.values()))
    if options.level != FULL:
        for run in runs:
            keep_fits_alone(
                parts[run.label],
                run=run,
                options=options,
                bids_dir=bids_dir,
                output_dir=output_dir,
                report_file=report_file(work_dir, run),
            )
        return workflow
    _connect_ends(workflow, list(parts.values()), labels=list(parts), fields=given_fields(options))
    for run in runs:
        for take in run.takes:
            workflow.connect(
                [
                    (
                        parts[take.giver],
                        parts[run.label],
                        [
                            ("outputnode.estimate", f"inputnode.{take.key}_maps"),
                            ("outputnode.magnitude", f"inputnode.{take.key}_magnitude"),
                        ],
                    )
                ]
            )
    return workflow


def _connect_ends(
    workflow: pe.Workflow, parts: Sequence[pe.Workflow], *, labels: Sequence[str], fields: Sequence[str]
) -> None:
    """Give the workflow of a participant its inputs and outputs."""
    inputnode = pe.Node(IdentityInterface(fields=list(fields)), name="inputnode") if fields else None
    outputs = ["labels", *PER_RUN.values()]
    outputnode = pe.Node(IdentityInterface(fields=outputs), name="outputnode")
    # It only makes lists: no job of a cluster is worth that.
    collect = pe.Node(CollectRuns(labels=labels), name="collect_runs", run_without_submitting=True)
    for number, part in enumerate(parts):
        workflow.connect([(part, collect, [(f"outputnode.{what}", collected(number, what)) for what in PER_RUN])])
        if inputnode is not None:
            workflow.connect([(inputnode, part, [(field, f"inputnode.{field}") for field in fields])])
    workflow.connect([(collect, outputnode, [(each, each) for each in outputs])])
