"""What a fingerprint leaves: its files and its part of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.names import outputs
from qmri_bids.bids.provenance import file_uris, protocol_metadata
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.misfit import FLUID_T1
from qmri_bids.estimation.pools.posterior import EXCHANGE_PRIORS
from qmri_bids.physics.fingerprint import WATER
from qmri_bids.physics.pools import PROTONS_OF_WATER, CestPool, MtPool
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.maps.known import shown
from qmri_bids.pipeline.results.registration_checks import registration_checks
from qmri_bids.pipeline.results.report_parts import (
    curve_regions,
    motion_light,
    realigned_figures,
    registration_figures,
)
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter, maps_of_run
from qmri_bids.pipeline.sources import Take
from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES, SOLUTE
from qmri_bids.quantity import POSTERIOR, STDEV, Quantity, known
from qmri_bids.reports.content import Check, Figure, Level, QualityRow, Section
from qmri_bids.reports.figure_table import (
    histogram_figure,
    map_figure,
    mask_figure,
    motion_figure,
    quality_figure,
    saturation_figure,
    series_figure,
    trajectory_figure,
)
from qmri_bids.reports.figures.trajectories import trajectories
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.references import full_citation
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.tissue_labels import NAMES
from qmri_bids.units import tesla_to_microtesla


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
    raw = file_uris(run.paths, bids_dir=bids_dir, output_dir=output_dir)
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
        **({"ProtonsPerMolecule": dict(run.protons), "ProtonsOfWater": PROTONS_OF_WATER} if run.protons else {}),
        "KnownMaps": {
            KNOWN_QUANTITIES[name].bare_phrase: _origin(source, name) for source in run.known for name in source.names
        }
        | {KNOWN_QUANTITIES[name].bare_phrase: "none: fitted in every voxel" for name in run.scan.fitted},
    }
    estimated: dict[str, Any] = {
        "algorithm": f"{settings['estimator']}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
    }
    writer = RunWriter(results, run=run, output_dir=output_dir, sources=everything, extra=acquisition)

    def of(quantity: Quantity) -> dict[str, Any]:
        """Return what the sidecar of a map says: T1 that was freed was made another way than fractions and rates."""
        if quantity.algorithm is None:
            return estimated
        reference = full_citation((*entry.references, *quantity.references))
        return estimated | {"algorithm": f"{quantity.algorithm}; {estimated['algorithm']}", "reference": reference}

    writer.add_estimate(of)
    for pool, codes in results.estimate.status.items():
        row = f"quality_{pool}"
        if row in outputs():
            writer.add(row, codes, **estimated)
        else:
            writer.add(f"quality_{SOLUTE}", codes, desc=f"{pool}quality", **estimated)
    if prior is not None:
        writer.add_posterior(prior, algorithm=POSTERIOR_ALGORITHM, extra=acquisition | {"Prior": _prior(prior)})
    writer.add_map(QUANTITIES["residual"], results.estimate.residual, **estimated)
    writer.add_mask(extra=acquisition, sources=raw)
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    for source in run.known:
        for name in source.names:
            quantity = KNOWN_QUANTITIES[name]
            extra: dict[str, Any] = {"From": _origin(source, name)}
            if name == "t1" and run.relaxometry is not None:
                extra["Apparent"] = True
            said = {"sources": sources_of[name], "extra": extra, "skull_stripped": None}
            writer.add_map(known(quantity), results.estimate.arrays[quantity.name], **said)
    writer.add("known_magnitude", results.magnitude, sources=raw, extra={})
    for number, stage in enumerate(run.stages):
        own = file_uris(stage.paths, bids_dir=bids_dir, output_dir=output_dir)
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


def _origin(source: Take, name: str) -> str:
    """Return where a known map comes from, in a word or two."""
    if source.method == "fixed":
        return f"{source.values[name]:g} for every voxel"
    if source.run is not None:
        return source.run
    return source.b1_run.map.name if source.b1_run is not None else source.files[name].name


def _sources(source: Take, name: str, *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the map of another run, or the files, that a known map was made of."""
    if source.run is not None:
        return maps_of_run(source.run, [KNOWN_QUANTITIES[name]], output_dir=output_dir)
    paths = [files[name] for files in (source.files, source.stdev_files) if name in files]
    if source.image is not None:
        paths.append(source.image)
    if source.fieldmap is not None and source.fieldmap.second is not None:
        paths.append(source.fieldmap.second)
    if source.b1_run is not None:
        paths += source.b1_run.paths
    return file_uris(paths, bids_dir=bids_dir, output_dir=output_dir)


