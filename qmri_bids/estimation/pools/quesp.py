r"""QUESP and QUEST: fraction and rate of one solute from images on both sides of water at several powers or durations.

What is fitted is the inverse metric of every pair of images at +Δω (label) and -Δω (reference) of one power and duration,

.. math:: MTR_{Rex} = \frac{M_0}{S_{label}} - \frac{M_0}{S_{ref}} \to \frac{f k α}{R_1}\quad\text{(steady state, dilute, slow)},

which water and its relaxation leave almost untouched, against the same of the transient signal in closed form
(`physics.rotating_frame`): powers (QUESP) and durations (QUEST) together, weighted by the noise of both images. Durations at one
power tell the one number R_ex, from which fraction and rate do not follow.

Where the closed form is off, the Bloch-McConnell equations say by how much: at the estimate of every voxel the difference of both
is carried to fraction and rate. What it does there belongs to their standard deviations, and a voxel in which it does more than
`LARGEST_ERROR` is not released. The bias of second order in the noise (Box, J R Stat Soc B 33:171, 1971) is taken off.

Sources: McMahon et al., Magn Reson Med 55:836 (2006), for QUESP and QUEST; Zaiss et al., NMR Biomed 27:240 (2014), for the inverse
metric; Zaiss et al., Magn Reson Med 79:1708 (2018), for both together and their transient form; Dixon et al., Magn Reson Med 63:625
(2010), and Meissner et al., NMR Biomed 28:1196 (2015), for the omega plot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.input import ExchangeInput
from qmri_bids.estimation.pools.point import VAGUE
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.rotating_frame import rotating_frame_signal
from qmri_bids.physics.saturation import Saturation
from qmri_bids.units import GYROMAGNETIC_RATIO, tesla_to_microtesla

FEWEST_CONDITIONS = 3
"""Different powers or durations with both sides: two unknowns, and one more that tells noise."""

FEWEST_POWERS = 2
"""Different powers: at one of them every duration is told by the one number R_ex."""

NEAR_SOLUTE = 0.5
"""Distance of an offset from the solute up to which its pair is used [ppm]."""

LOW, HIGH = np.log([1e-6, 1.0]), np.log([0.1, 1e5])
"""Bounds of the logarithms of fraction and rate [1/s]: wide, and no prior."""

LARGEST_ERROR = np.array([0.05, 0.10])
"""Relative error of fraction and rate by the closed form above which a voxel is not released."""

LEAST_SIGNAL = 0.02
"""Share of M0 under which an image is nothing but noise and bias: its pair is left out."""

ITERATIONS = 40
ROUNDS = 2
"""Fits; the weights of the second follow from the model of the first, since those of noisy images pull."""

SETTLED = 1e-5
"""Step of both logarithms at which a voxel has settled."""

LARGEST_CORRECTION = 0.5
"""Largest correction of a logarithm for noise, and longest step of its second differences: the second order holds no further."""

WIDEST = 3.0
"""Factor of the rate that the data must exclude, at either side, for a voxel to be released."""

CHI_SQUARE = 9.0
"""By how many variances of noise the misfit must rise for that: three standard deviations of one unknown."""

LARGEST_STEP = 1.0
"""Longest step of a logarithm: a factor of e."""

DIFFERENCE = 1e-4
"""Step of logarithms in central differences."""

STARTS = np.geomspace(3.0, 3e4, 14)
"""Rates at which the fit may begin [1/s]."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelPairs:
    """Pairs of label and reference in a scan.

    Parameters
    ----------
    label, reference, m0
        Shares of the images in the mean of each side and of M0, shape (pairs, N).
    amplitude
        B1 of each pair [T], shape (pairs,).
    duration
        Duration of its saturation [s], shape (pairs,).
    unused
        Saturated images that are part of no pair.
    """

    label: Values
    reference: Values
    m0: Values
    amplitude: Values
    duration: Values
    unused: int

    @property
    def powers(self) -> tuple[float, ...]:
        """Different B1 [T], ascending."""
        return tuple(sorted(set(self.amplitude.tolist())))

    @property
    def durations(self) -> tuple[float, ...]:
        """Different durations [s], ascending."""
        return tuple(sorted(set(self.duration.tolist())))

    @property
    def conditions(self) -> int:
        """Different combinations of power and duration."""
        return len(set(zip(self.amplitude.tolist(), self.duration.tolist(), strict=True)))


