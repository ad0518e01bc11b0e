"""Nipype workflows that carry BIDS files through preprocessing and estimation.

What another pipeline needs of them is here; each is imported when it is asked for, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qmri_bids.bids.anatomy.given import GivenAnatomy
    from qmri_bids.bids.anatomy.spaces import SpaceOptions
    from qmri_bids.pipeline.maps.select import select_map
    from qmri_bids.pipeline.options import ProcessingOptions
    from qmri_bids.scans.b1.workflow import init_b1_wf
    from qmri_bids.scans.bssfp.workflow import init_pcbssfp_wf
    from qmri_bids.scans.fields.workflow import init_b0_scan_wf, init_b1_scan_wf
    from qmri_bids.scans.pools.workflow import init_exchange_wf
    from qmri_bids.scans.saturation.workflow import init_cest_wf, init_mt_wf
    from qmri_bids.workflows.participant_plan import plan_participant
    from qmri_bids.workflows.resources import set_resources
    from qmri_bids.workflows.run_kinds import init_qmri_wf, report_file, run_name
    from qmri_bids.workflows.run_reports import WriteParticipantReport, load_run_report

__all__ = [
    "GivenAnatomy",
    "ProcessingOptions",
    "SpaceOptions",
    "WriteParticipantReport",
    "init_b0_scan_wf",
    "init_b1_scan_wf",
    "init_b1_wf",
    "init_cest_wf",
    "init_exchange_wf",
    "init_mt_wf",
    "init_pcbssfp_wf",
    "init_qmri_wf",
    "load_run_report",
    "plan_participant",
    "report_file",
    "run_name",
    "select_map",
    "set_resources",
]

_HOMES = {
    "GivenAnatomy": "qmri_bids.bids.anatomy.given",
    "ProcessingOptions": "qmri_bids.pipeline.options",
    "SpaceOptions": "qmri_bids.bids.anatomy.spaces",
    "WriteParticipantReport": "qmri_bids.workflows.run_reports",
    "init_b0_scan_wf": "qmri_bids.scans.fields.workflow",
    "init_b1_scan_wf": "qmri_bids.scans.fields.workflow",
    "init_b1_wf": "qmri_bids.scans.b1.workflow",
    "init_cest_wf": "qmri_bids.scans.saturation.workflow",
    "init_exchange_wf": "qmri_bids.scans.pools.workflow",
    "init_mt_wf": "qmri_bids.scans.saturation.workflow",
    "init_pcbssfp_wf": "qmri_bids.scans.bssfp.workflow",
    "init_qmri_wf": "qmri_bids.workflows.run_kinds",
    "load_run_report": "qmri_bids.workflows.run_reports",
    "plan_participant": "qmri_bids.workflows.participant_plan",
    "report_file": "qmri_bids.workflows.run_kinds",
    "run_name": "qmri_bids.workflows.run_kinds",
    "select_map": "qmri_bids.pipeline.maps.select",
    "set_resources": "qmri_bids.workflows.resources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
