"""What a run writes of the B1+ map that it used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.provenance import raw_uris
from qmri_bids.pipeline.results.run_writer import maps_of_run
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import stdev


def b1_sources(run: B1Run | None, *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the BIDS URIs of what a B1+ map was made of: raw files, or the TB1map of another run; empty without one.

    Parameters
    ----------
    run
        How B1 was measured.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    """
    if run is None:
        return []
    if run.run is not None:
        return maps_of_run(run.run, [QUANTITIES["b1"]], output_dir=output_dir)
    return raw_uris(run.paths, bids_dir=bids_dir)


def add_b1(
    add: Callable[..., None],
    b1: NDArray[np.floating],
    *,
    run: B1Run | None,
    registration: Mapping[str, NDArray[Any]] | None,
    mask: NDArray[np.bool_],
    **metadata: Any,
) -> None:
    """Write the map as it was used, its standard deviation in the brain and the mask that says what it is worth.

    Parameters
    ----------
    add
        Writes an array under its row in `bids.names.outputs` with the metadata of the map.
    b1
        Actual over nominal flip angle, shape (X, Y, Z).
    run
        How it was measured.
    registration
        Result of the node that brought it, with `codes` and, where it is known, `stdev`; None where there was no such node.
    mask
        The brain, shape (X, Y, Z).
    metadata
        Passed on.
    """
    said = {} if run is None else {"B1Method": run.method, "B1From": run.run or run.map.name}
    own, spread = QUANTITIES["b1"].written, stdev(QUANTITIES["b1"]).written
    add(own.key, own.convert(b1), extra=said, **metadata)
    if registration is None or "codes" not in registration:
        return
    if "stdev" in registration:
        values = np.where(mask, spread.convert(registration["stdev"]), np.nan).astype(np.float32)
        add(spread.key, values, extra=said, **metadata)
    add("b1_mask", registration["codes"], extra=said, **metadata)
