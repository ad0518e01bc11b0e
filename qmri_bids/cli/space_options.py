"""The options of output spaces, anatomy and atlases."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.bids.spaces import NATIVE, OWN_TEMPLATE, T1W, SpaceOptions

if TYPE_CHECKING:
    from qmri_bids.bids.anatomy import Anatomy
    from qmri_bids.bids.plan import SessionPlan

logger = logging.getLogger("qmri_bids")


def add_space_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of output spaces and atlases to a parser."""
    group = parser.add_argument_group("spaces and atlases")
    group.add_argument(
        "--output-spaces",
        nargs="+",
        default=[NATIVE],
        metavar="SPACE",
        help=f"spaces in which maps are written: {NATIVE} (always), {T1W} (needs a T1w image), {OWN_TEMPLATE} (a transform is "
        "computed where none is given), or any template to which --derivatives of fMRIPrep or sMRIPrep hold a transform; "
        "default: native",
    )
    group.add_argument(
        "--atlas",
        type=Path,
        metavar="FILE",
        help="NIfTI image of labels, brought to every run, for statistics of the maps by region; names come from a table of the "
        "same name (.tsv with index and name) beside it",
    )
    group.add_argument(
        "--atlas-space",
        metavar="SPACE",
        help="space of the atlas, where its file name does not say it (space-… or tpl-…)",
    )


def check_space_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what can be seen to be wrong without reading anything."""
    for space in options.output_spaces:
        if not all(each.isalnum() or each == "+" for each in space):
            parser.error(
                f"--output-spaces takes labels of letters and digits, found {space!r} (no modifiers such as :res-2)"
            )
    if options.atlas is not None:
        options.atlas = options.atlas.resolve()
        if not options.atlas.is_file():
            parser.error(f"--atlas {options.atlas} is not a file")
    elif options.atlas_space is not None:
        parser.error("--atlas-space without --atlas: give the atlas")


def space_options(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> dict[str, SpaceOptions]:
    """Find the anatomy of every session that has runs, and check that the spaces asked for can be had there.

    Parameters
    ----------
    options
        The command line.
    plans
        What was found.

    Returns
    -------
    dict
        By subject.

    Raises
    ------
    BidsInputError
        If an anatomy is damaged, or a space cannot be had.
    """
    from qmri_bids.bids.anatomy import find_anatomy
    from qmri_bids.bids.layout import BidsInputError
    from qmri_bids.bids.refusal import RefusedError
    from qmri_bids.bids.spaces import check_spaces, read_atlas

    atlas = None if options.atlas is None else read_atlas(options.atlas, space=options.atlas_space)
    found: dict[str, dict[str, Anatomy]] = {}
    checked: dict[str, Anatomy | None] = {}
    use_masks = "anatomy" not in options.ignore
    # Whether an image is needed besides its masks.
    elsewhere = any(space != NATIVE for space in options.output_spaces) or (atlas is not None and atlas.space != NATIVE)
    for plan in plans:
        for session in dict.fromkeys(run.entities.get("ses", "") for run in plan.runs):
            label = f"sub-{plan.subject}" + (f"_ses-{session}" if session else "")
            try:
                anatomy, missing = find_anatomy(
                    bids_dir=options.bids_dir,
                    subject=plan.subject,
                    session=session or None,
                    derivatives=options.derivatives,
                    use_masks=use_masks,
                    needed=elsewhere,
                )
            except RefusedError as error:
                raise BidsInputError(f"{label}: {error}") from error
            checked[label] = anatomy
            if anatomy is not None:
                found.setdefault(plan.subject, {})[session] = anatomy
            for sentence in missing:
                logger.info("%s: %s", label, sentence)
    spaces = check_spaces(options.output_spaces, atlas=atlas, anatomies=checked)
    common = SpaceOptions(spaces=spaces, atlas=atlas, use_masks=use_masks)
    return {plan.subject: replace(common, anatomies=found.get(plan.subject, {})) for plan in plans}


def space_lines(spaces: Mapping[str, SpaceOptions]) -> tuple[str, ...]:
    """Return what a call without computing says of anatomies, spaces and the atlas.

    Parameters
    ----------
    spaces
        From `space_options`.
    """
    lines = []
    for subject, own in spaces.items():
        for session in own.anatomies:
            anatomy = own.anatomy_of(session)
            label = f"sub-{subject}" + (f"_ses-{session}" if session else "")
            if anatomy is not None:
                lines += [f"{label}: {sentence}" for sentence in anatomy.sentences]
        if own.spaces:
            lines.append(f"sub-{subject}: maps are written in native and {', '.join(own.spaces)}.")
        if own.atlas is not None:
            lines.append(f"sub-{subject}: {own.atlas.path.name} ({own.atlas.space}) is brought to every run.")
    return tuple(lines)
