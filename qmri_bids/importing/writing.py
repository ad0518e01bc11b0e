"""Writing a planned scan: all its files under temporary names first, then under their own, or none."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qmri_bids.bids.write import write_json
from qmri_bids.importing.scans import PlannedImage, PlannedScan
from qmri_bids.importing.stack import write_copy, write_stack
from qmri_bids.system.file_errors import naming
from qmri_bids.system.temporaries import temporary_path

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
        same = [target for target, temporary in staged.items() if _is_same(target, temporary)]
        others = [target for target in staged if target.exists() and target not in same]
        if others and not overwrite:
            raise ValueError(
                f"{others[0].relative_to(root).as_posix()}: file: expected none of this name, found one that differs"
                f"{f' (and {len(others) - 1} more)' if len(others) > 1 else ''}. Nothing of this scan was written: "
                f"remove the files, "
                "choose another --subject or --session, or give --overwrite"
            )
        new = [target for target in staged if target not in same]
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
