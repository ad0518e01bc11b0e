"""Transforms to the template inside nilearn: made once for each image, kept, and written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.anatomy.images import Anatomy
from qmri_bids.bids.anatomy.spaces import OWN_TEMPLATE
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import atomic_path, write_json
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.spaces.scan import Scan, uri, volume_of
from qmri_bids.system.file_lock import file_lock


@dataclass(frozen=True, kw_only=True)
class OwnTemplate:
    """Transforms to the template inside nilearn, made by this program or another.

    Parameters
    ----------
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
        Anatomy of its session; None where there is none.
    cache
        Folder that keeps transforms by what they were made of.

    Raises
    ------
    TemplateNotReached
        If the registration fails, or nothing of T1 contrast is there.
    """
    from qmri_bids.preprocessing.registration.standard_space import TemplateNotReached, TemplateTransform

    if anatomy is not None and OWN_TEMPLATE in anatomy.to_template and OWN_TEMPLATE in anatomy.from_template:
        return OwnTemplate(
            forward=anatomy.to_template[OWN_TEMPLATE],
            inverse=anatomy.from_template[OWN_TEMPLATE],
            sentence=f"The transforms to {OWN_TEMPLATE} are those of {anatomy.pipeline}.",
        )
    brain: NDArray[np.bool_] | None
    if anatomy is not None:
        image, affine = volume_of(anatomy.t1w)
        brain = None if anatomy.brain_mask is None else volume_of(anatomy.brain_mask)[0] > 0.5
    elif not scan.holds_brain:
        raise TemplateNotReached(f"the mask of this run is that of an object, which has no place in {OWN_TEMPLATE}")
    elif scan.contrast is not None:
        image, affine, brain = scan.contrast, scan.affine, scan.mask
    else:
        raise TemplateNotReached(
            f"there is no T1w image, and this run has no map of T1 or R1 by which it could be registered to {OWN_TEMPLATE}"
        )
    key = hashlib.sha256(image.tobytes() + affine.tobytes() + (b"" if brain is None else brain.tobytes()))
    folder = cache / f"template-{key.hexdigest()[:16]}"
    with file_lock(cache / f".{folder.name}.lock"):  # runs of a session share it
        if not folder.is_dir():
            _make_template(folder, image=image, affine=affine, brain=brain)
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


def _make_template(
    folder: Path, *, image: NDArray[np.floating], affine: NDArray[np.floating], brain: NDArray[np.bool_] | None
) -> None:
    """Register a brain to the template and keep the transforms in a folder, whole or not at all."""
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
        made = register_to_template(image, brain=brain, affine=affine, folder=work)
        quality = {"overlap": made.overlap, "correlation": made.correlation}
        (work / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
        os.replace(work, folder)


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
