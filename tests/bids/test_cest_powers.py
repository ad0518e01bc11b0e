"""Z-spectra are taken to nominal B1 by others of the session: which belong together, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.workflows.planning import link_runs


def planned(dataset: Any, **options: Any) -> SessionPlan:
    wanted = {"cest_b1_correction": "powers"} | options
    (plan,) = link_runs([dataset.plan(**wanted)], options=FindOptions(**wanted))
    return plan


def spectrum(dataset: Any, label: str, power: float, **more: Any) -> None:
    dataset.cest(stem=f"sub-01_acq-{label}_cest", change={"SaturationB1RMS": power, **more})


def corrected(plan: SessionPlan) -> list[CestRun]:
    return [run for run in plan.cest if run.powers is not None]


def test_two_powers_correct_each_other_and_stay_as_they_were(empty: Any) -> None:
    spectrum(empty, "low", 1.0)
    spectrum(empty, "high", 1.5)
    empty.wasabi()
    plan = planned(empty)
    assert [str(refusal) for refusal in plan.refusals] == []
    assert [run.label for run in plan.cest if run.powers is None] == [
        "sub-01_acq-WASABI_cest",
        "sub-01_acq-high_cest",
        "sub-01_acq-low_cest",
    ]
    high, low = corrected(plan)
    assert low.label == "sub-01_acq-lowB1corrected_cest"
    assert low.powers.ratios == pytest.approx((1.5,))
    assert {take.key: take.run for take in low.takes} == {
        "b0": "sub-01_acq-WASABI_cest",
        "power1": "sub-01_acq-high_cest",
        "b1": "sub-01_acq-WASABI_cest",
    }
    assert high.powers.ratios == pytest.approx((2.0 / 3.0,))
    assert low.choices[1] == (
        "Z of sub-01_acq-low_cest (1 µT) is taken to its nominal B1 by the spectrum of sub-01_acq-high_cest at 1.5 µT and the B1 "
        "map of sub-01_acq-WASABI_cest."
    )
    assert "sub-01_acq-lowB1corrected_cest" in plan_table([plan])
    assert pickle.loads(pickle.dumps(low)) == low
    assert corrected(planned(empty, cest_b1_correction="none")) == []


def test_of_several_powers_the_nearest_come_first(empty: Any) -> None:
    for power in (0.7, 1.0, 1.2, 1.5, 2.0, 2.5):
        spectrum(empty, f"p{int(10 * power)}", power)
    empty.wasabi()
    found = {run.label: run for run in corrected(planned(empty))}
    assert len(found) == 6
    assert found["sub-01_acq-p10B1corrected_cest"].powers.ratios == pytest.approx((1.2, 0.7, 1.5, 2.0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "found none. Add one, or leave --cest-b1-correction out"),
        ({"SaturationB1RMS": 1.0}, "found sub-01_acq-other_cest has the same power"),
        (
            {"SaturationB1RMS": 1.5, "MTNumberOfPulses": 20, "SaturationDuration": 1.095},
            "has another power and other saturation train",
        ),
        (
            {"SaturationB1RMS": 1.5, "SaturationOffset": [-300.0, *(0.4 * each for each in range(-8, 9))]},
            "has another power and other offsets",
        ),
    ],
)
def test_without_another_power_it_is_refused_and_the_spectrum_stays(
    empty: Any, changes: dict[str, Any], words: str
) -> None:
    spectrum(empty, "low", 1.0)
    if changes:
        empty.cest(stem="sub-01_acq-other_cest", change=changes)
    empty.wasabi()
    plan = planned(empty)
    assert corrected(plan) == []
    assert "sub-01_acq-low_cest" in [run.label for run in plan.cest]
    refusal = next(each for each in plan.refusals if each.file == "sub-01_acq-low_cest")
    assert refusal.key == "--cest-b1-correction"
    assert words in str(refusal)


def test_without_a_b1_map_it_is_refused(empty: Any) -> None:
    spectrum(empty, "low", 1.0)
    spectrum(empty, "high", 1.5)
    plan = planned(empty)
    assert corrected(plan) == []
    assert "expected a B1 map of the session (a B1 scan in fmap/ or a WASABI run), found none" in str(plan.refusals[0])
    empty.tfl()
    assert len(corrected(planned(empty))) == 2
    assert "found --no-b1" in str(planned(empty, no_b1=True).refusals[0])


def test_powers_of_another_session_do_not_serve(empty: Any) -> None:
    for session, power in (("a", 1.0), ("b", 1.5)):
        folder = empty.root / "sub-01" / f"ses-{session}" / "anat"
        folder.mkdir(parents=True)
        empty.cest(stem=f"sub-01_ses-{session}_acq-APTw_cest", folder=folder, change={"SaturationB1RMS": power})
    plan = planned(empty)
    assert corrected(plan) == []
    assert len(plan.refusals) == 2
