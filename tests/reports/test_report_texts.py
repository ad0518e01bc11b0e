"""Methods text, references, tables and traffic lights."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from written_sentences import said, written_sentences

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import stdev
from qmri_bids.reports.content import Level
from qmri_bids.reports.drawing.status_styles import STATUS_STYLES
from qmri_bids.reports.methods import citation_bibtex, citation_markdown, methods_text
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.tables import convergence_check, motion_check, quality_rows, statistics_rows
from qmri_bids.sentence import PARAGRAPHS, Sentence

if TYPE_CHECKING:
    from conftest import Head


def test_only_the_steps_that_ran_are_told_once_and_in_order() -> None:
    text, references = methods_text(
        [
            said("registered to the middle cycle"),
            said("local subvoxel shifts"),
            said("steady state of a single pool"),
            *ESTIMATORS["miracle"].methods[:1],
            said("local subvoxel shifts"),
            said("the nominal flip angle was assumed everywhere"),
        ]
    )
    assert [text.index(part) for part in ("middle cycle", "Gibbs", "nominal flip angle", "MIRACLE")] == sorted(
        text.index(part) for part in ("middle cycle", "Gibbs", "nominal flip angle", "MIRACLE")
    )
    assert text.count("Gibbs") == 1
    assert "Atropos" not in text
    assert "(Nguyen and Bieri, 2017)" in text
    assert {entry.key for entry in references} == {
        "avants2011", "power2012", "kellner2016", "zur1990", "nguyen2017",
    }  # fmt: skip
    assert len(text.split("\n\n")) == 3


def test_every_sentence_can_be_filled_and_cites_what_exists() -> None:
    text, references = methods_text(written_sentences())
    assert "{" not in text
    assert set(REFERENCES) >= {entry.key for entry in references}
    assert len({entry.short for entry in references}) == len(references)
    assert {sentence.paragraph for sentence in written_sentences()} == set(PARAGRAPHS)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_estimator_has_sentences_that_cite_its_sources(name: str) -> None:
    assert ESTIMATORS[name].methods
    assert {key for sentence in ESTIMATORS[name].methods for key in sentence.cited} >= set(ESTIMATORS[name].references)


def test_unknown_paragraphs_and_missing_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"'Hocus pocus.': expected a paragraph of general, .* found 'magic'"):
        Sentence(paragraph="magic", text="Hocus pocus.")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected the values cycles, tr, found cycles"):
        Sentence(paragraph="general", text="{cycles} cycles, {tr} ms.", values={"cycles": 12})
    with pytest.raises(ValueError, match="expected the values none, found cycles"):
        Sentence(paragraph="general", text="Some cycles.", values={"cycles": 12})


def test_references_are_complete_and_bibtex_is_balanced() -> None:
    for key, entry in REFERENCES.items():
        assert re.fullmatch(r"10\.\d{4,5}/\S+", entry.doi) or key == "cox2010", key
        assert entry.short.split(", ")[-1] in entry.full
        assert entry.bibtex.count("{") == entry.bibtex.count("}")
        assert "and and" not in entry.bibtex
        assert "  " not in entry.full
    assert len({entry.doi for entry in REFERENCES.values()}) == len(REFERENCES)
    text, references = methods_text(ESTIMATORS["linear"].methods)
    assert "@article{bjork2014," in citation_bibtex(references)
    markdown = citation_markdown(text, references)
    assert text in markdown
    assert "https://doi.org/10.1002/mrm.24986" in markdown


def test_every_status_and_every_map_has_a_style() -> None:
    assert set(STATUS_STYLES) == set(Status)
    for name in ("T1", "T2", "M0", "off_resonance"):
        assert QUANTITIES[name].display.unit == stdev(QUANTITIES[name]).display.unit


def test_the_counts_of_the_quality_mask_are_shares_of_the_brain() -> None:
    status = np.array([0] * 10 + [1] * 6 + [3] * 2, dtype=np.uint8)
    rows = {row.code: row for row in quality_rows(status)}
    assert rows[0].voxels == 10
    assert rows[0].percent is None
    assert rows[1].percent == pytest.approx(75.0)
    assert rows[3].percent == pytest.approx(25.0)
    assert convergence_check(tuple(rows.values())).level is Level.BAD
    empty = quality_rows(np.zeros(4, dtype=np.uint8))
    assert convergence_check(empty).level is Level.BAD


@pytest.mark.parametrize(
    ("remaining", "level"),
    [(0.0, Level.GOOD), (0.3e-3, Level.GOOD), (0.5e-3, Level.CHECK), (0.7e-3, Level.BAD)],
)
def test_motion_is_judged_by_what_is_left_of_it(remaining: float, level: Level) -> None:
    moved = np.array([0.0, 5e-3, 3e-3])
    check = motion_check(moved, voxel_size=1.3e-3, remaining=np.array([0.0, remaining, 0.0]))
    assert check.level is level
    assert f"at most {1e3 * remaining:.2f} mm left after correction; the head moved by up to 5.00 mm" in check.value
    assert [each.key for each in check.measures] == ["displacement_max", "displacement_mean", "misalignment"]


def test_the_motion_is_that_between_what_was_scanned() -> None:
    known = {"voxel_size": 1e-3, "remaining": np.zeros(3)}
    assert motion_check(np.zeros(3), **known).value.endswith(
        "moved by up to 0.00 mm from one cycle to the next (framewise displacement)"
    )
    assert motion_check(np.zeros(3), **known, noun="image").value.endswith(
        "from one image to the next (framewise displacement)"
    )


def test_motion_that_was_not_looked_at_is_not_called_good() -> None:
    still = {"voxel_size": 1e-3, "remaining": np.zeros(3)}
    assert motion_check(np.array([np.nan]), voxel_size=1e-3).value == "not assessed"
    nothing = motion_check(np.zeros(3), **still, assessed=np.zeros(6, dtype=bool))
    assert (nothing.level, nothing.value, nothing.measures) == (Level.CHECK, "not assessed", ())
    plane = motion_check(np.zeros(3), **still, assessed=np.array([1, 1, 0, 0, 0, 1], dtype=bool))
    assert plane.level is Level.CHECK
    assert "through the plane not assessed" in plane.value
    lost = motion_check(np.zeros(3), **still, trusted=np.array([True, False, True]))
    assert lost.level is Level.CHECK
    assert "1 of 3 cycles could not be aligned by themselves" in lost.value
    unknown = motion_check(np.zeros(3), voxel_size=1e-3)
    assert unknown.level is Level.CHECK
    assert "what is left of it is not known" in unknown.value
    part = motion_check(np.zeros(3), voxel_size=1e-3, remaining=np.array([0.0, np.nan, 0.0]))
    assert part.level is Level.CHECK
    assert "that of 1 cycles is not known" in part.value


def test_statistics_are_in_the_unit_of_the_reader_and_leave_failures_out(head: Head) -> None:
    rows = statistics_rows(
        {"T1": head.estimate.values["T1"]},
        mask=head.mask,
        labels=head.labels,
        label_names={1: "white matter"},
    )
    table = {row.region: row for row in rows}
    assert set(table) == {"brain mask", "white matter", "label 2"}
    assert table["white matter"].median == pytest.approx(939.0)
    assert table["white matter"].unit == "ms"
    assert table["label 2"].mean == pytest.approx(3500.0)
    assert table["brain mask"].voxels == int(np.isfinite(head.estimate.values["T1"]).sum())
