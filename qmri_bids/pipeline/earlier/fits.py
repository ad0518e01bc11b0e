"""What an earlier call has fitted and left in its derivatives: brain masks and motion, to be applied instead of fitted again.

A brain mask that a person has corrected in an editor is read like any other: it must still lie on the grid of its run. What is
there but does not fit is left alone, and why is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.description import NAME
from qmri_bids.bids.digests import Digests
from qmri_bids.bids.files.plain import UnreadableError, read_json, read_rows
from qmri_bids.bids.images import check_image
from qmri_bids.bids.names import output_path, sidecar_path
from qmri_bids.bids.provenance import RAW_NAME
from qmri_bids.bids.refusal import Refusal, RefusedError, relative_name
from qmri_bids.pipeline.earlier.mask_record import BRAIN, MASK_OUTPUTS, made_by_hand, mask_hash
from qmri_bids.pipeline.earlier.plan import EarlierFits, EarlierMotion
from qmri_bids.pipeline.run import Run

FARTHEST = 0.05
"""Share of a voxel by which the corners of two grids may differ: editors round affines, a shift by a voxel is none of rounding."""


class _DoesNotFitError(Exception):
    """Says why a derivative that is there is left alone."""


def find_earlier_fits(
    runs: Iterable[Run],
    *,
    bids_dir: Path,
    derivatives: Mapping[str, Path],
    with_motion: bool = True,
) -> dict[str, EarlierFits]:
    """Return what can be applied to runs, by the label of the run, and by that of its series for the motion of fingerprints.

    Parameters
    ----------
    runs
        That are processed.
    bids_dir
        The raw dataset.
    derivatives
        Folders by name, the first that fits is used; those of other programs are passed over.
    with_motion
        Whether motion is corrected at all.
    """
    folders = {name: root for name, root in derivatives.items() if is_own(root)}
    if not folders:
        return {}
    finder = _Finder(bids_dir=bids_dir, folders=folders)
    found: dict[str, EarlierFits] = {}
    for run in runs:
        fits = finder.mask(run)
        for number, series in enumerate(run.series):
            motion = finder.motion(series, wanted=with_motion, brought=number > 0)
            if series is run:
                fits = replace(fits, motion=motion.motion, sentences=(*fits.sentences, *motion.sentences))
            else:
                found[series.label] = motion
        found[run.label] = fits
    return found


def corrected_mask(run: Run, *, output_dir: Path) -> EarlierFits | None:
    """Return the mask of a run in the output folder that a person has made or corrected; None where there is none.

    Parameters
    ----------
    run
        Any run.
    output_dir
        Root of the derivatives that this call writes.

    Raises
    ------
    RefusedError
        If such a mask does not fit the run: it is neither used nor written over.
    """
    for kind, output in MASK_OUTPUTS.items():
        path = output_path(output_dir, entities=run.entities, output=output)
        if not path.is_file():
            continue
        beside = sidecar_path(path)
        try:
            sidecar = _json(beside) if beside.is_file() else None
            volume, values = _check_mask(path, run.paths[0])
        except _DoesNotFitError as misfit:
            raise RefusedError(
                Refusal(
                    file=relative_name(path, output_dir),
                    key="mask in the output folder",
                    expected="one that fits the run",
                    found=f"one that does not: {str(misfit).rstrip('.')}",
                    advice="Save the mask on that grid, or remove the file to have the mask found anew.",
                )
            ) from misfit
        if made_by_hand(sidecar, values):
            return EarlierFits(
                mask=path,
                mask_source=path.name,
                kind=kind,
                by_hand=True,
                sentences=(
                    f"{path.name} in the output folder was made or corrected by a person: it is used ({volume:.2f} litres) and "
                    "kept; remove it to have the mask found anew.",
                ),
            )
    return None


def given_mask_file(run: Run, path: Path, *, kind: str) -> EarlierFits:
    """Return a mask that the command line names.

    Parameters
    ----------
    run
        The one run of the call.
    path
        NIfTI.
    kind
        What it holds: `brain` or `object`.

    Raises
    ------
    ValueError
        If it does not fit the run.
    """
    try:
        volume, _ = _check_mask(path, run.paths[0])
    except _DoesNotFitError as misfit:
        raise ValueError(f"{path}: {misfit} Save the mask on the grid of that image.") from misfit
    return EarlierFits(
        mask=path,
        mask_source=path.name,
        kind=kind,
        by_hand=True,
        sentences=(f"The mask is {path.name}, as asked ({volume:.2f} litres).",),
    )


def is_own(root: Path) -> bool:
    """Whether a folder of derivatives was made by this program, by its dataset_description.json."""
    try:
        content = read_json(root / "dataset_description.json")
    except UnreadableError:
        return False
    made = content.get("GeneratedBy", []) if isinstance(content, dict) else []
    return isinstance(made, list) and any(isinstance(each, dict) and each.get("Name") == NAME for each in made)


def same_mask(first: Path, second: Path) -> bool:
    """Whether two files hold the same voxels above one half."""
    import nibabel as nib

    hashes = []
    for path in (first, second):
        image: Any = nib.load(path)
        hashes.append(mask_hash(np.asarray(image.dataobj, dtype=np.float32)))
    return hashes[0] == hashes[1]


class _Finder:
    """Looks for the derivatives of runs in folders of earlier calls."""

    def __init__(self, *, bids_dir: Path, folders: Mapping[str, Path]) -> None:
        self._bids_dir, self._folders = bids_dir, folders
        self._digests = Digests(None)

    def mask(self, run: Run) -> EarlierFits:
        """Return the brain mask of a run."""
        said: list[str] = []
        for name, root in self._folders.items():
            paths = {kind: output_path(root, entities=run.entities, output=row) for kind, row in MASK_OUTPUTS.items()}
            kind = next((kind for kind, path in paths.items() if path.is_file()), BRAIN)
            path = paths[kind]
            source = f"{name}: {relative_name(path, root)}"
            if not path.is_file():
                said.append(f"{source} is not there: no brain mask is taken from {name}.")
                continue
            try:
                self._check_sources(path, run.paths, root=root)
                volume, values = _check_mask(path, run.paths[0])
            except _DoesNotFitError as misfit:
                said.append(f"{source} was not taken: {misfit}")
                continue
            what = "brain mask" if kind == BRAIN else "mask of the object"
            said.append(f"The {what} is read from {source} ({volume:.2f} litres); none is looked for.")
            return EarlierFits(
                mask=path,
                mask_source=source,
                kind=kind,
                by_hand=made_by_hand(_json(sidecar_path(path)), values),
                sentences=tuple(said),
            )
        return EarlierFits(sentences=tuple(said))

    def motion(self, run: Run, *, wanted: bool, brought: bool = False) -> EarlierFits:
        """Return the motion of a series; `brought` to another series its transforms hold the way there, too."""
        said: list[str] = []
        for name, root in self._folders.items():
            path = output_path(root, entities=run.entities, output=run.transforms_output)
            source = f"{name}: {relative_name(path, root)}"
            if not path.is_file():
                said.append(f"{source} is not there: no motion is taken from {name}.")
                continue
            try:
                if not wanted:
                    raise _DoesNotFitError("--ignore motion leaves motion alone.")
                if brought:
                    raise _DoesNotFitError(
                        "it holds the way to the first series of the fingerprint, too; the motion is fitted again."
                    )
                self._check_sources(path, run.paths, root=root)
                motion = _read_motion(path, run=run, root=root)
            except _DoesNotFitError as misfit:
                said.append(f"{source} was not taken: {misfit}")
                continue
            said.append(f"The motion of the {run.volume_noun}s is read from {source}; none is fitted.")
            found = EarlierMotion(transforms=path, source=source, **motion)
            return EarlierFits(motion=found, sentences=tuple(said))
        return EarlierFits(sentences=tuple(said))

    def _check_sources(self, path: Path, images: Sequence[Path], *, root: Path) -> None:
        """Refuse what was made of other raw files, or of what these held before."""
        prefix = f"bids:{RAW_NAME}:"
        sources = _json(sidecar_path(path)).get("Sources")
        if not isinstance(sources, list):
            raise _DoesNotFitError(
                f"{sidecar_path(path).name}: expected Sources with the raw files it was made of, found none; restore the sidecar."
            )
        named = {str(each).removeprefix(prefix) for each in sources if str(each).startswith(prefix)}
        expected = {relative_name(image, self._bids_dir): image for image in images}
        if named != set(expected):
            raise _DoesNotFitError(
                f"Sources of its sidecar: expected {', '.join(sorted(expected))}, found {', '.join(sorted(named)) or 'none'}."
            )
        subject = path.relative_to(root).parts[0]
        try:
            digests = _json(root / subject / "log" / f"{subject}_inputs.json").get("SHA256", {})
        except _DoesNotFitError:  # written for people: without it the names must do
            return
        for name, image in expected.items():
            known = digests.get(prefix + name) if isinstance(digests, dict) else None
            if known is not None and known != self._digests.of(image):
                raise _DoesNotFitError(f"{name} holds something else than when it was made.")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise _DoesNotFitError(f"{path.name}: expected a JSON file, found: {error}.") from error
    return content if isinstance(content, dict) else {}


def _check_mask(path: Path, image: Path) -> tuple[float, NDArray[np.float32]]:
    """Refuse a mask on another grid than the run, or an empty one, and return its volume [litres] and its voxels."""
    import nibabel as nib

    of_run: Any = nib.load(image)
    try:
        check_image(path, root=path.parent)
        mask: Any = nib.load(path)
        values = np.asarray(mask.dataobj, dtype=np.float32)
    except RefusedError as error:
        told = error.refusal
        raise _DoesNotFitError(
            f"it cannot be read ({told.key}: expected {told.expected}, found {told.found})."
        ) from error
    except Exception as error:  # nibabel raises many kinds for damaged files
        raise _DoesNotFitError(f"it cannot be read ({error}).") from error
    shape = tuple(of_run.shape[:3])
    if values.shape not in (shape, (*shape, 1)):
        raise _DoesNotFitError(f"expected the grid of {image.name}, {shape}, found {values.shape}.")
    corners = np.stack(np.meshgrid(*[[0, size - 1] for size in shape], indexing="ij")).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = np.linalg.norm(((mask.affine - of_run.affine) @ corners)[:3], axis=0).max()
    sizes = np.linalg.norm(of_run.affine[:3, :3], axis=0)
    if not apart <= FARTHEST * sizes.min():
        raise _DoesNotFitError(f"expected the grid of {image.name}, found one whose corners lie {apart:.2f} mm away.")
    if not np.all(np.isfinite(values)) or not (values > 0.5).any():
        raise _DoesNotFitError("expected a mask of 0 and 1, found one that is empty or not finite.")
    return float(np.count_nonzero(values > 0.5) * np.prod(sizes)) * 1e-6, values


def _read_motion(path: Path, *, run: Run, root: Path) -> dict[str, Any]:
    """Return reference and registered volumes of a motion that fits to a series."""
    from qmri_bids.bids.transform_files import read_transforms

    number = run.number_of_volumes
    try:
        found = len(read_transforms(path))
    except ValueError as error:
        raise _DoesNotFitError(f"{error}.") from error
    if found != number:
        raise _DoesNotFitError(f"expected one transform for each of the {number} {run.volume_noun}s, found {found}.")
    reference = _json(sidecar_path(path)).get(run.reference_key)
    if not isinstance(reference, int) or not 0 <= reference < number:
        raise _DoesNotFitError(
            f"{run.reference_key} of its sidecar: expected an index below {number}, found {reference!r}."
        )
    registered: tuple[bool, ...] = ()
    if run.names_registered:
        table = output_path(root, entities=run.entities, output="confounds")
        try:
            registered = tuple(row.get("registered") == "1" for row in read_rows(table)[1])
        except UnreadableError as error:
            raise _DoesNotFitError(f"expected its table {table.name} beside it, found: {error}.") from error
        if len(registered) != number:
            raise _DoesNotFitError(f"{table.name}: expected {number} rows, found {len(registered)}.")
    return {"reference": reference, "registered": registered}
