"""How alike two images are, whatever their contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mutual_information(first: NDArray[np.floating], second: NDArray[np.floating], bins: int = 32) -> float:
    """Return the mutual information of two images of the same shape [nat]."""
    joint, gain = _joint(first, second, bins)
    return float(np.sum(joint * gain))


def pointwise_information(
    first: NDArray[np.floating], second: NDArray[np.floating], bins: int = 32
) -> NDArray[np.float64]:
    """Return what every voxel adds to the mutual information of two images [nat], their shape; its mean is that of both."""
    _, gain = _joint(first, second, bins)
    at = [_bin(image, bins) for image in (first, second)]
    return gain[at[0], at[1]].reshape(first.shape)


def _joint(
    first: NDArray[np.floating], second: NDArray[np.floating], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the joint histogram, and by how much its cells are fuller than if the images had nothing in common [nat]."""
    counts, _, _ = np.histogram2d(first.ravel(), second.ravel(), bins=bins)
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    gain = np.zeros_like(joint)
    positive = joint > 0
    gain[positive] = np.log(joint[positive] / product[positive])
    return joint, gain


def _bin(image: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """Return the cell of the histogram of every value."""
    edges = np.histogram_bin_edges(image, bins)
    return np.clip(np.searchsorted(edges, image.ravel(), side="right") - 1, 0, bins - 1)
