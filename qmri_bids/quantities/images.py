"""Rows of images that are computed: of other contrast, and of bSSFP without bands."""

from __future__ import annotations

from qmri_bids.quantities.shared import BSSFP_GAPS
from qmri_bids.quantity import Display, MapFile, Quantity, Spread

_IMAGE_GAPS = (
    "NaN where T1, T2 or M0 has no value, and where the standard deviation exceeds twice the median of the image."
)
_RECEIVER = "The scale is that of the receiver, whose sensitivity is in the image."


def _synthetic(name: str, suffix: str, desc: str, what: str, remark: str = "") -> Quantity:
    """Return the row of an image that was computed from maps; `remark` is a sentence on what it looks like."""
    remark = f" {remark}" if remark else ""
    return Quantity(
        name=f"synthetic_{name}",
        label=f"Synthetic {name}",
        symbol=name,
        phrase=f"synthetic {name}",
        full_name=f"the synthetic image {name}",
        file=MapFile(
            key=f"synthetic_{name}",
            suffix=suffix,
            desc=desc,
            unit="arbitrary",
            description=f"{what} of the maps of this run, computed and not acquired, at the parameters of this sidecar. "
            f"{_IMAGE_GAPS}{remark}",
        ),
        display=Display(
            unit="arbitrary",
            window=None,
            colormap="gray",
            note=f"Computed from the maps, not acquired. {_RECEIVER}{remark}",
        ),
        algorithm=f"{what} in closed form of T1, T2 and M0; tissue and fluid of a voxel added up",
        references=("blystad2012",),
        spread=Spread(limit=None, cause="from those of T1, T2, M0 and fluid, with their correlations", note=""),
    )


SYNTHETIC = (
    _synthetic("T1w", "T1w", "synthetic", "Inversion-prepared train of gradient echoes (MPRAGE)"),
    _synthetic("T1wSE", "T1w", "syntheticSE", "Spin echo of short repetition time"),
    _synthetic("T2w", "T2w", "synthetic", "Spin echo of long echo time"),
    _synthetic("PDw", "PDw", "synthetic", "Spin echo of long repetition and short echo time"),
    _synthetic(
        "FLAIR",
        "FLAIR",
        "synthetic",
        "Inversion recovery spin echo that nulls fluid of published T1",
        "Where the maps give fluid a shorter T1, as they do in mixed voxels, fluid may be as bright as white matter or brighter.",
    ),
)


def _band_free(
    way: str, desc: str, label: str, symbol: str, how: str, what: str, gaps: str, references: tuple[str, ...]
) -> Quantity:
    """Return the row of an image of bSSFP without bands; `what` follows the way in words as an apposition."""
    return Quantity(
        name=f"bandfree_{way}",
        label=label,
        symbol=symbol,
        phrase=f"bSSFP by {how}",
        full_name=f"bSSFP by {how}",
        file=MapFile(
            key=f"bandfree_{way}",
            suffix="bSSFP",
            desc=desc,
            unit="arbitrary",
            description=f"Balanced SSFP of all phase cycles by {how}, {what}. {gaps}",
            skull_stripped=way == "model",
            in_bids=False,
        ),
        display=Display(unit="arbitrary", window=None, colormap="gray", note=_RECEIVER),
        algorithm=f"{how[0].upper()}{how[1:]}, {what}",
        references=references,
        spread=Spread(limit=None, note=""),
    )


BAND_FREE = (
    _band_free(
        "model",
        "bandfree",
        "bSSFP without bands",
        "bSSFP",
        "the amplitude of the fitted profile",
        "which has no bands",
        BSSFP_GAPS,
        ("zur1990",),
    ),
    _band_free(
        "geometric",
        "bandfreegeometric",
        "bSSFP, geometric solution",
        "bSSFP geom.",
        "the geometric solution",
        "the point nearest to all lines through cycles half a turn apart",
        "Its standard deviation is NaN outside the brain mask, where the noise is not known.",
        ("xiang2014",),
    ),
    _band_free(
        "rss",
        "bandfreerss",
        "bSSFP, root of the sum of squares",
        "bSSFP rss",
        "the root of the sum of squares",
        "divided by that of the number of cycles: bands are left in it",
        "Its standard deviation is NaN outside the brain mask, where the noise is not known.",
        ("bangerter2004",),
    ),
)
