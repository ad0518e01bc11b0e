"""Numbers that describe the quality of a run, as a table: what each is, and its unit.

A traffic light says a number in words, for a reader; a `Measure` keeps it for tables of many participants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class MeasureKind:
    """What a measure is: a description, a short label, and its unit, empty for a bare number."""

    label: str
    description: str
    unit: str = ""


MEASURES: Mapping[str, MeasureKind] = {
    "brain_volume": MeasureKind(
        label="Brain volume", description="Volume of the brain mask: of the slices that were scanned", unit="mL"
    ),
    "valid_voxels": MeasureKind(
        label="Voxels with a value", description="Share of the voxels of the brain mask that have a value", unit="%"
    ),
    "residual": MeasureKind(
        label="Residual", description="Median residual of the fit over the voxels that have a value", unit="%"
    ),
    "model_misfit": MeasureKind(
        label="Model misfit",
        description="Residual that neighbouring voxels have in common, over the noise",
        unit="noise",
    ),
    "relative_stdev": MeasureKind(
        label="Relative sd",
        description="Median over the voxels of the standard deviation of a map relative to its value",
        unit="%",
    ),
    "displacement_max": MeasureKind(
        label="Largest displacement",
        description="Largest framewise displacement between images of the series",
        unit="mm",
    ),
    "displacement_mean": MeasureKind(
        label="Mean displacement",
        description="Mean framewise displacement between images of the series",
        unit="mm",
    ),
    "misalignment": MeasureKind(
        label="Misalignment left",
        description="Largest misalignment between images of the series that is left after correction, estimated",
        unit="mm",
    ),
    "b1_low": MeasureKind(
        label="B1, low", description="2nd percentile of B1 in the brain, relative to nominal", unit="%"
    ),
    "b1_high": MeasureKind(
        label="B1, high", description="98th percentile of B1 in the brain, relative to nominal", unit="%"
    ),
    "b1_coverage": MeasureKind(
        label="B1 coverage", description="Share of the brain mask in which B1 was measured", unit="%"
    ),
    "tissue_freed": MeasureKind(
        label="Tissue freed",
        description="Share of tissue whose T1 was freed of magnetization transfer",
        unit="%",
    ),
    "told_apart": MeasureKind(
        label="Told apart",
        description="Share of the voxels in which fraction and exchange rate of a pool are told apart",
        unit="%",
    ),
    "mutual_information_before": MeasureKind(
        label="Mutual information before",
        description="Mutual information of two scans before the registration",
    ),
    "mutual_information_after": MeasureKind(
        label="Mutual information after",
        description="Mutual information of two scans after the registration",
    ),
    "head_overlap": MeasureKind(
        label="Overlap of the heads", description="Overlap (Dice) of the heads after the registration"
    ),
    "mirror_ratio": MeasureKind(
        label="Mirror",
        description="Similarity of the mirror image over that of the scan; near 1 or above, left and right are in doubt",
    ),
    "template_overlap": MeasureKind(
        label="Overlap with the template", description="Overlap (Dice) of the brain with that of the template"
    ),
    "template_correlation": MeasureKind(
        label="Correlation with the template", description="Correlation of the image with the template in the brain"
    ),
}
"""Every measure by the name under which tables and records hold it."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that describes the quality of a run.

    Parameters
    ----------
    key
        Name in `MEASURES`, which states its unit.
    value
        The number in that unit; NaN where it could not be told.
    of
        What it was measured of where a run has several: a map, a pool, a stage, a scan that was registered. It names the same
        thing in every run and participant: with the key it says which measure this is.
    about
        Words about the files that it was measured on, which differ from run to run: `sub-01_ses-1_T1w.nii.gz`.

    Raises
    ------
    ValueError
        If the table has no such measure.

    Examples
    --------
    >>> Measure(key="displacement_max", value=0.4).unit
    'mm'
    """

    key: str
    value: float
    of: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        if self.key not in MEASURES:
            raise ValueError(f"expected a measure of {', '.join(MEASURES)}, found {self.key!r}: add it to MEASURES")

    @property
    def unit(self) -> str:
        """Unit of the value."""
        return MEASURES[self.key].unit


_FILE = re.compile(r"\S+\.(?:nii(?:\.gz)?|mgz|mnc|json)\b")


def without_file(measure: Measure) -> Measure:
    """Return a measure whose name holds no file: records of earlier versions were named by the file that was registered.

    Examples
    --------
    >>> old = Measure(key="head_overlap", value=0.9, of="Registration to sub-01_ses-1_T1w.nii.gz")
    >>> without_file(old).of, without_file(old).about
    ('Registration to the T1w image', 'sub-01_ses-1_T1w.nii.gz')
    """
    found = _FILE.search(measure.of)
    if found is None:
        return measure
    file = found.group()
    stem = file.rsplit("/", maxsplit=1)[-1].partition(".")[0]
    # No other image than the T1w image was ever named by its file; one that was given by hand may have any name.
    suffix = stem.rsplit("_", maxsplit=1)[-1] if stem.startswith("sub-") else "T1w"
    return replace(measure, of=measure.of.replace(file, f"the {suffix} image"), about=file)
