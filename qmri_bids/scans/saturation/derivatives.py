"""Writing the derivatives of CEST and MT runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import bids_uri, protocol_metadata, raw_uris
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.pipeline.run import Run
from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES
from qmri_bids.quantity import Quantity
from qmri_bids.reports.references import full_citation
from qmri_bids.scans.b1.derivatives import add_b1, b1_sources
from qmri_bids.scans.saturation.run import CestRun, MtrRun, MtsRun
from qmri_bids.units import radians_to_degrees

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wasabi": ("Least-squares fit of the WASABI equation", ("schuenke2017",)),
    "wassr": ("Centre of symmetry of the spectrum around water", ("kim2009",)),
    "fieldmap": ("A field map, brought to this scan", ()),
    "spectrum": ("The dip of the Z-spectrum itself", ()),
}
"""How off-resonance and B1 were mapped, by the method."""


How = Callable[[Quantity], tuple[str | None, tuple[str, ...]]]
"""How a map was made, and the keys of the papers."""


class _Outputs:
    """What all CEST and MT runs write, around what only some do."""

    def __init__(
        self,
        results: RunResults,
        *,
        run: Run,
        others: Sequence[str],
        acquisition: Mapping[str, Any],
        bids_dir: Path,
        output_dir: Path,
    ) -> None:
        self.results, self.run, self.others, self.acquisition = results, run, list(others), acquisition
        self.raw = raw_uris(run.paths, bids_dir=bids_dir)
        self.writer = RunWriter(
            results, run=run, output_dir=output_dir, sources=self.raw, extra=self.with_acquisition()
        )

    @property
    def sources(self) -> list[str]:
        """What the maps were made of."""
        return self.raw + self.others

    def with_acquisition(self, **extra: Any) -> dict[str, Any]:
        """Return keys of a sidecar with those of the acquisition; None takes one away."""
        return {key: value for key, value in {**self.acquisition, **extra}.items() if value is not None}

    def maps(self, *, how: How = lambda quantity: (quantity.algorithm, quantity.references), **extra: Any) -> None:
        """Write maps, residual, codes, mask and the image beside a field map; `extra` by the name of the map."""

        def metadata_of(quantity: Quantity) -> Mapping[str, Any]:
            algorithm, references = how(quantity)
            return {
                "sources": self.sources,
                "algorithm": algorithm,
                "reference": full_citation(references),
                "extra": self.with_acquisition(**extra.get(quantity.name, {})),
            }

        estimate, writer = self.results.estimate, self.writer
        writer.add_estimate(metadata_of)
        if np.isfinite(estimate.residual).any():  # one image for every unknown leaves none
            writer.add_map(QUANTITIES["residual"], estimate.residual, sources=self.sources)
        writer.add("quality_mask", estimate.status[""], sources=self.sources)
        writer.add_mask(extra=self.with_acquisition())
        if "off_resonance" in estimate.values:
            writer.add("fieldmap_magnitude", self.results.magnitude)

    def finish(self, **b1: Any) -> tuple[Path, ...]:
        """Write tissues, B1 where it was used, motion and transforms, and return all files; `b1` says how it was measured."""
        results, writer = self.results, self.writer
        if results.tissue is not None:
            writer.add("tissue", results.tissue, sources=self.sources)
        if results.b1 is not None:
            registration = results.registrations.get("b1")
            add_b1(self._add_b1, results.b1, registration=registration, mask=results.mask, sources=self.others, **b1)
        writer.add_motion(results.motion, series=self.run, sources=self.raw)
        for name, registration in results.registrations.items():
            writer.add_transform(f"{name}_to_scan_transform", registration["transform"], sources=self.others)
        return writer.finish()

    def _add_b1(self, output: str, array: Any, *, extra: Mapping[str, Any], **metadata: Any) -> None:
        self.writer.add(output, array, extra=self.with_acquisition(**extra), **metadata)


def write_cest(
    results: RunResults,
    *,
    run: CestRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write the maps of a Z-spectrum, or of B0 and B1, with uncertainties, masks, aligned and corrected volumes and motion.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    settings
        Not used.
    model
        What identifies the model behind the estimator; empty where there is none.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    others = [*_fieldmap_sources(run, bids_dir=bids_dir), *_maps_of_other_runs(run, output_dir=output_dir)]
    acquisition = protocol_metadata(run.protocol)
    if run.t1_run is not None:
        acquisition["T1From"] = run.t1_run
    if run.b0 is not None:
        acquisition["B0From"] = run.b0.run or run.b0.method

    def how(quantity: Quantity) -> tuple[str | None, tuple[str, ...]]:
        is_field = quantity.name in ("off_resonance", "b1")
        return _how_field(run) if is_field else (quantity.algorithm, quantity.references)

    outputs = _Outputs(
        results, run=run, others=others, acquisition=acquisition, bids_dir=bids_dir, output_dir=output_dir
    )
    outputs.maps(how=how)
    outputs.writer.add("preproc_cest", results.series())
    outputs.writer.add(
        "corrected_cest",
        results.series_of_voxels("corrected"),
        sources=outputs.sources,
        # One volume an offset, not an image: lists of the series do not belong to it.
        extra=outputs.with_acquisition(
            SaturationOffset=[round(float(each), 6) for each in results.estimate.arrays["offsets"]],
            SaturationB1RMS=None,
            RecoveryTime=None,
        ),
    )
    return outputs.finish(run=None)


def write_mtr(
    results: RunResults,
    *,
    run: MtrRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write the magnetization transfer ratio, its uncertainty, masks and motion.

    Parameters
    ----------
    results, run, settings, model, bids_dir, output_dir
        As in `write_cest`.
    """
    outputs = _Outputs(results, run=run, others=(), acquisition={}, bids_dir=bids_dir, output_dir=output_dir)
    outputs.maps()
    return outputs.finish(run=None)


