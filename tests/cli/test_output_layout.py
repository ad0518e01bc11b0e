"""Where derivatives lie: in the output folder, or in one of it for each set of options that changes maps."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids import __version__
from qmri_bids.cli.options.outputs import ALIKE
from qmri_bids.cli.parsing.table import OPTIONS
from qmri_bids.cli.run import main

Parsed = Callable[..., argparse.Namespace]
LAYOUT = ("--output-layout", "multiverse")


def test_by_default_derivatives_lie_in_the_output_folder(parsed: Parsed, bids: Path) -> None:
    assert parsed().output_dir == bids.parent / "out"


def test_a_set_of_options_has_a_folder(parsed: Parsed, bids: Path) -> None:
    first = parsed(*LAYOUT)
    assert first.output_dir.parent == first.output_root == bids.parent / "out"
    assert first.output_dir.name.startswith(f"qmri_bids-{__version__}-")
    assert len(first.output_dir.name.rpartition("-")[2]) == 8


@pytest.mark.parametrize(
    "more",
    [
        ("--participant-label", "01"),
        ("--nprocs", 3, "--omp-nthreads", 2, "--mem", "3G"),
        ("--level", "minimal", "--write-graph"),
        ("--bssfp-estimator", "ml"),  # as it is written: the default is another
        ("-v",),
    ],
)
def test_who_and_how_much_change_no_folder_but_methods_do(parsed: Parsed, more: tuple[object, ...]) -> None:
    alike = parsed(*LAYOUT).output_dir == parsed(*LAYOUT, *more).output_dir
    assert alike == ("--bssfp-estimator" not in more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("--ignore", "motion", "gibbs"), ("--ignore", "gibbs", "motion", "gibbs")),
        (("--cest-measures", "rex", "lda"), ("--cest-measures", "lda", "rex")),
        (("--cest-protons", "iohexol=2", "amide=3"), ("--cest-protons", "amide=3.0", "iohexol=2")),
        ((), ("--output-spaces", "T1w", "native", "T1w")),
        ((), ("--synthetic", "T2w:te=90", "T1w", "--banding-free", "model")),
    ],
)
def test_what_changes_no_map_changes_no_folder(
    parsed: Parsed, one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert parsed(*LAYOUT, *one).output_dir == parsed(*LAYOUT, *other).output_dir


def test_files_count_by_what_they_hold(parsed: Parsed, tmp_path: Path) -> None:
    def folder(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return parsed(*LAYOUT, "--metadata", tmp_path / name).output_dir

    first = folder("first.json", "{}")
    assert folder("second.json", "{}") == first
    assert folder("first.json", '{"pcbssfp": {"EchoTime": 0.002}}') != first


def test_the_group_finds_the_folder_by_the_same_options(parsed: Parsed) -> None:
    same = (*LAYOUT, "--gibbs-method", "apodization")
    assert parsed(*same).output_dir == parsed(*same, level="group").output_dir


def test_a_group_of_other_options_says_which_were_processed(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bids / "sub-01" / "anat").mkdir(parents=True)
    (bids.parent / "out" / "qmri_bids-0.1.0-01234567" / "sub-01").mkdir(parents=True)
    assert main([str(bids), str(bids.parent / "out"), "group", *LAYOUT]) == 3
    said = capsys.readouterr().err
    assert "Other options have been processed there: qmri_bids-0.1.0-01234567" in said


def test_options_that_change_no_map_are_options() -> None:
    assert {f"--{name}" for name in ALIKE} <= {row.name for row in OPTIONS.values()}


def test_levels_are_done_in_their_order_and_once(bids: Path) -> None:
    from qmri_bids.cli.parsing.parser import parse

    options = parse(
        [str(bids), str(bids.parent / "out"), "group", "participant", "group", "-w", str(bids.parent / "w")]
    )
    assert options.analysis_level == ("participant", "group")


@pytest.mark.parametrize("option", ["--write-graph", "--resource-monitor"])
@pytest.mark.parametrize("mode", ["--dry-run", "--reports-only", "--boilerplate-only"])
def test_what_is_seen_of_computing_needs_computing(usage_error: Callable[..., str], option: str, mode: str) -> None:
    assert f"{option} goes with a call that computes, found {mode}" in usage_error(option, mode)


def test_steps_of_a_cluster_are_not_measured_here(usage_error: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "plugin.yml").write_text("plugin: SLURM")
    said = usage_error("--resource-monitor", "--use-plugin", tmp_path / "plugin.yml")
    assert "--resource-monitor measures the steps of this machine, not those of --use-plugin" in said


@pytest.mark.parametrize(("asked", "meant"), [("t1w", "T1w"), ("mni152nlin2009asym:res-2", "MNI152NLin2009aSym")])
def test_a_space_without_its_capitals_is_refused_with_them(
    usage_error: Callable[..., str], asked: str, meant: str
) -> None:
    assert f"did you mean {meant}?" in usage_error("--output-spaces", asked)
