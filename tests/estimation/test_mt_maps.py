"""MTR and MT saturation maps: truth, B1, coverage of the standard deviations, and refusals."""

import math

import numpy as np
import pytest
from spoiled_gradient_echo import spoiled_signal

from qmri_bids.estimation.base import KnownMaps, Status
from qmri_bids.estimation.mt.maps import MTSAT_CORRECTIONS, SpoiledProtocol, mtr, mtsat, noise_of_volume

PROTOCOLS = (
    SpoiledProtocol(flip_angle=math.radians(6.0), repetition_time=0.025),
    SpoiledProtocol(flip_angle=math.radians(21.0), repetition_time=0.025),
    SpoiledProtocol(flip_angle=math.radians(6.0), repetition_time=0.025),
)


def scan(number, *, b1=None, noise=0.0, seed=0, saturation=0.015):
    rng = np.random.default_rng(seed)
    rate, amplitude = rng.uniform(0.6, 1.2, number), rng.uniform(800.0, 1200.0, number)
    b1 = np.ones(number) if b1 is None else b1
    signals = [
        spoiled_signal(
            amplitude,
            rate,
            flip_angle=b1 * protocol.flip_angle,
            repetition_time=protocol.repetition_time,
            mt_saturation=fraction,
        )
        for protocol, fraction in zip(PROTOCOLS, (0.0, 0.0, saturation), strict=True)
    ]
    return rate, amplitude, [signal + noise * rng.normal(size=number) for signal in signals]


def test_mtr_of_noise_free_pairs_is_exact():
    found = mtr(np.array([[60.0], [100.0]]), np.array([[100.0], [100.0]]), noise=1.0)
    np.testing.assert_allclose(found.values["MTR"], [0.4, 0.0], atol=1e-7)
    np.testing.assert_allclose(found.stdev["MTR"], [0.01 * math.hypot(1.0, 0.6), 0.01 * math.sqrt(2.0)], rtol=1e-6)
    assert np.isnan(found.residual).all()


@pytest.mark.parametrize("known", [True, False], ids=["given noise", "noise of the repetitions"])
def test_mtr_covers_its_errors(known):
    rng = np.random.default_rng(0)
    ratio = rng.uniform(0.2, 0.5, 5000)
    on = 100.0 * (1.0 - ratio[:, None]) + 2.0 * rng.normal(size=(5000, 3))
    off = 100.0 + 2.0 * rng.normal(size=(5000, 2))
    found = mtr(on, off, noise=2.0 if known else None)
    score = (found.values["MTR"] - ratio) / found.stdev["MTR"]
    assert np.std(score) == pytest.approx(1.0, abs=0.04)
    assert abs(np.mean(score)) < 0.05
    assert np.isfinite(found.residual).all()


def test_mtr_without_signal_or_of_broken_voxels_has_no_value():
    found = mtr(np.array([[1.0], [math.nan]]), np.array([[2.0], [100.0]]), noise=1.0)
    assert list(found.status) == [Status.LOW_SIGNAL, Status.INVALID_INPUT]
    assert np.isnan(found.values["MTR"]).all()


def test_noise_of_a_volume_is_told_in_spite_of_anatomy():
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, 96) for _ in range(3)), indexing="ij")
    head = 500.0 + 200.0 * np.cos(3.0 * x) * np.cos(2.0 * y) + 150.0 * (x**2 + y**2 + z**2 < 0.5)
    head[x**2 + y**2 + z**2 > 0.9] = 0.0
    noisy = np.where(head > 0.0, head + 7.0 * rng.normal(size=head.shape), 0.0)
    assert noise_of_volume(noisy) == pytest.approx(7.0, rel=0.08)
    with pytest.raises(ValueError, match="found 0; give the standard deviation"):
        noise_of_volume(np.zeros((8, 8, 8)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_noise_of_one_slice_is_that_within_it(axis):
    rng = np.random.default_rng(4)
    ramp = np.linspace(0.0, 50.0, 60)
    plane = 500.0 + ramp[:, None] + ramp + rng.normal(0.0, 7.0, (60, 60))
    assert noise_of_volume(np.expand_dims(plane, axis)) == pytest.approx(7.0, rel=0.08)


def test_mtsat_and_its_by_products_are_those_of_the_scan():
    rate, amplitude, signals = scan(200)
    found = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=np.ones(200)), noise=0.1)
    np.testing.assert_allclose(found.values["R1"], rate, rtol=1e-3)
    np.testing.assert_allclose(found.values["A"], amplitude, rtol=1e-3)
    # First order in R1 TR: low by R1 TR/2 = 0.75 to 1.5 % and α²/4 = 0.3 %.
    np.testing.assert_allclose(found.values["MTsat"], 0.015, rtol=0.02)


