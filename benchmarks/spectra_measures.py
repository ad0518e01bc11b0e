"""Measures beside the fit of pools on spectra of seven pools: bias and coverage against their definitions.

    python benchmarks/spectra_measures.py [--only PART ...]

Rows are printed and saved in `results/spectra_measures.json`. Spectra are those of `real_spectra_scene.py` (seed 2) at 3 and 7 T
with 41, 55 and 95 offsets, an M0 before every dozen of them and at the end, signal to noise 50, 100 and 200, and a map of B0 with a
standard deviation of 0.02 ppm. Definitions are computed anew from Bloch-McConnell equations without noise and without a shift of
water: Z at the offsets themselves, and for differences to a background a fit of water and MT by scipy. Errors are those against
what the offsets tell of it (a natural spline by scipy, by the true shift); what they do not tell has rows of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from real_spectra_scene import OFFSETS, RANGES, draw
from rows import Row, Within, run_parts
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.units import ppm_to_hertz

SEED = 2
VOXELS = 600
MANY = 2400
"""Voxels of the image whose far offsets tell the width of water for all."""
FEW = 300
"""Voxels whose background is fitted anew."""
SIGNAL_TO_NOISE = (50, 100, 200)
B0_STDEV = 0.02
EVERY = 12
RANGE = np.linspace(3.0, 4.0, 21)
PLACES = np.unique(np.round([*RANGE, *-RANGE, 3.5, -3.5, -2.0, -5.0], 6))
OPTIONS = ZSpectrumOptions(ranges=((3.0, 4.0),), measures=("three-offset", "lda", "rex", "emr"), pools=())
LINEAR = ("MTRasym_3.5", "MTRasym_3to4", "threeoffset_APT", "threeoffset_NOE")
EXTRAPOLATED = ("emr_APT", "emr_NOE")
OF_BACKGROUND = ("lda_APT", "lda_NOE", "ldarex_APT", "ldarex_NOE")


@dataclass(frozen=True)
class Case:
    """One scan: maps of noisy spectra, spectra without noise or shift at its offsets (V, N), at `PLACES` (V, P), and there as a
    natural spline through what was sampled, without noise and by the true shift, has them (V, P)."""

    found: ZSpectrumMaps
    offsets: np.ndarray
    field: float
    z: np.ndarray
    at_places: np.ndarray
    sampled: np.ndarray
    broad: bool
    label: str


def cases(voxels: int) -> Iterator[Case]:
    for field in RANGES:
        for offsets in OFFSETS.values():
            number = len(offsets)
            noisy = draw(voxels, field=field, offsets=offsets, seed=SEED)
            # The same voxels: what is drawn does not depend on the offsets.
            true = draw(voxels, field=field, offsets=np.concatenate([offsets, PLACES]), seed=SEED, shifted=False)
            sampled = np.stack(
                [
                    CubicSpline(offsets, z, bc_type="natural")(PLACES + shift)
                    for z, shift in zip(noisy.z, noisy.shift, strict=True)
                ]
            )
            for ratio in SIGNAL_TO_NOISE:
                found = _maps(noisy.z, noisy.shift, offsets=offsets, field=field, ratio=ratio)
                broad = any("super-Lorentzian one of MT" in each for each in found.decisions)
                assert all("super-Lorentzian line of MT" in each for each in found.decisions if "APT#" in each)
                z, at_places = true.z[:, :number], true.z[:, number:]
                yield Case(
                    found, offsets, field, z, at_places, sampled, broad, f"{field:g} T, {number} offsets, {ratio}"
                )


@lru_cache(maxsize=2)
def all_cases(voxels: int) -> tuple[Case, ...]:
    """Return all scans of so many voxels."""
    return tuple(cases(voxels))


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


def _truth(case: Case, name: str, at_places: np.ndarray) -> np.ndarray:
    """Return what a measure is by its definition: NaN in voxels whose background is not fitted anew."""

    def z(at: float) -> np.ndarray:
        return at_places[:, int(np.argmin(np.abs(PLACES - at)))]

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
    reference = np.full(len(at_places), np.nan)
    if name.startswith("emr_"):
        reference[:FEW] = [_far_model(case, values, np.array([at]))[0] for values in _far_fits(case)]
        return reference - z(at)
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


FAR_FITTED: dict[tuple[float, int], list[np.ndarray]] = {}


def _far_fits(case: Case) -> list[np.ndarray]:
    """Return what far offsets tell of water (0.9 high, at 0 ppm) and super-Lorentzian MT (at -2.4 ppm), voxel by voxel."""
    key = case.field, len(case.offsets)
    if key not in FAR_FITTED:
        far = np.abs(case.offsets) >= 8.0
        FAR_FITTED[key] = [
            least_squares(
                lambda values, z=z: _far_model(case, values, case.offsets[far]) - z[: len(far)][far],
                [1.2, 0.1, 1.0],
                bounds=([0.1, 0.0, 0.3], [6.0, 1.0, 5.0]),
                x_scale=[0.5, 0.1, 0.5],
            ).x
            for z in case.z[:FEW]
        ]
    return FAR_FITTED[key]


def _far_model(case: Case, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    width, height, broadness = values
    return _model(replace(case, broad=True), np.array([0.9, width, 0.0, height, broadness, -2.4]), where)


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


def _rows(names: tuple[str, ...], *, voxels: int = VOXELS) -> list[Row]:
    rows = []
    found = all_cases(voxels)
    for name in names:
        bias: dict[float, list[tuple[float, str]]] = {field: [] for field in RANGES}
        lost: dict[float, list[float]] = {field: [] for field in RANGES}
        pulls = []
        for case in found:
            values, stdev = case.found.maps[name]
            assert stdev is not None
            exact, told = _truth(case, name, case.at_places), _truth(case, name, case.sampled)
            kept = np.isfinite(values) & np.isfinite(stdev) & np.isfinite(exact)
            pulls.append(np.abs((values - told)[kept] / stdev[kept]))
            bias[case.field].append((float(np.median((values - told)[kept])), case.label))
            lost[case.field].append(float(np.median((told - exact)[kept])))
        for field, each in bias.items():
            worst = max(each, key=lambda one: abs(one[0]))
            rows.append(
                Row(
                    figure=f"{name}, {field:g} T: largest median error of 9 scans",
                    unit="1",
                    bar=0.005 if name.startswith("ldarex") else 0.003,
                    value=abs(worst[0]),
                    baseline=f"{worst[0]:+.4f} ({worst[1]})",
                )
            )
            rows.append(
                Row(
                    figure=f"{name}, {field:g} T: what sampling loses of it at the most",
                    unit="1",
                    bar=None,
                    value=max(lost[field], key=abs),
                    baseline="a line narrower than the steps between offsets lies between them",
                )
            )
        together = np.concatenate(pulls)
        for limit, within in ((1.0, Within(62.0, 76.0)), (1.96, Within(92.0, 98.0))):
            single = [100.0 * float(np.mean(each <= limit)) for each in pulls]
            rows.append(
                Row(
                    figure=f"{name}: errors within {limit:g} standard deviations",
                    unit="%",
                    bar=within,
                    value=100.0 * float(np.mean(together <= limit)),
                    baseline=f"single scans {min(single):.0f}-{max(single):.0f}",
                )
            )
    return rows


def linear() -> list[Row]:
    """Measures that are sums of values of Z."""
    return _rows(LINEAR)


def background() -> list[Row]:
    """Differences to a fitted background."""
    return _rows(OF_BACKGROUND)


def extrapolated() -> list[Row]:
    """Differences to lines of MT and water that are fitted to far offsets alone: APT# and NOE#."""
    rows = _rows(EXTRAPOLATED, voxels=MANY)
    for name in EXTRAPOLATED:
        for field in RANGES:
            found = [
                (float(np.nanmedian(case.found.maps[name][1])), case.label)
                for case in all_cases(MANY)
                if case.field == field
            ]
            rows.append(
                Row(
                    figure=f"{name}, {field:g} T: median standard deviation, largest of 9 scans",
                    unit="1",
                    bar=None,
                    value=max(found)[0],
                    baseline=f"{max(found)[1]}; smallest {min(found)[0]:.4f} ({min(found)[1]})",
                )
            )
    return rows


PARTS: dict[str, Callable[[], list[Row]]] = {
    "linear": linear,
    "background": background,
    "extrapolated": extrapolated,
}


if __name__ == "__main__":
    run_parts("spectra_measures", PARTS, description=__doc__.splitlines()[0])
