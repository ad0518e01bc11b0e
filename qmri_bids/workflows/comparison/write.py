"""The files of a comparison: a folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.provenance import raw_uris
from qmri_bids.bids.write import write_map, write_table, write_text
from qmri_bids.pipeline.run import Run
from qmri_bids.reports.comparison.content import Comparison
from qmri_bids.reports.comparison.page import comparison_html

PAGE = "compare.html"
"""Name of the page; a folder that holds one was made by this command and may be replaced."""


def stem_of(run: Run) -> str:
    """Return how the names of files of a run begin, which is the name of its folder."""
    return "_".join(f"{key}-{value}" for key, value in derivative_entities(run.entities).items())


def check_folder(folder: Path) -> None:
    """Refuse to replace a folder that this command has not made.

    Raises
    ------
    ValueError
        If something else lies there.
    """
    if folder.exists() and not (folder / PAGE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{folder}: expected no folder, an empty one or that of an earlier comparison, found something else; "
            "move it away or give another --output"
        )


def write_comparison(comparison: Comparison, *, folder: Path, run: Run, bids_dir: Path, affine: NDArray[Any]) -> Path:
    """Write page, tables and maps and return the page.

    Parameters
    ----------
    comparison
        What there is to write.
    folder
        Folder of the run; that of an earlier comparison is replaced when the new one is complete.
    run
        The run.
    bids_dir
        The raw dataset, which the sidecars name.
    affine
        Voxel to scanner coordinates [mm].
    """
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        stem, sources = stem_of(run), raw_uris(run.paths, bids_dir=bids_dir)
        files = {}
        for part in comparison.parts:
            written = []
            for table in part.tables:
                desc = part.key if table.name == part.key else f"{part.key}{table.name}"
                path = made / "tables" / f"{stem}_desc-{desc}_compare.tsv"
                write_table(path, table.columns, descriptions=table.descriptions)
                written.append(path)
            for kept in part.maps:
                path = made / "maps" / f"{stem}_desc-{kept.desc}_{kept.suffix}.nii.gz"
                metadata = {
                    "Description": f"{kept.description}.",
                    "Units": kept.unit,
                    "Sources": sources,
                    "SkullStripped": True,
                }
                write_map(path, kept.values, affine=affine, metadata=metadata)
                written.append(path)
            files[part.key] = tuple(path.relative_to(made).as_posix() for path in written)
        write_text(made / PAGE, comparison_html(comparison, files=files))
        umask = os.umask(0)
        os.umask(umask)
        made.chmod(0o777 & ~umask)
        old = made.with_name(f"{made.name}.old")
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder / PAGE
