"""The Bloch simulator against matrix exponentials, closed forms, and what published errors of maps it must give."""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.phantom.signals.bloch.sequence import Approach, Line, PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import Component, simulate_cycles, simulate_mixture
from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
WM, GM = (0.939, 0.062), (1.4, 0.085)
POOLS = {WM: TwoPools(fraction=0.12, exchange_rate=3.5), GM: TwoPools(fraction=0.06, exchange_rate=3.5)}
THETA = np.arange(24) / 24 / PROTOCOL.repetition_time


def _sequence(pulse: RfPulse, approach: Approach | None = None) -> PulseSequence:
    return PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=PROTOCOL.rf_phase_increment,
        pulse=pulse,
        approach=approach,
    )


def test_hard_pulses_give_the_closed_form():
    rng = np.random.default_rng(0)
    t1 = rng.uniform(0.1, 4.0, 50)
    t2, b1, frequency = t1 * rng.uniform(0.02, 0.9, 50), rng.uniform(0.7, 1.25, 50), rng.uniform(-600.0, 600.0, 50)
    m0 = np.exp(1j * rng.uniform(0.0, 6.0, 50))
    found = simulate_cycles(t1, t2, b1, frequency, m0, sequence=_sequence(RfPulse.hard()))
    # The closed form is plain Python beneath its compilation, which would round its result to single precision.
    expected = []
    for e1, e2, a, f, m in zip(
        np.exp(-4.8e-3 / t1), np.exp(-4.8e-3 / t2), b1 * PROTOCOL.flip_angle, frequency, m0, strict=True
    ):
        theta = 2.0 * np.pi * f * 4.8e-3
        psi = theta - np.array(PROTOCOL.rf_phase_increment)
        below = (1 - e1 * np.cos(a)) * (1 - e2 * np.cos(psi)) - e2 * (e1 - np.cos(a)) * (e2 - np.cos(psi))
        expected.append(
            m * (1 - e1) * np.sin(a) * (1 - e2 * np.exp(-1j * psi)) / below * np.sqrt(e2) * np.exp(0.5j * theta)
        )
    np.testing.assert_allclose(found, expected, atol=1e-9)
    rounded = balanced_signal(
        t1, t2, b1, frequency, m0, 4.8e-3, 2.4e-3, PROTOCOL.flip_angle, np.array(PROTOCOL.rf_phase_increment)
    )  # fmt: skip
    np.testing.assert_allclose(found, rounded, atol=1e-6)


@pytest.mark.parametrize("pulse", [RfPulse.rect(1e-3), RfPulse.sinc(2e-3), RfPulse.gauss(1e-3)], ids=lambda p: p.name)
@pytest.mark.parametrize("pools", [None, POOLS[WM]], ids=["water", "two pools"])
def test_finite_pulses_are_those_of_matrix_exponentials(pulse, pools):
    t1, t2, b1, frequency = 0.9, 0.06, 1.1, 137.0
    found = simulate_cycles(t1, t2, b1, frequency, 1.0, sequence=_sequence(pulse), pools=pools)[0]
    kf, f, r1m, line = (
        (0.0, 1.0, 1.0, 0.0) if pools is None else (pools.exchange_rate, pools.fraction, pools.r1, pools.line)
    )
    kr, w = kf / f, 2.0 * np.pi * frequency

    def step(omega: float, time: float) -> np.ndarray:
        rate = np.array(
            [
                [-1 / t2, -w, omega, 0, 0],
                [w, -1 / t2, 0, 0, 0],
                [-omega, 0, -1 / t1 - kf, kr, 1 / t1],
                [0, 0, kf, -r1m - kr - np.pi * line * omega**2, f * r1m],
                [0, 0, 0, 0, 0],
            ]
        )
        return expm(rate * time)

    played = np.eye(5)
    length = pulse.duration / len(pulse.shape)
    for relative in pulse.shape:
        played = step(b1 * PROTOCOL.flip_angle * relative / (sum(pulse.shape) * length), length) @ played
    expected = []
    for phi in PROTOCOL.rf_phase_increment:
        back = np.eye(5)
        back[:2, :2] = [[np.cos(phi), np.sin(phi)], [-np.sin(phi), np.cos(phi)]]
        turn = back @ step(0.0, 4.8e-3 - pulse.duration) @ played
        steady = np.append(np.linalg.solve(np.eye(4) - turn[:4, :4], turn[:4, 4]), 1.0)
        x, y, *_ = step(0.0, 2.4e-3 - pulse.duration / 2) @ played @ steady
        expected.append(complex(x, y))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("continued", [True, False])
