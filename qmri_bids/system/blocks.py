"""Voxels in blocks over threads: compiled kernels release the interpreter, and a block stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def run_blocks(function: Callable[[int], None], number: int, *, block: int, threads: int) -> None:
    """Call a function with the first voxel of every block; one thread does without a pool.

    Parameters
    ----------
    function
        Works on voxels from its argument on, `block` of them at most.
    number
        Number of voxels.
    block
        Voxels of a block.
    threads
        Threads to use.
    """
    begins = range(0, number, block)
    if threads == 1:
        for begin in begins:
            function(begin)
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            list(pool.map(function, begins))
