"""Whether apparent T1 and T2 of a brain can be those of tissue at its field strength.

A wrong flip angle or repetition time leaves residual, convergence and maps as they are in a good scan: only what tissue is known to
have speaks against it. The limits are wide: magnetisation transfer, finite pulses, the microstructure of white matter and B1 take
up to 45 % off T1 and 40 % off T2, children have more of both, and lesions hardly move a median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.reports.content import Check, Level
from qmri_bids.reports.tables import TOO_NOISY
from qmri_bids.tissue_labels import WHITE
from qmri_bids.units import GYROMAGNETIC_RATIO, radians_to_degrees, seconds_to_milliseconds

FIELDS = (0.2, 12.0)
"""Field strengths at which T1 and T2 are known well enough [T]."""

FEWEST_VOXELS = 100
"""Voxels of white matter, or else of the whole brain, whose median is looked at."""

DOUBT = {"T1": (0.53, 1.75), "T2": (0.53, 1.9)}
"""Median over what the field gives beyond which somebody should look: magnetisation transfer and microstructure take it to 0.6."""

WRONG = {"T1": (0.5, 3.2), "T2": (0.49, 3.6)}
"""The same beyond which something is wrong: half the repetition time shows in T2. Newborns have up to 2.9 times as much."""

UNEQUAL = 0.72
"""Ratio of both below which T1 is short by itself, as a flip angle that is too large makes it: 0.67 with 20° for 15°, 0.82 with the
magnetisation transfer of strong pulses, more where microstructure shortens both."""

FEWEST_KNOWN = 0.5
"""Share of the brain with a value below which medians tell no cause."""

ALIKE = 1.35
"""Ratio up to which T1 and T2 are off by the same factor, as a wrong repetition time makes them."""

SPOILED_DOUBT = (0.75, 1.75)
"""As `DOUBT`, for T1 of spoiled gradient echoes, which magnetisation transfer and spoiling change by 20 % at most."""

TELLS_TISSUES = 0.4
"""Standard deviation of T1 or T2 in one voxel over the value, median over the brain, beyond which maps do not tell tissues: with
0.44 and 0.54 labels of a simulated head agreed with its tissues by a Dice overlap of 0.46."""

NAME, NAME_OF_T1 = "T1 and T2 of tissue", "T1 of tissue"


def expected_times(field_strength: float, *, white: bool) -> dict[str, float]:
    """Return T1 and T2 [s] of white matter, or of brain as a whole, of adults.

    Parameters
    ----------
    field_strength
        [T].
    white
        Of white matter; else the geometric mean of white and grey matter.

    Notes
    -----
    T1 = 0.00071 s (γB0)^0.382 in white and 0.00116 s (γB0)^0.376 in grey matter with γB0 in Hz (Rooney et al., MRM 57:308, 2007).
    T2 69 and 99 ms at 3 T (Stanisz et al., MRM 54:507, 2005), falling with the 0.35th power of the field (72 to 88 ms in white
    matter at 1.5 T, 47 to 55 ms at 7 T).

    Examples
    --------
    >>> {name: round(value, 2) for name, value in expected_times(3.0, white=True).items()}
    {'T1': 0.89, 'T2': 0.07}
    """
    frequency = GYROMAGNETIC_RATIO * field_strength
    t1, t2 = 0.00071 * frequency**0.382, 0.069 * (field_strength / 3.0) ** -0.35
    if not white:
        t1 = math.sqrt(t1 * 0.00116 * frequency**0.376)
        t2 *= math.sqrt(99.0 / 69.0)
    return {"T1": t1, "T2": t2}


def relaxation_check(
    values: Mapping[str, NDArray[np.floating]],
    *,
    mask: NDArray[np.bool_],
    tissue: NDArray[np.integer] | None,
    protocol: BssfpProtocol,
    b1_assumed: bool = False,
    told_with: Mapping[str, NDArray[np.floating]] | None = None,
) -> Check:
    """Return the traffic light of the medians of T1 and T2.

    Parameters
    ----------
    values
        `T1` and `T2` [s], shape (X, Y, Z), NaN where there is none.
    mask
        Of a brain: of objects nothing is known.
    tissue
        Labels of the tissues, None where they were not told apart.
    protocol
        Whose flip angle, repetition time and field are in question.
    b1_assumed
        Whether B1 was not measured.
    told_with
        Standard deviations of `T1` and `T2` [s] where the tissues were told by these maps, None where they were not.
    """
    known = mask & np.isfinite(values["T1"]) & np.isfinite(values["T2"])
    noisy = "" if told_with is None else _beyond_noise(values, stdev=told_with, known=known)
    field = protocol.field_strength
    if field is None or not FIELDS[0] <= field <= FIELDS[1]:
        unknown = _not_held(NAME, field)
        return replace(unknown, value=f"{unknown.value}; {noisy}", level=Level.CHECK) if noisy else unknown
    where, is_white = _region(known, tissue)
    if np.count_nonzero(where) < FEWEST_VOXELS:
        return Check(name=NAME, value="too few voxels to tell", level=Level.INFO)
    expected = expected_times(field, white=is_white)
    median = {name: float(np.median(values[name][where])) for name in ("T1", "T2")}
    ratio = {name: median[name] / expected[name] for name in median}
    wrong = any(not WRONG[name][0] <= ratio[name] <= WRONG[name][1] for name in ratio)
    doubt = any(not DOUBT[name][0] <= ratio[name] <= DOUBT[name][1] for name in ratio)
    doubt = doubt or ratio["T1"] < UNEQUAL * ratio["T2"]
    region = "white matter" if is_white else "the brain"
    value = f"{region}: " + ", ".join(
        f"{name} {seconds_to_milliseconds(median[name]):.0f} ms ({ratio[name]:.2f} ×)" for name in median
    )
    if np.count_nonzero(known) < FEWEST_KNOWN * np.count_nonzero(mask):
        value += ": most of the brain has no value; look at order and unit of the increments, and at the phase, first"
    elif wrong or doubt:
        value += f": {_cause(ratio, protocol=protocol, b1_assumed=b1_assumed)}"
    if noisy:
        value = f"{noisy}; {value}"
    return Check(
        name=NAME,
        value=value,
        level=Level.BAD if wrong else Level.CHECK if doubt or noisy else Level.GOOD,
        explanation=f"Medians; in brackets their ratio to what {field:g} T gives adults (T1: Rooney et al. 2007, T2: Stanisz et "
        "al. 2005). Good from "
        + " and ".join(f"{DOUBT[name][0]:g} to {DOUBT[name][1]:g} ({name})" for name in DOUBT)
        + ", bad "
        + " or ".join(f"below {WRONG[name][0]:g} or above {WRONG[name][1]:g} ({name})" for name in WRONG)
        + f"; T1 not below {UNEQUAL:g} times T2 in these terms: wider than the published ranges beside the table of regions, since "
        "what is looked for is a wrong flip angle or repetition time. Yellow, too, where the standard deviation of one voxel "
        f"exceeds {100.0 * TELLS_TISSUES:.0f} % of T1 or T2 in the median and tissues were "
        "told by these maps. Pulses and magnetisation transfer shorten T1, newborns have up to 2.9 times as much of both, fixed "
        "tissue and contrast agent less.",
    )


def _beyond_noise(
    values: Mapping[str, NDArray[np.floating]],
    *,
    stdev: Mapping[str, NDArray[np.floating]],
    known: NDArray[np.bool_],
) -> str:
    """Say that noise hides the tissues; nothing where it does not."""
    found = {}
    for name in ("T1", "T2"):
        if name not in stdev:
            return ""
        where = known & np.isfinite(stdev[name])
        found[name] = float(np.median(stdev[name][where] / values[name][where])) if where.any() else 0.0
    if max(found.values()) <= TELLS_TISSUES:
        return ""
    width = ", ".join(f"{name} {100.0 * value:.0f} %" for name, value in found.items())
    return f"{TOO_NOISY} (standard deviation in one voxel: {width})"


def spoiled_t1_check(
    t1: NDArray[np.floating],
    *,
    mask: NDArray[np.bool_],
    tissue: NDArray[np.integer] | None,
    field_strength: float | None,
) -> Check:
    """Return the traffic light of the median of T1 of two spoiled gradient echoes.

    Parameters
    ----------
    t1
        [s], shape (X, Y, Z), NaN where there is none.
    mask, tissue
        As in `relaxation_check`.
    field_strength
        [T], None where it is not stated.
    """
    if field_strength is None or not FIELDS[0] <= field_strength <= FIELDS[1]:
        return _not_held(NAME_OF_T1, field_strength)
    known = mask & np.isfinite(t1)
    where, is_white = _region(known, tissue)
    if np.count_nonzero(where) < FEWEST_VOXELS:
        return Check(name=NAME_OF_T1, value="too few voxels to tell", level=Level.INFO)
    median = float(np.median(t1[where]))
    ratio = median / expected_times(field_strength, white=is_white)["T1"]
    wrong = not WRONG["T1"][0] <= ratio <= WRONG["T1"][1]
    doubt = not SPOILED_DOUBT[0] <= ratio <= SPOILED_DOUBT[1]
    value = (
        f"{'white matter' if is_white else 'the brain'}: T1 {seconds_to_milliseconds(median):.0f} ms ({ratio:.2f} ×)"
    )
    if wrong or doubt:
        value += ": are flip angles, repetition times, the order of both images and B1 right?"
    return Check(
        name=NAME_OF_T1,
        value=value,
        level=Level.BAD if wrong else Level.CHECK if doubt else Level.GOOD,
        explanation=f"Median; in brackets its ratio to what {field_strength:g} T gives adults (Rooney et al. 2007). Good from "
        f"{SPOILED_DOUBT[0]:g} to {SPOILED_DOUBT[1]:g}, bad below {WRONG['T1'][0]:g} or above {WRONG['T1'][1]:g}. Newborns have "
        "up to 2.9 times as much, fixed tissue and contrast agent less.",
    )


def _not_held(name: str, field_strength: float | None) -> Check:
    """Return the light where the field strength is not known well enough to expect anything of tissue."""
    found = "MagneticFieldStrength is not stated" if field_strength is None else f"the field is {field_strength:g} T"
    return Check(
        name=name,
        value=f"not held against the field strength: {found}",
        level=Level.INFO,
        explanation=f"State MagneticFieldStrength (T) in the sidecar: between {FIELDS[0]:g} and {FIELDS[1]:g} T it is checked "
        "whether relaxation times can be those of tissue, which a wrong flip angle or repetition time shows in.",
    )


def _region(known: NDArray[np.bool_], tissue: NDArray[np.integer] | None) -> tuple[NDArray[np.bool_], bool]:
    """Return the voxels whose median is looked at, and whether they are white matter: else they are all of the brain."""
    white = known & (tissue == WHITE) if tissue is not None else np.zeros_like(known)
    is_white = bool(np.count_nonzero(white) >= FEWEST_VOXELS)
    return (white if is_white else known), is_white


def _cause(ratio: Mapping[str, float], *, protocol: BssfpProtocol, b1_assumed: bool) -> str:
    """Say what most likely is wrong: T1 goes with the inverse square of the flip angle, T1 and T2 with the repetition time."""
    t1, t2 = ratio["T1"], ratio["T2"]
    if max(t1 / t2, t2 / t1) <= ALIKE:
        stated = seconds_to_milliseconds(protocol.repetition_time)
        text = (
            f"both are off by the same factor, as they are where the repetition time is wrong: is {stated:.3g} ms right, or about "
            f"{stated / math.sqrt(t1 * t2):.2g} ms?"
        )
        return text + (" Newborns have as much." if 1.0 < t1 < WRONG["T1"][1] and t2 < WRONG["T2"][1] else "")
    if DOUBT["T2"][0] <= t2 <= DOUBT["T2"][1]:
        angle = radians_to_degrees(protocol.flip_angle)
        also = " B1 was not measured, which is in question too." if b1_assumed else " Is the scale of the B1 map right?"
        right = angle * math.sqrt(t1)
        return f"T1 alone is off, as it is where the flip angle is wrong: is {angle:.3g}° right, or about {right:.2g}°?{also}"
    return "look at flip angle, repetition time, the order of the increments, and the B1 map."
