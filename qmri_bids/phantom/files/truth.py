"""The truth of the simulated dataset as a BIDS derivative."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.files.raw import run_entity
from qmri_bids.phantom.files.writing import write_image, write_json, write_table
from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.phantom.scans.session import Session
from qmri_bids.phantom.scans.truth import BRAIN_RIM, Truth
from qmri_bids.units import fraction_to_percent, radians_to_degrees

_COUNTED = {"brain": "grey matter, white matter and cerebrospinal fluid", "object": "liquids"}
_MIXED = "mean over the points of {} in the voxel, NaN where there is none"
_MEAN_RATE = "of the mean relaxation rate, weighted by M0, of the {} in the voxel, NaN where there is none"
_ANYWHERE = "mean over the points with a signal in the voxel, scalp included, NaN where there is none"


def write_truth(
    folder: Path, prefix: str, *, session: Session, sources: Sequence[str], increments: Sequence[float], run: int = 0
) -> None:
    """Write true maps and poses.

    Parameters
    ----------
    folder
        The folder of the subject or session in the derivative.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    session
        What was simulated.
    sources
        BIDS URIs of the raw images.
    increments
        RF phase increments of the cycles [deg].
    run
        Index of the run; 0 where there is one alone.
    """
    stem = f"{prefix}acq-pcbssfp{run_entity(run)}"
    write_space(
        folder,
        stem,
        truth=session.truth,
        affine=session.grid.affine,
        magnitude=np.abs(session.cycles).mean(axis=3),
        measured="measured cycles",
        sources=sources,
    )
    write_poses(folder / "anat" / f"{stem}_desc-poses_timeseries", session.poses, increments=increments)
    _write_cycles(folder / "anat" / f"{stem}_desc-cycles_timeseries", session=session, increments=increments)
    if session.b1_scan is not None:
        write_poses(folder / "fmap" / f"{prefix}desc-poses_timeseries", (session.b1_pose,))


def _write_cycles(stem: Path, *, session: Session, increments: Sequence[float]) -> None:
    """Write frequency and gain of every cycle, where they differ between cycles."""
    physics = session.physics
    if physics.drift is None and physics.gain is None:
        return
    drift = physics.drift or (0.0,) * len(increments)
    gain = physics.gain or (1.0,) * len(increments)
    write_table(
        stem.parent / f"{stem.name}.tsv",
        columns=("rf_phase_increment", "frequency_offset", "gain"),
        rows=[(f"{a:g}", f"{b:.6f}", f"{c:.6f}") for a, b, c in zip(increments, drift, gain, strict=True)],
    )
    described = {
        "rf_phase_increment": {"Description": "RF phase increment of the cycle", "Units": "deg"},
        "frequency_offset": {
            "Description": "Off-resonance of the whole head in this cycle against the mean of all cycles",
            "Units": "Hz",
        },
        "gain": {"Description": "Factor on the signal of this cycle, before the noise"},
    }
    write_json(stem.parent / f"{stem.name}.json", described)


def write_space(
    folder: Path,
    stem: str,
    *,
    truth: Truth,
    affine: NDArray[np.float64],
    magnitude: NDArray[np.floating],
    measured: str,
    sources: Sequence[str],
) -> None:
    """Write the true maps, masks and fractions of tissue in the space of one scan.

    Parameters
    ----------
    folder
        The folder of the subject or session in the derivative.
    stem
        Start of every file name, such as `sub-01_acq-APTw`.
    truth
        The maps.
    affine
        Matrix from voxel index to RAS [mm].
    magnitude, measured
        Mean magnitude of the scan, and of what it is the mean.
    sources
        BIDS URIs of the raw images.
    """
    counted = _COUNTED[truth.mask_name]
    rate = _MEAN_RATE.format(counted)
    maps: dict[str, tuple[NDArray, str, str]] = {
        "anat/T1map": (truth.t1, "s", rate if truth.free_t1 is None else f"as an inversion recovery finds it; {rate}"),
        "anat/T2map": (truth.t2, "s", rate),
        "anat/M0map": (truth.m0, "arbitrary", f"cerebrospinal fluid is about 1; {_MIXED.format(counted)}"),
        "fmap/fieldmap": (truth.off_resonance, "Hz", f"of water; {_ANYWHERE}"),
        "fmap/TB1map": (fraction_to_percent(1.0) * truth.b1, "percent", f"100 is nominal; {_ANYWHERE}"),
        "fmap/magnitude": (
            magnitude,
            "arbitrary",
            f"mean magnitude of the {measured}; with noise, and blurred by motion",
        ),
    }
    if truth.free_t1 is not None and truth.semisolid is not None:
        maps["anat/desc-free_T1map"] = (
            truth.free_t1,
            "s",
            f"of free water, which exchanges with a semisolid pool ({truth.semisolid.said}); {rate}",
        )
    for place, (values, units, description) in maps.items():
        datatype, suffix = place.split("/")
        write_map(
            folder / datatype / f"{stem}_{suffix}",
            values,
            affine=affine,
            units=units,
            description=description,
            sources=sources,
        )
    _write_masks(folder / "anat", stem, truth=truth, affine=affine, sources=sources)


def write_map(
    stem: Path,
    values: NDArray,
    *,
    affine: NDArray[np.float64],
    units: str,
    description: str,
    sources: Sequence[str],
) -> None:
    """Write one map; those in `anat` are empty outside the brain."""
    sidecar = {
        "Units": units,
        "Description": description,
        "SkullStripped": stem.parent.name == "anat",
        "Sources": list(sources),
    }
    write_image(stem, values.astype(np.float32), affine=affine, sidecar=sidecar)


def _write_masks(folder: Path, stem: str, *, truth: Truth, affine: NDArray[np.float64], sources: Sequence[str]) -> None:
    """Write the brain mask, the segmentation and the fractions of the tissues."""
    common = {"Sources": list(sources)}
    brain = truth.mask_name == "brain"
    rim = not np.array_equal(truth.brain, truth.tissue)
    filled = "brain tissue and fluid fill at least half the voxel" if brain else "liquids fill at least half the voxel"
    masks = {truth.mask_name: (truth.brain, f"the brain and {BRAIN_RIM:g} mm around it" if rim else filled)}
    if rim:
        masks["tissue"] = (truth.tissue, "the brain alone")
    for name, (mask, description) in masks.items():
        write_image(
            folder / f"{stem}_desc-{name}_mask",
            mask.astype(np.uint8),
            affine=affine,
            sidecar={**common, "Type": "Brain" if brain else "Object", "Description": description},
        )
    write_image(
        folder / f"{stem}_dseg",
        truth.segmentation,
        affine=affine,
        sidecar={
            **common,
            "Manual": False,
            "Description": f"the largest {'tissue' if brain else 'body'} of the voxel inside the {truth.mask_name} mask",
        },
    )
    write_table(
        folder / f"{stem}_dseg.tsv",
        columns=("index", "name", "abbreviation", "color"),
        rows=[(region.index, region.name, region.abbreviation, region.colour) for region in truth.regions],
    )
    for region in truth.regions:
        write_image(
            folder / f"{stem}_label-{region.abbreviation}_probseg",
            truth.fractions[region.label],
            affine=affine,
            sidecar={**common, "Manual": False, "Description": "share of the volume of the voxel"},
        )


def write_poses(
    stem: Path, poses: Sequence[Pose], *, reference: str = "reference cycle", increments: Sequence[float] | None = None
) -> None:
    """Write where the head was: one row a volume.

    Parameters
    ----------
    stem
        Path without extension.
    poses
        Poses of the head in the volumes, against the reference.
    reference
        What the poses count from.
    increments
        RF phase increments of the volumes [deg], if they are phase cycles.
    """
    columns = ["translation_x", "translation_y", "translation_z", "rotation_x", "rotation_y", "rotation_z"]
    rows: list[list[object]] = [
        [f"{value:.6f}" for value in (*pose.translation, *(radians_to_degrees(angle) for angle in pose.rotation))]
        for pose in poses
    ]
    convention = (
        f"Rigid motion of the head against the {reference}: a point of the head at x (RAS, mm, of the "
        f"scanner) in the {reference} lies at x' = Rz(rotation_z) Ry(rotation_y) Rx(rotation_x) x + "
        "translation in this volume. Rotations are right-handed, about the isocentre (0, 0, 0) and its fixed "
        "axes, first about x."
    )
    columns_described = {
        name: {"Description": convention, "Units": "mm" if name.startswith("t") else "deg"} for name in columns
    }
    if increments is not None:
        columns.append("rf_phase_increment")
        columns_described["rf_phase_increment"] = {
            "Description": "RF phase increment of the cycle",
            "Units": "deg",
        }
        rows = [[*row, f"{degrees:g}"] for row, degrees in zip(rows, increments, strict=True)]
    write_table(stem.parent / f"{stem.name}.tsv", columns=columns, rows=rows)
    write_json(stem.parent / f"{stem.name}.json", columns_described)
