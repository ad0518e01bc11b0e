"""Putting a run into other spaces step by step, with what the report says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import NATIVE, OWN_TEMPLATE, Atlas
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.pipeline.earlier.files import files_of_run, remove_files
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.pipeline.results.report_additions import Additions
from qmri_bids.pipeline.spaces.atlas_files import bring_atlas, write_atlas
from qmri_bids.pipeline.spaces.files import Space, credit_anatomy, space_of, write_in_space, write_rigid
from qmri_bids.pipeline.spaces.scan import Scan
from qmri_bids.pipeline.spaces.template_files import OwnTemplate, own_template, write_template
from qmri_bids.reports.content import Check, Figure, Level, Section
from qmri_bids.reports.figure_table import registration_figure
from qmri_bids.reports.measures import Measure

GOOD_OVERLAP, GOOD_CORRELATION = 0.93, 0.65
"""Of a brain registered to the template: below, somebody should look."""


@dataclass(frozen=True, kw_only=True)
class SpacesDone:
    """Files written, and additions to the report."""

    files: tuple[Path, ...]
    additions: Additions


def put_in_spaces(
    *,
    files: Sequence[Path],
    scan: Scan,
    registration: str | None,
    spaces: Sequence[str],
    atlas: Atlas | None,
    anatomy: Anatomy | None,
    cache: Path,
    bids_dir: Path,
    output_dir: Path,
    use_masks: bool = True,
) -> SpacesDone:
    """Write the maps of a run in other spaces, the transforms, and the regions of an atlas with their statistics.

    A space that cannot be reached is left out and said: the maps of the run itself are there.

    Parameters
    ----------
    files
        Written of the run.
    scan
        The run, not yet placed in the T1w image.
    registration
        File (npz) with the registration to the T1w image.
    spaces, atlas, anatomy
        What is wanted, and what there is for it.
    cache
        Folder that keeps transforms to the template.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    use_masks
        Whether mask and tissues of the anatomy, where it has any, were taken for the run.
    """
    work = _Work(scan, files=files, anatomy=anatomy, bids_dir=bids_dir, output_dir=output_dir)
    work.place(_registration(registration), use_masks=use_masks)
    reached = anatomy is None or work.scan.to_t1w is not None
    template = None
    wanted = list(spaces) if reached else []
    if OWN_TEMPLATE in wanted or (reached and atlas is not None and atlas.space == OWN_TEMPLATE):
        template = work.template(cache)
    for label in wanted:
        if label != OWN_TEMPLATE or template is not None:
            work.put(label, template)
    if atlas is not None and (
        atlas.space == NATIVE or (reached and (atlas.space != OWN_TEMPLATE or template is not None))
    ):
        work.bring(atlas, template)
    work.clear()
    return SpacesDone(files=tuple(work.written), additions=work.additions)


class _Work:
    """What is done for a run, and what is collected on the way."""

    def __init__(
        self, scan: Scan, *, files: Sequence[Path], anatomy: Anatomy | None, bids_dir: Path, output_dir: Path
    ) -> None:
        self.scan, self._files, self._anatomy, self._out = scan, files, anatomy, output_dir
        self._roots: dict[str, Path] = {"bids_dir": bids_dir, "output_dir": output_dir}
        self.written: list[Path] = []
        self._checks: list[Check] = []
        self._figures: list[Figure] = []
        self._decisions: list[str] = []
        self._warnings: list[str] = []

    @property
    def additions(self) -> Additions:
        """What the report is to say."""
        return Additions(
            checks=tuple(self._checks),
            figures=tuple(self._figures),
            decisions=tuple(self._decisions),
            warnings=tuple(self._warnings),
        )

    def place(self, found: Mapping[str, Any] | None, *, use_masks: bool) -> None:
        """Place the run in the T1w image, by the registration that was found, and say whose mask and tissues it has."""
        anatomy, scan = self._anatomy, self.scan
        if anatomy is None or found is None:
            return
        name = f"Registration to {anatomy.t1w.name}"
        if found["failed"]:
            self._warnings.append(
                f"The registration to {anatomy.t1w.name} has failed ({found['failed']}): brain mask and tissues are this "
                "program's own, and nothing was put into other spaces."
            )
            self._checks.append(Check(name=name, value="failed", level=Level.BAD, explanation=str(found["failed"])))
            return
        self.scan = scan = replace(scan, to_t1w=found["transform"])
        self._warnings += [str(each) for each in found["warnings"]]
        self._checks.append(registration_check(name, found))
        self._figures.append(
            registration_figure(
                scan.magnitude,
                found["anatomical"],
                affine=scan.affine,
                mask=scan.mask,
                fixed_name="image of this scan",
                moving_name=anatomy.t1w.name,
                key="registration-t1w",
                title="Registration of the T1w image",
                section=Section.REGISTRATION,
            )
        )
        self.written += write_rigid(scan, anatomy=anatomy, **self._roots)
        if use_masks:
            credit_anatomy(self._files, anatomy=anatomy, bids_dir=self._roots["bids_dir"])

    def template(self, cache: Path) -> OwnTemplate | None:
        """Return the transforms to the template inside nilearn; None where it cannot be reached, which is said."""
        from qmri_bids.preprocessing.registration.standard_space import TemplateNotReached

        try:
            template = own_template(self.scan, anatomy=self._anatomy, cache=cache)
        except TemplateNotReached as error:
            self._warnings.append(f"Nothing was put into {OWN_TEMPLATE}: {error}.")
            self._checks.append(
                Check(name=f"Registration to {OWN_TEMPLATE}", value="failed", level=Level.BAD, explanation=str(error))
            )
            return None
        self._decisions.append(template.sentence)
        if template.made:
            good = template.overlap >= GOOD_OVERLAP and template.correlation >= GOOD_CORRELATION
            self._checks.append(
                Check(
                    name=f"Registration to {OWN_TEMPLATE}",
                    value=f"Dice of the brains {template.overlap:.3f}, correlation {template.correlation:.2f}",
                    level=Level.GOOD if good else Level.CHECK,
                    explanation=f"Good from {GOOD_OVERLAP} and {GOOD_CORRELATION}. Look at the contours below.",
                    measures=(
                        Measure(key="template_overlap", value=template.overlap, of=OWN_TEMPLATE),
                        Measure(key="template_correlation", value=template.correlation, of=OWN_TEMPLATE),
                    ),
                )
            )
        self.written += write_template(self.scan, template=template, anatomy=self._anatomy, **self._roots)
        return template

    def put(self, label: str, template: OwnTemplate | None) -> None:
        """Write the maps in another space."""
        space = space_of(label, self.scan, anatomy=self._anatomy, template=template, bids_dir=self._roots["bids_dir"])
        written = write_in_space(self._files, space=space, output_dir=self._out)
        self.written += written
        self._decisions.append(
            f"{len(written)} maps and masks were put into {label}, each interpolated once from the grid of this run (linear, "
            "labels and codes nearest neighbour)."
        )
        if label == OWN_TEMPLATE:
            self._show_template(space)

    def bring(self, atlas: Atlas, template: OwnTemplate | None) -> None:
        """Write the regions of an atlas in the run, and the statistics of its maps."""
        brought = bring_atlas(atlas, self.scan, anatomy=self._anatomy, template=template)
        self._decisions.append(brought.sentence)
        self._warnings += brought.warnings
        self.written += write_atlas(brought, atlas=atlas, scan=self.scan, files=self._files, **self._roots)

    def clear(self) -> None:
        """Remove what an earlier call with other options wrote; `write_derivatives` clears only when it writes itself."""
        keep = {*self._files, *self.written}
        there = files_of_run(self.scan.entities, output_dir=self._out)
        remove_files(
            [path for path in there if path not in keep and {"space", "atlas"} & set(parse_name(path).entities)]
        )

    def _show_template(self, space: Space) -> None:
        """Show how the run lies in the template."""
        from nilearn.datasets import load_mni152_template

        from qmri_bids.preprocessing.registration.standard_space import interpolate

        scan = self.scan
        image = np.where(scan.mask, scan.magnitude if scan.contrast is None else scan.contrast, np.nan)
        moved = np.nan_to_num(interpolate(image.astype(np.float32), affine=scan.affine, at=space.at))
        brain = np.asarray(load_mni152_template(resolution=1).dataobj, dtype=np.float32)
        self._figures.append(
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


def _registration(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files}
    return content | {"failed": str(content["failed"])}
