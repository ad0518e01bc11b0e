"""All pictures of a report in one place; each function returns a `Figure` and leaves no state behind."""

from qmri_bids.reports.figures.calibration import calibration_figure
from qmri_bids.reports.figures.carpet import carpet_figure
from qmri_bids.reports.figures.cycles import cycles_figure, profile_figure
from qmri_bids.reports.figures.histograms import histogram_figure
from qmri_bids.reports.figures.maps import map_figure, quality_figure
from qmri_bids.reports.figures.motion import motion_figure
from qmri_bids.reports.figures.overlays import mask_figure, realigned_figure, registration_figure, tissue_figure
from qmri_bids.reports.figures.regions import region_curves_figure, stated_figure
from qmri_bids.reports.figures.saturation import saturation_figure
from qmri_bids.reports.figures.series import series_figure
from qmri_bids.reports.figures.spectra import spectrum_figure
from qmri_bids.reports.figures.trajectories import trajectory_figure
from qmri_bids.reports.figures.wasabi import wasabi_figure

__all__ = [
    "calibration_figure",
    "carpet_figure",
    "cycles_figure",
    "histogram_figure",
    "map_figure",
    "mask_figure",
    "motion_figure",
    "profile_figure",
    "quality_figure",
    "realigned_figure",
    "region_curves_figure",
    "registration_figure",
    "saturation_figure",
    "series_figure",
    "spectrum_figure",
    "stated_figure",
    "tissue_figure",
    "trajectory_figure",
    "wasabi_figure",
]
