"""All pictures of a report in one place; each function returns a `Figure` and keeps no state in matplotlib."""

from qmri_bids.reports.cycle_figures import cycles_figure, motion_figure, profile_figure
from qmri_bids.reports.tables import histogram_figure
from qmri_bids.reports.volume_figures import map_figure, mask_figure, quality_figure, registration_figure

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
