"""Files that a killed call was writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from qmri_bids.bids.temporaries import remove_abandoned, temporary_path
from qmri_bids.bids.write import write_text

WRITES = """
import os, signal, sys
from pathlib import Path
from qmri_bids.bids.write import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITES, str(tmp_path / "sub-01_T1map.nii.gz")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".sub-01_T1map-")
    assert left.name.endswith(".nii.gz")
    assert remove_abandoned([tmp_path, tmp_path / "missing"]) == (left,)
    assert not left.exists()


def test_what_others_write_stays(tmp_path: Path) -> None:
    own = temporary_path(tmp_path / "sub-01_T1map.nii.gz")
    host, process = own.name.removesuffix(".nii.gz").split("-")[-3:-1]
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    elsewhere = own.with_name(own.name.replace(f"-{host}-{process}-", f"-00000000-{gone.stdout.strip()}-"))
    assert process == str(os.getpid())
    for path in (own, elsewhere, tmp_path / ".bidsignore"):
        path.touch()
    write_text(tmp_path / "kept.txt", "whole")
    assert remove_abandoned([tmp_path]) == ()
    assert len(list(tmp_path.iterdir())) == 4
