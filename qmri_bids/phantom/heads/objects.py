"""Objects of known relaxation times in simple shapes: a system phantom with spheres, and a cylinder with one insert.

The outer body is filled with water; others lie in it, each of one liquid. No wall has a width: nothing lies between two liquids.
The field is that of a well shimmed object of water, tens of hertz; the transmit field is smooth. Nothing exchanges with the water.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.fields import smooth_variation
from qmri_bids.phantom.heads.head import Region, Sample, tissue_table
from qmri_bids.phantom.heads.tissues import Tissue
from qmri_bids.phantom.heads.volume import Points, Volume, empty_volume

NUMBER_OF_SPHERES = 14
LONGEST, SHORTEST = (2.0, 0.6), (0.1, 0.01)
"""T1 and T2 of the first and the last sphere [s]."""
SPHERE_RADIUS = 12.0
"""Radius of each sphere [mm]."""
SHELL_RADIUS = 90.0
"""Radius of the ball of water around the spheres [mm]."""
OUTER_RING, INNER_RING = (10, 62.0), (4, 26.0)
"""How many spheres lie on a circle around the axis of the magnet, and its radius [mm]."""
CYLINDER_RADIUS, CYLINDER_LENGTH = 50.0, 110.0
"""Radius and length of the cylinder [mm]."""
INSERT_RADIUS, INSERT_PLACE = 14.0, 24.0
"""Radius of the insert, and distance of its axis from that of the cylinder [mm]."""
FIELD_RANGE = 25.0
"""Off-resonance stays within ± this [Hz]."""
B1_RANGE = 0.12
"""B1 stays within 1 ± this."""

WATER = Tissue(t1=2.800, t2=2.000, m0=1.0)
"""Water at the temperature of a room, with the air that it holds (round values)."""
DOPED_WATER = Tissue(t1=0.600, t2=0.450, m0=1.0)
"""Water with some paramagnetic salt."""
INSERT = Tissue(t1=1.200, t2=0.080, m0=0.9)
"""A gel with the times of tissue."""
FIRST_LABEL = 100
"""Label of the filling; the bodies in it count on from here."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """A sphere, or a cylinder along the axis of the magnet.

    Parameters
    ----------
    label
        Label of its spins.
    tissue
        What fills it.
    centre
        Position of its middle [mm].
    radius, half_length
        Radius and half the length [mm]; a body without length is a sphere.
    """

    label: int
    tissue: Tissue
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float
    half_length: float | None = None

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Return which positions lie in it, shape (n,)."""
        x, y, z = points - np.array(self.centre)[:, None]
        inside: NDArray[np.bool_]
        if self.half_length is None:
            inside = x**2 + y**2 + z**2 < self.radius**2
        else:
            inside = (x**2 + y**2 < self.radius**2) & (np.abs(z) < self.half_length)
        return inside

    def surface(self) -> Points:
        """Return positions on its surface [mm], shape (3, n)."""
        around, along = np.meshgrid(np.linspace(0.0, 2.0 * math.pi, 73), np.linspace(-1.0, 1.0, 41))
        wide = np.sqrt(1.0 - along**2) if self.half_length is None else np.ones_like(along)
        reach = self.radius if self.half_length is None else self.half_length
        points = np.stack([self.radius * wide * np.cos(around), self.radius * wide * np.sin(around), reach * along])
        return points.reshape(3, -1) + np.array(self.centre)[:, None]


