"""From the files of a scan to complex phase cycles: the scale of phase, and the four ways to store parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.images import ContentError, check_finite
from qmri_bids.preprocessing.loading.files import check_grid, read_image


@dataclass(frozen=True, kw_only=True)
class CycleSeries:
    """The complex phase cycles of a scan.

    Parameters
    ----------
    cycles
        complex64, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    has_phase
        False if only magnitudes were given: the phase of `cycles` is then zero everywhere and means nothing.
    decisions
        What was decided while reading, as sentences.
    """

    cycles: NDArray[np.complex64]
    affine: NDArray[np.float64]
    has_phase: bool
    decisions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _PhaseScale:
    """A way to store phase: values from `low` to `high` are (value - `zero`)·`factor` radians."""

    name: str
    low: tuple[float, float]
    high: tuple[float, float]
    zero: float
    factor: float


_TURN = 2.0 * math.pi
_ROUNDING = 1e-3
_SCALES = (
    _PhaseScale(name="radians", low=(-_TURN - _ROUNDING, 0.0), high=(0.0, _TURN + _ROUNDING), zero=0.0, factor=1.0),
    _PhaseScale(name="Siemens 0..4095", low=(0.0, 200.0), high=(3900.0, 4096.0), zero=2048.0, factor=math.pi / 2048.0),
    _PhaseScale(
        name="Siemens -4096..4095",
        low=(-4096.0, -3900.0),
        high=(3900.0, 4096.0),
        zero=0.0,
        factor=math.pi / 4096.0,
    ),
    _PhaseScale(
        name="milliradians (GE, -3142..3142)",
        low=(-3143.0, -2900.0),
        high=(2900.0, 3143.0),
        zero=0.0,
        factor=1e-3,
    ),
    _PhaseScale(
        name="π in 500 (Philips, -1571..1571)", low=(-1572.0, -1450.0), high=(1450.0, 1572.0), zero=0.0, factor=2e-3
    ),
    _PhaseScale(name="degrees -180..180", low=(-180.5, -165.0), high=(165.0, 180.5), zero=0.0, factor=math.pi / 180.0),
    _PhaseScale(name="degrees 0..360", low=(0.0, 15.0), high=(345.0, 360.5), zero=0.0, factor=math.pi / 180.0),
    _PhaseScale(
        name="all of 16 bits (-32768..32767)",
        low=(-32768.0, -31000.0),
        high=(31000.0, 32768.0),
        zero=0.0,
        factor=math.pi / 32768.0,
    ),
)
"""The scales that are recognised by the smallest and the largest value of the whole series."""


def _scale_of(low: float, high: float, scales: Sequence[_PhaseScale] = _SCALES) -> _PhaseScale | None:
    for scale in scales:
        if scale.low[0] <= low <= scale.low[1] and scale.high[0] <= high <= scale.high[1]:
            return scale
    return None


def name_of_scale(low: float, high: float) -> str:
    """Return the name of the scale of a phase by its smallest and largest value; empty where it is none that is known.

    Examples
    --------
    >>> name_of_scale(-4096.0, 4094.0), name_of_scale(-12288.0, 4092.0)
    ('Siemens -4096..4095', '')
    """
    scale = _scale_of(low, high)
    return "" if scale is None else scale.name


def phase_to_radians(phase: NDArray[Any], *, units: str) -> tuple[NDArray[np.float32], str]:
    """Map a stored phase to [-π, π].

    Parameters
    ----------
    phase
        Phase as stored, after the rescale slope and intercept of the file; any shape. All volumes of a
        series together, so that its extremes are reached.
    units
        The BIDS key `Units`: `rad` or `arbitrary`.

    Returns
    -------
    radians, decision
        float32 in [-π, π], same shape, and the sentence that says which scale was taken and why.

    Raises
    ------
    ValueError
        If the units are unknown, the values are not finite, or their range fits no known scale.

    Examples
    --------
    >>> radians, decision = phase_to_radians(np.array([-4096.0, 0.0, 2048.0, 4094.0]), units="arbitrary")
    >>> [round(float(angle), 3) for angle in radians]
    [-3.142, 0.0, 1.571, 3.14]
    """
    if units not in ("rad", "arbitrary"):
        raise ValueError(
            f"Units of the phase images must be 'rad' or 'arbitrary', found {units!r}; correct the sidecar"
        )
    if phase.size == 0 or not np.all(np.isfinite(phase)):
        raise ContentError("the phase images hold values that are not finite (NaN or infinite); export them again")
    low, high = float(phase.min()), float(phase.max())
    if low == high:
        raise ContentError(f"the phase images are constant ({low:g}): no phase was stored in them")
    candidates = _SCALES[:1] if units == "rad" else _SCALES
    scale = _scale_of(low, high, candidates)
    if scale is None:
        expected = ", ".join(scale.name for scale in candidates)
        raise ContentError(
            f"the phase images (Units: {units}) hold values from {low:g} to {high:g}; expected one of: "
            f"{expected}; correct Units in the sidecar or convert the phase to radians"
        )
    # A complex exponential wraps to the circle without a special case at ±π.
    radians = (np.asarray(phase, dtype=np.float32) - np.float32(scale.zero)) * np.float32(scale.factor)
    if low < -math.pi or high > math.pi:
        radians = np.where(np.abs(radians) > np.float32(np.pi), np.angle(np.exp(1j * radians)), radians)
    decision = f"Phase (Units: {units}) spans {low:g} to {high:g} and was read as {scale.name}."
    return radians.astype(np.float32, copy=False), decision


def load_cycles(
    *,
    magnitude: tuple[Path, ...] = (),
    phase: tuple[Path, ...] = (),
    real: tuple[Path, ...] = (),
    imaginary: tuple[Path, ...] = (),
    complex_: tuple[Path, ...] = (),
    phase_units: str | None = None,
    volumes: Sequence[int] = (),
) -> CycleSeries:
    """Read phase cycles stored as magnitude and phase, real and imaginary, complex, or magnitude alone.

    Parameters
    ----------
    magnitude, phase, real, imaginary, complex_
        Files of each part: one 4D file, or one 3D file for every cycle in the order of the cycles. The
        rescale slope and intercept of the files are applied.
    phase_units
        The BIDS key `Units` of the phase files; required with `phase`.
    volumes
        Indices of the cycles that are used, in this order; all by default. What the others hold does not matter.

    Returns
    -------
    CycleSeries
        The complex cycles in the order of the files.

    Raises
    ------
    ValueError
        If the parts given make no complex image, a file cannot be read, shapes or affines differ, or magnitudes are negative or
        not finite.
    """
    parts = {
        name: paths
        for name, paths in {
            "magnitude": magnitude,
            "phase": phase,
            "real": real,
            "imaginary": imaginary,
            "complex": complex_,
        }.items()
        if paths
    }
    given = tuple(parts)
    allowed = {("magnitude", "phase"), ("real", "imaginary"), ("complex",), ("magnitude",)}
    if given not in allowed:
        raise ValueError(
            "expected magnitude and phase, real and imaginary, complex, or magnitude files, found "
            f"{' and '.join(given) if given else 'none'}"
        )
    arrays: dict[str, NDArray[Any]] = {}
    affine: NDArray[np.float64] | None = None
    first: Path | None = None
    for name, paths in parts.items():
        arrays[name], part_affine = _read_part(paths, dtype=np.complex64 if name == "complex" else np.float32)
        if affine is None or first is None:
            affine, first = part_affine, paths[0]
        check_grid(
            paths[0],
            arrays[name].shape,
            part_affine,
            first=first,
            first_shape=arrays[given[0]].shape,
            first_affine=affine,
        )
    assert affine is not None
    if volumes:
        arrays = {name: values[..., list(volumes)] for name, values in arrays.items()}
    _check_values(arrays, parts, volumes)
    if given == ("magnitude", "phase"):
        if phase_units is None:
            raise ValueError(f"{phase[0]}: the sidecar has no key Units; expected 'rad' or 'arbitrary'")
        radians, decision = phase_to_radians(arrays["phase"], units=phase_units)
        cycles = arrays["magnitude"] * np.exp(1j * radians)
        decisions = (decision,)
    elif given == ("real", "imaginary"):
        cycles = arrays["real"] + 1j * arrays["imaginary"]
        decisions = ("Complex cycles were composed of real and imaginary images.",)
    elif given == ("complex",):
        cycles = arrays["complex"]
        decisions = ("Complex cycles were read from complex images.",)
    else:
        cycles = arrays["magnitude"]
        decisions = ("Only magnitude images were found: the phase is not known, and no method that needs it can run.",)
    return CycleSeries(
        cycles=cycles.astype(np.complex64, copy=False),
        affine=affine,
        has_phase=given != ("magnitude",),
        decisions=decisions,
    )


def _check_values(
    arrays: Mapping[str, NDArray[Any]], parts: Mapping[str, tuple[Path, ...]], volumes: Sequence[int]
) -> None:
    """Refuse values that no image of its part has; the message names file and cycle."""
    for name, values in arrays.items():
        for index in range(values.shape[3]):
            cycle, paths = (volumes[index] if volumes else index), parts[name]
            shown = f"{paths[cycle if len(paths) > 1 else 0]}: cycle {cycle + 1}"
            if name == "magnitude" and values[..., index].min() < 0.0:
                raise ContentError(
                    f"{shown}: expected magnitudes, found negative values down to {values[..., index].min():g}: are magnitude and "
                    "phase exchanged? Name the files by what they hold"
                )
            if name != "phase":
                check_finite(values[..., index], name=shown, what="an image")
                continue
            magnitude = arrays["magnitude"][..., index]
            if np.ptp(values[..., index]) == 0.0 and np.ptp(magnitude) > 0.0:
                raise ContentError(
                    f"{shown}: the phase is {values.flat[0]:g} everywhere, though the magnitude is an image: convert it again"
                )


def _read_part(paths: tuple[Path, ...], *, dtype: type) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return one part of shape (X, Y, Z, N) and its affine."""
    first, affine = read_image(paths[0], dtype=dtype)
    if len(paths) == 1:
        if first.ndim != 4:
            raise ContentError(
                f"{paths[0]}: expected 4 dimensions (x, y, z, phase cycles), found the shape {first.shape}"
            )
        return first, affine
    volumes: list[NDArray[Any]] = []
    for path in paths:
        volume, volume_affine = read_image(path, dtype=dtype)
        if volume.ndim != 3:
            raise ContentError(f"{path}: one file for each cycle needs 3 dimensions, found the shape {volume.shape}")
        if volumes:
            check_grid(
                path,
                volume.shape,
                volume_affine,
                first=paths[0],
                first_shape=volumes[0].shape,
                first_affine=affine,
            )
        volumes.append(volume)
    return np.stack(volumes, axis=-1), affine
