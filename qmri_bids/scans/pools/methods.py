"""What the methods text says of fingerprints: series and known maps brought together, pool fractions and exchange rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, estimator_for
from qmri_bids.physics.pools import PROTONS_OF_WATER, CestPool, MtPool
from qmri_bids.pipeline.maps.known import listed, shown
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.methods import b1_map
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.saturation.methods import cest_acquisition, cest_motion, cest_noise
from qmri_bids.sentence import Sentence
from qmri_bids.units import seconds_to_milliseconds

POOL_NAMES: Mapping[str, str] = {"MT": "the semisolid (MT) pool", "amide": "amide"}
"""Pools in sentences."""


def fingerprint_sentences(run: ExchangeRun, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on a fingerprint.

    Parameters
    ----------
    run
        The stages, the pools and the sources of known maps.
    options
        Estimator, posterior, steps left out.
    """
    sentences: list[Sentence] = []
    for stage in run.stages:
        sentences += [cest_acquisition(stage), _ringing(options), *cest_motion(stage, options)]
    for stage in run.stages[1:]:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="The series {run} was registered rigidly to {first} by mutual information of their images without "
                "saturation with ANTs [avants2011]; motion and registration were joined, so that every image was "
                "interpolated once.",
                values={"run": stage.label, "first": run.stages[0].label},
            )
        )
    for source in run.known:
        sentences += _KNOWN_MAPS[source.method](source)
    pools = [POOL_NAMES.get(name, name) for name in run.scan.pools]
    sentences.append(
        Sentence(
            paragraph="cest",
            text="Fraction and exchange rate of {pools} were estimated in every voxel from all images together. The model is "
            "that of the Bloch-McConnell equations, in which every image begins where the one before ended, with a scale of "
            "its own for each series; shift and relaxation of the pools were fixed: {fixed}.",
            values={"pools": listed(pools), "fixed": listed([_fixed(pool) for pool in run.scan.model.exchanging])},
        )
    )
    if run.protons:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="Concentrations follow from fractions by {water} mmol/L of protons of water and the exchanging protons of one "
                "molecule ({protons}), and hold in water, not in tissue.",
                values={
                    "water": f"{PROTONS_OF_WATER:,.0f}",
                    "protons": listed([f"{pool}: {number:g}" for pool, number in run.protons.items()]),
                },
            )
        )
    if run.scan.fitted:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="{times} of water, of which there was no map, {were} fitted in every voxel together with the pools.",
                values={"times": shown(run.scan.fitted), "were": "were" if len(run.scan.fitted) > 1 else "was"},
            )
        )
    if run.relaxometry is not None:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="T1 of phase-cycled bSSFP is apparent, lowered by magnetization transfer under its pulse ({pulse}): T1 of "
                "free water was part of the model, and followed from the apparent T1 and the semisolid pool by the two-pool steady "
                "state of balanced SSFP [gloor2008].",
                values={"pulse": run.relaxometry.pulse.name},
            )
        )
    sentences += cest_noise(options)
    estimator, _ = estimator_for(options.exchange_estimator, pools=run.scan.pools, fitted=run.scan.fitted)
    sentences += EXCHANGE_ESTIMATORS[estimator].methods
    sentences.append(
        Sentence(
            paragraph="cest",
            text="Standard deviations follow from the noise of the images and from those of the known maps that have one; "
            "where that of fraction or rate exceeds its value, the two cannot be told apart and the pool was left without a "
            "value.",
        )
    )
    if options.exchange_posterior is not None:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="Posterior means and standard deviations under the prior '{prior}' were computed too, which pulls "
                "values towards itself.",
                values={"prior": options.exchange_posterior},
            )
        )
    return sentences


def _ringing(options: ProcessingOptions) -> Sentence:
    if "gibbs" in options.ignore:
        return Sentence(paragraph="cest", text="Gibbs ringing was not removed from its images.")
    return Sentence(
        paragraph="cest",
        text="Gibbs ringing was removed from its images by a Tukey window on the outer half of k-space.",
    )


def _fixed(pool: CestPool) -> str:
    """Return what is fixed of a pool, in words."""
    t2 = f"{1e6 * pool.t2:.3g} µs" if pool.t2 < 1e-3 else f"{seconds_to_milliseconds(pool.t2):.3g} ms"
    said = f"{pool.name} at {pool.shift:+g} ppm with T2 of {t2}"
    if isinstance(pool, MtPool):
        said += f" (form {pool.form}" + (")" if pool.lineshape is None else f", {pool.lineshape} line)")
    return said


def _from_run(source: Take) -> list[Sentence]:
    return [
        Sentence(
            paragraph="cest",
            text="{maps} came from {run}, rigidly registered to the first series [avants2011].",
            values={"maps": shown(source.names), "run": source.run},
        )
    ]


def _from_relaxometry(source: Take) -> list[Sentence]:
    if "off_resonance" not in source.names:
        return _from_run(source)
    return [
        *_from_run(source),
        Sentence(
            paragraph="cest",
            text="Off-resonance of phase-cycled bSSFP was unwrapped in space [herraez2002] before it was interpolated, with "
            "the multiple of 1/TR whose median in the brain is nearest to 0.",
        ),
    ]


def _from_files(source: Take) -> list[Sentence]:
    maps, files = shown(source.names), listed(dict.fromkeys(path.name for path in source.files.values()))
    if source.image is None:
        return [
            Sentence(
                paragraph="cest",
                text="{maps} came from {files}, placed by the coordinates of the scanner.",
                values={"maps": maps, "files": files},
            )
        ]
    return [
        Sentence(
            paragraph="cest",
            text="{maps} came from {files}, rigidly registered to the first series [avants2011].",
            values={"maps": maps, "files": files},
        )
    ]


def _from_b1_scan(source: Take) -> list[Sentence]:
    if source.b1_run is None:
        raise ValueError(f"{source.key}: expected a B1 scan, found none")
    return [
        *b1_map(source.b1_run),
        Sentence(
            paragraph="cest",
            text="B1 came from {scan}, rigidly registered to the first series [avants2011].",
            values={"scan": source.b1_run.map.name},
        ),
    ]


def _from_numbers(source: Take) -> list[Sentence]:
    return [
        Sentence(
            paragraph="cest",
            text="{maps} was not measured: {value} was taken for every voxel.",
            values={
                "maps": shown([name]),
                "value": f"{value:g} {KNOWN_QUANTITIES[name].taken.unit}".rstrip(),
            },
        )
        for name, value in source.values.items()
    ]


_KNOWN_MAPS: Mapping[str, Callable[[Take], list[Sentence]]] = {
    "pcbssfp": _from_relaxometry,
    "wasabi": _from_run,
    "wassr": _from_run,
    "fieldmap": _from_files,
    "maps": _from_files,
    "b1": _from_b1_scan,
    "fixed": _from_numbers,
}
"""What is said of a source of known maps."""
