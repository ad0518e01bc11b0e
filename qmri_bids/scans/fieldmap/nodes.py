"""The node that reads field maps in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import SimpleInterface, traits

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.maps.nodes import MapsOutput
from qmri_bids.pipeline.volumes import save_still


class _LoadFieldmapInput(ReadsFiles):
    fieldmap = traits.Any(mandatory=True, desc="Fieldmap: files and how off-resonance follows from them")


class LoadFieldmap(SimpleInterface):
    """Read a field map, or compute it from the phase of two echoes."""

    input_spec = _LoadFieldmapInput
    output_spec = MapsOutput
    needs = NodeMemory(fixed=300e6, per_voxel=200)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.loading.fieldmaps import load_field_map, load_phase_map

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
