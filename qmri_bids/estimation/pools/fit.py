r"""Least squares of pool fractions and exchange rates in many voxels at once.

The parameters are fitted as logarithms, the scale of each series is profiled out (variable projection), and every voxel takes its
own Levenberg-Marquardt steps within bounds; a parameter at its bound that the misfit pushes outwards is held (Bertsekas, SIAM J
Control Optim 20:221, 1982). The signal and its Jacobian are those of the compiled Bloch-McConnell equations, the whole series one
after the other as it was played: nothing measured enters the model.

A voxel has settled when the next step would be shorter than a hundredth of the standard deviation of its estimate.

Sources: Marquardt, SIAM J Appl Math 11:431 (1963); Golub and Pereyra, SIAM J Numer Anal 10:413 (1973), Kaufman, BIT 15:49 (1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import KNOWN, WATER, ExchangeScan, KnownVoxels, exchange_jacobian, scaled_model
from qmri_bids.physics.published_pools import MT

ITERATIONS = 25
"""Most evaluations of a voxel."""

SETTLED = 1e-4
"""Squared length of a step in standard deviations below which a voxel has settled."""

EXACT = 1e-20
"""Settled too when a step promises less than this share of the power of the signal: signals without noise."""

LARGEST_STEP = 1.0
"""Longest step of a logarithm: a factor of e."""

BOUNDS = {
    "MT.fraction": (1e-3, 0.6),
    "MT.rate": (1.0, 500.0),
    "amide.fraction": (1e-5, 0.05),
    "amide.rate": (1.0, 5000.0),
}
"""Lowest and highest fraction and exchange rate [1/s] of the semisolid pool and of amide."""

SOLUTE_BOUNDS = {"fraction": (1e-6, 0.2), "rate": (0.5, 1e5)}
"""The same of any other pool: 0.1 mmol/L of one proton to an aliphatic band of tissue, and the fastest hydroxyl protons."""

WATER_BOUNDS = {"T1": (0.05, 10.0), "T2": (0.001, 5.0)}
"""The same of relaxation times of water that are fitted along [s]."""

RIDGE = 1e-10
"""Share of the diagonal added before the promise of an undamped step is computed."""

Values = NDArray[np.float64]


def bounds_of(scan: ExchangeScan) -> tuple[Values, Values]:
    """Return the lowest and highest value of every parameter of a scan, shape (P,) each: wide, and no prior."""
    semisolid = None if scan.model.mt is None else scan.model.mt.name
    rows = []
    for parameter in scan.parameters:
        pool, _, quantity = parameter.rpartition(".")
        if pool == WATER:
            rows.append(WATER_BOUNDS[quantity])
            continue
        own = f"{MT if pool == semisolid else pool}.{quantity}"
        rows.append(BOUNDS.get(own, SOLUTE_BOUNDS[quantity]))
    low, high = np.array(rows).T
    return low, high


@dataclass(frozen=True, kw_only=True)
class ExchangeFit:
    """Least-squares fit of V voxels.

    Parameters
    ----------
    log_values
        Logarithms of the parameters, shape (V, P).
    amplitude
        Scale of each series, shape (V, S).
    signal
        Z of the model, shape (V, N).
    jacobian
        Derivatives of Z in the logarithms, shape (V, N, P).
    known_jacobian
        Derivatives of Z in T1 [s], T2 [s], B1 and off-resonance [Hz], shape (V, N, 4).
    residual_sum
        Σ (signal - amplitude Z)², shape (V,).
    at_bound
        Which parameters ended at a bound, shape (V, P).
    settled
        Whether the iteration came to its end, shape (V,).
    """

    log_values: Values
    amplitude: Values
    signal: Values
    jacobian: Values
    known_jacobian: Values
    residual_sum: Values
    at_bound: NDArray[np.bool_]
    settled: NDArray[np.bool_]


def fit_exchange(
    signal: NDArray[np.floating],
    *,
    scan: ExchangeScan,
    known: KnownVoxels,
    start: NDArray[np.floating],
    threads: int = 1,
) -> ExchangeFit:
    """Fit the pools of every voxel.

    Parameters
    ----------
    signal
        Images of all series side by side, shape (V, N), of any scale but about the same noise (`input.series_scales`).
    scan
        Series and pools.
    known
        T1, T2, B1 and off-resonance of the voxels.
    start
        Fractions and rates to begin at, shape (V, P); moved inside the bounds if need be.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    ExchangeFit
        NaN where signal, start or a known map is not finite.
    """
    data = np.asarray(signal, dtype=np.float64)
    voxels, number = data.shape
    count, parameters = len(scan.parameters), (*scan.parameters, *KNOWN)
    low, high = (np.log(each) for each in bounds_of(scan))
    x = np.clip(np.log(np.asarray(start, dtype=np.float64)), low, high)
    z, slopes = np.full((voxels, number), np.nan), np.full((voxels, number, count + len(KNOWN)), np.nan)
    cost = np.full(voxels, np.nan)
    damping = np.full(voxels, 1e-3)
    settled = np.zeros(voxels, dtype=np.bool_)
    trial = x.copy()
    active = np.flatnonzero(np.isfinite(data).all(axis=1) & np.isfinite(x).all(axis=1))
    freedom = max(1, number - count - len(scan.protocols))
    for _ in range(ITERATIONS):
        if not active.size:
            break
        values = np.exp(trial[active])
        new, derivatives = exchange_jacobian(scan, values, known[active], parameters=parameters, threads=threads)
        derivatives[..., :count] *= values[:, None, :]
        price = scaled_model(data[active], new, derivatives[..., :count], scan=scan).cost
        better = ~(price >= cost[active])  # the first evaluation too, whose cost replaces NaN
        good = better & np.isfinite(price)
        taken = active[good]
        x[taken], cost[taken] = trial[taken], price[good]
        z[taken], slopes[taken] = new[good], derivatives[good]
        damping[active] = np.where(better, 0.1 * damping[active], 10.0 * damping[active] + 1e-6)
        active = active[np.isfinite(cost[active])]
        here = scaled_model(data[active], z[active], slopes[active][..., :count], scan=scan)
        gradient = np.einsum("vnp,vn->vp", here.projected, here.residual)
        held = ((x[active] <= low) & (gradient <= 0.0)) | ((x[active] >= high) & (gradient >= 0.0))
        information = np.einsum("vnp,vnq->vpq", here.projected, here.projected)
        step, promised = _step(information, gradient, held=held, damping=damping[active])
        noise = cost[active] / freedom
        done = promised <= np.maximum(SETTLED * noise, EXACT * np.einsum("vn,vn->v", data[active], data[active]))
        settled[active[done]] = True
        # Where damping has stopped every step there is nothing left to gain.
        stuck = damping[active] > 1e8
        trial[active] = np.clip(x[active] + step, low, high)
        active = active[~done & ~stuck]
    at_bound = (x <= low) | (x >= high)
    final = scaled_model(data, z, slopes[..., :count], scan=scan)
    return ExchangeFit(
        log_values=np.where(np.isfinite(cost)[:, None], x, np.nan),
        amplitude=final.amplitude,
        signal=z,
        jacobian=slopes[..., :count],
        known_jacobian=slopes[..., count:],
        residual_sum=final.cost,
        at_bound=at_bound,
        settled=settled,
    )


def best_of(fits: Sequence[ExchangeFit]) -> ExchangeFit:
    """Return of several fits of the same voxels that with the least misfit, voxel by voxel; the first where they are alike."""
    if len(fits) == 1:
        return fits[0]
    sums = np.stack([fit.residual_sum for fit in fits])
    chosen = np.argmin(np.where(np.isfinite(sums), sums, np.inf), axis=0)

    def of(name: str) -> NDArray[Any]:
        return np.stack([getattr(fit, name) for fit in fits])[chosen, np.arange(len(chosen))]

    return ExchangeFit(**{each.name: of(each.name) for each in fields(ExchangeFit)})


def fit_at(
    signal: NDArray[np.floating],
    *,
    scan: ExchangeScan,
    known: KnownVoxels,
    values: NDArray[np.floating],
    threads: int = 1,
) -> ExchangeFit:
    """Return model, scales and derivatives at given parameters (V, P), as `fit_exchange` does where it has settled."""
    count = len(scan.parameters)
    values = np.asarray(values, dtype=np.float64)
    z, slopes = exchange_jacobian(scan, values, known, parameters=(*scan.parameters, *KNOWN), threads=threads)
    slopes[..., :count] *= values[:, None, :]
    model = scaled_model(np.asarray(signal, dtype=np.float64), z, slopes[..., :count], scan=scan)
    return ExchangeFit(
        log_values=np.log(values),
        amplitude=model.amplitude,
        signal=z,
        jacobian=slopes[..., :count],
        known_jacobian=slopes[..., count:],
        residual_sum=model.cost,
        at_bound=np.zeros(values.shape, dtype=np.bool_),
        settled=np.ones(len(values), dtype=np.bool_),
    )


def _step(information: Values, gradient: Values, *, held: NDArray[np.bool_], damping: Values) -> tuple[Values, Values]:
    """Return the damped step and the gain that the undamped one promises, held parameters left where they are."""
    free = ~held
    both = free[:, :, None] & free[:, None, :]
    matrix = np.where(both, information, 0.0)
    diagonal = np.einsum("vpp->vp", information)
    floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    eye = np.eye(gradient.shape[1])
    pull = np.where(free, gradient, 0.0)
    scale = np.where(free, np.maximum(diagonal, floor), 1.0)
    damped = matrix + eye * (damping[:, None] * scale + np.where(free, floor, 1.0))[:, None, :]
    plain = matrix + eye * (RIDGE * scale + np.where(free, floor, 1.0))[:, None, :]
    step = np.linalg.solve(damped, pull[..., None])[..., 0]
    promised = np.einsum("vp,vp->v", pull, np.linalg.solve(plain, pull[..., None])[..., 0])
    longest = np.abs(step).max(axis=1, keepdims=True)
    return step * np.minimum(1.0, LARGEST_STEP / np.maximum(longest, 1e-300)), promised
