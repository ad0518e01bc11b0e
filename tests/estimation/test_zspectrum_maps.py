import math

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps
from qmri_bids.estimation.spectra.series import series_layout, series_noise, spectra
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.physics.zspectrum import apparent_exchange_relaxation, lorentzian_spectrum

HERTZ_PER_PPM = 127.7292
NARROW = np.linspace(-4.5, 4.5, 37)
SIDE = (100.0, 50.0, 30.0, 20.0, *np.arange(10.0, 0.9, -0.5), 0.6, 0.4, 0.2)
WIDE = np.array([*(-each for each in SIDE), 0.0, *reversed(SIDE)])
POOLS = ("water", "MT", "amide", "NOE", "amine")
LINES = {
    "amplitude": np.array([0.85, 0.12, 0.06, 0.08, 0.02]),
    "width": np.array([1.6, 45.0, 2.0, 3.5, 1.2]),
    "position": np.array([0.0, -2.5, 3.5, -3.5, 2.0]),
}
BLOCK_2UT = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0))
TRAIN = Saturation(pulse=Pulse.block(amplitude=0.8e-6, duration=0.05), number=20, gap=0.05)
NOISE = 10.0


def protocol_of(offsets, saturation=TRAIN, m0_every=None):
    """An M0, the offsets, and more M0 in between; with the roles."""
    m0 = SaturatedImage(saturation=None, offset=None, recovery=5.0, is_m0=True)
    images, roles = [m0], ["m0"]
    for index, offset in enumerate(offsets):
        images.append(SaturatedImage(saturation=saturation, offset=float(offset), recovery=3.0))
        roles.append("cest")
        if m0_every and (index + 1) % m0_every == 0:
            images.append(m0)
            roles.append("m0")
    return SaturationProtocol(field_strength=3.0, images=tuple(images)), tuple(roles)


def lines(offsets, shift, amplitude=None):
    """Z of Lorentzian lines whose water is shifted [ppm], shape (V, N)."""
    pools = dict(LINES) if amplitude is None else LINES | {"amplitude": amplitude}
    return lorentzian_spectrum(np.asarray(offsets) - np.asarray(shift)[:, None], **pools)


