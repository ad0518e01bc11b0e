"""Arrays of users: NumPy, torch or NIfTI in, the same kind out; which voxels count; what does not fit is told in its own words."""

from __future__ import annotations

import math
from collections.abc import Collection
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


def given(array: Any, *, name: str = "array") -> Given:
    """Return an array of the user: NumPy, torch, NIfTI, or numbers; in the byte order of this machine, NaN where it is masked.

    Raises
    ------
    ValueError
        If it does not hold numbers, or numbers too coarse to compute with.
    """
    if isinstance(array, Given):
        return array
    if hasattr(array, "dataobj"):
        return Given(values=_computable(np.asanyarray(array.dataobj), name=name), like=array)
    if hasattr(array, "detach"):
        if str(array.dtype) == "torch.bfloat16":
            raise ValueError(
                f"{name}: expected float32 or float64, found {array.dtype}, three digits: give {name}.float()"
            )
        return Given(values=_computable(array.detach().cpu().resolve_conj().numpy(), name=name), like=array)
    try:
        values = np.asanyarray(array)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected numbers in rows of equal length, found {_shown(array)}: correct it"
        ) from error
    return Given(values=_computable(values, name=name, shown=_shown(array)))


def _computable(values: NDArray[Any], *, name: str, shown: str = "") -> NDArray[Any]:
    if values.dtype.kind not in "biufc":
        raise ValueError(f"{name}: expected numbers, found {shown or values.dtype}: correct it")
    if isinstance(values, np.ma.MaskedArray):
        if values.mask.any():
            kind = np.result_type(values.dtype, np.float32)
            values = np.ma.asarray(values, dtype=kind).filled(np.nan)
        else:
            values = values.data
    return np.asarray(values, dtype=values.dtype.newbyteorder("="))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def series(array: Any, *, name: str, number: int, what: str) -> Given:
    """Return images along the last axis, shape (..., `number`).

    Raises
    ------
    ValueError
        If the last axis has another length; if another axis has that one, it is named.
    """
    found = given(array, name=name)
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


SAME_PLACE = 1e-2
"""Difference of entries [mm] up to which two affines place an image alike."""


