"""The workflow of a pc-bSSFP run: from raw files to maps, derivatives and the report of the run."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from qmri_bids.engine.input_content import weights_state
from qmri_bids.pipeline.anatomy.workflow import FILE_OUTPUTS, connect_spaces, given_fields, gives_tissues
from qmri_bids.pipeline.earlier.applied import cycle_motion_reader
from qmri_bids.pipeline.maps.nodes import UnwrapOffResonance
from qmri_bids.pipeline.mask.steps import add_mask_nodes, connect_motion
from qmri_bids.pipeline.motion.nodes import CensorCycles, CorrectMotion, RemoveGibbs
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.nodes import DescribeRun, WriteDerivatives
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.pipeline.tissues.nodes import SegmentTissues
from qmri_bids.reports.content import Section
from qmri_bids.scans.b1.workflow import add_b1_wf, b1_fields
from qmri_bids.scans.bssfp import report as run_report
from qmri_bids.scans.bssfp.derivatives import write_derivatives
from qmri_bids.scans.bssfp.nodes import EstimateRelaxation, LoadCycles, RemovePhaseDrift
from qmri_bids.scans.bssfp.run import PcBssfpRun


def init_pcbssfp_wf(
    *,
    run: PcBssfpRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "pcbssfp_wf",
) -> pe.Workflow:
    """Process one pc-bSSFP run.

    Parameters
    ----------
    run
        The run with its protocol and B1 map.
    options
        Estimator, steps to leave out, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.

    Inputs
    ------
    run
        The `PcBssfpRun`; set from the argument.
    b1_maps, b1_magnitude
        Maps of the run named by `run.b1.run` (npz with `b1`) and the image by which they are registered.
    t1w_preproc, t1w_mask, …
        Those of `given_anatomy.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

    Outputs
    -------
    cycles
        Preprocessed complex cycles.
    magnitude, mask
        Mean magnitude and brain mask.
    b1
        B1 on the same grid; undefined where 1 is assumed.
    estimate
        Values, stdev, residual and status (npz).
    report
        The report of the run.
    files, maps
        Files written, and the images among them by name (`select_map`).
    """
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(fields=["run", *b1_fields(run.b1), *given_fields(options)]), name="inputnode")
    inputnode.inputs.run = run
    outputnode = pe.Node(
        IdentityInterface(fields=["cycles", "magnitude", "mask", "b1", "estimate", "report", *FILE_OUTPUTS]),
        name="outputnode",
    )
    load = pe.Node(LoadCycles(files=run.files, protocol=run.protocol), name="load_cycles")
    places = {"bids_dir": bids_dir, "output_dir": output_dir}
    masks = add_mask_nodes(
        workflow, run=run, options=options, scanned=(load, "cycles"), section=Section.CYCLES, **places
    )
    mask = masks.last
    estimate = pe.Node(
        EstimateRelaxation(
            protocol=run.protocol,
            estimator=options.estimator,
            device=options.device,
            processes=options.processes,
        ),
        name="estimate_relaxation",
    )
    if options.weights_folder is not None:
        estimate.inputs.weights_folder = str(options.weights_folder)
        estimate.inputs.weights_state = weights_state(options.weights_folder)
    settings = {"estimator": options.estimator, "posterior": options.posterior}
    write = pe.Node(
        WriteDerivatives(kind=PCBSSFP, settings=settings, bids_dir=str(bids_dir), output_dir=str(output_dir)),
        name="write_derivatives",
    )
    describe = pe.Node(
        DescribeRun(kind=PCBSSFP, settings=settings, output_dir=str(output_dir), report_file=str(report_file)),
        name="describe_run",
    )
    results = (write, describe)
    if options.posterior is not None:
        estimate.inputs.posterior = options.posterior
    decisions = [load]
    sentences = ["The phase cycles were read as complex data."]

    final = load
    gibbs = None
    if "gibbs" not in options.ignore:
        gibbs = pe.Node(
            RemoveGibbs(method=options.gibbs_method, in_slices=run.in_slices, processes=options.processes),
            name="remove_gibbs",
        )
    motion = None
    registered = "Every cycle was registered rigidly to the middle one."
    if "motion" not in options.ignore:
        known = options.earlier_motion(run.label)
        motion = (
            pe.Node(CorrectMotion(protocol=run.protocol, processes=options.processes), name="correct_motion")
            if known is None
            else cycle_motion_reader(known, processes=options.processes)
        )
        if known is not None:
            registered = "Every cycle was brought back by the motion that an earlier call has found."
    for node, sentence in (
        (gibbs, "Gibbs ringing was removed from every cycle."),
        (motion, registered),
    ):
        if node is not None:
            workflow.connect(final, "cycles", node, "cycles")
            decisions.append(node)
            sentences.append(sentence)
            final = node
    if motion is not None:
        connect_motion(workflow, motion, masks=masks, run=run, **places)
    censor = None
    if motion is not None and options.fd_threshold is not None:
        censor = pe.Node(
            CensorCycles(threshold=options.fd_threshold, estimator=options.estimator), name="leave_out_moved_cycles"
        )
        if options.weights_folder is not None:
            censor.inputs.weights_folder = str(options.weights_folder)
        workflow.connect(
            [
                (inputnode, censor, [("run", "run")]),
                (final, censor, [("cycles", "cycles")]),
                (motion, censor, [("motion", "motion")]),
                (censor, estimate, [("protocol", "protocol")]),
            ]
        )
        decisions.append(censor)
        sentences.append("Cycles before which the head moved too far were left out.")
        final = censor
    moved = motion if censor is None else censor
    if moved is not None:
        workflow.connect(moved, "motion", estimate, "motion")
        for node in results:
            workflow.connect(moved, "motion", node, "motions")
    workflow.connect(final, "cycles", mask, "cycles")
    decisions.append(mask)
    drift = None
    if "phase-drift" not in options.ignore:
        drift = pe.Node(RemovePhaseDrift(protocol=run.protocol, seed=options.random_seed), name="remove_phase_drift")
        workflow.connect([(final, drift, [("cycles", "cycles")]), (mask, drift, [("mask", "mask")])])
        if censor is not None:
            workflow.connect(censor, "protocol", drift, "protocol")
        sentences.append("Receive phase that differs between cycles was removed.")
        final = drift
    workflow.connect(final, "cycles", estimate, "cycles")
    workflow.connect(mask, "mask", estimate, "mask")

    if run.b1 is not None:
        b1_wf = add_b1_wf(workflow, run.b1, mask=mask, inputnode=inputnode)
        workflow.connect(b1_wf, "outputnode.b1", outputnode, "b1")
        for node in (estimate, *results, *([drift] if drift is not None else [])):
            workflow.connect(b1_wf, "outputnode.b1", node, "b1")
        for node in results:
            node.inputs.registered = ["b1"]
            workflow.connect(b1_wf, "outputnode.registration", node, "registrations")
        sentences.append(b1_wf.__desc__)
    unwrap = pe.Node(UnwrapOffResonance(), name="unwrap_fieldmap")
    workflow.connect(estimate, "estimate", unwrap, "maps")
    for node in results:
        workflow.connect(unwrap, "maps", node, "unwrapped")
    tissue = pe.Node(SegmentTissues(protocol=run.protocol), name="segment_tissues")
    workflow.connect(
        [(estimate, tissue, [("estimate", "estimate")]), (mask, tissue, [("mask", "mask"), ("kind", "kind")])]
    )
    if gives_tissues(options, entities=run.entities):
        workflow.connect(mask, "tissue", tissue, "given")
    for node in results:
        workflow.connect(tissue, "tissue", node, "tissue")
        workflow.connect(tissue, "probabilities", node, "tissue_probabilities")
    sentences.append("White matter, grey matter and fluid were told apart by T1 and T2.")
    decisions += [node for node in (drift, estimate, unwrap, tissue) if node is not None]

    for node in results:
        workflow.connect(
            [
                (inputnode if censor is None else censor, node, [("run", "run")]),
                (final, node, [("cycles", "series")]),
                (mask, node, [("mask", "mask"), ("magnitude", "magnitude"), ("found", "found")]),
                (estimate, node, [("estimate", "estimate")]),
            ]
        )
    # A list is not worth a job of a cluster.
    listed = {"run_without_submitting": True}
    said = pe.Node(Merge(len(decisions) + (run.b1 is not None)), name="collect_decisions", **listed)
    for number, node in enumerate(decisions, start=1):
        workflow.connect(node, "decisions", said, f"in{number}")
    if run.b1 is not None:
        workflow.connect(b1_wf, "outputnode.decisions", said, f"in{len(decisions) + 1}")
    warned = pe.Node(Merge(4), name="collect_warnings", **listed)
    if censor is not None:
        workflow.connect(censor, "warnings", warned, "in4")
    if run.b1 is not None:
        workflow.connect(b1_wf, "outputnode.warnings", warned, "in3")
    if drift is not None:
        workflow.connect(drift, "warnings", warned, "in2")
    workflow.connect(
        [
            (estimate, write, [("model", "model")]),
            (said, describe, [("out", "decisions")]),
            (estimate, warned, [("warnings", "in1")]),
            (warned, describe, [("out", "warnings")]),
            (final, outputnode, [("cycles", "cycles")]),
            (mask, outputnode, [("mask", "mask"), ("magnitude", "magnitude")]),
            (estimate, outputnode, [("estimate", "estimate")]),
            (describe, outputnode, [("report", "report")]),
        ]
    )
    connect_spaces(
        workflow,
        options=options,
        entities=run.entities,
        mask=mask,
        estimate=(estimate, "estimate"),
        write=write,
        describe=describe,
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    workflow.__desc__ = " ".join(sentences)
    return workflow


PCBSSFP = RunKind(
    prefix="pcbssfp",
    init=init_pcbssfp_wf,
    write=write_derivatives,
    checks=run_report.checks,
    figures=run_report.figures,
)
"""Phase-cycled bSSFP."""
