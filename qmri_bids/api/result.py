"""What every function that estimates returns: maps, their standard deviations and why voxels have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.api.arrays import Given, given
from qmri_bids.estimation.base import Status
from qmri_bids.quantity import STDEV

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Result:
    """Maps with their uncertainty, in the kind of the arrays that were given (NumPy, torch or NIfTI).

    Parameters
    ----------
    maps
        Values by name, shape (...); NaN where there is none.
    stdev
        Standard deviations of the maps that have one.
    status
        Codes of `qmri_bids.estimation.base.Status` (1: a value, 0: outside of the mask), shape (...); of pools by pool.
    units
        Unit of each map, empty for a ratio.
    decisions
        What was decided on the way, as sentences.
    like
        The array that was given, for the way back.
    """

    maps: Mapping[str, Any]
    stdev: Mapping[str, Any]
    status: Any
    units: Mapping[str, str]
    decisions: tuple[str, ...] = ()
    like: Given | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Say in a few lines what is there."""
        lines = [f"Result of {int(np.count_nonzero(self._inside()))} voxels"]
        for name in self.maps:
            values = self._array(name)
            finite = values[np.isfinite(values)]
            unit = f" {self.units[name]}" if self.units[name] else ""
            median = f"median {np.median(finite):.4g}{unit}" if finite.size else "no value"
            if name in self.stdev and finite.size:
                median += f", standard deviation {np.nanmedian(self._array(name, of=self.stdev)):.2g}{unit}"
            lines.append(f"  {name}: {median} ({finite.size} voxels)")
        return "\n".join(lines)

    def _array(self, name: str, *, of: Mapping[str, Any] | None = None) -> NDArray[Any]:
        return given((self.maps if of is None else of)[name]).values

    def _codes(self) -> dict[str, NDArray[np.uint8]]:
        """Return the status by name of its column."""
        if isinstance(self.status, Mapping):
            return {f"status_{pool}": given(codes).values for pool, codes in self.status.items()}
        return {"status": given(self.status).values}

    def _inside(self) -> NDArray[np.bool_]:
        return np.any([codes != Status.OUTSIDE for codes in self._codes().values()], axis=0)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each voxel of the mask: its indices (`x`, `y`, `z`), maps, standard deviations and status.

        Returns
        -------
        pandas.DataFrame
            Columns as `T1` and `T1_stdev`; `status` holds the codes, `meaning` their names.
        """
        import pandas as pd

        inside = self._inside()
        places = dict(zip("xyzuvw", np.nonzero(inside), strict=False)) if inside.ndim else {}
        columns: dict[str, Any] = dict(places)
        for name in self.maps:
            columns[name] = self._array(name)[inside]
            if name in self.stdev:
                columns[f"{name}{STDEV}"] = self._array(name, of=self.stdev)[inside]
        for name, codes in self._codes().items():
            columns[name] = codes[inside]
            columns[name.replace("status", "meaning")] = [Status(code).name for code in codes[inside].tolist()]
        return pd.DataFrame(columns)

    def to_nifti(self, affine: NDArray[np.floating] | None = None) -> dict[str, Any]:
        """Return every map, standard deviation and the status as NIfTI image.

        Parameters
        ----------
        affine
            Voxel to scanner coordinates [mm]; that of the images that were given, if they were NIfTI.

        Raises
        ------
        ValueError
            If there is no affine, or the maps are no image of up to three axes.
        """
        import nibabel as nib

        own = None if self.like is None else self.like.affine
        used = own if affine is None else np.asarray(affine, dtype=float)
        if used is None:
            raise ValueError(
                "affine: expected the voxel to scanner coordinates [mm] of arrays without a header, found none"
            )
        found: dict[str, Any] = {}
        for name in self.maps:
            found[name] = self._array(name).astype(np.float32)
            if name in self.stdev:
                found[f"{name}{STDEV}"] = self._array(name, of=self.stdev).astype(np.float32)
        found |= self._codes()
        axes = next(iter(found.values())).ndim
        if not 1 <= axes <= 3:
            raise ValueError(f"expected maps of one to three axes for NIfTI, found {axes}")
        return {
            name: nib.Nifti1Image(values.reshape((*values.shape, 1, 1)[: max(3, values.ndim)]), used)
            for name, values in found.items()
        }

    def plot(self, *, slice_index: int | None = None) -> Figure:
        """Return a picture of one slice: a row for each map in the window and colours of the report, with its standard deviation.

        Arrays are shown as they are printed, the first axis downwards; NIfTI images as a radiologist sees them. Of a list of voxels
        the values are shown by index, with a standard deviation to either side.

        Parameters
        ----------
        slice_index
            Slice along the third axis; by default the middle of the voxels that were estimated.

        Raises
        ------
        ValueError
            If there is no such slice.
        """
        from qmri_bids.api.picture import draw_result, map_of

        shown = {
            name: map_of(
                name,
                unit=self.units[name],
                values=self._array(name),
                stdev=self._array(name, of=self.stdev) if name in self.stdev else None,
            )
            for name in self.maps
        }
        affine = None if self.like is None else self.like.affine
        return draw_result(shown, inside=self._inside(), affine=affine, slice_index=slice_index)
