"""The viewer of a run: every map that it left behind, with the image around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.quantity import POSTERIOR, STDEV
from qmri_bids.reports.viewer.content import Viewer
from qmri_bids.reports.viewer.grid import ViewerMap, build_viewer


def run_viewer(results: RunResults, *, windows: Mapping[str, tuple[float, float]]) -> Viewer:
    """Return the viewer of a run.

    Parameters
    ----------
    results
        What the nodes left behind.
    windows
        Limits of maps that follow from the scan, in the unit of the package, by the name of the map.
    """
    images = {"mean magnitude": results.magnitude}
    series = results.series()
    if series.ndim == 4 and series.shape[3] > 1:
        images["first image"] = np.abs(np.asarray(series[..., 0]))
    return build_viewer(
        tuple(_maps(results, windows)),
        affine=results.affine,
        mask=results.mask,
        status=results.estimate.status,
        images=images,
        tissue=results.tissue,
        mask_name="brain mask" if results.kind == BRAIN else "mask",
    )


def _maps(results: RunResults, windows: Mapping[str, tuple[float, float]]) -> Iterator[ViewerMap]:
    """Yield the maps in the order of the report."""
    estimate = results.estimate

    def entry(name: str, values: NDArray[np.floating], stdev: NDArray[np.floating] | None = None) -> ViewerMap:
        base = name.removeprefix(POSTERIOR)
        group = next((key for key in estimate.status if key and base.startswith(f"{key}_")), "")
        return ViewerMap(name=name, values=values, stdev=stdev, group=group, window=windows.get(name))

    for name, values in estimate.values.items():
        yield entry(name, values, estimate.stdev.get(name))
    if results.b1 is not None and "b1" not in estimate.values:
        yield entry("b1", results.b1, estimate.arrays.get(f"b1{STDEV}"))
    for name, values in estimate.correlation.items():
        yield entry(name, values)
    for name, values in estimate.posterior.items():
        if not name.endswith(STDEV):
            yield entry(f"{POSTERIOR}{name}", values, estimate.posterior.get(f"{name}{STDEV}"))
    if np.isfinite(estimate.residual).any():
        yield entry("residual", estimate.residual)
    if "misfit" in estimate.arrays:
        yield entry("misfit", estimate.arrays["misfit"])
