"""What Boutiques does with the descriptor: `bosh` validates it, makes a command line of it and runs the demo, without a container.

    python benchmarks/containers_boutiques.py       needs neither root nor a container engine

Its rows stand in `results/containers.json` beside those of the image.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import Row, save

from qmri_bids.cli.parsing.parser import build_parser

BIN = Path(sys.executable).parent
DESCRIPTOR = Path(__file__).resolve().parents[1] / "boutiques.json"
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}


def commands(folder: Path) -> list[Row]:
    """Exit codes of the three commands, on the invocation that the descriptor itself holds."""
    subprocess.run([BIN / "qmri-tools", "simulate", folder / "demo" / "bids"], check=True, stdout=subprocess.DEVNULL)
    tests = json.loads(DESCRIPTOR.read_text(encoding="utf-8"))["tests"]
    invocation = next(test["invocation"] for test in tests if test["name"] == "participant")
    (folder / "invocation.json").write_text(json.dumps(invocation))
    given = {
        "bosh validate": ("validate", DESCRIPTOR),
        "bosh exec simulate": ("exec", "simulate", DESCRIPTOR, "-i", "invocation.json"),
        "bosh exec launch": (
            *("exec", "launch", DESCRIPTOR, "invocation.json"),
            *("--no-container", "--skip-data-collection"),
        ),
    }
    rows = []
    for name, arguments in given.items():
        done = subprocess.run(
            [BIN / "bosh", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        shown = {
            "bosh exec launch": f"demo, report {'written' if (folder / 'demo/out/sub-01.html').exists() else 'MISSING'}"
        }
        rows.append(
            Row(figure=f"{name}: exit code", unit="", bar=0.0, value=done.returncode, baseline=shown.get(name, ""))
        )
    return rows


def options() -> list[Row]:
    """Options of the parser beside those of the descriptor."""
    actions = [action for action in build_parser()._actions if action.dest not in ("help", "version")]
    known = [
        {flag.lstrip("-").replace("-", "_") for flag in action.option_strings} or {action.dest} for action in actions
    ]
    inputs = {each["id"] for each in json.loads(DESCRIPTOR.read_text(encoding="utf-8"))["inputs"]}
    differing = sum(not names & inputs for names in known) + len(inputs - set.union(*known))
    return [
        Row(
            figure="options that only the parser or only boutiques.json has",
            unit="",
            bar=0.0,
            value=differing,
            baseline=f"{len(actions)} inputs; --help and --version are none",
        )
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        save("containers", [*commands(Path(temporary)), *options()])
