"""Transforms to templates: made once for each image, kept, and written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import OWN_TEMPLATE
from qmri_bids.bids.anatomy.templates import Template
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import atomic_path, write_json
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.spaces.scan import Scan, uri, volume_of
from qmri_bids.system.file_lock import file_lock

if TYPE_CHECKING:  # it reads ANTs
    from qmri_bids.preprocessing.registration.standard_space import TemplateBrain


@dataclass(frozen=True, kw_only=True)
class TemplateTransforms:
    """Transforms to a template, made by this program or another.

    Parameters
    ----------
    space
        Label of the template.
    forward, inverse
        Files with the transform from the image of T1w (or of the run) to the template, and back.
    of_run
        Whether the run itself was registered, not a T1w image.
    made
        Whether this program made them.
    sentence
        How they were made, as a sentence.
    overlap, correlation
        Dice of the brains and correlation of the images after the registration; NaN where another program made the transforms.
    """

    space: str
    forward: Path
    inverse: Path | None
    of_run: bool = False
    made: bool = False
    sentence: str = ""
    overlap: float = float("nan")
    correlation: float = float("nan")


def is_registered(space: str, *, anatomy: Anatomy | None, templates: Mapping[str, Template]) -> bool:
    """Return whether `template_transforms` serves a space: that inside nilearn, and those on disk that no derivatives reach.

    Parameters
    ----------
    space
        Label of the space.
    anatomy
        Anatomy of the session; None where there is none.
    templates
        Templates on disk by their label.
    """
    return space == OWN_TEMPLATE or (space in templates and (anatomy is None or space not in anatomy.to_template))


def template_brain(space: str, *, templates: Mapping[str, Template]) -> TemplateBrain:
    """Return the brain of a template.

    Parameters
    ----------
    space
        `OWN_TEMPLATE` or a label of `templates`.
    templates
        Templates on disk by their label.

    Raises
    ------
    TemplateNotReached
        If image and mask do not fit, or cannot be read.
    """
    from qmri_bids.preprocessing.registration.standard_space import TemplateBrain, TemplateNotReached, nilearn_template

    if space == OWN_TEMPLATE:
        return nilearn_template()
    path, mask_path = templates[space].registered
    try:
        image, affine = volume_of(path)
        mask, mask_affine = volume_of(mask_path)
    except Exception as error:
        raise TemplateNotReached(f"{path.name} or {mask_path.name} cannot be read ({error})") from error
    if image.shape != mask.shape or not np.allclose(affine, mask_affine, atol=1e-3):
        raise TemplateNotReached(f"{mask_path.name} lies on another grid than {path.name}")
    inside = mask > 0.5
    if not inside.any():
        raise TemplateNotReached(f"{mask_path.name} holds no brain")
    brain = np.where(inside, np.nan_to_num(image), 0.0).astype(np.float32)
    return TemplateBrain(name=space, image=brain, mask=inside, affine=affine)


def template_transforms(
    space: str, scan: Scan, *, anatomy: Anatomy | None, cache: Path, templates: Mapping[str, Template]
) -> TemplateTransforms:
    """Return the transforms to a template: of the derivatives, kept from an earlier run, or made now.

    Parameters
    ----------
    space
        Label of the template.
    scan
        The run.
    anatomy
        Anatomy of its session; None where there is none.
    cache
        Folder that keeps transforms by what they were made of.
    templates
        Templates on disk by their label.

    Raises
    ------
    TemplateNotReached
        If the registration fails, or nothing of T1 contrast is there.
    """
    from qmri_bids.preprocessing.registration.standard_space import TemplateNotReached, TemplateTransform

    if anatomy is not None and space in anatomy.to_template and space in anatomy.from_template:
        return TemplateTransforms(
            space=space,
            forward=anatomy.to_template[space],
            inverse=anatomy.from_template[space],
            sentence=f"The transforms to {space} are those of {anatomy.pipeline}.",
        )
    brain: NDArray[np.bool_] | None
    if anatomy is not None:
        image, affine = volume_of(anatomy.t1w)
        brain = None if anatomy.brain_mask is None else volume_of(anatomy.brain_mask)[0] > 0.5
    elif not scan.holds_brain:
        raise TemplateNotReached(f"the mask of this run is that of an object, which has no place in {space}")
    elif scan.contrast is not None:
        image, affine, brain = scan.contrast, scan.affine, scan.mask
    else:
        raise TemplateNotReached(
            f"there is no T1w image, and this run has no map of T1 or R1 by which it could be registered to {space}"
        )
    key = hashlib.sha256(image.tobytes() + affine.tobytes() + (b"" if brain is None else brain.tobytes()))
    target = None
    if space != OWN_TEMPLATE:
        target = template_brain(space, templates=templates)
        key.update(target.image.tobytes() + target.affine.tobytes())
    folder = cache / f"template-{key.hexdigest()[:16]}"
    with file_lock(cache / f".{folder.name}.lock"):  # runs of a session share it
        if not folder.is_dir():
            _make_template(folder, image=image, affine=affine, brain=brain, template=target)
    quality = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    kept = TemplateTransform(
        forward=folder / "Composite.h5",
        inverse=folder / "InverseComposite.h5",
        overlap=tuple(quality["overlap"]),
        correlation=tuple(quality["correlation"]),
        template=space,
    )
    what = (
        f"the brain in {anatomy.t1w.name}" if anatomy is not None else "1/T1 of this run, since there is no T1w image"
    )
    origin = "" if space == OWN_TEMPLATE else f" It is {templates[space].registered[0].name} of TemplateFlow."
    return TemplateTransforms(
        space=space,
        forward=kept.forward,
        inverse=kept.inverse,
        of_run=anatomy is None,
        made=True,
        sentence=kept.sentence.replace("The brain was", f"{what[0].upper()}{what[1:]} was", 1) + origin,
        overlap=kept.overlap[1],
        correlation=kept.correlation[1],
    )


def _make_template(
    folder: Path,
    *,
    image: NDArray[np.floating],
    affine: NDArray[np.floating],
    brain: NDArray[np.bool_] | None,
    template: TemplateBrain | None,
) -> None:
    """Register a brain to a template and keep the transforms in a folder, whole or not at all."""
    from qmri_bids.preprocessing.brain.mask import find_mask
    from qmri_bids.preprocessing.registration.standard_space import TemplateNotReached, register_to_template

    with tempfile.TemporaryDirectory(prefix=".template-", dir=folder.parent) as temporary:
        work = Path(temporary) / "done"
        work.mkdir()
        if brain is None:
            found = find_mask(image, affine=affine)
            if found.kind != BRAIN:
                raise TemplateNotReached("no brain was found in the T1w image")
            brain = found.mask
        made = register_to_template(image, brain=brain, affine=affine, folder=work, template=template)
        quality = {"overlap": made.overlap, "correlation": made.correlation}
        (work / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
        os.replace(work, folder)


def write_template(
    scan: Scan, *, template: TemplateTransforms, anatomy: Anatomy | None, bids_dir: Path, output_dir: Path
) -> list[Path]:
    """Write the transforms to a template that this program made: of the T1w image beside all runs, else of the run."""
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
        path = path.with_name(path.name.replace(f"-{OWN_TEMPLATE}_", f"-{template.space}_"))
        assert source is not None
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)
        sources = [] if anatomy is None else [uri(anatomy.t1w, bids_dir=bids_dir)]
        write_json(sidecar_path(path), map_metadata(output, sources=sources))
        written.append(path)
    return written
