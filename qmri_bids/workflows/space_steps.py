"""Putting a run into other spaces step by step, with what the report says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy import Anatomy
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.spaces import NATIVE, OWN_TEMPLATE, Atlas
from qmri_bids.reports.content import Check, Figure, Level, Section
from qmri_bids.reports.figures import registration_figure
from qmri_bids.workflows.earlier_files import files_of_run, remove_files
from qmri_bids.workflows.registration_checks import registration_check
from qmri_bids.workflows.report_additions import Additions
from qmri_bids.workflows.space_files import (
    OwnTemplate,
    Scan,
    Space,
    bring_atlas,
    own_template,
    space_of,
    write_atlas,
    write_in_space,
    write_rigid,
    write_template,
)

GOOD_OVERLAP, GOOD_CORRELATION = 0.93, 0.65
"""Of a brain registered to the template: below, somebody should look."""


@dataclass(frozen=True, kw_only=True)
class PutInSpaces:
    """Files written, and additions to the report."""

    files: tuple[Path, ...]
    additions: Additions


class _Said:
    """What is collected on the way."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.checks: list[Check] = []
        self.figures: list[Figure] = []
        self.decisions: list[str] = []
        self.warnings: list[str] = []


def put_in_spaces(
    *,
    files: Sequence[Path],
    entities: Mapping[str, str],
    magnitude: NDArray[np.float32],
    mask: NDArray[np.bool_],
    affine: NDArray[np.float64],
    contrast: NDArray[np.float32] | None,
    registration: str | None,
    spaces: Sequence[str],
    atlas: Atlas | None,
    anatomy: Anatomy | None,
    cache: Path,
    bids_dir: Path,
    output_dir: Path,
) -> PutInSpaces:
    """Write the maps of a run in other spaces, the transforms, and the regions of an atlas with their statistics.

    A space that cannot be reached is left out and said: the maps of the run itself are there.

    Parameters
    ----------
    files
        Written of the run.
    entities
        Of the raw run.
    magnitude, mask, affine
        Of its grid.
    contrast
        Image of T1 contrast; None where there is none.
    registration
        File (npz) with the registration to the T1w image.
    spaces, atlas, anatomy
        What is wanted, and what there is for it.
    cache
        Folder that keeps transforms to the template.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    """
    said = _Said()
    found = _registration(registration)
    to_t1w = None
    if anatomy is not None and found is not None:
        if found["failed"]:
            said.warnings.append(
                f"The registration to {anatomy.t1w.name} has failed ({found['failed']}): brain mask and tissues are this "
                "program's own, and nothing was put into other spaces."
            )
            said.checks.append(
                Check(
                    name=f"Registration to {anatomy.t1w.name}",
                    value="failed",
                    level=Level.BAD,
                    explanation=str(found["failed"]),
                )
            )
        else:
            to_t1w = found["transform"]
            said.warnings += [str(each) for each in found["warnings"]]
            said.checks.append(registration_check(f"Registration to {anatomy.t1w.name}", found))
            said.figures.append(
                registration_figure(
                    magnitude,
                    found["anatomical"],
                    affine=affine,
                    mask=mask,
                    fixed_name="image of this scan",
                    moving_name=anatomy.t1w.name,
                    key="registration-t1w",
                    title="Registration of the T1w image",
                    section=Section.REGISTRATION,
                )
            )
    scan = Scan(entities=entities, magnitude=magnitude, mask=mask, affine=affine, to_t1w=to_t1w, contrast=contrast)
    if anatomy is not None:
        said.files += write_rigid(scan, anatomy=anatomy, bids_dir=bids_dir, output_dir=output_dir)
    if anatomy is None or to_t1w is not None:
        _spaces(said, scan, files, spaces, atlas, anatomy, cache, bids_dir, output_dir)
    elif atlas is not None and atlas.space == NATIVE:
        _atlas(said, scan, files, atlas, anatomy, None, bids_dir, output_dir)
    # What an earlier call wrote with other options; `write_derivatives` clears only when it writes itself.
    keep = {*files, *said.files}
    remove_files(
        [
            path
            for path in files_of_run(entities, output_dir=output_dir)
            if path not in keep and {"space", "atlas"} & set(parse_name(path).entities)
        ]
    )
    return PutInSpaces(
        files=tuple(said.files),
        additions=Additions(
            checks=tuple(said.checks),
            figures=tuple(said.figures),
            decisions=tuple(said.decisions),
            warnings=tuple(said.warnings),
        ),
    )


