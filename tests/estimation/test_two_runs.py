"""F of two runs whose pulses saturate the semisolid pool differently.

The maps of most tests are those of the closed forms with errors at the Cramér-Rao bound; the last ones are fitted to signals of
the phantom's own simulator of two pools and finite pulses.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, has_value
from qmri_bids.estimation.bssfp.finite_pulse import as_by_hard_pulses
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.one_model.two_runs import FEWEST_VOXELS, Literature, RunOfWater, two_run_pools
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.cramer_rao import relative_covariance
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import apparent_rate, saturation_rate, share_of_m0
from qmri_bids.physics.protocol import BssfpProtocol

LINE, R1M, RATE = 14e-6, 1.0, 29.0
NOISE = 0.074 / (math.sqrt(2.0) * 25.0)
WHITE = {"r1": 0.98, "t2": 0.062, "m0": 0.8, "fraction": 0.12}
GREY = {"r1": 0.68, "t2": 0.085, "m0": 0.8, "fraction": 0.06}
LESION = {"r1": 0.74, "t2": 0.100, "m0": 0.8, "fraction": 0.04}
FLUID = {"r1": 0.25, "t2": 2.0, "m0": 1.0, "fraction": 0.0}
SHORT, LONG = (("rect", 0.2e-3), 15.0), (("rect", 1e-3), 15.0)
STRONG, WEAK = (("sinc", 1e-3), 30.0), (("sinc", 1e-3), 15.0)


def protocol_of(scan, cycles=12):
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(scan[1])
    )


def run_of(scan, truth, *, rng=None, b1=None, gain=1.0):
    """Return maps of a run where water and F are maps, with errors at the bound."""
    pulse, protocol = ExcitationPulse.of(*scan[0]), protocol_of(scan)
    shape = truth["r1"].shape
    b1 = np.ones(shape) if b1 is None else b1
    saturation = saturation_rate(pulse, protocol, b1=b1, line=LINE)
    pools = {"fraction": truth["fraction"], "rate": RATE, "r1m": R1M, "saturation": saturation}
    t1 = 1.0 / apparent_rate(truth["r1"], **pools)
    m0 = gain * truth["m0"] * share_of_m0(truth["r1"], **pools)
    field = np.broadcast_to(np.linspace(-80.0, 80.0, shape[1])[:, None], shape).copy()
    covariance = relative_covariance(t1, truth["t2"], b1=b1, off_resonance=field, protocol=protocol)
    covariance = covariance * np.square(NOISE / m0)[..., None, None]
    error = np.zeros((*shape, 5))
    if rng is not None:
        error = (np.linalg.cholesky(covariance) @ rng.standard_normal((*shape, 5, 1)))[..., 0]
    return RunOfWater(
        t1=t1 * np.exp(error[..., 0]),
        t2=truth["t2"] * np.exp(error[..., 1]),
        m0=m0 * np.exp(error[..., 2]),
        off_resonance=field,
        t1_stdev=t1 * np.sqrt(covariance[..., 0, 0]),
        pulse=pulse,
        protocol=protocol,
    )


def block_of(*tissues, shape=(14, 14, 10)):
    """Return water and F of tissues side by side along the first axis."""
    place = np.arange(shape[0]) * len(tissues) // shape[0]
    return {
        key: np.broadcast_to(np.array([tissue[key] for tissue in tissues])[place][:, None, None], shape).copy()
        for key in WHITE
    }


def pools_of(first, second, **changes):
    shape = first.t1.shape
    options = {
        "b1": np.ones(shape),
        "b1_stdev": 0.0,
        "mask": np.ones(shape, dtype=bool),
        "voxel_size": (2e-3, 2e-3, 2e-3),
        "literature": Literature(line=LINE, rate=RATE, rate_stdev=0.0, r1m=R1M),
    }
    return two_run_pools(first, second, **(options | changes))


@pytest.mark.parametrize(("one", "other"), [(SHORT, LONG), (LONG, SHORT), (STRONG, WEAK)])
@pytest.mark.parametrize("tissue", [WHITE, GREY, LESION, FLUID])
def test_without_noise_f_and_r1_of_water_are_the_true_ones(one, other, tissue):
    truth = block_of(tissue, shape=(8, 8, 8))
    found = pools_of(run_of(one, truth), run_of(other, truth, gain=1.07))
    place = np.isfinite(found.fraction)
    assert place[3:-3, 3:-3, 3:-3].all()
    np.testing.assert_allclose(found.fraction[place], tissue["fraction"], atol=5e-5)
    np.testing.assert_allclose(found.free_rate[place], tissue["r1"], rtol=1e-4)
    np.testing.assert_allclose(found.receiver[place], 1.07, rtol=1e-4)


def test_noise_is_what_is_stated_and_fluid_has_none_on_the_mean():
    truth = block_of(WHITE, GREY, FLUID, shape=(24, 16, 10))
    rng = np.random.default_rng(3)
    found = pools_of(run_of(SHORT, truth, rng=rng), run_of(LONG, truth, rng=rng))
    for tissue, low, high in ((WHITE, 0.118, 0.122), (GREY, 0.0585, 0.0615), (FLUID, -4e-4, 4e-4)):
        place = (truth["fraction"] == tissue["fraction"]) & np.isfinite(found.fraction)
        error = found.fraction[place] - tissue["fraction"]
        stated = np.hypot(found.noise_stdev, found.parts["receiver"])[place]
        assert low < np.mean(found.fraction[place]) < high
        assert 0.75 < np.std(error / stated) < 1.3


def test_a_map_of_regions_says_more_than_twenty_percent():
    truth = block_of(WHITE, GREY)
    rng = np.random.default_rng(4)
    literature = Literature(line=LINE, rate=RATE, rate_stdev=0.3 * RATE, r1m=R1M)
    found = pools_of(run_of(SHORT, truth, rng=rng), run_of(LONG, truth, rng=rng), literature=literature, b1_stdev=0.02)
    place = np.isfinite(found.fraction)
    assert place.mean() > 0.9
    assert np.median((found.stdev / found.fraction)[place]) < 0.12
    assert np.nanmin(found.voxels) >= FEWEST_VOXELS


def test_a_small_lesion_keeps_its_f_and_so_does_what_is_around_it():
    truth = block_of(WHITE, shape=(18, 18, 18))
    x, y, z = np.indices(truth["r1"].shape) - 9
    ball = x**2 + y**2 + z**2 <= 9
    for key, values in truth.items():
        values[ball] = LESION[key]
    rng = np.random.default_rng(5)
    found = pools_of(run_of(SHORT, truth, rng=rng), run_of(LONG, truth, rng=rng))
    near = ~ball & (x**2 + y**2 + z**2 <= 16)
    assert np.isfinite(found.fraction[ball]).mean() > 0.5
    assert np.nanmean(found.fraction[ball]) == pytest.approx(LESION["fraction"], abs=0.003)
    assert np.nanmean(found.fraction[near]) == pytest.approx(WHITE["fraction"], abs=0.004)


def test_a_receiver_that_differs_smoothly_between_the_runs_changes_nothing():
    truth = block_of(WHITE, GREY)
    first = run_of(SHORT, truth, rng=np.random.default_rng(6))
    second = run_of(LONG, truth, rng=np.random.default_rng(7))
    gain = 0.8 + 0.02 * np.indices(truth["r1"].shape)[0] / 14.0
    plain, other = pools_of(first, second), pools_of(first, replace(second, m0=second.m0 * gain))
    assert np.nanmax(np.abs(other.fraction - plain.fraction)) < 0.015
    assert abs(np.nanmean(other.fraction) / np.nanmean(plain.fraction) - 1.0) < 0.01
    np.testing.assert_allclose(np.nanmean(other.receiver / plain.receiver), 0.81, rtol=0.005)


@pytest.mark.parametrize(("one", "other"), [(SHORT, LONG), (STRONG, WEAK)])
def test_a_wrong_b1_changes_f_by_what_is_stated(one, other):
    truth = block_of(WHITE)
    true_b1 = np.full(truth["r1"].shape, 0.95)
    wrong = 1.03 * true_b1
    runs = []
    for scan in (one, other):
        run = run_of(scan, truth, b1=true_b1)
        half = 0.5 * run.protocol.flip_angle
        growth = np.square(np.tan(half * wrong) / np.tan(half * true_b1))
        runs.append(replace(run, t1=run.t1 / growth, m0=run.m0 / np.sqrt(growth), t1_stdev=run.t1_stdev / growth))
    found = pools_of(*runs, b1=wrong, b1_stdev=0.03 * 0.95)
    change = abs(
        np.nanmean(found.fraction)
        - np.nanmean(pools_of(*(run_of(scan, truth, b1=true_b1) for scan in (one, other)), b1=true_b1).fraction)
    )
    assert change == pytest.approx(np.nanmean(found.parts["B1"]), rel=0.15, abs=1e-4)
    # T1 and W go with B1 alike: 3 % of B1 are 2 % of F at most.
    assert change < 0.02 * WHITE["fraction"] * 1.5


def test_the_line_the_rate_and_the_duration_are_in_the_standard_deviation():
    truth = block_of(WHITE, shape=(8, 8, 8))
    first, second = run_of(SHORT, truth), run_of(LONG, truth)
    literature = Literature(line=LINE, rate=RATE, rate_stdev=0.3 * RATE, r1m=R1M, line_stdev=0.2 * LINE, r1m_stdev=0.5)
    unsure = replace(first, pulse=replace(first.pulse, duration_stdev=0.02e-3))
    found = pools_of(unsure, second, literature=literature)
    means = {name: float(np.nanmean(part)) / WHITE["fraction"] for name, part in found.parts.items()}
    assert means["line"] == pytest.approx(0.25, abs=0.04)  # F goes with 1/G(0)
    assert 0.02 < means["rate"] < 0.12
    assert 0.0 < means["r1m"] < 0.1
    assert means["duration"] == pytest.approx(0.13, abs=0.04)  # W of 0.2 ms, less that of 1 ms
    total = np.sqrt(np.square(found.noise_stdev) + sum(np.square(part) for part in found.parts.values()))
    np.testing.assert_allclose(found.stdev, total)


def test_where_neighbours_are_too_few_there_is_no_value():
    truth = block_of(WHITE)
    mask = np.zeros(truth["r1"].shape, dtype=bool)
    mask[:2, :2, :2] = True  # 8 voxels
    mask[7:13, 4:10, 2:8] = True
    first, second = run_of(SHORT, truth), run_of(LONG, truth)
    second.t1[9, 6, 4] = np.nan
    found = pools_of(first, second, mask=mask)
    assert np.isnan(found.fraction[:2, :2, :2]).all()
    assert np.isnan(found.fraction[~mask]).all()
    assert np.isnan(found.fraction[9, 6, 4])
    assert np.isfinite(found.fraction[10, 7, 5])
    for values in (found.stdev, found.noise_stdev, found.voxels, *found.parts.values()):
        np.testing.assert_array_equal(np.isnan(values), np.isnan(found.fraction))


def test_what_does_not_go_together_is_refused():
    truth = block_of(WHITE, shape=(6, 6, 6))
    first, second = run_of(SHORT, truth), run_of(LONG, truth)
    with pytest.raises(
        ValueError, match=re.escape("found 3.14 and 3.14 /s: give runs of other durations, shapes or flip")
    ):
        pools_of(first, first)
    with pytest.raises(ValueError, match=re.escape("t2 of the second run must have the shape of the mask (6, 6, 6)")):
        pools_of(first, replace(second, t2=second.t2[:5]))
    with pytest.raises(ValueError, match="b1 must have the shape of the mask"):
        pools_of(first, second, b1=np.ones(3))
    with pytest.raises(ValueError, match="three edges and a width above 0 m"):
        pools_of(first, second, voxel_size=(2e-3, 0.0, 2e-3))
    with pytest.raises(ValueError, match="line, rate and r1m must be above 0"):
        Literature(line=0.0)
    with pytest.raises(ValueError, match="standard deviations of line, rate and r1m"):
        Literature(line=LINE, rate_stdev=-1.0)


def fitted(scan, pools, t1, *, seed, cycles=12, shape=(9, 9, 9), t2=0.062, m0=0.8):
    """Return what a fit of one pool finds of cycles of the simulator, as by hard pulses."""
    rng = np.random.default_rng(seed)
    protocol = protocol_of(scan, cycles)
    sequence = PulseSequence(
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
        increments=protocol.rf_phase_increment,
        pulse=RfPulse.named(f"{scan[0][0]}:{1e3 * scan[0][1]}"),
    )
    number = math.prod(shape)
    field = np.linspace(-80.0, 80.0, number)
    water = t1 if pools is None else pools.free_t1(np.array(t1))
    signal = simulate_cycles(water, t2, np.ones(number), field, m0, sequence=sequence, pools=pools)
    noise = NOISE * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    known = KnownMaps(b1=np.ones(number, dtype=np.float32))
    estimator = MaximumLikelihood()

    def times(some):
        found = estimator.estimate(some, protocol=protocol, known=known)
        return tuple(
            np.where(has_value(found.status), found.values[key], np.nan).astype(float)
            for key in ("T1", "T2", "off_resonance")
        )

    pulse = ExcitationPulse.of(*scan[0])
    hard = as_by_hard_pulses(
        (signal + noise).astype(np.complex64),
        fit=times,
        b1=np.ones(number),
        off_resonance=field,
        pulse=pulse,
        protocol=protocol,
    )
    found = estimator.estimate(hard.cycles, protocol=protocol, known=known)
    maps = {
        key: np.where(has_value(found.status), values, np.nan).astype(float).reshape(shape)
        for key, values in (*found.values.items(), ("stdev", found.stdev["T1"]))
    }
    return RunOfWater(
        t1=maps["T1"],
        t2=maps["T2"],
        m0=maps["M0"],
        off_resonance=maps["off_resonance"],
        t1_stdev=maps["stdev"],
        pulse=pulse,
        protocol=protocol,
    )


@pytest.mark.parametrize(("one", "other"), [(SHORT, LONG), (STRONG, WEAK)])
def test_fits_of_simulated_tissue_give_its_f(one, other):
    pools = TwoPools(fraction=0.12, exchange_rate=3.48, r1=R1M, line=LINE)
    found = pools_of(fitted(one, pools, 0.939, seed=1), fitted(other, pools, 0.939, seed=2))
    place = np.isfinite(found.fraction)
    assert place.mean() > 0.9
    # Noise of all 729 voxels and of their common receiver.
    common = np.hypot(np.median(found.parts["receiver"][place]), np.median(found.noise_stdev[place]) * 0.3)
    assert abs(np.mean(found.fraction[place]) - 0.12) < 2.5 * common + 0.02 * 0.12
    assert np.median(found.noise_stdev[place]) < 0.03 * 0.12 * 1.5


def test_fits_of_simulated_fluid_give_none():
    found = pools_of(fitted(SHORT, None, 4.0, seed=3, t2=2.0, m0=1.0), fitted(LONG, None, 4.0, seed=4, t2=2.0, m0=1.0))
    assert abs(np.nanmean(found.fraction)) < 0.002
