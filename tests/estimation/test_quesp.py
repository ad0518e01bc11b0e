"""QUESP against plain matrix exponentials: values, coverage, and what it refuses or flags."""

from dataclasses import replace

import numpy as np
import pytest
from exchange_cases import SHORT
from tube_series import known_tubes, tube_scan, tube_signal

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pools.quesp import Quesp, label_pairs, omega_plot
from qmri_bids.physics.fingerprint import exchange_signal
from qmri_bids.physics.rotating_frame import rotating_frame_signal
from qmri_bids.physics.saturation import Pulse, Readout, Saturation, Start

POWERS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
FRACTION, RATE = 1.35e-3, 500.0


def one(scan, fraction=FRACTION, rate=RATE, **known):
    signal = tube_signal(scan, fraction, rate, **known)[None]
    return signal, known_tubes(1, **known)


@pytest.mark.parametrize(
    ("shift", "field_strength", "fraction", "rate"),
    [(3.0, 3.0, 1.35e-3, 800.0), (1.9, 7.0, 1.8e-3, 400.0), (4.3, 9.4, 9e-4, 1500.0), (3.5, 3.0, 9e-4, 60.0)],
)
def test_solutes_come_out_without_noise(shift, field_strength, fraction, rate):
    scan = tube_scan(shift=shift, powers=POWERS, field_strength=field_strength)
    signal, known = one(scan, fraction, rate, t1=2.0, b1=0.9, off_resonance=12.0)
    found = Quesp().estimate(800.0 * signal, scan=scan, known=known)
    assert found.status["solute"] == Status.CONVERGED
    assert found.values["solute.fraction"] == pytest.approx(fraction, rel=0.02)
    assert found.values["solute.rate"] == pytest.approx(rate, rel=0.02)
    assert found.amplitude == pytest.approx(800.0, rel=1e-6)
    np.testing.assert_allclose(found.fitted, 800.0 * signal, rtol=0.02)


def test_the_product_alone_follows_the_textbook_in_its_limits():
    """Steady state, a dilute solute far from water: MTR_Rex is f k α / R1, and the omega plot its straight line."""
    scan = tube_scan(shift=20.0, powers=POWERS, durations=(40.0,), field_strength=9.4)
    signal, known = one(scan, 2e-4, RATE)
    square = (2 * np.pi * 42.5764e6 * 1e-6 * np.array(POWERS)) ** 2
    expected = 2e-4 * RATE * square / (square + RATE * (RATE + 50.0)) * 2.5
    metric = 1.0 / signal[0, 2::2] - 1.0 / signal[0, 3::2]
    np.testing.assert_allclose(metric, expected, rtol=0.02)
    line = omega_plot(signal, scan=scan, known=known)
    assert line.fraction == pytest.approx(2e-4, rel=0.03)
    assert line.rate == pytest.approx(RATE, rel=0.03)


@pytest.mark.parametrize("start", Start)
def test_the_closed_form_follows_readout_and_recovery(start):
    scan = tube_scan(shift=3.0, powers=POWERS, durations=(1.0, 3.0))
    protocol = replace(scan.protocols[0], start=start, readout=Readout(number=20, flip_angle=0.2, spacing=5e-3))
    protocol = replace(protocol, images=tuple(replace(image, recovery=2.0) for image in protocol.images))
    scan = replace(scan, protocols=(protocol,))
    known = known_tubes(1, b1=0.9)
    values = np.array([[FRACTION, RATE]])
    exact = exchange_signal(scan, values, known)
    np.testing.assert_allclose(rotating_frame_signal(scan, values, known), exact, atol=6e-3)
    found = Quesp().estimate(exact, scan=scan, known=known)
    assert found.values["solute.fraction"] == pytest.approx(FRACTION, rel=0.02)
    assert found.values["solute.rate"] == pytest.approx(RATE, rel=0.02)


