"""Spaces in which maps are written besides that of their scan, and atlases: what was asked for and whether it can be had."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qmri_bids.bids.anatomy.templates import (
    PUBLIC,
    SpaceLabel,
    Template,
    find_template,
    how_to_get,
    parse_label,
    templates_home,
)
from qmri_bids.bids.anatomy.whole_templates import check_template
from qmri_bids.bids.files.plain import read_rows
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import RefusedError

if TYPE_CHECKING:  # the command line reads this module
    import numpy as np
    from numpy.typing import NDArray

    from qmri_bids.bids.anatomy.given import GivenAnatomy
    from qmri_bids.bids.anatomy.images import Anatomy

NATIVE, T1W, OWN_TEMPLATE = "native", "T1w", "MNI152NLin2009aSym"
"""The space of the scan, that of the anatomical image, and the template inside nilearn."""


LONGEST_NAME = 64
"""Letters in the name of an atlas at most: names of files hold 255, and scan, session and space stand in them, too."""


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
    stated
        What the other columns of that table say of each label, such as `concentration_mM`, `exchange_rate` or `pH`; columns that
        hold no number are left out.
    by_grid
        Whether no space was stated: the atlas must then lie on the grid of a run.
    """

    path: Path
    name: str
    space: str
    regions: Mapping[int, str] = field(default_factory=dict)
    stated: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    by_grid: bool = False


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """What is wanted in which space, and what there is for it.

    Parameters
    ----------
    spaces
        Spaces besides `native`, in the order asked for: labels of `templates.parse_label`.
    atlas
        Labels that are brought to every run; None for none.
    anatomies
        By session label, empty for none.
    given
        The anatomy that a workflow around this one hands over, for all sessions and in place of `anatomies`; None for none.
    use_masks
        Whether brain masks and tissues of another pipeline replace this program's own.
    cache
        Folder that keeps transforms to templates.
    templates
        Those on disk into which maps are put, or in which the atlas lies, by the name of the space.
    """

    spaces: tuple[str, ...] = ()
    atlas: Atlas | None = None
    anatomies: Mapping[str, Anatomy] = field(default_factory=dict)
    given: GivenAnatomy | None = None
    use_masks: bool = True
    cache: Path | None = None
    templates: Mapping[str, Template] = field(default_factory=dict)

    def computed(self, anatomy: Anatomy | None) -> tuple[str, ...]:
        """Return the templates to which this program registers: those of nilearn and of the disk that `anatomy` does not reach."""
        wanted = [parse_label(label).space for label in self.spaces]
        wanted += [] if self.atlas is None else [self.atlas.space]
        reached = () if anatomy is None else anatomy.to_template
        own = (OWN_TEMPLATE, *self.templates)
        return tuple(space for space in dict.fromkeys(wanted) if space in own and space not in reached)

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
    """Read what an atlas is: its space, from the file name where none is given, its name, and what is said of its regions.

    Without a stated space it is that of a scan, on whose grid it must lie (`check_atlas_grid`).

    Parameters
    ----------
    path
        NIfTI image of labels.
    space
        `native`, `T1w` or a template.

    Raises
    ------
    BidsInputError
        If the image or the table beside it cannot be read.
    """
    import nibabel as nib
    import numpy as np

    entities = parse_name(path).entities
    space = space or entities.get("space") or entities.get("tpl")
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
    if np.iscomplexobj(data):
        raise BidsInputError(f"--atlas {path}: expected one volume of whole numbers from 0 up, found complex values")
    if data.ndim != 3 or not np.array_equal(data, np.rint(data)) or data.min() < 0:
        raise BidsInputError(
            f"--atlas {path}: expected one volume of whole numbers from 0 up, found shape {data.shape} and values "
            f"{data.min():g} to {data.max():g}"
        )
    if not data.any():
        raise BidsInputError(f"--atlas {path}: expected a label above 0, found 0 in every voxel")
    name = entities.get("atlas") or entities.get("seg") or path.name.partition(".")[0]
    if len(name) > LONGEST_NAME:
        raise BidsInputError(
            f"--atlas {path}: expected a name of {LONGEST_NAME} letters at most, which names of files then hold, found "
            f"{len(name)}; rename it"
        )
    regions, stated = _regions(path)
    return Atlas(
        path=path,
        name=re.sub(r"[^0-9a-zA-Z+]", "", name),
        space=space or NATIVE,
        regions=regions,
        stated=stated,
        by_grid=space is None,
    )


NOT_STATED = ("index", "name", "abbreviation", "color", "colour", "mapping")
"""Columns of a table of labels that say nothing measured."""


