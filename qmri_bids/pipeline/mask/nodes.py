"""The nodes that find the brain: first of all in the mean of what was scanned, and again where the head has moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits
from numpy.typing import NDArray

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.options import DEFAULT_MASK_METHOD
from qmri_bids.pipeline.volumes import load_mean, load_volume, save_volume

STILL = 0.5
"""Share of a voxel by which the head may have moved before the brain is looked for again in the aligned images."""


class _FindBrainInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="phase cycles or magnitudes, 4D")
    volumes = traits.List(traits.Int, desc="which of them are averaged; all by default")
    method = traits.Str(DEFAULT_MASK_METHOD, usedefault=True, desc="how the brain is found")


class _FindBrainOutput(TraitedSpec):
    mask = File(exists=True, desc="mask of the brain, or of the object")
    magnitude = File(exists=True, desc="mean magnitude")
    found = traits.Dict(desc="what the mask holds and what speaks for it: FoundMask without arrays")
    kind = traits.Str(desc="what the mask holds: brain, object or all")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class FindBrain(SimpleInterface):
    """Average the magnitudes and find the brain in them."""

    input_spec = _FindBrainInput
    output_spec = _FindBrainOutput
    needs = NodeMemory(fixed=1500e6, per_voxel=60, per_value=8)

    def _run_interface(self, runtime: Any) -> Any:
        magnitude, affine = self._magnitude()
        mask, found, decisions = find(magnitude, affine=affine, method=self.inputs.method)
        self._store(runtime, mask=mask, magnitude=magnitude, affine=affine, found=found, decisions=decisions)
        return runtime

    def _magnitude(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the mean magnitude of the volumes that tell the brain, and the affine."""
        return load_mean(self.inputs.cycles, volumes=self.inputs.volumes)

    def _store(
        self,
        runtime: Any,
        *,
        mask: NDArray[np.bool_],
        magnitude: NDArray[np.floating],
        affine: NDArray[np.floating],
        found: Mapping[str, Any],
        decisions: Sequence[str],
    ) -> None:
        """Save what was found as outputs of the node."""
        folder = Path(runtime.cwd)
        self._results["mask"] = save_volume(folder / "mask.nii", mask, affine)
        self._results["magnitude"] = save_volume(folder / "magnitude.nii", magnitude, affine)
        self._results["found"] = dict(found)
        self._results["kind"] = str(found["kind"])
        self._results["decisions"] = list(decisions)


class _MaskBrainInput(_FindBrainInput):
    first = File(exists=True, desc="mask that was found before the volumes were aligned")
    first_found = traits.Dict(desc="what it holds and what speaks for it")
    first_decisions = traits.List(traits.Str, desc="what was decided about it")
    motion = File(exists=True, desc="result of the motion correction (npz); none where it was left alone")


class MaskBrain(FindBrain):
    """Average the aligned magnitudes, and take the mask of those as scanned unless the head has moved."""

    input_spec = _MaskBrainInput
    needs = NodeMemory(fixed=430e6, per_voxel=60, per_value=8)

    def _run_interface(self, runtime: Any) -> Any:
        magnitude, affine = self._magnitude()
        moved, voxel = self._moved(), float(np.linalg.norm(affine[:3, :3], axis=0).min())
        known = isdefined(self.inputs.first)
        decisions = list(self.inputs.first_decisions) if isdefined(self.inputs.first_decisions) else []
        if known and moved <= STILL * voxel:
            mask, found = load_volume(self.inputs.first)[0] > 0, dict(self.inputs.first_found)
        else:
            mask, found, said = find(magnitude, affine=affine, method=self.inputs.method)
            if known and self.inputs.first_found["kind"] == BRAIN != found["kind"]:
                # What was believed of the blurred mean is not lost because alignment made something worse.
                mask, found = load_volume(self.inputs.first)[0] > 0, dict(self.inputs.first_found)
                decisions.append("In the aligned images no brain was found: the mask is that of the images as scanned.")
            elif known:
                what = "brain was looked for" if found["kind"] == BRAIN else "mask was made"
                decisions = [
                    f"After a motion of up to {moved:.1f} mm the {what} again in the mean of the aligned images.",
                    *said,
                ]
            else:
                decisions = list(said)
        self._store(runtime, mask=mask, magnitude=magnitude, affine=affine, found=found, decisions=decisions)
        return runtime

    def _moved(self) -> float:
        """Return how far the head was from its place in the reference [mm], at most, in the volumes that are averaged."""
        if not isdefined(self.inputs.motion):
            return 0.0
        from qmri_bids.preprocessing.motion.parameters import HEAD_RADIUS

        with np.load(self.inputs.motion) as stored:
            parameters = np.nan_to_num(stored["parameters"])
        if isdefined(self.inputs.volumes):
            parameters = parameters[list(self.inputs.volumes)]
        distance = np.linalg.norm(parameters[:, :3], axis=1) + HEAD_RADIUS * np.linalg.norm(parameters[:, 3:], axis=1)
        return 1e3 * float(distance.max())


def find(
    magnitude: NDArray[np.floating], *, affine: NDArray[np.floating], method: str
) -> tuple[NDArray[np.bool_], dict[str, Any], tuple[str, ...]]:
    """Return the mask of an image, what it holds and what speaks for it, and what was decided.

    Parameters
    ----------
    magnitude
        Magnitude image, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    method
        One of `choices.MASK_METHODS`.
    """
    from qmri_bids.preprocessing.brain.mask import find_mask

    found = find_mask(magnitude, affine=affine, method=method)
    described = {
        "kind": found.kind,
        "method": found.method,
        "level": found.level,
        "value": found.value,
        "explanation": found.explanation,
        "measures": dict(found.measures),
    }
    return found.mask, described, found.decisions


def given_mask(
    mask: NDArray[np.bool_], *, affine: NDArray[np.floating], kind: str, source: str, by_hand: bool = False
) -> dict[str, Any]:
    """Return what is known of a mask that was given and not found here: nothing judges it but a person.

    Parameters
    ----------
    mask
        The mask, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    kind
        What it holds: `brain` or `object`.
    source
        Where it came from.
    by_hand
        Whether a person has made it.
    """
    litres = float(np.count_nonzero(mask)) * abs(float(np.linalg.det(affine[:3, :3]))) * 1e-6
    return {
        "kind": kind,
        "method": "given",
        "level": "info",
        "value": f"{litres:.2f} litres, from {source}",
        "explanation": "The mask was given, and is not judged.",
        "measures": {},
        "by_hand": by_hand,
    }
