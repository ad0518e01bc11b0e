"""From converted files to maps without editing one, against the bars.

    python benchmarks/converters.py [--only PART ...]

`sidecars` gives the check incomplete sidecars of five vendors (`converters_sidecars.py`): every key that is missing must be named
in one message, with what to write, and the repetition time of slices must not be taken for that of excitations. `folders` takes
simulated scans apart into what a converter leaves, and has them imported and processed (`converters_folders.py`).
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters_folders import FOLDERS, imported, simulated
from converters_sidecars import CASES, Case
from files_child import called
from rows import AtLeast, Row, run_parts

SMALL = ("--matrix", "22", "24", "18", "--voxel-size", "10", "--phase-cycles", "6", "--motion", "0")
B1_OF = {"dam": "TB1DAM", "afi": "TB1AFI"}
PATIENCE = 120.0
STEMS = {
    "pcbssfp": ("anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA", "anat/sub-01_acq-pcbssfp_flip-1_part-phase_VFA"),
    "mts": (
        "anat/sub-01_acq-MTS_flip-1_mt-off_MTS",
        "anat/sub-01_acq-MTS_flip-1_mt-on_MTS",
        "anat/sub-01_acq-MTS_flip-2_mt-off_MTS",
    ),
    "tfl": ("fmap/sub-01_acq-famp_TB1TFL",),
    "dam": ("fmap/sub-01_flip-1_TB1DAM", "fmap/sub-01_flip-2_TB1DAM"),
    "afi": ("fmap/sub-01_acq-tr1_TB1AFI", "fmap/sub-01_acq-tr2_TB1AFI"),
    "cest": ("anat/sub-01_acq-Zspec_cest",),
}
"""Files that a case describes."""

RUNS = {"mts": "sub-01_acq-MTS_MTS", "cest": "sub-01_acq-Zspec_cest"}
BSSFP_RUN = "sub-01_acq-pcbssfp_flip-1"
KEPT = {"mts": "*_MTS.*", "cest": "*Zspec*"}
"""Files of the scan that a case is of, where pc-bSSFP is not."""

TABLE_COLUMNS = ("volume_type", "offset_ppm")
"""What a lab writes down; the sidecar has the rest."""


def _dataset(folder: Path, case: Case) -> Path:
    """Write the scan of a case, with its sidecars as the converter left them."""
    b1 = B1_OF.get(case.kind, "TB1TFL")
    source = folder / b1
    if not source.is_dir():
        more = ("--mt", "mts", "--cest", "zspectrum") if b1 == "TB1TFL" else ()
        command = [sys.executable, "-c", "import sys; from qmri_bids.cli.tools import main; sys.exit(main())"]
        arguments = ["simulate", str(source), *SMALL, "--b1", b1, *more]
        subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)
    root = folder / "raw"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("derivatives"))
    kept = KEPT.get(case.kind, "*pcbssfp*")
    for path in (root / "sub-01" / "anat").iterdir():
        if not path.match(kept):
            path.unlink()
    stems = STEMS[case.kind]
    contents = case.content if isinstance(case.content, tuple) else (case.content,) * len(stems)
    for stem, content in zip(stems, contents, strict=True):
        written = {key: value for key, value in content.items() if value is not None}
        (root / "sub-01" / f"{stem}.json").write_text(json.dumps(written))
    if case.kind == "cest":
        _strip(root / "sub-01" / f"{stems[0]}context.tsv")
    return root


def _strip(table: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(table.read_text()), delimiter="\t"))
    lines = ["\t".join(TABLE_COLUMNS), *("\t".join(row[key] for key in TABLE_COLUMNS) for row in rows)]
    table.write_text("\n".join(lines) + "\n")


def _checked(root: Path, *arguments: str) -> tuple[int | None, str]:
    said = root.parent / "said.txt"
    command = [str(root), str(root.parent / "out"), "participant", "--dry-run", "--skip-bids-validation", *arguments]
    code = called(command, said, until=time.perf_counter() + PATIENCE).code
    return code, " ".join(said.read_text(errors="replace").split())


def _is_listed(words: str, run: str) -> bool:
    return f"run {run} " in words


def _arguments(case: Case, root: Path) -> list[str]:
    path = root.parent / "metadata.json"
    path.write_text(json.dumps(case.metadata))
    return [*case.arguments, *(["--metadata", str(path)] if case.metadata else [])]


def _time_is_taken(words: str) -> bool:
    return "is taken as the time between two excitations" in words


def _judge(folder: Path, case: Case) -> Mapping[str, str]:
    """Return what is wrong with the answers to a case, by the figure that it counts in."""
    root, run = _dataset(folder, case), RUNS.get(case.kind, BSSFP_RUN)
    code, words = _checked(root)
    wrong: dict[str, str] = {}
    if case.missing:
        unnamed = [key for key in case.missing if key not in words]
        if unnamed or _is_listed(words, run):
            wrong["named"] = f"not named: {', '.join(unnamed)}" if unnamed else "not refused"
        elif "degrees" not in words and "seconds" not in words and "--" not in words and "Add " not in words:
            wrong["named"] = "not said what to write"
    elif code != 0 or not _is_listed(words, run):
        wrong["named"] = f"nothing is missing, exit code {code}"
    code, completed = _checked(root, *_arguments(case, root))
    if code != 0 or not _is_listed(completed, run):
        wrong["completed"] = f"exit code {code}: {completed[-300:]}"
    if _time_is_taken(completed) != case.takes_time and case.kind in ("pcbssfp", "mts"):
        wrong["time"] = f"repetition time {'not ' if case.takes_time else ''}taken"
    return wrong


def check_sidecars() -> list[Row]:
    """Incomplete sidecars, checked as they are and with what they lack."""
    wrong: dict[str, list[str]] = {"named": [], "completed": [], "time": []}
    with tempfile.TemporaryDirectory() as made:
        for case in CASES:
            for figure, fault in _judge(Path(made), case).items():
                wrong[figure].append(f"{case.name}: {fault}")
                print(f"  {figure}: {wrong[figure][-1]}", flush=True)
    number = len(CASES)
    never = [each for each in CASES if not each.takes_time and each.kind in ("pcbssfp", "mts")]
    taken = [each for each in wrong["time"] if each.endswith(": repetition time taken")]

    def row(figure: str, faults: list[str], of: int, bar: Any) -> Row:
        value = float(of - len(faults)) if isinstance(bar, AtLeast) else float(len(faults))
        return Row(figure=figure, unit="", bar=bar, value=value, baseline=f"of {of}; {'; '.join(faults) or 'no fault'}")

    return [
        row("incomplete sidecars: all that is missing named in one message", wrong["named"], number, AtLeast(number)),
        row("incomplete sidecars: accepted with --metadata or an option", wrong["completed"], number, AtLeast(number)),
        row("repetition time of slices or trains taken for that of excitations", taken, len(never), 0.0),
        row(
            "repetition time of a 3D gradient echo taken",
            [each for each in wrong["time"] if each not in taken],
            number - len(never),
            AtLeast(number - len(never)),
        ),
    ]


def process_folders() -> list[Row]:
    """Folders of converted files, imported and processed."""
    faults = []
    with tempfile.TemporaryDirectory() as made:
        for folder in FOLDERS:
            start = time.perf_counter()
            fault = imported(folder, simulated(folder, Path(made)), Path(made) / "work")
            print(f"  {folder.name}: {fault or 'maps'} ({time.perf_counter() - start:.0f} s)", flush=True)
            faults += [f"{folder.name}: {fault}"] if fault else []
    number = len(FOLDERS)
    return [
        Row(
            figure="folders of converted files: maps with import, --metadata and nothing edited",
            unit="",
            bar=AtLeast(number),
            value=float(number - len(faults)),
            baseline=f"of {number}; {'; '.join(faults) or 'no fault'}",
        )
    ]


PARTS = {"sidecars": check_sidecars, "folders": process_folders}

if __name__ == "__main__":
    run_parts("converters", PARTS, description=__doc__.splitlines()[0])
