"""The options of output spaces, anatomy and atlases."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.bids.anatomy.spaces import NATIVE, OWN_TEMPLATE, T1W, SpaceOptions
from qmri_bids.bids.anatomy.templates import HOME_VARIABLE, parse_label
from qmri_bids.cli.parsing.option import Option, OptionGroup, Relation

if TYPE_CHECKING:
    from qmri_bids.bids.anatomy.images import Anatomy
    from qmri_bids.bids.refusal import Refusal
    from qmri_bids.scans.session_plan import SessionPlan

logger = logging.getLogger("qmri_bids")


_OWN = {space.lower(): space for space in (NATIVE, T1W, OWN_TEMPLATE)}


def _no_labels(spaces: Sequence[str]) -> str:
    for text in spaces:
        try:
            space = parse_label(text).space
        except ValueError as error:
            return str(error)
        meant = _OWN.get(space.lower(), space)
        if meant != space:
            return f"{text}: expected a space by its name with its capitals; did you mean {meant}?"
    return ""


SPACES = OptionGroup(
    title="spaces and atlases",
    rows=(
        Option(
            name="--output-spaces",
            nargs="+",
            default=[NATIVE],
            metavar="SPACE",
            help=f"spaces in which maps are written: {NATIVE} (always), {T1W} (needs a T1w image), {OWN_TEMPLATE} (a transform is "
            "computed where none is given), any template to which --derivatives of fMRIPrep or sMRIPrep hold a transform, or any "
            f"of TemplateFlow that lies in the folder {HOME_VARIABLE} (never downloaded), with :res-N for one of its grids and "
            ":cohort-N for a cohort; default: native",
            complaint=_no_labels,
        ),
        Option(
            name="--atlas",
            type=Path,
            metavar="FILE",
            help="NIfTI image of labels, brought to every run, for statistics of the maps by region; names come from a table of "
            "the same name (.tsv with index and name) beside it",
            must_be_file=True,
        ),
        Option(
            name="--atlas-space",
            metavar="SPACE",
            help="space of the atlas, where its file name does not say it (space-… or tpl-…)",
            needs=(Relation(("atlas",), "{option} without --atlas: give the atlas"),),
        ),
    ),
)


def space_options(
    options: argparse.Namespace, plans: Sequence[SessionPlan]
) -> tuple[dict[str, SpaceOptions], tuple[SessionPlan, ...]]:
    """Find the anatomy of every session that has runs, and check that the spaces asked for can be had there.

    Runs whose anatomy is damaged are refused: they would be written in other spaces, or with other masks, than was asked for.

    Parameters
    ----------
    options
        The command line.
    plans
        What was found.

    Returns
    -------
    spaces, plans
        Spaces, atlas and anatomies of each participant by the label, and the plans without runs whose anatomy is at fault.

    Raises
    ------
    BidsInputError
        If a space cannot be had.
    """
    from qmri_bids.bids.anatomy.images import find_anatomy
    from qmri_bids.bids.anatomy.spaces import check_atlas_grid, check_spaces, find_templates, read_atlas
    from qmri_bids.bids.refusal import refusal_of

    atlas = None if options.atlas is None else read_atlas(options.atlas, space=options.atlas_space)
    if atlas is not None:
        check_atlas_grid(atlas, [path for plan in plans for run in plan.runs for path in run.paths[:1]])
    found: dict[str, dict[str, Anatomy]] = {}
    checked: dict[str, Anatomy | None] = {}
    use_masks = "anatomy" not in options.ignore
    # Whether an image is needed besides its masks.
    elsewhere = any(space != NATIVE for space in options.output_spaces) or (atlas is not None and atlas.space != NATIVE)
    left = []
    for plan in plans:
        refusals: dict[str, Refusal] = {}
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
            except Exception as error:
                refusal = refusal_of(error, file=label)
                own = [run.label for run in plan.runs if run.entities.get("ses", "") == session]
                refusals |= dict.fromkeys(own, refusal)
                continue
            checked[label] = anatomy
            if anatomy is not None:
                found.setdefault(plan.subject, {})[session] = anatomy
            for sentence in missing:
                logger.info("%s: %s", label, sentence)
        left.append(plan.without(refusals) if refusals else plan)
    templates = find_templates(options.output_spaces, atlas=atlas)
    spaces = check_spaces(options.output_spaces, atlas=atlas, anatomies=checked, templates=templates)
    common = SpaceOptions(spaces=spaces, atlas=atlas, use_masks=use_masks, templates=templates)
    by_subject = {plan.subject: replace(common, anatomies=found.get(plan.subject, {})) for plan in left}
    return by_subject, tuple(left)


def space_lines(spaces: Mapping[str, SpaceOptions]) -> tuple[str, ...]:
    """Return what a call without computing says of anatomies, spaces and the atlas.

    Parameters
    ----------
    spaces
        Spaces, atlas and anatomies by participant, from `space_options`.
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
