"""Maps of a run in other spaces, and the regions of an atlas in the run: what is computed and written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy import Anatomy
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME, bids_uri, map_metadata
from qmri_bids.bids.refusal import relative_name
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.spaces import NATIVE, OWN_TEMPLATE, T1W, Atlas
from qmri_bids.bids.write import atomic_path, write_json, write_map, write_table, write_transforms
from qmri_bids.workflows.volumes import load_volume

LABELS = ("mask", "dseg")
"""Suffixes of labels and codes, which are never averaged."""

LEFT_OUT = ("VFA", "cest", "magnitude")
"""Suffixes of series, and of the image that goes with a field map, which are not put into other spaces."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A run whose maps are put into other spaces.

    Parameters
    ----------
    entities
        Of the raw run.
    magnitude, mask
        On its grid.
    affine
        Voxel to RAS millimetres.
    to_t1w
        From the position in the run to that in the T1w image; None without an image or a registration.
    contrast
        Image of T1 contrast, by which a run without T1w image comes to the template; None where there is none.
    """

    entities: Mapping[str, str]
    magnitude: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    to_t1w: NDArray[np.float64] | None = None
    contrast: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space with the grid that is wanted there, and where its voxels lie in the run.

    Parameters
    ----------
    label
        Of the entity `space`.
    affine
        Of the grid, shape (4, 4).
    at
        Positions in the run, RAS millimetres, shape (3, X, Y, Z).
    reference
        SpatialReference of the sidecars; None for a standard template.
    """

    label: str
    affine: NDArray[np.float64]
    at: NDArray[np.float32]
    reference: str | None


@dataclass(frozen=True, kw_only=True)
class OwnTemplate:
    """Transforms to the template inside nilearn, made by this program or another.

    Parameters
    ----------
    forward, inverse
        Image of T1w (or of the run) to the template, and back.
    of_run
        Whether the run itself was registered, not a T1w image.
    made
        Whether this program made them.
    sentence
        How.
    overlap, correlation
        Of brains and images; NaN where another program made them.
    """

    forward: Path
    inverse: Path | None
    of_run: bool = False
    made: bool = False
    sentence: str = ""
    overlap: float = float("nan")
    correlation: float = float("nan")