def label_pairs(scan: ExchangeScan) -> LabelPairs:
    """Return the pairs of a scan at its one solute; none where a side, or M0, is missing."""
    shift = scan.model.cest[0].shift if scan.model.cest else 0.0
    number, places = scan.number_of_images, scan.series
    rows: list[tuple[Values, Values, Values, float, float]] = []
    paired, saturated = set(), set()
    for protocol, part in zip(scan.protocols, places, strict=True):
        groups: dict[tuple[float, ...], tuple[list[int], list[int]]] = {}
        for place, image in enumerate(protocol.images, start=part.start):
            train = image.saturation
            if train is None or image.offset is None or image.is_m0:
                continue
            saturated.add(place)
            if abs(abs(image.offset) - abs(shift)) > NEAR_SOLUTE or image.offset == 0.0 or not _is_continuous(train):
                continue
            key = _key(train.pulse.segments[0].amplitude, train.duration, abs(image.offset))
            groups.setdefault(key, ([], []))[0 if image.offset * shift > 0.0 else 1].append(place)
        m0 = [part.start + each for each in protocol.m0_images]
        for (amplitude, duration, _), (label, reference) in groups.items():
            if label and reference and m0 and amplitude > 0.0:
                sides = _mean_of(label, number), _mean_of(reference, number), _mean_of(m0, number)
                rows.append((*sides, amplitude, duration))
                paired |= {*label, *reference}
    matrices = [np.array([row[side] for row in rows]).reshape(len(rows), number) for side in range(3)]
    return LabelPairs(
        label=matrices[0],
        reference=matrices[1],
        m0=matrices[2],
        amplitude=np.array([row[3] for row in rows]),
        duration=np.array([row[4] for row in rows]),
        unused=len(saturated - paired),
    )


def _key(amplitude: float, duration: float, offset: float) -> tuple[float, float, float]:
    """Return values rounded to four digits, by which images are the same."""
    return float(f"{amplitude:.4g}"), float(f"{duration:.4g}"), float(f"{offset:.4g}")


def _mean_of(images: list[int], number: int) -> Values:
    row = np.zeros(number)
    row[images] = 1.0 / len(images)
    return row


def _is_continuous(train: Saturation) -> bool:
    return len(train.pulse.segments) == 1 and (train.number == 1 or train.gap == 0.0)


