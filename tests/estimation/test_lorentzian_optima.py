"""The fit of pools from several starts: lines, bounds, what the image says, competing optima, and spectra of real pools."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import Status, has_value
from qmri_bids.estimation.spectra import maps
from qmri_bids.estimation.spectra.lorentzian.image_fit import image_search
from qmri_bids.estimation.spectra.lorentzian.lines import half_width, lines
from qmri_bids.estimation.spectra.lorentzian.optima import fit_optima, search_cost, search_of
from qmri_bids.estimation.spectra.lorentzian.pools import (
    FIELDS,
    POOLS,
    Bounded,
    LorentzianPool,
    field_pools,
    field_sentence,
)
from qmri_bids.estimation.spectra.series import Spectra
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.reports.drawing.spectra import mean_curves

SIDE = (100.0, 50.0, 30.0, 20.0, *np.arange(10.0, 4.9, -1.0), *np.arange(4.5, 0.9, -0.25), 0.5, 0.25)
OFFSETS = np.array([*(-np.array(SIDE)), 0.0, *reversed(SIDE)])
TISSUE, OTHER = Lineshape.SUPER_LORENTZIAN, Lineshape.LORENTZIAN
NAMES = tuple(POOLS)
NOISE = 0.01


def spectra_of(amplitude, width, position, *, broad, offsets=OFFSETS):
    """Z of lines, shape (V, N)."""
    shape, _, _ = lines(offsets, width, position, broad)
    return 1.0 - np.einsum("vp,vnp->vn", amplitude, shape)


def draw(number, *, mt_line, seed=0, field=3.0):
    """Five pools within the bounds of a field; parameters (V, 15) without a baseline, and Z."""
    rng = np.random.default_rng(seed)
    heights = np.stack(
        [rng.uniform(*row, number) for row in ((0.75, 0.9), (0.05, 0.15), (0.02, 0.07), (0.03, 0.09), (0.01, 0.04))], 1
    )
    pools = field_pools(field, mt_line=mt_line)
    middle = np.array([pool.width.start for pool in pools.values()])
    width = middle * rng.uniform(0.8, 1.25, (number, 5))
    position = np.array([pool.position.start for pool in pools.values()]) + rng.uniform(-0.05, 0.05, (number, 5))
    broad = [pool.line is TISSUE for pool in pools.values()]
    return heights, width, position, spectra_of(heights, width, position, broad=broad)


def known(z, noise=NOISE):
    number = len(z)
    status = np.full(number, Status.CONVERGED, dtype=np.uint8)
    return Spectra(values=z, stdev=np.full(number, noise), scale_stdev=np.zeros(number), status=status)


def search_for(z, *, noise=NOISE, field=3.0, offsets=OFFSETS, shift=None, pools=NAMES):
    number = len(z)
    return image_search(
        known(z, noise),
        offsets=offsets,
        water_shift=np.zeros(number) if shift is None else shift,
        pools=pools,
        field_strength=field,
    )


def pool_model(line, *, t2, solutes=()):
    mt = MtPool(name="MT", fraction=0.09, rate=30.0, shift=-2.5, t2=t2, t1=1.0, form=MtForm.Z_ONLY, lineshape=line)
    return PoolModel(water=Water(t1=1.1, t2=0.06), cest=solutes, mt=mt)


def simulated(model, field, **voxels):
    train = Saturation(pulse=Pulse.block(amplitude=0.6e-6, duration=2.5))
    images = tuple(SaturatedImage(saturation=train, offset=float(each), recovery=5.0) for each in OFFSETS)
    protocol = SaturationProtocol(field_strength=field, images=images)
    return signal_and_jacobian(model, protocol, VoxelParameters(**voxels)).signal


def test_lines_are_one_at_the_centre_half_at_half_width_and_have_their_own_derivatives():
    offsets, width, position = np.linspace(-30.0, 40.0, 201), np.array([[2.0, 20.0]]), np.array([[1.3, -2.4]])
    line, by_width, by_position = lines(offsets, width, position, [False, True])
    at, _, _ = lines(np.array([1.3, 2.3, -2.4, 7.6]), width, position, [False, True])
    np.testing.assert_allclose([at[0, 0, 0], at[0, 1, 0], at[0, 2, 1], at[0, 3, 1]], [1.0, 0.5, 1.0, 0.5], atol=1e-6)
    step = 1e-5
    up, down = (lines(offsets, width * math.exp(sign * step), position, [False, True])[0] for sign in (1, -1))
    np.testing.assert_allclose(by_width, (up - down) / (2 * step), atol=1e-5)
    up, down = (lines(offsets, width, position + sign * step, [False, True])[0] for sign in (1, -1))
    np.testing.assert_allclose(by_position, (up - down) / (2 * step), atol=1e-5)
    assert line.shape == (1, 201, 2)


def test_the_broad_line_is_that_of_the_physics():
    """At T2 10 µs and 3 T: 42.2 ppm wide."""
    hertz_per_ppm = 127.7292
    width = 2.0 * half_width() / (2.0 * math.pi) / hertz_per_ppm
    expected, _ = absorption(TISSUE, 2.0 * math.pi * hertz_per_ppm * OFFSETS, t2=1e-5)
    found, _, _ = lines(OFFSETS, np.array([[width]]), np.zeros((1, 1)), [True])
    np.testing.assert_allclose(found[0, :, 0], expected / expected[len(OFFSETS) // 2], atol=1e-6)


@pytest.mark.parametrize("mt_line", [TISSUE, OTHER])
def test_the_image_tells_the_line_of_mt_and_noise_free_voxels_come_back(mt_line):
    heights, width, _, z = draw(200, mt_line=mt_line)
    search, said = search_for(z, noise=1e-4)
    assert search.pools["MT"].line is mt_line
    assert any(
        each.startswith(f"The line of MT is {'super-Lorentzian' if mt_line is TISSUE else 'Lorentzian'}:")
        for each in said
    )
    found = fit_optima(z, offsets=OFFSETS, search=search, noise=1e-4)
    assert found.fit.converged.all()
    assert found.unique.all()
    assert np.median(np.abs(found.fit.parameters[:, 1::3] - heights)) < 1e-4
    assert np.abs(found.fit.parameters[:, 1::3] - heights).max() < 3e-3
    np.testing.assert_allclose(np.median(found.fit.parameters[:, 2::3] / width, axis=0), 1.0, atol=0.01)


def test_the_peak_of_mt_near_water_is_not_taken_for_noe():
    """Water and a semisolid pool of tissue alone: NOE is nothing. A Lorentzian line of MT makes it 0.01 to 0.03."""
    for field, wrong in ((3.0, 0.008), (7.0, 0.02)):
        z = simulated(pool_model(TISSUE, t2=1e-5), field, b1=np.linspace(0.85, 1.15, 20))
        search, _ = search_for(z, noise=1e-3, field=field)
        assert search.pools["MT"].line is TISSUE
        height = fit_optima(z, offsets=OFFSETS, search=search, noise=0.005).fit.parameters[:, 10]
        plain = search_of(field_pools(field, mt_line=OTHER))
        other = fit_optima(z, offsets=OFFSETS, search=plain, noise=0.005).fit.parameters[:, 10]
        assert np.median(height) < 0.006
        assert np.median(other) > wrong


def test_heights_are_what_the_pool_takes_and_their_uncertainty_holds_what_widths_do_not_tell():
    """Amide at 3 T against Z without it minus Z with it, noise 1 %, rates of 30 to 150/s."""
    rng = np.random.default_rng(3)
    amide = CestPool(name="amide", fraction=1.2e-3, rate=80.0, shift=3.5, t2=0.03)
    noe = CestPool(name="NOE", fraction=6e-3, rate=16.0, shift=-3.5, t2=1e-3)
    model = pool_model(TISSUE, t2=9e-6, solutes=(amide, noe))
    fraction, rate = rng.uniform(6e-4, 2e-3, 500), rng.uniform(30.0, 150.0, 500)
    z = simulated(model, 3.0, fractions={"amide": fraction}, rates={"amide": rate})
    without = simulated(model, 3.0, fractions={"amide": 0.0 * fraction}, rates={"amide": rate})
    place = int(np.argmin(np.abs(OFFSETS - 3.5)))
    truth = (without - z)[:, place]
    noisy = z + NOISE * rng.standard_normal(z.shape)
    search, _ = search_for(noisy)
    found = fit_optima(noisy, offsets=OFFSETS, search=search, noise=NOISE)
    column = found.fit.columns("amide").start
    height, stdev = found.fit.parameters[:, column], np.sqrt(found.fit.covariance[:, column, column]) * found.noise
    score = (height - truth)[height > 0.0] / stdev[height > 0.0]
    assert abs(np.median(height - truth)) < 0.003
    assert 0.6 < np.mean(np.abs(score) < 1.0) < 0.8
    assert 0.92 < np.mean(np.abs(score) < 1.96) < 0.99
    assert found.fit.converged.all()
    assert found.unique.mean() > 0.99


def two_of_a_kind():
    """Two pools that may both be either of two lines."""
    kind = LorentzianPool(
        amplitude=Bounded(start=0.02, lower=0.0, upper=0.5),
        width=Bounded(start=1.0, lower=0.3, upper=3.0),
        position=Bounded(start=2.75, lower=1.5, upper=4.0),
    )
    return {"water": field_pools(3.0, mt_line=OTHER)["water"], "amide": kind, "amine": kind}


def test_pools_that_may_change_places_are_not_unique_and_their_deviation_holds_both_heights():
    pools = two_of_a_kind()
    heights, width = np.array([[0.8, 0.08, 0.03]]), np.array([[1.5, 0.8, 0.8]])
    z = spectra_of(heights, width, np.array([[0.0, 3.3, 2.2]]), broad=[False] * 3)
    z = np.repeat(z, 30, axis=0) + 0.002 * np.random.default_rng(0).standard_normal((30, len(OFFSETS)))
    first = search_of(pools)
    swapped = first.starts[0].copy()
    first_place, second_place = swapped.copy(), swapped.copy()
    first_place[[6, 9]], second_place[[6, 9]] = (3.3, 2.2), (2.2, 3.3)
    search = replace(first, starts=np.array([first_place, second_place]))
    found = fit_optima(z, offsets=OFFSETS, search=search, noise=0.002)
    assert (~found.unique[:, 1:]).all()
    assert found.unique[:, 0].all()
    stdev = np.sqrt(found.fit.covariance[:, 4, 4]) * found.noise
    assert (stdev > 0.02).all()
    one = fit_optima(z, offsets=OFFSETS, search=replace(first, starts=first_place[None]), noise=0.002)
    assert one.unique.all()
    assert (np.sqrt(one.fit.covariance[:, 4, 4]) * one.noise < 0.01).all()


def test_another_start_is_found_and_the_cost_is_what_is_made_least():
    *_, z = draw(100, mt_line=TISSUE)
    z = z + NOISE * np.random.default_rng(1).standard_normal(z.shape)
    search, _ = search_for(z)
    whole = fit_optima(z, offsets=OFFSETS, search=search, noise=NOISE)
    for start in search.starts:
        one = fit_optima(z, offsets=OFFSETS, search=replace(search, starts=start[None]), noise=NOISE)
        gain = search_cost(one.fit, search, noise=NOISE) - search_cost(whole.fit, search, noise=NOISE)
        assert (gain > -2e-3 * NOISE**2).all()


def test_a_residual_beyond_noise_counts_as_noise():
    *_, z = draw(20, mt_line=TISSUE)
    z = z + 0.02 * np.random.default_rng(2).standard_normal(z.shape)
    search, _ = search_for(z)
    told, not_told = (fit_optima(z, offsets=OFFSETS, search=search, noise=noise) for noise in (0.02, 0.002))
    np.testing.assert_allclose(told.noise, 0.02)
    assert 0.015 < np.median(not_told.noise) < 0.025


def test_threads_and_missing_values_do_not_matter():
    *_, z = draw(1500, mt_line=TISSUE)
    z[0], z[1, 3] = math.nan, math.nan
    search, _ = search_for(z)
    search = replace(search, starts=search.starts[:2])
    one, two = (fit_optima(z, offsets=OFFSETS, search=search, noise=NOISE, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.fit.parameters, two.fit.parameters)
    np.testing.assert_array_equal(one.fit.covariance, two.fit.covariance)
    assert np.isnan(one.fit.parameters[0]).all()
    assert not one.fit.converged[0]
    assert one.fit.converged[1:].all()


def test_an_image_without_enough_to_say_says_so():
    *_, z = draw(6, mt_line=OTHER)
    few, said = search_for(z, shift=np.array([0.0, *[math.nan] * 5]))
    assert any("Too few voxels have a spectrum for a mean one" in each for each in said)
    assert few.pools["MT"].line is TISSUE
    near = np.abs(OFFSETS) < 5.0
    search, said = search_for(z[:, near], offsets=OFFSETS[near])
    assert search.pools["MT"].line is TISSUE
    assert any("which would tell the line of MT: it is the super-Lorentzian one of tissue" in each for each in said)
    search, said = search_for(z, pools=("water", "NOE"))
    assert tuple(search.pools) == ("water", "NOE")
    assert not any("line of MT" in each for each in said)


def test_bounds_follow_the_field():
    at = {field: field_pools(field, mt_line=TISSUE) for field in (*FIELDS, 1.5, 5.0, 11.7)}
    for name in ("water", "amide", "amine"):
        assert at[3.0][name].width.lower > at[5.0][name].width.lower > at[7.0][name].width.lower
    assert at[1.5]["amide"] == at[3.0]["amide"]
    assert at[11.7]["amide"] == at[9.4]["amide"]
    # The semisolid line is as wide in hertz at every field.
    assert at[3.0]["MT"].width.upper / at[11.7]["MT"].width.upper == pytest.approx(11.7 / 3.0)
    assert field_sentence(2.89) == "Bounds of widths are those of the table for 3 T."
    assert "interpolated between the tables for 3, 7, 9.4 T" in field_sentence(5.0)
    assert "no table of widths for 11.7 T: the bounds are those for 9.4 T" in field_sentence(11.7)
    assert "no table of widths for 1.5 T: the bounds are those for 3 T" in field_sentence(1.5)


def test_what_does_not_belong_together_is_refused():
    *_, z = draw(3, mt_line=TISSUE)
    search = search_of(field_pools(3.0, mt_line=TISSUE))
    with pytest.raises(ValueError, match="one column an offset"):
        fit_optima(z, offsets=OFFSETS[:-1], search=search, noise=NOISE)
    with pytest.raises(ValueError, match="fit fewer pools"):
        fit_optima(z[:, :12], offsets=OFFSETS[:12], search=search, noise=NOISE)
    with pytest.raises(ValueError, match="Lorentzian or super-Lorentzian line"):
        replace(POOLS["MT"], line=Lineshape.GAUSSIAN)


def test_voxels_that_are_not_unique_keep_values_and_have_their_code(monkeypatch):
    *_, z = draw(40, mt_line=TISSUE)
    m0 = SaturatedImage(saturation=None, offset=None, recovery=5.0, is_m0=True)
    train = Saturation(pulse=Pulse.block(amplitude=0.6e-6, duration=2.5))
    images = tuple(SaturatedImage(saturation=train, offset=float(each), recovery=3.0) for each in OFFSETS)
    protocol = SaturationProtocol(field_strength=3.0, images=(m0, *images))
    signal = 1000.0 * np.concatenate([np.ones((40, 1)), z], axis=1)
    signal += 5.0 * np.random.default_rng(0).standard_normal(signal.shape)

    def doubtful(*arguments, **options):
        found = fit_optima(*arguments, **options)
        unique = found.unique.copy()
        unique[:10, 2] = False
        return replace(found, unique=unique)

    monkeypatch.setattr(maps, "fit_optima", doubtful)
    found = maps.zspectrum_maps(
        signal, protocol=protocol, roles=("m0", *["cest"] * len(OFFSETS)), water_shift=np.zeros(40), noise=5.0
    )
    assert (found.status[:10] == Status.NOT_UNIQUE).all()
    assert (found.status[10:] == Status.CONVERGED).all()
    assert has_value(found.status).all()
    for name in ("amplitude_water", "amplitude_amide", "MTRasym_3.5"):
        assert np.isfinite(found.maps[name][0]).all()
    assert found.broad == (False, True, False, False, False)
    assert any(
        each.startswith("In 25.0 % of the voxels other optima") and "(code 11)" in each for each in found.decisions
    )
    assert any("0.0 % of the voxels have no corrected spectrum" in each for each in found.decisions)


def test_the_drawn_curves_have_the_line_of_the_fit():
    heights, width, position, _ = draw(5, mt_line=TISSUE)
    columns = np.stack([heights, width, position], axis=2).reshape(5, -1)
    parameters = np.concatenate([np.ones((5, 1)), columns], axis=1)
    broad = [False, True, False, False, False]
    curves = mean_curves(parameters, pools=NAMES, offsets=OFFSETS, broad=broad)
    assert curves is not None
    dense, total, of_pools = curves
    expected = spectra_of(heights, width, position, broad=broad, offsets=dense)
    np.testing.assert_allclose(total, expected.mean(axis=0), atol=1e-12)
    assert of_pools["MT"].max() == pytest.approx(heights[:, 1].mean(), rel=1e-3)
