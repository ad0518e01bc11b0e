"""What a user may choose about the processing. Imports nothing heavy: the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from qmri_bids.bids.anatomy.spaces import SpaceOptions
from qmri_bids.choices import MASK_METHODS, PAPER_PRIORS, SPECTRUM_MEASURES, B0Choice
from qmri_bids.estimation.mt import corrections as mtsat_corrections
from qmri_bids.estimation.mt.corrections import DEFAULT_MTSAT_CORRECTION
from qmri_bids.estimation.pool_estimators import DEFAULT_EXCHANGE_ESTIMATOR
from qmri_bids.estimation.spectra.lorentzian import pools
from qmri_bids.pipeline.earlier.plan import EarlierFits, EarlierMotion
from qmri_bids.quantities import POOL_PRIORS

IGNORABLE_STEPS = ("motion", "gibbs", "calibration", "transfer", "anatomy")
"""Steps that `--ignore` leaves out."""

MINIMAL, RESAMPLING, FULL = LEVELS_OF_OUTPUT = ("minimal", "resampling", "full")
"""How much is computed: masks and motion alone, the transforms to other spaces too, or all maps."""

GIBBS_CHOICES = ("subvoxel", "apodization")
"""Ways to remove Gibbs ringing from cycles as acquired: keys of `preprocessing.gibbs.methods.GIBBS_METHODS`."""

DEFAULT_GIBBS_METHOD = GIBBS_CHOICES[0]

DEFAULT_MASK_METHOD = MASK_METHODS[0]

OBJECT_METHODS = ("object", "none")
"""Mask methods that look for no brain."""

POSTERIOR_PRIORS = PAPER_PRIORS
"""Priors under which posterior maps can be asked for."""

EXCHANGE_POSTERIOR_PRIORS = POOL_PRIORS
"""Priors under which posterior maps of pools can be asked for."""

BANDING_FREE = ("model", "geometric", "rss")
"""Ways to an image of bSSFP without bands, the best first; the others are what it is compared with."""

B0_CHOICES: tuple[B0Choice, ...] = get_args(B0Choice)

DENOISING = ("none", "mppca")
"""Ways to denoise an aligned series of saturated images, the default first."""

DEFAULT_ASYMMETRY = (3.5,)
"""Offsets of MTR asymmetry [ppm]: amide protons."""

MEASURES_OF_SPECTRA = SPECTRUM_MEASURES
"""Measures of a Z-spectrum beside MTR asymmetry and the fit of pools."""

POOLS = tuple(pools.POOLS)
"""Pools of the Lorentzian fit."""

MTSAT_CORRECTIONS = (
    DEFAULT_MTSAT_CORRECTION,
    *(name for name in mtsat_corrections.MTSAT_CORRECTIONS if name != DEFAULT_MTSAT_CORRECTION),
)
"""Ways to take MT saturation to nominal B1, the default first."""


@dataclass(frozen=True, kw_only=True)
class ProcessingOptions:
    """Choices that change the maps.

    Parameters
    ----------
    estimator
        Key of the table of estimators.
    posterior
        One of `POSTERIOR_PRIORS`: posterior maps are written beside those of the estimator; None for none.
    weights_folder
        Folder searched for weights of networks before those of the package.
    synthetic
        Contrast-weighted images to compute of pc-bSSFP, as `physics.sequences.requested` reads them.
    banding_free
        Images of bSSFP without bands, of `BANDING_FREE`.
    gibbs_method
        One of `GIBBS_CHOICES`.
    mask_method
        How the brain is found, of `MASK_METHODS`.
    ignore
        Steps left out, of `IGNORABLE_STEPS`.
    fd_threshold
        Framewise displacement [m] beyond which a volume is left out of the estimation; None for none.
    asymmetry
        Offsets at which MTR asymmetry is mapped [ppm].
    asymmetry_ranges
        Ranges of offsets over which a mean MTR asymmetry is mapped [ppm].
    measures
        Other measures of a Z-spectrum, of `MEASURES_OF_SPECTRA`.
    pools
        Pools of the Lorentzian fit, of `POOLS`; None for what the offsets can tell.
    noise_sd
        Standard deviation of the noise of one volume of CEST and MT runs, in units of the images; None where the images tell it.
    denoise
        One of `DENOISING`: how aligned series of saturated images are denoised.
    mtsat_correction
        How MT saturation is taken to nominal B1, of `MTSAT_CORRECTIONS`.
    exchange_estimator
        Key of the table of estimators of pool fractions and exchange rates.
    exchange_weights
        Folder searched for networks of pools before those of the package, and where those trained on a subject are kept.
    exchange_posterior
        One of `EXCHANGE_POSTERIOR_PRIORS`: posterior maps of pools are written beside those of the estimator; None for none.
    train_missing
        Whether networks were trained in silico for protocols that no weights cover.
    device
        Device of networks: `auto`, `cpu`, `cuda` or `cuda:N`; maps of two devices agree within single precision.
    random_seed
        Seed of all that is drawn at random: voxels that calibrate the cycles, training of networks, entries of a dictionary.
    processes
        Processes for the steps that run in parallel; does not change the maps.
    level
        How much is computed, of `LEVELS_OF_OUTPUT`.
    spaces
        Spaces in which maps are written too, the anatomy of each session, and an atlas.
    earlier_fits
        Brain masks and motion that are applied instead of fitted, by the label of the run; see `pipeline.earlier.plan`.
    """

    estimator: str
    posterior: str | None = None
    weights_folder: Path | None = None
    synthetic: tuple[str, ...] = ()
    banding_free: tuple[str, ...] = ()
    gibbs_method: str = DEFAULT_GIBBS_METHOD
    mask_method: str = DEFAULT_MASK_METHOD
    ignore: tuple[str, ...] = ()
    fd_threshold: float | None = None
    asymmetry: tuple[float, ...] = DEFAULT_ASYMMETRY
    asymmetry_ranges: tuple[tuple[float, float], ...] = ()
    measures: tuple[str, ...] = ()
    pools: tuple[str, ...] | None = None
    noise_sd: float | None = None
    denoise: str = DENOISING[0]
    mtsat_correction: str = DEFAULT_MTSAT_CORRECTION
    exchange_estimator: str = DEFAULT_EXCHANGE_ESTIMATOR
    exchange_weights: Path | None = None
    exchange_posterior: str | None = None
    train_missing: bool = False
    device: str = "cpu"
    random_seed: int = 0
    processes: int = 1
    level: str = FULL
    spaces: SpaceOptions = field(default_factory=SpaceOptions)
    earlier_fits: Mapping[str, EarlierFits] = field(default_factory=dict)

    def earlier_mask(self, label: str) -> EarlierFits | None:
        """Return what is known of the brain mask that is applied to a run; None where the brain is found."""
        fits = self.earlier_fits.get(label)
        return fits if fits is not None and fits.mask is not None else None

    def earlier_motion(self, label: str) -> EarlierMotion | None:
        """Return the motion that is applied to a series; None where it is fitted, or left alone."""
        fits = self.earlier_fits.get(label)
        return fits.motion if fits is not None and "motion" not in self.ignore else None

    @property
    def applied_files(self) -> frozenset[Path]:
        """Files of earlier calls that are applied."""
        fits = self.earlier_fits.values()
        masks = {each.mask for each in fits if each.mask is not None}
        return frozenset(masks | {each.motion.transforms for each in fits if each.motion is not None})
