"""MT, B1, contrast and design from arrays, against formulas and simulations of their own."""

import math

import numpy as np
import pytest

import qmri_bids as q
from qmri_bids.physics.sequences import Contrast, preset


def spoiled(angle, *, t1, tr, m0=1000.0, saturation=0.0):
    """Return the steady state of a spoiled gradient echo by iteration, an MT pulse before each excitation."""
    z = 1.0
    for _ in range(4000):
        z *= 1.0 - saturation
        signal = m0 * z * math.sin(angle)
        z = 1.0 - (1.0 - z * math.cos(angle)) * math.exp(-tr / t1)
    return signal


def test_mt_saturation_is_found_with_its_units():
    angles, times = (6, 20, 6), (0.03, 0.02, 0.03)
    pd, t1w = (spoiled(math.radians(angles[k]), t1=1.0, tr=times[k]) for k in (0, 1))
    mt = spoiled(math.radians(6), t1=1.0, tr=0.03, saturation=0.015)
    found = q.fit_mtsat(*(np.array([value]) for value in (pd, t1w, mt)), flip_angle=angles, tr=times, noise=0.1)
    assert found.maps["MTsat"][0] == pytest.approx(1.5, abs=0.1)  # rational approximation of small angles
    assert found.maps["R1"][0] == pytest.approx(1.0, abs=0.03)
    assert found.units["MTsat"] == "%"
    assert 0.0 < found.stdev["MTsat"][0] < 0.1
    with pytest.raises(ValueError, match=r"tr: expected a time in seconds.*milliseconds"):
        q.fit_mtsat(*(np.array([value]) for value in (pd, t1w, mt)), flip_angle=angles, tr=30.0, noise=0.1)
    with pytest.raises(ValueError, match="noise: expected the standard deviation"):
        q.fit_mtsat(*(np.array([value]) for value in (pd, t1w, mt)), flip_angle=angles, tr=0.03)


def test_mtr_of_an_image_tells_its_noise_itself():
    rng = np.random.default_rng(1)
    off = 100.0 + rng.standard_normal((24, 24, 12))
    on = 60.0 + rng.standard_normal((24, 24, 12))
    found = q.fit_mtr(on, off)
    assert np.median(found.maps["MTR"]) == pytest.approx(40.0, abs=0.2)
    inside = np.abs(found.maps["MTR"] - 40.0) < found.stdev["MTR"]
    assert np.mean(inside) == pytest.approx(0.683, abs=0.03)
    with pytest.raises(ValueError, match="mt_off: expected shape"):
        q.fit_mtr(on, off[:5])
    with pytest.raises(ValueError, match="expected magnitudes"):
        q.fit_mtr(on * 1j, off)


def test_b1_of_pairs_and_of_angles():
    actual = np.deg2rad(60.0) * np.array([0.8, 1.0, 1.2])
    found = q.b1_from_dam(np.sin(actual), np.sin(2 * actual), flip_angle=60, noise=0.005)
    np.testing.assert_allclose(found.maps["b1"][:2], [0.8, 1.0], rtol=1e-5)
    assert (found.stdev["b1"][:2] > 0).all()
    short, long = 20e-3, 100e-3
    n = long / short
    cosine = np.cos(np.deg2rad(60.0) * np.array([0.9, 1.1]))
    afi = q.b1_from_afi(np.ones(2), (1 + n * cosine) / (n + cosine), flip_angle=60, tr=(short, long))
    np.testing.assert_allclose(afi.maps["b1"], [0.9, 1.1], rtol=1e-5)
    np.testing.assert_allclose(q.b1_from_angle(np.array([54.0, 0.0]), flip_angle=60).maps["b1"], [0.9, np.nan])
    with pytest.raises(ValueError, match="tenths of degrees"):
        q.b1_from_angle(np.full(9, 600.0), flip_angle=60)


@pytest.mark.parametrize("t1", [0.6, 0.94, 1.4, 3.5])
def test_an_inverted_train_is_that_of_a_simulation_step_by_step(t1):
    """Inversion, recovery, 176 excitations, recovery, repeated until nothing changes."""
    mprage = preset("T1w")
    before = mprage.inversion_time - mprage.echoes // 2 * mprage.echo_spacing
    after = mprage.repetition_time - before - mprage.echoes * mprage.echo_spacing
    z = 1.0
    for _ in range(60):
        z = 1.0 - (1.0 + z) * math.exp(-before / t1)
        for echo in range(mprage.echoes):
            if echo == mprage.echoes // 2:
                centre = abs(z * math.sin(mprage.flip_angle))
            z = 1.0 - (1.0 - z * math.cos(mprage.flip_angle)) * math.exp(-mprage.echo_spacing / t1)
        z = 1.0 - (1.0 - z) * math.exp(-after / t1)
    image = q.synthesize("T1w", t1=np.array([t1]), t2=np.array([0.08]))
    assert image.maps["T1w"][0] == pytest.approx(centre, rel=1e-5)


def test_the_deviation_of_an_image_holds_that_of_its_maps():
    rng = np.random.default_rng(0)
    t1 = 0.94 + 0.03 * rng.standard_normal(4000)
    t2 = 0.062 + 0.002 * rng.standard_normal(4000)
    drawn = q.synthesize("FLAIR", t1=t1, t2=t2).maps["FLAIR"]
    stated = q.synthesize("FLAIR", t1=np.array([0.94]), t2=np.array([0.062]), t1_stdev=0.03, t2_stdev=0.002).stdev[
        "FLAIR"
    ]
    assert stated[0] == pytest.approx(np.std(drawn), rel=0.05)
    own = Contrast(name="mine", repetition_time=1.0, echo_time=0.02)
    assert "TR 1 s, TE 20 ms" in q.synthesize(own, t1=0.94, t2=0.062).decisions[0]
    with pytest.raises(ValueError, match="contrast: expected one of T1w"):
        q.synthesize("T3w", t1=0.94, t2=0.062)
    with pytest.raises(ValueError, match=r"t1: expected seconds.*milliseconds"):
        q.synthesize("T1w", t1=940.0, t2=0.062)
    with pytest.raises(ValueError, match="does not fit"):
        Contrast(name="mine", repetition_time=1.0, echo_time=0.02, inversion_time=2.0)


def test_the_design_is_the_scatter_of_maximum_likelihood():
    scan = {"tr": 4.8e-3, "te": 2.4e-3, "rf_phase_increment": np.arange(8) * 45.0}
    table = q.design(**scan, flip_angle=[15, 25], noise=0.0005).set_index(["tissue", "flip_angle"])
    bound = table.loc[("white matter", 15.0)]
    fields = np.tile(np.arange(24) / (24 * 4.8e-3), 60)
    ones = np.ones_like(fields)
    cycles = q.simulate_bssfp(
        t1=0.94 * ones, t2=0.062 * ones, off_resonance=fields, **scan, flip_angle=15, noise=0.0005, seed=3
    )
    found = q.fit_bssfp(cycles, **scan, flip_angle=15, estimator="ml")
    for name in ("T1", "T2"):
        scatter = float(np.nanstd(found.maps[name]))
        assert scatter == pytest.approx(bound[f"{name}_stdev"], rel=0.12)
    assert bound["worst_T1"] >= bound["T1_stdev"]
