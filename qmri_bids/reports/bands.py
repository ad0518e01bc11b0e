"""Published T1 and T2 of healthy adult brain by field strength, as a table: what a histogram or a table is held against.

Values are means and standard deviations over participants as their papers state them; those of Stanisz et al. are of excised tissue
at body temperature. A band reaches from the lowest mean less its
deviation to the highest plus its own: papers differ by more than their participants do, mostly by what magnetization transfer does
to each sequence. MTR, MTsat and pools have no bands: they follow from pulses and models as much as from
tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmri_bids.tissue_labels import FLUID, GREY, NAMES, WHITE
from qmri_bids.units import GYROMAGNETIC_RATIO

FIELDS = (1.5, 3.0, 7.0)
"""Field strengths that the table holds [T]."""

TOLERANCE = 0.05
"""Relative deviation from one of them up to which a scanner counts as of that field: 2.89 T is sold as 3 T."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published value.

    Parameters
    ----------
    map
        Name of the map in `quantities`.
    tissue
        Label of the tissue.
    field
        [T].
    mean
        [s].
    deviation
        Standard deviation over participants [s]; 0 where the paper states none.
    source
        Key of the paper in `references.bib`.
    """

    map: str
    tissue: int
    field: float
    mean: float
    deviation: float
    source: str


def _rooney() -> tuple[Published, ...]:
    """Return T1 of Rooney et al. (2007): its fits over 0.2 to 7 T, and the field-independent one of fluid."""
    rows = []
    for field in FIELDS:
        frequency = GYROMAGNETIC_RATIO * field
        white, grey = 0.00071 * frequency**0.382, 0.00116 * frequency**0.376
        spread = {WHITE: (2.0 * field + 18.0) * 1e-3, GREY: (5.0 * field + 54.0) * 1e-3, FLUID: 0.2}
        for tissue, mean in ((WHITE, white), (GREY, grey), (FLUID, 4.329)):
            rows.append(
                Published(
                    map="T1", tissue=tissue, field=field, mean=mean, deviation=spread[tissue], source="rooney2007"
                )
            )
    return tuple(rows)


def _row(map: str, tissue: int, field: float, mean: float, deviation: float, source: str) -> Published:
    return Published(map=map, tissue=tissue, field=field, mean=mean * 1e-3, deviation=deviation * 1e-3, source=source)


PUBLISHED: tuple[Published, ...] = (
    *_rooney(),
    _row("T1", WHITE, 1.5, 646, 32, "wright2008"),
    _row("T1", GREY, 1.5, 1197, 134, "wright2008"),
    _row("T1", WHITE, 3.0, 838, 50, "wright2008"),
    _row("T1", GREY, 3.0, 1607, 112, "wright2008"),
    _row("T1", WHITE, 7.0, 1126, 97, "wright2008"),
    _row("T1", GREY, 7.0, 1939, 149, "wright2008"),
    _row("T1", WHITE, 3.0, 832, 10, "wansapura1999"),
    _row("T1", GREY, 3.0, 1331, 13, "wansapura1999"),
    _row("T1", WHITE, 3.0, 939, 0, "rioux2016"),
    _row("T1", WHITE, 7.0, 1349, 0, "rioux2016"),
    _row("T2", WHITE, 1.5, 72, 4, "stanisz2005"),
    _row("T2", GREY, 1.5, 95, 8, "stanisz2005"),
    _row("T2", WHITE, 3.0, 69, 3, "stanisz2005"),
    _row("T2", GREY, 3.0, 99, 7, "stanisz2005"),
    _row("T2", WHITE, 3.0, 79.6, 0.6, "wansapura1999"),
    _row("T2", GREY, 3.0, 110, 2, "wansapura1999"),
    _row("T2", WHITE, 1.5, 80, 0, "cox2010"),
    _row("T2", GREY, 1.5, 80, 0, "cox2010"),
    _row("T2", GREY, 1.5, 87, 0, "cox2010"),
    _row("T2", WHITE, 3.0, 71, 0, "cox2010"),
    _row("T2", GREY, 3.0, 68, 0, "cox2010"),
    _row("T2", GREY, 3.0, 76, 0, "cox2010"),
    _row("T2", WHITE, 7.0, 47, 0, "cox2010"),
    _row("T2", GREY, 7.0, 46, 0, "cox2010"),
    _row("T2", GREY, 7.0, 47, 0, "cox2010"),
    _row("T2", FLUID, 3.0, 2030, 0, "spijkerman2018"),
    _row("T2", FLUID, 7.0, 1050, 0, "spijkerman2018"),
)
"""Every value; [ms] in the rows, [s] in the table. Of T2 in grey matter by Cox and Gowland: occipital and frontal."""

SAME_AS: Mapping[str, str] = {"T1": "T1", "mtcorrected_T1": "T1", "T2": "T2"}
"""Maps that are held against published values, and of what. T1 of free water is none that papers of tissue state."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """What is published of one map in one tissue at one field: limits [s] and the keys of the papers."""

    map: str
    tissue: int
    field: float
    low: float
    high: float
    sources: tuple[str, ...]

    @property
    def tissue_name(self) -> str:
        """Name of the tissue in reports."""
        return NAMES[self.tissue]


def nominal_field(field_strength: float | None) -> float | None:
    """Return the field of the table that a scanner is of, None where it is of none.

    Examples
    --------
    >>> nominal_field(2.89), nominal_field(9.4), nominal_field(None)
    (3.0, None, None)
    """
    if field_strength is None:
        return None
    return next((field for field in FIELDS if abs(field_strength / field - 1.0) <= TOLERANCE), None)


def bands(name: str, field_strength: float | None) -> tuple[Band, ...]:
    """Return the bands of a map, a tissue each; none where the field is not of the table or nothing is published.

    Parameters
    ----------
    name
        Name of the map in `quantities`.
    field_strength
        [T], None where it is not stated.

    Examples
    --------
    >>> [(band.tissue_name, round(band.low, 3), round(band.high, 3)) for band in bands("T2", 3.0)]
    [('grey matter', 0.068, 0.112), ('white matter', 0.066, 0.08), ('fluid', 2.03, 2.03)]
    """
    field = nominal_field(field_strength)
    found = []
    for tissue in (GREY, WHITE, FLUID):
        rows = [
            row for row in PUBLISHED if row.map == SAME_AS.get(name) and row.tissue == tissue and row.field == field
        ]
        if rows:
            found.append(
                Band(
                    map=name,
                    tissue=tissue,
                    field=rows[0].field,
                    low=min(row.mean - row.deviation for row in rows),
                    high=max(row.mean + row.deviation for row in rows),
                    sources=tuple(dict.fromkeys(row.source for row in rows)),
                )
            )
    return tuple(found)


def no_bands_because(field_strength: float | None) -> str:
    """Return why a report holds no bands, as a sentence; empty where it does."""
    if nominal_field(field_strength) is not None:
        return ""
    known = ", ".join(f"{field:g}" for field in FIELDS)
    if field_strength is None:
        return f"No published ranges are shown: no sidecar states MagneticFieldStrength (they are kept for {known} T)."
    return f"No published ranges are shown: the field is {field_strength:.3g} T, they are kept for {known} T."


APPARENT = (
    "Published T1 is that of inversion recoveries. T1 of pc-bSSFP is apparent: magnetization transfer shortens it (7 to 35 % in "
    "tissue), so that a value below the range is no fault by itself. Above it lie voxels that share their place with fluid or, of "
    "white matter, with grey matter, medians of few cycles or much noise, and T1 where B1 is measured too low: rows of pure tissue "
    "have less of the first. The light on T1 and T2 of tissue has wider limits than these ranges: it looks for wrong flip angles "
    "and repetition times, so that it may be green beside a value out of the range."
)
"""What stands beside the range of T1."""

MIXED_FLUID = (
    "Rows of fluid hold every voxel that is mostly fluid, most of them mixed with tissue, and T1 and T2 of these are shorter than "
    "those of fluid, which the published values are of."
)
"""What stands beside the range of fluid."""
