"""The choices of a call in words, by which maps of different calls are compared."""

from __future__ import annotations

from collections.abc import Mapping

from qmri_bids.workflows.options import ProcessingOptions

COMPARED: Mapping[str, str] = {
    "estimator": "bssfp-estimator",
    "posterior": "posterior",
    "gibbs_method": "gibbs-method",
    "mask_method": "mask-method",
    "ignore": "ignore",
    "fd_threshold": "fd-threshold [m]",
    "asymmetry": "mtrasym-offsets [ppm]",
    "pools": "lorentzian-pools",
    "mtsat_correction": "mtsat-correction",
    "exchange_estimator": "cest-estimator",
    "exchange_posterior": "cest-posterior",
}
"""Fields of `ProcessingOptions` by which maps differ between participants, and what they are called on the command line."""


def compared_settings(options: ProcessingOptions) -> dict[str, str]:
    """Return the choices that must be alike where maps of participants are compared.

    Examples
    --------
    >>> settings = compared_settings(ProcessingOptions(estimator="ml", ignore=("gibbs", "motion")))
    >>> settings["bssfp-estimator"], settings["ignore"], settings["fd-threshold [m]"]
    ('ml', 'gibbs motion', 'none')
    """
    return {name: _text(getattr(options, field)) for field, name in COMPARED.items()}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
