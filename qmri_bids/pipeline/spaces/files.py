"""Maps of a run in other spaces: positions, one interpolation, names and sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import TISSUES, Anatomy
from qmri_bids.bids.anatomy.spaces import OWN_TEMPLATE, T1W, grid_index
from qmri_bids.bids.anatomy.templates import SpaceLabel, Template, parse_label
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import bids_uri, map_metadata
from qmri_bids.bids.write import write_json, write_map, write_transforms
from qmri_bids.pipeline.earlier.mask_record import BY_HAND, HASH, mask_hash
from qmri_bids.pipeline.spaces.scan import Scan, grid_of, uri, volume_of
from qmri_bids.pipeline.spaces.template_files import TemplateTransforms

LABELS = ("mask", "dseg")
"""Suffixes of labels and codes, which are never averaged."""

LEFT_OUT = ("VFA", "cest", "magnitude")
"""Suffixes of series, and of the image that goes with a field map, which are not put into other spaces."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space with the grid that is wanted there, and where its voxels lie in the run.

    Parameters
    ----------
    label
        Label of the entity `space`.
    resolution
        Label of the entity `res`; empty for none.
    affine
        Voxel of the grid to RAS millimetres, shape (4, 4).
    at
        Positions in the run, RAS millimetres, shape (3, X, Y, Z).
    reference
        SpatialReference of the sidecars; None for a standard template.
    """

    label: str
    resolution: str = ""
    affine: NDArray[np.float64]
    at: NDArray[np.float32]
    reference: str | None


def space_of(
    label: str,
    scan: Scan,
    *,
    anatomy: Anatomy | None,
    template: TemplateTransforms | None,
    templates: Mapping[str, Template],
    bids_dir: Path,
) -> Space:
    """Return a space with the positions of its voxels in the run.

    Parameters
    ----------
    label
        `T1w` or a template, with the index of its grid where one is asked for.
    scan
        The run.
    anatomy
        Anatomy of its session.
    template
        Transforms to the template, where they are not those of the anatomy.
    templates
        Templates on disk by their label.
    bids_dir
        Root of the raw dataset.
    """
    from qmri_bids.preprocessing.registration.standard_space import positions

    back = np.eye(4) if scan.to_t1w is None else np.linalg.inv(scan.to_t1w)
    asked = parse_label(label)
    of_run = template is not None and template.of_run
    forward: Path | None = None
    if template is not None:
        forward = template.forward
    elif asked.space != T1W:
        assert anatomy is not None
        forward = anatomy.to_template[asked.space]
    shape, affine, image = _grid(asked, anatomy=anatomy, templates=templates)
    return Space(
        label=asked.space,
        resolution=asked.resolution,
        affine=affine,
        at=positions(shape=shape, affine=affine, transform=forward, after=None if of_run else back),
        reference=None if image is None else uri(image, bids_dir=bids_dir),
    )


def _grid(
    asked: SpaceLabel, *, anatomy: Anatomy | None, templates: Mapping[str, Template]
) -> tuple[tuple[int, ...], NDArray[np.float64], Path | None]:
    """Return shape and affine of the grid in a space, and the image that shows it; None for the template inside nilearn."""
    from qmri_bids.preprocessing.registration.standard_space import template_grid

    if asked.space == OWN_TEMPLATE:
        shape, affine = template_grid(resolution=int(asked.resolution or 1))
        return shape, affine, None
    image: Path | None = None
    if anatomy is not None and asked.space == T1W:
        image = anatomy.t1w
    elif anatomy is not None and asked.resolution in ("", grid_index(anatomy, asked.space)):
        image = anatomy.grids.get(asked.space)
    if image is None:
        image = templates[asked.space].grid(asked.resolution)
    assert image is not None
    return *grid_of(image), image


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
    from qmri_bids.preprocessing.registration.standard_space import interpolate

    written = []
    for path in images_of(files):
        suffix = parse_name(path).suffix
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        values, affine = volume_of(path)
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
        if space.resolution:  # BIDS wants it wherever a name holds `res`
            edges = " × ".join(f"{edge:.3g}" for edge in np.linalg.norm(space.affine[:3, :3], axis=0))
            content["Resolution"] = f"Grid {space.resolution} of {space.label}, voxels of {edges} mm"
        moved = moved.astype(np.uint8) if suffix in LABELS else moved
        if HASH in content:  # of the native mask; this file is the program's own, whoever made that one
            content[HASH] = mask_hash(moved)
            content[BY_HAND] = False
        target = in_space(path, space.label, resolution=space.resolution)
        written.append(write_map(target, moved, affine=space.affine, metadata=content))
    return written


def images_of(files: Sequence[Path]) -> Iterator[Path]:
    """Yield the maps and masks among the files of a run: images of one volume that lie on the grid of the run."""
    import nibabel as nib

    for path in files:
        if path.name.endswith(".nii.gz") and parse_name(path).suffix not in LEFT_OUT:
            image: Any = nib.load(path)
            if image.ndim == 3:
                yield path


def in_space(path: Path, label: str, *, resolution: str = "") -> Path:
    """Return the name of a map in another space, on a grid of an index where it has one.

    Examples
    --------
    >>> in_space(Path("sub-01_acq-pcbssfp_desc-std_T1map.nii.gz"), "T1w").name
    'sub-01_acq-pcbssfp_space-T1w_desc-std_T1map.nii.gz'
    """
    from qmri_bids.bids.names import ENTITY_ORDER

    name = parse_name(path)
    entities = {**name.entities, "space": label} | ({"res": resolution} if resolution else {})
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


def credit_anatomy(files: Sequence[Path], *, anatomy: Anatomy, bids_dir: Path) -> None:
    """Say in the sidecars of brain mask and tissues that they are those of the anatomy.

    Parameters
    ----------
    files
        Files written of a run whose mask and tissues were taken from the anatomy, where it has them.
    anatomy
        Anatomy of the session.
    bids_dir
        Root of the raw dataset.
    """
    tissues = [anatomy.probseg[name] for name in TISSUES] if set(anatomy.probseg) >= set(TISSUES) else [anatomy.dseg]
    for suffix, desc, origins, what in (
        ("mask", "brain", [anatomy.brain_mask], "Brain mask"),
        ("dseg", None, tissues, "Tissue of every voxel"),
    ):
        sources = [path for path in origins if path is not None]
        for path in files:
            name = parse_name(path)
            own = {key for key in ("atlas", "space", "label") if key in name.entities}
            if sources and name.suffix == suffix and name.entities.get("desc") == desc and not own:
                if not path.name.endswith(".nii.gz"):
                    continue
                content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
                content["Description"] = f"{what} of {anatomy.pipeline}, brought to this scan by its T1w image."
                content["Sources"] = [uri(each, bids_dir=bids_dir) for each in (*sources, anatomy.t1w)]
                write_json(sidecar_path(path), content)