def spread_over(
    value: Any, *, shape: tuple[int, ...], name: str, affine: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return a number or map as a map.

    Parameters
    ----------
    value
        The number or map.
    shape
        Of the map.
    name
        Of the argument.
    affine
        That of the images; a NIfTI image must have the same.

    Raises
    ------
    ValueError
        If it has another shape, lies elsewhere, or is complex.
    """
    found = given(value, name=name)
    if np.iscomplexobj(found.values):
        raise ValueError(f"{name}: expected real numbers, found complex ones: give the part that is meant")
    values = np.asarray(found.values, dtype=np.float64)
    if values.ndim and values.shape != shape:
        expected = f"a number or a map of shape {shape}" if shape else "a number"
        raise ValueError(f"{name}: expected {expected}, found shape {values.shape}")
    if values.ndim:
        check_place(found, affine=affine, name=name)
    return np.broadcast_to(values, shape)


def check_place(found: Given, *, affine: NDArray[np.float64] | None, name: str) -> None:
    """Refuse a NIfTI image that lies elsewhere than the images.

    Raises
    ------
    ValueError
        If its affine is another.
    """
    if affine is None or found.affine is None or np.allclose(found.affine, affine, rtol=0.0, atol=SAME_PLACE):
        return
    raise ValueError(
        f"{name}: expected the affine of the images, {affine.tolist()}, found {found.affine.tolist()}: resample it to the images"
    )


def together(**values: Any) -> dict[str, NDArray[Any]]:
    """Return numbers and maps as maps of one shape.

    Raises
    ------
    ValueError
        If their shapes do not fit.
    """
    arrays = {name: given(value, name=name).values for name, value in values.items()}
    shape: tuple[int, ...] = ()
    for name, array in arrays.items():
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError as error:
            raise ValueError(
                f"{name}: expected a number or a map of shape {shape} as the arguments before it, found shape {array.shape}"
            ) from error
    return {name: np.broadcast_to(array, shape) for name, array in arrays.items()}


def deviation(
    value: Any,
    *,
    name: str,
    chosen: Selection | None = None,
    zero: bool = False,
    gaps: bool = False,
) -> NDArray[np.float64]:
    """Return a standard deviation, one number or that of the voxels that are estimated.

    Parameters
    ----------
    value
        A number, or a map where there are voxels.
    name
        Of the argument.
    chosen
        The voxels; without them it must be one number.
    zero
        Whether it may be 0, of what is exact.
    gaps
        Whether it may be NaN, of a map that has no value there.

    Raises
    ------
    ValueError
        If it is negative, or is not finite, or is 0 where that would claim an exact measurement.
    """
    if chosen is None:
        values = spread_over(value, shape=(), name=name)
    else:
        values = chosen.rows(spread_over(value, shape=chosen.inside.shape, name=name, affine=chosen.affine))
    right = values >= 0.0 if zero else values > 0.0
    right = right & np.isfinite(values)
    if gaps:
        right = right | np.isnan(values)
    if not right.all():
        wrong = float(values[~right].flat[0])
        least = "of 0 or more" if zero else "above 0"
        raise _bad(name, f"a finite standard deviation {least}", wrong, "correct it, or leave it out")
    return values


def noise_level(noise: Any) -> float | None:
    """Return the standard deviation of one image, None where none is given.

    Raises
    ------
    ValueError
        As `deviation`.
    """
    return None if noise is None else float(deviation(noise, name="noise"))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The voxels that are estimated.

    Parameters
    ----------
    inside
        Where they are, shape (...).
    affine
        Voxel to scanner coordinates [mm] of the images, where they are NIfTI.
    """

    inside: NDArray[np.bool_]
    affine: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, mask: Any, *, shape: tuple[int, ...], affine: NDArray[np.float64] | None = None) -> Selection:
        """Return the voxels of a mask; all of them without one.

        Raises
        ------
        ValueError
            If the mask has another shape, lies elsewhere, or holds no voxel.
        """
        if mask is None:
            return cls(inside=np.ones(shape, dtype=bool), affine=affine)
        found = given(mask, name="mask")
        check_place(found, affine=affine, name="mask")
        values = found.values
        if values.shape != shape:
            raise ValueError(f"mask: expected shape {shape}, found {values.shape}")
        inside = values > 0
        if not inside.any():
            raise ValueError("mask: expected voxels above 0, found none")
        return cls(inside=inside, affine=affine)

    @property
    def image(self) -> NDArray[np.bool_] | None:
        """Where the voxels lie in an image of three axes; None where there is no image."""
        if self.inside.ndim not in (2, 3):
            return None
        return self.inside.reshape((*self.inside.shape, 1)[:3])

    def known(self, value: Any, *, name: str) -> NDArray[np.float64]:
        """Return a number or map of what is known as rows.

        Raises
        ------
        ValueError
            If it has another shape, or lies elsewhere.
        """
        return self.rows(spread_over(value, shape=self.inside.shape, name=name, affine=self.affine))

    def spread(self, value: Any, *, name: str) -> NDArray[np.float64] | None:
        """Return the standard deviation of what is known as rows; None where none is given.

        Raises
        ------
        ValueError
            As `deviation`: 0 is that of what is exact, NaN of a voxel without value.
        """
        return None if value is None else deviation(value, name=name, chosen=self, zero=True, gaps=True)

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


def number(value: Any, *, name: str, expected: str = "one finite number") -> float:
    """Return one finite number.

    Raises
    ------
    ValueError
        If it is something else.
    """
    values = given(value, name=name).values
    if values.ndim or values.dtype.kind not in "iuf" or not np.isfinite(values):
        raise ValueError(f"{name}: expected {expected}, found {_shown(value)}: correct it")
    return float(values)


def count(value: Any, *, name: str, least: int = 1) -> int:
    """Return a whole number.

    Raises
    ------
    ValueError
        If it is another number, or less than `least`.
    """
    expected = f"a whole number of {least} or more"
    found = number(value, name=name, expected=expected)
    if found != round(found) or found < least:
        raise _bad(name, expected, found, "correct it")
    return round(found)


def truth_value(value: Any, *, name: str) -> bool:
    """Return True or False.

    Raises
    ------
    ValueError
        If it is anything else: a word or an array would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected True or False, found {_shown(value)}: correct it")
    return bool(value)


def not_negative(value: Any, *, name: str, unit: str) -> float:
    """Return a number of 0 or more.

    Raises
    ------
    ValueError
        If it is less, or no number.
    """
    expected = f"one number in {unit} of 0 or more"
    found = number(value, name=name, expected=expected)
    if found < 0.0:
        raise _bad(name, expected, found, "correct it")
    return found


def one_of(value: Any, choices: Collection[str], *, name: str, more: str = "") -> str:
    """Return one of several words.

    Raises
    ------
    ValueError
        If it is another.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}{more}, found {value!r}")
    return value


