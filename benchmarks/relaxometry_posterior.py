"""Posteriors under a prior, and whether stated intervals hold what they state."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from relaxometry_common import SAMPLES, SEED, TIMES, baselines, create, error_rows, percent_errors
from rows import Row, Within

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.posterior.voxel import posterior
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.evaluation.experiments import clamped_estimate
from qmri_bids.evaluation.scores import coverage, normal_interval, rank_histogram, score
from qmri_bids.evaluation.sets import SimulatedSet, uniform_set
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.simulation import paper_protocol

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from relaxometry_sets import brain_set


def posterior_of(truth: SimulatedSet, *, snr: float, prior):
    """Return the posterior as a user gets it: noise from the scan itself."""
    cycles = truth.cycles(snr=snr, seed=SEED + 1)
    fit = fit_natural(cycles, rf_phase_increment=truth.protocol.rf_phase_increment)
    noise = moderated_variance(fit.residual_sum, fit.freedom)
    return posterior(
        fit, variance=noise.variance, b1=truth.b1, protocol=truth.protocol, prior=prior, freedom=noise.freedom
    )


def posterior_error() -> list[Row]:
    """Posterior mean under the uniform prior."""
    rows = []
    for number, snr, bars in ((12, 25.0, (5.9, 5.8)), (12, 10.0, (12.0, 12.3)), (4, 25.0, (10.0, 11.0))):
        truth = uniform_set(SAMPLES // 2, protocol=paper_protocol(number), seed=SEED)
        found = posterior_of(truth, snr=snr, prior=PRIORS["uniform"])
        missing = 100.0 * float(np.mean(~np.isfinite(found.t1.mean)))
        beside = f"{missing:.2f} % without one; {baselines(truth, snr=snr)}"
        rows += error_rows(
            f"posterior, uniform prior, SNR {snr:g}, N={number}",
            percent_errors(found.t1.mean, found.t2.mean, truth),
            bars,
            beside,
        )
    return rows


def posterior_by_tissue() -> list[Row]:
    """What a prior does to tissue and to a rare lesion: figures without a bar, beside clamped maximum likelihood."""
    truth = brain_set(SAMPLES, protocol=paper_protocol(), seed=SEED)
    clamped = clamped_estimate(create("ml"), truth, snr=25.0, seed=SEED + 1)[0]
    rows = []
    for name in ("uniform", "uniform-extended", "in-vivo"):
        found = posterior_of(truth, snr=25.0, prior=PRIORS[name]).t1.mean
        for tissue in ("WM", "GM", "mixed", "lesion"):
            inside = truth.groups[tissue]
            new, old = (score(each[inside], truth.t1[inside]) for each in (found, clamped))
            rows.append(
                Row(
                    figure=f"posterior, prior {name}, SNR 25, N=12: T1 error in {tissue}",
                    unit="%",
                    bar=None,
                    value=100.0 * new.mean_absolute_error,
                    baseline=f"bias {100 * new.bias:+.1f}; clamped ML {100 * old.mean_absolute_error:.1f}, bias "
                    f"{100 * old.bias:+.1f}",
                )
            )
    return rows


LEVELS = ((0.68, Within(66.0, 70.0)), (0.95, Within(94.0, 96.0)))


def calibration() -> list[Row]:
    """Coverage of the stated intervals: sd of maximum likelihood, and posterior."""
    rows = []
    for number in (12, 6, 4):
        truth = uniform_set(SAMPLES // 2, protocol=paper_protocol(number), seed=SEED)
        cycles = truth.cycles(snr=25.0, seed=SEED + 1)
        found = create("ml").estimate(cycles, protocol=truth.protocol, known=KnownMaps(b1=truth.b1))
        other = create("linear").estimate(cycles, protocol=truth.protocol, known=KnownMaps(b1=truth.b1))
        for name, key in TIMES:
            value, stdev = (np.asarray(each[name], dtype=float) for each in (found.values, found.stdev))
            ranks = rank_histogram(value, stdev, getattr(truth, key))
            for level, bar in LEVELS:
                beside = 100.0 * coverage(
                    *normal_interval(other.values[name], other.stdev[name], probability=level), getattr(truth, key)
                )
                low, high = normal_interval(np.log(value), stdev / value, probability=level)
                for label, interval in (
                    ("interval", normal_interval(value, stdev, probability=level)),
                    ("logarithmic interval", (np.exp(low), np.exp(high))),
                ):
                    rows.append(
                        Row(
                            figure=f"ML sd, SNR 25, N={number}: coverage of the {100 * level:g} % {label} of {name}",
                            unit="%",
                            bar=bar,
                            value=100.0 * coverage(*interval, getattr(truth, key)),
                            baseline=f"linear {beside:.1f}; largest deviation of a rank bin {ranks.largest_deviation:.2f}",
                        )
                    )
    for number, snr in ((12, 25.0), (12, 10.0), (6, 25.0), (4, 25.0)):
        truth = uniform_set(SAMPLES // 2, protocol=paper_protocol(number), seed=SEED)
        found = posterior_of(truth, snr=snr, prior=PRIORS["uniform"])
        for name, key in TIMES:
            marginal = getattr(found, key)
            intervals = (marginal.interval_68, marginal.interval_95)
            for (level, bar), interval in zip(LEVELS, intervals, strict=True):
                rows.append(
                    Row(
                        figure=f"posterior, SNR {snr:g}, N={number}: coverage of the {100 * level:g} % interval of {name}",
                        unit="%",
                        bar=bar,
                        value=100.0 * coverage(interval[:, 0], interval[:, 1], getattr(truth, key)),
                    )
                )
    return rows