def write_mtsat(
    results: RunResults,
    *,
    run: MtsRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write MT saturation, R1 and amplitude with uncertainties, masks, B1 as used, motion and transforms.

    Parameters
    ----------
    results, run, model, bids_dir, output_dir
        As in `write_cest`.
    settings
        `correction`: how MT saturation was taken to nominal B1.
    """
    outputs = _Outputs(
        results,
        run=run,
        others=b1_sources(run.b1, bids_dir=bids_dir, output_dir=output_dir),
        acquisition={
            "WeightingOfImages": ["PD", "T1", "MT"],
            "FlipAngle": [round(radians_to_degrees(each.flip_angle), 6) for each in run.protocols],
            # BIDS takes one number under RepetitionTimeExcitation.
            "RepetitionTimeExcitationOfImages": [each.repetition_time for each in run.protocols],
        },
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    outputs.maps(MTsat={"MTsatB1Correction": settings["correction"]})
    return outputs.finish(run=run.b1)


def _how_field(run: CestRun) -> tuple[str, tuple[str, ...]]:
    """Return how off-resonance and B1 were mapped, and the keys of the papers."""
    b0 = run.b0
    algorithm, references = FIELDS.get(run.kind if b0 is None else b0.method, FIELDS["spectrum"])
    if b0 is not None and b0.run is not None:
        algorithm = f"The B0 map of {b0.run} ({algorithm}), brought to this scan"
    return algorithm, references


def _fieldmap_sources(run: CestRun, *, bids_dir: Path) -> list[str]:
    """Return the files of a field map that gave the shift of water."""
    if run.b0 is None:
        return []
    paths = [run.b0.fieldmap, run.b0.magnitude] if run.b0.scan is None else run.b0.scan.paths
    return raw_uris((path for path in paths if path is not None), bids_dir=bids_dir)


def _maps_of_other_runs(run: Run, *, output_dir: Path) -> list[str]:
    """Return the maps of other runs that were used, as files of the derivatives."""
    paths = [
        output_path(output_dir, entities=parse_name(Path(take.run)).entities, output=KNOWN_QUANTITIES[name].written.key)
        for take in run.takes
        for name in take.names
    ]
    return [bids_uri(path, root=output_dir) for path in paths]
