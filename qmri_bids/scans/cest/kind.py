"""What a CEST series is good for, from its offsets and powers; names and labels do not decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.saturation import SaturatedImage, Saturation
from qmri_bids.scans.saturation.run import CestKind, VolumeRole
from qmri_bids.units import GYROMAGNETIC_RATIO, seconds_to_milliseconds, tesla_to_microtesla

WASABI_LONGEST = 20e-3
"""Longest block that turns water rather than saturating it [s]."""

WASABI_WEAKEST = 1e-6
"""B1 of such a block [T]."""

WASABI_OFFSETS = 9
WASSR_RANGE = 2.5
"""Offsets that reach no further measure water alone [ppm]."""

WASSR_STRONGEST = 0.5e-6
"""B1 up to which they do [T]."""

WASSR_OFFSETS = 8
SPECTRUM_OFFSETS = 5
EACH_SIDE = 2
"""Offsets that must lie on either side of water at least."""

POWER_SPREAD = 0.05
"""Relative difference between powers that are different."""

NEAR_WATER = 50.0
"""Median distance of offsets from water beyond which they must be in another unit [ppm]."""


NARROWEST = 0.5
"""A spectrum whose farthest offset is nearer to water must be in another unit [ppm]."""

LEAST_TURN = 0.1
"""Turn about the field of RF by a whole saturation on resonance, below which nothing is saturated: WASSR makes 0.4 or more."""

LONG_STRONG = 1.0
"""A single block as long [s], above `WASABI_WEAKEST`, around water alone is a WASABI pulse in milliseconds."""


def kind_of(
    images: Sequence[SaturatedImage], roles: Sequence[VolumeRole], *, suffix: str, file: str, has_m0: bool = False
) -> CestKind:
    """Return what a series is good for.

    Parameters
    ----------
    images, roles
        Of the volumes that are used.
    suffix
        `wassr` decides between a Z-spectrum and WASSR, nothing else.
    file
        For messages.
    has_m0
        Whether another file holds its M0.

    Raises
    ------
    RefusedError
        If the offsets are too few for all kinds, or a normalising image is missing.
    """
    spectrum = [image for image, role in zip(images, roles, strict=True) if role == "cest"]
    water = [image for image, role in zip(images, roles, strict=True) if role == "wassr"]
    used = spectrum or water
    offsets = [image.offset for image in used if image.offset is not None]
    trains = [image.saturation for image in used if image.saturation is not None]
    powers = sorted({train.b1_rms for train in trains})
    if not trains:
        raise _too_few(file, "a Z-spectrum", SPECTRUM_OFFSETS, offsets)
    distances = sorted(abs(offset) for offset in offsets)
    if distances[len(distances) // 2] > NEAR_WATER:
        raise refuse(
            file=file,
            key="offsets",
            expected=f"offsets within {NEAR_WATER:g} ppm of water for half of the saturated volumes",
            found=f"a median distance of {distances[len(distances) // 2]:g} ppm: are they in Hz?",
            advice="State offsets in Hz as SaturationFrequencyOffset or offset_hz.",
        )
    if distances[-1] < NARROWEST:
        raise refuse(
            file=file,
            key="offsets",
            expected=f"offsets that reach {NARROWEST:g} ppm from water or further",
            found=f"{distances[-1]:.3g} ppm at most: are they in ppm where Hz is stated?",
            advice="State offsets in ppm as SaturationOffset or offset_ppm.",
        )
    if distances[-1] <= WASSR_RANGE and all(_is_long_and_strong(train) for train in trains):
        raise refuse(
            file=file,
            key="SaturationDuration",
            expected=f"a block of {WASABI_LONGEST:g} s or less around water alone (WASABI), or offsets beyond ±{WASSR_RANGE:g} ppm",
            found=f"a block of {trains[0].pulse.duration:g} s within ±{distances[-1]:g} ppm: is it in ms?",
            advice="State durations in seconds.",
        )
    strongest = max(trains, key=_turn)
    if _turn(strongest) < LEAST_TURN:
        stated = tesla_to_microtesla(strongest.b1_rms)
        raise refuse(
            file=file,
            key="b1_rms",
            expected=f"a saturation that turns water by {360.0 * LEAST_TURN:g}° or more",
            found=f"{stated:.3g} µT for {seconds_to_milliseconds(strongest.duration):.3g} ms, which turn it by "
            f"{360.0 * _turn(strongest):.2g}°: is the power in gauss ({100.0 * stated:.3g} µT), or the duration in another unit?",
            advice="State B1 in µT (1 G is 100 µT) and durations in seconds.",
        )
    kind: CestKind
    if all(turns_water(train) for train in trains) and _is_one(powers):
        kind, name, needed = "wasabi", "WASABI (short blocks)", WASABI_OFFSETS
    elif not spectrum or suffix == "wassr":
        kind, name, needed = "wassr", "WASSR", SPECTRUM_OFFSETS
    elif not _is_one(powers):
        _refuse_several_spectra(used, powers, file)
        return "fingerprint"
    elif distances[-1] <= WASSR_RANGE and powers[-1] <= WASSR_STRONGEST and len(set(offsets)) >= WASSR_OFFSETS:
        kind, name, needed = "wassr", "WASSR", WASSR_OFFSETS
    else:
        kind, name, needed = "z-spectrum", "a Z-spectrum", SPECTRUM_OFFSETS
    if not surrounds_water(offsets, needed):
        raise _too_few(file, name, needed, offsets)
    if kind != "wassr" and "m0" not in roles and not has_m0:
        raise refuse(
            file=file,
            key="M0",
            expected=f"an image without saturation or at 100 ppm or more, which {name} is normalised by",
            found="none",
            advice="Mark it as m0scan in volume_type of the _cestcontext.tsv, or name its file in M0File of the sidecar.",
        )
    return kind


def turns_water(train: Saturation) -> bool:
    """Return whether a saturation is the short strong block of WASABI."""
    return (
        train.number == 1
        and len(train.pulse.segments) == 1
        and train.pulse.duration <= WASABI_LONGEST
        and train.b1_rms > WASABI_WEAKEST
    )


def _turn(train: Saturation) -> float:
    """Return the turns of water about the field of RF by a whole train on resonance, as if it were all one block."""
    return GYROMAGNETIC_RATIO * train.b1_rms * train.duration


def _is_long_and_strong(train: Saturation) -> bool:
    return (
        train.number == 1
        and len(train.pulse.segments) == 1
        and train.pulse.duration >= LONG_STRONG
        and train.b1_rms > WASABI_WEAKEST
    )


def _is_one(powers: Sequence[float]) -> bool:
    return powers[-1] <= powers[0] * (1.0 + POWER_SPREAD)


def surrounds_water(offsets: Sequence[float], needed: int) -> bool:
    """Return whether as many different offsets as needed lie on both sides of water."""
    different = set(offsets)
    sides = [sum(offset > 0.0 for offset in different), sum(offset < 0.0 for offset in different)]
    return len(different) >= needed and min(sides) >= EACH_SIDE


def _refuse_several_spectra(images: Sequence[SaturatedImage], powers: Sequence[float], file: str) -> None:
    """Refuse whole spectra of several powers in one file: they are runs of their own, no fingerprint."""
    levels: dict[float, list[float]] = {}
    for image in images:
        if image.saturation is not None and image.offset is not None:
            power = image.saturation.b1_rms
            near = next((level for level in levels if math.isclose(level, power, rel_tol=POWER_SPREAD)), power)
            levels.setdefault(near, []).append(image.offset)
    if all(surrounds_water(offsets, WASSR_OFFSETS) for offsets in levels.values()):
        shown = ", ".join(f"{tesla_to_microtesla(level):.3g}" for level in sorted(levels))
        raise refuse(
            file=file,
            key="b1_rms",
            expected="one power for a Z-spectrum",
            found=f"whole spectra at {shown} µT",
            advice="Write the volumes of each power, with an M0, as a run of its own (acq- label).",
        )


def _too_few(
    file: str, name: str, needed: int, offsets: Sequence[float], *, power: float | None = None
) -> RefusedError:
    different = sorted(set(offsets))
    listed = ", ".join(f"{offset:g}" for offset in different[:12]) + (", …" if len(different) > 12 else "")
    return refuse(
        file=file,
        key="offsets",
        expected=f"at least {needed} offsets on both sides of water for {name}, {EACH_SIDE} or more on each"
        + ("" if power is None else "; or two or more powers, for a fingerprint or QUESP"),
        found=(f"{len(different)} ({listed} ppm)" if different else "none with saturation")
        + ("" if power is None else f" at one power, {tesla_to_microtesla(power):.3g} µT"),
        advice="This series cannot be used; if volumes are missing or the signs are lost, convert it again.",
    )
