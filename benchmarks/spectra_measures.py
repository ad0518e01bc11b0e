"""Measures beside the fit of pools on spectra of seven pools: bias and coverage against their definitions.

    python benchmarks/spectra_measures.py [--only PART ...]

Rows are printed and saved in `results/spectra_measures.json`. Spectra are those of `real_spectra_scene.py` (seed 2) at 3 and 7 T
with 41, 55 and 95 offsets, an M0 before every dozen of them and at the end, signal to noise 50, 100 and 200, and a map of B0 with a
standard deviation of 0.02 ppm. Definitions are computed anew from Bloch-McConnell equations without noise and without a shift of
water: Z at the offsets themselves, and for differences to a background a fit of water and MT by scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from real_spectra_scene import OFFSETS, RANGES, draw
from rows import Row, Within, run_parts
from scipy.optimize import least_squares

from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.units import ppm_to_hertz

SEED = 2
VOXELS = 1500
FEW = 400
"""Voxels whose background is fitted anew."""
SIGNAL_TO_NOISE = (50, 100, 200)
B0_STDEV = 0.02
EVERY = 12
RANGE = np.linspace(3.0, 4.0, 21)
PLACES = np.unique(np.round([*RANGE, *-RANGE, 3.5, -3.5, -2.0, -5.0], 6))
OPTIONS = ZSpectrumOptions(ranges=((3.0, 4.0),), measures=("three-offset", "lda", "rex"), pools=())
LINEAR = ("MTRasym_3.5", "MTRasym_3to4", "threeoffset_APT", "threeoffset_NOE")
OF_BACKGROUND = ("lda_APT", "lda_NOE", "ldarex_APT", "ldarex_NOE")


@dataclass(frozen=True)
class Case:
    """One scan: maps of noisy spectra, spectra without noise or shift at its offsets (V, N), and at `PLACES` (V, P)."""

    found: ZSpectrumMaps
    offsets: np.ndarray
    field: float
    z: np.ndarray
    at_places: np.ndarray
    broad: bool
    label: str


def cases() -> Iterator[Case]:
    for field in RANGES:
        for offsets in OFFSETS.values():
            number = len(offsets)
            noisy = draw(VOXELS, field=field, offsets=offsets, seed=SEED)
            # The same voxels: what is drawn does not depend on the offsets.
            true = draw(VOXELS, field=field, offsets=np.concatenate([offsets, PLACES]), seed=SEED, shifted=False)
            for ratio in SIGNAL_TO_NOISE:
                found = _maps(noisy.z, noisy.shift, offsets=offsets, field=field, ratio=ratio)
                broad = any("super-Lorentzian one of MT" in each for each in found.decisions)
                z, at_places = true.z[:, :number], true.z[:, number:]
                yield Case(found, offsets, field, z, at_places, broad, f"{field:g} T, {number} offsets, {ratio}")


@lru_cache(maxsize=1)
def all_cases() -> tuple[Case, ...]:
    """Return all scans: both parts have the same."""
    return tuple(cases())


def _maps(z: np.ndarray, shift: np.ndarray, *, offsets: np.ndarray, field: float, ratio: float) -> ZSpectrumMaps:
    columns: list[int] = []
    for place in range(len(offsets)):
        columns += [-1] * (place % EVERY == 0) + [place]
    columns.append(-1)
    train = Saturation(pulse=Pulse.block(amplitude=0.6e-6, duration=2.5))
    images = tuple(
        SaturatedImage(
            saturation=None if column < 0 else train,
            offset=None if column < 0 else float(offsets[column]),
            recovery=5.0,
        )
        for column in columns
    )
    rng = np.random.default_rng(SEED + 100)
    whole = np.concatenate([z, np.ones((len(z), 1))], axis=1)[:, columns]
    hertz = ppm_to_hertz(1.0, field_strength=field)
    return zspectrum_maps(
        whole + rng.normal(size=whole.shape) / ratio,
        protocol=SaturationProtocol(field_strength=field, images=images),
        roles=tuple("m0" if column < 0 else "cest" for column in columns),
        water_shift=hertz * (shift + B0_STDEV * rng.normal(size=len(z))),
        water_shift_stdev=np.full(len(z), hertz * B0_STDEV),
        noise=1.0 / ratio,
        options=OPTIONS,
    )


def _truth(case: Case, name: str) -> np.ndarray:
    """Return what a measure is by its definition: NaN in voxels whose background is not fitted anew."""

    def z(at: float) -> np.ndarray:
        return case.at_places[:, int(np.argmin(np.abs(PLACES - at)))]

    if name == "MTRasym_3.5":
        return z(-3.5) - z(3.5)
    if name == "MTRasym_3to4":
        weights = np.ones(len(RANGE))
        weights[[0, -1]] = 0.5
        return np.average([z(-at) - z(at) for at in RANGE], axis=0, weights=weights)
    if name == "threeoffset_APT":
        return 0.5 * (z(3.0) + z(4.0)) - z(3.5)
    if name == "threeoffset_NOE":
        return 0.5 * (z(-2.0) + z(-5.0)) - z(-3.5)
    at = 3.5 if name.endswith("APT") else -3.5
    reference = np.full(VOXELS, np.nan)
    reference[:FEW] = [_background(case, values, at) for values in _backgrounds(case)]
    return reference - z(at) if name.startswith("lda_") else 1.0 / z(at) - 1.0 / reference


FITTED: dict[tuple[float, int, bool], list[np.ndarray]] = {}
"""Backgrounds by field, number of offsets and line of MT: noise does not change them."""


def _backgrounds(case: Case) -> list[np.ndarray]:
    key = case.field, len(case.offsets), case.broad
    if key not in FITTED:
        FITTED[key] = [_fit_background(case, voxel) for voxel in range(FEW)]
    return FITTED[key]


def _fit_background(case: Case, voxel: int) -> np.ndarray:
    counted = (np.abs(case.offsets) <= 1.0) | (np.abs(case.offsets) >= 6.5)
    fit = least_squares(
        lambda values: _model(case, values, case.offsets[counted]) - case.z[voxel, counted],
        [0.85, 1.0, 0.0, 0.1, 1.0, -2.4],
        bounds=([0.02, 0.1, -0.3, 0.0, 0.2, -3.4], [1.5, 6.0, 0.3, 1.0, 5.0, -1.4]),
        x_scale=[0.1, 0.5, 0.1, 0.1, 0.5, 1.0],
    )
    return np.asarray(fit.x)


def _background(case: Case, values: np.ndarray, at: float) -> float:
    return float(_model(case, values, np.array([at]))[0])


def _model(case: Case, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    water, width, place, semisolid, broadness, centre = values
    line = 1.0 / (1.0 + 4.0 * ((where - centre) / (40.0 * broadness)) ** 2)
    if case.broad:
        radians = 2.0 * np.pi * ppm_to_hertz(1.0, field_strength=case.field)
        shape = absorption(Lineshape.SUPER_LORENTZIAN, radians * np.append(where - centre, 0.0), t2=1e-5 * broadness)[0]
        line = shape[:-1] / shape[-1]
    return np.asarray(1.0 - water / (1.0 + 4.0 * ((where - place) / width) ** 2) - semisolid * line)


def _rows(names: tuple[str, ...]) -> list[Row]:
    rows = []
    found = all_cases()
    for name in names:
        bias, pulls = [], []
        for case in found:
            values, stdev = case.found.maps[name]
            assert stdev is not None
            truth = _truth(case, name)
            error = values - truth
            kept = np.isfinite(error) & np.isfinite(stdev)
            bias.append((float(np.median(error[kept])), case.label, float(np.median(stdev[kept]))))
            pulls.append(np.abs(error[kept] / stdev[kept]))
        worst = max(bias, key=lambda each: abs(each[0]))
        together = np.concatenate(pulls)
        one = [100.0 * float(np.mean(each <= 1.0)) for each in pulls]
        two = [100.0 * float(np.mean(each <= 1.96)) for each in pulls]
        inverse = name.startswith("ldarex")
        rows += [
            Row(
                figure=f"{name}: largest median error of 18 scans",
                unit="1",
                bar=0.005 if inverse else 0.003,
                value=abs(worst[0]),
                baseline=f"{worst[0]:+.4f} ({worst[1]}, standard deviation there {worst[2]:.4f})",
            ),
            Row(
                figure=f"{name}: errors within one standard deviation",
                unit="%",
                bar=Within(62.0, 76.0),
                value=100.0 * float(np.mean(together <= 1.0)),
                baseline=f"single scans {min(one):.0f}-{max(one):.0f}",
            ),
            Row(
                figure=f"{name}: errors within 1.96 standard deviations",
                unit="%",
                bar=Within(92.0, 98.0),
                value=100.0 * float(np.mean(together <= 1.96)),
                baseline=f"single scans {min(two):.0f}-{max(two):.0f}",
            ),
        ]
    return rows


def linear() -> list[Row]:
    """Measures that are sums of values of Z."""
    return _rows(LINEAR)


def background() -> list[Row]:
    """Differences to a fitted background."""
    return _rows(OF_BACKGROUND)


PARTS: dict[str, Callable[[], list[Row]]] = {"linear": linear, "background": background}


if __name__ == "__main__":
    run_parts("spectra_measures", PARTS, description=__doc__.splitlines()[0])
