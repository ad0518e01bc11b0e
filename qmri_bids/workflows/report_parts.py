"""What the reports of all kinds of runs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.reports.content import Check, Figure, Level, ProtocolRow, Section
from qmri_bids.reports.figures import registration_figure
from qmri_bids.reports.tables import motion_check
from qmri_bids.units import millimetres_to_metres
from qmri_bids.workflows.saturation_interfaces import FLUID, GREY, WHITE

TISSUES: Mapping[int, str] = {WHITE: "white matter", GREY: "grey matter", FLUID: "fluid"}

CURVE_TISSUES = (WHITE, GREY)
"""Tissues whose mean curves are drawn."""

FEWEST_VOXELS = 20
"""A tissue of fewer voxels has no mean curve."""


def protocol_rows(sources: Iterable[ValueSource]) -> tuple[ProtocolRow, ...]:
    """Return values of the acquisition as rows of a table."""
    return tuple(ProtocolRow(key=each.key, value=each.value, unit=each.unit, source=each.source) for each in sources)


def motion_light(motion: Mapping[str, Any] | None, *, affine: NDArray[np.floating], noun: str = "cycle") -> Check:
    """Return the traffic light of the motion of a series, None where it was left alone."""
    if motion is None:
        return Check(name="Motion", value="not corrected, as asked", level=Level.CHECK)
    smallest = float(np.linalg.norm(affine[:3, :3], axis=0).min())
    return motion_check(motion["framewise_displacement"], voxel_size=millimetres_to_metres(smallest), noun=noun)


def curve_regions(tissue: NDArray[np.integer] | None, inside: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return the voxels, in the order of the mask, of each tissue whose mean curve is drawn; all where none is told."""
    regions: dict[str, NDArray[np.bool_]] = {}
    if tissue is not None:
        labels = tissue[inside]
        regions = {TISSUES[label]: labels == label for label in CURVE_TISSUES}
        regions = {name: chosen for name, chosen in regions.items() if np.count_nonzero(chosen) >= FEWEST_VOXELS}
    return regions or {"brain mask": np.ones(int(np.count_nonzero(inside)), dtype=bool)}


def registration_figures(
    registrations: Mapping[str, Mapping[str, Any]],
    *,
    magnitude: NDArray[np.floating],
    affine: NDArray[np.floating],
    mask: NDArray[np.bool_],
    names: Mapping[str, str],
) -> Iterator[Figure]:
    """Return a picture of every scan that was registered by an image.

    Parameters
    ----------
    registrations
        By key: arrays with `anatomical`, the image brought to this grid, 0 where there was none.
    magnitude, affine, mask
        Of this scan.
    names
        What the scans are, by key.
    """
    for key, registration in registrations.items():
        if np.any(registration["anatomical"]):
            yield registration_figure(
                magnitude,
                registration["anatomical"],
                affine=affine,
                mask=mask,
                fixed_name="mean of the images of full signal",
                moving_name=f"image of {names[key]}",
                key=f"registration-{key.replace('_', '-')}",
                title=f"Registration of {names[key]}",
                section=Section.REGISTRATION,
            )
