"""Excitation pulses: whatever their shape, they turn by the flip angle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qmri_bids.phantom.signals.bloch.sequence import RfPulse
from qmri_bids.physics.excitation.pulse import SHAPES, STEPS, ExcitationPulse

ANGLE = math.radians(15.0)


def turned(pulse: ExcitationPulse) -> float:
    """Return the angle by which a pulse turns on resonance [rad]."""
    steps = pulse.amplitudes(ANGLE)
    return float(steps.sum() * pulse.duration / len(steps))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_turns_by_the_flip_angle(shape: str) -> None:
    pulse = ExcitationPulse.of(shape, 1e-3)
    assert turned(pulse) == pytest.approx(ANGLE, rel=1e-12)
    assert len(pulse.shape) == STEPS
    np.testing.assert_allclose(pulse.shape, pulse.shape[::-1], rtol=1e-9)
    assert pulse.name == f"{shape} of 1 ms"
    assert pulse.form == shape


@pytest.mark.parametrize("shape", SHAPES)
def test_power_is_that_of_the_simulator(shape: str) -> None:
    """The saturation of a semisolid pool goes with it."""
    simulated = getattr(RfPulse, shape)(1.3e-3).mean_square(ANGLE)
    assert ExcitationPulse.of(shape, 1.3e-3).mean_square(ANGLE) == pytest.approx(simulated, rel=1e-12)


def test_power_goes_with_the_square_of_the_angle_and_of_the_bandwidth() -> None:
    rect, long = ExcitationPulse.of("rect", 1e-3), ExcitationPulse.of("rect", 2e-3)
    assert rect.mean_square(ANGLE) == pytest.approx((ANGLE / 1e-3) ** 2, rel=1e-12)
    assert rect.mean_square(2.0 * ANGLE) == pytest.approx(4.0 * rect.mean_square(ANGLE), rel=1e-12)
    assert long.mean_square(ANGLE) == pytest.approx(rect.mean_square(ANGLE) / 4.0, rel=1e-12)
    narrow, wide = (ExcitationPulse.of("sinc", 1e-3, time_bandwidth=product) for product in (1.0, 4.0))
    assert rect.mean_square(ANGLE) < narrow.mean_square(ANGLE) < wide.mean_square(ANGLE)


@pytest.mark.parametrize("number", [1, 7, STEPS, 400, 1001])
def test_samples_keep_the_flip_angle_whatever_their_number(number: int) -> None:
    time = (np.arange(number) + 0.5) / number - 0.5
    samples = 123.0 * np.exp(-0.5 * np.square(6.0 * (time - 0.1)))
    pulse = ExcitationPulse.from_samples(samples, 1e-3, name="given of 1 ms", duration_stdev=1e-5)
    assert STEPS <= len(pulse.shape) <= 2 * STEPS
    power = (ANGLE / 1e-3) ** 2 * np.mean(samples**2) / np.mean(samples) ** 2
    assert pulse.mean_square(ANGLE) == pytest.approx(power, rel=0.01)
    assert sum(pulse.shape) == pytest.approx(samples.sum(), rel=1e-12)
    assert turned(pulse) == pytest.approx(ANGLE, rel=1e-12)
    assert pulse.duration_stdev == 1e-5


def test_many_samples_are_the_shape_that_they_sample() -> None:
    time = (np.arange(STEPS * 20) + 0.5) / (STEPS * 20) - 0.5
    found = ExcitationPulse.from_samples(np.exp(-0.5 * np.square(6.0 * time)), 1e-3, name="given")
    gauss = ExcitationPulse.of("gauss", 1e-3)
    np.testing.assert_allclose(found.amplitudes(ANGLE), gauss.amplitudes(ANGLE), rtol=0.02)
    assert found.form == "given"


def test_the_power_of_fine_samples_and_of_a_long_sinc_is_kept() -> None:
    fine = np.tile([3.0, -1.0], 500)
    found = ExcitationPulse.from_samples(fine, 1e-3, name="given")
    assert found.mean_square(ANGLE) == pytest.approx(
        (ANGLE / 1e-3) ** 2 * np.mean(fine**2) / np.mean(fine) ** 2, rel=0.02
    )
    long = ExcitationPulse.of("sinc", 1e-3, time_bandwidth=30.0)
    time = (np.arange(100_000) + 0.5) / 100_000 - 0.5
    exact = np.sinc(30.0 * time) * np.square(np.cos(np.pi * time))
    assert long.mean_square(ANGLE) == pytest.approx(
        (ANGLE / 1e-3) ** 2 * np.mean(exact**2) / np.mean(exact) ** 2, rel=0.01
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": "hermite"}, "must be one of rect, sinc, gauss, found 'hermite'"),
        ({"duration": 0.0}, r"must lie in \[1e-05, 1\) s, found 0.0"),
        ({"duration": 1.2}, r"must lie in \[1e-05, 1\) s, found 1.2"),
        ({"duration": math.nan}, r"must lie in \[1e-05, 1\) s, found nan"),
        ({"time_bandwidth": 0.0}, r"time-bandwidth product must lie in \(0, 30\], found 0.0"),
        ({"time_bandwidth": 60.0}, r"time-bandwidth product must lie in \(0, 30\], found 60.0"),
        ({"duration_stdev": -1e-6}, "duration_stdev must be 0 s or more, found -1e-06"),
        ({"duration_stdev": math.inf}, "duration_stdev must be 0 s or more, found inf"),
    ],
)
def test_numbers_without_meaning_are_refused(change: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"shape": "sinc", "duration": 1e-3} | change
    with pytest.raises(ValueError, match=said):
        ExcitationPulse.of(given.pop("shape"), given.pop("duration"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [[0.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_samples_that_turn_nothing_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="must add up to a flip angle"):
        ExcitationPulse.from_samples(np.array(samples), 1e-3, name="given")


@pytest.mark.parametrize("samples", [[], [[1.0, 2.0]]])
def test_samples_that_are_no_list_are_refused(samples: list[object]) -> None:
    with pytest.raises(ValueError, match="must be a list of numbers, found shape"):
        ExcitationPulse.from_samples(np.array(samples, dtype=float), 1e-3, name="given")
