"""The workflow of a B1+ map: relative B1, smooth and whole, on the grid of the scan that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, isdefined, traits
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.preprocessing.loading.b1 import LoadedB1
from qmri_bids.scans.b1.scan import load_scan


class _AlignB1Input(ReadsFiles):
    b1_run = traits.Any(mandatory=True, desc="B1Run: files and how B1 follows from them")
    magnitude = File(exists=True, mandatory=True, desc="mean magnitude of the target scan")
    mask = File(exists=True, desc="brain mask of the target scan")
    maps = File(exists=True, desc="maps of the run that measured B1 (npz), where it is no B1 scan")
    image = File(exists=True, desc="image on the grid of these maps")


class _AlignB1Output(TraitedSpec):
    b1 = File(exists=True, desc="actual over nominal flip angle on the grid of the target")
    b1_stdev = File(exists=True, desc="its standard deviation; none of a map that came ready-made")
    registration = File(
        exists=True,
        desc="transform, similarity, measured voxels, codes, standard deviation and the aligned anatomical image (npz)",
    )
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class AlignB1(SimpleInterface):
    """Compute relative B1 and bring it to the grid of another scan."""

    input_spec = _AlignB1Input
    output_spec = _AlignB1Output
    needs = NodeMemory(fixed=330e6, per_voxel=200)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.b1 import register_b1
        from qmri_bids.preprocessing.registration.resampling import resample

        inputs = self.inputs
        loaded = _of_run(inputs.maps, inputs.image) if isdefined(inputs.maps) else load_scan(inputs.b1_run)
        magnitude, affine = load_volume(inputs.magnitude)
        result = register_b1(
            loaded.ratio,
            b1_affine=loaded.affine,
            anatomical=loaded.anatomical,
            target_magnitude=magnitude,
            target_affine=affine,
            target_mask=load_volume(inputs.mask)[0] > 0 if isdefined(inputs.mask) else None,
            stdev=loaded.stdev,
            method_error=inputs.b1_run.method_error,
            ready_made=inputs.b1_run.is_ready_made,
        )
        aligned = resample(
            loaded.ratio if loaded.anatomical is None else loaded.anatomical,
            affine=loaded.affine,
            target_shape=magnitude.shape,
            target_affine=affine,
            transform=result.transform,
            order=1,
        )
        folder = Path(runtime.cwd)
        known: dict[str, Any] = {} if result.stdev is None else {"stdev": result.stdev}
        np.savez(
            folder / "registration.npz",
            transform=result.transform,
            similarity=result.similarity,
            measured=result.measured,
            codes=result.codes,
            anatomical=aligned,
            **known,
        )
        if result.stdev is not None:
            self._results["b1_stdev"] = save_volume(folder / "b1_stdev.nii", result.stdev, affine)
        self._results["registration"] = str(folder / "registration.npz")
        self._results["b1"] = save_volume(folder / "b1.nii", result.map, affine)
        self._results["decisions"] = [*loaded.decisions, *result.decisions]
        self._results["warnings"] = [*loaded.warnings, *result.warnings]
        return runtime


def _of_run(maps: str, image: str) -> LoadedB1:
    """Return relative B1 as another run of the call estimated it."""
    anatomical, affine = load_volume(image)
    with np.load(maps) as stored:
        ratio, stdev = stored["b1"], stored.get("b1_stdev", None)
    return LoadedB1(
        ratio=np.nan_to_num(ratio, nan=0.0).astype(np.float32),
        stdev=stdev,
        anatomical=np.asarray(anatomical, dtype=np.float32),
        affine=affine,
    )


B1_FIELDS = ("b1_maps", "b1_magnitude")
"""Inputs of the workflow of a run that hold B1 of another run."""


def b1_fields(run: B1Run | None) -> tuple[str, ...]:
    """Return the inputs that the workflow of a run needs for its B1 map: none for a B1 scan."""
    return B1_FIELDS if run is not None and run.run is not None else ()


def init_b1_wf(*, name: str = "b1_wf") -> pe.Workflow:
    """Bring a B1+ map to the grid of another scan.

    Parameters
    ----------
    name
        Name of the workflow.

    Inputs
    ------
    b1_run
        The `B1Run`.
    magnitude, mask
        Mean magnitude and brain mask of the target scan.
    maps, image
        Maps of the run that measured B1 (npz with `b1`) and the image by which they are registered; only where `b1_run.run` is one.

    Outputs
    -------
    b1, b1_stdev
        Actual over nominal flip angle on the grid of the target, and its standard deviation; none of a map that came ready-made.
    registration
        Transform, similarity, measured voxels, codes, standard deviation if there is one, and the aligned anatomical image (npz).
    decisions, warnings
        Sentences.
    """
    workflow = pe.Workflow(name=name)
    workflow.__desc__ = "The B1+ map was registered rigidly by its anatomical image, and replaced by a smooth surface."
    inputs = ["b1_run", "magnitude", "mask", "maps", "image"]
    outputs = ["b1", "b1_stdev", "registration", "decisions", "warnings"]
    inputnode = pe.Node(IdentityInterface(fields=inputs), name="inputnode")
    outputnode = pe.Node(IdentityInterface(fields=outputs), name="outputnode")
    align_b1 = pe.Node(AlignB1(), name="align_b1")
    workflow.connect(
        [
            (inputnode, align_b1, [(name, name) for name in inputs]),
            (align_b1, outputnode, [(name, name) for name in outputs]),
        ]
    )
    return workflow


def add_b1_wf(workflow: pe.Workflow, run: B1Run, *, mask: pe.Node, inputnode: pe.Node | None = None) -> pe.Workflow:
    """Add the workflow of a B1+ map to that of a run and return it.

    Parameters
    ----------
    workflow
        Of the run.
    run
        How B1 was measured.
    mask
        Node of the run with `magnitude` and `mask`.
    inputnode
        Node of the run that has `B1_FIELDS` where B1 comes from another run.
    """
    b1_wf = init_b1_wf()
    b1_wf.inputs.inputnode.b1_run = run
    workflow.connect([(mask, b1_wf, [("magnitude", "inputnode.magnitude"), ("mask", "inputnode.mask")])])
    if b1_fields(run) and inputnode is not None:
        fields = [("b1_maps", "inputnode.maps"), ("b1_magnitude", "inputnode.image")]
        workflow.connect([(inputnode, b1_wf, fields)])
    return b1_wf
