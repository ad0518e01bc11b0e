"""The digital head: a subject's tissues, off-resonance and transmit field, from the templates inside nilearn.

The brain is the ICBM 152 template (2009a, symmetric) that nilearn ships: grey and white matter where their
probability is the largest, cerebrospinal fluid in the rest of the skull's inside. Around it lie a dark skull,
muscle, a rim of fat, and air in sinuses and ear canals, whose susceptibility makes the off-resonance. The
head is closed below: there is no neck.

Templates of averaged brains are larger than a brain: a subject is the template scaled to about 0.88, with its
own proportions, a smooth deformation of a few millimetres, and smooth variation of T1, T2 and M0 inside each
tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import shim, smooth_variation, susceptibility_field, transmit_field
from qmri_bids.phantom.heads.head import BRAIN_REGIONS, Region, Sample, tissue_table
from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.phantom.heads.volume import Points, Volume, empty_volume
from qmri_bids.units import GYROMAGNETIC_RATIO

SKULL_THICKNESS = 6.5
"""Distance between the inside of the skull and the soft tissue around it, in the template [mm]."""
HEAD_MARGIN = 12.0
"""Distance between the convex hull of the brain and the skin, in the template [mm]."""
FAT_THICKNESS = 5.0
"""Thickness of the rim of fat and skin, in the template [mm]."""
FLUID_WEIGHT = 1.3
"""Weight of cerebrospinal fluid where tissues compete: averaging brains blurs the sulci away, this opens them
again."""

_LABELS = (Label.GM, Label.WM, Label.CSF, Label.FAT, Label.MUSCLE)
_CAVITIES = (
    ((0.0, 24.0, -44.0), (13.0, 20.0, 12.0)),
    ((-54.0, -30.0, -42.0), (8.0, 9.0, 9.0)),
    ((54.0, -30.0, -42.0), (8.0, 9.0, 9.0)),
)
"""Sinuses above the nose and the air around the ear canals: centre and semi-axes in the template [mm]."""


@dataclass(frozen=True, kw_only=True)
class TemplateHead:
    """A subject's head from the templates, in coordinates [mm, RAS] whose origin is the middle of the head.

    Parameters
    ----------
    gm, wm
        Probability of grey and white matter.
    inside_skull, surface
        Signed distance to the inside of the skull and to the skin [mm], negative inside.
    air
        Positive in air cavities.
    variation
        Relative variation of T1, T2 and M0 inside a tissue.
    off_resonance
        ΔB0 [Hz].
    b1
        Actual over nominal flip angle.
    field_strength
        B0 [T].
    """

    gm: Volume
    wm: Volume
    inside_skull: Volume
    surface: Volume
    air: Volume
    variation: tuple[Volume, Volume, Volume]
    off_resonance: Volume
    b1: Volume
    field_strength: float

    @property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner of the box around the head with its scalp [mm]."""
        points = self.surface_points()
        return points.min(axis=1), points.max(axis=1)

    @property
    def tissues(self) -> Mapping[int, Tissue]:
        """Brain, fat and muscle."""
        return {label: TISSUES[label] for label in _LABELS}

    @property
    def regions(self) -> tuple[Region, ...]:
        """Grey matter, white matter and fluid."""
        return BRAIN_REGIONS

    @property
    def mask_name(self) -> str:
        """Name of the mask of all regions."""
        return "brain"

    @property
    def decisions(self) -> tuple[str, ...]:
        """Where the head comes from."""
        return ("The brain is the ICBM 152 template, scaled and deformed for every subject.",)

    @property
    def target(self) -> NDArray[np.float64]:
        """The middle of the inside of the skull [mm]."""
        middle: NDArray[np.float64] = self.inside_skull.points()[:, self.inside_skull.data.ravel() < 0.0].mean(axis=1)
        return middle

    def brain_distance(self, points: Points) -> None:
        """Return nothing: the brain is all that the skull encloses, see `truth`."""

    def after(self, motion: NDArray[np.float64]) -> TemplateHead:
        """Return the same head: it is rigid."""
        return self

    def surface_points(self) -> Points:
        """Return positions on the skin, within half a grid step [mm], shape (3, n)."""
        distance = self.surface.data.ravel()
        return self.surface.points()[:, np.abs(distance) < 0.5 * self.surface.spacing]

    def sample(self, points: Points) -> tuple[NDArray[np.intp], Sample]:
        """Return which positions have a signal, and what is there: one tissue a position, see `Head`."""
        label = self._label(points)
        inside = np.flatnonzero(label != Label.NONE)
        points, label = points[:, inside], label[inside]
        relative = [1.0 + field.sample(points) for field in self.variation]
        table = tissue_table(self.tissues)
        frequency = GYROMAGNETIC_RATIO * self.field_strength
        return inside, Sample(
            label=label,
            t1=table[label, 0] * relative[0],
            t2=table[label, 1] * relative[1],
            m0=table[label, 2] * relative[2],
            off_resonance=self.off_resonance.sample(points),
            chemical_shift=table[label, 3] * np.float32(frequency),
            b1=self.b1.sample(points),
            share=np.ones(len(label), dtype=np.float32),
        )

    def _label(self, points: Points) -> NDArray[np.uint8]:
        """Return the label at every position: one tissue a point, mixtures come from the size of a voxel."""
        label = np.zeros(points.shape[1], dtype=np.uint8)
        surface = self.surface.sample(points)
        head = np.flatnonzero(surface < 0.0)
        depth = self.inside_skull.sample(points[:, head])
        brain = head[depth < 0.0]
        gm, wm = self.gm.sample(points[:, brain]), self.wm.sample(points[:, brain])
        fluid = FLUID_WEIGHT * (1.0 - gm - wm)
        label[brain] = np.where(
            (gm >= wm) & (gm >= fluid), Label.GM, np.where(wm >= fluid, Label.WM, Label.CSF)
        ).astype(np.uint8)
        soft = head[depth > SKULL_THICKNESS]
        soft = soft[self.air.sample(points[:, soft]) < 0.5]
        label[soft] = np.where(surface[soft] > -FAT_THICKNESS, Label.FAT, Label.MUSCLE)
        return label


