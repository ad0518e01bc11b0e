"""Which protocols map B0 and B1 from water, by the rules that files are held to."""

from __future__ import annotations

from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.scans.cest.kind import (
    EACH_SIDE,
    SPECTRUM_OFFSETS,
    WASABI_LONGEST,
    WASABI_OFFSETS,
    WASABI_WEAKEST,
    WASSR_RANGE,
    WASSR_STRONGEST,
    surrounds_water,
    turns_water,
)
from qmri_bids.units import tesla_to_microtesla

ROUNDING = 1.0 + 1e-6
"""Of powers, which pulses are scaled to."""


def check_wasabi(protocol: SaturationProtocol) -> None:
    """Refuse a protocol that is no WASABI: one short strong block, offsets on both sides of water, an image that normalises.

    Raises
    ------
    ValueError
        If it is none, with the reason.
    """
    trains = [image.saturation for image in protocol.images if image.saturation is not None and not image.is_m0]
    wrong = next((train for train in trains if not turns_water(train)), None)
    if wrong is not None:
        raise ValueError(
            f"protocol: expected one block of at most {WASABI_LONGEST:g} s above {tesla_to_microtesla(WASABI_WEAKEST):g} µT "
            f"(WASABI), found {wrong.number} of {wrong.pulse.duration:g} s ({len(wrong.pulse.segments)} segments) at "
            f"{tesla_to_microtesla(wrong.b1_rms):.3g} µT: use fit_wassr or fit_zspectrum for longer saturation"
        )
    _check_sides(protocol, needed=WASABI_OFFSETS, name="WASABI")
    if not any(image.is_m0 for image in protocol.images):
        raise ValueError(
            "protocol: expected an image without saturation or at 100 ppm or more, which normalises WASABI, found none: name it in "
            "m0 of cest_protocol"
        )


def check_wassr(protocol: SaturationProtocol) -> None:
    """Refuse a protocol that is no WASSR: weak saturation of water alone, offsets on both sides of it.

    Raises
    ------
    ValueError
        If it is none, with the reason.
    """
    used = [image for image in protocol.images if image.saturation is not None and not image.is_m0]
    powers = [image.saturation.b1_rms for image in used if image.saturation is not None]
    if powers and max(powers) > WASSR_STRONGEST * ROUNDING:
        raise ValueError(
            f"protocol: expected saturation of at most {tesla_to_microtesla(WASSR_STRONGEST):g} µT (WASSR), found "
            f"{tesla_to_microtesla(max(powers)):.3g} µT, which saturates more than water: use fit_wasabi for short blocks, "
            "fit_zspectrum for spectra"
        )
    farthest = max((abs(image.offset) for image in used if image.offset is not None), default=0.0)
    if farthest > WASSR_RANGE:
        raise ValueError(
            f"protocol: expected offsets within {WASSR_RANGE:g} ppm of water (WASSR), found {farthest:g} ppm: leave such "
            "images out, name those that normalise in m0 of cest_protocol, or use fit_zspectrum"
        )
    _check_sides(protocol, needed=SPECTRUM_OFFSETS, name="WASSR")


def _check_sides(protocol: SaturationProtocol, *, needed: int, name: str) -> None:
    offsets = [image.offset for image in protocol.images if image.offset is not None and not image.is_m0]
    if not surrounds_water(offsets, needed):
        different = sorted(set(offsets))
        raise ValueError(
            f"protocol: expected at least {needed} offsets on both sides of water ({name}), {EACH_SIDE} or more on each, found "
            f"{len(different)}{f' from {different[0]:g} to {different[-1]:g} ppm' if different else ''}: are signs lost?"
        )
