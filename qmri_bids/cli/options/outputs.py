"""The options of what is written and where."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.bids.anatomy.spaces import NATIVE
from qmri_bids.bids.anatomy.templates import parse_label
from qmri_bids.cli.options.call import NOTHING_COMPUTED
from qmri_bids.cli.parsing.option import Option, OptionGroup, Setting
from qmri_bids.pipeline.options import FULL, LEVELS_OF_OUTPUT

PROGRAM = "qmri_bids"
"""How the names of folders of the layout `multiverse` begin."""

BIDS, MULTIVERSE = LAYOUTS = ("bids", "multiverse")
"""Where derivatives lie: in output_dir, or in a folder of it for each set of options."""

ALIKE = (
    "participant-label",
    "session-label",
    "run-id",
    "bids-database-dir",
    "skip-bids-validation",
    "dry-run",
    "reports-only",
    "boilerplate-only",
    "output-layout",
    "level",
    "write-graph",
    "nprocs",
    "omp-nthreads",
    "mem",
    "low-mem",
    "use-plugin",
    "device",
    "work-dir",
    "clean-workdir",
    "stop-on-first-crash",
    "resource-monitor",
    "notrack",
    "verbose",
)
"""Options that say of whom, how much and by what means, and leave the values of maps as they are; all others have a folder each."""

BESIDE_MAPS = ("synthetic", "banding-free", "output-spaces")
"""Options of what is written beside the maps, which stay as they are."""

SETS = ("ignore", "cest-measures", "lorentzian-pools", "cest-protons", "cest-fit-water", *BESIDE_MAPS)
"""Options whose values have no order, and mean the same if one is given twice."""

_NUMBER = re.compile(r"(?<=[=:])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?=,|$)")
"""A number behind the name of what it is for, as in `te=90`."""


def multiverse_folder(configuration: Mapping[str, Any]) -> str:
    """Return the name of the folder of a set of options: program, version, and a hash of what changes maps.

    Parameters
    ----------
    configuration
        Options of the call as a file of options holds them. Files count by what they hold, folders by their path.
    """
    told = plainly(configuration)
    asked = {key: _identity(value) for key, value in told.items() if key not in (*ALIKE, *BESIDE_MAPS)}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"{PROGRAM}-{__version__}-{digest[:8]}"


def plainly(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in the one spelling of all that mean the same.

    Parameters
    ----------
    configuration
        Options of a call as a file of options holds them.

    Examples
    --------
    >>> plainly({"ignore": ["motion", "gibbs", "gibbs"], "synthetic": ["T2w:te=90.0"], "output-spaces": ["native"]})
    {'ignore': ['gibbs', 'motion'], 'synthetic': ['T2w:te=90'], 'output-spaces': []}
    """
    return {key: _plain(key, value) for key, value in configuration.items()}


def _plain(key: str, value: Any) -> Any:
    if key == "derivatives":
        return [_named(text) for text in value]
    if key not in SETS:
        return value
    if key == "output-spaces":
        return sorted({_space(text) for text in value} - {NATIVE})
    return sorted({_NUMBER.sub(lambda found: f"{float(found[0]):.15g}", str(text)) for text in value})


def _space(text: str) -> str:
    try:
        return parse_label(text).text
    except ValueError:  # which is refused, with its reason, when values are checked
        return text


def _named(text: str) -> str:
    """Return a folder of derivatives with its name, that of the folder where none is given."""
    return text if "=" in text else f"{Path(text).name}={text}"


def _identity(value: Any) -> Any:
    if isinstance(value, str) and Path(value).is_absolute() and Path(value).is_file():
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return value


OUTPUTS = OptionGroup(
    title="outputs",
    rows=(
        Option(
            name="--output-layout",
            choices=LAYOUTS,
            default=BIDS,
            help=f"{BIDS}: derivatives lie in output_dir; {MULTIVERSE}: in its folder {PROGRAM}-VERSION-HASH, with a hash of all "
            "options that change maps, so that results of several sets of options stand side by side; default: %(default)s",
        ),
        Option(
            name="--level",
            choices=LEVELS_OF_OUTPUT,
            default=FULL,
            help="minimal: only what raw data do not hold and a later call can apply (--derivatives): masks, motion and their "
            "report; resampling: the transforms to T1w and --output-spaces, too; full: all maps; default: %(default)s",
            setting=Setting("processing"),
        ),
        Option(
            name="--write-graph",
            action="store_true",
            help="write the graph of all steps of each participant to sub-<label>/log (.dot, and .svg where Graphviz is installed)",
            excluded_by=NOTHING_COMPUTED,
        ),
    ),
)
