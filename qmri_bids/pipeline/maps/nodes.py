"""The nodes by which maps of other scans come to the grid of this one: read, unwrapped, registered, interpolated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits
from nipype.pipeline import engine as pe
from numpy.typing import NDArray

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.maps.known import shown_stored
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.volumes import load_volume, save_still
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.quantity import STDEV


class _LoadMapsInput(ReadsFiles):
    files = traits.Dict(mandatory=True, desc="paths of maps on one grid by name, in the units of BIDS")
    stdev_files = traits.Dict(desc="paths of their standard deviations by name")
    factors = traits.Dict(desc="what values are multiplied by to be in these units, by name; 1 where none is named")
    image = traits.Str(desc="image on the same grid by which they are registered")


class MapsOutput(TraitedSpec):
    """What nodes give that read maps."""

    maps = File(exists=True, desc="maps by name (npz) with `affine`")
    magnitude = File(exists=True, desc="image on the grid of the maps by which they are registered")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class LoadMaps(SimpleInterface):
    """Read maps in files and the image by which they are registered."""

    input_spec = _LoadMapsInput
    output_spec = MapsOutput
    needs = NodeMemory(fixed=200e6, per_voxel=100)

    def _run_interface(self, runtime: Any) -> Any:

        from qmri_bids.preprocessing.loading.maps import load_maps

        inputs, folder = self.inputs, Path(runtime.cwd)
        files = {name: Path(path) for name, path in inputs.files.items()}
        spread = inputs.stdev_files if isdefined(inputs.stdev_files) else {}
        loaded = load_maps(
            files,
            stdev_files={name: Path(path) for name, path in spread.items()},
            factors=inputs.factors if isdefined(inputs.factors) else {},
        )
        np.savez(folder / "maps.npz", **dict[str, Any](loaded.maps), affine=loaded.affine)
        self._results["maps"] = str(folder / "maps.npz")
        decisions = list(loaded.decisions)
        if isdefined(inputs.image):
            self._results["magnitude"] = save_still(folder / "magnitude.nii", inputs.image)
        else:
            names = " and ".join(dict.fromkeys(path.name for path in files.values()))
            decisions.append(
                f"{names}: no image shows where it lies, so that it was placed by the coordinates of the scanner alone."
            )
        self._results["decisions"] = decisions
        return runtime


def files_node(source: Take) -> pe.Node:
    """Return the node that reads the files of a source, and the image by which they are registered if there is one."""

    def paths(files: Mapping[str, Path]) -> dict[str, str]:
        return {KNOWN_QUANTITIES[name].name: str(path) for name, path in files.items()}

    node = pe.Node(
        LoadMaps(files=paths(source.files), stdev_files=paths(source.stdev_files)), name=f"load_{source.key}"
    )
    if source.factors:
        node.inputs.factors = {KNOWN_QUANTITIES[name].name: factor for name, factor in source.factors.items()}
    if source.image is not None:
        node.inputs.image = str(source.image)
    return node


class _UnwrapOffResonanceInput(BaseInterfaceInputSpec):
    maps = File(exists=True, mandatory=True, desc="maps by name (npz) with `off_resonance_period`")


class _UnwrapOffResonanceOutput(TraitedSpec):
    maps = File(exists=True, desc="the same maps, off-resonance continuous [Hz]")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class UnwrapOffResonance(SimpleInterface):
    """Make the off-resonance of a bSSFP scan continuous, for people and for interpolation; the estimate stays as it was fitted."""

    input_spec = _UnwrapOffResonanceInput
    output_spec = _UnwrapOffResonanceOutput
    needs = NodeMemory(fixed=350e6, per_voxel=200)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.unwrapping import unwrap_off_resonance

        with np.load(self.inputs.maps) as stored:
            maps = {name: stored[name] for name in stored.files}
        period = float(maps.pop("off_resonance_period"))
        decisions: tuple[str, ...] = ("Off-resonance has no value in any voxel and was not unwrapped.",)
        if np.isfinite(maps["off_resonance"]).any():
            maps["off_resonance"], decisions = unwrap_off_resonance(maps["off_resonance"], period=period)
        path = Path(runtime.cwd) / "maps.npz"
        np.savez(path, **maps)
        self._results["maps"] = str(path)
        self._results["decisions"] = list(decisions)
        return runtime


class _BringMapsInput(BaseInterfaceInputSpec):
    maps = File(exists=True, mandatory=True, desc="maps by name (npz)")
    names = traits.List(
        traits.Str, mandatory=True, desc="which of them, and their standard deviations where there are any"
    )
    magnitude = File(exists=True, desc="image by which they are registered; placed by coordinates without one")
    reference = File(exists=True, mandatory=True, desc="image of the grid to which they are brought")


class _BringMapsOutput(TraitedSpec):
    maps = File(exists=True, desc="maps by name on the grid of the reference (npz)")
    registration = File(exists=True, desc="transform, similarity and the aligned image (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class BringMaps(SimpleInterface):
    """Register another scan of the session and bring its maps to the grid of this one."""

    input_spec = _BringMapsInput
    output_spec = _BringMapsOutput
    needs = NodeMemory(fixed=390e6, per_voxel=200)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.registration.resampling import resample
        from qmri_bids.preprocessing.registration.scans import bring, register_scans

        reference, affine = load_volume(self.inputs.reference)
        maps = _stored(self.inputs.maps, self.inputs.names)
        decisions: list[str] = []
        transform, aligned = np.eye(4), np.zeros(reference.shape, dtype=np.float32)
        stored: dict[str, Any] = {"transform": transform, "similarity": (np.nan, np.nan)}
        if isdefined(self.inputs.magnitude):
            moving, moving_affine = load_volume(self.inputs.magnitude)
            found = register_scans(reference, fixed_affine=affine, moving=moving, moving_affine=moving_affine)
            transform, stored = found.transform, found.stored
            said = (*found.decisions, *found.warnings)
            decisions += [f"The scan that gave {shown_stored(self.inputs.names)}: {each}" for each in said]
            aligned = resample(
                np.asarray(moving, dtype=np.float32),
                affine=moving_affine,
                target_shape=reference.shape,
                target_affine=affine,
                transform=transform,
                order=1,
            )
        source_affine = maps.pop("affine", None)
        if source_affine is None:
            source_affine = moving_affine
        brought = bring(
            maps, affine=source_affine, target_shape=reference.shape, target_affine=affine, transform=transform
        )
        folder = Path(runtime.cwd)
        np.savez(folder / "maps.npz", **dict[str, Any](brought))
        np.savez(folder / "registration.npz", **stored, anatomical=aligned)
        self._results["maps"] = str(folder / "maps.npz")
        self._results["registration"] = str(folder / "registration.npz")
        self._results["decisions"] = decisions
        return runtime


def _stored(path: str, names: list[str]) -> dict[str, NDArray[Any]]:
    """Return maps of a file by name with their standard deviations, and the affine if the file holds one."""
    with np.load(path) as stored:
        wanted = [*names, *(f"{name}{STDEV}" for name in names), "affine"]
        return {name: stored[name] for name in wanted if name in stored}
