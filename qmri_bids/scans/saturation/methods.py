"""What the methods text says of series of saturated images (CEST) and of MT runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qmri_bids.estimation.mt.corrections import CORRECTION_SENTENCES
from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, LineModel
from qmri_bids.estimation.spectra.measures.plan import plan_measures
from qmri_bids.estimation.spectra.plan import automatic_pools
from qmri_bids.physics.saturation import Saturation
from qmri_bids.pipeline.maps.known import listed
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.methods import b1_map, given_motion
from qmri_bids.scans.saturation.run import T1_KINDS, CestRun, MtrRun, MtsRun, PowerCorrection
from qmri_bids.sentence import Sentence
from qmri_bids.units import seconds_to_milliseconds, tesla_to_microtesla


def cest_sentences(run: CestRun, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on a series: how it was acquired, its motion, and what was mapped."""
    mapped = [_field(run)] if run.use.gives else _spectrum(run, options)
    return [cest_acquisition(run), *cest_motion(run, options), *cest_noise(options), *mapped]


def cest_acquisition(run: CestRun) -> Sentence:
    """Return the sentence on the acquisition of a series."""
    chosen = [
        image
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role != "m0" and image.saturation is not None
    ]
    trains = [image.saturation for image in chosen if image.saturation is not None]
    offsets = [image.offset for image in chosen if image.offset is not None]
    powers = sorted({round(tesla_to_microtesla(train.b1_rms), 2) for train in trains})
    return Sentence(
        paragraph="cest",
        text="The CEST series {run} holds {images} images at {field} T, each after {train}, with a B1 of {b1} µT (root mean "
        "square over pulses and gaps), at offsets of {offsets} ppm from water; positive offsets are downfield.",
        values={
            "run": run.label,
            "images": run.protocol.number_of_images,
            "field": f"{run.protocol.field_strength:.3g}",
            "train": _train(trains[0]),
            "b1": _span(powers[0], powers[-1]),
            "offsets": _span(min(offsets), max(offsets)),
        },
    )


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _train(train: Saturation) -> str:
    """Return what a train is, in words."""
    duration = f"{seconds_to_milliseconds(train.pulse.duration):g} ms"
    if train.number == 1:
        return f"one pulse of {duration}"
    return f"{train.number} pulses of {duration}, {seconds_to_milliseconds(train.gap):g} ms apart"


def cest_motion(run: CestRun, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentence on the motion within a series."""
    if "motion" in options.ignore:
        return [Sentence(paragraph="cest", text="Motion between the images of the series was not corrected.")]
    if given := given_motion(run, options):
        return given
    if run.use.gives:
        return [
            Sentence(
                paragraph="cest",
                text="The images of the B0 series, in which fringes move with the offset, were rigidly registered to the "
                "first image without saturation by mutual information with ANTs [avants2011].",
            )
        ]
    return [
        Sentence(
            paragraph="cest",
            text="The images of the series, whose contrast changes with the offset, were aligned rigidly and jointly on "
            "their edges, with the brightest saturated image as reference; where saturation left too little signal inside "
            "the head, by the head with its scalp. Motion is summarised as framewise displacement [power2012].",
        )
    ]


def cest_noise(options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on a denoised series and on noise that was stated; none where the images were left and tell it."""
    sentences = []
    if options.denoise == "mppca":
        sentences.append(
            Sentence(
                paragraph="cest",
                text="The aligned series was denoised by principal components of patches around every voxel, of which those were "
                "kept that random matrix theory tells from noise (MP-PCA) [veraart2016], as implemented in DIPY "
                "[garyfallidis2014]. Standard deviations follow from the noise that the remaining components have kept.",
            )
        )
    if options.noise_sd is not None:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="The standard deviation of the noise of one image was stated as {noise} in units of the images.",
                values={"noise": f"{options.noise_sd:.4g}"},
            )
        )
    return sentences


def _field(run: CestRun) -> Sentence:
    """Return the sentence on a map of B0, of WASABI and of B1 too."""
    if "b1" in run.use.gives:
        return Sentence(
            paragraph="cest",
            text="B0 and B1 were mapped from the WASABI series {run} by a bounded least-squares fit of its signal equation "
            "[schuenke2017], started from the best entry of a dictionary.",
            values={"run": run.label},
        )
    return Sentence(
        paragraph="cest",
        text="B0 was mapped from the series {run} by WASSR [kim2009], as the centre of symmetry of the saturation of water "
        "at low power.",
        values={"run": run.label},
    )


