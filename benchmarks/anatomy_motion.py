"""Motion and registration of a real head, whose face and neck stay where they are while the skull moves."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from preprocessing_motion import position_errors
from preprocessing_registration import Image, Scene, b1_anatomical, cest_m0, draw_pose, sensitivity, t1w
from rows import AtLeast, Row

from qmri_bids.phantom.heads.head import Head
from qmri_bids.phantom.heads.image import head_of_image
from qmri_bids.phantom.scans.cest import CEST_SCANS, scan_cest
from qmri_bids.phantom.scans.mt import MT_SCANS, scan_mt
from qmri_bids.phantom.scans.series import Scanner
from qmri_bids.phantom.scans.session import Session, simulate_session, simulated_protocol
from qmri_bids.preprocessing.motion.phase_cycles import MotionEstimate, correct_motion
from qmri_bids.preprocessing.motion.saturated import SaturatedMotion, correct_saturated_motion
from qmri_bids.preprocessing.motion.scan_series import align_scans
from qmri_bids.preprocessing.registration.scans import RegistrationFailed, register_scans

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from real_heads import MISSING, real_heads

CYCLES = 12
MOTION = 2.0
"""[mm and degrees]."""
PROCESSES = 2
SEED = 5
"""Of the poses: the surroundings of the brain and the smoothing were chosen with seed 3, 3 mm voxels and 8 cycles."""


@cache
def head(*, face_motion: float) -> Head:
    """Return Colin27; of 1 its face and neck stay where they are.

    Raises
    ------
    FileNotFoundError
        If its images are not there.
    """
    files = real_heads()
    if files is None:
        raise FileNotFoundError(MISSING)
    return head_of_image(files.whole_head, brain=files.brain, seed=0, subject=1, scale=1.0, face_motion=face_motion)


def session(
    *, motion: float, voxel_size: float, matrix: tuple[int, int, int], cycles: int, face_motion: float = 1.0
) -> Session:
    """Simulate phase cycles of the real head at SNR 25."""
    return simulate_session(
        head(face_motion=face_motion),
        matrix=matrix,
        voxel_size=voxel_size,
        protocol=simulated_protocol(phase_cycles=cycles),
        snr=25.0,
        motion=motion,
        with_b1=False,
        rng=np.random.default_rng(SEED),
        threads=PROCESSES,
    )


def real_head_motion() -> list[Row]:
    """Rows of phase cycles, of saturated series and of registrations between scans."""
    return [*phase_cycles(), *saturated_series(), *registrations()]


def phase_cycles(*, voxel_size: float = 2.0, matrix: tuple[int, int, int] = (116, 132, 120)) -> list[Row]:
    """Error of the motion of still and moved cycles, and how well what is left is told."""
    cases = (("still", 0.0, 0.05), (f"moved by {MOTION:g} mm and {MOTION:g}°", MOTION, 0.10))
    return [
        row
        for name, motion, bar in cases
        for row in _cycle_rows(
            session(motion=motion, voxel_size=voxel_size, matrix=matrix, cycles=CYCLES),
            figure=f"real head, {CYCLES} phase cycles of {voxel_size:g} mm, face not rigid, {name}",
            bar=bar,
        )
    ]


def _cycle_rows(scan: Session, *, figure: str, bar: float) -> list[Row]:
    affine, brain = scan.grid.affine, scan.truth.brain
    protocol = simulated_protocol(phase_cycles=CYCLES)
    truth = np.stack([pose.matrix for pose in scan.poses])

    def error(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.delete(position_errors(transforms, truth, brain=brain, affine=affine), scan.reference)

    found: dict[str, MotionEstimate] = {
        "brain": correct_motion(scan.cycles, affine=affine, protocol=protocol, brain=brain, processes=PROCESSES),
        "whole head": correct_motion(scan.cycles, affine=affine, protocol=protocol, processes=PROCESSES),
        "edges alone": correct_motion(scan.cycles, affine=affine, brain=brain, processes=PROCESSES),
    }
    errors = error(found["brain"].transforms)
    others = ", ".join(f"{key} {error(each.transforms).mean():.3f}" for key, each in found.items() if key != "brain")
    still = error(np.tile(np.eye(4), (CYCLES, 1, 1))).mean()
    left = 1e3 * np.delete(found["brain"].remaining, scan.reference)
    return [
        Row(
            figure=f"{figure}, mean error",
            unit="mm",
            bar=bar,
            value=float(errors.mean()),
            baseline=f"worst cycle {errors.max():.3f}; {others}, not corrected {still:.2f}",
        ),
        Row(
            figure=f"{figure}, misalignment left, estimated over true",
            unit="×",
            bar=None,
            value=float(left.mean() / errors.mean()),
            baseline=f"mean {left.mean():.3f}, worst cycle {left.max():.3f} mm",
        ),
    ]


def saturated_series(*, voxel_size: float = 2.5, matrix: tuple[int, int, int] = (94, 108, 96)) -> list[Row]:
    """Z-spectrum, fingerprint and MT pair of the real head, moved."""
    scan = session(motion=MOTION, voxel_size=voxel_size, matrix=matrix, cycles=4)
    scanner = Scanner(
        head=head(face_motion=1.0),
        grid=scan.grid,
        placement=scan.placement,
        receiver=scan.receiver,
        threads=PROCESSES,
    )
    affine, rows = scan.grid.affine, []
    for name, key, snr in (("Z-spectrum", "zspectrum", 100.0), ("fingerprint", "mrf", 100.0)):
        design = CEST_SCANS[key][0]
        moved = scan_cest(design, scanner=scanner, motion=MOTION, snr=snr, rng=np.random.default_rng(SEED + 2))
        known = {
            "affine": affine,
            "roles": ["m0" if image.saturation is None else "cest" for image in design.protocol.images],
            "offsets": design.protocol.offsets,
            "processes": PROCESSES,
        }
        brain = moved.truth.brain
        found = correct_saturated_motion(moved.images, brain=brain, **known)
        whole = correct_saturated_motion(moved.images, **known)
        poses = np.stack([pose.matrix for pose in moved.poses])
        rows.append(_series_row(name, found, whole=whole, poses=poses, brain=brain, affine=affine, bar=0.2))
    name, design = next(iter(MT_SCANS.items()))
    pair = scan_mt(design, scanner=scanner, motion=MOTION, snr=100.0, rng=np.random.default_rng(SEED + 3)).scan
    poses = np.stack([pose.matrix for pose in pair.poses])
    found = align_scans(pair.images, affine=affine)
    rows.append(
        _series_row(
            f"MT pair ({name})", found, whole=None, poses=poses, brain=pair.truth.brain, affine=affine, bar=None
        )
    )
    return rows


def _series_row(
    name: str,
    found: SaturatedMotion,
    *,
    whole: SaturatedMotion | None,
    poses: NDArray[np.float64],
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    bar: float | None,
) -> Row:
    def error(each: SaturatedMotion, transforms: NDArray[np.float64]) -> NDArray[np.float64]:
        truth = poses @ np.linalg.inv(poses[each.reference])
        return np.delete(position_errors(transforms, truth, brain=brain, affine=affine), each.reference)

    errors = error(found, found.transforms)
    still = error(found, np.tile(np.eye(4), (len(poses), 1, 1))).mean()
    by_head = "" if whole is None else f", whole head {error(whole, whole.transforms).mean():.3f}"
    return Row(
        figure=f"real head, {name}, face not rigid, moved by {MOTION:g} mm and {MOTION:g}°, mean error",
        unit="mm",
        bar=bar,
        value=float(errors.mean()),
        baseline=f"worst volume {errors.max():.3f}{by_head}, not corrected {still:.2f}; left, estimated: mean "
        f"{1e3 * np.nanmean(found.remaining):.3f}, worst {1e3 * np.nanmax(found.remaining):.3f}",
    )


@cache
def scene(*, matrix: tuple[int, int, int] = (116, 132, 120), number: int = 42) -> Scene:
    """Return the mean of 6 cycles of the real head, and the head in other scans between which it moved.

    By what a mirror image is told from chance was chosen with numbers 40 and 41.
    """
    scan = session(motion=0.0, voxel_size=2.0, matrix=matrix, cycles=6)
    fixed = np.abs(scan.cycles).mean(axis=3)
    voxels = np.argwhere(scan.truth.brain)
    moving = head(face_motion=1.0)
    others = {
        "CEST M0": cest_m0(moving, scan, draw_pose(10 * number), number),
        "B1 anatomical": b1_anatomical(moving, scan, draw_pose(10 * number + 1), number),
        "T1w": t1w(moving, scan, draw_pose(10 * number + 2), number),
    }
    return Scene(
        fixed=Image(
            data=(fixed * sensitivity(fixed.shape, number + 7)).astype(np.float32),
            affine=scan.grid.affine,
            pose=np.eye(4),
        ),
        brain=(np.column_stack([voxels, np.ones(len(voxels))]) @ scan.grid.affine.T)[::7],
        others=others,
    )


def registrations() -> list[Row]:
    """Errors of registrations onto the bSSFP scan, and whether left and right are told."""
    rows, told = [], []
    each = scene()
    for name, other in each.others.items():
        known = {"fixed_affine": each.fixed.affine, "moving_affine": other.affine}
        found = register_scans(each.fixed.data, moving=other.data, **known)
        mirrored = found.quality.mirrored if found.quality is not None else np.nan
        try:
            register_scans(each.fixed.data, moving=np.ascontiguousarray(other.data[::-1]), **known)
            told.append(False)
        except RegistrationFailed as failed:
            told.append("exchanged" in str(failed))
        rows.append(
            Row(
                figure=f"real head, bSSFP → {name} registration, error in the brain",
                unit="mm",
                bar=None,
                value=float(each.error(name, found.transform).mean()),
                baseline=f"header alone {each.error(name, np.eye(4)).mean():.2f} mm; mirror image over scan {mirrored:.2f}",
            )
        )
    rows.append(
        Row(
            figure="real head, mirrored scans refused",
            unit="%",
            bar=AtLeast(100.0),
            value=100.0 * float(np.mean(told)),
            baseline="one of each kind",
        )
    )
    return rows


if __name__ == "__main__":
    from rows import run_parts

    run_parts(
        "anatomy_motion",
        {"cycles": phase_cycles, "series": saturated_series, "registrations": registrations},
        description=__doc__ or "",
    )
