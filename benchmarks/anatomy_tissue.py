"""Accuracy of a real head end to end, through the command line: its maps, table of tissues, labels, and lesions in it.

The thresholds of the segmentation and of pure voxels were chosen on the same head at 0.95 of its size, voxels of 2.3 and 1.6 mm,
seeds 5 and 6, without motion, and on the head that the phantom draws itself; size, voxels and seed are others here.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rows import AtLeast, AtMost, Row, Within
from scipy.ndimage import distance_transform_edt

from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.preprocessing.tissues.classes import tissue_classes
from qmri_bids.preprocessing.tissues.pure import pure_tissue
from qmri_bids.preprocessing.tissues.segmentation import segment_tissues

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from real_heads import MISSING, real_heads

BIN = Path(sys.executable).parent
STEM = "sub-01/anat/sub-01_acq-pcbssfp"
GREY, WHITE, FLUID = 1, 2, 3
TISSUES = {"WM": WHITE, "GM": GREY}
SEED = 11
MATRIX = (104, 120, 104)
LESIONS = (
    (1.2, 0.09),
    (1.4, 0.15),
    (1.4, 0.25),
    (1.6, 0.12),
    (1.9, 0.15),
    (1.9, 0.2),
    (2.2, 0.09),
    (2.2, 0.25),
    (1.2, 0.25),
)
"""T1 and T2 [s]."""
DIAMETERS = (8.0, 10.0, 12.0)
"""Of the lesions [mm]."""
LESION_NOISE = 0.08


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a run left and what is true: maps by name, shape (X, Y, Z), and rows of the table of tissues."""

    found: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.float32]]
    affine: NDArray[np.float64]
    table: list[dict[str, str]]

    @property
    def mask(self) -> NDArray[np.bool_]:
        return self.found["mask"] > 0

    @property
    def labels(self) -> NDArray[np.int_]:
        return self.found["dseg"].astype(int)

    def pure(self, tissue: str) -> NDArray[np.bool_]:
        """Return the voxels that are at least 2 voxels from fluid and from the other tissue in truth."""
        other = "GM" if tissue == "WM" else "WM"
        away = [distance_transform_edt(self.truth[name] <= 0.0) >= 2.0 for name in ("CSF", other)]
        return (self.truth[tissue] > 0.999) & away[0] & away[1] & (self.truth["mask"] > 0)


def _load(path: Path) -> NDArray[np.float32]:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def run_case(folder: Path) -> Case:
    """Simulate the real head with moving skull and still face, N = 12, SNR 25, 2 mm, and process it by the command line.

    Raises
    ------
    FileNotFoundError
        If the images of the head are not there.
    """
    heads = real_heads()
    if heads is None:
        raise FileNotFoundError(MISSING)
    bids, out = folder / "bids", folder / "out"
    simulate = [BIN / "qmri-tools", "simulate", bids, "--anatomy", heads.whole_head, "--brain", heads.brain]
    simulate += ["--matrix", *MATRIX, "--face-motion", 1, "--seed", SEED]
    process = [BIN / "qmri_bids", bids, out, "participant", "--work-dir", folder / "work", "--skip-bids-validation"]
    for command in (simulate, process):
        subprocess.run([str(each) for each in command], check=True, capture_output=True)
    return read_case(bids, out)


def read_case(bids: Path, out: Path) -> Case:
    """Return what is in a simulated dataset and its derivatives."""
    names = {"T1": "T1map", "T2": "T2map", "T1_sd": "desc-std_T1map", "T2_sd": "desc-std_T2map", "dseg": "dseg"}
    names |= {"mask": "desc-brain_mask", "quality": "desc-quality_mask", "fluid": "label-CSF_probseg"}
    true = {"T1": "T1map", "T2": "T2map", "dseg": "dseg", "mask": "desc-brain_mask"}
    true |= {name: f"label-{name}_probseg" for name in ("GM", "WM", "CSF")}
    with (out / f"{STEM}_desc-tissue_stats.tsv").open(encoding="utf-8", newline="") as text:
        table = list(csv.DictReader(text, delimiter="\t"))
    return Case(
        found={key: _load(out / f"{STEM}_{name}.nii.gz") for key, name in names.items()},
        truth={key: _load(bids / "derivatives" / "truth" / f"{STEM}_{name}.nii.gz") for key, name in true.items()},
        affine=nib.load(out / f"{STEM}_T1map.nii.gz").affine,
        table=table,
    )


