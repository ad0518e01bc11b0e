"""From the volumes of a series to maps: right, calibrated, and honest about what it leaves out."""

import numpy as np
import pytest

from qmri_bids.estimation.b0_maps import wasabi_maps, wassr_maps
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import multipool_3t_001, wasabi_3t_001, z_spectrum
from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal
from qmri_bids.physics.zspectrum import apparent_exchange_relaxation, lorentzian, lorentzian_spectrum
from qmri_bids.units import ppm_to_hertz

HERTZ = ppm_to_hertz(1.0, 3.0)
NAMES = ("water", "MT", "amide", "NOE", "amine")
AMPLITUDE = np.array([0.8, 0.12, 0.05, 0.06, 0.03])
WIDTH = np.array([1.4, 40.0, 2.0, 3.5, 1.5])
POSITION = np.array([0.0, -2.5, 3.5, -3.5, 2.0])
NOISE = 10.0
"""Of one volume, whose full signal is 1000."""


def roles(protocol, role="cest"):
    return tuple("m0" if image.is_m0 else role for image in protocol.images)


@pytest.fixture(scope="module")
def five_pools():
    """Maps of voxels with the same pools, noise in every volume, the unsaturated one included, and in T1."""
    protocol = multipool_3t_001()
    rng = np.random.default_rng(1)
    voxels = 6000
    shift = rng.uniform(-0.3, 0.3, voxels)
    offsets = np.array([image.offset for image in protocol.images if not image.is_m0])
    z = lorentzian_spectrum(offsets - shift[:, None], amplitude=AMPLITUDE, width=WIDTH, position=POSITION)
    signal = 1000.0 * np.concatenate([np.ones((voxels, 1)), z], axis=1)
    signal += NOISE * rng.normal(size=signal.shape)
    t1 = 1.0 + 0.03 * rng.normal(size=voxels)
    return zspectrum_maps(
        signal,
        protocol=protocol,
        roles=roles(protocol),
        water_shift=shift * HERTZ,
        t1=t1,
        t1_stdev=np.full(voxels, 0.03),
        noise=NOISE,
        options=ZSpectrumOptions(asymmetry=(3.5, 2.0)),
    )


def truth(name):
    family, _, of = name.partition("_")
    if family == "amplitude":
        return AMPLITUDE[NAMES.index(of)]
    if family == "MTRasym":
        at = float(of)
        left, right = lorentzian_spectrum(np.array([-at, at]), amplitude=AMPLITUDE, width=WIDTH, position=POSITION)
        return left - right
    pool = NAMES.index(of)
    centre = POSITION[pool : pool + 1]
    lines = sum(
        lorentzian(centre, amplitude=a, width=w, position=x) for a, w, x in zip(AMPLITUDE, WIDTH, POSITION, strict=True)
    )
    label = 1.0 - lines
    duty_cycle = 20.48 / 40.48
    return apparent_exchange_relaxation(label, label + AMPLITUDE[pool], np.ones(1), duty_cycle=duty_cycle)[0]


@pytest.mark.parametrize(
    "name",
    [
        "amplitude_water",
        "amplitude_MT",
        "amplitude_amide",
        "amplitude_NOE",
        "arex_amide",
        "arex_NOE",
        "MTRasym_3.5",
        "MTRasym_2",
    ],
)
def test_maps_are_right_and_their_uncertainty_is_calibrated(five_pools, name):
    """The unsaturated volume is noisy too: without its share the amplitude of MT would be covered half as often."""
    values, stdev = five_pools.maps[name]
    good = np.isfinite(values) & np.isfinite(stdev)
    assert good.mean() > 0.95
    error = values[good] - truth(name)
    assert abs(np.median(error)) < 0.4 * np.median(stdev[good])
    assert 0.62 < np.mean(np.abs(error) <= stdev[good]) < 0.82


def test_the_corrected_spectrum_is_that_of_unshifted_water(five_pools):
    near = np.abs(five_pools.offsets) <= 6.0
    expected = lorentzian_spectrum(five_pools.offsets[near], amplitude=AMPLITUDE, width=WIDTH, position=POSITION)
    found = np.nanmean(five_pools.corrected[:, near], axis=0)
    assert np.abs(found - expected).max() < 0.01


