"""Every odd input gets its right answer from the check, costs its own participant alone, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_files import CORPUS, FILTERS, Odd
from tiny_dataset import runs_of

OTHERS = ("01", "03")
LONGEST = 10.0
"""What a check of a handful of small files may take [s]."""


def test_the_dataset_is_right(dataset: Path, check: Callable[..., tuple[int, str]]) -> None:
    code, text = check(dataset, dataset.parent)
    assert code == 0, text
    assert {label: len(runs_of(text, label)) for label in ("01", "02", "03")} == {"01": 3, "02": 3, "03": 3}


@pytest.mark.parametrize("odd", CORPUS, ids=lambda odd: odd.name)
def test_an_odd_input_costs_its_own_participant(odd: Odd, dataset: Path, check: Callable[..., tuple[int, str]]) -> None:
    odd.write(dataset)
    root = dataset.parent.joinpath(*odd.arguments)  # where the dataset was moved, if it was
    root = root if odd.arguments else dataset
    begun = time.monotonic()
    code, text = check(root, dataset.parent)
    assert time.monotonic() - begun < LONGEST
    said = " ".join(text.split())
    for word in odd.words:
        assert word in said, text
    assert code == (1 if odd.words else 0), text
    assert {label: len(runs_of(text, label)) for label in OTHERS} == dict.fromkeys(OTHERS, 3), text
    assert len(runs_of(text, "02")) <= 3
    for words in ("report it", "Traceback", "numpy", "nibabel", "pybids", "Error"):
        assert words not in said, text
    assert not (dataset.parent / "out").exists()
    assert not (dataset.parent / "work").exists()


@pytest.mark.parametrize("odd", FILTERS, ids=lambda odd: odd.name)
def test_a_filter_narrows_down_and_never_reaches_another_participant(
    odd: Odd, dataset: Path, check: Callable[..., tuple[int, str]]
) -> None:
    odd.write(dataset)
    arguments = [str(dataset.parent / each) if each.endswith(".json") else each for each in odd.arguments]
    _, text = check(dataset, dataset.parent, *arguments)
    said = " ".join(text.split())
    for word in odd.words:
        assert word in said, text
    kind = "pcbssfp" if "pcbssfp" in odd.words[-1] or "pcbssfp" in odd.words[0] else "APTw"
    assert not [name for name in runs_of(text, "02") if kind in name]
    assert not runs_of(text, "01")
