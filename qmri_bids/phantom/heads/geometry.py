"""Acquisition grids and the poses of the head: positions in RAS millimetres of the scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.volume import Points

AXIAL_COVERAGE = 175.0
"""Slices are axial where they cover so much [mm]: a head with scalp and room to move."""
SMALLEST_HEAD = 130.0
"""What is smaller everywhere [mm] is no head of a person."""


class FieldOfViewTooSmall(ValueError):
    """The head with its scalp does not fit into the field of view; the message says by how much."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The voxels of an acquisition.

    Parameters
    ----------
    shape
        Number of voxels along the axes of the file.
    affine
        Matrix from voxel index to RAS [mm], shape (4, 4).
    planar
        Whether every plane of the last axis is a slice of its own, excited with the profile of a box, and not a part of a volume
        that is encoded in three dimensions.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    planar: bool = False

    @property
    def voxel_sizes(self) -> NDArray[np.float64]:
        """Edges of a voxel [mm], shape (3,)."""
        return np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0))

    def finer(self, factor: int | tuple[int, int, int]) -> Grid:
        """Return the grid that divides every voxel into so many parts along each axis."""
        factors = np.broadcast_to(factor, 3)
        affine = self.affine.copy()
        affine[:3, :3] /= factors
        affine[:3, 3] += affine[:3, :3] @ (0.5 * (1 - factors))
        shape = np.array(self.shape) * factors
        return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine, planar=self.planar)

    def slab_points(self, start: int, stop: int) -> Points:
        """Return the positions of the voxels with first index in [start, stop), in C order, shape (3, n)."""
        axes = (np.arange(start, stop), np.arange(self.shape[1]), np.arange(self.shape[2]))
        indices = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).astype(np.float64)
        points: Points = self.affine[:3, :3] @ indices + self.affine[:3, 3:]
        return points

    def contains(self, points: Points) -> NDArray[np.bool_]:
        """Return which positions lie in the field of view, shape (n,)."""
        inverse = np.linalg.inv(self.affine)
        indices = inverse[:3, :3] @ points + inverse[:3, 3:]
        upper = np.array(self.shape)[:, None] - 0.5
        inside: NDArray[np.bool_] = np.all((indices >= -0.5) & (indices <= upper), axis=0)
        return inside


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A rigid motion x' = Rz Ry Rx x + t of positions in RAS [mm] about the isocentre (0, 0, 0).

    Parameters
    ----------
    translation
        t along x, y, z [mm].
    rotation
        Right-handed angles about the fixed axes x, then y, then z [rad].
    """

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The homogeneous matrix, shape (4, 4)."""
        from scipy.spatial.transform import Rotation

        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_euler("xyz", self.rotation).as_matrix()
        matrix[:3, 3] = self.translation
        return matrix

    def against(self, reference: Pose) -> Pose:
        """Return the motion from where another pose put the head to where this one does."""
        from scipy.spatial.transform import Rotation

        if self == reference:
            return Pose()
        matrix = self.matrix @ np.linalg.inv(reference.matrix)
        angles = Rotation.from_matrix(matrix[:3, :3]).as_euler("xyz")
        return Pose(translation=tuple(matrix[:3, 3].tolist()), rotation=tuple(angles.tolist()))


def draw_poses(*, number: int, motion: float, reference: int | None, rng: np.random.Generator) -> tuple[Pose, ...]:
    """Return one pose for every volume.

    Parameters
    ----------
    number
        Number of volumes.
    motion
        Every translation is uniform within ±`motion` millimetres, every rotation within ±`motion` degrees.
    reference
        The volume in which the head rests (identity), if any.
    rng
        Source of randomness.
    """
    drawn = rng.uniform(-motion, motion, size=(number, 6))
    if reference is not None:
        drawn[reference] = 0.0
    drawn[:, 3:] = np.deg2rad(drawn[:, 3:])
    return tuple(Pose(translation=tuple(row[:3].tolist()), rotation=tuple(row[3:].tolist())) for row in drawn)


