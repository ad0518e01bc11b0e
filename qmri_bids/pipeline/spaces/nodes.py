"""The node that puts the maps of a run into other spaces and an atlas into the run, and says how well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from numpy.typing import NDArray

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.maps.select import maps_by_name
from qmri_bids.pipeline.volumes import load_volume

FASTEST = 1.8
"""Relaxation rate over the median of the brain above which a voxel is no brain."""


class _PutInSpacesInput(ReadsFiles):
    files = InputMultiObject(File(exists=True), mandatory=True, desc="files written of the run, on its own grid")
    magnitude = File(exists=True, mandatory=True, desc="image of the run with its scalp")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    kind = traits.Str(BRAIN, usedefault=True, desc="what the mask holds: brain, object or all")
    estimate = File(exists=True, mandatory=True, desc="maps (npz), for their T1 contrast")
    registration = File(exists=True, desc="where the run lies in the T1w image (npz); none without an anatomy")
    entities = traits.Dict(mandatory=True, desc="entities of the raw run")
    spaces = traits.List(traits.Str, desc="spaces besides that of the run")
    atlas = traits.Any(desc="Atlas; none for none")
    anatomy = traits.Any(desc="Anatomy of the session; none for none")
    anatomy_files = InputMultiObject(File(exists=True), desc="its files, so that changed ones are noticed")
    use_masks = traits.Bool(
        True, usedefault=True, desc="whether mask and tissues of the anatomy were taken for the run"
    )
    cache = traits.Str("", usedefault=True, nohash=True, desc="folder that keeps transforms to the template")
    bids_dir = traits.Str(mandatory=True, desc="root of the raw dataset")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")


class _PutInSpacesOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="all files of the run, those in other spaces last")
    maps = traits.Dict(traits.Str, traits.Str, desc="images among them by what they show, as in `select_map`")
    additions = File(exists=True, desc="checks, figures and sentences for the report")


class PutInSpaces(SimpleInterface):
    """Write maps in other spaces, transforms, and the statistics of an atlas."""

    input_spec = _PutInSpacesInput
    output_spec = _PutInSpacesOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.pipeline.results.report_additions import save_additions
        from qmri_bids.pipeline.spaces.scan import Scan
        from qmri_bids.pipeline.spaces.steps import put_in_spaces

        inputs = self.inputs

        def given(name: str) -> Any:
            value = getattr(inputs, name)
            return value if isdefined(value) else None

        magnitude, affine = load_volume(inputs.magnitude)
        done = put_in_spaces(
            files=[Path(path) for path in inputs.files],
            scan=Scan(
                entities=inputs.entities,
                magnitude=np.asarray(magnitude, dtype=np.float32),
                mask=load_volume(inputs.mask)[0] > 0,
                affine=affine,
                contrast=_contrast(inputs.estimate),
                holds_brain=inputs.kind == BRAIN,
            ),
            registration=given("registration"),
            spaces=tuple(inputs.spaces) if isdefined(inputs.spaces) else (),
            atlas=given("atlas"),
            anatomy=given("anatomy"),
            use_masks=inputs.use_masks,
            cache=Path(inputs.cache or runtime.cwd),
            bids_dir=Path(inputs.bids_dir),
            output_dir=Path(inputs.output_dir),
        )
        self._results["files"] = [*inputs.files, *(str(path) for path in done.files)]
        self._results["maps"] = maps_by_name(self._results["files"], entities=inputs.entities)
        self._results["additions"] = save_additions(Path(runtime.cwd) / "additions.pickle", done.additions)
        return runtime


def _contrast(path: str) -> NDArray[np.float32] | None:
    """Return an image in which white matter is bright and fluid dark: 1/T1, where there is a map of T1 or R1."""
    with np.load(path) as stored:
        for name, power in (("T1", -1.0), ("R1", 1.0)):
            if name in stored and stored[name].ndim == 3 and np.isfinite(stored[name]).sum() > 1000:
                with np.errstate(all="ignore"):
                    values = np.asarray(stored[name], dtype=np.float32) ** np.float32(power)
                valid = np.isfinite(values) & (values > 0.0)
                if np.ptp(values[valid]) > 0.0:
                    # White matter is at 1.4 times the median; what relaxes far faster is bone, fat or a failed voxel.
                    return np.where(valid & (values < FASTEST * np.median(values[valid])), values, 0.0)
    return None
