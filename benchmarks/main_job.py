"""What the main job must show: accuracy, motion, time and memory, each beside a baseline in the same run.

    python benchmarks/main_job.py [--only accuracy motion full help training] [--keep DIR]

Every part prints its rows and saves them in `results/main_job.json`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from rows import Row, save
from scipy.ndimage import distance_transform_edt

PYTHON = sys.executable
BIN = Path(PYTHON).parent
GREY, WHITE = 1, 2
PUBLISHED = {"T1": 6.8, "T2": 7.3}
"""Mean absolute error [%] of the published complex PINN, N = 12, SNR 25, all θ."""
ALLOWANCE = 2.0
"""Points on top for registration and B1."""


def simulate(folder: Path, *arguments: str) -> Path:
    if not folder.exists():
        subprocess.run([BIN / "qmri-tools", "simulate", folder, *arguments], check=True, stdout=subprocess.DEVNULL)
    return folder


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def truth_of(bids: Path) -> dict[str, np.ndarray]:
    anat = bids / "derivatives" / "truth" / "sub-01" / "anat"
    names = {"T1": "T1map", "T2": "T2map", "dseg": "dseg", "CSF": "label-CSF_probseg"}
    return {key: load(anat / f"sub-01_acq-pcbssfp_{name}.nii.gz") for key, name in names.items()}


def process(bids: Path, out: Path, work: Path, *arguments: str) -> None:
    command = [
        BIN / "qmri_bids",
        bids,
        out,
        "participant",
        "--work-dir",
        work,
        "--skip-bids-validation",
        *arguments,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def errors_of(out: Path, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Return errors in percent of the medians by tissue and voxel by voxel; a voxel without a value counts as 100 %."""
    found = {}
    tissue = np.isin(truth["dseg"], (GREY, WHITE))
    # A voxel beside fluid holds fluid too: a seventh of a voxel's signal lies in its neighbours (sinc-like point spread).
    inner = tissue & (distance_transform_edt(truth["CSF"] == 0.0) >= 2.0)
    for name in ("T1", "T2"):
        values = load(out / "sub-01" / "anat" / f"sub-01_acq-pcbssfp_{name}map.nii.gz")
        for label, code in (("WM", WHITE), ("GM", GREY)):
            inside = truth["dseg"] == code
            ratio = np.nanmedian(values[inside]) / np.median(truth[name][inside])
            found[f"{name} median {label}"] = 100.0 * abs(float(ratio) - 1.0)
        relative = np.nan_to_num(np.abs(values / np.maximum(truth[name], 1e-6) - 1.0), nan=1.0)
        found[f"{name} voxelwise"] = 100.0 * float(relative[tissue].mean())
        found[f"{name} voxelwise inner"] = 100.0 * float(relative[inner].mean())
    return found


def accuracy(folder: Path) -> list[Row]:
    """Accuracy of the demo, default estimator beside the others and beside no preprocessing."""
    bids = simulate(folder / "demo")
    truth = truth_of(bids)
    runs = {
        "pinn": (),
        "miracle": ("--bssfp-estimator", "miracle"),
        "linear": ("--bssfp-estimator", "linear"),
        "pinn with taper of k-space": ("--gibbs-method", "apodization"),
        "pinn without calibration": ("--ignore", "calibration"),
        "pinn without any correction": ("--ignore", "motion", "gibbs", "calibration"),
    }
    errors = {}
    for number, (name, arguments) in enumerate(runs.items()):
        process(bids, folder / f"out{number}", folder / "work", *arguments)
        errors[name] = errors_of(folder / f"out{number}", truth)
    default = errors.pop("pinn")

    def beside(key: str) -> str:
        return "; ".join(f"{name} {found[key]:.2f}" for name, found in errors.items())

    rows = []
    for name in ("T1", "T2"):
        for label in ("WM", "GM"):
            key = f"{name} median {label}"
            rows.append(
                Row(
                    figure=f"demo: {name} median in {label} against truth",
                    unit="%",
                    bar=3.0,
                    value=default[key],
                    baseline=beside(key),
                )
            )
    for name in ("T1", "T2"):
        for suffix, where, bar in (
            ("", "WM+GM", PUBLISHED[name] + ALLOWANCE),
            (" inner", "WM+GM, voxels without CSF in them or beside them", PUBLISHED[name] + ALLOWANCE),
        ):
            key = f"{name} voxelwise{suffix}"
            rows.append(
                Row(
                    figure=f"demo: {name} voxelwise mean absolute error in {where}",
                    unit="%",
                    bar=bar,
                    value=default[key],
                    baseline=beside(key),
                )
            )
    return rows


