"""Quantitative maps from phase-cycled bSSFP, B1, CEST and MT scans in BIDS; functions for arrays by `import qmri_bids as q`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("qmri_bids")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

_FUNCTIONS = {
    "Result": "result",
    "b1_from_afi": "b1",
    "b1_from_angle": "b1",
    "b1_from_dam": "b1",
    "banding_free": "bssfp",
    "cest_protocol": "cest",
    "design": "design",
    "fit_bssfp": "bssfp",
    "fit_mtr": "mt",
    "fit_mtsat": "mt",
    "fit_pools": "pools",
    "fit_wasabi": "cest",
    "fit_wassr": "cest",
    "fit_zspectrum": "spectra",
    "pool_model": "pools",
    "read_pools": "pools",
    "simulate_bssfp": "bssfp",
    "simulate_cest": "pools",
    "synthesize": "contrast",
}
"""The functions for arrays and the modules of `qmri_bids.api` that hold them, imported when they are asked for."""

__all__ = ["__version__", *sorted(_FUNCTIONS)]


def __getattr__(name: str) -> Any:
    """Return a function of the interface for arrays."""
    if name not in _FUNCTIONS:
        raise AttributeError(
            f"module 'qmri_bids' has no attribute {name!r}: expected one of {', '.join(sorted(_FUNCTIONS))}"
        )
    return getattr(import_module(f"qmri_bids.api.{_FUNCTIONS[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return __all__
