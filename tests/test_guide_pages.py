"""Pages that quote the program or its benchmarks say what those say."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import qmri_bids

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def strings_of_the_source() -> str:
    """Return all text of the program, each string whole: parts of formatted ones in their order, values as …"""
    found = []
    for path in sorted((ROOT / "qmri_bids").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_messages_that_are_explained_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(quoted) > 30
    source = strings_of_the_source()
    assert [message for message in quoted if message not in source] == []


@pytest.mark.parametrize(
    ("results", "figure", "row", "shown"),
    [
        ("main_job", "176×176×128×12, all steps, 2 processes: time", "pc-bSSFP with B1, all steps", "{:.1f} min"),
        ("main_job", "176×176×128×12, all steps: peak memory", "pc-bSSFP with B1, all steps", "{:.1f} GiB"),
        ("engine", "repeat of a finished run", "the same call again", "{:.0f} s"),
        ("cest_physics", "Z-spectrum, 56 volumes of 96×112×96", "Z-spectrum", "{:.1f} min"),
        (
            "cest_quantification",
            "digital brain, 96×112×96 at 2 mm: pc-bSSFP",
            "pc-bSSFP with B1 and both",
            "{:.0f} min",
        ),
        ("relaxometry", "brain of 700 k voxels, N=12, 2 cores: flagship", "T1 and T2 by the default", "{:.1f} s"),
        ("relaxometry", "brain of 700 k voxels, N=12, 2 cores: the same", "the same, with a posterior", "{:.1f} s"),
        ("profiles", "700,000 voxels, N=12, two cores", "the same, with fluid", "{:.1f} s"),
        (
            "cest_quantification",
            "brain of 170 k voxels, MT + amide, 2 threads: pre",
            "semisolid pool and amide, pre",
            "{:.1f} s",
        ),
        (
            "cest_quantification",
            "brain of 170 k voxels, MT + amide, 2 threads: def",
            "semisolid pool and amide, ref",
            "{:.1f} min",
        ),
        ("cest_quantification", "train by fit, first brain", "a network trained on the subject", "{:.1f} min"),
        ("engine", "indexing one participant of 2000", "index of one participant", "{:.1f} s"),
        ("engine", "--dry-run of that participant", "`--dry-run` of that", "{:.0f} s"),
        ("engine", "--help", "`qmri_bids --help`", "{:.1f} s"),
        ("library", "import qmri_bids", "`import qmri_bids`", "{:.2f} s"),
    ],
)
def test_times_and_memory_are_those_of_the_benchmarks(results: str, figure: str, row: str, shown: str) -> None:
    saved = json.loads((ROOT / "benchmarks" / "results" / f"{results}.json").read_text(encoding="utf-8"))
    (value,) = (line["value"] for line in saved if line["figure"].startswith(figure))
    lines = (DOCS / "performance.md").read_text(encoding="utf-8").splitlines()
    (cells,) = (line.split("|") for line in lines if line.startswith(f"| {row}"))
    assert shown.format(value) in [cell.strip() for cell in cells]


def test_every_function_has_its_reference() -> None:
    documented = set(
        re.findall(r":: qmri_bids\.(\w+)$", (DOCS / "functions.rst").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert documented == set(qmri_bids.__all__) - {"__version__"}


def test_every_page_and_notebook_has_a_place_in_the_index() -> None:
    places = re.findall(
        r"^```\{toctree\}\n(?::.*\n)*\n((?:[\w/]+\n)+)```$",
        (DOCS / "index.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    named = [page for block in places for page in block.split()]
    pages = {*DOCS.glob("*.md"), *DOCS.glob("*.rst"), *(DOCS / "notebooks").glob("*.ipynb")}
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in pages}
    assert sorted(named) == sorted(there - {"index"})
