"""Typed values from sidecars: a number is a number, and all parts of a run agree on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qmri_bids.bids.metadata.added import OPTION
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.refusal import RefusedError, refuse


def wrong_value(sidecar: Sidecar, key: str, *, expected: str, advice: str) -> RefusedError:
    """Return the refusal of a value that is there but cannot be used, or is missing."""
    value = sidecar.values.get(key)
    found = describe(value) if key in sidecar.values else "nothing"
    if isinstance(value, str) and _is_text_of_number(value):
        advice = f"Write {value.strip()} as a number, without quotation marks."
    elif sidecar.origin(key).startswith(OPTION):
        advice = f"Correct {key} in that file."
    return refuse(file=sidecar.origin(key), key=key, expected=expected, found=found, advice=advice)


def _is_text_of_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def describe(value: Any) -> str:
    """Return a value as shown in a message: short, text in quotation marks."""
    text = str(value) if isinstance(value, str) and value.endswith(" digits") else repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def read_number(sidecar: Sidecar, key: str, *, expected: str, advice: str) -> float:
    """Return a finite number.

    A list of equal numbers, which BIDS allows where a value may change from volume to volume, counts as one.

    Raises
    ------
    RefusedError
        If the key is missing, its value is no finite number, or a list of different ones.
    """
    value = sidecar.values.get(key)
    if isinstance(value, list) and value and all(is_number(item) for item in value):
        if any(item != value[0] for item in value):
            raise refuse(
                file=sidecar.origin(key),
                key=key,
                expected=f"{expected}, the same for all volumes",
                found=describe(value),
                advice="Write the volumes of each value as a run of its own (flip-1, flip-2, …).",
            )
        value = value[0]
    if not is_number(value):
        raise wrong_value(sidecar, key, expected=expected, advice=advice)
    return float(value)


SAME_ECHO = 0.02
"""Relative difference of echo times up to which they are one: scanners state what they played out, converters round."""


def common_number(
    sidecars: Sequence[Sidecar], key: str, *, expected: str, advice: str, tolerance: float = 1e-6
) -> tuple[float, str] | None:
    """Return the number that all files of a run state and where, None if no file states it.

    Of numbers that differ within the tolerance it is the first.

    Parameters
    ----------
    sidecars
        Of the files.
    key
        Of the number.
    expected, advice
        For the message of a refusal.
    tolerance
        Relative difference up to which two files agree.

    Raises
    ------
    RefusedError
        If the value is no number or two files disagree.
    """
    stating = [sidecar for sidecar in sidecars if key in sidecar.values]
    if not stating:
        return None
    numbers = [read_number(sidecar, key, expected=expected, advice=advice) for sidecar in stating]
    for sidecar, number in zip(stating, numbers, strict=True):
        if not math.isclose(number, numbers[0], rel_tol=tolerance):
            raise refuse(
                file=sidecar.origin(key),
                key=key,
                expected=f"{numbers[0]:g} as in {stating[0].origin(key)}: the files of one run share it",
                found=f"{number:g}",
                advice="Correct the sidecar, or give the files of different runs different entities.",
            )
    return numbers[0], stating[0].source(key)


def common_text(sidecars: Sequence[Sidecar], key: str, *, expected: str, advice: str) -> tuple[str, str] | None:
    """Return the text that all files of a run state and where, None if no file states it.

    Raises
    ------
    RefusedError
        If the value is no text or two files disagree.
    """
    stating = [sidecar for sidecar in sidecars if key in sidecar.values]
    if not stating:
        return None
    for sidecar in stating:
        value = sidecar.values[key]
        if not isinstance(value, str):
            raise wrong_value(sidecar, key, expected=expected, advice=advice)
        if value != stating[0].values[key]:
            raise refuse(
                file=sidecar.origin(key),
                key=key,
                expected=f"{describe(stating[0].values[key])} as in {stating[0].origin(key)}: the files of "
                f"one run share it",
                found=describe(value),
                advice="Correct the sidecar.",
            )
    return stating[0].values[key], stating[0].source(key)
