"""The options of motion."""

from __future__ import annotations

from qmri_bids.cli.parsing.option import Limits, Option, OptionGroup, Relation, Setting
from qmri_bids.units import millimetres_to_metres

MOTION = OptionGroup(
    title="motion",
    rows=(
        Option(
            name="--fd-threshold",
            type=float,
            metavar="MM",
            help="leave volumes out of the estimation before which the head moved by more than this (framewise displacement): "
            "phase cycles of pc-bSSFP and saturated images of Z-spectra; off by default",
            limits=Limits(
                low=0,
                high=100,
                open_low=True,
                open_high=True,
                refusal="must be positive, in millimetres, found {:g}",
            ),
            excluded_by=(
                Relation(
                    ("ignore",),
                    "{option} needs the motion that {others} leaves out: give one of the two",
                    ("motion",),
                ),
            ),
            setting=Setting("processing", convert=millimetres_to_metres, unit="m", compared=True),
        ),
    ),
)
