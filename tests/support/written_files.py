"""Names of what a call wrote."""

from __future__ import annotations

import re
from pathlib import Path

_OWN = re.compile(r"_\d{8}-\d{6}_.*_[0-9a-f]{6}(?=\.)")


def written_files(folder: Path) -> list[str]:
    """Return the files of a folder, sorted; what only one call names so (time, participants, id) is a star."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted({_OWN.sub("_*", name) for name in files})
