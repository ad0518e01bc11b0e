"""The options that choose data, and the folders of a call."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.cli.options.outputs import MULTIVERSE, multiverse_folder
from qmri_bids.cli.parsing.option import Option, OptionGroup, Setting

PARTICIPANT, GROUP = LEVELS = ("participant", "group")
"""Levels of analysis in the order in which they are done."""


def part_asked_for(options: argparse.Namespace) -> str:
    """Return the sessions and runs that a call is limited to, as names of files hold them; empty without a limit."""
    sessions = [f"ses-{each}" for each in options.session_label or ()]
    return "_".join([*sessions, *(f"run-{each}" for each in options.run_id or ())])


def _resolve_folders(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Make the folders of a call absolute, and refuse those that cannot be read, written or told apart."""
    try:
        _check_folders(parser, options)
    except OSError as error:  # a folder above one of them that this user may not enter
        parser.error(f"{error.filename} cannot be read: {error.strerror}; change permissions, or give other folders")


def _check_folders(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    options.analysis_level = tuple(level for level in LEVELS if level in options.analysis_level)
    options.bids_dir = options.bids_dir.resolve()
    options.output_root = options.output_dir = options.output_dir.resolve()
    options.work_dir = options.work_dir.resolve()
    if not options.bids_dir.is_dir():
        parser.error(f"bids_dir {options.bids_dir} is not a folder; give the root of a BIDS dataset")
    if not (options.bids_dir / "dataset_description.json").is_file():
        parser.error(
            f"{options.bids_dir}/dataset_description.json not found: bids_dir must be the root of a BIDS dataset, "
            "where that file lies"
        )
    if options.output_dir == options.bids_dir:
        parser.error(
            f"output_dir is bids_dir ({options.bids_dir}); give another folder, for instance "
            f"{options.bids_dir / 'derivatives' / 'qmri_bids'}"
        )
    inside = options.bids_dir in options.output_dir.parents
    if inside and options.output_dir.relative_to(options.bids_dir).parts[0] != "derivatives":
        parser.error(
            f"output_dir {options.output_dir} lies inside the raw dataset; inside it only derivatives/… may be written, for "
            f"instance {options.bids_dir / 'derivatives' / 'qmri_bids'}"
        )
    written = {"output_dir": options.output_dir}
    if PARTICIPANT in options.analysis_level:
        written["work_dir"] = options.work_dir
        _check_work_dir(parser, options)
    for name, folder in written.items():
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            parser.error(f"{name} {folder} cannot be written: {nearest} is not a folder that this user may write to")
    if options.output_layout == MULTIVERSE:
        options.output_dir /= multiverse_folder(options.configuration)


def _check_work_dir(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.work_dir == options.output_dir:
        parser.error(f"work_dir is output_dir ({options.work_dir}); give another with --work-dir")
    if options.work_dir == options.bids_dir or options.bids_dir in options.work_dir.parents:
        parser.error(
            f"work_dir {options.work_dir} lies inside bids_dir {options.bids_dir}; give another with --work-dir"
        )


def _name_data(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Take labels without their prefix, and name the folders of derivatives."""
    options.derivatives = _derivatives(parser, options.derivatives)
    options.participant_label = _labels(options.participant_label, "sub-")
    options.session_label = _labels(options.session_label, "ses-")


def _derivatives(parser: argparse.ArgumentParser, given: Sequence[str]) -> dict[str, Path]:
    """Return folders of derivatives by name, that of the folder where none is given."""
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        folder = Path(path if equals else text).resolve()
        name = name if equals else folder.name
        if not any(folder.glob("sub-*")):
            parser.error(f"--derivatives {folder} holds no folder sub-…; give the root of one dataset of derivatives")
        if name in folders:
            parser.error(f"--derivatives names {name} twice; give them names of their own (NAME=PATH)")
        folders[name] = folder
    return folders


def _labels(labels: list[str] | None, prefix: str) -> tuple[str, ...] | None:
    return None if labels is None else tuple(label.removeprefix(prefix) for label in labels)


def _written_derivatives(given: Sequence[str]) -> list[str]:
    """Return folders of derivatives as a file of options holds them: absolute, with the names that were given."""
    parts = [text.partition("=") if "=" in text else ("", "", text) for text in given]
    return [f"{name}{equals}{Path(path).resolve()}" for name, equals, path in parts]


ARGUMENTS = OptionGroup(
    title="",
    rows=(
        Option(
            name="bids_dir",
            type=Path,
            help="root of the raw BIDS dataset (dataset_description.json lies in it)",
            reads_folder=True,
        ),
        Option(name="output_dir", type=Path, help="folder of the derivatives; made if it does not exist"),
        Option(
            name="analysis_level",
            nargs="+",
            choices=LEVELS,
            help="participant: maps and reports; group: tables and a page of all participants that were processed; "
            "participant group: the one after the other",
        ),
        Option(name="--verbose", short="-v", action="count", default=0, help="say more; twice for debugging"),
    ),
    finish=_resolve_folders,
)

DATA = OptionGroup(
    title="which data",
    rows=(
        Option(
            name="--participant-label",
            nargs="+",
            metavar="LABEL",
            help="participants to process, with or without 'sub-'; all by default",
        ),
        Option(
            name="--session-label",
            also=("--session-id",),
            nargs="+",
            metavar="LABEL",
            help="sessions to process, with or without 'ses-'; all by default",
        ),
        Option(
            name="--run-id",
            nargs="+",
            metavar="INDEX",
            help="runs to process; all by default",
            setting=Setting("finding", field="run_label"),
        ),
        Option(
            name="--derivatives",
            short="-d",
            nargs="+",
            action="extend",
            default=[],
            metavar="[NAME=]PATH",
            help="folders of derivatives in which CEST fingerprints look for maps of T1, T2, B1 and off-resonance that the session "
            "itself does not give, and pc-bSSFP for those of the semisolid pool; those of fMRIPrep and sMRIPrep give brain masks, "
            "tissues and transforms to all runs; those of an earlier call of this program give the brain mask, corrected by hand "
            "or not, and the motion of the very runs, which "
            "are applied instead of fitted again",
            reads_folder=True,
            written=_written_derivatives,
            setting=Setting("finding"),
        ),
        Option(
            name="--bids-filter-file",
            type=Path,
            metavar="FILE",
            help="JSON file that selects scans by entities, for instance "
            '{"pcbssfp": {"acquisition": "highres"}, "b1": {"run": 2}}',
        ),
        Option(
            name="--metadata",
            type=Path,
            metavar="FILE",
            help="JSON file of keys and values that the sidecars of the dataset lack, by kind of scan, suffix or pattern of file "
            'names, for instance {"pcbssfp": {"RFPhaseIncrement": [0, 90, 180, 270]}, "*_part-phase_VFA": {"Units": "rad"}}; '
            "what a sidecar states comes first",
        ),
        Option(
            name="--bids-database-dir",
            type=Path,
            metavar="PATH",
            help="where the index of the dataset is kept between calls",
        ),
        Option(
            name="--skip-bids-validation",
            action="store_true",
            help="do not run bids-validator on the dataset; its errors are warnings here, since every run is checked anyway",
        ),
    ),
    finish=_name_data,
)
