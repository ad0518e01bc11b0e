"""A workflow run as far as one of its nodes: what that node would be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, SimpleInterface, TraitedSpec, isdefined, traits
from nipype.interfaces.io import add_traits
from nipype.pipeline import engine as pe

from qmri_bids.engine.execution import EngineOptions, run_workflow
from qmri_bids.engine.node_memory import NodeMemory


def inputs_of(workflow: pe.Workflow, name: str, *, options: EngineOptions) -> dict[str, Any]:
    """Run all that a node needs and nothing else, and return its inputs by name.

    Parameters
    ----------
    workflow
        Workflow with its nodes and its `base_dir`; the nodes below the one that is named are not run.
    name
        Full name of the node, `qmri_wf.pcbssfp_sub_01_wf.estimate_relaxation`.
    options
        Where the steps run.

    Returns
    -------
    dict
        Inputs that are set, as they are set or as other nodes have left them.

    Raises
    ------
    ValueError
        If there is no such node.
    Exception
        The error of a node that failed.
    """
    graph = workflow._create_flat_graph()
    target = next((node for node in graph.nodes if node.fullname == name), None)
    if target is None:
        raise ValueError(f"expected a node {name} in the workflow {workflow.name}, found none of that name")
    taking = TakeInputs(fields=list(target.inputs.copyable_trait_names()))
    for field, value in target.inputs.get().items():
        if isdefined(value):
            setattr(taking.inputs, field, value)
    target._interface = taking
    needed = pe.Workflow(name=workflow.name, base_dir=workflow.base_dir)
    needed._graph = graph.subgraph({target, *_above(graph, target)}).copy()
    taken: list[Any] = []

    def keep(node: Any, status: str, *_: Any) -> None:
        if status == "end" and node.fullname == name:
            taken.append(node)  # the engine runs copies, which know where their results lie

    run_workflow(needed, options=options, callback=keep)
    return dict(taken[0].result.outputs.taken)


class _TakeInputsOutput(TraitedSpec):
    taken = traits.Dict(desc="inputs that were set, by name")


class TakeInputs(SimpleInterface):
    """Stand in for the interface of a node and do nothing but keep what it is given.

    Parameters
    ----------
    fields
        Names of the inputs of that interface.
    """

    input_spec = DynamicTraitedSpec
    output_spec = _TakeInputsOutput
    needs = NodeMemory(fixed=200e6)

    def __init__(self, *, fields: Sequence[str] = (), **arguments: Any) -> None:
        super().__init__(**arguments)
        self._fields = list(fields)
        add_traits(self.inputs, self._fields)

    def _run_interface(self, runtime: Any) -> Any:
        found = {field: getattr(self.inputs, field) for field in self._fields}
        self._results["taken"] = {field: value for field, value in found.items() if isdefined(value)}
        return runtime


def _above(graph: Any, target: Any) -> set[Any]:
    """Return the nodes that a node needs, directly or through others."""
    found: set[Any] = set()
    waiting = list(graph.predecessors(target))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph.predecessors(node)
    return found
