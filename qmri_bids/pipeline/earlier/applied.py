"""The nodes that apply what an earlier call has fitted, in place of those that fit: brain masks and motion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, isdefined, traits
from nipype.pipeline import engine as pe
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.anatomy.nodes import MaskByAnatomy, _MaskByAnatomyInput
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.earlier.plan import EarlierFits, EarlierMotion
from qmri_bids.pipeline.mask.nodes import MaskBrain, _MaskBrainInput, given_mask
from qmri_bids.pipeline.motion.nodes import _CorrectMotionOutput
from qmri_bids.pipeline.motion.series_nodes import FRINGED, AlignSeries, _AlignSeriesInput
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.volumes import load_mask, load_volume, save_motion, save_volume

if TYPE_CHECKING:
    from qmri_bids.preprocessing.motion.saturated import SaturatedMotion


class _EarlierMaskInput(ReadsFiles):
    mask_file = traits.Str(mandatory=True, desc="brain mask on the grid of the run")
    mask_source = traits.Str(mandatory=True, desc="the same file, as sentences name it")
    mask_kind = traits.Str(BRAIN, usedefault=True, desc="what the mask holds: brain or object")
    by_hand = traits.Bool(False, usedefault=True, desc="whether a person has made or corrected it")


class _ReadMaskInput(_MaskBrainInput, _EarlierMaskInput):
    pass


class ReadMask(MaskBrain):
    """Average the magnitudes, and read the brain from a mask of an earlier call, which a person may have corrected."""

    input_spec = _ReadMaskInput
    needs = NodeMemory(fixed=500e6, per_voxel=100, per_value=12)

    def _run_interface(self, runtime: Any) -> Any:
        magnitude, affine = self._magnitude()
        mask = load_mask(self.inputs.mask_file, shape=magnitude.shape)
        assert mask is not None  # the input is mandatory
        inputs = self.inputs
        found = given_mask(
            mask, affine=affine, kind=inputs.mask_kind, source=inputs.mask_source, by_hand=inputs.by_hand
        )
        litres = float(mask.sum()) * abs(float(np.linalg.det(affine[:3, :3]))) * 1e-6
        what = "The brain mask" if self.inputs.mask_kind == BRAIN else "The mask of the object"
        said = [f"{what} was read from {self.inputs.mask_source} ({litres:.2f} litres); none was looked for."]
        self._store(runtime, mask=mask, magnitude=magnitude, affine=affine, found=found, decisions=said)
        return runtime


class _ReadMaskBesideAnatomyInput(_MaskByAnatomyInput, _EarlierMaskInput):
    pass


class ReadMaskBesideAnatomy(MaskByAnatomy, ReadMask):
    """Register the anatomical image to the run and take its tissues, but the brain from a mask of an earlier call."""

    input_spec = _ReadMaskBesideAnatomyInput
    needs = NodeMemory(fixed=900e6, per_voxel=200, per_value=12, per_other=100)
    takes_mask = False

    def _run_interface(self, runtime: Any) -> Any:
        runtime = super()._run_interface(runtime)
        if self._results["tissue"] is not None:
            labels, affine = load_volume(self._results["tissue"])
            inside = load_volume(self._results["mask"])[0] > 0
            folder = Path(runtime.cwd)
            self._results["tissue"] = save_volume(
                folder / "tissue.nii", np.where(inside, labels, 0).astype(np.uint8), affine
            )
        if self.inputs.use_masks and self.inputs.anatomy.brain_mask is not None:
            self._results["decisions"].append(
                f"The mask of this very run goes before that of {self.inputs.anatomy.brain_mask.name}."
            )
        return runtime


class _ApplyMotionInput(ReadsFiles):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D")
    transforms = traits.Str(mandatory=True, desc="text file of ITK, one rigid transform a cycle")
    reference = traits.Int(mandatory=True, desc="index of the cycle to which the others are brought")
    source = traits.Str(mandatory=True, desc="the file of transforms, as sentences name it")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="threads; does not change the result")


class ApplyMotion(SimpleInterface):
    """Bring the cycles back by the motion that an earlier call has found, interpolating once."""

    input_spec = _ApplyMotionInput
    output_spec = _CorrectMotionOutput
    needs = NodeMemory(fixed=500e6, per_value=24, parallel=True, per_worker_voxel=60)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.transform_files import read_transforms
        from qmri_bids.preprocessing.motion.phase_cycles import apply_motion

        cycles, affine = load_volume(self.inputs.cycles)
        result = apply_motion(
            cycles,
            affine=affine,
            transforms=read_transforms(Path(self.inputs.transforms)),
            reference=self.inputs.reference,
            threads=self.inputs.processes,
        )
        folder = Path(runtime.cwd)
        self._results["motion"] = save_motion(folder, result)
        self._results["cycles"] = save_volume(folder / "cycles.nii", result.cycles, affine)
        self._results["decisions"] = [_motion_sentence(self.inputs.source, self.inputs.reference), *result.decisions]
        return runtime


class _ApplySeriesMotionInput(_AlignSeriesInput, ReadsFiles):
    transforms = traits.Str(mandatory=True, desc="text file of ITK, one rigid transform a volume")
    reference = traits.Int(mandatory=True, desc="index of the volume to which the others are brought")
    registered = traits.List(traits.Bool, mandatory=True, desc="whether each volume was registered by itself")
    source = traits.Str(mandatory=True, desc="the file of transforms, as sentences name it")


class ApplySeriesMotion(AlignSeries):
    """Bring the volumes of a run back by the motion that an earlier call has found, interpolating once."""

    input_spec = _ApplySeriesMotionInput
    needs = NodeMemory(fixed=500e6, per_value=20, parallel=True, per_worker_voxel=60)

    def _aligned(self, series: NDArray[Any], affine: NDArray[np.float64]) -> SaturatedMotion:
        from qmri_bids.bids.transform_files import read_transforms
        from qmri_bids.preprocessing.motion.parameters import centre_of_mass
        from qmri_bids.preprocessing.motion.saturated import apply_series_motion
        from qmri_bids.preprocessing.motion.scan_series import grid_centre, remaining_of_fringes

        inputs = self.inputs
        transforms = read_transforms(Path(inputs.transforms))
        # The centre about which the fit of this kind of series counts its parameters.
        centre = (
            grid_centre(series.shape[:3], affine=affine)
            if inputs.kind in FRINGED or not isdefined(inputs.protocol)
            else centre_of_mass(series[..., inputs.reference], affine=affine)
        )
        known: dict[str, Any] = {"affine": affine, "transforms": transforms, "reference": inputs.reference}
        return apply_series_motion(
            series,
            **known,
            trusted=np.array(inputs.registered, dtype=bool),
            centre=centre,
            remaining=remaining_of_fringes(series, **known) if inputs.kind in FRINGED else None,
            threads=inputs.processes,
            decisions=[_motion_sentence(inputs.source, inputs.reference)],
        )


def _motion_sentence(source: str, reference: int) -> str:
    return f"The motion was read from {source}, with volume {reference + 1} as the reference; none was fitted."


def mask_reader(fits: EarlierFits, *, anatomy: Anatomy | None, options: ProcessingOptions) -> pe.Node:
    """Return the node that reads the brain mask of an earlier call.

    Parameters
    ----------
    fits
        With a mask.
    anatomy
        Of the session; None without one, or where a workflow around this one hands it over.
    options
        With the spaces.
    """
    known = {
        "mask_file": str(fits.mask),
        "mask_source": fits.mask_source,
        "mask_kind": fits.kind,
        "by_hand": fits.by_hand,
    }
    if anatomy is None and options.spaces.given is None:
        return pe.Node(ReadMask(**known), name="read_mask")
    node = pe.Node(ReadMaskBesideAnatomy(use_masks=options.spaces.use_masks, **known), name="read_mask")
    if anatomy is not None:
        node.inputs.anatomy = anatomy
    return node


def cycle_motion_reader(motion: EarlierMotion, *, processes: int) -> pe.Node:
    """Return the node that applies the motion of an earlier call to phase cycles."""
    return pe.Node(
        ApplyMotion(
            transforms=str(motion.transforms), reference=motion.reference, source=motion.source, processes=processes
        ),
        name="apply_motion",
    )


def series_motion_reader(motion: EarlierMotion, *, processes: int, suffix: str = "") -> pe.Node:
    """Return the node that applies the motion of an earlier call to the volumes of a series."""
    return pe.Node(
        ApplySeriesMotion(
            transforms=str(motion.transforms),
            reference=motion.reference,
            registered=list(motion.registered),
            source=motion.source,
            processes=processes,
        ),
        name=f"apply_motion{suffix}",
    )
