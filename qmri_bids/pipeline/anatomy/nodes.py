"""The node that finds the brain by the anatomical image of the session: registered, its masks and tissues brought to the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, InputMultiObject, isdefined, traits
from numpy.typing import NDArray

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.mask.nodes import MaskBrain, _FindBrainOutput, _MaskBrainInput, given_mask
from qmri_bids.pipeline.motion.series_nodes import ClassifyTissue, _ClassifyTissueInput
from qmri_bids.pipeline.options import DEFAULT_MASK_METHOD
from qmri_bids.pipeline.volumes import load_volume, save_volume


class _MaskByAnatomyInput(_MaskBrainInput, ReadsFiles):
    anatomy = traits.Any(mandatory=True, desc="Anatomy of the session")
    anatomy_files = InputMultiObject(File(exists=True), desc="its files, so that changed ones are noticed")
    use_masks = traits.Bool(True, usedefault=True, desc="whether its masks and tissues replace those of this program")


class _MaskByAnatomyOutput(_FindBrainOutput):
    registration = File(
        exists=True, desc="transform from the run to the T1w image and its quality, or why it failed (npz)"
    )
    tissue = traits.Either(
        File(exists=True), None, desc="labels of grey matter, white matter and fluid; None where there are none"
    )


class MaskByAnatomy(MaskBrain):
    """Register the anatomical image to the run, and take mask and tissues from it where it has them."""

    takes_mask = True
    """Whether its brain mask is taken where it has one; without it the brain is found as by the class above."""

    input_spec = _MaskByAnatomyInput
    output_spec = _MaskByAnatomyOutput
    needs = NodeMemory(fixed=900e6, per_voxel=200, per_value=12, per_other=100)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.registration.anatomical import bring_anatomy, load_anatomical
        from qmri_bids.preprocessing.registration.scans import RegistrationFailed

        inputs, folder = self.inputs, Path(runtime.cwd)
        anatomy = inputs.anatomy
        magnitude, affine = self._magnitude()
        said: list[str] = list(anatomy.sentences)
        stored: dict[str, Any] = {"failed": "", "warnings": np.array([], dtype=str)}
        mask: NDArray[np.bool_] | None = None
        tissue: NDArray[np.uint8] | None = None
        # Who asks for a method by name gets it, not the mask of another program.
        takes_mask = inputs.use_masks and self.takes_mask and inputs.method == DEFAULT_MASK_METHOD
        try:
            brought = bring_anatomy(
                load_anatomical(
                    anatomy.t1w,
                    brain_mask=anatomy.brain_mask if takes_mask else None,
                    dseg=anatomy.dseg if inputs.use_masks else None,
                    probseg=anatomy.probseg if inputs.use_masks else {},
                ),
                magnitude=magnitude,
                affine=affine,
            )
            stored |= brought.registration.stored | {"anatomical": brought.image}
            stored["warnings"] = np.array(brought.warnings, dtype=str)
            said += brought.decisions
            mask, tissue = brought.mask, brought.tissue
        except (RegistrationFailed, ValueError) as error:
            stored["failed"] = str(error)
        if mask is None:
            runtime = super()._run_interface(runtime)
            said += self._results["decisions"]
        else:
            found = given_mask(mask, affine=affine, kind=BRAIN, source=anatomy.brain_mask.name)
            self._store(runtime, mask=mask, magnitude=magnitude, affine=affine, found=found, decisions=())
        np.savez(folder / "anatomy_registration.npz", **stored)
        self._results["registration"] = str(folder / "anatomy_registration.npz")
        self._results["tissue"] = None if tissue is None else save_volume(folder / "anatomy_tissue.nii", tissue, affine)
        self._results["decisions"] = said
        return runtime


class _TissueByAnatomyInput(_ClassifyTissueInput):
    given = traits.Either(File(exists=True), None, desc="labels brought from the anatomy; None where it gave none")


class TissueByAnatomy(ClassifyTissue):
    """Take the tissues of the anatomy, and tell them apart by a map where it gave none."""

    input_spec = _TissueByAnatomyInput
    needs = NodeMemory(fixed=340e6, per_voxel=150)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.tissues.pure import pure_tissue

        if self.inputs.kind != BRAIN or not isdefined(self.inputs.given) or self.inputs.given is None:
            return super()._run_interface(runtime)
        labels, mask = (load_volume(each)[0] for each in (self.inputs.given, self.inputs.mask))
        self._results["tissue"] = self.inputs.given
        self._results["decisions"] = list(pure_tissue(np.asarray(labels).astype(np.uint8), mask=mask > 0).decisions)
        return runtime
