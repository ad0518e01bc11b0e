"""Reading the rigid transforms of a series, as `write.write_transforms` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.files.plain import UnreadableError, read_text

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

RIGID = 1e-4
"""A matrix that differs by more from a rotation is none."""


def read_transforms(path: Path) -> NDArray[np.float64]:
    """Return the rigid transforms in a text file of ITK.

    Parameters
    ----------
    path
        One `Parameters` line a transform, with `FixedParameters` of 0.

    Returns
    -------
    Array
        Shape (N, 4, 4), scanner coordinates (RAS) [mm].

    Raises
    ------
    ValueError
        If the file cannot be read, or one of them is no rigid transform.
    """
    try:
        lines = read_text(path).splitlines()
    except UnreadableError as error:
        raise ValueError(f"{path.name}: expected a text file of ITK transforms, found: {error}") from error
    found: list[NDArray[np.float64]] = []
    for line in lines:
        key, _, text = line.partition(":")
        if key == "Parameters":
            found.append(_matrix(text, name=f"{path.name}: transform {len(found)}"))
        elif key == "FixedParameters" and any(float(each) != 0.0 for each in text.split()):
            raise ValueError(f"{path.name}: expected FixedParameters of 0, found {text.strip()}")
    if not found:
        raise ValueError(f"{path.name}: expected transforms of ITK (Parameters: …), found none")
    return np.stack(found)


def _matrix(text: str, *, name: str) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(each) for each in text.split()])
    except ValueError as error:
        raise ValueError(f"{name}: expected numbers, found {text.strip()!r}") from error
    if numbers.size != 12 or not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name}: expected 12 finite numbers, found {text.strip()!r}")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = numbers[:9].reshape(3, 3), numbers[9:]
    rotation = matrix[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=RIGID) or np.linalg.det(rotation) < 0.0:
        raise ValueError(f"{name}: expected a rigid transform, found one that scales, shears or mirrors")
    return _RAS_TO_LPS @ matrix @ _RAS_TO_LPS