def signals(z, roles, rng, noise=NOISE, drift=0.0):
    """Volumes of M0 1000 in the order of the roles, drifting by a share over the series."""
    full = np.ones((len(z), len(roles)))
    full[:, [role != "m0" for role in roles]] = z
    full *= 1000.0 * (1.0 + drift * np.linspace(0.0, 1.0, len(roles)))
    return (full + noise * rng.standard_normal(full.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def wide():
    """Five hundred voxels of known lines, shifts known with a standard deviation of 1 Hz, T1 to 2 %."""
    rng = np.random.default_rng(0)
    protocol, roles = protocol_of(WIDE)
    shift = rng.uniform(-0.4, 0.4, 500)
    signal = signals(lines(WIDE, shift), roles, rng)
    t1 = np.full(500, 1.2)
    found = zspectrum_maps(
        signal,
        protocol=protocol,
        roles=roles,
        water_shift=HERTZ_PER_PPM * shift + rng.standard_normal(500),
        water_shift_stdev=np.ones(500),
        t1=t1 * (1.0 + 0.02 * rng.standard_normal(500)),
        t1_stdev=0.02 * t1,
        noise=NOISE,
    )
    return found, signal, protocol, roles, shift


def test_spectra_at_true_offsets_and_asymmetry_come_back(wide):
    found, *_ = wide
    truth = lines(WIDE, np.zeros(1))[0]
    np.testing.assert_array_equal(found.offsets, WIDE)
    assert found.corrected.dtype == np.float32
    assert np.abs(np.nanmean(found.corrected, axis=0) - truth)[np.abs(WIDE) < 20.0].max() < 0.005
    values, stdev = found.maps["MTRasym_3.5"]
    at = lines(np.array([-3.5, 3.5]), np.zeros(1))[0]
    score = (values - (at[0] - at[1])) / stdev
    assert abs(score.mean()) < 0.25
    assert 0.85 < score.std() < 1.15


def test_stated_uncertainty_of_amplitudes_and_rates_holds(wide):
    found, *_ = wide
    assert found.pools == POOLS
    for pool, amplitude in zip(POOLS[:4], LINES["amplitude"], strict=False):
        values, stdev = found.maps[f"amplitude_{pool}"]
        score = (values - amplitude) / stdev
        assert abs(np.nanmedian(score)) < 0.35, pool
        assert 0.7 < np.nanstd(score[np.abs(score) < 5.0]) < 1.3, pool
    # Pulses of 50 ms every 100 ms: half of the time without RF, by which the rate is the larger.
    label = lines(np.array([3.5]), np.zeros(1))[0, 0]
    truth = apparent_exchange_relaxation(label, label + 0.06, 1.2, duty_cycle=0.5)
    values, stdev = found.maps["arex_amide"]
    assert abs(np.nanmedian(values) / truth - 1.0) < 0.06
    assert 0.7 < np.nanstd((values - truth) / stdev) < 1.3


def test_noise_of_a_single_unsaturated_volume_is_in_the_amplitude_of_mt(wide):
    found, *_ = wide
    values, stdev = found.maps["amplitude_MT"]
    # Without it the standard deviation would be about half of this.
    assert abs(np.nanstd(values) / np.nanmedian(stdev) - 1.0) < 0.15


def test_fit_and_its_lines_describe_the_spectrum(wide):
    found, *_ = wide
    assert np.nanmedian(np.abs(found.fitted - lines(WIDE, np.zeros(1)))) < 0.008
    assert np.nanmedian(found.residual) == pytest.approx(
        0.01 / np.sqrt(np.mean(lines(WIDE, np.zeros(1)) ** 2)), rel=0.2
    )


def test_result_does_not_depend_on_threads_or_blocks(wide, monkeypatch):
    _, signal, protocol, roles, shift = wide
    known = {"protocol": protocol, "roles": roles, "water_shift": HERTZ_PER_PPM * shift, "noise": NOISE}
    first = zspectrum_maps(signal, **known)
    monkeypatch.setattr("qmri_bids.estimation.spectra.maps.BLOCK", 64)
    second = zspectrum_maps(signal, **known, threads=2)
    np.testing.assert_allclose(second.corrected, first.corrected, atol=1e-6)
    np.testing.assert_allclose(second.maps["amplitude_amide"][0], first.maps["amplitude_amide"][0], atol=1e-6)
    np.testing.assert_array_equal(second.status, first.status)


def test_shift_is_found_in_the_spectrum_itself(wide):
    _, signal, protocol, roles, shift = wide
    found = zspectrum_maps(signal, protocol=protocol, roles=roles, noise=NOISE)
    score = (found.water_shift - HERTZ_PER_PPM * shift) / found.water_shift_stdev
    assert abs(np.nanmedian(found.water_shift - HERTZ_PER_PPM * shift)) < 1.0
    assert 0.8 < np.nanstd(score) < 1.3
    assert "B0 was taken from the spectrum itself: the centre of the dip of water." in found.decisions
    assert found.warnings == ()


def test_shift_comes_from_wassr_volumes_of_the_series(wide):
    _, signal, protocol, roles, shift = wide
    rng = np.random.default_rng(1)
    weak = np.linspace(-1.2, 1.2, 25)
    near = 1.0 - 0.7 / (1.0 + ((weak - shift[:, None]) / 0.25) ** 2)
    train = Saturation(pulse=Pulse.block(amplitude=1e-7, duration=0.2))
    both = SaturationProtocol(
        field_strength=3.0,
        images=(*protocol.images, *(SaturatedImage(saturation=train, offset=float(each)) for each in weak)),
    )
    more = np.concatenate([signal, 1000.0 * near + NOISE * rng.standard_normal(near.shape)], axis=1)
    found = zspectrum_maps(more, protocol=both, roles=(*roles, *("wassr",) * 25), noise=NOISE)
    assert np.nanstd(found.water_shift - HERTZ_PER_PPM * shift) < 1.0
    assert any("WASSR" in each for each in found.decisions)
    assert found.offsets.shape == WIDE.shape


def test_repetitions_are_averaged_and_drift_is_taken_out():
    rng = np.random.default_rng(2)
    offsets = rng.permutation(np.repeat(NARROW, 2))
    protocol, roles = protocol_of(offsets, m0_every=10)
    shift = np.zeros(300)
    signal = signals(lines(offsets, shift), roles, rng, drift=0.1)
    found = zspectrum_maps(signal, protocol=protocol, roles=roles, water_shift=shift)
    np.testing.assert_allclose(found.offsets, NARROW)
    np.testing.assert_allclose(np.nanmean(found.corrected, axis=0), lines(NARROW, np.zeros(1))[0], atol=0.004)
    values, stdev = found.maps["MTRasym_3.5"]
    assert np.std(values) == pytest.approx(np.median(stdev), rel=0.2)
    assert any("repeated 2 times or more and averaged" in each for each in found.decisions)
    assert any("told from the 8 unsaturated volumes" in each for each in found.decisions)


def test_noise_is_told_from_the_spectrum():
    rng = np.random.default_rng(3)
    protocol, roles = protocol_of(NARROW)
    signal = signals(lines(NARROW, np.zeros(2000)), roles, rng)
    found, sentence = series_noise(signal, layout=series_layout(protocol, roles=roles, role="cest"))
    assert found == pytest.approx(NOISE, rel=0.12)
    assert "a cubic through the two neighbours" in sentence


def test_narrow_spectrum_has_no_fit_and_says_which_option_asks_for_it():
    rng = np.random.default_rng(4)
    protocol, roles = protocol_of(NARROW)
    signal = signals(lines(NARROW, np.zeros(60)), roles, rng)
    known = {"protocol": protocol, "roles": roles, "water_shift": np.zeros(60), "noise": NOISE, "t1": np.ones(60)}
    found = zspectrum_maps(signal, **known, options=ZSpectrumOptions(asymmetry=(3.5, 5.0)))
    assert found.fitted is None
    assert found.parameters is None
    assert found.pools == ()
    assert set(found.maps) == {"MTRasym_3.5"}
    assert any("offsets from -4.5 to 4.5 ppm do not tell the broad line of MT" in each for each in found.decisions)
    assert any("option --lorentzian-pools" in each for each in found.decisions)
    assert found.warnings == ("There is no MTR asymmetry at 5 ppm: the spectrum was measured from -4.5 to 4.5 ppm.",)
    asked = zspectrum_maps(signal, **known, options=ZSpectrumOptions(pools=("water", "amide")))
    assert set(asked.maps) == {"MTRasym_3.5", "amplitude_water", "amplitude_amide", "arex_amide"}
    none = zspectrum_maps(signal, **known, options=ZSpectrumOptions(pools=()))
    assert none.fitted is None
    assert "No Lorentzian lines were fitted, as asked for." in none.decisions


def test_absent_line_has_the_amplitude_zero_and_no_uncertainty():
    rng = np.random.default_rng(5)
    protocol, roles = protocol_of(WIDE)
    amplitude = LINES["amplitude"] * (1.0, 1.0, 0.0, 1.0, 0.0)
    signal = signals(lines(WIDE, np.zeros(300), amplitude), roles, rng)
    found = zspectrum_maps(
        signal, protocol=protocol, roles=roles, water_shift=np.zeros(300), noise=NOISE, t1=np.full(300, 1.2)
    )
    values, stdev = found.maps["amplitude_amide"]
    absent = values == 0.0
    assert absent.mean() > 0.3
    assert np.isnan(stdev[absent]).all()
    assert (found.maps["arex_amide"][0][absent] == 0.0).all()
    assert any(each.startswith("No such line was found") and "amplitude_amide" in each for each in found.decisions)


def test_voxels_without_signal_shift_or_t1_fail_on_their_own():
    rng = np.random.default_rng(6)
    protocol, roles = protocol_of(WIDE)
    signal = signals(lines(WIDE, np.zeros(80)), roles, rng)
    signal[0] = NOISE * np.abs(rng.standard_normal(signal.shape[1]))
    signal[1, 5] = np.nan
    shift = np.zeros(80)
    shift[2] = np.nan
    t1 = np.full(80, 1.2)
    t1[3] = np.nan
    found = zspectrum_maps(signal, protocol=protocol, roles=roles, water_shift=shift, t1=t1, noise=NOISE)
    assert found.status[:5].tolist() == [
        Status.LOW_SIGNAL, Status.INVALID_INPUT, Status.INVALID_INPUT, Status.CONVERGED, Status.CONVERGED,
    ]  # fmt: skip
    assert np.isnan(found.corrected[:3]).all()
    assert np.isfinite(found.corrected[3:]).all()
    for name, (values, _) in found.maps.items():
        assert np.isnan(values[:3]).all(), name
    assert np.isfinite(found.maps["amplitude_water"][0][3])
    assert np.isnan(found.maps["arex_MT"][0][3])
    assert np.isnan(found.water_shift[2])
    assert any(each == "3.8 % of the voxels have no corrected spectrum." for each in found.decisions)


def test_offsets_beyond_those_measured_are_not_extrapolated():
    rng = np.random.default_rng(7)
    protocol, roles = protocol_of(NARROW)
    shift = np.array([0.0, 0.6, 1.2])
    signal = signals(lines(NARROW, shift), roles, rng, noise=0.0)
    found = zspectrum_maps(signal, protocol=protocol, roles=roles, water_shift=HERTZ_PER_PPM * shift, noise=NOISE)
    assert np.isnan(found.corrected).sum(axis=1).tolist() == [0, 3, 5]
    assert np.isfinite(found.maps["MTRasym_3.5"][0]).tolist() == [True, True, False]
    assert (found.status == Status.CONVERGED).all()


@pytest.mark.parametrize("tissue", ["white", "grey"])
def test_maps_of_bloch_mcconnell_spectra(tissue):
    """B0 to ±0.5 ppm, B1 to ±20 %, noise of 1 %: asymmetry is that of the same voxel on resonance."""
    t1, t2, fraction, rate = {"white": (0.94, 0.062, 0.112, 29.0), "grey": (1.4, 0.085, 0.063, 40.0)}[tissue]
    model = PoolModel(
        water=Water(t1=t1, t2=t2),
        cest=(
            CestPool(name="amide", fraction=2e-3, rate=162.0, shift=3.5, t2=0.04),
            CestPool(name="amine", fraction=9e-4, rate=1000.0, shift=2.0, t2=0.04),
            CestPool(name="NOE", fraction=8e-3, rate=20.0, shift=-3.5, t2=5e-3, t1=1.3),
        ),
        mt=MtPool(
            name="MT", fraction=fraction, rate=rate, shift=-2.5, t2=1e-5, t1=1.0,
            form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN,
        ),
    )  # fmt: skip
    rng = np.random.default_rng(8)
    protocol, roles = protocol_of(NARROW, saturation=BLOCK_2UT)
    pair, _ = protocol_of((-3.5, 3.5), saturation=BLOCK_2UT)
    b1, shift = rng.uniform(0.8, 1.2, 400), rng.uniform(-0.5, 0.5, 400)
    z = signal_and_jacobian(model, protocol, VoxelParameters(b1=b1, off_resonance=HERTZ_PER_PPM * shift)).signal
    at = signal_and_jacobian(model, pair, VoxelParameters(b1=b1)).signal[:, 1:]
    signal = signals(z[:, 1:], roles, rng)
    for known, bias in ((HERTZ_PER_PPM * shift, 0.002), (None, 0.005)):
        found = zspectrum_maps(signal, protocol=protocol, roles=roles, water_shift=known, noise=NOISE)
        error = found.maps["MTRasym_3.5"][0] - (at[:, 0] - at[:, 1])
        assert abs(np.nanmedian(error)) < bias
        assert np.nanstd(error) < 1.25 * np.nanmedian(found.maps["MTRasym_3.5"][1])
        assert np.isfinite(error).mean() > 0.97
    assert "a B1 of 2 µT has broadened" in found.warnings[0]


def test_spectra_share_the_noise_of_their_unsaturated_volume():
    protocol, roles = protocol_of(NARROW)
    signal = signals(lines(NARROW, np.zeros(3)), roles, np.random.default_rng(0), noise=0.0)
    found = spectra(signal, layout=series_layout(protocol, roles=roles, role="cest"), noise=20.0)
    np.testing.assert_allclose(found.stdev, 0.02, rtol=1e-6)
    np.testing.assert_allclose(found.scale_stdev, 0.02, rtol=1e-6)


def test_bad_input_is_refused():
    protocol, roles = protocol_of(NARROW)
    signal = np.ones((4, len(roles)))
    known = {"protocol": protocol, "roles": roles}
    with pytest.raises(ValueError, match=r"signal must have shape \(V, 38\)"):
        zspectrum_maps(signal[:, 1:], **known)
    with pytest.raises(ValueError, match=r"t1 must have shape \(4,\)"):
        zspectrum_maps(signal, **known, t1=np.ones(3))
    with pytest.raises(ValueError, match="needs an unsaturated volume"):
        zspectrum_maps(
            signal[:, 1:],
            protocol=SaturationProtocol(field_strength=3.0, images=protocol.images[1:]),
            roles=roles[1:],
        )
    with pytest.raises(ValueError, match="no volume has the role 'cest', found"):
        zspectrum_maps(signal, protocol=protocol, roles=("m0",) + ("wassr",) * 37)
    with pytest.raises(ValueError, match="roles must be as many as images, expected 38, found 37"):
        zspectrum_maps(signal, protocol=protocol, roles=roles[1:])
    mixed = SaturationProtocol(
        field_strength=3.0, images=(*protocol.images[:-1], SaturatedImage(saturation=BLOCK_2UT, offset=4.5))
    )
    with pytest.raises(ValueError, match=r"measured at one power, found B1 of 0\.566 to 2 µT"):
        zspectrum_maps(signal, protocol=mixed, roles=roles)
    few, roles_of_few = protocol_of(np.linspace(-12.0, 12.0, 10))
    with pytest.raises(ValueError, match="10 offsets cannot tell the 15 parameters"):
        zspectrum_maps(np.ones((2, 11)), protocol=few, roles=roles_of_few, options=ZSpectrumOptions(pools=POOLS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"asymmetry": (3.5, -1.0)}, "asymmetry needs positive offsets"),
        ({"asymmetry": (math.nan,)}, "asymmetry needs positive offsets"),
        ({"pools": ("water", "myelin")}, "pools must be among water, MT, amide, NOE, amine, found myelin"),
        ({"pools": ("amide",)}, "pools must hold water, each once"),
    ],
)
def test_options_without_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ZSpectrumOptions(**options)