class Quesp:
    """Fit of the inverse metric over powers and durations.

    Parameters
    ----------
    threads
        Threads of the compiled Bloch-McConnell equations; the result does not depend on it.
    """

    name = "quesp"
    frees_t1 = False

    def __init__(self, *, threads: int = 1) -> None:
        self.threads = threads

    @property
    def model(self) -> Mapping[str, str]:
        """There is no network behind the maps."""
        return {}

    def check(self, scan: ExchangeScan) -> None:
        """Raise `ProtocolNotSupported` unless there are pairs of continuous saturation about one solute."""
        check_quesp(scan)

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Return which images were used."""
        pairs = label_pairs(scan)
        powers = ", ".join(f"{tesla_to_microtesla(each):.3g}" for each in pairs.powers)
        durations = ", ".join(f"{each:.3g}" for each in pairs.durations)
        said = [
            f"QUESP used {len(pairs.amplitude)} pairs of images on both sides of water at {powers} µT and {durations} s; voxels "
            f"in which its closed form is off by more than {100 * LARGEST_ERROR[0]:.0f} % (fraction) or "
            f"{100 * LARGEST_ERROR[1]:.0f} % (rate) have code {Status.OUT_OF_RANGE:d} and no value: the estimator ml has no such "
            "limit."
        ]
        if pairs.unused:
            said.append(
                f"{pairs.unused} saturated images are part of no pair at the solute and were not used by QUESP."
            )
        return tuple(said)

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return the weighted least-squares point (V, 2), nothing flagged."""
        check_quesp(scan)
        given = ExchangeInput.of(signal, scan=scan, known=known)
        found = np.full((len(signal), 2), np.nan)
        found[given.usable] = np.exp(_fitted(given.signal, scan=scan, known=given.known).log_values)
        return found

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate the solute with its uncertainty; see `ExchangeEstimator`."""
        check_quesp(scan)
        given = ExchangeInput.of(signal, scan=scan, known=known)
        return given.whole(self._inferred(given.signal, scan=scan, known=given.known))

    def _inferred(self, signal: Values, *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        fit = _fitted(signal, scan=scan, known=known)
        values, pairs = np.exp(fit.log_values), label_pairs(scan)
        noise = np.sqrt(moderated_variance(fit.cost, max(1, fit.freedom)).variance)
        gain = np.stack(
            [-fit.carried(slope) for slope in _known_slopes(values, scan=scan, known=known)], axis=-1
        )  # (V, 2, 4)
        # An error of M0 scales the metric of all pairs of its series.
        share = float(np.sqrt((pairs.m0**2).sum(axis=1).mean()))
        exact = np.full((len(signal), len(pairs.amplitude)), np.nan)
        finite = np.isfinite(values).all(axis=1)
        if finite.any():
            full = exchange_signal(scan, values[finite], known[finite], threads=self.threads)
            exact[finite] = _metric(full, pairs)[0]
        wrong = fit.carried(exact - fit.model)
        wider, open_ended = _profiles(fit, noise, scan=scan, known=known)
        covariance = fit.covariance * (wider * noise**2)[:, None, None]
        scale = fit.carried(fit.metric) * (noise * share)[:, None]
        parts = [scale, wrong]
        for place, name in enumerate(KNOWN):
            stdev = known.stdev(name)
            if stdev is not None:
                parts.append(gain[:, :, place] * stdev[:, None])
        for part in parts:
            covariance = covariance + part[:, :, None] * part[:, None, :]
        relative = np.sqrt(np.maximum(np.einsum("vpp->vp", covariance), 0.0))
        bias = _bias(fit, noise, scan=scan, known=known)
        held = np.clip(bias, -LARGEST_CORRECTION, LARGEST_CORRECTION)
        values = values * np.exp(-held)
        vague = (relative > VAGUE) | (held != bias) | np.isnan(relative)
        vague |= open_ended[:, None]
        status = np.full(len(signal), Status.CONVERGED, dtype=np.uint8)
        status[~fit.settled] = Status.NOT_CONVERGED
        status[~(np.abs(wrong) <= LARGEST_ERROR).all(axis=1)] = Status.OUT_OF_RANGE
        status[vague.any(axis=1)] = Status.NOT_IDENTIFIABLE
        status[((fit.log_values <= LOW) | (fit.log_values >= HIGH)).any(axis=1)] = Status.AT_BOUND
        status[fit.counted < FEWEST_CONDITIONS] = Status.LOW_SIGNAL
        good = status == Status.CONVERGED
        z = rotating_frame_signal(scan, np.where(finite[:, None], values, 1e-3), known)
        amplitude = np.stack([_level(signal, z, scan, place) for place in range(len(scan.protocols))], axis=1)
        fitted = z * np.repeat(amplitude, [protocol.number_of_images for protocol in scan.protocols], axis=1)
        pool = scan.pools[0]
        return ExchangeEstimate(
            values={name: np.where(good, values[:, place], np.nan) for place, name in enumerate(scan.parameters)},
            stdev={
                name: np.where(good, relative[:, place] * values[:, place], np.nan)
                for place, name in enumerate(scan.parameters)
            },
            correlation={pool: covariance[:, 0, 1] / np.maximum(relative[:, 0] * relative[:, 1], 1e-300)},
            status={pool: status},
            amplitude=amplitude,
            fitted=fitted,
            residual=np.sqrt(((signal - fitted) ** 2).sum(axis=1) / np.maximum((signal**2).sum(axis=1), 1e-300)),
            noise=noise * (z @ pairs.m0.T).mean(axis=1),
            gain={name: gain[:, place] for place, name in enumerate(scan.parameters)},
        )


def _level(signal: Values, z: Values, scan: ExchangeScan, place: int) -> Values:
    """Return M0 of a series, shape (V,): by its M0 images, or all of its images where it has none."""
    part = scan.series[place]
    images = [part.start + each for each in scan.protocols[place].m0_images] or list(range(part.start, part.stop))
    return (signal[:, images] * z[:, images]).sum(axis=1) / np.maximum((z[:, images] ** 2).sum(axis=1), 1e-300)


def check_quesp(scan: ExchangeScan) -> None:
    """Raise `ProtocolNotSupported` unless QUESP or QUEST can serve a scan."""
    advice = "Use --cest-estimator ml, which fits any pools and any saturation."
    if scan.model.mt is not None or len(scan.model.cest) != 1 or len(scan.pools) != 1:
        raise ProtocolNotSupported(
            expected="one solute beside water for QUESP",
            found=f"the pools {', '.join(scan.model.names)}",
            advice=f"Give a pool file of one solute and no semisolid pool, or: {advice[0].lower()}{advice[1:]}",
        )
    trains = [
        image.saturation for protocol in scan.protocols for image in protocol.images if image.saturation is not None
    ]
    if not all(_is_continuous(train) for train in trains):
        raise ProtocolNotSupported(
            expected="continuous saturation (block) for QUESP",
            found="pulses with gaps or a shape, for which the labelling efficiency would need an effective shape factor",
            advice=advice,
        )
    pairs = label_pairs(scan)
    shift = scan.model.cest[0].shift
    if not len(pairs.amplitude):
        lacking = "" if any(protocol.m0_images for protocol in scan.protocols) else ", or no M0"
        raise ProtocolNotSupported(
            expected=f"images at {shift:+g} and {-shift:+g} ppm of the same power and duration, and M0, for QUESP",
            found=f"no such pair{lacking}",
            advice=f"QUESP needs a reference on the other side of water. {advice}",
        )
    if pairs.conditions < FEWEST_CONDITIONS or len(pairs.powers) < FEWEST_POWERS:
        raise ProtocolNotSupported(
            expected=f"images on both sides at {FEWEST_POWERS} or more powers, {FEWEST_CONDITIONS} or more combinations of power "
            "and duration",
            found=f"{len(pairs.powers)} powers and {len(pairs.durations)} durations",
            advice="Durations at one power (QUEST) tell the product of fraction, rate and labelling efficiency alone: measure more "
            "powers.",
        )


def _metric(images: Values, pairs: LabelPairs) -> tuple[Values, Values]:
    """Return MTR_Rex of the pairs and its variance for noise of unit standard deviation relative to M0, shape (V, pairs) each."""
    m0, label, reference = images @ pairs.m0.T, images @ pairs.label.T, images @ pairs.reference.T
    with np.errstate(divide="ignore", invalid="ignore"):
        metric = m0 / label - m0 / reference
        variance = m0**2 * ((pairs.label**2).sum(axis=1) / label**4 + (pairs.reference**2).sum(axis=1) / reference**4)
    return metric, variance


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Weighted least squares of V voxels with P pairs.

    Parameters
    ----------
    log_values
        Logarithms of fraction and rate, shape (V, 2).
    metric, model
        MTR_Rex as measured and as fitted, shape (V, P).
    jacobian, weight
        Derivatives of the model in the logarithms, shape (V, P, 2); inverse variance for noise of one, shape (V, P).
    covariance
        Covariance of the logarithms for noise of one, shape (V, 2, 2).
    cost
        Weighted sum of squares, shape (V,).
    settled
        Whether the iteration came to its end, shape (V,).
    counted
        Pairs with a weight, shape (V,).
    """

    log_values: Values
    metric: Values
    model: Values
    jacobian: Values
    weight: Values
    covariance: Values
    cost: Values
    settled: NDArray[np.bool_]
    counted: NDArray[np.int_]

    @property
    def freedom(self) -> int:
        """Pairs less unknowns."""
        return self.metric.shape[1] - 2

    def carried(self, change: Values) -> Values:
        """Return what a change of the metric (V, P) does to the logarithms, shape (V, 2)."""
        weighted = np.where(self.weight > 0.0, self.weight * np.nan_to_num(change), 0.0)
        return np.einsum("vpq,vnq,vn->vp", self.covariance, self.jacobian, weighted)


