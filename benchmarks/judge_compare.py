"""What the judge calls a difference, what may differ between any two runs, and which differences are wanted.

Compared are the names of all files; voxels, type, geometry and header of every NIfTI image; JSON by key, with the order of keys;
tables, logs, methods and all other text by line; the visible text of reports, with a digest in place of each picture; exit codes;
names of the steps that ran. All other files are compared by their bytes.
"""

from __future__ import annotations

import difflib
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from judge_calls import is_asked

NORMALIZATIONS: Sequence[tuple[str, str, str]] = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "<time>", "date and time of the call"),
    (r"(?m)^\d\d:\d\d:\d\d(?= )", "<time>", "time of a line of the log"),
    (r"(?m)^.*which an earlier call left behind when it was killed, was removed\n", "", "other calls on the machine"),
    (r"_\d{8}-\d{6}_", "_<time>_", "date and time in the name of a file of one call"),
    (r"(?<=_)[0-9a-f]{6}(?=\.(toml|json|txt)\b)", "<id>", "random end of such a name"),
    (r"crash-\d{8}-\d{6}", "crash-<time>", "date and time in the name of a crash file"),
    (r"[0-9a-f]{8}(-\s*[0-9a-f]{4}){3}-\s*[0-9a-f]{12}", "<id>", "random end of such a name, in a table on two lines"),
    (r"\(\d+(\.\d+)? s\)", "(<seconds>)", "how long a step or a report took"),
    (r"(?m)^(Duration)\n.*$", r"\1\n<duration>", "how long the call took, in the report"),
    (r'(?m)^( *"duration": ).*$', r"\1<duration>,", "how long the call took, in text that holds a record"),
    (r"--mem \d+ \([^)]*\)", "--mem <free>", "what memory is free changes while a machine is used"),
)
"""What differs between any two runs of one tree: pattern, what stands in its place, and why."""

SKIPPED_KEYS: Mapping[str, str] = {
    "duration": "how long the call took",
    "Version": "of the program, in a file that says which program wrote it",
    "version": "the same in a record",
}
"""Keys of JSON whose value is not compared, and why. That they are there is."""

SKIPPED_CONTENT: Mapping[str, str] = {
    r"/crash-[^/]*\.txt$": "lines of source code on which a step failed; what it said stands in the log and in the report",
}
"""Files of which only the name is compared, and why."""

UNORDERED_LINES = re.compile(r"^.*: \w+ (…|done \(<seconds>\))$")
"""Lines of the log that say that a step began or ended: steps that do not need each other may run in any order."""

RENAMES: Sequence[tuple[str, str, str]] = ()
"""Files that are wanted under another name: pattern in the old path, what stands in its place, and why."""

WANTED: Sequence[tuple[str, str, str]] = (
    (
        r"/log/sub-[^/]+_methods\.json$",
        r"\$\.(Steps: key is gone|Sentences: key is new)",
        "the record of the methods holds the sentences themselves, no longer keys of a table that is gone",
    ),
    (r"/nodes$", r"\+ .*/collect_registrations$", "a list of what was registered is made for all kinds of runs alike"),
    (
        r"\.html$",
        r"[-+] (File \"<tree>/qmri_bids/|qmri_bids\.preprocessing\.)",
        "the technical part of a failure names the file and the class in which it came up, which have moved",
    ),
    (
        r"/(group_runs\.tsv|sub-04\.html|log/sub-04_record\.json)$",
        r"Registration of the B1 scan|\$\.runs\[0\]\.checks: 5 entries became 6",
        "a B1 scan whose place no registration confirms has its light",
    ),
    (r"/\.bidsignore$", r"\*_residualmap\.\*", "patterns of maps stand before those of other files; they are the same"),
)
"""Differences that are wanted: pattern of the path, pattern of the difference as it is printed, and why."""

PICTURE = re.compile(r'(?s)<img[^>]*src="data:([^"]+)"[^>]*>')
INVISIBLE = re.compile(r"(?s)<(script|style|head)\b.*?</\1>")
TAG = re.compile(r"(?s)<[^>]+>")

CALL_FILES = ("command", "exit", "stdout", "stderr", "nodes")
SHOWN_LINES = 12
"""Lines of one difference that are printed."""


@dataclass(frozen=True)
class Difference:
    """One difference: in which file, what it is, and why it is wanted, None where nobody wanted it."""

    file: str
    text: str
    reason: str | None = None


