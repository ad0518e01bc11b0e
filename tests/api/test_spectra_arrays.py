"""Z-spectra from arrays, judged by the Bloch-McConnell equations and by the rate of spin-lock that AREX stands for."""

import numpy as np
import pytest
import torch

import qmri_bids as q
from qmri_bids.estimation.base import Status
from qmri_bids.units import GYROMAGNETIC_RATIO

SIDE = [100.0, 50.0, 30.0, 20.0, *np.arange(10.0, 5.0, -0.5), *np.arange(5.0, 0.9, -0.2), 0.6, 0.4, 0.2]
OFFSETS = [float("nan"), *(-offset for offset in SIDE), 0.0, *reversed(SIDE)]
POWER, RATE, T1, NOISE = 1.0, 100.0, 1.5, 1e-3
PROTOCOL = q.cest_protocol(OFFSETS, b1=POWER, duration=10.0, field_strength=3.0, recovery=10.0)
AMIDE = q.pool_model(amide={"fraction": 1e-3, "rate": RATE, "shift": 3.5, "t2": 0.1})
SHAPE = (30, 3)
FRACTION = np.broadcast_to([0.5e-3, 1e-3, 2e-3], SHAPE)
FIELD = np.linspace(-90.0, 90.0, 90).reshape(SHAPE)


def simulated(protocol=PROTOCOL, **changed):
    known = {"off_resonance": FIELD, "values": {"amide_fraction": FRACTION}, "noise": NOISE, "seed": 2, **changed}
    return q.simulate_cest(protocol, pools=AMIDE, t1=np.full(SHAPE, T1), t2=np.full(SHAPE, 0.06), **known)


@pytest.fixture(scope="module")
def found():
    return q.fit_zspectrum(500.0 * simulated(), PROTOCOL, t1=T1, noise=500.0 * NOISE, pools=("water", "amide"))


def test_shift_of_water_and_asymmetry_are_those_of_the_equations(found):
    at_water = simulated(
        q.cest_protocol([-3.5, 3.5], b1=POWER, duration=10.0, field_strength=3.0, recovery=10.0),
        off_resonance=0.0,
        noise=0.0,
    )
    for name, truth in (("off_resonance", FIELD), ("MTRasym_3.5", 100.0 * (at_water[..., 0] - at_water[..., 1]))):
        score = (found.maps[name] - truth) / found.stdev[name]
        assert abs(score.mean()) < 1.0, name
        assert 0.7 < score.std() < 1.4, name
    assert found.units["MTRasym_3.5"] == "%"
    assert (found.status == Status.CONVERGED).all()


def test_arex_is_the_rate_of_exchange_times_the_efficiency_of_saturation(found):
    nutation = 2.0 * np.pi * GYROMAGNETIC_RATIO * POWER * 1e-6
    # Zaiss and Bachert, Phys Med Biol 58:R221 (2013): fraction * rate * labelling efficiency, R2 of the solute 10/s.
    truth = FRACTION * RATE * nutation**2 / (nutation**2 + RATE * (RATE + 10.0))
    np.testing.assert_allclose(found.maps["arex_amide"], truth, rtol=0.1)
    assert np.abs(found.maps["arex_amide"].mean(axis=0) / truth[0] - 1.0).max() < 0.06
    # Widths of the mean spectrum steady the fit more than its standard deviations know.
    share = found.maps["arex_amide"].std(axis=0) / found.stdev["arex_amide"].mean(axis=0)
    assert ((share > 0.4) & (share < 1.3)).all()
    assert found.units["arex_amide"] == "1/s"
    # Saturation at the centre of the line, in percent.
    np.testing.assert_allclose(found.maps["amplitude_amide"], found.maps["MTRasym_3.5"], rtol=0.15)


def test_mask_given_field_and_kind_of_the_array_are_kept():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:5] = True
    found = q.fit_zspectrum(
        torch.as_tensor(simulated()),
        PROTOCOL,
        off_resonance=FIELD,
        off_resonance_stdev=1.0,
        pools=(),
        asymmetry=(2.0, 3.5),
        noise=NOISE,
        mask=mask,
    )
    assert list(found.maps) == ["off_resonance", "MTRasym_2", "MTRasym_3.5"]
    assert isinstance(found.maps["off_resonance"], torch.Tensor)
    np.testing.assert_allclose(found.maps["off_resonance"][:5], FIELD[:5], rtol=1e-6)
    assert torch.isnan(found.maps["MTRasym_3.5"][5:]).all()
    assert (found.status[5:] == Status.OUTSIDE).all()


def test_narrow_spectra_say_what_would_fit_them():
    offsets = [float("nan"), *np.linspace(-6.0, 6.0, 41)]
    protocol = q.cest_protocol(offsets, b1=1.0, duration=2.0, field_strength=3.0, recovery=3.0)
    found = q.fit_zspectrum(simulated(protocol), protocol, t1=T1, noise=NOISE)
    assert set(found.maps) == {"off_resonance", "MTRasym_3.5"}
    assert any("Name the pools to fit them (option pools)" in sentence for sentence in found.decisions)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"t1": 1500.0}, r"t1: expected seconds.*milliseconds"),
        ({"off_resonance_stdev": 1.0}, "off_resonance_stdev: expected with off_resonance"),
        ({"pools": ("amide",)}, "pools must hold water"),
        ({"pools": ("water", "creatine")}, "pools must be among water.*found creatine"),
        ({"off_resonance": np.zeros(3)}, r"off_resonance: expected a number or a map of shape \(30, 3\)"),
    ],
)
def test_what_does_not_fit_gets_the_right_word(changed, word):
    with pytest.raises(ValueError, match=word):
        q.fit_zspectrum(simulated(), PROTOCOL, **changed)


def test_images_need_one_that_normalises_and_no_sign():
    with pytest.raises(ValueError, match=r"found negative values: give np.abs\(images\)"):
        q.fit_zspectrum(-simulated(), PROTOCOL)
    bare = q.cest_protocol(OFFSETS[1:], b1=POWER, duration=10.0, field_strength=3.0)
    with pytest.raises(ValueError, match="needs an unsaturated volume"):
        q.fit_zspectrum(simulated()[..., 1:], bare)
