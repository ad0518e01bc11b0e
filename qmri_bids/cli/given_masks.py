"""Masks that a person gives: corrected in the output folder, or named on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.refusal import Refusal, RefusedError
from qmri_bids.pipeline.earlier.fits import corrected_mask, given_mask_file, same_mask
from qmri_bids.pipeline.earlier.mask_record import BRAIN, OBJECT
from qmri_bids.pipeline.earlier.plan import EarlierFits
from qmri_bids.pipeline.options import OBJECT_METHODS
from qmri_bids.scans.session_plan import SessionPlan


def refuse_corrected_masks(
    plans: Sequence[SessionPlan], *, output_dir: Path
) -> tuple[tuple[SessionPlan, ...], dict[str, EarlierFits]]:
    """Find the masks in the output folder that a person has corrected, and refuse the runs that they do not fit.

    Parameters
    ----------
    plans
        What was found in each session.
    output_dir
        Root of the derivatives that this call writes.

    Returns
    -------
    plans, masks
        The plans without those runs, and what is applied, by the label of the run.
    """
    masks: dict[str, EarlierFits] = {}
    left = []
    for plan in plans:
        refusals: dict[str, Refusal] = {}
        for run in plan.runs:
            try:
                mask = corrected_mask(run, output_dir=output_dir)
            except RefusedError as refused:
                refusals[run.label] = refused.refusal
                continue
            if mask is not None:
                masks[run.label] = mask
        if refusals:
            kept: dict[str, Any] = {
                kind: tuple(run for run in getattr(plan, kind) if run.label not in refusals)
                for kind in ("pcbssfp", "cest", "mtr", "mts", "exchange")
            }
            plan = replace(plan, **kept, refusals=(*plan.refusals, *refusals.values()))
        left.append(plan)
    return tuple(left), masks


def mask_of_call(
    options: argparse.Namespace, runs: Sequence[Any], *, corrected: Mapping[str, EarlierFits]
) -> dict[str, EarlierFits]:
    """Return the mask of `--mask-file`, by the label of the one run of the call.

    Parameters
    ----------
    options
        The command line.
    runs
        Of the whole call.
    corrected
        Masks in the output folder that a person has made, by the label of the run: none of them is written over.

    Raises
    ------
    BidsInputError
        If there is not one run, the mask does not fit it, or the output folder holds another one of a person.
    """
    if options.mask_file is None:
        return {}
    if len(runs) != 1:
        labels = ", ".join(run.label for run in runs) or "none"
        raise BidsInputError(
            f"--mask-file {options.mask_file.name}: expected one run, found {len(runs)} ({labels}); choose one with "
            "--participant-label, --session-label, --run-id or --bids-filter-file, or correct the masks in the output folder"
        )
    try:
        fits = given_mask_file(
            runs[0], options.mask_file, kind=OBJECT if options.mask_method in OBJECT_METHODS else BRAIN
        )
    except ValueError as error:
        raise BidsInputError(f"--mask-file {error}") from error
    known = corrected.get(runs[0].label)
    if known is not None and known.mask is not None and not same_mask(known.mask, options.mask_file):
        raise BidsInputError(
            f"--mask-file {options.mask_file.name}: {known.mask.name} in the output folder was made or corrected by a person and "
            "would be written over; move it away, or leave --mask-file out"
        )
    return {runs[0].label: fits}


def with_masks(fits: Mapping[str, EarlierFits], masks: Mapping[str, EarlierFits]) -> dict[str, EarlierFits]:
    """Return what is applied to each run where masks of a person go before those of derivatives.

    Parameters
    ----------
    fits
        From derivatives, by the label of the run.
    masks
        Of a person.
    """
    joined = dict(fits)
    for label, mask in masks.items():
        known = joined.get(label, EarlierFits())
        joined[label] = replace(mask, motion=known.motion, sentences=(*mask.sentences, *known.sentences))
    return joined
