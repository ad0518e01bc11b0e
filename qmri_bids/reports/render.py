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
from urllib.parse import quote

from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantities.images import BAND_FREE, SYNTHETIC
from qmri_bids.reports.bands import APPARENT, MIXED_FLUID, bands, no_bands_because
from qmri_bids.reports.content import Figure, Level, Reference, RunReport, Section, StatisticsRow, SubjectReport
from qmri_bids.reports.methods import departures
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.verdict import kinds_of_t1, map_level, run_verdict, subject_verdict
from qmri_bids.reports.viewer.page import pages_of
from qmri_bids.tissue_labels import FLUID, NAMES

if TYPE_CHECKING:
    from jinja2 import Environment

SECTION_TITLES: dict[Section, str] = {
    Section.PROTOCOL: "Saturation protocol",
    Section.CYCLES: "Phase cycles and mask",
    Section.SERIES: "Images and mask",
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

OPEN_SECTIONS = frozenset({Section.MAPS, Section.HISTOGRAMS})
"""Sections that are read first: all others are folded on the screen, and open in print."""

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
    is_open: bool

    @property
    def contents(self) -> str:
        """What the reader finds when it is folded."""
        number = len(self.figures)
        return f"{number} picture" if number == 1 else f"{number} pictures" if number else "a table"


@dataclass(frozen=True, kw_only=True)
class _Range:
    """What is published of one row of the table of tissues: the range as text, and the papers."""

    text: str
    sources: str


@dataclass(frozen=True, kw_only=True)
class _Glance:
    """One map of the overview as the template takes it; None in place of a light that would be that of no check."""

    anchor: str
    title: str
    figure: Figure
    level: Level | None


def report_html(report: SubjectReport) -> str:
    """Return the report as one HTML document with its pictures inside.

    Parameters
    ----------
    report
        What the report holds. All of its text is escaped.
    """
    viewers = [run.viewer for run in report.runs]
    moving = any(viewers) or any(figure.frames for run in report.runs for figure in run.figures)
    template = page_environment().get_template("report.html.j2")
    known = {"report": report, "has_script": moving}
    page = template.render(viewers=(None,) * len(viewers), **known)
    if not any(viewers):
        return page
    return template.render(viewers=pages_of(viewers, others=len(page.encode())), **known)


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
    environment.filters["file_link"] = _file_link
    environment.filters["capital"] = _capital
    environment.filters["png_uri"] = _png_uri
    environment.filters["date"] = _date
    environment.globals.update(
        level_words=LEVEL_WORDS,
        run_anchor=_run_anchor,
        parts=_parts,
        glances=_glances,
        run_verdict=run_verdict,
        subject_verdict=subject_verdict,
        kinds_of_t1=_kinds_of_t1,
        published=_published,
        band_notes=_band_notes,
        band_sources=_band_sources,
        all_references=_all_references,
        exit_words=_exit_words,
        departures=departures,
    )
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
            # Of a run that failed all is shown: its pictures are the way to the cause.
            is_open = section in OPEN_SECTIONS or bool(run.errors)
            parts.append(_Part(key=section, title=title, figures=figures, is_open=is_open))
    return parts


def _glances(run: RunReport, anchor: str) -> list[_Glance]:
    """Return the maps of a run for the overview: those of the sections that show maps, not their uncertainty."""
    return [
        _Glance(
            anchor=f"{anchor}-{_anchor(figure.key)}",
            title=figure.title,
            figure=figure,
            level=_own_level(run, figure),
        )
        for figure in run.figures
        if figure.overview is not None and figure.section in (Section.MAPS, Section.B1)
    ]


COMPUTED = tuple(quantity.name.partition("_")[0] + "-" for quantity in (*SYNTHETIC, *BAND_FREE))
"""How keys of pictures begin that show images computed from maps or cycles."""


def _own_level(run: RunReport, figure: Figure) -> Level | None:
    """Return the light of a map; of a computed image, which no check judges, that of the run alone where it is not good."""
    level = map_level(run, figure.title)
    judged = not figure.key.startswith(COMPUTED) or level in (Level.CHECK, Level.BAD)
    return level if judged else None


_NAMES_OF_MAPS = {
    quantity.label: name for name, quantity in QUANTITIES.items() if name in ("T1", "mtcorrected_T1", "T2")
}


def _published(row: StatisticsRow, run: RunReport) -> _Range | None:
    """Return what is published of a row of the table of tissues, in the unit of its map; None where nothing is."""
    name = _NAMES_OF_MAPS.get(row.map)
    if name is None:
        return None
    for band in bands(name, run.field_strength):
        if row.region.removeprefix("pure ") == band.tissue_name:
            low, high = (QUANTITIES[name].display.convert(limit) for limit in (band.low, band.high))
            text = f"{low:.0f} to {high:.0f}" if high > low else f"about {low:.0f}"
            return _Range(text=text, sources="; ".join(REFERENCES[key].short for key in band.sources))
    return None


def _band_notes(run: RunReport) -> list[str]:
    """Return what a reader of published ranges must know; nothing where the run has no map or no tissue that they are of."""
    tissues = {row.region.removeprefix("pure ") for row in run.statistics} & set(NAMES.values())
    maps = {_NAMES_OF_MAPS[row.map] for row in run.statistics if row.map in _NAMES_OF_MAPS}
    if not maps or not tissues:
        return []
    missing = no_bands_because(run.field_strength)
    if missing:
        return [missing]
    return [APPARENT] * ("T1" in maps) + [MIXED_FLUID] * (NAMES[FLUID] in tissues)


def _band_sources(run: RunReport) -> str:
    """Return the papers behind the published ranges of a run, in short."""
    found = [published.sources for row in run.statistics if (published := _published(row, run)) is not None]
    return "; ".join(sorted({source for sources in found for source in sources.split("; ")}))


def _all_references(report: SubjectReport) -> tuple[Reference, ...]:
    """Return the publications that the methods cite, and those of the published ranges that are shown."""
    entries = {entry.key: entry for entry in report.references}
    for run in report.runs:
        for name in {_NAMES_OF_MAPS.get(row.map, "") for row in run.statistics}:
            for band in bands(name, run.field_strength):
                if any(row.region.removeprefix("pure ") == band.tissue_name for row in run.statistics):
                    entries |= {key: REFERENCES[key] for key in band.sources}
    return tuple(sorted(entries.values(), key=lambda entry: entry.short.casefold()))


def _kinds_of_t1(report: SubjectReport) -> tuple[str, ...]:
    return kinds_of_t1([row.map for run in report.runs for row in run.statistics])


def _exit_words(report: SubjectReport) -> str:
    """Return what an exit status means beside the lights."""
    if report.exit_status:
        return "failed: a run failed or was refused"
    if report.level is Level.BAD:
        return "success: all was processed. Lights judge the data, and a red one changes no exit status"
    return "success: all was processed"


def _file_link(name: str) -> str:
    """Return the address of a file of the output folder, in which the page lies."""
    return quote(name, safe="/")


def _capital(text: str) -> str:
    """Return a text with a capital at its head; names that mix cases, such as the user's own, stay."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.islower() and first.isalpha() else text


def _date(text: str) -> str:
    """Return a date and time (ISO 8601) as people write it; other texts as they are."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2})?(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?", text)
    if match is None:
        return text
    zone = {None: "", "Z": " UTC", "+00:00": " UTC"}.get(match[3], f" UTC{match[3]}")
    return f"{match[1]}, {match[2]}{zone}"


def _png_uri(image: bytes) -> str:
    """Return a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(image).decode('ascii')}"


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
    """Return a text with true minus signs, in which no line breaks between a number and its unit."""
    text = re.sub(r"(?<![\w.)\]}/-])-(?=\d)", "\N{MINUS SIGN}", text)
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
