"""The options of steps: how T1 and T2 are estimated, and what the options of both tables of estimators mean together."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.choices import PAPER_PRIORS, PULSE_SHAPES
from qmri_bids.cli.parsing.option import Option, OptionGroup, Setting, spelled
from qmri_bids.estimation.estimators import DEFAULT_ESTIMATOR, ESTIMATORS, EstimatorEntry
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.pipeline.options import DEFAULT_GIBBS_METHOD, GIBBS_CHOICES, IGNORABLE_STEPS, POSTERIOR_PRIORS
from qmri_bids.units import milliseconds_to_seconds

LONGEST_PULSE = 0.05
"""Duration [s] that no excitation of balanced SSFP has: it was given in microseconds."""


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


def _resolve_estimators(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Resolve --no-refine and the folders of weights, and refuse options that no estimator has a use for."""
    chosen = [(family, family.table[getattr(options, family.estimator)]) for family in FAMILIES]
    shown = " and ".join(f"{spelled(family.estimator)} {getattr(options, family.estimator)}" for family in FAMILIES)
    if options.train_missing and not any(_trains(options, *each) for each in chosen):
        examples = ", or with ".join(family.example for family in FAMILIES)
        parser.error(f"--train-missing goes with {examples}; found {shown}, which need no training")
    for family, entry in chosen:
        _resolve_weights(parser, options, family, entry)
    if not options.no_refine:
        return
    if not any(entry.bare for _, entry in chosen):
        refined = " or ".join(
            f"{spelled(family.estimator)} {', '.join(name for name, each in family.table.items() if each.bare)}"
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
        parser.error(f"{spelled(family.weights)} {folder} is not a folder; give {family.folder}")
    setattr(options, family.weights, folder)


def _trains(options: argparse.Namespace, family: Family, entry: EstimatorEntry | ExchangeEntry) -> bool:
    """Whether anything that was chosen uses a network that can be trained."""
    return entry.trainable or (bool(family.also_trains) and getattr(options, family.also_trains) is not None)


def _summaries() -> str:
    """Return the estimators of T1 and T2 in words, the networks of one paper in one."""
    own = {name: entry for name, entry in ESTIMATORS.items() if name not in NETWORK_SYSTEMS}
    return "; ".join(f"{name}: {entry.summary}" for name, entry in own.items()) + (
        f"; {{svnn,pinn}}-{{magnitude,complex}}-{{{','.join(PAPER_PRIORS)}}}: the networks of Birk et al. 2025 by the prior "
        "they were trained on"
    )


def _no_pulse(text: str) -> str:
    try:
        _pulse_in_seconds(text)
    except ValueError:
        shapes = ", ".join(PULSE_SHAPES)
        return f"is SHAPE:MILLISECONDS with a shape of {shapes} and less than 50 ms, such as sinc:1; found {text!r}"
    return ""


def _pulse_in_seconds(text: str) -> tuple[str, float]:
    """Return shape and duration [s] of `SHAPE:MILLISECONDS`."""
    shape, _, milliseconds = text.partition(":")
    duration = milliseconds_to_seconds(float(milliseconds))
    if shape.lower() not in PULSE_SHAPES or not 0.0 < duration < LONGEST_PULSE:
        raise ValueError(text)
    return shape.lower(), duration


STEPS = OptionGroup(
    title="steps",
    rows=(
        Option(
            name="--bssfp-estimator",
            choices=tuple(ESTIMATORS),
            default=DEFAULT_ESTIMATOR,
            metavar="NAME",
            help=f"how T1 and T2 are estimated ({_summaries()}); default: %(default)s",
            setting=Setting("processing", field="estimator", compared=True),
        ),
        Option(
            name="--excitation-pulse",
            metavar="SHAPE:MILLISECONDS",
            help=f"excitation pulse of all pc-bSSFP runs ({', '.join(PULSE_SHAPES)}; a sinc has a time-bandwidth product of 2.7 "
            "and a Hann window) and its duration, such as sinc:1, instead of what a .seq file or the sidecar states",
            complaint=_no_pulse,
            setting=Setting("finding", convert=_pulse_in_seconds),
        ),
        Option(
            name="--no-refine",
            action="store_true",
            help="the network alone, without the refinement by maximum likelihood that follows it by default; holds for "
            "--bssfp-estimator and --cest-estimator",
        ),
        Option(
            name="--posterior",
            choices=POSTERIOR_PRIORS,
            help="write posterior maps of T1 and T2 under this prior too (desc-posterior…), beside those of the estimator; a prior "
            "pulls values towards itself and hides rare tissue",
            setting=Setting("processing", compared=True),
        ),
        Option(
            name="--bssfp-weights",
            type=Path,
            metavar="DIR",
            help="folder of network weights made by qmri-tools train, searched before those that ship",
            setting=Setting("processing", field="weights_folder"),
        ),
        Option(
            name="--train-missing",
            action="store_true",
            help="train a network of Birk et al. 2025, or one of pools, for a protocol that no weights cover (no data needed) and "
            "keep it in --bssfp-weights or --cest-weights, by default in work_dir/weights",
            setting=Setting("processing"),
        ),
        Option(
            name="--gibbs-method",
            choices=GIBBS_CHOICES,
            default=DEFAULT_GIBBS_METHOD,
            help="how Gibbs ringing is removed from every cycle: subvoxel by local shifts; apodization tapers k-space, which costs "
            "resolution; default: %(default)s",
            setting=Setting("processing", compared=True),
        ),
        Option(
            name="--ignore",
            nargs="+",
            choices=IGNORABLE_STEPS,
            default=(),
            metavar="STEP",
            help="steps to leave out: motion, gibbs, calibration; transfer leaves T1 and M0 of pc-bSSFP as they are, magnetization "
            "transfer in them; anatomy keeps this program's own brain masks and tissues where "
            "--derivatives hold others",
            setting=Setting("processing", compared=True),
        ),
    ),
    finish=_resolve_estimators,
)
