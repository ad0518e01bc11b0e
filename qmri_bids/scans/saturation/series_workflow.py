"""The workflow of a run of one series of magnitudes: read, aligned, masked, estimated by a node of its kind, written, described."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.pipeline.anatomy.workflow import FILE_OUTPUTS, connect_spaces, given_fields, tissue_node
from qmri_bids.pipeline.maps.nodes import BringMaps
from qmri_bids.pipeline.mask.steps import add_mask_nodes, connect_motion
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.nodes import DescribeRun, WriteDerivatives
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.saturation.series import Said, gather, series_nodes


class SeriesWorkflow:
    """The workflow of a run of one series of magnitudes, but for the node that estimates: a kind of run adds this one.

    Parameters
    ----------
    run
        The run.
    kind
        What its kind writes and shows.
    options
        Steps to leave out, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.
    fields
        Inputs of the workflow that hold maps of other runs.
    settings
        Options of the estimation that files and report name.
    cest
        The run, if its images are saturated at offsets: then motion is told from what saturation does.
    """

    def __init__(
        self,
        run: Run,
        *,
        kind: RunKind,
        options: ProcessingOptions,
        bids_dir: Path,
        output_dir: Path,
        report_file: Path,
        name: str,
        fields: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        cest: CestRun | None = None,
    ) -> None:
        self.workflow = pe.Workflow(name=name)
        self.inputnode = pe.Node(IdentityInterface(fields=["run", *fields, *given_fields(options)]), name="inputnode")
        self.inputnode.inputs.run = run
        self.outputnode = pe.Node(
            IdentityInterface(fields=["estimate", "magnitude", "mask", "report", *FILE_OUTPUTS]), name="outputnode"
        )
        common = {"run": run, "kind": kind, "settings": settings or {}, "output_dir": str(output_dir)}
        self.write = pe.Node(WriteDerivatives(bids_dir=str(bids_dir), **common), name="write_derivatives")
        self.describe = pe.Node(DescribeRun(report_file=str(report_file), **common), name="describe_run")
        self.registrations: Said = []
        self.registered: list[str] = []
        self.run, self.options, self.bids_dir, self.output_dir = run, options, bids_dir, output_dir
        nodes = series_nodes(
            self.workflow,
            paths=run.paths,
            label=run.label,
            options=options,
            cest=cest,
        )
        self.load, self.motion, self.series = nodes.load, nodes.motion, nodes.last
        places: dict[str, Any] = {"bids_dir": bids_dir, "output_dir": output_dir}
        masks = add_mask_nodes(self.workflow, run=run, options=options, scanned=(self.load, "series"), **places)
        self.mask = masks.last
        if self.motion is not None:
            connect_motion(self.workflow, self.motion, masks=masks, run=run, **places)
        self.said: Said = nodes.said
        self.warned: Said = []
        if self.motion is not None and options.fd_threshold is not None:
            self.warned.append((self.motion, "warnings"))
        self.sentences = nodes.sentences
        if self.motion is not None:
            for node in (self.write, self.describe):
                self.workflow.connect(self.motion, "motion", node, "motions")
        self.workflow.connect(self.series, "series", self.mask, "cycles")
        self.said.append((self.mask, "decisions"))

    def estimate(self, node: pe.Node) -> None:
        """Connect the node that estimates, and all that follows it."""
        connect = self.workflow.connect
        connect(
            [
                (self.inputnode, node, [("run", "run")]),
                (self.series, node, [("series", "series")]),
                (self.load, node, [("noise", "noise")]),
                (self.mask, node, [("mask", "mask")]),
            ]
        )
        if self.motion is not None:
            connect(self.motion, "motion", node, "motion")
        self.said.append((node, "decisions"))
        tissue = tissue_node(self.workflow, options=self.options, entities=self.run.entities, mask=self.mask)
        connect([(node, tissue, [("estimate", "maps")]), (self.mask, tissue, [("mask", "mask")])])
        self.said.append((tissue, "decisions"))
        for last in (self.write, self.describe):
            connect(
                [
                    (self.series, last, [("series", "series")]),
                    (self.mask, last, [("mask", "mask"), ("magnitude", "magnitude"), ("found", "found")]),
                    (node, last, [("estimate", "estimate")]),
                    (tissue, last, [("tissue", "tissue")]),
                ]
            )
        if self.registrations:
            lasts = (self.write, self.describe)
            for last in lasts:
                last.inputs.registered = self.registered
            to = [(last, "registrations") for last in lasts]
            gather(self.workflow, self.registrations, to=to, name="collect_registrations")
        gather(self.workflow, self.said, to=[(self.describe, "decisions")], name="collect_decisions")
        self.warned.append((node, "warnings"))
        gather(self.workflow, self.warned, to=[(self.describe, "warnings")], name="collect_warnings")
        connect(
            [
                (node, self.outputnode, [("estimate", "estimate")]),
                (self.mask, self.outputnode, [("magnitude", "magnitude"), ("mask", "mask")]),
                (self.describe, self.outputnode, [("report", "report")]),
            ]
        )
        connect_spaces(
            self.workflow,
            options=self.options,
            entities=self.run.entities,
            mask=self.mask,
            estimate=(node, "estimate"),
            write=self.write,
            describe=self.describe,
            bids_dir=self.bids_dir,
            output_dir=self.output_dir,
        )
        self.workflow.__desc__ = " ".join(self.sentences)

    def bring(self, name: str, names: list[str], *, to: pe.Node, field: str) -> pe.Node:
        """Return a node that brings maps of another scan to this grid, connected to the estimating node and the outputs."""
        node = pe.Node(BringMaps(names=names), name=name)
        self.workflow.connect(
            [
                (self.mask, node, [("magnitude", "reference")]),
                (node, to, [("maps", field)]),
            ]
        )
        self.registrations.append((node, "registration"))
        self.registered.append(field)
        self.said.append((node, "decisions"))
        return node