RESIDUAL_WINDOW = (0.0, 0.05)
"""Of the map of the residual: 0.01 is noise of a hundredth of the signal."""

GOOD_TELLING, USABLE_TELLING = 0.9, 0.5
"""Share of the tissue in which fraction and rate are told apart from which a pool is good, and below which it is bad."""

GOOD_WIDTH, USABLE_WIDTH = 0.25, 0.5
"""Median standard deviation over value up to which a pool is good, and above which it is bad."""

SHARED_DOUBT, SHARED_BAD = 0.1, 0.5
"""Residual over noise that neighbouring voxels share above which the model is in doubt, and above which it does not hold. Of
scans that the model does not describe (`benchmarks/pool_models.py`) the worst value was 4 to 19 standard deviations off a unit."""


def quality(results: RunResults) -> tuple[QualityRow, ...]:
    """Return the codes that voxels of each pool have, those outside the mask left out."""
    return tuple(
        replace(row, name=f"{pool}: {row.name}")
        for pool, codes in results.estimate.status.items()
        for row in quality_rows(codes)
        if row.voxels and row.code != Status.OUTSIDE
    )


def checks(results: RunResults, run: ExchangeRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a run."""
    known = _known(results)
    where, matter = "the mask", results.mask
    if run.scan.model.mt is not None:
        # Voxels without T1 count: a map that is missing must not raise the share.
        with np.errstate(invalid="ignore"):
            matter = results.mask & ~(known["t1"] > FLUID_T1)
        where = f"the brain mask where T1 is at most {FLUID_T1:g} s: fluid holds no pool"
    for pool, codes in results.estimate.status.items():
        light = convergence_check(quality_rows(codes[matter]), of=pool)
        yield replace(
            light,
            name=f"{pool}: voxels with a value",
            explanation=light.explanation.replace("the brain mask", where),
        )
        told = float(np.mean(codes[matter] != Status.NOT_IDENTIFIABLE))
        what = f"{' and '.join(KNOWN_QUANTITIES[name].name for name in run.scan.fitted)} told"
        yield _told_apart(pool, told, where=where, what=what if pool == WATER else "fraction and rate told apart")
        named = zip(run.scan.parameters, results.estimate.arrays["width"], strict=True)
        own = {name.rpartition(".")[2]: float(value) for name, value in named if name.rpartition(".")[0] == pool}
        yield width_light(pool, own)
    yield model_light(float(results.estimate.arrays["misfit_shared"]))
    for number, stage in enumerate(run.stages):
        motion = results.motions.get(number)
        light = motion_light(
            motion if motion is not None and "parameters" in motion else None,
            affine=results.affine,
            noun="volume",
            of=_name(stage),
        )
        yield replace(light, name=f"Motion of {_name(stage)}" if len(run.stages) > 1 else light.name)
    yield from registration_checks(results.registrations, names=_registered(run))
    fixed = _fixed(run)
    for name in ("t1", "t2", "off_resonance"):
        if name in fixed:
            yield Check(
                name=KNOWN_QUANTITIES[name].bare_phrase,
                value="no map: one number everywhere",
                level=Level.CHECK,
                explanation="Fractions and rates are off where it differs.",
            )
    if "b1" in fixed:
        yield Check(
            name="B1",
            value="none: 1 assumed",
            level=Level.BAD,
            explanation="The power of saturation goes with its square: fractions and rates carry the error.",
        )
    elif np.isfinite(known["b1"][results.mask]).any():
        yield b1_check(known["b1"][results.mask])


def _known(results: RunResults) -> dict[str, NDArray[np.float32]]:
    """Return the known maps as used, by the names of `KNOWN`."""
    return {name: results.estimate.arrays[quantity.name] for name, quantity in KNOWN_QUANTITIES.items()}


def _registered(run: ExchangeRun) -> dict[str, str]:
    """Return what the scans are that were registered, by key."""
    return {stage.label: f"the series {_name(stage)}" for stage in run.stages} | {
        source.key: f"the scan that gave {shown(source.names)}" for source in run.known
    }


def _fixed(run: ExchangeRun) -> set[str]:
    """Return the known maps that are one number everywhere."""
    return {name for source in run.known if source.method == "fixed" for name in source.names}


def _told_apart(pool: str, share: float, *, where: str, what: str) -> Check:
    level = Level.GOOD if share >= GOOD_TELLING else Level.CHECK if share >= USABLE_TELLING else Level.BAD
    return Check(
        name=f"{pool}: {what}",
        value=f"in {100.0 * share:.1f} %",
        level=level,
        explanation=f"Good from {100 * GOOD_TELLING:.0f} %, bad below {100 * USABLE_TELLING:.0f} % of {where}.",
        measures=(Measure(key="told_apart", value=100.0 * share, of=pool),),
    )


def model_light(shared: float) -> Check:
    """Return whether the pool model holds: `shared` is the residual over noise that neighbouring voxels have in common."""
    return Check(
        name="Signal model",
        value="unknown: too few voxels"
        if math.isnan(shared)
        else f"{shared:.2f} of the noise is an error that neighbouring voxels share",
        level=_level(shared, good=SHARED_DOUBT, usable=SHARED_BAD),
        explanation="What the model lacks (another line of the semisolid pool, a pool, a wrong known map) is alike in neighbouring "
        "voxels, noise is not; looked at where T1 is even. The residual shows the smaller part of such an error, most of it goes "
        "into the values: the worst was 4 to 19 standard deviations off for each 1.00 of it in trials. Good up to "
        f"{SHARED_DOUBT:g}, bad above {SHARED_BAD:g}.",
        measures=(Measure(key="model_misfit", value=shared),),
    )


def width_light(pool: str, width: Mapping[str, float]) -> Check:
    """Return whether single voxels tell a pool: `width` holds median standard deviations relative to the value, by quantity."""
    words = [f"{quantity} {100.0 * value:.2g} %" for quantity, value in width.items() if not math.isnan(value)]
    return Check(
        name=f"{pool}: standard deviation",
        value=" and ".join(words) or "unknown: no voxel has a value",
        level=_level(max(width.values()), good=GOOD_WIDTH, usable=USABLE_WIDTH),
        explanation="Median over the voxels that have a value, of the value itself. Good up to "
        f"{100 * GOOD_WIDTH:.0f} %, bad above {100 * USABLE_WIDTH:.0f} %: single voxels tell little then, regions more.",
    )


def _level(value: float, *, good: float, usable: float) -> Level:
    """Return the light of a number that had better be small; what is not known is not good."""
    if math.isnan(value):
        return Level.CHECK
    return Level.GOOD if value <= good else Level.CHECK if value <= usable else Level.BAD


def _name(stage: CestRun) -> str:
    """Return what a stage is called: its entities without subject and session."""
    return "_".join(f"{key}-{value}" for key, value in stage.entities.items() if key not in ("sub", "ses"))


def windows(run: ExchangeRun) -> dict[str, tuple[float, float]]:
    """Return the window of the residual."""
    return {"residual": RESIDUAL_WINDOW}


def figures(results: RunResults, run: ExchangeRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of a run; `settings` with the prior of the posterior maps."""
    affine, mask = results.affine, results.mask
    for number, stage in enumerate(run.stages):
        yield from _stage_figures(results, number, stage)
    yield mask_figure(
        results.magnitude,
        mask=mask,
        affine=affine,
        image_name="mean of the images of full signal",
        section=Section.SERIES,
    )
    yield from registration_figures(
        results.registrations,
        magnitude=results.magnitude,
        affine=affine,
        mask=mask,
        names=_registered(run),
    )
    yield _trajectories(results, run)
    estimate, fixed = results.estimate, _fixed(run)
    for name, values in _known(results).items():
        if name in fixed or name in run.scan.fitted:
            continue
        yield map_figure(
            values,
            affine=affine,
            mask=mask,
            name=KNOWN_QUANTITIES[name].name,
            key=f"known-{name.replace('_', '-')}",
            title=f"Known map: {KNOWN_QUANTITIES[name].bare_phrase}",
            section=Section.REGISTRATION,
            remark="Known from another scan; where an estimation was possible."
            + (
                " Apparent: T1 of free water below goes with it."
                if name == "t1" and run.relaxometry is not None
                else ""
            ),
        )
    for name, values in estimate.values.items():
        yield map_figure(values, affine=affine, mask=mask, name=name)
    for name, values in estimate.stdev.items():
        yield map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}")
    for name, values in estimate.correlation.items():
        yield map_figure(values, affine=affine, mask=mask, name=name)
    yield map_figure(estimate.residual, affine=affine, mask=mask, name="residual", window=RESIDUAL_WINDOW)
    for name, values in estimate.posterior.items():
        yield map_figure(
            values,
            affine=affine,
            mask=mask,
            name=f"{POSTERIOR}{name}",
            remark=f"Prior: {settings['posterior']}. A prior pulls values towards itself, most where the data tell little.",
        )
    yield histogram_figure(
        estimate.values,
        mask=mask,
        labels=results.tissue,
        label_names=NAMES,
        field_strength=run.static_field if results.kind == BRAIN else None,
    )
    for pool, codes in results.estimate.status.items():
        yield quality_figure(codes, affine=affine, key=f"quality-{pool}", title=f"Quality mask of {pool}")


