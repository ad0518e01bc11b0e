"""Where the shift of water of each Z-spectrum comes from: another run, WASSR volumes, a field map, the spectrum, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from qmri_bids.bids.refusal import refusal_of, refuse
from qmri_bids.pipeline.sources import Offer
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.nearest import nearest_run
from qmri_bids.scans.saturation.run import NOT_CORRECTED, B0Method, CestRun, of_kind, shift_of_water

FAR_FROM_WATER = 7.5
"""A spectrum all of whose offsets are as far [ppm] changes by less than 0.01 with a shift of water of 0.2 ppm, even at 2 µT."""

FEWEST_WASSR = 5
"""WASSR volumes within a run from which on they can tell the shift."""


@dataclass(frozen=True, kw_only=True)
class _Session:
    """What a Z-spectrum can choose from."""

    runs: Sequence[CestRun]
    fieldmaps: SessionFieldmaps
    findings: Findings


def with_b0(runs: Sequence[CestRun], *, findings: Findings, fieldmaps: SessionFieldmaps) -> tuple[CestRun, ...]:
    """Return the runs, each Z-spectrum with its source of B0.

    Parameters
    ----------
    runs
        CEST runs of the subject.
    findings
        Takes a refusal where a source that was asked for is not there.
    fieldmaps
        Of the subject.
    """
    chosen = []
    for run in runs:
        if "off_resonance" not in run.use.takes:
            chosen.append(run)
            continue
        here = [each for each in runs if each.entities.get("ses") == run.entities.get("ses")]
        try:
            chosen.append(_choose(run, _Session(runs=here, fieldmaps=fieldmaps, findings=findings)))
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=run.label))
    return tuple(chosen)


def _choose(run: CestRun, session: _Session) -> CestRun:
    asked = session.findings.options.cest_b0
    if asked == "auto" and (distance := min(map(abs, _sampled(run)), default=0.0)) >= FAR_FROM_WATER:
        sentence = (
            f"B0 is not corrected: no offset is nearer to water than {distance:g} ppm, where a shift matters little."
        )
        return replace(run, b0=shift_of_water(method="none", sentence=sentence))
    ways = tuple(way for way in _WAYS if asked == way or (asked == "auto" and way != "none"))
    if not ways:
        raise refuse(
            file=run.label,
            key="--cest-b0",
            expected=f"{', '.join(_WAYS)} or auto for this Z-spectrum",
            found=f"{asked}, which serves fingerprints alone",
            advice="Run with --cest-b0 auto.",
        )
    closed: list[str] = []
    for way in ways:
        offer = _WAYS[way](run, session)
        if offer.source is not None:
            sentence = offer.source.sentence
            if asked != "auto":
                sentence += " (--cest-b0)"
            elif way == "spectrum":
                sentence += ": " + "; ".join(closed)
            return replace(
                run,
                b0=replace(offer.source, sentence=f"{sentence}."),
                warnings=(*run.warnings, *offer.warnings),
            )
        closed.append(offer.reason)
    raise refuse(
        file=run.label,
        key="--cest-b0",
        expected=f"{'; '.join(_EXPECTED[way] for way in ways)} for this Z-spectrum",
        found=f"none: {'; '.join(closed)}",
        advice="Add one, or leave spectra as they are with --cest-b0 none."
        if asked == "auto"
        else "Add one, or run with --cest-b0 auto.",
    )


def _from_run(run: CestRun, session: _Session, kind: Literal["wasabi", "wassr"]) -> Offer:
    name = kind.upper()
    best, phrase = nearest_run(run, of_kind(session.runs, kind))
    if best is None:
        return Offer(reason=f"the session has no {name} run")
    sentence = f"The shift of water comes from the {name} run {phrase}"
    shows_dip = not _hidden_dip(run)
    return Offer(source=shift_of_water(method=kind, run=best.label, sentence=sentence, shows_dip=shows_dip))


def _wasabi(run: CestRun, session: _Session) -> Offer:
    return _from_run(run, session, "wasabi")


def _wassr(run: CestRun, session: _Session) -> Offer:
    offer = _from_run(run, session, "wassr")
    if offer.source is not None:
        return offer
    own = [
        image.offset
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role == "wassr" and image.offset is not None
    ]
    if not own:
        return replace(offer, reason="there is no WASSR run and no wassr volume in the run")
    if len(set(own)) < FEWEST_WASSR or not min(own) < 0.0 < max(own):
        return replace(
            offer,
            reason=f"the {len(own)} wassr volumes of the run are too few "
            f"(at least {FEWEST_WASSR} offsets on both sides of water)",
        )
    sentence = f"The shift of water comes from the {len(own)} WASSR volumes of the run itself"
    return Offer(source=shift_of_water(method="wassr", sentence=sentence))


def _fieldmap(run: CestRun, session: _Session) -> Offer:
    sidecar = session.findings.sidecar(run.image)
    fieldmap, why = session.fieldmaps.choose(run.entities.get("ses"), image=run.image, sidecar=sidecar)
    if fieldmap is None:
        return Offer(reason=why)
    sentence = f"The shift of water comes from the field map {fieldmap.path.name}: {why}"
    return Offer(
        source=shift_of_water(method="fieldmap", fieldmap=fieldmap, sentence=sentence), warnings=fieldmap.warnings
    )


def _spectrum(run: CestRun, session: _Session) -> Offer:
    reason = _hidden_dip(run)
    if reason:
        return Offer(reason=f"the spectrum does not show the dip of water: {reason}")
    sentence = "The shift of water is read from the dip of the spectrum itself"
    return Offer(source=shift_of_water(method="spectrum", sentence=sentence))


def _none(run: CestRun, session: _Session) -> Offer:
    sentence = "B0 IS NOT CORRECTED: every voxel is taken to have water at its nominal frequency"
    return Offer(source=shift_of_water(method="none", sentence=sentence), warnings=(NOT_CORRECTED,))


def _sampled(run: CestRun) -> list[float]:
    """Return the offsets of the spectrum [ppm]."""
    return [
        image.offset
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role == "cest" and image.offset is not None
    ]


def _hidden_dip(run: CestRun) -> str:
    """Return why the spectrum does not show the dip of water, empty where it does."""
    # The module of the fit is heavy.
    from qmri_bids.estimation.spectra.water_shift import unsampled_dip

    return unsampled_dip(_sampled(run))


_WAYS: Mapping[B0Method, Callable[[CestRun, _Session], Offer]] = {
    "wasabi": _wasabi,
    "wassr": _wassr,
    "fieldmap": _fieldmap,
    "spectrum": _spectrum,
    "none": _none,
}
"""Ways to B0, the best first; none is taken only where it is asked for."""

_EXPECTED: Mapping[B0Method, str] = {
    "wasabi": "a WASABI run of the session",
    "wassr": "a WASSR run of the session or wassr volumes in the run",
    "fieldmap": "a field map of the session (fmap/*_fieldmap in Hz or rad/s, *_phasediff, or *_phase1 and *_phase2)",
    "spectrum": "the spectrum itself",
    "none": "no correction",
}
