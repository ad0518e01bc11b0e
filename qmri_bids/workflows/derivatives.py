"""Writing the derivatives of a pc-bSSFP run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.estimation.table import ESTIMATORS
from qmri_bids.priors import PRIORS
from qmri_bids.quantities import QUANTITIES, get_quantity
from qmri_bids.quantity import POSTERIOR, Quantity, stdev
from qmri_bids.reports.references import full_citation
from qmri_bids.tissue_labels import ABBREVIATIONS
from qmri_bids.workflows.b1_outputs import add_b1, b1_sources
from qmri_bids.workflows.earlier_files import remove_others
from qmri_bids.workflows.mask_files import write_mask
from qmri_bids.workflows.motion_files import write_run_motion
from qmri_bids.workflows.results import RunResults
from qmri_bids.workflows.tissue_files import write_tissue_statistics


def write_derivatives(
    results: RunResults,
    *,
    run: PcBssfpRun,
    estimator: str,
    posterior: str | None,
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write maps, uncertainties, masks, the preprocessed magnitude, transforms and confounds.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    estimator
        Key of the table of estimators.
    posterior
        Prior of the posterior maps, None where there are none.
    model
        What identifies the model behind the estimator.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    entry = ESTIMATORS[estimator]
    sources = [bids_uri(path, root=bids_dir, dataset=RAW_NAME) for path in run.files.paths]
    of_b1 = b1_sources(run.b1, bids_dir=bids_dir, output_dir=output_dir)
    written: list[Path] = []

    def path_of(output: str) -> Path:
        return output_path(output_dir, entities=run.entities, output=output)

    def add(output: str, array: Any, **metadata: Any) -> None:
        known: dict[str, Any] = {"sources": sources, "protocol": run.protocol, "skull_stripped": results.stripped}
        content = map_metadata(output, **known | metadata)
        written.append(write_map(path_of(output), array, affine=results.affine, metadata=content))

    def add_map(quantity: Quantity, values: Any, **metadata: Any) -> None:
        add(quantity.written.key, quantity.written.convert(values), **metadata)

    estimated = {
        "sources": sources + of_b1,
        "algorithm": f"{estimator}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
        "extra": {"B1Assumed": 1.0} if results.b1 is None else None,
    }
    for name, values in results.estimate.values.items():
        add_map(QUANTITIES[name], values, **estimated)
        if name in results.estimate.stdev:
            add_map(stdev(QUANTITIES[name]), results.estimate.stdev[name], **estimated)
    if results.unwrapped is not None:
        add_map(QUANTITIES["off_resonance_unwrapped"], results.unwrapped, **estimated)
    if posterior is not None:
        for name, values in results.posterior.items():
            known = posterior_metadata(posterior)
            known["extra"] |= estimated["extra"] or {}
            add_map(get_quantity(f"{POSTERIOR}{name}", prior=posterior), values, **estimated | known)
    add_map(QUANTITIES["residual"], results.estimate.residual, **estimated)
    add("quality_mask", results.estimate.status, **estimated)
    write_mask(add, written, results=results, mask=results.mask, entities=run.entities, output_dir=output_dir)
    add("fieldmap_magnitude", results.magnitude)
    add("preproc_magnitude", np.abs(results.cycles))
    if results.b1 is not None:
        registration = results.b1_registration
        add_b1(add, results.b1, run=run.b1, registration=registration, mask=results.mask, sources=of_b1, protocol=None)
    if results.motion is not None:
        written += write_run_motion(results.motion, run=run, sources=sources, output_dir=output_dir)
    if results.b1_registration is not None:
        path = write_transforms(path_of("b1_transform"), [results.b1_registration["transform"]])
        write_json(sidecar_path(path), map_metadata("b1_transform", sources=of_b1))
        written.append(path)
    if results.tissue is not None:
        add("tissue", results.tissue)
    if results.tissue_probabilities is not None:
        for place, abbreviation in enumerate(ABBREVIATIONS.values()):
            add(f"probseg_{abbreviation}", results.tissue_probabilities[..., place])
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


def posterior_metadata(prior: str) -> dict[str, Any]:
    """Return what the sidecar of a posterior map says in place of that of the estimator."""
    box = PRIORS[prior]
    return {
        "algorithm": "Posterior by quadrature around the maximum-likelihood point, under the prior in the key Prior",
        "reference": None,
        "model": None,
        "extra": {
            "Prior": {
                "Name": prior,
                "Source": box.source,
                "T1Range": [round(bound, 9) for bound in box.t1],
                "T2Range": [round(bound, 9) for bound in box.t2],
                "Units": "s",
            }
        },
    }
