"""The static field of a scan, from the sidecar."""

from __future__ import annotations

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import describe, wrong_value
from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.units import GYROMAGNETIC_RATIO


def read_field_strength(sidecar: Sidecar) -> tuple[float, ValueSource] | None:
    """Return the field [T], from ImagingFrequency where it is stated, which is the more exact; None without either.

    Raises
    ------
    RefusedError
        If a value is no number, not plausible, or both disagree by more than 5 %.
    """
    rows = (
        ("ImagingFrequency", "the frequency of water in MHz", 2.0, 1300.0, 1e6 / GYROMAGNETIC_RATIO, "MHz"),
        ("MagneticFieldStrength", "the static field in tesla (e.g. 3)", 0.05, 30.0, 1.0, "T"),
    )
    found: list[tuple[float, ValueSource]] = []
    for key, expected, low, high, factor, unit in rows:
        if key not in sidecar.values:
            continue
        value = sidecar.values[key]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # as some converters write ImagingFrequency
        if not is_number(value) or not low <= value <= high:
            raise wrong_value(sidecar, key, expected=expected, advice=f"Correct {key} in the sidecar.")
        source = ValueSource(key="field_strength", value=f"{value:g}", unit=unit, source=sidecar.source(key))
        found.append((float(value) * factor, source))
    if len(found) == 2 and abs(found[0][0] / found[1][0] - 1.0) > 0.05:
        raise refuse(
            file=sidecar.origin("ImagingFrequency"),
            key="ImagingFrequency",
            expected=f"the frequency of water at {found[1][1].value} T",
            found=f"{describe(sidecar.values['ImagingFrequency'])} MHz, which is {found[0][0]:.3g} T",
            advice="Correct ImagingFrequency or MagneticFieldStrength.",
        )
    return found[0] if found else None
