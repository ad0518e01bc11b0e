"""Accuracy of the estimators: without noise, against the bound, against the published networks, at other protocols, by tissue."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from relaxometry_common import (
    SAMPLES,
    SEED,
    TIMES,
    baselines,
    clamped_errors,
    create,
    efficiency_of,
    error_rows,
    pair,
    percent_errors,
)
from rows import Row, Within

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.miracle import Miracle
from qmri_bids.evaluation.experiments import clamped_times
from qmri_bids.evaluation.scores import score
from qmri_bids.evaluation.sets import uniform_set
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.simulation import paper_protocol

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from relaxometry_sets import single_tissue_set


def clamped_miracle() -> list[Row]:
    """Clamped MIRACLE as a check of the set-up: it must reproduce the known figures."""
    rows = []
    for number, expected in ((12, (6.8, 7.2)), (6, (9.6, 11.5)), (4, (17.1, 21.8))):
        truth = uniform_set(SAMPLES, protocol=paper_protocol(number), seed=SEED)
        cycles = truth.cycles(snr=25.0, seed=SEED + 1)
        point = Miracle().natural(cycles, b1=truth.b1, protocol=truth.protocol)
        errors = percent_errors(*clamped_times(point, b1=truth.b1, protocol=truth.protocol), truth)
        rows += [
            Row(
                figure=f"clamped MIRACLE, SNR 25, N={number}: {name} error",
                unit="%",
                bar=Within(bar - 0.2, bar + 0.2),
                value=errors[name],
                baseline="set-up check: the known figure ± 0.2",
            )
            for (name, _), bar in zip(TIMES, expected, strict=True)
        ]
    return rows


def noise_free() -> list[Row]:
    """Maximum likelihood without noise: the worst voxel."""
    protocols = {f"N={number}": paper_protocol(number) for number in (12, 6, 4, 3)}
    protocols["5 uneven increments"] = BssfpProtocol(
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=math.radians(15.0),
        rf_phase_increment=tuple(np.radians((10.0, 70.0, 160.0, 215.0, 300.0))),
    )
    rows = []
    for name, protocol in protocols.items():
        truth = uniform_set(SAMPLES, protocol=protocol, seed=SEED)
        cycles = truth.cycles(snr=math.inf)
        point = create("ml").natural(cycles, b1=truth.b1, protocol=protocol)
        t1, t2 = relaxation_times(point.e2, point.b, b1=truth.b1, protocol=protocol)
        worst = max(float(np.max(np.abs(each / true - 1.0))) for each, true in ((t1, truth.t1), (t2, truth.t2)))
        beside = ""
        if protocol.is_evenly_spaced:
            beside = f"closed MIRACLE, mean {pair(clamped_errors(create('miracle'), truth, snr=math.inf), 3)}"
        rows.append(
            Row(figure=f"ML noise-free, {name}: worst |error|", unit="%", bar=0.01, value=100 * worst, baseline=beside)
        )
    return rows


def bound() -> list[Row]:
    """Maximum likelihood against the Cramér-Rao bound."""
    rows = []
    for number, bar in ((12, 1.06), (6, 1.09), (4, 1.15)):
        truth = uniform_set(SAMPLES, protocol=paper_protocol(number), seed=SEED)
        ratios = efficiency_of(create("ml"), truth, snr=25.0)
        beside = pair(efficiency_of(create("linear"), truth, snr=25.0), 2)
        rows += [
            Row(
                figure=f"ML, SNR 25, N={number}: {name} RMSE over the bound, unclamped",
                unit="",
                bar=bar,
                value=ratios[name],
                baseline=f"{ratios['flagged']:.2f} % flagged and left out; without the correction of skew "
                f"{ratios[f'{name} uncorrected']:.3f}; linear {beside}",
            )
            for name, _ in TIMES
        ]
    return rows


PUBLISHED = {
    "svnn-magnitude": {12: (6.8, 7.3), 6: (10.2, 12.1), 4: (20.6, 20.5)},
    "pinn-magnitude": {12: (6.7, 7.1), 6: (10.2, 11.8), 4: (20.4, 20.7)},
    "svnn-complex": {12: (6.8, 7.3), 6: (9.4, 10.4), 4: (11.7, 14.1)},
    "pinn-complex": {12: (6.8, 7.3), 6: (9.3, 10.3), 4: (11.6, 14.0)},
}
"""Errors of the published networks with their own weights, SNR 25, by number of cycles."""


def paper_networks() -> list[Row]:
    """The four networks of the paper, retrained, against the published ones."""
    rows = []
    for number in (12, 6, 4):
        truth = uniform_set(SAMPLES, protocol=paper_protocol(number), seed=SEED)
        beside = baselines(truth, snr=25.0)
        for system, published in PUBLISHED.items():
            errors = clamped_errors(create(f"{system}-uniform"), truth, snr=25.0)
            rows += error_rows(f"{system}-uniform, SNR 25, N={number}", errors, published[number], beside)
    return rows


def flagship() -> list[Row]:
    """The flagship, clamped to the range of the published networks."""
    rows = []
    for number, snr, bars in (
        (12, 25.0, (6.5, 6.4)),
        (6, 25.0, (9.0, 9.1)),
        (4, 25.0, (11.5, 12.5)),
        (12, 10.0, (14.9, 15.5)),
        (4, 10.0, (25.7, 29.8)),
    ):
        truth = uniform_set(SAMPLES, protocol=paper_protocol(number), seed=SEED)
        errors = clamped_errors(create("pinn"), truth, snr=snr)
        rows += error_rows(f"flagship, SNR {snr:g}, N={number}", errors, bars, baselines(truth, snr=snr))
    return rows


def other_protocols() -> list[Row]:
    """The flagship at protocols unlike the paper's."""
    rows = []
    for tr, degrees, number in ((8.0e-3, 35.0, 8), (3.4e-3, 8.0, 10), (10.0e-3, 50.0, 5)):
        protocol = BssfpProtocol.evenly_spaced(
            number_of_cycles=number, repetition_time=tr, echo_time=tr / 2.0, flip_angle=math.radians(degrees)
        )
        truth = uniform_set(SAMPLES, protocol=protocol, seed=SEED)
        ratios = efficiency_of(create("pinn"), truth, snr=25.0)
        beside = ", ".join(
            f"{name} {pair(efficiency_of(create(name), truth, snr=25.0), 2)}" for name in ("ml", "linear")
        )
        rows += [
            Row(
                figure=f"flagship, TR {1e3 * tr:g} ms, {degrees:g}°, N={number}, SNR 25: {name} RMSE over the bound",
                unit="",
                bar=1.15,
                value=ratios[name],
                baseline=f"{ratios['flagged']:.2f} % flagged and left out; without the correction of skew "
                f"{ratios[f'{name} uncorrected']:.3f}; {beside}",
            )
            for name, _ in TIMES
        ]
    return rows


