"""The raw scans as BIDS files: every way in which phase-cycled bSSFP comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.files.b1 import scanner_of
from qmri_bids.phantom.files.writing import integers, phase_integers, write_image
from qmri_bids.phantom.heads.geometry import Grid
from qmri_bids.phantom.scans.physics import Physics
from qmri_bids.phantom.scans.session import Session
from qmri_bids.phantom.signals.bloch.sequence import SHAPES, RfPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.units import radians_to_degrees

DUMMY_PULSES = 4096
"""Five T1 of cerebrospinal fluid: the simulated signal is the exact steady state."""


def increments_in_degrees(protocol: BssfpProtocol) -> list[float]:
    """Return the RF phase increments [deg]."""
    return [round(radians_to_degrees(increment), 6) for increment in protocol.rf_phase_increment]


def _bssfp_sidecar(protocol: BssfpProtocol, increments: list[float], *, grid: Grid, physics: Physics) -> dict[str, Any]:
    return {
        **scanner_of(grid),
        "MagneticFieldStrength": protocol.field_strength,
        "PulseSequenceType": "Balanced SSFP",
        "PulseSequenceDetails": "phase-cycled balanced SSFP, simulated in exact steady state",
        "ScanningSequence": "GR",
        "FlipAngle": round(radians_to_degrees(protocol.flip_angle), 6),
        "RepetitionTimeExcitation": protocol.repetition_time,
        "EchoTime": protocol.echo_time,
        "RFPhaseIncrement": increments,
        "RFPhaseIncrementReference": "absolute",
        "NumberOfDummyTRs": DUMMY_PULSES,
        "MTState": False,
        **played_pulse(physics.pulse),
    }


def played_pulse(pulse: RfPulse | None) -> dict[str, Any]:
    """Return what the sidecar says of the excitation pulse; the closed form is that of pulses without duration."""
    if pulse is None or pulse.duration == 0.0:
        return {"RFPulseDuration": 0.0}
    shape, _, product = pulse.name.partition(", time-bandwidth ")
    if shape not in SHAPES:
        return {"RFPulseDuration": pulse.duration, "RFPulseSamples": list(pulse.shape)}
    played: dict[str, Any] = {"RFPulseDuration": pulse.duration, "RFPulseShape": shape}
    return played | ({"RFPulseTimeBandwidthProduct": float(product)} if product else {})


Part = tuple[NDArray[Any], dict[str, float], dict[str, Any]]
"""Stored values, arguments of their scaling, and what the sidecar says of them."""


def _magnitude(cycles: NDArray[np.complex64]) -> Part:
    magnitude = np.abs(cycles)
    stored, slope = integers(magnitude, largest=float(magnitude.max()))
    return stored, {"slope": slope}, {}


def _phase(cycles: NDArray[np.complex64]) -> Part:
    stored, slope, intercept = phase_integers(np.angle(cycles))
    return stored, {"slope": slope, "intercept": intercept}, {"Units": "arbitrary"}


def _real(cycles: NDArray[np.complex64]) -> Part:
    stored, slope = integers(cycles.real, largest=float(np.abs(cycles.real).max()))
    return stored, {"slope": slope}, {"Units": "arbitrary"}


def _imaginary(cycles: NDArray[np.complex64]) -> Part:
    stored, slope = integers(cycles.imag, largest=float(np.abs(cycles.imag).max()))
    return stored, {"slope": slope}, {"Units": "arbitrary"}


def _complex(cycles: NDArray[np.complex64]) -> Part:
    return cycles, {}, {"ComplexImageComponent": "COMPLEX"}


_PARTS: dict[str, dict[str, Callable[[NDArray[np.complex64]], Part]]] = {
    "mag-phase": {"_part-mag": _magnitude, "_part-phase": _phase},
    "real-imag": {"_part-real": _real, "_part-imag": _imaginary},
    "complex": {"": _complex},
    "split": {"_part-mag": _magnitude, "_part-phase": _phase},
}
LAYOUTS = tuple(_PARTS)
"""Ways to store the cycles: two series, two series, one complex series, or one pair of 3D files a cycle."""


def run_entity(run: int) -> str:
    """Return the entity of a run as names hold it; none where there is one alone (0)."""
    return f"_run-{run}" if run else ""


def write_bssfp(
    folder: Path, prefix: str, *, session: Session, protocol: BssfpProtocol, layout: str, run: int = 0
) -> tuple[str, ...]:
    """Write the phase cycles and return the names of the images.

    Parameters
    ----------
    folder
        The folder of the subject or session.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    session
        What was measured.
    protocol
        The acquisition.
    layout
        One of `LAYOUTS`.
    run
        Index of the run; 0 where there is one alone, whose name holds none.
    """
    increments = increments_in_degrees(protocol)
    written = []
    for entity, encode in _PARTS[layout].items():
        stored, scaling, facts = encode(session.cycles)
        pieces: list[tuple[str, NDArray[Any], list[float]]] = [("acq-pcbssfp", stored, increments)]
        if layout == "split":
            pieces = [
                (f"acq-pcbssfpPC{round(degrees):03d}", stored[..., cycle], [degrees])
                for cycle, degrees in enumerate(increments)
            ]
        for label, values, degrees in pieces:
            name = f"{prefix}{label}{run_entity(run)}_flip-1{entity}_VFA"
            write_image(
                folder / "anat" / name,
                values,
                affine=session.grid.affine,
                sidecar={**_bssfp_sidecar(protocol, degrees, grid=session.grid, physics=session.physics), **facts},
                repetition_time=protocol.repetition_time,
                **scaling,
            )
            written.append(f"anat/{name}.nii.gz")
    return tuple(written)
