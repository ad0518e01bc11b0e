"""All pictures of a report in one place; each function returns a `Figure` and leaves no state behind."""

from qmri_bids.reports.cycle_figures import cycles_figure, profile_figure
from qmri_bids.reports.histograms import histogram_figure
from qmri_bids.reports.map_figures import map_figure, quality_figure
from qmri_bids.reports.motion_figures import motion_figure
from qmri_bids.reports.overlay_figures import mask_figure, registration_figure, tissue_figure
from qmri_bids.reports.saturation_figures import saturation_figure
from qmri_bids.reports.series_figures import series_figure
from qmri_bids.reports.spectrum_figures import spectrum_figure
from qmri_bids.reports.trajectory_figures import trajectory_figure
from qmri_bids.reports.wasabi_figures import wasabi_figure

__all__ = [
    "cycles_figure",
    "histogram_figure",
    "map_figure",
    "mask_figure",
    "motion_figure",
    "profile_figure",
    "quality_figure",
    "registration_figure",
    "saturation_figure",
    "series_figure",
    "spectrum_figure",
    "tissue_figure",
    "trajectory_figure",
    "wasabi_figure",
]
