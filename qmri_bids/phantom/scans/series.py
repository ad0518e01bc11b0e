"""A series of magnitude images whose contrast differs from volume to volume, of a head that drifts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.head import Head, Sample, posed
from qmri_bids.phantom.heads.tissues import Tissue
from qmri_bids.phantom.heads.volume import Points
from qmri_bids.phantom.scans.acquisition import acquire, add_noise, oversamplings
from qmri_bids.phantom.scans.semisolid import Semisolid
from qmri_bids.phantom.signals.saturation import TissueSignal
from qmri_bids.phantom.signals.spline_table import Values

DRIFT_STEP = 0.25
"""Largest step of the head from volume to volume, against the range it stays in."""


class SignalsOfTissues(Mapping[int, TissueSignal]):
    """Signals by tissue, each computed when the first of its spins is met: tables of what is not there take no time.

    Parameters
    ----------
    tissues
        Tissues by label.
    build
        Function from label and tissue to its signal.
    """

    def __init__(self, tissues: Mapping[int, Tissue], build: Callable[[int, Tissue], TissueSignal]) -> None:
        self._tissues, self._build = tissues, build
        self._built: dict[int, TissueSignal] = {}
        self._lock = Lock()

    def __getitem__(self, label: int) -> TissueSignal:
        with self._lock:  # several slabs meet a tissue at once
            if label not in self._built:
                self._built[label] = self._build(label, self._tissues[label])
            return self._built[label]

    def __iter__(self) -> Iterator[int]:
        return iter(self._tissues)

    def __len__(self) -> int:
        return len(self._tissues)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """What every tissue gives in every volume.

    Parameters
    ----------
    signals
        Signals by label of the tissue: Z before the excitation, or the signal that M0 = 1 gives.
    readout
        Nominal flip angle of the excitation that reads Z [rad]: the signal is Z sin(B1 α). None: the signals hold it already.
    volumes
        Number of volumes.
    semisolid
        The semisolid pools, with which free water has another T1 than an inversion recovery finds; None where both are the same.
    """

    signals: Mapping[int, TissueSignal]
    readout: float | None
    volumes: int
    semisolid: Semisolid | None = None

    def of(
        self, sample: Sample, points: Points, *, volumes: tuple[int, ...], receiver: NDArray[np.float64]
    ) -> NDArray[np.complex64]:
        """Return the signal of n spins in some volumes, shape (n, len(volumes))."""
        off_resonance = sample.off_resonance + sample.chemical_shift
        out = np.zeros((len(sample.label), len(volumes)), dtype=np.float32)
        for label in np.unique(sample.label).tolist():
            signal = self.signals[label]
            here = np.flatnonzero(sample.label == label)
            values: dict[str, Values] = {"t1": sample.t1, "t2": sample.t2, "b1": sample.b1}
            local = {name: each[here] for name, each in values.items()}
            if self.semisolid is not None:
                local["t1"] = self.semisolid.free_t1(label, local["t1"])
            for column, volume in enumerate(volumes):
                out[here, column] = signal.z(volume, **local, off_resonance=off_resonance[here])
        phase = receiver_phase(points, coefficients=receiver).astype(np.float32)
        scale = sample.m0 * (np.cos(phase) + np.complex64(1j) * np.sin(phase))
        if self.readout is not None:
            scale = scale * np.sin(np.float32(self.readout) * sample.b1)
        signal_of_spins: NDArray[np.complex64] = (scale[:, None] * out).astype(np.complex64)
        return signal_of_spins


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """What all scans of a session share.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the scan; each is divided into `acquisition.oversamplings` points along every axis (two at 2 mm).
    placement
        Matrix from coordinates of the head to RAS [mm] in the reference cycle of the bSSFP scan, shape (4, 4).
    receiver
        Coefficients of the receiver phase.
    threads
        Slabs worked on at once; the images do not depend on it.
    semisolid
        Semisolid pools that the bSSFP scan met, too; None for those of `heads.pools`, of which bSSFP knows nothing.
    """

    head: Head
    grid: Grid
    placement: NDArray[np.float64]
    receiver: NDArray[np.float64]
    threads: int
    semisolid: Semisolid | None = None

    def images(self, contrast: Contrast, *, pose: Pose, volumes: tuple[int, ...]) -> NDArray[np.complex64]:
        """Return complex images without noise of a head at rest in a pose against the bSSFP scan, shape (x, y, z, volumes)."""
        return acquire(
            posed(self.head, placement=self.placement, motion=pose.matrix),
            grid=self.grid,
            placement=pose.matrix @ self.placement,
            signal=partial(contrast.of, volumes=volumes, receiver=self.receiver),
            volumes=len(volumes),
            factor=oversamplings(self.grid),
            threads=self.threads,
        )

    def series(
        self, contrast: Contrast, *, poses: tuple[Pose, ...], noise: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return magnitudes with noise, shape (x, y, z, volumes).

        Parameters
        ----------
        contrast
            What is seen.
        poses
            Poses of the head in every volume, against the bSSFP scan.
        noise
            Standard deviation in real and imaginary part.
        rng
            Source of the noise.
        """
        magnitudes = np.empty((*self.grid.shape, contrast.volumes), dtype=np.float32)
        groups: dict[Pose, list[int]] = {}
        for volume, pose in enumerate(poses):
            groups.setdefault(pose, []).append(volume)
        for pose, volumes in groups.items():
            found = self.images(contrast, pose=pose, volumes=tuple(volumes))
            for column, volume in enumerate(volumes):
                add_noise(found[..., column], stdev=noise, rng=rng)
                magnitudes[..., volume] = np.abs(found[..., column])
        return magnitudes


def drift(*, number: int, motion: float, rng: np.random.Generator) -> tuple[Pose, ...]:
    """Return a random walk of the head that stays within ±`motion` millimetres and degrees, wherever it begins.

    Parameters
    ----------
    number
        Number of volumes.
    motion
        Range of every translation [mm] and rotation [degrees].
    rng
        Source of randomness.
    """
    walk = np.empty((number, 6))
    walk[0] = rng.uniform(-motion, motion, size=6)
    for volume in range(1, number):
        step = walk[volume - 1] + DRIFT_STEP * rng.uniform(-motion, motion, size=6)
        # Reflected at the ends of the range.
        walk[volume] = np.where(np.abs(step) > motion, 2.0 * np.copysign(motion, step) - step, step)
    walk[:, 3:] = np.deg2rad(walk[:, 3:])
    return tuple(Pose(translation=tuple(row[:3].tolist()), rotation=tuple(row[3:].tolist())) for row in walk)
