"""What can be made of a Z-spectrum by its offsets, said in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, WATER, LineModel
from qmri_bids.estimation.spectra.series import SeriesLayout

FAR_OFFSET = 10.0
"""Offsets must reach so far on both sides [ppm] for a fit to tell the broad line of MT from the others."""

FEWEST_OFFSETS = 4
"""A spline needs as many."""

AREX_POOLS = ("amide", "NOE", "MT", "amine")
"""The order of pools whose apparent exchange-dependent relaxation is mapped; all others but water follow."""


@dataclass(frozen=True, kw_only=True)
class SpectrumPlan:
    """What is made of a spectrum.

    Parameters
    ----------
    layout
        Its volumes.
    asymmetry
        Offsets of MTR asymmetry that lie within those measured [ppm].
    pools
        Pools to fit; empty for no fit.
    arex
        Pools of which AREX is mapped, some of `pools`.
    decisions, warnings
        What was decided and what a reader must know, as sentences.
    """

    layout: SeriesLayout
    asymmetry: tuple[float, ...]
    pools: tuple[str, ...]
    arex: tuple[str, ...]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_spectrum(
    layout: SeriesLayout,
    *,
    asymmetry: tuple[float, ...],
    pools: tuple[str, ...] | None,
    with_t1: bool,
    option_of_pools: str,
    model: LineModel = SHIPPED_LINES,
) -> SpectrumPlan:
    """Return what can be made of a spectrum.

    Parameters
    ----------
    layout
        Its volumes.
    asymmetry
        Offsets of MTR asymmetry that were asked for [ppm].
    pools
        Pools that were asked for; None to decide by the offsets.
    with_t1
        Whether a T1 map is there.
    option_of_pools
        What the option for pools is called in sentences.
    model
        The set of lines that holds the pools.

    Raises
    ------
    ValueError
        If there are too few offsets, or not more of them than parameters of pools that were asked for.
    """
    offsets = layout.offsets
    low, high, number = float(offsets[0]), float(offsets[-1]), len(offsets)
    if number < FEWEST_OFFSETS:
        raise ValueError(
            f"a Z-spectrum needs at least {FEWEST_OFFSETS} different offsets, found {number}: {offsets.tolist()} ppm"
        )
    decisions = [
        f"The spectrum has {number} offsets from {low:g} to {high:g} ppm"
        + (f", repeated {layout.repetitions} times or more and averaged" if layout.repetitions > 1 else "")
        + f"; it was normalised by {len(layout.unsaturated)} unsaturated volume{'s' if len(layout.unsaturated) > 1 else ''}"
        + (", linear in time between them." if len(layout.unsaturated) > 1 else ".")
    ]
    warnings = []
    within = tuple(each for each in asymmetry if -low >= each and high >= each)
    for each in sorted(set(asymmetry) - set(within)):
        warnings.append(
            f"There is no MTR asymmetry at {each:g} ppm: the spectrum was measured from {low:g} to {high:g} ppm."
        )
    parameters = model.free_parameters(model.names if pools is None else pools)
    if pools is None:
        reaches = _reaches(low, high, model)
        chosen = automatic_pools(offsets.tolist(), model=model)
        stated = f", the lines of {model.origin}" if model.origin else ""
        if chosen:
            decisions.append(f"Lorentzian lines were fitted to {', '.join(chosen)}{stated}.")
        else:
            reason = (
                f"{number} offsets do not tell {parameters} parameters"
                if reaches
                else f"offsets from {low:g} to {high:g} ppm do not tell the broad line of MT (±{FAR_OFFSET:g} ppm or more needed)"
            )
            advice = (
                f"State a set without it in {model.origin}"
                if model.origin
                else f"Name the pools to fit them (option {option_of_pools})"
            )
            decisions.append(f"Lorentzian lines were not fitted: {reason}. {advice}.")
    else:
        chosen = pools
        if chosen and number <= parameters:
            raise ValueError(
                f"{number} offsets cannot tell the {parameters} parameters of the pools {', '.join(chosen)}; name fewer pools"
            )
        if set(chosen) & set(model.semisolid) and not _reaches(low, high, model):
            warnings.append(
                f"THE LORENTZIAN LINES CANNOT BE TOLD APART: offsets from {low:g} to {high:g} ppm do not tell the broad line of "
                "MT; the amplitudes are a matter of the bounds. The fit was made because it was asked for."
            )
        decisions.append(
            f"Lorentzian lines were fitted to {', '.join(chosen)}, as asked for."
            if chosen
            else "No Lorentzian lines were fitted, as asked for."
        )
    arex = exchanging(chosen) if with_t1 else ()
    if arex:
        decisions.append(
            f"AREX was computed for {', '.join(arex)} with the T1 map and a duty cycle of "
            f"{100.0 * layout.saturation.duty_cycle:.0f} %."
        )
    elif chosen:
        decisions.append("AREX was not computed: there is no T1 map of these voxels.")
    return SpectrumPlan(
        layout=layout, asymmetry=within, pools=chosen, arex=arex, decisions=tuple(decisions), warnings=tuple(warnings)
    )


def exchanging(pools: Sequence[str]) -> tuple[str, ...]:
    """Return all pools but water, those of the package in their order first.

    Examples
    --------
    >>> exchanging(("water", "guanidine", "MT", "amide"))
    ('amide', 'MT', 'guanidine')
    """
    known = [pool for pool in AREX_POOLS if pool in pools]
    return (*known, *(pool for pool in pools if pool not in known and pool != WATER))


def automatic_pools(offsets: Sequence[float], *, model: LineModel = SHIPPED_LINES) -> tuple[str, ...]:
    """Return the pools that offsets [ppm] can tell: all where they reach far on both sides and outnumber the parameters, else none.

    A set without a semisolid pool needs no far offsets.

    Examples
    --------
    >>> automatic_pools([-4.0, -3.5, 3.5, 4.0])
    ()
    """
    tells = _reaches(min(offsets), max(offsets), model) and len(set(offsets)) > model.free_parameters(model.names)
    return model.names if tells else ()


def _reaches(low: float, high: float, model: LineModel) -> bool:
    return not model.semisolid or (low <= -FAR_OFFSET and high >= FAR_OFFSET)
