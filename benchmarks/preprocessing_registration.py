"""Registration of the scans of a session, spaces and atlases against the truth of the digital head."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rows import AtLeast, Row

from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.phantom.heads.head import Head, Sample
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.volume import Points
from qmri_bids.phantom.scans.acquisition import acquire, add_noise, oversampling
from qmri_bids.phantom.scans.b1 import coarse_grid, scan_b1
from qmri_bids.phantom.scans.session import Session, simulate_session, simulated_protocol
from qmri_bids.phantom.scans.t1w import scan_t1w
from qmri_bids.preprocessing.brain.mask import find_mask
from qmri_bids.preprocessing.registration.quality import MIRROR_DOUBT
from qmri_bids.preprocessing.registration.scans import RegistrationFailed, ScanRegistration, register_scans
from qmri_bids.preprocessing.registration.standard_space import register_to_template

MATRIX, VOXEL = (96, 112, 96), 2.0
HEADS = 3
CEST_FLIP_ANGLE = math.radians(6.0)
SENSITIVITY = 0.3
"""Receive sensitivity of every scan goes as the exponential of a polynomial with coefficients up to this."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the head, its affine and where the head lies in it against the bSSFP scan."""

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    pose: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The mean bSSFP magnitude of a head, its brain, and the same head in other scans."""

    fixed: Image
    brain: NDArray[np.float64]
    others: dict[str, Image]

    def error(self, name: str, transform: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far a transform puts every point of the brain from where it is [mm]."""
        return np.linalg.norm((self.brain @ (np.asarray(transform) - self.others[name].pose).T)[:, :3], axis=1)


def draw_pose(number: int) -> Pose:
    """Return motion between two scans: 2 to 10 mm in a random direction, up to 5° about every axis."""
    rng = np.random.default_rng([number, 11])
    direction = rng.standard_normal(3)
    shift = direction / np.linalg.norm(direction) * rng.uniform(2.0, 10.0)
    return Pose(translation=tuple(shift.tolist()), rotation=tuple(np.deg2rad(rng.uniform(-5.0, 5.0, 3)).tolist()))


@cache
def scene(number: int) -> Scene:
    """Return a head with its scans; every scan has motion of its own."""
    head = build_head(subject=1 + number, seed=0)
    session = simulate_session(
        head,
        matrix=MATRIX,
        voxel_size=VOXEL,
        protocol=simulated_protocol(phase_cycles=6),
        snr=25.0,
        motion=0.0,
        with_b1=False,
        rng=np.random.default_rng([number, 1]),
        threads=1,
    )
    fixed = np.abs(session.cycles).mean(axis=3)
    brain = np.argwhere(session.truth.brain)
    points = np.column_stack([brain, np.ones(len(brain))]) @ session.grid.affine.T
    others = {
        "CEST M0": cest_m0(head, session, draw_pose(10 * number), number),
        "B1 anatomical": b1_anatomical(head, session, draw_pose(10 * number + 1), number),
        "T1w": t1w(head, session, draw_pose(10 * number + 2), number),
    }
    sensed = sensitivity(session.grid.shape, number + 7)
    return Scene(
        fixed=Image(data=(fixed * sensed).astype(np.float32), affine=session.grid.affine, pose=np.eye(4)),
        brain=points[::7],
        others=others,
    )


