"""The runs of a participant, for a pipeline that embeds their workflow."""

from __future__ import annotations

from pathlib import Path

from qmri_bids.bids.layout import open_layout, strip_label
from qmri_bids.estimation.base import EstimatorOptions
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.scans.find import find_runs
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.planning import link_runs, refuse_unsupported, refuse_unsupported_exchange


def plan_participant(
    *,
    bids_dir: Path,
    subject: str,
    options: ProcessingOptions,
    session: str | None = None,
    find_options: FindOptions | None = None,
) -> SessionPlan:
    """Find the runs of a participant and check all of them, before anything is computed.

    Parameters
    ----------
    bids_dir
        Root of the raw dataset.
    subject
        Label with or without `sub-`.
    options
        What is to be done: a run that the estimator does not cover is refused.
    session
        Label with or without `ses-`; None for all.
    find_options
        What replaces metadata and scans; None for nothing.

    Returns
    -------
    SessionPlan
        `runs` for `init_qmri_wf`; `refusals` say what cannot be processed and why, `notes` what was left alone.

    Raises
    ------
    BidsInputError
        If the folder is no dataset, or lacks the subject or session.
    """
    subject = strip_label(subject, entity="sub")
    layout = open_layout(bids_dir, subjects=(subject,))
    plan = find_runs(layout, subject=subject, session=session, options=find_options)
    plans = refuse_unsupported(
        [plan], estimator=options.estimator, options=EstimatorOptions(weights_folder=options.weights_folder)
    )
    plans = refuse_unsupported_exchange(
        link_runs(plans, options=find_options, ignore=options.ignore),
        estimator=options.exchange_estimator,
        options=ExchangeOptions(threads=options.processes, weights_folder=options.exchange_weights),
        posterior=options.exchange_posterior,
    )
    return plans[0]
