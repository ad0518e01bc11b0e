"""The options of CEST and MT runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from qmri_bids.choices import ArexT1, PowerCorrectionChoice
from qmri_bids.cli.parsing.option import Limits, Option, OptionGroup, Relation, Setting
from qmri_bids.estimation.pool_estimators import DEFAULT_EXCHANGE_ESTIMATOR, EXCHANGE_ESTIMATORS, FITS_WATER
from qmri_bids.pipeline.options import (
    B0_CHOICES,
    DEFAULT_ASYMMETRY,
    DENOISING,
    EXCHANGE_POSTERIOR_PRIORS,
    MEASURES_OF_SPECTRA,
    MTSAT_CORRECTIONS,
    POOLS,
)
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import at_offset, over_range


def _no_set_of_lines(pools: Sequence[str]) -> str:
    shown = f"found {' '.join(pools)}"
    if len(set(pools)) < len(pools):
        return f"must name each pool once, {shown}"
    return "" if "water" in pools else f"must hold water, whose line all others stand on, {shown}"


def _range_of(text: str) -> tuple[float, float] | None:
    """Return both ends of a range such as 3.0:4.0, None where it is none."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    return (low, high) if 0.0 < low < high < 1000.0 else None


def _one_file(labels: Sequence[str], given: Sequence[object]) -> str:
    """Return a complaint where two maps would be one file; empty where none would."""
    first: dict[str, object] = {}
    for label, each in zip(labels, given, strict=True):
        if label in first:
            return f"must differ in the four digits that names of files hold, found {first[label]} and {each}"
        first[label] = each
    return ""


def _one_offset(offsets: Sequence[float]) -> str:
    asymmetry = QUANTITIES["MTRasym"]
    return _one_file([at_offset(asymmetry, each).written.desc or "" for each in offsets], offsets)


def _no_ranges(ranges: Sequence[str]) -> str:
    wrong = [text for text in ranges if _range_of(text) is None]
    if wrong:
        return f"must hold ranges LOW:HIGH of positive offsets in ppm, such as 3.0:4.0, found {' '.join(wrong)}"
    asymmetry = QUANTITIES["MTRasym"]
    return _one_file([over_range(asymmetry, *each).written.desc or "" for each in _in_ppm(ranges)], ranges)


def _in_ppm(ranges: Sequence[str]) -> list[tuple[float, float]]:
    return [found for found in map(_range_of, ranges) if found is not None]


MOST_PROTONS = 1e6
"""Of one molecule: of polymers such as glycogen there are many."""


def protons_of(given: Sequence[str]) -> dict[str, float]:
    """Return the protons of one molecule by the name of the pool.

    Examples
    --------
    >>> protons_of(["iohexol=2", "L-arginine=3"])
    {'iohexol': 2.0, 'L-arginine': 3.0}
    """
    parts = [text.rpartition("=") for text in given]
    return {name: float(number) for name, _, number in parts}


def _no_protons(given: Sequence[str]) -> str:
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if not name or not 0.0 < value <= MOST_PROTONS:
            return f"takes a pool and the exchanging protons of one of its molecules, such as iohexol=2, found {text!r}"
    names = [text.rpartition("=")[0].lower() for text in given]
    return "must name each pool once" if len(set(names)) < len(names) else ""