def test_a_transient_is_that_of_pulses_one_by_one(continued):
    approach = Approach(dummies=5, repetitions=9, continued=continued)
    found = simulate_cycles(0.9, 0.06, 1.0, 40.0, 1.0, sequence=_sequence(RfPulse.hard(), approach))[0]
    m, z = 0.0 + 0.0j, 1.0
    a, theta = PROTOCOL.flip_angle, 2.0 * np.pi * 40.0 * 4.8e-3
    for cycle, phi in enumerate(PROTOCOL.rf_phase_increment):
        if not continued:
            m, z = 0.0 + 0.0j, 1.0
        for pulse in range(9):
            # In the frame of the receiver at rest: a pulse of phase k·phi.
            turned = m * np.exp(-1j * pulse * phi)
            x, z = np.cos(a) * turned.real + np.sin(a) * z, np.cos(a) * z - np.sin(a) * turned.real
            m = complex(x, turned.imag) * np.exp(1j * pulse * phi)
            if pulse == 5:
                echo = m * np.exp(-1j * pulse * phi) * np.exp(0.5j * theta - 2.4e-3 / 0.06)
                assert found[cycle] == pytest.approx(echo, abs=1e-10)
            m *= np.exp(1j * theta - 4.8e-3 / 0.06)
            z = 1.0 + (z - 1.0) * np.exp(-4.8e-3 / 0.9)


def test_many_dummies_lead_to_the_steady_state():
    for pools in (None, POOLS[GM]):
        steady, late = (
            simulate_cycles(1.4, 0.085, 0.9, 70.0, 1.0, sequence=_sequence(RfPulse.sinc(1e-3), approach), pools=pools)
            for approach in (None, Approach(dummies=8000))
        )
        np.testing.assert_allclose(late, steady, atol=1e-9)


def test_a_line_damps_every_configuration():
    """Hard pulses: order k has the phase 2π f (k TR + TE), a Lorentzian line damps it by e^{-2πw|k TR + TE|}."""
    width, number = 2.0, 512
    line = Line(half_width=width, nodes=4096)
    increments = tuple(2.0 * np.pi * np.arange(number) / number)
    sequence = PulseSequence(
        repetition_time=4.8e-3, echo_time=1.5e-3, flip_angle=0.26, increments=increments, pulse=RfPulse.hard()
    )
    sharp, broad = (
        np.fft.ifft(simulate_cycles(0.9, 0.06, 1.0, 0.0, 1.0, sequence=sequence, line=each)[0]) for each in (None, line)
    )
    order = np.arange(-6, 7)
    damped = sharp[order] * np.exp(-2.0 * np.pi * width * np.abs(order * 4.8e-3 + 1.5e-3))
    assert np.abs(damped - sharp[order]).max() > 0.01 * np.abs(sharp).max()
    np.testing.assert_allclose(broad[order], damped, atol=1e-3 * np.abs(sharp).max())


def test_drift_gain_and_mixtures_are_what_they_say():
    sequence = _sequence(RfPulse.rect(1e-3))
    drift, gain = np.linspace(-4.0, 5.0, 12), np.linspace(0.9, 1.1, 12) * np.exp(0.3j)
    found = simulate_cycles(0.9, 0.06, 1.0, 20.0, 1.0, sequence=sequence, drift=drift, gain=gain)[0]
    for cycle in range(12):
        alone = simulate_cycles(0.9, 0.06, 1.0, 20.0 + drift[cycle], 1.0, sequence=sequence)[0, cycle]
        assert found[cycle] == pytest.approx(gain[cycle] * alone, abs=1e-12)
    parts = [Component(weight=0.9, t1=0.9, t2=0.06), Component(weight=0.1, t1=0.5, t2=0.012, shift=15.0)]
    mixed = simulate_mixture(parts, b1=1.0, off_resonance=5.0, m0=2.0, sequence=sequence)
    expected = 1.8 * simulate_cycles(0.9, 0.06, 1.0, 5.0, 1.0, sequence=sequence)
    expected = expected + 0.2 * simulate_cycles(0.5, 0.012, 1.0, 20.0, 1.0, sequence=sequence)
    np.testing.assert_allclose(mixed, expected, atol=1e-12)


