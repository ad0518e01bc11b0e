"""What is said of a job that a cluster has killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmri_bids.engine.crashes import crash_entry, lost_job

TEXT = """Traceback (most recent call last):
  File "nipype/pipeline/plugins/base.py", line 541, in _get_result
    raise OSError(error_message)
OSError: Job id ({job}) finished or terminated, but results file does not exist after (5.0) seconds. Batch dir contains crashdump \
file if node raised an exception.
Node working directory: ({folder})
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-26T07:36:48 ***\n",
            "CANCELLED AT 2026-11-26T07:36:48",
        ),
        (
            "slurmstepd: error: StepId=7.batch exceeded memory limit (4 > 1), being killed\n",
            "exceeded memory limit (4 > 1)",
        ),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 1 DUE TO TIME LIMIT ***\n", "DUE TO TIME LIMIT"),
    ],
    ids=["cancelled", "memory", "time"],
)
def test_the_reason_of_the_cluster_is_quoted(said: str, words: str, tmp_path: Path) -> None:
    node = tmp_path / "work" / "participants" / "sub_01_wf" / "mask_brain"
    output = tmp_path / "work" / "participants" / "batch" / "slurm-7.out"
    node.mkdir(parents=True)
    output.parent.mkdir()
    output.write_text(f"it began\n{said}")
    entry = crash_entry(TEXT.format(job=7, folder=node), title="Step mask_brain failed", advice="none")
    assert entry.message.startswith("Job 7 of the cluster ended without a result")
    assert words in entry.message
    assert "--mem" in entry.advice
    assert str(output) in entry.advice


def test_a_job_without_output_is_named_all_the_same(tmp_path: Path) -> None:
    found = lost_job(TEXT.format(job=8, folder=tmp_path / "node"))
    assert found is not None
    assert found[0] == "Job 8 of the cluster ended without a result: it was killed, or its node failed"


def test_other_failures_are_no_lost_jobs() -> None:
    assert lost_job("OSError: No space left on device") is None
