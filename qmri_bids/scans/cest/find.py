"""Finding CEST series: `_cest`, `_wassr`, and `_MTR` that samples offsets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.images import check_image
from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.bids.sidecar import applicable_files
from qmri_bids.scans.cest.context import SUFFIX as TABLE_SUFFIX
from qmri_bids.scans.cest.protocol import read_cest_protocol
from qmri_bids.scans.cest.values import OFFSET_HZ, OFFSET_PPM
from qmri_bids.scans.findings import Findings, Series, with_acquisition
from qmri_bids.scans.saturation.run import CestRun

SUFFIXES = ("cest", "wassr", "MTR")
"""Suffixes under which series of saturated images are found; the last only where offsets are stated volume by volume."""

ACQUISITIONS = {"cest": "cest", "wassr": "wassr", "MTR": "cest"}
"""Label of `acq` where the file has none."""

ONE_IMAGE = "Convert the series to one 4D file, M0 volumes included, in the order of acquisition."


def samples_offsets(series: Series, *, root: Path) -> bool:
    """Whether a series is one of saturated images: by its suffix, or for MTR by a table or an array of several offsets."""
    if series.suffix != "MTR":
        return series.suffix in SUFFIXES
    arrays = (series.sidecar.values.get(quantity.key) for quantity in (OFFSET_PPM, OFFSET_HZ))
    if any(isinstance(value, list) and len(value) > 1 for value in arrays):
        return True
    return bool(applicable_files(series.path, root=root, suffix=TABLE_SUFFIX, extension=".tsv"))


def find_cest(series: Sequence[Series], *, findings: Findings) -> tuple[CestRun, ...]:
    """Return the CEST runs that pass the checks, without their source of B0.

    Parameters
    ----------
    series
        Those of which `samples_offsets` is true.
    findings
        Takes refusals.
    """
    runs = []
    for each in series:
        try:
            runs.append(_check_run(each, findings.root))
        except RefusedError as error:
            findings.refusals.append(error.refusal)
    return tuple(runs)


def _check_run(series: Series, root: Path) -> CestRun:
    info = check_image(series.path, root=root)
    if len(info.shape) != 4 or info.shape[3] < 2:
        raise refuse(
            file=info.name,
            key="shape",
            expected="four axes, the last one the saturated images",
            found=str(info.shape),
            advice=ONE_IMAGE,
        )
    if info.is_complex:
        raise refuse(
            file=info.name,
            key="datatype",
            expected="magnitudes",
            found="complex values",
            advice="Write the magnitudes as a part-mag image.",
        )
    reading = read_cest_protocol(
        series.sidecar, path=series.path, root=root, number_of_volumes=info.shape[3], suffix=series.suffix
    )
    warnings = reading.warnings
    if not info.is_oriented:
        warnings += (
            f"{info.name}: neither sform nor qform is set: orientation and position in the scanner are unknown.",
        )
    return CestRun(
        entities=with_acquisition(series.entities, default=ACQUISITIONS[series.suffix]),
        suffix=series.suffix,
        image=series.path,
        grid=(info.shape[0], info.shape[1], info.shape[2]),
        volumes=reading.volumes,
        roles=reading.roles,
        protocol=reading.protocol,
        kind=reading.kind,
        sources=reading.sources,
        warnings=warnings,
    )
