"""Saturated images from arrays: protocols in ppm, microtesla and seconds, WASABI and WASSR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qmri_bids.api.arrays import (
    Given,
    Selection,
    count,
    given,
    noise_level,
    not_negative,
    number,
    one_of,
    seconds,
    series,
    times_of,
    truth_value,
)
from qmri_bids.api.result import Result
from qmri_bids.api.water import check_wasabi, check_wassr
from qmri_bids.estimation.b0_maps import B0Maps, wasabi_maps, wassr_maps
from qmri_bids.estimation.base import Status
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol, Start
from qmri_bids.scans.cest.kind import NEAR_WATER
from qmri_bids.units import microtesla_to_tesla, ppm_to_hertz

PULSES = ("block", "gauss", "sinc-gauss")
"""Shapes of a saturation pulse."""

LARGEST_POWER = 100.0
"""B1 [µT]: tesla are smaller than `SMALLEST_POWER`, hertz larger than this."""
SMALLEST_POWER = 1e-3

LONGEST = 60.0
"""Saturation and recovery [s]; milliseconds are larger numbers."""


def cest_protocol(
    offsets: ArrayLike,
    *,
    b1: Any,
    duration: float,
    field_strength: float,
    pulse: str = "block",
    pulses: int = 1,
    gap: float = 0.0,
    recovery: float = 0.0,
    m0: Sequence[int] | None = None,
    continued: bool = False,
) -> SaturationProtocol:
    """Return a protocol of saturated images.

    Parameters
    ----------
    offsets
        Frequency offset of each image from water [ppm], positive downfield; NaN of images without saturation.
    b1
        Root mean square of B1 over pulse and gap [µT]: one number, or one for each image.
    duration
        Duration of one pulse [s].
    field_strength
        B0 [T].
    pulse
        `block`, `gauss` or `sinc-gauss`.
    pulses, gap
        Number of pulses, and the time between them [s].
    recovery
        Free recovery before the saturation of each image [s].
    m0
        Indices of the images that normalise the others; those without saturation by default.
    continued
        Whether each image begins where the one before ended (with `recovery` in between), as in fingerprints; otherwise from full
        relaxation.

    Raises
    ------
    ValueError
        If a number has no physical meaning or another unit.

    Examples
    --------
    >>> import qmri_bids as q
    >>> protocol = q.cest_protocol([float("nan"), -3.5, 0.0, 3.5], b1=2.0, duration=2.0, field_strength=3.0)
    >>> protocol.number_of_images, protocol.m0_images
    (4, (0,))
    """
    found = given(offsets, name="offsets").values
    if np.iscomplexobj(found):
        raise ValueError("offsets: expected real numbers in ppm, found complex ones: correct it")
    places = np.asarray(found, dtype=float)
    truth_value(continued, name="continued")
    if places.ndim != 1 or not places.size or np.isinf(places).any():
        raise ValueError(
            f"offsets: expected one number in ppm for each image, NaN without saturation, found {places!r}"
        )
    if float(np.nanmax(np.abs(places), initial=0.0)) > 2000.0:
        raise ValueError(f"offsets: expected ppm, found {np.nanmax(np.abs(places)):g}: are they in Hz?")
    powers = np.asarray(times_of(b1, len(places), name="b1"))
    if not np.isfinite(powers[~np.isnan(places)]).all():
        raise ValueError(f"b1: expected a finite number in microtesla for each image with saturation, found {b1!r}")
    strongest = float(np.nanmax(np.abs(powers), initial=0.0))
    if not (np.nanmin(powers) >= 0.0 and SMALLEST_POWER < strongest < LARGEST_POWER):
        raise ValueError(f"b1: expected microtesla, found {strongest:g} as the largest: is it in tesla or Hz?")
    one_of(pulse, PULSES, name="pulse")
    length = seconds(duration, name="duration", longest=LONGEST)
    number_of_pulses = count(pulses, name="pulses")
    pause = not_negative(gap, name="gap", unit="seconds")
    free = not_negative(recovery, name="recovery", unit="seconds")
    for name, time in (("gap", pause), ("recovery", free)):
        if time:
            seconds(time, name=name, longest=LONGEST)
    field = number(field_strength, name="field_strength", expected="one number in tesla")
    normalising = set(np.flatnonzero(np.isnan(places)).tolist()) if m0 is None else _indices(m0, number=len(places))
    _check_hertz([offset for index, offset in enumerate(places.tolist()) if index not in normalising], field=field)
    images = []
    for index, (offset, power) in enumerate(zip(places.tolist(), powers.tolist(), strict=True)):
        played = None
        if not np.isnan(offset) and power > 0.0:
            played = _train(
                pulse, b1_rms=microtesla_to_tesla(power), duration=length, number=number_of_pulses, gap=pause
            )
        images.append(
            SaturatedImage(
                saturation=played,
                offset=None if played is None else offset,
                recovery=free,
                is_m0=index in normalising,
            )
        )
    return SaturationProtocol(
        field_strength=field, images=tuple(images), start=Start.PREVIOUS if continued else Start.RELAXED
    )


def _check_hertz(offsets: Sequence[float], *, field: float) -> None:
    """Refuse offsets of which more than half lie where files are refused, too: far from water.

    Raises
    ------
    ValueError
        If they do.
    """
    distances = sorted(abs(offset) for offset in offsets if not np.isnan(offset))
    # Of two the nearer: beside one solute there may be an image that normalises and is not named so.
    middle = distances[(len(distances) - 1) // 2] if distances else 0.0
    if middle > NEAR_WATER:
        hertz_per_ppm = ppm_to_hertz(1.0, field_strength=field)
        raise ValueError(
            f"offsets: expected ppm, within {NEAR_WATER:g} of water for half of the saturated images, found a median distance of "
            f"{middle:g}: if they are in Hz, divide them by {hertz_per_ppm:.5g}; name images that normalise in m0"
        )


def _indices(m0: Any, *, number: int) -> set[int]:
    """Return the indices of images that normalise.

    Raises
    ------
    ValueError
        If they are no indices of `number` images.
    """
    values = np.atleast_1d(given(m0, name="m0").values)
    whole = values.ndim == 1 and (not values.size or values.dtype.kind in "iu")
    if not whole or any(not 0 <= index < number for index in values.tolist()):
        raise ValueError(
            f"m0: expected indices of images, whole numbers from 0 to {number - 1}, found {m0!r}: correct them"
        )
    return set(values.astype(int).tolist())


def _train(shape: str, *, b1_rms: float, duration: float, number: int, gap: float) -> Saturation:
    """Return a train of pulses of a root mean square over pulse and gap [T]."""
    makes: dict[str, Callable[[float], Pulse]] = {
        "block": lambda size: Pulse.block(amplitude=size, duration=duration),
        "gauss": lambda size: Pulse.gauss(mean_amplitude=size, duration=duration),
        "sinc-gauss": lambda size: Pulse.sinc_gauss(mean_amplitude=size, duration=duration),
    }
    unit = Saturation(pulse=makes[shape](1e-6), number=number, gap=gap)
    return Saturation(pulse=makes[shape](1e-6 * b1_rms / unit.b1_rms), number=number, gap=gap)


def fit_wasabi(
    images: Any, protocol: SaturationProtocol, *, noise: float | None = None, mask: Any = None, threads: int = 1
) -> Result:
    """Map B0 and B1 of a WASABI series (Schuenke et al., MRM 77:571, 2017).

    Parameters
    ----------
    images
        Magnitudes, shape (..., N), one image after the other along the last axis.
    protocol
        One image a volume (`cest_protocol`): one block, and at least one image that normalises.
    noise
        Standard deviation of one image; from the series by default.
    mask
        Where to estimate, shape (...).
    threads
        The result does not depend on it.

    Returns
    -------
    Result
        `off_resonance` [Hz] and `b1` (1 where nominal).

    Raises
    ------
    ValueError
        If the protocol is no WASABI (one block of at most 20 ms above 1 µT, offsets on both sides of water), or arrays do not
        belong together.
    """
    check_protocol(protocol)
    check_wasabi(protocol)
    return _b0_result(wasabi_maps, images, protocol, noise=noise, mask=mask, threads=threads)


def fit_wassr(
    images: Any, protocol: SaturationProtocol, *, noise: float | None = None, mask: Any = None, threads: int = 1
) -> Result:
    """Map B0 of a WASSR series (Kim et al., MRM 61:1441, 2009); arguments as of `fit_wasabi`.

    Returns
    -------
    Result
        `off_resonance` [Hz].

    Raises
    ------
    ValueError
        If the protocol is no WASSR (at most 0.5 µT, offsets on both sides of water within 2.5 ppm), or arrays do not belong
        together.
    """
    check_protocol(protocol)
    check_wassr(protocol)
    return _b0_result(wassr_maps, images, protocol, noise=noise, mask=mask, threads=threads)


def _b0_result(
    estimate: Callable[..., B0Maps],
    images: Any,
    protocol: SaturationProtocol,
    *,
    noise: float | None,
    mask: Any,
    threads: int,
) -> Result:
    found, chosen, signal = magnitudes(images, protocol, mask=mask)
    maps = estimate(
        signal,
        protocol=protocol,
        roles=roles_of(protocol),
        noise=noise_level(noise),
        threads=count(threads, name="threads"),
    )
    return Result(
        maps={name: found.as_given(chosen.whole(values)) for name, (values, _) in maps.maps.items()},
        stdev={
            name: found.as_given(chosen.whole(spread)) for name, (_, spread) in maps.maps.items() if spread is not None
        },
        status=found.as_given(chosen.whole(maps.status, fill=Status.OUTSIDE)),
        units={name: "Hz" if name == "off_resonance" else "" for name in maps.maps},
        decisions=(*maps.decisions, *maps.warnings),
        like=found,
    )


def check_protocol(protocol: Any) -> None:
    """Refuse what is no protocol of saturated images.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(protocol, SaturationProtocol):
        raise ValueError(f"protocol: expected a protocol of cest_protocol, found {type(protocol).__name__}: make one")


