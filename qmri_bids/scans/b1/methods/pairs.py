"""B1 scans of two images whose ratio tells the flip angle: which image is which, and whether their ratio can be that of a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid
from qmri_bids.bids.metadata.added import AddedMetadata
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, read_sidecar
from qmri_bids.bids.refusal import refuse, relative_name
from qmri_bids.scans.b1.methods.values import (
    PLAUSIBLE,
    ambiguous,
    check_varies,
    has_signal,
    is_plausible,
    median_of,
    read_values,
    wrong_axes,
)
from qmri_bids.scans.find_options import FindOptions

HEAD_T1 = ((0.9, 0.4), (1.4, 0.3), (4.0, 0.15), (0.38, 0.15))
"""T1 at 3 T [s] and shares of white matter, grey matter, fluid and fat (scalp, marrow), over which a smooth B1 map averages."""


def error_in_head(bias: Callable[[float], float]) -> float:
    """Return the relative error of B1 over a head.

    Parameters
    ----------
    bias
        Function from T1 [s] to the relative error of the method.

    Examples
    --------
    >>> round(error_in_head(lambda t1: 0.01 * t1), 5)
    0.01437
    """
    return sum(share * bias(t1) for t1, share in HEAD_T1)


@dataclass(frozen=True, kw_only=True)
class PairKind:
    """How the two images of a method are told apart.

    Parameters
    ----------
    role
        Returns the role of a file by its name, empty if the name tells none.
    names
        Both roles in the order of the equation.
    advice
        What to do where an image is missing.
    """

    role: Callable[[Path], str]
    names: tuple[str, str]
    advice: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images on one grid.

    Parameters
    ----------
    infos
        Of both images; the same twice where one file holds both.
    volumes
        Index on the last axis, None for a 3D file.
    sidecars
        Of both images.
    """

    infos: tuple[ImageInfo, ImageInfo]
    volumes: tuple[int | None, int | None]
    sidecars: tuple[Sidecar, Sidecar]

    def reversed(self) -> Pair:
        """Return the pair in the other order."""
        return Pair(infos=self.infos[::-1], volumes=self.volumes[::-1], sidecars=self.sidecars[::-1])

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both images."""
        first, second = (read_values(info, volume) for info, volume in zip(self.infos, self.volumes, strict=True))
        return first, second


def read_pair(paths: Sequence[Path], *, root: Path, kind: PairKind, added: AddedMetadata | None = None) -> Pair:
    """Return both images of a scan, checked.

    Parameters
    ----------
    paths
        Two 3D files, or one 4D file of two volumes.
    root
        The dataset.
    kind
        How the images are named.
    added
        What the user states of the whole dataset.

    Raises
    ------
    RefusedError
        If an image is missing or there are too many, one is unreadable, or their grids differ.
    """
    infos = [check_image(path, root=root) for path in paths]
    if len(infos) == 1 and infos[0].shape[3:] == (2,):
        sidecar = read_sidecar(infos[0].path, root=root, added=added)
        return Pair(infos=(infos[0], infos[0]), volumes=(0, 1), sidecars=(sidecar, sidecar))
    by_role: dict[str, list[ImageInfo]] = {}
    for info in infos:
        by_role.setdefault(kind.role(info.path), []).append(info)
    for same in by_role.values():
        if len(same) > 1:
            raise ambiguous([info.path for info in same], root)
    if tuple(sorted(by_role)) != tuple(sorted(kind.names)):
        first, second = kind.names
        raise refuse(
            file=relative_name(paths[0], root),
            key="file name",
            expected=f"{first} and {second} of the same scan, or one file of two volumes",
            found=" and ".join(path.name for path in paths),
            advice=kind.advice,
        )
    pair = by_role[kind.names[0]][0], by_role[kind.names[1]][0]
    for info in pair:
        if len(info.shape) != 3:
            raise wrong_axes(info, expected="three axes")
    check_same_grid(*pair)
    one, other = (read_sidecar(info.path, root=root, added=added) for info in pair)
    return Pair(infos=pair, volumes=(None, None), sidecars=(one, other))


def check_median(b1: NDArray[np.floating], pair: Pair, *, what: str, advice: str) -> None:
    """Refuse a pair of images whose B1 cannot be that of a head.

    Parameters
    ----------
    b1
        Relative B1 of every voxel, NaN where the images give none.
    pair
        The images.
    what
        The angles or times they were taken to have, for the message.
    advice
        What to do.

    Raises
    ------
    RefusedError
        If the median where the first image has signal lies outside `PLAUSIBLE`, or most of these voxels give no flip angle.
    """
    inside = has_signal(pair.values()[0])
    found = b1[inside]
    share = float(np.mean(np.isfinite(found))) if found.size else 0.0
    median = median_of(found)
    if share >= 0.5 and is_plausible(median):
        check_varies(found, pair.infos[0], what="ratios of both images")
        return
    low, high = PLAUSIBLE
    shown = f"a median of {median:.3g}" if share >= 0.5 else f"a flip angle in {100.0 * share:.0f} % of the voxels"
    raise refuse(
        file=pair.infos[0].name,
        key="ratio of the images",
        expected=f"relative B1 with a median of {low:g} to {high:g} for {what}",
        found=shown if found.size else "no value above zero",
        advice=advice,
    )


def stated_scale(method: str, options: FindOptions) -> tuple[str, ...]:
    """Say of a scale that was given that this method has none."""
    if options.b1_scale is None:
        return ()
    return (f"--b1-scale is not used: a {method} stores no B1, it is computed from two images.",)


def entity(path: Path, name: str) -> str:
    """Return the label of an entity, empty where the name has none."""
    return parse_name(path).entities.get(name, "")
