"""`qmri_bids`: from the command line to derivatives and reports."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.cli.parser import parse

if TYPE_CHECKING:
    from qmri_bids.bids.plan import SessionPlan

logger = logging.getLogger("qmri_bids")

DONE, FAILED, USAGE, NOTHING = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qmri_bids` and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(given)
    options.command = shlex.join(["qmri_bids", *given])
    _start_logging(options.verbose)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop_at_once)
        signal.signal(signal.SIGTERM, _stop_at_once)
    # Read by Nipype and ITK when they are imported, which happens below.
    os.environ.setdefault("NO_ET", "1")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", str(options.omp_nthreads))
    _keep_compiled_code(options)
    from qmri_bids.bids.layout import BidsInputError

    try:
        if options.analysis_level == "group":
            from qmri_bids.cli.group import run_group

            return run_group(options)
        for sentence in options.resources:
            logger.info("%s", sentence)
        plans = _find(options)
        return _act(options, plans)
    except BidsInputError as error:
        print(f"qmri_bids: error: {error}", file=sys.stderr)
        return USAGE


def _keep_compiled_code(options: argparse.Namespace) -> None:
    """Give numba a folder for compiled kernels where neither package nor home can be written: it fails without one."""
    package = Path(__file__).parent.parent
    if not any(os.access(folder, os.W_OK) for folder in (package, Path(os.environ.get("HOME", "/nonexistent")))):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(options.work_dir / "numba"))


def _stop_at_once(number: int, frame: object) -> None:
    """End the program and its workers: the engine would take an interrupt for the failure of one step and go on."""
    print("qmri_bids: interrupted; run the same command again to go on", file=sys.stderr, flush=True)
    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(128 + number)


def _start_logging(verbosity: int) -> None:
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    logger.setLevel(logging.DEBUG if verbosity else logging.INFO)
    if verbosity > 1:
        logging.getLogger().setLevel(logging.DEBUG)


def _find(options: argparse.Namespace) -> tuple[SessionPlan, ...]:
    """Find and check all runs, before anything is computed."""
    from qmri_bids.bids.find import find_runs
    from qmri_bids.bids.layout import list_sessions, load_filter_file, open_layout, select_subjects, strip_label
    from qmri_bids.bids.plan import FindOptions
    from qmri_bids.cli.space_options import space_options
    from qmri_bids.units import degrees_to_radians
    from qmri_bids.workflows.planning import link_runs

    subjects = select_subjects(options.bids_dir, options.participant_label)
    layout = open_layout(options.bids_dir, subjects=subjects, database_dir=options.bids_database_dir)
    nominal = options.b1_nominal_fa
    find_options = FindOptions(
        no_b1=options.no_b1,
        b1_nominal_flip_angle=None if nominal is None else degrees_to_radians(nominal),
        b1_scale=options.b1_scale,
        b1_afi_repetition_times=None if options.b1_afi_tr is None else tuple(options.b1_afi_tr),
        cest_b0=options.cest_b0,
        cest_pools=options.cest_pools,
        cest_t1=options.cest_t1,
        cest_t2=options.cest_t2,
        cest_off_resonance=options.cest_off_resonance,
        derivatives=options.derivatives,
        filters=None if options.bids_filter_file is None else load_filter_file(options.bids_filter_file),
        run_label=tuple(options.run_id) if options.run_id else None,
    )
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
        plans += [find_runs(layout, subject=subject, session=session, options=find_options) for session in sessions]
    # Runs take maps of others: which of those are processed must be known first.
    found = _served_exchange(options, link_runs(_served(options, plans), options=find_options))
    options.spaces = space_options(options, found)
    return found


def _served(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Refuse what the estimator does not cover, or train what it lacks."""
    from qmri_bids.bids.layout import BidsInputError
    from qmri_bids.estimation.base import EstimatorOptions
    from qmri_bids.estimation.table import ESTIMATORS
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
                train_missing(missing, estimator=name, cache=options.bssfp_weights, processes=options.nprocs)
        return refuse_unsupported(plans, estimator=name, options=how)
    except (OSError, ValueError) as error:
        # Weights of the user: a folder that cannot be written, a card or a file that is damaged.
        raise BidsInputError(f"--bssfp-weights {options.bssfp_weights}: {error}") from error