def _spectrum(run: CestRun, options: ProcessingOptions) -> list[Sentence]:
    number = run.roles.count("m0")
    far = run.protocol.reference_offsets(run.roles)
    sentences = [
        Sentence(
            paragraph="cest",
            text="Z-spectra are the signal divided by {m0}.",
            values={
                "m0": ("the M0 image" if number == 1 else f"a line through the {number} M0 images")
                + (f", saturated at {listed([f'{offset:g}' for offset in far])} ppm" if far else "")
            },
        )
    ]
    if run.b0 is not None:
        sentences.append(_shift_of_water(run.b0))
    if run.powers is not None:
        sentences += [*b1_map(run.powers.b1), _nominal_b1(run.powers)]
    sentences.append(
        Sentence(
            paragraph="cest",
            text="A drift of the field, linear in time and one for the whole brain, was looked for as the one that makes spectra "
            "measured out of order smooth, and was taken out where it exceeded three standard deviations.",
        )
    )
    sentences.append(
        Sentence(
            paragraph="cest",
            text="Z-spectra were brought to the nominal offsets by a cubic spline along the offset; values beyond the "
            "offsets that were measured are left empty.",
        )
    )
    offsets = [
        offset
        for offset, role in zip(run.protocol.offsets, run.roles, strict=True)
        if role == "cest" and offset is not None
    ]
    asymmetry = [f"{each:g}" for each in options.asymmetry if min(offsets) <= -each and each <= max(offsets)]
    if asymmetry:
        sentences.append(
            Sentence(
                paragraph="cest",
                text="The MTR asymmetry is the difference of Z at opposite offsets, Z(-Δω) - Z(+Δω), at {offsets} ppm "
                "[zhou2003].",
                values={"offsets": listed(asymmetry)},
            )
        )
    for low, high in options.asymmetry_ranges:
        if min(offsets) <= -high and high <= max(offsets):
            sentences.append(
                Sentence(
                    paragraph="cest",
                    text="The mean MTR asymmetry was taken over offsets of {low} to {high} ppm [zhou2003].",
                    values={"low": f"{low:g}", "high": f"{high:g}"},
                )
            )
    pools = (
        options.pools if options.pools is not None else automatic_pools(offsets, model=run.line_model or SHIPPED_LINES)
    )
    return [*sentences, *_pools(run, pools, reach=max(offsets)), *_measures(offsets, options, pools)]


def _measures(offsets: Sequence[float], options: ProcessingOptions, pools: Sequence[str]) -> list[Sentence]:
    """Return the sentences on measures beside the fit of pools, those that the offsets [ppm] allow."""
    plan = plan_measures(np.array(sorted(set(offsets))), wanted=options.measures, asymmetry=(), ranges=(), pools=pools)
    found = []
    if plan.three_offset:
        found.append(
            Sentence(
                paragraph="cest",
                text="The three-offset measure of {solutes} is the straight line through Z beside a solute (3 and 4 ppm, -2 and "
                "-5 ppm) minus Z at it (3.5 ppm, -3.5 ppm) [jin2013].",
                values={"solutes": listed(plan.three_offset)},
            )
        )
    if plan.needs_background:
        found.append(
            Sentence(
                paragraph="cest",
                text="A background of water and MT was fitted to the offsets within 1 ppm of water and from 6.5 ppm outwards.",
            )
        )
    if plan.difference:
        found.append(
            Sentence(
                paragraph="cest",
                text="The Lorentzian difference is this background minus Z, at 3.5 and -3.5 ppm [jones2013].",
            )
        )
    if plan.extrapolated:
        found.append(
            Sentence(
                paragraph="cest",
                text="{solutes} are the lines of MT and of the direct saturation of water, fitted to offsets of 8 ppm and more and "
                "extrapolated to the solute (3.5 ppm, -3.5 ppm), minus Z [heo2016] [heo2016human].",
                values={"solutes": listed([f"{solute}#" for solute in plan.extrapolated])},
            )
        )
    if plan.inverse:
        found.append(
            Sentence(
                paragraph="cest",
                text="MTR_Rex is the inverse of Z minus that of this background, at 3.5 and -3.5 ppm [zaiss2014].",
            )
        )
    if plan.of_fit:
        found.append(
            Sentence(
                paragraph="cest",
                text="MTR_Rex of a pool is the inverse of the fit with it minus that of the fit without it, at its centre "
                "[zaiss2014].",
            )
        )
    return found


