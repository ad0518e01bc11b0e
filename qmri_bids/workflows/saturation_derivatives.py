"""Writing the derivatives of a CEST or MT run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata, protocol_metadata
from qmri_bids.bids.saturation_plan import CestRun, MtsRun, SaturationRun
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.quantities import QUANTITIES, get_quantity
from qmri_bids.quantity import Quantity, stdev
from qmri_bids.reports.references import full_citation
from qmri_bids.units import radians_to_degrees
from qmri_bids.workflows.b1_outputs import add_b1, b1_sources
from qmri_bids.workflows.earlier_files import remove_others
from qmri_bids.workflows.mask_files import write_mask
from qmri_bids.workflows.motion_files import write_run_motion
from qmri_bids.workflows.saturation_results import SaturationResults
from qmri_bids.workflows.tissue_files import write_tissue_statistics

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wasabi": ("Least-squares fit of the WASABI equation", ("schuenke2017",)),
    "wassr": ("Centre of symmetry of the spectrum around water", ("kim2009",)),
    "fieldmap": ("A field map, brought to this scan", ()),
    "spectrum": ("The dip of the Z-spectrum itself", ()),
}
"""How off-resonance and B1 were mapped, by the method."""


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

    def add_map(quantity: Quantity, values: Any, **metadata: Any) -> None:
        file = quantity.written
        add(file.key, file.convert(values), desc=file.desc, **metadata)

    for name, values in results.maps.items():
        quantity = get_quantity(name)
        algorithm, references = _how(quantity, run)
        metadata = {
            "sources": sources + others,
            "algorithm": algorithm,
            "reference": full_citation(references),
            "extra": {"MTsatB1Correction": correction} if name == "MTsat" else {},
        }
        add_map(quantity, values, **metadata)
        if name in results.stdev:
            add_map(stdev(quantity), results.stdev[name], **metadata)
    if np.isfinite(results.arrays["residual"]).any():  # one image for every unknown leaves none
        add_map(QUANTITIES["residual"], results.arrays["residual"], sources=sources + others)
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


def _how(quantity: Quantity, run: SaturationRun) -> tuple[str | None, tuple[str, ...]]:
    """Return how a map was made, and the keys of the papers."""
    if quantity.name not in ("off_resonance", "b1"):
        return quantity.algorithm, quantity.references
    b0 = run.b0 if isinstance(run, CestRun) else None
    method = b0.method if b0 is not None else getattr(run, "kind", "")
    algorithm, references = FIELDS.get(method, FIELDS["spectrum"])
    if b0 is not None and b0.run is not None:
        algorithm = f"The B0 map of {b0.run} ({algorithm}), brought to this scan"
    return algorithm, references


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
    used = {"T1": run.t1_run, "off_resonance": None if run.b0 is None else run.b0.run}
    paths = [
        output_path(output_dir, entities=parse_name(Path(label)).entities, output=QUANTITIES[name].written.key)
        for name, label in used.items()
        if label is not None
    ]
    return [bids_uri(path, root=output_dir) for path in paths]


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
