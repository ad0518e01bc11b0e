"""What wrong known maps and a wrong description of the semisolid pool do to fractions and rates, without noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qmri_bids.estimation.pools.estimate import ExchangeEstimator
from qmri_bids.evaluation.pools.sets import TISSUES
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.pools import Lineshape, MtForm, MtPool

SHOWN_TISSUES = ("WM", "GM")


@dataclass(frozen=True, kw_only=True)
class MapError:
    """An error of one known map: value → factor · value + shift, the shift in SI units."""

    name: str
    factor: float = 1.0
    shift: float = 0.0


MAP_ERRORS: Mapping[str, MapError] = {
    **{
        f"{label} {percent:+d} %": MapError(name=name, factor=1.0 + percent / 100.0)
        for label, name in (("T1", "t1"), ("T2", "t2"), ("B1", "b1"))
        for percent in (-10, -5, 5, 10)
    },
    **{f"B0 {hertz:+d} Hz": MapError(name="off_resonance", shift=float(hertz)) for hertz in (-20, -10, 10, 20)},
}
"""The map that the estimator is given, against the true one."""


def _z_only(pool: MtPool, lineshape: Lineshape, t2: float) -> MtPool:
    return replace(pool, form=MtForm.Z_ONLY, lineshape=lineshape, t2=t2)


MODEL_ERRORS: Mapping[str, Callable[[MtPool], MtPool]] = {
    "T2 of MT 30 µs": lambda pool: replace(pool, t2=30e-6),
    "T2 of MT 50 µs": lambda pool: replace(pool, t2=50e-6),
    "MT z-only, super-Lorentzian 10 µs": lambda pool: _z_only(pool, Lineshape.SUPER_LORENTZIAN, 10e-6),
    "MT z-only, Lorentzian 40 µs": lambda pool: _z_only(pool, Lineshape.LORENTZIAN, 40e-6),
}
"""The semisolid pool that the estimator assumes, from the true one: in full form with T2 of 40 µs in the published pools."""


@dataclass(frozen=True, kw_only=True)
class SensitivityRow:
    """Estimates in one tissue under one wrong assumption.

    Parameters
    ----------
    assumption
        Key of `MAP_ERRORS` or `MODEL_ERRORS`.
    tissue
        Key of `sets.TISSUES`.
    change
        Estimate over truth less 1, by parameter.
    """

    assumption: str
    tissue: str
    change: Mapping[str, float]


def sensitivity_table(estimator: ExchangeEstimator, *, scan: ExchangeScan, threads: int = 1) -> list[SensitivityRow]:
    """Return the change of every estimate in white and grey matter at nominal B1, on resonance, for every wrong assumption.

    Parameters
    ----------
    estimator
        One that serves any pool model, such as `ml`.
    scan
        Series, the true pool model with a semisolid pool, and pools.
    threads
        Threads of the simulation.
    """
    tissues = [TISSUES[name] for name in SHOWN_TISSUES]
    truth = np.array([[tissue[name] for name in scan.parameters] for tissue in tissues])
    one = np.ones(len(tissues))
    maps = {
        "t1": np.array([tissue["t1"] for tissue in tissues]),
        "t2": np.array([tissue["t2"] for tissue in tissues]),
        "b1": one,
        "off_resonance": 0.0 * one,
    }
    signal = exchange_signal(scan, truth, KnownVoxels.of(maps), threads=threads)
    repeats = len(MAP_ERRORS)
    given = {name: np.tile(maps[name], (repeats, 1)) for name in KNOWN}
    for row, error in enumerate(MAP_ERRORS.values()):
        given[error.name][row] = error.factor * maps[error.name] + error.shift
    wrong = KnownVoxels.of({name: values.ravel() for name, values in given.items()})
    found = estimator.point(np.tile(signal, (repeats, 1)), scan=scan, known=wrong).reshape(repeats, *truth.shape)
    estimates = dict(zip(MAP_ERRORS, found, strict=True))
    if scan.model.mt is not None:
        for label, change in MODEL_ERRORS.items():
            other = replace(scan, model=replace(scan.model, mt=change(scan.model.mt)))
            estimates[label] = estimator.point(signal, scan=other, known=KnownVoxels.of(maps))
    return [
        SensitivityRow(
            assumption=label,
            tissue=tissue,
            change={
                name: float(values[row, place] / truth[row, place] - 1.0) for place, name in enumerate(scan.parameters)
            },
        )
        for label, values in estimates.items()
        for row, tissue in enumerate(SHOWN_TISSUES)
    ]
