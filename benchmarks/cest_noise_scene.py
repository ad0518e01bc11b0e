"""Series of saturated images of a part of the digital head, with the same series free of noise: the judge of `cest_noise.py`.

Signals are those of the Bloch-McConnell equations by tissue, at the shift of water of every point and at one of three B1, mixed
over eight points a voxel. Noise is complex and white; magnitudes are Rician.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, Saturation, SaturationProtocol
from qmri_bids.physics.saturation_presets import z_spectrum

HERTZ_PER_PPM = 127.7292
SIDE = (*np.arange(4.5, 0.9, -0.25), 0.75, 0.5, 0.25)
OFFSETS = (*(-float(each) for each in SIDE), 0.0, *(float(each) for each in reversed(SIDE)))
"""Of the saturated images [ppm]; one without saturation is before them."""
ROLES = ("m0", *("cest",) * len(OFFSETS))
B1 = (0.8, 1.0, 1.2)
SEMISOLID = {Label.WM: (0.11, 29.0), Label.GM: (0.06, 40.0), Label.MUSCLE: (0.08, 40.0)}
FAT_SHIFT = 3.4


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A series (X, Y, Z, N), the same without noise, its grid, where brain is, and its protocol."""

    series: np.ndarray
    clean: np.ndarray
    grid: Grid
    brain: np.ndarray
    protocol: SaturationProtocol

    @property
    def affine(self) -> np.ndarray:
        return np.asarray(self.grid.affine)


@cache
def head(subject: int):
    return build_head(subject=subject, seed=0)


def protocol() -> SaturationProtocol:
    return z_spectrum(Saturation(pulse=Pulse.block(amplitude=0.8e-6, duration=2.0)), OFFSETS, recovery=3.5)


@cache
def _tables() -> dict[Label, CubicSpline]:
    """Return Z by the offset from water [ppm] and B1 (three columns) of every tissue."""
    dense = np.linspace(-9.0, 9.0, 181)
    design = z_spectrum(Saturation(pulse=Pulse.block(amplitude=0.8e-6, duration=2.0)), dense, recovery=3.5)
    found = {}
    for label in (Label.GM, Label.WM, Label.CSF, Label.FAT, Label.MUSCLE):
        columns = [
            signal_and_jacobian(_model(label), design, replace(VoxelParameters(), b1=each)).signal[1:] for each in B1
        ]
        found[label] = CubicSpline(dense, np.stack(columns, axis=1))
    return found


def _model(label: Label) -> PoolModel:
    water = Water(t1=TISSUES[label].t1, t2=TISSUES[label].t2)
    if label not in SEMISOLID:
        return PoolModel(water=water)
    fraction, rate = SEMISOLID[label]
    return PoolModel(
        water=water,
        cest=(
            CestPool(name="amide", fraction=1.5e-3, rate=100.0, shift=3.5, t2=0.03),
            CestPool(name="NOE", fraction=5e-3, rate=15.0, shift=-3.5, t2=1e-3),
        ),
        mt=MtPool(
            name="MT", fraction=fraction, rate=rate, shift=-2.5, t2=1e-5, t1=1.0,
            form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN,
        ),
    )  # fmt: skip


def slab(*, slices: int, voxel: float, thickness: float, height: float = 20.0) -> Grid:
    """Return axial slices whose middle lies at a height [mm]."""
    shape = (round(190.0 / voxel), round(224.0 / voxel), slices)
    affine = np.diag([voxel, voxel, thickness, 1.0])
    affine[:3, 3] = np.array([0.0, 0.0, height]) - affine[:3, :3] @ (0.5 * (np.array(shape) - 1.0))
    return Grid(shape=shape, affine=affine)


def scan(
    *,
    seed: int,
    noise: float,
    grid: Grid,
    poses: Sequence[Pose] | None = None,
) -> Scene:
    """Return the series of one subject.

    Parameters
    ----------
    seed
        Subject, and seed of the noise.
    noise
        Standard deviation of each channel, relative to white matter without saturation.
    grid
        The slices.
    poses
        Pose of the head in every image; at rest by default.
    """
    subject = head(seed)
    tables = _tables()
    offsets = (None, *OFFSETS)
    poses = [Pose()] * len(offsets) if poses is None else list(poses)
    rng = np.random.default_rng(seed)
    slope = rng.uniform(-0.15, 0.15, 2)
    fine = grid.finer(2)
    shape = grid.shape
    clean = np.zeros((*shape, len(offsets)), dtype=np.float32)
    brain = np.zeros(shape)
    groups: dict[Pose, list[int]] = {}
    for index, pose in enumerate(poses):
        groups.setdefault(pose, []).append(index)
    for pose, members in groups.items():
        inverse = np.linalg.inv(pose.matrix)
        for plane in range(shape[0]):
            points = fine.slab_points(2 * plane, 2 * plane + 2)
            inside, sample = subject.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
            place = points[:, inside] / 100.0
            # B1 and sensitivity stay with the scanner, off-resonance with the head.
            b1 = 1.0 + 0.15 * (0.5 - np.square(place[:2]).sum(axis=0)) + slope @ place[:2]
            gain = 1.0 + 0.2 * place[1] - 0.15 * np.square(place[:2]).sum(axis=0)
            weight = np.clip((b1 - B1[0]) / (B1[2] - B1[0]), 0.0, 1.0) * 2.0
            lower = np.minimum(weight.astype(int), 1)
            part = weight - lower
            shift = sample.off_resonance / HERTZ_PER_PPM
            for index in members:
                signal = sample.m0.astype(float) * gain
                if offsets[index] is not None:
                    for label, table in tables.items():
                        here = sample.label == label
                        fat = FAT_SHIFT if label is Label.FAT else 0.0
                        at = table(np.clip(offsets[index] - shift[here] + fat, -9.0, 9.0))
                        rows = np.arange(len(at))
                        low, high = at[rows, lower[here]], at[rows, lower[here] + 1]
                        signal[here] *= (1.0 - part[here]) * low + part[here] * high
                full = np.zeros(points.shape[1])
                full[inside] = signal
                clean[plane, ..., index] = full.reshape(2, shape[1], 2, shape[2], 2).mean(axis=(0, 2, 4))
            if members[0] == 0:
                full = np.zeros(points.shape[1])
                full[inside] = np.isin(sample.label, (Label.GM, Label.WM, Label.CSF))
                brain[plane] = full.reshape(2, shape[1], 2, shape[2], 2).mean(axis=(0, 2, 4))
    white = float(np.quantile(clean[..., 0][brain > 0.99], 0.4))
    level = noise * white
    draws = rng.standard_normal((2, *clean.shape)).astype(np.float32)
    series = np.hypot(clean + level * draws[0], level * draws[1])
    return Scene(series=series, clean=clean, grid=grid, brain=brain > 0.99, protocol=protocol())
