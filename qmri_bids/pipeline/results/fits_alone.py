"""A run of which only masks, motion and transforms are wanted: its workflow up to there, and a report of them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
from qmri_bids.pipeline.earlier.mask_record import BRAIN, file_of_person, mask_output, mask_record
from qmri_bids.pipeline.mask.keep import KEEPING_NODES, joined
from qmri_bids.pipeline.mask.report import MASK_LIGHTS, with_mask
from qmri_bids.pipeline.options import RESAMPLING, ProcessingOptions
from qmri_bids.pipeline.results.report_additions import with_added
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.spaces.nodes import SpacesDone, put_in_spaces
from qmri_bids.pipeline.spaces.scan import Scan
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.reports.content import Check, RunReport

ONLY_FITS = "No maps were estimated (--level): a later call applies what was found, from the same work folder or by --derivatives."
NOTHING = "This run has no mask and no motion of its own: nothing of it is found without its maps (--level)."


class _DescribeFitsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="the run")
    partials = InputMultiObject(File(exists=True), desc="reports of mask and motion as they were kept")
    mask = File(exists=True, desc="mask of the aligned images")
    found = traits.Dict(desc="what it holds and what speaks for it")
    magnitude = File(exists=True, desc="mean of the aligned images")
    registration = File(exists=True, desc="where the run lies in the T1w image (npz)")
    anatomy = traits.Any(desc="Anatomy of the session; none for none, or where nothing is put into other spaces")
    anatomy_files = InputMultiObject(File(exists=True), desc="its files, so that changed ones are noticed")
    spaces = traits.Any(desc="SpaceOptions of transforms that are wanted; none for none")
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
            title=_title(run),
            session=run.entities.get("ses", ""),
            entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
            decisions=(NOTHING,),
        )
        if parts:
            report = joined(parts, ending=ONLY_FITS)
            report = with_mask(replace(report, title=_title(run), checks=_but_first_mask(report)), inputs.found)
            path = self._write_mask()
            files = [path]
            if isdefined(inputs.spaces):
                done = self._put_in_spaces(path, cwd=Path(runtime.cwd))
                report = with_added(report, done.additions)
                files += done.files
            written = (each.relative_to(root).as_posix() for each in files)
            report = replace(report, outputs=tuple(dict.fromkeys([*report.outputs, *written])))
        own = {root / name for name in report.outputs}
        report = replace(report, only_fits=True)
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

    def _put_in_spaces(self, mask: Path, *, cwd: Path) -> SpacesDone:
        """Write the transforms to other spaces, and the mask there."""
        inputs, spaces = self.inputs, self.inputs.spaces
        magnitude, affine = load_volume(inputs.magnitude)
        return put_in_spaces(
            files=[mask],
            scan=Scan(
                entities=inputs.run.entities,
                magnitude=np.asarray(magnitude, dtype=np.float32),
                mask=load_volume(inputs.mask)[0] > 0,
                affine=affine,
                holds_brain=inputs.found["kind"] == BRAIN,
            ),
            registration=inputs.registration if isdefined(inputs.registration) else None,
            spaces=spaces.spaces,
            atlas=None,
            anatomy=inputs.anatomy if isdefined(inputs.anatomy) else None,
            use_masks=spaces.use_masks,
            cache=spaces.cache or cwd,
            bids_dir=Path(inputs.bids_dir),
            output_dir=Path(inputs.output_dir),
            templates=spaces.templates,
        )

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


def _title(run: Run) -> str:
    """Return the heading of a run without maps, which does not promise them."""
    return f"{run.title}: masks and motion alone"


def _but_first_mask(report: RunReport) -> tuple[Check, ...]:
    """Return the lights without that of the mask as scanned: that of the aligned images takes its place."""
    return tuple(check for check in report.checks if check.name not in MASK_LIGHTS)


def keep_fits_alone(
    workflow: pe.Workflow,
    *,
    run: Run,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
) -> pe.Workflow:
    """Leave of the workflow of a run what finds and keeps its mask and motion, and describe that.

    Parameters
    ----------
    workflow
        Workflow of any kind of run; it is changed in place and returned.
    run
        The run.
    options
        With the level, and the spaces to which transforms are wanted.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    """
    graph = workflow._graph
    keeping = [node for node in graph.nodes if node.name in KEEPING_NODES]
    keeping.sort(key=lambda node: KEEPING_NODES.index(node.name))
    masks = [node for node in graph.nodes if keeping and node.name in LAST_MASK]
    wanted, ahead = set(), [*keeping, *masks]
    while ahead:  # what these need, directly or through others
        node = ahead.pop()
        if node not in wanted:
            wanted.add(node)
            ahead += graph.predecessors(node)
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
        mask = masks[0]
        workflow.connect([(mask, describe, [("mask", "mask"), ("found", "found"), ("magnitude", "magnitude")])])
        session = run.entities.get("ses")
        if options.level == RESAMPLING and options.spaces.serves(session):
            describe.inputs.spaces = options.spaces
            anatomy = options.spaces.anatomy_of(session)
            taken = workflow.get_node("take_anatomy")
            if anatomy is not None:
                describe.inputs.anatomy = anatomy
            elif taken is not None:
                workflow.connect([(taken, describe, [("anatomy", "anatomy"), ("files", "anatomy_files")])])
            if anatomy is not None or taken is not None:
                workflow.connect(mask, "registration", describe, "registration")
    return workflow


LAST_MASK = ("mask_brain", "read_mask")
"""Names of the node that gives the mask of the aligned images."""
