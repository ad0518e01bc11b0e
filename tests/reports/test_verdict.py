"""The bottom line says what the lights say, the worst first, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.pipeline.results.missing import where_missing
from qmri_bids.reports.content import Check, ErrorEntry, Figure, Level, Overview, QualityRow, RunReport, SubjectReport
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.tables import RELY_ON_MEANS, precision_check
from qmri_bids.reports.verdict import kinds_of_t1, map_level, run_verdict, subject_verdict

GOOD = Check(name="Motion", value="0.1 mm left", level=Level.GOOD)
LOOK = Check(name="B1", value="40 to 90 % of nominal", level=Level.CHECK)
RED = Check(name="Signal model", value="0.9 of the noise", level=Level.BAD)
MASK = Check(name="Brain mask", value="1.4 litres", level=Level.GOOD)
SHARE = Check(
    name="Voxels with a value",
    value="97.0 % of 1,000",
    level=Level.GOOD,
    measures=(Measure(key="valid_voxels", value=97.0),),
)


def _run(*checks: Check, **more: object) -> RunReport:
    return RunReport(title="pc-bSSFP relaxometry", entities={"acq": "a"}, checks=checks, **more)  # type: ignore[arg-type]


def _subject(*runs: RunReport) -> SubjectReport:
    return SubjectReport(participant="01", version="0", command="", created="", runs=runs)


def test_a_good_run_is_usable_and_says_what_has_no_value_and_where() -> None:
    run = _run(MASK, SHARE, GOOD, missing_where="at its edge")
    assert run_verdict(run).text == "Usable. 3 % of the brain has no value, mostly at its edge."
    assert run_verdict(run).advice == ""
    assert run_verdict(replace(run, missing_where="")).text == "Usable. 3 % of the brain has no value."
    assert "mask has no value" in run_verdict(_run(SHARE)).text


@pytest.mark.parametrize(("t1", "t2", "level"), [(21.4, 35.6, Level.GOOD), (44.0, 54.2, Level.CHECK)])
def test_the_bottom_line_tells_the_precision_of_one_voxel(t1: float, t2: float, level: Level) -> None:
    measures = [
        Measure(key="relative_stdev", value=value, of=of) for of, value in (("T1", t1), ("T2", t2), ("M0", 80.0))
    ]
    light = precision_check(measures)
    assert light is not None
    assert light.level is level
    number = {Level.GOOD: 51, Level.CHECK: 118}[level]
    assert f"; the mean of about {number} voxels is known within 5 %" in light.value
    known = f"In one voxel T1 is known within {t1:.0f} %, T2 within {t2:.0f} %"
    found = run_verdict(_run(GOOD, light))
    if level is Level.GOOD:
        assert found.text == f"Usable. {known}."
    else:
        assert found.text == f"Usable after a look. {known}: {RELY_ON_MEANS}."
        assert found.advice.startswith("Means over regions")
    assert run_verdict(_run(GOOD, measures=tuple(measures))).text == f"Usable. {known}.", "records of earlier versions"


def test_pools_and_maps_without_noise_have_no_light_of_precision() -> None:
    assert precision_check([Measure(key="relative_stdev", value=80.0, of="MT fraction")]) is None
    assert precision_check([Measure(key="relative_stdev", value=float("nan"), of="T1")]) is None
    sharp = precision_check([Measure(key="relative_stdev", value=1.25, of="T1")])
    assert sharp is not None
    assert sharp.value == "in one voxel T1 is known within 1.2 %"


@pytest.mark.parametrize(("percent", "told"), [(50.0, True), (25.0, False)])
def test_the_bottom_line_tells_when_many_voxels_may_hold_fluid(percent: float, told: bool) -> None:
    row = QualityRow(code=int(Status.MIXED), name="mixed", meaning="", voxels=1, percent=percent)
    assert ("50 % of the voxels may hold fluid beside tissue" in run_verdict(_run(GOOD, quality=(row,))).text) is told


def test_levels_without_maps_do_not_call_them_usable() -> None:
    good, look = _run(MASK, GOOD, only_fits=True), _run(MASK, LOOK, only_fits=True)
    words = "Masks and motion were found. This level estimates no maps."
    assert run_verdict(good).text == words
    assert subject_verdict(_subject(good)).text == subject_verdict(_subject(good, good)).text == words
    assert run_verdict(look).text.startswith(
        "Masks and motion were found: look at them. This level estimates no maps. B1: 40"
    )
    assert subject_verdict(_subject(good, look)).text.endswith("This level estimates no maps.")


def test_the_worst_light_comes_first_and_gives_the_advice() -> None:
    found = run_verdict(_run(LOOK, GOOD, RED))
    assert found.level is Level.BAD
    assert found.text.startswith("Not usable without a decision of yours. Signal model: 0.9 of the noise. B1: 40")
    assert "residual" in found.advice
    assert "Usable." not in found.text


def test_a_run_without_a_judging_light_is_not_called_usable() -> None:
    fact = Check(name="Magnetization transfer", value="T1 is apparent", level=Level.INFO)
    assert "No light judges this run" in run_verdict(_run(fact)).text


def test_the_words_of_a_warning_stand_in_the_bottom_line() -> None:
    found = run_verdict(_run(GOOD, warnings=("EchoTime is missing: TR/2 was taken.",)))
    assert found.text == "Usable after a look. EchoTime is missing: TR/2 was taken."


def test_a_failed_run_names_what_happened_and_what_helps() -> None:
    run = _run(errors=(ErrorEntry(title="a", message="No memory", advice="Take --low-mem."),))
    assert run_verdict(run).text == "Failed, no maps: No memory."
    assert run_verdict(run).advice == "Take --low-mem."
    assert map_level(run, "T1") is Level.BAD


def test_a_participant_begins_with_the_worst_run() -> None:
    report = _subject(_run(GOOD), replace(_run(LOOK), entities={"acq": "b"}), replace(_run(RED), entities={"acq": "c"}))
    found = subject_verdict(report)
    assert found.text == (
        "1 run not usable without a decision of yours (acq-c). 1 run usable after a look (acq-b). 1 run usable as it is."
    )
    assert found.advice.startswith("Begin with acq-c: ")
    assert subject_verdict(_subject(_run(GOOD), _run(GOOD))).text == "Usable."
    assert subject_verdict(_subject()).text == "Nothing was processed."


def test_a_light_that_names_a_map_is_not_that_of_the_others() -> None:
    overview = Overview(image=b"", symbol="", window="", with_value=1.0)
    figures = tuple(
        Figure(key=title, title=title, caption="", image=b"", overview=overview)
        for title in ("amide fraction", "MT fraction", "T1 of free water")
    )
    told = Check(name="amide: fraction and rate told apart", value="in 20 %", level=Level.BAD)
    other = Check(name="MT: fraction and rate told apart", value="in 97 %", level=Level.GOOD)
    run = _run(GOOD, told, other, figures=figures)
    assert map_level(run, "amide fraction") is Level.BAD
    assert map_level(run, "MT fraction") is Level.GOOD
    assert map_level(run, "T1 of free water") is Level.BAD, "it depends on any pool"


def test_kinds_of_t1_are_explained_only_where_there_are_several() -> None:
    assert kinds_of_t1(["T1", "T2"]) == ()
    assert len(kinds_of_t1(["T1", "T1, MT-corrected", "T1 of free water"])) == 3


@pytest.mark.parametrize(
    ("place", "brain", "words"),
    [
        ("low front", True, "low in the front, on the side of the sinuses"),
        ("low", True, "near its base"),
        ("edge", True, "at its edge"),
        ("edge", False, "at its edge"),
        ("low front", False, ""),
        ("everywhere", True, ""),
        ("few", True, ""),
    ],
)
def test_missing_voxels_are_placed_only_where_most_of_them_lie(place: str, brain: bool, words: str) -> None:
    x, y, z = np.meshgrid(*[np.linspace(-1.1, 1.1, 24)] * 3, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    mask = radius < 1.0
    inner = radius < 0.8
    where = {
        "low front": inner & (z < -0.3) & (y > 0.2),
        "low": inner & (z < -0.5) & (y < -0.1),
        "edge": mask & (radius > 0.93),
        "everywhere": inner & (np.arange(24) % 5 == 0),
        "few": mask & (z < -0.9) & (y > 0.3),
    }[place]
    status = np.where(mask, np.where(where, Status.LOW_SIGNAL, Status.CONVERGED), Status.OUTSIDE)
    if place == "few":
        status[mask & where] = Status.CONVERGED
    assert where_missing({"": status}, mask=mask, affine=np.diag([4.0, 4.0, 4.0, 1.0]), brain=brain) == words