def motion(folder: Path) -> list[Row]:
    """False motion of a motionless head, and motion recovered, at the size of the demo."""
    still = simulate(folder / "still", "--motion", "0")
    moved = simulate(folder / "moved", "--motion", "1")
    no_motion = _displacement(still)
    corrected = _displacement(moved)
    return [
        Row(
            figure="motionless: mean false displacement in the brain",
            unit="mm",
            bar=0.05,
            value=no_motion["mean"],
            baseline="banding moves, the head does not",
        ),
        Row(figure="motionless: mean false rotation", unit="deg", bar=0.05, value=no_motion["rotation"]),
        Row(
            figure="motionless: false displacement in the brain, worst cycle",
            unit="mm",
            bar=0.05,
            value=no_motion["worst"],
        ),
        Row(
            figure="motionless: false rotation, worst cycle",
            unit="deg",
            bar=0.05,
            value=no_motion["worst_rotation"],
        ),
        Row(
            figure="motion of 1 mm and 1°: mean error in the brain",
            unit="mm",
            bar=0.15,
            value=corrected["mean"],
            baseline=f"not corrected {corrected['uncorrected']:.3f}",
        ),
        Row(
            figure="motion of 1 mm and 1°: mean error in the brain, worst cycle",
            unit="mm",
            bar=None,
            value=corrected["worst"],
        ),
    ]


