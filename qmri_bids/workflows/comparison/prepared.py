"""A processed run made ready once more: what its estimation was given, with mask and motion as they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.names import output_path
from qmri_bids.engine.execution import EngineOptions
from qmri_bids.engine.until import inputs_of
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.quantities import get_quantity
from qmri_bids.tissue_labels import ABBREVIATIONS
from qmri_bids.workflows.base import with_sources
from qmri_bids.workflows.run_kinds import init_qmri_wf, run_name

ESTIMATING: Mapping[str, str] = {"pcbssfp": "estimate_relaxation", "exchange": "estimate_exchange"}
"""Node that estimates, by the kind of run: the kinds whose estimators can be compared."""


def inputs_of_estimation(
    run: Run, *, runs: Sequence[Run], options: ProcessingOptions, bids_dir: Path, work_dir: Path, processors: int
) -> dict[str, Any]:
    """Prepare a run as its workflow does, and return what the node that estimates would be given.

    Parameters
    ----------
    run
        The run, of a kind in `ESTIMATING`.
    runs
        All runs of the participant, of which it may take maps.
    options
        Those with which it was processed; what `options.earlier_fits` holds is applied, not found again.
    bids_dir
        The raw dataset.
    work_dir
        Folder of intermediate results; whatever is written lies in it.
    processors
        Threads of all steps that run at one time.
    """
    workflow = init_qmri_wf(
        runs=with_sources([run], runs),
        options=options,
        bids_dir=bids_dir,
        output_dir=work_dir / "unused",
        work_dir=work_dir,
    )
    name = f"{workflow.name}.{run_name(run)}.{ESTIMATING[run.kind]}"
    return inputs_of(workflow, name, options=EngineOptions(processors=processors))


def tissues_of(run: Run, *, output_dir: Path, shape: tuple[int, ...]) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """Return which voxels are of each tissue, as the run told them apart, shape (X, Y, Z), and a sentence where they are not there.

    Parameters
    ----------
    run
        The run.
    output_dir
        The derivatives.
    shape
        Of the grid of the run.
    """
    path = output_path(output_dir, entities=run.entities, output="tissue")
    if not path.is_file():
        return {}, [f"{path.name} is not there: tissues are not told apart, and numbers are those of the whole brain."]
    labels = np.asarray(load_volume(path)[0]).reshape(shape)
    found = {short: labels == code for code, short in ABBREVIATIONS.items() if (labels == code).any()}
    said = (
        f"WM and GM are all voxels that {path.name} calls white and grey matter, those at the edge to other tissue included: the "
        "white and grey matter of the report, not the pure ones."
    )
    return found, [said] if {"WM", "GM"} & set(found) else []


def against_written(
    values: Mapping[str, NDArray[np.floating]],
    *,
    run: Run,
    output_dir: Path,
    estimator: str,
) -> list[str]:
    """Say how far the estimate of a prepared run is from the maps that the run has written: they should be the same.

    Parameters
    ----------
    values
        Maps of the estimator of the run by the name of the quantity, SI units, shape (X, Y, Z).
    run
        The run.
    output_dir
        The derivatives.
    estimator
        Name of the estimator.
    """
    sentences = []
    for name, again in values.items():
        file = get_quantity(name).written
        path = output_path(output_dir, entities=run.entities, output=file.key, desc=file.desc)
        if not path.is_file():
            continue
        written = np.asarray(load_volume(path)[0], dtype=np.float64).reshape(again.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(file.convert(again) / written - 1.0)
        there = np.isfinite(apart)
        if not there.any():
            continue
        sentences.append(f"Prepared again, {estimator} finds {_sameness(apart[there], name=name, file=path.name)}")
    return sentences


SAME = 1e-3
"""Relative difference up to which two estimates are one."""


def _sameness(apart: NDArray[np.floating], *, name: str, file: str) -> str:
    """Return how far a map is from the written one, in words."""
    share = float(np.mean(apart < SAME))
    within = f"within {100.0 * SAME:g} %"
    if share == 1.0:
        return f"the same {name} as in {file}: {within} in every voxel."
    if share >= 0.95:
        others = int(np.count_nonzero(apart >= SAME))
        return (
            f"the same {name} as in {file}: {within} in all but {'one voxel' if others == 1 else f'{others:,} voxels'}."
        )
    return (
        f"another {name} than in {file}: {100.0 * share:.0f} % of the voxels are {within}; half of all differ by more than "
        f"{100.0 * float(np.median(apart)):.2g} %."
    )
