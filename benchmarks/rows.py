"""Rows of a benchmark: printed as a table, saved as JSON, a part run alone replaces its own rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure against its bar, with a baseline measured in the same run.

    `met` is None where a figure has no bar.
    """

    figure: str
    unit: str
    bar: float | None
    value: float
    baseline: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else bool(self.value <= self.bar)


def save(name: str, rows: list[Row]) -> Path:
    """Print the rows and merge them into `results/<name>.json`, in the order of first appearance."""
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.is_file() else []
    new = {row.figure: {key: _rounded(value) for key, value in asdict(row).items()} | {"met": row.met} for row in rows}
    merged = [new.pop(each["figure"], each) for each in kept] + list(new.values())
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n")
    print_rows(rows)
    return path


def print_rows(rows: list[Row]) -> None:
    width = max(len(row.figure) for row in rows)
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        bar = "" if row.bar is None else f"≤ {row.bar:g}"
        print(
            f"{row.figure:<{width}}  {row.value:10.4g} {row.unit:<6} {bar:<10} {verdict:<7} {row.baseline}",
            flush=True,
        )


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value
