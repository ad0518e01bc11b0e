"""How alike two images are, whatever their contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mutual_information(first: NDArray[np.floating], second: NDArray[np.floating], bins: int = 32) -> float:
    """Return the mutual information of two images of the same shape [nat]."""
    counts, _, _ = np.histogram2d(first.ravel(), second.ravel(), bins=bins)
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    positive = joint > 0
    return float(np.sum(joint[positive] * np.log(joint[positive] / product[positive])))
