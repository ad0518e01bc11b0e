"""What the methods text says of fingerprints: pool fractions and exchange rates."""

from __future__ import annotations

from qmri_bids.reports.sentence import Sentence


def _cest(text: str) -> Sentence:
    return Sentence(paragraph="cest", text=text)


_BARE = (
    "Each voxel was estimated by a network that had been trained on simulated signals with the Bloch-McConnell equations in its "
    "loss [finkelstein2025]"
)

EXCHANGE_SENTENCES: dict[str, Sentence] = {
    "exchange_taper": _cest(
        "Gibbs ringing was removed from its images by a Tukey window on the outer half of k-space."
    ),
    "exchange_no_taper": _cest("Gibbs ringing was not removed from its images."),
    # {run}: name of a further series; {first}: of the first.
    "exchange_stages": _cest(
        "The series {run} was registered rigidly to {first} by mutual information of their images without saturation with ANTs "
        "[avants2011]; motion and registration were joined, so that every image was interpolated once."
    ),
    # {maps}: "T1, T2 and off-resonance"; {run}: name of the run.
    "exchange_known_run": _cest("{maps} came from {run}, rigidly registered to the first series [avants2011]."),
    "exchange_unwrapped": _cest(
        "Off-resonance of phase-cycled bSSFP was unwrapped in space [herraez2002] before it was interpolated, with the multiple of "
        "1/TR whose median in the brain is nearest to 0."
    ),
    # {maps}; {source}: names of files.
    "exchange_known_files": _cest("{maps} came from {source}, rigidly registered to the first series [avants2011]."),
    "exchange_known_placed": _cest("{maps} came from {source}, placed by the coordinates of the scanner."),
    # {source}: name of the B1 scan.
    "exchange_known_b1": _cest("B1 came from {source}, rigidly registered to the first series [avants2011]."),
    # {maps}; {value}: "1.3 s".
    "exchange_known_fixed": _cest("{maps} was not measured: {value} was taken for every voxel."),
    # {pools}: "the semisolid (MT) pool and amide"; {fixed}: "MT (-2.5 ppm, T2 40 µs, full) and amide (3.5 ppm, T2 40 ms)".
    "exchange_model": _cest(
        "Fraction and exchange rate of {pools} were estimated in every voxel from all images together. The model is that of the "
        "Bloch-McConnell equations, in which every image begins where the one before ended, with a scale of its own for each "
        "series; shift and relaxation of the pools were fixed: {fixed}."
    ),
    "exchange_pinn": _cest(f"{_BARE}, and refined by maximum likelihood on all images [marquardt1963]."),
    "exchange_pinn-bare": _cest(f"{_BARE}; its estimate was not refined."),
    "exchange_ml": _cest("Each voxel was fitted by maximum likelihood on all images [marquardt1963]."),
    "exchange_train-by-fit": _cest(
        "Each voxel was estimated by a network that was trained on the images of this subject, or of one before with the same "
        "protocol, with the Bloch-McConnell equations in its loss [finkelstein2025]."
    ),
    "exchange_dictionary": _cest(
        "Each voxel was given the values of the best match among simulated signals [perlman2022]."
    ),
    "exchange_supervised": _cest(
        "Each voxel was estimated by a network that had been trained on the values of simulated signals [perlman2022]."
    ),
    "exchange_uncertainty": _cest(
        "Standard deviations follow from the noise of the images and from those of the known maps that have one; where that of "
        "fraction or rate exceeds its value, the two cannot be told apart and the pool was left without a value."
    ),
    # {prior}: name of the prior.
    "exchange_posterior": _cest(
        "Posterior means and standard deviations under the prior '{prior}' were computed too, which pulls values towards itself."
    ),
}
"""What every step says, by its key; comments name the placeholders."""
