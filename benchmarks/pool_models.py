"""Fingerprints of voxels that the pool model does not describe: what the light "Signal model" says, and how far off the values are.

    python benchmarks/pool_models.py [--only PART ...]

White matter of one kind in 10 x 10 x 9 voxels, both published stages, B1 within 5 % and off-resonance within 40 Hz of nominal.
The limits of the light were chosen on seed 0; the rows are of seed 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from rows import Row, run_parts

from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.misfit import pool_misfit
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, PoolModel
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.reports.content import Level
from qmri_bids.scans.pools.outputs import model_light, width_light

SEED = 2
INSIDE = np.ones((10, 10, 9), dtype=bool)
TISSUE = (0.112, 29.0, 1.9e-3, 162.0)
T1, T2 = 0.939, 0.062
SIGNAL_TO_NOISE = (100, 250)
HARMLESS = 1.0
"""Error of the worst median in standard deviations of a voxel below which a light need not say anything."""

_MT = PUBLISHED_POOLS.mt
assert _MT is not None
_NOE = CestPool(name="NOE", fraction=8e-3, rate=15.0, shift=-3.5, t2=1e-3)
_AMINE = CestPool(name="amine", fraction=2e-3, rate=3000.0, shift=2.0, t2=10e-3)
MODELS: Mapping[str, PoolModel] = {
    "super-Lorentzian line of MT": replace(
        PUBLISHED_POOLS, mt=replace(_MT, form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN, t2=10e-6)
    ),
    "Gaussian line of MT": replace(
        PUBLISHED_POOLS, mt=replace(_MT, form=MtForm.Z_ONLY, lineshape=Lineshape.GAUSSIAN, t2=10e-6)
    ),
    "T2 of MT 12 µs": replace(PUBLISHED_POOLS, mt=replace(_MT, t2=12e-6)),
    "MT at 0 ppm": replace(PUBLISHED_POOLS, mt=replace(_MT, shift=0.0)),
    "NOE besides": replace(PUBLISHED_POOLS, cest=(*PUBLISHED_POOLS.cest, _NOE)),
    "amine besides": replace(PUBLISHED_POOLS, cest=(*PUBLISHED_POOLS.cest, _AMINE)),
    "R1 of MT 1/s": replace(PUBLISHED_POOLS, mt=replace(_MT, t1=1.0)),
}
"""Tissue whose pools are others than those of the fit."""

WRONG: Mapping[str, tuple[str, float]] = {
    "B1 map 10 % high": ("b1", 1.1),
    "B1 map 10 % low": ("b1", 0.9),
    "T1 map 20 % low": ("t1", 0.8),
    "T2 map 20 % low": ("t2", 0.8),
}
"""Known maps that are wrong."""

BOTH = ExchangeScan(protocols=(mrf_mt(), mrf_amide()), model=PUBLISHED_POOLS, pools=("MT", "amide"))
SIX = ExchangeScan(protocols=(replace(mrf_mt(), images=mrf_mt().images[:7]),), model=PUBLISHED_POOLS, pools=("MT",))


def _voxels() -> KnownVoxels:
    drawn = np.random.default_rng(SEED)
    number = INSIDE.size
    return KnownVoxels(
        t1=T1 * drawn.uniform(0.95, 1.05, number),
        t2=T2 * drawn.uniform(0.95, 1.05, number),
        b1=drawn.uniform(0.95, 1.05, number),
        off_resonance=drawn.uniform(-40.0, 40.0, number),
    )


def _judged(
    scan: ExchangeScan, *, model: PoolModel = PUBLISHED_POOLS, wrong: tuple[str, float] | None = None, ratio: int
) -> tuple[list[Level], float, float]:
    """Return the lights of a scan, the shared residual, and the error of the worst median in standard deviations."""
    known = _voxels()
    values = np.tile(TISSUE[: len(scan.parameters)], (INSIDE.size, 1))
    clean = exchange_signal(replace(scan, model=model), values, known)
    data = clean + np.random.default_rng(SEED + 100).standard_normal(clean.shape) / ratio
    used = known if wrong is None else replace(known, **{wrong[0]: getattr(known, wrong[0]) * wrong[1]})
    found = ExchangeLikelihood(threads=1).estimate(data, scan=scan, known=used)
    left = pool_misfit(data, found, scan=scan, t1=np.full(INSIDE.size, T1), inside=INSIDE)
    worst = max(
        abs(float(np.nanmedian(found.values[name])) / truth - 1.0) / left.width[name]
        for name, truth in zip(scan.parameters, TISSUE, strict=False)
    )
    widths = [
        width_light(
            pool, {name.rpartition(".")[2]: left.width[name] for name in scan.parameters if name.startswith(pool)}
        )
        for pool in scan.pools
    ]
    return [model_light(left.shared).level, *(light.level for light in widths)], left.shared, worst


def lights() -> list[Row]:
    """Return what the lights say of scans that the model describes and of those that it does not."""
    rows, green, per_unit = [], [], []
    for ratio in SIGNAL_TO_NOISE:
        held, shared, worst = _judged(BOTH, ratio=ratio)
        rows.append(
            Row(
                figure=f"signal to noise {ratio}, the model holds: shared residual over noise",
                unit="1",
                bar=0.1,
                value=shared,
                baseline=f"light {held[0].value}; worst median {worst:.1f} standard deviations off",
            )
        )
        cases = {name: {"model": model} for name, model in MODELS.items()} | {
            name: {"wrong": change} for name, change in WRONG.items()
        }
        for name, changed in cases.items():
            found, shared, worst = _judged(BOTH, ratio=ratio, **changed)
            if found[0] is Level.GOOD and worst > HARMLESS:
                green.append(f"{name} at {ratio}")
            if worst > HARMLESS and math.isfinite(shared):
                per_unit.append(worst / shared)
            rows.append(
                Row(
                    figure=f"signal to noise {ratio}, {name}: shared residual over noise",
                    unit="1",
                    bar=None,
                    value=shared,
                    baseline=f"light {found[0].value}; worst median {worst:.1f} standard deviations off",
                )
            )
    rows.append(
        Row(
            figure="scans that the model does not describe, a median more than one standard deviation off, with a green light",
            unit="1",
            bar=0.0,
            value=float(len(green)),
            baseline=f"of {2 * (len(MODELS) + len(WRONG))}; {', '.join(green) or 'none'}; "
            f"{min(per_unit):.1f} to {max(per_unit):.0f} standard deviations off a unit of the shared residual",
        )
    )
    found, _, worst = _judged(SIX, ratio=100)
    rows.append(
        Row(
            figure="six images of MT alone, signal to noise 100: lights of model and width that are green",
            unit="1",
            bar=None,
            value=float(sum(level is Level.GOOD for level in found)),
            baseline=f"model {found[0].value}, width {found[1].value}",
        )
    )
    return rows


if __name__ == "__main__":
    run_parts("pool_models", {"lights": lights}, description=__doc__.splitlines()[0])