def test_narrow_offsets_make_no_fit_and_say_why():
    protocol = z_spectrum(
        Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0)), np.linspace(-4, 4, 33).tolist(), recovery=3.0
    )
    offsets = np.linspace(-4, 4, 33)
    z = lorentzian_spectrum(offsets, amplitude=AMPLITUDE[:3], width=WIDTH[:3], position=POSITION[:3])
    signal = np.concatenate([[1000.0], 1000.0 * z])[None].repeat(200, axis=0)
    found = zspectrum_maps(
        signal, protocol=protocol, roles=roles(protocol), noise=1.0, options=ZSpectrumOptions(asymmetry=(3.5, 10.0))
    )
    assert not [name for name in found.maps if name.startswith("amplitude")]
    assert any("not fitted" in sentence and "--lorentzian-pools" in sentence for sentence in found.decisions)
    assert any("10 ppm" in sentence for sentence in found.warnings)
    assert abs(np.median(found.water_shift)) < 3.0


def test_a_voxel_without_b0_has_no_spectrum_and_a_status():
    protocol = multipool_3t_001()
    offsets = np.array([image.offset for image in protocol.images if not image.is_m0])
    z = lorentzian_spectrum(offsets, amplitude=AMPLITUDE, width=WIDTH, position=POSITION)
    signal = np.concatenate([[1000.0], 1000.0 * z])[None].repeat(20, axis=0)
    shift = np.zeros(20)
    shift[3] = np.nan
    found = zspectrum_maps(signal, protocol=protocol, roles=roles(protocol), water_shift=shift, noise=1.0)
    assert found.status[3] != Status.CONVERGED
    assert np.isnan(found.corrected[3]).all()
    assert all(np.isnan(values[3]) for values, _ in found.maps.values())
    assert (found.status[4:] == Status.CONVERGED).all()


def test_wasabi_finds_b0_and_b1_of_its_own_equation():
    protocol = wasabi_3t_001()
    rng = np.random.default_rng(2)
    shift, b1 = rng.uniform(-80, 80, 2000), rng.uniform(0.7, 1.3, 2000)
    offsets = tuple(HERTZ * image.offset for image in protocol.images if not image.is_m0)
    z = wasabi_signal(shift, b1, c=0.85, d=1.5, protocol=WasabiProtocol(offsets=offsets))
    signal = np.concatenate([np.full((2000, 1), 1000.0), 1000.0 * z], axis=1) + 5.0 * rng.normal(size=(2000, 32))
    found = wasabi_maps(signal, protocol=protocol, roles=roles(protocol), noise=5.0)
    for name, true in (("off_resonance", shift), ("b1", b1)):
        values, stdev = found.maps[name]
        assert np.isfinite(values).mean() > 0.99
        pull = (values - true) / stdev
        assert 0.6 < np.nanmean(np.abs(pull) <= 1.0) < 0.76
    assert found.fitted is not None
    assert np.nanmax(np.abs(found.fitted - z)) < 0.05


@pytest.mark.parametrize("with_m0", [True, False])
def test_wassr_works_with_and_without_an_unsaturated_volume(with_m0):
    offsets = np.linspace(-1.5, 1.5, 25)
    protocol = z_spectrum(Saturation(pulse=Pulse.block(amplitude=2e-7, duration=0.5)), offsets.tolist(), recovery=1.0)
    images = protocol.images if with_m0 else protocol.images[1:]
    rng = np.random.default_rng(3)
    shift = rng.uniform(-0.4, 0.4, 500)
    z = 1.0 - 0.8 / (1.0 + ((offsets - shift[:, None]) / 0.3) ** 2)
    signal = 1000.0 * np.concatenate([np.ones((500, 1)), z], axis=1)[:, 0 if with_m0 else 1 :]
    signal = signal + 5.0 * rng.normal(size=signal.shape)
    chosen = type(protocol)(field_strength=3.0, images=images)
    found = wassr_maps(signal, protocol=chosen, roles=roles(chosen, "wassr"))
    error = found.maps["off_resonance"][0] - HERTZ * shift
    assert np.nanmedian(np.abs(error)) < 0.5
    assert np.isfinite(error).mean() > 0.98


def test_wasabi_without_an_unsaturated_volume_is_refused():
    protocol = wasabi_3t_001()
    chosen = type(protocol)(field_strength=3.0, images=protocol.images[1:])
    with pytest.raises(ValueError, match="WASABI needs an unsaturated volume"):
        wasabi_maps(np.ones((5, 31)), protocol=chosen, roles=("cest",) * 31)
