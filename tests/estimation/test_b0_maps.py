import numpy as np
import pytest

from qmri_bids.estimation.b0_maps import wasabi_maps, wassr_maps
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.wassr import fit_wassr
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, Saturation, SaturationProtocol
from qmri_bids.physics.saturation_presets import aptw_3t_001, wasabi_3t_001, z_spectrum

NOISE = 10.0


def tissue(name):
    t1, t2, fraction = {"white": (0.94, 0.062, 0.112), "grey": (1.4, 0.085, 0.063), "fluid": (4.0, 1.5, 0.0)}[name]
    mt = MtPool(
        name="MT", fraction=fraction, rate=30.0, shift=-2.5, t2=1e-5, t1=1.0,
        form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN,
    )  # fmt: skip
    return PoolModel(water=Water(t1=t1, t2=t2), mt=mt if fraction else None)


def scan(protocol, name, rng, voxels=400):
    off_resonance, b1 = rng.uniform(-64.0, 64.0, voxels), rng.uniform(0.8, 1.2, voxels)
    z = signal_and_jacobian(tissue(name), protocol, VoxelParameters(b1=b1, off_resonance=off_resonance)).signal
    noise = rng.standard_normal(z.shape) + 1j * rng.standard_normal(z.shape)
    return np.abs(1000.0 * z + NOISE * noise).astype(np.float32), off_resonance, b1


@pytest.mark.parametrize("name", ["white", "grey", "fluid"])
def test_wasabi_of_relaxing_tissue(name):
    protocol = wasabi_3t_001()
    signal, off_resonance, b1 = scan(protocol, name, np.random.default_rng(0))
    found = wasabi_maps(signal, protocol=protocol, roles=("m0",) + ("cest",) * 31, noise=NOISE)
    values, stdev = found.maps["off_resonance"]
    assert np.nanmedian(np.abs(values - off_resonance)) < 1.0
    assert abs(np.nanmedian(values - off_resonance)) < 0.3
    # The model knows no relaxation during the pulse, by which B1 is up to 1 % low.
    assert np.nanmedian(np.abs(found.maps["b1"][0] / b1 - 1.0)) < 0.01
    assert (found.status == Status.CONVERGED).mean() > 0.98
    assert np.isfinite(stdev[found.status == Status.CONVERGED]).all()
    assert np.nanmedian(np.abs(found.fitted - found.spectra)) < 0.03
    assert found.offsets.tolist() == sorted(found.offsets)
    assert "a block of 5 ms and 3.7 µT" in found.decisions[0]


def test_wassr_of_a_weak_pulse():
    train = Saturation(pulse=Pulse.block(amplitude=0.15e-6, duration=0.3))
    protocol = z_spectrum(train, np.linspace(-1.0, 1.0, 21).tolist(), recovery=3.0)
    signal, off_resonance, _ = scan(protocol, "grey", np.random.default_rng(1))
    found = wassr_maps(signal, protocol=protocol, roles=("m0",) + ("wassr",) * 21, noise=NOISE)
    values, _ = found.maps["off_resonance"]
    assert abs(np.nanmedian(values - off_resonance)) < 0.5
    assert np.nanpercentile(np.abs(values - off_resonance), 95) < 1.5
    assert (found.status == Status.CONVERGED).mean() > 0.95
    assert set(found.maps) == {"off_resonance"}
    assert found.fitted is None


def test_noise_of_the_series_serves_where_none_is_given():
    protocol = wasabi_3t_001()
    signal, *_ = scan(protocol, "grey", np.random.default_rng(2), voxels=300)
    known = {"protocol": protocol, "roles": ("m0",) + ("cest",) * 31}
    given = wasabi_maps(signal, **known, noise=NOISE)
    told = wasabi_maps(signal, **known)
    ratio = np.nanmedian(told.maps["b1"][1] / given.maps["b1"][1])
    assert 0.7 < ratio < 3.0
    assert any("The noise was told from" in each for each in told.decisions)


def test_voxel_without_signal_has_no_value():
    protocol = wasabi_3t_001()
    signal, *_ = scan(protocol, "grey", np.random.default_rng(3), voxels=20)
    signal[3] = NOISE
    found = wasabi_maps(signal, protocol=protocol, roles=("m0",) + ("cest",) * 31, noise=NOISE)
    assert found.status[3] == Status.LOW_SIGNAL
    assert np.isnan(found.maps["off_resonance"][0][3])
    assert np.isnan(found.maps["b1"][1][3])
    assert found.decisions[-1] == "5.0 % of the voxels have no value."


def test_bad_series_are_refused():
    protocol = wasabi_3t_001()
    signal = np.ones((3, 32))
    with pytest.raises(ValueError, match=r"signal must have shape \(V, 32\)"):
        wasabi_maps(signal[:, 1:], protocol=protocol, roles=("m0",) + ("cest",) * 31)
    bare = SaturationProtocol(field_strength=3.0, images=protocol.images[1:])
    with pytest.raises(ValueError, match=r"WASABI needs an unsaturated volume \(M0\)"):
        wasabi_maps(signal[:, 1:], protocol=bare, roles=("cest",) * 31)
    train = aptw_3t_001()
    with pytest.raises(ValueError, match="WASABI needs one block of RF of constant amplitude, found 36 pulses of 200"):
        wasabi_maps(np.ones((3, 34)), protocol=train, roles=("m0",) + ("cest",) * 33)


def test_a_dip_between_offsets_that_leave_it_out_has_no_centre() -> None:
    """The spectrum is symmetric all the same: symmetry alone would give a number."""
    offsets = np.concatenate([np.linspace(-250.0, -100.0, 11), np.linspace(100.0, 250.0, 11)])
    z = 1.0 - 0.8 / (1.0 + ((offsets - np.array([[0.0], [10.0]])) / 60.0) ** 2)
    found = fit_wassr(z, offsets=offsets)
    assert (found.status == Status.OUT_OF_RANGE).all()
    assert np.isnan(found.values["off_resonance"]).all()
