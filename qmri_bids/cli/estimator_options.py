"""What the options of both tables of estimators mean together: refinement, training, folders of weights."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from qmri_bids.estimation.exchange_table import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.estimation.table import ESTIMATORS, EstimatorEntry


@dataclass(frozen=True, kw_only=True)
class Family:
    """A table of estimators with its options.

    Parameters
    ----------
    estimator, weights
        Names of the options that choose the estimator and the folder of weights.
    table
        The estimators.
    example, folder
        What `--train-missing` goes with and what the folder of weights is, for messages.
    also_trains
        Option beside that of the estimator which needs a network that can be trained; empty without one.
    """

    estimator: str
    weights: str
    table: Mapping[str, EstimatorEntry] | Mapping[str, ExchangeEntry]
    example: str
    folder: str
    also_trains: str = ""


FAMILIES = (
    Family(
        estimator="bssfp_estimator",
        weights="bssfp_weights",
        table=ESTIMATORS,
        example="a network of Birk et al. 2025, for instance --bssfp-estimator pinn-complex-uniform-extended",
        folder="one that qmri-tools train --output made",
    ),
    Family(
        estimator="cest_estimator",
        weights="cest_weights",
        table=EXCHANGE_ESTIMATORS,
        example="a network of pools, for instance --cest-estimator pinn",
        folder="one of network weights",
        also_trains="cest_posterior",
    ),
)


def check_estimators(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Resolve --no-refine and the folders of weights, and refuse options that no estimator has a use for."""
    chosen = [(family, family.table[getattr(options, family.estimator)]) for family in FAMILIES]
    shown = " and ".join(f"{_flag(family.estimator)} {getattr(options, family.estimator)}" for family in FAMILIES)
    if options.train_missing and not any(_trains(options, *each) for each in chosen):
        examples = ", or with ".join(family.example for family in FAMILIES)
        parser.error(f"--train-missing goes with {examples}; found {shown}, which need no training")
    for family, entry in chosen:
        _resolve_weights(parser, options, family, entry)
    if not options.no_refine:
        return
    if not any(entry.bare for _, entry in chosen):
        refined = " or ".join(
            f"{_flag(family.estimator)} {', '.join(name for name, each in family.table.items() if each.bare)}"
            for family in FAMILIES
        )
        parser.error(f"--no-refine goes with {refined}, found {shown}, which have no refinement")
    for family, entry in chosen:
        setattr(options, family.estimator, entry.bare or getattr(options, family.estimator))


def _resolve_weights(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    family: Family,
    entry: EstimatorEntry | ExchangeEntry,
) -> None:
    """Check the folder of weights, which need not exist where weights will be written, and give those a folder."""
    folder = getattr(options, family.weights)
    learns = isinstance(entry, ExchangeEntry) and entry.learns
    writes = learns or (options.train_missing and _trains(options, family, entry))
    if folder is None:
        setattr(options, family.weights, options.work_dir / "weights" if writes else None)
        return
    folder = folder.resolve()
    if not folder.is_dir() and (folder.exists() or not writes):
        parser.error(f"{_flag(family.weights)} {folder} is not a folder; give {family.folder}")
    setattr(options, family.weights, folder)


def _trains(options: argparse.Namespace, family: Family, entry: EstimatorEntry | ExchangeEntry) -> bool:
    """Whether anything that was chosen uses a network that can be trained."""
    return entry.trainable or (bool(family.also_trains) and getattr(options, family.also_trains) is not None)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
