"""What is scanned: the head of a subject from the templates or from an image, or an object; and the voxels for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qmri_bids.phantom.heads.geometry import fitting_matrix
from qmri_bids.phantom.heads.head import Head
from qmri_bids.phantom.heads.image import head_of_image
from qmri_bids.phantom.heads.objects import PHANTOMS
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.session import LARGEST_TILT

DEFAULT_MATRIX = (96, 112, 96)
"""Voxels of the default dataset: 2 mm, the whole head with scalp."""
HEAD = "head"
"""The phantom that is a head."""


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What is scanned.

    Parameters
    ----------
    phantom
        `head` or a key of `objects.PHANTOMS`.
    anatomy, brain
        Image of a whole head and of its brain, from which the head is made; None for the head from the templates.
    scale
        Factor on the size of a head from an image.
    face_motion
        Share of the skull's motion that face and neck of a head from an image do not follow.

    Raises
    ------
    ValueError
        If the settings do not go together, or a file is missing.
    """

    phantom: str = HEAD
    anatomy: Path | None = None
    brain: Path | None = None
    scale: float = 1.0
    face_motion: float = 0.0

    def __post_init__(self) -> None:
        names = (HEAD, *PHANTOMS)
        if self.phantom not in names:
            raise ValueError(f"phantom must be one of {', '.join(names)}, found {self.phantom!r}")
        if self.phantom != HEAD and self.anatomy is not None:
            raise ValueError(f"phantom {self.phantom!r} has no anatomy; give --anatomy or --phantom, not both")
        if self.anatomy is None and (self.brain is not None or self.scale != 1.0 or self.face_motion != 0.0):
            raise ValueError(
                "brain, scale and face_motion belong to a head from an image, and there is none; give its file (--anatomy)"
            )
        for name, path in (("anatomy", self.anatomy), ("brain", self.brain)):
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: expected a NIfTI file, found nothing at {path}")

    @property
    def is_template(self) -> bool:
        """Whether it is the head from the templates."""
        return self.phantom == HEAD and self.anatomy is None

    def of(self, *, subject: int, seed: int) -> Head:
        """Return what is scanned of a subject."""
        if self.phantom != HEAD:
            return PHANTOMS[self.phantom](subject=subject, seed=seed)
        if self.anatomy is None:
            return build_head(subject=subject, seed=seed)
        return head_of_image(
            self.anatomy, brain=self.brain, subject=subject, seed=seed, scale=self.scale, face_motion=self.face_motion
        )


@dataclass(frozen=True, kw_only=True)
class Voxels:
    """The voxels of the bSSFP scan.

    Parameters
    ----------
    matrix
        Number along the axes of the files; None for `DEFAULT_MATRIX`, or for what holds a head from an image or an object.
    voxel_size
        Edge [mm].
    slices
        Number of slices of their own; None for a volume that is encoded in three dimensions.
    slice_thickness
        Edge along the last axis [mm]; None for `voxel_size`.
    cut
        Whether what is scanned may be larger than the field of view.

    Raises
    ------
    ValueError
        If a number has no meaning.
    """

    matrix: tuple[int, int, int] | None = None
    voxel_size: float = 2.0
    slices: int | None = None
    slice_thickness: float | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        if not 0.1 <= self.voxel_size <= 20.0:
            raise ValueError(f"voxel_size must lie in [0.1, 20] mm, found {self.voxel_size}")
        if self.slice_thickness is not None and not 0.1 <= self.slice_thickness <= 50.0:
            raise ValueError(f"slice_thickness must lie in [0.1, 50] mm, found {self.slice_thickness}")
        if self.slices is not None and self.slices < 1:
            raise ValueError(f"slices must be 1 or more, found {self.slices}")

    def of(self, head: Head, *, motion: float, is_template: bool) -> tuple[int, int, int]:
        """Return the matrix for what is scanned."""
        fitting = DEFAULT_MATRIX
        if self.matrix is not None:
            fitting = self.matrix
        elif not is_template or self.slices is not None:
            fitting = fitting_matrix(
                head.surface_points(),
                edges=(self.voxel_size, self.voxel_size, self.slice_thickness or self.voxel_size),
                motion=motion,
                tilt=float(np.deg2rad(LARGEST_TILT)),
            )
        return fitting if self.slices is None else (fitting[0], fitting[1], self.slices)