def _served_exchange(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Refuse fingerprints that the estimator of pools does not cover, or train what it lacks."""
    from qmri_bids.bids.layout import BidsInputError
    from qmri_bids.estimation.exchange import ExchangeOptions
    from qmri_bids.estimation.exchange_table import EXCHANGE_ESTIMATORS, POSTERIOR_ESTIMATOR
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
                train_missing_exchange(missing, cache=options.cest_weights, processes=options.nprocs)
        return refuse_unsupported_exchange(plans, estimator=name, options=how, posterior=options.cest_posterior)
    except (OSError, ValueError) as error:
        raise BidsInputError(f"--cest-weights {options.cest_weights}: {error}") from error


def _act(options: argparse.Namespace, plans: tuple[SessionPlan, ...]) -> int:
    from qmri_bids.bids.table import plan_table
    from qmri_bids.cli.space_options import space_lines

    runs = sum(len(plan.runs) for plan in plans)
    refusals = [refusal for plan in plans for refusal in plan.refusals]
    if options.dry_run:
        print(plan_table(plans))
        for line in space_lines(options.spaces):
            print(line)
    if not runs and not refusals:
        print(_nothing_found(options, plans), file=sys.stderr)
        return NOTHING
    if options.dry_run:
        return FAILED if refusals else DONE
    return _process(options, plans)


def _nothing_found(options: argparse.Namespace, plans: tuple[SessionPlan, ...]) -> str:
    from qmri_bids.bids.find import SUFFIXES

    labels = ", ".join(plan.label for plan in plans) or "the sessions asked for"
    lines = [
        f"qmri_bids: no pc-bSSFP, CEST or MT run found in {options.bids_dir} for {labels}.",
        f"Looked for: anat/*_{{{','.join(SUFFIXES)}}}.nii[.gz] whose sidecar has a PulseSequenceType of balanced SSFP "
        "(bSSFP, TrueFISP, FIESTA, bFFE, CISS) and one RFPhaseIncrement a volume, or a label acq-pcbssfp;",
        "*_cest or *_wassr series with saturation offsets; mt-on and mt-off _MTR; flip-1, flip-2, mt-on and mt-off _MTS.",
    ]
    lines += [f"Left alone: {note}" for plan in plans for note in plan.notes]
    return "\n".join(lines)


def _process(options: argparse.Namespace, plans: tuple[SessionPlan, ...]) -> int:
    from qmri_bids.bids.description import write_bidsignore, write_dataset_description
    from qmri_bids.cli.participant import process_participants, write_citation
    from qmri_bids.cli.summary import summary_table
    from qmri_bids.workflows.engine import limit_threads, quiet_engine

    for folder in filter(None, (options.output_dir, options.work_dir, options.cest_weights)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"qmri_bids: error: the folder {folder} cannot be made: {error}", file=sys.stderr)
            return USAGE
    quiet_engine(logging.DEBUG if options.verbose > 1 else logging.CRITICAL)
    limit_threads(options.omp_nthreads)
    decisions = list(write_dataset_description(options.output_dir, bids_dir=options.bids_dir))
    write_bidsignore(options.output_dir)
    decisions += _validate(options)
    for sentence in decisions:
        logger.warning("%s", sentence)
    eligible = _eligible(plans)
    results = process_participants(eligible, options=options, decisions=tuple(decisions))
    write_citation(results, output_dir=options.output_dir)
    print(summary_table(results))
    return FAILED if any(result.failed or result.refusals for result in results) else DONE


def _eligible(plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Return the plans of participants of whom there is anything to process or to refuse, and name the others."""
    found = {plan.subject for plan in plans if plan.runs or plan.refusals}
    for subject in dict.fromkeys(plan.subject for plan in plans):
        if subject not in found:
            logger.warning("sub-%s: no pc-bSSFP, CEST or MT run", subject)
    return tuple(plan for plan in plans if plan.subject in found)


def _validate(options: argparse.Namespace) -> list[str]:
    """Return what bids-validator finds wrong, as one sentence; it never stops the processing."""
    if options.skip_bids_validation:
        return ["The dataset was not validated, as asked (--skip-bids-validation)."]
    program = shutil.which(
        "bids-validator-deno",
        path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]),
    )
    if program is None:
        return ["bids-validator-deno was not found: the dataset was not validated."]
    done = subprocess.run(
        [program, "--ignoreWarnings", str(options.bids_dir)], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return []
    errors = [line.strip() for line in done.stdout.splitlines() if "[ERROR]" in line]
    first = f": {errors[0]}" if errors else ""
    return [
        f"bids-validator found the dataset not valid ({len(errors) or 'some'} kinds of errors{first}). "
        "Every run was checked by itself all the same; run bids-validator-deno on the dataset to see all."
    ]


if __name__ == "__main__":
    sys.exit(main())
