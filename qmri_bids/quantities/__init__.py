"""Every map, one row: names, files and reports follow from it.

A new map is a row in a file of this folder, and an estimator that returns values under its name. Windows are those of the brain at
3 T. Amplitudes of Lorentzian lines and AREX depend on the power of the saturation: their windows fit the low powers (0.6 to 0.9 µT)
at which pools are told apart; that of the asymmetry is the one in which APT-weighted images at 2 µT are read.

The command line imports this package: it must stay light, without NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from qmri_bids.quantities.fields import FIELDS
from qmri_bids.quantities.images import BAND_FREE, SYNTHETIC
from qmri_bids.quantities.pools import FITTED_WATER, POOL_PRIORS, POOLS, SOLUTE, SOLUTES
from qmri_bids.quantities.relaxometry import BSSFP, RELAXATION, TRANSFER
from qmri_bids.quantities.residuals import RESIDUALS
from qmri_bids.quantities.saturation import MAGNETIZATION_TRANSFER, SPECTRA
from qmri_bids.quantity import (
    POSTERIOR,
    STDEV,
    MapFile,
    Quantity,
    at_offset,
    known,
    labelled,
    of_line,
    of_pool,
    over_range,
    posterior,
    posterior_stdev,
    stdev,
)

__all__ = [
    "KNOWN_QUANTITIES",
    "POOL_PRIORS",
    "QUANTITIES",
    "ROWS",
    "SOLUTE",
    "all_files",
    "find_quantity",
    "get_quantity",
]

ROWS = (
    *RELAXATION,
    *TRANSFER,
    *BSSFP,
    *SYNTHETIC,
    *BAND_FREE,
    *MAGNETIZATION_TRANSFER,
    *SPECTRA,
    *POOLS,
    *SOLUTES,
    *FITTED_WATER,
    *FIELDS,
    *RESIDUALS,
)
"""All rows, in the order in which their files are listed."""

QUANTITIES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in ROWS}
"""All maps by name."""

KNOWN_QUANTITIES: Mapping[str, Quantity] = {
    quantity.argument: quantity for quantity in QUANTITIES.values() if quantity.known is not None
}
"""Maps that the estimation of another run takes, by their names as arguments: those of `physics.fingerprint.KNOWN`."""

_MTR_ASYMMETRY = re.compile(r"MTRasym_(?P<offset>\d+(?:\.\d+)?)(?:to(?P<end>\d+(?:\.\d+)?))?")

_OF_A_POOL = re.compile(r"(?P<kind>amplitude|arex|rex)_(?P<pool>[0-9a-zA-Z]+)")
_IMAGE = re.compile(r"synthetic_(?P<label>[0-9A-Za-z]+)_(?P<sequence>[0-9A-Za-z]+)")
_OF_POOL = re.compile(r"(?P<pool>[0-9A-Za-z]+)_(?P<what>fraction|rate|correlation|concentration)")


def find_quantity(name: str, *, prior: str | None = None) -> Quantity | None:
    """Return the map of a name, None where there is none.

    Parameters
    ----------
    name
        A name in `QUANTITIES`, or `MTRasym_<offset in ppm>`, `MTRasym_<offset>to<offset>`, `amplitude_<pool>`, `arex_<pool>`,
        `rex_<pool>` and `<pool>_fraction` (rate, correlation, concentration) of any pool, `synthetic_<label>_<sequence>`; with
        `_stdev` after it for the standard deviation, with `posterior_` before it for the posterior.
    prior
        That of a posterior map; without one it is only shown.

    Examples
    --------
    >>> find_quantity("posterior_T1_stdev", prior="uniform").written.desc
    'posteriorUniformStd'
    >>> find_quantity("iohexol_rate_stdev").written.desc
    'iohexolstd'
    """
    base = name.removeprefix(POSTERIOR).removesuffix(STDEV)
    quantity = QUANTITIES.get(base) or _of_a_family(base)
    of_posterior, of_stdev = name.startswith(POSTERIOR), name.endswith(STDEV)
    if quantity is None or (of_posterior and not quantity.posterior) or (of_stdev and not quantity.spread):
        return None
    if of_posterior:
        return (posterior_stdev if of_stdev else posterior)(quantity, prior=prior)
    return stdev(quantity) if of_stdev else quantity


def _of_a_family(name: str) -> Quantity | None:
    """Return a map whose name holds an offset or a pool of one's own."""
    if offset := _MTR_ASYMMETRY.fullmatch(name):
        start, end = float(offset["offset"]), offset["end"]
        asymmetry = QUANTITIES["MTRasym"]
        return at_offset(asymmetry, start) if end is None else over_range(asymmetry, start, float(end))
    if found := _OF_A_POOL.fullmatch(name):
        return of_line(QUANTITIES[f"{found['kind']}_"], found["pool"])
    if (image := _IMAGE.fullmatch(name)) and f"synthetic_{image['sequence']}" in QUANTITIES:
        return labelled(QUANTITIES[f"synthetic_{image['sequence']}"], image["label"])
    if found := _OF_POOL.fullmatch(name):
        return of_pool(QUANTITIES[f"{SOLUTE}_{found['what']}"], found["pool"])
    return None


def get_quantity(name: str, *, prior: str | None = None) -> Quantity:
    """Return the map of a name; parameters as those of `find_quantity`.

    Raises
    ------
    ValueError
        If there is none.
    """
    quantity = find_quantity(name, prior=prior)
    if quantity is None:
        raise ValueError(f"expected a map that has a row in qmri_bids.quantities, found {name!r}")
    return quantity


def all_files() -> Iterator[MapFile]:
    """Yield the files that maps, their standard deviations and posteriors, and known maps are written to."""
    for quantity in QUANTITIES.values():
        yield quantity.written
        if quantity.spread is not None:
            yield stdev(quantity).written
        for prior in quantity.posterior.priors if quantity.posterior is not None else ():
            yield posterior(quantity, prior=prior).written
            yield posterior_stdev(quantity, prior=prior).written
        if quantity.known is not None:
            yield known(quantity).written
