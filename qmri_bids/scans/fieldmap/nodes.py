"""Field maps in every form: the function that reads them, and its node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import SimpleInterface, traits

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.maps.nodes import MapsOutput
from qmri_bids.pipeline.sources import Fieldmap
from qmri_bids.pipeline.volumes import save_still

if TYPE_CHECKING:
    from qmri_bids.preprocessing.loading.maps import LoadedMaps


def load_fieldmap(scan: Fieldmap) -> LoadedMaps:
    """Read a field map, or compute it from the phase of two echoes.

    Raises
    ------
    ContentError
        If the files hold none.
    """
    from qmri_bids.preprocessing.loading.fieldmaps import load_field_map, load_phase_map

    if scan.echo_times is None or scan.phase_units is None or scan.magnitude is None:
        return load_field_map(scan.path, hertz=scan.hertz)
    return load_phase_map(
        phases=tuple(path for path in (scan.path, scan.second) if path is not None),
        units=scan.phase_units,
        echo_times=scan.echo_times,
        magnitude=scan.magnitude,
    )


class _LoadFieldmapInput(ReadsFiles):
    fieldmap = traits.Any(mandatory=True, desc="Fieldmap: files and how off-resonance follows from them")


class LoadFieldmap(SimpleInterface):
    """Read a field map, or compute it from the phase of two echoes."""

    input_spec = _LoadFieldmapInput
    output_spec = MapsOutput
    needs = NodeMemory(fixed=300e6, per_voxel=200)

    def _run_interface(self, runtime: Any) -> Any:
        scan, folder = self.inputs.fieldmap, Path(runtime.cwd)
        loaded = load_fieldmap(scan)
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
