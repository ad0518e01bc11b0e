"""Whether volumes share their noise, as those do that were interpolated, averaged or denoised together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.scale import air_of

TYPICAL = 0.1
"""Median correlation of two volumes over the air up to which it holds noise: ghosts and folds are in all volumes."""

SHARED = 0.3
"""Correlation of two volumes beyond which they share noise: the mean of two has 0.7 with each, of three 0.6, noise 0.02."""


def check_shared_noise(volumes: NDArray[np.number], *, names: Sequence[str]) -> tuple[str, ...]:
    """Return a warning of pairs of volumes whose noise is not independent, where that of the others is.

    Parameters
    ----------
    volumes
        Magnitudes or complex values, shape (X, Y, Z, N).
    names
        Of the volumes.
    """
    number = volumes.shape[3]
    values = air_of(volumes) if number > 2 else None
    if values is None:
        return ()
    alike = np.abs(np.corrcoef(values.T))
    first, second = np.triu_indices(number, k=1)
    pairs = alike[first, second]
    if float(np.median(pairs)) > TYPICAL:
        return ()
    found = [index for index in np.argsort(-pairs) if pairs[index] > SHARED]
    if not found:
        return ()
    shown = ", ".join(f"{names[first[index]]} and {names[second[index]]} ({pairs[index]:.2f})" for index in found[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return (
        f"Volumes share their noise, which those of a scan do not (correlation of the air): {shown}{more}. Was "
        "one of them interpolated "
        "or averaged from others? What is computed from it, and its standard deviation, are then wrong.",
    )
