"""CEST taken to nominal B1 by spectra at several powers: how far AREX still follows B1, and what its standard deviations hold.

    python benchmarks/cest_b1.py [--only PART ...]

Every part prints its rows and saves them in `results/cest_b1.json`. The judge are the Bloch-McConnell equations of seven
pools (`real_spectra_scene.py`): spectra of white matter whose B1 is 0.7 to 1.2 of the nominal one, with a shift of water, noise of
1 % and a T1map with a standard deviation of 3 %. Constants of the correction were chosen on seed 1; the rows are of seed 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from real_spectra_scene import MT_SHIFT, OFFSETS, POOLS
from rows import AtMost, Row, Within, run_parts

from qmri_bids.estimation.spectra.maps import ZSpectrumMaps, zspectrum_maps
from qmri_bids.estimation.spectra.powers import OtherSpectra, Powers
from qmri_bids.estimation.spectra.series import series_layout, spectra
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.units import ppm_to_hertz

SEED = 2
VOXELS = 3000
NOISE, T1_NOISE, B1_NOISE = 0.01, 0.03, 0.01
LOWEST, HIGHEST = 0.7, 1.2
WATER = {3.0: (1.0, 0.07), 7.0: (1.3, 0.04)}
"""T1 and T2 of white matter [s] by field [T]."""

SETS: Mapping[str, tuple[float, tuple[float, ...]]] = {
    "0.6 by 0.9 µT": (0.6, (0.9,)),
    "0.6 by 0.45 and 0.9 µT": (0.6, (0.45, 0.9)),
}
"""Nominal power and those that correct it [µT]."""

JUDGED = {"amide": 3.5, "NOE": -3.5}
SPREAD = 0.1
"""Relative standard deviation of fractions and rates over the voxels."""


@dataclass(frozen=True)
class Voxels:
    """White matter of V voxels: parameters, and actual over nominal B1."""

    field: float
    known: Mapping[str, np.ndarray]
    fractions: Mapping[str, np.ndarray]
    rates: Mapping[str, np.ndarray]
    b1: np.ndarray
    shift: np.ndarray


def draw(field: float, *, seed: int) -> Voxels:
    rng = np.random.default_rng(seed)

    def around(value: float, spread: float = SPREAD) -> np.ndarray:
        return value * np.exp(spread * rng.normal(size=VOXELS))

    t1, t2 = WATER[field]
    middle = {name: (float(np.mean(row[0])), float(np.mean(row[1]))) for name, row in POOLS.items()} | {
        "MT": (0.11, 30.0)
    }
    return Voxels(
        field=field,
        known={"t1": around(t1, 0.05), "t2": around(t2, 0.05)},
        fractions={name: around(fraction) for name, (fraction, _) in middle.items()},
        rates={name: around(rate) for name, (_, rate) in middle.items()},
        b1=rng.uniform(LOWEST, HIGHEST, VOXELS),
        shift=rng.uniform(-0.1, 0.1, VOXELS),
    )


def protocol(offsets: np.ndarray, field: float, power: float) -> SaturationProtocol:
    """Return an M0 and a block of 3 s before every other image; `power` in µT."""
    train = Saturation(pulse=Pulse.block(amplitude=1e-6 * power, duration=3.0))
    images = [SaturatedImage(saturation=train, offset=float(each), recovery=5.0) for each in offsets]
    m0 = SaturatedImage(saturation=None, offset=None, recovery=10.0)
    return SaturationProtocol(field_strength=field, images=(m0, *images))


def signal(
    voxels: Voxels, offsets: np.ndarray, power: float, *, b1: np.ndarray, shift: np.ndarray, without: str = ""
) -> np.ndarray:
    """Return M0 and Z of the voxels, shape (V, 1 + N)."""
    shorter = 3.0 / voxels.field
    solutes = tuple(
        CestPool(name=name, fraction=1e-3, rate=50.0, shift=at, t2=max(t2 * shorter, 4e-4))
        for name, (_, _, at, t2) in POOLS.items()
    )
    semisolid = MtPool(
        name="MT", fraction=0.1, rate=30.0, shift=MT_SHIFT, t2=9.5e-6, t1=1.0,
        form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN,
    )  # fmt: skip
    model = PoolModel(water=Water(t1=1.2, t2=0.06), cest=solutes, mt=semisolid)
    fractions = {name: 0.0 * each if name == without else each for name, each in voxels.fractions.items()}
    known = VoxelParameters(
        **voxels.known,
        b1=b1,
        off_resonance=ppm_to_hertz(1.0, field_strength=voxels.field) * shift,
        fractions=fractions,
        rates=dict(voxels.rates),
    )
    found = signal_and_jacobian(model, protocol(offsets, voxels.field, power), known).signal
    return found / found[:, :1]


@dataclass(frozen=True)
class Case:
    """Maps of one set of powers without and with correction, and what they should be, by field and set."""

    b1: np.ndarray
    plain: ZSpectrumMaps
    corrected: ZSpectrumMaps
    one_power: ZSpectrumMaps
    z: np.ndarray
    truth: Mapping[str, np.ndarray]


def case(field: float, name: str, *, seed: int = SEED) -> Case:
    """Return the maps of noisy spectra; what they should be comes from spectra at nominal B1 and without the pool."""
    power, others = SETS[name]
    offsets, voxels, rng = OFFSETS[55], draw(field, seed=seed), np.random.default_rng(seed + 100)
    hertz = ppm_to_hertz(1.0, field_strength=field) * voxels.shift

    def measured(of: float, b1: np.ndarray) -> tuple[np.ndarray, SaturationProtocol]:
        exact = signal(voxels, offsets, of, b1=b1, shift=voxels.shift)
        return exact + NOISE * rng.normal(size=exact.shape), protocol(offsets, field, of)

    own, played = measured(power, voxels.b1)
    roles = ("m0", *("cest",) * len(offsets))
    found = []
    for other in others:
        each, its_protocol = measured(other, voxels.b1)
        z = spectra(each, layout=series_layout(its_protocol, roles=roles, role="cest"), noise=NOISE)
        found.append(OtherSpectra(ratio=other / power, values=z.values, stdev=z.stdev, scale_stdev=z.scale_stdev))
    known_b1 = voxels.b1 + B1_NOISE * rng.normal(size=VOXELS)
    t1 = voxels.known["t1"] * (1.0 + T1_NOISE * rng.normal(size=VOXELS))

    def maps(series: np.ndarray, powers: Powers | None = None) -> ZSpectrumMaps:
        return zspectrum_maps(
            series,
            protocol=played,
            roles=roles,
            water_shift=hertz,
            t1=t1,
            t1_stdev=T1_NOISE * t1,
            noise=NOISE,
            powers=powers,
        )

    powers = Powers(others=tuple(found), b1=known_b1, b1_stdev=np.full(VOXELS, B1_NOISE))
    one, none = np.ones(VOXELS), np.zeros(VOXELS)
    at = np.array([*JUDGED.values()])
    whole = signal(voxels, at, power, b1=one, shift=none)[:, 1:]
    truth = {"MTRasym_3.5": whole[:, 1] - whole[:, 0]}
    for place, pool in enumerate(JUDGED):
        gone = signal(voxels, at, power, b1=one, shift=none, without=pool)[:, 1 + place]
        truth[f"arex_{pool}"] = (1.0 / whole[:, place] - 1.0 / gone) / voxels.known["t1"]
    nominal, _ = measured(power, one)
    return Case(
        b1=voxels.b1,
        plain=maps(own),
        corrected=maps(own, powers),
        one_power=maps(nominal),
        z=signal(voxels, offsets, power, b1=one, shift=none)[:, 1:],
        truth=truth,
    )


BINS = np.linspace(LOWEST, HIGHEST, 6)


def over_b1(found: ZSpectrumMaps, name: str, truth: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Return a map over what it should be, as the median of the voxels of each bin of B1, over the mean of the bins."""
    ratio = found.maps[name][0] / np.mean(truth)
    place = np.digitize(b1, BINS[1:-1])
    middle = np.array([np.nanmedian(ratio[place == each]) for each in range(len(BINS) - 1)])
    return middle / middle.mean()


