"""Brain masks on a real head, Colin27: whole heads of every contrast, slabs, slices, stripped and cropped images, and leaks.

Thresholds of the masks were chosen on other heads, with contrasts that share no code with these.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rows import AtLeast, Row
from scipy import ndimage

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.head import Sample
from qmri_bids.phantom.heads.image import ImageHead, head_of_image
from qmri_bids.phantom.scans.acquisition import acquire, add_noise, bssfp_signal, noise_stdev, oversampling
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.preprocessing.brain.mask import FoundMask, find_mask, judge_brain
from qmri_bids.preprocessing.masks import object_mask

FOLDER = Path(os.environ.get("QMRI_BIDS_TEST_HEAD", "/usr/share/mricron/templates"))
CONTRASTS = ("T1w", "bSSFP", "M0", "PD")
CYCLES = 6
FIELD_OF_VIEW = (200.0, 240.0, 216.0)
BIAS = 1.0 / 90.0
"""A factor e over the distance from the middle of a head to its surface [1/mm]."""
POSES = (
    {"voxel": 3.0},
    {"voxel": 3.0, "size": 0.91, "pitch": 20.0, "bias": (0.0, 0.0, 1.0)},
    {"voxel": 2.0, "pitch": -20.0, "bias": (0.0, 0.0, -1.0)},
    {"voxel": 2.0, "size": 0.91, "bias": (1.0, 0.0, 0.0)},
    {"voxel": 3.0, "pitch": 20.0, "bias": (0.0, -1.0, 0.0)},
    {"voxel": 1.3, "bias": (0.0, 1.0, 0.0)},
)
SLABS = ((8.0, 10.0), (20.0, -20.0), (20.0, 10.0), (20.0, 30.0), (36.0, 0.0), (36.0, 25.0), (60.0, 0.0))
"""Thickness and height of the middle above that of the brain [mm]."""
SLICES = (-15.0, 10.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class View:
    """An image, its affine, and the brain that is in it."""

    name: str
    image: NDArray[np.float32]
    affine: NDArray[np.float64]
    brain: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A mask against the truth."""

    view: View
    mask: FoundMask
    dice: float
    volume: float
    far: int
    seconds: float


@lru_cache(maxsize=1)
def _head() -> ImageHead:
    return head_of_image(FOLDER / "ch2.nii.gz", brain=FOLDER / "ch2bet.nii.gz")


@lru_cache(maxsize=1)
def _middle() -> NDArray[np.float64]:
    """Return the middle of the brain in coordinates of the head [mm]."""
    grid = _grid((4.0, 4.0, 4.0), FIELD_OF_VIEW, height=0.0)
    brain = true_maps(_head(), grid=grid, placement=np.eye(4)).brain
    return grid.affine[:3, :3] @ np.argwhere(brain).mean(axis=0) + grid.affine[:3, 3]


def _grid(voxel: tuple[float, float, float], extent: tuple[float, float, float], *, height: float) -> Grid:
    shape = [max(1, round(length / step)) for length, step in zip(extent, voxel, strict=True)]
    affine = np.diag([*voxel, 1.0])
    affine[:3, 3] = -0.5 * (np.array(shape) - 1.0) * voxel
    affine[2, 3] += height
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)


def _weighted(contrast: str, sample: Sample, points: object) -> NDArray[np.complex64]:
    """Return M0, M0 after 3 s of recovery, or an MPRAGE."""
    if contrast == "PD":
        weight = np.ones_like(sample.t1)
    elif contrast == "M0":
        weight = 1.0 - np.exp(-3.0 / sample.t1)
    else:
        weight = 1.0 - 2.0 * np.exp(-0.9 / sample.t1) / (1.0 + np.exp(-2.3 / sample.t1))
    return np.asarray(sample.m0 * weight)[:, None].astype(np.complex64)


