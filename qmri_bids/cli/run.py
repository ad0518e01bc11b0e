"""`qmri_bids`: from the command line to derivatives and reports."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from qmri_bids.cli.caches import CacheError, draw_to_files, keep_caches
from qmri_bids.cli.options.data import GROUP, PARTICIPANT, part_asked_for
from qmri_bids.cli.options.outputs import MULTIVERSE
from qmri_bids.cli.parsing.parser import parse
from qmri_bids.cli.progress import TerminalHandler

if TYPE_CHECKING:
    from qmri_bids.scans.session_plan import SessionPlan

logger = logging.getLogger("qmri_bids")

DONE, FAILED, USAGE, NOTHING = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qmri_bids` and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    draw_to_files()
    options = parse(given)
    if options.reports_only:
        from qmri_bids.cli.kept_options import KeptOptionsError, with_kept_options

        try:
            options = with_kept_options(options, given)
        except KeptOptionsError as error:
            print(f"qmri_bids: error: {error}", file=sys.stderr)
            return USAGE
    options.command = shlex.join(["qmri_bids", *given])
    _start_logging(options.verbose)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop_at_once)
        signal.signal(signal.SIGTERM, _stop_at_once)
    # Read by Nipype and ITK when they are imported, which happens below.
    os.environ.setdefault("NO_ET", "1")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", str(options.omp_nthreads))
    try:
        keep_caches(options.work_dir)
    except CacheError as error:
        print(f"qmri_bids: error: {error}", file=sys.stderr)
        return USAGE
    from qmri_bids.bids.layout import BidsInputError
    from qmri_bids.cli.failures import describe_failure
    from qmri_bids.cli.plugin_file import PluginFileError

    try:
        return _levels(options)
    except (BidsInputError, PluginFileError) as error:
        print(f"qmri_bids: error: {error}", file=sys.stderr)
        return USAGE
    except Exception as error:
        kept_in = None if getattr(options, "dry_run", False) else options.output_dir
        message = describe_failure(error, output_dir=kept_in, command=options.command)
        print(f"qmri_bids: error: {message}", file=sys.stderr)
        return FAILED


def _stop_at_once(number: int, frame: object) -> None:
    """End the program and its workers: the engine would take an interrupt for the failure of one step and go on."""
    below = "\n" if sys.stderr.isatty() else ""  # the bar may hold the last line
    print(f"{below}qmri_bids: interrupted; run the same command again to go on", file=sys.stderr, flush=True)
    for child in multiprocessing.active_children():
        child.terminate()
    if "qmri_bids.engine.cluster_plugin" in sys.modules:
        from qmri_bids.engine.cluster_plugin import end_all_jobs

        end_all_jobs()
    os._exit(128 + number)


def _start_logging(verbosity: int) -> None:
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[TerminalHandler()],
    )
    logger.setLevel(logging.DEBUG if verbosity else logging.INFO)
    if verbosity > 1:
        logging.getLogger().setLevel(logging.DEBUG)


def _group(options: argparse.Namespace) -> int:
    from qmri_bids.cli.levels.group import run_group

    return run_group(options)


def _participant(options: argparse.Namespace) -> int:
    from qmri_bids.cli.failures import say
    from qmri_bids.cli.levels.finding import find_plans, nothing_found
    from qmri_bids.cli.plugin_file import check_cluster, load_plugin
    from qmri_bids.system.temporaries import remove_abandoned_scratch

    if options.use_plugin is not None:
        load_plugin(options.use_plugin)  # what is wrong in it is said before anything else is done
    for sentence in options.resources:
        logger.info("%s", sentence)
    if options.output_layout == MULTIVERSE:
        logger.info("The derivatives of these options lie in %s", options.output_dir)
    plans = find_plans(options)
    if options.dry_run:
        say("\n".join([_table(options, plans), *options.left_out]))
    for sentence in () if options.dry_run else options.left_out:
        logger.warning("%s", sentence)
    if not any(plan.runs or plan.refusals for plan in plans):
        print(nothing_found(options, plans), file=sys.stderr)
        return NOTHING
    refused = bool(options.left_out) or any(plan.refusals for plan in plans)
    if options.dry_run:
        return FAILED if refused else DONE
    for folder in filter(None, (options.output_dir, options.work_dir, options.cest_weights)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"qmri_bids: error: the folder {folder} cannot be made: {error}", file=sys.stderr)
            return USAGE
    for path in remove_abandoned_scratch():
        logger.info("%s, which an earlier call left behind when it was killed, was removed", path)
    if options.boilerplate_only:
        from qmri_bids.cli.levels.boilerplate import write_boilerplate

        say(f"Methods text: {write_boilerplate(plans, options=options)}")
        return FAILED if refused else DONE
    if options.use_plugin is not None and not options.reports_only:
        check_cluster(options.use_plugin)
    return _process(options, plans)


LEVELS: Mapping[str, Callable[[argparse.Namespace], int]] = {PARTICIPANT: _participant, GROUP: _group}
"""What is done at each level of analysis."""


def _levels(options: argparse.Namespace) -> int:
    """Do what each level asks for, the group last, and return the code of the first that is not 0.

    A run that failed does not keep the group from being shown: its page says which runs are missing, and why.
    """
    codes = []
    for level in options.analysis_level:
        codes.append(LEVELS[level](options))
        if codes[-1] not in (DONE, FAILED):
            break
    return next((code for code in codes if code != DONE), DONE)


def _table(options: argparse.Namespace, plans: Sequence[SessionPlan]) -> str:
    from qmri_bids.cli.levels.participant import memory_lines
    from qmri_bids.cli.options.spaces import space_lines
    from qmri_bids.pipeline.earlier.plan import earlier_sentences
    from qmri_bids.scans.listing import plan_table

    lines = [
        *space_lines(options.spaces),
        *earlier_sentences(options.earlier_fits),
        *memory_lines(plans, options=options),
    ]
    return "\n".join([plan_table(tuple(plans)), *lines])


def _process(options: argparse.Namespace, plans: tuple[SessionPlan, ...]) -> int:
    from qmri_bids.bids.description import write_bidsignore, write_dataset_description
    from qmri_bids.cli.call_record import usage_table, write_call
    from qmri_bids.cli.failures import say
    from qmri_bids.cli.levels.participant import process_participants
    from qmri_bids.cli.levels.summary import summary_table
    from qmri_bids.cli.progress import progress_listener
    from qmri_bids.engine.execution import limit_threads
    from qmri_bids.engine.log import quiet_engine
    from qmri_bids.reports.citation import write_citation

    quiet_engine(logging.DEBUG if options.verbose > 1 else logging.CRITICAL)
    limit_threads(1)  # sums of several threads are not the same to the bit; steps share work out by voxels and volumes
    decisions = list(write_dataset_description(options.output_dir, bids_dir=options.bids_dir))
    write_bidsignore(options.output_dir)
    eligible = _eligible(plans, options=options)
    subjects = tuple(dict.fromkeys(plan.subject for plan in eligible))
    config = write_call(options, subjects=subjects)
    logger.info("The options of this call: %s", config)
    options.usage_table = usage_table(config) if options.resource_monitor else None
    decisions += [options.kept_sentence] if options.reports_only and options.kept_sentence else []
    decisions += _validate(options, subjects=subjects)
    for sentence in decisions:
        logger.warning("%s", sentence)
    results = process_participants(eligible, options=options, decisions=tuple(decisions), listener=progress_listener())
    methods = {result.subject: result.methods for result in results}
    write_citation(methods, output_dir=options.output_dir, part=part_asked_for(options))
    without = dict.fromkeys(plan.subject for plan in plans if plan.subject not in subjects)
    if options.usage_table is not None:
        say(f"What each step took: {options.usage_table}")
    say("\n".join([summary_table(results, without=tuple(without)), *options.left_out]))
    incomplete = bool(options.left_out) or any(result.failed or result.refusals for result in results)
    return FAILED if incomplete else DONE


def _validate(options: argparse.Namespace, *, subjects: Sequence[str]) -> list[str]:
    from qmri_bids.bids.layout import list_subjects
    from qmri_bids.bids.validation import validation_sentences

    if options.reports_only:
        return []
    if options.skip_bids_validation:
        return ["The dataset was not validated, as asked (--skip-bids-validation)."]
    return validation_sentences(options.bids_dir, subjects=subjects, everyone=list_subjects(options.bids_dir))


def _eligible(plans: Sequence[SessionPlan], *, options: argparse.Namespace) -> tuple[SessionPlan, ...]:
    """Return the plans of participants of whom there is anything to process or to refuse; of the others it is recorded."""
    from qmri_bids.cli.levels.participant import record_nothing

    found = {plan.subject for plan in plans if plan.runs or plan.refusals}
    for subject in dict.fromkeys(plan.subject for plan in plans):
        if subject not in found:
            logger.warning("sub-%s: no pc-bSSFP, CEST, MT, B1 or B0 run", subject)
            record_nothing(subject, options=options)
    return tuple(plan for plan in plans if plan.subject in found)


if __name__ == "__main__":
    sys.exit(main())
