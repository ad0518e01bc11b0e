"""The nodes that leave something for a person: derivatives and the report of a fingerprint."""

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

from qmri_bids.workflows.exchange_results import ExchangeFiles, ExchangeResults
from qmri_bids.workflows.mask_report import with_mask
from qmri_bids.workflows.report_additions import with_additions


class _ResultsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="ExchangeRun")
    posterior = traits.Str(desc="prior of the posterior maps")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    series = traits.List(File(exists=True), mandatory=True, desc="magnitudes of every stage on one grid")
    motions = traits.List(File(exists=True), desc="where the head was in the volumes (npz) of the stages that moved")
    moved = traits.List(traits.Int, desc="numbers of these stages")
    registrations = traits.List(File(exists=True), desc="how stages and known maps came to this grid (npz)")
    registered = traits.List(traits.Str, desc="names of these stages and maps")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    found = traits.Dict(mandatory=True, desc="what the mask holds and what speaks for it")
    magnitude = File(exists=True, mandatory=True, desc="mean of the volumes of full signal of the first stage")
    estimate = File(exists=True, mandatory=True, desc="maps, standard deviations, residual and status (npz)")
    tissue = traits.Either(File(exists=True), None, desc="labels of tissues")


def _results(inputs: Any) -> ExchangeResults:
    def paired(names: Any, paths: Any) -> dict[Any, Path]:
        return {name: Path(path) for name, path in zip(names, paths, strict=True)} if isdefined(paths) else {}

    return ExchangeResults(
        ExchangeFiles(
            series=[Path(path) for path in inputs.series],
            motions=paired(inputs.moved, inputs.motions),
            registrations=paired(inputs.registered, inputs.registrations),
            mask=Path(inputs.mask),
            magnitude=Path(inputs.magnitude),
            estimate=Path(inputs.estimate),
            tissue=Path(inputs.tissue) if isdefined(inputs.tissue) and inputs.tissue is not None else None,
            found=dict(inputs.found),
        ),
        scan=inputs.run.scan,
    )


class _WriteExchangeInput(_ResultsInput):
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    model = traits.Dict(mandatory=True, desc="what identifies the model behind the estimator")
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")


class _WriteExchangeOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="files written, sidecars left out")


class WriteExchange(SimpleInterface):
    """Write maps, uncertainties, masks, transforms and confounds."""

    input_spec = _WriteExchangeInput
    output_spec = _WriteExchangeOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.workflows.exchange_derivatives import write_exchange

        inputs = self.inputs
        written = write_exchange(
            _results(inputs),
            run=inputs.run,
            estimator=inputs.estimator,
            model=inputs.model,
            posterior=inputs.posterior if isdefined(inputs.posterior) else None,
            bids_dir=Path(inputs.bids_dir),
            output_dir=Path(inputs.output_dir),
        )
        self._results["files"] = [str(path) for path in written]
        return runtime


class _DescribeExchangeInput(_ResultsInput):
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")
    outputs = traits.List(traits.Str, mandatory=True, desc="files written")
    additions = File(exists=True, desc="what later nodes add to the report")
    report_file = traits.Str(mandatory=True, nohash=True, desc="where to keep the report of the run")


class _DescribeExchangeOutput(TraitedSpec):
    report = File(exists=True, desc="the report of the run")


class DescribeExchange(SimpleInterface):
    """Draw the figures and collect what was decided."""

    input_spec = _DescribeExchangeInput
    output_spec = _DescribeExchangeOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.write import atomic_path
        from qmri_bids.workflows.exchange_report import describe_exchange

        inputs = self.inputs
        report = describe_exchange(
            _results(inputs),
            run=inputs.run,
            posterior=inputs.posterior if isdefined(inputs.posterior) else None,
            decisions=inputs.decisions,
            warnings=inputs.warnings,
            outputs=[Path(each) for each in inputs.outputs],
            output_dir=Path(inputs.output_dir),
        )
        report = with_mask(with_additions(report, inputs.additions), inputs.found)
        path = Path(inputs.report_file)
        with atomic_path(path) as temporary:
            temporary.write_bytes(pickle.dumps(report))
        self._results["report"] = str(path)
        return runtime
