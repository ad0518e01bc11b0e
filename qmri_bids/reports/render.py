"""From the content of a report to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.reports.content import Figure, Level, RunReport, Section, SubjectReport
from qmri_bids.reports.viewer.page import pages_of

if TYPE_CHECKING:
    from jinja2 import Environment

SECTION_TITLES: dict[Section, str] = {
    Section.PROTOCOL: "Saturation protocol",
    Section.CYCLES: "Phase cycles and brain mask",
    Section.SERIES: "Images and brain mask",
    Section.MOTION: "Motion",
    Section.REGISTRATION: "Registration of other scans",
    Section.B1: "Transmit field (B1)",
    Section.SPECTRA: "Spectra",
    Section.TRAJECTORIES: "Measured and fitted signal",
    Section.MAPS: "Maps",
    Section.UNCERTAINTY: "Uncertainty",
    Section.POSTERIOR: "Posterior under a prior",
    Section.HISTOGRAMS: "Distributions",
    Section.REGIONS: "Regions of the atlas",
    Section.QUALITY: "Quality",
}

LEVEL_WORDS: dict[Level, str] = {
    Level.GOOD: "good",
    Level.CHECK: "please check",
    Level.BAD: "problem",
    Level.INFO: "note",
}
"""A word for every light: colour alone must not carry the meaning."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One section of a run as the template takes it."""

    key: Section
    title: str
    figures: tuple[Figure, ...]


def report_html(report: SubjectReport) -> str:
    """Return the report as one HTML document with its pictures inside.

    Parameters
    ----------
    report
        What the report holds. All of its text is escaped.
    """
    figures = [figure for run in report.runs for figure in run.figures]
    viewers = pages_of([run.viewer for run in report.runs], pictures=sum(len(figure.image) for figure in figures))
    moving = any(viewers) or any(figure.frames for figure in figures)
    template = page_environment().get_template("report.html.j2")
    return template.render(report=report, viewers=viewers, has_script=moving)


def page_environment() -> Environment:
    """Return what the templates of pages are rendered with: all text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qmri_bids.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["number"] = _number
    environment.filters["anchor"] = _anchor
    environment.filters["glue"] = _glue
    environment.filters["duration"] = _duration
    environment.globals.update(level_words=LEVEL_WORDS, run_anchor=_run_anchor, parts=_parts)
    return environment


def write_report(report: SubjectReport, path: Path) -> Path:
    """Write the report; a reader sees the old file or the whole new one, never half of it.

    Parameters
    ----------
    report
        What the report holds.
    path
        File to write, `sub-<label>.html`; its folder is made where it is missing.

    Returns
    -------
    Path
        The file written.
    """
    html = report_html(report)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(html)
        # mkstemp gives 0600; a report is read by the group like every other output.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _parts(run: RunReport) -> list[_Part]:
    """Return the sections of a run that have something to show; two of them also hold tables."""
    parts = []
    for section, title in SECTION_TITLES.items():
        figures = tuple(figure for figure in run.figures if figure.section is section)
        has_table = (section is Section.QUALITY and run.quality) or (section is Section.HISTOGRAMS and run.statistics)
        if figures or has_table:
            parts.append(_Part(key=section, title=title, figures=figures))
    return parts


def _data_uri(figure: Figure) -> str:
    """Return the picture as a data URI."""
    return f"data:{figure.mime};base64,{base64.b64encode(figure.image).decode('ascii')}"


def _number(value: float) -> str:
    """Return a number with four significant digits, thousands without exponent."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    exponent = size >= 1e6 or 0.0 < size < 1e-3
    return (f"{value:.3g}" if exponent else f"{value:.{digits}f}").replace("-", "\N{MINUS SIGN}")


def _glue(text: str) -> str:
    """Return a text in which no line breaks between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(?:%|ms|mm|s|Hz|T|µT|ppm|°)(?:\W|$))", "\N{NO-BREAK SPACE}", text)


def _anchor(text: str) -> str:
    """Return a text as the name of an anchor."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower() or "part"


def anchor_of_run(number: int, name: str) -> str:
    """Return the anchor of a run in the report of its participant.

    Parameters
    ----------
    number
        Place of the run in the report, from 1; it keeps two runs of the same name apart.
    name
        Name of the run, `ses-1_acq-pcbssfp`; empty where it has none.
    """
    return _anchor(f"run-{number}-{name}")


def _run_anchor(run: RunReport, number: int) -> str:
    return anchor_of_run(number, run.name)


def _duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
