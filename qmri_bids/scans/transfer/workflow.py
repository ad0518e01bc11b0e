"""The workflow that frees T1 and M0 of a pc-bSSFP run of magnetisation transfer."""

from __future__ import annotations

from pathlib import Path

from nipype.pipeline import engine as pe

from qmri_bids.estimation.one_model.given_pools import RATE, RATE_STDEV
from qmri_bids.estimation.one_model.two_runs import WIDTH
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.pipeline.maps.image_outputs import image_sentences
from qmri_bids.pipeline.maps.images import FREED, images_node
from qmri_bids.pipeline.maps.nodes import LoadMaps
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.methods import run_by_run
from qmri_bids.scans.pools.map_files import named_by
from qmri_bids.scans.saturation.series import SeriesNodes
from qmri_bids.scans.saturation.workflow import SeriesWorkflow
from qmri_bids.scans.transfer import outputs
from qmri_bids.scans.transfer.nodes import POOL_MAPS, FreeOfTransfer, LoadApparent, ReadPools
from qmri_bids.scans.transfer.pair_nodes import OTHER, OTHER_MAPS, WIDTH_IN_VOXELS, PoolsOfTwoRuns, TakeLogs
from qmri_bids.scans.transfer.run import POOLS, RELAXOMETRY, StoredPool, TransferRun
from qmri_bids.sentence import Sentence
from qmri_bids.units import metres_to_millimetres, radians_to_degrees


def _read(workflow: pe.Workflow) -> SeriesNodes:
    load = pe.Node(LoadApparent(), name="load_image")
    workflow.add_nodes([load])
    return SeriesNodes(load=load, motion=None)


def _pools_of_files(source: Take, stored: StoredPool) -> tuple[pe.Node, pe.Node]:
    """Return the nodes that read maps of the semisolid pool, and that make fraction and rate of them."""
    load = pe.Node(
        LoadMaps(
            files={name: str(path) for name, path in source.files.items()},
            stdev_files={name: str(path) for name, path in source.stdev_files.items()},
        ),
        name="load_pools",
    )
    if source.image is not None:
        load.inputs.image = str(source.image)
    return load, pe.Node(ReadPools(stored=stored), name="read_pools")


def _tell_pools(parts: SeriesWorkflow, run: TransferRun, estimate: pe.Node) -> None:
    """Add the nodes that bring the maps of the other run here, and tell the semisolid pool by both."""
    tell = pe.Node(PoolsOfTwoRuns(run=run), name="pools_of_two_runs")
    logs = pe.Node(TakeLogs(), name="take_logs")
    bring = parts.bring("bring_other_run", list(OTHER_MAPS), to=tell, field=OTHER)
    parts.workflow.connect(
        [
            (parts.inputnode, logs, [(f"{POOLS}_maps", "maps")]),
            (logs, bring, [("maps", "maps")]),
            (parts.inputnode, bring, [(f"{POOLS}_magnitude", "magnitude")]),
            (parts.inputnode, tell, [(f"{RELAXOMETRY}_maps", "apparent")]),
            (parts.mask, tell, [("mask", "mask")]),
            (tell, estimate, [("maps", "pools")]),
        ]
    )
    parts.said.append((tell, "decisions"))
    parts.warned.append((tell, "warnings"))
    parts.sentences.append("The semisolid pool was told by two runs whose pulses saturate it differently.")


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
        Fraction and rate of the semisolid pool (npz), or the estimate of the other pc-bSSFP run that tells the pool together with
        this one, and the image by which they are registered; not where files hold them.
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
        fields=tuple(f"{take.key}_{what}" for take in run.takes for what in ("maps", "magnitude")),
        read=_read,
        settings={"synthetic": list(options.synthetic)},
    )
    parts.sentences = ["Apparent T1 and M0 of phase-cycled bSSFP were taken as they were estimated."]
    estimate = pe.Node(FreeOfTransfer(), name="free_of_transfer")
    connect = parts.workflow.connect
    connect(
        [
            (parts.inputnode, parts.load, [(f"{RELAXOMETRY}_magnitude", "magnitude")]),
            (parts.inputnode, estimate, [(f"{RELAXOMETRY}_maps", "apparent")]),
        ]
    )
    if run.other is not None:
        _tell_pools(parts, run, estimate)
    else:
        bring = parts.bring("bring_pools", list(POOL_MAPS), to=estimate, field=POOLS)
        if run.stored is None:
            connect(parts.inputnode, f"{POOLS}_maps", bring, "maps")
            connect(parts.inputnode, f"{POOLS}_magnitude", bring, "magnitude")
        else:
            load, read = _pools_of_files(run.pools, run.stored)
            connect([(load, read, [("maps", "maps")]), (read, bring, [("maps", "maps")])])
            if run.pools.image is not None:
                connect(load, "magnitude", bring, "magnitude")
            parts.said += [(load, "decisions"), (read, "decisions")]
    parts.sentences.append("T1 and M0 were freed of magnetization transfer by the semisolid pool of the subject.")
    images = images_node(options, relaxation=FREED)
    if images is not None:
        images.inputs.protocol = run.relaxometry.protocol
        connect(estimate, "estimate", images, "estimate")
        for last in (parts.write, parts.describe):
            connect(images, "images", last, "images")
        parts.said.append((images, "decisions"))
        parts.sentences.append("Images of other contrast were computed.")
    parts.estimate(estimate)
    return parts.workflow


