"""What one imports, reads and installs: the interface for arrays, pages and notebooks, the wheel.

    python benchmarks/library.py [--only PART ...]

`docs` and `wheel` make an environment each (some minutes); QMRI_BIDS_DOCS_ENVIRONMENT and QMRI_BIDS_WHEEL_ENVIRONMENT name
folders that are kept for the next time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rows import Row, run_parts

import qmri_bids as q
from qmri_bids.api.bssfp import protocol_of
from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS

VOXELS = 700_000
SCAN = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15.0, "rf_phase_increment": np.arange(12) * 30.0}
REPEATS = 3
ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "numba", "ants", "nipype")


def importing() -> list[Row]:
    """Return the time of `import qmri_bids`, best of five, and the heavy libraries that it loads."""
    code = (
        "import sys, time; start = time.perf_counter(); import qmri_bids; "
        f"print(time.perf_counter() - start, sum(name in sys.modules for name in {HEAVY!r}))"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    return [
        Row(figure="import qmri_bids", unit="s", bar=0.1, value=min(float(seconds) for seconds, _ in found)),
        Row(
            figure=f"of {', '.join(HEAVY)}: loaded by import qmri_bids",
            unit="1",
            bar=0.0,
            value=float(max(int(number) for _, number in found)),
        ),
    ]


def against_inner_functions() -> list[Row]:
    """Return the time of the interface over that of the estimator, in turns in one run, and the largest difference of maps."""
    drawn = np.random.default_rng(0)
    white = drawn.random(VOXELS) < 0.5
    cycles = q.simulate_bssfp(
        t1=np.where(white, 0.94, 1.4),
        t2=np.where(white, 0.062, 0.085),
        off_resonance=drawn.uniform(-100.0, 100.0, VOXELS),
        **SCAN,
        noise=0.002,
        seed=1,
    ).astype(np.complex64)
    b1 = drawn.uniform(0.8, 1.2, VOXELS)
    times: dict[str, list[float]] = {"inner": [], "interface": []}
    for repeat in range(REPEATS + 1):
        start = time.perf_counter()
        inner = (
            ESTIMATORS["pinn"]
            .create(EstimatorOptions(threads=2))
            .estimate(cycles, protocol=protocol_of(**SCAN), known=KnownMaps(b1=b1))
        )
        middle = time.perf_counter()
        found = q.fit_bssfp(cycles, **SCAN, b1=b1, threads=2)
        end = time.perf_counter()
        if repeat:  # the first compiles
            times["inner"].append(middle - start)
            times["interface"].append(end - middle)
    worst = max(
        float(np.nanmax(np.abs(np.asarray(found.maps[name]) - np.asarray(values))))
        for name, values in inner.values.items()
    )
    return [
        Row(
            figure=f"fit_bssfp over the estimator inside, {VOXELS:,} voxels: time",
            unit="×",
            bar=1.05,
            value=min(times["interface"]) / min(times["inner"]),
            baseline=f"inside {min(times['inner']):.2f} s",
        ),
        Row(figure="the same: largest difference of a map", unit="1", bar=0.0, value=worst),
    ]


def tested(figure: str, *arguments: str) -> Row:
    """Run tests of this repository; the row counts those that did not pass."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments],
            cwd=ROOT,
            check=False,
        )
        suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    number, failed = (
        int(suite.get("tests", 0)),
        sum(int(suite.get(kind, 0)) for kind in ("failures", "errors", "skipped")),
    )
    return Row(
        figure=f"{figure}: tests that fail",
        unit="1",
        bar=0.0,
        value=float(failed if number else 1),
        baseline=f"{number - failed} of {number} passed",
    )


def arrays() -> list[Row]:
    """Return what becomes of arrays that are not what the functions expect, or that are another kind of array."""
    tests = sorted(f"tests/api/{path.name}" for path in (ROOT / "tests" / "api").glob("test_*_arrays.py"))
    return [tested("wrong axis, unit or sense, scalars, torch and NIfTI: the right word or answer", *tests)]


def examples() -> list[Row]:
    """Return whether the examples of the pages and of the functions themselves show what they return."""
    shown = sum(
        len(re.findall("^>>> ", (ROOT / page).read_text(), re.MULTILINE)) for page in ("README.md", "docs/library.md")
    )
    row = tested(
        "five lines from an array to maps with sd, in README and docs/library.md", "tests/api/test_library_document.py"
    )
    return [Row(**{**vars(row), "baseline": f"{row.baseline}, {shown} lines"})]


def notebooks() -> list[Row]:
    """Return whether the notebooks run and what they assert holds."""
    return [tested("notebooks executed", "tests/api/test_notebooks.py")]


@contextmanager
def environment(name: str) -> Iterator[Path]:
    """Give an environment of its own: the folder that a variable names, or one that is removed again."""
    if os.environ.get(name):
        yield Path(os.environ[name])
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def docs() -> list[Row]:
    """Return what an environment with the extra `docs` and nothing else says while it builds the site, and the links."""
    with environment("QMRI_BIDS_DOCS_ENVIRONMENT") as folder, tempfile.TemporaryDirectory() as site:
        python = folder / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for asked in (["torch"], ["-e", ".[docs]"]):
            subprocess.run(
                [python, "-m", "pip", "install", "-q", "-c", "constraints.txt", *asked], cwd=ROOT, check=True
            )
        built = subprocess.run(
            [
                python,
                "-m",
                "sphinx",
                "-q",
                "-w",
                Path(site) / "warnings.txt",
                "-b",
                "html",
                "docs",
                Path(site) / "html",
            ],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        print(built.stderr)
        pages = len(list(Path(site).rglob("*.html")))
        # Those of Sphinx alone: the kernels of the notebooks speak on the same stream.
        said = (Path(site) / "warnings.txt").read_text(encoding="utf-8")
        warnings = len(re.findall("WARNING|ERROR", said)) + (built.returncode != 0)
    return [
        Row(
            figure="documentation built with its notebooks, in an environment of the extra docs alone: warnings",
            unit="1",
            bar=0.0,
            value=float(warnings),
            baseline=f"{pages} pages",
        ),
        tested(
            "links, pages and messages that the documentation names",
            "tests/test_documentation.py",
            "tests/test_guide_pages.py",
        ),
    ]


def wheel() -> list[Row]:
    """Return whether the wheel works in a new environment, far from the repository."""
    return [
        tested(
            "wheel in a new environment: --version, doctor, a simulated participant, README",
            "-m",
            "wheel",
            "tests/wheel",
        )
    ]


SESSIONS = "tests/e2e/test_sessions_and_runs.py"


def sessions() -> list[Row]:
    """Return whether two participants of two sessions with two runs each go through in one call."""
    return [tested("two participants, two sessions, two runs, T1w, MNI, group", SESSIONS)]


if __name__ == "__main__":
    run_parts(
        "library",
        {
            "import": importing,
            "inner": against_inner_functions,
            "arrays": arrays,
            "examples": examples,
            "notebooks": notebooks,
            "docs": docs,
            "wheel": wheel,
            **({"sessions": sessions} if (ROOT / SESSIONS).is_file() else {}),
        },
        description=__doc__.splitlines()[0],
    )