def _displacement(bids: Path) -> dict[str, float]:
    from qmri_bids.phantom.scans.session import simulated_protocol
    from qmri_bids.pipeline.options import DEFAULT_GIBBS_METHOD
    from qmri_bids.preprocessing.complex_data import load_cycles
    from qmri_bids.preprocessing.gibbs.methods import remove_ringing
    from qmri_bids.preprocessing.motion.phase_cycles import correct_motion

    anat = bids / "sub-01" / "anat" / "sub-01_acq-pcbssfp_flip-1_part-"
    series = load_cycles(
        magnitude=(Path(f"{anat}mag_VFA.nii.gz"),),
        phase=(Path(f"{anat}phase_VFA.nii.gz"),),
        phase_units="arbitrary",
    )
    cycles = remove_ringing(series.cycles, method=DEFAULT_GIBBS_METHOD, processes=2).volumes
    protocol = simulated_protocol(phase_cycles=cycles.shape[-1])
    found = correct_motion(cycles, affine=series.affine, protocol=protocol, processes=2).transforms
    truth_anat = bids / "derivatives" / "truth" / "sub-01" / "anat"
    table = np.genfromtxt(truth_anat / "sub-01_acq-pcbssfp_desc-poses_timeseries.tsv", names=True)
    brain = load(truth_anat / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz") > 0
    points = nib.affines.apply_affine(series.affine, np.argwhere(brain))
    means, uncorrected, rotations = [], [], []
    for index, row in enumerate(table):
        true = pose_matrix(row)
        moved = nib.affines.apply_affine(true, points)
        distance = np.linalg.norm(nib.affines.apply_affine(found[index], points) - moved, axis=1)
        means.append(distance.mean())
        uncorrected.append(np.linalg.norm(points - moved, axis=1).mean())
        turn = true[:3, :3].T @ found[index][:3, :3]
        rotations.append(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    others = [index for index in range(len(table)) if index != len(table) // 2]
    return {
        "mean": float(np.mean([means[index] for index in others])),
        "worst": float(max(means)),
        "rotation": float(np.mean([rotations[index] for index in others])),
        "worst_rotation": float(max(rotations)),
        "uncorrected": float(np.mean([uncorrected[index] for index in others])),
    }


def pose_matrix(row: np.void) -> np.ndarray:
    """Return x' = Rz Ry Rx x + t of a row of the table of poses."""
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    angles = [row[f"rotation_{axis}"] for axis in "xyz"]
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = [row[f"translation_{axis}"] for axis in "xyz"]
    return matrix


def full(folder: Path) -> list[Row]:
    """Time and memory of a whole brain of the paper's size on two processes."""
    size = ("--matrix", "176", "176", "128", "--voxel-size", "1.3")
    bids = simulate(folder / "full", *size)
    command = [
        BIN / "qmri_bids", bids, folder / "full_out", "participant",
        "--work-dir", folder / "full_work", "--clean-workdir", "--nprocs", "2", "--skip-bids-validation",
    ]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    memory = _Memory(process.pid)
    steps = []
    assert process.stderr is not None
    for line in process.stderr:
        if " done (" in line:
            name, _, rest = line.strip().rpartition(": ")[2].partition(" done (")
            steps.append((name, float(rest.split()[0])))
    if process.wait() != 0:
        raise SystemExit("the full-size run failed")
    minutes = (time.monotonic() - start) / 60
    for name, seconds in steps:
        print(f"    {name:<22} {seconds:7.1f} s")
    slowest = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(steps, key=lambda each: -each[1])[:4])
    return [
        Row(
            figure="176×176×128×12, all steps, 2 processes: time",
            unit="min",
            bar=15.0,
            value=minutes,
            baseline=slowest,
        ),
        Row(
            figure="176×176×128×12, all steps: peak memory of all processes",
            unit="GiB",
            bar=10.0,
            value=memory.stop(),
        ),
    ]


class _Memory:
    """The peak of the memory of a process and its children (proportional set size), sampled."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._running = pid, 0.0, True
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while self._running:
            self._peak = max(self._peak, sum(_pss(pid) for pid in _tree(self._pid)) / 2**20)
            time.sleep(0.5)

    def stop(self) -> float:
        self._running = False
        self._thread.join()
        return self._peak


def _tree(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [pid] + [below for child in children for below in _tree(child)]


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def help_time(folder: Path) -> list[Row]:
    """Time of `--help`, beside a Python that does nothing."""

    def seconds(command: list) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    bare = seconds([PYTHON, "-c", "pass"])
    value = seconds([BIN / "qmri_bids", "--help"])
    return [Row(figure="qmri_bids --help", unit="s", bar=1.0, value=value, baseline=f"python -c pass {bare:.2f}")]


def training(folder: Path) -> list[Row]:
    """One epoch of the shipped network on one thread, beside the paper's batch size."""
    import torch

    from qmri_bids.physics.protocol import BssfpProtocol
    from qmri_bids.training.loop import train
    from qmri_bids.training.simulation import TrainingSpec

    torch.set_num_threads(1)
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=np.radians(15.0)
    )

    def seconds(batch_size: int) -> float:
        spec = TrainingSpec(name="timing", protocol=protocol, epochs=1, warm_up=0, batch_size=batch_size)
        return train(spec).epoch_seconds[0]

    return [
        Row(
            figure="one training epoch, 400 k samples, one thread, physics loss",
            unit="s",
            bar=20.0,
            value=seconds(512),
            baseline=f"batch of 128 as in the paper {seconds(128):.1f}; published 20 (complex PINN)",
        )
    ]


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "accuracy": accuracy,
    "motion": motion,
    "full": full,
    "help": help_time,
    "training": training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--keep", type=Path, default=None, help="folder of the datasets, kept and used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            save("main_job", PARTS[name](folder))


if __name__ == "__main__":
    main()