_SHIFTS_OF_WATER: Mapping[str, Sentence] = {
    "wasabi": Sentence(
        paragraph="cest",
        text="The shift of water was taken from the B0 map of a WASABI scan [schuenke2017], rigidly registered.",
    ),
    "wassr": Sentence(
        paragraph="cest",
        text="The shift of water was mapped by WASSR [kim2009], as the centre of symmetry of the saturation of water at low "
        "power.",
    ),
    "spectrum": Sentence(
        paragraph="cest",
        text="No B0 map was available: the shift of water was taken from the dip of the Z-spectrum itself, which exchange "
        "and magnetization transfer can displace.",
    ),
    "none": Sentence(paragraph="cest", text="Z-spectra were not corrected for the shift of water."),
}
"""By the method; the sentence on a field map names its file."""


def _shift_of_water(source: Take) -> Sentence:
    if source.method != "fieldmap":
        return _SHIFTS_OF_WATER[source.method]
    return Sentence(
        paragraph="cest",
        text="The shift of water was taken from the field map {source}, rigidly registered.",
        values={"source": "" if source.fieldmap is None else source.fieldmap.path.name},
    )


def _pools(run: CestRun, pools: tuple[str, ...], *, reach: float) -> list[Sentence]:
    """Return the sentences on the Lorentzian lines of pools and on AREX; `reach` is the largest offset [ppm]."""
    if not pools:
        return [
            Sentence(
                paragraph="cest",
                text="Lorentzian lines were not fitted: the offsets reach {reach} ppm only.",
                values={"reach": f"{reach:g}"},
            )
        ]
    lines = _shipped_lines(pools) if run.line_model is None else _stated_lines(run.line_model, pools)
    if run.t1 is None:
        return lines
    return [
        *lines,
        _t1(run),
        Sentence(
            paragraph="cest",
            text="The apparent exchange-dependent relaxation (AREX) of {pools} is the difference of the inverse Z with and "
            "without the line of the pool, at its centre, over T1 and duty cycle [zaiss2014]; it holds for a saturation in "
            "its steady state.",
            values={"pools": listed([pool for pool in pools if pool != "water"])},
        ),
    ]


def _shipped_lines(pools: Sequence[str]) -> list[Sentence]:
    """Return the sentence on the fit of the lines of the package."""
    return [
        Sentence(
            paragraph="cest",
            text="Z-spectra were described by a sum of Lorentzian lines [zaiss2011] of {pools} (these pools after "
            "[huang2022]), with the super-Lorentzian one of tissue for MT unless the mean spectrum spoke against it, fitted in "
            "every voxel from several starts by least squares [marquardt1963] within bounds by field strength; a known shift of "
            "water moved the offsets, so that nothing was interpolated for the fit. Widths and positions that a spectrum does not "
            "tell are those of the mean spectrum. Standard deviations follow from the curvature, the noise of the spectra, the "
            "bounds and the spread of optima that fit as well.",
            values={"pools": listed(pools)},
        )
    ]


def _stated_lines(model: LineModel, pools: Sequence[str]) -> list[Sentence]:
    """Return the sentences on the fit of a set of lines that the user states."""
    found = [
        Sentence(
            paragraph="cest",
            text="Z-spectra were described by a sum of lines [zaiss2011] of {pools}, pools and bounds as stated in {file}, fitted "
            "in every voxel from several starts by least squares [marquardt1963]; a known shift of water moved the offsets, so "
            "that nothing was interpolated for the fit. Widths and positions that a spectrum does not tell are those of the mean "
            "spectrum. Standard deviations follow from the curvature, the noise of the spectra, the bounds and the spread of "
            "optima that fit as well.",
            values={"pools": listed(pools), "file": model.origin},
        )
    ]
    for name in model.semisolid:
        row = model.rows[name]
        if row.t2 is None:
            continue
        if row.widths is None:
            found.append(
                Sentence(
                    paragraph="cest",
                    text="The line of {pool} is the super-Lorentzian one of tissue.",
                    values={"pool": name},
                )
            )
        else:
            found.append(
                Sentence(
                    paragraph="cest",
                    text="The line of {pool} is the super-Lorentzian one of tissue unless the mean spectrum spoke against it.",
                    values={"pool": name},
                )
            )
    return found


