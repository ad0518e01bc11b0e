"""What the viewer of a run shows, packed: maps with their standard deviations, images, masks and the codes of quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import WITH_VALUE, Status
from qmri_bids.quantities import find_quantity
from qmri_bids.quantity import Display, bare
from qmri_bids.reports.drawing.colormaps import color_table, is_logarithmic
from qmri_bids.reports.drawing.planes import foreground
from qmri_bids.reports.drawing.status_styles import STATUS_STYLES
from qmri_bids.reports.drawing.styles import no_value_color
from qmri_bids.reports.figures.overlays import TISSUE_COLOURS
from qmri_bids.reports.viewer.content import Viewer, Volume
from qmri_bids.reports.viewer.packing import (
    Packed,
    countable_step,
    display_step,
    pack_domain,
    pack_labels,
    pack_stdev,
    pack_values,
)
from qmri_bids.tissue_labels import NAMES, WHITE

STDEV_COLORMAP, IMAGE_COLORMAP = "plasma", "gray"

FIT_RANK, STDEV_RANK, IMAGE_RANK = 1002, 1001, 1000
"""Where volumes stand in the order in which a page gives up voxels; maps have their place, which is below."""

STEPS_OF_IMAGE = 100.0
"""Display steps of an image between 0 and its brightest part inside the mask: finer ones would spell out noise."""

MARGIN = 4.0
"""Width kept around the head [mm]."""

SEEN_ANGLE = 0.5
"""Angle [degree] between axes of voxels and of the scanner from which slices are called oblique."""


@dataclass(frozen=True, kw_only=True)
class ViewerMap:
    """A map for the viewer.

    Parameters
    ----------
    name
        As `find_quantity` takes it.
    values
        In the unit of the package, shape (X, Y, Z); NaN where there is none.
    stdev
        Standard deviations, same shape; None where the map has none.
    group
        Key of the codes of quality that the map belongs to.
    window
        Limits in the unit of the package, in place of those of the row.
    """

    name: str
    values: NDArray[np.floating]
    stdev: NDArray[np.floating] | None = None
    group: str = ""
    window: tuple[float, float] | None = None


def build_viewer(
    maps: Sequence[ViewerMap],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    status: Mapping[str, NDArray[np.uint8]],
    images: Mapping[str, NDArray[np.floating]],
    tissue: NDArray[np.integer] | None = None,
    mask_name: str = "brain mask",
) -> Viewer:
    """Return the viewer of a run.

    Parameters
    ----------
    maps
        Maps in the order of the report.
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Voxels for which maps were computed, shape (X, Y, Z).
    status
        Codes of `Status`, same shape, by the key of the group of maps that share them.
    images
        Magnitude images, same shape, by what they are; the first one is shown around the mask.
    tissue
        Labels of the tissues, same shape; None where they were not told apart.
    mask_name
        What the mask is called.
    """
    scene = _Scene(
        affine=np.asarray(affine, dtype=float), mask=np.asarray(mask, dtype=bool), first=next(iter(images.values()))
    )
    packer = _Packer(scene)
    shown = [packer.map(entry, place=place) for place, entry in enumerate(maps)]
    pictures = [packer.image(name, image, later=place > 0) for place, (name, image) in enumerate(images.items())]
    world = scene.to_world
    used = sorted({entry["colors"] for entry in shown} | {STDEV_COLORMAP, IMAGE_COLORMAP})
    meta: dict[str, Any] = {
        "shape": list(scene.mask.shape[::-1]),
        "sizes": np.linalg.norm(world[:3, :3], axis=0).tolist(),
        "world": world.tolist(),
        "file": scene.to_file.tolist(),
        "oblique": round(scene.angle, 1) if scene.angle > SEEN_ANGLE else 0,
        "mask_name": mask_name,
        "start": _start(scene, maps, status=status, tissue=tissue),
        "mask": packer.label(pack_domain(scene.mask)),
        "head": packer.label(pack_domain(scene.head)),
        "maps": shown,
        "images": pictures,
        "status": {
            key: packer.label(pack_labels(scene.cut(codes), domain=scene.mask)) for key, codes in status.items()
        },
        "codes": {
            int(code): {
                "name": style.name,
                "meaning": style.meaning,
                "color": style.color,
                "valued": code in WITH_VALUE,
            }
            for code, style in STATUS_STYLES.items()
        },
        "outside": int(Status.OUTSIDE),
        "colors": {name: _hex(name) for name in used},
        "missing": {name: no_value_color(name) for name in used},
        "logarithmic": [name for name in used if is_logarithmic(name)],
    }
    if tissue is not None:
        meta["tissue"] = {
            "labels": packer.label(pack_labels(scene.cut(tissue), domain=scene.mask)),
            "names": {int(label): name for label, name in NAMES.items()},
            "outlines": {int(label): color for label, color in TISSUE_COLOURS.items()},
        }
    return Viewer(meta=meta, volumes=tuple(packer.volumes), labels=tuple(packer.labels))


def _start(
    scene: _Scene,
    maps: Sequence[ViewerMap],
    *,
    status: Mapping[str, NDArray[np.uint8]],
    tissue: NDArray[np.integer] | None,
) -> list[int] | None:
    """Return where the crosshair lies first, as (x, y, z) of the page; None where no voxel converged.

    It is the converged voxel of white matter, or else of the mask, that is nearest to the middle of the mask, and away from the
    edge of its kind where one is.
    """
    from scipy.ndimage import binary_erosion

    good = scene.mask.copy()
    for codes in status.values():
        good &= scene.cut(codes) == Status.CONVERGED
    if maps:
        good &= np.isfinite(scene.cut(maps[0].values))
    white = np.zeros_like(good) if tissue is None else scene.cut(tissue) == WHITE
    wanted = (binary_erosion(white) & good, white & good, binary_erosion(good), good)
    where = next((chosen for chosen in wanted if chosen.any()), None)
    if where is None:
        return None
    sizes = np.linalg.norm(scene.to_world[:3, :3], axis=0)[::-1]
    middle = np.argwhere(scene.mask).mean(axis=0)
    places = np.argwhere(where)
    nearest = places[np.argmin(np.linalg.norm((places - middle) * sizes, axis=1))]
    return [int(index) for index in nearest[::-1]]


class _Scene:
    """Where the volumes lie: axes towards right, anterior and superior, cropped to the head, shape (Z, Y, X)."""

    def __init__(self, *, affine: NDArray[np.float64], mask: NDArray[np.bool_], first: NDArray[np.floating]) -> None:
        from nibabel.affines import voxel_sizes
        from nibabel.orientations import inv_ornt_aff, io_orientation

        self._orientation = io_orientation(affine)
        turned = inv_ornt_aff(self._orientation, mask.shape)
        brain = self._oriented(mask)
        head = brain | foreground(self._oriented(first)) if np.any(first) else brain
        inside = head if head.any() else np.ones_like(head)
        sizes = voxel_sizes(affine @ turned)
        box = []
        for axis in range(3):
            occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
            margin = math.ceil(MARGIN / sizes[axis])
            box.append(
                slice(max(int(occupied[0]) - margin, 0), min(int(occupied[-1]) + 1 + margin, inside.shape[axis]))
            )
        self._box = tuple(box)
        placed = np.eye(4)
        placed[:3, 3] = [part.start for part in box]
        self.to_file = np.asarray(turned @ placed)
        """Matrix from indices (x, y, z) of the page to those of the file."""
        self.to_world = np.asarray(affine @ self.to_file)
        """Matrix from indices of the page to millimetres."""
        self.mask, self.head = self._cropped(brain), self._cropped(head)

    def _oriented(self, values: NDArray[Any]) -> NDArray[Any]:
        from nibabel.orientations import apply_orientation

        oriented: NDArray[Any] = apply_orientation(np.asarray(values), self._orientation)
        return oriented

    def _cropped(self, oriented: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(oriented[self._box].transpose(2, 1, 0))

    def cut(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a volume of the scan as the page has it."""
        return self._cropped(self._oriented(values))

    @property
    def angle(self) -> float:
        """Largest angle between an axis of the voxels and that of the scanner next to it [degree]."""
        axes = self.to_world[:3, :3]
        cosines = np.diag(axes / np.linalg.norm(axes, axis=0))
        return float(np.degrees(np.arccos(np.clip(cosines.min(), -1.0, 1.0))))


