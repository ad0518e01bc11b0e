"""Names between which a user chooses and that several layers speak, each list once.

Nothing heavy is imported, so that `qmri_bids --help` answers at once.
"""

from __future__ import annotations

from typing import Literal

MASK_METHODS = ("auto", "library", "template", "object", "none")
"""Ways to find the brain, or what else is estimated, the default first."""

B0Choice = Literal["auto", "wasabi", "wassr", "pcbssfp", "fieldmap", "spectrum", "none"]
"""Where the shift of water of CEST runs may come from: pc-bSSFP serves fingerprints alone, the last two Z-spectra alone."""

PAPER_PRIORS = ("uniform", "uniform-extended", "in-vivo")
"""The three training distributions of Birk et al. 2025, Fig. 1a, also the priors of posterior maps."""

SPECTRUM_MEASURES = ("three-offset", "lda", "rex", "emr")
"""Measures of a Z-spectrum beside MTR asymmetry and the fit of pools: three offsets, Lorentzian difference, inverse difference,
and APT# and NOE#."""

PULSE_SHAPES = ("rect", "sinc", "gauss")
"""Shapes of an excitation pulse that have a name: constant B1, a sinc under a Hann window, a Gaussian of ±3 standard deviations."""

ArexT1 = Literal["auto", "pcbssfp", "dataset", "derivatives", "number", "none"]
"""Where the T1 of AREX comes from: the pc-bSSFP run of the session, a T1map in the dataset or in derivatives, or one number."""

PowerCorrectionChoice = Literal["none", "powers"]
"""How Z-spectra are taken to their nominal B1: not, or by spectra at other powers."""