def _nominal_b1(powers: PowerCorrection) -> Sentence:
    """Return the sentence on spectra that were taken to their nominal power."""
    return Sentence(
        paragraph="cest",
        text="Z at nominal B1 was interpolated between the powers that every voxel has met [windschuh2015], those of {runs} among "
        "them, registered rigidly, as a straight line of the logarithm of 1/Z - 1 [zaiss2013] over that of B1.",
        values={"runs": listed([take.giver for take in powers.others])},
    )


def _t1(run: CestRun) -> Sentence:
    """Return the sentence on the T1 of AREX."""
    how = ", rigidly registered to the CEST series"
    if run.t1 is not None and run.t1.run is None:
        placed = "" if run.t1.values else ", placed by scanner coordinates"
        how = how if run.t1.image is not None else placed
    return Sentence(
        paragraph="cest",
        text="T1 came from {source} ({kind}){how}.",
        values={"source": run.t1_source or "", "kind": T1_KINDS[run.t1_kind], "how": how},
    )


def mtr_sentences(run: MtrRun, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on the magnetisation transfer ratio."""
    return [
        *_mt_motion(run, "the image without MT pulse", options),
        Sentence(
            paragraph="mt",
            text="The magnetization transfer ratio (MTR) is one minus the ratio of the signals with and without MT pulse "
            "[dousset1992]. Its standard deviation was propagated to first order from the noise of the images.",
        ),
    ]


def mtsat_sentences(run: MtsRun, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on MT saturation, R1 and amplitude."""
    sentences = _mt_motion(run, "the image of small flip angle without MT pulse", options)
    if run.b1 is None:
        mapped = Sentence(
            paragraph="mt",
            text="R1, amplitude and MT saturation were computed in closed form from three spoiled gradient echoes of small "
            "and large flip angle and with MT pulse [helms2008ernst] [helms2008] [helms2010]. No B1+ map was available: "
            "nominal flip angles were assumed everywhere, which biases R1 by about twice the error of B1; MT saturation "
            "depends on it less. Standard deviations were propagated to first order from the noise of the images.",
        )
        return [*sentences, mapped]
    mapped = Sentence(
        paragraph="mt",
        text="R1, amplitude and MT saturation were computed in closed form from three spoiled gradient echoes of small and "
        "large flip angle and with MT pulse [helms2008ernst] [helms2008] [helms2010], with flip angles corrected by B1; MT "
        "saturation was taken to the nominal B1 of the MT pulse by the correction '{correction}'. Standard deviations were "
        "propagated to first order from the noise of the images.",
        values={"correction": options.mtsat_correction},
    )
    return [*sentences, *b1_map(run.b1), mapped, CORRECTION_SENTENCES[options.mtsat_correction]]


def _mt_motion(run: MtrRun | MtsRun, reference: str, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on motion between the images, and on their noise where it was stated."""
    return [*_mt_aligned(run, reference, options), *_mt_noise(options)]


def _mt_noise(options: ProcessingOptions) -> list[Sentence]:
    if options.noise_sd is None:
        return []
    return [
        Sentence(
            paragraph="mt",
            text="The standard deviation of the noise of one image was stated as {noise} in units of the images.",
            values={"noise": f"{options.noise_sd:.4g}"},
        )
    ]


def _mt_aligned(run: MtrRun | MtsRun, reference: str, options: ProcessingOptions) -> list[Sentence]:
    if "motion" in options.ignore:
        return [
            Sentence(
                paragraph="mt",
                text="Motion between the images with different MT and T1 weighting was not corrected.",
            )
        ]
    return given_motion(run, options) or [
        Sentence(
            paragraph="mt",
            text="The images with different MT and T1 weighting were rigidly registered to {reference} with ANTs "
            "[avants2011] before maps were computed.",
            values={"reference": reference},
        )
    ]
