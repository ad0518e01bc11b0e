"""This machine's settings of pip, for a build in which its files are mounted: nothing of them is written into an image."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
INSIDE = Path("/run/pip")
"""Where files and folders are seen in the build: a place that no package writes to."""


@dataclass(frozen=True, kw_only=True)
class PipSettings:
    """A configuration file for the build, and what must be mounted for it.

    Parameters
    ----------
    text
        The configuration, in which files and folders have their places of the build.
    mounts
        Files and folders of this machine, and those places.
    """

    text: str
    mounts: Mapping[Path, Path]


def pip_settings() -> PipSettings:
    """Return index, certificates and local wheels as `pip config list` and the environment name them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        # `global.cert` of a file, `:env:.cert` of the environment, which wins and comes first.
        settings.setdefault(key.rsplit(".", 1)[-1], value.strip().strip("'").replace(r"\n", " "))
    if "cert" not in settings and BUNDLE.is_file():
        settings["cert"] = str(BUNDLE)
    mounts: dict[Path, Path] = {}

    def moved(token: str) -> str:
        path = Path(token.removeprefix("file://"))
        if not token.startswith(("/", "file:///")) or not path.exists():
            return token
        # An index on disk links to files beside it.
        mounted, below = (path.parent, path.name) if path.name == "simple" else (path, "")
        place = mounts.setdefault(mounted, INSIDE / f"{len(mounts)}-{mounted.name}")
        return ("file://" if token.startswith("file://") else "") + str(place / below)

    lines = [f"{key} = {' '.join(map(moved, value.split()))}" for key, value in settings.items()]
    return PipSettings(text="\n".join(["[global]", *lines, ""]), mounts=mounts)
