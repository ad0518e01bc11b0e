"""Voxels that hold fat are told from tissue with NOE, at weak and strong saturation."""

from __future__ import annotations

import numpy as np
import pytest
from five_pools import HERTZ_PER_PPM, fat_spectra, tissue_spectra

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol

NOISE, VOXELS = 0.01, 200
SIDE = (50.0, 20.0, *np.arange(10.0, 4.9, -1.0), *np.arange(4.5, 0.9, -0.25), 0.5, 0.25)
WIDE = np.array([*(-each for each in SIDE), 0.0, *reversed(SIDE)])
NARROW = np.round(np.arange(-4.5, 4.51, 0.25), 3)


def maps_of(offsets: np.ndarray, b1: float, fraction: np.ndarray, **options: str) -> ZSpectrumMaps:
    """Return the maps of tissue of which a share of every voxel is fat, shifts known to a hertz."""
    rng = np.random.default_rng(7)
    train = Saturation(pulse=Pulse.block(amplitude=b1, duration=2.0))
    shift = rng.uniform(-0.15, 0.15, VOXELS)
    z = (1.0 - fraction[:, None]) * tissue_spectra(offsets, train=train, shift=shift, rng=rng)
    z += fraction[:, None] * fat_spectra(offsets, train=train, shift=shift)
    signal = np.concatenate([np.ones((VOXELS, 1)), z], axis=1) + NOISE * rng.standard_normal((VOXELS, len(offsets) + 1))
    m0 = SaturatedImage(saturation=None, offset=None, recovery=5.0, is_m0=True)
    images = (SaturatedImage(saturation=train, offset=float(offset), recovery=3.0) for offset in offsets)
    return zspectrum_maps(
        signal,
        protocol=SaturationProtocol(field_strength=3.0, images=(m0, *images)),
        roles=("m0", *("cest",) * len(offsets)),
        water_shift=HERTZ_PER_PPM * shift + rng.standard_normal(VOXELS),
        water_shift_stdev=np.ones(VOXELS),
        noise=NOISE,
        options=ZSpectrumOptions(**options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("offsets", "b1"), [(WIDE, 0.6e-6), (NARROW, 2e-6)])
def test_fat_has_a_code_and_healthy_noe_has_none(offsets: np.ndarray, b1: float) -> None:
    fraction = np.zeros(VOXELS)
    fraction[:40] = np.repeat([0.1, 0.2, 0.4, 0.6], 10)
    found = maps_of(offsets, b1, fraction)
    fat = found.status == Status.MISFIT
    assert fat[10:40].all()
    assert fat[:10].mean() >= 0.8
    assert fat[40:].mean() <= 0.01
    assert np.isnan(found.maps["MTRasym_3.5"][0][fat]).all()
    if "amplitude_NOE" in found.maps:
        assert np.isnan(found.maps["amplitude_NOE"][0][fat]).all()
        assert np.isfinite(found.maps["amplitude_water"][0][fat]).mean() > 0.9
    assert np.isfinite(found.corrected[fat]).any(axis=1).all()
    assert any(f"In {100 * fat.mean():.1f} % of the voxels fat gives more than 5 %" in each for each in found.decisions)


def test_without_a_shift_of_water_fat_is_not_looked_for() -> None:
    found = maps_of(NARROW, 2e-6, np.full(VOXELS, 0.3), shift_of_water="ignored")
    assert not (found.status == Status.MISFIT).any()
    assert any("were not looked for" in each for each in found.decisions)
    assert "B0 was not corrected: standard deviations hold no shift of water." in found.decisions
    assert (found.water_shift == 0.0).all()
    assert found.water_shift_stdev is None
