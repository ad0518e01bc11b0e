"""The workflow of a pc-bSSFP run: from raw files to maps, derivatives and the report of the run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from qmri_bids.engine.input_content import ReadsFiles, weights_state
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.anatomy.workflow import FILE_OUTPUTS, connect_spaces, given_fields, gives_tissues
from qmri_bids.pipeline.earlier.applied import cycle_motion_reader
from qmri_bids.pipeline.maps.images import APPARENT, images_node
from qmri_bids.pipeline.maps.nodes import UnwrapOffResonance
from qmri_bids.pipeline.mask.steps import add_mask_nodes, connect_motion
from qmri_bids.pipeline.motion.nodes import CalibrateCycles, CensorCycles, CorrectMotion, RemoveGibbs
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.estimate_file import CONSTANT, JOINT, ONE_POOL, save_estimate
from qmri_bids.pipeline.results.nodes import DescribeRun, WriteDerivatives
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.pipeline.tissues.nodes import SegmentTissues
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.pipeline.voxels import Voxels, network_sentences
from qmri_bids.reports.content import Section
from qmri_bids.scans.b1.workflow import add_b1_wf, b1_fields
from qmri_bids.scans.bssfp import outputs as run_report
from qmri_bids.scans.bssfp.methods import relaxometry_sentences
from qmri_bids.scans.bssfp.outputs import write_derivatives
from qmri_bids.scans.bssfp.pulse import where_stated
from qmri_bids.scans.bssfp.run import PcBssfpRun


class _CyclesOutput(TraitedSpec):
    cycles = File(exists=True, desc="complex phase cycles, 4D")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class _LoadCyclesOutput(_CyclesOutput):
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class _LoadCyclesInput(ReadsFiles):
    files = traits.Any(mandatory=True, desc="PcBssfpFiles: where magnitude and phase lie")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")


class LoadCycles(SimpleInterface):
    """Read the cycles as complex data in the sense of precession of the model."""

    input_spec = _LoadCyclesInput
    output_spec = _LoadCyclesOutput
    needs = NodeMemory(fixed=115e6, per_value=30)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.scans.bssfp.cycles import read_cycles

        read = read_cycles(self.inputs.files, self.inputs.protocol)
        self._results["cycles"] = save_volume(Path(runtime.cwd) / "cycles.nii", read.cycles, read.affine)
        self._results["decisions"] = list(read.decisions)
        self._results["warnings"] = list(read.warnings)
        return runtime


class _EstimateRelaxationInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D, preprocessed")
    mask = File(exists=True, mandatory=True, desc="where to estimate")
    b1 = File(exists=True, desc="actual over nominal flip angle; 1 is assumed where none is given")
    b1_stdev = File(exists=True, desc="its standard deviation, where it is known")
    motion = File(exists=True, desc="result of the motion correction: where every cycle has data")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    weights_folder = traits.Str(desc="folder searched for weights before those of the package")
    weights_state = traits.Dict(desc="what tells one state of that folder from another")
    pulse = traits.Any(desc="ExcitationPulse, where it is known and takes time")
    pulse_source = traits.Str("", usedefault=True, desc="where the pulse is stated")
    posterior = traits.Str(desc="prior under which posterior maps are computed too")
    device = traits.Str("cpu", usedefault=True, desc="where networks compute")
    processes = traits.Int(
        1, usedefault=True, nohash=True, desc="threads of compiled kernels; does not change the result"
    )


class _EstimateRelaxationOutput(TraitedSpec):
    estimate = File(exists=True, desc="values, stdev, residual, status and posterior (npz)")
    model = traits.Dict(desc="what identifies the model behind the estimator")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class EstimateRelaxation(SimpleInterface):
    """Estimate T1, T2, M0 and off-resonance with their uncertainty in every voxel of the mask."""

    input_spec = _EstimateRelaxationInput
    output_spec = _EstimateRelaxationOutput
    needs = NodeMemory(fixed=700e6, per_voxel=760, per_value=40, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        import torch

        from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
        from qmri_bids.estimation.bssfp.convention import increment_reference_warning
        from qmri_bids.estimation.bssfp.misfit import model_misfit
        from qmri_bids.estimation.estimators import ESTIMATORS
        from qmri_bids.preprocessing.content.unexplained import unexplained_sentences, unexplained_signal
        from qmri_bids.scans.bssfp.hard_cycles import cycles_of_hard_pulses

        voxels = Voxels(self.inputs.mask, motions=[self.inputs.motion])
        decisions = voxels.decisions
        b1 = np.ones(int(voxels.inside.sum()), dtype=np.float32)
        if isdefined(self.inputs.b1):
            b1 = voxels.signal(self.inputs.b1)
        b1_stdev = voxels.signal(self.inputs.b1_stdev) if isdefined(self.inputs.b1_stdev) else None
        protocol = self.inputs.protocol
        torch.set_num_threads(1)  # several would add in another order; compiled kernels take theirs voxel by voxel
        folder = Path(self.inputs.weights_folder) if isdefined(self.inputs.weights_folder) else None
        estimator = ESTIMATORS[self.inputs.estimator].create(
            EstimatorOptions(threads=self.inputs.processes, weights_folder=folder, device=self.inputs.device)
        )
        signal = voxels.signal(self.inputs.cycles)
        known = KnownMaps(b1=b1, b1_stdev=b1_stdev, inside=voxels.inside)
        hard = None
        if isdefined(self.inputs.pulse):
            hard = cycles_of_hard_pulses(
                signal,
                b1=b1,
                inside=voxels.inside,
                pulse=self.inputs.pulse,
                source=self.inputs.pulse_source,
                protocol=protocol,
                threads=self.inputs.processes,
            )
            signal = hard.cycles  # for all that follows: residual, misfit and posterior belong to these
        found = estimator.estimate(signal, protocol=protocol, known=known)
        if hard is not None:
            found, withheld = hard.withhold(found)
            decisions += [*hard.sentences, *withheld]
        decisions += [*network_sentences(estimator, folder), *found.decisions]
        misfit = model_misfit(signal, found, b1=b1, protocol=protocol, inside=voxels.inside)
        posterior = None
        if isdefined(self.inputs.posterior):
            from qmri_bids.estimation.bssfp.posterior.maps import posterior_maps

            under_prior = posterior_maps(
                signal if hard is None else hard.told,
                b1=b1,
                protocol=protocol,
                prior=self.inputs.posterior,
                threads=self.inputs.processes,
            )
            posterior = {name: (values, under_prior.stdev[name]) for name, values in under_prior.mean.items()}
            decisions.append(under_prior.sentence())
        beside = {"noise": found.noise, "misfit": found.misfit}
        beside |= {f"{ONE_POOL}{name}": values for name, values in found.one_pool.items()}
        beside |= {} if found.joint is None else {f"{JOINT}{name}": each for name, each in found.joint.arrays().items()}
        extra: dict[str, Any] = {f"{CONSTANT}{name}": value for name, value in found.constants.items()}
        if misfit is not None:
            extra |= {f"misfit_{name}": value for name, value in asdict(misfit).items()}
        path = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={name: (values, found.stdev.get(name)) for name, values in found.values.items()},
            residual=found.residual,
            status={"": found.status},
            posterior=posterior,
            known={"b1": (b1, b1_stdev)},  # who frees T1 of magnetisation transfer must know
            volumes={name: values for name, values in beside.items() if values is not None},
            # What the map of off-resonance is known up to: who takes it must know.
            off_resonance_period=1.0 / protocol.repetition_time,
            **extra,
        )
        checked, doubts = unexplained_sentences(
            unexplained_signal(
                load_volume(self.inputs.cycles)[0],
                mask=load_volume(self.inputs.mask)[0] > 0,
                rf_phase_increment=protocol.rf_phase_increment,
            )
        )
        decisions += checked
        warning = increment_reference_warning(found.values["off_resonance"], protocol=protocol)
        self._results["estimate"] = path
        self._results["model"] = dict(estimator.model)
        self._results["decisions"] = decisions
        self._results["warnings"] = [*estimator.remarks(protocol), *([warning] if warning else []), *doubts]
        return runtime


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
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

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
    if run.pulse is not None:
        estimate.inputs.pulse = run.pulse
        estimate.inputs.pulse_source = where_stated(run.sources)
    settings = {
        "estimator": options.estimator,
        "posterior": options.posterior,
        "synthetic": list(options.synthetic),
    }
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
    if motion is not None:
        workflow.connect(load if gibbs is None else gibbs, "cycles", describe, "unaligned")
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
            ]
        )
        decisions.append(censor)
        sentences.append("Cycles before which the head moved too far were left out.")
        final = censor
    moved = motion if censor is None else censor
    workflow.connect(final, "cycles", mask, "cycles")
    decisions.append(mask)
    drift = None
    if "calibration" not in options.ignore:
        drift = pe.Node(
            CalibrateCycles(seed=options.random_seed, estimator=options.estimator, processes=options.processes),
            name="calibrate_cycles",
        )
        if options.weights_folder is not None:
            drift.inputs.weights_folder = str(options.weights_folder)
        workflow.connect(
            [
                (final, drift, [("cycles", "cycles")]),
                (mask, drift, [("mask", "mask")]),
                (inputnode if censor is None else censor, drift, [("run", "run")]),
                (drift, estimate, [("protocol", "protocol")]),
            ]
        )
        if moved is not None:
            workflow.connect(moved, "motion", drift, "motion")
            moved = drift
        for node in results:
            workflow.connect(drift, "calibration", node, "calibration")
        sentences.append("Gain, phase and frequency of every cycle were found and removed.")
        final = drift
    elif censor is not None:
        workflow.connect(censor, "protocol", estimate, "protocol")
    if moved is not None:
        workflow.connect(moved, "motion", estimate, "motion")
        for node in results:
            workflow.connect(moved, "motion", node, "motions")
    workflow.connect(final, "cycles", estimate, "cycles")
    workflow.connect(mask, "mask", estimate, "mask")

    if run.b1 is not None:
        b1_wf = add_b1_wf(workflow, run.b1, mask=mask, inputnode=inputnode)
        workflow.connect(b1_wf, "outputnode.b1", outputnode, "b1")
        workflow.connect(b1_wf, "outputnode.b1_stdev", estimate, "b1_stdev")
        for node in (estimate, *results):
            workflow.connect(b1_wf, "outputnode.b1", node, "b1")
        for node in results:
            node.inputs.registered = ["b1"]
            workflow.connect(b1_wf, "outputnode.registration", node, "registrations")
        sentences.append(b1_wf.__desc__)
    if run.pulse is not None:
        sentences.append("The duration of the excitation pulses was taken out of the cycles.")
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
    images = images_node(options, relaxation=APPARENT)
    if images is not None:
        workflow.connect(
            [
                (estimate, images, [("estimate", "estimate")]),
                (final, images, [("cycles", "cycles")]),
            ]
        )
        if drift is None and censor is None:
            images.inputs.protocol = run.protocol
        else:
            workflow.connect(drift or censor, "protocol", images, "protocol")
        for node in results:
            workflow.connect(images, "images", node, "images")
        sentences.append("Images of other contrast were computed.")
    decisions += [node for node in (drift, estimate, unwrap, tissue, images) if node is not None]

    for node in results:
        workflow.connect(
            [
                (drift or censor or inputnode, node, [("run", "run")]),
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
    warned = pe.Node(Merge(6), name="collect_warnings", **listed)
    workflow.connect(load, "warnings", warned, "in5")
    if images is not None:
        workflow.connect(images, "warnings", warned, "in6")
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
    windows=run_report.windows,
    methods=relaxometry_sentences,
)
"""Phase-cycled bSSFP."""
