"""The workflows of CEST and MT runs: from raw files to maps, derivatives and the report of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.pipeline.anatomy.workflow import FILE_OUTPUTS, connect_spaces, given_fields, tissue_node
from qmri_bids.pipeline.maps.nodes import BringMaps, files_node
from qmri_bids.pipeline.mask.steps import add_mask_nodes, connect_motion
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.nodes import DescribeRun, WriteDerivatives
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.workflow import add_b1_wf, b1_fields
from qmri_bids.scans.fieldmap.nodes import LoadFieldmap
from qmri_bids.scans.methods import run_by_run
from qmri_bids.scans.saturation import outputs as saturation_report
from qmri_bids.scans.saturation.estimates import EstimateB0, EstimateMtr, EstimateMtsat, EstimateZSpectrum
from qmri_bids.scans.saturation.methods import cest_sentences, mtr_sentences, mtsat_sentences
from qmri_bids.scans.saturation.other_spectra import BringSpectra
from qmri_bids.scans.saturation.outputs import write_cest, write_mtr, write_mtsat
from qmri_bids.scans.saturation.run import CestRun, MtrRun, MtsRun, PowerCorrection
from qmri_bids.scans.saturation.series import Said, SeriesNodes, add_denoising, gather, series_nodes


class SeriesWorkflow:
    """The workflow of a run of one series of magnitudes, but for the node that estimates: a kind of run adds this one.

    Parameters
    ----------
    run
        The run.
    kind
        What its kind writes and shows.
    options
        Steps to leave out, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.
    fields
        Inputs of the workflow that hold maps of other runs.
    settings
        Options of the estimation that files and report name.
    cest
        The run, if its images are saturated at offsets: then motion is told from what saturation does.
    read
        Adds the nodes that read the series to the workflow; by default those of `series_nodes`.
    """

    def __init__(
        self,
        run: Run,
        *,
        kind: RunKind,
        options: ProcessingOptions,
        bids_dir: Path,
        output_dir: Path,
        report_file: Path,
        name: str,
        fields: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        cest: CestRun | None = None,
        read: Callable[[pe.Workflow], SeriesNodes] | None = None,
    ) -> None:
        self.workflow = pe.Workflow(name=name)
        self.inputnode = pe.Node(IdentityInterface(fields=["run", *fields, *given_fields(options)]), name="inputnode")
        self.inputnode.inputs.run = run
        self.outputnode = pe.Node(
            IdentityInterface(fields=["estimate", "magnitude", "mask", "report", *FILE_OUTPUTS]), name="outputnode"
        )
        common = {"run": run, "kind": kind, "settings": settings or {}, "output_dir": str(output_dir)}
        self.write = pe.Node(WriteDerivatives(bids_dir=str(bids_dir), **common), name="write_derivatives")
        self.describe = pe.Node(DescribeRun(report_file=str(report_file), **common), name="describe_run")
        self.registrations: Said = []
        self.registered: list[str] = []
        self.run, self.options, self.bids_dir, self.output_dir = run, options, bids_dir, output_dir
        nodes = (
            series_nodes(self.workflow, paths=run.paths, label=run.label, options=options, cest=cest)
            if read is None
            else read(self.workflow)
        )
        self.load, self.motion, self.series = nodes.load, nodes.motion, nodes.last
        places: dict[str, Any] = {"bids_dir": bids_dir, "output_dir": output_dir}
        masks = add_mask_nodes(self.workflow, run=run, options=options, scanned=(self.load, "series"), **places)
        self.mask = masks.last
        if self.motion is not None:
            connect_motion(self.workflow, self.motion, masks=masks, run=run, **places)
        self.said: Said = nodes.said
        self.warned: Said = [(self.load, "warnings")]
        if self.motion is not None and options.fd_threshold is not None:
            self.warned.append((self.motion, "warnings"))
        self.sentences = nodes.sentences
        if self.motion is not None:
            for node in (self.write, self.describe):
                self.workflow.connect(self.motion, "motion", node, "motions")
            self.workflow.connect(self.load, "series", self.describe, "unaligned")
        self.workflow.connect(self.series, "series", self.mask, "cycles")
        self.said.append((self.mask, "decisions"))
        self.told = self.load  # what knows the noise
        denoise = None
        if cest is not None:
            denoise = add_denoising(self.workflow, options=options, series=self.series, load=self.load, mask=self.mask)
        if denoise is not None:
            self.said.append((denoise, "decisions"))
            self.warned.append((denoise, "warnings"))
            self.sentences = [*self.sentences, "The aligned series was denoised by principal components."]
            self.series = self.told = denoise

    def estimate(self, node: pe.Node) -> None:
        """Connect the node that estimates, and all that follows it."""
        connect = self.workflow.connect
        connect(
            [
                (self.inputnode, node, [("run", "run")]),
                (self.series, node, [("series", "series")]),
                (self.told, node, [("noise", "noise")]),
                (self.mask, node, [("mask", "mask")]),
            ]
        )
        if self.motion is not None:
            connect(self.motion, "motion", node, "motion")
        self.said.append((node, "decisions"))
        tissue = tissue_node(self.workflow, options=self.options, entities=self.run.entities, mask=self.mask)
        connect([(node, tissue, [("estimate", "maps")]), (self.mask, tissue, [("mask", "mask")])])
        self.said.append((tissue, "decisions"))
        for last in (self.write, self.describe):
            connect(
                [
                    (self.series, last, [("series", "series")]),
                    (self.mask, last, [("mask", "mask"), ("magnitude", "magnitude"), ("found", "found")]),
                    (node, last, [("estimate", "estimate")]),
                    (tissue, last, [("tissue", "tissue")]),
                ]
            )
        if self.registrations:
            lasts = (self.write, self.describe)
            for last in lasts:
                last.inputs.registered = self.registered
            to = [(last, "registrations") for last in lasts]
            gather(self.workflow, self.registrations, to=to, name="collect_registrations")
        gather(self.workflow, self.said, to=[(self.describe, "decisions")], name="collect_decisions")
        self.warned.append((node, "warnings"))
        gather(self.workflow, self.warned, to=[(self.describe, "warnings")], name="collect_warnings")
        connect(
            [
                (node, self.outputnode, [("estimate", "estimate")]),
                (self.mask, self.outputnode, [("magnitude", "magnitude"), ("mask", "mask")]),
                (self.describe, self.outputnode, [("report", "report")]),
            ]
        )
        connect_spaces(
            self.workflow,
            options=self.options,
            entities=self.run.entities,
            mask=self.mask,
            estimate=(node, "estimate"),
            write=self.write,
            describe=self.describe,
            bids_dir=self.bids_dir,
            output_dir=self.output_dir,
        )
        self.workflow.__desc__ = " ".join(self.sentences)

    def bring(self, name: str, names: list[str], *, to: pe.Node, field: str) -> pe.Node:
        """Return a node that brings maps of another scan to this grid, connected to the estimating node and the outputs."""
        node = pe.Node(BringMaps(names=names), name=name)
        self.workflow.connect(
            [
                (self.mask, node, [("magnitude", "reference")]),
                (node, to, [("maps", field)]),
            ]
        )
        self.registrations.append((node, "registration"))
        self.registered.append(field)
        self.said.append((node, "decisions"))
        return node


T1_FIELDS = ("t1_maps", "t1_magnitude")
"""Inputs of `init_cest_wf` that hold the T1 of another run."""

B0_FIELDS = ("b0_maps", "b0_magnitude")
"""Inputs of `init_cest_wf` that hold the off-resonance of another run."""


def init_cest_wf(
    *,
    run: CestRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "cest_wf",
) -> pe.Workflow:
    """Process one CEST run: a Z-spectrum, or a map of B0 (WASSR) or of B0 and B1 (WASABI).

    Parameters
    ----------
    run
        The run with its protocol, and where B0 and T1 come from.
    options
        Steps to leave out, offsets and pools, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.

    Inputs
    ------
    run
        The `CestRun`; set from the argument.
    t1_maps, t1_magnitude
        Maps of the run named by `run.t1_run` (npz with `run.t1_map` and its standard deviation) and the image that registers them.
    power1_maps, power1_magnitude, …, b1_maps, b1_magnitude
        Where `run.powers` takes spectra and B1 of other runs: their maps and the images by which they are registered.
    b0_maps, b0_magnitude
        Maps of the run named by `run.b0.run` (npz with `off_resonance`) and the image by which they are registered.
    t1w_preproc, t1w_mask, …
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

    Outputs
    -------
    estimate
        Maps, standard deviations, residual and status (npz).
    magnitude, mask
        Mean of the volumes of full signal, and the brain mask.
    report
        The report of the run.
    files, maps
        Files written, and the images among them by name (`select_map`).
    """
    fields = (T1_FIELDS if run.t1_run else ()) + (B0_FIELDS if run.b0 is not None and run.b0.run else ())
    if run.powers is not None:
        fields += tuple(f"{take.key}_{what}" for take in run.powers.others for what in ("maps", "magnitude"))
        fields += b1_fields(run.powers.b1)
    parts = SeriesWorkflow(
        run,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        fields=fields,
        kind=CEST,
        settings={"asymmetry": list(options.asymmetry), "denoise": options.denoise},
        cest=run,
    )
    if run.use.gives:
        parts.sentences.append("B0 was mapped from the spectrum around water.")
        parts.estimate(pe.Node(EstimateB0(processes=options.processes), name="estimate_b0"))
        return parts.workflow
    estimate = pe.Node(
        EstimateZSpectrum(asymmetry=list(options.asymmetry), processes=options.processes), name="estimate_zspectrum"
    )
    if options.asymmetry_ranges:
        estimate.inputs.ranges = list(options.asymmetry_ranges)
    if options.measures:
        estimate.inputs.measures = list(options.measures)
    if options.pools is not None:
        estimate.inputs.pools = list(options.pools)
    connect = parts.workflow.connect
    if run.b0 is not None and run.b0.run:
        node = parts.bring("bring_b0", ["off_resonance"], to=estimate, field="b0")
        connect(parts.inputnode, "b0_maps", node, "maps")
        connect(parts.inputnode, "b0_magnitude", node, "magnitude")
    elif run.b0 is not None and run.b0.fieldmap is not None:
        load = pe.Node(LoadFieldmap(fieldmap=run.b0.fieldmap), name="load_fieldmap")
        node = parts.bring("bring_b0", ["off_resonance"], to=estimate, field="b0")
        connect(load, "maps", node, "maps")
        if run.b0.fieldmap.magnitude is not None:
            connect(load, "magnitude", node, "magnitude")
        parts.said.append((load, "decisions"))
    if run.t1 is not None and run.t1.values:
        estimate.inputs.t1_value = run.t1.values["t1"]
    elif run.t1 is not None:
        node = parts.bring("bring_t1", [run.t1_map], to=estimate, field="t1")
        if run.t1.run is not None:
            connect(parts.inputnode, "t1_maps", node, "maps")
            connect(parts.inputnode, "t1_magnitude", node, "magnitude")
        else:
            load = files_node(run.t1)
            connect(load, "maps", node, "maps")
            if run.t1.image is not None:
                connect(load, "magnitude", node, "magnitude")
            parts.said.append((load, "decisions"))
        parts.sentences.append("T1 of the same subject was registered to the CEST scan.")
    if run.powers is not None:
        _take_to_nominal_b1(parts, run.powers, estimate=estimate)
    parts.sentences.append("Z-spectra were normalised, corrected for B0 and mapped.")
    parts.estimate(estimate)
    return parts.workflow


def _take_to_nominal_b1(parts: SeriesWorkflow, powers: PowerCorrection, *, estimate: pe.Node) -> None:
    """Bring spectra at other powers and B1 to the grid of a spectrum, and connect them to the node that estimates."""
    connect = parts.workflow.connect
    spectra: Said = []
    for take in powers.others:
        node = pe.Node(BringSpectra(label=take.giver), name=f"bring_{take.key}")
        connect(
            [
                (parts.mask, node, [("magnitude", "reference")]),
                (parts.inputnode, node, [(f"{take.key}_maps", "maps"), (f"{take.key}_magnitude", "magnitude")]),
            ]
        )
        parts.registrations.append((node, "registration"))
        parts.registered.append(take.key)
        parts.said.append((node, "decisions"))
        spectra.append((node, "spectra"))
    gather(parts.workflow, spectra, to=[(estimate, "powers")], name="collect_powers")
    _connect_b1(parts, powers.b1, estimate=estimate)
    parts.sentences.append("Spectra at other powers were registered, and Z taken to its nominal B1.")


def _connect_b1(parts: SeriesWorkflow, b1: B1Run, *, estimate: pe.Node) -> None:
    """Bring a B1 map, and connect it to the node that estimates and to those that write and describe."""
    b1_wf = add_b1_wf(parts.workflow, b1, mask=parts.mask, inputnode=parts.inputnode)
    parts.workflow.connect(b1_wf, "outputnode.b1", estimate, "b1")
    parts.workflow.connect(b1_wf, "outputnode.b1_stdev", estimate, "b1_stdev")
    for node in (parts.write, parts.describe):
        parts.workflow.connect(b1_wf, "outputnode.b1", node, "b1")
    parts.registrations.append((b1_wf, "outputnode.registration"))
    parts.registered.append("b1")
    parts.said.append((b1_wf, "outputnode.decisions"))
    parts.warned.append((b1_wf, "outputnode.warnings"))
    parts.sentences.append(b1_wf.__desc__)


def init_mtr_wf(
    *,
    run: MtrRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "mtr_wf",
) -> pe.Workflow:
    """Map the magnetisation transfer ratio of images with and without an MT pulse.

    Parameters
    ----------
    run, options, bids_dir, output_dir, report_file, name
        As in `init_cest_wf`.

    Outputs
    -------
    estimate, magnitude, mask, report, files, maps
        As in `init_cest_wf`.
    """
    parts = SeriesWorkflow(
        run,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        kind=MTR,
    )
    parts.sentences.append("The magnetisation transfer ratio was mapped.")
    parts.estimate(pe.Node(EstimateMtr(processes=options.processes), name="estimate_mtr"))
    return parts.workflow


def init_mts_wf(
    *,
    run: MtsRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "mts_wf",
) -> pe.Workflow:
    """Map MT saturation of three spoiled gradient echoes, corrected for B1 where there is a map.

    Parameters
    ----------
    run, options, bids_dir, output_dir, report_file, name
        As in `init_cest_wf`.

    Outputs
    -------
    estimate, magnitude, mask, report, files, maps
        As in `init_cest_wf`.
    """
    parts = SeriesWorkflow(
        run,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        fields=b1_fields(run.b1),
        kind=MTSAT,
        settings={"correction": options.mtsat_correction if run.b1 is not None else "none"},
    )
    estimate = pe.Node(
        EstimateMtsat(correction=options.mtsat_correction, processes=options.processes), name="estimate_mtsat"
    )
    if run.b1 is not None:
        _connect_b1(parts, run.b1, estimate=estimate)
    parts.sentences.append("MT saturation was mapped.")
    parts.estimate(estimate)
    return parts.workflow


CEST = RunKind(
    prefix="cest",
    init=init_cest_wf,
    write=write_cest,
    checks=saturation_report.checks,
    figures=saturation_report.cest_figures,
    windows=saturation_report.windows,
    methods=run_by_run(cest_sentences),
)
"""Z-spectra, and maps of B0 and B1 around water."""

MTR = RunKind(
    prefix="mtr",
    init=init_mtr_wf,
    write=write_mtr,
    checks=saturation_report.checks,
    figures=saturation_report.mtr_figures,
    windows=saturation_report.windows,
    methods=run_by_run(mtr_sentences),
)
"""Images with and without an MT pulse."""

MTSAT = RunKind(
    prefix="mts",
    init=init_mts_wf,
    write=write_mtsat,
    checks=saturation_report.mtsat_checks,
    figures=saturation_report.mtsat_figures,
    windows=saturation_report.windows,
    methods=run_by_run(mtsat_sentences),
)
"""Three spoiled gradient echoes."""

MT_KINDS: Mapping[str, RunKind] = {"mtr": MTR, "mts": MTSAT}
"""What is done with each kind of MT run."""


def init_mt_wf(
    *,
    run: MtrRun | MtsRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "mt_wf",
) -> pe.Workflow:
    """Process one MT run: the magnetisation transfer ratio of a pair of images, or MT saturation of three.

    Parameters
    ----------
    run
        The run decides which of `init_mtr_wf` and `init_mts_wf` this is.
    options, bids_dir, output_dir, report_file, name
        As in `init_cest_wf`.

    Inputs
    ------
    run, b1_maps, b1_magnitude, t1w_preproc, …
        As in `init_cest_wf`; B1 for MT saturation with the B1 of a WASABI run.

    Outputs
    -------
    estimate, magnitude, mask, report, files, maps
        As in `init_cest_wf`.
    """
    places = {"bids_dir": bids_dir, "output_dir": output_dir, "report_file": report_file}
    return MT_KINDS[run.kind].init(run=run, options=options, name=name, **places)
