"""How the mask enters the workflow of a run: found first of all, kept at once, and found again where the head has moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.pipeline.anatomy.workflow import mask_node
from qmri_bids.pipeline.mask.keep import KeepMask, KeepMotion
from qmri_bids.pipeline.mask.nodes import FindBrain
from qmri_bids.pipeline.motion.nodes import CorrectMotion
from qmri_bids.pipeline.motion.series_nodes import AlignSeries
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.reports.content import Section

FITTING = (CorrectMotion, AlignSeries)
"""Interfaces that fit the motion and look at the brain alone."""


@dataclass(frozen=True, kw_only=True)
class MaskNodes:
    """The nodes of the mask of a run.

    Parameters
    ----------
    first
        Finds it in the images as scanned; None where it is given.
    last
        Gives the mask of the run with the mean of its aligned images.
    given
        File of a mask that is given.
    """

    first: pe.Node | None
    last: pe.Node
    given: Path | None


def add_mask_nodes(
    workflow: pe.Workflow,
    *,
    run: Any,
    options: ProcessingOptions,
    scanned: tuple[pe.Node, str],
    bids_dir: Path,
    output_dir: Path,
    section: Section = Section.SERIES,
) -> MaskNodes:
    """Add the nodes that find the mask and keep it; the aligned images are not yet connected to the last of them.

    Parameters
    ----------
    workflow
        Workflow of the run.
    run
        Any run.
    options
        How the brain is found, and masks that are given.
    scanned
        Node and output with the images as scanned. Its output `reference_volumes`, where it has one, says which tell the brain.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    section
        Section of the report that shows the images as scanned.
    """
    load, images = scanned
    given = options.earlier_mask(run.label)
    last = mask_node(options, entities=run.entities, label=run.label)
    keep = pe.Node(
        KeepMask(run=run, section=str(section), bids_dir=str(bids_dir), output_dir=str(output_dir)), name="keep_mask"
    )
    looking: list[pe.Node] = [last, keep]
    first = None
    if given is None:
        first = pe.Node(FindBrain(method=options.mask_method), name="find_brain")
        looking.append(first)
        workflow.connect(
            [
                (load, first, [(images, "cycles")]),
                (
                    first,
                    last,
                    [("mask", "first"), ("found", "first_found"), ("decisions", "first_decisions")],
                ),
                (first, keep, [("mask", "mask"), ("found", "found"), ("decisions", "decisions")]),
            ]
        )
    else:
        keep.inputs.mask = str(given.mask)
    workflow.connect(load, images, keep, "cycles")
    if "reference_volumes" in load.outputs.copyable_trait_names():
        for node in looking:
            workflow.connect(load, "reference_volumes", node, "volumes")
    return MaskNodes(first=first, last=last, given=None if given is None else given.mask)


def connect_motion(
    workflow: pe.Workflow,
    motion: pe.Node,
    *,
    masks: MaskNodes,
    run: Any,
    bids_dir: Path,
    output_dir: Path,
) -> None:
    """Let the motion look at the brain, the mask know of the motion, and keep the motion.

    Parameters
    ----------
    workflow
        Workflow of the run.
    motion
        Node that finds or applies the motion of the (first) series.
    masks
        Nodes of the mask, from `add_mask_nodes`.
    run
        The run, or the series of a fingerprint whose motion it is.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    """
    if type(motion.interface) in FITTING:
        if masks.first is not None:
            workflow.connect(masks.first, "mask", motion, "brain")
        else:
            motion.inputs.brain = str(masks.given)
    workflow.connect(motion, "motion", masks.last, "motion")
    keep = pe.Node(KeepMotion(run=run, bids_dir=str(bids_dir), output_dir=str(output_dir)), name="keep_motion")
    images = "cycles" if "cycles" in motion.outputs.copyable_trait_names() else "series"
    workflow.connect([(motion, keep, [("motion", "motion"), ("decisions", "decisions"), (images, "affine_of")])])
