"""Off-resonance from the phase of two echoes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.complex_data import phase_to_radians
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.loading.b1 import air_noise
from qmri_bids.preprocessing.loading.files import read_image
from qmri_bids.preprocessing.loading.maps import LoadedMaps
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.unwrapping import unwrap_off_resonance


def load_phase_map(
    *,
    phases: tuple[Path, ...],
    units: Literal["rad", "arbitrary"],
    echo_times: tuple[float, float],
    magnitude: Path,
) -> LoadedMaps:
    """Compute off-resonance from the difference of two phases, unwrapped in the head.

    Parameters
    ----------
    phases
        The difference, or the phase of both echoes.
    units
        The BIDS key `Units` of the phases.
    echo_times
        [s].
    magnitude
        Image on the same grid.

    Returns
    -------
    LoadedMaps
        `off_resonance` [Hz], NaN outside of the head, with `off_resonance_stdev` where the noise is known.
    """
    radians, decisions = [], []
    for path in phases:
        stored, affine = _read(path)
        phase, said = phase_to_radians(stored, units=units)
        radians.append(phase)
        decisions.append(f"{path.name}: {said}")
    difference = np.angle(np.exp(1j * (radians[1] - radians[0]))) if len(radians) == 2 else radians[0]
    image, _ = _read(magnitude)
    head = head_mask(image)
    per_radian = 1.0 / (2.0 * math.pi * (echo_times[1] - echo_times[0]))
    field, unwrapped = unwrap_off_resonance(
        np.where(head, per_radian * difference, np.nan), period=2.0 * math.pi * per_radian
    )
    maps: dict[str, NDArray[np.float32]] = {"off_resonance": field}
    noise = air_noise(image, head=head)
    if noise is not None:
        # Phase noise of one echo is noise over magnitude; the difference has that of both.
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = per_radian * math.sqrt(2.0) * noise / image
        maps["off_resonance_stdev"] = np.where(head, spread, np.nan).astype(np.float32)
    return LoadedMaps(maps=maps, affine=affine, decisions=(*decisions, *unwrapped))


def load_field_map(path: Path, *, hertz: float) -> LoadedMaps:
    """Read a map of off-resonance.

    Parameters
    ----------
    path
        The map.
    hertz
        Hz per stored value.

    Raises
    ------
    ContentError
        If it has no value.
    """
    stored, affine = _read(path)
    if not np.isfinite(stored).any():
        raise ContentError(f"{path}: expected a map, found no value in it")
    values = np.where(np.isfinite(stored), np.float32(hertz) * stored, np.float32(np.nan))
    said = () if hertz == 1.0 else (f"{path.name} was converted to Hz (stored value × {hertz:.6g}).",)
    return LoadedMaps(maps={"off_resonance": values.astype(np.float32)}, affine=affine, decisions=said)


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, affine = read_image(path)
    if values.ndim != 3:
        raise ContentError(f"{path}: expected one volume, found shape {values.shape}")
    return values, affine
