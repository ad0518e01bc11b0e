"""The node that tells the tissues of a pc-bSSFP run by its own maps of T1 and T2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.results.estimate_file import ONE_POOL
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.tissue_labels import FLUID, TISSUE_LABELS

NO_BRAIN = "Tissues were not told apart: the mask is that of the whole object, not of a brain."


class _SegmentTissuesInput(BaseInterfaceInputSpec):
    estimate = File(exists=True, mandatory=True, desc="T1 and T2 with their standard deviations (npz)")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    protocol = traits.Any(desc="BssfpProtocol of the maps, which says what mixtures of tissues look like")
    kind = traits.Str(BRAIN, usedefault=True, desc="of what the mask is: brain, or object, which has no tissues")
    given = traits.Either(File(exists=True), None, desc="labels brought from the anatomy; None where it gave none")


class _SegmentTissuesOutput(TraitedSpec):
    tissue = traits.Either(File(exists=True), None, desc="labels of grey matter, white matter and fluid")
    probabilities = traits.Either(File(exists=True), None, desc="probability of each of them, 4D")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class SegmentTissues(SimpleInterface):
    """Tell white matter, grey matter and fluid by T1 and T2; those of the anatomy where it gave them."""

    input_spec = _SegmentTissuesInput
    output_spec = _SegmentTissuesOutput
    needs = NodeMemory(fixed=900e6, per_voxel=400)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.tissues.pure import pure_tissue
        from qmri_bids.preprocessing.tissues.segmentation import segment_tissues

        self._results.update(tissue=None, probabilities=None, decisions=[])
        if self.inputs.kind != BRAIN:
            self._results["decisions"] = [NO_BRAIN]
            return runtime
        image, affine = load_volume(self.inputs.mask)
        if isdefined(self.inputs.given) and self.inputs.given is not None:
            self._results["tissue"] = self.inputs.given
            labels = np.asarray(load_volume(self.inputs.given)[0]).astype(np.uint8)
            self._results["decisions"] = list(pure_tissue(labels, mask=image > 0).decisions)
            return runtime
        with np.load(self.inputs.estimate) as stored:
            names = ("T1", "T2", "T1_stdev", "T2_stdev")
            # A voxel of tissue and fluid is told by what one pool makes of it.
            chosen = {name: f"{ONE_POOL}{name}" if f"{ONE_POOL}{name}" in stored else name for name in names}
            maps = {name: stored[other] for name, other in chosen.items() if other in stored}
        try:
            found = segment_tissues(
                maps["T1"],
                maps["T2"],
                mask=image > 0,
                t1_stdev=maps.get("T1_stdev"),
                t2_stdev=maps.get("T2_stdev"),
                protocol=self.inputs.protocol if isdefined(self.inputs.protocol) else None,
            )
        except ValueError as error:
            self._results["decisions"] = [f"Tissues were not told apart: {error}."]
            return runtime
        folder = Path(runtime.cwd)
        self._results["tissue"] = save_volume(folder / "tissue.nii", found.labels, affine)
        self._results["probabilities"] = save_volume(folder / "probabilities.nii", found.probabilities, affine)
        # As the statistics have them.
        fluid = found.probabilities[..., TISSUE_LABELS.index(FLUID)]
        pure = pure_tissue(found.labels, mask=image > 0, fluid=fluid)
        self._results["decisions"] = [*found.decisions, *pure.decisions]
        return runtime
