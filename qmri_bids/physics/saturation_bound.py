r"""Cramér-Rao bound of pool fractions and exchange rates: the smallest standard deviation that an unbiased estimator can have.

The noise is Gaussian, independent and equal in all images. Unknown are the parameters and the scale M0 of each series; the known
maps are exact. With the signal M_s Z(p) in the images of series s, the scales drop out of the Fisher information when the
derivatives of Z are projected off Z itself, series by series:

.. math::
    I = \sum_s \frac{M_s^2}{\sigma^2} J_s^T\Big(1 - \frac{Z_s Z_s^T}{Z_s^T Z_s}\Big) J_s

Source: Kay, Fundamentals of Statistical Signal Processing: Estimation Theory (1993), section 3.9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_jacobian, scaled_model

Values = NDArray[np.float64]

SMALLEST_SHARE = 1e-13
"""Least eigenvalue of the normalised information over its largest: below, the images do not tell the parameters apart."""

BLOCK = 16_384
"""Voxels whose derivatives are in memory at a time."""


def unit_covariance(signal: Values, jacobian: Values, *, scan: ExchangeScan) -> Values:
    """Return the covariance of the parameters for noise of unit standard deviation, M0 = 1 and unknown scales.

    Parameters
    ----------
    signal, jacobian
        Z and its derivatives in the parameters, shape (V, N) and (V, N, P).
    scan
        Which images share a scale.

    Returns
    -------
    array
        Shape (V, P, P): the bound once it is multiplied by the variance of the noise. Infinite on the diagonal and NaN beside it
        where the images do not tell the parameters apart; NaN where the signal has no value.
    """
    free = scaled_model(signal, signal, jacobian, scan=scan).projected
    # In units of their own length the columns are comparable: fractions and rates differ by five orders of magnitude.
    length = np.sqrt(np.einsum("vnp,vnp->vp", free, free))
    number = jacobian.shape[2]
    covariance = np.full((len(signal), number, number), np.nan)
    seen = np.isfinite(length).all(axis=1)
    covariance[seen] = np.where(np.eye(number, dtype=bool), np.inf, np.nan)
    usable = seen & (length > 0.0).all(axis=1)
    scale = length[usable][:, :, None] * length[usable][:, None, :]
    information = np.matmul(free[usable].swapaxes(1, 2), free[usable]) / scale
    eigenvalues = np.linalg.eigvalsh(information)
    regular = eigenvalues[:, 0] > SMALLEST_SHARE * eigenvalues[:, -1]
    usable[usable] = regular
    covariance[usable] = np.linalg.inv(information[regular]) / scale[regular]
    return covariance


def exchange_bound(
    scan: ExchangeScan,
    values: NDArray[np.floating],
    known: KnownVoxels,
    *,
    noise_stdev: float,
    threads: int = 1,
) -> Values:
    """Return the smallest standard deviation of each parameter.

    Parameters
    ----------
    scan
        Series and pools.
    values
        True fractions and rates [1/s] in the order of `ExchangeScan.parameters`, shape (V, P).
    known
        Maps of the voxels, taken as exact.
    noise_stdev
        Standard deviation of the noise of one image in units of M0.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    array
        Shape (V, P), in the units of `values`; infinite where the images do not tell the parameters apart.

    Examples
    --------
    >>> from qmri_bids.physics.pools import PoolModel
    >>> from qmri_bids.physics.published_pools import MT, PUBLISHED_POOLS
    >>> from qmri_bids.physics.saturation_presets import mrf_mt
    >>> scan = ExchangeScan(protocols=(mrf_mt(),), model=PUBLISHED_POOLS, pools=(MT,))
    >>> one = np.ones(1)
    >>> known = KnownVoxels(t1=one, t2=0.07 * one, b1=one, off_resonance=0.0 * one)
    >>> bound = exchange_bound(scan, np.array([[0.1, 30.0]]), known, noise_stdev=0.01)
    >>> (bound / [0.1, 30.0]).round(2).tolist()
    [[0.06, 0.17]]
    """
    bound = np.empty(np.shape(values))
    for begin in range(0, len(bound), BLOCK):
        part = slice(begin, begin + BLOCK)
        signal, jacobian = exchange_jacobian(
            scan, values[part], known[part], parameters=scan.parameters, threads=threads
        )
        variance = np.diagonal(unit_covariance(signal, jacobian, scan=scan), axis1=1, axis2=2)
        bound[part] = noise_stdev * np.sqrt(variance)
    return bound
