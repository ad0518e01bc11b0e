"""The nodes that leave something for a person: derivatives and the report of a run."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.mask.report import with_mask
from qmri_bids.pipeline.results.missing import where_missing
from qmri_bids.pipeline.results.report_additions import with_additions
from qmri_bids.pipeline.results.report_parts import protocol_rows, unjudged_measures
from qmri_bids.pipeline.results.run_results import RunFiles, RunResults
from qmri_bids.pipeline.results.run_viewer import run_viewer
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind, Settings
from qmri_bids.reports.content import RunReport
from qmri_bids.reports.tables import precision_check, statistics_rows
from qmri_bids.tissue_labels import NAMES


def describe_run(
    results: RunResults,
    *,
    kind: RunKind,
    run: Run,
    settings: Settings,
    decisions: Sequence[str],
    warnings: Sequence[str],
    outputs: Sequence[Path],
    output_dir: Path,
) -> RunReport:
    """Return the report of a run.

    Parameters
    ----------
    results
        What the nodes left behind.
    kind
        What its kind adds.
    run
        The raw run with its protocol and the source of every value.
    settings
        Options of the estimation that the report names.
    decisions, warnings
        Sentences collected from the steps.
    outputs
        Files written.
    output_dir
        Root of the derivatives.
    """
    estimate = results.estimate
    is_brain = results.kind == BRAIN
    measures = unjudged_measures(
        estimate.values,
        stdev=estimate.stdev,
        residual=estimate.residual,
        mask=results.mask,
        affine=results.affine,
    )
    precision = precision_check(measures)
    return RunReport(
        title=run.title,
        session=run.entities.get("ses", ""),
        entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
        checks=(*([] if precision is None else [precision]), *kind.checks(results, run, settings)),
        protocol=protocol_rows(run.all_sources),
        decisions=(*run.choices, *decisions),
        warnings=(*run.warnings, *warnings),
        figures=tuple(kind.figures(results, run, settings)),
        quality=kind.quality(results),
        statistics=statistics_rows(
            estimate.told, mask=results.mask, labels=results.tissue, label_names=NAMES, pure=results.pure_tissue
        ),
        outputs=tuple(path.relative_to(output_dir).as_posix() for path in outputs),
        measures=tuple(each for each in measures if precision is None or each not in precision.measures),
        field_strength=run.static_field,
        missing_where=where_missing(results.estimate.status, mask=results.mask, affine=results.affine, brain=is_brain),
        viewer=run_viewer(results, windows=kind.windows(run)),
    )


class _ResultsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="the run")
    kind = traits.Any(mandatory=True, nohash=True, desc="RunKind of the run: what is written and shown")
    settings = traits.Dict(
        desc="options of the estimation that files and report name, as the kind of the run takes them"
    )
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    series = InputMultiObject(File(exists=True), mandatory=True, desc="images as estimated, one file a series")
    motions = InputMultiObject(
        File(exists=True), desc="where the head was in the volumes (npz) of the series that moved"
    )
    moved = traits.List(traits.Int, [0], usedefault=True, desc="numbers of these series")
    registrations = InputMultiObject(
        File(exists=True), desc="how series and maps of other scans came to this grid (npz)"
    )
    registered = traits.List(traits.Str, desc="names of these series and maps")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    found = traits.Dict(mandatory=True, desc="what the mask holds and what speaks for it")
    magnitude = File(exists=True, mandatory=True, desc="mean of the cycles, or of the volumes of full signal")
    estimate = File(exists=True, mandatory=True, desc="maps, standard deviations, residual and status (npz)")
    b1 = File(exists=True, desc="B1 on this grid")
    unaligned = File(exists=True, desc="the first series before its motion was corrected")
    calibration = File(exists=True, desc="frequency and gain of every cycle (npz)")
    unwrapped = File(exists=True, desc="continuous off-resonance (npz)")
    tissue = traits.Either(File(exists=True), None, desc="labels of tissues")
    tissue_probabilities = traits.Either(File(exists=True), None, desc="probability of each tissue, 4D")
    images = File(exists=True, desc="images of other contrast and without bands (npz)")


def _results(inputs: Any) -> RunResults:
    def given(name: str) -> Path | None:
        value = getattr(inputs, name)
        return Path(value) if isdefined(value) and value is not None else None

    def paired(names: Any, paths: Any) -> dict[Any, Path]:
        return {name: Path(path) for name, path in zip(names, paths, strict=True)} if isdefined(paths) else {}

    return RunResults(
        RunFiles(
            mask=Path(inputs.mask),
            magnitude=Path(inputs.magnitude),
            estimate=Path(inputs.estimate),
            series=[Path(path) for path in inputs.series],
            motions=paired(inputs.moved, inputs.motions),
            registrations=paired(inputs.registered, inputs.registrations),
            b1=given("b1"),
            calibration=given("calibration"),
            unwrapped=given("unwrapped"),
            tissue=given("tissue"),
            tissue_probabilities=given("tissue_probabilities"),
            images=given("images"),
            unaligned=given("unaligned"),
            found=dict(inputs.found),
        )
    )


class _WriteDerivativesInput(_ResultsInput):
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")
    model = traits.Dict({}, usedefault=True, desc="what identifies the model behind the estimator")


class _WriteDerivativesOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="files written, sidecars left out")


class WriteDerivatives(SimpleInterface):
    """Write maps, uncertainties, masks, transforms and confounds."""

    input_spec = _WriteDerivativesInput
    output_spec = _WriteDerivativesOutput
    needs = NodeMemory(fixed=500e6, per_voxel=300, per_value=24)

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        written = inputs.kind.write(
            _results(inputs),
            run=inputs.run,
            settings=dict(inputs.settings),
            model=dict(inputs.model),
            bids_dir=Path(inputs.bids_dir),
            output_dir=Path(inputs.output_dir),
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
    needs = NodeMemory(fixed=600e6, per_voxel=300, per_value=24)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.write import atomic_path

        inputs = self.inputs
        report = describe_run(
            _results(inputs),
            kind=inputs.kind,
            run=inputs.run,
            settings=dict(inputs.settings),
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
