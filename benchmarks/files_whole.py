"""Mistakes that change what a dataset means, processed by the whole program: none may give wrong maps with a green light.

    python benchmarks/files_whole.py [--only-named NAME ...] [--scan SCAN ...]

The list is `files_meanings.py`. A result is wrong where a median in true white or grey matter is off by more than `OFF` from that
of the scan as it was simulated; it is told where the run was refused, failed, or its report has a light that is not green. Results
are kept beside the simulated data, by the digest of the program, so that a call that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from files_child import called
from files_meanings import MEANINGS, Meaning
from files_scans import SCANS, WORK, dataset
from numpy.typing import NDArray
from rows import Row, print_rows

import qmri_bids

PATIENCE = 600.0
"""A call that takes longer hangs [s]."""

OFF, OFF_HZ = 0.05, 6.4
"""What makes a result wrong: relative to what it was, and of off-resonance [Hz], a twentieth of a ppm at 3 T."""

GREEN = "good"
UNVALIDATED = "--skip-bids-validation"
TISSUES = {"white": 2, "grey": 1}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a dataset.

    Parameters
    ----------
    name
        Of the change; the name of the scan where nothing was changed.
    code
        Exit code, None where the call hung.
    state, level
        Of the run; `refused` and `bad` where there is none.
    sentences
        What the report says against it.
    medians
        Of every map in every tissue.
    valued
        Share of true tissue with a value in every map.
    local
        Median over voxels of the departure from the map of the scan as it was: medians of tissue hide errors that cancel.
    crash
        The end of what was said, where a traceback or a request to report is part of it.
    seconds
        Time taken.
    """

    name: str
    code: int | None
    state: str
    level: str
    sentences: tuple[str, ...] = ()
    medians: dict[str, float] = field(default_factory=dict)
    valued: dict[str, float] = field(default_factory=dict)
    local: dict[str, float] = field(default_factory=dict)
    crash: str = ""
    seconds: float = 0.0


