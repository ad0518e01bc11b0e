"""Codes and names of the tissues of a brain, the one table of the package (BIDS derivatives, `dseg`)."""

from __future__ import annotations

from collections.abc import Mapping

GREY, WHITE, FLUID = 1, 2, 3
"""Labels, as BIDS has them."""

TISSUE_LABELS = (GREY, WHITE, FLUID)
"""In the order of probabilities."""

ABBREVIATIONS: Mapping[int, str] = {GREY: "GM", WHITE: "WM", FLUID: "CSF"}
"""As the entity `label` has them, in the order of probabilities."""

NAMES: Mapping[int, str] = {GREY: "grey matter", WHITE: "white matter", FLUID: "fluid"}
"""In reports and sentences."""

LOOKUP: Mapping[int, tuple[str, str]] = {
    GREY: ("Gray Matter", "#7f7f7f"),
    WHITE: ("White Matter", "#f2f2f2"),
    FLUID: ("Cerebrospinal Fluid", "#4fa3d1"),
}
"""Name and colour in the table beside a `dseg` file."""
