"""Reports are written again with the options of the call that made the maps, and with no others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids import __version__
from qmri_bids.cli.kept_options import (
    KeptOptionsError,
    forget_other_options,
    keep_options,
    options_file,
    with_kept_options,
)
from qmri_bids.cli.run import USAGE, main

Call = Callable[..., argparse.Namespace]
RUN = "sub-01_acq-pcbssfp_flip-1"
MADE = ("--ignore", "calibration", "gibbs", "--synthetic", "T2w:te=90", "--fd-threshold", 0.5)


@pytest.fixture
def processed(parsed: Call, bids: Path) -> Callable[..., Path]:
    """Return a function that leaves the work folder as a call with some options does."""

    def leave(*options: object, label: str = RUN) -> Path:
        folder = bids.parent / "work" / f"qmri_bids-{__version__}" / label.split("_")[0]
        keep_options(folder, label, configuration=parsed(*options).configuration)
        (folder / "reports" / f"{label}.pickle").touch()
        return folder

    return leave


@pytest.fixture
def again(parsed: Call, bids: Path) -> Call:
    """Return a function that asks for the reports again."""

    def call(*more: object) -> argparse.Namespace:
        arguments = [str(each) for each in (bids, bids.parent / "out", "participant", "-w", bids.parent / "work")]
        arguments += ["--reports-only", *(str(each) for each in more)]
        return with_kept_options(parsed("--reports-only", *more), arguments)

    return call


def test_what_was_not_repeated_is_taken_and_said(processed: Callable[..., Path], again: Call) -> None:
    processed(*MADE)
    taken = again("--ignore", "gibbs", "calibration")
    assert (sorted(taken.ignore), taken.synthetic, taken.reports_only) == (
        ["calibration", "gibbs"],
        ["T2w:te=90"],
        True,
    )
    assert taken.configuration["fd-threshold"] == 0.5
    assert taken.kept_sentence == (
        "Taken from the call that made the maps, not given in this one: --fd-threshold 0.5, --synthetic T2w:te=90."
    )
    assert again(*MADE, "--nprocs", 1).kept_sentence == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--bssfp-estimator", "miracle"), "--bssfp-estimator miracle (made with pinn)"),
        (("--synthetic", "FLAIR", "--level", "minimal"), "--synthetic FLAIR (made with T2w:te=90)"),
        (("--level", "minimal"), "--level minimal (made with full)"),
        (("--banding-free", "rss"), "--banding-free rss (made with none)"),
    ],
)
def test_others_are_refused_before_anything_is_written(
    processed: Callable[..., Path],
    bids: Path,
    capsys: pytest.CaptureFixture[str],
    asked: tuple[str, ...],
    said: str,
) -> None:
    processed(*MADE)
    folders = (bids, bids.parent / "out", "participant", "-w", bids.parent / "work", "--reports-only")
    assert main([*map(str, folders), *asked]) == USAGE
    assert said in capsys.readouterr().err
    assert not (bids.parent / "out").exists()


def test_runs_of_different_options_are_asked_for_one_at_a_time(processed: Callable[..., Path], again: Call) -> None:
    processed(*MADE)
    processed(label="sub-02_acq-pcbssfp")
    with pytest.raises(
        KeptOptionsError, match=r"found sub-01\S+ and sub-02\S+ with others \(ignore, fd-threshold, syn"
    ):
        again()
    assert again("--participant-label", "02").kept_sentence == ""


def test_a_call_that_was_stopped_leaves_no_options_but_its_own(processed: Callable[..., Path], again: Call) -> None:
    folder = processed(*MADE)
    same = again().configuration
    forget_other_options(folder, [RUN], configuration=same)
    assert options_file(folder, RUN).is_file()
    forget_other_options(folder, [RUN], configuration=same | {"bssfp-estimator": "ml"})
    with pytest.raises(KeptOptionsError, match="run the same command without --reports-only"):
        again()


def test_reports_and_the_group_are_two_calls(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(bids), str(bids.parent / "out"), "participant", "group", "--reports-only"])
    said = " ".join(capsys.readouterr().err.split())
    assert "--reports-only goes with the level participant alone, found group: call that level by itself" in said