def _errors(cycles: np.ndarray, t1: float, t2: float) -> tuple[float, float]:
    """Median error of T1 and T2 [percent] of the program's maximum likelihood."""
    estimator = ESTIMATORS["ml"].create(EstimatorOptions())
    found = estimator.estimate(cycles, protocol=PROTOCOL, known=KnownMaps(b1=np.ones(len(cycles)))).values
    return tuple(100.0 * (np.nanmedian(found[name]) / true - 1.0) for name, true in (("T1", t1), ("T2", t2)))


@pytest.mark.parametrize(
    ("pulse", "tissue", "with_pools", "expected"),
    [
        (RfPulse.rect(0.3e-3), WM, False, 0.9),
        (RfPulse.rect(1e-3), WM, False, 2.2),
        (RfPulse.rect(1e-3), GM, False, 2.5),
        (RfPulse.sinc(1e-3), WM, False, 1.3),
        (RfPulse.sinc(1e-3), WM, True, -19.2),
        (RfPulse.sinc(1e-3), GM, True, -13.1),
        (RfPulse.rect(1e-3), WM, True, -14.0),
        (RfPulse.rect(0.2e-3), GM, True, -22.7),
    ],
)
def test_pulses_and_magnetisation_transfer_bias_t1(pulse, tissue, with_pools, expected):
    pools = POOLS[tissue] if with_pools else None
    t1 = tissue[0] if pools is None else pools.free_t1(tissue[0])
    off_resonance = np.linspace(-0.5, 0.5, 25) / PROTOCOL.repetition_time
    cycles = simulate_cycles(t1, tissue[1], 1.0, off_resonance, 1.0, sequence=_sequence(pulse), pools=pools)
    error_t1, error_t2 = _errors(cycles, *tissue)
    assert error_t1 == pytest.approx(expected, abs=1.0)
    assert abs(error_t2) < 1.0


@pytest.mark.parametrize(("off_resonance", "expected"), [(0.0, 3.5), (100.0, -0.1), (200.0, -10.0), (300.0, -25.0)])
def test_error_of_a_rectangular_pulse_depends_on_the_true_offset(off_resonance, expected):
    around = off_resonance + np.linspace(-5.0, 5.0, 5)
    cycles = simulate_cycles(*WM, 1.0, around, 1.0, sequence=_sequence(RfPulse.rect(1e-3)))
    assert _errors(cycles, *WM)[0] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize(("half_width", "expected"), [(1.0, (4.0, -2.6)), (5.0, (22.0, -11.6))])
def test_a_line_looks_like_longer_t1_and_shorter_t2(half_width, expected):
    line = Line(half_width=half_width, nodes=512)
    cycles = simulate_cycles(*WM, 1.0, THETA, 1.0, sequence=_sequence(RfPulse.hard()), line=line)
    assert _errors(cycles, *WM) == pytest.approx(expected, abs=1.0)


def test_what_cannot_be_simulated_is_refused():
    with pytest.raises(ValueError, match="a semisolid pool needs a pulse that takes time"):
        simulate_cycles(0.9, 0.06, 1.0, 0.0, 1.0, sequence=_sequence(RfPulse.hard()), pools=POOLS[WM])
    with pytest.raises(ValueError, match=r"SHAPE:MILLISECONDS .* found 'box:1'"):
        RfPulse.named("box:1")
    with pytest.raises(ValueError, match="must lie between two pulses of 5 ms"):
        _sequence(RfPulse.rect(5e-3))
    with pytest.raises(ValueError, match=r"drift and gain of shape \(12,\)"):
        simulate_cycles(0.9, 0.06, 1.0, 0.0, 1.0, sequence=_sequence(RfPulse.hard()), drift=np.zeros(3))
    with pytest.raises(ValueError, match="more repetitions than those"):
        Approach(dummies=4, repetitions=4)
