"""A digital head from an image: real anatomy with the relaxation times of the literature.

Any T1-weighted image of a whole head, with a mask of its brain, becomes a head that every scan of the phantom can measure. The
image says which tissue lies where (`image_tissues`); relaxation times, off-resonance and transmit field are those of a 3 T scanner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import shim, smooth_variation, susceptibility_field, transmit_field
from qmri_bids.phantom.heads.head import BRAIN_REGIONS, Region, Sample, tissue_table
from qmri_bids.phantom.heads.image_tissues import (
    LABELS,
    RIM,
    Tissues,
    box_around,
    clean_brain,
    evened,
    grown,
    shrunk,
    tissues_of,
)
from qmri_bids.phantom.heads.tissues import TISSUES, Tissue
from qmri_bids.phantom.heads.volume import Points, Volume, empty_volume
from qmri_bids.units import GYROMAGNETIC_RATIO

LEAST_SHARE = 0.03
"""A smaller share of a tissue at a position is given to the others there."""
VARIATION = (0.03, 0.03, 0.015)
"""Relative variation of T1, T2 and M0 inside a tissue."""
SKULL_THICKNESS = 10.0
"""So far around the inside of the skull all moves with it [mm]."""
FACE_TRANSITION = 25.0
"""Distance over which face and neck come to rest [mm]."""
LARGEST_FIELD = 850.0
"""Off-resonance is cut here [Hz]; only points at the walls of air cavities exceed it."""


@dataclass(frozen=True, kw_only=True)
class ImageHead:
    """A head from an image, in coordinates [mm, RAS] whose origin is the middle of the head.

    Parameters
    ----------
    shares
        Share of each of `LABELS` in every voxel of the image, 255 for the whole, shape (x, y, z, 7).
    origin, spacing
        Position of the first voxel's centre and edge of a voxel of `shares` [mm].
    brain
        Signed distance to the surface of the brain [mm], negative inside.
    surface
        Signed distance to the skin [mm].
    variation
        Relative variation of T1, T2 and M0 inside a tissue.
    off_resonance
        ΔB0 [Hz].
    b1
        Actual over nominal flip angle.
    field_strength
        B0 [T].
    decisions
        What was decided about the image, in sentences.
    follows
        How far a position follows the motion of the skull, from 0 to 1 in the skull; None for a head that is rigid throughout.
    motion
        Motion of the skull since the head was at rest, in its coordinates, shape (4, 4).
    """

    shares: NDArray[np.uint8]
    origin: tuple[float, float, float]
    spacing: float
    brain: Volume
    surface: Volume
    variation: tuple[Volume, Volume, Volume]
    off_resonance: Volume
    b1: Volume
    field_strength: float
    decisions: tuple[str, ...]
    follows: Volume | None = None
    motion: NDArray[np.float64] | None = None

    @property
    def regions(self) -> tuple[Region, ...]:
        """Grey matter, white matter and fluid."""
        return BRAIN_REGIONS

    @property
    def mask_name(self) -> str:
        """Name of the mask of brain and fluid."""
        return "brain"

    @property
    def target(self) -> NDArray[np.float64]:
        """The middle of the brain [mm]."""
        middle: NDArray[np.float64] = self.brain.points()[:, self.brain.data.ravel() < 0.0].mean(axis=1)
        return middle

    @property
    def tissues(self) -> Mapping[int, Tissue]:
        """Those that occur."""
        present = self.shares.reshape(-1, len(LABELS)).max(axis=0) > 0
        return {label: TISSUES[label] for label, there in zip(LABELS, present, strict=True) if there}

    @property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner of the box around the head [mm]."""
        points = self.surface_points()
        return points.min(axis=1), points.max(axis=1)

    def surface_points(self) -> Points:
        """Return positions on the skin, within half a grid step [mm], shape (3, n)."""
        distance = self.surface.data.ravel()
        return self.surface.points()[:, np.abs(distance) < 0.5 * self.surface.spacing]

    def brain_distance(self, points: Points) -> NDArray[np.float32]:
        """Return the signed distance to the surface of the brain [mm], negative inside, shape (n,)."""
        return self.brain.sample(points)

    def after(self, motion: NDArray[np.float64]) -> ImageHead:
        """Return the head after its skull has moved: face and neck are left behind, see `head.Head`."""
        return self if self.follows is None else replace(self, motion=motion)

    def _at_rest(self, points: Points) -> Points:
        """Return where the tissue lay at rest that is at positions seen from the skull, shape (3, n)."""
        if self.follows is None or self.motion is None:
            return points
        behind = 1.0 - self.follows.sample(points)
        moved = self.motion[:3, :3] @ points + self.motion[:3, 3:]
        rest: Points = points + behind * (moved - points)
        return rest

    def sample(self, points: Points) -> tuple[NDArray[np.intp], Sample]:
        """Return the spins at positions [mm], shape (3, n): up to all tissues of a voxel at one position, see `head.Head`."""
        from qmri_bids.phantom.heads.kernels import mixtures

        points = np.ascontiguousarray(self._at_rest(points))
        where, index, share = mixtures(self.shares, points, self.origin, self.spacing, LEAST_SHARE)
        label = np.array(LABELS, dtype=np.uint8)[index]
        table = tissue_table(self.tissues)
        # Fields are the same for all spins of a position, which come one after the other.
        first = np.diff(where, prepend=-1) > 0
        here, back = points[:, where[first]], np.cumsum(first) - 1
        relative = [(1.0 + field.sample(here))[back] for field in self.variation]
        return where, Sample(
            label=label,
            t1=table[label, 0] * relative[0],
            t2=table[label, 1] * relative[1],
            m0=table[label, 2] * relative[2] * share,
            off_resonance=self.off_resonance.sample(here)[back],
            chemical_shift=table[label, 3] * np.float32(GYROMAGNETIC_RATIO * self.field_strength),
            b1=self.b1.sample(here)[back],
            share=share,
        )