def end_to_end() -> list[Row]:
    """Medians and intervals in pure tissue, the table of tissues, labels and lesions of one run on the real head."""
    with tempfile.TemporaryDirectory() as folder:
        case = run_case(Path(folder))
    return [*median_rows(case), *interval_rows(case), *table_rows(case), *label_rows(case), *lesion_rows(case)]


def median_rows(case: Case) -> list[Row]:
    """Return errors of the medians where truth says that a tissue is pure, beside those of all its labelled voxels."""
    rows = []
    for tissue, code in TISSUES.items():
        where = case.pure(tissue)
        for name in ("T1", "T2"):
            true = float(np.median(case.truth[name][where]))
            whole = float(np.nanmedian(case.found[name][case.labels == code]))
            lost = float(np.mean(~np.isfinite(case.found[name][where])))
            rows.append(
                Row(
                    figure=f"real head end to end, 2 mm: median {name} of pure {tissue} ({np.count_nonzero(where)} voxels)",
                    unit="%",
                    bar=AtMost(2.0),
                    value=100.0 * abs(float(np.nanmedian(case.found[name][where])) / true - 1.0),
                    baseline=f"all with this label {100.0 * (whole / true - 1.0):+.1f}; without a value {100.0 * lost:.1f} %",
                )
            )
    return rows


def interval_rows(case: Case) -> list[Row]:
    """Return how many of the stated 68 and 95 % intervals hold the truth in pure tissue."""
    rows = []
    regions = {"pure WM and GM": case.pure("WM") | case.pure("GM"), "pure GM alone": case.pure("GM")}
    for region, where in regions.items():
        for name in ("T1", "T2"):
            z = np.abs(case.found[name] - case.truth[name])[where] / case.found[f"{name}_sd"][where]
            z = z[np.isfinite(z)]
            for level, factor, bar in ((68, 1.0, Within(64.0, 72.0)), (95, 1.96, Within(93.0, 97.0))):
                share = 100.0 * float(np.mean(z < factor))
                chance = 100.0 * float(np.sqrt(level * (100.0 - level) / 1e4 / z.size))
                rows.append(
                    Row(
                        figure=f"real head end to end, 2 mm: {level} % interval of {name}, {region}",
                        unit="%",
                        bar=bar if "alone" not in region else None,
                        value=share,
                        baseline=f"{z.size} voxels: ±{chance:.1f} by chance",
                    )
                )
    return rows


def table_rows(case: Case) -> list[Row]:
    """Return errors of the medians that report and table of tissues show, beside those of whole tissues."""
    rows = []
    for tissue in TISSUES:
        where = case.pure(tissue)
        for name in ("T1", "T2"):
            true = float(np.median(case.truth[name][where]))
            medians = {
                row["tissue"]: (float(row["median"]), row["n"]) for row in case.table if row["map"] == f"{name}map"
            }
            median, number = medians[f"{tissue}_pure"]
            rows.append(
                Row(
                    figure=f"table of tissues, real head, 2 mm: median {name} of {tissue}_pure",
                    unit="%",
                    bar=AtMost(4.0),
                    value=100.0 * abs(median / true - 1.0),
                    baseline=f"whole {tissue} {100.0 * (medians[tissue][0] / true - 1.0):+.1f}; {number} voxels are pure",
                )
            )
    return rows


def _dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2.0 * float(np.sum(first & second)) / float(first.sum() + second.sum())


