"""Whole brains of fingerprints: train by fit, the pretrained network, the digital brain from raw files, what ships."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cest_maps import load, run
from exchange_accuracy import DEFAULT, SEED, SYMBOLS, clamped_errors, create
from rows import Row

from qmri_bids.evaluation.pools.scores import clamped
from qmri_bids.evaluation.pools.sets import USUAL_NOISE, ExchangeSet
from qmri_bids.evaluation.scores import score
from qmri_bids.networks.checkpoint import available_weights, package_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from fingerprint_sets import brain_set

BRAIN_VOXELS = 170_000
"""Of the brain of Finkelstein et al. 2025."""
CORES = 2
FEW = 5000
"""Voxels on which errors are compared, and from which the time of a baseline is scaled up."""
LABEL = f"brain of {BRAIN_VOXELS // 1000} k voxels, MT + amide, {CORES} threads"


def _brain() -> tuple[ExchangeSet, np.ndarray]:
    samples = brain_set(BRAIN_VOXELS, SEED)
    return samples, samples.signal(noise_stdev=USUAL_NOISE, seed=SEED + 1, threads=CORES)


def _part(samples: ExchangeSet, number: int) -> ExchangeSet:
    return ExchangeSet(scan=samples.scan, values=samples.values[:number], known=samples.known[:number])


def _timed(action) -> tuple[float, Any]:
    """Return the wall time [s] and what came of it."""
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def train_by_fit() -> list[Row]:
    """A network trained on one brain: how long it takes, and how near it comes to maximum likelihood."""
    samples, signal = _brain()
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as folder:
        options = {"threads": CORES, "weights_folder": Path(folder)}
        first, _ = _timed(
            lambda: create("train-by-fit", **options).estimate(signal, scan=samples.scan, known=samples.known)
        )
        # The network of the first call is in the folder.
        later, points = _timed(
            lambda: create("train-by-fit", **options).point(signal, scan=samples.scan, known=samples.known)
        )
    few = _part(samples, FEW)
    likelihood = clamped_errors(create("ml", threads=CORES), few, signal[:FEW])
    torch.set_num_threads(1)
    points = clamped(points[:FEW], samples.scan.parameters)
    rows = [
        Row(
            figure=f"train by fit, first {LABEL}, training and sd included",
            unit="min",
            bar=15.0,
            value=first / 60.0,
            baseline=f"published 18.3 on a GPU; the network again on the same brain {later:.2f} s, published 1.0",
        )
    ]
    for place, (name, symbol) in enumerate(SYMBOLS.items()):
        mine = 100.0 * score(points[:, place], few.values[:, place]).mean_absolute_error
        rows.append(
            Row(
                figure=f"train by fit, brain set: {symbol} mean error over that of ML, clamped",
                unit="",
                bar=1.10,
                value=mine / likelihood[name],
                baseline=f"{mine:.1f} against {likelihood[name]:.1f} %",
            )
        )
    return rows


def whole_brain() -> list[Row]:
    """A further brain by the pretrained network, alone and refined."""
    samples, signal = _brain()
    torch.set_num_threads(CORES)
    bare, refined = create("pinn-bare", threads=CORES), create(DEFAULT, threads=CORES)
    few = _part(samples, FEW)
    # Weights loaded and kernels compiled before anything is timed.
    for estimator in (bare, refined):
        estimator.check(samples.scan)
        estimator.point(signal[:64], scan=samples.scan, known=samples.known[:64])
    alone = min(_timed(lambda: bare.point(signal, scan=samples.scan, known=samples.known))[0] for _ in range(3))
    whole, _ = _timed(lambda: refined.estimate(signal, scan=samples.scan, known=samples.known))
    beside, _ = _timed(lambda: create("ml", threads=CORES).estimate(signal[:FEW], scan=samples.scan, known=few.known))
    torch.set_num_threads(1)
    return [
        Row(
            figure=f"{LABEL}: pretrained network alone",
            unit="s",
            bar=2.0,
            value=alone,
            baseline="published 1.0 on a GPU",
        ),
        Row(
            figure=f"{LABEL}: default with refinement and sd",
            unit="min",
            bar=15.0,
            value=whole / 60.0,
            baseline=f"ml {beside * BRAIN_VOXELS / FEW / 60.0:.1f}, scaled up from {FEW} voxels",
        ),
    ]


MEDIAN_BARS = {"MT.fraction": 3.0, "MT.rate": 8.0, "amide.fraction": 8.0, "amide.rate": 15.0}
SUFFIXES = {"fraction": "fractionmap", "rate": "exchangemap"}
PURE = 0.99
"""Share of a voxel that its tissue must fill."""


def digital_brain() -> list[Row]:
    """The digital brain at 2 mm from raw files: medians by tissue against the truth, with T1, T2, B1 and B0 measured too."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run("qmri-tools", "simulate", root / "bids", "--cest", "mrf", "--cest-snr", 100, "--seed", 11)
        options = ("--work-dir", root / "work", "--skip-bids-validation", "--nprocs", CORES)
        seconds = run("qmri_bids", root / "bids", root / "out", "participant", *options)
        truth = root / "bids" / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_acq-MRFMT"
        maps = root / "out" / "sub-01" / "anat" / "sub-01_acq-MRF"
        rows = [
            row
            for tissue in ("WM", "GM")
            for name in SYMBOLS
            for row in _median_rows(truth, maps, tissue=tissue, parameter=name)
        ]
    voxels = "96×112×96 at 2 mm"
    return [
        *rows,
        Row(
            figure=f"digital brain, {voxels}: pc-bSSFP, B1 and both stages of the fingerprint, raw files to report",
            unit="min",
            bar=None,
            value=seconds / 60.0,
            baseline=f"{CORES} processes",
        ),
    ]


