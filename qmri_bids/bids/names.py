"""Names of all outputs: maps stand in `quantities`, all others in `data/outputs.json`, how a name is put together here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qmri_bids.quantities import all_files
from qmri_bids.quantity import MapFile

# fmt: off
ENTITY_ORDER = (
    "sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain",
    "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "atlas", "seg", "scale", "res", "den", "label", "from", "to", "mode", "desc",
)
# fmt: on
"""Entities in the order of BIDS 1.11 (rules.entities of its schema); from, to, mode as fMRIPrep has them."""

KEPT = ("sub", "ses", "acq", "run")
"""Entities that every output may have.

BIDS allows no `flip` in a T1map and no `rec` in a fieldmap: all others go into the label of `acq`.
"""

DEFAULT_ACQUISITION = "pcbssfp"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A kind of file that the program writes.

    Parameters
    ----------
    key
        Its name, for `output_path`.
    folder
        Datatype folder (`anat`, `fmap`), `figures` or `log`; empty for the top of the output folder.
    suffix
        BIDS suffix; None where the caller gives one.
    extension
        With its dot.
    kind
        What is in it.
    entities
        Entities that belong to this output.
    units
        As written in the sidecar; None where there are none.
    description
        Sentence for the sidecar.
    sidecar
        Whether a JSON file goes with it.
    skull_stripped
        Value of SkullStripped; None where the key does not apply.
    bidsignore
        Pattern that hides it from the validator; None for names that BIDS knows.
    levels
        Meaning of the codes of a mask that is not binary.
    """

    key: str
    folder: str
    suffix: str | None
    extension: str
    kind: Literal["map", "mask", "table", "transform", "figure", "log", "report"]
    entities: Mapping[str, str]
    units: str | None
    description: str
    sidecar: bool
    skull_stripped: bool | None
    bidsignore: str | None
    levels: Mapping[str, str] | None = None


@cache
def _document() -> dict[str, Any]:
    return json.loads(files("qmri_bids").joinpath("data/outputs.json").read_text(encoding="utf-8"))


@cache
def outputs() -> dict[str, Output]:
    """Return all outputs by key: maps, then what `data/outputs.json` holds."""
    maps = {file.key: _output_of(file) for file in all_files()}
    return maps | {key: Output(key=key, **content) for key, content in _document()["outputs"].items()}


def _output_of(file: MapFile) -> Output:
    return Output(
        key=file.key,
        folder=file.folder,
        suffix=file.suffix,
        extension=".nii.gz",
        kind="map",
        entities={} if file.desc is None else {"desc": file.desc},
        units=file.unit,
        description=file.description,
        sidecar=True,
        skull_stripped=file.skull_stripped,
        bidsignore=None if file.in_bids else f"*_{file.suffix}.*",
    )


def ignored_patterns() -> tuple[str, ...]:
    """Return the lines of `.bidsignore`: what BIDS has no name for."""
    own = (output.bidsignore for output in outputs().values() if output.bidsignore)
    return tuple(dict.fromkeys([*_document()["bidsignore"], *own]))


def derivative_entities(entities: Mapping[str, str]) -> dict[str, str]:
    """Return the entities that all outputs of a run share.

    What BIDS does not allow in every output is appended to the label of `acq`, so that two runs never share a
    name; `flip-1`, which nearly all runs have, is left out, and `part` names a file, not a run.

    Examples
    --------
    >>> derivative_entities({"sub": "01", "acq": "pcbssfp", "flip": "1"})
    {'sub': '01', 'acq': 'pcbssfp'}
    >>> derivative_entities({"sub": "01", "acq": "pcbssfp", "rec": "norm", "flip": "2"})
    {'sub': '01', 'acq': 'pcbssfpRecnormFlip2'}
    """
    acquisition = entities.get("acq", DEFAULT_ACQUISITION)
    for key, label in entities.items():
        if key not in KEPT and key != "part" and (key, label.lstrip("0")) != ("flip", "1"):
            acquisition += key.capitalize() + label
    kept = {key: entities[key] for key in KEPT if key in entities} | {"acq": acquisition}
    return {key: kept[key] for key in ENTITY_ORDER if key in kept}


def output_path(
    root: Path,
    *,
    entities: Mapping[str, str],
    output: str,
    desc: str | None = None,
    space: str | None = None,
    suffix: str | None = None,
    extension: str | None = None,
) -> Path:
    """Return where an output of a run is written.

    Parameters
    ----------
    root
        Folder of the derivatives.
    entities
        Entities of the raw run (`PcBssfpRun.entities`).
    output
        Key of `outputs`.
    desc
        Other label of `desc`, e.g. of a second estimator (`ml`) or of a figure.
    space
        Label of the space, where it is not that of the run.
    suffix
        Suffix of an output that has none of its own: a figure (`T1map`, `mask` …).
    extension
        Other extension, e.g. `.json` for the sidecar.

    Raises
    ------
    KeyError
        If there is no such output.
    ValueError
        If a label is not made of letters and digits, or the suffix is missing.

    Examples
    --------
    >>> run = {"sub": "01", "acq": "pcbssfp", "flip": "1"}
    >>> output_path(Path("out"), entities=run, output="T1map_std").as_posix()
    'out/sub-01/anat/sub-01_acq-pcbssfp_desc-std_T1map.nii.gz'
    """
    row = outputs()[output]
    extension = extension or row.extension
    if row.kind == "report":
        top = "_".join(f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities)
        return root / f"{top}{extension}"
    merged = derivative_entities(entities) | dict(row.entities)
    if row.suffix == "VFA":
        merged["flip"] = entities.get("flip", "1")  # the schema requires it of this suffix
    if desc is not None:
        merged["desc"] = desc
    if space is not None:
        merged["space"] = space
    for key, label in merged.items():
        if not re.fullmatch(r"[0-9a-zA-Z+]+", label):
            raise ValueError(f"{key}: expected a label of letters and digits, found {label!r}")
    if row.suffix is not None and suffix not in (None, row.suffix):
        raise ValueError(f"{output}: expected the suffix {row.suffix}, found {suffix}")
    suffix = row.suffix or suffix
    if suffix is None:
        raise ValueError(f"{output}: expected a suffix, found none")
    stem = "_".join([*(f"{key}-{merged[key]}" for key in ENTITY_ORDER if key in merged), suffix])
    subject = root / f"sub-{merged['sub']}"
    # figures of all sessions stand in one folder, as the report of a subject finds them
    folder = subject / f"ses-{merged['ses']}" if "ses" in merged and row.kind not in ("figure", "log") else subject
    return folder / row.folder / f"{stem}{extension}"


def sidecar_path(path: Path) -> Path:
    """Return the JSON file that goes with an output."""
    return path.with_name(path.name.partition(".")[0] + ".json")
