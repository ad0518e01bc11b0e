"""What every node asks of the machine: threads and memory, told before anything runs from the shapes in the headers.

What a node needs it says itself (`needs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from qmri_bids.bids.anatomy.spaces import OWN_TEMPLATE, SpaceOptions
from qmri_bids.bids.anatomy.templates import parse_label
from qmri_bids.bids.images import stored_shape
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.run import Run
from qmri_bids.workflows.run_kinds import run_name

MEGABYTE = 1e6
GIGABYTE = 2.0**30
"""Nipype counts in these."""

OWN_TEMPLATE_VOXELS = 197 * 233 * 189
"""Grid of the template inside nilearn at 1 mm."""


PASSING_ON = NodeMemory(fixed=60 * MEGABYTE)
"""Nodes of Nipype that only pass something on."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much data a run has.

    Parameters
    ----------
    voxels
        Of its grid.
    volumes
        Of its longest series.
    series
        Series that are in memory at once.
    other
        Voxels of the largest image on another grid.
    """

    voxels: int
    volumes: int
    series: int = 1
    other: int = 0


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """What a node asks for.

    Parameters
    ----------
    name
        Of the node with the workflows around it.
    interface
        Name of its interface.
    threads
        Cores.
    memory
        Peak [bytes].
    """

    name: str
    interface: str
    threads: int
    memory: float


def set_resources(
    workflow: Any, *, runs: Sequence[Run], threads: int, spaces: SpaceOptions | None = None, low_mem: bool = False
) -> tuple[NodeResources, ...]:
    """Set `n_procs`, `mem_gb` and the input `processes` of every node of a workflow, and return them.

    Nodes of other programs around the workflow are left as they are.

    Parameters
    ----------
    workflow
        Of `init_qmri_wf`, or one that holds it.
    runs
        The runs in it.
    threads
        Cores that a node may use.
    spaces
        Spaces in which maps are written, with the anatomies.
    low_mem
        One worker process where each holds volumes of its own: slower, with less memory.

    Raises
    ------
    LookupError
        If an interface of this package does not say what it needs.
    """
    extents = {run_name(run): extent_of(run, spaces=spaces) for run in runs}
    found = []
    for node in workflow._get_all_nodes():
        interface = type(node.interface)
        own = interface.__module__.startswith("qmri_bids.")
        extent = next((extents[part] for part in node.fullname.split(".") if part in extents), None)
        if extent is None and not own:
            continue
        needs = memory_of(interface) if own else PASSING_ON
        cores = _threads(needs, threads=threads, low_mem=low_mem)
        memory = peak_of(needs, extent=extent or Extent(voxels=0, volumes=0), threads=cores)
        if hasattr(node.inputs, "processes"):
            node.inputs.processes = cores
        node._n_procs, node._mem_gb = cores, memory / GIGABYTE
        found.append(NodeResources(name=node.fullname, interface=interface.__name__, threads=cores, memory=memory))
    return tuple(found)


def memory_of(interface: type) -> NodeMemory:
    """Return what an interface of this package needs.

    Raises
    ------
    LookupError
        If it does not say so.
    """
    needs = getattr(interface, "needs", None)
    if not isinstance(needs, NodeMemory):
        raise LookupError(
            f"{interface.__name__}: expected `needs`, a NodeMemory, found none; measure the node with "
            "benchmarks/engine_memory.py and add it"
        )
    return needs


def _threads(needs: NodeMemory, *, threads: int, low_mem: bool) -> int:
    return threads if needs.parallel and not (low_mem and needs.per_worker) else 1


def peak_of(needs: NodeMemory, *, extent: Extent, threads: int) -> float:
    """Return the peak memory of a node [bytes].

    Examples
    --------
    >>> needs = NodeMemory(fixed=1e8, per_voxel=100.0, per_value=8.0, parallel=True, per_worker=2e8)
    >>> peak_of(needs, extent=Extent(voxels=1_000_000, volumes=10), threads=2) / 1e6
    480.0
    """
    return (
        needs.fixed
        + needs.per_voxel * extent.voxels
        + needs.per_value * extent.voxels * extent.volumes * extent.series
        + needs.per_other * extent.other
        + (threads - 1) * (needs.per_worker + needs.per_worker_voxel * extent.voxels)
    )


def peak_memory(resources: Sequence[NodeResources]) -> NodeResources:
    """Return the node that asks for most memory: no call can do with less."""
    return max(resources, key=lambda each: each.memory)


def extent_of(run: Run, *, spaces: SpaceOptions | None = None) -> Extent:
    """Return how much data a run has, from what was found of it and the headers of images on other grids.

    Parameters
    ----------
    run
        Of any kind.
    spaces
        With the anatomy of its session and the spaces asked for.
    """
    return Extent(
        voxels=prod(run.grid),
        volumes=run.number_of_volumes,
        series=len(run.series),
        other=_other_voxels(spaces, session=run.entities.get("ses")),
    )


def _space(label: str) -> str:
    return parse_label(label).space


def _other_voxels(spaces: SpaceOptions | None, *, session: str | None) -> int:
    """Return the voxels of the largest image on another grid: the anatomy, a template or an atlas; 0 without any."""
    if spaces is None or not spaces.serves(session):
        return 0
    images: list[Path] = [] if spaces.atlas is None else [spaces.atlas.path]
    voxels = [OWN_TEMPLATE_VOXELS] if any(_space(each) == OWN_TEMPLATE for each in spaces.spaces) else []
    images += [path for template in spaces.templates.values() for path in template.images.values()]
    anatomy = spaces.anatomy_of(session)
    if anatomy is not None:
        images += [anatomy.t1w, *(anatomy.grids[name] for name in map(_space, spaces.spaces) if name in anatomy.grids)]
    return max([*voxels, *(prod(stored_shape(path)[:3]) for path in images)], default=0)
