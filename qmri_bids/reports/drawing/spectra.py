"""Mean spectra of regions and the mean of their fitted curves, as pictures of spectra take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.lines import lines

Values = NDArray[np.floating]

Band = tuple[Values, Values, Values]
"""Mean, lower and upper quartile of a spectrum, shape (K,) each."""

Curves = tuple[Values, Values, Mapping[str, Values]]
"""Offsets [ppm], the whole fit there, and the line of each pool (its saturation), shape (M,) each."""

LEAST_SHARE = 0.9
"""A mean over fewer of the voxels would be that of those whose shift of water reaches the offset."""

MOST_VOXELS = 2000
"""Voxels whose fitted curves are averaged at most."""


def mean_spectrum(spectra: Values) -> Band:
    """Return mean and quartiles over the voxels of a region; NaN where fewer than nine tenths of them have a value.

    Voxels without any value do not count.

    Parameters
    ----------
    spectra
        Z-spectra of the voxels, shape (V, K).
    """
    spectra = np.asarray(spectra, dtype=np.float64)
    mean, lower, upper = (np.full(spectra.shape[1], np.nan) for _ in range(3))
    spectra = spectra[np.isfinite(spectra).any(axis=1)]
    for column in range(spectra.shape[1]):
        finite = spectra[np.isfinite(spectra[:, column]), column]
        if finite.size and finite.size >= LEAST_SHARE * len(spectra):
            mean[column] = finite.mean()
            lower[column], upper[column] = np.percentile(finite, [25, 75])
    return mean, lower, upper


def mean_curves(
    parameters: Values,
    *,
    pools: Sequence[str],
    offsets: Values,
    broad: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> Curves | None:
    """Return the mean of the fitted curves of a region, and of the line of each pool.

    Parameters
    ----------
    parameters
        Parameters of `LorentzianFit`, shape (V, 1 + 3P); voxels with a value that is not finite are left out.
    pools
        Names of the P pools.
    offsets
        Measured offsets [ppm], shape (K,); the curves reach as far.
    broad
        Whether the line of a pool is super-Lorentzian; by default none is.

    Returns
    -------
    Curves or None
        None where no voxel was fitted.

    Raises
    ------
    ValueError
        If the parameters do not belong to the pools.
    """
    if parameters.ndim != 2 or parameters.shape[1] != 1 + 3 * len(pools):
        raise ValueError(
            f"parameters must have shape (V, {1 + 3 * len(pools)}) for {len(pools)} pools, found {parameters.shape}"
        )
    usable = np.flatnonzero(np.isfinite(parameters).all(axis=1))
    if not usable.size:
        return None
    chosen = parameters[usable[:: max(1, -(-usable.size // MOST_VOXELS))]].astype(np.float64)
    dense = _dense(np.asarray(offsets, dtype=np.float64))
    shapes, _, _ = lines(dense, chosen[:, 2::3], chosen[:, 3::3], [False] * len(pools) if broad is None else broad)
    mean = (chosen[:, None, 1::3] * shapes).mean(axis=0)
    total = chosen[:, 0].mean() - mean.sum(axis=1)
    return dense, total, {pool: mean[:, number] for number, pool in enumerate(pools)}


def asymmetry_of(offsets: Values, spectrum: Values) -> tuple[Values, Values]:
    """Return positive offsets that were measured on both sides, and Z(-offset) - Z(+offset) there.

    Nothing is interpolated: an offset without its opposite is left out.

    Examples
    --------
    >>> positive, asymmetry = asymmetry_of(np.array([-3.5, -2.0, 3.5]), np.array([0.7, 0.6, 0.66]))
    >>> positive.tolist(), asymmetry.round(2).tolist()
    ([3.5], [0.04])
    """
    positive, values = [], []
    for offset, value in sorted(zip(offsets.tolist(), spectrum.tolist(), strict=True)):
        nearest = int(np.argmin(np.abs(offsets + offset)))
        if offset > 0.0 and abs(offsets[nearest] + offset) < 1e-3:
            positive.append(offset)
            values.append(float(spectrum[nearest]) - value)
    return np.array(positive), np.array(values)


def _dense(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return offsets on which curves look smooth: even steps within 10 ppm, even ratios beyond."""
    low, high = float(offsets.min()), float(offsets.max())
    parts = [np.linspace(max(low, -10.0), min(high, 10.0), 401)]
    if low < -10.0:
        parts.insert(0, -np.geomspace(-low, 10.0, 60)[:-1])
    if high > 10.0:
        parts.append(np.geomspace(10.0, high, 60)[1:])
    return np.concatenate(parts)
