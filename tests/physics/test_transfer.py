"""What magnetisation transfer does to T1 and M0 of bSSFP: closed forms, their way back, and the Bloch equations by steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigvals

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.finite_pulse import as_by_hard_pulses
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import (
    LONGEST_T1,
    Relaxometry,
    apparent_rate,
    free_rate,
    line_on_resonance,
    recovery_rate,
    saturation_rate,
    share_of_m0,
)
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape, MtForm, MtPool
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
PULSE = ExcitationPulse.of("sinc", 1e-3)
SEEN_BY = Relaxometry(pulse=PULSE, protocol=PROTOCOL)
LINE = 14e-6
LORENTZIAN = MtPool(name="MT", shift=-2.5, fraction=0.112, rate=29.0, t2=40e-6, form=MtForm.FULL)
SUPER = replace(LORENTZIAN, form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN, t2=10e-6)
LINES = {"lorentzian": LORENTZIAN, "super-lorentzian": SUPER}


@dataclass(frozen=True)
class Tissue:
    """Free water [s], fraction and rate of the semisolid pool."""

    t1: float
    t2: float
    fraction: float
    rate: float


TISSUES = {
    "WM": Tissue(0.95, 0.062, 0.12, 29.0),
    "GM": Tissue(1.45, 0.085, 0.063, 40.0),
    "lesion": Tissue(1.3, 0.09, 0.05, 29.0),
}


def recovered(tissue: Tissue, r1m: float | None) -> float:
    """Return T1 of an inversion recovery [s]: the slow eigenvalue of the matrix of both z."""
    forward = tissue.fraction * tissue.rate
    r1 = 1.0 / tissue.t1
    own = r1 if r1m is None else r1m
    matrix = np.array([[-r1 - forward, tissue.rate], [forward, -own - tissue.rate]])
    return float(-1.0 / eigvals(matrix).real.max())


def drawn(number: int = 50) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return {
        "b1": rng.uniform(0.8, 1.2, number),
        "fraction": rng.uniform(0.02, 0.2, number),
        "rate": rng.uniform(10.0, 80.0, number),
    }


@pytest.mark.parametrize("r1m", [1.0, 3.0, None], ids=["1", "3", "water"])
@pytest.mark.parametrize("name", TISSUES)
def test_an_inversion_recovery_finds_the_slow_eigenvalue(name: str, r1m: float | None) -> None:
    tissue, one = TISSUES[name], np.ones(1)
    own = one / tissue.t1 if r1m is None else r1m * one
    found = recovery_rate(one / tissue.t1, fraction=tissue.fraction * one, rate=tissue.rate * one, r1m=own)
    assert 1.0 / found[0] == pytest.approx(recovered(tissue, r1m), rel=1e-9)


@pytest.mark.parametrize("r1m", [0.5, 1.0, 3.0, None], ids=["half", "1", "3", "water"])
def test_the_way_back_is_the_way_there(r1m: float | None) -> None:
    pool = drawn()
    b1 = pool.pop("b1")
    r1 = 1.0 / np.linspace(0.8, 2.0, len(b1))
    power = saturation_rate(PULSE, PROTOCOL, b1=b1, line=LINE)
    own = r1 if r1m is None else np.full_like(r1, r1m)
    seen = apparent_rate(r1, r1m=own, saturation=power, **pool)
    assert (seen > r1).all()
    back = free_rate(seen, r1m=None if r1m is None else own, saturation=power, **pool)
    np.testing.assert_allclose(back, r1, rtol=1e-12)


def test_limits_of_no_pool_no_power_and_all_power() -> None:
    one = np.ones(3)
    r1, own, none = np.array([0.5, 1.0, 1.2]), 1.5 * one, 0.0 * one
    pool = {"fraction": 0.1 * one, "rate": 30.0 * one, "r1m": own}
    without = pool | {"fraction": none}
    power = 40.0 * one
    np.testing.assert_allclose(apparent_rate(r1, saturation=power, **without), r1, rtol=1e-12)
    np.testing.assert_allclose(recovery_rate(r1, **without), r1, rtol=1e-12)
    np.testing.assert_allclose(share_of_m0(r1, saturation=power, **without), 1.0, rtol=1e-12)
    # Without saturation both pools are in equilibrium, whatever they exchange.
    np.testing.assert_allclose(share_of_m0(r1, saturation=none, **pool), 1.0, rtol=1e-12)
    # Under all power what goes over is lost.
    np.testing.assert_allclose(apparent_rate(r1, saturation=1e9 * one, **pool), r1 + 3.0, rtol=1e-6)
    # Pools of one R1 recover with it.
    np.testing.assert_allclose(recovery_rate(r1, **(pool | {"r1m": r1})), r1, rtol=1e-9)


def test_saturation_is_the_mean_power_over_tr() -> None:
    found = saturation_rate(ExcitationPulse.of("rect", 1e-3), PROTOCOL, b1=np.array([1.0, 2.0]), line=LINE)
    power = (PROTOCOL.flip_angle / 1e-3) ** 2 * 1e-3 / PROTOCOL.repetition_time
    np.testing.assert_allclose(found, math.pi * LINE * power * np.array([1.0, 4.0]), rtol=1e-12)


def test_lines_on_resonance() -> None:
    assert line_on_resonance(LORENTZIAN) == pytest.approx(40e-6 / math.pi)
    expected = absorption(Lineshape.SUPER_LORENTZIAN, np.zeros(1), t2=10e-6)[0][0]
    assert line_on_resonance(SUPER) == pytest.approx(expected)
    gaussian = replace(SUPER, lineshape=Lineshape.GAUSSIAN)
    assert line_on_resonance(gaussian) == pytest.approx(10e-6 / math.sqrt(2.0 * math.pi))


@pytest.mark.parametrize("r1m", [1.0, None], ids=["1", "water"])
@pytest.mark.parametrize("line", LINES)
def test_free_water_and_its_derivatives(line: str, r1m: float | None) -> None:
    given = drawn() | {"t1": np.linspace(0.6, 1.6, 50)}
    more = {"r1m": r1m, "line": line_on_resonance(LINES[line])}

    def t1_of(**changed: NDArray[np.float64]) -> NDArray[np.float64]:
        values = given | changed
        return SEEN_BY.free_water(values.pop("t1"), **values, **more).t1

    found = SEEN_BY.free_water(given["t1"], **{name: given[name] for name in ("b1", "fraction", "rate")}, **more)
    inner = found.t1 < LONGEST_T1
    assert inner.mean() > 0.8
    assert (found.t1[inner] > given["t1"][inner]).all()
    slopes = {"fraction": found.by_fraction, "rate": found.by_rate, "t1": found.by_t1, "b1": found.by_b1}
    for name, slope in slopes.items():
        step = 1e-5 * given[name]
        expected = (t1_of(**{name: given[name] + step}) - t1_of(**{name: given[name] - step})) / (2.0 * step)
        np.testing.assert_allclose(slope[inner], expected[inner], rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(slope[~inner], 0.0)


def test_a_pool_that_leaves_water_nothing_gives_the_longest_t1() -> None:
    one = np.ones(1)
    for r1m in (1.0, None):
        found = SEEN_BY.free_water(2.5 * one, b1=one, fraction=0.5 * one, rate=80.0 * one, r1m=r1m, line=LINE)
        assert found.t1[0] == LONGEST_T1
        assert found.by_fraction[0] == found.by_rate[0] == found.by_t1[0] == found.by_b1[0] == 0.0


@pytest.mark.parametrize("r1m", [1.0, None], ids=["1", "water"])
@pytest.mark.parametrize(("shape", "duration"), [("rect", 0.2e-3), ("rect", 0.5e-3), ("rect", 1e-3), ("sinc", 1e-3)])
def test_the_bloch_equations_of_two_pools_say_the_same(shape: str, duration: float, r1m: float | None) -> None:
    """Cycles of two pools by steps, the pulse's duration taken out, one pool fitted, and freed of transfer by known pools."""
    pulse = ExcitationPulse.of(shape, duration)
    played = RfPulse.rect(duration) if shape == "rect" else RfPulse.sinc(duration)
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=tuple(PROTOCOL.rf_phase_increment),
        pulse=played,
    )
    b1 = np.tile([0.8, 1.0, 1.2], 9)
    field = np.repeat(np.linspace(-150.0, 150.0, 9), 3)
    estimator = MaximumLikelihood()

    def fit(data: NDArray[np.complexfloating]) -> tuple[NDArray[np.float64], ...]:
        point = estimator.natural(data, b1=b1, protocol=PROTOCOL)
        t1, t2 = relaxation_times(point.e2, point.b, b1=b1, protocol=PROTOCOL)
        return t1, t2, point.theta / (2.0 * np.pi * PROTOCOL.repetition_time)

    for name, tissue in TISSUES.items():
        pools = TwoPools(fraction=tissue.fraction, exchange_rate=tissue.fraction * tissue.rate, r1=r1m, line=LINE)
        scanned = simulate_cycles(tissue.t1, tissue.t2, b1, field, 0.8 + 0j, sequence=sequence, pools=pools)
        hard = as_by_hard_pulses(
            scanned.astype(np.complex64), fit=fit, b1=b1, off_resonance=field, pulse=pulse, protocol=PROTOCOL
        )
        assert hard.changed.all()
        seen = MaximumLikelihood().estimate(hard.cycles, protocol=PROTOCOL, known=KnownMaps(b1=b1)).values
        one = np.ones(len(b1))
        pool = {"fraction": tissue.fraction * one, "rate": tissue.rate * one}
        power = saturation_rate(pulse, PROTOCOL, b1=b1, line=LINE)
        rate = 1.0 / seen["T1"].astype(float)
        r1 = free_rate(rate, r1m=None if r1m is None else r1m * one, saturation=power, **pool)
        own = r1 if r1m is None else r1m * one
        slow = recovery_rate(r1, r1m=own, **pool)
        m0 = seen["M0"] / share_of_m0(r1, r1m=own, saturation=power, **pool)
        assert (seen["T1"] < 0.95 * recovered(tissue, r1m)).all(), name
        np.testing.assert_allclose(1.0 / r1, tissue.t1, rtol=5e-4, err_msg=name)
        np.testing.assert_allclose(1.0 / slow, recovered(tissue, r1m), rtol=5e-4, err_msg=name)
        np.testing.assert_allclose(m0, 0.8, rtol=5e-4, err_msg=name)
        np.testing.assert_allclose(seen["T2"], tissue.t2, rtol=5e-4, err_msg=name)
