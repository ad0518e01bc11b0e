"""Options in a TOML file: the same checks as on the command line, which takes precedence."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids.cli.call_record import write_call
from qmri_bids.cli.parsing.parser import build_parser, parse

Parse = Callable[..., argparse.Namespace]


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "options.toml"
        path.write_text(text)
        return path

    return write


FILE = """
participant_label = ["01", "sub-02"]
fd-threshold = 1
[steps]
bssfp-estimator = "ml"
ignore = ["gibbs"]
low_mem = true
[resources]
n_cpus = 3
mem = "2G"
verbose = 2
"""


def test_command_line_then_file_then_defaults(parsed: Parse, config: Callable[[str], Path]) -> None:
    options = parsed("--config-file", config(FILE))
    assert options.participant_label == ("01", "02")
    assert options.fd_threshold == 1.0
    assert (options.bssfp_estimator, options.ignore, options.gibbs_method) == ("ml", ["gibbs"], "subvoxel")
    assert (options.nprocs, options.memory_gb, options.low_mem, options.verbose) == (3, 2.0, True, 2)
    options = parsed("--config_file", config(FILE), "--nprocs", 5, "--participant-label", "07", "--ignore", "anatomy")
    assert (options.nprocs, options.participant_label, options.ignore) == (5, ("07",), ["anatomy"])
    assert options.bssfp_estimator == "ml"


def test_lists_of_the_command_line_replace_those_of_the_file(
    parsed: Parse, config: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub-01").mkdir(parents=True)
    path = config(f'derivatives = ["{tmp_path}/one"]')
    assert list(parsed("--config-file", path).derivatives) == ["one"]
    assert list(parsed("--config-file", path, "-d", tmp_path / "two").derivatives) == ["two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nprocz = 2", "nprocz: expected the name of an option, found none of that name; did you mean nprocs?"),
        ("colour = 2", "colour: expected the name of an option, found none of that name; see qmri_bids --help"),
        ("config-file = 'x'", "config-file: expected the name of an option"),
        ("bids_dir = '/data'", "bids_dir: expected an option, found what the command line itself must give"),
        ("out-dir = '/data'", "out-dir: expected an option, found what the command line itself must give"),
        ("nprocs = '2'", "nprocs: expected a whole number, found text: '2'"),
        ("nprocs = true", "nprocs: expected a whole number, found true or false: True"),
        ("nprocs = 2.5", "nprocs: expected a whole number, found a number: 2.5"),
        ("no-b1 = 1", "no-b1: expected true or false, found a whole number: 1"),
        ("fd_threshold = '1'", "fd_threshold: expected a number, found text: '1'"),
        ("participant-label = '01'", "participant-label: expected a list, found text: '01'"),
        ("participant-label = [1]", "participant-label: expected text, found a whole number: 1"),
        ("participant-label = []", "participant-label: expected a list of one or more, found []"),
        ("b1-afi-tr = [0.02]", "b1-afi-tr: expected a list of 2, found [0.02]"),
        ("mem = '8X'", "mem: expected MB, or a number with K, M, G or T, for instance 8G, found '8X'"),
        ("work-dir = 1", "work-dir: expected text, found a whole number: 1"),
        ("bssfp-estimator = 'best'", "bssfp-estimator: expected one of"),
        ("nprocs = 2\n[more]\nnthreads = 3", "nthreads: expected each option once, found it as nprocs, too"),
        ("[derivatives]\nx = 'y'", "derivatives: expected a list, found a table"),
        ("nprocs = ", "expected a TOML file of options, found: "),
    ],
)
def test_files_that_are_wrong(
    usage_error: Callable[..., str], config: Callable[[str], Path], text: str, message: str
) -> None:
    path = config(text)
    error = usage_error("--config-file", path)
    assert f"--config-file {path}: {message}" in error


def test_what_the_file_asks_for_is_checked_as_on_the_command_line(
    usage_error: Callable[..., str], config: Callable[[str], Path], tmp_path: Path
) -> None:
    assert "--nprocs must be at least 1, found 0" in usage_error("--config-file", config("nprocs = 0"))
    missing = tmp_path / "missing.toml"
    assert f"{missing}: expected a TOML file of options, found: " in usage_error("--config-file", missing)


def test_a_call_is_repeated_by_the_file_that_it_leaves(parsed: Parse, bids: Path, tmp_path: Path) -> None:
    (tmp_path / "fmriprep" / "sub-01").mkdir(parents=True)
    arguments = (
        "--mem",
        "1500",
        "--no-refine",
        "-vv",
        "--mtrasym-offsets",
        3.5,
        2,
        "--nprocs",
        3,
        "--b1-afi-tr",
        0.02,
        0.1,
    )
    options = parsed(
        *arguments, "--random-seed", 7, "-d", f"fmri={tmp_path / 'fmriprep'}", "--ignore", "gibbs", "motion"
    )
    options.command = "qmri_bids …"
    path = write_call(options, subjects=["01"])
    assert path.match("logs/config_*_sub-01_*.toml")
    again = parse([str(bids), str(tmp_path / "out"), "participant", "--config-file", str(path)])
    free = ("config_file", "given", "memory_gb", "resources", "command")  # what is free on this machine changes
    kept = {name: value for name, value in vars(options).items() if name not in free}
    assert kept == {name: value for name, value in vars(again).items() if name not in free}
    assert again.memory_gb == options.memory_gb
    assert f"{tmp_path / 'out'} participant --config-file {path}" in path.read_text()


def test_what_the_machine_offers_is_not_asked_for(parsed: Parse) -> None:
    options = parsed()
    options.command = "qmri_bids …"
    text = write_call(options, subjects=[f"{number:02d}" for number in range(9)]).read_text()
    assert not {"nprocs", "omp-nthreads", "mem", "config-file"} & set(tomllib.loads(text))
    assert f"# Not given, taken from this machine: --nprocs {options.nprocs}" in text


def test_every_option_may_stand_in_a_file_and_with_underscores() -> None:
    names = [name for action in build_parser()._actions for name in action.option_strings]
    assert all("_" not in name for name in names)