def _median_rows(truth: Path, maps: Path, *, tissue: str, parameter: str) -> list[Row]:
    pool, quantity = parameter.split(".")
    pure = load(Path(f"{truth}_label-{tissue}_probseg.nii.gz")) >= PURE
    found = load(Path(f"{maps}_desc-{pool}_{SUFFIXES[quantity]}.nii.gz"))[pure]
    true = load(Path(f"{truth}_desc-{pool}_{SUFFIXES[quantity]}.nii.gz"))[pure]
    stdev = load(Path(f"{maps}_desc-{pool}std_{SUFFIXES[quantity]}.nii.gz"))[pure]
    ratio = np.nanmedian(found) / np.median(true) - 1.0
    given = np.isfinite(found)
    return [
        Row(
            figure=f"digital brain, CEST SNR 100, pure {tissue}: median of {SYMBOLS[parameter]} against the truth",
            unit="%",
            bar=MEDIAN_BARS[parameter],
            value=100.0 * abs(float(ratio)),
            baseline=f"signed {100.0 * ratio:+.1f}; {int(pure.sum())} voxels, {100.0 * float(given.mean()):.1f} % with a value, "
            f"mean |error| {100.0 * float(np.mean(np.abs(found[given] / true[given] - 1.0))):.1f} %, "
            f"stated sd {100.0 * float(np.nanmedian(stdev / found)):.1f} %",
        )
    ]


def weights() -> list[Row]:
    """What ships: size of all weights, time of the trainings of the networks of pools."""
    size = sum(path.stat().st_size for path in package_weights().iterdir() if path.is_file()) / 1e6
    cards = [each.card for each in available_weights() if each.card.kind == "exchange"]
    seconds = {card.name: card.training["seconds"] for card in cards if card.training["loss"] != "train-by-fit"}
    assert seconds, "no networks of pools ship: train them with `make weights`"
    return [
        Row(figure="shipped weights and cards of all networks", unit="MB", bar=5.0, value=size),
        Row(
            figure="training of the shipped networks of pools, all together",
            unit="min",
            bar=45.0,
            value=sum(seconds.values()) / 60.0,
            baseline=", ".join(f"{name} {value / 60.0:.1f}" for name, value in seconds.items()),
        ),
    ]