class Run:
    """The outputs of one tree; in its text, places are replaced by names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = json.loads((folder / "places.json").read_text())
        # The longest first: one place may lie in another.
        self._places = sorted(((place, f"<{name}>") for name, place in places.items()), key=lambda pair: -len(pair[0]))

    def files(self, parts: Sequence[str] | None) -> dict[str, Path]:
        """Return what is compared by its name without dates."""
        found = {}
        for call in sorted(self.folder.glob("*/*/")):
            # A call that was cut off has no exit code yet.
            if not (call / "exit").is_file() or not (parts is None or is_asked(call.parent.name, call.name, parts)):
                continue
            paths = [*(call / name for name in CALL_FILES), *(path for path in call.glob("out/**/*") if path.is_file())]
            for path in sorted(paths):
                name = normalized(path.relative_to(self.folder).as_posix())
                while name in found:
                    name += "+"
                found[name] = path
        return found

    def clean(self, text: str) -> str:
        for place, name in self._places:
            text = text.replace(place, name)
        return normalized(text)

    def text(self, path: Path) -> str:
        return self.clean(path.read_text(encoding="utf-8"))


def normalized(text: str) -> str:
    for pattern, replacement, _ in NORMALIZATIONS:
        text = re.sub(pattern, replacement, text)
    return text


def compare(old: Path, new: Path, *, parts: Sequence[str] | None = None) -> list[Difference]:
    """Return all differences between two runs, those that are wanted with their reason."""
    before, after = Run(old), Run(new)
    old_files = {_renamed(name): path for name, path in before.files(parts).items()}
    new_files = after.files(parts)
    if not old_files and not new_files:
        raise SystemExit(f"{old} and {new}: expected outputs of a run, found none")
    found = []
    old_calls, new_calls = ({_call_of(name) for name in files} for files in (old_files, new_files))
    found += [Difference(name, "call was not made by the new run") for name in sorted(old_calls - new_calls)]
    found += [Difference(name, "call was not made by the old run") for name in sorted(new_calls - old_calls)]
    for name in sorted(old_files.keys() | new_files.keys()):
        if _call_of(name) not in old_calls & new_calls:
            continue
        if name not in new_files:
            found.append(Difference(name, "file is gone"))
        elif name not in old_files:
            found.append(Difference(name, "file is new"))
        else:
            found += [Difference(name, text) for text in compare_files(old_files[name], new_files[name], before, after)]
    return [replace(each, reason=_reason(each)) for each in found]


def _call_of(name: str) -> str:
    return "/".join(name.split("/")[:2])


def _renamed(name: str) -> str:
    for pattern, replacement, _ in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _reason(difference: Difference) -> str | None:
    for path, text, reason in WANTED:
        if re.search(path, difference.file) and re.search(text, difference.text):
            return reason
    return None


def compare_files(old: Path, new: Path, before: Run, after: Run) -> Iterator[str]:
    """Yield the differences between two files of one kind."""
    if any(re.search(pattern, old.as_posix()) for pattern in SKIPPED_CONTENT):
        return
    if old.name.endswith((".nii.gz", ".nii")):
        yield from compare_images(old, new)
    elif old.suffix == ".json":
        yield from compare_json(
            json.loads(old.read_text()), json.loads(new.read_text()), clean=(before.clean, after.clean)
        )
    elif old.suffix == ".html":
        yield from compare_lines(*(run.clean(visible_text(path)) for run, path in ((before, old), (after, new))))
    elif old.name == "stderr":
        for part in (0, 1):
            yield from compare_lines(log_lines(before.text(old))[part], log_lines(after.text(new))[part])
    elif _is_text(old) and _is_text(new):
        yield from compare_lines(before.text(old), after.text(new))
    elif old.read_bytes() != new.read_bytes():
        yield "bytes differ"


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def compare_lines(old: str, new: str) -> Iterator[str]:
    """Yield one difference for every block of lines that differs."""
    first, second = old.splitlines(), new.splitlines()
    for tag, start, end, other_start, other_end in difflib.SequenceMatcher(
        None, first, second, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            lines = [f"- {line}" for line in first[start:end]] + [f"+ {line}" for line in second[other_start:other_end]]
            yield f"line {start + 1}\n" + "\n".join(lines)


def log_lines(text: str) -> tuple[str, str]:
    """Return what a log says in order, and which steps began and ended, sorted."""
    lines = text.splitlines()
    steps = sorted(line for line in lines if UNORDERED_LINES.match(line))
    return "\n".join(line for line in lines if not UNORDERED_LINES.match(line)), "\n".join(steps)


def visible_text(path: Path) -> str:
    """Return what a reader of a page sees, one element a line, and of a picture its digest."""
    page = path.read_text(encoding="utf-8")
    page = PICTURE.sub(lambda match: f"\n[picture {hashlib.sha256(match[1].encode()).hexdigest()[:12]}]\n", page)
    text = html.unescape(TAG.sub("\n", INVISIBLE.sub("", page)))
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def compare_json(
    old: Any, new: Any, *, clean: tuple[Callable[[str], str], Callable[[str], str]], place: str = "$"
) -> Iterator[str]:
    """Yield the differences between two values, by key; numbers are compared exactly."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys, others = [clean[0](key) for key in old], [clean[1](key) for key in new]
        for key in keys:
            if key not in others:
                yield f"{place}.{key}: key is gone"
        for key in others:
            if key not in keys:
                yield f"{place}.{key}: key is new"
        both = [key for key in keys if key in others]
        if both != [key for key in others if key in keys]:
            yield f"{place}: order of keys\n- {', '.join(keys)}\n+ {', '.join(others)}"
        first, second = dict(zip(keys, old.values(), strict=True)), dict(zip(others, new.values(), strict=True))
        for key in both:
            if key not in SKIPPED_KEYS:
                yield from compare_json(first[key], second[key], clean=clean, place=f"{place}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{place}: {len(old)} entries became {len(new)}\n- {old!s:.300}\n+ {new!s:.300}"
        else:
            for number, pair in enumerate(zip(old, new, strict=True)):
                yield from compare_json(*pair, clean=clean, place=f"{place}[{number}]")
    elif isinstance(old, str) and isinstance(new, str):
        if (first_text := clean[0](old)) != (second_text := clean[1](new)):
            yield f"{place}\n- {first_text}\n+ {second_text}"
    elif type(old) is not type(new) or not (old == new or (old != old and new != new)):
        yield f"{place}\n- {old!r:.300}\n+ {new!r:.300}"


def compare_images(old: Path, new: Path) -> Iterator[str]:
    """Yield the differences between header and voxels of two images."""
    first: Any = nib.load(old)
    second: Any = nib.load(new)
    for key in first.header.keys():  # noqa: SIM118  a header is no mapping
        before, after = np.asarray(first.header[key]), np.asarray(second.header[key])
        if before.tobytes() != after.tobytes():
            yield f"header {key}\n- {before}\n+ {after}"
    if first.shape != second.shape:
        return
    if not np.array_equal(first.affine, second.affine):
        yield f"affine\n- {first.affine.tolist()}\n+ {second.affine.tolist()}"
    voxels, others = np.asanyarray(first.dataobj), np.asanyarray(second.dataobj)
    if not np.array_equal(voxels, others, equal_nan=voxels.dtype.kind in "fc" and others.dtype.kind in "fc"):
        yield _voxel_difference(voxels, others)


def _voxel_difference(old: np.ndarray, new: np.ndarray) -> str:
    kept = np.isfinite(old) & np.isfinite(new)
    finite = np.count_nonzero(np.isfinite(old) != np.isfinite(new))
    change = np.abs(new[kept].astype(np.complex128) - old[kept].astype(np.complex128))
    largest = change.max() if change.size else 0.0
    scale = np.abs(old[kept]).max() if change.size else 0.0
    return (
        f"voxels: {np.count_nonzero(change)} of {old.size} differ, by {largest:.3g} at most (largest value {scale:.3g}); "
        f"{finite} are finite in one alone"
    )


def print_differences(differences: Sequence[Difference]) -> None:
    """Print what differs, the unexplained ones in full."""
    for each in differences:
        if each.reason is None:
            head, *lines = each.text.splitlines() or [""]
            print(f"{each.file}: {head}")
            for line in lines[:SHOWN_LINES]:
                print(f"    {line:.400}")
            if len(lines) > SHOWN_LINES:
                print(f"    … {len(lines) - SHOWN_LINES} more lines")
    wanted = [each for each in differences if each.reason is not None]
    for reason in dict.fromkeys(each.reason for each in wanted):
        print(f"wanted ({reason}): {sum(each.reason == reason for each in wanted)}")
    print(f"{len(differences) - len(wanted)} unexplained differences, {len(wanted)} wanted ones")