def _fitted(signal: Values, *, scan: ExchangeScan, known: KnownVoxels) -> _Fit:
    pairs = label_pairs(scan)
    metric, variance = _metric(signal, pairs)
    m0 = np.maximum(signal @ pairs.m0.T, 1e-300)
    seen = np.minimum(signal @ pairs.label.T, signal @ pairs.reference.T) / m0 > LEAST_SIGNAL
    usable = seen & np.isfinite(metric) & np.isfinite(variance)
    # Noise relative to M0: the metric does not know the scale.
    weight = np.where(usable, 1.0 / np.where(usable, variance * m0**2, 1.0), 0.0)
    metric = np.where(usable, metric, 0.0)

    def model(x: Values, voxels: NDArray[np.int_]) -> Values:
        return _metric(rotating_frame_signal(scan, np.exp(x), known[voxels]), pairs)[0]

    x = _start(metric, weight, model)
    for turn in range(ROUNDS):
        x, settled = _least_squares(x, metric, weight, model)
        if turn + 1 < ROUNDS:
            everyone = np.arange(len(x))
            z = rotating_frame_signal(scan, np.exp(x), known[everyone])
            new = _metric(z, pairs)[1] * (z @ pairs.m0.T) ** 2
            weight = np.where(usable & np.isfinite(new), 1.0 / np.maximum(new, 1e-300), 0.0)
    everyone = np.arange(len(x))
    fitted, jacobian = model(x, everyone), _slopes(x, everyone, model)
    information = np.einsum("vnp,vn,vnq->vpq", jacobian, weight, jacobian)
    return _Fit(
        log_values=x,
        metric=metric,
        model=fitted,
        jacobian=jacobian,
        weight=weight,
        covariance=_inverse(information),
        cost=(weight * (metric - fitted) ** 2).sum(axis=1),
        settled=settled,
        counted=(weight > 0.0).sum(axis=1),
    )


