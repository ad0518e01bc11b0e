"""The whole program on heads whose frequency drifts and whose gains scatter, against the same heads without.

    python benchmarks/profiles_app.py [--only 12 6 4]

The heads are drawn by the phantom (its own signal equations), move, and are scanned at SNR 25; each is simulated with and without
`--drift 10 --gain-scatter 1` from the same seed, and processed by the command line. Medians are taken in white matter of the truth
over the classes of θ that hold enough of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rows import Row, run_parts

SEED = 77
SIZE = ("--voxel-size", "3", "--matrix", "64", "76", "64")
DRIFT = ("--drift", "10", "--gain-scatter", "1")
FEWEST = 150
"""Voxels of white matter in a class of θ that counts."""


def _tool(name: str, *arguments: str | Path) -> None:
    path = Path(sys.executable).with_name(name)
    subprocess.run([path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def _image(folder: Path, ending: str) -> NDArray[np.float32]:
    (path,) = sorted(folder.rglob(f"sub-01_*{ending}"))
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def _processed(work: Path, number: int, name: str, *options: str) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    raw, out = work / f"{name}{number}", work / f"{name}{number}-out"
    if not out.is_dir():
        _tool(
            "qmri-tools", "simulate", raw, *SIZE, "--phase-cycles", str(number), "--seed", str(SEED + number), *options
        )
        _tool(
            "qmri_bids",
            raw,
            out,
            "participant",
            "-w",
            work / f"{name}{number}-work",
            "--skip-bids-validation",
            "--nprocs",
            "2",
        )
    anat = out / "sub-01" / "anat"
    maps = {each: _image(anat, f"acq-pcbssfp_{each}map.nii.gz") for each in ("T1", "T2")}
    truth = raw / "derivatives" / "truth" / "sub-01"
    return maps, {
        "white": _image(truth / "anat", "label-WM_probseg.nii.gz") > 0.99,
        "frequency": _image(truth / "fmap", "acq-pcbssfp_fieldmap.nii.gz"),
        "T1": _image(truth / "anat", "acq-pcbssfp_T1map.nii.gz"),
        "T2": _image(truth / "anat", "acq-pcbssfp_T2map.nii.gz"),
    }


def whole(number: int) -> list[Row]:
    """Return the rows of one number of cycles."""
    work = Path(os.environ.get("QMRI_BENCHMARK_WORK") or tempfile.mkdtemp(prefix="profiles-"))
    work.mkdir(parents=True, exist_ok=True)
    plain, truth = _processed(work, number, "plain")
    drifted, _ = _processed(work, number, "drift", *DRIFT)
    turn = (truth["frequency"] * 4.8e-3) % 1.0
    place = np.digitize(turn, np.linspace(0.0, 1.0, 13))
    rows = []
    for name in ("T1", "T2"):
        differences, bias = [], []
        for each in range(1, 13):
            chosen = truth["white"] & (place == each) & np.isfinite(plain[name]) & np.isfinite(drifted[name])
            if np.count_nonzero(chosen) >= FEWEST:
                medians = [float(np.median(maps[name][chosen])) for maps in (drifted, plain)]
                differences.append(100.0 * (medians[0] / medians[1] - 1.0))
                bias.append(100.0 * (medians[1] / float(np.median(truth[name][chosen])) - 1.0))
        rows.append(
            Row(
                figure=f"whole program, drift of 10 Hz with gains, N={number}: medians of {name} against the scan without, worst θ",
                unit="%",
                bar=4.0 if number == 4 else 2.0,
                value=max(abs(each) for each in differences),
                baseline=f"{len(differences)} classes of θ; without drift {min(bias):+.1f}…{max(bias):+.1f} of the truth",
            )
        )
    return rows


if __name__ == "__main__":
    run_parts(
        "profiles", {"12": lambda: whole(12), "6": lambda: whole(6), "4": lambda: whole(4)}, description=__doc__ or ""
    )
