"""The whole program on what is no human head: spheres of known times, a cylinder, a macaque, and one slice of every scan."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rows import Row
from scipy.ndimage import distance_transform_edt

from qmri_bids.phantom.scans.acquisition import noise_stdev
from qmri_bids.phantom.signals.steady_state import balanced_signal

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from real_heads import MISSING, real_heads

BIN = Path(sys.executable).parent
SNR = 25.0
BOUND = 15.0
"""Bound of one voxel [%] up to which a sphere's median is held to the bar."""
INTERIOR = 2.0
"""Distance from the wall of a sphere [voxels] from which a voxel counts."""
FREQUENCIES = np.linspace(-100.0, 100.0, 41)
"""[Hz], over which the bound is averaged."""
NOT_DONE = ("was not", "were not", "not assessed", "no tissues", "not told apart")
"""How a report says what was not done."""


def _simulate(folder: Path, *arguments: object) -> Path:
    command = [str(BIN / "qmri-tools"), "simulate", str(folder), *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def _process(bids: Path, out: Path, *arguments: object) -> tuple[int, str, float]:
    start = time.monotonic()
    command = [BIN / "qmri_bids", bids, out, "participant", "--work-dir", f"{out}-work", "--skip-bids-validation"]
    done = subprocess.run(
        [str(argument) for argument in (*command, *arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def _image(path: Path) -> NDArray[np.float32]:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def bound(t1: float, t2: float, *, cycles: int = 12) -> dict[str, float]:
    """Return the Cramér-Rao bound of one voxel [%], mean over off-resonance, of the signals of the phantom."""
    increments = (2.0 * np.arange(1, cycles + 1) - 1.0) * math.pi / cycles
    sd = noise_stdev(SNR)

    def signal(values: NDArray[np.float64], frequency: float) -> NDArray[np.float64]:
        amplitude, phase, first, second, shift = values
        found = balanced_signal(
            np.array([first], dtype=np.float64).astype(np.float32),
            np.array([second], dtype=np.float64).astype(np.float32),
            np.ones(1, dtype=np.float32),
            np.array([frequency + shift], dtype=np.float32),
            np.array([amplitude * np.exp(1j * phase)], dtype=np.complex64),
            4.8e-3,
            2.4e-3,
            math.radians(15.0),
            increments,
        )[0].astype(np.complex128)
        return np.concatenate([found.real, found.imag])

    sums = {"T1": 0.0, "T2": 0.0}
    for frequency in FREQUENCIES:
        at = np.array([1.0, 0.3, t1, t2, 0.0])
        steps = np.array([1e-2, 1e-2, 1e-2 * t1, 1e-2 * t2, 0.5])
        columns = []
        for index, step in enumerate(steps):
            up, down = at.copy(), at.copy()
            up[index] += step
            down[index] -= step
            columns.append((signal(up, frequency) - signal(down, frequency)) / (2.0 * step))
        jacobian = np.stack(columns, axis=1) / sd
        scale = np.linalg.norm(jacobian, axis=0)
        inverse = np.linalg.inv((jacobian / scale).T @ (jacobian / scale))
        variance = np.diag(inverse) / scale**2
        sums["T1"] += 100.0 * math.sqrt(variance[2]) / t1
        sums["T2"] += 100.0 * math.sqrt(variance[3]) / t2
    return {name: value / len(FREQUENCIES) for name, value in sums.items()}


def spheres() -> list[Row]:
    """Medians of T1 and T2 of fourteen spheres, from files to maps."""
    with tempfile.TemporaryDirectory() as temporary:
        bids = _simulate(Path(temporary) / "bids", "--phantom", "spheres", "--snr", SNR, "--motion", 0.3, "--seed", 8)
        out = Path(temporary) / "out"
        code, text, _ = _process(bids, out, "--mask-method", "object")
        if code != 0:
            raise SystemExit(text)
        truth = bids / "derivatives" / "truth" / "sub-01" / "anat"
        stem = "sub-01_acq-pcbssfp"
        labels = _image(next(truth.glob("*_dseg.nii.gz")))
        maps = {name: _image(out / "sub-01" / "anat" / f"{stem}_{name}map.nii.gz") for name in ("T1", "T2")}
        true = {name: _image(truth / f"{stem}_{name}map.nii.gz") for name in ("T1", "T2")}
        worst, told, fewest, beyond = {"T1": 0.0, "T2": 0.0}, {"T1": [], "T2": []}, math.inf, []
        for index in range(1, 15):
            own = labels == index
            fewest = min(fewest, np.count_nonzero(own))
            inside = distance_transform_edt(own) >= INTERIOR
            limits = bound(float(np.median(true["T1"][inside])), float(np.median(true["T2"][inside])))
            for name in ("T1", "T2"):
                error = 100.0 * (np.nanmedian(maps[name][inside]) / np.median(true[name][inside]) - 1.0)
                held = limits[name] <= BOUND
                told[name].append(f"{error:+.1f}" + ("" if held else f" (bound {limits[name]:.0f} %)"))
                if held:
                    worst[name] = max(worst[name], abs(float(error)))
                else:
                    beyond.append(f"{name} of sphere {index}")
    rows = [
        Row(
            figure=f"spheres, median {name} where the bound of one voxel is at most {BOUND:g} %: worst error",
            unit="%",
            bar=2.0,
            value=worst[name],
            baseline="from the longest times to the shortest " + ", ".join(told[name]),
        )
        for name in ("T1", "T2")
    ]
    rows.append(
        Row(
            figure="spheres, voxels of the smallest",
            unit="",
            bar=None,
            value=float(fewest),
            baseline=f"not held to the bar: {', '.join(beyond) or 'none'}",
        )
    )
    return rows


def whole_program() -> list[Row]:
    """Exit codes, maps and what the report says of what was not done, on what is no human head."""
    files = real_heads()
    if files is None:
        raise FileNotFoundError(MISSING)
    one_slice = ("--slices", 1, "--slice-thickness", 5, "--cut")
    scans = ("--cest", "mrf", "aptw", "zspectrum", "--mt", "mtr", "mts", "--wasabi", "--t1w")
    cases: dict[str, tuple[tuple[object, ...], tuple[object, ...]]] = {
        "cylinder": (("--phantom", "cylinder", "--voxel-size", 3), ("--mask-method", "object")),
        "macaque": (("--anatomy", files.macaque, "--voxel-size", 1.0), ()),
        "one slice of every scan of a head": ((*one_slice, *scans, "--motion", 1), ()),
    }
    rows = []
    for name, (made, asked) in cases.items():
        with tempfile.TemporaryDirectory() as temporary:
            bids = _simulate(Path(temporary) / "bids", *made, "--seed", 5)
            out = Path(temporary) / "out"
            code, text, seconds = _process(bids, out, *asked)
            record = json.loads(next((out / "sub-01" / "log").glob("*record*.json")).read_text()) if code == 0 else {}
            runs = record.get("runs", [])
            maps = list(out.rglob("*map.nii.gz"))
            page = (out / "sub-01.html").read_text() if (out / "sub-01.html").is_file() else ""
            said = sum(page.count(words) for words in NOT_DONE)
            if code != 0:
                print(text[-3000:])
        rows.append(
            Row(
                figure=f"the whole program on {name}: exit code",
                unit="",
                bar=0.0,
                value=float(code) if maps and said else 1.0,
                baseline=f"{len(runs)} runs, {len(maps)} maps, the report says {said} times what was not done; {seconds:.0f} s",
            )
        )
    return rows
