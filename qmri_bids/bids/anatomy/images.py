"""The anatomical image of a session, and what fMRIPrep or sMRIPrep made of it: masks, tissues and transforms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.files.plain import UnreadableError, check_regular, read_json
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.tissue_labels import ABBREVIATIONS

LABELS = (0, 1, 2, 3)
"""Of a dseg: outside and three tissues, in whatever order."""

LARGEST = 2**27
"""Voxels of an anatomical image: those of 512³."""

HDF5 = b"\x89HDF"
"""How a composite transform begins."""

ADVICE = "Restore the file, or leave this folder out of --derivatives; masks and tissues alone are left out with --ignore anatomy."


def check_anatomy_files(
    t1w: Path,
    *,
    brain_mask: Path | None = None,
    dseg: Path | None = None,
    probseg: Sequence[Path] = (),
    transforms: Sequence[Path] = (),
    grids: Sequence[Path] = (),
) -> None:
    """Check the files of an anatomy.

    Parameters
    ----------
    t1w
        The image: 3D, finite, not constant.
    brain_mask, dseg, probseg
        On its grid; the mask holds something, the labels are those of three tissues.
    transforms
        Files of transforms, that they are no stubs.
    grids
        Images whose grid is that of a template.

    Raises
    ------
    RefusedError
        At the first file that is not what it should be.
    """
    values, affine = _read(t1w)
    if values.ndim != 3:
        raise _refuse(t1w, key="shape", expected="a 3D image", found=f"shape {values.shape}")
    if not np.all(np.isfinite(values)):
        share = 100.0 * float(np.mean(~np.isfinite(values)))
        raise _refuse(
            t1w, key="values", expected="finite values", found=f"NaN or infinite in {share:.2g} % of the voxels"
        )
    if not np.ptp(values) > 0.0:
        raise _refuse(
            t1w, key="values", expected="an image of a head", found=f"the value {values.flat[0]:g} everywhere"
        )
    for path in (each for each in (brain_mask, dseg, *probseg) if each is not None):
        other, other_affine = _read(path)
        if other.shape != values.shape or not np.allclose(other_affine, affine, atol=1e-3):
            found = f"shape {other.shape}" if other.shape != values.shape else "another affine"
            raise _refuse(path, key="grid", expected=f"that of {t1w.name}, shape {values.shape}", found=found)
        if not np.any(other > 0):
            raise _refuse(path, key="values", expected="voxels of the brain", found="no value above 0")
        if path == dseg and not set(np.unique(other).tolist()) <= set(LABELS):
            shown = ", ".join(f"{each:g}" for each in np.unique(other)[:8])
            raise _refuse(path, key="labels", expected="0 and three tissues, 1 to 3", found=shown)
    for path in grids:
        _grid(path)
    for path in transforms:
        _check_transform(path)


def _check_transform(path: Path) -> None:
    """Refuse a transform that is empty, or not of the format that its name says."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            begin = file.read(len(HDF5))
    except (OSError, UnreadableError) as error:
        raise _refuse(path, key="transform", expected="a file that can be read", found=f"{error}") from error
    if not begin or (path.suffix == ".h5" and begin != HDF5):
        found = "an empty file" if not begin else "another format"
        raise _refuse(path, key="transform", expected="an ITK transform", found=found)


