"""What the parts of the relaxometry benchmark share: sizes, estimators, errors against truth."""

from __future__ import annotations

import numpy as np
from rows import Row

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.bssfp.bounded_fit import RelaxationBounds
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.steady_state import ValidRange
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.evaluation.experiments import clamped_estimate
from qmri_bids.evaluation.scores import rmse_over_bound, score
from qmri_bids.evaluation.sets import PAPER_T1, PAPER_T2, SimulatedSet, noise_stdev
from qmri_bids.physics.bssfp import relaxation_times
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
    clamped = ", ".join(
        f"clamped {name} {pair(clamped_errors(create(name), truth, snr=snr))}" for name in ("miracle", "ml")
    )
    bounded = MaximumLikelihood(bounds=RelaxationBounds(t1=PAPER_T1, t2=PAPER_T2))
    return f"{clamped}, ml within bounds {pair(clamped_errors(bounded, truth, snr=snr))}"


def efficiency_of(estimator, truth: SimulatedSet, *, snr: float) -> dict[str, float]:
    """Return RMSE over the bound of T1 and T2 as written and without the correction of skew; flagged voxels are left out."""
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
    missing = ~np.isfinite(found.values["T1"])
    point = estimator.natural(cycles, b1=truth.b1, protocol=truth.protocol)
    times = relaxation_times(point.e2, point.b, b1=truth.b1, protocol=truth.protocol)
    ratios = {}
    usual = ValidRange()
    inside = [(raw >= low) & (raw <= high) for raw, (low, high) in zip(times, (usual.t1, usual.t2), strict=True)]
    for (name, key), raw in zip(TIMES, times, strict=True):
        true = getattr(truth, key)
        ratios[name] = rmse_over_bound(np.asarray(found.values[name], dtype=float), true, bound[name])
        ratios[f"{name} uncorrected"] = rmse_over_bound(np.where(inside[0] & inside[1], raw, np.nan), true, bound[name])
    return ratios | {"flagged": 100.0 * float(np.mean(missing))}


def error_rows(label: str, errors: dict[str, float], bars: tuple[float, float], beside: str) -> list[Row]:
    """Return rows of errors against bars that are quoted to a tenth."""
    return [
        Row(figure=f"{label}: {name} error", unit="%", bar=bar, value=round(errors[name], 1), baseline=beside)
        for (name, _), bar in zip(TIMES, bars, strict=True)
    ]
