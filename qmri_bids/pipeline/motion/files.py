"""Writing the motion of a series: transforms and confounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import CONFOUND_DESCRIPTIONS, write_json, write_table, write_transforms
from qmri_bids.pipeline.run import Run
from qmri_bids.units import metres_to_millimetres, radians_to_degrees


def write_run_motion(
    motion: Mapping[str, Any],
    *,
    run: Run,
    sources: Sequence[str],
    output_dir: Path,
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> list[Path]:
    """Write the motion of a run of one series, in the columns of its kind, and return the paths.

    Parameters
    ----------
    motion, sources, output_dir
        Motion, BIDS URIs of the raw images and root of the derivatives: see `write_motion`. The motion holds `rf_phase_increment`
        [rad] of all cycles where some were left out, and `trusted` of saturated images.
    run
        The raw run, or a series of a fingerprint.
    extra
        Further columns of the table of confounds.
    """
    columns = dict(run.volume_columns)
    if "rf_phase_increment" in motion:
        columns["rf_phase_increment"] = [radians_to_degrees(float(each)) for each in motion["rf_phase_increment"]]
    if run.names_registered:
        columns["registered"] = [int(registered) for registered in motion["trusted"]]
    return write_motion(
        motion,
        entities=run.entities,
        transforms=run.transforms_output,
        reference_key=run.reference_key,
        columns=columns,
        sources=sources,
        output_dir=output_dir,
        extra=extra or {},
    )


def write_motion(
    motion: Mapping[str, Any],
    *,
    entities: Mapping[str, str],
    transforms: str,
    reference_key: str,
    columns: Mapping[str, Sequence[Any]],
    sources: Sequence[str],
    output_dir: Path,
    extra: Mapping[str, Sequence[Any]] | None = None,
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
    extra
        Columns that come last.
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
    return [path, write_confounds(table | dict(extra or {}), entities=entities, output_dir=output_dir)]


def write_confounds(columns: Mapping[str, Sequence[Any]], *, entities: Mapping[str, str], output_dir: Path) -> Path:
    """Write the table of confounds of a series, one row a volume, and return its path."""
    path = output_path(output_dir, entities=entities, output="confounds")
    return write_table(path, columns, descriptions=CONFOUND_DESCRIPTIONS)