SPECTRA = OptionGroup(
    title="CEST and MT",
    rows=(
        Option(
            name="--cest-b0",
            choices=B0_CHOICES,
            default=B0_CHOICES[0],
            help="where the shift of water of CEST runs comes from: a WASABI or WASSR run, pc-bSSFP (fingerprints alone), a field "
            "map, or the dip of the spectrum itself (Z-spectra alone); auto takes the first of these that the session has; none "
            "leaves Z-spectra as they are; default: %(default)s",
            setting=Setting("finding"),
        ),
        Option(
            name="--mtrasym-offsets",
            type=float,
            nargs="+",
            default=DEFAULT_ASYMMETRY,
            metavar="PPM",
            help="offsets at which MTR asymmetry is mapped; default: 3.5, amide protons",
            limits=Limits(
                low=0,
                high=1000,
                open_low=True,
                open_high=True,
                refusal="must be positive, in ppm (both sides are meant), found {:g}",
            ),
            complaint=_one_offset,
            setting=Setting("processing", field="asymmetry", unit="ppm", compared=True),
        ),
        Option(
            name="--mtrasym-ranges",
            nargs="+",
            default=(),
            metavar="LOW:HIGH",
            help="ranges of offsets in ppm over which the mean MTR asymmetry is mapped, such as 3.0:4.0",
            complaint=_no_ranges,
            setting=Setting("processing", field="asymmetry_ranges", convert=_in_ppm, unit="ppm", compared=True),
        ),
        Option(
            name="--cest-measures",
            nargs="+",
            choices=MEASURES_OF_SPECTRA,
            default=(),
            metavar="NAME",
            help="other measures of Z-spectra: three-offset (APT and NOE), lda (Lorentzian difference to a background of water and "
            "MT), rex (inverse difference MTR_Rex), emr (APT# and NOE#: difference to MT extrapolated from far offsets); by "
            "default none",
            setting=Setting("processing", field="measures", compared=True),
        ),
        Option(
            name="--lorentzian-model",
            type=Path,
            metavar="FILE",
            help="set of lines for the Lorentzian fit (YAML, see docs/cest_mt.md) in place of that of the package; all are fitted",
            must_be_file=True,
            excluded_by=(
                Relation(
                    ("lorentzian_pools",), "{option} says which pools are fitted, and {others} too: give one of the two"
                ),
            ),
            setting=Setting("finding"),
        ),
        Option(
            name="--lorentzian-pools",
            nargs="+",
            choices=POOLS,
            metavar="POOL",
            help=f"pools of the Lorentzian fit ({', '.join(POOLS)}); by default all where offsets reach beyond ±10 ppm, else none",
            complaint=_no_set_of_lines,
            setting=Setting("processing", field="pools", compared=True),
        ),
        Option(
            name="--noise-sd",
            type=float,
            metavar="VALUE",
            help="standard deviation of the noise of one volume of the CEST and MT runs, in units of their images, for images "
            "that were averaged, smoothed or denoised before; by default the images tell it",
            limits=Limits(
                low=0,
                high=1e12,
                open_low=True,
                refusal="must be above 0 and finite, in units of the images, found {:g}",
            ),
            setting=Setting("processing", field="noise_sd", compared=True),
        ),
        Option(
            name="--cest-denoise",
            choices=DENOISING,
            default=DENOISING[0],
            help="denoise aligned CEST series by principal components of patches (mppca); default: %(default)s",
            setting=Setting("processing", field="denoise", compared=True),
        ),
        Option(
            name="--arex-t1",
            choices=get_args(ArexT1),
            default="auto",
            help="where the T1 of AREX comes from: the pc-bSSFP run of the session, a T1map in anat/ of the dataset or of "
            "--derivatives, one number (--cest-t1), or none, without AREX; auto takes pc-bSSFP freed of magnetization transfer, "
            "else the first of dataset, derivatives, apparent T1 of pc-bSSFP and number; default: %(default)s",
            setting=Setting("finding"),
        ),
        Option(
            name="--cest-b1-correction",
            choices=get_args(PowerCorrectionChoice),
            default="none",
            help="whether Z-spectra are taken to their nominal B1 too, as a run of their own, by spectra of the session with the "
            "same offsets and saturation at other powers and a B1 map (Windschuh et al. 2015); default: %(default)s",
            setting=Setting("finding"),
        ),
        Option(
            name="--mtsat-correction",
            choices=MTSAT_CORRECTIONS,
            default=MTSAT_CORRECTIONS[0],
            help="how MT saturation is taken to the nominal B1 of its pulse; default: %(default)s",
            setting=Setting("processing", compared=True),
        ),
    ),
)


