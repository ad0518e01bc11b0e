"""The workflow that frees T1 and M0 of a pc-bSSFP run of magnetisation transfer."""

from __future__ import annotations

from pathlib import Path

from nipype.pipeline import engine as pe

from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.scans.methods import run_by_run
from qmri_bids.scans.saturation.series import SeriesNodes
from qmri_bids.scans.saturation.workflow import SeriesWorkflow
from qmri_bids.scans.transfer import outputs
from qmri_bids.scans.transfer.nodes import POOL_MAPS, FreeOfTransfer, LoadApparent
from qmri_bids.scans.transfer.run import POOLS, RELAXOMETRY, TransferRun
from qmri_bids.sentence import Sentence


def _read(workflow: pe.Workflow) -> SeriesNodes:
    load = pe.Node(LoadApparent(), name="load_image")
    workflow.add_nodes([load])
    return SeriesNodes(load=load, motion=None)


def init_transfer_wf(
    *,
    run: TransferRun,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    report_file: Path,
    name: str = "transfer_wf",
) -> pe.Workflow:
    """Free T1 and M0 of a pc-bSSFP run of magnetisation transfer.

    Parameters
    ----------
    run
        The run, with what it takes.
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
        The `TransferRun`; set from the argument.
    pcbssfp_maps, pcbssfp_magnitude
        Estimate of the pc-bSSFP run (npz), and its mean magnitude.
    pools_maps, pools_magnitude
        Fraction and rate of the semisolid pool (npz), and the image by which they are registered.
    t1w_preproc, t1w_mask, …
        Those of `bids.anatomy.given.GIVEN_FIELDS` that `options.spaces.given` names: the anatomy of another workflow.

    Outputs
    -------
    estimate
        T1 and M0, standard deviations and status (npz).
    magnitude, mask
        Mean magnitude of the pc-bSSFP run, and the mask.
    report
        The report of the run.
    files, maps
        Files written, and the images among them by name (`select_map`).
    """
    parts = SeriesWorkflow(
        run,
        kind=TRANSFER,
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        report_file=report_file,
        name=name,
        fields=tuple(f"{key}_{what}" for key in (RELAXOMETRY, POOLS) for what in ("maps", "magnitude")),
        read=_read,
    )
    parts.sentences = ["Apparent T1 and M0 of phase-cycled bSSFP were taken as they were estimated."]
    estimate = pe.Node(FreeOfTransfer(), name="free_of_transfer")
    bring = parts.bring("bring_pools", list(POOL_MAPS), to=estimate, field=POOLS)
    parts.workflow.connect(
        [
            (parts.inputnode, parts.load, [(f"{RELAXOMETRY}_magnitude", "magnitude")]),
            (parts.inputnode, estimate, [(f"{RELAXOMETRY}_maps", "apparent")]),
            (parts.inputnode, bring, [(f"{POOLS}_maps", "maps"), (f"{POOLS}_magnitude", "magnitude")]),
        ]
    )
    parts.sentences.append("T1 and M0 were freed of magnetization transfer by the semisolid pool of the subject.")
    parts.estimate(estimate)
    return parts.workflow


def _sentences(run: TransferRun, options: ProcessingOptions) -> list[Sentence]:
    held = "that of free water" if run.r1 is None else f"{run.r1:g} 1/s"
    return [
        Sentence(
            paragraph="estimation",
            text="T1 and M0 of {scan}, which magnetization transfer lowers, were freed of it by fraction and exchange rate of the "
            "semisolid pool of {pools}, rigidly registered [avants2011]: by the two-pool steady state of balanced SSFP [gloor2008] "
            "under its pulse ({pulse}), with a {line} line of G(0) = {g} µs and R1 of the semisolid pool {r1}. T1 is given as an "
            "inversion recovery sees it, and of free water; standard deviations hold noise, B1, pools, line, R1 and duration of "
            "the pulse.",
            values={
                "scan": run.scan.giver,
                "pools": run.pools.run or "maps of another program",
                "pulse": run.relaxometry.pulse.name,
                "line": run.line_name,
                "g": f"{1e6 * run.line:.3g}",
                "r1": held,
            },
        )
    ]


TRANSFER = RunKind(
    prefix="transfer",
    init=init_transfer_wf,
    write=outputs.write_transfer,
    checks=outputs.checks,
    figures=outputs.figures,
    methods=run_by_run(_sentences),
)
"""What is done with pc-bSSFP that is freed of magnetisation transfer."""
