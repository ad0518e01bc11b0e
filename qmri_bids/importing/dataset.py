"""The files of a dataset as a whole: description, participants, what the validator leaves alone, and a text for readers."""

from __future__ import annotations

import os
from pathlib import Path

from qmri_bids import __version__
from qmri_bids.bids.description import BIDS_VERSION, NAME
from qmri_bids.bids.files.plain import UnreadableError, read_json, read_text
from qmri_bids.bids.write import write_json, write_text

IGNORED = ("*_cest.*", "*_cestcontext.*", "*_wassr.*", "*_ssfpcontext.*")
"""Lines of `.bidsignore`: what BIDS has no name for."""

BESIDE = ("code", "sourcedata", "derivatives")
"""Folders that a dataset may have before its first image."""

README = """# {name}

This dataset was made from converted images by `qmri-tools import` ({program} {version}). What each file was taken for and why
stands in `code/import_sub-*.tsv`. Values of images were not changed; keys of sidecars that identify a person were left out.

Please describe here what was measured, on whom, and why.
"""


def check_dataset(bids_dir: Path) -> None:
    """Check that a folder is a raw dataset, or may become one.

    Raises
    ------
    ValueError
        If it is a file, a dataset of derivatives, holds other things, or what must be read or added to cannot be.
    """
    if bids_dir.exists() and not bids_dir.is_dir():
        raise ValueError(f"{bids_dir}: expected a folder, found a file. Choose another one.")
    if (bids_dir / "code").exists() and not (bids_dir / "code").is_dir():
        raise ValueError(f"{bids_dir / 'code'}: expected a folder, found a file. Move it, or choose another folder.")
    for name in (".bidsignore", "participants.tsv"):
        _text(bids_dir / name)
    path = bids_dir / "dataset_description.json"
    if os.path.lexists(path):
        try:
            content = read_json(path)
        except UnreadableError as error:
            raise ValueError(f"{path}: expected JSON, found {error}. Repair or remove the file.") from error
        if not isinstance(content, dict) or content.get("DatasetType", "raw") != "raw":
            raise ValueError(
                f"{path}: DatasetType: expected raw, found a dataset of derivatives. Choose another folder."
            )
        return
    others = [] if not bids_dir.is_dir() else sorted(
        each.name for each in bids_dir.iterdir() if not each.name.startswith(".") and each.name not in BESIDE
    )  # fmt: skip
    if others and not any(name.startswith("sub-") for name in others):
        raise ValueError(
            f"{bids_dir}: expected a BIDS dataset or an empty folder, found {', '.join(others[:5])}. Choose another "
            f"folder: this one "
            "would mix both."
        )


def complete_dataset(bids_dir: Path, *, subject: str) -> tuple[str, ...]:
    """Write what a dataset lacks, and return the names of what was written or added to; nothing that is there is replaced.

    Parameters
    ----------
    bids_dir
        Root of the dataset.
    subject
        Label of the participant, who is added to `participants.tsv`.

    Raises
    ------
    ValueError
        If a table or text that must be added to cannot be read.
    """
    made = []
    name = bids_dir.absolute().name or "dataset"
    if not os.path.lexists(bids_dir / "dataset_description.json"):
        description = {
            "Name": name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": f"{NAME} import", "Version": __version__}],
        }
        made.append(write_json(bids_dir / "dataset_description.json", description).name)
    if not any(os.path.lexists(bids_dir / f"README{end}") for end in ("", ".md", ".rst", ".txt")):
        made.append(
            write_text(bids_dir / "README.md", README.format(name=name, program=NAME, version=__version__)).name
        )
    for path, added in ((bids_dir / ".bidsignore", _ignored), (bids_dir / "participants.tsv", _participants)):
        text = _text(path)
        new = added(text, subject)
        if new != text:
            made.append(write_text(path, new).name)
    return tuple(made)


def _text(path: Path) -> str:
    try:
        return read_text(path) if os.path.lexists(path) else ""
    except UnreadableError as error:
        raise ValueError(f"{path}: expected text in UTF-8, found {error}. Repair the file.") from error


def _ignored(text: str, _: str) -> str:
    missing = [line for line in IGNORED if line not in text.splitlines()]
    return "\n".join([*text.splitlines(), *missing]) + "\n" if missing else text


def _participants(text: str, subject: str) -> str:
    label = f"sub-{subject}"
    lines = text.splitlines() or ["participant_id"]
    if any(line.split("\t")[0].strip() == label for line in lines[1:]):
        return text
    columns = lines[0].split("\t")
    cells = [label if column.strip() == "participant_id" else "n/a" for column in columns]
    return "\n".join([*lines, "\t".join(cells)]) + "\n"
