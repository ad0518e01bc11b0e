"""B1 maps that are ready: TB1map, as a ratio or in percent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.images import check_image, median_of_nonzero
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import read_sidecar, texts
from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.methods.values import (
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
        raise wrong_axes(info, expected="three axes")
    sidecar = read_sidecar(paths[0], root=root, added=options.metadata)
    median = median_of_nonzero(info, volume=None)
    stated = sidecar.values.get("Units")
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
            advice="If the values have another scale, give relative B1 per stored value with --b1-scale.",
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
            f"{info.name}: the B1 map is scaled by {scale:g} ({origin}).",
            f"{info.name} has no anatomical image: the B1 map is placed by scanner coordinates, not registered.",
        ),
    )