Model = Callable[[Values, NDArray[np.int_]], Values]
"""From logarithms (U, 2) of the voxels with these indices to their metric (U, P)."""


def _start(metric: Values, weight: Values, model: Model) -> Values:
    """Return where the fit begins, shape (V, 2): the best of `STARTS`, with the fraction that goes with it."""
    best, x = np.full(len(metric), np.inf), np.tile(np.log([1e-3, 300.0]), (len(metric), 1))
    for rate in STARTS:
        trial, cost = _with_best_fraction(
            np.tile(np.log([1e-3, rate]), (len(metric), 1)), metric, weight, model, turns=2
        )
        better = cost < best
        best[better], x[better] = cost[better], trial[better]
    return x


def _with_best_fraction(
    x: Values, metric: Values, weight: Values, model: Model, *, turns: int
) -> tuple[Values, Values]:
    """Return logarithms (V, 2) with the best fraction for their rate, to which the metric is nearly proportional, and the cost."""
    x, everyone = x.copy(), np.arange(len(x))
    for _ in range(turns):
        shape = model(x, everyone)
        power = (weight * shape**2).sum(axis=1)
        ratio = (weight * shape * metric).sum(axis=1) / np.maximum(power, 1e-300)
        x[:, 0] = np.clip(x[:, 0] + np.log(np.maximum(ratio, 1e-6)), LOW[0], HIGH[0])
    return x, (weight * (metric - model(x, everyone)) ** 2).sum(axis=1)


def _profiles(fit: _Fit, noise: Values, *, scan: ExchangeScan, known: KnownVoxels) -> tuple[Values, NDArray[np.bool_]]:
    """Return by how much the variance is larger than the curvature says, and where the rate is open-ended, shape (V,) each.

    Where exchange is fast against the powers only f/k is told, where it is slow f·k: the misfit rises less on one side than its
    curvature says, or hardly at all, and noise makes a minimum that looks narrow. The misfit at other rates, with the fraction that
    goes with each, tells both: two standard deviations away it should have risen by four variances of noise.
    """
    pairs = label_pairs(scan)

    def model(x: Values, voxels: NDArray[np.int_]) -> Values:
        return _metric(rotating_frame_signal(scan, np.exp(x), known[voxels]), pairs)[0]

    def rise(away: Values) -> Values:
        along = fit.covariance[:, 0, 1] / np.maximum(fit.covariance[:, 1, 1], 1e-60)
        start = fit.log_values + np.stack([np.clip(along * away, -3.0, 3.0), away], axis=1)
        cost = _with_best_fraction(start, fit.metric, fit.weight, model, turns=3)[1]
        return (cost - fit.cost) / np.maximum(noise**2, 1e-300)

    stdev = np.minimum(noise * np.sqrt(np.maximum(fit.covariance[:, 1, 1], 0.0)), np.log(WIDEST))
    least = np.minimum(rise(2.0 * stdev), rise(-2.0 * stdev))
    factor = np.full(len(stdev), np.log(WIDEST))
    with np.errstate(invalid="ignore"):
        open_ended = ~(np.minimum(rise(factor), rise(-factor)) > CHI_SQUARE)
        # Without noise there is nothing to compare.
        wider = np.where(stdev > SETTLED, np.clip(4.0 / np.maximum(least, 0.1), 1.0, 40.0), 1.0)
    return wider, open_ended & (stdev > SETTLED)


