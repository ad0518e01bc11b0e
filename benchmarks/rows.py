"""Rows of a benchmark: printed as a table, saved as JSON, a part run alone replaces its own rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class AtLeast:
    """A bar that a figure must reach."""

    limit: float

    def met(self, value: float) -> bool:
        return bool(value >= self.limit)

    def __str__(self) -> str:
        return f"≥ {self.limit:g}"


@dataclass(frozen=True)
class AtMost:
    """A bar that a figure must not exceed."""

    limit: float

    def met(self, value: float) -> bool:
        return bool(value <= self.limit)

    def __str__(self) -> str:
        return f"≤ {self.limit:g}"


@dataclass(frozen=True)
class Within:
    """A range that must hold a figure."""

    low: float
    high: float

    def met(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure against its bar, with a baseline measured in the same run.

    A number as bar is an upper limit; without a bar `met` is None.
    """

    figure: str
    unit: str
    bar: float | AtLeast | AtMost | Within | None
    value: float
    baseline: str = ""

    @property
    def rule(self) -> AtLeast | AtMost | Within | None:
        return AtMost(self.bar) if isinstance(self.bar, int | float) else self.bar

    @property
    def met(self) -> bool | None:
        return None if self.rule is None else self.rule.met(self.value)


def save(name: str, rows: list[Row]) -> Path:
    """Print the rows and merge them into `results/<name>.json`, in the order of first appearance."""
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.is_file() else []
    new = {row.figure: _as_json(row) for row in rows}
    merged = [new.pop(each["figure"], each) for each in kept] + list(new.values())
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n")
    print_rows(rows)
    return path


def run_parts(name: str, parts: Mapping[str, Callable[[], list[Row]]], *, description: str) -> None:
    """Run the parts named on the command line on one thread, all by default, and save the rows of each."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", nargs="+", choices=tuple(parts), default=tuple(parts))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for part in options.only:
            save(name, parts[part]())


def print_rows(rows: list[Row]) -> None:
    width = max(len(row.figure) for row in rows)
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        bar = "" if row.rule is None else str(row.rule)
        print(
            f"{row.figure:<{width}}  {row.value:10.4g} {row.unit:<6} {bar:<10} {verdict:<7} {row.baseline}",
            flush=True,
        )


def _as_json(row: Row) -> dict[str, object]:
    return {
        "figure": row.figure,
        "unit": row.unit,
        # An upper limit stays a number; the other bars are written as they are read.
        "bar": row.bar if row.bar is None or isinstance(row.bar, int | float) else str(row.bar),
        "value": float(f"{row.value:.4g}"),
        "baseline": row.baseline,
        "met": row.met,
    }
