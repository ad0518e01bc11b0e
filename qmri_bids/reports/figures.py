"""All pictures of a report in one place; each function returns a `Figure` and leaves no state behind."""

from qmri_bids.reports.cycle_figures import cycles_figure, motion_figure, profile_figure
from qmri_bids.reports.histograms import histogram_figure
from qmri_bids.reports.map_figures import map_figure, quality_figure
from qmri_bids.reports.overlay_figures import mask_figure, registration_figure

__all__ = [
    "cycles_figure",
    "histogram_figure",
    "map_figure",
    "mask_figure",
    "motion_figure",
    "profile_figure",
    "quality_figure",
    "registration_figure",
]
