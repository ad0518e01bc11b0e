"""The group level on what the program itself wrote."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MEASURES = {"brain_volume", "valid_voxels", "residual", "relative_stdev", "displacement_max", "b1_low", "b1_coverage"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def test_a_participant_becomes_a_group(
    processed: Any, run_app: Callable[..., subprocess.CompletedProcess], tmp_path: Path
) -> None:
    out = shutil.copytree(processed.out, tmp_path / "out", copy_function=os.link)
    done = run_app(processed.bids, out, "group")
    assert done.returncode == 0, done.stderr + done.stdout

    stats = _rows(next((out / "sub-01" / "anat").glob("*_acq-pcbssfp_desc-tissue_stats.tsv")))
    group = _rows(out / "group_tissues.tsv")
    [median] = [row["median"] for row in group if (row["map"], row["tissue"]) == ("T1", "white matter")]
    [stated] = [row["median"] for row in stats if (row["map"], row["tissue"]) == ("T1map", "WM")]
    assert float(median) == pytest.approx(1000.0 * float(stated), rel=0.01)

    quality = {row["measure"]: row for row in _rows(out / "group_quality.tsv")}
    assert set(quality) >= MEASURES
    assert 900.0 < float(quality["brain_volume"]["value"]) < 2000.0
    [run] = _rows(out / "group_runs.tsv")
    assert (run["state"], run["report"]) == ("done", "sub-01.html")

    program = Path(sys.executable).with_name("bids-validator-deno")
    valid = subprocess.run([program, "--ignoreWarnings", out], capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout + valid.stderr
