"""Writing the derivatives of a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, protocol_metadata
from qmri_bids.bids.refusal import relative_name
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.estimation.pools.posterior import EXCHANGE_PRIORS
from qmri_bids.estimation.pools.table import EXCHANGE_ESTIMATORS
from qmri_bids.physics.pools import CestPool, MtPool
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES
from qmri_bids.quantity import known
from qmri_bids.reports.references import full_citation
from qmri_bids.scans.pools.run import ExchangeRun, KnownSource


def write_exchange(
    results: RunResults,
    *,
    run: ExchangeRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write fractions and rates, uncertainties, masks, known maps, aligned volumes, transforms and confounds.

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
    entry = EXCHANGE_ESTIMATORS[settings["estimator"]]
    prior = settings["posterior"]
    raw = _uris(run.paths, bids_dir=bids_dir, output_dir=output_dir)
    sources_of = {
        name: _sources(source, name, bids_dir=bids_dir, output_dir=output_dir)
        for source in run.known
        for name in source.names
    }
    everything = list(dict.fromkeys([*raw, *(uri for uris in sources_of.values() for uri in uris)]))
    acquisition = {
        "MagneticFieldStrength": run.scan.protocols[0].field_strength,
        "PulseSequenceType": "CEST",
        "Stages": [{"Name": stage.label, **protocol_metadata(stage.protocol)} for stage in run.stages],
        "Pools": _pools(run),
        "KnownMaps": {
            KNOWN_QUANTITIES[name].bare_phrase: _origin(source, name) for source in run.known for name in source.names
        },
    }
    estimated: dict[str, Any] = {
        "algorithm": f"{settings['estimator']}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
    }
    writer = RunWriter(results, run=run, output_dir=output_dir, sources=everything, extra=acquisition)
    writer.add_estimate(lambda quantity: estimated)
    for pool, codes in results.estimate.status.items():
        writer.add(f"quality_{pool}", codes, **estimated)
    if prior is not None:
        writer.add_posterior(prior, algorithm=POSTERIOR_ALGORITHM, extra=acquisition | {"Prior": _prior(prior)})
    writer.add_map(QUANTITIES["residual"], results.estimate.residual, **estimated)
    writer.add_mask(extra=acquisition, sources=raw)
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    for source in run.known:
        for name in source.names:
            quantity = KNOWN_QUANTITIES[name]
            said = {"sources": sources_of[name], "extra": {"From": _origin(source, name)}, "skull_stripped": None}
            writer.add_map(known(quantity), results.estimate.arrays[quantity.name], **said)
    writer.add("known_magnitude", results.magnitude, sources=raw, extra={})
    for number, stage in enumerate(run.stages):
        own = _uris(stage.paths, bids_dir=bids_dir, output_dir=output_dir)
        writer.add(
            "preproc_cest",
            results.series(number),
            entities=stage.entities,
            sources=own,
            extra=protocol_metadata(stage.protocol),
        )
        writer.add_motion(results.motions.get(number), series=stage, sources=own)
    for source in run.known:
        if source.key in results.registrations:
            registration, first = results.registrations[source.key], source.names[0]
            transform = KNOWN_QUANTITIES[first].taken.transform
            writer.add_transform(transform, registration["transform"], sources=sources_of[first])
            if "codes" in registration:
                writer.add("b1_mask", registration["codes"], sources=sources_of["b1"], extra={})
    return writer.finish()


POSTERIOR_ALGORITHM = "Posterior mean under the prior in the key Prior, which pulls values towards itself"


def _prior(name: str) -> dict[str, Any]:
    """Return what a sidecar says of a prior: ranges of fractions, and of rates in 1/s."""
    ranges = {key: list(each) for key, each in EXCHANGE_PRIORS[name].ranges.items() if "." in key}
    return {"Name": name, "Ranges": ranges}


def _pools(run: ExchangeRun) -> list[dict[str, Any]]:
    """Return the pools of the model: what was fixed, and which were estimated."""
    return [_pool(pool, estimated=pool.name in run.scan.pools) for pool in run.scan.model.exchanging]


def _pool(pool: CestPool, *, estimated: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "Name": pool.name,
        "Estimated": estimated,
        "ChemicalShift": pool.shift,
        "T2": pool.t2,
        "T1": "that of water" if pool.t1 is None else pool.t1,
    }
    if not estimated:
        content |= {"Fraction": pool.fraction, "ExchangeRate": pool.rate}
    if isinstance(pool, MtPool):
        content |= {"Form": str(pool.form)} | ({} if pool.lineshape is None else {"Lineshape": str(pool.lineshape)})
    return content


def _origin(source: KnownSource, name: str) -> str:
    """Return where a known map comes from, in a word or two."""
    if source.method == "fixed":
        return f"{source.values[name]:g} for every voxel"
    if source.run is not None:
        return source.run
    return source.b1_run.map.name if source.b1_run is not None else source.files[name].name


def _sources(source: KnownSource, name: str, *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the map of another run, or the files, that a known map was made of."""
    if source.run is not None:
        entities = parse_name(Path(source.run)).entities
        path = output_path(output_dir, entities=entities, output=KNOWN_QUANTITIES[name].written.key)
        return [bids_uri(path, root=output_dir)]
    paths = [files[name] for files in (source.files, source.stdev_files) if name in files]
    if source.image is not None:
        paths.append(source.image)
    if source.fieldmap is not None and source.fieldmap.second is not None:
        paths.append(source.fieldmap.second)
    if source.b1_run is not None:
        paths += source.b1_run.paths
    return _uris(paths, bids_dir=bids_dir, output_dir=output_dir)


def _uris(paths: Sequence[Path], *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the BIDS URIs of files of the raw dataset or the derivatives, and the paths of others as URIs."""
    roots = ((output_dir, ""), (bids_dir, RAW_NAME))
    found = []
    for path in dict.fromkeys(paths):
        places = [place for place in roots if not Path(relative_name(path, place[0])).is_absolute()]
        found += [bids_uri(path, root=root, dataset=name) for root, name in places[:1]] or [path.absolute().as_uri()]
    return found
