"""B0 and B1 maps: WASABI and WASSR."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.wasabi_fit import MAPS, WasabiBounds, fit_wasabi
from qmri_bids.estimation.spectra.wassr import fit_wassr
from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal

PROTOCOL = WasabiProtocol(offsets=tuple(np.linspace(-255.0, 255.0, 31)))
DIRECT = np.linspace(-128.0, 128.0, 26)


def draw(number, *, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    c = rng.uniform(0.5, 1.0, number)
    truth = {
        "off_resonance": rng.uniform(-120.0, 120.0, number),
        "b1": rng.uniform(0.5, 1.5, number),
        "c": c,
        "d": c * rng.uniform(1.2, 2.1, number),
    }
    z = wasabi_signal(**truth, protocol=PROTOCOL)
    return truth, np.abs(z + noise * rng.normal(size=z.shape))


def direct_saturation(number, *, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    shift, width, depth = rng.uniform(-50, 50, number), rng.uniform(25, 60, number), rng.uniform(0.5, 0.95, number)
    z = 1.0 - depth[:, None] / (1.0 + ((DIRECT - shift[:, None]) / (0.5 * width[:, None])) ** 2)
    return shift, z + noise * rng.normal(size=z.shape)


def test_noise_free_wasabi_is_exact():
    truth, z = draw(2000)
    found = fit_wasabi(z, protocol=PROTOCOL)
    good = found.status == Status.CONVERGED
    assert good.mean() > 0.998
    exact = np.ones(len(z), dtype=bool)
    for name in MAPS:
        exact &= np.isclose(found.values[name], truth[name], rtol=1e-4, atol=1e-3)
    assert exact.mean() > 0.998


def test_wasabi_meets_its_bars_and_its_standard_deviations_at_one_percent_noise():
    truth, z = draw(4000, noise=0.01)
    found = fit_wasabi(z, protocol=PROTOCOL)
    good = found.status == Status.CONVERGED
    assert good.mean() > 0.998
    assert np.median(np.abs(found.values["off_resonance"] - truth["off_resonance"])[good]) < 0.5
    assert np.median(np.abs(found.values["b1"] / truth["b1"] - 1.0)[good]) < 0.004
    for name in MAPS:
        score = (found.values[name] - truth[name])[good] / found.stdev[name][good]
        assert 0.63 < np.mean(np.abs(score) < 1.0) < 0.74
        assert np.mean(np.abs(score) < 1.96) > 0.92
        assert abs(np.median(score)) < 0.1


def test_wasabi_without_fringes_is_not_mapped():
    rng = np.random.default_rng(0)
    flat = np.abs(0.8 + 0.01 * rng.normal(size=(50, 31)))
    broken = np.full((1, 31), math.nan)
    status = fit_wasabi(np.concatenate([flat, broken, np.zeros((1, 31))]), protocol=PROTOCOL, noise=0.01).status
    assert not np.any(status[:50] == Status.CONVERGED)
    assert list(status[50:]) == [Status.INVALID_INPUT] * 2


def test_wasabi_beyond_its_bounds_is_at_bound():
    z = wasabi_signal(np.array([5.0]), np.array([1.3]), c=0.9, d=1.7, protocol=PROTOCOL)
    found = fit_wasabi(z, protocol=PROTOCOL, bounds=WasabiBounds(b1=(0.9, 1.25), off_resonance=60.0), noise=0.01)
    assert found.status[0] == Status.AT_BOUND
    assert all(math.isnan(found.values[name][0]) for name in MAPS)


def test_threads_do_not_matter():
    _, z = draw(2100, noise=0.01)
    one, two = (fit_wasabi(z, protocol=PROTOCOL, threads=threads) for threads in (1, 2))
    for name in MAPS:
        np.testing.assert_array_equal(one.values[name], two.values[name])
    _, direct = direct_saturation(9000, noise=0.01)
    one, two = (fit_wassr(direct, offsets=DIRECT, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.values["off_resonance"], two.values["off_resonance"])


def test_maximum_symmetry_is_the_centre_of_the_line():
    shift, z = direct_saturation(1000)
    found = fit_wassr(z, offsets=DIRECT)
    assert np.all(found.status == Status.CONVERGED)
    # A line 25 Hz wide sampled every 10 Hz: what the spline does not follow.
    assert np.abs(found.values["off_resonance"] - shift).max() < 1.0
    assert np.median(np.abs(found.values["off_resonance"] - shift)) < 0.02


def test_symmetric_spectrum_is_centred_on_its_own_middle_in_any_order_and_scale():
    z = 1.0 - 0.8 * np.exp(-((DIRECT / 30.0) ** 2))
    order = np.random.default_rng(0).permutation(len(DIRECT))
    found = fit_wassr(250.0 * z[None, order], offsets=DIRECT[order])
    assert abs(found.values["off_resonance"][0]) < 1e-3


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_wassr_covers_its_errors(noise):
    shift, z = direct_saturation(4000, noise=noise)
    found = fit_wassr(z, offsets=DIRECT, noise=noise)
    good = found.status == Status.CONVERGED
    error = (found.values["off_resonance"] - shift)[good]
    score = error / found.stdev["off_resonance"][good]
    assert good.mean() > 0.99
    assert np.median(np.abs(error)) < 20.0 * noise
    assert 0.58 < np.mean(np.abs(score) < 1.0) < 0.76
    assert np.mean(np.abs(score) < 1.96) > 0.89
    own = fit_wassr(z, offsets=DIRECT)
    assert np.median(own.stdev["off_resonance"] / found.stdev["off_resonance"]) == pytest.approx(1.0, abs=0.15)


def test_wassr_of_a_dip_at_the_edge_or_none_at_all_has_no_value():
    edge = 1.0 - 0.8 / (1.0 + ((DIRECT - 115.0) / 15.0) ** 2)
    broken = np.full(26, math.nan)
    flat = np.ones(26)
    found = fit_wassr(np.stack([edge, broken, flat]), offsets=DIRECT, noise=0.01)
    assert found.status[0] in (Status.OUT_OF_RANGE, Status.NOT_CONVERGED)
    assert list(found.status[1:]) == [Status.INVALID_INPUT, Status.LOW_SIGNAL]
    assert np.isnan(found.values["off_resonance"]).all()


def test_what_does_not_belong_together_is_refused():
    _, z = draw(3)
    with pytest.raises(ValueError, match="one column for every offset"):
        fit_wasabi(z[:, 1:], protocol=PROTOCOL)
    with pytest.raises(ValueError, match="noise must be one number"):
        fit_wasabi(z, protocol=PROTOCOL, noise=np.ones(2))
    with pytest.raises(ValueError, match="bounds of b1 must increase"):
        WasabiBounds(b1=(1.0, 0.5))
    with pytest.raises(ValueError, match="N ≥ 8"):
        fit_wassr(np.ones((2, 5)), offsets=np.arange(5.0))
