"""The workflow of a B1+ map: scaled, and on the grid of the scan that needs it."""

from __future__ import annotations

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.workflows.interfaces import AlignB1


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
    magnitude
        Mean magnitude of the target scan.

    Outputs
    -------
    b1
        Actual over nominal flip angle on the grid of the target.
    registration
        Transform, similarity, measured voxels and the aligned anatomical image (npz).
    decisions
        Sentences.
    """
    workflow = pe.Workflow(name=name)
    workflow.__desc__ = (
        "The B1+ map was registered rigidly to the mean bSSFP magnitude by its anatomical image and median filtered."
    )
    inputnode = pe.Node(IdentityInterface(fields=["b1_run", "magnitude"]), name="inputnode")
    outputnode = pe.Node(IdentityInterface(fields=["b1", "registration", "decisions"]), name="outputnode")
    align_b1 = pe.Node(AlignB1(), name="align_b1")
    workflow.connect(
        [
            (inputnode, align_b1, [("b1_run", "b1_run"), ("magnitude", "magnitude")]),
            (
                align_b1,
                outputnode,
                [("b1", "b1"), ("registration", "registration"), ("decisions", "decisions")],
            ),
        ]
    )
    return workflow
