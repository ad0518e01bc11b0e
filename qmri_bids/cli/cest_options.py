"""The options of CEST and MT runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from qmri_bids.estimation.exchange_table import DEFAULT_EXCHANGE_ESTIMATOR, EXCHANGE_ESTIMATORS
from qmri_bids.workflows.options import (
    B0_CHOICES,
    DEFAULT_ASYMMETRY,
    EXCHANGE_POSTERIOR_PRIORS,
    MTSAT_CORRECTIONS,
    POOLS,
)

NUMBERS = {
    "cest_t1": (0.05, 10.0, "seconds"),
    "cest_t2": (0.001, 5.0, "seconds"),
    "cest_off_resonance": (-2e4, 2e4, "Hz"),
}
"""Lowest and highest numbers that may stand for a map, and their units."""


def add_cest_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of CEST and MT runs to a parser."""
    spectra = parser.add_argument_group("CEST and MT")
    spectra.add_argument(
        "--cest-b0",
        choices=B0_CHOICES,
        default=B0_CHOICES[0],
        help="where the shift of water of CEST runs comes from: a WASABI or WASSR run, pc-bSSFP (fingerprints alone), a field map, "
        "or the dip of the spectrum itself (Z-spectra alone); auto takes the first of these that the session has; default: "
        "%(default)s",
    )
    spectra.add_argument(
        "--mtrasym-offsets",
        type=float,
        nargs="+",
        default=DEFAULT_ASYMMETRY,
        metavar="PPM",
        help="offsets at which MTR asymmetry is mapped; default: 3.5, amide protons",
    )
    spectra.add_argument(
        "--lorentzian-pools",
        nargs="+",
        choices=POOLS,
        metavar="POOL",
        help=f"pools of the Lorentzian fit ({', '.join(POOLS)}); by default all where offsets reach beyond ±10 ppm, else none",
    )
    spectra.add_argument(
        "--mtsat-correction",
        choices=MTSAT_CORRECTIONS,
        default=MTSAT_CORRECTIONS[0],
        help="how MT saturation is taken to the nominal B1 of its pulse; default: %(default)s",
    )
    estimators = "; ".join(f"{name}: {entry.summary}" for name, entry in EXCHANGE_ESTIMATORS.items())
    pools = parser.add_argument_group("pool fractions and exchange rates, from CEST fingerprints")
    pools.add_argument(
        "--cest-estimator",
        choices=tuple(EXCHANGE_ESTIMATORS),
        default=DEFAULT_EXCHANGE_ESTIMATOR,
        metavar="NAME",
        help=f"how they are estimated ({estimators}); default: %(default)s",
    )
    pools.add_argument(
        "--cest-weights",
        type=Path,
        metavar="DIR",
        help="folder of network weights, searched before those that ship; networks trained on a subject are kept there, by default "
        "in work_dir/weights",
    )
    pools.add_argument(
        "--cest-posterior",
        choices=EXCHANGE_POSTERIOR_PRIORS,
        help="write posterior maps under this prior too, beside those of the estimator and labelled with it",
    )
    pools.add_argument(
        "--cest-pools",
        type=Path,
        metavar="FILE",
        help="pools in the YAML of pulseq-CEST, with an mt_pool and, to estimate amide, a pool of that name; by default those of "
        "Finkelstein et al. 2025",
    )
    for name, shown, unit in (
        ("--cest-t1", "T1", "SECONDS"),
        ("--cest-t2", "T2", "SECONDS"),
        ("--cest-off-resonance", "off-resonance", "HZ"),
    ):
        pools.add_argument(
            name, type=float, metavar=unit, help=f"{shown} of every voxel, for fingerprints that have no map of it"
        )


def check_cest_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse offsets, pools and numbers that make no map."""
    for offset in options.mtrasym_offsets:
        if not 0.0 < offset < 1000.0:
            parser.error(f"--mtrasym-offsets must be positive, in ppm (both sides are meant), found {offset:g}")
    if options.lorentzian_pools is not None and len(set(options.lorentzian_pools)) < len(options.lorentzian_pools):
        parser.error(f"--lorentzian-pools must name each pool once, found {' '.join(options.lorentzian_pools)}")
    if options.lorentzian_pools is not None and "water" not in options.lorentzian_pools:
        parser.error(
            f"--lorentzian-pools must hold water, whose line all others stand on, found {' '.join(options.lorentzian_pools)}"
        )
    for name, (low, high, unit) in NUMBERS.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            shown = name.replace("_", "-")
            parser.error(f"--{shown} must lie within {low:g} to {high:g}, in {unit}, found {value:g}")
    if options.cest_pools is not None:
        options.cest_pools = options.cest_pools.resolve()
        if not options.cest_pools.is_file():
            parser.error(f"--cest-pools {options.cest_pools} is not a file")
