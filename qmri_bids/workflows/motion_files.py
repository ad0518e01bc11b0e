"""Writing the motion of a series: transforms and confounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import CONFOUND_DESCRIPTIONS, write_json, write_table, write_transforms
from qmri_bids.units import metres_to_millimetres


def write_motion(
    motion: Mapping[str, Any],
    *,
    entities: Mapping[str, str],
    transforms: str,
    reference_key: str,
    columns: Mapping[str, Sequence[Any]],
    sources: Sequence[str],
    output_dir: Path,
) -> list[Path]:
    """Write the transforms and the table of confounds of a series and return both paths.

    Parameters
    ----------
    motion
        Arrays `transforms`, `parameters`, `framewise_displacement` and `reference`, and `censored` where volumes may be left
        out.
    entities
        Entities of the raw run.
    transforms
        Row of the transforms in `data/outputs.json`.
    reference_key
        Key of the sidecar for the index of the volume that all others were brought to.
    columns
        Columns of the table that say what each volume is.
    sources
        BIDS URIs of the raw images.
    output_dir
        Root of the derivatives.
    """
    path = write_transforms(output_path(output_dir, entities=entities, output=transforms), motion["transforms"])
    write_json(
        sidecar_path(path),
        map_metadata(transforms, sources=sources, extra={reference_key: int(motion["reference"])}),
    )
    parameters = motion["parameters"]
    table: dict[str, Sequence[Any]] = dict(columns)
    for index, axis in enumerate("xyz"):
        table[f"trans_{axis}"] = [metres_to_millimetres(each) for each in parameters[:, index]]
    for index, axis in enumerate("xyz"):
        table[f"rot_{axis}"] = [float(each) for each in parameters[:, 3 + index]]
    table["framewise_displacement"] = [metres_to_millimetres(each) for each in motion["framewise_displacement"]]
    if "censored" in motion:
        table["censored"] = [int(each) for each in motion["censored"]]
    confounds = output_path(output_dir, entities=entities, output="confounds")
    return [path, write_table(confounds, table, descriptions=CONFOUND_DESCRIPTIONS)]
