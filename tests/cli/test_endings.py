"""How a call ends whose folder vanished, or whose disk is full."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qmri_bids.bids.write import write_text
from qmri_bids.cli.failures import describe_failure
from qmri_bids.cli.levels.participant import checked_outcome
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.reports.content import RunReport
from qmri_bids.workflows.base import RunOutcome


def test_files_that_are_gone_are_no_success(tmp_path: Path) -> None:
    """As after `rm -r OUT_DIR` under the run: what was written before is missed, what came later stands alone."""
    run: Any = SimpleNamespace(label="sub-01_acq-pcbssfp")
    outcome = RunOutcome(
        run=run, report=RunReport(title="pc-bSSFP", outputs=("sub-01/T1map.nii.gz", "sub-01/T2map.nii.gz"))
    )
    for name in ("dataset_description.json", "sub-01/T1map.nii.gz", "sub-01/T2map.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert checked_outcome(outcome, output_dir=tmp_path) is outcome
    (tmp_path / "sub-01" / "T1map.nii.gz").unlink()
    found = checked_outcome(outcome, output_dir=tmp_path)
    assert found.report is None
    assert found.partial is outcome.report
    assert (
        "1 of 3 files that were written are not there any more, sub-01/T1map.nii.gz among them"
        in found.errors[0].message
    )
    assert "was deleted or cleared while the call went on" in found.errors[0].message


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails names no file by itself."""

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="T1map") as caught:
        write_text(tmp_path / "sub-01_T1map.json", "{}")
    told = describe_failure(caught.value, output_dir=tmp_path, command="qmri_bids")
    assert told.startswith(f"{tmp_path / 'sub-01_T1map.json'}: the disk is full: make room")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("nibabel.save", full)
    with pytest.raises(OSError, match="cycles"):
        save_volume(tmp_path / "cycles.nii", np.zeros((2, 2, 2), dtype=np.float32), np.eye(4))
