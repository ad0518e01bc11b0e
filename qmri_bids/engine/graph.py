"""The graph of the steps of a workflow as a file, for people."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from nipype.pipeline import engine as pe

from qmri_bids.bids.write import atomic_path

DRAWER = "dot"
"""Program of Graphviz that draws a graph."""


def write_graph(workflow: pe.Workflow, path: Path) -> tuple[Path, ...]:
    """Write the graph of a workflow, and draw it where Graphviz is installed.

    Parameters
    ----------
    workflow
        The workflow, with those of runs inside as boxes.
    path
        Where the graph goes, in the language of Graphviz (.dot).

    Returns
    -------
    tuple of Path
        The graph and, where it was drawn, the drawing (.svg) beside it.
    """
    with atomic_path(path) as temporary:
        workflow.write_hierarchical_dotfile(dotfilename=str(temporary), colored=True, simple_form=True)
    program = shutil.which(DRAWER)
    if program is None:
        return (path,)
    drawing = path.with_suffix(".svg")
    with atomic_path(drawing) as temporary:
        subprocess.run([program, "-Tsvg", f"-o{temporary}", str(path)], check=True, capture_output=True)
    return path, drawing
