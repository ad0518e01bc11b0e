"""Whether what an earlier call wrote for a run still lies in the output folder: the engine knows of its own folders only."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

from qmri_bids.pipeline.earlier.files import files_of_run
from qmri_bids.pipeline.mask.keep import KEEPING_NODES
from qmri_bids.pipeline.run import Run
from qmri_bids.reports.content import RunReport
from qmri_bids.workflows.run_kinds import report_file, run_name

WRITING_NODES = (*KEEPING_NODES, "write_derivatives", "put_in_spaces", "describe_run")


def forget_if_outputs_are_gone(run: Run, *, nodes_dir: Path, work_dir: Path, output_dir: Path) -> None:
    """Let a run write its outputs again if some are missing, or another call has written others over them.

    Parameters
    ----------
    run
        Any run.
    nodes_dir
        Folder of the workflow of the participant, in which the engine keeps its nodes.
    work_dir
        Folder of intermediate results of the participant.
    output_dir
        Root of the derivatives.
    """
    path = report_file(work_dir, run)
    if path.is_file() and _as_written(path, run, output_dir=output_dir):
        return
    for node in WRITING_NODES:
        shutil.rmtree(nodes_dir / run_name(run) / node, ignore_errors=True)


def _as_written(path: Path, run: Run, *, output_dir: Path) -> bool:
    try:
        report: RunReport = pickle.loads(path.read_bytes())
    except Exception:  # of another version, or damaged: a pickle may raise anything
        return False
    if not all((output_dir / each).is_file() for each in report.outputs):
        return False
    finished = path.stat().st_mtime_ns
    own = [each for entities in run.all_entities for each in files_of_run(entities, output_dir=output_dir)]
    return all(each.stat().st_mtime_ns <= finished for each in own)
