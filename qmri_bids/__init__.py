"""Quantitative maps from phase-cycled bSSFP, B1, CEST and MT scans in BIDS."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("qmri_bids")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