def _registration(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files}
    return content | {"failed": str(content["failed"])}


def _spaces(
    said: _Said,
    scan: Scan,
    files: Sequence[Path],
    spaces: Sequence[str],
    atlas: Atlas | None,
    anatomy: Anatomy | None,
    cache: Path,
    bids_dir: Path,
    output_dir: Path,
) -> None:
    """Write all spaces and the atlas."""
    from qmri_bids.preprocessing.standard_space import TemplateNotReached

    template: OwnTemplate | None = None
    failed = False
    if OWN_TEMPLATE in spaces or (atlas is not None and atlas.space == OWN_TEMPLATE):
        try:
            template = own_template(scan, anatomy=anatomy, cache=cache)
            said.decisions.append(template.sentence)
            said.files += write_template(
                scan, template=template, anatomy=anatomy, bids_dir=bids_dir, output_dir=output_dir
            )
        except TemplateNotReached as error:
            failed = True
            said.warnings.append(f"Nothing was put into {OWN_TEMPLATE}: {error}.")
            said.checks.append(
                Check(name=f"Registration to {OWN_TEMPLATE}", value="failed", level=Level.BAD, explanation=str(error))
            )
    for label in spaces:
        if label == OWN_TEMPLATE and failed:
            continue
        space = space_of(label, scan, anatomy=anatomy, template=template, bids_dir=bids_dir)
        written = write_in_space(files, space=space, output_dir=output_dir)
        said.files += written
        said.decisions.append(
            f"{len(written)} maps and masks were put into {label}, each interpolated once from the grid of this run (linear, "
            "labels and codes nearest neighbour)."
        )
        if label == OWN_TEMPLATE:
            _show_template(said, scan, space, template)
    if atlas is not None and not (atlas.space == OWN_TEMPLATE and failed):
        _atlas(said, scan, files, atlas, anatomy, template, bids_dir, output_dir)


def _atlas(
    said: _Said,
    scan: Scan,
    files: Sequence[Path],
    atlas: Atlas,
    anatomy: Anatomy | None,
    template: OwnTemplate | None,
    bids_dir: Path,
    output_dir: Path,
) -> None:
    brought = bring_atlas(atlas, scan, anatomy=anatomy, template=template)
    said.decisions.append(brought.sentence)
    said.warnings += brought.warnings
    said.files += write_atlas(brought, atlas=atlas, scan=scan, files=files, bids_dir=bids_dir, output_dir=output_dir)


def _show_template(said: _Said, scan: Scan, space: Space, template: OwnTemplate | None) -> None:
    """Judge and show how the run lies in the template."""
    from nilearn.datasets import load_mni152_template

    from qmri_bids.preprocessing.standard_space import interpolate

    if template is not None and template.made:
        good = template.overlap >= GOOD_OVERLAP and template.correlation >= GOOD_CORRELATION
        said.checks.append(
            Check(
                name=f"Registration to {OWN_TEMPLATE}",
                value=f"Dice of the brains {template.overlap:.3f}, correlation {template.correlation:.2f}",
                level=Level.GOOD if good else Level.CHECK,
                explanation=f"Good from {GOOD_OVERLAP} and {GOOD_CORRELATION}. Look at the contours below.",
            )
        )
    image = scan.magnitude if scan.contrast is None else scan.contrast
    moved = np.nan_to_num(
        interpolate(np.where(scan.mask, image, np.nan).astype(np.float32), affine=scan.affine, at=space.at)
    )
    brain = np.asarray(load_mni152_template(resolution=1).dataobj, dtype=np.float32)
    said.figures.append(
        registration_figure(
            moved,
            brain,
            affine=space.affine,
            mask=brain > 0.1 * float(brain.max()),
            fixed_name="1/T1 of this scan" if scan.contrast is not None else "image of this scan",
            moving_name=f"the template {OWN_TEMPLATE}",
            key="registration-template",
            title=f"This scan in {OWN_TEMPLATE}",
            section=Section.REGISTRATION,
        )
    )
