"""Threads and memory of nodes: every interface has a row, and what a node asks for follows from the headers."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import SimpleInterface
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

import qmri_bids
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.motion.nodes import CorrectMotion
from qmri_bids.scans.saturation.estimates import EstimateMtr
from qmri_bids.scans.saturation.run import MtrRun
from qmri_bids.workflows.resources import (
    Extent,
    extent_of,
    memory_of,
    peak_memory,
    peak_of,
    set_resources,
)
from qmri_bids.workflows.run_kinds import run_name


def interfaces() -> set[type]:
    """Return all interfaces of the package."""
    for module in pkgutil.walk_packages(qmri_bids.__path__, "qmri_bids."):
        importlib.import_module(module.name)
    found, fresh = set(), [SimpleInterface]
    while fresh:
        below = fresh.pop().__subclasses__()
        found |= set(below)
        fresh += below
    return {each for each in found if each.__module__.startswith("qmri_bids.")}


def test_every_interface_says_what_it_needs_and_has_processes_where_it_is_parallel():
    found = interfaces()
    assert len(found) > 30
    for each in found:
        if memory_of(each).parallel:
            assert hasattr(each().inputs, "processes"), each.__name__


def test_an_interface_that_does_not_say_what_it_needs_is_named():
    class Unknown(SimpleInterface):
        pass

    with pytest.raises(LookupError, match="Unknown: expected `needs`"):
        memory_of(Unknown)


def test_workers_take_memory_of_their_own():
    needs = NodeMemory(fixed=1e8, per_value=8.0, parallel=True, per_worker=1e8, per_worker_voxel=10.0)
    extent = Extent(voxels=1000, volumes=5)
    assert peak_of(needs, extent=extent, threads=1) == 1e8 + 40_000
    assert peak_of(needs, extent=extent, threads=3) == 3e8 + 40_000 + 20_000


@pytest.fixture
def run(tmp_path: Path) -> MtrRun:
    for name, shape in (("on", (4, 5, 6)), ("off", (4, 5, 6, 3))):
        nib.save(nib.Nifti1Image(np.zeros(shape, dtype=np.int16), np.eye(4)), tmp_path / f"{name}.nii")
    return MtrRun(
        entities={"sub": "01"}, saturated=tmp_path / "on.nii", unsaturated=tmp_path / "off.nii", grid=(4, 5, 6)
    )


def workflow_of(run: MtrRun) -> Any:
    """Return a workflow around one of a run, with a node of another program beside it."""
    inner = pe.Workflow(name=run_name(run))
    inner.add_nodes(
        [
            pe.Node(CorrectMotion(), name="correct_motion"),
            pe.Node(EstimateMtr(), name="estimate_mtr"),
            pe.Node(IdentityInterface(fields=["run"]), name="inputnode"),
        ]
    )
    outer = pe.Workflow(name="qmri_wf")
    outer.add_nodes([inner, pe.Node(IdentityInterface(fields=["run"]), name="foreign", mem_gb=7.0, n_procs=5)])
    return outer


def test_the_extent_of_a_run_is_read_in_the_headers(run: MtrRun):
    assert extent_of(run) == Extent(voxels=120, volumes=4)


def test_nodes_are_told_and_foreign_ones_left_alone(run: MtrRun):
    workflow = workflow_of(run)
    found = {each.interface: each for each in set_resources(workflow, runs=[run], threads=4)}
    motion = workflow.get_node(f"{run_name(run)}.correct_motion")
    assert (motion.n_procs, motion.inputs.processes, found["CorrectMotion"].threads) == (4, 4, 4)
    assert motion.mem_gb * 2**30 == pytest.approx(found["CorrectMotion"].memory)
    # It has the input, but runs on one core.
    assert workflow.get_node(f"{run_name(run)}.estimate_mtr").n_procs == 1
    assert (workflow.get_node("foreign").n_procs, workflow.get_node("foreign").mem_gb) == (5, 7.0)
    assert peak_memory(list(found.values())).interface == "CorrectMotion"


def test_low_memory_leaves_one_worker_process(run: MtrRun):
    workflow = workflow_of(run)
    more = peak_memory(set_resources(workflow, runs=[run], threads=4))
    less = peak_memory(set_resources(workflow, runs=[run], threads=4, low_mem=True))
    assert (less.threads, workflow.get_node(f"{run_name(run)}.correct_motion").inputs.processes) == (1, 1)
    assert less.memory < more.memory
