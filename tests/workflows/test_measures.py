"""The numbers behind the checks of a report, for tables of many participants."""

from __future__ import annotations

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.pipeline.results.report_parts import unjudged_measures
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.tables import b1_check, convergence_check, motion_check, quality_rows


def _by_key(measures: tuple[Measure, ...]) -> dict[tuple[str, str], float]:
    return {(each.key, each.of): each.value for each in measures}


def test_checks_keep_the_numbers_they_judge() -> None:
    status = np.array([Status.CONVERGED] * 9 + [Status.LOW_SIGNAL] + [Status.OUTSIDE] * 5, dtype=np.uint8)
    assert _by_key(convergence_check(quality_rows(status), of="MT").measures) == {("valid_voxels", "MT"): 90.0}
    motion = motion_check(np.array([np.nan, 0.0, 0.4e-3]), voxel_size=2e-3, remaining=np.array([0.0, 0.01e-3, 0.02e-3]))
    assert _by_key(motion.measures) == pytest.approx(
        {("displacement_max", ""): 0.4, ("displacement_mean", ""): 0.2, ("misalignment", ""): 0.02}
    )
    b1 = b1_check(np.linspace(0.5, 1.5, 101))
    assert _by_key(b1.measures) == pytest.approx({("b1_low", ""): 52.0, ("b1_high", ""): 148.0})


def test_nothing_measured_is_no_number() -> None:
    outside = np.zeros(4, dtype=np.uint8)
    assert np.isnan(convergence_check(quality_rows(outside)).measures[0].value)
    assert motion_check(np.array([np.nan]), voxel_size=2e-3).measures == ()
    unknown = registration_check("Registration", {"similarity": (np.nan, np.nan)})
    assert unknown.measures == ()


def test_a_registration_keeps_what_it_found() -> None:
    check = registration_check("Registration of a scan", {"similarity": (0.5, 0.75), "mirrored": 0.25})
    assert _by_key(check.measures) == {
        ("mutual_information_before", "Registration of a scan"): 0.5,
        ("mutual_information_after", "Registration of a scan"): 0.75,
        ("mirror_ratio", "Registration of a scan"): 0.25,
    }


def test_volume_and_precision_of_a_run() -> None:
    shape = (4, 5, 6)
    mask = np.zeros(shape, dtype=bool)
    mask[:2] = True
    t1 = np.where(mask, 1.0, np.nan)
    signed = np.where(np.indices(shape)[2] % 2, -1.0, 1.0)
    measures = unjudged_measures(
        {"T1": t1, "off_resonance": signed},
        stdev={"T1": 0.05 * t1, "off_resonance": np.ones(shape)},
        residual=0.02 * t1,
        mask=mask,
        affine=np.diag([-2.0, 2.0, 5.0, 1.0]),
    )
    assert _by_key(measures) == pytest.approx(
        {("brain_volume", ""): 60 * 20e-3, ("residual", ""): 2.0, ("relative_stdev", "T1"): 5.0}
    )
    nothing = np.full(shape, np.nan)
    empty = unjudged_measures({"T1": nothing}, stdev={"T1": nothing}, residual=nothing, mask=mask, affine=np.eye(4))
    assert [each.key for each in empty] == ["brain_volume"]
