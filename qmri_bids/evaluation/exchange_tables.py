"""Rows of the CEST benchmark as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qmri_bids.evaluation.exchange_scores import ExchangeRow
from qmri_bids.evaluation.exchange_sensitivity import SensitivityRow
from qmri_bids.units import fraction_to_percent


def table(title: str, columns: Sequence[str], lines: Mapping[str, Sequence[str]]) -> str:
    """Return a table as text: cells flush right, names of the lines flush left."""
    first = max(map(len, lines), default=0)
    widths = [max(map(len, column)) for column in zip(columns, *lines.values(), strict=True)]

    def line(name: str, cells: Sequence[str]) -> str:
        return "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))])

    return "\n".join([title, line("", columns), *(line(name, cells) for name, cells in lines.items())])


def _percent(value: float | None, text: str = ".1f") -> str:
    return "-" if value is None else format(fraction_to_percent(value), text)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def scores_text(rows: Sequence[ExchangeRow]) -> str:
    """Return one table a group of voxels: per parameter the error of the clamped point and what the written map is like."""
    tables = []
    for set_name, group in dict.fromkeys((row.set_name, row.group) for row in rows):
        chosen = [row for row in rows if (row.set_name, row.group) == (set_name, group)]
        parameters = list(dict.fromkeys(row.parameter for row in chosen))
        cells = {(row.estimator, row.parameter): _cell(row) for row in chosen}
        tables.append(
            table(
                f"{set_name}, {group}: mean |error| of clamped estimates (%) | map as written: bias (%), RMSE over the bound, "
                "coverage of 68/95 % intervals (%), missing (%)",
                parameters,
                {
                    name: [cells.get((name, parameter), "-") for parameter in parameters]
                    for name in dict.fromkeys(row.estimator for row in chosen)
                },
            )
        )
    return "\n\n".join(tables)


def _cell(row: ExchangeRow) -> str:
    error = _percent(None if row.clamped is None else row.clamped.mean_absolute_error)
    bias = _percent(None if row.written is None else row.written.bias, "+.1f")
    missing = _percent(1.0 if row.written is None else row.written.missing, ".0f")
    covered = "/".join(_percent(each, ".0f") for each in (row.coverage_68, row.coverage_95))
    return f"{error} | {bias} {_number(row.over_bound)} {covered} {missing}"


def sensitivity_text(rows: Sequence[SensitivityRow]) -> str:
    """Return the table of changes in percent, one line an assumption."""
    tissues = list(dict.fromkeys(row.tissue for row in rows))
    changes = {(row.assumption, row.tissue): row.change for row in rows}
    parameters = list(rows[0].change)
    return table(
        f"Change of the estimates (%) when this is assumed, without noise: {', '.join(parameters)}",
        tissues,
        {
            each: [" ".join(_percent(changes[each, tissue][name], "+.1f") for name in parameters) for tissue in tissues]
            for each in dict.fromkeys(row.assumption for row in rows)
        },
    )