def own_template(scan: Scan, *, anatomy: Anatomy | None, cache: Path) -> OwnTemplate:
    """Return the transforms to the template inside nilearn: of the derivatives, kept from an earlier run, or made now.

    Parameters
    ----------
    scan
        The run.
    anatomy
        Of its session; None where there is none.
    cache
        Folder that keeps transforms by what they were made of.

    Raises
    ------
    TemplateNotReached
        If the registration fails, or nothing of T1 contrast is there.
    """
    from qmri_bids.preprocessing.masks import brain_mask
    from qmri_bids.preprocessing.standard_space import TemplateNotReached, TemplateTransform, register_to_template

    if anatomy is not None and OWN_TEMPLATE in anatomy.to_template and OWN_TEMPLATE in anatomy.from_template:
        return OwnTemplate(
            forward=anatomy.to_template[OWN_TEMPLATE],
            inverse=anatomy.from_template[OWN_TEMPLATE],
            sentence=f"The transforms to {OWN_TEMPLATE} are those of {anatomy.pipeline}.",
        )
    if anatomy is None and scan.contrast is None:
        raise TemplateNotReached(
            f"there is no T1w image, and this run has no map of T1 or R1 by which it could be registered to {OWN_TEMPLATE}"
        )
    if anatomy is None:
        image, affine, brain = scan.contrast, scan.affine, scan.mask
        key = hashlib.sha256(np.nan_to_num(image).tobytes() + affine.tobytes())
    else:
        image, affine = _volume(anatomy.t1w)
        brain = None if anatomy.brain_mask is None else _volume(anatomy.brain_mask)[0] > 0.5
        key = hashlib.sha256(image.tobytes() + affine.tobytes() + (b"" if brain is None else brain.tobytes()))
    folder = cache / f"template-{key.hexdigest()[:16]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".template-", dir=cache) as temporary:
            work = Path(temporary) / "done"
            work.mkdir()
            if brain is None:
                brain, _ = brain_mask(image, affine=affine)
            made = register_to_template(image, brain=brain, affine=affine, folder=work)
            quality = {"overlap": made.overlap, "correlation": made.correlation}
            (work / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
            os.replace(work, folder)
    quality = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    kept = TemplateTransform(
        forward=folder / "Composite.h5",
        inverse=folder / "InverseComposite.h5",
        overlap=tuple(quality["overlap"]),
        correlation=tuple(quality["correlation"]),
    )
    what = (
        f"the brain in {anatomy.t1w.name}" if anatomy is not None else "1/T1 of this run, since there is no T1w image"
    )
    return OwnTemplate(
        forward=kept.forward,
        inverse=kept.inverse,
        of_run=anatomy is None,
        made=True,
        sentence=kept.sentence.replace("The brain was", f"{what[0].upper()}{what[1:]} was", 1),
        overlap=kept.overlap[1],
        correlation=kept.correlation[1],
    )


def space_of(label: str, scan: Scan, *, anatomy: Anatomy | None, template: OwnTemplate | None, bids_dir: Path) -> Space:
    """Return a space with the positions of its voxels in the run.

    Parameters
    ----------
    label
        `T1w` or a template.
    scan
        The run.
    anatomy
        Of its session.
    template
        Transforms to the template inside nilearn, where that is asked for.
    bids_dir
        Root of the raw dataset.
    """
    from qmri_bids.preprocessing.standard_space import positions, template_grid

    back = np.eye(4) if scan.to_t1w is None else np.linalg.inv(scan.to_t1w)
    if label == OWN_TEMPLATE:
        assert template is not None
        shape, affine = template_grid()
        at = positions(shape=shape, affine=affine, transform=template.forward, after=None if template.of_run else back)
        return Space(label=label, affine=affine, at=at, reference=None)
    assert anatomy is not None
    image = anatomy.t1w if label == T1W else anatomy.grids[label]
    shape, affine = _grid(image)
    at = positions(
        shape=shape, affine=affine, transform=None if label == T1W else anatomy.to_template[label], after=back
    )
    return Space(label=label, affine=affine, at=at, reference=uri(image, bids_dir=bids_dir))


def write_in_space(files: Sequence[Path], *, space: Space, output_dir: Path) -> list[Path]:
    """Write maps of a run in another space, each interpolated once from its own grid.

    Parameters
    ----------
    files
        What was written of the run.
    space
        The other space.
    output_dir
        Root of the derivatives.
    """
    from qmri_bids.preprocessing.standard_space import interpolate

    written = []
    for path in images_of(files):
        suffix = parse_name(path).suffix
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        values, affine = _volume(path)
        period = None
        if (
            suffix == "fieldmap"
            and content.get("PulseSequenceType") == "bSSFP"
            and "desc" not in parse_name(path).entities
        ):
            period = 1.0 / float(content["RepetitionTimeExcitation"])
        moved = interpolate(values, affine=affine, at=space.at, nearest=suffix in LABELS, period=period)
        content["Sources"] = [bids_uri(path, root=output_dir)]
        if space.reference is not None:
            content["SpatialReference"] = space.reference
        target = in_space(path, space.label)
        written.append(
            write_map(
                target, moved.astype(np.uint8) if suffix in LABELS else moved, affine=space.affine, metadata=content
            )
        )
    return written


def images_of(files: Sequence[Path]) -> Iterator[Path]:
    """Yield the maps and masks among the files of a run: images of one volume that lie on the grid of the run."""
    import nibabel as nib

    for path in files:
        if path.name.endswith(".nii.gz") and parse_name(path).suffix not in LEFT_OUT:
            image: Any = nib.load(path)
            if image.ndim == 3:
                yield path


def in_space(path: Path, label: str) -> Path:
    """Return the name of a map in another space.

    Examples
    --------
    >>> in_space(Path("sub-01_acq-pcbssfp_desc-std_T1map.nii.gz"), "T1w").name
    'sub-01_acq-pcbssfp_space-T1w_desc-std_T1map.nii.gz'
    """
    from qmri_bids.bids.names import ENTITY_ORDER

    name = parse_name(path)
    entities = {**name.entities, "space": label}
    ordered = [f"{key}-{entities[key]}" for key in ENTITY_ORDER if key in entities]
    return path.with_name("_".join([*ordered, name.suffix]) + name.extension)


def write_rigid(scan: Scan, *, anatomy: Anatomy, bids_dir: Path, output_dir: Path) -> list[Path]:
    """Write the transforms between a run and its T1w image, both ways."""
    if scan.to_t1w is None:
        return []
    written = []
    for output, matrix in (
        ("t1w_to_scan_transform", scan.to_t1w),
        ("scan_to_t1w_transform", np.linalg.inv(scan.to_t1w)),
    ):
        path = output_path(output_dir, entities=scan.entities, output=output)
        written.append(write_transforms(path, [matrix]))
        write_json(sidecar_path(path), map_metadata(output, sources=[uri(anatomy.t1w, bids_dir=bids_dir)]))
    return written


def write_template(
    scan: Scan, *, template: OwnTemplate, anatomy: Anatomy | None, bids_dir: Path, output_dir: Path
) -> list[Path]:
    """Write the transforms to the template that this program made: of the T1w image beside all runs, else of the run."""
    if not template.made:
        return []
    entities = {key: scan.entities[key] for key in ("sub", "ses") if key in scan.entities}
    written = []
    for output, source in (
        ("t1w_to_template_transform", template.forward),
        ("template_to_t1w_transform", template.inverse),
    ):
        path = output_path(output_dir, entities=scan.entities, output=output)
        name = "_".join(f"{key}-{label}" for key, label in entities.items()) + path.name[path.name.index("_from-") :]
        path = path.with_name(path.name.replace("T1w", "scan") if template.of_run else name)
        assert source is not None
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)
        sources = [] if anatomy is None else [uri(anatomy.t1w, bids_dir=bids_dir)]
        write_json(sidecar_path(path), map_metadata(output, sources=sources))
        written.append(path)
    return written


