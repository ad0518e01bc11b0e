"""SHA-256 of input files: computed once for a size and time of change, remembered between calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.provenance import RAW_NAME, bids_uri
from qmri_bids.bids.write import write_json


class Digests:
    """Digests of files by path.

    Parameters
    ----------
    memory
        JSON file that keeps them between calls; None keeps none.
    """

    def __init__(self, memory: Path | None) -> None:
        self._memory = memory
        self._known: dict[str, list[int | str]] = _read(memory)
        self._used: dict[Path, str] = {}

    @property
    def used(self) -> Mapping[Path, str]:
        """The digests that were asked for."""
        return self._used

    def of(self, path: Path) -> str:
        """Return the SHA-256 of what a file holds, in hexadecimal digits.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        state = path.stat()
        known = self._known.get(str(path))
        if known is None or known[:2] != [state.st_size, state.st_mtime_ns]:
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            known = self._known[str(path)] = [state.st_size, state.st_mtime_ns, digest]
        self._used[path] = str(known[2])
        return self._used[path]

    def keep(self) -> None:
        """Write what is remembered between calls."""
        if self._memory is not None:
            write_json(self._memory, self._known)


def _read(memory: Path | None) -> dict[str, list[int | str]]:
    """Return what an earlier call has kept; nothing where the file is damaged: it saves time only."""
    try:
        content = {} if memory is None else read_json(memory)
    except UnreadableError:
        return {}
    return content if isinstance(content, dict) else {}


def write_inputs(digests: Digests, path: Path, *, bids_dir: Path) -> None:
    """Write which files were read and what they held.

    Parameters
    ----------
    digests
        Of the files that were read.
    path
        JSON file: digests by BIDS URI, or by path for files outside the raw dataset.
    bids_dir
        Root of the raw dataset.
    """
    names = {
        each: bids_uri(each, root=bids_dir, dataset=RAW_NAME) if each.is_relative_to(bids_dir) else each.as_posix()
        for each in sorted(digests.used)
    }
    write_json(path, {"SHA256": {name: digests.used[each] for each, name in names.items()}})
