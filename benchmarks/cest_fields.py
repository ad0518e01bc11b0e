"""The field and fat in Z-spectra: a dip that was not sampled, drift of the field, voxels that hold fat, volumes of no power.

    python benchmarks/cest_fields.py [--only PART ...]

Every part prints its rows and saves them in `results/cest_fields.json`. Spectra are those of seven pools by the Bloch-McConnell
equations (`real_spectra_scene.py`); a drift moves where they are sampled, fat adds a line of its own. Constants were chosen on
seed 1; the rows are of seed 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import real_spectra_scene as scene
from rows import AtLeast, AtMost, Row, Within, run_parts
from scipy.interpolate import CubicSpline

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra import maps
from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, zspectrum_maps
from qmri_bids.estimation.spectra.water_shift import unsampled_dip, water_minimum
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import PoolModel, Water
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol
from qmri_bids.units import ppm_to_hertz

SEED = 2
NOISE = 0.01
VOXELS = 300
APT = np.round(np.arange(-4.5, 4.51, 0.25), 3)
FINE = np.unique(np.concatenate([np.round(np.arange(-6.0, 6.01, 0.05), 3), scene.OFFSETS[55]]))
"""Offsets from which spectra are interpolated at any other [ppm]."""

ORDERS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "random order": lambda offsets, rng: rng.permutation(offsets),
    "every second, then the others": lambda offsets, rng: np.concatenate([offsets[::2], offsets[1::2]]),
    "twice from - to +": lambda offsets, rng: np.concatenate([offsets, offsets]),
}
UNTOLD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "from - to +": lambda offsets: offsets,
    "from outside to water": lambda offsets: offsets[np.argsort(-np.abs(offsets), kind="stable")],
}


@dataclass(frozen=True)
class Tissue:
    """Z of V voxels at any offset, and their shift of water [ppm]."""

    z: CubicSpline
    shift: np.ndarray


def tissue(field: float) -> Tissue:
    drawn = scene.draw(VOXELS, field=field, offsets=FINE, seed=SEED)
    return Tissue(CubicSpline(FINE, drawn.z, axis=1), drawn.shift)


def series(z: np.ndarray, offsets: np.ndarray, *, field: float, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """Return noisy volumes, M0 first, and what describes them."""
    full = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    images = scene.protocol(offsets, field).images
    m0 = SaturatedImage(saturation=None, offset=None, recovery=images[0].recovery, is_m0=True)
    protocol = SaturationProtocol(field_strength=field, images=(m0, *images))
    return full + NOISE * rng.standard_normal(full.shape), {
        "protocol": protocol,
        "roles": ("m0", *("cest",) * len(offsets)),
        "noise": NOISE,
    }


def drifting(
    source: Tissue, order: np.ndarray, *, drift: float, field: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Return a series during which water drifts [Hz], evenly in time."""
    hertz = ppm_to_hertz(1.0, field_strength=field)
    times = np.arange(1, len(order) + 1) / (len(order) + 1)
    z = source.z(order - drift / hertz * (times - times.mean()))
    return series(z, order, field=field, rng=rng)


def uncorrected(*arguments: object, **named: object) -> object:
    """Stand in for the search of a drift, and correct nothing."""
    return replace(FIND(*arguments, **named), operator=None)  # type: ignore[arg-type]


FIND = maps.find_drift


def before_and_after(signal: np.ndarray, known: dict) -> tuple[ZSpectrumMaps, ZSpectrumMaps]:
    """Return the maps without and with correction of the drift; the shift of water is read from the dip."""
    after = zspectrum_maps(signal, **known)
    with mock.patch.object(maps, "find_drift", uncorrected):
        return zspectrum_maps(signal, **known), after


