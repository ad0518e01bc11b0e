"""B1 maps that are ready: TB1map, as a ratio or in percent."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, median_of_nonzero
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import decisions_on, read_sidecar, texts
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.methods.values import (
    DECIDED,
    PLAUSIBLE,
    ambiguous,
    check_varies,
    is_plausible,
    read_values,
    wrong_axes,
)
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.units import percent_to_fraction

RATIO_RANGE = (0.4, 2.5)
PERCENT_RANGE = (40.0, 250.0)
DEGREES = re.compile(r"deg(rees?)?|°", re.IGNORECASE)

MOST_SHOWN = 8
"""Volumes of which a message says what they hold."""

TENTHS_RANGE = (600.0, 1400.0)
"""Medians of a map in tenths of a percent, and of one in tenths of a degree: which of both is not guessed."""


def read_map(paths: Sequence[Path], root: Path, options: FindOptions) -> B1Run:
    """Check a TB1map.

    Raises
    ------
    RefusedError
        If it is unreadable, not 3D, or its values are neither a ratio nor percent.
    """
    if len(paths) > 1:
        raise ambiguous(paths, root)
    info = check_image(paths[0], root=root)
    if len(info.shape) != 3:
        raise _several_volumes(info)
    sidecar = read_sidecar(paths[0], root=root, added=options.metadata)
    median = median_of_nonzero(info, volume=None)
    stated = sidecar.values.get("Units")
    if options.b1_scale is None and isinstance(stated, str) and DEGREES.fullmatch(stated.strip()):
        raise refuse(
            file=sidecar.origin("Units"),
            key="Units",
            expected="a ratio or percent of the nominal flip angle",
            found=repr(stated),
            advice="Give relative B1 per degree: --b1-scale with 1 over the nominal flip angle in degrees.",
        )
    if options.b1_scale is not None:
        scale, origin = options.b1_scale, "command line: --b1-scale"
    elif RATIO_RANGE[0] <= median <= RATIO_RANGE[1]:
        scale, origin = 1.0, f"median {median:.3g}: read as ratio"
    elif PERCENT_RANGE[0] <= median <= PERCENT_RANGE[1]:
        scale, origin = percent_to_fraction(1.0), f"median {median:.3g}: read as percent"
    else:
        scale, origin = math.nan, ""
    contradicts = stated in ("percent", "%") and scale == 1.0
    if not is_plausible(median * scale) or contradicts:
        low, high = PLAUSIBLE
        found = f"a median of {median:.3g}" if math.isfinite(median) else "no value above zero"
        raise refuse(
            file=info.name,
            key="values",
            expected=f"relative B1 with a median of {low:g} to {high:g}, or percent with {low * 100:g} to "
            f"{high * 100:g}",
            found=found + (f" with Units {stated!r}" if contradicts else ""),
            advice="If the values have another scale, give relative B1 per stored value with --b1-scale"
            + (
                ": 0.001 for tenths of a percent; for tenths of a degree 0.1 over the nominal flip angle in degrees."
                if TENTHS_RANGE[0] <= median <= TENTHS_RANGE[1]
                else "."
            ),
        )
    check_varies(read_values(info), info, what="values of B1")
    return B1Run(
        entities=dict(parse_name(info.path).entities),
        method="TB1map",
        anatomical=None,
        map=info.path,
        scale=scale,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        sources=(ValueSource(key="b1_scale", value=f"{scale:g}", unit="per stored value", source=origin),),
        warnings=(
            *decisions_on([sidecar], DECIDED),
            f"{info.name}: the B1 map is scaled by {scale:g} ({origin}).",
            f"{info.name} has no anatomical image: the B1 map is placed by scanner coordinates, not registered.",
        ),
    )


def _several_volumes(info: ImageInfo) -> RefusedError:
    """Return the refusal of a file of several volumes, with what each of them holds: which one is the map is not guessed."""
    if len(info.shape) != 4:
        return wrong_axes(info, expected="three axes")
    medians = [median_of_nonzero(info, volume=index) for index in range(min(info.shape[3], MOST_SHOWN))]
    shown = ", ".join("none" if math.isnan(median) else f"{median:.4g}" for median in medians)
    return refuse(
        file=info.name,
        key="shape",
        expected="one volume, the B1 map",
        found=f"{info.shape[3]} volumes (medians of their values above zero: {shown}"
        + (", …)" if info.shape[3] > MOST_SHOWN else ")"),
        advice="Write the one that is the map (relative B1 about 1, or percent about 100) as a file of its own, for instance with "
        "`fslroi` or `nilearn.image.index_img`, or run with --no-b1.",
    )
