"""What the readout of a CEST series does to the next image, and from which state images are saturated."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.bids.sidecar import Sidecar
from qmri_bids.bids.values import read_number
from qmri_bids.physics.saturation import Readout, SaturationProtocol, Start
from qmri_bids.scans.saturation.run import CestKind
from qmri_bids.units import degrees_to_radians

ANGLE_KEY, NUMBER_KEY, SPACING_KEY = "FlipAngle", "NumberOfReadoutPulses", "RepetitionTimeExcitation"
ROWS = (
    (ANGLE_KEY, "readout_flip_angle", "the flip angle of the readout in degrees", 0.5, 180.0, "deg"),
    (NUMBER_KEY, "readout_pulses", "the number of excitations of the readout of one volume", 1.0, 1e5, ""),
    (SPACING_KEY, "readout_spacing", "the time between two excitations of the readout in seconds", 1e-4, 1.0, "s"),
)


def read_readout(sidecar: Sidecar, sources: list[ValueSource]) -> Readout | None:
    """Return the train of excitations of a readout, None if it is not stated in full.

    Parameters
    ----------
    sidecar
        With FlipAngle, NumberOfReadoutPulses and RepetitionTimeExcitation.
    sources
        Takes the three values.

    Raises
    ------
    RefusedError
        If one is no number or not plausible.
    """
    if not all(row[0] in sidecar.values for row in ROWS):
        return None
    values = []
    for key, name, expected, low, high, unit in ROWS:
        value = read_number(sidecar, key, expected=expected, advice=f"Correct {key} in the sidecar.")
        if not low <= value < high or (key == NUMBER_KEY and value != int(value)):
            raise refuse(
                file=sidecar.origin(key),
                key=key,
                expected=expected,
                found=f"{value:g}",
                advice=f"Correct {key} or its unit.",
            )
        values.append(value)
        sources.append(ValueSource(key=name, value=f"{value:g}", unit=unit, source=f"{sidecar.origin(key)}: {key}"))
    angle, number, spacing = values
    return Readout(number=int(number), flip_angle=degrees_to_radians(angle), spacing=spacing)


def start_of(
    kind: CestKind,
    *,
    readout: Readout | None,
    played: SaturationProtocol | None,
    states_recovery: bool,
    used: Sequence[int],
    sidecar: Sidecar,
) -> tuple[Start, Readout | None, tuple[str, ...]]:
    """Return from which state images are saturated, the readout, and sentences on both.

    Spectra start from full relaxation, the convention of the presets; fingerprints from the image before.

    Parameters
    ----------
    kind
        Of the series.
    readout
        Of the sidecar.
    played
        The pulseq file, None without one.
    states_recovery
        Whether the time between readout and saturation is known.
    used
        Volumes that are not left out.
    sidecar
        For messages.

    Raises
    ------
    RefusedError
        If a volume in the midst of a fingerprint is left out.
    """
    readout = readout or (played.readout if played is not None else None)
    if kind != "fingerprint":
        return Start.RELAXED, readout, ()
    if list(used) != list(range(used[0], used[-1] + 1)):
        gone = sorted(set(range(used[0], used[-1] + 1)) - set(used))
        raise refuse(
            file=sidecar.file,
            key="valid",
            expected="all volumes of a fingerprint, each of which starts from the state that the one before leaves",
            found=f"volumes {gone} (from 0) left out in its midst",
            advice="Keep them, or cut the series before them.",
        )
    said = []
    if used[0] > 0:
        said.append(
            f"{sidecar.file}: {used[0]} volume(s) before the first are left out: the first is taken to start from full relaxation."
        )
    if played is None and not states_recovery:
        said.append(
            f"{sidecar.file}: RecoveryTime is not stated: every image is taken to start from full relaxation, which those of a "
            "fingerprint rarely do."
        )
        return Start.RELAXED, readout, tuple(said)
    if readout is None:
        said.append(
            f"{sidecar.file}: the readout is not described (FlipAngle, NumberOfReadoutPulses, RepetitionTimeExcitation): it is "
            "taken to leave the magnetisation as it was."
        )
    return Start.PREVIOUS, readout, tuple(said)
