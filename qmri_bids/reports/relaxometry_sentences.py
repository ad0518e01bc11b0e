"""What the methods text says of the app, of relaxometry, and of the steps that all kinds of runs share."""

from __future__ import annotations

from qmri_bids.reports.sentence import Sentence

RELAXOMETRY_SENTENCES: dict[str, Sentence] = {
    "app": Sentence(
        paragraph="general",
        text="Results in this report come from qmri_bids {version}, a BIDS App [gorgolewski2017] for "
        "quantitative MRI, built on Nipype [gorgolewski2011], nibabel [brett_nibabel] and PyBIDS "
        "[yarkoni2019]. Inputs and outputs follow the Brain Imaging Data Structure "
        "[gorgolewski2016] and its conventions for quantitative MRI [karakuzu2022].",
    ),
    "acquisition": Sentence(
        paragraph="general",
        text="Phase-cycled balanced SSFP data were acquired with {cycles} RF phase increments, TR = "
        "{tr_ms} ms, TE = {te_ms} ms and a nominal flip angle of {flip_angle_degrees}°.",
    ),
    "phase_scaling": Sentence(
        paragraph="preprocessing",
        text="Complex data were formed from magnitude and phase; the phase was scaled from {found} to radians.",
    ),
    "motion": Sentence(
        paragraph="preprocessing",
        text="The magnitude of every phase cycle was rigidly registered to {reference} with ANTs "
        "[avants2011], then all were aligned jointly on their edges; real and imaginary parts were resampled once with the "
        "same transform. Motion is summarised as framewise displacement [power2012].",
    ),
    # {run}: name of the run; {source}: the file, with the name of the derivatives.
    "motion_given": Sentence(
        paragraph="preprocessing",
        text="The motion within {run} was that of derivatives of an earlier call ({source}); every volume was resampled once with "
        "its transform. Motion is summarised as framewise displacement [power2012].",
    ),
    "motion_model": Sentence(
        paragraph="preprocessing",
        text="The alignment was refined on the complex cycles against what the signal model predicts from all of them together, "
        "with the parameters of every voxel eliminated.",
    ),
    "censoring": Sentence(
        paragraph="preprocessing",
        text="Volumes whose framewise displacement exceeded {threshold_mm} mm were left out of the estimation.",
    ),
    "no_motion": Sentence(
        paragraph="preprocessing",
        text="Motion between the phase cycles was not corrected.",
    ),
    "gibbs_apodization": Sentence(
        paragraph="preprocessing",
        text="Gibbs ringing was suppressed in every cycle by a Tukey window on the outer half of k-space along all "
        "three axes, before any interpolation; axes along which the scan was zero-filled or filtered were left alone.",
    ),
    "gibbs_subvoxel": Sentence(
        paragraph="preprocessing",
        text="Gibbs ringing was removed from every cycle, before any interpolation, by local subvoxel shifts [kellner2016] along "
        "the axes that were acquired, the same for real and imaginary parts, and what is left of it far from edges by a taper of "
        "the outermost 5 % of k-space; axes along which the scan was zero-filled or filtered were left alone.",
    ),
    "phase_drift": Sentence(
        paragraph="estimation",
        text="Receive phase that differs between cycles was estimated from the residuals of the signal model in the brain, as "
        "a second-order polynomial in space for every cycle, and removed where these tell it.",
    ),
    "brain_mask": Sentence(
        paragraph="preprocessing",
        text="The brain was looked for in the mean magnitude with the networks of deepbet [fisch2024], and what they found was "
        "judged by the ICBM 2009a template [fonov2011] distributed with nilearn [abraham2014] and registered to the image; the "
        "report of each run says what its mask is in the end.",
    ),
    "brain_mask_template": Sentence(
        paragraph="preprocessing",
        text="The brain mask is that of the ICBM 2009a template [fonov2011] distributed with nilearn [abraham2014], registered "
        "to the mean magnitude.",
    ),
    "object_mask": Sentence(
        paragraph="preprocessing", text="The mask holds whatever has signal; no tissues were told apart."
    ),
    "no_mask": Sentence(paragraph="preprocessing", text="Every voxel was estimated; no tissues were told apart."),
    "brain_mask_by_hand": Sentence(
        paragraph="preprocessing",
        text="The mask of {run} was made or corrected by a person ({source}).",
    ),
    "brain_mask_given": Sentence(
        paragraph="preprocessing",
        text="The brain mask of {run} was not found in the image but read from derivatives of an earlier call ({source}), where it "
        "may have been corrected by hand.",
    ),
    "bias_field": Sentence(
        paragraph="preprocessing",
        text="For the segmentation the intensity was made uniform with N4 [tustison2010].",
    ),
    "tissues": Sentence(
        paragraph="preprocessing",
        text="White matter, grey matter and cerebrospinal fluid were segmented with Atropos [atropos2011].",
    ),
    "b1_tb1tfl": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was measured with a preconditioning pulse and a TurboFLASH readout [chung2010].",
    ),
    "b1_tb1rfm": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was read from the vendor's RF map (TB1RFM).",
    ),
    "b1_tb1dam": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was measured by the double angle method [insko1993].",
    ),
    "b1_tb1afi": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was measured by actual flip-angle imaging [yarnykh2007].",
    ),
    "b1_tb1map": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was read as a ready-made map (TB1map).",
    ),
    # {run}: label of the WASABI run.
    "b1_wasabi": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was taken from the WASABI series {run} of the same session [schuenke2017].",
    ),
    "b1_registration": Sentence(
        paragraph="b1",
        text="Its anatomical image was rigidly registered to the mean magnitude with ANTs [avants2011].",
    ),
    "b1_placed": Sentence(
        paragraph="b1",
        text="It was placed by the coordinates of the scanner.",
    ),
    # {size}: wavelength of what is halved.
    "b1_smoothing": Sentence(
        paragraph="b1",
        text="It was replaced by a robust smooth surface through its values, which removes structure below {size} and continues "
        "the map where nothing was measured [garcia2010], and interpolated once.",
    ),
    "fieldmap_unwrapped": Sentence(
        paragraph="outputs",
        text="The off-resonance was also made continuous in space [herraez2002], by multiples of 1/TR.",
    ),
    "b1_assumed": Sentence(
        paragraph="b1",
        text="No B1+ map was available: the nominal flip angle was assumed everywhere, which biases T1 "
        "and T2 where the field deviates.",
    ),
    "signal_model": Sentence(
        paragraph="estimation",
        text="The signal was described by the steady state of a single pool under phase-cycled balanced "
        "SSFP and its configurations [zur1990].",
    ),
    "miracle": Sentence(
        paragraph="estimation",
        text="T1 and T2 were computed from the magnitudes of the configurations of orders -1, 0 and 1 "
        "by motion-insensitive rapid configuration relaxometry (MIRACLE) [nguyen2017], in closed "
        "form.",
    ),
    "linear": Sentence(
        paragraph="estimation",
        text="T1, T2 and off-resonance were computed by linear least squares on the relations between "
        "the configurations [bjork2014], which are free of aliasing for any number of cycles from "
        "three.",
    ),
    "maximum_likelihood": Sentence(
        paragraph="estimation",
        text="T1, T2, off-resonance and the complex amplitude were fitted to all complex cycles by "
        "maximum likelihood, with the amplitude eliminated by variable projection [golub1973] and "
        "Levenberg-Marquardt iterations [marquardt1963].",
    ),
    "network": Sentence(
        paragraph="estimation",
        text="T1, T2 and off-resonance were inferred by the complex physics-informed neural network "
        "{model}, trained in silico [birk2025] with PyTorch [paszke2019].",
    ),
    "natural_network": Sentence(
        paragraph="estimation",
        text="A physics-informed neural network [birk2025], trained in silico with PyTorch [paszke2019] on the profile of balanced "
        "SSFP in its natural coordinates, inferred these from the low-order configurations (of uneven increments they are a linear "
        "solution); T1 and T2 follow from them, TR, flip angle and B1 in closed form.",
    ),
    "refinement": Sentence(
        paragraph="estimation",
        text="From there T1, T2, off-resonance and the complex amplitude were fitted to all complex cycles by maximum likelihood, "
        "with the amplitude eliminated by variable projection [golub1973] and Levenberg-Marquardt iterations [marquardt1963].",
    ),
    "planet": Sentence(
        paragraph="estimation",
        text="T1, T2 and off-resonance were computed from an ellipse fitted to the complex cycles (PLANET) [shcherbakova2018].",
    ),
    "posterior": Sentence(
        paragraph="estimation",
        text="Posterior means and standard deviations of T1 and T2 under the prior {prior} were computed beside these maps by "
        "quadrature around the maximum-likelihood point; they are pulled towards that prior.",
    ),
    "stdev_information": Sentence(
        paragraph="estimation",
        text="Standard deviations follow from the Fisher information of all cycles and the noise, which was estimated from the "
        "residuals and moderated over the scan [smyth2004].",
    ),
    "stdev_propagation": Sentence(
        paragraph="estimation",
        text="Standard deviations were propagated to first order from the noise of the complex cycles "
        "through the derivatives of the estimator.",
    ),
    "magnetization_transfer": Sentence(
        paragraph="estimation",
        text="T1 and T2 are those of a single pool: in tissue with magnetization transfer they are "
        "lower than those of spin-echo and inversion-recovery methods [gloor2008].",
    ),
    "failed_voxels": Sentence(
        paragraph="outputs",
        text="Voxels without a valid estimate hold no number (NaN) in every map; the quality mask states the reason.",
    ),
}
"""What every step says, by its key."""
