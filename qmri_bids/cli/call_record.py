"""What a call leaves of itself in `logs`: its options as a file that repeats it, and the versions of what it ran with."""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import shlex
import uuid
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from qmri_bids import __version__
from qmri_bids.bids.description import NAME, running_container
from qmri_bids.bids.write import write_json, write_text

NAMED = 3
"""Participants that the names of files hold at most; more are counted."""


def write_call(options: argparse.Namespace, *, subjects: Sequence[str]) -> Path:
    """Write the options of a call and the versions of its software, under names that no other call has.

    Parameters
    ----------
    options
        The command line, with what `configuration` made of it.
    subjects
        Labels of the participants.

    Returns
    -------
    Path
        `output_dir/logs/config_….toml`, which `--config-file` takes; `versions_….json` lies beside it.
    """
    import tomli_w

    now = datetime.datetime.now().astimezone()
    who = "_".join(f"sub-{each}" for each in subjects) if len(subjects) <= NAMED else f"{len(subjects)}-participants"
    stem = f"{now:%Y%m%d-%H%M%S}_{who}_{uuid.uuid4().hex[:6]}"
    config = options.output_dir / "logs" / f"config_{stem}.toml"
    again = ["qmri_bids", options.bids_dir, options.output_root, *options.analysis_level, "--config-file", config]
    comments = [
        f"{NAME} {__version__}, {now.isoformat(timespec='seconds')}. To repeat this call:",
        shlex.join(str(each) for each in again),
        *options.resources,
    ]
    lines = [f"# {' '.join(comment.split())}" for comment in comments]
    write_text(config, "\n".join(lines) + "\n\n" + tomli_w.dumps(options.configuration))
    write_json(
        options.output_dir / "logs" / f"versions_{stem}.json",
        {
            "Command": options.command,
            "Started": now.isoformat(timespec="seconds"),
            "Config": config.name,
            "Version": __version__,
            "Python": platform.python_version(),
            "System": platform.platform(),
            "Container": running_container(),
            "Resources": {
                "nprocs": options.nprocs,
                "omp-nthreads": options.omp_nthreads,
                "mem": None if options.memory_gb is None else f"{options.memory_gb:.2f}G",
            },
            "Packages": package_versions(),
        },
    )
    return config


def usage_table(config: Path) -> Path:
    """Return the table of what the steps of a call took, beside its file of options.

    Parameters
    ----------
    config
        From `write_call`.
    """
    return config.with_name(config.name.replace("config_", "resources_", 1)).with_suffix(".tsv")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that this program needs."""
    names = [re.split(r"[^\w.-]", each)[0] for each in requires(NAME) or () if "extra ==" not in each]
    found = {}
    for name in sorted(names, key=str.casefold):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
