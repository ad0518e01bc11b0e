"""The node that puts the maps of a run into other spaces and an atlas into the run, and says how well."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import NATIVE, OWN_TEMPLATE, T1W, Atlas
from qmri_bids.bids.anatomy.templates import Template, parse_label
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.files import files_of_run, remove_files
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.maps.select import maps_by_name
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.pipeline.results.report_additions import Additions
from qmri_bids.pipeline.spaces.files import (
    Space,
    credit_anatomy,
    space_of,
    write_in_space,
    write_rigid,
)
from qmri_bids.pipeline.spaces.regions import SeriesOfRun, write_regions
from qmri_bids.pipeline.spaces.scan import Scan, volume_of
from qmri_bids.pipeline.spaces.template_files import (
    TemplateTransforms,
    is_registered,
    template_brain,
    template_transforms,
    write_template,
)
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.reports.content import Check, Figure, Level, Section
from qmri_bids.reports.figure_table import registration_figure
from qmri_bids.reports.measures import Measure


@dataclass(frozen=True, kw_only=True)
class AtlasInRun:
    """An atlas on the grid of a run: labels, and what a reader must know."""

    labels: NDArray[np.int64]
    sentence: str
    warnings: tuple[str, ...] = field(default=())


def bring_atlas(
    atlas: Atlas, scan: Scan, *, anatomy: Anatomy | None, template: TemplateTransforms | None
) -> AtlasInRun:
    """Return the labels of an atlas on the grid of a run: nearest neighbour at once through all transforms."""
    from qmri_bids.preprocessing.registration.standard_space import interpolate, positions

    shape = scan.magnitude.shape
    transform: Path | None = None
    affine = scan.affine
    if atlas.space not in (NATIVE, T1W):
        transform = None if template is None else template.inverse
        if transform is None and anatomy is not None:
            transform = anatomy.from_template[atlas.space]
    of_run = atlas.space == NATIVE or (template is not None and template.of_run)
    if not of_run and scan.to_t1w is not None:
        affine = scan.to_t1w @ affine
    data, atlas_affine = volume_of(atlas.path)
    at = positions(shape=shape, affine=affine, transform=transform)
    labels = np.rint(interpolate(data, affine=atlas_affine, at=at, nearest=True)).astype(np.int64)
    labels[~scan.mask] = 0
    wanted = {int(each) for each in np.unique(data) if each > 0}
    there = {int(each) for each in np.unique(labels) if each > 0}
    lost = sorted(wanted - there)
    sentence = (
        f"{atlas.path.name} ({atlas.space}) was brought to this run, nearest neighbour, inside its mask: {len(there)} of "
        f"{len(wanted)} regions."
    )
    shown = ", ".join(atlas.regions.get(each, str(each)) for each in lost[:5])
    warnings = (
        (
            f"{len(lost)} regions of {atlas.path.name} have no voxel in this run: {shown}{' …' if len(lost) > 5 else ''}.",
        )
        if lost
        else ()
    )
    return AtlasInRun(labels=labels, sentence=sentence, warnings=warnings)


GOOD_OVERLAP, GOOD_CORRELATION = 0.93, 0.65
"""Dice and correlation of a brain registered to the template: below either, somebody should look."""


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
    estimate: Path | None = None,
    series: SeriesOfRun | None = None,
    templates: Mapping[str, Template] | None = None,
) -> SpacesDone:
    """Write the maps of a run in other spaces, the transforms, and the regions of an atlas with their statistics.

    A space that cannot be reached is left out and said: the maps of the run itself are there.

    Parameters
    ----------
    files
        Files written of the run.
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
    estimate
        What was estimated (npz), for the curves of the regions of the atlas.
    series
        What a fingerprint consists of; None for other runs.
    templates
        Templates on disk by their label.
    """
    work = _Work(
        scan,
        files=files,
        anatomy=anatomy,
        bids_dir=bids_dir,
        output_dir=output_dir,
        estimate=estimate,
        series=series,
        templates=templates or {},
    )
    work.place(_registration(registration), use_masks=use_masks)
    reached = anatomy is None or work.scan.to_t1w is not None
    wanted = list(spaces) if reached else []
    of_atlas = [atlas.space] if atlas is not None and (reached or atlas.space == NATIVE) else []
    found: dict[str, TemplateTransforms | None] = {}
    for space in dict.fromkeys([*(parse_label(label).space for label in wanted), *of_atlas]):
        if is_registered(space, anatomy=anatomy, templates=work.templates):
            found[space] = work.template(space, cache)
    for label in wanted:
        space = parse_label(label).space
        if space not in found or found[space] is not None:
            work.put(label, found.get(space))
    if atlas is not None and of_atlas and (atlas.space not in found or found[atlas.space] is not None):
        work.bring(atlas, found.get(atlas.space))
    return SpacesDone(files=tuple(work.written), additions=work.additions)


def clear_spaces(entities: Mapping[str, str], *, keep: Collection[Path], output_dir: Path) -> None:
    """Remove what an earlier call with other options wrote; `write_derivatives` clears only when it writes itself.

    Parameters
    ----------
    entities
        Entities of the raw run.
    keep
        Files of this call.
    output_dir
        Root of the derivatives.
    """
    there = files_of_run(entities, output_dir=output_dir)
    remove_files([path for path in there if path not in keep and {"space", "atlas"} & set(parse_name(path).entities)])


class _Work:
    """What is done for a run, and what is collected on the way."""

    def __init__(
        self,
        scan: Scan,
        *,
        files: Sequence[Path],
        anatomy: Anatomy | None,
        bids_dir: Path,
        output_dir: Path,
        estimate: Path | None = None,
        series: SeriesOfRun | None = None,
        templates: Mapping[str, Template],
    ) -> None:
        self.templates = templates
        self._shown: set[str] = set()
        self._estimate, self._series = estimate, series
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
        of = "Registration to the T1w image"
        self._checks.append(registration_check(name, found, of=of, about=anatomy.t1w.name))
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

    def template(self, space: str, cache: Path) -> TemplateTransforms | None:
        """Return the transforms to a template; None where it cannot be reached, which is said."""
        from qmri_bids.preprocessing.registration.standard_space import TemplateNotReached

        try:
            template = template_transforms(
                space, self.scan, anatomy=self._anatomy, cache=cache, templates=self.templates
            )
        except TemplateNotReached as error:
            self._warnings.append(f"Nothing was put into {space}: {error}.")
            self._checks.append(
                Check(name=f"Registration to {space}", value="failed", level=Level.BAD, explanation=str(error))
            )
            return None
        self._decisions.append(template.sentence)
        if template.made:
            good = template.overlap >= GOOD_OVERLAP and template.correlation >= GOOD_CORRELATION
            self._checks.append(
                Check(
                    name=f"Registration to {space}",
                    value=f"Dice of the brains {template.overlap:.3f}, correlation {template.correlation:.2f}",
                    level=Level.GOOD if good else Level.CHECK,
                    explanation=f"Good from {GOOD_OVERLAP} and {GOOD_CORRELATION}. Look at the contours below.",
                    measures=(
                        Measure(key="template_overlap", value=template.overlap, of=space),
                        Measure(key="template_correlation", value=template.correlation, of=space),
                    ),
                )
            )
        self.written += write_template(self.scan, template=template, anatomy=self._anatomy, **self._roots)
        return template

    def put(self, label: str, template: TemplateTransforms | None) -> None:
        """Write the maps in another space."""
        space = space_of(
            label,
            self.scan,
            anatomy=self._anatomy,
            template=template,
            templates=self.templates,
            bids_dir=self._roots["bids_dir"],
        )
        written = write_in_space(self._files, space=space, output_dir=self._out)
        self.written += written
        self._decisions.append(
            f"{len(written)} maps and masks were put into {label}, each interpolated once from the grid of this run (linear, "
            "labels and codes nearest neighbour)."
        )
        if template is not None and space.label not in self._shown:
            self._shown.add(space.label)
            self._show_template(space)

    def bring(self, atlas: Atlas, template: TemplateTransforms | None) -> None:
        """Write the regions of an atlas in the run, and the statistics of its maps."""
        brought = bring_atlas(atlas, self.scan, anatomy=self._anatomy, template=template)
        self._decisions.append(brought.sentence)
        self._warnings += brought.warnings
        found = write_regions(
            brought.labels,
            atlas=atlas,
            scan=self.scan,
            files=self._files,
            estimate=self._estimate,
            series=self._series,
            **self._roots,
        )
        self.written += found.files
        self._figures += found.figures
        self._decisions += found.decisions

    def _show_template(self, space: Space) -> None:
        """Show how the run lies in a template, on the grid of the template's image."""
        from qmri_bids.preprocessing.registration.standard_space import interpolate, positions

        scan = self.scan
        image = np.where(scan.mask, scan.magnitude if scan.contrast is None else scan.contrast, np.nan)
        moved = np.nan_to_num(interpolate(image.astype(np.float32), affine=scan.affine, at=space.at))
        template = template_brain(space.label, templates=self.templates)
        at = positions(shape=moved.shape, affine=space.affine)
        brain = np.nan_to_num(interpolate(template.image, affine=template.affine, at=at))
        self._figures.append(
            registration_figure(
                moved,
                brain,
                affine=space.affine,
                mask=brain > 0.1 * float(brain.max()),
                fixed_name="1/T1 of this scan" if scan.contrast is not None else "image of this scan",
                moving_name=f"the template {space.label}",
                key="registration-template" + ("" if space.label == OWN_TEMPLATE else f"-{space.label}"),
                title=f"This scan in {space.label}",
                section=Section.REGISTRATION,
            )
        )