def _sentences(run: TransferRun, options: ProcessingOptions) -> list[Sentence]:
    held = "that of free water" if run.r1 is None else f"{run.r1:g} 1/s"
    return [
        _pools(run),
        Sentence(
            paragraph="estimation",
            text="By it T1 and M0 of {scan}, which magnetization transfer lowers, were freed of that: by the two-pool steady state "
            "of balanced SSFP [gloor2008] under its pulse ({pulse}), with a {line} line of G(0) = {g} µs and R1 of the semisolid "
            "pool {r1}. T1 is given as an inversion recovery sees it, and of free water; standard deviations hold noise, B1, "
            "pools, line, R1 and duration of the pulse.",
            values={
                "scan": run.scan.giver,
                "pulse": run.relaxometry.pulse.name,
                "line": run.line_name,
                "g": f"{1e6 * run.line:.3g}",
                "r1": held,
            },
        ),
        *image_sentences(options, field_strength=run.relaxometry.protocol.field_strength, relaxation=FREED),
    ]


def _pools(run: TransferRun) -> Sentence:
    """Return where the semisolid pool comes from."""
    if run.other is not None:
        return Sentence(
            paragraph="estimation",
            text="The fraction of the semisolid pool was estimated from {scan} and {other}, whose pulses ({pulse} and {second}) "
            "saturate it differently [gloor2008]: maps of the latter were rigidly registered to the former [avants2011], and the "
            "differences of T1, M0 and T2, weighted by their covariance, were averaged over neighbours within {width} mm, or "
            "{voxels} voxels where that is more, that are alike. Its exchange rate was taken to be {rate}, from the literature.",
            values={
                "scan": run.scan.giver,
                "other": run.pools.giver,
                "pulse": _played(run.relaxometry),
                "second": _played(run.other),
                "width": f"{metres_to_millimetres(WIDTH):g}",
                "voxels": f"{WIDTH_IN_VOXELS:g}",
                "rate": f"{RATE:g} ± {RATE_STDEV:g} 1/s",
            },
        )
    if run.stored is None:
        return Sentence(
            paragraph="estimation",
            text="Fraction and exchange rate of the semisolid pool of {pools} were rigidly registered to {scan} [avants2011].",
            values={"pools": run.pools.giver, "scan": run.scan.giver},
        )
    files, scan = named_by(run.pools.files), run.scan.giver
    rate = "of the same scan" if run.stored.has_rate else f"of {RATE:g} ± {RATE_STDEV:g} 1/s, taken from the literature"
    if run.pools.image is None:
        return Sentence(
            paragraph="estimation",
            text="The fraction of the semisolid pool came from {files} ({title}), with an exchange rate {rate}; it was brought to "
            "{scan} by the coordinates of the scanner.",
            values={"files": files, "title": run.stored.title, "rate": rate, "scan": scan},
        )
    return Sentence(
        paragraph="estimation",
        text="The fraction of the semisolid pool came from {files} ({title}), with an exchange rate {rate}; it was rigidly "
        "registered to {scan} [avants2011].",
        values={"files": files, "title": run.stored.title, "rate": rate, "scan": scan},
    )


def _played(scan: Relaxometry) -> str:
    return f"{scan.pulse.name}, {radians_to_degrees(scan.protocol.flip_angle):.3g}°"


TRANSFER = RunKind(
    prefix="transfer",
    init=init_transfer_wf,
    write=outputs.write_transfer,
    checks=outputs.checks,
    figures=outputs.figures,
    methods=run_by_run(_sentences),
)
"""What is done with pc-bSSFP that is freed of magnetisation transfer."""
