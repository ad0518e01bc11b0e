"""What the methods text says of the pc-bSSFP runs of a participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.one_model.bias import expected_bias
from qmri_bids.pipeline.maps.image_outputs import image_sentences
from qmri_bids.pipeline.maps.images import APPARENT
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.preprocessing.motion.predicted import serves
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.methods import b1_map, brain_mask, given_motion
from qmri_bids.sentence import Sentence
from qmri_bids.units import metres_to_millimetres, radians_to_degrees, seconds_to_milliseconds


def relaxometry_sentences(runs: Sequence[PcBssfpRun], options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on all runs: acquisition, preprocessing and estimation."""
    sentences = [_acquisition(run) for run in runs]
    if "gibbs" not in options.ignore:
        sentences.append(_RINGING[options.gibbs_method])
    sentences += _motion(runs, options)
    sentences += [brain_mask(run, options) for run in runs]
    for run in runs:
        sentences += [_NOMINAL_B1] if run.b1 is None else b1_map(run.b1)
    if "calibration" not in options.ignore:
        sentences.append(
            Sentence(
                paragraph="estimation",
                text="Gain, receive phase (a second-order polynomial in space) and frequency (linear in space) of every cycle "
                "relative to the others were estimated from the residuals of the signal model in all tissue together, with the "
                "parameters of every voxel eliminated, and removed where they exceed four standard deviations and explain the "
                "residuals: drift of the frequency between cycles biases T1 and T2 [shcherbakova2019].",
            )
        )
    sentences.append(
        Sentence(
            paragraph="estimation",
            text="The signal was described by the steady state of a single pool under phase-cycled balanced SSFP and its "
            "configurations [zur1990].",
        )
    )
    sentences += [_pulse(run) for run in runs]
    sentences += ESTIMATORS[options.estimator].methods
    if options.posterior is not None:
        sentences.append(
            Sentence(
                paragraph="estimation",
                text="Posterior means and standard deviations of T1 and T2 under the prior {prior} were computed beside "
                "these maps by quadrature around the maximum-likelihood point; they are pulled towards that prior.",
                values={"prior": options.posterior},
            )
        )
    return [
        *sentences,
        Sentence(
            paragraph="outputs",
            text="The off-resonance was also made continuous in space [herraez2002], by multiples of 1/TR.",
        ),
        *(_transfer(run) for run in runs if not run.hard_pulses),
        *(
            sentence
            for run in runs
            for sentence in image_sentences(options, field_strength=run.protocol.field_strength, relaxation=APPARENT)
        ),
    ]


def _transfer(run: PcBssfpRun) -> Sentence:
    """Return what the single pool makes of T1; T2 is not touched by magnetization transfer."""
    how = "by 7 to 35 %, more for short pulses"
    if run.pulse is not None:
        bias = expected_bias(run.pulse, run.protocol)
        how = (
            f"by about {-100.0 * bias['WM']:.0f} % in white and {-100.0 * bias['GM']:.0f} % in grey matter under its pulse, at "
            "pools of the literature"
        )
    return Sentence(
        paragraph="estimation",
        text="Tissue is described as a single pool: magnetization transfer lowers T1 of {run} against that of an inversion "
        "recovery, {how} [gloor2008], and M0 with it; T2 stays what it is.",
        values={"run": run.label, "how": how},
    )


def _acquisition(run: PcBssfpRun) -> Sentence:
    protocol = run.protocol
    return Sentence(
        paragraph="general",
        text="Phase-cycled balanced SSFP data were acquired with {cycles} RF phase increments, TR = {tr} ms, TE = {te} ms "
        "and a nominal flip angle of {flip_angle}°.",
        values={
            "cycles": protocol.number_of_cycles,
            "tr": f"{seconds_to_milliseconds(protocol.repetition_time):g}",
            "te": f"{seconds_to_milliseconds(protocol.echo_time):g}",
            "flip_angle": f"{radians_to_degrees(protocol.flip_angle):g}",
        },
    )


def _pulse(run: PcBssfpRun) -> Sentence:
    if run.pulse is None:
        return Sentence(paragraph="estimation", text="Excitation pulses were taken to need no time.")
    return Sentence(
        paragraph="estimation",
        text="The duration of the excitation pulses ({pulse}) was accounted for: every cycle was multiplied by the steady state "
        "under pulses without duration over that under this pulse, both at T1, T2, B1 and unwrapped off-resonance of the voxel, "
        "which were found by turns.",
        values={"pulse": run.pulse.name},
    )


_RINGING: Mapping[str, Sentence] = {
    "subvoxel": Sentence(
        paragraph="preprocessing",
        text="Gibbs ringing was removed from every cycle, before any interpolation, by local subvoxel shifts [kellner2016] "
        "along the axes that were acquired, the same for real and imaginary parts, and what is left of it far from edges by "
        "a taper of the outermost 5 % of k-space; axes along which the scan was zero-filled or filtered were left alone.",
    ),
    "apodization": Sentence(
        paragraph="preprocessing",
        text="Gibbs ringing was suppressed in every cycle by a Tukey window on the outer half of k-space along all three "
        "axes, before any interpolation; axes along which the scan was zero-filled or filtered were left alone.",
    ),
}
"""By `options.GIBBS_CHOICES`."""


def _motion(runs: Sequence[PcBssfpRun], options: ProcessingOptions) -> list[Sentence]:
    if "motion" in options.ignore:
        return [Sentence(paragraph="preprocessing", text="Motion between the phase cycles was not corrected.")]
    sentences = []
    fitted = [run for run in runs if options.earlier_motion(run.label) is None]
    if fitted:
        sentences.append(
            Sentence(
                paragraph="preprocessing",
                text="The magnitude of every phase cycle was rigidly registered to the middle cycle with ANTs [avants2011], "
                "then all were aligned jointly on their edges; real and imaginary parts were resampled once with the same "
                "transform. Motion is summarised as framewise displacement [power2012].",
            )
        )
    if any(serves(run.protocol) for run in fitted):
        sentences.append(
            Sentence(
                paragraph="preprocessing",
                text="The alignment was refined on the complex cycles against what the signal model predicts from all of "
                "them together, with the parameters of every voxel eliminated.",
            )
        )
    for run in runs:
        sentences += given_motion(run, options)
    if options.fd_threshold is not None:
        sentences.append(
            Sentence(
                paragraph="preprocessing",
                text="Volumes whose framewise displacement exceeded {threshold} mm were left out of the estimation.",
                values={"threshold": f"{metres_to_millimetres(options.fd_threshold):g}"},
            )
        )
    return sentences


_NOMINAL_B1 = Sentence(
    paragraph="b1",
    text="No B1+ map was available: the nominal flip angle was assumed everywhere, which biases T1 and M0 where the field "
    "deviates.",
)
