"""The workflow of a B1 scan or field map that is a run of its own: read, masked, mapped, written and described."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from nipype.pipeline import engine as pe

from qmri_bids.bids.anatomy.spaces import SpaceOptions
from qmri_bids.pipeline.anatomy.workflow import given_fields
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.scans.fields import outputs
from qmri_bids.scans.fields.methods import b0_scans, b1_scans, without_image
from qmri_bids.scans.fields.nodes import EstimateB0Scan, EstimateB1Scan, LoadField
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun, FieldRun
from qmri_bids.scans.saturation.series import SeriesNodes
from qmri_bids.scans.saturation.workflow import SeriesWorkflow


def _read(run: FieldRun, workflow: pe.Workflow) -> SeriesNodes:
    """Add the node that reads the scan; a single image has no motion."""
    load = pe.Node(LoadField(run=run), name="load_field")
    workflow.add_nodes([load])
    return SeriesNodes(load=load, motion=None)


def _parts(
    run: FieldRun,
    *,
    kind: RunKind,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str,
    estimate: pe.Node,
) -> pe.Workflow:
    own = options
    if run.image is None:
        own = without_image(options)
        if options.spaces.given is not None or options.spaces.serves(run.entities.get("ses")):
            sentence = (
                f"{run.label} HAS NO IMAGE by which it could be registered to the anatomy: its map is not put into other spaces, "
                "and masks, tissues and atlas of other scans are not brought to it."
            )
            run = replace(run, warnings=(*run.warnings, sentence))
            own = replace(own, spaces=SpaceOptions())
    parts = SeriesWorkflow(
        run,
        kind=kind,
        options=own,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        fields=() if own.spaces.given is not None else given_fields(options),
        read=partial(_read, run),
    )
    parts.sentences = ["The scan was read on its own grid."]
    parts.workflow.connect(parts.load, "maps", estimate, "maps")
    parts.sentences.append("The field was mapped.")
    parts.estimate(estimate)
    return parts.workflow


def init_b1_scan_wf(
    *,
    run: B1ScanRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "b1_scan_wf",
) -> pe.Workflow:
    """Map the B1 of a scan that no run takes, smooth and on its own grid.

    Parameters
    ----------
    run
        The scan.
    options
        How the brain is found, spaces.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.

    Inputs
    ------
    run
        The `B1ScanRun`; set from the argument.
    t1w_preproc, t1w_mask, …
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

    Outputs
    -------
    estimate
        The map, its standard deviation, residual and status (npz).
    magnitude, mask
        Image of the scan, and the mask.
    report
        The report of the run.
    files, maps
        Files written, and the images among them by name (`select_map`).
    """
    return _parts(
        run,
        kind=B1_SCAN,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        estimate=pe.Node(EstimateB1Scan(), name="estimate_b1"),
    )


def init_b0_scan_wf(
    *,
    run: B0ScanRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "b0_scan_wf",
) -> pe.Workflow:
    """Map the off-resonance of a field map in a session without any other run.

    Parameters
    ----------
    run
        The field map.
    options, bids_dir, output_dir, report_file, name
        As in `init_b1_scan_wf`.

    Inputs
    ------
    run, t1w_preproc, …
        As in `init_b1_scan_wf`.

    Outputs
    -------
    estimate, magnitude, mask, report, files, maps
        As in `init_b1_scan_wf`.
    """
    return _parts(
        run,
        kind=B0_SCAN,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        estimate=pe.Node(EstimateB0Scan(), name="estimate_off_resonance"),
    )


B1_SCAN = RunKind(
    prefix="b1",
    init=init_b1_scan_wf,
    write=outputs.write_b1_scan,
    checks=outputs.b1_checks,
    figures=outputs.b1_figures,
    methods=b1_scans,
)
"""B1 scans that no run takes."""

B0_SCAN = RunKind(
    prefix="b0",
    init=init_b0_scan_wf,
    write=outputs.write_b0_scan,
    checks=outputs.b0_checks,
    figures=outputs.b0_figures,
    methods=b0_scans,
)
"""Field maps of sessions without any other run."""