def bare_network() -> list[Row]:
    """The network of the flagship without refinement and without noise."""
    rows = []
    for number, bar in ((12, 1.0), (6, 1.5), (4, 2.5)):
        truth = uniform_set(SAMPLES, protocol=paper_protocol(number), seed=SEED)
        errors = clamped_errors(create("pinn-bare"), truth, snr=math.inf)
        published = {12: "0.9/0.6", 6: "1.3/1.0", 4: "2.2/2.3"}[number]
        rows += [
            Row(
                figure=f"bare network, noise-free, N={number}: {name} error",
                unit="%",
                bar=bar,
                value=errors[name],
                baseline=f"published complex PINN {published}",
            )
            for name, _ in TIMES
        ]
    return rows


def tissue_bias() -> list[Row]:
    """Bias by tissue of the written map, mean and median, beside the bare maximum of the likelihood.

    The bound of the fluid is 40 %: what is flagged as out of range there is one tail of the estimates, and cutting it off moves
    any average of the map.
    """
    rows = []
    for tissue, bar in (("WM", 1.5), ("GM", 1.5), ("lesion", 1.5), ("CSF", 5.0)):
        truth = single_tissue_set(SAMPLES // 2, tissue=tissue, protocol=paper_protocol(), seed=SEED)
        cycles = truth.cycles(snr=25.0, seed=SEED + 1)
        known = KnownMaps(b1=truth.b1)
        flagship = create("pinn")
        maps = flagship.estimate(cycles, protocol=truth.protocol, known=known).values
        other = create("miracle").estimate(cycles, protocol=truth.protocol, known=known).values
        point = flagship.natural(cycles, b1=truth.b1, protocol=truth.protocol)
        raw = relaxation_times(point.e2, point.b, b1=truth.b1, protocol=truth.protocol)
        for (name, key), bare in zip(TIMES, raw, strict=True):
            true = getattr(truth, key)
            mine, beside, before = (
                score(np.asarray(each, dtype=float), true) for each in (maps[name], other[name], bare)
            )
            for label, figure in (("mean", "bias"), ("median", "median_bias")):
                signed, theirs, earlier = (100.0 * getattr(each, figure) for each in (mine, beside, before))
                rows.append(
                    Row(
                        figure=f"default, {tissue}, SNR 25, N=12: |{label} bias| of the {name} map",
                        unit="%",
                        bar=bar,
                        value=abs(signed),
                        baseline=f"signed {signed:+.2f}, {100 * mine.missing:.2f} % without a value; maximum of the likelihood "
                        f"{earlier:+.2f}, miracle {theirs:+.2f}",
                    )
                )
    return rows
