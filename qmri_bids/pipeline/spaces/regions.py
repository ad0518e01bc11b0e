"""The regions of an atlas in a run: statistics beside what is stated of them, and their mean curves with the fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.spaces import Atlas
from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import write_map, write_table
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.pipeline.results.estimate_file import arrays_of
from qmri_bids.pipeline.spaces.scan import Scan, uri
from qmri_bids.pipeline.tissues.files import maps_of
from qmri_bids.preprocessing.tissues.region_statistics import COLUMNS, RegionStatistics, as_columns, region_statistics
from qmri_bids.preprocessing.tissues.statistics import MapOfRegions
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.spectra import mean_curves
from qmri_bids.reports.figure_table import region_curves_figure, stated_figure
from qmri_bids.reports.figures.regions import RegionCurve, StatedPanel
from qmri_bids.units import tesla_to_microtesla

STATED: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "concentration": ("concentrationmap", {"": 1.0, "mM": 1.0, "M": 1e3, "uM": 1e-3}),
    "exchange_rate": ("exchangemap", {"": 1.0, "Hz": 1.0, "per_s": 1.0}),
    "rate": ("exchangemap", {"": 1.0, "Hz": 1.0, "per_s": 1.0}),
    "fraction": ("fractionmap", {"": 1.0, "percent": 1e-2}),
    "T1": ("T1map", {"": 1.0, "s": 1.0, "ms": 1e-3}),
    "T2": ("T2map", {"": 1.0, "s": 1.0, "ms": 1e-3}),
}
"""What a column of the table of regions may state: the suffix of its map, and factors from units to that of the map."""

FOLLOWING = ("exchangemap", "MTRmap", "arexmap", "amplitudemap")
"""Suffixes of maps that are shown against a column that no map is of, such as `pH`."""

LEFT_OUT = ("known", "posterior", "MT_", "water_", "residual")
"""Beginnings of labels of maps that are not."""

MOST_PANELS = 9
NEAR = 8.0
"""Offsets beyond which spectra of regions are not drawn [ppm]; the table holds all."""


@dataclass(frozen=True, kw_only=True)
class SeriesOfRun:
    """What the curves of a fingerprint are made of.

    Parameters
    ----------
    names
        Names of its series.
    scan
        Protocols, model and pools.
    estimator
        Key of the estimator.
    """

    names: tuple[str, ...]
    scan: ExchangeScan
    estimator: str


@dataclass(frozen=True, kw_only=True)
class RegionsWritten:
    """Files, figures and sentences on the regions of a run."""

    files: tuple[Path, ...]
    figures: tuple[Figure, ...] = ()
    decisions: tuple[str, ...] = field(default=())


def write_regions(
    labels: NDArray[np.int64],
    *,
    atlas: Atlas,
    scan: Scan,
    files: Sequence[Path],
    estimate: Path | None,
    series: SeriesOfRun | None,
    bids_dir: Path,
    output_dir: Path,
) -> RegionsWritten:
    """Write the labels in the run, the statistics of every map by region, and the mean curves of the regions.

    Parameters
    ----------
    labels
        The atlas on the grid of the run.
    atlas, scan
        Where they come from, and where they lie.
    files
        What was written of the run.
    estimate
        What was estimated (npz), with the spectra or signals of the voxels.
    series
        What a fingerprint consists of; None for other runs.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    """

    def path_of(output: str) -> Path:
        path = output_path(output_dir, entities=scan.entities, output=output)
        return path.with_name(path.name.replace("_atlas-label_", f"_atlas-{atlas.name}_"))

    stored = labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels.astype(np.float32)
    content = map_metadata("atlas_labels", sources=[uri(atlas.path, bids_dir=bids_dir)])
    if atlas.regions:
        content["Levels"] = {str(label): name for label, name in sorted(atlas.regions.items())}
    written = [write_map(path_of("atlas_labels"), stored, affine=scan.affine, metadata=content)]
    maps = maps_of(files, shape=labels.shape)
    rows = {name: region_statistics(each.values, labels=labels, stdev=each.stdev) for name, each in maps.items()}
    columns, descriptions = as_columns(rows, regions=atlas.regions), dict(COLUMNS)
    matched = {column: stated_map(column, maps) for column in atlas.stated}
    if atlas.stated:
        columns["stated"] = [_stated_of(name, row.label, atlas, matched) for name, each in rows.items() for row in each]
        descriptions["stated"] = {"Description": f"What {_table(atlas)} states, in the unit of the map"}
        for column, values in atlas.stated.items():
            if column not in columns:
                columns[column] = [values.get(row.label) for each in rows.values() for row in each]
                descriptions[column] = {"Description": f"Of the region, from {_table(atlas)}"}
    written.append(write_table(path_of("atlas_statistics"), columns, descriptions=descriptions))
    figures, decisions = [], []
    if atlas.stated:
        panels = _panels(rows, maps, atlas, matched)
        figures += [stated_figure(panels, source=_table(atlas))] if panels else []
        decisions += _said(rows, atlas, matched)
    if estimate is not None:
        curves = _Curves(arrays_of(estimate), labels=labels, atlas=atlas)
        for output, table, explained, own in curves.tables(series):
            written.append(write_table(path_of(output), table, descriptions=explained))
            figures += own
    return RegionsWritten(files=tuple(written), figures=tuple(figures), decisions=tuple(decisions))


def stated_map(column: str, maps: Mapping[str, object]) -> tuple[str, float] | None:
    """Return the map that a column of the table of regions states, and the factor to its unit; None where none or several do.

    Parameters
    ----------
    column
        Such as `concentration_mM`, `exchange_rate`, `amide_fraction_percent`, `T1_ms`: `<pool>_` before, the unit behind.
    maps
        Maps by the end of their file names.

    Examples
    --------
    >>> stated_map("concentration_M", {"desc-iohexol_concentrationmap": None, "desc-known_T1map": None})
    ('desc-iohexol_concentrationmap', 1000.0)
    >>> stated_map("pH", {"desc-iohexol_exchangemap": None}) is None
    True
    """
    for base, (suffix, units) in STATED.items():
        found = re.fullmatch(
            rf"(?:(?P<pool>[0-9A-Za-z]+)_)?{base}(?:_(?P<unit>{'|'.join(filter(None, units))}))?", column
        )
        if found is None:
            continue
        labels = {
            name: name.removesuffix(suffix).rstrip("_").removeprefix("desc-") for name in maps if name.endswith(suffix)
        }
        pool = found["pool"]
        if pool is not None:
            own = [name for name, label in labels.items() if label.lower() == pool.lower()]
        else:
            times = "water" if base in ("T1", "T2") else ""  # water has no other map that is meant
            own = [name for name, label in labels.items() if label == times or not f"{label}_".startswith(LEFT_OUT)]
        if len(own) == 1:
            return own[0], units[found["unit"] or ""]
    return None


def _table(atlas: Atlas) -> str:
    return atlas.path.name.partition(".")[0] + ".tsv"


Matched = Mapping[str, tuple[str, float] | None]


def _stated_of(name: str, label: int, atlas: Atlas, matched: Matched) -> float | None:
    for column, match in matched.items():
        if match is not None and match[0] == name and label in atlas.stated[column]:
            return atlas.stated[column][label] * match[1]
    return None


def _panels(
    rows: Mapping[str, tuple[RegionStatistics, ...]], maps: Mapping[str, MapOfRegions], atlas: Atlas, matched: Matched
) -> list[StatedPanel]:
    panels = []
    for column, match in matched.items():
        comparable = match is not None
        if match is not None:
            names = [match[0]]
        else:
            own = [name for name in maps if name.endswith(FOLLOWING)]
            names = [name for name in own if not name.removeprefix("desc-").startswith(LEFT_OUT)]
        factor = 1.0 if match is None else match[1]
        for name in names:
            chosen = [row for row in rows[name] if row.label in atlas.stated[column]]
            stated = np.array([factor * atlas.stated[column][row.label] for row in chosen])
            mean = np.array([row.mean for row in chosen])
            if np.isfinite(mean).any():
                unit = maps[name].unit
                panels.append(
                    StatedPanel(
                        title=_words(name),
                        unit={"arbitrary": "", "percent": "%"}.get(unit, unit),
                        column=column if factor == 1.0 else f"{column}, in {unit}",
                        stated=stated,
                        mean=mean,
                        spread=np.array([row.standard_deviation for row in chosen]),
                        told=np.array([row.voxels / max(row.size, 1) for row in chosen]),
                        comparable=comparable,
                    )
                )
    return sorted(panels, key=lambda panel: not panel.comparable)[:MOST_PANELS]


SPOKEN: Mapping[str, str] = {"exchange": "exchange rate", "MTR": "MTR", "arex": "AREX"}
"""What suffixes of maps are called, where that is not the suffix without `map`."""


def _words(name: str) -> str:
    """Return a map in words: `iohexol, exchange rate` of `desc-iohexol_exchangemap`."""
    label, _, suffix = name.removeprefix("desc-").rpartition("_")
    kind = suffix.removesuffix("map")
    return ", ".join(each for each in (label, SPOKEN.get(kind, kind)) if each)


def _said(rows: Mapping[str, tuple[RegionStatistics, ...]], atlas: Atlas, matched: Matched) -> list[str]:
    said = []
    shown = [column for column, match in matched.items() if match is None]
    if shown:
        said.append(
            f"Of {_table(atlas)} no single map of this run shows {' or '.join(shown)}: maps are drawn against it, not compared."
        )
    for column, match in matched.items():
        if match is None:
            continue
        name, factor = match
        pairs = [
            (row.mean, factor * atlas.stated[column][row.label])
            for row in rows[name]
            if row.label in atlas.stated[column] and np.isfinite(row.mean)
        ]
        if pairs:
            away = float(np.mean([abs(mean - stated) for mean, stated in pairs]))
            said.append(
                f"{column} of {_table(atlas)} was compared with {name}: the means of {len(pairs)} regions are off by {away:.3g} on "
                "average."
            )
    return said


class _Curves:
    """Mean spectra or signals of the regions of a run."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], *, labels: NDArray[np.int64], atlas: Atlas) -> None:
        self.arrays, self.atlas = arrays, atlas
        inside = arrays.get("inside")
        self.regions: dict[int, NDArray[np.bool_]] = {}
        if inside is not None and inside.shape == labels.shape:
            own = labels[inside]
            self.regions = {int(label): own == label for label in np.unique(own) if label > 0}

    def name(self, label: int) -> str:
        return self.atlas.regions.get(label, str(label))

    def tables(
        self, series: SeriesOfRun | None
    ) -> list[tuple[str, dict[str, list[Any]], dict[str, Any], list[Figure]]]:
        """Return output, columns, descriptions and figures of what the run holds."""
        if not self.regions:
            return []
        if "corrected" in self.arrays and "offsets" in self.arrays and "b1" not in self.arrays:
            return [self._spectra()]
        if series is not None and "signal" in self.arrays:
            return [self._signals(series)]
        return []

    def _spectra(self) -> tuple[str, dict[str, list[Any]], dict[str, Any], list[Figure]]:
        arrays, curves = self.arrays, []
        offsets = np.asarray(arrays["offsets"], dtype=np.float64)
        columns: dict[str, list[Any]] = {name: [] for name in SPECTRUM_COLUMNS}
        for label, chosen in self.regions.items():
            measured = arrays["corrected"][chosen].astype(np.float64)
            fitted = (
                arrays["fitted"][chosen].astype(np.float64) if "fitted" in arrays else np.full_like(measured, np.nan)
            )
            number, mean, spread = _moments(measured)
            _, fit, _ = _moments(fitted)
            for place in np.argsort(offsets):
                row = (label, self.name(label), offsets[place], number[place], mean[place], spread[place], fit[place])
                for name, value in zip(columns, row, strict=True):
                    columns[name].append(_plain(value))
            near = np.abs(offsets) <= NEAR
            dense: NDArray[np.floating] = offsets[:0]
            total: NDArray[np.floating] = offsets[:0]
            if "parameters" in arrays:
                found = mean_curves(
                    arrays["parameters"][chosen],
                    pools=[str(each) for each in arrays["pools"]],
                    offsets=offsets,
                    broad=arrays.get("broad"),
                )
                if found is not None:
                    dense, total = found[0], found[1]
            seen = np.abs(dense) <= min(NEAR, float(np.abs(offsets).max()))
            curves.append(
                RegionCurve(
                    name=self.name(label),
                    at=offsets[near],
                    mean=mean[near],
                    spread=spread[near],
                    fit_at=dense[seen],
                    fit=total[seen],
                )
            )
        caption = (
            f"Dots: mean Z-spectrum of each region within ±{NEAR:g} ppm, corrected for B0; band: standard deviation over its voxels"
            + ("; line: mean of the fits. " if "parameters" in arrays else ". ")
            + "Positive offsets (downfield) are at the left."
        )
        figure = region_curves_figure(
            curves,
            key="region-spectra",
            title="Z-spectra of the regions",
            across="offset [ppm]",
            along="Z",
            caption=caption,
            reverse=True,
            section=Section.REGIONS,
        )
        return "atlas_spectra", columns, dict(SPECTRUM_COLUMNS), [figure]

    def _signals(self, series: SeriesOfRun) -> tuple[str, dict[str, list[Any]], dict[str, Any], list[Figure]]:
        arrays, scan = self.arrays, series.scan
        columns: dict[str, list[Any]] = {name: [] for name in SIGNAL_COLUMNS}
        curves: list[list[RegionCurve]] = [[] for _ in series.names]
        means: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        for label, chosen in self.regions.items():
            scale = np.repeat(
                arrays["amplitude"][chosen].astype(np.float64),
                [protocol.number_of_images for protocol in scan.protocols],
                axis=1,
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                relative, model = (
                    np.where(scale > 0.0, arrays[each][chosen] / scale, np.nan) for each in ("signal", "fitted")
                )
            # Where nothing was fitted there is no M0 either.
            relative[~np.isfinite(model)] = np.nan
            number, mean, spread = _moments(relative)
            _, fit, _ = _moments(model)
            means[label] = mean, fit
            for name, protocol, part, own in zip(series.names, scan.protocols, scan.series, curves, strict=True):
                for place, image in enumerate(protocol.images):
                    at = part.start + place
                    train = image.saturation
                    row = (
                        label,
                        self.name(label),
                        name,
                        place + 1,
                        image.offset,
                        None if train is None else tesla_to_microtesla(train.b1_rms),
                        None if train is None else train.duration,
                        number[at],
                        mean[at],
                        spread[at],
                        fit[at],
                    )
                    for column, value in zip(columns, row, strict=True):
                        columns[column].append(_plain(value))
                steps = np.arange(1.0, protocol.number_of_images + 1.0)
                own.append(
                    RegionCurve(
                        name=self.name(label),
                        at=steps,
                        mean=mean[part],
                        spread=spread[part],
                        fit_at=steps,
                        fit=fit[part],
                    )
                )
        figures = [
            region_curves_figure(
                own,
                key=f"region-signals-{place + 1}",
                title=f"Signal of the regions, {name}",
                across="image",
                along="signal / M0",
                caption="Dots: mean signal of each region over the M0 of its fit; band: standard deviation over its voxels; "
                "line: mean of the fitted model. Images in the order of the scan.",
                section=Section.REGIONS,
            )
            for place, (name, own) in enumerate(zip(series.names, curves, strict=True))
        ]
        if series.estimator == "quesp":
            figures += self._omega_plots(series, means)
        return "atlas_signals", columns, dict(SIGNAL_COLUMNS), figures

    def _omega_plots(
        self, series: SeriesOfRun, means: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    ) -> list[Figure]:
        """Return the omega plot of every region: of its mean signal, of its mean fit, and the straight line through the former."""
        from qmri_bids.estimation.pools.quesp import omega_plot

        curves = []
        for label, chosen in self.regions.items():
            maps = {
                name: np.array([_middle(self.arrays[quantity.name][self.arrays["inside"]][chosen])])
                for name, quantity in KNOWN_QUANTITIES.items()
            }
            known = KnownVoxels.of(maps)
            measured, fitted = (omega_plot(each[None], scan=series.scan, known=known) for each in means[label])
            if not np.isfinite(measured.inverse).any() or not np.isfinite(fitted.inverse).any():
                continue
            order = np.argsort(fitted.inverse_square[0])
            at = measured.inverse_square[0][order]
            noise = float(np.nanmedian(np.abs(means[label][0] - means[label][1]))) * 1.4826
            curves.append(
                RegionCurve(
                    name=self.name(label),
                    at=1e6 * at,
                    mean=measured.inverse[0][order],
                    spread=noise * measured.stdev[0][order],
                    fit_at=1e6 * at,
                    fit=fitted.inverse[0][order],
                    line=measured.intercept[0] + measured.slope[0] * at,
                )
            )
        if not curves:
            return []
        return [
            region_curves_figure(
                curves,
                key="omega-plots",
                title="Omega plots of the regions",
                across="1/ω1² [10⁻⁶ s²/rad²]",
                along="1 / MTRrex",
                one_height=False,
                caption="Dots: inverse of M0/S(+Δω) − M0/S(−Δω) of the mean signal of each region over the inverse of the squared "
                "power, at the longest duration; band: what the residual of the fit makes of it; line: the fit, with its "
                "transient; dashed: the straight line of the steady state, no estimate where saturation is short against T1.",
                section=Section.REGIONS,
            )
        ]


def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return number, mean and standard deviation of the finite values in every column; NaN where there are none."""
    finite = np.isfinite(values)
    number = finite.sum(axis=0)
    filled = np.where(finite, values, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = filled.sum(axis=0) / number
        square = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=0) / (number - 1)
    return number, np.where(number > 0, mean, np.nan), np.where(number > 1, np.sqrt(np.abs(square)), np.nan)


def _middle(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _plain(value: Any) -> Any:
    """Return a value as Python writes it, NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


_REGION: Mapping[str, Mapping[str, str]] = {
    "index": {"Description": "Label of the region in the atlas"},
    "name": {"Description": "Its name"},
}
_OVER: Mapping[str, Mapping[str, str]] = {
    "n": {"Description": "Voxels with a value"},
    "mean": {"Description": "Mean over these voxels"},
    "sd": {"Description": "Standard deviation over these voxels"},
    "fit": {"Description": "Mean of the fit over the voxels that have one"},
}
SPECTRUM_COLUMNS: Mapping[str, Mapping[str, str]] = {
    **_REGION,
    "offset_ppm": {"Description": "Offset from true water, positive downfield", "Units": "ppm"},
    **_OVER,
}
"""Columns of the table of Z-spectra, in their order."""
SIGNAL_COLUMNS: Mapping[str, Mapping[str, str]] = {
    **_REGION,
    "series": {"Description": "Series of the fingerprint"},
    "image": {"Description": "Number of the image, from 1"},
    "offset_ppm": {"Description": "Offset of the saturation, positive downfield; n/a without", "Units": "ppm"},
    "b1_rms": {"Description": "Root mean square B1 of the saturation", "Units": "uT"},
    "saturation_duration": {"Description": "Duration of the saturation", "Units": "s"},
    **_OVER,
}
"""Columns of the table of signals, relative to the M0 of the fit, in their order."""
