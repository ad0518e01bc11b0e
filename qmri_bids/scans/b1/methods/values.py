"""What all kinds of B1 scans have in common: nominal flip angles, plausible values, and how they are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.images import ImageInfo, check_number_of_voxels
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import common_number
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse, relative_name
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.units import degrees_to_radians, radians_to_degrees

PLAUSIBLE = (0.6, 1.4)
"""Median of relative B1 over a head: outside, the scale or the nominal flip angle is wrong."""

DECIDED = ("FlipAngle", "RepetitionTimeExcitation", "RepetitionTimePreparation", "RepetitionTime", "Units")
"""Keys of which is said what was read from another, or stated in two places."""

LEAST_VARIATION = 0.005
"""Range of B1 over a head, from the 5th to the 95th percentile, relative to its median, below which a map was not measured."""

FEWEST_VALUES = 1000
"""Voxels with a value from which a map that holds one value alone was not measured."""

SIGNAL = 0.1
"""Voxels of an image below this share of its brightest (99th percentile) are air."""


def nominal_flip_angle(sidecar: Sidecar, options: FindOptions, *, of: str) -> tuple[float, str]:
    """Return a nominal flip angle [rad] and its source.

    Parameters
    ----------
    sidecar
        May state FlipAngle.
    options
        The angle of the user comes first.
    of
        What the angle is of, for the message.

    Raises
    ------
    RefusedError
        If there is none above zero.
    """
    if options.b1_nominal_flip_angle is not None:
        return options.b1_nominal_flip_angle, "command line: --b1-nominal-fa"
    expected = f"the nominal flip angle of {of} in degrees"
    advice = "Add FlipAngle to the sidecar, or give it with --b1-nominal-fa (degrees)."
    stated = common_number([sidecar], "FlipAngle", expected=expected, advice=advice)
    if stated is None or stated[0] <= 0.0:
        raise refuse(
            file=sidecar.origin("FlipAngle"),
            key="FlipAngle",
            expected=expected,
            found="nothing" if stated is None else f"{stated[0]:g}",
            advice=advice,
        )
    return degrees_to_radians(stated[0]), stated[1]


def angle_source(angle: float, source: str) -> ValueSource:
    """Return a nominal flip angle [rad] as a row of the protocol."""
    return ValueSource(key="b1_nominal_flip_angle", value=f"{radians_to_degrees(angle):g}", unit="deg", source=source)


def is_plausible(median: float) -> bool:
    """Whether a median of relative B1 can be that of a head."""
    return PLAUSIBLE[0] <= median <= PLAUSIBLE[1]


def read_values(info: ImageInfo, volume: int | None = None) -> NDArray[np.float64]:
    """Return the values of an image or of one of its volumes."""
    import nibabel as nib

    check_number_of_voxels(info, math.prod(info.shape if volume is None else info.shape[:3]))
    data: Any = nib.load(info.path).dataobj  # type: ignore[attr-defined]
    values = np.asarray(data, dtype=np.float64).reshape(info.shape)
    return values if volume is None else values[..., volume]


def check_varies(values: NDArray[np.floating], info: ImageInfo, *, what: str) -> None:
    """Refuse a map that holds one value wherever it has one: B1 of a head varies by tens of percent, and a filled image does not.

    Parameters
    ----------
    values
        As stored; those that are 0 or not finite are none.
    info
        The image.
    what
        What the values are, for the message.

    Raises
    ------
    RefusedError
        If there are enough values to tell, and all are alike.
    """
    known = values[np.isfinite(values) & (values != 0.0)]
    if known.size < FEWEST_VALUES:
        return
    low, typical, high = np.percentile(known, (5.0, 50.0, 95.0))
    if high - low > LEAST_VARIATION * abs(float(typical)):
        return
    raise refuse(
        file=info.name,
        key="values",
        expected=f"{what} that vary over the head, as measured",
        found=f"{typical:.6g} in all {known.size} voxels that have a value (to {100.0 * LEAST_VARIATION:g} %)",
        advice="Convert the B1 scan again; to assume B1 = 1 everywhere, remove it and run with --no-b1.",
    )


def has_signal(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where an image is brighter than air."""
    finite = np.where(np.isfinite(values), values, 0.0)
    return finite > max(0.0, SIGNAL * float(np.percentile(finite, 99)))


def median_of(values: NDArray[np.floating]) -> float:
    """Return the median of the finite values, NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def ambiguous(paths: Sequence[Path], root: Path) -> RefusedError:
    """Return the refusal of several files where one is expected."""
    return refuse(
        file=relative_name(paths[0], root),
        key="file",
        expected="one file of this name",
        found=", ".join(path.name for path in paths),
        advice="Keep one of them.",
    )


def wrong_axes(info: ImageInfo, *, expected: str) -> RefusedError:
    """Return the refusal of an image of another number of axes."""
    return refuse(
        file=info.name,
        key="shape",
        expected=expected,
        found=str(info.shape),
        advice="Convert the image again, or run with --no-b1.",
    )
