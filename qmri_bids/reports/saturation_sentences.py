"""What the methods text says of CEST and MT runs."""

from __future__ import annotations

from qmri_bids.reports.sentence import Sentence


def _cest(text: str) -> Sentence:
    return Sentence(paragraph="cest", text=text)


def _mt(text: str) -> Sentence:
    return Sentence(paragraph="mt", text=text)


SATURATION_SENTENCES: dict[str, Sentence] = {
    # {run}: name of the run; {images}: how many; {offsets}: "-4 to 4" [ppm]; {train}: "36 pulses of 50 ms, 5 ms apart";
    # {b1_microtesla}: root mean square over pulse and gap, one number or "0.2 to 4"; {field}: B0 [T].
    "cest_acquisition": _cest(
        "The CEST series {run} holds {images} images at {field} T, each after {train}, with a B1 of {b1_microtesla} µT (root mean "
        "square over pulses and gaps), at offsets of {offsets} ppm from water; positive offsets are downfield."
    ),
    # {preset}: name in the sequence library.
    "cest_preset": _cest("The saturation is that of {preset} of the pulseq-CEST library [herz2021]."),
    "cest_motion": _cest(
        "The images of the series, whose contrast changes with the offset, were aligned rigidly and jointly on their edges, with "
        "the brightest saturated image as reference; where saturation left too little signal inside the head, by the head with its "
        "scalp. Motion is summarised as framewise displacement [power2012]."
    ),
    "cest_fringe_motion": _cest(
        "The images of the B0 series, in which fringes move with the offset, were rigidly registered to the first image without "
        "saturation by mutual information with ANTs [avants2011]."
    ),
    "cest_no_motion": _cest("Motion between the images of the series was not corrected."),
    # {m0}: "the mean of 2 M0 images", "a line through the M0 images before and after".
    "cest_normalisation": _cest("Z-spectra are the signal divided by {m0}."),
    "b0_wasabi": _cest(
        "The shift of water was taken from the B0 map of a WASABI scan [schuenke2017], rigidly registered."
    ),
    "b0_wassr": _cest(
        "The shift of water was mapped by WASSR [kim2009], as the centre of symmetry of the saturation of water at low power."
    ),
    # {source}: name of the field map.
    "b0_fieldmap": _cest("The shift of water was taken from the field map {source}, rigidly registered."),
    "b0_spectrum": _cest(
        "No B0 map was available: the shift of water was taken from the dip of the Z-spectrum itself, which exchange and "
        "magnetization transfer can displace."
    ),
    "zspectrum_correction": _cest(
        "Z-spectra were brought to the nominal offsets by a cubic spline along the offset; values beyond the offsets that were "
        "measured are left empty."
    ),
    # {offsets}: "3.5" or "2 and 3.5" [ppm].
    "mtr_asymmetry": _cest(
        "The MTR asymmetry is the difference of Z at opposite offsets, Z(-Δω) - Z(+Δω), at {offsets} ppm [zhou2003]."
    ),
    # {pools}: "water, MT, amide, NOE and amine".
    "lorentzian": _cest(
        "Z-spectra were described by a sum of Lorentzian lines [zaiss2011] of {pools}, with positions and bounds after "
        "[huang2022], fitted in every voxel by bounded least squares [marquardt1963]; a known shift of water moved the offsets, so "
        "that nothing was interpolated for the fit. Standard deviations follow from the curvature and the noise of the spectra."
    ),
    # {reason}: "the offsets reach 2 ppm only".
    "lorentzian_left_out": _cest("Lorentzian lines were not fitted: {reason}."),
    # {pools}: "amide and NOE".
    "arex": _cest(
        "The apparent exchange-dependent relaxation (AREX) of {pools} is the difference of the inverse Z with and without the line "
        "of the pool, at its centre, over T1 and duty cycle [zaiss2014]; it holds for a saturation in its steady state."
    ),
    # {run}: name of the pc-bSSFP run.
    "t1_from_pcbssfp": _cest("T1 came from {run}, rigidly registered to the CEST series."),
    # {run}: name of the run.
    "wasabi": _cest(
        "B0 and B1 were mapped from the WASABI series {run} by a bounded least-squares fit of its signal equation "
        "[schuenke2017], started from the best entry of a dictionary."
    ),
    # {run}: name of the run.
    "wassr": _cest(
        "B0 was mapped from the series {run} by WASSR [kim2009], as the centre of symmetry of the saturation of water at low power."
    ),
    # {reference}: "the image without MT pulse".
    "mt_motion": _mt(
        "The images with different MT and T1 weighting were rigidly registered to {reference} with ANTs [avants2011] before maps "
        "were computed."
    ),
    "mt_no_motion": _mt("Motion between the images with different MT and T1 weighting was not corrected."),
    "mtr": _mt(
        "The magnetization transfer ratio (MTR) is one minus the ratio of the signals with and without MT pulse [dousset1992]. Its "
        "standard deviation was propagated to first order from the noise of the images."
    ),
    # {correction}: key of the table of corrections; say what it does with `mts_b1_<key>`.
    "mtsat": _mt(
        "R1, amplitude and MT saturation were computed in closed form from three spoiled gradient echoes of small and large flip "
        "angle and with MT pulse [helms2008ernst] [helms2008] [helms2010], with flip angles corrected by B1; MT saturation was "
        "taken to the nominal B1 of the MT pulse by the correction '{correction}'. Standard deviations were propagated to first "
        "order from the noise of the images."
    ),
    "mts_b1_none": _mt("This correction is none: MT saturation is that of the B1 which the MT pulse had."),
    "mts_b1_square": _mt("This correction divides MT saturation by the square of B1, the power of the MT pulse."),
    "mts_b1_helms": _mt("This correction is the one calibrated in the human brain at 3 T [helms2021]."),
    "mts_b1_helms-7T": _mt("This correction is the one calibrated in the human brain at 7 T [olsson2021]."),
    "mts_b1_linear": _mt("This correction is linear in B1, calibrated for a strong MT pulse at 7 T [lipp2023]."),
    "mts_no_b1": _mt(
        "R1, amplitude and MT saturation were computed in closed form from three spoiled gradient echoes of small and large flip "
        "angle and with MT pulse [helms2008ernst] [helms2008] [helms2010]. No B1+ map was available: nominal flip angles were "
        "assumed everywhere, which biases R1 by about twice the error of B1; MT saturation depends on it less. Standard deviations "
        "were propagated to first order from the noise of the images."
    ),
}
"""What every step says, by its key; comments name the placeholders."""
