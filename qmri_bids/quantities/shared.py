"""What rows of several kinds share: sentences, and the file of M0."""

from __future__ import annotations

from qmri_bids.quantity import MapFile

GAPS = "NaN where the quality mask is not 1."
BSSFP_GAPS = "NaN where the quality mask is none of 1, 9 and 10; of other scans than pc-bSSFP, where it is not 1."
IN_SECONDS = "The file is in seconds."
IN_PERCENT = "The file is in percent."
IN_FRACTIONS = "The file holds fractions."
POOL_CAUSE = "from the noise of the scan and the standard deviations of the known maps"

M0_FILE = MapFile(
    key="M0map",
    suffix="M0map",
    unit="arbitrary",
    description=f"Signal at equilibrium times receive sensitivity. {BSSFP_GAPS}",
)
