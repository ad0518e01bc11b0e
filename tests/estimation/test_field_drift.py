"""A drift of the field during a Z-spectrum is told where the order of the offsets tells it, by spectra of five pools."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from five_pools import HERTZ_PER_PPM, tissue_spectra
from scipy.interpolate import CubicSpline

from qmri_bids.estimation.spectra.disturbances.drift import departure_from_order, find_drift, volume_times
from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, zspectrum_maps
from qmri_bids.estimation.spectra.series import series_layout
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol

OFFSETS = np.round(np.arange(-4.5, 4.51, 0.25), 3)
TRAIN = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0))
M0 = SaturatedImage(saturation=None, offset=None, recovery=3.0, is_m0=True)
NOISE = 0.01
ORDERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "interleaved": lambda rng: np.concatenate([OFFSETS[::2], OFFSETS[1::2]]),
    "twice": lambda rng: np.concatenate([OFFSETS, OFFSETS]),
    "random": lambda rng: rng.permutation(OFFSETS),
    "increasing": lambda rng: OFFSETS,
    "from outside": lambda rng: OFFSETS[np.argsort(-np.abs(OFFSETS), kind="stable")],
}
Truth = tuple[CubicSpline, np.ndarray]


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Return Z of sixty voxels as a function of the offset, and their shift of water [ppm]."""
    rng = np.random.default_rng(0)
    fine = np.round(np.arange(-6.0, 6.01, 0.06), 3)
    shift = rng.uniform(-0.15, 0.15, 60)
    return CubicSpline(fine, tissue_spectra(fine, train=TRAIN, shift=shift, rng=rng), axis=1), shift


def scan(truth: Truth, offsets: np.ndarray, drift: float, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """Return volumes of a series through which water drifts [Hz], and what describes them."""
    protocol = SaturationProtocol(
        field_strength=3.0,
        images=(M0, *(SaturatedImage(saturation=TRAIN, offset=float(each), recovery=3.0) for each in offsets)),
    )
    times = volume_times(protocol)
    times = times - times[1:].mean()
    z = truth[0](offsets - drift / HERTZ_PER_PPM * times[1:])
    signal = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    return signal + NOISE * rng.standard_normal(signal.shape), {
        "protocol": protocol,
        "roles": ("m0", *("cest",) * len(offsets)),
    }


def maps_of(signal: np.ndarray, scanned: dict, shift: np.ndarray) -> ZSpectrumMaps:
    known = {"water_shift": HERTZ_PER_PPM * shift, "water_shift_stdev": np.ones(len(shift))}
    return zspectrum_maps(signal, noise=NOISE, **known, **scanned)


@pytest.mark.parametrize("order", ["interleaved", "twice", "random"])
def test_a_drift_is_found_with_a_standard_deviation_that_holds(truth: Truth, order: str) -> None:
    scores, spreads = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        drift = (0.0, 10.0, -20.0)[seed % 3]
        signal, scanned = scan(truth, ORDERS[order](rng), drift, rng)
        layout = series_layout(scanned["protocol"], roles=scanned["roles"], role="cest")
        found = find_drift(signal, protocol=scanned["protocol"], layout=layout, noise=NOISE)
        scores.append((found.hertz - drift) / found.stdev)
        spreads.append(found.stdev)
        corrected = found.operator is not None
        assert corrected == (abs(found.hertz) > 3.0 * found.stdev and found.stdev < 0.04 * HERTZ_PER_PPM)
    assert np.sqrt(np.mean(np.square(scores))) < 1.6
    assert np.median(spreads) < 6.0


@pytest.mark.parametrize("order", ["increasing", "from outside"])
def test_an_order_that_tells_no_drift_says_so(truth: Truth, order: str) -> None:
    rng = np.random.default_rng(1)
    signal, scanned = scan(truth, ORDERS[order](rng), 20.0, rng)
    found = maps_of(signal, scanned, truth[1])
    assert np.isnan(found.drift).all()
    assert any(
        "cannot be told" in each and "One of 10 Hz would displace the first and the last offset by 0.04 ppm" in each
        for each in found.decisions
    )


def test_a_drift_is_taken_out_of_the_spectra(truth: Truth) -> None:
    """Interleaved offsets make teeth of a drift: what is left of them is noise."""
    rng = np.random.default_rng(2)
    drifting, scanned = scan(truth, ORDERS["interleaved"](rng), 20.0, rng)
    found = maps_of(drifting, scanned, truth[1])
    expected = np.stack([truth[0](OFFSETS + at)[voxel] for voxel, at in enumerate(truth[1])])
    steep = (np.abs(OFFSETS) > 0.2) & (np.abs(OFFSETS) < 2.0)
    left = np.nanmean(found.corrected - expected, axis=0)[steep]
    teeth = np.nanmean(truth[0](OFFSETS - 10.0 / HERTZ_PER_PPM) - truth[0](OFFSETS), axis=0)[steep]
    assert found.drift[0] == pytest.approx(20.0, abs=3.0 * found.drift[1])
    assert np.abs(left).max() < 0.3 * np.abs(teeth).max()
    assert any("The field drifted by +" in each for each in found.decisions)


def test_shift_of_wassr_volumes_is_taken_to_the_time_of_the_spectrum(truth: Truth) -> None:
    """Volumes around water at low power come first: by then the field has drifted by more than half."""
    rng = np.random.default_rng(3)
    signal, scanned = scan(truth, ORDERS["twice"](rng), 20.0, rng)
    weak = Saturation(pulse=Pulse.block(amplitude=0.2e-6, duration=0.5))
    around = np.linspace(-1.0, 1.0, 21)
    protocol = SaturationProtocol(
        field_strength=3.0,
        images=(
            *(SaturatedImage(saturation=weak, offset=float(each), recovery=3.0) for each in around),
            *scanned["protocol"].images,
        ),
    )
    roles = (*("wassr",) * 21, *scanned["roles"])
    times = volume_times(protocol)
    middle = times[22:].mean()
    # The same drift a second, over a longer series.
    whole = 20.0 * np.ptp(volume_times(scanned["protocol"])[1:]) / np.ptp(times[22:])
    centre = truth[1][:, None] + whole / HERTZ_PER_PPM * (times[:21] - middle)
    dips = 1.0 - 0.8 / (1.0 + ((around - centre) / 0.35) ** 2)
    both = np.concatenate([dips + 0.003 * rng.standard_normal(dips.shape), signal], axis=1)
    found = zspectrum_maps(both, protocol=protocol, roles=roles, noise=NOISE)
    assert found.drift[0] == pytest.approx(whole, abs=3.0 * found.drift[1])
    assert np.nanmedian(found.water_shift - HERTZ_PER_PPM * truth[1]) == pytest.approx(0.0, abs=1.5)


def test_orders_of_offsets() -> None:
    rng = np.random.default_rng(4)
    departures = {
        name: departure_from_order(order(rng), np.linspace(0.0, 1.0, len(order(rng)))) for name, order in ORDERS.items()
    }
    assert max(departures["increasing"], departures["from outside"]) < 0.02
    assert min(departures["interleaved"], departures["twice"], departures["random"]) > 0.1
