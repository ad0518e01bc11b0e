"""The options of the mask: how the brain is found, or a mask that is given."""

from __future__ import annotations

from pathlib import Path

from qmri_bids.cli.parsing.option import Option, OptionGroup, Relation, Setting
from qmri_bids.pipeline.options import DEFAULT_MASK_METHOD, MASK_METHODS

WITH_FILE = (DEFAULT_MASK_METHOD, "object")
"""Methods beside which a mask may be given: they say what it holds."""

MASK = OptionGroup(
    title="mask",
    rows=(
        Option(
            name="--mask-method",
            choices=MASK_METHODS,
            default=DEFAULT_MASK_METHOD,
            help="where maps are estimated. auto: in the brain, found by what fits the image; whatever has signal, with a red "
            "light, where no brain can be believed. library: the brain by deepbet's networks; template: by the MNI template "
            "registered to the image; object: whatever has signal (phantoms, animals, other parts of the body), without tissues; "
            "none: everywhere; default: %(default)s",
            setting=Setting("processing", compared=True),
        ),
        Option(
            name="--mask-file",
            type=Path,
            metavar="FILE",
            help="NIfTI mask on the grid of the run, voxels above 0.5, for a call with one run; with --mask-method object it is "
            "that of an object without tissues. Masks of several runs are corrected in the output folder or come from "
            "--derivatives",
            must_be_file=True,
            excluded_by=(
                Relation(
                    ("mask_method",),
                    "{option} gives the mask and {others} looks for one: give one of the two",
                    tuple(method for method in MASK_METHODS if method not in WITH_FILE),
                ),
            ),
        ),
    ),
)