@pytest.mark.parametrize(
    ("shift", "field_strength", "fraction", "rate", "durations"),
    [(3.0, 3.0, 1.35e-3, 500.0, (3.0,)), (1.9, 3.0, 1.8e-3, 600.0, (3.0,)), (3.5, 9.4, 1e-3, 150.0, (1.0, 3.0))],
)
def test_standard_deviations_hold_noise_and_known_maps(shift, field_strength, fraction, rate, durations):
    number = 1500
    scan = tube_scan(shift=shift, powers=POWERS, durations=durations, field_strength=field_strength)
    clean = tube_signal(scan, fraction, rate)
    signal = clean + 0.003 * np.random.default_rng(3).standard_normal((number, len(clean)))
    known = known_tubes(number, errors=(0.02, 0.05, 0.01, 2.0), seed=4)
    found = Quesp().estimate(signal, scan=scan, known=known)
    assert np.mean(found.status["solute"] == Status.CONVERGED) > 0.97
    assert np.median(found.noise) == pytest.approx(0.003, rel=0.05)
    for name, truth in (("solute.fraction", fraction), ("solute.rate", rate)):
        values, stdev = found.values[name], found.stdev[name]
        good = np.isfinite(values)
        error = np.abs(np.log(values[good] / truth)) / (stdev[good] / values[good])
        assert abs(np.mean(error < 1.0) - 0.68) < 0.05
        assert abs(np.mean(error < 1.96) - 0.95) < 0.025
        assert np.mean(values[good]) == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize(("shift", "rate"), [(1.0, 2000.0), (1.9, 4000.0), (3.0, 20000.0)])
def test_exchange_too_fast_for_the_closed_form_is_not_released(shift, rate):
    scan = tube_scan(shift=shift, powers=(0.5, 1.0, 2.0, 3.0, 4.0, 6.0), field_strength=3.0)
    signal, known = one(scan, 2e-3, rate)
    found = Quesp().estimate(signal, scan=scan, known=known)
    assert found.status["solute"] in (Status.OUT_OF_RANGE, Status.NOT_IDENTIFIABLE)
    assert np.isnan(found.values["solute.fraction"]).all()


def test_water_without_solute_and_images_without_signal_have_no_value():
    scan = tube_scan(shift=3.0, powers=POWERS)
    clean = np.stack([tube_signal(scan, 1e-12, RATE), 1e-3 * np.eye(1, 14)[0] + 1e-9, np.full(14, np.nan)])
    noise = 0.003 * np.random.default_rng(1).standard_normal(14)
    found = Quesp().estimate(clean + np.array([[1.0], [0.0], [0.0]]) * noise, scan=scan, known=known_tubes(3))
    assert np.isnan(found.values["solute.rate"]).all()
    assert found.status["solute"][2] == Status.INVALID_INPUT


def test_pairs_are_those_at_the_solute_and_repeats_are_averaged():
    scan = tube_scan(shift=3.0, powers=POWERS, offsets=(3.0, -3.0, -3.0, 8.0, -8.0, 1.0))
    pairs = label_pairs(scan)
    assert len(pairs.amplitude) == len(POWERS)
    assert pairs.unused == 3 * len(POWERS)
    assert (np.count_nonzero(pairs.reference, axis=1) == 2).all()
    assert any("18 saturated images" in said for said in Quesp().remarks(scan))
    signal, known = one(scan)
    assert Quesp().point(signal, scan=scan, known=known)[0] == pytest.approx([FRACTION, RATE], rel=0.02)


def test_what_it_cannot_serve_is_refused():
    good = tube_scan(shift=3.0, powers=POWERS)
    Quesp().check(good)
    shaped = Saturation(pulse=Pulse.gauss(mean_amplitude=1e-6, duration=0.05), number=20, gap=0.05)
    protocol = good.protocols[0]
    pulsed = replace(
        protocol,
        images=tuple(replace(each, saturation=each.saturation and shaped) for each in protocol.images),
    )
    cases = {
        "one solute beside water .* found the pools amide, MT": SHORT,
        "continuous saturation .*effective shape factor.*--cest-estimator ml": replace(good, protocols=(pulsed,)),
        r"\+3 and -3 ppm .* found no such pair": tube_scan(shift=3.0, powers=POWERS, offsets=(3.0,)),
        "no such pair, or no M0": replace(good, protocols=(replace(protocol, images=protocol.images[2:]),)),
        "found 2 powers and 1 durations": tube_scan(shift=3.0, powers=(1.0, 2.0)),
        "found 1 powers and 4 durations.*product of fraction, rate": tube_scan(
            shift=3.0, powers=(2.0,), durations=(0.5, 1.0, 2.0, 4.0)
        ),
    }
    for message, scan in cases.items():
        with pytest.raises(ProtocolNotSupported, match=message):
            Quesp().check(scan)