def drift() -> list[Row]:
    """Drifts of 0, 10 and 20 Hz at 3 T, of 0 and 40 Hz at 7 T, in five orders of the offsets."""
    rows = []
    for field, drifts in ((3.0, (0.0, 10.0, 20.0)), (7.0, (0.0, 40.0))):
        source = tissue(field)
        scores: list[float] = []
        for name, order_of in ORDERS.items():
            errors, claimed = [], 0
            for repeat in range(8):
                rng = np.random.default_rng([SEED, repeat])
                true = drifts[repeat % len(drifts)]
                signal, known = drifting(source, order_of(APT, rng), drift=true, field=field, rng=rng)
                layout = maps.series_layout(known["protocol"], roles=known["roles"], role="cest")
                found = FIND(signal, protocol=known["protocol"], layout=layout, noise=NOISE)
                if not math.isfinite(found.hertz):
                    continue
                errors.append(found.hertz - true)
                scores.append((found.hertz - true) / found.stdev)
                claimed += true == 0.0 and found.operator is not None
            rows.append(
                Row(
                    figure=f"drift at {field:g} T, {name}: error (root mean square)",
                    unit="Hz",
                    bar=5.0 if field == 3.0 else None,
                    value=float(np.sqrt(np.mean(np.square(errors)))) if errors else math.nan,
                    baseline=f"told in {len(errors)} of 8, found where there is none in {claimed}",
                )
            )
        rows.append(
            Row(
                figure=f"drift at {field:g} T: errors within two stated standard deviations",
                unit="%",
                bar=AtLeast(85.0),
                value=100.0 * float(np.mean(np.abs(scores) < 2.0)),
            )
        )
    for name, untold in UNTOLD.items():
        rng = np.random.default_rng(SEED)
        signal, known = drifting(tissue(3.0), untold(APT), drift=20.0, field=3.0, rng=rng)
        said = zspectrum_maps(signal, **known).decisions
        rows.append(
            Row(
                figure=f"drift in the order {name}: said that it cannot be told",
                unit="",
                bar=AtLeast(1.0),
                value=float(any("cannot be told" in sentence for sentence in said)),
            )
        )
    return rows


def contrasts() -> list[Row]:
    """Error of contrasts by a drift of 20 Hz at 3 T, before and after its correction."""
    source = tissue(3.0)
    rows = []
    for offsets, name in ((APT, "MTRasym_3.5"), (scene.OFFSETS[55], "amplitude_amide")):
        for order in ("every second, then the others", "random order"):
            rng = np.random.default_rng(SEED)
            sequence = ORDERS[order](offsets, rng)
            still, known = drifting(source, sequence, drift=0.0, field=3.0, rng=np.random.default_rng(SEED))
            moved, known = drifting(source, sequence, drift=20.0, field=3.0, rng=np.random.default_rng(SEED))
            reference = zspectrum_maps(still, **known).maps[name][0]
            first, second = (found.maps[name][0] - reference for found in before_and_after(moved, known))
            mean, spread = (
                [100.0 * float(abs(figure(error))) for error in (first, second)] for figure in (np.nanmean, np.nanstd)
            )
            rows.append(
                Row(
                    figure=f"{name}, {order}, 20 Hz at 3 T: mean change by the drift, corrected",
                    unit="%",
                    bar=None,
                    value=mean[1],
                    baseline=f"{mean[0]:.3f} not corrected; voxels scatter by {spread[1]:.2f}, not corrected {spread[0]:.2f}",
                )
            )
    return rows


def dip() -> list[Row]:
    """A spectrum without offsets near water, as a source of B0: read as before, and refused."""
    side = np.round(np.arange(1.5, 4.6, 0.25), 3)
    offsets = np.concatenate([-side[::-1], side])
    source = tissue(3.0)
    z = source.z(offsets) + NOISE * np.random.default_rng(SEED).standard_normal((VOXELS, len(offsets)))
    found = water_minimum(z, offsets=offsets, noise=NOISE)
    return [
        Row(
            figure="no offset within 1.5 ppm of water: refused as a source of B0",
            unit="",
            bar=AtLeast(1.0),
            value=float(bool(unsampled_dip(offsets))),
            baseline="170 Hz read and 98 % of voxels lost before there was a refusal",
        ),
        Row(
            figure="the same, were it read: voxels that get a B0",
            unit="%",
            bar=AtMost(1.0),
            value=100.0 * float(np.mean(found.status == Status.CONVERGED)),
        ),
    ]


