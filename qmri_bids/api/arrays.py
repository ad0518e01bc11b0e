"""Arrays of users: NumPy, torch or NIfTI in, the same kind out; which voxels count; what does not fit is told in its own words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class Given:
    """An array of the user.

    Parameters
    ----------
    values
        What it holds.
    like
        The torch tensor or NIfTI image that it was; None of a NumPy array or a list.
    """

    values: NDArray[Any]
    like: Any = None

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """Voxel to scanner coordinates [mm] of a NIfTI image; None of anything else."""
        affine = getattr(self.like, "affine", None)
        return None if affine is None else np.asarray(affine, dtype=float)

    def as_given(self, values: NDArray[Any]) -> Any:
        """Return values in the kind that this array has: on the same device, with the same affine."""
        if self.like is None:
            return values
        if hasattr(self.like, "dataobj"):
            import nibabel as nib

            return nib.Nifti1Image(values, self.affine)
        import torch

        return torch.as_tensor(values, device=self.like.device)


def given(array: Any) -> Given:
    """Return an array of the user: NumPy, torch, NIfTI, or numbers."""
    if isinstance(array, Given):
        return array
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(
            "expected arrays without a mask of their own, found a masked array: give array.data, and mask=~array.mask"
        )
    if hasattr(array, "dataobj"):
        return Given(values=_native(np.asanyarray(array.dataobj)), like=array)
    if hasattr(array, "detach"):
        try:
            return Given(values=array.detach().cpu().numpy(), like=array)
        except TypeError as error:
            raise ValueError(f"expected a tensor that NumPy knows, found {array.dtype}: give tensor.float()") from error
    return Given(values=_native(np.asarray(array)))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the byte order of this machine, without a copy where they are."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def positive(
    value: Any, *, shape: tuple[int, ...], name: str, least: float = 0.0, strictly: bool = True
) -> NDArray[np.float64]:
    """Return a standard deviation, a number or a map, as a map.

    Raises
    ------
    ValueError
        If it has another shape, or a value is not above `least` (not below, if not `strictly`).
    """
    values = spread_over(value, shape=shape, name=name)
    wrong = ~(values > least) if strictly else values < least
    # Of maps NaN says that a voxel has none; of one number it says nothing.
    wrong &= np.isfinite(values) | (np.ndim(given(value).values) == 0)
    if wrong.any():
        raise ValueError(
            f"{name}: expected {'a positive number' if strictly else '0 or more'}, found {values[wrong].flat[0]:g}"
        )
    return values


def one_positive(value: Any, *, name: str) -> float:
    """Return a positive number.

    Raises
    ------
    ValueError
        If it is none, or no number.
    """
    number = real_number(value, name=name)
    if not number > 0.0 or math.isinf(number):
        raise ValueError(f"{name}: expected a positive number, found {number:g}")
    return number


def real_number(value: Any, *, name: str) -> float:
    """Return one real number.

    Raises
    ------
    ValueError
        If it is none: a text, a list, nothing.
    """
    if isinstance(value, str) or np.ndim(value) != 0:
        raise ValueError(f"{name}: expected one number, found {value!r}")
    try:
        return float(value)
    except TypeError as error:
        raise ValueError(f"{name}: expected one number, found {value!r}") from error


def series(array: Any, *, name: str, number: int, what: str) -> Given:
    """Return images along the last axis, shape (..., `number`).

    Raises
    ------
    ValueError
        If the last axis has another length; if another axis has that one, it is named.
    """
    found = given(array)
    shape = found.values.shape
    if shape and shape[-1] == number:
        return found
    others = [axis for axis, length in enumerate(shape[:-1]) if length == number]
    if others:
        raise ValueError(
            f"{name}: expected the {number} {what} along the last axis, found them along axis {others[0]} of an array of shape "
            f"{shape}: give np.moveaxis({name}, {others[0]}, -1)"
        )
    raise ValueError(
        f"{name}: expected {number} {what} along the last axis, found an array of shape {shape}: one number is needed for each"
    )


def spread_over(value: Any, *, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return a number or map as a map.

    Raises
    ------
    ValueError
        If it has another shape.
    """
    try:
        values = np.asarray(given(value).values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers, found {value!r:.60}") from error
    if values.ndim and values.shape != shape:
        raise ValueError(f"{name}: expected a number or a map of shape {shape}, found shape {values.shape}")
    return np.broadcast_to(values, shape)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The voxels that are estimated.

    Parameters
    ----------
    inside
        Where they are, shape (...).
    """

    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, mask: Any, *, shape: tuple[int, ...]) -> Selection:
        """Return the voxels of a mask; all of them without one.

        Raises
        ------
        ValueError
            If the mask has another shape, or holds no voxel.
        """
        if mask is None:
            return cls(inside=np.ones(shape, dtype=bool))
        values = np.asarray(given(mask).values)
        if values.shape != shape:
            raise ValueError(f"mask: expected shape {shape}, found {values.shape}")
        inside = values > 0
        if not inside.any():
            raise ValueError("mask: expected voxels above 0, found none")
        return cls(inside=inside)

    @property
    def image(self) -> NDArray[np.bool_] | None:
        """Where the voxels lie in an image of three axes; None where there is no image."""
        if self.inside.ndim not in (2, 3):
            return None
        return self.inside.reshape((*self.inside.shape, 1)[:3])

    def rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the voxels of an array (...) or (..., N) as rows, without a copy where all count."""
        rest = values.shape[self.inside.ndim :]
        if self.inside.all():
            return values.reshape((self.inside.size, *rest))
        return values[self.inside]

    def whole(self, values: NDArray[Any], fill: float = math.nan) -> NDArray[Any]:
        """Return values of the rows (V,) as an array (...)."""
        full = np.full(self.inside.shape, fill, dtype=values.dtype)
        full[self.inside] = values
        return full


def _bad(name: str, expected: str, found: float, doubt: str) -> ValueError:
    return ValueError(f"{name}: expected {expected}, found {found:g}: {doubt}")


def seconds(value: float, *, name: str, longest: float) -> float:
    """Return a time [s].

    Raises
    ------
    ValueError
        If it is no positive time, or longer than any: milliseconds are.
    """
    number = real_number(value, name=name)
    if not math.isfinite(number) or number <= 0.0:
        raise _bad(name, "a positive time in seconds", number, "correct it")
    if number > longest:
        raise _bad(name, f"a time in seconds of at most {longest:g}", number, "is it in milliseconds?")
    return number


LONGEST_RELAXATION = 20.0
"""Median of T1 or T2 [s] above which a map is in milliseconds."""


def check_relaxation(values: NDArray[np.floating], *, name: str) -> None:
    """Refuse a map of T1 or T2 in milliseconds.

    Raises
    ------
    ValueError
        If the median of its finite values is longer than that of anything.
    """
    finite = values[np.isfinite(values)]
    if finite.size and float(np.median(finite)) > LONGEST_RELAXATION:
        raise ValueError(f"{name}: expected seconds, found a median of {np.median(finite):g}: is it in milliseconds?")


LEAST_FLIP_ANGLE = 2.0
"""Flip angle [degrees] below which one is taken for one in radians."""


def flip_angle_in_radians(value: float, *, name: str = "flip_angle") -> float:
    """Return a flip angle given in degrees [rad].

    Raises
    ------
    ValueError
        If it is no angle between 0 and 180 degrees, or so small that it must be in radians.
    """
    number = real_number(value, name=name)
    if not 0.0 < number < 180.0:
        raise _bad(name, "an angle between 0 and 180 degrees", number, "correct it")
    if number < LEAST_FLIP_ANGLE:
        raise _bad(
            name, "an angle in degrees", number, f"is it in radians? {math.degrees(number):.4g} degrees would be"
        )
    return math.radians(number)


def increments_in_radians(values: ArrayLike, *, name: str = "rf_phase_increment") -> tuple[float, ...]:
    """Return RF phase increments given in degrees [rad].

    Raises
    ------
    ValueError
        If they are not finite numbers along one axis, or all lie within a turn in radians.
    """
    try:
        numbers = np.asarray(given(values).values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected one number in degrees for each cycle, found {values!r:.60}") from error
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected one finite number in degrees for each cycle, found {numbers!r}")
    if np.any(numbers) and float(np.abs(numbers).max()) <= 2.0 * math.pi + 1e-6:
        raise _bad(name, "angles in degrees", float(np.abs(numbers).max()), "as the largest: are they in radians?")
    return tuple(np.radians(numbers).tolist())


def ratio_of_b1(value: Any, *, shape: tuple[int, ...], name: str = "b1") -> NDArray[np.float64]:
    """Return B1 as actual over nominal, one number or a map.

    Raises
    ------
    ValueError
        If it has another shape, or its median is that of a map in percent.
    """
    values = spread_over(value, shape=shape, name=name)
    positive = values[np.isfinite(values) & (values > 0.0)]
    if positive.size and float(np.median(positive)) > 5.0:
        raise _bad(name, "actual over nominal (1 where nominal)", float(np.median(positive)), "is it in percent?")
    return values


def times_of(value: Sequence[float] | float, number: int, *, name: str) -> list[float]:
    """Return one number for each of several images; a single one holds for all.

    Raises
    ------
    ValueError
        If there are others.
    """
    try:
        values = np.atleast_1d(np.asarray(given(value).values, dtype=float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected one number or {number}, found {value!r:.60}") from error
    if values.ndim != 1 or len(values) not in (1, number):
        raise ValueError(f"{name}: expected one number or {number}, found {len(values)}")
    return np.broadcast_to(values, (number,)).tolist()
