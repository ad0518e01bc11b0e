"""`dataset_description.json` and `.bidsignore` of the output folder, which jobs of many subjects share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.bids.files.plain import UnreadableError, read_json, read_text
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.names import ignored_patterns
from qmri_bids.bids.provenance import RAW_NAME
from qmri_bids.bids.shared_files import shared_files
from qmri_bids.bids.write import write_json, write_text

NAME = "qmri_bids"
BIDS_VERSION = "1.11.1"

IMAGE_VARIABLES = {"APPTAINER_CONTAINER": "apptainer", "SINGULARITY_CONTAINER": "singularity"}
"""Environment variables that hold the path of the image of a container, and its kind."""

CONTAINER_FILES = {".dockerenv": "docker", "run/.containerenv": "podman"}
"""Files that lie in every container of a kind."""


def write_dataset_description(output_dir: Path, *, bids_dir: Path) -> tuple[str, ...]:
    """Write or complete `dataset_description.json` of the derivatives.

    What another job or program has written is kept; only what is missing is added.

    Parameters
    ----------
    output_dir
        Folder of the derivatives; made if need be.
    bids_dir
        The raw dataset, which `bids:raw:` URIs in the sidecars name.

    Returns
    -------
    tuple of str
        Sentences on what was found amiss.

    Raises
    ------
    BidsInputError
        If the folder is a raw dataset or its description cannot be read.
    """
    path = output_dir / "dataset_description.json"
    _read_existing(path)  # nothing is written, a lock neither, where derivatives do not belong
    with shared_files(output_dir):
        return _complete_description(path, bids_dir=bids_dir)


def _complete_description(path: Path, *, bids_dir: Path) -> tuple[str, ...]:
    sentences: list[str] = []
    existing = _read_existing(path)
    raw, raw_sentence = _read_raw(bids_dir)
    sentences += raw_sentence
    link = _link(bids_dir, path.parent)
    content: dict[str, Any] = {
        "Name": f"{NAME}: quantitative maps of {raw.get('Name') or bids_dir.absolute().name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        **existing,
    }
    generated = [entry for entry in content.get("GeneratedBy", []) if isinstance(entry, dict)]
    versions = [entry.get("Version") for entry in generated if entry.get("Name") == NAME]
    if __version__ not in versions:
        if versions:
            sentences.append(
                f"{path}: the folder has results of {NAME} {', '.join(map(str, versions))}; those of "
                f"{__version__} are added."
            )
        generated.append(_generated_by())
    content["GeneratedBy"] = generated
    if not content.get("SourceDatasets"):
        source = {"URL": link}
        if isinstance(raw.get("DatasetDOI"), str):
            source["DOI"] = raw["DatasetDOI"]
        content["SourceDatasets"] = [source]
    links = content.get("DatasetLinks") or {}
    if links.get(RAW_NAME, link) != link:
        sentences.append(
            f"{path}: DatasetLinks names {links[RAW_NAME]} as raw dataset, this run reads {link}: the "
            f"former is kept. "
            "Use one output folder for each raw dataset."
        )
    content["DatasetLinks"] = {RAW_NAME: link} | links
    if raw.get("License") and "License" not in content:
        content["License"] = raw["License"]
    if content != existing:
        write_json(path, content)
    return tuple(sentences)


def write_bidsignore(output_dir: Path) -> None:
    """Write `.bidsignore`, keeping the lines that are there."""
    path = output_dir / ".bidsignore"
    with shared_files(output_dir):
        try:
            lines = read_text(path).splitlines() if path.exists() else []
        except UnreadableError as error:
            raise BidsInputError(f"{path}: expected a text file, found: {error}. Remove or repair the file.") from error
        missing = [pattern for pattern in ignored_patterns() if pattern not in lines]
        if missing:
            write_text(path, "\n".join([*lines, *missing]) + "\n")


def _read_existing(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise BidsInputError(f"{path}: expected JSON, found: {error}. Remove or repair the file.") from error
    if not isinstance(content, dict) or content.get("DatasetType", "raw") != "derivative":
        raise BidsInputError(
            f"{path}: expected a folder for derivatives (DatasetType derivative), found a raw dataset. "
            "Choose another output folder."
        )
    return content


def _read_raw(bids_dir: Path) -> tuple[dict[str, Any], list[str]]:
    path = bids_dir / "dataset_description.json"
    try:
        content = read_json(path)
    except UnreadableError as error:
        return {}, [f"{path}: cannot be read ({error}); name, license and DOI of the raw dataset are not carried over."]
    return (content, []) if isinstance(content, dict) else ({}, [f"{path}: is no JSON object."])


def _link(bids_dir: Path, output_dir: Path) -> str:
    """Return where the raw dataset is: relative where both lie together and may be moved together."""
    raw, derived = bids_dir.resolve(), output_dir.resolve()
    if raw in derived.parents or derived in raw.parents or raw.parent == derived.parent:
        return Path(os.path.relpath(raw, derived)).as_posix()
    return raw.as_uri()


def _generated_by() -> dict[str, Any]:
    """Return this program, with the container it runs in, if it runs in one."""
    container = running_container()
    return {"Name": NAME, "Version": __version__} | ({"Container": container} if container else {})


def running_container(*, environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> dict[str, str] | None:
    """Return the container this program runs in, as BIDS describes it; None outside of one.

    Parameters
    ----------
    environment
        Environment variables: the image itself sets QMRI_BIDS_DOCKER_TAG, Apptainer the path of the image.
    root
        Where the files lie that Docker and Podman leave in a container.
    """
    for variable, kind in IMAGE_VARIABLES.items():
        if image := environment.get(variable):
            return {"Type": kind, "Tag": Path(image).name}
    kinds = [kind for name, kind in CONTAINER_FILES.items() if (root / name).exists()]
    if tag := environment.get("QMRI_BIDS_DOCKER_TAG"):
        return {"Type": kinds[0] if kinds else "docker", "Tag": f"{NAME}:{tag}"}
    return {"Type": kinds[0]} if kinds else None
