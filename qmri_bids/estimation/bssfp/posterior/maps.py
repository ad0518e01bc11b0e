"""Posterior maps of a scan under a named prior: fit, noise and quadrature in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.bssfp.posterior.voxel import posterior
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.estimation.bssfp.relaxation import RelaxationMaps, relaxation_maps
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.priors.relaxation import PRIORS, Prior

POSTERIOR_MAPS = ("T1", "T2")

FARTHEST = 2.0
"""Standard deviations by which T1 or T2 of maximum likelihood may lie beyond the range of the prior.

Mixed with fluid, a voxel of tissue can be explained within a tissue prior, if badly, by a T1 that is far too short: the data do not
contradict the range as a pair, but each time by itself does.
"""


@dataclass(frozen=True, kw_only=True)
class PosteriorMaps:
    """Posterior mean and standard deviation of T1 and T2 [s], V voxels.

    Parameters
    ----------
    prior
        Key of `priors.relaxation.PRIORS`.
    mean, stdev
        Mean and standard deviation of T1 and T2 [s] by name of the map, float32, shape (V,); NaN where there is none.
    status
        `Status` codes, uint8, shape (V,): OUT_OF_RANGE where the data contradict the support of the prior.
    """

    prior: str
    mean: Mapping[str, NDArray[np.float32]]
    stdev: Mapping[str, NDArray[np.float32]]
    status: NDArray[np.uint8]

    def sentence(self) -> str:
        """Return what a reader must know of these maps, in one sentence."""
        estimated, missing = self.status.size, int(np.count_nonzero(self.status != Status.CONVERGED))
        outside = int(np.count_nonzero(self.status == Status.OUT_OF_RANGE))
        box = PRIORS[self.prior]
        t1, t2 = (" to ".join(f"{1e3 * bound:.0f}" for bound in bounds) for bounds in (box.t1, box.t2))
        return (
            f"Posterior maps under the prior '{self.prior}' (T1 {t1} ms, T2 {t2} ms) were computed beside the maps of the "
            f"estimator: a prior pulls values towards itself; {missing:,} of {estimated:,} voxels have no "
            f"posterior, {outside:,} of them because their T1 or T2 lies beyond the range of the prior."
        )


def beyond(maps: RelaxationMaps, variance: NDArray[np.floating], prior: Prior) -> NDArray[np.bool_]:
    """Return where T1 or T2 of maximum likelihood lies more than `FARTHEST` sd beyond the support of a prior, shape (V,)."""
    result = np.zeros(len(variance), dtype=np.bool_)
    with np.errstate(all="ignore"):
        for row, (low, high) in enumerate((prior.t1, prior.t2)):
            spread = maps.noise_gain[row] * np.sqrt(variance) / maps.values[row]
            distance = np.maximum(np.log(low / maps.values[row]), np.log(maps.values[row] / high))
            result |= distance > FARTHEST * spread
    return result


def posterior_maps(
    cycles: NDArray[np.complexfloating],
    *,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    prior: str,
    threads: int = 1,
) -> PosteriorMaps:
    """Compute the posterior of every voxel of a scan.

    Parameters
    ----------
    cycles
        Complex signal of all voxels, shape (V, N): the level of the noise is that of the whole scan.
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    prior
        Key of `priors.relaxation.PRIORS`.
    threads
        Threads of the compiled kernels; the result does not depend on it.
    """
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment, threads=threads)
    usable = fit.converged & np.isfinite(fit.signal_sum) & (fit.signal_sum > 0.0)
    noise = moderated_variance(np.where(usable, fit.residual_sum, np.nan), fit.freedom)
    found = posterior(
        fit,
        variance=np.where(usable, noise.variance, np.nan),
        b1=b1,
        protocol=protocol,
        prior=PRIORS[prior],
        freedom=noise.freedom,
        threads=threads,
    )
    maps = relaxation_maps(fit, b1=b1, protocol=protocol)
    found.status[beyond(maps, noise.variance, PRIORS[prior]) & (found.status == Status.CONVERGED)] = Status.OUT_OF_RANGE
    marginals = dict(zip(POSTERIOR_MAPS, (found.t1, found.t2), strict=True))
    good = found.status == Status.CONVERGED

    def masked(values: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.where(good, values, np.nan).astype(np.float32)

    return PosteriorMaps(
        prior=prior,
        mean={name: masked(each.mean) for name, each in marginals.items()},
        stdev={name: masked(each.stdev) for name, each in marginals.items()},
        status=found.status,
    )