def _least_squares(x: Values, metric: Values, weight: Values, model: Model) -> tuple[Values, NDArray[np.bool_]]:
    """Return the minimum within the bounds by Levenberg-Marquardt steps, and which voxels have come to it."""
    x = x.copy()
    everyone = np.arange(len(x))
    cost = (weight * (metric - model(x, everyone)) ** 2).sum(axis=1)
    damping, settled = np.full(len(x), 1e-3), np.zeros(len(x), dtype=np.bool_)
    active = everyone[np.isfinite(cost)]
    for _ in range(ITERATIONS):
        if not active.size:
            break
        own = x[active]
        slopes, own_weight = _slopes(own, active, model), weight[active]
        gradient = np.einsum("vnp,vn,vn->vp", slopes, own_weight, metric[active] - model(own, active))
        held = ((own <= LOW) & (gradient <= 0.0)) | ((own >= HIGH) & (gradient >= 0.0))
        free = (~held).astype(np.float64)
        information = np.einsum("vnp,vn,vnq->vpq", slopes, own_weight, slopes) * free[:, :, None] * free[:, None, :]
        diagonal = np.einsum("vpp->vp", information)
        loading = damping[active, None] * diagonal + held + 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
        step = np.einsum("vpq,vq->vp", np.linalg.inv(information + loading[:, :, None] * np.eye(2)), gradient * free)
        step *= np.minimum(1.0, LARGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        trial = np.clip(own + step, LOW, HIGH)
        price = (weight[active] * (metric[active] - model(trial, active)) ** 2).sum(axis=1)
        better = price <= cost[active]
        x[active[better]], cost[active[better]] = trial[better], price[better]
        damping[active] = np.where(better, 0.1 * damping[active], 10.0 * damping[active] + 1e-6)
        done = (better & (np.abs(step).max(axis=1) < SETTLED)) | (damping[active] > 1e8)
        settled[active[done]] = True
        active = active[~done]
    return x, settled


def _slopes(x: Values, voxels: NDArray[np.int_], model: Model) -> Values:
    """Return the derivatives of the metric in the logarithms, shape (U, P, 2)."""
    columns = []
    for place in range(2):
        move = np.zeros(2)
        move[place] = DIFFERENCE
        columns.append((model(x + move, voxels) - model(x - move, voxels)) / (2.0 * DIFFERENCE))
    return np.stack(columns, axis=-1)


def _bias(fit: _Fit, noise: Values, *, scan: ExchangeScan, known: KnownVoxels) -> Values:
    """Return the bias of the logarithms, of second order in the noise, and half of their variance, shape (V, 2).

    Half of the variance is what the exponential of an unbiased logarithm is too high by.
    """
    pairs = label_pairs(scan)
    own = fit.covariance * noise[:, None, None] ** 2
    values, vectors = np.linalg.eigh(np.nan_to_num(own))
    steps = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    trace = np.zeros_like(fit.model)
    for column in range(2):
        move = steps[:, :, column]
        shrink = np.minimum(1.0, LARGEST_CORRECTION / np.maximum(np.abs(move).max(axis=1), 1e-300))[:, None]
        ahead, behind = (
            _metric(rotating_frame_signal(scan, np.exp(fit.log_values + sign * shrink * move), known), pairs)[0]
            for sign in (1, -1)
        )
        trace += (ahead + behind - 2.0 * fit.model) / np.maximum(shrink, 1e-12) ** 2
    return -0.5 * fit.carried(trace) + 0.5 * np.einsum("vpp->vp", own)


def _inverse(information: Values) -> Values:
    """Return the inverse of (V, 2, 2), columns scaled before; what the data do not see gets a large variance."""
    scale = np.sqrt(np.maximum(np.einsum("vpp->vp", information), 1e-60))
    scaled = information / (scale[:, :, None] * scale[:, None, :]) + 1e-10 * np.eye(2)
    scaled[~np.isfinite(scaled).all(axis=(1, 2))] = np.eye(2)
    return np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])