def test_r1_and_saturation_do_not_depend_on_b1_once_it_is_known():
    b1 = np.linspace(0.7, 1.3, 200)
    rate, _, signals = scan(200, b1=b1)
    found = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=b1), noise=0.1, correction="none")
    np.testing.assert_allclose(found.values["R1"], rate, rtol=2e-3)
    np.testing.assert_allclose(found.values["MTsat"], 0.015, rtol=0.025)


def test_saturation_that_follows_its_model_of_b1_is_corrected_to_nominal():
    """A pulse whose saturation is as Helms et al. found, and the same of each row of the table."""
    b1 = np.linspace(0.7, 1.3, 200)
    for name, factor in MTSAT_CORRECTIONS.items():
        assert factor(np.ones(1))[0] == pytest.approx(1.0)
        _, _, signals = scan(200, b1=b1, saturation=0.015 / factor(b1))
        found = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=b1), noise=0.1, correction=name)
        np.testing.assert_allclose(found.values["MTsat"], 0.015, rtol=0.03, err_msg=name)


def test_helms_correction_is_the_usual_factor_on_saturation_of_nominal_angles():
    b1 = np.linspace(0.8, 1.2, 50)
    _, _, signals = scan(50, b1=b1)
    actual = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=b1), noise=0.1).values["MTsat"]
    blind = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=np.ones(50)), noise=0.1, correction="none")
    np.testing.assert_allclose(actual, blind.values["MTsat"] * (1 - 0.4) / (1 - 0.4 * b1), rtol=0.02)


def test_mtsat_covers_noise_and_b1():
    number = 5000
    true_b1 = np.full(number, 0.95)
    measured = true_b1 + 0.02 * np.random.default_rng(1).normal(size=number)
    _, _, clean = scan(number, b1=true_b1)
    exact = mtsat(*clean, protocols=PROTOCOLS, known=KnownMaps(b1=true_b1), noise=0.3).values
    _, _, noisy = scan(number, b1=true_b1, noise=0.3)
    known = KnownMaps(b1=measured, b1_stdev=np.full(number, 0.02))
    found = mtsat(*noisy, protocols=PROTOCOLS, known=known, noise=0.3)
    assert np.all(found.status == Status.CONVERGED)
    for name in ("MTsat", "R1", "A"):
        score = (found.values[name] - exact[name]) / found.stdev[name]
        assert np.std(score) == pytest.approx(1.0, abs=0.06), name
        assert abs(np.mean(score)) < 0.1, name


def test_signals_that_no_relaxation_explains_have_no_value():
    _, _, signals = scan(4)
    signals[1][0] = 10.0 * signals[0][0]
    signals[2][1] = 0.01
    signals[0][2] = math.nan
    found = mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=np.ones(4)), noise=0.1)
    assert list(found.status) == [Status.NO_ROOT, Status.LOW_SIGNAL, Status.INVALID_INPUT, Status.CONVERGED]
    assert list(np.isfinite(found.values["MTsat"])) == [False, False, False, True]


def test_what_does_not_belong_together_is_refused():
    _, _, signals = scan(4)
    ones = KnownMaps(b1=np.ones(4))
    with pytest.raises(ValueError, match="give its standard deviation"):
        mtr(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="must have shapes"):
        mtr(np.ones((3, 1)), np.ones((2, 1)), noise=1.0)
    with pytest.raises(ValueError, match="correction must be one of none, square, helms"):
        mtsat(*signals, protocols=PROTOCOLS, known=ones, noise=0.1, correction="Helms")
    with pytest.raises(ValueError, match="for B1"):
        mtsat(*signals, protocols=PROTOCOLS, known=KnownMaps(b1=np.ones(3)), noise=0.1)
    with pytest.raises(ValueError, match="noise must be one number"):
        mtsat(*signals, protocols=PROTOCOLS, known=ones, noise=np.ones(3))
    with pytest.raises(ValueError, match="flip_angle must lie"):
        SpoiledProtocol(flip_angle=6.0, repetition_time=0.025)
    with pytest.raises(ValueError, match="repetition_time must lie"):
        SpoiledProtocol(flip_angle=0.1, repetition_time=25.0)
