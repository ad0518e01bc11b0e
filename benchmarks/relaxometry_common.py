"""What the parts of the relaxometry benchmark share: sizes, estimators, errors against truth."""

from __future__ import annotations

import numpy as np
from rows import Row

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.table import ESTIMATORS
from qmri_bids.evaluation.experiments import clamped_estimate
from qmri_bids.evaluation.scores import rmse_over_bound, score
from qmri_bids.evaluation.sets import SimulatedSet, noise_stdev
from qmri_bids.physics.cramer_rao import cramer_rao_bound

SAMPLES = 200_000
SEED = 7
TIMES = (("T1", "t1"), ("T2", "t2"))


def create(name: str, **options):
    return ESTIMATORS[name].create(EstimatorOptions(**options))


def percent_errors(t1, t2, truth: SimulatedSet) -> dict[str, float]:
    return {
        "T1": 100.0 * score(t1, truth.t1).mean_absolute_error,
        "T2": 100.0 * score(t2, truth.t2).mean_absolute_error,
    }


def clamped_errors(estimator, truth: SimulatedSet, *, snr: float) -> dict[str, float]:
    return percent_errors(*clamped_estimate(estimator, truth, snr=snr, seed=SEED + 1), truth)


def pair(errors: dict[str, float], digits: int = 1) -> str:
    return f"{errors['T1']:.{digits}f}/{errors['T2']:.{digits}f}"


def baselines(truth: SimulatedSet, *, snr: float) -> str:
    return ", ".join(
        f"clamped {name} {pair(clamped_errors(create(name), truth, snr=snr))}" for name in ("miracle", "ml")
    )


def efficiency_of(estimator, truth: SimulatedSet, *, snr: float) -> dict[str, float]:
    """Return RMSE over the bound of T1 and T2 as written; flagged voxels are left out and counted."""
    cycles = truth.cycles(snr=snr, seed=SEED + 1)
    found = estimator.estimate(cycles, protocol=truth.protocol, known=KnownMaps(b1=truth.b1))
    bound = cramer_rao_bound(
        truth.t1,
        truth.t2,
        b1=truth.b1,
        off_resonance=truth.off_resonance,
        noise_stdev=noise_stdev(snr),
        protocol=truth.protocol,
    )
    ratios = {
        name: rmse_over_bound(np.asarray(found.values[name], dtype=float), getattr(truth, key), bound[name])
        for name, key in TIMES
    }
    return ratios | {"flagged": 100.0 * float(np.mean(~np.isfinite(found.values["T1"])))}


def error_rows(label: str, errors: dict[str, float], bars: tuple[float, float], beside: str) -> list[Row]:
    """Return rows of errors against bars that are quoted to a tenth."""
    return [
        Row(figure=f"{label}: {name} error", unit="%", bar=bar, value=round(errors[name], 1), baseline=beside)
        for (name, _), bar in zip(TIMES, bars, strict=True)
    ]
