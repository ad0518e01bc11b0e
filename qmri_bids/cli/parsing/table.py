"""The table of options of `qmri_bids`: all groups of rows, and what other layers are called with by them.

To add an option is to add a row to a group, and a field to what the row's `Setting` names if other layers are to know of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from qmri_bids.cli.options.b1 import B1
from qmri_bids.cli.options.call import CALL
from qmri_bids.cli.options.cest import POOL_FRACTIONS, SPECTRA
from qmri_bids.cli.options.data import ARGUMENTS, DATA
from qmri_bids.cli.options.images import IMAGES
from qmri_bids.cli.options.mask import MASK
from qmri_bids.cli.options.motion import MOTION
from qmri_bids.cli.options.outputs import OUTPUTS
from qmri_bids.cli.options.resources import RESOURCES
from qmri_bids.cli.options.spaces import SPACES
from qmri_bids.cli.options.steps import STEPS
from qmri_bids.cli.parsing.option import Option, Purpose
from qmri_bids.pipeline.options import ProcessingOptions

GROUPS = (ARGUMENTS, DATA, CALL, B1, STEPS, MASK, MOTION, SPECTRA, POOL_FRACTIONS, IMAGES, SPACES, OUTPUTS, RESOURCES)
"""Groups in the order of the help."""

CHECKED = (CALL, ARGUMENTS, RESOURCES, B1, STEPS, MASK, MOTION, SPECTRA, POOL_FRACTIONS, IMAGES, SPACES, OUTPUTS, DATA)
"""The same groups in the order of their checks: weights may lie in the work folder, which must be absolute by then."""

OPTIONS: Mapping[str, Option] = {row.attribute: row for group in GROUPS for row in group.rows}
"""All options by the names of their values among parsed options."""


def settings_of(options: argparse.Namespace, *, of: Purpose) -> dict[str, Any]:
    """Return the values of options by the fields that they fill.

    Parameters
    ----------
    options
        The command line.
    of
        Which of them.
    """
    return {
        row.setting_name: row.as_setting(getattr(options, attribute))
        for attribute, row in OPTIONS.items()
        if row.setting is not None and row.setting.of == of
    }


def compared_settings(options: ProcessingOptions) -> dict[str, str]:
    """Return the choices that must be alike where maps of participants are compared, by their names on the command line.

    Examples
    --------
    >>> settings = compared_settings(ProcessingOptions(estimator="ml", ignore=("gibbs", "motion")))
    >>> settings["bssfp-estimator"], settings["ignore"], settings["fd-threshold [m]"]
    ('ml', 'gibbs motion', 'none')
    """
    names = {
        row.setting_name: row.name.removeprefix("--") + (f" [{row.setting.unit}]" if row.setting.unit else "")
        for row in OPTIONS.values()
        if row.setting is not None and row.setting.compared
    }
    return {names[field.name]: _text(getattr(options, field.name)) for field in fields(options) if field.name in names}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
