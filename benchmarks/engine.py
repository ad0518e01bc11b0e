"""The engine against its bars: what it costs, repeated, killed, shared by two calls, and how soon it answers.

    python benchmarks/engine.py [--only PART ...]

Every part prints its rows and saves them in `results/engine.json`.
"""

from __future__ import annotations

from collections.abc import Callable

from engine_calls import kills, overhead, pairs
from engine_indexing import rows as indexing
from rows import Row, run_parts

PARTS: dict[str, Callable[[], list[Row]]] = {
    "overhead": overhead,
    "kills": kills,
    "pairs": pairs,
    "indexing": indexing,
}


if __name__ == "__main__":
    run_parts("engine", PARTS, description=__doc__.splitlines()[0])
