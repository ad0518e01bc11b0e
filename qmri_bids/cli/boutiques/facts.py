"""What a Boutiques descriptor says besides options: what a call leaves, what it needs, and invocations to test it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a call leaves.

    Parameters
    ----------
    name, description
        For people.
    path
        Below the output folder; empty for the folder itself.
    many
        Whether the path is a pattern of several files.
    """

    name: str
    description: str
    path: str
    many: bool = False


OUTPUTS: Mapping[str, Output] = {
    "derivatives_dir": Output(
        name="Derivatives",
        description="The output folder, a BIDS derivative: maps with their standard deviations and quality masks, reports, logs",
        path="",
    ),
    "dataset_description": Output(
        name="Description of the derivatives",
        description="What made the dataset, of which data",
        path="dataset_description.json",
    ),
    "participant_dirs": Output(
        name="Folders of participants",
        description="Maps of each participant (level participant)",
        path="sub-*",
        many=True,
    ),
    "participant_reports": Output(
        name="Reports of participants",
        description="One page a participant (level participant)",
        path="sub-*.html",
        many=True,
    ),
    "group_report": Output(
        name="Page of the group", description="All participants on one page (level group)", path="group.html"
    ),
    "group_tables": Output(
        name="Tables of the group",
        description="Statistics by tissue, quality and runs of all participants (level group)",
        path="group_*.tsv",
        many=True,
    ),
    "methods": Output(
        name="Methods text", description="What was done, to be cited, with references", path="logs/CITATION.md"
    ),
}
"""Outputs by identifier; the first is always there unless nothing was to be computed."""

RESOURCES: Mapping[str, float] = {"cpu-cores": 2, "ram": 8, "disk-space": 10, "walltime-estimate": 1800}
"""Cores, GB and seconds for one participant with room to spare: 176 x 176 x 128 voxels with 12 cycles took 2.5 GiB, 3 minutes."""

DEMO = {"bids_dir": "demo/bids", "output_dir": "demo/out", "analysis_level": "participant"}
"""The invocation that the tests in the descriptor share, on the data of `make demo`."""

TESTS = (
    {"name": "dry run", "invocation": {**DEMO, "dry_run": True}, "assertions": {"exit-code": 0}},
    {
        "name": "participant",
        "invocation": {**DEMO, "participant_label": ["01"], "work_dir": "demo/work"},
        "assertions": {"exit-code": 0, "output-files": [{"id": "derivatives_dir"}, {"id": "dataset_description"}]},
    },
    {
        "name": "group",
        "invocation": {**DEMO, "analysis_level": "group"},
        "assertions": {"exit-code": 0, "output-files": [{"id": "group_report"}]},
    },
)
"""Invocations that anybody can run after `make demo`."""
