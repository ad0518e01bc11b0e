"""Head motion: what a still head is said to do, what is left of a moving one, and what it costs in T1, T2 and time."""

from __future__ import annotations

import dataclasses
import os
import resource
import time

import numpy as np
from numpy.typing import NDArray
from rows import Row

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.phantom.scans import acquisition
from qmri_bids.phantom.scans.cest import CEST_SCANS, scan_cest
from qmri_bids.phantom.scans.mt import MT_SCANS, scan_mt
from qmri_bids.phantom.scans.series import Scanner
from qmri_bids.phantom.scans.session import Session, simulate_session, simulated_protocol
from qmri_bids.preprocessing.calibration.cycles import calibrate_cycles
from qmri_bids.preprocessing.gibbs.apodization import apodize
from qmri_bids.preprocessing.motion.phase_cycles import correct_motion
from qmri_bids.preprocessing.motion.saturated import correct_saturated_motion
from qmri_bids.preprocessing.motion.scan_series import align_scans
from qmri_bids.preprocessing.registration.ants_bridge import Schedule, deterministic_pool, register

PROTOCOL = simulated_protocol(phase_cycles=12)
PROCESSES = 2
NEAR_WATER = 1.0
"""Offsets within this are near water [ppm]."""
BASELINE_CYCLES = (0, 3)
"""Cycles that a plain registration is measured on: it takes a minute each."""
RIGID = Schedule(iterations=(1000, 500, 100), shrink_factors=(4, 2, 1), smoothing=(2, 1, 0), sampling_rate=0.25)


def session(*, motion: float, banding: bool = True, voxel_size: float = 2.0, matrix=(116, 132, 116)) -> Session:
    """Simulate 12 phase cycles at SNR 25; without banding the field is a tenth of what it is."""
    original = acquisition.bssfp_signal

    def flat(sample, points, **known):
        weak = dataclasses.replace(sample, off_resonance=np.float32(0.1) * sample.off_resonance)
        return original(weak, points, **known)

    acquisition.bssfp_signal = original if banding else flat
    try:
        return simulate_session(
            build_head(subject=1, seed=0),
            matrix=matrix,
            voxel_size=voxel_size,
            protocol=PROTOCOL,
            snr=25.0,
            motion=motion,
            with_b1=False,
            rng=np.random.default_rng(3),
            threads=PROCESSES,
        )
    finally:
        acquisition.bssfp_signal = original


