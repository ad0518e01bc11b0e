"""Writing the derivatives of a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.exchange_plan import ExchangeRun, KnownSource
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata, protocol_metadata
from qmri_bids.bids.refusal import relative_name
from qmri_bids.bids.saturation_plan import CestRun
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.estimation.exchange_posterior import EXCHANGE_PRIORS
from qmri_bids.estimation.exchange_table import EXCHANGE_ESTIMATORS
from qmri_bids.physics.pools import CestPool, MtPool
from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES, get_quantity
from qmri_bids.quantity import POSTERIOR, Quantity, known, stdev
from qmri_bids.reports.references import full_citation
from qmri_bids.workflows.earlier_files import remove_others
from qmri_bids.workflows.exchange_results import ExchangeResults
from qmri_bids.workflows.mask_files import write_mask
from qmri_bids.workflows.motion_files import write_run_motion
from qmri_bids.workflows.tissue_files import write_tissue_statistics


def write_exchange(
    results: ExchangeResults,
    *,
    run: ExchangeRun,
    estimator: str,
    model: Mapping[str, Any],
    posterior: str | None,
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write fractions and rates, uncertainties, masks, known maps, aligned volumes, transforms and confounds.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw series and the sources of the known maps.
    estimator
        Key of the table of estimators.
    model
        What identifies the model behind the estimator.
    posterior
        Prior of the posterior maps, None where there are none.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    entry = EXCHANGE_ESTIMATORS[estimator]
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
    written: list[Path] = []

    def add(output: str, array: Any, *, entities: Mapping[str, str] = run.entities, **metadata: Any) -> None:
        path = output_path(output_dir, entities=entities, output=output)
        known_of_all = {"sources": everything, "extra": acquisition, "skull_stripped": results.stripped}
        content = map_metadata(output, **known_of_all | metadata)
        written.append(write_map(path, array, affine=results.affine, metadata=content))

    def add_map(quantity: Quantity, values: Any, **metadata: Any) -> None:
        add(quantity.written.key, quantity.written.convert(values), **metadata)

    estimated: dict[str, Any] = {
        "algorithm": f"{estimator}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
    }
    for name, values in results.maps.items():
        add_map(QUANTITIES[name], values, **estimated)
        add_map(stdev(QUANTITIES[name]), results.stdev[name], **estimated)
    for name, values in results.correlations.items():
        add_map(QUANTITIES[name], values, **estimated)
    for pool, codes in results.status.items():
        add(f"quality_{pool}", codes, **estimated)
    if posterior is not None:
        for name, values in results.posterior.items():
            quantity = get_quantity(f"{POSTERIOR}{name}", prior=posterior)
            extra = acquisition | {"Prior": _prior(posterior)}
            add_map(quantity, values, algorithm=POSTERIOR_ALGORITHM, extra=extra)
    add_map(QUANTITIES["residual"], results.arrays["residual"], **estimated)
    write_mask(
        add,
        written,
        results=results,
        mask=results.mask,
        entities=run.entities,
        output_dir=output_dir,
        extra=acquisition,
        sources=raw,
    )
    if results.tissue is not None:
        add("tissue", results.tissue)
    for source in run.known:
        for name in source.names:
            written += _write_known(results, source, name, sources=sources_of[name], run=run, output_dir=output_dir)
    add("known_magnitude", results.magnitude, sources=raw, extra={})
    for number, stage in enumerate(run.stages):
        own = _uris(stage.paths, bids_dir=bids_dir, output_dir=output_dir)
        add(
            "preproc_cest",
            results.series(number),
            entities=stage.entities,
            sources=own,
            extra=protocol_metadata(stage.protocol),
        )
        if number in results.motions:
            written += _write_motion(results.motions[number], stage, sources=own, output_dir=output_dir)
    for source in run.known:
        if source.key in results.registrations:
            output = KNOWN_QUANTITIES[source.names[0]].taken.transform
            path = output_path(output_dir, entities=run.entities, output=output)
            written.append(write_transforms(path, [results.registrations[source.key]["transform"]]))
            write_json(sidecar_path(path), map_metadata(output, sources=sources_of[source.names[0]]))
            if "codes" in results.registrations[source.key]:
                add("b1_mask", results.registrations[source.key]["codes"], sources=sources_of["b1"], extra={})
    written += write_tissue_statistics(
        written,
        tissue=results.tissue,
        mask=results.mask,
        entities=run.entities,
        whole=results.whole,
        output_dir=output_dir,
        pure=results.pure_tissue,
    )
    for entities in (run.entities, *(stage.entities for stage in run.stages)):
        remove_others(entities, written, output_dir=output_dir)
    return tuple(written)


POSTERIOR_ALGORITHM = "Posterior mean under the prior in the key Prior, which pulls values towards itself"


def _prior(name: str) -> dict[str, Any]:
    """Return what a sidecar says of a prior: ranges of fractions, and of rates in 1/s."""
    ranges = {key: list(each) for key, each in EXCHANGE_PRIORS[name].ranges.items() if "." in key}
    return {"Name": name, "Ranges": ranges}


def _write_known(
    results: ExchangeResults,
    source: KnownSource,
    name: str,
    *,
    sources: Sequence[str],
    run: ExchangeRun,
    output_dir: Path,
) -> list[Path]:
    """Write a known map as it was used."""
    file = known(KNOWN_QUANTITIES[name]).written
    content = map_metadata(file.key, sources=sources, extra={"From": _origin(source, name)})
    path = output_path(output_dir, entities=run.entities, output=file.key)
    return [write_map(path, file.convert(results.known[name]), affine=results.affine, metadata=content)]


def _write_motion(motion: Mapping[str, Any], stage: CestRun, *, sources: Sequence[str], output_dir: Path) -> list[Path]:
    """Write the transforms of a stage, and its table of confounds where motion was corrected."""
    if "parameters" not in motion:
        path = output_path(output_dir, entities=stage.entities, output="volume_transforms")
        write_json(sidecar_path(path), map_metadata("volume_transforms", sources=sources))
        return [write_transforms(path, motion["transforms"])]
    return write_run_motion(motion, run=stage, sources=sources, output_dir=output_dir)


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