def _regions(path: Path) -> tuple[dict[int, str], dict[str, dict[int, float]]]:
    """Return names by label from the table beside an atlas, columns `index` and `name`, and its other columns of numbers."""
    table = path.with_name(path.name.partition(".")[0] + ".tsv")
    if not table.is_file():
        return {}, {}
    try:
        columns, rows = read_rows(table)
        if not {"index", "name"} <= set(columns):
            raise ValueError(f"the columns {', '.join(columns) or 'of an empty table'}")
    except ValueError as error:
        raise BidsInputError(
            f"{table}: expected the columns index and name, one row a label, found: {error}"
        ) from error
    regions: dict[int, str] = {}
    for number, row in enumerate(rows, start=1):
        try:
            label = int(row["index"])
        except ValueError as error:
            raise BidsInputError(
                f"{table}: index, row {number}: expected a whole number, the label in the image, found {row['index']!r}"
            ) from error
        if label in regions:
            raise BidsInputError(f"{table}: index, row {number}: expected each label once, found {label} twice")
        regions[label] = row["name"]
    stated: dict[str, dict[int, float]] = {}
    for column in columns:
        cells = {int(row["index"]): row[column].strip() for row in rows}
        cells = {label: cell for label, cell in cells.items() if cell.lower() not in ("", "n/a")}
        if column.lower() in NOT_STATED or not cells:
            continue
        with contextlib.suppress(ValueError):  # words, of which there is nothing to compare
            stated[column] = {label: float(cell) for label, cell in cells.items()}
    return regions, stated


def check_atlas_grid(atlas: Atlas, images: Sequence[Path]) -> None:
    """Check that an atlas whose space was not stated lies on the grid of one of the images of the runs.

    Raises
    ------
    BidsInputError
        If it lies on none.
    """
    if not atlas.by_grid:
        return
    own = _grid_of(atlas.path)
    found = {path: _grid_of(path) for path in images}
    if not any(_is_same(own, grid) for grid in found.values()):
        shown = "; ".join(f"{path.name}: {' × '.join(map(str, grid[0]))}" for path, grid in list(found.items())[:3])
        same = any(grid[0] == own[0] for grid in found.values())
        raise BidsInputError(
            f"--atlas {atlas.path}: expected its space in the file name (space-T1w, tpl-{OWN_TEMPLATE} …), or the grid of a run, "
            f"found none and {' × '.join(map(str, own[0]))} voxels"
            + (" at another place than the runs" if same else f", where runs have others ({shown or 'there is none'})")
            + "; give its space with --atlas-space (native: coordinates of the scanner)"
        )


