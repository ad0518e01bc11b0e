"""From the command line to runs that can be processed, and those that cannot with the reasons."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qmri_bids.bids.layout import (
    BidsInputError,
    list_sessions,
    load_filter_file,
    open_layout,
    select_subjects,
    stray_folders,
    strip_label,
)
from qmri_bids.bids.metadata.added import OPTION, AddedMetadata, load_added_metadata
from qmri_bids.bids.refusal import Refusal, refusal_of
from qmri_bids.cli.parsing.table import settings_of
from qmri_bids.pipeline.earlier.fits import corrected_mask, find_earlier_fits, given_mask_file, same_mask
from qmri_bids.pipeline.earlier.mask_record import BRAIN, OBJECT
from qmri_bids.pipeline.earlier.plan import EarlierFits, earlier_sentences
from qmri_bids.pipeline.options import OBJECT_METHODS
from qmri_bids.scans.session_plan import SessionPlan

logger = logging.getLogger("qmri_bids")


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
            except Exception as error:
                refusals[run.label] = refusal_of(error, file=run.label)
                continue
            if mask is not None:
                masks[run.label] = mask
        left.append(plan.without(refusals) if refusals else plan)
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
        All runs of the call.
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
        Fits of derivatives, by the label of the run.
    masks
        Masks made or corrected by a person, by the label of the run.
    """
    joined = dict(fits)
    for label, mask in masks.items():
        known = joined.get(label, EarlierFits())
        joined[label] = replace(mask, motion=known.motion, sentences=(*mask.sentences, *known.sentences))
    return joined


def find_plans(options: argparse.Namespace) -> tuple[SessionPlan, ...]:
    """Find and check all runs, before anything is computed.

    Parameters
    ----------
    options
        The command line; `spaces` and `earlier_fits` are added to it.

    Raises
    ------
    BidsInputError
        If the dataset, or what was asked of it, cannot be read.
    """
    from qmri_bids.bids.anatomy.spaces import check_templates
    from qmri_bids.cli.options.spaces import space_options
    from qmri_bids.scans.find import find_runs
    from qmri_bids.scans.find_options import FindOptions
    from qmri_bids.scans.image_checks import ImageChecks
    from qmri_bids.workflows.planning import link_runs

    _check_device(options)
    if not options.derivatives:
        check_templates(options.output_spaces)
    subjects = select_subjects(options.bids_dir, options.participant_label)
    layout = open_layout(options.bids_dir, subjects=subjects, database_dir=options.bids_database_dir)
    find_options = FindOptions(
        **settings_of(options, of="finding"),
        filters=None if options.bids_filter_file is None else load_filter_file(options.bids_filter_file),
        metadata=None if options.metadata is None else _added_metadata(options.metadata),
    )
    options.left_out = _strays(options)
    plans = []
    for subject in subjects:
        sessions: tuple[str | None, ...] = (None,)
        if options.session_label:
            wanted = [strip_label(each, entity="ses") for each in options.session_label]
            there = list_sessions(layout, subject=subject)
            sessions = tuple(each for each in there if each in wanted)
            if not sessions:
                shown = ", ".join(each for each in there if each) or "no sessions"
                logger.warning("sub-%s has no session %s; found %s", subject, ", ".join(wanted), shown)
        for session in sessions:
            try:
                plans.append(find_runs(layout, subject=subject, session=session, options=find_options))
            except BidsInputError:
                raise  # what was asked for is wrong: so it is for the others
            except Exception as error:
                logger.debug("sub-%s cannot be checked", subject, exc_info=error)
                plans.append(
                    SessionPlan(subject=subject, session=session, refusals=(refusal_of(error, file=f"sub-{subject}"),))
                )
    images = ImageChecks(root=options.bids_dir) if options.dry_run else None
    if images is not None:
        plans = list(images.refuse(plans))
    # Runs take maps of others: which of those are processed must be known first.
    served, corrected = refuse_corrected_masks(_served(options, plans), output_dir=options.output_dir)
    found = _served_exchange(options, link_runs(served, options=find_options, ignore=options.ignore))
    if find_options.metadata is not None:
        for sentence in find_options.metadata.doubts():
            logger.warning("%s", sentence)
    found, of_fingerprints = refuse_corrected_masks(found, output_dir=options.output_dir)
    options.spaces, found = space_options(options, found)
    fits: dict[str, EarlierFits] = {}
    kept = []
    for plan in found:
        try:
            fits |= find_earlier_fits(
                plan.runs,
                bids_dir=options.bids_dir,
                derivatives=options.derivatives,
                with_motion="motion" not in options.ignore,
            )
        except Exception as error:
            refusal = refusal_of(error, file=f"derivatives of {plan.label}")
            plan = plan.without({run.label: refusal for run in plan.runs})
        kept.append(plan)
    found = tuple(kept)
    runs = [run for plan in found for run in plan.runs]
    masks = {**corrected, **of_fingerprints}
    options.earlier_fits = with_masks(fits, {**masks, **mask_of_call(options, runs, corrected=masks)})
    for sentence in earlier_sentences(options.earlier_fits):
        logger.info("%s", sentence)
    return found if images is None else images.refuse(found)