def _registration(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files}
    return content | {"failed": str(content["failed"])}


FASTEST = 1.8
"""Relaxation rate over the median of the brain above which a voxel is no brain."""


class _PutInSpacesInput(ReadsFiles):
    files = InputMultiObject(File(exists=True), mandatory=True, desc="files written of the run, on its own grid")
    magnitude = File(exists=True, mandatory=True, desc="image of the run with its scalp")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    kind = traits.Str(BRAIN, usedefault=True, desc="what the mask holds: brain, object or all")
    estimate = File(exists=True, mandatory=True, desc="maps (npz), for their T1 contrast")
    registration = File(exists=True, desc="where the run lies in the T1w image (npz); none without an anatomy")
    entities = traits.Dict(mandatory=True, desc="entities of the raw run")
    spaces = traits.List(traits.Str, desc="spaces besides that of the run")
    atlas = traits.Any(desc="Atlas; none for none")
    series = traits.Any(desc="SeriesOfRun of a fingerprint; none for other runs")
    anatomy = traits.Any(desc="Anatomy of the session; none for none")
    anatomy_files = InputMultiObject(File(exists=True), desc="its files, so that changed ones are noticed")
    use_masks = traits.Bool(
        True, usedefault=True, desc="whether mask and tissues of the anatomy were taken for the run"
    )
    templates = traits.Any(desc="templates on disk by their label")
    template_files = InputMultiObject(File(exists=True), desc="their files, so that changed ones are noticed")
    cache = traits.Str("", usedefault=True, nohash=True, desc="folder that keeps transforms to the template")
    bids_dir = traits.Str(mandatory=True, desc="root of the raw dataset")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")


