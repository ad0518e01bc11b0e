"""T1 and T2 of water that no scan gives, fitted along with the pools: only where the images tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.fingerprint import WATER
from qmri_bids.pipeline.maps.known import listed
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.pools.run import ExchangeRun

FIT_OPTION = "--cest-fit-water"


def with_fitted_water(run: ExchangeRun, fitted: Sequence[str]) -> ExchangeRun:
    """Return a run that fits relaxation times of water along, with a sentence on what its images tell.

    Parameters
    ----------
    run
        The run.
    fitted
        Which of `t1` and `t2`; the run itself is returned where there is none.

    Raises
    ------
    RefusedError
        If the images do not tell one of them.
    """
    if not fitted:
        return run
    # Compiled equations, which a call without this wish need not load.
    from qmri_bids.estimation.pools.water_told import NOISE, POOL_LIMIT, WATER_LIMIT, water_told

    scan = replace(run.scan, fitted=tuple(fitted))
    told = water_told(scan)
    shown = listed([KNOWN_QUANTITIES[name].name for name in fitted])
    figures = (
        f"with noise of {100 * NOISE:g} % of M0, typical standard deviations (Cramér-Rao) are {_figures(told.relative)}"
    )
    if told.untold:
        limits = f"below {100 * WATER_LIMIT:g} % for water and {100 * POOL_LIMIT:g} % for pools"
        raise _not_told(run, told.untold, figures=figures, limits=limits, pools_told=told.pools_told)
    sentence = (
        f"{shown} of water {'are' if len(fitted) > 1 else 'is'} fitted in every voxel along with the pools ({FIT_OPTION}): "
        f"{figures}. What B1 and off-resonance lack goes into them too."
    )
    return replace(run, scan=scan, decisions=(*run.decisions, sentence))


def _figures(relative: Mapping[str, float]) -> str:
    """Return the bounds in words, those of water first."""
    own = sorted(relative.items(), key=lambda item: not item[0].startswith(f"{WATER}."))
    return listed([f"{100.0 * value:.2g} % ({name.replace('.', ' ')})" for name, value in own])


def _not_told(run: ExchangeRun, untold: Sequence[str], *, figures: str, limits: str, pools_told: bool) -> RefusedError:
    shown = listed([KNOWN_QUANTITIES[name].name for name in untold])
    options = listed([f"--cest-{name}" for name in untold])
    advice = (
        f"Give {shown} by a map or by {options} (seconds). Offsets within 1 ppm of water and several recovery times would tell it."
        if pools_told
        else "Not even with T1 and T2 known are fraction and rate told by these images: scan more powers."
    )
    return refuse(
        file=run.label,
        key=FIT_OPTION,
        expected=f"images that tell {shown} of water beside the pools, {limits}",
        found=f"{figures}",
        advice=advice,
    )
