"""What the parser cannot tell of its options and a Boutiques descriptor says: folders that must exist, ranges, exclusions, outputs.

Keys are identifiers of inputs: long options with underscores inside. The tests hold every row to the parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmri_bids.cli.call_options import MODES
from qmri_bids.cli.cest_options import NUMBERS
from qmri_bids.cli.mask_options import WITH_FILE
from qmri_bids.workflows.options import MASK_METHODS

NOT_INPUTS = ("help", "version")
"""Options that ask about the program and start none of its work."""

READ_FOLDERS = ("bids_dir", "derivatives")
"""Folders that are read: executors mount or stage them, as they do files. Other folders may not be there yet."""

ACRONYMS = ("B0", "B1", "BIDS", "CEST", "FA", "FD", "ID", "MTRasym", "MTsat", "OMP", "T1", "T2", "TR")
"""Words of names that are not written in small letters."""

MOST_COUNTED = 2
"""How often an option that is counted says something new."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers that an option takes.

    Parameters
    ----------
    low, high
        Ends, in the unit of the option; None where there is none.
    open_low, open_high
        Whether the end itself is out.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False


RANGES: Mapping[str, Range] = {
    "nprocs": Range(low=1),
    "omp_nthreads": Range(low=1),
    "random_seed": Range(low=0, high=2**32 - 1),
    "b1_nominal_fa": Range(low=0, open_low=True),
    "b1_scale": Range(low=0, open_low=True),
    "b1_afi_tr": Range(low=0, high=5, open_low=True),
    "fd_threshold": Range(low=0, high=100, open_low=True, open_high=True),
    "mtrasym_offsets": Range(low=0, high=1000, open_low=True, open_high=True),
    **{name: Range(low=low, high=high) for name, (low, high, _) in NUMBERS.items()},
}
"""Ranges of numbers, which the parser checks after it has read them."""

EXCLUDED: Mapping[str, tuple[str, ...]] = {
    **{mode: tuple(other for other in MODES if other != mode) for mode in MODES},
    "clean_workdir": ("reports_only",),
    "no_b1": ("b1_nominal_fa", "b1_afi_tr", "b1_scale"),
}
"""Options that cannot be given beside another."""

NEEDED: Mapping[str, tuple[str, ...]] = {"atlas_space": ("atlas",)}
"""Options that mean nothing without another."""

EXCLUDED_BY_VALUE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "analysis_level": {"group": MODES},
    "ignore": {"motion": ("fd_threshold",)},
    "mask_method": {method: ("mask_file",) for method in MASK_METHODS if method not in WITH_FILE},
}
"""Options that cannot be given beside a value of another."""


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
