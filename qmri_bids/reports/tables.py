"""Tables and traffic lights of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import WITH_VALUE, Status
from qmri_bids.preprocessing.motion.parameters import HEAD_RADIUS
from qmri_bids.quantities import find_quantity
from qmri_bids.quantity import Quantity, bare
from qmri_bids.reports.content import Check, Level, QualityRow, StatisticsRow
from qmri_bids.reports.drawing.status_styles import STATUS_STYLES
from qmri_bids.reports.measures import Measure
from qmri_bids.units import metres_to_millimetres

B1_RANGE = (0.5, 1.5)
"""Actual over nominal B1 that heads have."""

WELL_ALIGNED, MISALIGNED = 0.25, 0.5
"""Misalignment left [voxels] up to which a series is good, and from which it is bad."""

GOOD_SHARE, USABLE_SHARE = 0.95, 0.80
"""Share of voxels with a value from which a run is good, and below which it is bad."""


PRECISE_ENOUGH = 50.0
"""Standard deviation in one voxel over the value [%], median over the voxels, up to which maps are good as they are."""

MEAN_WITHIN = 5.0
"""Precision of a mean [%] for which the number of voxels is told."""

RELY_ON_MEANS = "rely on means over regions, not on single voxels or labels of tissues"
"""What a reader should do with maps that are not precise enough."""

TOO_NOISY = "tissues cannot be told at this noise"
"""What the light of T1 and T2 of tissue says where that is so."""

PRECISION_OF = ("T1", "T2", "R1", "mtcorrected_T1", "free_T1", "MTR", "MTsat")
"""Maps whose precision is judged, by their names in `quantities`: a relative standard deviation of M0 or of an off-resonance tells
little, and pools have lights of their own."""


def quality_rows(status: NDArray[np.uint8]) -> tuple[QualityRow, ...]:
    """Return how many voxels carry each status code.

    Parameters
    ----------
    status
        `Status` codes, any shape.
    """
    status = np.asarray(status)
    inside = int((status != Status.OUTSIDE).sum())
    rows = []
    for code, style in STATUS_STYLES.items():
        voxels = int((status == code).sum())
        percent = None if code is Status.OUTSIDE or not inside else 100.0 * voxels / inside
        rows.append(QualityRow(code=int(code), name=style.name, meaning=style.meaning, voxels=voxels, percent=percent))
    return tuple(rows)


def statistics_rows(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    mask: NDArray[Any],
    labels: NDArray[np.integer] | None = None,
    label_names: Mapping[int, str] | None = None,
    pure: NDArray[np.integer] | None = None,
) -> tuple[StatisticsRow, ...]:
    """Return the distribution of every map in the mask, in pure tissue and in every labelled region, in units of display.

    Parameters
    ----------
    maps
        Maps in the units of the package by their names in `quantities`, shape (X, Y, Z) each. NaN is left out.
    mask
        Brain mask, shape (X, Y, Z).
    labels, label_names
        Integer label image and the names of its labels; regions without any value are left out.
    pure
        The labels of the voxels that hold one tissue alone; their rows come first.
    """
    shown_regions = regions(mask, None, None)
    if pure is not None:
        named = regions(mask, pure, label_names)
        shown_regions |= {f"pure {name}": where for name, where in named.items() if name not in shown_regions}
    shown_regions |= regions(mask, labels, label_names)
    rows = []
    for name, values in maps.items():
        quantity = quantity_of(name)
        shown = np.asarray(quantity.display.convert(np.asarray(values, dtype=float)))
        for region, where in shown_regions.items():
            finite = shown[where & np.isfinite(shown)]
            if not finite.size:
                continue
            lower, median, upper = (float(value) for value in np.percentile(finite, [25, 50, 75]))
            rows.append(
                StatisticsRow(
                    map=quantity.label,
                    unit=quantity.display.unit,
                    region=region,
                    median=median,
                    lower_quartile=lower,
                    upper_quartile=upper,
                    mean=float(finite.mean()),
                    standard_deviation=float(finite.std()),
                    voxels=int(finite.size),
                )
            )
    return tuple(rows)


def convergence_check(rows: tuple[QualityRow, ...], *, of: str = "") -> Check:
    """Return the traffic light of the share of voxels with a value; `of` says of which maps, where a run has several."""
    inside = sum(row.voxels for row in rows if row.code != Status.OUTSIDE)
    converged = sum(row.voxels for row in rows if row.code in WITH_VALUE)
    share = converged / inside if inside else 0.0
    level = Level.GOOD if share >= GOOD_SHARE else Level.CHECK if share >= USABLE_SHARE else Level.BAD
    return Check(
        name="Voxels with a value",
        value=f"{100 * share:.1f} % of {inside:,}",
        level=level,
        explanation=f"Good from {100 * GOOD_SHARE:.0f} %, bad below {100 * USABLE_SHARE:.0f} % of the brain mask.",
        measures=(Measure(key="valid_voxels", value=100.0 * share if inside else math.nan, of=of),),
    )


def judged_precision(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """Return those of the measures that are the precision of a map that is judged by it, each map once, in the order given."""
    labels = {quantity_of(name).label for name in PRECISION_OF}
    found = (each for each in measures if each.key == "relative_stdev" and each.of in labels)
    return tuple({each.of: each for each in found if math.isfinite(each.value)}.values())


def precision_words(measures: Iterable[Measure]) -> str:
    """Return how well one voxel is known, in words; nothing where no map is judged by it.

    Examples
    --------
    >>> precision_words([Measure(key="relative_stdev", value=percent, of=name) for name, percent in (("T1", 21), ("T2", 36))])
    'in one voxel T1 is known within 21 %, T2 within 36 %'
    """
    judged = judged_precision(measures)
    if not judged:
        return ""
    first, *others = [f"within {_two_digits(each.value)} %" for each in judged]
    said = [f"{judged[0].of} is known {first}"]
    said += [f"{each.of} {within}" for each, within in zip(judged[1:], others, strict=True)]
    return f"in one voxel {', '.join(said)}"


def precision_check(measures: Iterable[Measure]) -> Check | None:
    """Return the traffic light of the precision of single voxels; None where no map is judged by it.

    Parameters
    ----------
    measures
        Numbers of a run: those of `relative_stdev` count, of maps in `PRECISION_OF`.
    """
    judged = judged_precision(measures)
    if not judged:
        return None
    worst = max(each.value for each in judged)
    said = precision_words(judged)
    if worst > MEAN_WITHIN:
        number = math.ceil(round((worst / MEAN_WITHIN) ** 2, 6))
        said += f"; the mean of about {number:,} voxels is known within {MEAN_WITHIN:g} %"
    if worst > PRECISE_ENOUGH:
        said += f". {RELY_ON_MEANS[:1].upper()}{RELY_ON_MEANS[1:]}"
    return Check(
        name="Precision",
        value=said,
        level=Level.GOOD if worst <= PRECISE_ENOUGH else Level.CHECK,
        explanation="One standard deviation over the value, median over the voxels of the mask. Good up to "
        f"{PRECISE_ENOUGH:.0f} % of every map named here. Means over regions get better with the square root of the number of "
        "voxels, as far as errors are those of noise: what B1 or the model errs stays.",
        measures=judged,
    )


def _two_digits(percent: float) -> str:
    return f"{percent:.0f}" if percent >= 10.0 else f"{percent:.1f}"


def motion_check(
    framewise_displacement: NDArray[np.floating],
    *,
    voxel_size: float,
    remaining: NDArray[np.floating] | None = None,
    assessed: NDArray[np.bool_] | None = None,
    trusted: NDArray[np.bool_] | None = None,
    noun: str = "cycle",
    of: str = "",
) -> Check:
    """Return the traffic light of the motion in a series of images: of what is left of it, not of how far the head moved.

    Parameters
    ----------
    framewise_displacement
        Displacement from image to image [m]; NaN where there is none.
    voxel_size
        Smallest side of a voxel [m].
    remaining
        Estimated misalignment that is left of each image [m]; NaN where it is not known.
    assessed
        Which of the six parameters of the motion were looked at; all by default.
    trusted
        Which images were aligned by themselves, the motion of the others interpolated; all by default.
    noun
        What one image of the series is called.
    of
        Name of the series, where a run has several.
    """
    displacement = np.asarray(framewise_displacement, dtype=float)
    finite = displacement[np.isfinite(displacement)]
    seen = np.ones(6, dtype=bool) if assessed is None else np.asarray(assessed, dtype=bool)
    if not finite.size or not seen.any():
        return Check(
            name="Motion",
            value="not assessed",
            level=Level.CHECK,
            explanation=f"Whether the head moved between {noun}s is not known: the images do not tell it, nothing was corrected.",
        )
    largest = float(finite.max())
    measures = [
        Measure(key="displacement_max", value=metres_to_millimetres(largest), of=of),
        Measure(key="displacement_mean", value=metres_to_millimetres(float(finite.mean())), of=of),
    ]
    moved = f"the head moved by up to {metres_to_millimetres(largest):.2f} mm from one {noun} to the next (framewise displacement)"
    left = np.full(1, math.nan) if remaining is None else np.asarray(remaining, dtype=float)
    known = left[np.isfinite(left)]
    lost = 0 if trusted is None else int(np.count_nonzero(~np.asarray(trusted, dtype=bool)))
    if known.size:
        worst = float(known.max())
        measures.append(Measure(key="misalignment", value=metres_to_millimetres(worst), of=of))
        level = (
            Level.GOOD
            if worst < WELL_ALIGNED * voxel_size
            else Level.CHECK
            if worst < MISALIGNED * voxel_size
            else Level.BAD
        )
        said = [f"at most {metres_to_millimetres(worst):.2f} mm left after correction", moved]
    else:
        level, said = Level.CHECK, [moved, "what is left of it is not known"]
    if known.size and known.size + lost < left.size:
        level = Level.BAD if level is Level.BAD else Level.CHECK
        said.append(f"that of {left.size - known.size - lost} {noun}s is not known")
    if lost:
        level = Level.BAD if level is Level.BAD else Level.CHECK
        said.append(f"{lost} of {len(displacement)} {noun}s could not be aligned by themselves")
    if not seen.all():
        level = Level.BAD if level is Level.BAD else Level.CHECK
        said.append("through the plane not assessed")
    return Check(
        name="Motion",
        value="; ".join(said),
        level=level,
        explanation=f"What is left is estimated from two halves of the head. Good below a quarter of a voxel "
        f"({metres_to_millimetres(WELL_ALIGNED * voxel_size):.2f} mm), bad from half a voxel on; how far the head moved does not "
        "count, since it is corrected. Framewise displacement adds up shifts along and turns about all three axes, turns as arcs "
        f"{metres_to_millimetres(HEAD_RADIUS):.0f} mm from the centre.",
        measures=tuple(measures),
    )


def b1_check(b1: NDArray[np.floating]) -> Check:
    """Return the traffic light of the range of B1.

    Parameters
    ----------
    b1
        Actual over nominal flip angle in the brain, any shape; NaN is left out.
    """
    low, high = (float(each) for each in np.nanpercentile(b1, (2, 98)))
    return Check(
        name="B1",
        value=f"{100 * low:.0f} to {100 * high:.0f} % of nominal",
        level=Level.GOOD if low >= B1_RANGE[0] and high <= B1_RANGE[1] else Level.CHECK,
        explanation=f"2nd to 98th percentile in the brain; good within {100 * B1_RANGE[0]:.0f} to {100 * B1_RANGE[1]:.0f} %.",
        measures=(Measure(key="b1_low", value=100.0 * low), Measure(key="b1_high", value=100.0 * high)),
    )


def quantity_of(name: str) -> Quantity:
    """Return the row of a map, or the bare values under its own name."""
    return find_quantity(name) or bare(name)


def regions(
    mask: NDArray[Any], labels: NDArray[np.integer] | None, label_names: Mapping[int, str] | None
) -> dict[str, NDArray[np.bool_]]:
    """Return the mask and every labelled region inside it."""
    inside = np.asarray(mask, dtype=bool)
    found = {"brain mask": inside}
    if labels is not None:
        names = dict(label_names or {})
        for label in sorted(set(np.unique(labels).tolist()) - {0}):
            found[names.get(int(label), f"label {int(label)}")] = inside & (labels == label)
    return found
