"""What the methods text says of B1 scans and field maps that are runs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qmri_bids.pipeline.options import OBJECT_METHODS, ProcessingOptions
from qmri_bids.preprocessing.b1_smoothing import WAVELENGTH
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun
from qmri_bids.scans.methods import B1_SCANS, brain_mask
from qmri_bids.sentence import Sentence


def without_image(options: ProcessingOptions) -> ProcessingOptions:
    """Return the options for a run without an image: its mask is where the map has values, no brain is looked for in a field."""
    return options if options.mask_method in OBJECT_METHODS else replace(options, mask_method="object")


def b1_scans(runs: Sequence[B1ScanRun], options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on B1 scans: how they were measured and made smooth, and their masks."""
    smoothed = Sentence(
        paragraph="b1",
        text="It was replaced by a robust smooth surface through its values on the grid of the scan, which removes structure below "
        "{size} [garcia2010]; where nothing was measured it has no value.",
        values={"size": f"{WAVELENGTH:g} mm"},
    )
    measured = [sentence for run in runs for sentence in (B1_SCANS[run.scan.method], smoothed)]
    return [*measured, *(brain_mask(run, without_image(options) if run.image is None else options) for run in runs)]


def b0_scans(runs: Sequence[B0ScanRun], options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on field maps: read, or computed from phases, and their masks."""
    return [*(_off_resonance(run) for run in runs), *(brain_mask(run, options) for run in runs)]


def _off_resonance(run: B0ScanRun) -> Sentence:
    if run.scan.echo_times is None:
        return Sentence(
            paragraph="estimation",
            text="Off-resonance was read from the field map {source}.",
            values={"source": run.scan.path.name},
        )
    return Sentence(
        paragraph="estimation",
        text="Off-resonance was computed from the difference of the phases of two echoes ({source}), unwrapped in space "
        "[herraez2002].",
        values={"source": run.scan.path.name},
    )