@dataclass(frozen=True, kw_only=True)
class AtlasInRun:
    """An atlas on the grid of a run: labels, and what a reader must know."""

    labels: NDArray[np.int64]
    sentence: str
    warnings: tuple[str, ...] = field(default=())


def bring_atlas(atlas: Atlas, scan: Scan, *, anatomy: Anatomy | None, template: OwnTemplate | None) -> AtlasInRun:
    """Return the labels of an atlas on the grid of a run: nearest neighbour at once through all transforms."""
    from qmri_bids.preprocessing.standard_space import interpolate, positions

    shape = scan.magnitude.shape
    transform: Path | None = None
    affine = scan.affine
    if atlas.space not in (NATIVE, T1W):
        own = atlas.space == OWN_TEMPLATE and template is not None
        transform = template.inverse if own and template is not None else None
        if transform is None and anatomy is not None:
            transform = anatomy.from_template[atlas.space]
    of_run = atlas.space == NATIVE or (template is not None and template.of_run)
    if not of_run and scan.to_t1w is not None:
        affine = scan.to_t1w @ affine
    data, atlas_affine = _volume(atlas.path)
    at = positions(shape=shape, affine=affine, transform=transform)
    labels = np.rint(interpolate(data, affine=atlas_affine, at=at, nearest=True)).astype(np.int64)
    labels[~scan.mask] = 0
    wanted = {int(each) for each in np.unique(data) if each > 0}
    there = {int(each) for each in np.unique(labels) if each > 0}
    lost = sorted(wanted - there)
    sentence = (
        f"{atlas.path.name} ({atlas.space}) was brought to this run, nearest neighbour, inside its brain mask: {len(there)} of "
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


def write_atlas(
    brought: AtlasInRun, *, atlas: Atlas, scan: Scan, files: Sequence[Path], bids_dir: Path, output_dir: Path
) -> list[Path]:
    """Write the labels in the run and the statistics of every map by region."""
    from qmri_bids.preprocessing.region_statistics import COLUMNS, as_columns, region_statistics

    def path_of(output: str) -> Path:
        path = output_path(output_dir, entities=scan.entities, output=output)
        return path.with_name(path.name.replace("_atlas-label_", f"_atlas-{atlas.name}_"))

    labels = brought.labels
    stored = labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels.astype(np.float32)
    content = map_metadata("atlas_labels", sources=[uri(atlas.path, bids_dir=bids_dir)])
    if atlas.regions:
        content["Levels"] = {str(label): name for label, name in sorted(atlas.regions.items())}
    written = [write_map(path_of("atlas_labels"), stored, affine=scan.affine, metadata=content)]
    rows = {}
    for path in images_of(files):
        name = parse_name(path)
        if name.suffix not in LABELS:
            desc = name.entities.get("desc")
            values = _volume(path)[0]
            rows[f"desc-{desc}_{name.suffix}" if desc else name.suffix] = region_statistics(values, labels=labels)
    columns = as_columns(rows, regions=atlas.regions)
    written.append(write_table(path_of("atlas_statistics"), columns, descriptions=COLUMNS))
    return written


def uri(path: Path, *, bids_dir: Path) -> str:
    """Return the BIDS URI of a raw file, and the path of any other as URI."""
    if Path(relative_name(path, bids_dir)).is_absolute():
        return path.absolute().as_uri()
    return bids_uri(path, root=bids_dir, dataset=RAW_NAME)


def _grid(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    import nibabel as nib

    image: Any = nib.load(path)
    return tuple(image.shape[:3]), np.asarray(image.affine, dtype=float)


def _volume(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, affine = load_volume(path)
    return np.asarray(values, dtype=np.float32), affine