def _stage_figures(results: RunResults, number: int, stage: CestRun) -> Iterator[Figure]:
    name = _name(stage)
    yield saturation_figure(
        stage.protocol, roles=stage.roles, key=f"saturation-{number + 1}", title=f"Saturation protocol of {name}"
    )
    motion = results.motions.get(number)
    moved = motion is not None and "parameters" in motion
    reference = int(motion["reference"]) if moved and motion is not None else None
    yield series_figure(
        results.series(number),
        labels=_labels(stage),
        affine=results.affine,
        mask=results.mask,
        reference=reference,
        key=f"series-{number + 1}",
        title=f"Images of {name}",
    )
    if moved and motion is not None:
        yield motion_figure(
            motion["parameters"],
            motion["framewise_displacement"],
            reference=reference,
            noun="volume",
            key=f"motion-{number + 1}",
            title=f"Motion of {name}",
        )
        if number == 0:
            yield from realigned_figures(results, noun="volume")


def _labels(stage: CestRun) -> list[str]:
    """Return what each volume is, in a word: powers differ where offsets do not."""
    labels = []
    for role, image in zip(stage.roles, stage.protocol.images, strict=True):
        if role == "m0" or image.saturation is None:
            labels.append("M0")
        else:
            labels.append(f"{image.offset:+g} ppm\n{tesla_to_microtesla(image.saturation.b1_rms):.2g} µT")
    return labels


def _trajectories(results: RunResults, run: ExchangeRun) -> Figure:
    arrays = results.estimate.arrays
    regions = curve_regions(results.tissue, arrays["inside"])
    return trajectory_figure(
        {_name(stage): stage.protocol for stage in run.stages},
        {
            name: trajectories(
                arrays["signal"][chosen],
                arrays["fitted"][chosen],
                amplitude=arrays["amplitude"][chosen],
                series=run.scan.series,
            )
            for name, chosen in regions.items()
        },
    )
