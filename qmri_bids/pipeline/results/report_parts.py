"""What the reports of all kinds of runs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.preprocessing.motion.parameters import HEAD_RADIUS
from qmri_bids.reports.content import Check, Figure, Level, ProtocolRow, Section, parameter_name
from qmri_bids.reports.figure_table import realigned_figure, registration_figure
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.tables import motion_check, quantity_of
from qmri_bids.tissue_labels import GREY, NAMES, WHITE
from qmri_bids.units import metres_to_millimetres, millimetres_to_metres

CURVE_TISSUES = (WHITE, GREY)
"""Tissues whose mean curves are drawn."""

FEWEST_VOXELS = 20
"""A tissue of fewer voxels has no mean curve."""

MOSTLY_POSITIVE = 0.25
"""Share of negative values from which a standard deviation is not stated relative to them."""


def protocol_rows(sources: Iterable[ValueSource]) -> tuple[ProtocolRow, ...]:
    """Return values of the acquisition as rows of a table."""
    return tuple(
        ProtocolRow(
            key=parameter_name(each.key),
            parameter=each.key,
            value=each.value,
            unit=each.unit,
            source=each.source,
        )
        for each in sources
    )


def motion_light(
    motion: Mapping[str, Any] | None, *, affine: NDArray[np.floating], noun: str = "cycle", of: str = ""
) -> Check:
    """Return the traffic light of the motion of a series, None where it was left alone."""
    if motion is None:
        return Check(name="Motion", value="not corrected, as asked", level=Level.CHECK)
    kept = ~np.asarray(motion.get("censored", np.zeros(len(motion["framewise_displacement"]), dtype=bool)), dtype=bool)
    assessed = np.asarray(motion.get("assessed", np.ones(6, dtype=bool)), dtype=bool)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    known = {name: np.asarray(motion[name])[kept] for name in ("remaining", "trusted") if name in motion}
    return motion_check(
        motion["framewise_displacement"],
        voxel_size=millimetres_to_metres(float(sides.min())),
        assessed=assessed,
        noun=noun,
        of=of,
        **known,
    )


def unjudged_measures(
    values: Mapping[str, NDArray[np.floating]],
    *,
    stdev: Mapping[str, NDArray[np.floating]],
    residual: NDArray[np.floating],
    mask: NDArray[np.bool_],
    affine: NDArray[np.floating],
) -> tuple[Measure, ...]:
    """Return the numbers of a run that no check judges: how large the brain is and how precise its maps are.

    Parameters
    ----------
    values, stdev
        Maps and their standard deviations by name. Of a map whose values have a sign the relative one says nothing:
        it is left out where a quarter of the voxels or more are negative.
    residual
        Residual of the fit, relative to the signal.
    mask
        Brain mask.
    affine
        Voxel to scanner coordinates [mm].
    """
    millilitres = abs(float(np.linalg.det(affine[:3, :3]))) * 1e-3
    measures = [Measure(key="brain_volume", value=float(np.count_nonzero(mask)) * millilitres)]
    if np.isfinite(residual).any():
        measures.append(Measure(key="residual", value=100.0 * float(np.nanmedian(residual))))
    for name, sd in stdev.items():
        known = np.isfinite(sd) & np.isfinite(values[name]) & (values[name] != 0.0)
        value = values[name][known].astype(float)
        if value.size and np.mean(value < 0.0) < MOSTLY_POSITIVE:
            relative = float(np.median(sd[known].astype(float) / np.abs(value)))
            measures.append(Measure(key="relative_stdev", value=100.0 * relative, of=quantity_of(name).label))
    return tuple(measures)


def curve_regions(tissue: NDArray[np.integer] | None, inside: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return the voxels, in the order of the mask, of each tissue whose mean curve is drawn; all where none is told."""
    regions: dict[str, NDArray[np.bool_]] = {}
    if tissue is not None:
        labels = tissue[inside]
        regions = {NAMES[label]: labels == label for label in CURVE_TISSUES}
        regions = {name: chosen for name, chosen in regions.items() if np.count_nonzero(chosen) >= FEWEST_VOXELS}
    return regions or {"brain mask": np.ones(int(np.count_nonzero(inside)), dtype=bool)}


def realigned_figures(results: RunResults, *, noun: str) -> Iterator[Figure]:
    """Return a picture of the image of the first series that had moved most, before and after; none where nothing was corrected.

    Parameters
    ----------
    results
        What the nodes left behind.
    noun
        What one image of the series is called.
    """
    motion, before, after = results.motion, results.unaligned(), results.series()
    if motion is None or before is None or "parameters" not in motion:
        return
    parameters = np.nan_to_num(np.asarray(motion["parameters"], dtype=float))
    moved = np.abs(parameters[:, :3]).sum(axis=1) + HEAD_RADIUS * np.abs(parameters[:, 3:]).sum(axis=1)
    kept = np.arange(len(parameters))
    if after.shape[3] < len(kept):
        kept = np.flatnonzero(~np.asarray(motion["censored"], dtype=bool))
    most = int(kept[np.argmax(moved[kept])])
    if moved[most] == 0.0:
        return
    yield realigned_figure(
        np.abs(np.asarray(before[..., most])),
        np.nan_to_num(np.abs(np.asarray(after[..., int(np.searchsorted(kept, most))]))),
        affine=results.affine,
        mask=results.mask,
        name=f"{noun} {most + 1} of {len(parameters)}",
        displacement=metres_to_millimetres(float(moved[most])),
    )


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
        Arrays by key with `anatomical`, the image brought to this grid, 0 where there was none.
    magnitude, affine, mask
        Mean of the images of full signal, voxel to RAS [mm] and mask of this scan.
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