def _grid(path: Path) -> Any:
    """Return the image, whose data are not read."""
    import nibabel as nib

    from qmri_bids.bids.images import check_image

    if path.name.endswith((".nii", ".nii.gz")):
        try:
            check_image(path, root=path.parent)
        except RefusedError as error:
            told = error.refusal
            whole = told.key == "file"
            raise _refuse(
                path,
                key="image" if whole else told.key,
                expected="a NIfTI image that can be read" if whole else told.expected,
                found=told.found,
            ) from error
    try:
        image: Any = nib.load(path)
        return image if len(image.shape) >= 3 else nib.squeeze_image(image)
    except Exception as error:
        raise _refuse(path, key="image", expected="a NIfTI image that can be read", found=f"{error}") from error


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return values and affine."""
    image = _grid(path)
    if math.prod(image.shape) > LARGEST:
        raise _refuse(path, key="shape", expected=f"at most {LARGEST / 1e6:.0f} million voxels", found=str(image.shape))
    try:
        return np.asanyarray(image.dataobj), image.affine
    except Exception as error:
        raise _refuse(path, key="image", expected="a NIfTI image that can be read", found=f"{error}") from error


def _refuse(path: Path, *, key: str, expected: str, found: str) -> RefusedError:
    # The whole path: it may lie in any of several datasets.
    return refuse(file=str(path), key=key, expected=expected, found=found, advice=ADVICE)


PIPELINES = ("fmriprep", "smriprep")
"""Programs whose derivatives are read, by the name in GeneratedBy or the name given with `--derivatives NAME=PATH`."""

TISSUES = tuple(ABBREVIATIONS.values())
"""Labels of the images of probability that are read."""

_OWN = ("desc", "label", "from", "to", "mode", "space", "res", "den", "cohort")
"""Entities that tell the files of one anatomy apart."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A T1-weighted image and what belongs to it.

    Parameters
    ----------
    t1w
        The image, with scalp.
    root
        The dataset in which it lies.
    source
        `raw`, or `derivatives` of another pipeline.
    pipeline
        Name and version of that pipeline, empty for a raw image.
    brain_mask, dseg
        On the grid of the image; None where there is none.
    probseg
        Probability of grey matter, white matter and fluid on the same grid, by label.
    to_template, from_template
        Composite transforms (`from-T1w_to-<template>` and the inverse) by template.
    grids
        For every template an image on its grid.
    sentences
        What was found and what is missing.
    """

    t1w: Path
    root: Path
    source: Literal["raw", "derivatives"]
    pipeline: str = ""
    brain_mask: Path | None = None
    dseg: Path | None = None
    probseg: Mapping[str, Path] = field(default_factory=dict)
    to_template: Mapping[str, Path] = field(default_factory=dict)
    from_template: Mapping[str, Path] = field(default_factory=dict)
    grids: Mapping[str, Path] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()

    @property
    def has_tissues(self) -> bool:
        """Whether tissues can be taken from it."""
        return self.dseg is not None or set(self.probseg) >= set(TISSUES)

    @property
    def templates(self) -> tuple[str, ...]:
        """Templates into which an image can be brought: transform and grid are there."""
        return tuple(name for name in self.to_template if name in self.grids)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        single = [path for path in (self.t1w, self.brain_mask, self.dseg) if path is not None]
        many = (self.probseg, self.to_template, self.from_template)
        return (*single, *(path for each in many for path in each.values()))


def find_anatomy(
    *,
    bids_dir: Path,
    subject: str,
    session: str | None,
    derivatives: Mapping[str, Path] | None = None,
    use_masks: bool = True,
    needed: bool = True,
) -> tuple[Anatomy | None, tuple[str, ...]]:
    """Return the anatomy of a session, the derivatives of another pipeline first, and sentences where there is none.

    Parameters
    ----------
    bids_dir
        The raw dataset.
    subject, session
        Bare labels; session None for a subject without sessions.
    derivatives
        Folders of derivatives by name; those of other programs than `PIPELINES` are passed over.
    use_masks
        Whether masks and tissues are wanted; they are neither checked nor returned otherwise.
    needed
        Whether the image itself serves something besides: if neither, no file is opened.

    Raises
    ------
    RefusedError
        If a file that belongs to an anatomy is damaged or lies on another grid than its image.
    """
    missing: list[str] = []
    for name, root in (derivatives or {}).items():
        pipeline = pipeline_of(root, name=name)
        if pipeline is None:
            continue
        found = _choose(root, subject, session, desc="preproc")
        if found is None:
            missing.append(f"{pipeline} ({root}) has no desc-preproc_T1w of sub-{subject}: it is not used.")
            continue
        path, remarks = found
        anatomy = _of_pipeline(path, root=root, pipeline=pipeline)
        if not use_masks:
            anatomy = replace(anatomy, brain_mask=None, dseg=None, probseg={})
        if use_masks or needed:
            check_anatomy(anatomy)
        return replace(anatomy, sentences=(*missing, *anatomy.sentences, *remarks)), ()
    found = _choose(bids_dir, subject, session, desc=None)
    if found is None:
        return None, (*missing, f"sub-{subject} has no T1w image.")
    path, remarks = found
    sentence = f"The T1w space is that of {relative_name(path, bids_dir)}, a raw image."
    anatomy = Anatomy(t1w=path, root=bids_dir, source="raw", sentences=(*missing, sentence, *remarks))
    if needed:
        check_anatomy(anatomy)
    return anatomy, ()


def pipeline_of(root: Path, *, name: str = "") -> str | None:
    """Return the name and version of the pipeline that made a folder of derivatives; None if it is none of `PIPELINES`.

    Parameters
    ----------
    root
        The folder.
    name
        Name under which it was given: `fmriprep` and `smriprep` are believed where the folder does not say what made it.
    """
    try:
        content = read_json(root / "dataset_description.json")
    except UnreadableError:
        content = {}
    made = content.get("GeneratedBy", []) if isinstance(content, dict) else []
    for entry in made if isinstance(made, list) else []:
        if isinstance(entry, dict) and str(entry.get("Name", "")).lower() in PIPELINES:
            return f"{entry['Name']} {entry.get('Version', '')}".strip()
    return name if not made and name.lower() in PIPELINES else None


def _folders(root: Path, subject: str, session: str | None) -> Iterator[tuple[Path, str]]:
    """Yield folders in which an anatomy may lie, the best first, with what a reader must know of it."""
    top = root / f"sub-{subject}"
    if session is not None:
        yield top / f"ses-{session}" / "anat", ""
    yield top / "anat", "" if session is None else "it is that of all sessions"
    for folder in sorted(top.glob("ses-*")):
        if folder.name != f"ses-{session}":
            yield folder / "anat", f"it is of {folder.name}: head and coil may lie elsewhere, and months may be between"


def _choose(root: Path, subject: str, session: str | None, *, desc: str | None) -> tuple[Path, tuple[str, ...]] | None:
    """Return the T1w image of the nearest folder that has one, with remarks."""
    for folder, remark in _folders(root, subject, session):
        found = []
        for path in sorted(folder.glob("*_T1w.nii*")):
            entities = parse_name(path).entities
            if entities.get("desc") == desc and "space" not in entities and entities.get("part", "mag") == "mag":
                found.append(path)
        if found:
            found.sort(key=lambda path: (len(parse_name(path).entities), path.name))
            remarks = [f"{found[0].name} serves as T1w image: {remark}."] if remark else []
            if len(found) > 1:
                others = ", ".join(path.name for path in found[1:])
                remarks.append(f"{found[0].name} serves as T1w image, the first by name (the others: {others}).")
            return found[0], tuple(remarks)
    return None


def _of_pipeline(t1w: Path, *, root: Path, pipeline: str) -> Anatomy:
    """Return the anatomy of an image of a pipeline with all that lies beside it."""
    own = {key: label for key, label in parse_name(t1w).entities.items() if key not in _OWN}
    beside = [path for path in sorted(t1w.parent.iterdir()) if _belongs(path, own)]

    def pick(suffix: str, extensions: Sequence[str] = (".nii.gz", ".nii"), **wanted: str) -> Path | None:
        for path in beside:
            name = parse_name(path)
            special = {key: label for key, label in name.entities.items() if key in _OWN}
            if name.suffix == suffix and name.extension in extensions and special == wanted:
                return path
        return None

    to_template: dict[str, Path] = {}
    from_template: dict[str, Path] = {}
    grids: dict[str, Path] = {}
    for path in beside:
        name = parse_name(path)
        ends = name.entities.get("from"), name.entities.get("to")
        if name.suffix == "xfm" and name.extension in (".h5", ".txt", ".mat"):
            if ends[0] == "T1w" and ends[1] is not None:
                to_template.setdefault(ends[1], path)
            if ends[1] == "T1w" and ends[0] is not None:
                from_template.setdefault(ends[0], path)
        space = name.entities.get("space")
        if space is not None and name.extension in (".nii.gz", ".nii"):
            grids.setdefault(space, path)
    for known in (to_template, from_template):
        for name_of in ("T1w", "fsnative", "fsaverage", "T2w"):
            known.pop(name_of, None)
    mask = pick("mask", desc="brain")
    dseg = pick("dseg")
    probabilities = {label: pick("probseg", label=label) for label in TISSUES}
    probseg = {label: found for label, found in probabilities.items() if found is not None}
    sentences = [f"Anatomy is that of {pipeline}: {relative_name(t1w, root)}."]
    if mask is None:
        sentences.append(f"{pipeline} has no desc-brain_mask beside {t1w.name}: brain masks are this program's own.")
    if 0 < len(probseg) < len(TISSUES):
        gone = ", ".join(f"label-{label}" for label in TISSUES if label not in probseg)
        sentences.append(f"{pipeline} has no {gone}_probseg beside {t1w.name}: the others are not used.")
    if dseg is None and len(probseg) < len(TISSUES):
        sentences.append(
            f"{pipeline} has no dseg and not all probseg beside {t1w.name}: tissues are this program's own."
        )
    for template in to_template:
        if template not in grids:
            sentences.append(
                f"{pipeline} has a transform to {template} but no image in that space beside {t1w.name}: its grid is unknown."
            )
    return Anatomy(
        t1w=t1w,
        root=root,
        source="derivatives",
        pipeline=pipeline,
        brain_mask=mask,
        dseg=dseg,
        probseg=probseg,
        to_template=to_template,
        from_template=from_template,
        grids=grids,
        sentences=tuple(sentences),
    )


def _belongs(path: Path, own: Mapping[str, str]) -> bool:
    """Whether a file is of the anatomy with these entities: it has none of its own that tells another."""
    entities = {key: label for key, label in parse_name(path).entities.items() if key not in _OWN}
    return entities.get("sub") == own.get("sub") and entities.items() <= own.items()


def check_anatomy(anatomy: Anatomy) -> None:
    """Check all files of an anatomy before anything is computed.

    Raises
    ------
    RefusedError
        If one is damaged, on another grid, or not what its name says.
    """
    check_anatomy_files(
        anatomy.t1w,
        brain_mask=anatomy.brain_mask,
        dseg=anatomy.dseg,
        probseg=tuple(anatomy.probseg.values()),
        transforms=(*anatomy.to_template.values(), *anatomy.from_template.values()),
        grids=tuple(anatomy.grids.values()),
    )
