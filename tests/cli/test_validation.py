"""The validator sees the participants that are processed, and what belongs to the whole dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qmri_bids.bids import validation
from qmri_bids.bids.validation import validation_sentences

SEEN = """#!{python}
import pathlib, sys
root = pathlib.Path(sys.argv[-1])
files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
files += sorted(path.relative_to(root).as_posix() for sub in root.glob("sub-*") for path in sub.rglob("*"))
(pathlib.Path({out!r})).write_text("\\n".join(sorted(set(files))) + "|" + (root / "participants.tsv").read_text())
print("\\t[ERROR] SOMETHING wrong")
sys.exit({code})
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for label in ("01", "02", "03"):
        (root / f"sub-{label}" / "anat").mkdir(parents=True)
        (root / f"sub-{label}" / "anat" / f"sub-{label}_T1w.json").write_text("{}")
    (root / "derivatives" / "other").mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t1\nsub-02\t2\nsub-03\t3\n")
    return root


@pytest.fixture
def validator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in the place of the validator that notes what it sees."""
    import sys

    program, seen = tmp_path / "validator", tmp_path / "seen"
    program.write_text(SEEN.format(python=sys.executable, out=str(seen), code=16))
    program.chmod(0o755)
    monkeypatch.setattr(validation.shutil, "which", lambda name, path: str(program))
    return seen


def test_participants_asked_for_and_the_files_of_all(dataset: Path, validator: Path) -> None:
    (sentence,) = validation_sentences(dataset, subjects=["02"], everyone=["01", "02", "03"])
    assert "found what was asked for of the dataset not valid (1 kinds of errors: [ERROR] SOMETHING wrong)" in sentence
    files, table = validator.read_text().split("|")
    expected = ["dataset_description.json", "participants.tsv", "sub-02/anat", "sub-02/anat/sub-02_T1w.json"]
    assert files.splitlines() == expected
    assert table == "participant_id\tage\nsub-02\t2\n"
    assert (dataset / "sub-02" / "anat" / "sub-02_T1w.json").exists()  # removing links left what they name


def test_all_participants_are_the_dataset_itself(dataset: Path, validator: Path) -> None:
    (sentence,) = validation_sentences(dataset, subjects=["01", "02", "03"], everyone=["01", "02", "03"])
    assert "found the dataset not valid" in sentence
    assert "sub-03/anat/sub-03_T1w.json" in validator.read_text()


def test_a_validator_that_hangs_or_is_not_there(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation.shutil, "which", lambda name, path: None)
    assert validation_sentences(dataset, subjects=["01"], everyone=["01"]) == [
        "bids-validator-deno was not found: the dataset was not validated, though every run is checked by itself. Install it by "
        "`pip install bids-validator-deno`, or leave it out by --skip-bids-validation."
    ]
    monkeypatch.setattr(validation.shutil, "which", lambda name, path: shutil.__file__)
    (sentence,) = validation_sentences(dataset, subjects=["01"], everyone=["01"])
    assert sentence.startswith("bids-validator-deno could not validate the dataset: ")


def test_the_real_validator_follows_links(dataset: Path) -> None:
    (dataset / "README.md").write_text("A dataset of names.\n")
    (dataset / "sub-02" / "anat" / "sub-02_T1w.json").rename(dataset / "sub-02" / "anat" / "sub-02_nonsense.json")
    everyone = ["01", "02", "03"]
    (sentence,) = validation_sentences(dataset, subjects=["02"], everyone=everyone)
    assert "not valid" in sentence
    others = validation_sentences(dataset, subjects=["01"], everyone=everyone)
    assert all("nonsense" not in each for each in others)
