"""The noise of a long series from its weakest components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_VOLUMES = 12
"""Fewer volumes may all be signal."""

VOXELS_A_VOLUME = 50
"""With so many voxels for every volume the eigenvalues of pure noise lie within a third of one another."""

SHARE = 0.1
"""Share of the components, the weakest, that is taken for noise."""


def component_noise(signal: NDArray[np.floating]) -> float | None:
    """Return the standard deviation of one volume as the level of the weakest principal components of the series.

    Spectra of a head are smooth mixtures of a few shapes, varied by B0, B1 and tissue: they need far fewer components than there
    are volumes, and the weakest hold noise alone (the idea of Veraart et al., NeuroImage 142:394, 2016). What motion left between
    volumes adds to them: the level is that of the noise or above. On the simulated head at 4 mm it is 1.3 to 1.8 times the noise.

    Parameters
    ----------
    signal
        Magnitudes of brain voxels, shape (V, N).

    Returns
    -------
    float or None
        Standard deviation of the noise in the unit of the signal; None where volumes or voxels are too few.
    """
    usable = signal[np.isfinite(signal).all(axis=1)].astype(np.float64)
    voxels, number = usable.shape
    if number < FEWEST_VOLUMES or voxels < VOXELS_A_VOLUME * number:
        return None
    values = np.linalg.eigvalsh(usable.T @ usable / voxels)
    return float(np.sqrt(max(values[: max(2, round(SHARE * number))].mean(), 0.0)))