def head_of_image(
    whole_head: Path,
    *,
    brain: Path | None = None,
    seed: int = 0,
    subject: int = 1,
    field_strength: float = 3.0,
    scale: float = 1.0,
    face_motion: float = 0.0,
) -> ImageHead:
    """Return the digital head of a T1-weighted image.

    Parameters
    ----------
    whole_head
        NIfTI file of a T1-weighted head, or of a brain without its skull.
    brain
        NIfTI file on the same voxels that is above 0 inside the brain: a mask or a skull-stripped image; small islands are dropped
        and its rim is closed. By default all of an image that holds a brain alone, else what the library of brain extraction finds.
    seed, subject
        Seed of the dataset and number of the subject, by which relaxation times and transmit field vary at random.
    field_strength
        B0 [T].
    scale
        Factor on the size of the head.
    face_motion
        Share of the skull's motion that face and neck do not follow: 0 for a rigid head, 1 for a neck that stays where it is.

    Raises
    ------
    ValueError
        If the image is not T1-weighted, or no brain is found in it, or a setting has no meaning.
    """
    if not 0.0 <= face_motion <= 1.0:
        raise ValueError(f"face_motion must lie in [0, 1], found {face_motion}")
    if not 0.1 <= scale <= 10.0:
        raise ValueError(f"scale must lie in [0.1, 10], found {scale}")
    return _cached_head(
        Path(whole_head),
        None if brain is None else Path(brain),
        seed=seed,
        subject=subject,
        field_strength=field_strength,
        scale=scale,
        face_motion=face_motion,
    )


