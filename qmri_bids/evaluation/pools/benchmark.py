"""The CEST benchmark: estimators of pools against each other and against the bound, and what they leave as text, JSON and SVG."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeEstimator, ExchangeOptions
from qmri_bids.evaluation.benchmark import plain
from qmri_bids.evaluation.pools.figures import Scatter, scatter_figure, sensitivity_figure, tissue_figure
from qmri_bids.evaluation.pools.scores import ExchangeEstimators, ExchangeRow, clamped, score_estimator, serving
from qmri_bids.evaluation.pools.sensitivity import SensitivityRow, sensitivity_table
from qmri_bids.evaluation.pools.sets import USUAL_NOISE, ExchangeSet, box_set, tissue_set
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.training.pools.shipped import PLAYED_SCAN
from qmri_bids.units import fraction_to_percent

REFERENCE = "ml"
"""Runs in every benchmark, whatever is asked for: the efficient estimator, and the one that serves every pool model."""

SETS: Mapping[str, Callable[..., ExchangeSet]] = {"tissues": tissue_set, "box": box_set}
"""What estimators are scored on, each made from a number of voxels and a seed."""

SHOWN = 600
"""Most voxels of a scatter plot."""


@dataclass(frozen=True, kw_only=True)
class ExchangeSettings:
    """Size of a benchmark.

    Parameters
    ----------
    samples
        Voxels of each set.
    noise_stdev
        Standard deviation of the noise of one image in units of M0.
    seed
        Seed of truths and noise.
    threads
        Threads of simulation and bound.
    """

    samples: int = 4000
    noise_stdev: float = USUAL_NOISE
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.samples < 100:
            raise ValueError(f"samples must be at least 100, found {self.samples}")
        if not self.noise_stdev > 0.0:
            raise ValueError(f"noise must be positive, found {self.noise_stdev}")


def create_exchange_estimators(
    names: Sequence[str] | None, *, options: ExchangeOptions, scan: ExchangeScan = PLAYED_SCAN
) -> dict[str, ExchangeEstimator]:
    """Return estimators by name, `REFERENCE` with them.

    Parameters
    ----------
    names
        Names of the estimators asked for; None: all that serve the scan, save those that train a network on the voxels first.
    options
        How they are made.
    scan
        What they must serve.

    Raises
    ------
    ValueError
        If a name is not in the table, or an estimator that was asked for does not serve the scan.
    """
    if names is None:
        usual = {name: row.create(options) for name, row in EXCHANGE_ESTIMATORS.items() if not row.learns}
        return serving(usual, scan)
    unknown = [name for name in names if name not in EXCHANGE_ESTIMATORS]
    if unknown:
        raise ValueError(f"unknown estimators {', '.join(unknown)}; there are {', '.join(EXCHANGE_ESTIMATORS)}")
    made = {name: EXCHANGE_ESTIMATORS[name].create(options) for name in dict.fromkeys((REFERENCE, *names))}
    for name, estimator in made.items():
        try:
            estimator.check(scan)
        except ProtocolNotSupported as error:
            raise ValueError(f"{name} does not serve the scan of the benchmark: {error}") from None
    return made


def run_exchange_benchmark(
    output: Path,
    *,
    estimators: ExchangeEstimators,
    settings: ExchangeSettings,
    progress: Callable[[str], None],
    scan: ExchangeScan = PLAYED_SCAN,
) -> dict[str, Any]:
    """Score estimators, write `cest.json` and three figures, and return what the JSON holds.

    Parameters
    ----------
    output
        Folder; made if it is not there.
    estimators
        Estimators by name, `REFERENCE` among them.
    settings
        Size, noise and seed.
    progress
        Called with a line of text when something is done.
    scan
        Series and pools.
    """
    output.mkdir(parents=True, exist_ok=True)
    rows: list[ExchangeRow] = []
    for set_name, make in SETS.items():
        samples = make(settings.samples, settings.seed, scan=scan)
        for name, estimator in estimators.items():
            rows += score_estimator(
                name,
                estimator,
                samples,
                set_name=set_name,
                noise_stdev=settings.noise_stdev,
                seed=settings.seed + 1,
                threads=settings.threads,
            )
            progress(f"{name} on {set_name}: done")
    sensitivity = sensitivity_table(estimators[REFERENCE], scan=scan, threads=settings.threads)
    progress(scores_text(rows))
    progress(sensitivity_text(sensitivity))
    for name, figure in _figures(rows, sensitivity, estimators, settings, scan).items():
        path = output / f"{name}.svg"
        # Without a date the same run gives the same file.
        figure.savefig(path, metadata={"Date": None})
        progress(f"Figure: {path}")
    content = {"settings": plain(settings), "scores": plain(rows), "sensitivity": plain(sensitivity)}
    path = output / "cest.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    progress(f"Tables: {path}")
    return content


def _figures(
    rows: Sequence[ExchangeRow],
    sensitivity: Sequence[SensitivityRow],
    estimators: ExchangeEstimators,
    settings: ExchangeSettings,
    scan: ExchangeScan,
) -> dict[str, Figure]:
    box = box_set(min(SHOWN, settings.samples), settings.seed, scan=scan)
    signal = box.signal(noise_stdev=settings.noise_stdev, seed=settings.seed + 1, threads=settings.threads)
    clouds = [
        Scatter(
            estimator=name,
            parameters=scan.parameters,
            truth=box.values,
            estimate=clamped(estimator.point(signal, scan=scan, known=box.known), scan.parameters),
        )
        for name, estimator in estimators.items()
    ]
    return {
        "tissues": tissue_figure([row for row in rows if row.set_name == "tissues"]),
        "sensitivity": sensitivity_figure(sensitivity),
        "scatter": scatter_figure(clouds),
    }


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
