"""AREX takes T1 from pc-bSSFP, from files or one number: which, in what order, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.planning import link_runs

LABEL = "sub-01_acq-pcbssfp_flip-1"


def write_map(dataset: Any, root: Path, name: str, value: float, **stated: Any) -> Path:
    path = root / "sub-01" / "anat" / f"sub-01_{name}.nii.gz"
    dataset.image(path, value, shape=dataset.shape)
    if stated:
        dataset.json(path.with_name(f"sub-01_{name}.json"), stated)
    return path


def planned(dataset: Any, **options: Any) -> SessionPlan:
    (plan,) = link_runs([dataset.plan(**options)], options=FindOptions(**options))
    return plan


def spectrum(dataset: Any, **options: Any) -> CestRun:
    plan = planned(dataset, **options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.cest
    return run


def test_a_t1map_of_the_dataset(empty: Any) -> None:
    empty.cest()
    path = write_map(empty, empty.root, "T1map", 1.2, Units="s")
    run = spectrum(empty)
    assert (run.t1_source, run.t1_kind, run.t1_map) == ("sub-01_T1map.nii.gz", "stated", "T1")
    assert dict(run.t1.files) == {"t1": path}
    assert run.choices[-1] == (
        "T1 for AREX is that of sub-01_T1map.nii.gz of the dataset, placed by scanner coordinates: T1 as the file holds it. It has "
        "no standard deviation: that of AREX holds none of T1's."
    )
    assert run.takes == ()
    assert run.maps_taken == (run.t1, run.b0)
    spread = write_map(empty, empty.root, "desc-std_T1map", 0.05)
    run = spectrum(empty)
    assert dict(run.t1.stdev_files) == {"t1": spread}
    assert "standard deviation" not in run.choices[-1]


def test_milliseconds_are_converted_where_the_sidecar_says_so(empty: Any) -> None:
    empty.cest()
    write_map(empty, empty.root, "T1map", 1200.0, Units="ms")
    run = spectrum(empty)
    assert dict(run.t1.factors) == {"t1": 1e-3}
    assert "in milliseconds by its sidecar, converted to seconds" in run.choices[-1]


@pytest.mark.parametrize(
    ("value", "units", "words"),
    [
        (1200.0, "s", "found a median of 1200, which looks like milliseconds"),
        (1.2, "ms", "found a median of 0.0012 s, read in milliseconds as its sidecar says"),
        (1.2, "Hz", "T1map.json: Units: expected s, found 'Hz'"),
    ],
)
def test_a_t1map_with_other_numbers_is_refused_and_nothing_stands_in(
    raw: Any, value: float, units: str, words: str
) -> None:
    """Apparent T1 would serve, but whoever put the map there expects it: AREX is left out and says so."""
    raw.cest()
    write_map(raw, raw.root, "T1map", value, Units=units)
    plan = planned(raw)
    (refusal,) = plan.refusals
    assert words in str(refusal)
    (run,) = plan.cest
    assert run.t1 is None
    assert run.warnings[-1].startswith("AREX IS LEFT OUT, its T1 is refused: sub-01/anat/sub-01_T1map")


def test_the_order_of_the_sources_and_the_option(raw: Any, tmp_path: Path) -> None:
    raw.cest()
    other = tmp_path / "other"
    options: dict[str, Any] = {"derivatives": {"other": other}, "cest_t1": 1.3}
    assert spectrum(raw, **options).t1_run == LABEL, "a map goes before one number"
    freed = write_map(raw, other, "acq-xMT_desc-mtcorrected_T1map", 1.3)
    write_map(raw, other, "acq-xMT_desc-free_T1map", 1.5)
    plain = write_map(raw, other, "acq-x_T1map", 1.1, EstimationAlgorithm="x", PulseSequenceType="bSSFP")
    run = spectrum(raw, **options)
    assert (run.t1.files["t1"], run.t1_kind) == (freed, "mtcorrected"), "not the apparent one of its scan"
    path = write_map(raw, raw.root, "T1map", 1.2)
    run = spectrum(raw, **options)
    assert run.t1.files["t1"] == path
    said = run.choices[-1]
    assert "It was taken the first of this order: pc-bSSFP freed of magnetization transfer, T1map files" in said
    assert "not taken: sub-01_acq-xMT_desc-mtcorrected_T1map.nii.gz of the derivatives other" in said
    assert f"{LABEL} (apparent T1 of bSSFP, lowered by magnetization transfer); --cest-t1 1.3 s" in said
    write_map(raw, raw.root, "MPFmap", 0.1)
    assert spectrum(raw, **options).t1_run == "sub-01_acq-pcbssfpMT_transfer"
    asked = {way: spectrum(raw, **options, arex_t1=way) for way in ("dataset", "derivatives", "number", "none")}
    assert [run.t1_source for run in asked.values()] == [path.name, freed.name, "1.3 s", None]
    assert (
        f"as asked (--arex-t1 number); not taken: {asked['number'].t1_run or 'sub-01_acq-pcbssfpMT'}"
        in (asked["number"].choices[-1])
    )
    assert "AREX, which goes with 1/T1, is off where tissue differs." in asked["number"].choices[-1]
    for file in (freed, freed.with_name(freed.name.replace("mtcorrected", "free"))):
        file.unlink()
    run = spectrum(raw, **options, arex_t1="derivatives")
    assert (run.t1.files["t1"], run.t1_kind) == (plain, "apparent")


def test_what_was_asked_for_and_is_not_there(empty: Any) -> None:
    empty.cest()
    plan = planned(empty, arex_t1="number")
    assert "--arex-t1: expected T1 for AREX from number, found none there (no T1 elsewhere)" in str(plan.refusals[0])
    assert "State T1 in seconds with --cest-t1" in str(plan.refusals[0])
    assert planned(empty).cest[0].t1 is None