@lru_cache(maxsize=2)
def _cached_head(
    whole_head: Path,
    brain: Path | None,
    *,
    seed: int,
    subject: int,
    field_strength: float,
    scale: float,
    face_motion: float,
) -> ImageHead:
    tissues, spacing, stripped = _load(whole_head, brain)
    spacing *= scale
    rng = np.random.default_rng([seed, subject, 0])
    inside = np.argwhere(tissues.head)
    lower, upper = inside.min(axis=0), inside.max(axis=0)
    middle = 0.5 * (lower + upper) * spacing
    origin = (float(-middle[0]), float(-middle[1]), float(-middle[2]))
    half = 0.5 * (upper - lower + 1) * spacing

    def grid(step: float, margin: float, *, below: float = 0.0) -> Volume:
        reach = half + margin
        return empty_volume(
            lower=(-reach[0], -reach[1], -reach[2] - below), upper=(reach[0], reach[1], reach[2]), spacing=step
        )

    coarse = max(spacing, min(2.0, float(half.min()) / 20.0))
    medium = grid(coarse, 10.0 * coarse, below=0.0 if stripped else 80.0)
    smooth = grid(2.0 * coarse, 10.0 * coarse)
    length = 0.3 * float(half.min())

    def carried(mask: NDArray[np.bool_]) -> Volume:
        """Bring a mask onto the grid of the fields; nothing lies beyond the image."""
        padded = Volume(data=np.pad(mask, 1).astype(np.float32), origin=first, spacing=spacing)
        return medium.with_data(padded.sample(medium.points()).reshape(medium.data.shape))

    first = (origin[0] - spacing, origin[1] - spacing, origin[2] - spacing)
    surface = _signed_distance(carried(tissues.head))
    skull = carried(tissues.inside_skull)
    variation = tuple(
        smooth.with_data(amplitude * smooth_variation(smooth, length=length, rng=rng).data) for amplitude in VARIATION
    )
    padded = np.pad(tissues.shares, ((1, 1), (1, 1), (1, 1), (0, 0)))
    return ImageHead(
        shares=padded,
        origin=first,
        spacing=spacing,
        brain=_distance_to_brain(tissues.brain, spacing=spacing, origin=origin),
        surface=surface,
        variation=(variation[0], variation[1], variation[2]),
        off_resonance=_off_resonance(
            skull=skull,
            skin=surface,
            air=carried(tissues.air),
            field_strength=field_strength,
            cut=None if stripped else -half[2],
        ),
        b1=transmit_field(smooth, semi_axes=_semi_axes(half), rng=rng),
        field_strength=field_strength,
        decisions=tissues.decisions,
        follows=None if face_motion == 0.0 or stripped else _follows(skull, surface, share=face_motion),
    )


