"""Rigid motion in numbers: translations, rotations and framewise displacement, and what of them was looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes
from qmri_bids.preprocessing.registration.rigid_freedom import freedom_of, not_assessed

HEAD_RADIUS = 0.05
"""Radius of the sphere on which framewise displacement measures a rotation [m] (Power et al. 2012)."""

_SOME_MOTION = 1e-6
"""Least motion that counts as one [m and rad]; files hold fewer digits than numbers."""


def motion_parameters(transforms: NDArray[np.floating], *, centre: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return translation [m] and rotation [rad] of rigid transforms.

    Parameters
    ----------
    transforms
        Rigid transforms, RAS millimetres, shape (N, 4, 4).
    centre
        Point about which the rotation is taken, RAS [mm], shape (3,).

    Returns
    -------
    parameters
        Translation x, y, z [m], then angles about x, y, z [rad] of the rotation Rz Ry Rx, shape (N, 6).
    """
    rotation = transforms[:, :3, :3]
    translation = transforms[:, :3, 3] + rotation @ centre - centre
    about_x = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2])
    about_y = -np.arcsin(np.clip(rotation[:, 2, 0], -1.0, 1.0))
    about_z = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return np.column_stack([1e-3 * translation, about_x, about_y, about_z])


def framewise_displacement(parameters: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the framewise displacement [m] of motion parameters of shape (N, 6), the first value 0.

    Sum of the absolute changes of the translations and of the arcs on a sphere of `HEAD_RADIUS` (Power et
    al., NeuroImage 59:2142 (2012)).
    """
    change = np.abs(np.diff(parameters, axis=0, prepend=parameters[:1]))
    return change[:, :3].sum(axis=1) + HEAD_RADIUS * change[:, 3:].sum(axis=1)


def centre_of_mass(magnitude: NDArray[np.floating], *, affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the centre of mass of an image, RAS [mm]."""
    from scipy.ndimage import center_of_mass

    return np.asarray(affine)[:3, :3] @ np.asarray(center_of_mass(magnitude)) + np.asarray(affine)[:3, 3]


def seen_motion(
    transforms: NDArray[np.floating], *, centre: NDArray[np.floating], assessed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return parameters (N, 6) and framewise displacement (N,) [m] of a motion of which only some parameters were looked at.

    These are NaN; the displacement is that of the others, NaN where there is none.

    Parameters
    ----------
    transforms, centre
        Rigid transforms, RAS millimetres, shape (N, 4, 4), and the point about which the rotation is taken, RAS [mm], shape (3,).
    assessed
        Whether a parameter was looked at, shape (6,).
    """
    parameters = motion_parameters(transforms, centre=centre)
    displacement = framewise_displacement(parameters)
    if not assessed.any():
        displacement = np.full_like(displacement, np.nan)
    parameters[:, ~assessed] = np.nan
    return parameters, displacement


def known_motion(
    transforms: NDArray[np.floating], *, shape: tuple[int, ...], affine: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return which parameters of a given motion are known, shape (6,): what the grid tells; all where it moves beyond that."""
    freedom = freedom_of(shape, affine=affine)
    local = np.linalg.inv(freedom.frame) @ transforms @ freedom.frame
    middle = 0.5 * (np.asarray(shape) - 1.0) * voxel_sizes(affine)
    beyond = np.abs(motion_parameters(local, centre=middle)).max(axis=0) > _SOME_MOTION
    if freedom.through is not None:
        within = np.arange(3) != freedom.through
        beyond &= np.concatenate([~within, within])
    return np.ones(6, dtype=bool) if beyond.any() else freedom.assessed


def motion_sentences(
    framewise_displacement: NDArray[np.floating],
    *,
    remaining: NDArray[np.floating],
    assessed: NDArray[np.bool_],
) -> tuple[str, ...]:
    """Say how far the head moved, what is left of it, and what was not looked at; lengths in metres, see `MotionEstimate`."""
    said = []
    if assessed.any():
        said.append(
            f"Framewise displacement{'' if assessed.all() else ' within the plane'}: mean "
            f"{1e3 * np.mean(framewise_displacement[1:]):.2f} mm, largest {1e3 * np.max(framewise_displacement):.2f} mm."
        )
    if not assessed.all():
        said.append(f"MOTION {not_assessed(assessed).upper()} WAS NOT ASSESSED: too few slices tell it.")
    known = remaining[np.isfinite(remaining)]
    if known.size:
        worst = int(np.nanargmax(remaining))
        said.append(
            f"Misalignment that is left, estimated from two halves of the head: at most {1e3 * known.max():.3f} mm "
            f"(image {worst + 1})."
        )
    return tuple(said)
