"""What libraries are told before they are imported: where they keep things where nothing else can be written, and how to draw."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qmri_bids import __version__

SHIPPED = "QMRI_BIDS_CACHES"
"""Names the folder of caches that a container image brings, read-only."""

CACHES: Mapping[str, str] = {
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "DENO_DIR": "deno",
    "NIPYPE_CONFIG_DIR": "nipype",
}
"""The variable by which a library is told of its folder, and the name of the folder."""


class CacheError(ValueError):
    """No folder for caches can be written."""


def draw_to_files() -> None:
    """Let matplotlib draw to files alone, before it is imported.

    A notebook hands its own backend on to every program that it calls, and in another environment that backend is not there.
    """
    os.environ["MPLBACKEND"] = "agg"


def keep_caches(work_dir: Path) -> None:
    """Give numba, matplotlib and others a folder that they can write, before they are imported.

    Compiled kernels and the list of fonts that an image brings are copied there once: what the image lacks (kernels for another
    processor) is added to the copy and found by the next call. Variables that are set already are left alone.

    Parameters
    ----------
    work_dir
        Folder of intermediate results.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    shipped = os.environ.get(SHIPPED)
    if shipped is None and _can_keep_by_themselves():
        return
    missing = {variable: name for variable, name in CACHES.items() if variable not in os.environ}
    kept = work_dir / f"qmri_bids-{__version__}" / "caches"
    try:
        if missing:
            work_dir.mkdir(parents=True, exist_ok=True)
            kept.parent.mkdir(
                mode=0o700, exist_ok=True
            )  # intermediate results lie there, too: nobody else may write to it
        for variable, name in missing.items():
            _bring(None if shipped is None else Path(shipped) / name, kept / name)
            os.environ[variable] = str((kept / name).absolute())
        if not os.access(os.environ.get("TMPDIR", "/tmp"), os.W_OK):
            (kept / "tmp").mkdir(parents=True, exist_ok=True)
            os.environ["TMPDIR"] = str((kept / "tmp").absolute())
    except OSError as error:
        raise CacheError(
            f"--work-dir {work_dir}: cannot be written ({error.strerror}). Expected a folder for intermediate results that "
            f"user {os.getuid()} can write; give one by --work-dir, in a container one that is mounted."
        ) from error


def keep_caches_of_one_call() -> None:
    """Do the same for a program that has no work folder: in a temporary folder that is gone at its end."""
    if SHIPPED not in os.environ and _can_keep_by_themselves():
        return
    folder = tempfile.mkdtemp(prefix="qmri_bids-caches-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    keep_caches(Path(folder))


def _can_keep_by_themselves() -> bool:
    package, home = Path(__file__).parent.parent, Path(os.environ.get("HOME", "/nonexistent"))
    return any(os.access(folder, os.W_OK) for folder in (package, home))


def _bring(source: Path | None, target: Path) -> None:
    """Make the folder, with what the image brings; calls that start at once each bring it, one of them wins."""
    if target.is_dir():
        if not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied", str(target))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        new = Path(temporary) / target.name
        if source is not None and source.is_dir():
            shutil.copytree(source, new, copy_function=shutil.copyfile)
        new.mkdir(exist_ok=True)
        # The folders of an image may be read-only, those of the copy are not.
        for each in (new, *new.rglob("*")):
            if each.is_dir():
                each.chmod(0o755)
        try:
            new.rename(target)
        except OSError:
            if not target.is_dir():
                raise
