"""Gibbs ringing: how much of it each method removes against a truth without ringing, its bias inside tissue, and its time."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray
from preprocessing_motion import PROCESSES, PROTOCOL, session
from rows import AtLeast, Row
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.phantom.scans.acquisition import acquire, bssfp_signal
from qmri_bids.phantom.scans.session import Session
from qmri_bids.preprocessing.gibbs.k_space_edge import k_space_edge
from qmri_bids.preprocessing.gibbs.methods import GIBBS_METHODS, remove_ringing

FINER = 3
"""The truth is acquired at voxels so many times smaller, whose ringing averages out over the voxel."""
LOOKED_AT = (1, 6)
"""Cycles in which ringing is measured."""
AWAY = (2.0, 6.0)
"""Distance from an edge, in voxels, within which ringing is measured: nearer, resolution differs and not ringing."""
EDGE = 0.5
"""A voxel whose neighbourhood spans more than this share of the typical signal of the head is an edge."""
NAMES = {"subvoxel": "default (local subvoxel shifts)", "apodization": "taper"}
BIAS = {"subvoxel": 1.0, "apodization": 0.2}
MINUTES = {"subvoxel": 1.5, "apodization": 4.0}
INTERIOR = 2.0
"""Distance from every other tissue [voxels] where bias is measured."""


def _images(scan: Session, *, factor: int, cycles: tuple[int, ...]) -> NDArray[np.complex64]:
    """Return noise-free images of voxels divided by `factor`, averaged over the voxels of the scan."""
    grid = scan.grid.finer(factor)
    images = acquire(
        build_head(subject=1, seed=0),
        grid=grid,
        placement=scan.placement,
        signal=partial(bssfp_signal, protocol=PROTOCOL, cycles=cycles, receiver=scan.receiver),
        volumes=len(cycles),
        factor=2 if factor == 1 else 1,
        threads=PROCESSES,
    )
    if factor == 1:
        return images
    x, y, z = scan.grid.shape
    return images.reshape(x, factor, y, factor, z, factor, -1).mean(axis=(1, 3, 5))


def gibbs() -> list[Row]:
    """Measure each method on heads without noise, ringing at 3 mm and bias at 2.5 mm."""
    scan = session(motion=0.0, voxel_size=3.0, matrix=(72, 80, 72))
    rung = _images(scan, factor=1, cycles=tuple(range(12)))
    truth = _images(scan, factor=FINER, cycles=LOOKED_AT)
    magnitude = np.abs(truth).mean(axis=3)
    typical = np.median(magnitude[scan.truth.brain])
    span = maximum_filter(magnitude, 3) - minimum_filter(magnitude, 3)
    distance = distance_transform_edt(span < EDGE * typical)
    near = (distance >= AWAY[0]) & (distance <= AWAY[1])
    cleaned = {name: remove(rung, (0, 1, 2), PROCESSES).volumes for name, remove in GIBBS_METHODS.items()}
    before = _energy(rung[..., LOOKED_AT], truth, near)
    removed = {
        name: 100.0 * (1.0 - _energy(images[..., LOOKED_AT], truth, near) / before) for name, images in cleaned.items()
    }
    rows = [
        Row(
            figure=f"Gibbs: energy of ringing 2 to 6 voxels from edges removed, {NAMES[name]}",
            unit="%",
            bar=AtLeast(60.0),
            value=removed[name],
            baseline=f"ringing before {100 * np.sqrt(before) / typical:.1f} % of brain (rms)",
        )
        for name in GIBBS_METHODS
    ]
    inner = session(motion=0.0, voxel_size=2.5, matrix=(92, 104, 92))  # finer: tissue has an interior
    rung = _images(inner, factor=1, cycles=tuple(range(12)))
    bias = {"none": _bias(inner, rung)}
    for name, remove in GIBBS_METHODS.items():
        bias[name] = _bias(inner, remove(rung, (0, 1, 2), PROCESSES).volumes)
    for name in GIBBS_METHODS:
        for key in ("T1", "T2"):
            rows.append(
                Row(
                    figure=f"Gibbs: bias of {key} inside tissue, {NAMES[name]}",
                    unit="%",
                    bar=BIAS[name],
                    value=bias[name][key],
                    baseline=f"none {bias['none'][key]:.2f}; voxelwise error {bias[name][key + ' voxelwise']:.2f}, "
                    f"none {bias['none'][key + ' voxelwise']:.2f}",
                )
            )
    edge = k_space_edge(scan.cycles)
    rows.append(
        Row(
            figure="Gibbs: axes of the simulated scan (SNR 25) taken for zero-filled or filtered",
            unit="",
            bar=0.0,
            value=float(3 - len(edge.axes_left)),
            baseline=f"power at the edge {min(edge.edge_power):.2f} of that further in; limit 0.1",
        )
    )
    return rows


def _energy(images: NDArray[np.complex64], truth: NDArray[np.complex64], where: NDArray[np.bool_]) -> float:
    return float(np.mean(np.abs(images[where] - truth[where]) ** 2))


def _bias(scan: Session, cycles: NDArray[np.complex64]) -> dict[str, float]:
    """Return how far medians of T1 and T2 inside white or grey matter are off, the larger one, and the voxelwise error [%]."""
    truth = scan.truth
    found: dict[str, float] = {"T1": 0.0, "T2": 0.0}
    inside = np.zeros(truth.brain.shape, dtype=bool)
    tissues = []
    for label in (Label.WM, Label.GM):
        pure = truth.fractions[label] > 0.999
        deep = distance_transform_edt(pure) >= INTERIOR
        if np.count_nonzero(deep) >= 50:
            tissues.append(deep)
            inside |= deep
    known = KnownMaps(b1=truth.b1[inside])
    values = MaximumLikelihood(threads=PROCESSES).estimate(cycles[inside], protocol=PROTOCOL, known=known).values
    for key, true in (("T1", truth.t1), ("T2", truth.t2)):
        ratio = np.full(inside.shape, np.nan)
        ratio[inside] = values[key] / true[inside]
        found[key] = max(100.0 * abs(float(np.nanmedian(ratio[deep])) - 1.0) for deep in tissues)
        found[f"{key} voxelwise"] = 100.0 * float(np.nanmean(np.abs(ratio[inside] - 1.0)))
    return found


def gibbs_time() -> list[Row]:
    """Time of both methods at full size."""
    rng = np.random.default_rng(0)
    shape = (176, 176, 128, 12)
    cycles = rng.standard_normal(shape, dtype=np.float32) + 1j * rng.standard_normal(shape, dtype=np.float32)
    rows = []
    for name in GIBBS_METHODS:
        remove_ringing(cycles[:32, :32, :32], method=name, processes=PROCESSES)  # what is compiled once
        start, before = time.monotonic(), time.process_time()
        remove_ringing(cycles, method=name, processes=PROCESSES)
        rows.append(
            Row(
                figure=f"Gibbs: 12 cycles of 176×176×128, 2 threads, time, {NAMES[name]}",
                unit="min",
                bar=MINUTES[name],
                value=(time.monotonic() - start) / 60.0,
                baseline=f"CPU time {(time.process_time() - before) / 60.0:.2f}",
            )
        )
    return rows
