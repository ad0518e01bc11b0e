"""How anatomy and other spaces enter the workflow of a run, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.pipeline import engine as pe

from qmri_bids.bids.anatomy.given import GIVEN_FIELDS
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.applied import mask_reader
from qmri_bids.pipeline.mask.nodes import MaskBrain
from qmri_bids.pipeline.motion.series_nodes import ClassifyTissue
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.spaces.nodes import PutInSpaces
from qmri_bids.pipeline.spaces.regions import SeriesOfRun

_MANY = ("t1w_tpms", "anat2std_xfm", "std2anat_xfm", "std_reference")


class _TakeAnatomyInput(BaseInterfaceInputSpec):
    pipeline = traits.Str(mandatory=True, desc="what made the anatomy")
    spaces = traits.List(traits.Str, desc="spaces in which maps are wanted")
    templates = traits.Any(desc="templates on disk by their label")
    atlas = traits.Any(desc="Atlas; none for none")
    t1w_preproc = File(exists=True, mandatory=True, desc=GIVEN_FIELDS["t1w_preproc"])
    t1w_mask = File(exists=True, desc=GIVEN_FIELDS["t1w_mask"])
    t1w_dseg = File(exists=True, desc=GIVEN_FIELDS["t1w_dseg"])
    t1w_tpms = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["t1w_tpms"])
    template = InputMultiObject(traits.Str, desc=GIVEN_FIELDS["template"])
    anat2std_xfm = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["anat2std_xfm"])
    std2anat_xfm = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["std2anat_xfm"])
    std_reference = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["std_reference"])


class _TakeAnatomyOutput(TraitedSpec):
    anatomy = traits.Any(desc="Anatomy")
    files = traits.List(File(exists=True), desc="its files")


class TakeAnatomy(SimpleInterface):
    """Check what another workflow hands over, and whether the spaces asked for can be had with it."""

    input_spec = _TakeAnatomyInput
    output_spec = _TakeAnatomyOutput
    needs = NodeMemory(fixed=200e6)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.anatomy.given import given_anatomy
        from qmri_bids.bids.anatomy.spaces import check_spaces

        inputs = self.inputs
        found: dict[str, Any] = {}
        for name in GIVEN_FIELDS:
            value = getattr(inputs, name)
            if not isdefined(value):
                continue
            if name == "template":
                found[name] = list(value)
            elif name in _MANY:
                found[name] = [Path(each) for each in value]
            else:
                found[name] = Path(value)
        anatomy = given_anatomy(pipeline=inputs.pipeline, **found)
        check_spaces(
            inputs.spaces if isdefined(inputs.spaces) else (),
            atlas=inputs.atlas if isdefined(inputs.atlas) else None,
            anatomies={inputs.pipeline: anatomy},
            templates=inputs.templates if isdefined(inputs.templates) else None,
        )
        self._results["anatomy"] = anatomy
        self._results["files"] = [str(path) for path in anatomy.paths]
        return runtime


FILE_OUTPUTS = ("files", "maps")
"""Outputs of the workflow of a run that name what it wrote."""


def given_fields(options: ProcessingOptions) -> tuple[str, ...]:
    """Return the inputs of the workflow of a run by which the anatomy is handed over; none where it is found on disk."""
    return options.spaces.given.fields if options.spaces.given is not None else ()


def mask_node(
    options: ProcessingOptions, *, entities: Mapping[str, str], label: str = "", name: str = "mask_brain"
) -> pe.Node:
    """Return the node that finds the brain: by the mask of an earlier call, or the anatomy of the session, where there is one.

    Parameters
    ----------
    options
        Choices of the processing, with the spaces and anatomies.
    entities
        Entities of the raw run.
    label
        Label of the run, by which its earlier mask is known.
    name
        Name of the node; one that reads a mask has another.
    """
    anatomy = options.spaces.anatomy_of(entities.get("ses"))
    given = options.earlier_mask(label)
    if given is not None:
        return mask_reader(given, anatomy=anatomy, options=options)
    if anatomy is None and options.spaces.given is None:
        return pe.Node(MaskBrain(method=options.mask_method), name=name)
    from qmri_bids.pipeline.anatomy.nodes import MaskByAnatomy

    if anatomy is None:  # `connect_spaces` connects the one that is handed over
        return pe.Node(MaskByAnatomy(use_masks=options.spaces.use_masks, method=options.mask_method), name=name)
    return pe.Node(
        MaskByAnatomy(anatomy=anatomy, use_masks=options.spaces.use_masks, method=options.mask_method), name=name
    )


def tissue_node(
    workflow: pe.Workflow, *, options: ProcessingOptions, entities: Mapping[str, str], mask: pe.Node
) -> pe.Node:
    """Return the node that tells tissues: those of the anatomy where it gives them, else those of a map.

    Parameters
    ----------
    workflow
        Workflow of the run.
    options
        Choices of the processing, with the spaces and anatomies.
    entities
        Entities of the raw run.
    mask
        Node of `mask_node`.
    """
    if not gives_tissues(options, entities=entities):
        node = pe.Node(ClassifyTissue(), name="classify_tissue")
        workflow.connect(mask, "kind", node, "kind")
        return node
    from qmri_bids.pipeline.anatomy.nodes import TissueByAnatomy

    node = pe.Node(TissueByAnatomy(), name="classify_tissue")
    workflow.connect([(mask, node, [("tissue", "given"), ("kind", "kind")])])
    return node


def gives_tissues(options: ProcessingOptions, *, entities: Mapping[str, str]) -> bool:
    """Whether the node that finds the brain gives tissues too (where the registration succeeds)."""
    anatomy = options.spaces.given or options.spaces.anatomy_of(entities.get("ses"))
    return anatomy is not None and options.spaces.use_masks and anatomy.has_tissues


def connect_spaces(
    workflow: pe.Workflow,
    *,
    options: ProcessingOptions,
    entities: Mapping[str, str],
    mask: pe.Node,
    estimate: tuple[Any, str],
    write: pe.Node,
    describe: pe.Node,
    bids_dir: Path,
    output_dir: Path,
    series: SeriesOfRun | None = None,
) -> None:
    """Put what was written into other spaces before it is described, and connect the anatomy that is handed over.

    Parameters
    ----------
    workflow
        Workflow of the run; its `inputnode` has `given_fields`, and its `outputnode` takes `FILE_OUTPUTS`.
    options
        Choices of the processing, with the spaces and anatomies.
    entities
        Entities of the raw run.
    mask
        Node of `mask_node`.
    estimate
        Node and output with the maps (npz).
    write, describe
        Nodes that write and describe.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    series
        What a fingerprint consists of, for the curves of regions; None for other runs.
    """
    anatomy = options.spaces.anatomy_of(entities.get("ses"))
    node = pe.Node(
        PutInSpaces(
            entities=dict(entities),
            spaces=list(options.spaces.spaces),
            cache="" if options.spaces.cache is None else str(options.spaces.cache),
            bids_dir=str(bids_dir),
            output_dir=str(output_dir),
        ),
        name="put_in_spaces",
    )
    if options.spaces.templates:
        node.inputs.templates = dict(options.spaces.templates)
        node.inputs.template_files = [str(path) for each in options.spaces.templates.values() for path in each.paths]
    if options.spaces.atlas is not None:
        node.inputs.atlas = options.spaces.atlas
        if series is not None:
            node.inputs.series = series
    if anatomy is not None:
        node.inputs.anatomy = anatomy
        node.inputs.use_masks = options.spaces.use_masks
        workflow.connect(mask, "registration", node, "registration")
    if options.spaces.given is not None:
        _connect_given(workflow, options=options, to=(mask, node))
        node.inputs.use_masks = options.spaces.use_masks
        workflow.connect(mask, "registration", node, "registration")
    workflow.connect(
        [
            (node, workflow.get_node("outputnode"), [(each, each) for each in FILE_OUTPUTS]),
            (mask, node, [("mask", "mask"), ("magnitude", "magnitude"), ("kind", "kind")]),
            (write, node, [("files", "files")]),
            (node, describe, [("files", "outputs"), ("additions", "additions")]),
        ]
    )
    workflow.connect(estimate[0], estimate[1], node, "estimate")


def _connect_given(workflow: pe.Workflow, *, options: ProcessingOptions, to: Sequence[pe.Node]) -> None:
    """Connect the anatomy that is handed over to the nodes that need it."""
    given = options.spaces.given
    assert given is not None
    take = pe.Node(TakeAnatomy(pipeline=given.pipeline, spaces=list(options.spaces.spaces)), name="take_anatomy")
    if options.spaces.templates:
        take.inputs.templates = dict(options.spaces.templates)
    if options.spaces.atlas is not None:
        take.inputs.atlas = options.spaces.atlas
    workflow.connect([(workflow.get_node("inputnode"), take, [(field, field) for field in given.fields])])
    workflow.connect([(take, node, [("anatomy", "anatomy"), ("files", "anatomy_files")]) for node in to])