def fat() -> list[Row]:
    """Fat of 0 to 60 % of the signal at 3 and 7 T, 41 to 95 offsets, signal to noise 100."""
    rows = []
    healthy, lost = [], []
    detected: dict[float, list[float]] = {0.05: [], 0.1: [], 0.2: [], 0.4: [], 0.6: []}
    for field in (3.0, 7.0):
        for offsets in scene.OFFSETS.values():
            rng = np.random.default_rng(SEED)
            drawn = scene.draw(VOXELS, field=field, offsets=offsets, seed=SEED)
            hertz = ppm_to_hertz(1.0, field_strength=field)
            line = signal_and_jacobian(
                PoolModel(water=Water(t1=0.37, t2=0.06), cest=(), mt=None),
                scene.protocol(offsets, field),
                VoxelParameters(
                    t1=rng.uniform(0.3, 0.42, VOXELS),
                    t2=rng.uniform(0.045, 0.08, VOXELS),
                    b1=rng.uniform(0.85, 1.15, VOXELS),
                    off_resonance=hertz * (drawn.shift - 3.4),
                    fractions={},
                    rates={},
                ),
            ).signal
            fraction = np.zeros(VOXELS)
            fraction[: 12 * len(detected)] = np.repeat(list(detected), 12)
            z = (1.0 - fraction[:, None]) * drawn.z + fraction[:, None] * line
            signal, known = series(z, offsets, field=field, rng=rng)
            found = zspectrum_maps(
                signal,
                water_shift=hertz * drawn.shift + rng.standard_normal(VOXELS),
                water_shift_stdev=np.ones(VOXELS),
                **known,
            )
            flagged = found.status == Status.MISFIT
            healthy.append(float(flagged[fraction == 0.0].mean()))
            noe = found.maps["amplitude_NOE"][0]
            lost.append(float(np.nanmax(np.abs(noe - drawn.amplitude["NOE"])[fraction > 0.0])))
            for share, shares in detected.items():
                shares.append(float(flagged[fraction == share].mean()))
    bars = {0.05: None, 0.1: AtLeast(90.0), 0.2: AtLeast(99.0), 0.4: AtLeast(99.0), 0.6: AtLeast(99.0)}
    for share, shares in detected.items():
        rows.append(
            Row(
                figure=f"fat of {100 * share:g} % of the signal: voxels recognised, 3 and 7 T",
                unit="%",
                bar=bars[share],
                value=100.0 * float(np.mean(shares)),
                baseline=f"{100.0 * min(shares):.0f} in the worst scan",
            )
        )
    rows.append(
        Row(
            figure="healthy tissue with NOE taken for fat, 3 and 7 T: worst scan",
            unit="%",
            bar=1.0,
            value=100.0 * max(healthy),
        )
    )
    rows.append(
        Row(
            figure="voxels with fat that keep a value: largest error of the NOE amplitude",
            unit="%",
            bar=None,
            value=100.0 * max(lost),
            baseline="up to 60 where nothing is recognised",
        )
    )
    return rows


def no_power() -> list[Row]:
    """Z of a series whose only reference is a volume of no power, over that with an M0."""
    source = tissue(3.0)
    signal, known = series(source.z(APT), APT, field=3.0, rng=np.random.default_rng(SEED))
    found = zspectrum_maps(signal, **known)
    middle = len(APT) // 2
    moved = np.concatenate([signal[:, 1 : middle + 1], signal[:, :1], signal[:, middle + 1 :]], axis=1)
    images = known["protocol"].images
    protocol = replace(known["protocol"], images=(*images[1 : middle + 1], images[0], *images[middle + 1 :]))
    roles = (*("cest",) * middle, "m0", *("cest",) * (len(APT) - middle))
    other = zspectrum_maps(moved, protocol=protocol, roles=roles, noise=NOISE)
    ratio = float(np.nanmedian(other.corrected / found.corrected))
    return [
        Row(
            figure="a volume of no power in the midst as reference: Z over that by M0",
            unit="",
            bar=Within(0.999, 1.001),
            value=ratio,
        )
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "dip": dip,
    "drift": drift,
    "contrasts": contrasts,
    "fat": fat,
    "no_power": no_power,
}


if __name__ == "__main__":
    run_parts("cest_fields", PARTS, description=__doc__.splitlines()[0])
