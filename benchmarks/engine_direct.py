"""The steps of the demo called one after the other in one process: no engine, no record of what is done, no other process.

    python benchmarks/engine_direct.py BIDS_DIR FOLDER PROCESSES

Takes the order of the steps and what each hands on from the workflow, and nothing else of Nipype.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import networkx
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine.utils import evaluate_connect_function

from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.workflows import init_qmri_wf, plan_participant


def run_directly(bids_dir: Path, folder: Path, *, processes: int) -> None:
    """Run all steps of a participant."""
    options = ProcessingOptions(estimator="pinn", processes=processes)
    plan = plan_participant(bids_dir=bids_dir, subject="01", options=options)
    workflow = init_qmri_wf(
        runs=plan.runs,
        options=options,
        bids_dir=bids_dir,
        output_dir=folder / "out",
        work_dir=folder / "work",
    )
    graph = workflow._create_flat_graph()
    outputs: dict[Any, dict[str, Any]] = {}
    for number, node in enumerate(networkx.topological_sort(graph)):
        for source, _, edge in graph.in_edges(node, data=True):
            for output, name in edge["connect"]:
                value = outputs[source][output] if isinstance(output, str) else _computed(output, outputs[source])
                node.set_input(name, value)
        if isinstance(node.interface, IdentityInterface):
            outputs[node] = node.inputs.get()
            continue
        place = folder / "steps" / f"{number:02d}_{node.name}"
        place.mkdir(parents=True)
        outputs[node] = node.interface.run(cwd=str(place)).outputs.get()


def _computed(output: tuple[Any, ...], values: dict[str, Any]) -> Any:
    name, function, arguments = output
    return evaluate_connect_function(function, arguments, values[name])


if __name__ == "__main__":
    run_directly(Path(sys.argv[1]), Path(sys.argv[2]), processes=int(sys.argv[3]))
