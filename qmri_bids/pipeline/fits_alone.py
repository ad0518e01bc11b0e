"""A run of which only masks and motion are wanted: its workflow up to there, and a report of them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import map_metadata, raw_uris
from qmri_bids.bids.write import atomic_path, write_map
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.files import files_of_run
from qmri_bids.pipeline.earlier.mask_record import file_of_person, mask_output, mask_record
from qmri_bids.pipeline.mask.keep import KEEPING_NODES, joined
from qmri_bids.pipeline.mask.report import MASK_LIGHTS, with_mask
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.reports.content import Check, RunReport

ONLY_FITS = "Only mask and motion were found (--level minimal): a later call applies them, from the same work folder or by --derivatives."
NOTHING = "Nothing of this run is needed by a later call (--level minimal): it has no mask and no motion of its own."


class _DescribeFitsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="the run")
    partials = InputMultiObject(File(exists=True), desc="reports of mask and motion as they were kept")
    mask = File(exists=True, desc="mask of the aligned images")
    found = traits.Dict(desc="what it holds and what speaks for it")
    bids_dir = traits.Str(mandatory=True, desc="root of the raw dataset")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    report_file = traits.Str(mandatory=True, desc="where the report is kept for that of the participant")


class _DescribeFitsOutput(TraitedSpec):
    report = File(exists=True, desc="report of the run (pickle)")


class DescribeFits(SimpleInterface):
    """Write the mask of the aligned images, and make one report of mask and motion."""

    input_spec = _DescribeFitsInput
    output_spec = _DescribeFitsOutput
    needs = NodeMemory(fixed=400e6, per_voxel=20)

    def _run_interface(self, runtime: Any) -> Any:
        inputs, run, root = self.inputs, self.inputs.run, Path(self.inputs.output_dir)
        parts = (
            [pickle.loads(Path(path).read_bytes()) for path in inputs.partials] if isdefined(inputs.partials) else []
        )
        report = RunReport(
            title=run.title,
            session=run.entities.get("ses", ""),
            entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
            decisions=(NOTHING,),
        )
        if parts:
            report = joined(parts, ending=ONLY_FITS)
            report = with_mask(replace(report, checks=_but_first_mask(report)), inputs.found)
            path = self._write_mask()
            report = replace(report, outputs=tuple(dict.fromkeys([*report.outputs, path.relative_to(root).as_posix()])))
        own = {root / name for name in report.outputs}
        others = [
            path
            for entities in run.all_entities
            for path in files_of_run(entities, output_dir=root)
            if path not in own and path.name.endswith(".nii.gz")
        ]
        if others:
            left = f"{len(others)} other images of this run in the output folder are those of an earlier call."
            report = replace(report, decisions=(*report.decisions, left))
        target = Path(inputs.report_file)
        with atomic_path(target) as temporary:
            temporary.write_bytes(pickle.dumps(report))
        self._results["report"] = str(target)
        return runtime

    def _write_mask(self) -> Path:
        """Write the mask under its name, unless a person has made the one that is there."""
        inputs = self.inputs
        values, affine = load_volume(inputs.mask)
        mask = values > 0
        output = mask_output(inputs.found["kind"])
        path = output_path(Path(inputs.output_dir), entities=inputs.run.entities, output=output)
        if not file_of_person(path, besides=mask):
            by_hand = bool(inputs.found.get("by_hand", False))
            sources = raw_uris(inputs.run.paths, bids_dir=Path(inputs.bids_dir))
            write_map(
                path,
                mask,
                affine=affine,
                metadata=map_metadata(output, sources=sources, extra=mask_record(mask, by_hand=by_hand)),
            )
        return path


def _but_first_mask(report: RunReport) -> tuple[Check, ...]:
    """Return the lights without that of the mask as scanned: that of the aligned images takes its place."""
    return tuple(check for check in report.checks if check.name not in MASK_LIGHTS)


def keep_fits_alone(
    workflow: pe.Workflow, *, run: Run, bids_dir: Path, output_dir: Path, report_file: Path
) -> pe.Workflow:
    """Leave of the workflow of a run what finds and keeps its mask and motion, and describe that.

    Parameters
    ----------
    workflow
        Workflow of any kind of run; it is changed in place and returned.
    run
        The run.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    """
    graph = workflow._graph
    keeping = [node for node in graph.nodes if node.name in KEEPING_NODES]
    keeping.sort(key=lambda node: KEEPING_NODES.index(node.name))
    masks = [node for node in graph.nodes if keeping and node.name in LAST_MASK]
    wanted = {*keeping, *masks}
    for node in tuple(wanted):
        wanted |= networkx.ancestors(graph, node)
    workflow.remove_nodes([node for node in graph.nodes if node not in wanted])
    describe = pe.Node(
        DescribeFits(run=run, bids_dir=str(bids_dir), output_dir=str(output_dir), report_file=str(report_file)),
        name="describe_run",
    )
    workflow.add_nodes([describe])
    if keeping:
        both = pe.Node(Merge(len(keeping)), name="collect_fits", run_without_submitting=True)
        workflow.connect([(node, both, [("partial", f"in{number}")]) for number, node in enumerate(keeping, start=1)])
        workflow.connect([(both, describe, [("out", "partials")])])
        workflow.connect([(masks[0], describe, [("mask", "mask"), ("found", "found")])])
    return workflow


LAST_MASK = ("mask_brain", "read_mask")
"""Names of the node that gives the mask of the aligned images."""
