"""What only the values of images tell is told by a dry run, too: it promises what the call keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from odd_files import B1, CEST, MAGNITUDE, MTR, PHASE
from tiny_dataset import phase_cycles, runs_of

BSSFP_RUN, CEST_RUN, MTR_RUN = "sub-02_acq-pcbssfp_flip-1", "sub-02_acq-APTw_cest", "sub-02_acq-MTR_MTR"


def change(root: Path, stem: str, how: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    path = root / f"{stem}.nii.gz"
    image: Any = nib.load(path)
    values = how(image.get_fdata())
    nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine, image.header), path)


def volume(index: int, value: float | int | NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def how(values: NDArray[Any]) -> NDArray[Any]:
        values[..., index] = value
        return values

    return how


def copied(values: NDArray[Any]) -> NDArray[Any]:
    values[..., 3] = values[..., 2]
    return values


def broken(values: NDArray[Any]) -> NDArray[Any]:
    values[0, 0, 0] = np.nan
    return values


def noise(values: NDArray[Any]) -> NDArray[Any]:
    return np.random.default_rng(1).uniform(400.0, 1600.0, values.shape)


SIGNAL = phase_cycles()

CONTENTS: tuple[tuple[str, dict[str, Callable[[NDArray[Any]], NDArray[Any]]], str, tuple[str, ...]], ...] = (
    ("empty-cycle", {MAGNITUDE: volume(3, 0.0)}, BSSFP_RUN, ("cycle 4", "empty", "column `valid`")),
    ("copied-cycle", {MAGNITUDE: copied, PHASE: copied}, BSSFP_RUN, ("cycle 4 is a copy of", "cycle 3")),
    ("scaled-cycle", {MAGNITUDE: lambda v: v * [1, 1, 1, 2.5, 1, 1]}, BSSFP_RUN, ("cycle 4 stands out", "2.5")),
    ("half-turns", {PHASE: lambda v: v / np.pi}, BSSFP_RUN, ("half turns",)),
    (
        "exchanged-parts",
        {
            MAGNITUDE: lambda v: np.angle(SIGNAL) + np.pi,
            PHASE: lambda v: (np.abs(SIGNAL) - np.abs(SIGNAL).min()) * 0.02,
        },
        BSSFP_RUN,
        ("magnitude and phase are exchanged",),
    ),
    ("negative-magnitudes", {MAGNITUDE: lambda v: v - 90.0}, BSSFP_RUN, ("negative values",)),
    ("not-finite", {MAGNITUDE: broken}, BSSFP_RUN, ("NaN or infinite",)),
    ("b1-of-noise", {f"{B1}": noise}, BSSFP_RUN, ("TB1TFL", "noise")),
    ("empty-volume", {CEST: volume(5, 0.0)}, CEST_RUN, ("volume 6", "0 everywhere")),
    ("cest-not-finite", {CEST: broken}, CEST_RUN, ("NaN or infinite",)),
    (
        "pair-without-pulse",
        {MTR: lambda v: 100.0 * (1.0 + 0.1 * np.linspace(0.0, 1.0, v.size).reshape(v.shape))},
        MTR_RUN,
        ("is a copy of",),
    ),
)


@pytest.mark.parametrize(
    ("changes", "run", "words"), [each[1:] for each in CONTENTS], ids=[each[0] for each in CONTENTS]
)
def test_a_dry_run_reads_the_images(
    changes: dict[str, Callable[[NDArray[Any]], NDArray[Any]]],
    run: str,
    words: tuple[str, ...],
    dataset: Path,
    check: Callable[..., tuple[int, str]],
) -> None:
    for stem, how in changes.items():
        change(dataset, stem, how)
    code, text = check(dataset, dataset.parent)
    said = " ".join(text.split())
    assert code == 1, text
    for word in words:
        assert word in said, text
    assert str(dataset) not in said
    assert run not in runs_of(text, "02")
    assert {label: len(runs_of(text, label)) for label in ("01", "03")} == {"01": 3, "03": 3}


def test_warnings_of_the_images_stand_in_the_dry_run(dataset: Path, check: Callable[..., tuple[int, str]]) -> None:
    for stem in (MAGNITUDE, PHASE):
        change(dataset, stem, lambda values: values[..., [0, 2, 1, 3, 4, 5]])
    code, text = check(dataset, dataset.parent)
    assert code == 0, text
    assert "with cycles 2 and 3 exchanged" in " ".join(text.split())


def test_all_empty_cycles_are_named_at_once(dataset: Path, check: Callable[..., tuple[int, str]]) -> None:
    change(dataset, MAGNITUDE, lambda values: values * [1, 0, 1, 0, 1, 1])
    said = " ".join(check(dataset, dataset.parent)[1].split())
    assert "cycle 2, cycle 4 are empty" in said
    change(dataset, MAGNITUDE, lambda values: 0.0 * values)
    assert "all cycles are empty: convert the scan again" in " ".join(check(dataset, dataset.parent)[1].split())
