"""Files that an earlier call wrote for a run: maps beside a report that is not theirs would be taken for its."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.names import KEPT, derivative_entities, sidecar_path
from qmri_bids.pipeline.earlier.mask_record import file_of_person

logger = logging.getLogger("qmri_bids")

FOLDERS = ("anat", "fmap")


def files_of_run(entities: Mapping[str, str], *, output_dir: Path) -> tuple[Path, ...]:
    """Return every file that carries the entities of a run, sidecars left out.

    Parameters
    ----------
    entities
        Entities of the raw run.
    output_dir
        Root of the derivatives.
    """
    return tuple(path for path in _of_run(entities, output_dir=output_dir) if path.suffix != ".json")


def _of_run(entities: Mapping[str, str], *, output_dir: Path) -> list[Path]:
    own = derivative_entities(entities)
    subject = output_dir / f"sub-{own['sub']}"
    session = subject / f"ses-{own['ses']}" if "ses" in own else subject
    found = []
    for folder in FOLDERS:
        for path in sorted((session / folder).glob("sub-*")):
            kept = {key: label for key, label in parse_name(path).entities.items() if key in KEPT}
            if kept == own:
                found.append(path)
    return found


def remove_files(paths: Collection[Path]) -> tuple[Path, ...]:
    """Remove files with their sidecars and return those that were there; masks that a person has made stay."""
    removed = tuple(path for path in paths if path.is_file() and not file_of_person(path))
    for path in removed:
        path.unlink()
        sidecar_path(path).unlink(missing_ok=True)
    return removed


def remove_all(entities: Mapping[str, str], *, output_dir: Path, keep: Collection[Path] = ()) -> tuple[Path, ...]:
    """Remove all that carries the entities of a run, a sidecar without its image included, and return the files.

    Parameters
    ----------
    entities
        Entities of the raw run.
    output_dir
        Root of the derivatives.
    keep
        Files that stay with their sidecars: a mask that a person has corrected cannot be made again.
    """
    removed = remove_files([path for path in files_of_run(entities, output_dir=output_dir) if path not in keep])
    stay = {path for path in files_of_run(entities, output_dir=output_dir) if file_of_person(path)} | set(keep)
    sidecars = {sidecar_path(path) for path in stay}
    for left in _of_run(entities, output_dir=output_dir):
        if left not in stay and left not in sidecars:
            left.unlink(missing_ok=True)
    return removed


def remove_others(entities: Mapping[str, str], written: Collection[Path], *, output_dir: Path) -> None:
    """Remove what an earlier call with other options wrote for a run and this one did not write again."""
    for path in remove_files([path for path in files_of_run(entities, output_dir=output_dir) if path not in written]):
        logger.warning("%s of an earlier call with other options was removed", path)
