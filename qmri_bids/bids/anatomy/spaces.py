"""Spaces in which maps are written besides that of their scan, and atlases: what was asked for and whether it can be had."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.bids.files.plain import read_rows
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import RefusedError

if TYPE_CHECKING:  # the command line reads this module
    from qmri_bids.bids.anatomy.given import GivenAnatomy
    from qmri_bids.bids.anatomy.images import Anatomy

NATIVE, T1W, OWN_TEMPLATE = "native", "T1w", "MNI152NLin2009aSym"
"""The space of the scan, that of the anatomical image, and the template inside nilearn."""


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """Labels in some space.

    Parameters
    ----------
    path
        The image of labels.
    name
        What it is called in the names of outputs.
    space
        `native`, `T1w` or a template.
    regions
        Names by label, from the table beside it; empty where there is none.
    """

    path: Path
    name: str
    space: str
    regions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """What is wanted in which space, and what there is for it.

    Parameters
    ----------
    spaces
        Spaces besides `native`, in the order asked for.
    atlas
        Labels that are brought to every run; None for none.
    anatomies
        By session label, empty for none.
    given
        The anatomy that a workflow around this one hands over, for all sessions and in place of `anatomies`; None for none.
    use_masks
        Whether brain masks and tissues of another pipeline replace this program's own.
    cache
        Folder that keeps transforms to the template inside nilearn.
    """

    spaces: tuple[str, ...] = ()
    atlas: Atlas | None = None
    anatomies: Mapping[str, Anatomy] = field(default_factory=dict)
    given: GivenAnatomy | None = None
    use_masks: bool = True
    cache: Path | None = None

    def anatomy_of(self, session: str | None) -> Anatomy | None:
        """Return the anatomy on disk that serves runs of a session, None where there is none or nothing needs it."""
        anatomy = self.anatomies.get(session or "")
        if anatomy is None or self.given is not None:
            return None
        masks = self.use_masks and anatomy.source == "derivatives"
        return anatomy if masks or self.spaces or (self.atlas is not None and self.atlas.space != NATIVE) else None

    def serves(self, session: str | None) -> bool:
        """Whether anything is to be done for runs of a session besides their maps."""
        return bool(self.spaces or self.atlas is not None or self.anatomy_of(session) is not None)


def read_atlas(path: Path, *, space: str | None = None) -> Atlas:
    """Read what an atlas is: its space, from the file name where none is given, its name and the names of its regions.

    Parameters
    ----------
    path
        NIfTI image of labels.
    space
        `native`, `T1w` or a template.

    Raises
    ------
    BidsInputError
        If the image or the table beside it cannot be read, or the space is not known.
    """
    import nibabel as nib
    import numpy as np

    entities = parse_name(path).entities
    space = space or entities.get("space") or entities.get("tpl")
    if space is None:
        raise BidsInputError(
            f"--atlas {path}: expected its space in the file name (space-T1w, tpl-{OWN_TEMPLATE} …), found none; give it with "
            "--atlas-space"
        )
    from qmri_bids.bids.images import check_image

    try:
        if path.name.endswith((".nii", ".nii.gz")):
            check_image(path, root=path.parent)
        image = nib.load(path)
        data = np.asanyarray(image.dataobj)  # type: ignore[attr-defined]
    except RefusedError as error:
        told = error.refusal
        raise BidsInputError(
            f"--atlas {path}: expected a NIfTI image that can be read, found: {told.key}: {told.found} instead of {told.expected}"
        ) from error
    except Exception as error:
        raise BidsInputError(f"--atlas {path}: expected a NIfTI image that can be read, found: {error}") from error
    if data.ndim != 3 or not np.array_equal(data, np.rint(data)) or data.min() < 0:
        raise BidsInputError(
            f"--atlas {path}: expected one volume of whole numbers from 0 up, found shape {data.shape} and values "
            f"{data.min():g} to {data.max():g}"
        )
    name = entities.get("atlas") or entities.get("seg") or path.name.partition(".")[0]
    return Atlas(path=path, name=re.sub(r"[^0-9a-zA-Z+]", "", name), space=space, regions=_regions(path))


def _regions(path: Path) -> dict[int, str]:
    """Return names by label from the table beside an atlas: the columns `index` and `name`."""
    table = path.with_name(path.name.partition(".")[0] + ".tsv")
    if not table.is_file():
        return {}
    try:
        columns, rows = read_rows(table)
        if not {"index", "name"} <= set(columns):
            raise ValueError(f"the columns {', '.join(columns) or 'of an empty table'}")
        return {int(row["index"]): row["name"] for row in rows}
    except ValueError as error:  # what is no number, and what cannot be read
        raise BidsInputError(
            f"{table}: expected the columns index and name, one row a label, found: {error}"
        ) from error


def available_spaces(anatomy: Anatomy | None) -> tuple[str, ...]:
    """Return the spaces in which maps of a session can be written."""
    if anatomy is None:
        return (NATIVE, OWN_TEMPLATE)
    return tuple(dict.fromkeys([NATIVE, T1W, OWN_TEMPLATE, *anatomy.templates]))


def check_spaces(
    spaces: Sequence[str], *, atlas: Atlas | None, anatomies: Mapping[str, Anatomy | None]
) -> tuple[str, ...]:
    """Return the spaces besides `native`, each once.

    Parameters
    ----------
    spaces
        As asked for.
    atlas
        Labels to bring to the runs.
    anatomies
        By session (`sub-01`, `sub-01_ses-1`); None where there is none.

    Raises
    ------
    BidsInputError
        If a space or the space of the atlas cannot be had in a session; the message names those that can.
    """
    for label, anatomy in anatomies.items():
        there = available_spaces(anatomy)
        for space in spaces:
            if space not in there:
                raise BidsInputError(f"--output-spaces {space}: {label} has {', '.join(there)}; {_why(space, anatomy)}")
        if atlas is not None:
            back = tuple(dict.fromkeys([*there[: 2 if anatomy is None else 3], *_backwards(anatomy)]))
            if atlas.space not in back:
                raise BidsInputError(
                    f"--atlas {atlas.path.name} lies in {atlas.space}: {label} has {', '.join(back)}; "
                    f"{_why(atlas.space, anatomy)}"
                )
    return tuple(space for space in dict.fromkeys(spaces) if space != NATIVE)


def _backwards(anatomy: Anatomy | None) -> tuple[str, ...]:
    return () if anatomy is None else tuple(anatomy.from_template)


def _why(space: str, anatomy: Anatomy | None) -> str:
    """Say what a space would need."""
    if anatomy is None:
        return (
            "there is no T1w image in the dataset, and no --derivatives of fMRIPrep or sMRIPrep hold one"
            if space == T1W
            else f"{space} needs --derivatives of fMRIPrep or sMRIPrep with a transform from-T1w_to-{space}"
        )
    if space in anatomy.to_template and space not in anatomy.grids:
        return f"the derivatives hold a transform to {space} but no image in that space that would show its grid"
    return f"{space} needs --derivatives of fMRIPrep or sMRIPrep with a transform from-T1w_to-{space} and its inverse"