def _stand_in(
    name: str, shown: str, *, unit: str, low: float, high: float, unit_in_words: str, users: str = "fingerprints"
) -> Option:
    """Return the option of a number that stands for a map."""
    return Option(
        name=name,
        type=float,
        metavar=unit,
        help=f"{shown} of every voxel, for {users} that have no map of it",
        limits=Limits(
            low=low, high=high, refusal=f"must lie within {low:g} to {high:g}, in {unit_in_words}, found {{:g}}"
        ),
        setting=Setting("finding"),
    )


WATER_TIMES = ("T1", "T2")

NEEDS_WATER = tuple(name for name, entry in EXCHANGE_ESTIMATORS.items() if FITS_WATER not in (name, entry.instead))
"""Estimators that take T1 and T2 of water as known, and have none that takes their place."""


def _in_order(times: Sequence[str]) -> list[str]:
    return [name.lower() for name in WATER_TIMES if name in times]


def _one_source(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a time of water that is given and fitted."""
    for name in options.cest_fit_water or ():
        if getattr(options, f"cest_{name.lower()}") is not None:
            parser.error(
                f"--cest-{name.lower()} gives {name} of water, and --cest-fit-water {name} has it fitted: give one of the two"
            )


POOL_FRACTIONS = OptionGroup(
    title="pool fractions and exchange rates, from CEST fingerprints",
    rows=(
        Option(
            name="--cest-estimator",
            choices=tuple(EXCHANGE_ESTIMATORS),
            default=DEFAULT_EXCHANGE_ESTIMATOR,
            metavar="NAME",
            help="how they are estimated ("
            + "; ".join(f"{name}: {entry.summary}" for name, entry in EXCHANGE_ESTIMATORS.items())
            + "); default: %(default)s",
            setting=Setting("processing", field="exchange_estimator", compared=True),
        ),
        Option(
            name="--cest-weights",
            type=Path,
            metavar="DIR",
            help="folder of network weights, searched before those that ship; networks trained on a subject are kept there, by "
            "default in work_dir/weights",
            setting=Setting("processing", field="exchange_weights"),
        ),
        Option(
            name="--cest-posterior",
            choices=EXCHANGE_POSTERIOR_PRIORS,
            help="write posterior maps under this prior too, beside those of the estimator and labelled with it",
            setting=Setting("processing", field="exchange_posterior", compared=True),
        ),
        Option(
            name="--cest-pools",
            type=Path,
            metavar="FILE",
            help="pools in the YAML of pulseq-CEST: any solutes by name, shift and T2, with or without an mt_pool; those that the "
            "offsets of a series see are estimated; by default MT and amide of Finkelstein et al. 2025",
            must_be_file=True,
            setting=Setting("finding"),
        ),
        Option(
            name="--cest-protons",
            nargs="+",
            metavar="NAME=N",
            help="exchanging protons in one molecule of pools, such as iohexol=2: their concentration is mapped too, in mmol/L of "
            "their water",
            complaint=_no_protons,
            setting=Setting("finding", convert=protons_of),
        ),
        _stand_in(
            "--cest-t1",
            "T1",
            unit="SECONDS",
            low=0.05,
            high=10.0,
            unit_in_words="seconds",
            users="fingerprints and for AREX of Z-spectra",
        ),
        _stand_in("--cest-t2", "T2", unit="SECONDS", low=0.001, high=5.0, unit_in_words="seconds"),
        Option(
            name="--cest-fit-water",
            nargs="+",
            choices=WATER_TIMES,
            metavar="NAME",
            help="T1 or T2 of water or both, to be fitted along with the pools where neither map nor number gives them and the "
            "images tell them; by default such fingerprints are refused",
            excluded_by=(
                Relation(
                    ("cest_estimator",),
                    "{option} does not go with {others}, which takes T1 and T2 of water as known: --cest-estimator ml fits them",
                    NEEDS_WATER,
                ),
                Relation(
                    ("cest_posterior",),
                    "{option} does not go with {others}: the posterior takes T1 and T2 of water as known",
                ),
            ),
            setting=Setting("finding", convert=_in_order),
        ),
        _stand_in("--cest-off-resonance", "off-resonance", unit="HZ", low=-2e4, high=2e4, unit_in_words="Hz"),
    ),
    finish=_one_source,
)