def _grid_of(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    import nibabel as nib
    import numpy as np

    image: Any = nib.load(path)
    return tuple(image.shape[:3]), np.asarray(image.affine, dtype=float)


def _is_same(
    first: tuple[tuple[int, ...], NDArray[np.float64]], second: tuple[tuple[int, ...], NDArray[np.float64]]
) -> bool:
    """Return whether two grids are one: no corner more than a twentieth of a voxel away."""
    import numpy as np

    if first[0] != second[0]:
        return False
    corners = np.array([(*np.array(corner) * (np.array(first[0]) - 1), 1) for corner in np.ndindex(2, 2, 2)])
    away = np.linalg.norm(((first[1] - second[1]) @ corners.T)[:3], axis=0)
    return bool(away.max() <= 0.05 * np.linalg.norm(first[1][:3, :3], axis=0).min())


OWN_RESOLUTIONS = ("1", "2")
"""Edges of the voxels [mm] at which the template inside nilearn is offered."""


def find_templates(labels: Sequence[str], *, atlas: Atlas | None = None) -> dict[str, Template]:
    """Return those templates on disk that are asked for, by the name of the space.

    Parameters
    ----------
    labels
        Spaces as asked for.
    atlas
        Labels to bring to the runs, whose space may be a template.

    Raises
    ------
    BidsInputError
        If an image of one is damaged.
    """
    spaces = [parse_label(label).space for label in labels] + ([] if atlas is None else [atlas.space])
    others = (space for space in dict.fromkeys(spaces) if space not in (NATIVE, T1W, OWN_TEMPLATE))
    found = [find_template(space, home=templates_home()) for space in others]
    there = {template.space: template for template in found if template.resolutions}
    asked = [parse_label(label) for label in labels]
    for template in there.values():
        grids = [template.grid(each.resolution) for each in asked if each.space == template.space and each.resolution]
        check_template(template, grids=[grid for grid in grids if grid is not None])
    return there


def available_spaces(anatomy: Anatomy | None, *, templates: Mapping[str, Template] | None = None) -> tuple[str, ...]:
    """Return the spaces in which maps of a session can be written."""
    on_disk = [label for template in (templates or {}).values() for label in template.labels]
    reached = () if anatomy is None else (T1W, OWN_TEMPLATE, *anatomy.templates)
    return tuple(dict.fromkeys([NATIVE, *(reached or (OWN_TEMPLATE,)), *on_disk]))


def can_be_had(label: SpaceLabel, anatomy: Anatomy | None, *, templates: Mapping[str, Template]) -> bool:
    """Return whether maps of a session can be written in a space, on the grid that is asked for."""
    if label.space == OWN_TEMPLATE:
        return label.resolution in ("", *OWN_RESOLUTIONS)
    if label.space in templates:
        return templates[label.space].grid(label.resolution) is not None
    if label.resolution:
        return anatomy is not None and label.resolution == grid_index(anatomy, label.space)
    return label.space in available_spaces(anatomy)


def grid_index(anatomy: Anatomy, space: str) -> str:
    """Return the index of the grid of an anatomy in a template, as its name holds it; empty for none."""
    if space not in anatomy.templates:
        return ""
    return parse_name(anatomy.grids[space]).entities.get("res", "").lstrip("0")


def check_spaces(
    spaces: Sequence[str],
    *,
    atlas: Atlas | None,
    anatomies: Mapping[str, Anatomy | None],
    templates: Mapping[str, Template] | None = None,
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
    templates
        Those on disk, from `find_templates`.

    Raises
    ------
    BidsInputError
        If a space or the space of the atlas cannot be had in a session; the message names those that can.
    """
    templates = templates or {}
    asked = [parse_label(space) for space in spaces]
    for label, anatomy in anatomies.items():
        there = available_spaces(anatomy, templates=templates)
        for space in asked:
            if not can_be_had(space, anatomy, templates=templates):
                raise BidsInputError(
                    f"--output-spaces {space.text}: {label} has {', '.join(there)}.\n{_why(space, anatomy)}"
                )
        if atlas is not None:
            own = (NATIVE, OWN_TEMPLATE) if anatomy is None else (NATIVE, T1W, OWN_TEMPLATE)
            registered = [each for each in templates if anatomy is None or each not in anatomy.to_template]
            back = tuple(dict.fromkeys([*own, *_backwards(anatomy), *registered]))
            if atlas.space not in back:
                raise BidsInputError(
                    f"--atlas {atlas.path.name} lies in {atlas.space}: {label} has {', '.join(back)}.\n"
                    f"{_why(SpaceLabel(space=atlas.space), anatomy)}"
                )
    return tuple(label for label in dict.fromkeys(space.text for space in asked) if label != NATIVE)


def _backwards(anatomy: Anatomy | None) -> tuple[str, ...]:
    return () if anatomy is None else tuple(anatomy.from_template)


def _why(label: SpaceLabel, anatomy: Anatomy | None) -> str:
    """Say what a space would need."""
    space = label.space
    if space in (NATIVE, T1W) and label.resolution:
        return f"{space} has the grid of its image: leave :res-{label.resolution} out."
    if space == T1W:
        return "There is no T1w image in the dataset, and no --derivatives of fMRIPrep or sMRIPrep hold one."
    if space == OWN_TEMPLATE:
        return f"{OWN_TEMPLATE} has the resolutions {' and '.join(OWN_RESOLUTIONS)}."
    home = templates_home()
    template = how_to_get(label, home=home, template=find_template(space, home=home))
    if anatomy is not None and space in anatomy.to_template:
        need = (
            f"The derivatives hold a transform to {space} but no image in that space"
            + (f" with res-{label.resolution}" if label.resolution else " that would show its grid")
            + ", which the template on disk would show."
        )
        return f"{need}\n{template}"
    if space.partition("+")[0] not in PUBLIC:
        return template
    need = (
        f"{space} needs the template on disk, or --derivatives of fMRIPrep or sMRIPrep with a transform from-T1w_to-{space} and "
        "its inverse."
    )
    return f"{need}\n{template}"


def check_templates(spaces: Sequence[str]) -> None:
    """Refuse templates that no file on disk and no derivatives can give, before any image is read.

    Parameters
    ----------
    spaces
        As asked for, of a call without derivatives.

    Raises
    ------
    BidsInputError
        If one cannot be had.
    """
    templates = find_templates(spaces)
    for label in (parse_label(space) for space in spaces):
        if label.space not in (NATIVE, T1W) and not can_be_had(label, None, templates=templates):
            there = dict.fromkeys([NATIVE, T1W, *available_spaces(None, templates=templates)])
            raise BidsInputError(
                f"--output-spaces {label.text}: without --derivatives there are {', '.join(there)}.\n{_why(label, None)}"
            )
