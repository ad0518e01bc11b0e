"""The tissues of a run and the statistics of its maps there, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.write import write_table, write_text
from qmri_bids.estimation.base import IN_STATISTICS
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.preprocessing.tissues.statistics import COLUMNS, MapOfRegions, as_columns, tissue_statistics
from qmri_bids.tissue_labels import ABBREVIATIONS, LOOKUP

_LOOKUP = "index\tname\tabbreviation\tcolor\n" + "".join(
    f"{label}\t{name}\t{ABBREVIATIONS[label]}\t{color}\n" for label, (name, color) in LOOKUP.items()
)

_NO_MAPS = ("mask", "dseg", "probseg", "VFA", "cest", "magnitude")
"""Suffixes of what has no statistics."""


def write_lookup(*, entities: Mapping[str, str], output_dir: Path) -> Path:
    """Write the names of the labels of the tissue image."""
    return write_text(output_path(output_dir, entities=entities, output="tissue_lookup"), _LOOKUP)


def write_tissue_statistics(
    files: Sequence[Path],
    *,
    tissue: NDArray[np.integer] | None,
    mask: NDArray[np.bool_],
    entities: Mapping[str, str],
    output_dir: Path,
    pure: NDArray[np.integer] | None = None,
    whole: str = BRAIN,
) -> list[Path]:
    """Write the lookup of the tissues and the statistics of every map of a run in the brain, in tissues and in pure tissue.

    Parameters
    ----------
    files
        Files written for the run.
    tissue
        Labels on the grid of the run, shape (X, Y, Z); None where they were not told apart.
    mask
        The brain on that grid.
    entities
        Entities of the raw run.
    output_dir
        Root of the derivatives.
    pure
        Labels of the voxels that hold one tissue alone; None where they were not told.
    whole
        Name of the whole mask.
    """
    maps = maps_of(files, shape=mask.shape)
    rows = tissue_statistics(maps, labels=mask.astype(np.uint8), names={1: whole})
    written = []
    if tissue is not None:
        of_tissues = tissue_statistics(maps, labels=tissue, names=ABBREVIATIONS)
        if pure is not None:
            names = {label: f"{name}_pure" for label, name in ABBREVIATIONS.items()}
            of_tissues = (*tissue_statistics(maps, labels=pure, names=names), *of_tissues)
        rows = tuple(row for name in maps for row in (*rows, *of_tissues) if row.map == name)
        written.append(write_lookup(entities=entities, output_dir=output_dir))
    columns = as_columns(rows)
    columns["index"] = [
        None if name == whole else index for name, index in zip(columns["tissue"], columns["index"], strict=True)
    ]
    path = output_path(output_dir, entities=entities, output="tissue_statistics")
    return [*written, write_table(path, columns, descriptions=COLUMNS)]


def maps_of(files: Sequence[Path], *, shape: tuple[int, ...]) -> dict[str, MapOfRegions]:
    """Return the maps among the files of a run by the end of their name, with the standard deviation that goes with each.

    Where the run or the pool has a quality mask, only voxels of the codes `IN_STATISTICS` count, also of maps that hold a value
    elsewhere.
    """
    found: dict[str, tuple[Path, NDArray[Any]]] = {}
    masks = {
        parse_name(path).entities["desc"].removesuffix("quality"): load_volume(path)[0]
        for path in files
        if path.name.endswith("quality_mask.nii.gz")
    }
    for path in files:
        parsed = parse_name(path)
        if not path.name.endswith(".nii.gz") or parsed.suffix in _NO_MAPS:
            continue
        values, _ = load_volume(path)
        if values.shape == tuple(shape):
            desc = parsed.entities.get("desc", "")
            # A pool has a mask of its own, whose label begins as those of its maps do.
            quality = next((codes for group, codes in masks.items() if group and desc.startswith(group)), masks.get(""))
            values = values if quality is None else np.where(np.isin(quality, IN_STATISTICS), values, np.nan)
            found[f"desc-{desc}_{parsed.suffix}" if desc else parsed.suffix] = (path, values)
    spread = {name: next((each for each in _partners(name) if each in found), None) for name in found}
    maps = {}
    for name, (path, values) in found.items():
        if name in spread.values():
            continue
        partner = spread[name]
        unit = json.loads(sidecar_path(path).read_text(encoding="utf-8")).get("Units") or "arbitrary"
        stdev = None if partner is None else found[partner][1]
        maps[name] = MapOfRegions(values=values, unit=unit, stdev=stdev)
    return maps


def _partners(name: str) -> tuple[str, ...]:
    """Return the names that the standard deviation of a map may have."""
    desc, _, suffix = name.rpartition("_")
    return (f"{desc}std_{suffix}", f"{desc}Std_{suffix}") if desc else (f"desc-std_{suffix}",)
