"""The options of images that people look at, computed from what was estimated."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.cli.parsing.option import Option, OptionGroup, Setting
from qmri_bids.physics.sequences import PRESETS, all_requested
from qmri_bids.pipeline.options import BANDING_FREE


def _no_images(texts: Sequence[str]) -> str:
    try:
        all_requested(texts)
    except ValueError as error:
        return str(error)
    return ""


def _twice(methods: Sequence[str]) -> str:
    return "must name each way once" if len(set(methods)) < len(methods) else ""


IMAGES = OptionGroup(
    title="images",
    rows=(
        Option(
            name="--synthetic",
            nargs="+",
            default=(),
            metavar="IMAGE",
            help="contrast-weighted images to compute from T1, T2 and M0 of pc-bSSFP, with standard deviations "
            f"(desc-synthetic_T1w …): {', '.join(PRESETS)}, with the usual parameters at the field of the scan; others after "
            "a colon in milliseconds and degrees, as in T1w:tr=2000,ti=1000 or T2w:te=80, with a name of its own as in "
            "late=T2w:te=150",
            complaint=_no_images,
            setting=Setting("processing"),
        ),
        Option(
            name="--banding-free",
            nargs="+",
            choices=BANDING_FREE,
            default=(),
            metavar="WAY",
            help="images of pc-bSSFP without bands, with standard deviations (desc-bandfree_bSSFP): model, the amplitude of the "
            "fitted profile; geometric, the geometric solution of cycles half a turn apart; rss, the root of the sum of "
            "squares, which keeps weak bands",
            complaint=_twice,
            setting=Setting("processing"),
        ),
    ),
)
"""Images, which change no map."""