def generator(seed: Any) -> np.random.Generator:
    """Return the source of noise of a seed.

    Raises
    ------
    ValueError
        If it is neither None nor a whole number of 0 or more.
    """
    return np.random.default_rng(None if seed is None else count(seed, name="seed", least=0))


def seconds(value: Any, *, name: str, longest: float) -> float:
    """Return a time [s].

    Raises
    ------
    ValueError
        If it is no positive time, or longer than any: milliseconds are.
    """
    time = number(value, name=name, expected="a positive time in seconds")
    if time <= 0.0:
        raise _bad(name, "a positive time in seconds", time, "correct it")
    if time > longest:
        raise _bad(name, f"a time in seconds of at most {longest:g}", time, "is it in milliseconds?")
    return time


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


def relaxation(values: NDArray[np.floating], *, name: str) -> NDArray[np.float64]:
    """Return a map of T1 or T2 [s] with NaN where it is not positive.

    Raises
    ------
    ValueError
        If it is in milliseconds.
    """
    check_relaxation(values, name=name)
    return np.where(np.isfinite(values) & (values > 0.0), values, np.nan)


def check_time(value: Any, *, name: str) -> None:
    """Refuse a single T1 or T2 that is not positive; a map may have such voxels, which have no value.

    Raises
    ------
    ValueError
        If it is one.
    """
    values = given(value, name=name).values
    if not values.ndim and not (np.isfinite(values) and values.real > 0.0):
        raise ValueError(f"{name}: expected a positive time in seconds, found {_shown(value)}: correct it")


LEAST_FLIP_ANGLE = 2.0
"""Flip angle [degrees] below which one is taken for one in radians."""


def flip_angle_in_radians(value: Any, *, name: str = "flip_angle") -> float:
    """Return a flip angle given in degrees [rad].

    Raises
    ------
    ValueError
        If it is no angle between 0 and 180 degrees, or so small that it must be in radians.
    """
    angle = number(value, name=name, expected="an angle between 0 and 180 degrees")
    if not 0.0 < angle < 180.0:
        raise _bad(name, "an angle between 0 and 180 degrees", angle, "correct it")
    if angle < LEAST_FLIP_ANGLE:
        raise _bad(name, "an angle in degrees", angle, f"is it in radians? {math.degrees(angle):.4g} degrees would be")
    return math.radians(angle)


def increments_in_radians(values: ArrayLike, *, name: str = "rf_phase_increment") -> tuple[float, ...]:
    """Return RF phase increments given in degrees [rad].

    Raises
    ------
    ValueError
        If they are not finite numbers along one axis, or all lie within a turn in radians.
    """
    numbers = np.asarray(given(values, name=name).values, dtype=float)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected one finite number in degrees for each cycle, found {numbers!r}")
    if np.any(numbers) and float(np.abs(numbers).max()) <= 2.0 * math.pi + 1e-6:
        raise _bad(name, "angles in degrees", float(np.abs(numbers).max()), "as the largest: are they in radians?")
    return tuple(np.radians(numbers).tolist())


def ratio_of_b1(
    value: Any, *, shape: tuple[int, ...], name: str = "b1", affine: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return B1 as actual over nominal, one number or a map.

    Raises
    ------
    ValueError
        If it has another shape, or its median is that of a map in percent.
    """
    values = spread_over(value, shape=shape, name=name, affine=affine)
    positive = values[np.isfinite(values) & (values > 0.0)]
    if positive.size and float(np.median(positive)) > 5.0:
        raise _bad(name, "actual over nominal (1 where nominal)", float(np.median(positive)), "is it in percent?")
    return values


def times_of(value: Any, number: int, *, name: str) -> list[float]:
    """Return one number for each of several images; a single one holds for all.

    Raises
    ------
    ValueError
        If there are others.
    """
    values = np.atleast_1d(np.asarray(given(value, name=name).values, dtype=float))
    if values.ndim > 1:
        raise ValueError(
            f"{name}: expected one number or {number} along one axis, found an array of shape {values.shape}"
        )
    if len(values) not in (1, number):
        raise ValueError(f"{name}: expected one number or {number}, found {len(values)}")
    return np.broadcast_to(values, (number,)).tolist()