def roles_of(protocol: SaturationProtocol) -> tuple[str, ...]:
    """Return what each image is to the estimation: "m0" or "cest"."""
    return tuple("m0" if image.is_m0 else "cest" for image in protocol.images)


def magnitudes(images: Any, protocol: SaturationProtocol, *, mask: Any) -> tuple[Given, Selection, NDArray[np.float64]]:
    """Return what `saturated_images` does, of images that may have no sign.

    Raises
    ------
    ValueError
        If one of them has, or is complex, or their number is another.
    """
    found, chosen, signal = saturated_images(images, protocol, mask=mask)
    if np.nanmin(signal, initial=0.0) < 0.0:
        raise ValueError("images: expected magnitudes, found negative values: give np.abs(images)")
    return found, chosen, signal


def saturated_images(
    images: Any, protocol: SaturationProtocol, *, mask: Any, name: str = "images"
) -> tuple[Given, Selection, NDArray[np.float64]]:
    """Return the array of the user, the voxels that are estimated, and their magnitudes, shape (V, N).

    Raises
    ------
    ValueError
        If the array has another number of images, or is complex.
    """
    check_protocol(protocol)
    found = series(images, name=name, number=protocol.number_of_images, what="images of the protocol")
    if np.iscomplexobj(found.values):
        raise ValueError(f"{name}: expected magnitudes, found complex numbers: give np.abs({name})")
    chosen = Selection.of(mask, shape=found.values.shape[:-1], affine=found.affine)
    return found, chosen, chosen.rows(np.asarray(found.values, dtype=np.float64))
