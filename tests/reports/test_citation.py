"""The methods of all participants of a folder, whichever job processed them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from written_sentences import said

from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.reports.citation import methods_path, write_citation
from qmri_bids.reports.methods import methods_text
from qmri_bids.sentence import Sentence

MODEL = said("steady state of a single pool")
MIRACLE, PLANET = (ESTIMATORS[name].methods[0] for name in ("miracle", "planet"))


def test_jobs_add_to_the_methods_of_others(tmp_path: Path) -> None:
    acquisition = {"tr": "4.8", "te": "2.4", "flip_angle": "15"}
    first = [said("data were acquired with", cycles=12, **acquisition), MODEL, MIRACLE]
    second = [said("data were acquired with", cycles=6, **acquisition), MODEL, PLANET]
    assert write_citation({"01": first}, output_dir=tmp_path) == tmp_path / "logs" / "CITATION.md"
    write_citation({"02": second}, output_dir=tmp_path)
    text, references = methods_text([*first, *second])
    markdown = (tmp_path / "logs" / "CITATION.md").read_text()
    assert text in markdown
    bibtex = (tmp_path / "logs" / "CITATION.bib").read_text()
    assert all(each.bibtex in bibtex for each in references)
    # processed again, with another estimator
    write_citation({"01": second}, output_dir=tmp_path)
    assert methods_text(second)[0] in (tmp_path / "logs" / "CITATION.md").read_text()
    assert methods_text(first)[0] not in (tmp_path / "logs" / "CITATION.md").read_text()


def test_sessions_that_are_processed_apart_stand_together(tmp_path: Path) -> None:
    write_citation({"01": [MODEL]}, output_dir=tmp_path, part="ses-1")
    write_citation({"01": [MIRACLE]}, output_dir=tmp_path, part="ses-2")
    assert methods_text([MODEL, MIRACLE])[0] in (tmp_path / "logs" / "CITATION.md").read_text()
    write_citation({"01": [PLANET]}, output_dir=tmp_path)  # all sessions at one time take the place of them
    assert methods_text([PLANET])[0] in (tmp_path / "logs" / "CITATION.md").read_text()
    assert methods_text([MIRACLE])[0] not in (tmp_path / "logs" / "CITATION.md").read_text()


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken, other, older = (methods_path(each, output_dir=tmp_path) for each in ("01", "02", "04"))
    for path in (broken, other, older):
        path.parent.mkdir(parents=True)
    broken.write_text("{")
    future = Sentence(paragraph="general", text="It was [of_the_future]")
    other.write_text(json.dumps({"Sentences": [asdict(MODEL), asdict(future)]}))
    older.write_text(json.dumps({"Steps": [["signal_model", {}]]}))
    with caplog.at_level(logging.WARNING, logger="qmri_bids"):
        write_citation({"03": [MIRACLE]}, output_dir=tmp_path)
    assert methods_text([MODEL, MIRACLE])[0] in (tmp_path / "logs" / "CITATION.md").read_text()
    first, second, third = caplog.messages
    assert f"{broken}: left out of logs/CITATION.md: it cannot be read" in first
    assert f"{other}: left out of logs/CITATION.md: It was [of_the_future], steps of another version" in second
    assert f"{older}: left out of logs/CITATION.md: it cannot be read (Sentences: expected" in third
    assert "found Steps; write the file anew with --boilerplate-only" in third


JOB = """
import sys
from pathlib import Path
from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.reports.citation import write_citation
from qmri_bids.sentence import Sentence
out, job = Path(sys.argv[1]), int(sys.argv[2])
for number in range(10):
    write_bidsignore(out)
    write_dataset_description(out, bids_dir=out.parent / "bids")
    label = f"{job}{number}"
    sentence = Sentence(paragraph="cest", text="Of {source}.", values={"source": f"<{label}>"})
    write_citation({label: [sentence]}, output_dir=out)
"""


def test_jobs_at_one_time_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / "dataset_description.json").write_text(json.dumps({"Name": "raw"}))
    out = tmp_path / "out"
    jobs = [subprocess.Popen([sys.executable, "-c", JOB, str(out), str(job)]) for job in range(4)]
    assert [job.wait() for job in jobs] == [0, 0, 0, 0]
    text = (out / "logs" / "CITATION.md").read_text()
    assert [each for each in range(40) if f"<{each // 10}{each % 10}>" not in text] == []
    description = json.loads((out / "dataset_description.json").read_text())
    assert len(description["GeneratedBy"]) == 1
    lines = (out / ".bidsignore").read_text().splitlines()
    assert len(lines) == len(set(lines))
