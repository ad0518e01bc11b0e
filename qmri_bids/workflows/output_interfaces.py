"""The nodes that leave something for a person: derivatives and the report of a run."""

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
from qmri_bids.workflows.results import RunFiles, RunResults


class _ResultsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="PcBssfpRun")
    posterior = traits.Str(desc="prior of the posterior maps")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    cycles = File(exists=True, mandatory=True, desc="preprocessed complex cycles")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    found = traits.Dict(mandatory=True, desc="what the mask holds and what speaks for it")
    magnitude = File(exists=True, mandatory=True, desc="mean magnitude")
    estimate = File(exists=True, mandatory=True, desc="values, stdev, residual and status (npz)")
    motion = File(exists=True, desc="result of the motion correction (npz)")
    unwrapped = File(exists=True, desc="continuous off-resonance (npz)")
    b1 = File(exists=True, desc="B1 on this grid")
    b1_registration = File(exists=True, desc="how B1 came to this grid (npz)")
    tissue = traits.Either(File(exists=True), None, desc="labels of tissues")
    tissue_probabilities = traits.Either(File(exists=True), None, desc="probability of each tissue, 4D")


def _results(inputs: Any) -> RunResults:
    def given(name: str) -> Path | None:
        value = getattr(inputs, name)
        return Path(value) if isdefined(value) and value is not None else None

    return RunResults(
        RunFiles(
            cycles=Path(inputs.cycles),
            mask=Path(inputs.mask),
            magnitude=Path(inputs.magnitude),
            estimate=Path(inputs.estimate),
            motion=given("motion"),
            unwrapped=given("unwrapped"),
            b1=given("b1"),
            b1_registration=given("b1_registration"),
            tissue=given("tissue"),
            tissue_probabilities=given("tissue_probabilities"),
            found=dict(inputs.found),
        )
    )


class _WriteDerivativesInput(_ResultsInput):
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")
    model = traits.Dict(mandatory=True, desc="what identifies the model behind the estimator")


class _WriteDerivativesOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="files written, sidecars left out")


class WriteDerivatives(SimpleInterface):
    """Write maps, uncertainties, masks, transforms and confounds."""

    input_spec = _WriteDerivativesInput
    output_spec = _WriteDerivativesOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.workflows.derivatives import write_derivatives

        written = write_derivatives(
            _results(self.inputs),
            run=self.inputs.run,
            estimator=self.inputs.estimator,
            posterior=self.inputs.posterior if isdefined(self.inputs.posterior) else None,
            model=self.inputs.model,
            bids_dir=Path(self.inputs.bids_dir),
            output_dir=Path(self.inputs.output_dir),
        )
        self._results["files"] = [str(path) for path in written]
        return runtime


class _DescribeRunInput(_ResultsInput):
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")
    outputs = traits.List(traits.Str, mandatory=True, desc="files written")
    additions = File(exists=True, desc="what later nodes add to the report")
    report_file = traits.Str(mandatory=True, nohash=True, desc="where to keep the report of the run")


class _DescribeRunOutput(TraitedSpec):
    report = File(exists=True, desc="the report of the run, for `load_run_report`")


class DescribeRun(SimpleInterface):
    """Draw the figures and collect what was decided."""

    input_spec = _DescribeRunInput
    output_spec = _DescribeRunOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.write import atomic_path
        from qmri_bids.workflows.run_report import describe_run

        report = describe_run(
            _results(self.inputs),
            run=self.inputs.run,
            posterior=self.inputs.posterior if isdefined(self.inputs.posterior) else None,
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
