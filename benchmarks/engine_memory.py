"""Peak memory of every node of a participant: measured one by one in processes of their own, beside what is asked for them.

    python benchmarks/engine_memory.py DATASET [--threads N] [--ignore motion]

DATASET is one of `qmri-tools simulate`. What nodes say they need (`NodeMemory`) was fitted to runs at 4 and 3 mm and holds at 2 mm.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from nipype.pipeline.engine.utils import topological_sort
from nipype.pipeline.plugins.base import PluginBase

PAUSE = 0.02
"""Time between two looks at the memory [s]."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of every node.")
    parser.add_argument("dataset", type=lambda text: Path(text).resolve())
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="where the figures are kept (JSON)")
    parser.add_argument("--work-dir", type=lambda text: Path(text).resolve())
    parser.add_argument("--spaces", nargs="*", default=[])
    parser.add_argument("--gibbs-method", default="subvoxel")
    parser.add_argument(
        "--ignore", nargs="*", default=[], help="steps left out, such as motion, which takes hours at 2 mm"
    )
    parser.add_argument("--low-mem", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, folder=options.work_dir or Path(folder))
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1))
    for row in rows:
        print(
            f"{row['interface']:<20} {row['node']:<60} measured {row['peak'] / 1e9:6.3f} GB, asked {row['asked']:6.3f} GB, "
            f"ratio {row['asked'] * 1e9 / row['peak']:.2f}, {row['seconds']:6.1f} s"
        )


def measure(options: argparse.Namespace, *, folder: Path) -> list[dict[str, Any]]:
    """Run all nodes of the first participant and return what each took."""
    from qmri_bids.bids.anatomy.images import find_anatomy
    from qmri_bids.bids.anatomy.spaces import SpaceOptions
    from qmri_bids.bids.layout import open_layout
    from qmri_bids.pipeline.options import ProcessingOptions
    from qmri_bids.scans.find import find_runs
    from qmri_bids.scans.find_options import FindOptions
    from qmri_bids.workflows.planning import link_runs
    from qmri_bids.workflows.run_kinds import init_qmri_wf

    layout = open_layout(options.dataset, subjects=["01"])
    plans = link_runs([find_runs(layout, subject="01", session=None, options=FindOptions())])
    runs = plans[0].runs
    anatomy = find_anatomy(bids_dir=options.dataset, subject="01", session=None) if options.spaces else None
    if isinstance(anatomy, tuple):
        anatomy = anatomy[0]
    (folder / "out").mkdir(parents=True, exist_ok=True)
    workflow = init_qmri_wf(
        runs=runs,
        options=ProcessingOptions(
            estimator="pinn",
            processes=options.threads,
            gibbs_method=options.gibbs_method,
            ignore=tuple(options.ignore),
            spaces=SpaceOptions(
                spaces=tuple(options.spaces),
                anatomies={} if anatomy is None else {"": anatomy},
                cache=folder / "spaces",
            ),
        ),
        bids_dir=options.dataset,
        output_dir=folder / "out",
        work_dir=folder / "work",
    )
    workflow.config["execution"] = {"crashdump_dir": str(folder), "check_version": "false"}
    try:
        from qmri_bids.workflows.resources import set_resources

        set_resources(workflow, runs=runs, threads=options.threads, low_mem=options.low_mem)
    except ImportError:
        pass
    plugin = MeasuredPlugin()
    workflow.run(plugin=plugin)
    return plugin.rows


class MeasuredPlugin(PluginBase):
    """One node after the other, each in a fresh process whose memory is watched, that of its children included."""

    def __init__(self) -> None:
        super().__init__({})
        self.rows: list[dict[str, Any]] = []

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        for node in topological_sort(graph)[0]:
            if type(node.interface).__name__ in ("IdentityInterface", "Merge") or node.is_cached()[0]:
                node.run()
                continue
            process = context.Process(target=_run, args=(node,))
            started = time.monotonic()
            process.start()
            peak, highest = 0, 0
            while process.is_alive():
                members = _family(process.pid or 0)
                peak = max(peak, sum(_proportional(each) for each in members))
                highest = max(highest, _high_water(process.pid or 0))
                process.join(PAUSE)
            if process.exitcode:
                raise RuntimeError(f"{node.fullname} failed")
            self.rows.append(
                {
                    "node": node.fullname,
                    "interface": type(node.interface).__name__,
                    "peak": max(peak, highest),
                    "own": highest,
                    "asked": node.mem_gb * 1.073741824,
                    "seconds": time.monotonic() - started,
                }
            )
            print(json.dumps(self.rows[-1]), flush=True)


def _run(node: Any) -> None:
    node.run()


def _family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    found, fresh = [], [pid]
    while fresh:
        each = fresh.pop()
        found.append(each)
        try:
            for task in os.listdir(f"/proc/{each}/task"):
                fresh += [int(child) for child in Path(f"/proc/{each}/task/{task}/children").read_text().split()]
        except OSError:
            continue
    return found


def _proportional(pid: int) -> int:
    """Return the memory of a process, what it shares with others divided among them [bytes]."""
    return _entry(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _high_water(pid: int) -> int:
    return _entry(Path(f"/proc/{pid}/status"), "VmHWM:")


def _entry(path: Path, key: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(key)), 0)


if __name__ == "__main__":
    main()