def position_errors(
    transforms: NDArray[np.float64],
    truth: NDArray[np.float64],
    *,
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean distance [mm] over the brain between where two sets of transforms put it, shape (N,)."""
    voxels = np.argwhere(brain)[::20]
    points = np.column_stack([voxels, np.ones(len(voxels))]) @ affine.T
    return np.linalg.norm(np.einsum("nij,pj->npi", transforms - truth, points)[..., :3], axis=2).mean(axis=1)


def _errors(scan: Session, transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the errors of all cycles but the reference."""
    truth = np.stack([pose.matrix for pose in scan.poses])
    errors = position_errors(transforms, truth, brain=scan.truth.brain, affine=scan.grid.affine)
    return np.delete(errors, scan.reference)


def _ants_to_middle(cycles: NDArray[np.complex64], affine: NDArray[np.float64], reference: int) -> NDArray[np.float64]:
    """Return what a plain ANTs registration of magnitudes to the middle cycle finds."""
    magnitude = np.abs(cycles)
    transforms = np.tile(np.eye(4), (cycles.shape[3], 1, 1))
    with deterministic_pool(processes=PROCESSES) as pool:
        jobs = {
            index: pool.submit(
                register,
                fixed=magnitude[..., reference],
                fixed_affine=affine,
                moving=magnitude[..., index],
                moving_affine=affine,
                schedule=RIGID,
            )
            for index in BASELINE_CYCLES
        }
        for index, job in jobs.items():
            transforms[index] = job.result()
    return transforms


def phase_cycles() -> list[Row]:
    """False motion of still cycles, error of moved ones, and T1 and T2 after it."""
    size = {"voxel_size": 2.5, "matrix": (92, 104, 92)}
    still, moved = session(motion=0.0, **size), session(motion=2.0, **size)
    flat = session(motion=0.0, banding=False, **size)
    rows, maps = [], {}
    for name, scan in (("banding", still), ("no banding", flat), ("moved", moved)):
        affine = scan.grid.affine
        cycles = apodize(scan.cycles, processes=PROCESSES).volumes
        found = correct_motion(cycles, affine=affine, protocol=PROTOCOL, processes=PROCESSES)
        edges = correct_motion(cycles, affine=affine, processes=PROCESSES)
        maps[name] = (scan, found.cycles)
        errors, before = _errors(scan, found.transforms), _errors(scan, edges.transforms)
        baseline = f"edges alone {before.mean():.3f}"
        if name != "no banding":
            truth = np.stack([pose.matrix for pose in scan.poses])
            plain = position_errors(
                _ants_to_middle(cycles, affine, scan.reference), truth, brain=scan.truth.brain, affine=affine
            )[list(BASELINE_CYCLES)]
            baseline += f", ANTs of {len(plain)} cycles to the middle one {plain.mean():.3f}"
        if name == "moved":
            identity = np.tile(np.eye(4), (12, 1, 1))
            rows.append(
                Row(
                    figure="motion: 12 phase cycles of 2.5 mm, 2 mm and 2°, SNR 25, mean error",
                    unit="mm",
                    bar=0.1,
                    value=float(errors.mean()),
                    baseline=f"{baseline}, not corrected {_errors(scan, identity).mean():.2f}",
                )
            )
            rows.append(
                Row(
                    figure="motion: the same, worst cycle",
                    unit="mm",
                    bar=None,
                    value=float(errors.max()),
                    baseline=f"edges alone {before.max():.3f}",
                )
            )
        else:
            displacement, by_edges = (1e3 * each.framewise_displacement[1:].mean() for each in (found, edges))
            rows.append(
                Row(
                    figure=f"motion: 12 still phase cycles of 2.5 mm, {name}, mean framewise displacement",
                    unit="mm",
                    bar=0.05,
                    value=float(displacement),
                    baseline=f"edges alone {by_edges:.3f}; mean error {errors.mean():.3f} mm ({baseline})",
                )
            )
    return rows + _relaxometry(maps)


def _relaxometry(maps: dict[str, tuple[Session, NDArray[np.complex64]]]) -> list[Row]:
    """Compare T1 and T2 of the moved scan with those of the same scan unmoved."""
    errors: dict[str, dict[str, float]] = {}
    moved = maps["moved"][0]
    uncorrected = (moved, apodize(moved.cycles, processes=PROCESSES).volumes)
    for name, (scan, cycles) in {**maps, "uncorrected": uncorrected}.items():
        truth = scan.truth
        inside = truth.brain & (truth.fractions[Label.GM] + truth.fractions[Label.WM] > 0.99)
        inside[:, :, ::2] = False  # every other slice is enough
        clean = calibrate_cycles(cycles, mask=truth.brain, protocol=PROTOCOL, threads=PROCESSES).cycles
        known = KnownMaps(b1=truth.b1[inside])
        found = MaximumLikelihood(threads=PROCESSES).estimate(clean[inside], protocol=PROTOCOL, known=known).values
        errors[name] = {
            key: float(np.nanmean(np.abs(found[key] / values[inside] - 1.0)))
            for key, values in (("T1", truth.t1), ("T2", truth.t2))
        }
    return [
        Row(
            figure=f"motion: {key} error of the moved scan against the unmoved one",
            unit="×",
            bar=1.5,
            value=errors["moved"][key] / errors["banding"][key],
            baseline=f"{100 * errors['moved'][key]:.2f} % against {100 * errors['banding'][key]:.2f} %, "
            f"uncorrected {100 * errors['uncorrected'][key]:.1f} %",
        )
        for key in ("T1", "T2")
    ]


def saturated_series() -> list[Row]:
    """Z-spectrum, fingerprint and MT pair: still, and the spectrum moved."""
    scan = simulate_session(
        build_head(subject=1, seed=0),
        matrix=(92, 104, 92),
        voxel_size=2.5,
        protocol=simulated_protocol(phase_cycles=4),
        snr=25.0,
        motion=2.0,
        with_b1=False,
        rng=np.random.default_rng(4),
        threads=PROCESSES,
    )
    scanner = Scanner(
        head=build_head(subject=1, seed=0),
        grid=scan.grid,
        placement=scan.placement,
        receiver=scan.receiver,
        threads=PROCESSES,
    )
    affine, rows = scan.grid.affine, []
    designs = {"Z-spectrum": CEST_SCANS["zspectrum"][0], "fingerprint": CEST_SCANS["mrf"][0]}
    for name, motion in (("Z-spectrum", 0.0), ("fingerprint", 0.0), ("Z-spectrum", 2.0)):
        design = designs[name]
        found = scan_cest(design, scanner=scanner, motion=motion, snr=100.0, rng=np.random.default_rng(7))
        offsets = design.protocol.offsets
        roles = ["m0" if image.saturation is None else "cest" for image in design.protocol.images]
        result = correct_saturated_motion(
            found.images, affine=affine, roles=roles, offsets=offsets, processes=PROCESSES
        )
        poses = np.stack([pose.matrix for pose in found.poses])
        truth = poses @ np.linalg.inv(poses[result.reference])
        errors = np.delete(
            position_errors(result.transforms, truth, brain=found.truth.brain, affine=affine), result.reference
        )
        if motion:
            identity = np.tile(np.eye(4), (len(poses), 1, 1))
            plain = position_errors(identity, truth, brain=found.truth.brain, affine=affine).mean()
            near = sum(each is not None and abs(each) <= NEAR_WATER for each in offsets)
            rows.append(
                Row(
                    figure=f"motion: {name}, {motion:g} mm and {motion:g}°, {near} volumes near water, mean error",
                    unit="mm",
                    bar=0.2,
                    value=float(errors.mean()),
                    baseline=f"worst volume {errors.max():.2f}, not corrected {plain:.2f}",
                )
            )
        else:
            rows.append(
                Row(
                    figure=f"motion: still {name}, mean framewise displacement",
                    unit="mm",
                    bar=0.05,
                    value=float(1e3 * result.framewise_displacement[1:].mean()),
                    baseline=f"mean error {errors.mean():.3f} mm, worst {errors.max():.3f}",
                )
            )
    name, design = next(iter(MT_SCANS.items()))
    pair = scan_mt(design, scanner=scanner, motion=0.0, snr=100.0, rng=np.random.default_rng(8)).scan
    displacement = align_scans(pair.images, affine=affine).framewise_displacement
    rows.append(
        Row(
            figure=f"motion: still MT pair ({name}), mean framewise displacement",
            unit="mm",
            bar=0.05,
            value=float(1e3 * displacement[1:].mean()),
            baseline=f"{pair.images.shape[3]} images",
        )
    )
    return rows


def full_size() -> list[Row]:
    """Time of the motion correction of 12 cycles of 176 × 176 × 128 voxels."""
    scan = session(motion=0.0, voxel_size=1.3, matrix=(176, 176, 128))
    cycles = apodize(scan.cycles, processes=PROCESSES).volumes
    before, start = _cpu(), time.monotonic()
    found = correct_motion(cycles, affine=scan.grid.affine, protocol=PROTOCOL, processes=PROCESSES)
    wall, cpu = time.monotonic() - start, _cpu() - before
    load = os.getloadavg()[0]
    return [
        Row(
            figure="motion: 12 cycles of 176×176×128, 2 processes, time",
            unit="min",
            bar=3.0,
            value=wall / 60.0,
            baseline=f"CPU time {cpu / 60.0:.1f} min, load of the machine {load:.1f}; mean framewise displacement "
            f"{1e3 * found.framewise_displacement[1:].mean():.3f} mm",
        )
    ]


def _cpu() -> float:
    return sum(
        each.ru_utime + each.ru_stime
        for each in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
