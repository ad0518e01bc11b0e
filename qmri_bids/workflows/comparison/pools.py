"""A fingerprint estimated in several ways (Finkelstein et al. 2025)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.network import find_exchange_weights
from qmri_bids.evaluation.own_scan.pool_ways import PoolWay, pool_rows
from qmri_bids.evaluation.own_scan.voxels import BRAIN
from qmri_bids.pipeline.results.estimate_file import StoredEstimate
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.reports.comparison.content import Part
from qmri_bids.reports.comparison.pool_part import pools_part
from qmri_bids.scans.pools.estimates import EstimateExchange
from qmri_bids.workflows.comparison.prepared import against_written, tissues_of

TRAIN_BY_FIT = "train-by-fit"
FIT = "ml"
REUSED = "reused network"
WARM_UP = 200
"""Voxels of the call that is not measured."""
WAYS: Mapping[str, str] = {
    FIT: "voxelwise fit",
    TRAIN_BY_FIT: "train-by-fit",
    REUSED: REUSED,
    "pinn-bare": "pretrained network",
    "pinn": "pretrained, refined",
}
"""What is set side by side, by the name of the estimator (the reused network is a way of train-by-fit)."""


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """What is done with a fingerprint.

    Parameters
    ----------
    estimators
        Names of `EXCHANGE_ESTIMATORS`; the voxelwise fit always runs, and train-by-fit brings the reused network.
    weights_folder
        Folder of networks: pretrained ones, and that of an earlier subject.
    threads, seed
        Threads of kernels, seed of what is trained.
    """

    estimators: Sequence[str] = (FIT, TRAIN_BY_FIT, "pinn-bare", "pinn")
    weights_folder: Path | None = None
    threads: int = 1
    seed: int = 0


def pool_parts(
    inputs: Mapping[str, Any],
    *,
    run: Run,
    output_dir: Path,
    work_dir: Path,
    settings: PoolSettings,
    say: Callable[[str], None],
) -> tuple[list[str], list[Part]]:
    """Return what was decided and the part of the comparison.

    Parameters
    ----------
    inputs
        What the estimation of the run was given: from `inputs_of_estimation`.
    run
        The run.
    output_dir
        The derivatives.
    work_dir
        Folder of intermediate results.
    settings
        What is done.
    say
        Called with a line of text before every way.
    """
    inside = load_volume(inputs["mask"])[0] > 0
    affine = load_volume(inputs["mask"])[1]
    tissue, sentences = tissues_of(run, output_dir=output_dir, shape=inside.shape)
    tissue = {**tissue, BRAIN: inside}
    ways: list[PoolWay] = []
    said: list[str] = []
    common = dict(inputs) | {"processes": settings.threads, "seed": settings.seed, "device": "cpu", "chosen": []}
    for name in ("posterior", "weights_folder", "weights_state"):
        common.pop(name, None)
    # What is compiled or loaded at the first call does not count as time of the first way.
    few = save_volume(_fresh(work_dir / "first") / "mask.nii", _some(inside, WARM_UP), affine)
    _way(FIT, FIT, common | {"mask": few}, folder=None, work_dir=work_dir / "first", judged=inside)
    for name in dict.fromkeys([FIT, *settings.estimators]):
        made = EXCHANGE_ESTIMATORS[name].create(
            ExchangeOptions(threads=settings.threads, weights_folder=settings.weights_folder, device="cpu")
        )
        try:
            made.check(inputs["scan"])
        except ProtocolNotSupported as error:
            said.append(f"{name} is left out: expected {error.expected}, found {error.found}.")
            continue
        say(f"pools by {WAYS.get(name, name)} ({name})")
        folder = _fresh(work_dir / "own") if name == TRAIN_BY_FIT else settings.weights_folder
        ways.append(
            _way(WAYS.get(name, name), name, common, folder=folder, work_dir=work_dir / f"way_{name}", judged=inside)
        )
        if name == TRAIN_BY_FIT:
            say(f"pools by a {REUSED}")
            reused, sentence = _reused(common, settings=settings, inside=inside, work_dir=work_dir)
            ways.append(reused)
            said.append(sentence)
    sentences += _against_written(ways, common, run=run, output_dir=output_dir, settings=settings, work_dir=work_dir)
    reference = ways[0]
    said = [
        f"All ways saw the same {np.count_nonzero(inside):,} voxels, aligned series and known maps; each is the "
        f"whole estimation of the "
        "program, with standard deviations.",
        *said,
    ]
    part = pools_part(
        pool_rows(ways, reference=reference, tissue=tissue),
        ways=ways,
        reference=reference,
        tissue=tissue,
        affine=affine,
        inside=inside,
        sentences=said,
    )
    return sentences, [part]


def _against_written(
    ways: Sequence[PoolWay],
    inputs: Mapping[str, Any],
    *,
    run: Run,
    output_dir: Path,
    settings: PoolSettings,
    work_dir: Path,
) -> list[str]:
    """Say how far the estimate of the run is from its maps, made once more where its estimator is not among the ways."""
    own = inputs["estimator"]
    made = next((way for way in ways if way.estimator == own and way.name != REUSED), None)
    if made is None:
        judged = load_volume(inputs["mask"])[0] > 0
        made = _way(own, own, inputs, folder=settings.weights_folder, work_dir=work_dir / f"way_{own}", judged=judged)
    return against_written(made.values, run=run, output_dir=output_dir, estimator=own)


def _some(inside: NDArray[np.bool_], number: int) -> NDArray[np.bool_]:
    """Return the voxels in the middle of a mask, in the order of its indices, so many of them."""
    places = np.flatnonzero(inside)
    middle = max(0, (len(places) - number) // 2)
    chosen = np.zeros(inside.size, dtype=np.bool_)
    chosen[places[middle : middle + number]] = True
    return chosen.reshape(inside.shape)


def _fresh(folder: Path) -> Path:
    """Return a folder that holds nothing: a network that lies there from before would be taken up, not trained."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _way(
    name: str,
    estimator: str,
    inputs: Mapping[str, Any],
    *,
    folder: Path | None,
    work_dir: Path,
    judged: NDArray[np.bool_],
) -> PoolWay:
    """Estimate as the program does and read what it left."""
    work_dir.mkdir(parents=True, exist_ok=True)
    interface = EstimateExchange(**dict(inputs) | {"estimator": estimator})
    if folder is not None:
        interface.inputs.weights_folder = str(folder)
    began = time.perf_counter()
    done = interface.run(cwd=str(work_dir))
    seconds = time.perf_counter() - began
    found = StoredEstimate(Path(done.outputs.estimate))
    return PoolWay(
        name=name,
        estimator=estimator,
        values={key: np.asarray(each, dtype=np.float64) for key, each in found.values.items()},
        stdev={key: np.asarray(each, dtype=np.float64) for key, each in found.stdev.items()},
        seconds=seconds,
        judged=judged,
    )


