"""The workflow of a B1+ map: relative B1, smooth and whole, on the grid of the scan that needs it."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.pipeline.b1_source import B1Run
from qmri_bids.scans.b1.nodes import AlignB1

B1_FIELDS = ("b1_maps", "b1_magnitude")
"""Inputs of the workflow of a run that hold B1 of another run."""


def b1_fields(run: B1Run | None) -> tuple[str, ...]:
    """Return the inputs that the workflow of a run needs for its B1 map: none for a B1 scan."""
    return B1_FIELDS if run is not None and run.run is not None else ()


def init_b1_wf(*, name: str = "b1_wf") -> pe.Workflow:
    """Bring a B1+ map to the grid of another scan.

    Parameters
    ----------
    name
        Name of the workflow.

    Inputs
    ------
    b1_run
        The `B1Run`.
    magnitude, mask
        Mean magnitude and brain mask of the target scan.
    maps, image
        Maps of the run that measured B1 (npz with `b1`) and the image by which they are registered; only where `b1_run.run` is one.

    Outputs
    -------
    b1
        Actual over nominal flip angle on the grid of the target.
    registration
        Transform, similarity, measured voxels, codes, standard deviation and the aligned anatomical image (npz).
    decisions, warnings
        Sentences.
    """
    workflow = pe.Workflow(name=name)
    workflow.__desc__ = "The B1+ map was registered rigidly by its anatomical image, and replaced by a smooth surface."
    inputs = ["b1_run", "magnitude", "mask", "maps", "image"]
    outputs = ["b1", "registration", "decisions", "warnings"]
    inputnode = pe.Node(IdentityInterface(fields=inputs), name="inputnode")
    outputnode = pe.Node(IdentityInterface(fields=outputs), name="outputnode")
    align_b1 = pe.Node(AlignB1(), name="align_b1")
    workflow.connect(
        [
            (inputnode, align_b1, [(name, name) for name in inputs]),
            (align_b1, outputnode, [(name, name) for name in outputs]),
        ]
    )
    return workflow


def add_b1_wf(workflow: pe.Workflow, run: B1Run, *, mask: pe.Node, inputnode: pe.Node | None = None) -> pe.Workflow:
    """Add the workflow of a B1+ map to that of a run and return it.

    Parameters
    ----------
    workflow
        Of the run.
    run
        How B1 was measured.
    mask
        Node of the run with `magnitude` and `mask`.
    inputnode
        Node of the run that has `B1_FIELDS` where B1 comes from another run.
    """
    b1_wf = init_b1_wf()
    b1_wf.inputs.inputnode.b1_run = run
    workflow.connect([(mask, b1_wf, [("magnitude", "inputnode.magnitude"), ("mask", "inputnode.mask")])])
    if b1_fields(run) and inputnode is not None:
        fields = [("b1_maps", "inputnode.maps"), ("b1_magnitude", "inputnode.image")]
        workflow.connect([(inputnode, b1_wf, fields)])
    return b1_wf
