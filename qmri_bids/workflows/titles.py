"""What is done with each kind of run, in words: the headings of the reports, whether it was done or failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qmri_bids.bids.exchange_plan import ExchangeRun
from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.bids.saturation_plan import CestRun, MtrRun, MtsRun

CEST_TITLES: Mapping[str, str] = {
    "z-spectrum": "CEST: Z-spectrum",
    "wasabi": "CEST: B0 and B1 by WASABI",
    "wassr": "CEST: B0 by WASSR",
    "fingerprint": "CEST: fingerprint",
}

TITLES: Mapping[type, Callable[[Any], str]] = {
    PcBssfpRun: lambda run: "pc-bSSFP relaxometry",
    CestRun: lambda run: CEST_TITLES[run.kind],
    MtrRun: lambda run: "Magnetisation transfer ratio",
    MtsRun: lambda run: "MT saturation",
    ExchangeRun: lambda run: "CEST: pool fractions and exchange rates",
}


def run_title(run: Any) -> str:
    """Return what is done with a run."""
    return TITLES[type(run)](run)