def sensitivity(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Return a smooth receive sensitivity."""
    x, y, z = np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in shape), indexing="ij")
    c = SENSITIVITY * np.random.default_rng([seed, 3]).uniform(-1.0, 1.0, 6)
    return np.exp(c[0] * x + c[1] * y + c[2] * z + c[3] * x * x + c[4] * y * y + c[5] * z * z).astype(np.float32)


def cest_m0(head: Head, session: Session, pose: Pose, seed: int) -> Image:
    """Return the image of full signal of a CEST scan of the same voxels, shifted by half of one."""

    def signal(sample: Sample, points: Points) -> NDArray[np.complex64]:
        values = sample.m0 * np.sin(sample.b1 * CEST_FLIP_ANGLE)
        return (values * np.exp(1j * receiver_phase(points, coefficients=session.receiver)))[:, None]

    shifted = session.grid.affine.copy()
    shifted[:3, 3] += 1.0
    grid = replace(session.grid, affine=shifted)
    image = acquire(
        head,
        grid=grid,
        placement=pose.matrix @ session.placement,
        signal=signal,
        volumes=1,
        factor=oversampling(VOXEL),
        threads=1,
    )[..., 0]
    add_noise(image, stdev=0.8 * math.sin(CEST_FLIP_ANGLE) / 50.0, rng=np.random.default_rng([seed, 21]))
    return Image(data=np.abs(image) * sensitivity(image.shape, seed + 17), affine=grid.affine, pose=pose.matrix)


def b1_anatomical(head: Head, session: Session, pose: Pose, seed: int) -> Image:
    """Return the anatomical image of a B1 scan: 5 mm, oblique."""
    skin = session.placement[:3, :3] @ head.surface_points() + session.placement[:3, 3:]
    scan = scan_b1(
        head,
        grid=coarse_grid(head=skin, voxel_size=VOXEL, motion=12.0),
        placement=pose.matrix @ session.placement,
        receiver=session.receiver,
        snr=25.0,
        rng=np.random.default_rng([seed, 22]),
        threads=1,
    )
    data = scan.anatomical * sensitivity(scan.anatomical.shape, seed + 27)
    return Image(data=data, affine=scan.grid.affine, pose=pose.matrix)


def t1w(head: Head, session: Session, pose: Pose, seed: int) -> Image:
    """Return a T1-weighted image of 1.2 mm."""
    placed = replace(session, placement=pose.matrix @ session.placement)
    scan = scan_t1w(head, session=placed, motion=0.0, entropy=(seed, 23), threads=1)
    data = scan.image * sensitivity(scan.image.shape, seed + 37)
    return Image(data=data.astype(np.float32), affine=scan.grid.affine, pose=pose.matrix)


def registration() -> list[Row]:
    """Errors of rigid registrations between scans, mirrored scans, and a head in the template."""
    rows: list[Row] = []
    names = tuple(scene(0).others)
    found = {name: [_register(scene(number), name) for number in range(HEADS)] for name in names}
    for name, bar in (("CEST M0", 0.3), ("B1 anatomical", None), ("T1w", None)):
        errors = [scene(number).error(name, found[name][number].transform).mean() for number in range(HEADS)]
        header = [scene(number).error(name, np.eye(4)).mean() for number in range(HEADS)]
        rows.append(
            Row(
                figure=f"bSSFP → {name} registration, error in the brain, worst of {HEADS} heads",
                unit="mm",
                bar=bar,
                value=float(max(errors)),
                baseline=f"header alone {max(header):.2f} mm",
            )
        )
    plain = [each.quality.mirrored for name in names for each in found[name]]
    mirrored = list(_mirrored(names))
    rows.append(
        Row(
            figure="mirrored scans refused",
            unit="%",
            bar=AtLeast(100.0),
            value=100.0 * float(np.mean(mirrored)),
            baseline="0 % before: the mirror image was registered in silence",
        )
    )
    rows.append(
        Row(
            figure="mutual information with the mirror image over that with the scan, worst",
            unit="",
            bar=MIRROR_DOUBT,
            value=float(max(plain)),
            baseline="1 would be a head that is its own mirror image",
        )
    )
    return rows


def template() -> list[Row]:
    """A T1w image in the template inside nilearn."""
    head = scene(0).others["T1w"]
    brain = find_mask(head.data, affine=head.affine).mask
    with tempfile.TemporaryDirectory() as folder:
        made = register_to_template(head.data, brain=brain, affine=head.affine, folder=Path(folder))
    return [
        Row(
            figure="T1w in MNI152NLin2009aSym, correlation with the template inside the brain",
            unit="",
            bar=None,
            value=made.correlation[1],
            baseline=f"affine alone {made.correlation[0]:.3f}",
        ),
        Row(
            figure="T1w in MNI152NLin2009aSym, Dice of the brains",
            unit="",
            bar=AtLeast(0.95),
            value=made.overlap[1],
            baseline=f"affine alone {made.overlap[0]:.3f}",
        ),
    ]


def _register(each: Scene, name: str) -> ScanRegistration:
    other = each.others[name]
    return register_scans(
        each.fixed.data, fixed_affine=each.fixed.affine, moving=other.data, moving_affine=other.affine
    )


def _mirrored(names: tuple[str, ...]) -> Iterator[bool]:
    """Yield for every kind of scan whether its mirror image is refused."""
    for name in names:
        each = scene(0)
        other = each.others[name]
        flipped = replace(other, data=np.ascontiguousarray(other.data[::-1]))
        try:
            _register(replace(each, others={name: flipped}), name)
        except RegistrationFailed as error:
            yield "left and right" in str(error)
        else:
            yield False
