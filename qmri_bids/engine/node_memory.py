"""What memory a node takes, in terms of the data that it works on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NodeMemory:
    """Peak memory of a node and its child processes as a sum, and whether it runs on several cores: the `needs` of an interface.

    Measured with `benchmarks/engine_memory.py`, each node in a process of its own, its children included.

    Parameters
    ----------
    fixed
        Interpreter and libraries, of the node and of a child process where it starts one [bytes].
    per_voxel
        For each voxel of the grid of the run [bytes].
    per_value
        For each voxel of each volume of the run [bytes].
    per_other
        For each voxel of the largest other image: the anatomy or a template [bytes].
    parallel
        Whether the node uses its `processes`.
    per_worker
        For each of its worker processes beyond the first [bytes]; 0 where it uses threads, which share all.
    per_worker_voxel
        For each voxel of the grid and each of these workers [bytes].
    """

    fixed: float
    per_voxel: float = 0.0
    per_value: float = 0.0
    per_other: float = 0.0
    parallel: bool = False
    per_worker: float = 0.0
    per_worker_voxel: float = 0.0
