"""The options of the mask: how the brain is found, or a mask that is given."""

from __future__ import annotations

import argparse
from pathlib import Path

from qmri_bids.workflows.options import DEFAULT_MASK_METHOD, MASK_METHODS

WITH_FILE = (DEFAULT_MASK_METHOD, "object")
"""Methods beside which a mask may be given: they say what it holds."""


def add_mask_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the mask to a parser."""
    group = parser.add_argument_group("mask")
    group.add_argument(
        "--mask-method",
        choices=MASK_METHODS,
        default=DEFAULT_MASK_METHOD,
        help="where maps are estimated. auto: in the brain, found by what fits the image; whatever has signal, with a red light, "
        "where no brain can be believed. library: the brain by deepbet's networks; template: by the MNI template registered to the "
        "image; object: whatever has signal (phantoms, animals, other parts of the body), without tissues; none: everywhere; "
        "default: %(default)s",
    )
    group.add_argument(
        "--mask-file",
        type=Path,
        metavar="FILE",
        help="NIfTI mask on the grid of the run, voxels above 0.5, for a call with one run; with --mask-method object it is that "
        "of an object without tissues. Masks of several runs are corrected in the output folder or come from --derivatives",
    )


def check_mask_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a mask that is not there, and choices that say two things."""
    if options.mask_file is None:
        return
    options.mask_file = options.mask_file.resolve()
    if not options.mask_file.is_file():
        parser.error(f"--mask-file {options.mask_file} is not a file")
    if options.mask_method not in WITH_FILE:
        parser.error(
            f"--mask-file gives the mask and --mask-method {options.mask_method} looks for one: give one of the two"
        )
