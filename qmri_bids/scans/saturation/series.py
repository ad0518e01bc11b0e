"""What all workflows of CEST and MT scans begin and end with: a series read and aligned, and sentences collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from qmri_bids.pipeline.earlier.applied import ApplySeriesMotion, series_motion_reader
from qmri_bids.pipeline.motion.series_nodes import AlignSeries, DenoiseSeries, LoadSeries
from qmri_bids.pipeline.options import DENOISING, ProcessingOptions
from qmri_bids.scans.saturation.run import CestRun

Said = list[tuple[pe.Node | pe.Workflow, str]]
"""Nodes and the outputs in which they say what was decided, in the order of the report."""


@dataclass(frozen=True, kw_only=True)
class SeriesNodes:
    """The nodes that read a series and align its volumes.

    Parameters
    ----------
    load
        Gives the series as scanned, the volumes of full signal and the noise.
    motion
        Aligns it; None where motion is left alone.
    """

    load: pe.Node
    motion: pe.Node | None

    @property
    def last(self) -> pe.Node:
        """The node whose series is used."""
        return self.load if self.motion is None else self.motion

    @property
    def said(self) -> Said:
        """What they say."""
        return [(node, "decisions") for node in (self.load, self.motion) if node is not None]

    @property
    def sentences(self) -> list[str]:
        """What they do."""
        moved = [] if self.motion is None else ["All volumes were registered rigidly."]
        if self.motion is not None and isinstance(self.motion.interface, ApplySeriesMotion):
            moved = ["All volumes were brought back by the motion that an earlier call has found."]
        return ["The volumes were read as one series of magnitudes.", *moved]


def series_nodes(
    workflow: pe.Workflow,
    *,
    paths: Sequence[Path],
    label: str,
    options: ProcessingOptions,
    cest: CestRun | None = None,
    taper: bool = False,
    suffix: str = "",
    droppable: bool = True,
) -> SeriesNodes:
    """Add the nodes that read a series and align its volumes.

    Parameters
    ----------
    workflow
        Takes them.
    paths
        Images of the series.
    label
        Of the run, by which its earlier motion is known.
    options
        Steps to leave out, processes.
    cest
        The run of a series of saturated images; None for a few images of different contrast.
    taper
        Whether Gibbs ringing is removed.
    suffix
        End of the names of the nodes.
    droppable
        Whether the estimation can do without volumes that moved too far.
    """
    # Nodes know of the run no more than they need: what does not concern them must not make them run again.
    load = pe.Node(LoadSeries(paths=[str(path) for path in paths], taper=taper), name=f"load_series{suffix}")
    if options.noise_sd is not None:
        load.inputs.noise_sd = options.noise_sd
    motion = None
    if "motion" not in options.ignore:
        known = options.earlier_motion(label)
        motion = (
            pe.Node(AlignSeries(processes=options.processes), name=f"correct_motion{suffix}")
            if known is None
            else series_motion_reader(known, processes=options.processes, suffix=suffix)
        )
        workflow.connect(load, "series", motion, "series")
        if options.fd_threshold is not None:
            motion.inputs.threshold = options.fd_threshold
            motion.inputs.droppable = droppable
    if cest is not None:
        load.inputs.volumes = list(cest.volumes)
        load.inputs.roles = list(cest.roles)
        if cest.is_normalised:
            load.inputs.offsets = list(cest.protocol.offsets)
            load.inputs.smooth = cest.is_spectrum
        if motion is not None:
            motion.inputs.protocol = cest.protocol
            motion.inputs.roles = list(cest.roles)
            motion.inputs.kind = cest.kind
    return SeriesNodes(load=load, motion=motion)


def add_denoising(
    workflow: pe.Workflow,
    *,
    options: ProcessingOptions,
    series: pe.Node,
    load: pe.Node,
    mask: pe.Node,
    suffix: str = "",
) -> pe.Node | None:
    """Add the node that denoises an aligned series; None where nothing is denoised.

    Parameters
    ----------
    workflow
        Takes it.
    options
        Whether to denoise.
    series, load, mask
        Nodes that give the aligned series, what is known of its noise, and where to denoise.
    suffix
        End of its name.
    """
    if options.denoise == DENOISING[0]:
        return None
    node = pe.Node(DenoiseSeries(), name=f"denoise_series{suffix}")
    workflow.connect(
        [
            (series, node, [("series", "series")]),
            (load, node, [("noise", "noise"), ("noise_before", "noise_before")]),
            (mask, node, [("mask", "mask")]),
        ]
    )
    return node


def gather(workflow: pe.Workflow, sources: Said, *, to: Sequence[tuple[pe.Node, str]], name: str) -> None:
    """Connect outputs of several nodes, as one list, to inputs of others.

    Parameters
    ----------
    workflow
        Of the nodes.
    sources
        Nodes and outputs, in the order of the list.
    to
        Nodes and inputs.
    name
        Of the node between.
    """
    # A list is not worth a job of a cluster.
    merged = pe.Node(Merge(len(sources)), name=name, run_without_submitting=True)
    for number, (source, field) in enumerate(sources, start=1):
        workflow.connect(source, field, merged, f"in{number}")
    for node, field in to:
        workflow.connect(merged, "out", node, field)