@lru_cache(maxsize=1)
def _template() -> dict[str, Volume]:
    """Return the template: probabilities at 1 mm, distances [mm] and cavities at 3 mm, in MNI coordinates."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
    from scipy.ndimage import binary_fill_holes, gaussian_filter
    from scipy.ndimage import distance_transform_edt as distance_to

    def load(image: object) -> Volume:
        affine = image.affine  # type: ignore[attr-defined]
        data = np.ascontiguousarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        return Volume(data=data, origin=tuple(affine[:3, 3].tolist()), spacing=float(affine[0, 0]))

    template = {"gm": load(load_mni152_gm_template(1)), "wm": load(load_mni152_wm_template(1))}
    whole = load(load_mni152_template(1))
    shell = empty_volume(lower=(-116.0, -152.0, -120.0), upper=(116.0, 124.0, 130.0), spacing=3.0)
    positions = shell.points()
    blurred = whole.with_data(gaussian_filter((whole.data > 0.05).astype(np.float32), 1.0))
    edges = np.array(whole.origin), np.array(whole.origin) + whole.spacing * (np.array(whole.data.shape) - 1)
    within = np.all((positions >= edges[0][:, None]) & (positions <= edges[1][:, None]), axis=0)
    brain = ((blurred.sample(positions) > 0.5) & within).reshape(shell.data.shape)

    def signed(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        outside, inside = distance_to(~mask), distance_to(mask)
        distance: NDArray[np.float32] = gaussian_filter((outside - inside).astype(np.float32) * shell.spacing, 0.7)
        return distance

    # Closing by 6 mm bridges the fissures, by 40 mm the base of the skull: the latter is what carries the
    # scalp.
    from_brain = distance_to(~brain) * shell.spacing
    cranium = binary_fill_holes(distance_to(from_brain < 6.0) * shell.spacing > 5.0)
    hull = distance_to(from_brain < 40.0) * shell.spacing > 40.0
    template["inside_skull"] = shell.with_data(signed(cranium))
    template["surface"] = shell.with_data(signed(hull) - HEAD_MARGIN)
    air = np.zeros(shell.data.shape, dtype=bool)
    for centre, axes in _CAVITIES:
        scaled = (positions - np.array(centre)[:, None]) / np.array(axes)[:, None]
        air |= (np.sum(scaled**2, axis=0) < 1.0).reshape(air.shape)
    air &= (template["inside_skull"].data > 2.5) & (template["surface"].data < -4.0)
    template["air"] = shell.with_data(air)
    return template


@lru_cache(maxsize=2)
def build_head(*, subject: int, seed: int, field_strength: float = 3.0) -> TemplateHead:
    """Return the head of a subject.

    Parameters
    ----------
    subject
        Number of the subject, from 1.
    seed
        Seed of the dataset; the same seed and subject give the same head.
    field_strength
        B0 [T]; the susceptibility of the air cavities scales with it.
    """
    rng = np.random.default_rng([seed, subject, 0])
    template = _template()
    scale = rng.uniform(0.86, 0.90) * (1.0 + rng.uniform(-0.02, 0.02, size=3))
    surface = template["surface"]
    skin = surface.points()[:, surface.data.ravel() < 0.0]
    middle = 0.5 * (skin.min(axis=1) + skin.max(axis=1))
    half = 0.5 * (skin.max(axis=1) - skin.min(axis=1)) * scale
    semi_axes = (float(half[0]), float(half[1]), float(half[2]))

    def grid(spacing: float, margin: float) -> Volume:
        reach = [size + margin for size in semi_axes]
        return empty_volume(
            lower=(-reach[0], -reach[1], -reach[2]), upper=(reach[0], reach[1], reach[2]), spacing=spacing
        )

    smooth, medium = grid(4.0, 16.0), grid(2.0, 10.0)
    displacement = [smooth_variation(smooth, length=30.0, rng=rng) for _ in range(3)]

    def carry(target: Volume, *names: str) -> list[Volume]:
        """Bring maps of the template onto a grid of the head."""
        positions = target.points()
        shift = np.stack([2.5 * component.sample(positions) for component in displacement])
        source = (positions + shift) / scale[:, None] + middle[:, None]
        return [target.with_data(template[name].sample(source).reshape(target.data.shape)) for name in names]

    skull, skin_distance, air = carry(medium, "inside_skull", "surface", "air")
    gm, wm = carry(_box_around(skull, spacing=1.0), "gm", "wm")
    amplitudes = (0.06, 0.06, 0.03)
    offsets = rng.uniform(-1.0, 1.0, size=3) * (0.03, 0.03, 0.0)
    variation = tuple(
        smooth.with_data(offset + amplitude * smooth_variation(smooth, length=25.0, rng=rng).data)
        for amplitude, offset in zip(amplitudes, offsets, strict=True)
    )
    return TemplateHead(
        gm=gm,
        wm=wm,
        inside_skull=skull,
        surface=skin_distance,
        air=air,
        variation=(variation[0], variation[1], variation[2]),
        off_resonance=_off_resonance(skull=skull, skin=skin_distance, air=air, field_strength=field_strength),
        b1=transmit_field(smooth, semi_axes=semi_axes, rng=rng),
        field_strength=field_strength,
    )


def _box_around(distance: Volume, *, spacing: float) -> Volume:
    """Return an empty grid around the region where a signed distance is negative."""
    inside = distance.points()[:, distance.data.ravel() < 0.0]
    lower, upper = inside.min(axis=1) - distance.spacing, inside.max(axis=1) + distance.spacing
    return empty_volume(lower=tuple(lower.tolist()), upper=tuple(upper.tolist()), spacing=spacing)


def _off_resonance(*, skull: Volume, skin: Volume, air: Volume, field_strength: float) -> Volume:
    """Return the shimmed field of the air in and around the head [Hz]."""
    # Voxels that the skin cuts hold some air: a field of stairs would be ragged at the skin.
    outside = np.clip(0.5 + skin.data / (2.0 * skin.spacing), 0.0, 1.0)
    # The body goes on below: the broad section two centimetres above the end of the head is carried down to
    # its foot, else the closed bottom would make a field that no scan of a living head has.
    lowest = int(np.flatnonzero((skin.data < 0.0).any(axis=(0, 1)))[0])
    cut = lowest + int(20.0 / skin.spacing)
    outside[:, :, :cut] = outside[:, :, cut][:, :, None]
    outside = np.maximum(outside, air.data)
    field = susceptibility_field(outside, spacing=skin.spacing, field_strength=field_strength)
    return skin.with_data(shim(field, points=skin.points(), region=skull.data < 0.0))
