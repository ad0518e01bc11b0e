"""The regions of an atlas in a run, and the statistics of its maps there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import NATIVE, OWN_TEMPLATE, T1W, Atlas
from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.sidecar import parse_name
from qmri_bids.bids.write import write_map, write_table
from qmri_bids.pipeline.spaces.files import LABELS, images_of
from qmri_bids.pipeline.spaces.scan import Scan, uri, volume_of
from qmri_bids.pipeline.spaces.template_files import OwnTemplate


@dataclass(frozen=True, kw_only=True)
class AtlasInRun:
    """An atlas on the grid of a run: labels, and what a reader must know."""

    labels: NDArray[np.int64]
    sentence: str
    warnings: tuple[str, ...] = field(default=())


def bring_atlas(atlas: Atlas, scan: Scan, *, anatomy: Anatomy | None, template: OwnTemplate | None) -> AtlasInRun:
    """Return the labels of an atlas on the grid of a run: nearest neighbour at once through all transforms."""
    from qmri_bids.preprocessing.registration.standard_space import interpolate, positions

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
    data, atlas_affine = volume_of(atlas.path)
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
    from qmri_bids.preprocessing.tissues.region_statistics import COLUMNS, as_columns, region_statistics

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
        if name.suffix not in (*LABELS, "probseg"):
            desc = name.entities.get("desc")
            values = volume_of(path)[0]
            rows[f"desc-{desc}_{name.suffix}" if desc else name.suffix] = region_statistics(values, labels=labels)
    columns = as_columns(rows, regions=atlas.regions)
    written.append(write_table(path_of("atlas_statistics"), columns, descriptions=COLUMNS))
    return written