@dataclass(frozen=True, kw_only=True)
class LiquidObject:
    """Bodies of liquids; where two hold a position it belongs to the later.

    Parameters
    ----------
    bodies
        The outer one first.
    regions
        What the truth tells apart.
    off_resonance
        ΔB0 [Hz].
    b1
        Actual over nominal flip angle.
    field_strength
        B0 [T].
    decisions
        What it is, in sentences.
    """

    bodies: tuple[Body, ...]
    regions: tuple[Region, ...]
    off_resonance: Volume
    b1: Volume
    field_strength: float
    decisions: tuple[str, ...]
    mask_name: str = "object"

    @property
    def tissues(self) -> Mapping[int, Tissue]:
        """By label."""
        return {body.label: body.tissue for body in self.bodies}

    @property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner of the box around the object [mm]."""
        points = self.surface_points()
        return points.min(axis=1), points.max(axis=1)

    @property
    def target(self) -> NDArray[np.float64]:
        """The middle, where all bodies are cut by one slice [mm]."""
        return np.zeros(3)

    def surface_points(self) -> Points:
        """Return positions on the outer surface [mm], shape (3, n)."""
        return self.bodies[0].surface()

    def brain_distance(self, points: Points) -> None:
        """Return nothing: there is no brain."""

    def after(self, motion: NDArray[np.float64]) -> LiquidObject:
        """Return the same object: it is rigid."""
        return self

    def sample(self, points: Points) -> tuple[NDArray[np.intp], Sample]:
        """Return the spins at positions [mm], shape (3, n): one liquid a position, see `head.Head`."""
        label = np.zeros(points.shape[1], dtype=np.uint8)
        for body in self.bodies:
            label[body.holds(points)] = body.label
        where = np.flatnonzero(label)
        points, label = points[:, where], label[where]
        t1, t2, m0, shift = tissue_table(self.tissues)[label].T
        return where, Sample(
            label=label,
            t1=np.ascontiguousarray(t1),
            t2=np.ascontiguousarray(t2),
            m0=np.ascontiguousarray(m0),
            off_resonance=self.off_resonance.sample(points),
            chemical_shift=np.ascontiguousarray(shift),
            b1=self.b1.sample(points),
            share=np.ones(len(where), dtype=np.float32),
        )


def _colour(part: float) -> str:
    from matplotlib import colormaps

    red, green, blue, _ = colormaps["viridis"](part, bytes=True)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _of(
    bodies: tuple[Body, ...],
    names: tuple[tuple[str, str], ...],
    *,
    seed: int,
    subject: int,
    field_strength: float,
    said: str,
) -> LiquidObject:
    """Return the object with its fields; the filling is the last region."""
    rng = np.random.default_rng([seed, subject, 0])
    points = bodies[0].surface()
    lower, upper = points.min(axis=1) - 20.0, points.max(axis=1) + 20.0
    grid = empty_volume(lower=tuple(lower.tolist()), upper=tuple(upper.tolist()), spacing=5.0)
    field, b1 = (smooth_variation(grid, length=30.0, rng=rng).data for _ in range(2))
    order = (*bodies[1:], bodies[0])
    regions = tuple(
        Region(
            label=body.label,
            index=index,
            name=name,
            abbreviation=abbreviation,
            colour=_colour(index / len(order)),
            tissue=body.tissue,
        )
        for index, (body, (abbreviation, name)) in enumerate(zip(order, names, strict=True), start=1)
    )
    return LiquidObject(
        bodies=bodies,
        regions=regions,
        off_resonance=grid.with_data(FIELD_RANGE * field),
        b1=grid.with_data(1.0 + B1_RANGE * b1),
        field_strength=field_strength,
        decisions=(said,),
    )


@lru_cache(maxsize=2)
def build_spheres(*, subject: int = 1, seed: int = 0, field_strength: float = 3.0) -> LiquidObject:
    """Return the system phantom: fourteen spheres of known T1 and T2 in a ball of water, all cut by the slice at z = 0.

    Parameters
    ----------
    subject, seed
        Number of the subject and seed of the dataset, by which the random fields are drawn.
    field_strength
        B0 [T].
    """
    t1 = np.geomspace(LONGEST[0], SHORTEST[0], NUMBER_OF_SPHERES)
    t2 = np.geomspace(LONGEST[1], SHORTEST[1], NUMBER_OF_SPHERES)
    places = [
        (radius * math.cos(2.0 * math.pi * k / number), radius * math.sin(2.0 * math.pi * k / number), 0.0)
        for number, radius in (OUTER_RING, INNER_RING)
        for k in range(number)
    ]
    spheres = tuple(
        Body(
            label=FIRST_LABEL + 1 + k,
            tissue=Tissue(t1=float(t1[k]), t2=float(t2[k]), m0=1.0),
            centre=places[k],
            radius=SPHERE_RADIUS,
        )
        for k in range(NUMBER_OF_SPHERES)
    )
    names = tuple(
        (f"S{k + 1:02d}", f"Sphere {k + 1}: T1 {1e3 * t1[k]:.1f} ms, T2 {1e3 * t2[k]:.2f} ms")
        for k in range(NUMBER_OF_SPHERES)
    )
    return _of(
        (Body(label=FIRST_LABEL, tissue=WATER, radius=SHELL_RADIUS), *spheres),
        (*names, ("fill", "Water around the spheres")),
        seed=seed,
        subject=subject,
        field_strength=field_strength,
        said=f"A ball of water, {2 * SHELL_RADIUS:g} mm wide, with {NUMBER_OF_SPHERES} spheres of {2 * SPHERE_RADIUS:g} mm.",
    )


@lru_cache(maxsize=2)
def build_cylinder(*, subject: int = 1, seed: int = 0, field_strength: float = 3.0) -> LiquidObject:
    """Return a cylinder of doped water along the axis of the magnet with one insert.

    Parameters
    ----------
    subject, seed, field_strength
        Number of the subject and seed of the dataset, by which the random fields are drawn, and B0 [T].
    """
    half = 0.5 * CYLINDER_LENGTH
    bodies = (
        Body(label=FIRST_LABEL, tissue=DOPED_WATER, radius=CYLINDER_RADIUS, half_length=half),
        Body(
            label=FIRST_LABEL + 1,
            tissue=INSERT,
            centre=(INSERT_PLACE, 0.0, 0.0),
            radius=INSERT_RADIUS,
            half_length=0.8 * half,
        ),
    )
    return _of(
        bodies,
        (("insert", "Gel of the insert"), ("fill", "Doped water")),
        seed=seed,
        subject=subject,
        field_strength=field_strength,
        said=f"A cylinder of doped water, {2 * CYLINDER_RADIUS:g} mm wide and {CYLINDER_LENGTH:g} mm long, with one insert.",
    )


PHANTOMS: Mapping[str, Callable[..., LiquidObject]] = {"spheres": build_spheres, "cylinder": build_cylinder}
"""What `--phantom` may name besides the head."""
