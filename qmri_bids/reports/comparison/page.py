"""The page of a comparison: one HTML file with its pictures inside."""

from __future__ import annotations

from qmri_bids.reports.comparison.content import Comparison
from qmri_bids.reports.render import page_environment


def comparison_html(comparison: Comparison, *, files: dict[str, tuple[str, ...]]) -> str:
    """Return the page.

    Parameters
    ----------
    comparison
        What it shows. All of its text is escaped.
    files
        Files that were written for each part, by its key, as the page links to them.
    """
    template = page_environment().get_template("comparison.html.j2")
    return template.render(comparison=comparison, files=files)