def variation() -> list[Row]:
    """How far AREX of white matter follows B1."""
    rows = []
    for field in WATER:
        for name in SETS:
            made = case(field, name)
            for pool in JUDGED:
                key = f"arex_{pool}"
                after, before, floor = (
                    over_b1(each, key, made.truth[key], made.b1)
                    for each in (made.corrected, made.plain, made.one_power)
                )
                span = [100.0 * float(np.ptp(each)) for each in (after, before, floor)]
                rows.append(
                    Row(
                        figure=f"AREX of {pool}, {field:g} T, {name}: standard deviation over B1 0.7 to 1.2",
                        unit="%",
                        bar=AtMost(3.0),
                        value=100.0 * float(after.std()),
                        baseline=f"without correction {100.0 * before.std():.3g}, at nominal B1 {100.0 * floor.std():.2g}; "
                        f"largest minus smallest {span[0]:.3g}, without {span[1]:.3g}, at nominal B1 {span[2]:.2g}",
                    )
                )
    return rows


def coverage() -> list[Row]:
    """How often standard deviations of corrected maps hold the error."""
    scaled: dict[str, list[np.ndarray]] = {}
    nominal: dict[str, list[np.ndarray]] = {}
    kept = []
    for field in WATER:
        for name in SETS:
            made = case(field, name)
            for key, truth in made.truth.items():
                values, stdev = made.corrected.maps[key]
                scaled.setdefault(key, []).append((values - truth) / stdev)
                values, stdev = made.one_power.maps[key]
                nominal.setdefault(key, []).append((values - truth) / stdev)
            kept.append(np.mean(np.isfinite(made.corrected.maps["arex_amide"][0])))
    rows = []
    for key, parts in scaled.items():
        for limit, bar in ((1.0, Within(62.0, 76.0)), (2.0, Within(92.0, 98.0))):
            shares = [_within(each, limit) for each in parts]
            plain = [_within(each, limit) for each in nominal[key]]
            rows.append(
                Row(
                    figure=f"{key}, corrected: errors within {limit:g} standard deviations",
                    unit="%",
                    bar=bar,
                    value=_within(np.concatenate(parts), limit),
                    baseline=f"by field and set of powers {', '.join(f'{each:.0f}' for each in shares)}; of spectra measured at "
                    f"nominal B1, which need no correction, {', '.join(f'{each:.0f}' for each in plain)}",
                )
            )
    rows.append(
        Row(
            figure="voxels with a corrected AREX of amide",
            unit="%",
            bar=None,
            value=100.0 * float(np.mean(kept)),
        )
    )
    return rows


def _within(error: np.ndarray, limit: float) -> float:
    """Return the share of errors, in standard deviations, within a limit [%]."""
    return 100.0 * float(np.mean(np.abs(error[np.isfinite(error)]) <= limit))


PARTS = {"variation": variation, "coverage": coverage}

if __name__ == "__main__":
    run_parts("cest_b1", PARTS, description=str(__doc__).splitlines()[0])
