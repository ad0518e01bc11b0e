"""What voxels a little apart leave in common of a fit: noise knows nothing of its neighbours, what a model lacks does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

APART = 2
"""Voxels between two residuals that are compared: k-space that was tapered, and motion that was corrected, make next neighbours
alike."""

FEWEST_PAIRS = 800
"""Pairs below which an image tells nothing; each is counted from both of its voxels."""

AROUND = 5
"""Edge of the box about a voxel over which its own share is averaged [voxels]."""

FEWEST_AROUND = 40
"""Pairs counted in that box below which the voxel tells nothing."""


def shared_over_noise(residual: NDArray[np.inexact], *, counted: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """Return the residual that voxels a little apart have in common over what they have not.

    Parameters
    ----------
    residual
        Signal minus model, real or complex, of the voxels that count, shape (C, N).
    counted
        Which of the V voxels inside these are, shape (V,), C of them True.
    inside
        Where in the image the voxels lie, shape (X, Y, Z), V of them True.

    Returns
    -------
    float
        Ratio of root mean squares; NaN where there are too few pairs of voxels.
    """
    product, pairs = _products(residual, places=_places(counted, inside))
    number = int(pairs.sum())
    if number < FEWEST_PAIRS:
        return math.nan
    total = float(np.sum(np.abs(residual) ** 2, dtype=np.float64)) / len(residual)
    return float(_ratio(np.asarray(product.sum(dtype=np.float64) / number), np.asarray(total)))


def locally_shared(
    residual: NDArray[np.inexact], *, counted: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the same about every voxel that counts, shape (C,); NaN where too few pairs lie around it."""
    places = _places(counted, inside)
    product, pairs = _products(residual, places=places)
    here = places >= 0
    power = np.asarray(np.sum(np.abs(residual) ** 2, axis=1, dtype=np.float64))

    def around(values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the sum over the box about every voxel that counts, in the order of the residual."""
        image = np.zeros(inside.shape)
        image[here] = values[places[here]]
        summed = uniform_filter(image, size=AROUND, mode="constant") * AROUND**inside.ndim
        found = np.empty(len(values))
        found[places[here]] = summed[here]
        return found

    number = around(pairs.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = _ratio(around(product) / number, around(power) / around(np.ones(len(power))))
    return np.where(number < FEWEST_AROUND - 0.5, np.nan, ratio)


def _places(counted: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the image of the row of every voxel that counts; -1 elsewhere."""
    image = np.full(inside.shape, -1, dtype=np.int64)
    rows = np.full(len(counted), -1, dtype=np.int64)
    rows[counted] = np.arange(np.count_nonzero(counted))
    image[inside] = rows
    return image


def _products(
    residual: NDArray[np.inexact], *, places: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the products with the voxels `APART` away on each axis, summed, and how many they are, shape (C,) each."""
    product, pairs = np.zeros(len(residual)), np.zeros(len(residual), dtype=np.int64)
    for axis in range(places.ndim):
        moved = np.moveaxis(places, axis, 0)
        first, second = moved[:-APART].ravel(), moved[APART:].ravel()
        both = (first >= 0) & (second >= 0)
        one, other = first[both], second[both]
        found = np.sum(residual[one] * residual[other].conj(), axis=1).real
        for rows in (one, other):
            product[rows] += found
            pairs[rows] += 1
    return product, pairs


def _ratio(shared: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of power that is shared over power that is not."""
    held = np.maximum(shared, 0.0)
    return np.sqrt(held / np.maximum(np.maximum(total - held, 1e-12 * total), 1e-300))