def view(
    contrast: str,
    *,
    voxel: float | tuple[float, float, float],
    size: float = 1.0,
    pitch: float = 0.0,
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0),
    slab: tuple[float, float] | None = None,
    seed: int = 0,
) -> View:
    """Scan the head; `slab` is thickness and height of the middle above that of the brain [mm]."""
    edges = (voxel,) * 3 if isinstance(voxel, float) else voxel
    thickness, height = slab or (FIELD_OF_VIEW[2], -20.0)
    grid = _grid(edges, (*FIELD_OF_VIEW[:2], thickness), height=height)
    turned = Pose(translation=(0.0, 0.0, 0.0), rotation=(np.deg2rad(pitch), 0.0, 0.0)).matrix @ np.diag(
        [size, size, size, 1.0]
    )
    placement = turned.copy()
    placement[:3, 3] = -turned[:3, :3] @ _middle()
    head = _head()
    if contrast == "bSSFP":
        signal = partial(
            bssfp_signal,
            protocol=simulated_protocol(phase_cycles=CYCLES),
            cycles=tuple(range(CYCLES)),
            receiver=np.zeros(7),
        )
        volumes, noise = CYCLES, noise_stdev(25.0)
    else:
        signal, volumes, noise = partial(_weighted, contrast), 1, 0.02
    images = acquire(
        head, grid=grid, placement=placement, signal=signal, volumes=volumes, factor=oversampling(max(edges))
    )
    places = np.stack(
        np.meshgrid(*[edge * np.arange(n) for edge, n in zip(edges, grid.shape, strict=True)], indexing="ij"), -1
    )
    places += grid.affine[:3, 3]
    images *= np.exp(BIAS * (places @ np.array(bias)))[..., None].astype(np.float32)
    rng = np.random.default_rng([seed, int(100 * edges[0])])
    for volume in range(volumes):
        add_noise(images[..., volume], stdev=noise, rng=rng)
    brain = true_maps(head, grid=grid, placement=placement).brain
    what = f"{contrast}, {edges[0]:g} mm, size {size:g}, pitch {pitch:g}, bias {bias}, slab {slab}"
    return View(name=what, image=np.abs(images).mean(axis=3), affine=grid.affine, brain=brain)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2.0 * np.count_nonzero(first & second) / max(1, np.count_nonzero(first) + np.count_nonzero(second))


def _measured(one: View, *, method: str = "auto") -> Found:
    started = time.process_time()
    mask = find_mask(one.image, affine=one.affine, method=method)
    return _against(one, mask, seconds=time.process_time() - started)


def _against(one: View, mask: FoundMask, *, seconds: float = 0.0) -> Found:
    outside = ndimage.distance_transform_edt(~one.brain, sampling=np.diag(one.affine)[:3])
    found = Found(
        view=one,
        mask=mask,
        dice=dice(mask.mask, one.brain),
        volume=100.0 * (np.count_nonzero(mask.mask) / np.count_nonzero(one.brain) - 1.0),
        far=int(np.count_nonzero(mask.mask & (outside > 10.0))),
        seconds=seconds,
    )
    print(
        f"  {one.name}: {mask.method}, {mask.level}, {mask.value}; Dice {found.dice:.3f}, volume {found.volume:+.1f} %",
        flush=True,
    )
    return found


def masks() -> list[Row]:
    """Whole heads."""
    rows = []
    for contrast in CONTRASTS:
        found = [_measured(view(contrast, **pose)) for pose in POSES]
        levels = ", ".join(
            f"{sum(each.mask.level == level for each in found)} {level}" for level in ("good", "check", "bad")
        )
        rows += [
            Row(
                figure=f"brain mask of a real head, {contrast}: worst Dice of {len(found)}",
                unit="",
                bar=AtLeast(0.945),
                value=min(each.dice for each in found),
                baseline=f"lights: {levels}; median Dice {np.median([each.dice for each in found]):.3f}",
            ),
            Row(
                figure=f"brain mask of a real head, {contrast}: largest error of the volume",
                unit="%",
                bar=10.0,
                value=max(abs(each.volume) for each in found),
                baseline=f"mean {np.mean([each.volume for each in found]):+.1f} %",
            ),
            Row(
                figure=f"brain mask of a real head, {contrast}: voxels further than 10 mm outside",
                unit="",
                bar=0.0,
                value=float(max(each.far for each in found)),
            ),
        ]
    return rows


