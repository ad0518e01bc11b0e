"""The relaxometry benchmark: which experiments run, and what they leave as JSON and SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import torch

from qmri_bids.estimation.base import EstimatorOptions
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.evaluation.convergence import convergence
from qmri_bids.evaluation.experiments import (
    Estimators,
    accuracy_table,
    calibration_table,
    noise_dependence,
    off_resonance_dependence,
    plane_error,
    tissue_table,
)
from qmri_bids.evaluation.figures import convergence_figure, noise_figure, off_resonance_figure, plane_figure
from qmri_bids.evaluation.sets import drawn_set, grid_set, tissue_set
from qmri_bids.networks.checkpoint import find_weights
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.simulation import TrainingSpec, paper_protocol

ALWAYS_BESIDE = ("miracle", "ml")
"""Compared in every run, whatever is asked for: the published baseline and the efficient estimator."""

DEFAULT_ESTIMATORS = (
    *ALWAYS_BESIDE,
    "pinn",
    "pinn-bare",
    "planet",
    "svnn-magnitude-uniform",
    "pinn-magnitude-uniform",
    "svnn-complex-uniform",
    "pinn-complex-uniform",
    "pinn-complex-uniform-extended",
)
CONDITIONS = ((12, 25.0), (6, 25.0), (4, 25.0), (12, 10.0), (4, 10.0))
"""Number of cycles and SNR of the tables."""
SNRS = (10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, math.inf)
DRAWS = 5
PLANE_DRAWS = 40
TRAINING_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Size of a benchmark.

    Parameters
    ----------
    samples
        Voxels of a table; the figures have a sixteenth to an eighth of them, each with several noise draws.
    seed
        Seed of truths, noise and trainings.
    training_samples
        Samples an epoch of the trainings of Fig. 8.
    """

    samples: int = 20_000
    seed: int = 0
    training_samples: int = 100_000

    def __post_init__(self) -> None:
        for name in ("samples", "training_samples"):
            if getattr(self, name) < 100:
                raise ValueError(f"{name} must be at least 100, found {getattr(self, name)}")

    @property
    def side(self) -> int:
        """Side of the grid of T1 and T2."""
        return max(10, math.isqrt(self.samples // 16))


def create_estimators(names: Sequence[str], *, options: EstimatorOptions) -> dict[str, Any]:
    """Return estimators by name: those asked for, `ALWAYS_BESIDE` with them.

    Raises
    ------
    ValueError
        If a name is not in the table of estimators, or is a network without weights.
    """
    unknown = [name for name in names if name not in ESTIMATORS]
    if unknown:
        raise ValueError(f"unknown estimators {', '.join(unknown)}; there are {', '.join(ESTIMATORS)}")
    for name in names:
        if name in NETWORK_SYSTEMS:
            row = NETWORK_SYSTEMS[name]
            if not find_weights(kind="paper", folder=options.weights_folder, system=row.system, prior=row.prior):
                raise ValueError(f"there are no weights for {name}; train some with qmri-tools train, or leave it out")
    beside = [name for name in ALWAYS_BESIDE if name in ESTIMATORS]
    return {name: ESTIMATORS[name].create(options) for name in dict.fromkeys((*beside, *names))}


def _plane(estimators: Estimators, settings: BenchmarkSettings) -> tuple[Any, Any]:
    grid = grid_set(side=settings.side, protocol=paper_protocol())
    rows = plane_error(estimators, grid=grid, snr=25.0, draws=PLANE_DRAWS, seed=settings.seed)
    return rows, plane_figure(rows)


def _noise(estimators: Estimators, settings: BenchmarkSettings) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(settings.seed)
    # More than needed: the figure is about the range of tissue, as in the paper, and fluid lies outside.
    t1, t2 = (each.double().numpy() for each in PRIORS["in-vivo"].draw(settings.samples, generator=generator))
    tissue = PRIORS["uniform"].density(t1, t2) > 0.0
    sets = {
        "grid": grid_set(side=settings.side, protocol=paper_protocol()),
        "in-vivo distribution": drawn_set(
            t1[tissue][: settings.samples // 8],
            t2[tissue][: settings.samples // 8],
            protocol=paper_protocol(),
            seed=settings.seed,
        ),
    }
    rows = noise_dependence(estimators, sets=sets, snrs=SNRS, draws=DRAWS, seed=settings.seed)
    return rows, noise_figure(rows)


def _off_resonance(estimators: Estimators, settings: BenchmarkSettings) -> tuple[Any, Any]:
    rows = off_resonance_dependence(estimators)
    return rows, off_resonance_figure(rows)


def _convergence(estimators: Estimators, settings: BenchmarkSettings) -> tuple[Any, Any]:
    protocol = paper_protocol()
    tissues = tissue_set(settings.samples, protocol=protocol, seed=settings.seed)
    brain = tissues.groups["WM"] | tissues.groups["GM"]
    samples = drawn_set(tissues.t1[brain], tissues.t2[brain], protocol=protocol, seed=settings.seed)
    rows = []
    for system in ("svnn-magnitude", "pinn-magnitude"):
        spec = TrainingSpec(
            name=system,
            protocol=protocol,
            system=system,
            prior="uniform",
            samples=settings.training_samples,
            epochs=TRAINING_EPOCHS,
            seed=settings.seed,
        )
        rows.append(convergence(spec, samples=samples, snr=25.0, seed=settings.seed))
    return rows, convergence_figure(rows)


FIGURES: Mapping[int, Callable[[Estimators, BenchmarkSettings], tuple[Any, Any]]] = {
    2: _plane,
    3: _noise,
    5: _off_resonance,
    8: _convergence,
}
"""Figures of Birk et al. 2025 that are reproduced in silico, by their number there."""


def run_benchmark(
    output: Path,
    *,
    estimators: Estimators,
    figures: Sequence[int],
    settings: BenchmarkSettings,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Run tables and figures, write `relaxometry.json` and `figure-<number>.svg`, and return what the JSON holds.

    Parameters
    ----------
    output
        Folder; made if it is not there.
    estimators
        Estimators by name.
    figures
        Keys of `FIGURES`.
    settings
        Size and seed.
    progress
        Called with a line of text when something is done.

    Raises
    ------
    ValueError
        If a figure is not in the table.
    """
    unknown = [number for number in figures if number not in FIGURES]
    if unknown:
        raise ValueError(f"unknown figures {unknown}; there are {list(FIGURES)}")
    output.mkdir(parents=True, exist_ok=True)
    size = {"samples": settings.samples, "seed": settings.seed}
    content: dict[str, Any] = {
        "settings": plain(settings),
        "accuracy": plain(accuracy_table(estimators, conditions=CONDITIONS, **size)),
        "tissues": plain(tissue_table(estimators, snr=25.0, **size)),
        "calibration": plain(calibration_table(estimators, conditions=CONDITIONS, **size)),
    }
    progress(accuracy_text(content["accuracy"]))
    progress(tissue_text(content["tissues"]))
    for number in figures:
        rows, figure = FIGURES[number](estimators, settings)
        content[f"figure-{number}"] = plain(rows)
        path = output / f"figure-{number}.svg"
        # Without a date the same run gives the same file.
        figure.savefig(path, metadata={"Date": None})
        progress(f"Figure {number}: {path}")
    path = output / "relaxometry.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    progress(f"Tables: {path}")
    return content


def plain(value: Any) -> Any:
    """Return rows as JSON holds them: no dataclasses, five digits, None for NaN, the word for infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else "infinity"
        return float(f"{value:.5g}")
    return value


def accuracy_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of mean |error| in percent, T1/T2, one line an estimator and one column a condition."""
    conditions = list(dict.fromkeys((row["number_of_cycles"], row["snr"]) for row in rows))
    cells = {
        (row["estimator"], row["number_of_cycles"], row["snr"]): "/".join(
            f"{100.0 * row[key]['mean_absolute_error']:.1f}" for key in ("t1", "t2")
        )
        for row in rows
    }
    return _text(
        "Mean |error| of T1/T2 (%), single draws, all θ, clamped to 360-2080/20-120 ms",
        [f"N={cycles} SNR {snr:g}" for cycles, snr in conditions],
        {
            name: [cells.get((name, *condition), "-") for condition in conditions]
            for name in dict.fromkeys(row["estimator"] for row in rows)
        },
    )


def tissue_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of errors by tissue of the maps as they are written: T1, T2 and the share of voxels without a value."""
    tissues = list(dict.fromkeys(row["tissue"] for row in rows))
    cells = {
        (row["estimator"], row["tissue"]): " ".join(
            [*(_error_and_bias(row[key]) for key in ("t1", "t2")), _flagged(row)]
        )
        for row in rows
    }
    return _text(
        f"Mean |error| (bias) of T1, of T2, and flagged voxels (%) by tissue, N=12, SNR {rows[0]['snr']:g}, nothing clamped",
        tissues,
        {name: [cells[name, tissue] for tissue in tissues] for name in dict.fromkeys(row["estimator"] for row in rows)},
    )


def _error_and_bias(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{100.0 * found['mean_absolute_error']:.1f}({100.0 * found['bias']:+.1f})"


def _flagged(row: Mapping[str, Any]) -> str:
    return f"{100.0 * (1.0 if row['t1'] is None else row['t1']['missing']):.0f}"


def _text(title: str, columns: Sequence[str], lines: Mapping[str, Sequence[str]]) -> str:
    first = max(map(len, lines), default=0)
    widths = [max(len(each) for each in column) for column in zip(columns, *lines.values(), strict=True)]

    def line(name: str, cells: Sequence[str]) -> str:
        return "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))])

    return "\n".join([title, line("", columns), *(line(name, cells) for name, cells in lines.items())])