_EVERY_SECOND = (slice(None, None, 2),) * 3

OF_THE_FIT = ("residual", "misfit")
"""Maps that say how well the model fits: the first that a page gives up voxels of."""


class _Packer:
    """Packs volumes and keeps them, by number."""

    def __init__(self, scene: _Scene) -> None:
        self._scene = scene
        self.volumes: list[Volume] = []
        self.labels: list[bytes] = []

    def label(self, packed: bytes) -> int:
        """Keep a domain or labels and return their number."""
        self.labels.append(packed)
        return len(self.labels) - 1

    def _keep(self, pack: Callable[[tuple[slice, ...]], Packed], rank: int) -> int:
        self.volumes.append(Volume(full=pack((slice(None),) * 3), half=pack(_EVERY_SECOND), rank=rank))
        return len(self.volumes) - 1

    def map(self, entry: ViewerMap, *, place: int) -> dict[str, Any]:
        """Keep a map with its standard deviation and return what JSON says of it."""
        quantity = find_quantity(entry.name) or bare(entry.name)
        display, mask = quantity.display, self._scene.mask

        def cut(values: NDArray[np.floating]) -> NDArray[np.floating]:
            return self._scene.cut(np.asarray(display.convert(np.asarray(values, dtype=np.float32))))

        values, stdev = cut(entry.values), None if entry.stdev is None else cut(entry.stdev)
        inside = mask & np.isfinite(values)
        low, high = _window(display, entry.window, values[inside])
        step = display_step(values[inside], window=(low, high), stdev=None if stdev is None else stdev[inside])
        meta: dict[str, Any] = {
            "name": entry.name,
            "label": quantity.label,
            "unit": {"arbitrary": "a.u.", "1": ""}.get(display.unit, display.unit),
            "window": [low, high],
            "colors": display.colormap,
            "group": entry.group,
            "volume": self._keep(
                lambda part: pack_values(values[part], domain=mask[part], step=step),
                FIT_RANK if entry.name in OF_THE_FIT else place,
            ),
        }
        if stdev is not None:
            known, spread = stdev[inside & np.isfinite(stdev)], quantity.spread
            limit = None if spread is None else spread.limit
            if limit is None:
                limit = float(np.percentile(known, 98)) if known.size else 1.0
            meta["stdev"] = {
                "volume": self._keep(lambda part: pack_stdev(stdev[part], domain=mask[part]), STDEV_RANK),
                "window": [0.0, float(limit) or 1.0],
            }
        return meta

    def image(self, name: str, image: NDArray[np.floating], *, later: bool) -> dict[str, Any]:
        """Keep a magnitude image and return what JSON says of it."""
        mask, head = self._scene.mask, self._scene.head
        cut = np.nan_to_num(self._scene.cut(np.asarray(image, dtype=np.float32)), posinf=0.0, neginf=0.0)
        bright = cut[mask] if mask.any() else cut[head]
        top = float(np.percentile(bright, 99.5)) if bright.size else 1.0
        top = top if top > 0.0 else 1.0
        low = min(0.0, float(np.percentile(bright, 0.5, method="higher"))) if bright.size else 0.0
        step = countable_step((top - low) / STEPS_OF_IMAGE, cut[head])
        return {
            "label": name,
            "unit": "a.u.",
            "window": [low, top],
            "volume": self._keep(
                lambda part: pack_values(cut[part], domain=head[part], step=step), FIT_RANK if later else IMAGE_RANK
            ),
        }


def _window(display: Display, window: tuple[float, float] | None, values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the limits on display of a map when the viewer opens; those of the values where limits that were given are none."""
    given = display.window if window is None else [display.convert(limit) for limit in window]
    if given is not None and np.isfinite(given).all():
        low, high = (float(limit) for limit in given)
    elif values.size:
        # Without interpolation: one far value of a small mask would be part of its limits.
        ends = np.percentile(values, 2, method="higher"), np.percentile(values, 98, method="lower")
        low, high = sorted(float(limit) for limit in ends)
    else:
        low, high = 0.0, 1.0
    around = max(0.5, 1e-3 * abs(low))
    return (low, high) if low < high else (low - around, low + around)


def _hex(name: str) -> str:
    """Return a table of colours as hexadecimal digits, six a colour."""
    levels = np.rint(255 * color_table(name)).astype(np.uint8)
    return levels.tobytes().hex()
