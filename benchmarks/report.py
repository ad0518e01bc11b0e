"""The report of a participant against its bars: size, time to interactive, values under the cursor, and what `report_*.py` add.

    python benchmarks/report.py [--only PART ...]

The parts are those of every module `report_*.py` beside this one, in its mapping `PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rows import Row, run_parts


def all_parts() -> dict[str, Callable[[], list[Row]]]:
    """Return the parts by name, module by module."""
    parts: dict[str, Callable[[], list[Row]]] = {}
    for path in sorted(Path(__file__).parent.glob("report_*.py")):
        parts |= getattr(import_module(path.stem), "PARTS", {})
    return parts


if __name__ == "__main__":
    run_parts("report", all_parts(), description=__doc__.splitlines()[0])