def _known_slopes(values: Values, *, scan: ExchangeScan, known: KnownVoxels) -> list[Values]:
    """Return the derivatives of the metric in T1, T2, B1 and off-resonance, shape (V, P) each."""
    pairs, found = label_pairs(scan), []
    for name in KNOWN:
        own = np.asarray(getattr(known, name), dtype=np.float64)
        step = np.full(len(own), 0.1) if name == "off_resonance" else DIFFERENCE * own
        moved: list[dict[str, Any]] = [{name: own + sign * step} for sign in (1, -1)]
        ahead, behind = (
            _metric(rotating_frame_signal(scan, values, replace(known, **maps)), pairs)[0] for maps in moved
        )
        found.append((ahead - behind) / (2.0 * step[:, None]))
    return found


@dataclass(frozen=True, kw_only=True)
class OmegaPlot:
    r"""The straight line of 1/MTR_Rex over 1/ω1² of each voxel, in the steady state of a dilute solute.

    .. math:: 1/MTR_{Rex} = \frac{R_1}{f k} + \frac{R_1 (k + R_{2s})}{f}\,\frac{1}{ω_1^2}

    Parameters
    ----------
    inverse_square
        1/ω1² of the pairs [s²/rad²], shape (V, P).
    inverse, stdev
        1/MTR_Rex and its standard deviation for noise of one, shape (V, P).
    intercept, slope
        Of the line, shape (V,).
    fraction, rate
        What follows from them, shape (V,); NaN where one is not positive.
    """

    inverse_square: Values
    inverse: Values
    stdev: Values
    intercept: Values
    slope: Values
    fraction: Values
    rate: Values


def omega_plot(signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> OmegaPlot:
    """Return the omega plot of images (V, N), by the pairs of the longest duration.

    Nothing is corrected for the transient, nor for the resonance of the solute at the reference: a picture, and a first estimate.
    """
    pairs = label_pairs(scan)
    metric, variance = _metric(np.asarray(signal, dtype=np.float64), pairs)
    m0 = np.asarray(signal, dtype=np.float64) @ pairs.m0.T
    longest = pairs.duration >= max(pairs.duration) * (1.0 - 1e-6)
    metric, variance = metric[:, longest], (variance * m0**2)[:, longest]
    amplitude = 2.0 * np.pi * GYROMAGNETIC_RATIO * pairs.amplitude[longest] * np.asarray(known.b1)[:, None]
    across = 1.0 / amplitude**2
    usable = metric > 0.0
    inverse = np.where(usable, 1.0 / np.where(usable, metric, 1.0), np.nan)
    stdev = np.sqrt(variance) * inverse**2
    weight = np.where(usable, 1.0 / np.where(usable, stdev, 1.0) ** 2, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (weight * across).sum(axis=1) / total
        level = (weight * np.nan_to_num(inverse)).sum(axis=1) / total
        away = across - centre[:, None]
        slope = (weight * away * np.nan_to_num(inverse)).sum(axis=1) / (weight * away**2).sum(axis=1)
        intercept = level - slope * centre
        r2 = 1.0 / scan.model.cest[0].t2
        # slope over intercept is k (k + R2s)
        ratio = slope / intercept
        rate = np.where(ratio > 0.0, 0.5 * (np.sqrt(r2**2 + 4.0 * np.maximum(ratio, 0.0)) - r2), np.nan)
        fraction = np.where(intercept > 0.0, 1.0 / (np.asarray(known.t1) * rate * intercept), np.nan)
    return OmegaPlot(
        inverse_square=across,
        inverse=inverse,
        stdev=stdev,
        intercept=intercept,
        slope=slope,
        fraction=fraction,
        rate=rate,
    )
