"""The workflow of a fingerprint: from raw files and known maps to pool fractions and exchange rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.engine.input_content import weights_state
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, estimator_for
from qmri_bids.pipeline.anatomy.workflow import FILE_OUTPUTS, connect_spaces, given_fields, tissue_node
from qmri_bids.pipeline.maps.known import shown
from qmri_bids.pipeline.maps.nodes import BringMaps, UnwrapOffResonance, files_node
from qmri_bids.pipeline.mask.steps import add_mask_nodes, connect_motion
from qmri_bids.pipeline.motion.series_nodes import BringSeries
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.nodes import DescribeRun, WriteDerivatives
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.spaces.regions import SeriesOfRun
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.b1.workflow import add_b1_wf
from qmri_bids.scans.fieldmap.nodes import LoadFieldmap
from qmri_bids.scans.methods import run_by_run
from qmri_bids.scans.pools import outputs as exchange_report
from qmri_bids.scans.pools.estimates import EstimateExchange
from qmri_bids.scans.pools.methods import fingerprint_sentences
from qmri_bids.scans.pools.outputs import write_exchange
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.saturation.series import Said, add_denoising, gather, series_nodes


class _Parts:
    """The nodes of a fingerprint, and what has been collected from them so far."""

    def __init__(
        self,
        run: ExchangeRun,
        *,
        options: ProcessingOptions,
        bids_dir: Path,
        output_dir: Path,
        report_file: Path,
        name: str,
    ) -> None:
        self.run, self.options = run, options
        self.workflow = pe.Workflow(name=name)
        wanted = [f"{source.key}_{what}" for source in run.known if source.run for what in ("maps", "magnitude")]
        self.inputnode = pe.Node(IdentityInterface(fields=["run", *wanted, *given_fields(options)]), name="inputnode")
        self.inputnode.inputs.run = run
        self.workflow.add_nodes([self.inputnode])  # where no known map comes from another run, nothing else adds it
        self.outputnode = pe.Node(
            IdentityInterface(fields=["estimate", "magnitude", "mask", "report", *FILE_OUTPUTS]), name="outputnode"
        )
        self.bids_dir, self.output_dir = bids_dir, output_dir
        estimator, remarks = estimator_for(options.exchange_estimator, pools=run.scan.pools, fitted=run.scan.fitted)
        self.estimate = pe.Node(
            EstimateExchange(
                scan=run.scan,
                estimator=estimator,
                chosen=list(remarks),
                device=options.device,
                seed=options.random_seed,
                processes=options.processes,
            ),
            name="estimate_exchange",
        )
        if options.exchange_weights is not None:
            self.estimate.inputs.weights_folder = str(options.exchange_weights)
            if not EXCHANGE_ESTIMATORS[estimator].learns:  # what it learns itself changes the folder
                self.estimate.inputs.weights_state = weights_state(options.exchange_weights)
        if run.protons:
            self.estimate.inputs.protons = dict(run.protons)
        if run.relaxometry is not None:
            self.estimate.inputs.relaxometry = run.relaxometry
        settings = {"estimator": estimator, "posterior": options.exchange_posterior}
        common = {"run": run, "kind": EXCHANGE, "settings": settings, "output_dir": str(output_dir)}
        self.write = pe.Node(WriteDerivatives(bids_dir=str(bids_dir), **common), name="write_derivatives")
        self.describe = pe.Node(DescribeRun(report_file=str(report_file), **common), name="describe_run")
        if options.exchange_posterior is not None:
            self.estimate.inputs.posterior = options.exchange_posterior
        self.said: Said = []
        self.warned: Said = []
        self.sentences: list[str] = []
        self.mask: pe.Node  # of the first stage, which is always there
        self.fixed: dict[str, float] = {}
        self.series: Said = []
        self.motions: Said = []
        self.known: Said = []
        self.registrations: Said = []
        self.noise: Said = []
        self.moved: list[int] = []
        self.registered: list[str] = []

    @property
    def last(self) -> tuple[pe.Node, pe.Node]:
        """The nodes that leave something for a person."""
        return self.write, self.describe

    def stage(self, number: int) -> None:
        """Add a series: read, aligned, and brought to the first."""
        run = self.run.stages[number]
        nodes = series_nodes(
            self.workflow,
            paths=run.paths,
            label=run.label,
            options=self.options,
            cest=run,
            taper="gibbs" not in self.options.ignore,
            suffix="" if number == 0 else f"_{number + 1}",
            # An image of a train that is left out has still acted on those after it.
            droppable=False,
        )
        self.said += nodes.said
        self.warned.append((nodes.load, "warnings"))
        series, motion = nodes.last, nodes.motion
        if number == 0:
            places: dict[str, Any] = {"bids_dir": self.bids_dir, "output_dir": self.output_dir}
            masks = add_mask_nodes(
                self.workflow, run=self.run, options=self.options, scanned=(nodes.load, "series"), **places
            )
            self.mask = masks.last
            if motion is not None:
                connect_motion(self.workflow, motion, masks=masks, run=run, **places)
            self.workflow.connect(series, "series", self.mask, "cycles")
            self.said.append((self.mask, "decisions"))
            self.sentences += nodes.sentences
        else:
            bring = pe.Node(
                BringSeries(label=run.label, processes=self.options.processes), name=f"bring_series_{number + 1}"
            )
            self.workflow.connect(
                [
                    (nodes.load, bring, [("series", "series"), ("reference_volumes", "volumes")]),
                    (series, bring, [("series", "aligned")]),
                    (self.mask, bring, [("magnitude", "reference")]),
                ]
            )
            if motion is not None:
                self.workflow.connect(motion, "motion", bring, "motion")
            self.said.append((bring, "decisions"))
            self.sentences.append("A further series was registered to the first and interpolated once.")
            self.registrations.append((bring, "registration"))
            self.registered.append(run.label)
            series = motion = bring
        told = nodes.load  # what knows the noise
        denoise = add_denoising(
            self.workflow,
            options=self.options,
            series=series,
            load=nodes.load,
            mask=self.mask,
            suffix="" if number == 0 else f"_{number + 1}",
        )
        if denoise is not None:
            self.said.append((denoise, "decisions"))
            self.warned.append((denoise, "warnings"))
            self.sentences.append("The aligned series was denoised by principal components.")
            series = told = denoise
        self.series.append((series, "series"))
        self.noise.append((told, "noise_before"))
        if motion is not None:
            self.motions.append((motion, "motion"))
            self.moved.append(number)
            if number == 0:
                self.workflow.connect(nodes.load, "series", self.describe, "unaligned")

    def bring(self, source: Take) -> pe.Node:
        """Return a node that brings the maps of a source to this grid, its inputs not yet connected."""
        node = pe.Node(
            BringMaps(names=[KNOWN_QUANTITIES[name].name for name in source.names]), name=f"bring_{source.key}"
        )
        self.workflow.connect(self.mask, "magnitude", node, "reference")
        self.said.append((node, "decisions"))
        self.known.append((node, "maps"))
        self.registrations.append((node, "registration"))
        self.registered.append(source.key)
        self.sentences.append(f"{shown(source.names)} of another scan were registered to the first series.")
        return node

    def finish(self) -> pe.Workflow:
        """Connect the node that estimates and all that follows it."""
        connect = self.workflow.connect
        lists = {
            "series": (self.series, (self.estimate, *self.last)),
            "motions": (self.motions, (self.estimate, *self.last)),
            "known": (self.known, (self.estimate,)),
            "noise": (self.noise, (self.estimate,)),
            "registrations": (self.registrations, self.last),
        }
        for field, (sources, nodes) in lists.items():
            if sources:
                gather(self.workflow, sources, to=[(node, field) for node in nodes], name=f"collect_{field}")
        if self.fixed:
            self.estimate.inputs.fixed = self.fixed
        tissue = tissue_node(self.workflow, options=self.options, entities=self.run.entities, mask=self.mask)
        connect(
            [
                (self.mask, self.estimate, [("mask", "mask")]),
                (self.estimate, tissue, [("estimate", "maps")]),
                (self.mask, tissue, [("mask", "mask")]),
            ]
        )
        self.said += [(self.estimate, "decisions"), (tissue, "decisions")]
        for node in self.last:
            node.inputs.moved = self.moved
            node.inputs.registered = self.registered
            connect(
                [
                    (self.mask, node, [("mask", "mask"), ("magnitude", "magnitude"), ("found", "found")]),
                    (self.estimate, node, [("estimate", "estimate")]),
                    (tissue, node, [("tissue", "tissue")]),
                ]
            )
        gather(self.workflow, self.said, to=[(self.describe, "decisions")], name="collect_decisions")
        self.warned.append((self.estimate, "warnings"))
        gather(self.workflow, self.warned, to=[(self.describe, "warnings")], name="collect_warnings")
        connect(
            [
                (self.estimate, self.write, [("model", "model")]),
                (self.estimate, self.outputnode, [("estimate", "estimate")]),
                (self.mask, self.outputnode, [("magnitude", "magnitude"), ("mask", "mask")]),
                (self.describe, self.outputnode, [("report", "report")]),
            ]
        )
        self.sentences.append("Pool fractions and exchange rates were estimated.")
        connect_spaces(
            self.workflow,
            options=self.options,
            entities=self.run.entities,
            mask=self.mask,
            estimate=(self.estimate, "estimate"),
            write=self.write,
            describe=self.describe,
            bids_dir=self.bids_dir,
            output_dir=self.output_dir,
            series=SeriesOfRun(
                names=tuple(stage.label for stage in self.run.stages),
                scan=self.run.scan,
                estimator=self.options.exchange_estimator,
            ),
        )
        self.workflow.__desc__ = " ".join(self.sentences)
        return self.workflow


def _from_run(parts: _Parts, source: Take) -> None:
    """Take maps of another run of the call."""
    node = parts.bring(source)
    parts.workflow.connect(parts.inputnode, f"{source.key}_magnitude", node, "magnitude")
    parts.workflow.connect(parts.inputnode, f"{source.key}_maps", node, "maps")


def _from_relaxometry(parts: _Parts, source: Take) -> None:
    """Take maps of a pc-bSSFP run; across the wraps of its off-resonance nothing may be interpolated."""
    if "off_resonance" not in source.names:
        _from_run(parts, source)
        return
    unwrap = pe.Node(UnwrapOffResonance(), name="unwrap_off_resonance")
    parts.said.append((unwrap, "decisions"))
    node = parts.bring(source)
    parts.workflow.connect(
        [
            (parts.inputnode, unwrap, [(f"{source.key}_maps", "maps")]),
            (parts.inputnode, node, [(f"{source.key}_magnitude", "magnitude")]),
            (unwrap, node, [("maps", "maps")]),
        ]
    )


def _from_files(parts: _Parts, source: Take) -> None:
    """Read maps in files."""
    load = files_node(source)
    parts.said.append((load, "decisions"))
    node = parts.bring(source)
    parts.workflow.connect(load, "maps", node, "maps")
    if source.image is not None:
        parts.workflow.connect(load, "magnitude", node, "magnitude")


def _from_fieldmap(parts: _Parts, source: Take) -> None:
    """Read a field map, or compute it from phases."""
    if source.fieldmap is None:
        _from_files(parts, source)
        return
    load = pe.Node(LoadFieldmap(fieldmap=source.fieldmap), name=f"load_{source.key}")
    parts.said.append((load, "decisions"))
    node = parts.bring(source)
    parts.workflow.connect(load, "maps", node, "maps")
    if source.image is not None:
        parts.workflow.connect(load, "magnitude", node, "magnitude")


def _from_b1_scan(parts: _Parts, source: Take) -> None:
    """Scale and bring the map of a B1 scan."""
    if source.b1_run is None:
        raise ValueError(f"{source.key}: expected a B1 scan, found none")
    b1_wf = add_b1_wf(parts.workflow, source.b1_run, mask=parts.mask)
    parts.workflow.connect(b1_wf, "outputnode.b1", parts.estimate, "b1")
    parts.workflow.connect(b1_wf, "outputnode.b1_stdev", parts.estimate, "b1_stdev")
    parts.warned.append((b1_wf, "outputnode.warnings"))
    parts.said.append((b1_wf, "outputnode.decisions"))
    parts.registrations.append((b1_wf, "outputnode.registration"))
    parts.registered.append(source.key)
    parts.sentences.append(b1_wf.__desc__)


def _fixed(parts: _Parts, source: Take) -> None:
    """Take numbers for every voxel."""
    parts.fixed |= source.values


KNOWN_WAYS: Mapping[str, Callable[[_Parts, Take], None]] = {
    "pcbssfp": _from_relaxometry,
    "wasabi": _from_run,
    "wassr": _from_run,
    "fieldmap": _from_fieldmap,
    "maps": _from_files,
    "b1": _from_b1_scan,
    "fixed": _fixed,
}
"""How known maps come to the grid of the run, by `Take.method`."""


def init_exchange_wf(
    *,
    run: ExchangeRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "exchange_wf",
) -> pe.Workflow:
    """Estimate pool fractions and exchange rates from one or two fingerprints.

    Parameters
    ----------
    run
        The stages with their protocols, the pools, and where T1, T2, B1 and off-resonance come from.
    options
        Estimator, posterior, steps to leave out, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    report_file
        Where the report of the run is kept for the report of the participant.
    name
        Name of the workflow.

    Inputs
    ------
    run
        The `ExchangeRun`; set from the argument.
    <key>_maps, <key>_magnitude
        Of every source of `run.known` that is another run: its maps (npz) and the image by which they are registered; `key` is
        `Take.key`.
    t1w_preproc, t1w_mask, …
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

    Outputs
    -------
    estimate
        Maps, standard deviations, residual, status by pool, and known maps as used (npz).
    magnitude, mask
        Mean of the volumes of full signal of the first stage, and the brain mask.
    report
        The report of the run.
    files, maps
        Files written, and the images among them by name (`select_map`).
    """
    parts = _Parts(run, options=options, bids_dir=bids_dir, output_dir=output_dir, report_file=report_file, name=name)
    for number in range(len(run.stages)):
        parts.stage(number)
    for source in run.known:
        KNOWN_WAYS[source.method](parts, source)
    return parts.finish()


EXCHANGE = RunKind(
    prefix="exchange",
    init=init_exchange_wf,
    write=write_exchange,
    checks=exchange_report.checks,
    figures=exchange_report.figures,
    methods=run_by_run(fingerprint_sentences),
    quality=exchange_report.quality,
    windows=exchange_report.windows,
)
"""Fingerprints from which pool fractions and exchange rates are estimated."""