def _semi_axes(half: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the semi-axes of the transmit field: a small object lies in its middle, where it is flat."""
    x, y, z = np.maximum(half, (65.0, 80.0, 75.0)).tolist()
    return x, y, z


def _signed_distance(mask: Volume) -> Volume:
    """Return the signed distance to the surface where a mask passes one half [mm], negative inside, within half a voxel."""
    from scipy.ndimage import distance_transform_edt

    inside = mask.data > 0.5
    signed = distance_transform_edt(~inside) - distance_transform_edt(inside)
    # Half a voxel lies between the centres on both sides of the surface; beside it the mask itself tells more.
    signed = np.where(np.abs(signed) <= 1.0, 0.5 - mask.data, signed - 0.5 * np.sign(signed))
    return mask.with_data(mask.spacing * signed)


def _distance_to_brain(
    brain: NDArray[np.bool_], *, spacing: float, origin: tuple[float, float, float], reach: float = 12.0
) -> Volume:
    """Return the signed distance to the surface of the brain [mm] on a grid around it: beyond it the brain is farther."""
    from scipy.ndimage import distance_transform_edt

    margin = int(np.ceil(reach / spacing))
    padded = np.pad(brain, margin)
    box = box_around(padded, margin)
    start = [o + (b.start - margin) * spacing for o, b in zip(origin, box, strict=True)]
    inside = padded[box]
    signed = distance_transform_edt(~inside, sampling=spacing) - distance_transform_edt(inside, sampling=spacing)
    signed -= 0.5 * spacing * np.sign(signed)
    return Volume(data=signed.astype(np.float32), origin=(start[0], start[1], start[2]), spacing=spacing)


def _follows(skull: Volume, surface: Volume, *, share: float) -> Volume:
    """Return how far positions follow the motion of the skull: wholly around the brain, by 1 - `share` far below it."""
    from scipy.ndimage import distance_transform_edt

    rigid = grown(skull.data > 0.5, SKULL_THICKNESS, skull.spacing)
    brain = np.flatnonzero((skull.data > 0.5).any(axis=(0, 1)))
    # Above the middle of the brain there is no face that could lag behind.
    rigid[:, :, int(brain.mean()) :] = True
    along = np.clip(distance_transform_edt(~rigid, sampling=skull.spacing) / FACE_TRANSITION, 0.0, 1.0)
    return surface.with_data(1.0 - share * along**2 * (3.0 - 2.0 * along))


def _off_resonance(*, skull: Volume, skin: Volume, air: Volume, field_strength: float, cut: float | None) -> Volume:
    """Return the shimmed field of the air in and around the head [Hz]; below `cut` [mm] the neck goes on."""
    outside = np.clip(0.5 + skin.data / (2.0 * skin.spacing), 0.0, 1.0)
    outside = np.maximum(outside, np.clip(air.data, 0.0, 1.0))
    if cut is not None:
        level = int(np.ceil((cut + 3.0 * skin.spacing - skin.origin[2]) / skin.spacing))
        outside[:, :, :level] = outside[:, :, level][:, :, None]
    field = susceptibility_field(outside, spacing=skin.spacing, field_strength=field_strength)
    shimmed = shim(field, points=skin.points(), region=skull.data > 0.5)
    return skin.with_data(np.clip(shimmed, -LARGEST_FIELD, LARGEST_FIELD))


@lru_cache(maxsize=2)
def _load(whole_head: Path, brain: Path | None) -> tuple[Tissues, float, bool]:
    """Return the tissues of an image, the edge of its voxels [mm], and whether it holds the brain alone."""
    import nibabel

    image = _isotropic(nibabel.load(whole_head))
    spacing = float(image.header.get_zooms()[0])
    data = np.asarray(image.dataobj, dtype=np.float32)
    said: tuple[str, ...] = ()
    if brain is None and is_stripped(data):
        mask = data > 0.0
        said = ("The image holds a brain alone: there is nothing around it but air.",)
    elif brain is None:
        from qmri_bids.preprocessing.brain.mask import find_mask

        found = find_mask(data, affine=image.affine, method="library")
        if found.kind != "brain":
            raise ValueError(
                f"{whole_head}: no brain was found in this image; give an image or mask of it on the same voxels (--brain)"
            )
        mask = shrunk(found.mask, RIM, spacing)
        said = (
            f"The brain is what this program's own extraction finds, less {RIM:g} mm of fluid: brain masks cannot be judged "
            "by this head.",
        )
    else:
        drawn = _isotropic(nibabel.load(brain))
        if drawn.shape != image.shape or not np.allclose(drawn.affine, image.affine, atol=1e-3):
            raise ValueError(f"{brain}: expected the voxels of {whole_head}, found others; resample the brain to them")
        mask = np.asarray(drawn.dataobj) > 0
    stripped = is_stripped(data)
    mask = clean_brain(mask, spacing=spacing)
    data, shading = evened(data, brain=mask, spacing=spacing)
    tissues = tissues_of(data, brain=mask, spacing=spacing, stripped=stripped)
    return replace(tissues, decisions=(*said, *shading, *tissues.decisions)), spacing, stripped


def is_stripped(data: NDArray[np.floating]) -> bool:
    """Return whether an image holds a brain alone: nothing but zeros around one compact body."""
    body = data > 0.0
    return 0.0 < float(body.mean()) < 0.40 and float(np.mean(data == 0.0)) > 0.5


def _isotropic(image):  # type: ignore[no-untyped-def]
    """Return a 3D image along the axes right, anterior, superior with cubic voxels."""
    import nibabel
    from nibabel.processing import resample_to_output

    image = nibabel.as_closest_canonical(nibabel.squeeze_image(image))
    zooms = np.array(image.header.get_zooms()[:3], dtype=float)
    plain = np.allclose(image.affine[:3, :3], np.diag(zooms), atol=1e-4) and np.allclose(zooms, zooms[0], rtol=1e-3)
    return image if plain else resample_to_output(image, float(zooms.min()), order=1)
