"""Maps in files: which of those in a folder is meant, its standard deviation, and the image by which it is registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.images import AFFINE_TOLERANCE, ImageInfo, check_image, check_same_grid
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.scans.fieldmap.find import MAGNITUDES as FIELDMAP_MAGNITUDES

EXTENSIONS = (".nii.gz", ".nii")

STDEV = ("std", "Std")
"""How the label of `desc` of a standard deviation ends."""

POSTERIOR = "posterior"
"""How the label of `desc` of a posterior map begins; its prior pulls values towards itself."""

KNOWN = "known"
"""Begin of `desc` of maps that another scan gave: what a run used, not what it measured."""

UNWRAPPED = "unwrapped"
"""`desc` of a field of pc-bSSFP that was made continuous."""

FREE = "free"
"""`desc` of a map of free water, freed of magnetization transfer."""

MTCORRECTED = "mtcorrected"
"""`desc` of a map of T1 as an inversion recovery sees it."""

FREED = (FREE, MTCORRECTED)
"""Labels of `desc` of maps that were freed of magnetization transfer."""

FREED_LABEL = "MT"
"""What is added to `acq` of a pc-bSSFP scan in the names of its maps that were freed of magnetization transfer."""

BETTER = (UNWRAPPED, FREE)
"""Labels of `desc` of maps that stand in for the one of their scan without `desc`: across a wrap nothing can be interpolated, and
an apparent T1 is not that of water."""

PREPROC = "preproc"

SEVERAL_OF_ONE_SCAN = ("part", "echo", "flip", "inv", "mt", "desc")
"""Entities in which an image may differ from the map that was made of it."""


def files_of(place: Path, *, subject: str, session: str | None, folder: str, suffix: str) -> list[Path]:
    """Return the images of a suffix of a subject and session in a folder of a dataset, raw or derived."""
    own = place / f"sub-{subject}" / (f"ses-{session}" if session else "") / folder
    return sorted(path for end in EXTENSIONS for path in own.glob(f"*_{suffix}{end}"))


def read_map_header(path: Path, *, place: Path) -> ImageInfo:
    """Return what the header of a map says, its shape with three axes.

    Raises
    ------
    RefusedError
        If it is unreadable, complex or has more than three axes.
    """
    info = check_image(path, root=place)
    if info.shape[3:] not in ((), (1,)) or info.is_complex:
        raise refuse(
            file=info.name,
            key="shape",
            expected="a map of real numbers with three axes",
            found="complex values" if info.is_complex else str(info.shape),
            advice="Write the map again, or leave it out.",
        )
    return info


def choose(paths: Sequence[Path], *, like: Sequence[Path], place: Path, better: Sequence[str] = BETTER) -> Path | None:
    """Return the map that is meant among those of one kind, None if there is none.

    Maps without `desc` come before others, and one of `better` stands in for that of its scan; of several the one that has the
    entities of a file of `like` is taken, the first that decides.

    Raises
    ------
    RefusedError
        If several could be meant.
    """
    usable = [path for path in paths if not _is_left_out(path)]
    plain = [path for path in usable if description(path) in ("", UNWRAPPED)]
    instead = [
        path
        for path in usable
        if description(path) in better and any(description(other) == "" and of_one_scan(path, other) for other in plain)
    ]
    first = [path for path in plain if path not in instead and not any(of_one_scan(path, other) for other in instead)]
    free = [path for path in usable if description(path) == FREE and path not in instead]
    for group in ([*instead, *first], free, [path for path in usable if path not in (*plain, *better, *free)]):
        same = [[path for path in group if of_one_scan(path, other)] for other in like]
        meant = next((own for own in same if len(own) == 1), group)
        if len(meant) > 1:
            raise refuse(
                file=relative_name(meant[0], place),
                key="file",
                expected="one map of this kind for the subject and session",
                found=", ".join(path.name for path in meant),
                advice="Keep one of them, name one after the series that takes it (acq-, run-), or name another folder with "
                "--derivatives.",
            )
        if meant:
            return meant[0]
    return None


def description(path: Path) -> str:
    """Return the label of `desc`, empty where there is none."""
    return parse_name(path).entities.get("desc", "")


def _is_left_out(path: Path) -> bool:
    entities = parse_name(path).entities
    label = entities.get("desc", "")
    return "space" in entities or label.endswith(STDEV) or label.startswith((POSTERIOR, KNOWN))


def of_one_scan(path: Path, other: Path) -> bool:
    """Whether two files are named after one scan.

    Examples
    --------
    >>> of_one_scan(Path("sub-01_acq-bssfp_T1map.nii"), Path("sub-01_acq-bssfpMT_desc-free_T1map.nii"))
    True
    >>> of_one_scan(Path("sub-01_acq-bssfp_T1map.nii"), Path("sub-01_acq-bssfpMT_T1map.nii"))
    False
    """
    return any(name in _scans(other) for name in _scans(path))


def _scans(path: Path) -> list[dict[str, str]]:
    """Return the entities of the scan that a file may be named after: a freed map is that of another name, too."""
    entities = parse_name(path).entities
    own = {key: label for key, label in entities.items() if key not in SEVERAL_OF_ONE_SCAN}
    label = own.get("acq", "")
    if not entities.get("desc", "").startswith(FREED) or not label.endswith(FREED_LABEL):
        return [own]
    before = label.removesuffix(FREED_LABEL)
    return [own, {**own, "acq": before} if before else {key: each for key, each in own.items() if key != "acq"}]


def stdevs(path: Path) -> list[Path]:
    """Return the files that may hold the standard deviation of a map."""
    name = parse_name(path)
    label = name.entities.get("desc", "")
    stem = path.name.removesuffix(f"_{name.suffix}{name.extension}").removesuffix(f"_desc-{label}")
    label = "" if label == UNWRAPPED else label
    named = [f"{stem}_desc-{label}{stdev}_{name.suffix}{end}" for stdev in STDEV for end in EXTENSIONS]
    return [candidate for each in named if (candidate := path.with_name(each)).is_file()]


def images(path: Path) -> list[Path]:
    """Return the images of the scan that a map was made of, the best for registration first."""
    session = path.parent.parent
    candidates = [
        candidate
        for folder in ("fmap", "anat")
        for end in EXTENSIONS
        for candidate in sorted((session / folder).glob(f"*{end}"))
        if _shows_anatomy(candidate) and of_one_scan(candidate, path)
    ]
    return sorted(candidates, key=lambda candidate: parse_name(candidate).suffix not in FIELDMAP_MAGNITUDES)


def first_on_grid(candidates: Sequence[Path], info: ImageInfo, place: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Return the first image on the grid of a map; if none is, why."""
    doubts = []
    for candidate in candidates:
        try:
            own = check_image(candidate, root=place)
            check_same_grid(info, replace(own, shape=own.shape[:3]))
            return candidate, ()
        except RefusedError as error:
            doubts.append(f"{error} It is not used.")
    return None, tuple(doubts)


def _shows_anatomy(path: Path) -> bool:
    name = parse_name(path)
    if name.suffix in FIELDMAP_MAGNITUDES:
        return True
    return name.entities.get("desc") == PREPROC and name.entities.get("part", "mag") == "mag"


def named_by(paths: Mapping[str, Path]) -> str:
    """Return the names of files as a list in a sentence, each once."""
    return " and ".join(dict.fromkeys(path.name for path in paths.values()))


def placed(image: Path | None) -> str:
    """Return how a map finds its place, for the end of a sentence."""
    return "placed by scanner coordinates" if image is None else f"registered by {image.name}"


def grid_of(info: ImageInfo) -> tuple[object, ...]:
    """Return what maps on one grid have in common."""
    affine = (info.affine / AFFINE_TOLERANCE).round().astype(int)
    return info.shape[:3], tuple(affine.ravel().tolist())
