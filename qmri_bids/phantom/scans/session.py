"""One session of one subject: where the head lies, how it moves, and what the scanner measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.geometry import AXIAL_COVERAGE, Grid, Pose, draw_poses, prescribe
from qmri_bids.phantom.heads.head import Head, posed
from qmri_bids.phantom.heads.template import TemplateHead
from qmri_bids.phantom.scans.acquisition import scan_bssfp
from qmri_bids.phantom.scans.b1 import B1Scan, coarse_grid, coarse_slices, scan_b1
from qmri_bids.phantom.scans.physics import Physics
from qmri_bids.phantom.scans.truth import Truth, true_maps
from qmri_bids.physics.protocol import BssfpProtocol

LARGEST_TILT = 4.0
"""The head is put into the scanner with angles up to this [degrees]."""


def simulated_protocol(*, phase_cycles: int) -> BssfpProtocol:
    """Return the protocol of Birk et al. (2025): TR 4.8 ms, TE 2.4 ms, flip angle 15° at 3 T."""
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=phase_cycles,
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=math.radians(15.0),
        field_strength=3.0,
    )


@dataclass(frozen=True, kw_only=True)
class Session:
    """What one session yields.

    Parameters
    ----------
    grid
        Voxels of the bSSFP scan.
    placement
        Matrix from coordinates of the head to the scanner's RAS [mm] in the reference cycle, shape (4, 4).
    receiver
        Coefficients of the receiver phase.
    cycles
        Complex images in units of M0 = 1, shape (x, y, z, N).
    poses
        Poses of the head in every cycle, against the reference cycle.
    reference
        Index of the cycle in whose space the truth is.
    b1_scan, b1_pose
        The scan of the transmit field, and where the head is in it; None if there is none.
    truth
        The true maps.
    decision
        Orientation of the slices, as a sentence.
    physics
        What the cycles have beyond the closed form.
    """

    grid: Grid
    placement: NDArray[np.float64]
    receiver: NDArray[np.float64]
    cycles: NDArray[np.complex64]
    poses: tuple[Pose, ...]
    reference: int
    b1_scan: B1Scan | None
    b1_pose: Pose
    truth: Truth
    decision: str
    physics: Physics


def simulate_session(
    head: Head,
    *,
    matrix: tuple[int, int, int],
    voxel_size: float,
    protocol: BssfpProtocol,
    snr: float,
    motion: float,
    with_b1: bool,
    b1_kind: str = "TB1TFL",
    slice_thickness: float | None = None,
    planar: bool = False,
    cut: bool = False,
    rng: np.random.Generator,
    physics: Physics | None = None,
    threads: int = 2,
) -> Session:
    """Put a head into the scanner and scan it.

    Parameters
    ----------
    head
        What is scanned.
    matrix, voxel_size
        Voxels of the bSSFP scan, edge in mm.
    protocol
        The bSSFP acquisition.
    snr
        Signal to noise ratio, see `acquisition.noise_stdev`.
    motion
        Largest translation [mm] and rotation [degrees] of the head between cycles.
    with_b1
        Whether the transmit field is scanned.
    b1_kind
        How, key of `scans.b1.SEQUENCES`.
    slice_thickness, planar, cut
        Edge of a voxel along the last axis [mm], whether the voxels along it are slices of their own, and whether the head may be
        larger than the field of view; see `geometry.prescribe`. The middle of what is not covered whole is that of the brain.
    rng
        Source of placement, poses and noise.
    physics
        What the cycles have beyond the closed form; None for nothing.
    threads
        Slabs worked on at once.

    Raises
    ------
    FieldOfViewTooSmall
        If the head does not fit.
    """
    shift = rng.uniform(-3.0, 3.0, size=3)
    tilt = np.deg2rad(rng.uniform(-LARGEST_TILT, LARGEST_TILT, size=3))
    placement = Pose(translation=(shift[0], shift[1], shift[2]), rotation=(tilt[0], tilt[1], tilt[2])).matrix
    skin = placement[:3, :3] @ head.surface_points() + placement[:3, 3:]
    middle = 0.5 * (skin.min(axis=1) + skin.max(axis=1))
    if planar or cut:
        middle[2] = (placement[:3, :3] @ head.target + placement[:3, 3])[2]
    grid, decision = prescribe(
        matrix=matrix,
        voxel_size=voxel_size,
        centre=middle + rng.uniform(-1.0, 1.0, size=3),
        head=skin,
        motion=motion,
        thickness=slice_thickness,
        planar=planar,
        cut=cut,
        axial_coverage=AXIAL_COVERAGE if isinstance(head, TemplateHead) else None,
    )
    receiver = rng.uniform(-1.0, 1.0, size=7) * (math.pi, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8)
    reference = protocol.number_of_cycles // 2
    poses = draw_poses(number=protocol.number_of_cycles, motion=motion, reference=reference, rng=rng)
    (b1_pose,) = draw_poses(number=1, motion=motion, reference=None, rng=rng)
    cycles = scan_bssfp(
        head,
        grid=grid,
        placement=placement,
        poses=poses,
        protocol=protocol,
        receiver=receiver,
        snr=snr,
        rng=rng,
        physics=physics,
        threads=threads,
    )
    b1_scan = None
    if with_b1:
        b1_scan = scan_b1(
            posed(head, placement=placement, motion=b1_pose.matrix),
            grid=coarse_slices(grid) if planar or cut else coarse_grid(head=skin, voxel_size=voxel_size, motion=motion),
            placement=b1_pose.matrix @ placement,
            receiver=receiver,
            snr=snr,
            rng=rng,
            kind=b1_kind,
            threads=threads,
        )
    return Session(
        grid=grid,
        placement=placement,
        receiver=receiver,
        cycles=cycles,
        poses=poses,
        reference=reference,
        b1_scan=b1_scan,
        b1_pose=b1_pose,
        truth=true_maps(head, grid=grid, placement=placement, semisolid=None if physics is None else physics.semisolid),
        decision=decision,
        physics=Physics() if physics is None else physics,
    )


def repeat_bssfp(
    session: Session,
    *,
    head: Head,
    protocol: BssfpProtocol,
    snr: float,
    motion: float,
    rng: np.random.Generator,
    physics: Physics | None = None,
    threads: int = 2,
) -> Session:
    """Scan the cycles of a session once more: the same voxels and receiver, the head moved, noise of its own, no B1 scan.

    Parameters
    ----------
    session
        The session with its first run.
    head, protocol, snr, motion, physics, threads
        As in `simulate_session`; the head lies within ±`motion` millimetres and degrees of where it was in the first run.
    rng
        Source of poses and noise.
    """
    (moved,) = draw_poses(number=1, motion=motion, reference=None, rng=rng)
    placement = moved.matrix @ session.placement
    poses = draw_poses(number=protocol.number_of_cycles, motion=motion, reference=session.reference, rng=rng)
    cycles = scan_bssfp(
        head,
        grid=session.grid,
        placement=placement,
        poses=poses,
        protocol=protocol,
        receiver=session.receiver,
        snr=snr,
        rng=rng,
        physics=physics,
        threads=threads,
    )
    semisolid = None if physics is None else physics.semisolid
    return replace(
        session,
        placement=placement,
        cycles=cycles,
        poses=poses,
        b1_scan=None,
        truth=true_maps(head, grid=session.grid, placement=placement, semisolid=semisolid),
        physics=Physics() if physics is None else physics,
    )
