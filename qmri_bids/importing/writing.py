"""Writing a planned scan: all its files under temporary names first, then under their own, or none."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path

from qmri_bids.bids.write import write_json
from qmri_bids.importing.companions import FIELD_KINDS
from qmri_bids.importing.scans import PlannedImage, PlannedScan
from qmri_bids.importing.stack import write_copy, write_stack
from qmri_bids.system.file_errors import naming
from qmri_bids.system.file_lock import file_lock
from qmri_bids.system.temporaries import temporary_path

LOCK = Path("code", ".import.lock")
"""Held by a call while it checks and replaces files of a dataset."""

ROLES_BY_ACQ = ("TB1TFL", "TB1RFM", "TB1AFI")
"""Suffixes of scans whose images differ in the entity `acq`."""

TABLES = ("cestcontext",)
SPECTRA = ("cest", "wassr")
"""Suffixes of tables, and of the images that are read with one that lies beside them."""

Write = Callable[[Path], object]


def targets_of(plan: PlannedScan) -> tuple[Path, ...]:
    """Return all files of a scan, relative to the dataset."""
    return tuple(_outputs(plan))


def write_scan(plan: PlannedScan, *, root: Path, overwrite: bool) -> bool:
    """Write a scan, and return whether anything was written: what is there already, the same to the bit, stays.

    Parameters
    ----------
    plan
        Of `plan_scan`, not refused.
    root
        The dataset.
    overwrite
        Replace files that are there and differ.

    Raises
    ------
    ValueError
        If files are there that differ, and may not be replaced; then nothing was written.
    OSError
        If a file cannot be written, with its name; what was not renamed is removed.
    """
    staged: dict[Path, Path] = {}
    made: list[Path] = []
    try:
        for relative, write in _outputs(plan).items():
            target = root / relative
            _make_folder(target.parent, made)
            temporary = temporary_path(target)
            staged[target] = temporary
            with naming(target, instead_of=temporary):
                write(temporary)
                with temporary.open("rb") as handle:
                    os.fsync(handle.fileno())
        # Several calls may write the same scan: what is checked holds until all is renamed.
        with file_lock(root / LOCK):
            same = [target for target, temporary in staged.items() if _is_same(target, temporary)]
            others = [target for target in staged if os.path.lexists(target) and target not in same]
            if others and not overwrite:
                raise ValueError(
                    f"{others[0].relative_to(root).as_posix()}: file: expected none of this name, found one that differs"
                    f"{f' (and {len(others) - 1} more)' if len(others) > 1 else ''}. Nothing of this scan was written: "
                    f"remove the files, "
                    "choose another --subject or --session, or give --overwrite"
                )
            new = [target for target in staged if target not in same]
            if new:
                _check_none_remain(plan, root=root, outputs=set(staged), replaces=bool(others))
            # Images come last: one that is there has its sidecar.
            for target in sorted(new, key=lambda path: path.name.endswith(".nii.gz")):
                os.replace(staged.pop(target), target)
        return bool(new)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
        for folder in reversed(made):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _check_none_remain(plan: PlannedScan, *, root: Path, outputs: Set[Path], replaces: bool) -> None:
    """Check that no file of an earlier import of this scan would stay beside the new ones and count as one of them.

    Raises
    ------
    ValueError
        If there is one, with its name.
    """
    remaining: dict[Path, None] = {}
    for image in plan.images:
        wanted, suffix = _scan_of(image.target.name)
        for path in sorted((root / image.target).parent.iterdir()):
            if path in outputs or path.name.startswith("."):
                continue
            scan, other = _scan_of(path.name)
            table = other in TABLES and suffix in SPECTRA
            if scan == wanted and (table or (replaces and other == suffix)):
                remaining[path] = None
    if remaining:
        names = ", ".join(path.relative_to(root).as_posix() for path in remaining)
        raise ValueError(
            f"{names}: file: expected none that this import does not write, since it would count as part of the new scan, found "
            f"{len(remaining)} of an earlier one. Nothing of this scan was written: remove or move what is named, and import again"
        )


def _scan_of(name: str) -> tuple[frozenset[str], str]:
    """Return the entities that all files of a scan share, and what the suffix stands for.

    Examples
    --------
    >>> _scan_of("sub-1_acq-famp_run-2_TB1TFL.json") == _scan_of("sub-1_acq-anat_run-2_TB1TFL.nii.gz")
    True
    """
    *entities, suffix = name.partition(".")[0].split("_")
    apart = ("flip-", "part-", "mt-", *(("acq-",) if suffix in ROLES_BY_ACQ else ()))
    shared = frozenset(each for each in entities if not each.startswith(apart))
    return shared, "field map" if suffix in FIELD_KINDS else suffix


def _outputs(plan: PlannedScan) -> dict[Path, Write]:
    outputs: dict[Path, Write] = {}
    for image in plan.images:
        sidecar = image.target.with_name(image.target.name.removesuffix(".nii.gz") + ".json")
        outputs[sidecar] = partial(_write_sidecar, image)
        outputs[image.target] = partial(_write_image, image)
    outputs |= {table: partial(_write_text, text) for table, text in plan.tables.items()}
    outputs |= {target: partial(shutil.copyfile, source) for target, source in plan.copies.items()}
    return outputs


def _write_sidecar(image: PlannedImage, path: Path) -> None:
    write_json(path, image.sidecar)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _write_image(image: PlannedImage, path: Path) -> None:
    if len(image.sources) == 1:
        write_copy(image.sources[0].info.path, path)
    else:
        write_stack([source.info.path for source in image.sources], path)


def _is_same(target: Path, temporary: Path) -> bool:
    return target.is_file() and filecmp.cmp(target, temporary, shallow=False)


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir()
        made.append(each)