class _PutInSpacesOutput(TraitedSpec):
    files = traits.List(traits.Str, desc="all files of the run, those in other spaces last")
    maps = traits.Dict(traits.Str, traits.Str, desc="images among them by what they show, as in `select_map`")
    additions = File(exists=True, desc="checks, figures and sentences for the report")


class PutInSpaces(SimpleInterface):
    """Write maps in other spaces, transforms, and the statistics of an atlas."""

    input_spec = _PutInSpacesInput
    output_spec = _PutInSpacesOutput
    needs = NodeMemory(fixed=900e6, per_voxel=200, per_other=200)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.pipeline.results.report_additions import save_additions

        inputs = self.inputs

        def given(name: str) -> Any:
            value = getattr(inputs, name)
            return value if isdefined(value) else None

        magnitude, affine = load_volume(inputs.magnitude)
        done = put_in_spaces(
            files=[Path(path) for path in inputs.files],
            scan=Scan(
                entities=inputs.entities,
                magnitude=np.asarray(magnitude, dtype=np.float32),
                mask=load_volume(inputs.mask)[0] > 0,
                affine=affine,
                contrast=_contrast(inputs.estimate),
                holds_brain=inputs.kind == BRAIN,
            ),
            registration=given("registration"),
            spaces=tuple(inputs.spaces) if isdefined(inputs.spaces) else (),
            atlas=given("atlas"),
            anatomy=given("anatomy"),
            use_masks=inputs.use_masks,
            cache=Path(inputs.cache or runtime.cwd),
            bids_dir=Path(inputs.bids_dir),
            output_dir=Path(inputs.output_dir),
            estimate=Path(inputs.estimate),
            series=given("series"),
            templates=given("templates"),
        )
        self._results["files"] = [*inputs.files, *(str(path) for path in done.files)]
        clear_spaces(
            inputs.entities,
            keep={Path(path) for path in self._results["files"]},
            output_dir=Path(inputs.output_dir),
        )
        self._results["maps"] = maps_by_name(self._results["files"], entities=inputs.entities)
        self._results["additions"] = save_additions(Path(runtime.cwd) / "additions.pickle", done.additions)
        return runtime


def _contrast(path: str) -> NDArray[np.float32] | None:
    """Return an image in which white matter is bright and fluid dark: 1/T1, where there is a map of T1 or R1."""
    with np.load(path) as stored:
        for name, power in (("T1", -1.0), ("R1", 1.0)):
            if name in stored and stored[name].ndim == 3 and np.isfinite(stored[name]).sum() > 1000:
                with np.errstate(all="ignore"):
                    values = np.asarray(stored[name], dtype=np.float32) ** np.float32(power)
                valid = np.isfinite(values) & (values > 0.0)
                if np.ptp(values[valid]) > 0.0:
                    # White matter is at 1.4 times the median; what relaxes far faster is bone, fat or a failed voxel.
                    return np.where(valid & (values < FASTEST * np.median(values[valid])), values, 0.0)
    return None
