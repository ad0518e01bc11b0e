"""The experiments of Birk et al. 2025 on a run of phase-cycled bSSFP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Estimator, EstimatorOptions, ProtocolNotSupported
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.evaluation.own_scan.differences import difference_rows, estimates_of
from qmri_bids.evaluation.own_scan.duration import EDGES, MOST_VOXELS, durations
from qmri_bids.evaluation.own_scan.epochs import SAMPLES, epochs_on_scan, short_training
from qmri_bids.evaluation.own_scan.fewer_cycles import fewer_cycles
from qmri_bids.evaluation.own_scan.monte_carlo import add_noise, monte_carlo_rows
from qmri_bids.evaluation.own_scan.voxels import BRAIN, OwnScan, fullest_slice
from qmri_bids.evaluation.own_scan.wrong_b1 import FACTORS, wrong_b1
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.pipeline.voxels import Voxels
from qmri_bids.reports.comparison.content import Part
from qmri_bids.reports.comparison.curve_parts import b1_part, epochs_part, time_part
from qmri_bids.reports.comparison.map_parts import differences_part, fewer_part, noise_part
from qmri_bids.reports.drawing.planes import View
from qmri_bids.workflows.comparison.prepared import against_written, tissues_of

REFERENCE = "miracle"
"""What differences are taken to; where it does not serve the protocol, `FALLBACK` takes its place."""
FALLBACK = "ml"
DEFAULT_ESTIMATORS = (
    "miracle",
    "pinn",
    "ml",
    "pinn-bare",
    "pinn-complex-uniform",
    "svnn-complex-uniform",
    "pinn-magnitude-uniform",
    "svnn-magnitude-uniform",
)
TRAINED = ("svnn-magnitude-uniform", "pinn-magnitude-uniform", "svnn-complex-uniform", "pinn-complex-uniform")
"""Networks that are trained to look at their epochs, as many of them as are asked for."""

RELAXOMETRY_PARTS = ("differences", "cycles", "noise", "epochs", "time", "b1")


@dataclass(frozen=True, kw_only=True)
class RelaxometrySettings:
    """What is done with a run of phase-cycled bSSFP.

    Parameters
    ----------
    parts
        Of `RELAXOMETRY_PARTS`.
    estimators
        Names of `ESTIMATORS`; None for the default ones.
    cycles
        Numbers of cycles that are kept.
    whole
        Whether noise is added in all of the brain, not in one slice.
    draws, noise_factor
        Draws of added noise, and its standard deviation over that of the scan.
    epochs, networks, samples
        Epochs of a training, how many networks of `TRAINED`, and samples of an epoch.
    b1_factors
        What B1 is multiplied by.
    edges, most_voxels
        Edges of voxels to which time is extrapolated [mm], and voxels that are drawn at most to measure it.
    threads, seed, weights_folder
        Threads of kernels, seed of all draws, folder of weights searched before that of the package.
    """

    parts: Sequence[str] = RELAXOMETRY_PARTS
    estimators: Sequence[str] | None = None
    cycles: Sequence[int] = (6, 4)
    whole: bool = False
    draws: int = 50
    noise_factor: float = 1.0
    epochs: int = 8
    networks: int = 2
    samples: int = SAMPLES
    b1_factors: Sequence[float] = FACTORS
    edges: Sequence[float] = EDGES
    most_voxels: int = MOST_VOXELS
    threads: int = 1
    seed: int = 0
    weights_folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Experiment:
    """What all parts share."""

    scan: OwnScan
    affine: NDArray[np.float64]
    estimators: Mapping[str, Estimator]
    settings: RelaxometrySettings
    full: Mapping[str, Estimate]
    reference: str
    say: Callable[[str], None] = field(repr=False)


def relaxometry_parts(
    inputs: Mapping[str, Any],
    *,
    run: Run,
    output_dir: Path,
    settings: RelaxometrySettings,
    say: Callable[[str], None],
) -> tuple[list[str], list[Part]]:
    """Return what was decided and the parts of the comparison.

    Parameters
    ----------
    inputs
        What the estimation of the run was given: from `inputs_of_estimation`.
    run
        The run.
    output_dir
        The derivatives.
    settings
        What is done.
    say
        Called with a line of text before every part.

    Raises
    ------
    ValueError
        If no estimator serves the protocol.
    """
    import torch

    torch.set_num_threads(settings.threads)
    scan, affine, sentences = own_scan(inputs, run=run, output_dir=output_dir, threads=settings.threads)
    estimators, refused = _estimators(inputs["estimator"], scan=scan, settings=settings)
    sentences += refused
    reference = REFERENCE if REFERENCE in estimators else FALLBACK
    if reference not in estimators:
        reference = next(iter(estimators))
    if reference != REFERENCE:
        sentences.append(
            f"Differences are taken to {reference}: {REFERENCE} is not among the estimators that serve this run."
        )
    say(f"{len(estimators)} estimators on {scan.number_of_voxels:,} voxels, {scan.protocol.number_of_cycles} cycles")
    experiment = _Experiment(
        scan=scan,
        affine=affine,
        estimators=estimators,
        settings=settings,
        full=estimates_of(estimators, scan),
        reference=reference,
        say=say,
    )
    own = inputs["estimator"]
    found = experiment.full.get(own) or estimates_of({own: _created(own, settings=settings)}, scan)[own]
    values = {name: scan.volume(found.values[name]) for name in ("T1", "T2")}
    sentences += against_written(values, run=run, output_dir=output_dir, estimator=own)
    parts = []
    for name in settings.parts:
        say(f"part {name}")
        parts.append(_PARTS[name](experiment))
    return sentences, parts


def own_scan(
    inputs: Mapping[str, Any], *, run: Run, output_dir: Path, threads: int
) -> tuple[OwnScan, NDArray[np.float64], list[str]]:
    """Return the voxels of a run that are estimated, the affine, and what was decided.

    Parameters
    ----------
    inputs
        From `inputs_of_estimation`.
    run, output_dir
        The run, and the derivatives that hold its tissues.
    threads
        Threads of kernels.
    """
    from qmri_bids.scans.bssfp.hard_cycles import cycles_of_hard_pulses

    voxels = Voxels(inputs["mask"], motions=[inputs[name] for name in ("motion",) if name in inputs])
    sentences = list(voxels.decisions)
    affine = load_volume(inputs["mask"])[1]
    cycles, inside = voxels.signal(inputs["cycles"]), voxels.inside
    b1 = np.ones(len(cycles), dtype=np.float32)
    if "b1" in inputs:
        b1 = voxels.signal(inputs["b1"])
    else:
        sentences.append("The run has no B1 map: B1 counts as 1 everywhere.")
    if "pulse" in inputs:
        hard = cycles_of_hard_pulses(
            cycles,
            b1=b1,
            inside=inside,
            pulse=inputs["pulse"],
            source=inputs.get("pulse_source", ""),
            protocol=inputs["protocol"],
            threads=threads,
        )
        sentences += hard.sentences
        lost = int(np.count_nonzero(~hard.changed))
        if lost:
            sentences.append(f"{lost} voxels whose pulse could not be accounted for are left out.")
        cycles, b1 = hard.cycles[hard.changed], b1[hard.changed]
        kept = np.zeros_like(inside)
        kept[inside] = hard.changed
        inside = kept
    tissue, said = tissues_of(run, output_dir=output_dir, shape=inside.shape)
    named = {name: region[inside] for name, region in tissue.items()}
    scan = OwnScan(
        cycles=cycles,
        b1=b1,
        inside=inside,
        protocol=inputs["protocol"],
        tissue={**named, BRAIN: np.ones(len(b1), dtype=np.bool_)},
    )
    return scan, affine, [*sentences, *said]


def _created(name: str, *, settings: RelaxometrySettings) -> Estimator:
    return ESTIMATORS[name].create(
        EstimatorOptions(threads=settings.threads, weights_folder=settings.weights_folder, device="cpu")
    )


def _estimators(own: str, *, scan: OwnScan, settings: RelaxometrySettings) -> tuple[dict[str, Estimator], list[str]]:
    """Return the estimators that serve the protocol, the default ones with that of the run, and why others do not."""
    names = settings.estimators or tuple(dict.fromkeys([REFERENCE, own, *DEFAULT_ESTIMATORS]))
    found: dict[str, Estimator] = {}
    sentences = []
    for name in names:
        made = _created(name, settings=settings)
        try:
            made.check(scan.protocol)
        except ProtocolNotSupported as error:
            sentences.append(f"{name} is left out: expected {error.expected}, found {error.found}.")
            continue
        found[name] = made
    if not found:
        raise ValueError(f"no estimator serves the protocol of this run: {' '.join(sentences)}")
    return found, sentences


def _differences(experiment: _Experiment) -> Part:
    scan, reference = experiment.scan, experiment.reference
    said = [
        f"All estimators saw the same {scan.number_of_voxels:,} voxels: preprocessed cycles, brain mask, B1.",
        "Stated standard deviations are those of noise; B1 counts as exact, since an error of it is common to all.",
    ]
    if reference == REFERENCE and scan.protocol.number_of_cycles < 12:
        said.append(
            f"MIRACLE is biased below 12 cycles (this scan has {scan.protocol.number_of_cycles}): differences hold its bias, too."
        )
    return differences_part(
        difference_rows(experiment.full, reference=reference, scan=scan),
        estimates=experiment.full,
        reference=reference,
        scan=scan,
        affine=experiment.affine,
        sentences=said,
    )


def _cycles(experiment: _Experiment) -> Part:
    found = fewer_cycles(
        experiment.estimators, scan=experiment.scan, full=experiment.full, numbers=experiment.settings.cycles
    )
    return fewer_part(found, full=experiment.full, scan=experiment.scan, affine=experiment.affine)


def _noise(experiment: _Experiment) -> Part:
    settings, scan = experiment.settings, experiment.scan
    where = "all of the brain"
    if not settings.whole:
        view = View(affine=experiment.affine, mask=scan.inside)
        scan = scan.within(fullest_slice(scan.inside, axis=view.across(view.main_plane)))
        where = f"the {view.main_plane} slice that holds most of the brain ({scan.number_of_voxels:,} voxels)"
    # The level of noise that the default fit tells of these very voxels, from their residuals and those around them.
    fit = ESTIMATORS[FALLBACK].create(EstimatorOptions(threads=settings.threads))
    noise = fit.estimate(scan.cycles, protocol=scan.protocol, known=scan.known).noise
    level = np.full(scan.number_of_voxels, np.nan) if noise is None else np.asarray(noise, dtype=np.float64)
    level = np.where(np.isfinite(level), level, np.nanmedian(level))
    drawn = add_noise(
        experiment.estimators,
        scan=scan,
        noise=settings.noise_factor * level,
        draws=settings.draws,
        seed=settings.seed,
    )
    said = (
        f"Noise was added {settings.draws} times in {where}, to real and imaginary part of every cycle, all "
        f"estimators seeing the same "
        f"draws. Its standard deviation is {settings.noise_factor:g} times that which the residuals of the fit tell in each voxel.",
        "The scan holds its own noise already, the same in all draws: the spread over the draws is that of the "
        "added noise alone, and is "
        "set beside the standard deviation that the estimate states without it.",
        f"A voxel counts where nine in ten draws have a value; the spread of {settings.draws} draws is known to "
        f"{100.0 / np.sqrt(2.0 * (settings.draws - 1)):.0f} % in one voxel.",
    )
    return noise_part(
        monte_carlo_rows(drawn, scan=scan, factor=settings.noise_factor),
        drawn=drawn,
        scan=scan,
        affine=experiment.affine,
        factor=settings.noise_factor,
        draws=settings.draws,
        sentences=said,
    )


def _epochs(experiment: _Experiment) -> Part:
    settings, scan = experiment.settings, experiment.scan
    title, after = "Epochs of a training", "Birk et al. 2025, figure 8"
    if not scan.protocol.is_evenly_spaced:
        why = "The networks of that paper need evenly spaced increments, which this run does not have."
        return Part(key="epochs", title=title, after=after, sentences=(why,))
    rows = []
    for name in TRAINED[: settings.networks]:
        spec = short_training(scan, name, epochs=settings.epochs, seed=settings.seed, samples=settings.samples)
        rows.append(epochs_on_scan(spec, scan=scan, progress=experiment.say))
    said = (
        f"{len(rows)} networks were trained anew for the protocol of this run, {settings.epochs} epochs of "
        f"{settings.samples:,} simulated "
        "samples each, and asked for this scan after every epoch. The first epoch of a physics-informed network is supervised.",
        "The shipped networks see four times the samples and more epochs; these here are thrown away.",
    )
    return epochs_part(rows, scan=scan, affine=experiment.affine, sentences=said)


def _time(experiment: _Experiment) -> Part:
    settings, scan = experiment.settings, experiment.scan
    volume = float(np.count_nonzero(scan.inside) * abs(np.linalg.det(experiment.affine[:3, :3])))
    rows = durations(
        experiment.estimators,
        scan=scan,
        volume=volume,
        seed=settings.seed,
        edges=settings.edges,
        most=settings.most_voxels,
    )
    said = (
        f"Growing numbers of voxels, {max(max(row.voxels) for row in rows):,} at most, were drawn from this scan "
        f"and estimated three times "
        f"each, on {settings.threads} thread{'s' if settings.threads > 1 else ''} of the processor, with standard "
        f"deviations. A line through "
        f"the times was extrapolated to the voxels that this brain ({1e-3 * volume:.0f} mL) has at each edge: "
        f"that was not measured.",
        "Drawn voxels have no neighbours, so that fluid next door is not accounted for, which takes the fits "
        "more time in an image.",
        "MIRACLE is solved in closed form here; the search of the paper takes 600 times as long (docs/estimators.md).",
    )
    return time_part(rows, sentences=said)


def _b1(experiment: _Experiment) -> Part:
    settings, scan = experiment.settings, experiment.scan
    rows = wrong_b1(
        experiment.estimators, scan=scan, right=experiment.full, factors=sorted({*settings.b1_factors, 1.0})
    )
    said = (
        "B1 of every voxel was multiplied by a factor and everything estimated again, against the same estimator "
        "with B1 as measured.",
        "Voxels that lose their value by the wrong B1 (a network's range ends) do not count.",
    )
    return b1_part(rows, scan=scan, sentences=said)


_PARTS: Mapping[str, Callable[[_Experiment], Part]] = {
    "differences": _differences,
    "cycles": _cycles,
    "noise": _noise,
    "epochs": _epochs,
    "time": _time,
    "b1": _b1,
}