def _added_metadata(path: Path) -> AddedMetadata:
    try:
        return load_added_metadata(path)
    except ValueError as error:
        raise BidsInputError(f"{OPTION} {error}") from error


def _strays(options: argparse.Namespace) -> tuple[str, ...]:
    """Say which folders are left alone since they only look like those of participants."""
    if options.participant_label:
        return ()
    return tuple(
        f"{name!r} in {options.bids_dir}: expected the folder of a participant, sub-<letters and digits>, found another name. "
        "It is left alone: rename it, or move it out of the dataset (or into sourcedata/)."
        for name in stray_folders(options.bids_dir)
    )


def _check_device(options: argparse.Namespace) -> None:
    """Refuse a device that is not there; steps that a cluster runs see those of its own machines."""
    if not options.device.startswith("cuda") or options.use_plugin is not None:
        return
    from qmri_bids.networks.devices import DeviceNotFoundError, resolve_device

    try:
        resolve_device(options.device)
    except DeviceNotFoundError as error:
        raise BidsInputError(str(error)) from error


def _served(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Refuse what the estimator does not cover, or train what it lacks."""
    from qmri_bids.estimation.base import EstimatorOptions
    from qmri_bids.estimation.estimators import ESTIMATORS
    from qmri_bids.workflows.planning import missing_trainings, refuse_unsupported, train_missing

    name, how = options.bssfp_estimator, EstimatorOptions(weights_folder=options.bssfp_weights)
    try:
        if options.train_missing and ESTIMATORS[name].trainable:
            missing = missing_trainings(plans, estimator=name, options=how)
            if options.dry_run:
                for protocol in missing:
                    print(f"A network would be trained for {protocol.number_of_cycles} cycles ({name}).")
                if missing:
                    return tuple(plans)
            else:
                train_missing(
                    missing,
                    estimator=name,
                    cache=options.bssfp_weights,
                    device=options.device,
                    seed=options.random_seed or 0,
                )
        if options.bssfp_weights is not None and any(plan.pcbssfp for plan in plans):
            from qmri_bids.networks.checkpoint import available_weights

            list(available_weights(options.bssfp_weights))  # damaged ones are known before hours of computing
        return refuse_unsupported(plans, estimator=name, options=how)
    except (OSError, ValueError) as error:
        # Weights of the user: a folder that cannot be written, a card or a file that is damaged.
        raise BidsInputError(f"--bssfp-weights {options.bssfp_weights}: {error}") from error


def _served_exchange(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Refuse fingerprints that the estimator of pools does not cover, or train what it lacks."""
    from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, POSTERIOR_ESTIMATOR
    from qmri_bids.estimation.pools.estimate import ExchangeOptions
    from qmri_bids.workflows.planning import (
        missing_exchange_trainings,
        refuse_unsupported_exchange,
        train_missing_exchange,
    )

    name = options.cest_estimator
    how = ExchangeOptions(threads=options.nprocs, weights_folder=options.cest_weights)
    try:
        users = [name] if options.cest_posterior is None else [name, POSTERIOR_ESTIMATOR]
        needed = [EXCHANGE_ESTIMATORS[user].loss for user in users]
        losses = list(dict.fromkeys(loss for loss in needed if loss is not None))
        if options.train_missing and losses:
            missing = missing_exchange_trainings(plans, losses=losses, options=how)
            if options.dry_run:
                for run, loss in missing:
                    print(f"A network would be trained for {run.label} ({loss} loss).")
                if missing:
                    return tuple(plans)
            else:
                train_missing_exchange(
                    missing,
                    cache=options.cest_weights,
                    processes=options.nprocs,
                    device=options.device,
                    seed=options.random_seed or 0,
                )
        return refuse_unsupported_exchange(plans, estimator=name, options=how, posterior=options.cest_posterior)
    except (OSError, ValueError) as error:
        raise BidsInputError(f"--cest-weights {options.cest_weights}: {error}") from error


def nothing_found(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> str:
    """Return what was looked for, where nothing was found."""
    from qmri_bids.scans.b1.find import READERS
    from qmri_bids.scans.fieldmap.find import SUFFIXES as FIELDMAP_SUFFIXES
    from qmri_bids.scans.find import SUFFIXES

    labels = ", ".join(plan.label for plan in plans) or "the sessions asked for"
    lines = [
        f"qmri_bids: no pc-bSSFP, CEST, MT, B1 or B0 run found in {options.bids_dir} for {labels}.",
        f"Looked for: anat/*_{{{','.join(SUFFIXES)}}}.nii[.gz] whose sidecar has a PulseSequenceType of balanced SSFP "
        "(bSSFP, TrueFISP, FIESTA, bFFE, CISS) and one RFPhaseIncrement a volume, or a label acq-pcbssfp;",
        "*_cest or *_wassr series with saturation offsets; mt-on and mt-off _MTR; flip-1, flip-2, mt-on and mt-off _MTS;",
        f"where none of these takes them, fmap/*_{{{','.join(READERS)}}}; and where there is none of these, "
        f"fmap/*_{{{','.join(FIELDMAP_SUFFIXES)}}} with a magnitude image, if no func, dwi or perf scan is beside them.",
    ]
    lines += [f"Left alone: {note}" for plan in plans for note in plan.notes]
    return "\n".join(lines)
