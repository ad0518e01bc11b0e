"""The nodes that leave something for a person: derivatives and the report of a CEST or MT run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from qmri_bids.workflows.mask_report import with_mask
from qmri_bids.workflows.report_additions import with_additions
from qmri_bids.workflows.saturation_results import SaturationFiles, SaturationResults

_REQUIRED = ("series", "mask", "magnitude", "estimate")
_OPTIONAL = ("motion", "tissue", "b0_registration", "t1_registration", "b1_registration", "b1")


class _ResultsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="SaturationRun")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    correction = traits.Str(desc="how MT saturation was taken to nominal B1")
    series = File(exists=True, mandatory=True, desc="aligned magnitudes")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    found = traits.Dict(mandatory=True, desc="what the mask holds and what speaks for it")
    magnitude = File(exists=True, mandatory=True, desc="mean of the volumes of full signal")
    estimate = File(exists=True, mandatory=True, desc="maps, standard deviations, residual and status (npz)")
    motion = File(exists=True, desc="result of the motion correction (npz)")
    tissue = traits.Either(File(exists=True), None, desc="labels of tissues")
    b0_registration = File(exists=True, desc="how B0 came to this grid (npz)")
    t1_registration = File(exists=True, desc="how T1 came to this grid (npz)")
    b1_registration = File(exists=True, desc="how B1 came to this grid (npz)")
    b1 = File(exists=True, desc="B1 on this grid")


def _results(inputs: Any) -> SaturationResults:
    files = {name: Path(getattr(inputs, name)) for name in _REQUIRED}
    for name in _OPTIONAL:
        value = getattr(inputs, name)
        if isdefined(value) and value is not None:
            files[name] = Path(value)
    return SaturationResults(SaturationFiles(**files, found=dict(inputs.found)))


class _WriteSaturationInput(_ResultsInput):
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")


class _WriteSaturationOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="files written, sidecars left out")


class WriteSaturation(SimpleInterface):
    """Write maps, uncertainties, masks, transforms and confounds."""

    input_spec = _WriteSaturationInput
    output_spec = _WriteSaturationOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.workflows.saturation_derivatives import write_saturation

        written = write_saturation(
            _results(self.inputs),
            run=self.inputs.run,
            correction=self.inputs.correction if isdefined(self.inputs.correction) else None,
            bids_dir=Path(self.inputs.bids_dir),
            output_dir=Path(self.inputs.output_dir),
        )
        self._results["files"] = [str(path) for path in written]
        return runtime


class _DescribeSaturationInput(_ResultsInput):
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")
    asymmetry = traits.List(traits.Float, desc="offsets of the maps of MTR asymmetry [ppm]")
    outputs = traits.List(traits.Str, mandatory=True, desc="files written")
    additions = File(exists=True, desc="what later nodes add to the report")
    report_file = traits.Str(mandatory=True, nohash=True, desc="where to keep the report of the run")


class _DescribeSaturationOutput(TraitedSpec):
    report = File(exists=True, desc="the report of the run")


class DescribeSaturation(SimpleInterface):
    """Draw the figures and collect what was decided."""

    input_spec = _DescribeSaturationInput
    output_spec = _DescribeSaturationOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.write import atomic_path
        from qmri_bids.workflows.saturation_report import describe_saturation

        report = describe_saturation(
            _results(self.inputs),
            run=self.inputs.run,
            asymmetry=self.inputs.asymmetry if isdefined(self.inputs.asymmetry) else (),
            decisions=self.inputs.decisions,
            warnings=self.inputs.warnings,
            outputs=[Path(each) for each in self.inputs.outputs],
            output_dir=Path(self.inputs.output_dir),
        )
        report = with_mask(with_additions(report, self.inputs.additions), self.inputs.found)
        path = Path(self.inputs.report_file)
        with atomic_path(path) as temporary:
            temporary.write_bytes(pickle.dumps(report))
        self._results["report"] = str(path)
        return runtime