def label_rows(case: Case) -> list[Row]:
    """Return how far labels agree with the largest true share of every voxel, beside k-means of T1."""
    baseline, _ = tissue_classes(case.found["T1"], affine=case.affine, mask=case.mask, ascending=(WHITE, GREY, FLUID))
    true = case.truth["dseg"].astype(int)
    bars = {"WM": AtLeast(0.90), "GM": AtLeast(0.88), "CSF": None}
    return [
        Row(
            figure=f"dseg of a real head end to end, 2 mm: {name} Dice",
            unit="",
            bar=bars[name],
            value=_dice(case.labels == code, true == code),
            baseline=f"k-means of T1 {_dice(baseline == code, true == code):.3f}",
        )
        for name, code in (*TISSUES.items(), ("CSF", FLUID))
    ]


def lesion_rows(case: Case) -> list[Row]:
    """Return what becomes of lesions that are put into the white matter of the maps: balls with noise and mixed edges."""
    rng = np.random.default_rng(SEED)
    voxel = float(np.linalg.norm(case.affine[:3, :3], axis=0).mean())
    depth = distance_transform_edt(case.truth["WM"] > 0.9) * voxel
    pure = mixed = labelled = number = 0
    for diameter in DIAMETERS:
        maps = {key: case.found[key].astype(float).copy() for key in ("T1", "T2", "T1_sd", "T2_sd")}
        places = rng.permutation(np.argwhere(depth >= 0.45 * diameter))
        centres: list[NDArray[np.float64]] = []
        for place in places:
            if len(centres) < len(LESIONS) and all(
                np.linalg.norm(place - c) * voxel > diameter + 10.0 for c in centres
            ):
                centres.append(place + rng.uniform(-0.5, 0.5, 3))
        balls = np.zeros((len(LESIONS), *case.mask.shape), dtype=bool)
        for ball, centre, times in zip(balls, centres, LESIONS, strict=False):
            share = _ball(case.mask.shape, centre, radius=0.5 * diameter / voxel)
            ball[...] = share > 0.5
            for name, time in zip(("T1", "T2"), times, strict=True):
                own = time * (1.0 + LESION_NOISE * rng.standard_normal(share.shape))
                around = np.nan_to_num(maps[name], nan=time)
                value = 1.0 / ((1.0 - share) / around + share / own)
                maps[name] = np.where(share > 0.0, value, maps[name])
                maps[f"{name}_sd"] = np.where(ball, LESION_NOISE * value, maps[f"{name}_sd"])
        found = segment_tissues(
            maps["T1"],
            maps["T2"],
            mask=case.mask,
            t1_stdev=maps["T1_sd"],
            t2_stdev=maps["T2_sd"],
            protocol=simulated_protocol(phase_cycles=12),
        )
        clean = pure_tissue(found.labels, mask=case.mask, fluid=found.probabilities[..., 2]).labels
        for ball, (_, t2) in zip(balls, LESIONS, strict=True):
            number += int(ball.any())
            pure += int(np.sum(clean[ball] == GREY))
            if t2 >= 0.15:
                mixed += int(ball.sum())
                labelled += int(np.sum(found.labels[ball] == GREY))
    return [
        Row(
            figure=f"{number} lesions in white matter, T1 1.2-2.2 s, T2 0.09-0.25 s, 8-12 mm: voxels counted as pure GM",
            unit="",
            bar=AtMost(0.0),
            value=float(pure),
            baseline="",
        ),
        Row(
            figure="those with T2 ≥ 0.15 s: voxels labelled as grey matter",
            unit="%",
            bar=None,
            value=100.0 * labelled / max(mixed, 1),
            baseline=f"of {mixed}; most of them at the edge",
        ),
    ]


def _ball(shape: tuple[int, ...], centre: NDArray[np.float64], *, radius: float) -> NDArray[np.float64]:
    """Return the share of every voxel that lies in a ball [voxels]."""
    steps = (np.arange(5) + 0.5) / 5.0 - 0.5
    share = np.zeros(shape)
    corner = np.floor(centre - radius - 2.0).astype(int)
    width = int(np.ceil(2.0 * radius)) + 5
    box = tuple(slice(low, low + width) for low in corner)
    grid = np.stack(np.meshgrid(*(np.arange(low, low + width) for low in corner), indexing="ij"), axis=-1)
    for step in np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3):
        share[box] += np.sum((grid + step - centre) ** 2, axis=-1) < radius**2
    return share / steps.size**3
