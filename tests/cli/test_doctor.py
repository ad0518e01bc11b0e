"""`qmri-tools doctor` and a list whose reader leaves."""

import subprocess
import sys

import pytest

from qmri_bids.bids import validation
from qmri_bids.cli import tools
from qmri_bids.cli.commands import doctor


def test_an_installation_that_works_is_right(capsys):
    assert tools.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "torch: " in printed
    assert "self-check of pinn: T1 and T2 of three simulated voxels within" in printed
    assert printed.endswith("Everything is right.\n")
    assert "WRONG" not in printed


def test_what_is_wrong_is_named_with_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-distribution"))
    monkeypatch.setattr(doctor, "LARGEST_ERROR", -1.0)
    assert tools.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG no-such-distribution: missing" in printed
    assert "install the versions of constraints.txt" in printed
    assert printed.endswith("3 of these are wrong.\n")


def test_the_validator_may_be_left_out(capsys, monkeypatch):
    monkeypatch.setattr(validation.shutil, "which", lambda name, path: None)
    monkeypatch.setattr(doctor, "_self_check", lambda: iter(()))
    assert tools.main(["doctor"]) == 0
    assert (
        "ok    bids-validator-deno: not there, datasets are not validated; `pip install bids-validator-deno` adds it"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("lines", [1, 2])
def test_a_reader_that_has_seen_enough_gets_no_traceback(lines):
    script = "import sys; from qmri_bids.cli.tools import main; sys.exit(main(['models']))"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listed:
        assert listed.stdout is not None
        assert listed.stderr is not None
        for _ in range(lines):
            assert ":" in listed.stdout.readline()
        listed.stdout.close()
        assert listed.stderr.read() == ""
    assert listed.returncode == 0
