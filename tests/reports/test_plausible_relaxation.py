"""T1 and T2 of a brain against what its field strength gives."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.tissues.plausible import expected_times, relaxation_check
from qmri_bids.reports.content import Check, Level
from qmri_bids.reports.verdict import advice_on
from qmri_bids.tissue_labels import GREY, WHITE

PROTOCOL = BssfpProtocol(
    repetition_time=4.8e-3,
    echo_time=2.4e-3,
    flip_angle=math.radians(15.0),
    rf_phase_increment=(0.0, 2.0, 4.0),
    field_strength=3.0,
)


def light(t1: float, t2: float, *, told: bool = True, noise: float = 0.0, **changes: float | None) -> Check:
    """The light of a brain whose white matter has these times, grey matter 1.5 and 1.35 times as much, and a lesion."""
    rng = np.random.default_rng(0)
    shape = (12, 12, 12)
    tissue = np.where(np.arange(12) < 6, WHITE, GREY)[:, None, None] * np.ones(shape, dtype=int)
    spread = 1.0 + 0.1 * rng.standard_normal((2, *shape))
    values = {
        "T1": np.where(tissue == WHITE, t1, 1.5 * t1) * spread[0],
        "T2": np.where(tissue == WHITE, t2, 1.35 * t2) * spread[1],
    }
    values["T1"][:2], values["T2"][:2] = 2.5, 0.4
    values["T1"][-1] = np.nan
    return relaxation_check(
        values,
        mask=np.ones(shape, dtype=bool),
        tissue=tissue if told else None,
        protocol=replace(PROTOCOL, **changes),  # type: ignore[arg-type]
        told_with={"T1": 0.2 * values["T1"], "T2": noise * values["T2"]} if noise else None,
    )


@pytest.mark.parametrize("field", [3.0, None])
def test_noise_that_hides_the_tissues_asks_for_a_look(field: float | None) -> None:
    loud, quiet = (light(0.89, 0.069, noise=noise, field_strength=field) for noise in (0.54, 0.36))
    assert loud.level is Level.CHECK
    assert "tissues cannot be told at this noise (standard deviation in one voxel: T1 20 %, T2 54 %)" in loud.value
    assert quiet.level is (Level.GOOD if field else Level.INFO)
    assert advice_on(loud).startswith("Means over regions"), "no flip angle is to blame"


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("field", "t1", "t2"),
    [
        (3.0, 0.89, 0.069),
        (3.0, 0.94, 0.062),
        (3.0, 0.57, 0.050),
        (3.0, 0.66, 0.062),
        (3.0, 1.20, 0.095),
        (1.5, 0.65, 0.078),
        (7.0, 1.20, 0.048),
        (0.55, 0.49, 0.100),
    ],
)
def test_tissue_pulses_and_children_are_spared(field: float, t1: float, t2: float, told: bool) -> None:
    """Adults by the literature; as PLANET finds them; magnetisation transfer of a strong pulse; a child of one year."""
    assert light(t1, t2, told=told, field_strength=field).level is Level.GOOD


@pytest.mark.parametrize("told", [True, False])
def test_a_wrong_flip_angle_is_named(told: bool) -> None:
    """The maps of 15° read as 30°: a quarter of T1; as 7.5°: four times as much."""
    short = light(0.23, 0.062, told=told, flip_angle=math.radians(30.0))
    assert short.level is Level.BAD
    assert re.search(
        "T1 alone is off, as it is where the flip angle is wrong: is 30° right, or about 1[4-7]°", short.value
    )
    long = light(3.6, 0.062, told=told, flip_angle=math.radians(7.5))
    assert long.level is Level.BAD
    assert re.search(r"is 7\.5° right, or about 1[4-7]°", long.value)


def test_a_flip_angle_that_is_a_third_too_large_is_looked_at() -> None:
    """The maps of 15° read as 20°: T1 short by itself, and within what tissue may have."""
    found = light(0.53, 0.062, flip_angle=math.radians(20.0))
    assert found.level is Level.CHECK
    assert "T1 alone is off" in found.value


def test_a_wrong_repetition_time_is_named() -> None:
    short = light(0.46, 0.031, repetition_time=2.4e-3, echo_time=1.2e-3)
    assert short.level is Level.BAD
    assert (
        "both are off by the same factor, as they are where the repetition time is wrong: is 2.4 ms right, or"
        in short.value
    )
    long = light(1.85, 0.13, repetition_time=9.6e-3)
    assert long.level is Level.CHECK
    assert "Newborns have as much." in long.value


def test_an_unknown_field_is_said() -> None:
    found = light(0.23, 0.062, field_strength=None)
    assert found.level is Level.INFO
    assert "MagneticFieldStrength is not stated" in found.value


def test_times_grow_and_shrink_with_the_field() -> None:
    low, high = expected_times(1.5, white=True), expected_times(7.0, white=True)
    assert low["T1"] == pytest.approx(0.68, abs=0.02)
    assert high["T1"] == pytest.approx(1.23, abs=0.03)
    assert low["T2"] > high["T2"]
    assert expected_times(3.0, white=False)["T1"] > expected_times(3.0, white=True)["T1"]