def _program() -> str:
    """Return a digest of the program."""
    digest = hashlib.sha256()
    root = Path(qmri_bids.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def process(scan: str, meaning: Meaning | None) -> Result:
    """Process a dataset as it is, or with one thing changed."""
    place = WORK / "now"
    shutil.rmtree(place, ignore_errors=True)
    root, out, said = place / "raw", place / "out", place / "said.txt"
    shutil.copytree(dataset(scan), root)
    begun = WORK / f"{scan}.work"
    if meaning is not None:
        meaning.change(root)
        # Steps that the change does not reach are those of the scan as it was: the program knows files by their content.
        shutil.copytree(begun, place / "work", symlinks=True)
    name = scan if meaning is None else meaning.name
    more = [argument.format(root=root) for argument in SCANS[scan].arguments]
    start = time.perf_counter()
    arguments = [str(root), str(out), "participant", "-w", str(place / "work"), "--nprocs", "1", *more, UNVALIDATED]
    code = called(arguments, said, until=start + PATIENCE).code
    took = time.perf_counter() - start
    words = said.read_text(errors="replace") if said.is_file() else ""
    crash = words[-1500:] if any(bad in words for bad in ("Traceback", "Please report", "unexpected ")) else ""
    if meaning is None:
        shutil.rmtree(begun, ignore_errors=True)
        shutil.copytree(place / "work", begun, symlinks=True)
    state, level, sentences = _record(out)
    if not sentences:
        sentences = tuple(line for line in words.splitlines() if "WARNING" in line or "ERROR" in line)[-6:]
    usual = WORK / f"{scan}.maps"
    if meaning is None:
        shutil.rmtree(usual, ignore_errors=True)
        shutil.copytree(out, usual)
    medians, valued, local = _medians(scan, root, out, usual) if state == "done" else ({}, {}, {})
    return Result(
        name=name,
        code=code,
        state=state,
        level=level,
        sentences=sentences,
        medians=medians,
        valued=valued,
        local=local,
        crash=crash,
        seconds=round(took, 1),
    )


def _warm(root: Path) -> None:
    """Process a dataset in this process: what it imports, compiles and loads is there for all that are forked."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # other threads would not be there in a forked process
    from qmri_bids.cli.run import main

    torch.set_num_threads(1)
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryDirectory() as made, open(os.devnull, "w") as nothing:
        try:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
            main([str(root), f"{made}/out", "participant", "-w", f"{made}/work", "--nprocs", "1", UNVALIDATED])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)


def _record(out: Path) -> tuple[str, str, tuple[str, ...]]:
    """Return state and level of the run, and what is said against it."""
    path = out / "sub-01" / "log" / "sub-01_record.json"
    if not path.is_file():
        return "refused", "bad", ()
    runs = json.loads(path.read_text())["runs"]
    if not runs:
        return "refused", "bad", ()
    run = runs[0]
    checks = [f"{each['level']}: {each['name']}: {each['value']}" for each in run["checks"]]
    against = [each for each in checks if each.startswith(("check", "bad"))]
    # What is green may hold the number from which a stricter light could be made.
    return (
        run["state"],
        run["level"],
        (
            *run["messages"],
            *run["warnings"],
            *against,
            *(each for each in checks if each not in against),
        ),
    )


def _medians(scan: str, root: Path, out: Path, usual: Path) -> tuple[dict[str, float], ...]:
    """Return the median of every map in every true tissue, the share of voxels that have a value, and their departures."""
    spec = SCANS[scan]
    labels = np.asarray(nib.load(next((root / "derivatives/truth").rglob(f"*{spec.labels}_dseg.nii.gz"))).dataobj)
    medians, valued, local = {}, {}, {}
    for name in spec.maps:
        values, before = _map(out, name), _map(usual, name)
        if values is None:
            continue
        for tissue, label in TISSUES.items():
            inside = labels == label
            known = inside & np.isfinite(values)
            key = f"{name.removeprefix('pcbssfp').removeprefix('MTS').strip('_')} {tissue}"
            valued[key] = round(float(known.sum() / max(inside.sum(), 1)), 4)
            medians[key] = float(np.median(values[known])) if known.any() else float("nan")
            if before is not None and before.shape == values.shape:
                both = known & np.isfinite(before) & (before != 0.0)
                local[key] = float(np.median(np.abs(values[both] / before[both] - 1.0))) if both.any() else float("nan")
    return medians, valued, local


def _map(out: Path, name: str) -> NDArray[np.float64] | None:
    found = [
        path
        for path in sorted(out.rglob(f"*{name}.nii.gz"))
        if not {"desc-std", "desc-unwrapped"} & set(path.name.split("_"))
    ]
    return np.asarray(nib.load(found[0]).dataobj) if found else None


def departures(result: Result, usual: Result) -> dict[str, float]:
    """Return by what every median is off, relative; off-resonance in units of what is allowed."""
    found = {}
    for key, value in usual.medians.items():
        new = result.medians.get(key, float("nan"))
        found[key] = OFF * (new - value) / OFF_HZ if "fieldmap" in key else new / value - 1.0
    return found


def verdict(result: Result, usual: Result) -> str:
    """Return `crash`, `refused`, `told`, `harmless`, `SILENT`, or `LOCAL`: silent, and off in single voxels alone."""
    if result.crash or result.code not in (0, 1, 2, 3):
        return "crash"
    if result.state != "done":
        return "refused"
    whole = any(not abs(each) <= OFF for each in departures(result, usual).values())
    local = any(each > OFF for key, each in result.local.items() if "fieldmap" not in key)
    if not whole and not local:
        return "harmless"
    if result.level != GREEN:
        return "told"
    return "SILENT" if whole else "LOCAL"


def _kept(program: str) -> dict[str, Result]:
    path = WORK / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    mine = [
        {key: value for key, value in line.items() if key != "program"} for line in lines if line["program"] == program
    ]
    return {line["name"]: Result(**{**line, "sentences": tuple(line["sentences"])}) for line in mine}


def results(meanings: Sequence[Meaning], *, again: bool = False) -> dict[str, Result]:
    """Return what became of changes, and of the datasets as they are; what is not known yet is processed.

    Parameters
    ----------
    meanings
        The changes.
    again
        Whether changes are processed again of which there is a result.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    program = _program()
    found = _kept(program)
    jobs: list[tuple[str, Meaning | None]] = []
    for scan in dict.fromkeys(meaning.scan for meaning in meanings):
        own = [meaning for meaning in meanings if meaning.scan == scan and (again or meaning.name not in found)]
        own.sort(key=lambda meaning: not meaning.evidence)  # the bar is on those with evidence
        known = scan in found and (WORK / f"{scan}.work").is_dir()
        jobs += [(scan, None)] * (not known) + [(scan, meaning) for meaning in own]
    if jobs:
        _warm(dataset(jobs[0][0]))
    for scan, meaning in jobs:
        result = process(scan, meaning)
        found[result.name] = result
        with (WORK / "results.jsonl").open("a") as file:
            file.write(json.dumps({"program": program, **asdict(result)}, ensure_ascii=False) + "\n")
        if not found[scan].medians:
            raise RuntimeError(f"{scan}: no maps of the scan as it was simulated: {found[scan]}")
        print(_line(result, meaning, found[scan]), flush=True)
    return found


def _line(result: Result, meaning: Meaning | None, usual: Result) -> str:
    off = " ".join(
        f"{key} {1 + each:.2f} (±{result.local.get(key, float('nan')):.2f})"
        for key, each in departures(result, usual).items()
        if result.medians
    )
    word = result.level if meaning is None else verdict(result, usual)
    evidence = "unchanged" if meaning is None else meaning.evidence or "none"
    why = "" if word == "harmless" or not result.sentences else result.sentences[0]
    return f"{word:<8} {evidence:<9} {result.name:<42} {result.seconds:5.0f} s  {off}  {why[:160]}"


def processed_whole() -> list[Row]:
    """Mistakes that change what a dataset means, processed whole."""
    found = results(MEANINGS)
    verdicts = {each.name: verdict(found[each.name], found[each.scan]) for each in MEANINGS}
    for each in MEANINGS:
        print(_line(found[each.name], each, found[each.scan]))
    silent = [each for each in MEANINGS if verdicts[each.name] == "SILENT"]
    proven = [each for each in silent if each.evidence]
    hidden = [each.name for each in MEANINGS if verdicts[each.name] == "LOCAL"]
    words = ("refused", "told", "harmless", "LOCAL", "SILENT", "crash")
    counts = {word: list(verdicts.values()).count(word) for word in words}
    dark = [scan for scan in SCANS if found[scan].level != GREEN]
    begin = "mistakes processed whole: "
    return [
        Row(
            figure=f"{begin}wrong with a green light though there is evidence",
            unit="",
            bar=0.0,
            value=float(len(proven)),
            baseline="; ".join(f"{each.name} ({each.evidence}: {each.reason})" for each in proven) or "none",
        ),
        Row(
            figure=f"{begin}wrong with a green light, no evidence",
            unit="",
            bar=None,
            value=float(len(silent) - len(proven)),
            baseline="; ".join(f"{each.name}: {each.reason}" for each in silent if not each.evidence),
        ),
        Row(
            figure=f"{begin}voxels off by more than 5 % (median) with a green light, medians of tissue right",
            unit="",
            bar=None,
            value=float(len(hidden)),
            baseline=", ".join(hidden) or "none",
        ),
        Row(
            figure=f"{begin}number",
            unit="",
            bar=None,
            value=float(len(MEANINGS)),
            baseline=", ".join(f"{number} {word}" for word, number in counts.items()),
        ),
        Row(
            figure=f"{begin}tracebacks, requests to report, hangs",
            unit="",
            bar=0.0,
            value=float(counts["crash"]),
            baseline=", ".join(name for name, word in verdicts.items() if word == "crash") or "none",
        ),
        Row(
            figure=f"{begin}scans whose light is not green as simulated",
            unit="",
            bar=0.0,
            value=float(len(dark)),
            baseline=", ".join(dark) or "none",
        ),
    ]


def _named() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only-named", nargs="+", default=(), help="changes to process again, by name")
    parser.add_argument("--scan", nargs="+", choices=tuple(SCANS), default=tuple(SCANS))
    options = parser.parse_args()
    unknown = set(options.only_named) - {each.name for each in MEANINGS}
    if unknown:
        parser.error(f"not in the list: {', '.join(sorted(unknown))}")
    chosen = [each for each in MEANINGS if each.scan in options.scan]
    if options.only_named:
        results([each for each in chosen if each.name in options.only_named], again=True)
    elif set(options.scan) < set(SCANS):
        results(chosen)
    else:
        print_rows(processed_whole())


if __name__ == "__main__":
    _named()
