"""What a scan of a field holds: the map on its own grid, where it has values, and the image that shows where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.pipeline.sources import B1Run, Fieldmap
from qmri_bids.preprocessing.content.images import check_magnitudes
from qmri_bids.preprocessing.loading.files import read_image
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.scans.b1.scan import load_scan
from qmri_bids.scans.fieldmap.nodes import load_fieldmap

LARGEST_PHASE_STDEV = math.sqrt(2.0) / 3.0
"""Standard deviation of the difference of two phases [rad] up to which it follows from the noise: magnitudes of thrice that."""

FILLED = 0.5
"""Share of the air that is exactly 0 from which zeros of a map stand for no value."""


@dataclass(frozen=True, kw_only=True)
class LoadedField:
    """A scan of a field on its own grid.

    Parameters
    ----------
    maps
        `b1` (actual over nominal) or `off_resonance` [Hz], with `_stdev` where it is known, and `valid` where there is a value;
        shape (X, Y, Z).
    image
        Image on the same grid in which the head is found; B1 itself where the scan has no image.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    maps: Mapping[str, NDArray[np.generic]]
    image: NDArray[np.float32]
    affine: NDArray[np.float64]
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load_b1(scan: B1Run) -> LoadedField:
    """Read a B1 scan.

    Raises
    ------
    ContentError
        If its files hold no B1.
    """
    loaded = load_scan(scan)
    valid = np.isfinite(loaded.ratio) & (loaded.ratio > 0.0)
    if loaded.anatomical is not None:
        valid &= head_mask(loaded.anatomical)
    maps: dict[str, NDArray[np.generic]] = {"b1": loaded.ratio, "valid": valid}
    if loaded.stdev is not None:
        maps["b1_stdev"] = loaded.stdev
    return LoadedField(
        maps=maps,
        image=loaded.ratio if loaded.anatomical is None else loaded.anatomical,
        affine=loaded.affine,
        decisions=loaded.decisions,
        warnings=loaded.warnings,
    )


def load_b0(scan: Fieldmap) -> LoadedField:
    """Read a field map with its magnitude image.

    Raises
    ------
    ContentError
        If its files hold none.
    """
    if scan.magnitude is None:
        raise ValueError(f"{scan.path.name}: a field map that is mapped for itself needs a magnitude image")
    loaded = load_fieldmap(scan)
    image, _ = read_image(scan.magnitude)
    if image.ndim == 4:
        image = image.mean(axis=3)
    check_magnitudes(image, name=scan.magnitude.name)
    field = loaded.maps["off_resonance"]
    valid = np.isfinite(field)
    decisions = list(loaded.decisions)
    if scan.echo_times is None:
        filled = filled_with_zeros(field, head=head_mask(image))
        valid &= ~filled
        if filled.any():
            decisions.append(
                f"{scan.path.name} is 0 around the head: zeros that touch those of the air stand for no value, not for 0 Hz."
            )
    return LoadedField(
        maps={**loaded.maps, "valid": valid}, image=image, affine=loaded.affine, decisions=tuple(decisions)
    )


def filled_with_zeros(field: NDArray[np.floating], *, head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a map holds no value but the 0 with which its background was filled; nowhere where the air has values.

    Parameters
    ----------
    field
        Off-resonance [Hz], shape (X, Y, Z).
    head
        The head in its image.

    Examples
    --------
    >>> field = np.array([0.0, 0.0, 0.0, 5.0, 0.0, -4.0, 0.0, 0.0, 0.0]).reshape(9, 1, 1)
    >>> head = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0], dtype=bool).reshape(9, 1, 1)
    >>> filled_with_zeros(field, head=head).ravel().nonzero()[0].tolist()
    [0, 1, 2, 6, 7, 8]
    """
    from scipy import ndimage

    zero = field == 0.0
    if not np.any(~head) or np.mean(zero[~head]) < FILLED:
        return np.zeros(field.shape, dtype=bool)
    parts, _ = ndimage.label(zero)
    background = np.setdiff1d(np.unique(parts[zero & ~head]), [0])
    found: NDArray[np.bool_] = np.isin(parts, background)
    return found
