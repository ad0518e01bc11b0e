"""Workers of a script without a guard, as Nipype writes them for the jobs of a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
print("the script runs")
from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from qmri_bids.system.worker_context import worker_context

with ProcessPoolExecutor(max_workers=2, mp_context=worker_context()) as pool:
    print(sum(pool.map(sqrt, [1.0, 4.0, 9.0])))
print(__file__)
"""


def test_workers_do_not_run_the_script_again(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the script runs", "6.0", str(script)]
