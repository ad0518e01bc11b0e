"""What a report says of the mask: its traffic light, and the words where it holds no brain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.reports.content import Check, Level, RunReport
from qmri_bids.reports.measures import MEASURES, Measure

_WORDS = (
    ("Brain mask", "Mask of the object"),
    ("brain mask", "mask of the object"),
    ("of the brain", "of the object"),
    ("in the brain", "in the object"),
)


MASK_LIGHTS = ("Brain mask", "Mask")
"""Names of the light of a mask: that of a brain, and any other."""


def mask_check(found: Mapping[str, Any]) -> Check:
    """Return the traffic light of a mask.

    Parameters
    ----------
    found
        What the mask holds and what speaks for it, from the nodes that find or read it.
    """
    measures = tuple(Measure(key=key, value=value) for key, value in found["measures"].items() if key in MEASURES)
    return Check(
        name=MASK_LIGHTS[0] if found["kind"] == BRAIN else MASK_LIGHTS[1],
        value=found["value"],
        level=Level(found["level"]),
        explanation=found["explanation"],
        measures=measures,
    )


def with_mask(report: RunReport, found: Mapping[str, Any]) -> RunReport:
    """Return a report with the traffic light of its mask, told in words that fit what the mask holds.

    Parameters
    ----------
    report
        Report of a run.
    found
        What the mask holds and what speaks for it, from the nodes that find or read it.
    """
    light = mask_check(found)
    if found["kind"] != BRAIN:
        report = _of_object(report)
    stated = {measure.key for measure in light.measures}
    return replace(
        report,
        checks=(light, *report.checks),
        measures=tuple(each for each in report.measures if each.key not in stated),
    )


def _of_object(report: RunReport) -> RunReport:
    """Return a report that calls the mask what it is, without the volume of a brain."""
    return replace(
        report,
        checks=tuple(
            replace(each, value=_told(each.value), explanation=_told(each.explanation)) for each in report.checks
        ),
        figures=tuple(
            replace(each, title=_told(each.title), caption=_told(each.caption), alternative=_told(each.alternative))
            for each in report.figures
        ),
        quality=tuple(replace(each, meaning=_told(each.meaning)) for each in report.quality),
        statistics=tuple(replace(each, region=_told(each.region)) for each in report.statistics),
        measures=tuple(each for each in report.measures if each.key != "brain_volume"),
    )


def _told(text: str) -> str:
    for brain, other in _WORDS:
        text = text.replace(brain, other)
    return text
