"""Physical constants, and the only place where units are converted.

Inside the package every quantity is in SI units: seconds, hertz, tesla, radians, and fractions (not percent).
Files of BIDS state degrees, milliseconds or percent in places; they pass through here at the border.
"""

import math

GYROMAGNETIC_RATIO = 42.5764e6
"""Gyromagnetic ratio of the proton over 2π [Hz/T]."""


def degrees_to_radians(angle: float) -> float:
    """Convert an angle in degrees to radians.

    Examples
    --------
    >>> round(degrees_to_radians(180.0), 6)
    3.141593
    """
    return angle * math.pi / 180.0


def radians_to_degrees(angle: float) -> float:
    """Convert an angle in radians to degrees."""
    return angle * 180.0 / math.pi


def milliseconds_to_seconds(duration: float) -> float:
    """Convert a duration in milliseconds to seconds."""
    return duration * 1e-3


def seconds_to_milliseconds(duration: float) -> float:
    """Convert a duration in seconds to milliseconds."""
    return duration * 1e3


def microseconds_to_seconds(duration: float) -> float:
    """Convert microseconds to seconds."""
    return duration * 1e-6


def seconds_to_microseconds(duration: float) -> float:
    """Convert seconds to microseconds."""
    return duration * 1e6


def percent_to_fraction(percentage: float) -> float:
    """Convert percent to a fraction."""
    return percentage * 1e-2


def fraction_to_percent(fraction: float) -> float:
    """Convert a fraction to percent."""
    return fraction * 1e2


def ppm_to_hertz(offset: float, field_strength: float) -> float:
    """Convert a frequency offset in ppm to hertz at a field strength [T]."""
    return offset * 1e-6 * GYROMAGNETIC_RATIO * field_strength


def metres_to_millimetres(length: float) -> float:
    """Convert a length in metres to millimetres."""
    return length * 1e3


def millimetres_to_metres(length: float) -> float:
    """Convert a length in millimetres to metres."""
    return length * 1e-3


def tesla_to_microtesla(field: float) -> float:
    """Return a field in microtesla."""
    return field * 1e6


def microtesla_to_tesla(field: float) -> float:
    """Return a field in tesla."""
    return field * 1e-6
