"""The truth of CEST and MT scans as a BIDS derivative, in the space of each scan's reference volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.files.truth import write_map, write_poses, write_space
from qmri_bids.phantom.heads.pools import EXCHANGE, Exchange
from qmri_bids.phantom.scans.cest import CestDesign, SaturationScan
from qmri_bids.phantom.scans.mt import MtDesign, MtScan, true_ratio, true_saturation
from qmri_bids.phantom.scans.truth import Truth
from qmri_bids.physics.pools import CestPool
from qmri_bids.units import fraction_to_percent

IGNORED = ("*_timeseries.*", "*_fractionmap.*", "*_exchangemap.*")
"""What the validator must be told to leave alone."""

_REFERENCE = "reference volume"
_WEIGHTED = "mean over the points of grey matter, white matter and cerebrospinal fluid in the voxel, weighted by M0"
_SEEN = {
    True: "The images hold five pools: water, amide, amine, NOE and semisolid.",
    False: "The images hold three pools alone, water, amide and semisolid: these are the true values of a three-pool fit.",
}

SEEN_BY_BSSFP = "The images hold two pools, free water and semisolid."
"""What cycles of full physics hold."""
ONE_SUBJECT = "All scans of the session met the same semisolid pool:"
"""What is said of the pool of full physics, before its numbers."""


def pool_maps(truth: Truth, *, pool: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return fraction and exchange rate [1/s] of a pool, weighted by M0 over the brain points of every voxel.

    M0 varies smoothly, by the same factor in all tissues of a voxel, so that shares of volume and the M0 of the tissues give the
    weights. Tissue without the pool counts as fraction 0 and does not count in the rate. NaN where there is nothing to count.

    Parameters
    ----------
    truth
        True maps with the shares of the tissues.
    pool
        `MT` or `amide`.
    """
    shape = truth.brain.shape
    whole, held, amount, pace = (np.zeros(shape) for _ in range(4))
    for region in truth.regions:
        weight = truth.fractions[region.label].astype(np.float64) * region.tissue.m0
        whole += weight
        exchange = EXCHANGE.get(region.label, Exchange())
        found: CestPool | None = exchange.mt if pool == "MT" else exchange.amide
        if found is not None:
            held += weight
            amount += weight * found.fraction
            pace += weight * found.rate
    with np.errstate(invalid="ignore"):
        return (amount / whole).astype(np.float32), (pace / held).astype(np.float32)


def write_pools(
    folder: Path,
    stem: str,
    *,
    pools: Sequence[str],
    truth: Truth,
    affine: NDArray[np.float64],
    sources: Sequence[str],
    seen: str,
) -> None:
    """Write fraction and exchange rate of pools in the space of one scan.

    Parameters
    ----------
    folder
        The folder of the subject or session in the derivative.
    stem
        Start of every file name, such as `sub-01_acq-APTw`.
    pools
        `MT`, `amide`.
    truth
        True maps with the shares of the tissues.
    affine
        Matrix from voxel index to RAS [mm].
    sources
        BIDS URIs of the raw images.
    seen
        What the images hold of them, in sentences.
    """
    for pool in pools:
        fraction, rate = pool_maps(truth, pool=pool)
        said = seen
        if pool == "MT" and truth.semisolid is not None:
            said = f"{seen} {ONE_SUBJECT} {truth.semisolid.said}."
        maps = {
            "fractionmap": (
                fraction,
                "arbitrary",
                f"equilibrium magnetisation of the pool over that of water; {_WEIGHTED}, 0 in tissue without it, NaN where "
                f"there is no brain. {said}",
            ),
            "exchangemap": (
                rate,
                "1/s",
                f"rate from the pool to water; {_WEIGHTED}, over tissue with the pool, NaN where there is none. {said}",
            ),
        }
        for suffix, (values, units, description) in maps.items():
            write_map(
                folder / "anat" / f"{stem}_desc-{pool}_{suffix}",
                values,
                affine=affine,
                units=units,
                description=description,
                sources=sources,
            )


def _write_common(
    folder: Path, stem: str, *, scan: SaturationScan, affine: NDArray[np.float64], sources: Sequence[str]
) -> None:
    write_space(
        folder,
        stem,
        truth=scan.truth,
        affine=affine,
        magnitude=scan.images.mean(axis=3),
        measured="measured volumes",
        sources=sources,
    )
    write_poses(folder / "anat" / f"{stem}_desc-poses_timeseries", scan.poses, reference=_REFERENCE)
    write_poses(
        folder / "anat" / f"{stem}_desc-session_timeseries",
        (scan.reference_pose,),
        reference="reference cycle of the bSSFP scan",
    )


def write_cest_truth(
    folder: Path,
    prefix: str,
    *,
    design: CestDesign,
    scan: SaturationScan,
    affine: NDArray[np.float64],
    sources: Sequence[str],
) -> None:
    """Write the truth of a CEST scan: fields, relaxation, tissues, pools and poses.

    Parameters
    ----------
    folder
        The folder of the subject or session in the derivative.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    design, scan
        What was played, and what it gave.
    affine
        Matrix from voxel index to RAS [mm].
    sources
        BIDS URIs of the raw images.
    """
    stem = f"{prefix}acq-{design.label}"
    _write_common(folder, stem, scan=scan, affine=affine, sources=sources)
    write_pools(
        folder,
        stem,
        pools=("MT", "amide"),
        truth=scan.truth,
        affine=affine,
        sources=sources,
        seen=_SEEN[design.every_pool],
    )


_MT_MAPS: Mapping[str, tuple[str, Callable[..., NDArray[np.float32]], str]] = {
    "MTR": ("MTRmap", true_ratio, "1 - on/off of the images without noise, both in the pose of the reference"),
    "MTS": (
        "MTsat",
        true_saturation,
        "MT saturation (Helms et al., 2008) of the images without noise, all in the pose of the reference, with the true B1 in "
        "the flip angles and no correction of the MT pulse for B1",
    ),
}


def write_mt_truth(
    folder: Path,
    prefix: str,
    *,
    design: MtDesign,
    scan: MtScan,
    affine: NDArray[np.float64],
    sources: Sequence[str],
) -> None:
    """Write the truth of an MT scan: fields, relaxation, tissues, poses, and what images without noise would give.

    Parameters
    ----------
    folder, prefix, design, scan, affine, sources
        Folder of the derivative, start of every file name, what was played and what it gave, grid [mm] and raw images: see
        `write_cest_truth`.
    """
    stem = f"{prefix}acq-{design.label}"
    _write_common(folder, stem, scan=scan.scan, affine=affine, sources=sources)
    suffix, compute, description = _MT_MAPS[design.suffix]
    write_map(
        folder / "anat" / f"{stem}_desc-noisefree_{suffix}",
        fraction_to_percent(1.0) * compute(scan.noise_free, scan.scan.truth),
        affine=affine,
        units="percent",
        description=f"{description}; NaN outside the brain mask",
        sources=sources,
    )
