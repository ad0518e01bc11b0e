"""Saturated images from arrays: protocols in ppm, µT and seconds; B0, B1 and pools."""

import numpy as np
import pytest

import qmri_bids as q
from qmri_bids.estimation.base import Status

NAN = float("nan")
OFFSETS = [NAN, *np.linspace(-2.0, 2.0, 31)]
WASABI = {"b1": 3.7, "duration": 5e-3, "field_strength": 3.0, "recovery": 3.0}
WATER = q.pool_model()
AMIDE = q.pool_model(amide={"fraction": 1e-3, "rate": 200.0, "shift": 3.5, "t2": 0.01})
POWERS = q.cest_protocol([NAN] + [3.5] * 6, b1=[0, 1, 2, 3, 4, 5, 6], duration=3.0, field_strength=9.4, recovery=8.0)


def test_wasabi_finds_field_and_b1_of_water():
    protocol = q.cest_protocol(OFFSETS, **WASABI)
    shape = (6, 5)
    field, b1 = np.linspace(-60.0, 60.0, 30).reshape(shape), np.linspace(0.8, 1.2, 30).reshape(shape)
    water = {"t1": np.full(shape, 2.0), "t2": np.full(shape, 0.5), "b1": b1, "off_resonance": field, "pools": WATER}
    images = q.simulate_cest(protocol, **water, noise=0.002, seed=1)
    one = {name: value[0, 0] if isinstance(value, np.ndarray) else value for name, value in water.items()}
    signal = q.simulate_cest(protocol, **one, kind="signed")
    assert signal.min() < -0.1
    np.testing.assert_allclose(images[0, 0], np.abs(signal), atol=0.01)
    found = q.fit_wasabi(500.0 * images, protocol, noise=1.0)
    with pytest.raises(ValueError, match=r"found negative values: give np.abs\(images\)"):
        q.fit_wasabi(signal, protocol)
    np.testing.assert_allclose(found.maps["off_resonance"], field, atol=2.0)
    # Relaxation during the pulse is not in the equation of WASABI.
    np.testing.assert_allclose(found.maps["b1"], b1, rtol=0.02)
    assert found.units == {"off_resonance": "Hz", "b1": ""}
    assert (found.stdev["b1"] > 0).all()


def test_wassr_finds_the_field():
    protocol = q.cest_protocol(
        [NAN, *np.linspace(-1.0, 1.0, 21)], b1=0.2, duration=0.5, field_strength=3.0, recovery=5.0
    )
    field = np.linspace(-20.0, 20.0, 12)
    images = q.simulate_cest(protocol, t1=1.4, t2=0.085, off_resonance=field, noise=0.002, seed=1)
    found = q.fit_wassr(images, protocol, noise=0.002)
    np.testing.assert_allclose(found.maps["off_resonance"], field, atol=1.5)


def test_pools_of_one_series_and_of_a_mask():
    truth = {"amide_fraction": np.array([0.5e-3, 1e-3, 2e-3]), "amide_rate": np.array([400.0, 200.0, 100.0])}
    images = q.simulate_cest(POWERS, pools=AMIDE, t1=2.5, t2=0.5, values=truth, noise=2e-4, seed=0)
    found = q.fit_pools(1000.0 * images, POWERS, pools=AMIDE, t1=2.5, t2=0.5, mask=[1, 1, 0])
    for name, values in truth.items():
        error = np.abs(found.maps[name] - values)[:2]
        assert (error < 4.0 * found.stdev[name][:2]).all()
        assert np.isnan(found.maps[name][2])
    assert found.status["amide"].tolist() == [1, 1, Status.OUTSIDE]
    table = found.to_dataframe()
    assert table.meaning_amide.tolist() == ["CONVERGED", "CONVERGED"]


def test_two_series_are_estimated_together():
    other = q.cest_protocol(
        [NAN] + [8.0, 12.0] * 3, b1=[0, 1, 2, 3, 2, 3, 1], duration=3.0, field_strength=9.4, recovery=8.0
    )
    images = [q.simulate_cest(each, pools=AMIDE, t1=2.5, t2=0.5) for each in (POWERS, other)]
    found = q.fit_pools([images[0], 7.0 * images[1]], [POWERS, other], pools=AMIDE, t1=2.5, t2=0.5)
    assert found.maps["amide_rate"] == pytest.approx(200.0, rel=1e-3)
    with pytest.raises(ValueError, match="images: expected one array for each of the 2 protocols, found 1"):
        q.fit_pools(images[:1], [POWERS, other], pools=AMIDE, t1=2.5, t2=0.5)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"b1": 3.7e-6}, "b1: expected microtesla.*tesla"),
        ({"duration": 5000.0}, "duration: expected a time in seconds.*milliseconds"),
        ({"pulse": "fermi"}, "pulse: expected one of block"),
        ({"b1": [1.0, 2.0]}, "b1: expected one number or 32, found 2"),
    ],
)
def test_other_units_of_a_protocol_get_the_right_word(changed, word):
    with pytest.raises(ValueError, match=word):
        q.cest_protocol(OFFSETS, **{**WASABI, **changed})


def test_other_units_of_maps_and_hertz_get_the_right_word():
    with pytest.raises(ValueError, match=r"offsets: expected ppm.*Hz"):
        q.cest_protocol([-38000.0, 450.0], **WASABI)
    images = q.simulate_cest(POWERS, pools=AMIDE, t1=2.5, t2=0.5)
    with pytest.raises(ValueError, match=r"t1: expected seconds.*milliseconds"):
        q.fit_pools(images, POWERS, pools=AMIDE, t1=2500.0, t2=0.5)
    with pytest.raises(ValueError, match=r"b1: expected actual over nominal.*percent"):
        q.fit_pools(images, POWERS, pools=AMIDE, t1=2.5, t2=0.5, b1=100.0)
    with pytest.raises(ValueError, match=r"found them along axis 0 .*np.moveaxis\(images, 0, -1\)"):
        q.fit_pools(np.stack([images] * 2, axis=-1), POWERS, pools=AMIDE, t1=2.5, t2=0.5)
    with pytest.raises(ValueError, match=r"values: expected some of.*amid_rate"):
        q.simulate_cest(POWERS, pools=AMIDE, t1=2.5, t2=0.5, values={"amid_rate": 3.0})