def prescribe(
    *,
    matrix: tuple[int, int, int],
    voxel_size: float,
    centre: NDArray[np.float64],
    head: Points,
    motion: float,
    thickness: float | None = None,
    planar: bool = False,
    cut: bool = False,
    axial_coverage: float | None = AXIAL_COVERAGE,
) -> tuple[Grid, str]:
    """Place a field of view around the head.

    The axes of the files are right, anterior, superior (axial slices) where the last axis covers
    `axial_coverage` or more; else anterior, superior, right (sagittal slices), for which less is enough. The
    size of a head does not enter: all subjects of a dataset get the same axes.

    Parameters
    ----------
    matrix
        Number of voxels.
    voxel_size
        Edge of a voxel [mm].
    centre
        Centre of the field of view, RAS [mm], shape (3,).
    head
        Positions on the skin [mm], shape (3, n).
    motion
        Room for a head that moves so far [mm and degrees].
    thickness
        Edge of a voxel along the last axis [mm], by default as along the others.
    planar
        Slices of their own, see `Grid`; they are axial.
    axial_coverage
        See above [mm]; None where slices are axial if the object fits into them.
    cut
        Whether the head may be larger than the field of view: what lies beyond gives no signal. Slices always may cut it.

    Returns
    -------
    grid, decision
        The grid, and the orientation as a sentence.

    Raises
    ------
    FieldOfViewTooSmall
        If the head does not fit.
    """
    reach = np.abs(head - centre[:, None])
    swing = np.sqrt(3.0) * np.linalg.norm(head, axis=0) * np.deg2rad(motion)
    needed = 2.0 * np.max(reach + motion + swing * (motion > 0.0), axis=1)
    edges = np.array([voxel_size, voxel_size, voxel_size if thickness is None else thickness])
    field_of_view = np.array(matrix) * edges
    slab = planar or cut
    fits = bool(np.all(field_of_view >= needed))
    axial = slab or (fits if axial_coverage is None else bool(field_of_view[2] >= axial_coverage))
    name, order = ("axial", [0, 1, 2]) if axial else ("sagittal", [1, 2, 0])
    axes = " × ".join(("left-right", "posterior-anterior", "inferior-superior")[direction] for direction in order)
    if not slab and np.any(field_of_view < needed[order]):
        found = " × ".join(f"{size:.0f}" for size in field_of_view)
        wanted = " × ".join(f"{size:.0f}" for size in np.ceil(needed[order]))
        raise FieldOfViewTooSmall(
            f"a head with scalp that moves by ±{motion:g} mm and degrees needs a field of view of {wanted} "
            f"mm ({axes}), found {found} mm; enlarge the matrix or the voxel size"
        )
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, direction in enumerate(order):
        affine[direction, axis] = edges[axis]
    affine[:3, 3] = centre - affine[:3, :3] @ (0.5 * (np.array(matrix) - 1.0))
    said = f"{name} slices: the axes of the files are {axes}"
    if slab and np.any(field_of_view < needed):
        said += "; the head is larger than the field of view, and what lies beyond gives no signal"
    return Grid(shape=matrix, affine=affine, planar=planar), said


def fitting_matrix(
    surface: Points, *, edges: tuple[float, float, float], motion: float, tilt: float
) -> tuple[int, int, int]:
    """Return an axial matrix that holds an object wherever it is put, in multiples of four.

    Parameters
    ----------
    surface
        Positions on its surface [mm], shape (3, n).
    edges
        Edges of a voxel [mm].
    motion
        Room for an object that moves so far [mm and degrees].
    tilt
        It is turned by up to so much about every axis [rad].
    """
    thinned = surface[:, :: max(1, surface.shape[1] // 5000)]
    needed = np.zeros(3)
    for signs in np.ndindex(3, 3, 3):
        angles = tilt * (np.array(signs) - 1.0)
        turned = Pose(rotation=(angles[0], angles[1], angles[2])).matrix[:3, :3] @ thinned
        swing = np.sqrt(3.0) * np.linalg.norm(turned, axis=0).max() * np.deg2rad(motion)
        needed = np.maximum(needed, np.ptp(turned, axis=1) + 2.0 * (motion + swing))
    # Two voxels and two millimetres: the field of view is centred by up to 1 mm beside the object.
    numbers = 4 * np.ceil((needed + 2.0) / (4.0 * np.array(edges)) + 0.5).astype(int)
    return int(numbers[0]), int(numbers[1]), int(numbers[2])