def _parts() -> list[Found]:
    """Return slabs, then slices, then stripped, then cropped images."""
    found = []
    for contrast in ("T1w", "bSSFP", "M0"):
        for thickness, height in SLABS:
            found.append(_measured(view(contrast, voxel=(2.0, 2.0, 4.0), slab=(thickness, height))))
        for height in SLICES:
            found.append(_measured(view(contrast, voxel=(2.0, 2.0, 5.0), slab=(5.0, height))))
        whole = view(contrast, voxel=3.0)
        stripped = np.where(whole.brain, whole.image, np.float32(0.0))
        found.append(_measured(replace(whole, name=f"{contrast}, stripped", image=stripped)))
        low = int(np.argwhere(whole.brain)[:, 2].min())
        cut = (slice(None), slice(None), slice(max(0, low - 2), None))
        affine = whole.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, cut[2].start], [0, 0, 0, 1.0]])
        found.append(
            _measured(
                replace(
                    whole, name=f"{contrast}, cropped", image=whole.image[cut], brain=whole.brain[cut], affine=affine
                )
            )
        )
    return found


def _leaks() -> list[Found]:
    """Return wrong masks that are put before the judge: scalp, neck and face within, lobes left out, a mask beside its place."""
    found = []
    for contrast, pose in (("T1w", POSES[0]), ("bSSFP", POSES[1]), ("M0", POSES[4])):
        one = view(contrast, **pose)
        edge = float(one.affine[0, 0])
        outside, depth = (ndimage.distance_transform_edt(part) * edge for part in (~one.brain, one.brain))
        head = object_mask(one.image)
        middle = np.argwhere(one.brain).mean(axis=0)
        y, z = (edge * (np.arange(n) - at) for n, at in zip(one.image.shape[1:], middle[1:], strict=True))
        y, z = y[None, :, None], z[None, None, :]
        wrong = {
            "scalp": (head | one.brain) & (outside < 9.0),
            "eroded": depth > 7.0,
            "neck": one.brain | (head & (z < -35.0)),
            "face": one.brain | (head & (y > 30.0) & (z < 0.0) & (z > -70.0)),
            "head": head,
            "no top": one.brain & (z < 20.0),
            "no front": one.brain & (y < 30.0),
            "beside": np.roll(one.brain, round(18.0 / edge), axis=2),
        }
        for name, mask in wrong.items():
            judged = judge_brain(one.image, mask, one.affine, method="library")
            found.append(_against(replace(one, name=f"{contrast}: {name}"), judged))
    return found


def slabs() -> list[Row]:
    """Parts of a head, and whether the light sees what is wrong."""
    found, leaks = _parts(), _leaks()
    accepted = [each for each in found if each.mask.kind == "brain" and each.mask.level != "bad"]
    per_contrast = len(SLABS) + len(SLICES) + 2
    thick = [
        each for i, each in enumerate(found) if i % per_contrast < len(SLABS) and SLABS[i % per_contrast][0] >= 20.0
    ]
    taken = [each for each in thick if any(each is one for one in accepted)]
    wrong = [each for each in (*found, *leaks) if each.dice < 0.85]
    worst = min(accepted, key=lambda each: each.dice)
    return [
        Row(
            figure="slabs, slices, stripped and cropped images of a real head: worst Dice of those accepted",
            unit="",
            bar=AtLeast(0.90),
            value=worst.dice,
            baseline=f"{worst.view.name}; {len(accepted)} of {len(found)}",
        ),
        Row(
            figure="slabs of 20 mm and more of a real head: accepted",
            unit="%",
            bar=AtLeast(80.0),
            value=100.0 * len(taken) / len(thick),
            baseline=f"{len(taken)} of {len(thick)}",
        ),
        Row(
            figure="wrong masks (Dice below 0.85) with a green light",
            unit="",
            bar=0.0,
            value=float(sum(each.mask.level == "good" for each in wrong)),
            baseline=f"of {len(wrong)}; yellow {sum(each.mask.level == 'check' for each in wrong)}",
        ),
    ]


def mask_time() -> list[Row]:
    """A head at 176×176×128, one thread."""
    one = view("M0", voxel=(FIELD_OF_VIEW[0] / 176, FIELD_OF_VIEW[1] / 176, FIELD_OF_VIEW[2] / 128))
    _measured(one)  # what is loaded once is not counted
    found = _measured(one)
    return [
        Row(
            figure="brain mask at 176×176×128: CPU time, one thread",
            unit="s",
            bar=12.0,
            value=found.seconds,
            baseline=f"Dice {found.dice:.3f}",
        )
    ]
