"""Writing the derivatives of a CEST or MT run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata, protocol_metadata
from qmri_bids.bids.saturation_plan import CestRun, MtsRun, SaturationRun
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.reports.references import full_citation
from qmri_bids.units import fraction_to_percent, radians_to_degrees
from qmri_bids.workflows.b1_outputs import add_b1, b1_sources
from qmri_bids.workflows.earlier_files import remove_others
from qmri_bids.workflows.mask_files import write_mask
from qmri_bids.workflows.motion_files import write_run_motion
from qmri_bids.workflows.saturation_results import SaturationResults
from qmri_bids.workflows.tissue_files import write_tissue_statistics


def _as_it_is(values: Any) -> Any:
    return values


@dataclass(frozen=True, kw_only=True)
class MapOutput:
    """How a map is written: its row in `data/outputs.json`, its unit there, and how it was made."""

    output: str
    algorithm: str
    references: tuple[str, ...]
    convert: Callable[[Any], Any] = _as_it_is


_SPLINE = "Z-spectrum normalised, shifted by B0 along a cubic spline"
_FIT = "Least-squares fit of Lorentzian pools to the Z-spectrum, offsets counted from the shifted water frequency"

MAP_OUTPUTS: Mapping[str, MapOutput] = {
    "MTR": MapOutput(
        output="MTRmap",
        algorithm="1 - S_on/S_off",
        references=("dousset1992",),
        convert=fraction_to_percent,
    ),
    "MTsat": MapOutput(
        output="MTsat",
        algorithm="MT saturation of three spoiled gradient echoes",
        references=("helms2008",),
        convert=fraction_to_percent,
    ),
    "R1": MapOutput(output="R1map", algorithm="R1 of two spoiled gradient echoes", references=("helms2008",)),
    "A": MapOutput(output="M0map", algorithm="Amplitude of two spoiled gradient echoes", references=("helms2008",)),
    "b1": MapOutput(
        output="TB1map",
        algorithm="Least-squares fit of the WASABI equation",
        references=("schuenke2017",),
        convert=fraction_to_percent,
    ),
    "MTRasym": MapOutput(
        output="MTRasym",
        algorithm=f"{_SPLINE}; Z(-offset) - Z(+offset)",
        references=("zhou2003",),
        convert=fraction_to_percent,
    ),
    "amplitude": MapOutput(output="amplitude", algorithm=_FIT, references=("zaiss2011",)),
    "arex": MapOutput(
        output="arex", algorithm=f"{_FIT}; inverse difference over T1 and duty cycle", references=("zaiss2014",)
    ),
}
"""Maps by the first part of their name."""

OFF_RESONANCE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wasabi": ("Least-squares fit of the WASABI equation", ("schuenke2017",)),
    "wassr": ("Centre of symmetry of the spectrum around water", ("kim2009",)),
    "fieldmap": ("A field map, brought to this scan", ()),
    "spectrum": ("The dip of the Z-spectrum itself", ()),
}
"""How off-resonance was mapped, by the method."""


def asymmetry_label(name: str) -> str:
    """Return the label of `desc` of an asymmetry map.

    Examples
    --------
    >>> asymmetry_label("MTRasym_3.5"), asymmetry_label("MTRasym_2")
    ('asymAPT', 'asym2p0')
    """
    offset = float(name.partition("_")[2])
    return (
        "asymAPT"
        if offset == 3.5
        else "asym" + f"{offset:.4g}".replace(".", "p") + ("p0" if offset == int(offset) else "")
    )


def write_saturation(
    results: SaturationResults,
    *,
    run: SaturationRun,
    correction: str | None,
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write maps, uncertainties, masks, aligned volumes, transforms and confounds.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    correction
        How MT saturation was taken to nominal B1; None for runs without.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    sources = [bids_uri(path, root=bids_dir, dataset=RAW_NAME) for path in run.paths]
    others = [*_other_sources(run, bids_dir=bids_dir), *_maps_of_other_runs(run, output_dir=output_dir)]
    acquisition = _acquisition(run)
    written: list[Path] = []

    def add(output: str, array: Any, *, desc: str | None = None, **metadata: Any) -> None:
        path = output_path(output_dir, entities=run.entities, output=output, desc=desc)
        extra = {**acquisition, **metadata.pop("extra", {})}
        extra = {key: value for key, value in extra.items() if value is not None}
        known: dict[str, Any] = {"sources": sources, "extra": extra, "skull_stripped": results.stripped}
        content = map_metadata(output, **known | metadata)
        written.append(write_map(path, array, affine=results.affine, metadata=content))

    for name, values in results.maps.items():
        output, desc, how = _output_of(name, run)
        metadata = {
            "sources": sources + others,
            "algorithm": how.algorithm,
            "reference": full_citation(how.references),
            "extra": {"MTsatB1Correction": correction} if name == "MTsat" else {},
        }
        add(output, how.convert(values), desc=desc, **metadata)
        if name in results.stdev:
            label = None if desc is None else f"{desc}std"
            add(f"{output}_std", how.convert(results.stdev[name]), desc=label, **metadata)
    if np.isfinite(results.arrays["residual"]).any():  # one image for every unknown leaves none
        add("residual", results.arrays["residual"], sources=sources + others)
    add("quality_mask", results.arrays["status"], sources=sources + others)
    write_mask(add, written, results=results, mask=results.mask, entities=run.entities, output_dir=output_dir)
    if "off_resonance" in results.maps:
        add("fieldmap_magnitude", results.magnitude)
    if isinstance(run, CestRun):
        add("preproc_cest", results.series)
        add(
            "corrected_cest",
            results.series_of_voxels("corrected"),
            sources=sources + others,
            # One volume an offset, not an image: lists of the series do not belong to it.
            extra={
                "SaturationOffset": [round(float(each), 6) for each in results.arrays["offsets"]],
                "SaturationB1RMS": None,
                "RecoveryTime": None,
            },
        )
    if results.tissue is not None:
        add("tissue", results.tissue, sources=sources + others)
    if results.b1 is not None:
        add_b1(
            add,
            results.b1,
            run=run.b1 if isinstance(run, MtsRun) else None,
            registration=results.registrations.get("b1"),
            mask=results.mask,
            sources=others,
        )
    if results.motion is not None:
        written += write_run_motion(results.motion, run=run, sources=sources, output_dir=output_dir)
    for name, registration in results.registrations.items():
        output = f"{name}_to_scan_transform"
        path = output_path(output_dir, entities=run.entities, output=output)
        written.append(write_transforms(path, [registration["transform"]]))
        write_json(sidecar_path(path), map_metadata(output, sources=others))
    written += write_tissue_statistics(
        written,
        tissue=results.tissue,
        mask=results.mask,
        entities=run.entities,
        whole=results.whole,
        output_dir=output_dir,
        pure=results.pure_tissue,
    )
    remove_others(run.entities, written, output_dir=output_dir)
    return tuple(written)


def _output_of(name: str, run: SaturationRun) -> tuple[str, str | None, MapOutput]:
    """Return the row in `data/outputs.json`, the label of `desc` where the row does not state it, and how a map was made."""
    if name == "off_resonance":
        b0 = run.b0 if isinstance(run, CestRun) else None
        method = b0.method if b0 is not None else getattr(run, "kind", "")
        algorithm, references = OFF_RESONANCE.get(method, OFF_RESONANCE["spectrum"])
        if b0 is not None and b0.run is not None:
            algorithm = f"The B0 map of {b0.run} ({algorithm}), brought to this scan"
        return "fieldmap", None, MapOutput(output="fieldmap", algorithm=algorithm, references=references)
    family, _, of = name.partition("_")
    how = MAP_OUTPUTS[family]
    if family == "MTRasym":
        return how.output, asymmetry_label(name), how
    return f"{how.output}_{of}" if of else how.output, None, how


def _other_sources(run: SaturationRun, *, bids_dir: Path) -> list[str]:
    """Return the raw files of other scans that enter the maps."""
    paths: list[Path | None] = []
    if isinstance(run, MtsRun) and run.b1 is not None and run.b1.run is None:
        paths += run.b1.paths
    if isinstance(run, CestRun) and run.b0 is not None:
        paths += [run.b0.fieldmap, run.b0.magnitude] if run.b0.scan is None else run.b0.scan.paths
    return [bids_uri(path, root=bids_dir, dataset=RAW_NAME) for path in paths if path is not None]


def _maps_of_other_runs(run: SaturationRun, *, output_dir: Path) -> list[str]:
    """Return the maps of other runs that were used, as files of the derivatives."""
    if isinstance(run, MtsRun) and run.b1 is not None and run.b1.run is not None:
        return b1_sources(run.b1, bids_dir=output_dir, output_dir=output_dir)
    if not isinstance(run, CestRun):
        return []
    used = {"T1map": run.t1_run, "fieldmap": None if run.b0 is None else run.b0.run}
    return [
        bids_uri(output_path(output_dir, entities=parse_name(Path(label)).entities, output=output), root=output_dir)
        for output, label in used.items()
        if label is not None
    ]


def _acquisition(run: SaturationRun) -> dict[str, Any]:
    """Return what a sidecar says of the acquisition, and of the runs whose maps were used."""
    if isinstance(run, CestRun):
        content = protocol_metadata(run.protocol)
        if run.t1_run is not None:
            content["T1From"] = run.t1_run
        if run.b0 is not None:
            content["B0From"] = run.b0.run or run.b0.method
        return content
    if isinstance(run, MtsRun):
        return {
            "WeightingOfImages": ["PD", "T1", "MT"],
            "FlipAngle": [round(radians_to_degrees(each.flip_angle), 6) for each in run.protocols],
            # BIDS takes one number under RepetitionTimeExcitation.
            "RepetitionTimeExcitationOfImages": [each.repetition_time for each in run.protocols],
        }
    return {}
