"""Which Z-spectra of a session are taken to their nominal B1, and by which others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.refusal import RefusedError, refusal_of, refuse
from qmri_bids.estimation.spectra.series import SAME_OFFSET, SAME_POWER, SeriesLayout, series_layout
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.saturation.run import CestRun, PowerCorrection
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.units import tesla_to_microtesla

OPTION = "--cest-b1-correction"

LABEL = "B1corrected"
"""What is added to `acq` of a Z-spectrum in the names of its maps at nominal B1."""

MOST = 4
"""Other spectra that enter; of more those nearest in power."""

SAME_TRAIN = 1e-3
"""Relative difference of durations of two trains that are one."""


def with_powers(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan with a further run for every Z-spectrum that others of the session take to its nominal B1.

    Others are Z-spectra of the same offsets and saturation at another power. The spectrum as it was measured stays a run of its
    own.

    Parameters
    ----------
    plan
        Of a session, the T1 of its Z-spectra found.
    options
        Whether it is asked for, and whether a B1 map may be used.
    """
    spectra = [run for run in plan.cest if run.kind == "z-spectrum"]
    if options.cest_b1_correction != "powers" or not spectra:
        return plan
    findings = Findings(root=plan.files.root, options=options)
    b1 = SessionB1(plan.files.b1, findings=findings, cest=plan.cest)
    made: list[CestRun] = []
    for run in spectra:
        try:
            made.append(_corrected(run, spectra, b1=b1, findings=findings, others=[*plan.runs, *made]))
        except Exception as error:
            findings.refusals.append(replace(refusal_of(error, file=run.label)))
    return replace(
        plan,
        cest=(*plan.cest, *made),
        b1=(*plan.b1, *(each for each in b1.runs if each not in plan.b1)),
        refusals=tuple(dict.fromkeys([*plan.refusals, *findings.refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *findings.notes])),
    )


def _corrected(
    run: CestRun, spectra: Sequence[CestRun], *, b1: SessionB1, findings: Findings, others: Sequence[Run]
) -> CestRun:
    """Return the run of a spectrum at nominal B1.

    Raises
    ------
    RefusedError
        If there is no other spectrum that serves, or no B1 map.
    """
    power = _power(run)
    partners = sorted(
        (each for each in spectra if _serves(each, run)),
        key=lambda each: (abs(np.log(_power(each) / power)), each.label),
    )[:MOST]
    if not partners:
        raise _no_partner(run, spectra)
    session = run.entities.get("ses")
    chosen, sentences = b1.choose(session, images=[run.image], sidecars=[findings.sidecar(run.image)], label=run.label)
    if chosen is None:
        raise refuse(
            file=run.label,
            key=OPTION,
            expected="a B1 map of the session (a B1 scan in fmap/ or a WASABI run)",
            found="--no-b1" if findings.options.no_b1 else "none",
            advice=f"Add one, or leave {OPTION} out: the spectrum as it was measured is processed in any case.",
        )
    takes = tuple(
        Take(
            names=(),
            key=f"power{number}",
            method="spectra",
            run=each.label,
            sentence=f"the spectrum of {each.label} at {tesla_to_microtesla(_power(each)):.3g} µT",
        )
        for number, each in enumerate(partners, start=1)
    )
    shown = " and ".join(take.sentence for take in takes)
    sentence = (
        f"Z of {run.label} ({tesla_to_microtesla(power):.3g} µT) is taken to its nominal B1 by {shown} and the B1 map of "
        f"{chosen.run or chosen.map.name}."
    )
    correction = PowerCorrection(
        others=takes, ratios=tuple(_power(each) / power for each in partners), b1=chosen, sentence=sentence
    )
    own = replace(run, powers=correction, warnings=(*run.warnings, *sentences))
    return _named(own, others)


def _named(run: CestRun, others: Sequence[Run]) -> CestRun:
    """Return a run whose files have names that no other run has."""
    taken = [derivative_entities(each.entities) for each in others]
    for more in ("", *(str(number) for number in range(2, len(taken) + 3))):
        entities = {**run.entities, "acq": f"{run.entities['acq']}{LABEL}{more}"}
        if derivative_entities(entities) not in taken:
            return replace(run, entities=entities)
    raise ValueError(f"{run.label}: no name is left for the spectrum at nominal B1")  # there are more of them than runs


def _layout(run: CestRun) -> SeriesLayout:
    return series_layout(run.protocol, roles=run.roles, role="cest")


def _power(run: CestRun) -> float:
    """Return the root mean square of B1 of the saturation of a spectrum [T]."""
    return _layout(run).saturation.b1_rms


def _serves(other: CestRun, run: CestRun) -> bool:
    """Whether another run measured the same spectrum at another power."""
    if other is run or other.entities.get("ses") != run.entities.get("ses"):
        return False
    return not _differences(other, run) and not _same_power(other, run)


def _same_power(other: CestRun, run: CestRun) -> bool:
    return abs(_power(other) / _power(run) - 1.0) <= SAME_POWER


def _differences(other: CestRun, run: CestRun) -> list[str]:
    """Return in what two spectra differ but their power, in words."""
    mine, theirs = _layout(run), _layout(other)
    found = []
    same = len(mine.offsets) == len(theirs.offsets) and np.allclose(
        mine.offsets, theirs.offsets, rtol=0.0, atol=SAME_OFFSET
    )
    if not same:
        found.append("offsets")
    first, second = mine.saturation, theirs.saturation
    lengths = [[each.pulse.duration, each.gap, each.duration] for each in (first, second)]
    if first.number != second.number or not np.allclose(lengths[0], lengths[1], rtol=SAME_TRAIN, atol=1e-6):
        found.append("saturation train")
    if abs(run.protocol.field_strength - other.protocol.field_strength) > 0.05:
        found.append("field strength")
    return found


def _no_partner(run: CestRun, spectra: Sequence[CestRun]) -> RefusedError:
    there = [each for each in spectra if each is not run and each.entities.get("ses") == run.entities.get("ses")]
    found = "; ".join(
        f"{each.label} has {'the same power' if _same_power(each, run) else 'another power'}"
        + "".join(f" and other {what}" for what in _differences(each, run))
        for each in there
    )
    return refuse(
        file=run.label,
        key=OPTION,
        expected="another Z-spectrum of the session with the same offsets and saturation at another power, as a run of its own "
        "(acq- label)",
        found=found or "none",
        advice=f"Add one, or leave {OPTION} out: the spectrum as it was measured is processed in any case.",
    )
