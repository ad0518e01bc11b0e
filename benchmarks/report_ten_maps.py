"""A participant at 176×176×128 with pc-bSSFP, MTS and fingerprints: anatomy and noise of the demo on a finer grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from qmri_bids.quantities import get_quantity
from qmri_bids.quantity import STDEV
from qmri_bids.reports import figure_table as figures
from qmri_bids.reports.content import RunReport, SubjectReport
from qmri_bids.reports.render import write_report
from qmri_bids.reports.viewer.grid import ViewerMap, build_viewer

SHAPE = (176, 176, 128)
SEED = 176


class Entry(NamedTuple):
    """A map of the participant: its name, values and standard deviation of each tissue (grey, white, fluid)."""

    name: str
    values: tuple[float, float, float]
    stdev: tuple[float, float, float]


MTS = (
    Entry("R1", (0.70, 1.15, 0.24), (0.03, 0.04, 0.02)),
    Entry("A", (0.8, 0.7, 1.0), (0.02, 0.02, 0.02)),
    Entry("MTsat", (0.020, 0.035, 0.002), (0.0015, 0.002, 0.001)),
)
FINGERPRINTS = (
    Entry("MT_fraction", (0.06, 0.12, 0.01), (0.004, 0.006, 0.004)),
    Entry("MT_rate", (40.0, 30.0, 40.0), (6.0, 5.0, 15.0)),
)


def write_participant(demo: Path, folder: Path) -> tuple[Path, list[dict[str, NDArray[np.floating]]]]:
    """Write the page, and return it with the maps of each run in the unit on display, by what the viewer calls them."""
    rng = np.random.default_rng(SEED)
    stem = "sub-01_acq-pcbssfp_"

    def stored(name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        image = nib.load(next(path for path in (demo / "sub-01").glob(f"*/{stem}{name}.nii.gz")))
        return np.asarray(image.dataobj, dtype=np.float32), image.affine

    mask, affine = stored("desc-brain_mask")
    factors = np.array(SHAPE) / np.array(mask.shape)
    fine = affine @ np.diag([*(1.0 / factors), 1.0])

    def brought(values: NDArray[Any], order: int) -> NDArray[Any]:
        return zoom(values, factors, order=order, mode="nearest", grid_mode=True)

    inside = brought(mask, 0) > 0.5
    tissue = brought(stored("dseg")[0], 0).astype(np.uint8)
    status = brought(stored("desc-quality_mask")[0], 0).astype(np.uint8)
    magnitude = brought(stored("magnitude")[0], 1)
    valued = np.isin(status, (1, 9, 10, 11))

    def noisy(values: NDArray[Any], stdev: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        drawn = values + stdev * rng.standard_normal(SHAPE)
        return (
            np.where(inside & valued, drawn, np.nan).astype(np.float32),
            np.where(inside & valued, stdev * np.exp(0.1 * rng.standard_normal(SHAPE)), np.nan).astype(np.float32),
        )

    relaxometry = {}
    for name, file, factor in (
        ("T1", "T1map", 1.0),
        ("T2", "T2map", 1.0),
        ("M0", "M0map", 1.0),
        ("off_resonance", "fieldmap", 1.0),
        ("b1", "TB1map", 0.01),
    ):
        spread = f"desc-std_{file}"
        values, stdev = (np.nan_to_num(factor * stored(each)[0]) for each in (file, spread))
        # What the demo's own noise leaves is smoothed away by interpolation; that of the finer grid is put on.
        relaxometry[name] = noisy(brought(values, 1), brought(stdev, 1))

    def of_tissue(entry: Entry) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values, stdev = (np.array((0.0, *numbers))[tissue] for numbers in (entry.values, entry.stdev))
        values[tissue == 0], stdev[tissue == 0] = entry.values[0], entry.stdev[0]
        return noisy(values, stdev)

    runs = (
        ("pc-bSSFP relaxometry", relaxometry),
        ("MT saturation", {entry.name: of_tissue(entry) for entry in MTS}),
        ("Fingerprints", {entry.name: of_tissue(entry) for entry in FINGERPRINTS}),
    )
    geometry = {"affine": fine, "mask": inside}
    reports, volumes = [], []
    for title, maps in runs:
        image = np.abs(magnitude * (1.0 + 0.02 * rng.standard_normal(SHAPE))).astype(np.float32)
        other = np.abs(magnitude * (1.0 + 0.05 * rng.standard_normal(SHAPE))).astype(np.float32)
        drawn = [
            figures.mask_figure(image, **geometry),
            figures.registration_figure(image, other, **geometry),
            figures.realigned_figure(image, other, name="volume 2", displacement=1.0, **geometry),
            figures.series_figure(np.stack([image, other], -1), labels=["one", "two"], **geometry),
            figures.tissue_figure(next(iter(maps.values()))[0], labels=tissue, **geometry),
            *(figures.map_figure(values, name=name, **geometry) for name, (values, _) in maps.items()),
            *(figures.map_figure(stdev, name=f"{name}{STDEV}", **geometry) for name, (_, stdev) in maps.items()),
            figures.histogram_figure({name: values for name, (values, _) in maps.items()}, mask=inside),
            figures.quality_figure(status, affine=fine),
        ]
        viewer = build_viewer(
            [ViewerMap(name=name, values=values, stdev=stdev) for name, (values, stdev) in maps.items()],
            affine=fine,
            mask=inside,
            status={"": status},
            images={"mean magnitude": image, "first image": other},
            tissue=tissue,
        )
        reports.append(RunReport(title=title, figures=tuple(drawn), viewer=viewer))
        volumes.append(
            {
                get_quantity(name).label: np.asarray(get_quantity(name).display.convert(values))
                for name, (values, _) in maps.items()
            }
        )
    report = SubjectReport(participant="176", version="", command="", created="", runs=tuple(reports))
    return write_report(report, folder / "sub-176.html"), volumes
