"""The nodes of field maps: one that reads them in every form, and one that makes the field of a bSSFP scan continuous."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits

from qmri_bids.workflows.input_content import ReadsFiles
from qmri_bids.workflows.map_interfaces import MapsOutput
from qmri_bids.workflows.volumes import save_still


class _LoadFieldmapInput(ReadsFiles):
    fieldmap = traits.Any(mandatory=True, desc="Fieldmap: files and how off-resonance follows from them")


class LoadFieldmap(SimpleInterface):
    """Read a field map, or compute it from the phase of two echoes."""

    input_spec = _LoadFieldmapInput
    output_spec = MapsOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.fieldmap_loading import load_field_map, load_phase_map

        scan, folder = self.inputs.fieldmap, Path(runtime.cwd)
        if scan.echo_times is None:
            loaded = load_field_map(scan.path, hertz=scan.hertz)
        else:
            loaded = load_phase_map(
                phases=tuple(path for path in (scan.path, scan.second) if path is not None),
                units=scan.phase_units,
                echo_times=scan.echo_times,
                magnitude=scan.magnitude,
            )
        np.savez(folder / "maps.npz", **dict[str, Any](loaded.maps), affine=loaded.affine)
        self._results["maps"] = str(folder / "maps.npz")
        decisions = list(loaded.decisions)
        if scan.magnitude is None:
            decisions.append(
                f"{scan.path.name}: no image shows where it lies, so that it was placed by the coordinates of the scanner alone."
            )
        else:
            self._results["magnitude"] = save_still(folder / "magnitude.nii", scan.magnitude)
        self._results["decisions"] = decisions
        return runtime


class _UnwrapFieldmapInput(BaseInterfaceInputSpec):
    estimate = File(exists=True, mandatory=True, desc="maps by name (npz) with `off_resonance_period`")


class _UnwrapFieldmapOutput(TraitedSpec):
    unwrapped = File(exists=True, desc="continuous off-resonance [Hz] (npz with `off_resonance`)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class UnwrapFieldmap(SimpleInterface):
    """Make the off-resonance of a bSSFP scan continuous, for people; the estimate stays as it was fitted."""

    input_spec = _UnwrapFieldmapInput
    output_spec = _UnwrapFieldmapOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.unwrapping import unwrap_off_resonance

        with np.load(self.inputs.estimate) as stored:
            field, period = stored["off_resonance"], float(stored["off_resonance_period"])
        decisions: tuple[str, ...] = ("Off-resonance has no value in any voxel and was not unwrapped.",)
        if np.isfinite(field).any():
            field, decisions = unwrap_off_resonance(field, period=period)
        path = Path(runtime.cwd) / "unwrapped.npz"
        np.savez(path, off_resonance=field)
        self._results["unwrapped"] = str(path)
        self._results["decisions"] = list(decisions)
        return runtime
