"""Writing the derivatives of a pc-bSSFP run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.provenance import raw_uris
from qmri_bids.estimation.bssfp.table import ESTIMATORS
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.quantities import QUANTITIES
from qmri_bids.reports.references import full_citation
from qmri_bids.scans.b1.derivatives import add_b1, b1_sources
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.tissue_labels import ABBREVIATIONS


def write_derivatives(
    results: RunResults,
    *,
    run: PcBssfpRun,
    settings: Mapping[str, Any],
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
    settings
        `estimator`, and `posterior`: the prior of the posterior maps, None where there are none.
    model
        What identifies the model behind the estimator; empty where there is none.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    entry = ESTIMATORS[settings["estimator"]]
    prior = settings["posterior"]
    sources = raw_uris(run.paths, bids_dir=bids_dir)
    of_b1 = b1_sources(run.b1, bids_dir=bids_dir, output_dir=output_dir)
    assumed = {"B1Assumed": 1.0} if results.b1 is None else {}
    estimated: dict[str, Any] = {
        "sources": sources + of_b1,
        "algorithm": f"{settings['estimator']}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
        "extra": assumed or None,
    }
    writer = RunWriter(results, run=run, output_dir=output_dir, sources=sources, protocol=run.protocol)
    writer.add_estimate(lambda quantity: estimated)
    if results.unwrapped is not None:
        writer.add_map(QUANTITIES["off_resonance_unwrapped"], results.unwrapped, **estimated)
    if prior is not None:
        writer.add_posterior(prior, **estimated | posterior_metadata(prior, **assumed))
    writer.add_map(QUANTITIES["residual"], results.estimate.residual, **estimated)
    writer.add("quality_mask", results.estimate.status[""], **estimated)
    writer.add_mask()
    writer.add("fieldmap_magnitude", results.magnitude)
    writer.add("preproc_magnitude", np.abs(results.series()))
    registration = results.registrations.get("b1")
    if results.b1 is not None:
        add_b1(
            writer.add,
            results.b1,
            run=run.b1,
            registration=registration,
            mask=results.mask,
            sources=of_b1,
            protocol=None,
        )
    writer.add_motion(results.motion, series=run, sources=sources)
    if registration is not None:
        writer.add_transform("b1_transform", registration["transform"], sources=of_b1)
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    if results.tissue_probabilities is not None:
        for place, abbreviation in enumerate(ABBREVIATIONS.values()):
            writer.add(f"probseg_{abbreviation}", results.tissue_probabilities[..., place])
    return writer.finish()


def posterior_metadata(prior: str, **extra: Any) -> dict[str, Any]:
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
            },
            **extra,
        },
    }
