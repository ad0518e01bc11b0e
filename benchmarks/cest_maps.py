"""The parts of the CEST and MT benchmark that are about maps: the Lorentzian fit alone, and the digital brain end to end.

Run by `cest_physics.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from rows import AtLeast, Row
from scipy.optimize import least_squares

from qmri_bids.estimation.spectra.lorentzian.fit import fit_lorentzian
from qmri_bids.estimation.spectra.lorentzian.maps import pool_estimates
from qmri_bids.estimation.spectra.lorentzian.pools import POOLS
from qmri_bids.physics.saturation_presets import multipool_3t_001
from qmri_bids.physics.zspectrum import lorentzian_spectrum

BIN = Path(sys.executable).parent
OFFSETS = np.array([each for each in multipool_3t_001().offsets if each is not None and abs(each) < 150.0])[:54]
NOISE = 0.01
GREY, WHITE = 1, 2


def five_pools(number: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return amplitudes and noise-free spectra over the ranges of brain at 3 T and low power."""
    rng = np.random.default_rng(seed)
    ranges = {
        "amplitude": ((0.7, 0.9), (0.05, 0.2), (0.02, 0.06), (0.03, 0.1), (0.01, 0.04)),
        "width": ((1.0, 2.0), (25, 60), (1.0, 2.5), (2.0, 5.0), (1.0, 2.5)),
        "position": ((-0.3, 0.3), (-2.5, -2.5), (3.5, 3.5), (-3.5, -3.5), (2.0, 2.0)),
    }
    truth = {name: np.stack([rng.uniform(*row, number) for row in rows], axis=1) for name, rows in ranges.items()}
    return truth["amplitude"], lorentzian_spectrum(OFFSETS, **truth)


def lorentzian() -> list[Row]:
    """Five pools at 54 offsets: exactness, speed on one thread, and the spread against the stated uncertainty."""
    amplitude, z = five_pools(20_000, seed=3)
    fit_lorentzian(z[:100], offsets=OFFSETS)  # compiled before it is timed
    fit = fit_lorentzian(z, offsets=OFFSETS)
    worst = np.abs(fit.parameters[:, 1::3] / amplitude - 1.0).max(axis=1)
    noisy = z + NOISE * np.random.default_rng(4).normal(size=z.shape)
    started = time.process_time()
    found = fit_lorentzian(noisy, offsets=OFFSETS)
    rate = len(z) / (time.process_time() - started)
    few = 100
    started = time.process_time()
    for spectrum in noisy[:few]:
        _scipy_fit(spectrum)
    scipy_rate = few / (time.process_time() - started)
    estimates = pool_estimates(found)
    amide = estimates["amide"]
    place = list(POOLS).index("amide")
    pull = (amide.values["amplitude"] - amplitude[:, place]) / amide.stdev["amplitude"]
    inside = 100.0 * float(np.mean(np.abs(pull[np.isfinite(pull)]) <= 1.0))
    return [
        Row(
            figure="Lorentzian, 5 pools, 54 offsets, noise-free: worst amplitude of 20,000 voxels",
            unit="%",
            bar=2.0,
            value=100.0 * float(worst.max()),
        ),
        Row(
            figure="Lorentzian, 5 pools, 54 offsets, noise 1 %: voxels a second, one thread, CPU time",
            unit="1/s",
            bar=AtLeast(5000.0),
            value=rate,
            baseline=f"scipy least_squares {scipy_rate:.0f}/s",
        ),
        Row(
            figure="Lorentzian, amide amplitude at noise 1 %: errors within one stated standard deviation",
            unit="%",
            bar=None,
            value=inside,
            baseline="68 of a calibrated one",
        ),
    ]


def _scipy_fit(spectrum: np.ndarray) -> np.ndarray:
    """The same model and bounds by a general library."""
    free = [(k, name) for k, pool in enumerate(POOLS.values()) for name in ("amplitude", "width", "position")]
    rows = [getattr(list(POOLS.values())[k], name) for k, name in free]
    moving = [k for k, row in enumerate(rows) if row.upper > row.lower]
    start = np.array([row.start for row in rows])

    def residual(values: np.ndarray) -> np.ndarray:
        full = start.copy()
        full[moving] = values
        model = lorentzian_spectrum(OFFSETS, amplitude=full[0::3], width=full[1::3], position=full[2::3])
        return np.asarray(model - spectrum)

    bounds = np.array([(rows[k].lower, rows[k].upper) for k in moving]).T
    return np.asarray(least_squares(residual, start[moving], bounds=bounds).x)


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def run(*command: object) -> float:
    """Run a program of the package and return its wall time [s]."""
    started = time.perf_counter()
    subprocess.run([str(BIN / str(command[0])), *map(str, command[1:])], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def process(root: Path, name: str, *scans: str) -> float:
    """Simulate a head with some scans, process these without the pc-bSSFP run, and return the wall time of the processing [s]."""
    run("qmri-tools", "simulate", root / name, *scans, "--seed", 11, "--motion", 0.5)
    for path in (root / name / "sub-01" / "anat").glob("*VFA*"):
        path.unlink()
    options = ("--work-dir", root / f"{name}-work", "--skip-bids-validation", "--nprocs", 2)
    return run("qmri_bids", root / name, root / f"{name}-out", "participant", *options)


def brain() -> list[Row]:
    """The digital brain at 2 mm: WASABI against the truth, and a Z-spectrum of 56 volumes from raw files to report."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        wasabi = process(root, "wasabi", "--wasabi")
        rows = _wasabi_rows(root)
        seconds = process(root, "zspectrum", "--cest", "zspectrum")
        rows.append(
            Row(
                figure="Z-spectrum, 56 volumes of 96×112×96 at 2 mm, raw files to report, 2 processes",
                unit="min",
                bar=10.0,
                value=seconds / 60.0,
                baseline=f"WASABI, 32 volumes: {wasabi / 60.0:.1f} min",
            )
        )
    return rows


def _wasabi_rows(root: Path) -> list[Row]:
    truth, out = root / "wasabi" / "derivatives" / "truth" / "sub-01", root / "wasabi-out" / "sub-01"
    name = "sub-01_acq-WASABI"
    label = load(truth / "anat" / f"{name}_dseg.nii.gz")
    tissue = np.isin(label, (GREY, WHITE))
    b0 = load(out / "fmap" / f"{name}_fieldmap.nii.gz") - load(truth / "fmap" / f"{name}_fieldmap.nii.gz")
    b1 = load(out / "fmap" / f"{name}_TB1map.nii.gz") - load(truth / "fmap" / f"{name}_TB1map.nii.gz")
    share = 100.0 * float(np.mean(np.isfinite(b0[tissue])))
    return [
        Row(
            figure="WASABI on the digital brain (GM, WM, motion 0.5 mm): median error of B0",
            unit="Hz",
            bar=1.0,
            value=float(np.nanmedian(np.abs(b0[tissue]))),
            baseline=f"bias {np.nanmedian(b0[tissue]):+.2f}; {share:.1f} % of voxels have a value",
        ),
        Row(
            figure="WASABI on the digital brain (GM, WM, motion 0.5 mm): median error of B1",
            unit="%",
            bar=1.0,
            value=float(np.nanmedian(np.abs(b1[tissue]))),
            baseline=f"bias {np.nanmedian(b1[tissue]):+.2f}",
        ),
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {"lorentzian": lorentzian, "brain": brain}
