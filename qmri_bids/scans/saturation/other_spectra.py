"""Z-spectra of another run on the grid of this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.volumes import load_volume


class _BringSpectraInput(BaseInterfaceInputSpec):
    maps = File(
        exists=True, mandatory=True, desc="estimate of the other run (npz) with `z`, its noise and `off_resonance`"
    )
    magnitude = File(exists=True, mandatory=True, desc="image of the other run by which it is registered")
    reference = File(exists=True, mandatory=True, desc="image of the grid to which they are brought")
    label = traits.Str(mandatory=True, desc="of the other run")


class _BringSpectraOutput(TraitedSpec):
    spectra = File(
        exists=True, desc="Z (X, Y, Z, K), its noise and the shift of water [Hz] on the grid of the reference (npz)"
    )
    registration = File(exists=True, desc="transform, similarity and the aligned image (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class BringSpectra(SimpleInterface):
    """Register another run of the session and bring its Z-spectra to the grid of this one."""

    input_spec = _BringSpectraInput
    output_spec = _BringSpectraOutput
    needs = NodeMemory(fixed=390e6, per_voxel=200, per_value=12)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.registration.resampling import resample
        from qmri_bids.preprocessing.registration.scans import bring, register_scans

        inputs, folder = self.inputs, Path(runtime.cwd)
        reference, affine = load_volume(inputs.reference)
        moving, moving_affine = load_volume(inputs.magnitude)
        found = register_scans(reference, fixed_affine=affine, moving=moving, moving_affine=moving_affine)
        grid: dict[str, Any] = {
            "affine": moving_affine,
            "target_shape": reference.shape,
            "target_affine": affine,
            "transform": found.transform,
        }
        with np.load(inputs.maps) as stored:
            inside, spectra = stored["inside"], stored["z"]
            parts = {name: stored[name] for name in ("z_stdev", "z_scale_stdev")}
            maps = {"off_resonance": stored["off_resonance"]}

        def brought(values: Any) -> Any:
            volume = np.full(inside.shape, np.nan, dtype=np.float32)
            volume[inside] = values
            return bring({"": volume}, **grid)[""]

        np.savez(
            folder / "spectra.npz",
            z=np.stack([brought(each) for each in spectra.T], axis=-1),
            **{name: brought(values) for name, values in parts.items()},
            **dict[str, Any](bring(maps, **grid)),
        )
        aligned = resample(np.asarray(moving, dtype=np.float32), **grid, order=1)
        np.savez(folder / "registration.npz", **found.stored, anatomical=aligned)
        self._results["spectra"] = str(folder / "spectra.npz")
        self._results["registration"] = str(folder / "registration.npz")
        said = (*found.decisions, *found.warnings)
        self._results["decisions"] = [f"The spectrum {inputs.label}: {each}" for each in said]
        return runtime
