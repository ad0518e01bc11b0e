"""The pulseq file that a sidecar names: where it is, and whether it is the one that was meant."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from qmri_bids.bids.files.plain import UnreadableError, read_bytes
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import wrong_value
from qmri_bids.bids.refusal import refuse, relative_name
from qmri_bids.pulseq.file import LARGEST

FILE_KEY = "PulseqFile"
HASH_KEY = "PulseqFileHash"


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A pulseq file that is there and is the one that was meant.

    Parameters
    ----------
    path
        Where it is.
    name
        The file, relative to the dataset.
    sha256
        Of its content, in hexadecimal.
    """

    path: Path
    name: str
    sha256: str


def named_file(sidecar: Sidecar, *, root: Path) -> NamedFile | None:
    """Return the pulseq file that a sidecar names, None if it names none.

    Parameters
    ----------
    sidecar
        With PulseqFile: a BIDS URI (`bids::code/seq/apt.seq`) or a path from the top of the dataset; and PulseqFileHash, its
        SHA-256 in hexadecimal.
    root
        The dataset.

    Raises
    ------
    RefusedError
        If the file is not there, not readable, or another one than was meant.
    """
    if FILE_KEY not in sidecar.values:
        return None
    path = _resolve(sidecar, root)
    name = relative_name(path, root)
    stated = sidecar.values.get(HASH_KEY)
    try:
        digest = hashlib.sha256(read_bytes(path, largest=LARGEST)).hexdigest()
    except UnreadableError as error:
        raise wrong_value(
            sidecar,
            FILE_KEY,
            expected=f"a readable .seq file; {name} cannot be read ({error})",
            advice="Restore the file, fetch it (datalad get), or remove the key.",
        ) from error
    if stated is not None and str(stated).lower().removeprefix("sha256:").strip() != digest:
        raise refuse(
            file=name,
            key=HASH_KEY,
            expected=f"{stated} as {sidecar.origin(HASH_KEY)} says",
            found=digest,
            advice="The file was changed or is another one: restore it, or correct the hash (SHA-256).",
        )
    return NamedFile(path=path, name=name, sha256=digest)


def _resolve(sidecar: Sidecar, root: Path) -> Path:
    value = sidecar.values[FILE_KEY]
    expected = "a .seq file of this dataset: bids::path or a path from the top of the dataset"
    advice = "Correct the path; the file must lie in the dataset, for example in code/."
    text = value if isinstance(value, str) else ""
    if text.startswith("bids:"):
        dataset, _, text = text.removeprefix("bids:").partition(":")
        text = unquote(text) if not dataset else ""
    parts = PurePosixPath(text)
    if not text or parts.is_absolute() or ".." in parts.parts:
        raise wrong_value(sidecar, FILE_KEY, expected=expected, advice=advice)
    path = root / parts
    if not path.exists():
        raise wrong_value(
            sidecar, FILE_KEY, expected=f"{expected}; there is no {relative_name(path, root)}", advice=advice
        )
    return path
