"""Errors of the operating system that name the file: a write that fails, as on a full disk, names none by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: str | Path, *, instead_of: str | Path | None = None) -> Iterator[None]:
    """Have errors of the block name a file.

    Parameters
    ----------
    path
        The file that is written.
    instead_of
        Its temporary name, which tells a user nothing.

    Raises
    ------
    OSError
        Of the same number, with the name.

    Examples
    --------
    >>> with naming("T1map.nii.gz"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'T1map.nii.gz'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, None if instead_of is None else str(instead_of)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