def _reused(
    inputs: Mapping[str, Any], *, settings: PoolSettings, inside: NDArray[np.bool_], work_dir: Path
) -> tuple[PoolWay, str]:
    """Return what a network finds that has not seen these voxels: that of an earlier subject, or of one half of this brain."""
    work_dir.mkdir(parents=True, exist_ok=True)
    earlier = find_exchange_weights(inputs["scan"], loss=TRAIN_BY_FIT, folder=settings.weights_folder)
    if earlier is not None:
        sentence = f"The {REUSED} is {earlier.path.name} of {earlier.path.parent}, trained on another scan."
        return (
            _way(
                REUSED,
                TRAIN_BY_FIT,
                inputs,
                folder=earlier.path.parent,
                work_dir=work_dir / "way_reused",
                judged=inside,
            ),
            sentence,
        )
    half = _first_half(inside)
    mask = save_volume(work_dir / "half.nii", half, load_volume(inputs["mask"])[1])
    folder = _fresh(work_dir / "half")
    _way(
        REUSED, TRAIN_BY_FIT, dict(inputs) | {"mask": mask}, folder=folder, work_dir=work_dir / "way_half", judged=half
    )
    found = _way(REUSED, TRAIN_BY_FIT, inputs, folder=folder, work_dir=work_dir / "way_reused", judged=inside & ~half)
    sentence = (
        f"The {REUSED} was trained on one half of this brain ({np.count_nonzero(half):,} voxels) and took up the "
        f"other, the only one whose "
        "voxels count in the table; its time is without that training. With a network of another subject in "
        "--cest-weights, that one is reused."
    )
    return found, sentence


def _first_half(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels on one side of the middle of the first axis, as many as on the other."""
    places = np.nonzero(inside)[0]
    half = np.zeros_like(inside)
    half[: int(np.median(places)) + 1] = True
    return half & inside
