"""What a comparison of estimators holds, whatever it is shown or written as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.reports.content import Figure


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that is written (TSV) with what explains its columns.

    Parameters
    ----------
    name
        Of its file: letters alone.
    columns
        Values by column, all of one length.
    descriptions
        For every column an object with Description, and Units where it has one.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    descriptions: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table as the page shows it: cells are words of one or two lines; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def filled(self) -> ShownTable:
        """The table without columns in which no row has content."""
        kept = [
            place for place in range(len(self.head)) if place == 0 or any(_content(row[place]) for row in self.rows)
        ]

        def of(cells: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(cells[place] for place in kept)

        return replace(self, head=of(self.head), rows=tuple(of(row) for row in self.rows))


def _content(cell: str) -> bool:
    """Return whether a cell says more than that there is nothing."""
    return any(each not in "–;/ \n" for each in cell)


@dataclass(frozen=True, kw_only=True)
class KeptMap:
    """A map that is written.

    Parameters
    ----------
    desc
        Label of its name: letters and digits.
    suffix
        BIDS suffix, `T1map` …
    values
        Shape (X, Y, Z), in the unit of the file.
    unit
        Of the file.
    description
        What it is, for the sidecar.
    """

    desc: str
    suffix: str
    values: NDArray[np.floating]
    unit: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One experiment.

    Parameters
    ----------
    key
        Name of the part, as the command line takes it.
    title
        Heading.
    after
        What it is modelled on, paper and figure.
    sentences
        What was done, what was decided, what cannot be had.
    in_short
        What its tables come to, as sentences.
    shown
        Tables of the page.
    figures, tables, maps
        What there is to see and to write; all empty where the part is impossible.
    """

    key: str
    title: str
    after: str
    sentences: tuple[str, ...]
    in_short: tuple[str, ...] = ()
    shown: tuple[ShownTable, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    maps: tuple[KeptMap, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether there is anything beside words."""
        return bool(self.figures or self.tables)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All experiments on one run.

    Parameters
    ----------
    label
        Of the run, `sub-01_acq-pcbssfp_flip-1`.
    title
        What the run is.
    version, command, created
        Of the program, and when.
    decisions
        What was decided before the experiments: where the run came from, how it was prepared.
    parts
        The experiments.
    """

    label: str
    title: str
    version: str
    command: str
    created: str
    decisions: tuple[str, ...]
    parts: tuple[Part, ...]


def shown_name(name: str) -> str:
    """Return how an estimator is called on the page: MIRACLE as in the literature, others as on the command line."""
    return name.upper() if name in ("miracle", "planet") else name


def summary_columns(summaries: Mapping[str, Sequence[Summary]]) -> dict[str, Any]:
    """Return the columns of summaries: median, its standard error and quartiles of each; those of counts once.

    Parameters
    ----------
    summaries
        By the name that the columns begin with.
    """
    columns: dict[str, Any] = {}
    for name, each in summaries.items():
        columns[f"{name}_median"] = [float(one.median) for one in each]
        columns[f"{name}_median_standard_error"] = [float(one.standard_error) for one in each]
        columns[f"{name}_lower_quartile"] = [float(one.lower_quartile) for one in each]
        columns[f"{name}_upper_quartile"] = [float(one.upper_quartile) for one in each]
        columns[f"{name}_voxels"] = [one.voxels for one in each]
    return columns


def summary_descriptions(meanings: Mapping[str, tuple[str, str | None]]) -> dict[str, dict[str, str]]:
    """Return what explains the columns of `summary_columns`, of the meaning and unit of each name."""
    found: dict[str, dict[str, str]] = {}
    for name, (meaning, unit) in meanings.items():
        kinds = {
            "median": f"Median over voxels: {meaning}",
            "median_standard_error": "Standard error of that median, as if voxels did not depend on each other",
            "lower_quartile": f"Lower quartile over voxels: {meaning}",
            "upper_quartile": f"Upper quartile over voxels: {meaning}",
        }
        for kind, words in kinds.items():
            found[f"{name}_{kind}"] = {"Description": words} | ({"Units": unit} if unit else {})
        found[f"{name}_voxels"] = {"Description": "Voxels with a value"}
    return found


def cell(summary: Summary, *, factor: float = 1.0, signed: bool = False, digits: int | None = None) -> str:
    r"""Return a summary in a cell of two lines: median ± standard error, and the quartiles.

    Examples
    --------
    >>> cell(Summary(median=0.012, standard_error=0.001, lower_quartile=-0.01, upper_quartile=0.03, voxels=9), factor=100.0)
    '1.20 ± 0.10\n(−1.00 to 3.00)'
    """
    if not summary.voxels:
        return "–"
    values = [factor * each for each in (summary.median, summary.lower_quartile, summary.upper_quartile)]
    places = _places(factor * summary.standard_error) if digits is None else digits
    form = f"{{:{'+' if signed else ''}.{places}f}}"
    median, low, high = (form.format(each) for each in values)
    text = f"{median} ± {factor * summary.standard_error:.{places}f}\n({low} to {high})"
    return text.replace("-", "\N{MINUS SIGN}")


def _places(error: float) -> int:
    """Return the decimals that show a standard error with two digits, three at most."""
    if not np.isfinite(error) or error <= 0.0:
        return 3
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 3))
