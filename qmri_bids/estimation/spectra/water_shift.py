"""The shift of water that corrects a Z-spectrum: given, from WASSR volumes of the series, or from the spectrum itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.b0_maps import wassr_maps
from qmri_bids.estimation.spectra.series import SeriesLayout, spectra
from qmri_bids.estimation.spectra.water_minimum import water_minimum
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import ppm_to_hertz

BLOCK = 8192
"""Voxels at a time."""

STRONG_SATURATION = 1e-6
"""Above this root mean square of B1 [T] the dip of water is broad, and pools beside it draw its centre."""


@dataclass(frozen=True, kw_only=True)
class WaterShift:
    """Shift of water of V voxels.

    Parameters
    ----------
    hertz, hertz_stdev
        Shift [Hz], shape (V,), and its standard deviation; None where it counts as exact.
    hertz_per_ppm
        Larmor frequency over a million.
    status
        `Status` codes, shape (V,).
    decisions, warnings
        What was decided and what a reader must know, as sentences.
    """

    hertz: NDArray[np.float64]
    hertz_stdev: NDArray[np.float64] | None
    hertz_per_ppm: float
    status: NDArray[np.uint8]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Where the shift is known."""
        return self.status == Status.CONVERGED

    @property
    def ppm(self) -> NDArray[np.float64]:
        """Shift [ppm]; NaN where it is not known."""
        return np.where(self.usable, self.hertz, np.nan) / self.hertz_per_ppm

    @property
    def ppm_stdev(self) -> NDArray[np.float64] | None:
        """Standard deviation [ppm]."""
        return None if self.hertz_stdev is None else self.hertz_stdev / self.hertz_per_ppm


def find_water_shift(
    signal: NDArray[np.floating],
    *,
    protocol: SaturationProtocol,
    roles: Sequence[str],
    layout: SeriesLayout,
    noise: float,
    smoothing: float,
    given: NDArray[np.floating] | None,
    given_stdev: NDArray[np.floating] | None,
    threads: int = 1,
) -> WaterShift:
    """Return the shift of water.

    Parameters
    ----------
    signal, protocol, roles, threads
        As of `zspectrum_maps`.
    layout
        Of the spectrum.
    noise
        Standard deviation of one volume.
    smoothing
        Of the spline whose minimum is looked for.
    given, given_stdev
        A map that is known [Hz], shape (V,).
    """
    scale = ppm_to_hertz(1.0, field_strength=protocol.field_strength)
    if given is not None:
        valid = np.isfinite(given) & (True if given_stdev is None else np.isfinite(given_stdev))
        return WaterShift(
            hertz=np.asarray(given, dtype=np.float64),
            hertz_stdev=None if given_stdev is None else np.asarray(given_stdev, dtype=np.float64),
            hertz_per_ppm=scale,
            status=np.where(valid, Status.CONVERGED, Status.INVALID_INPUT).astype(np.uint8),
            decisions=(
                "B0 was corrected by the map that was given"
                + (", which has no standard deviation and counts as exact." if given_stdev is None else "."),
            ),
            warnings=(),
        )
    if "wassr" in roles:
        own = wassr_maps(signal, protocol=protocol, roles=roles, noise=noise, threads=threads)
        values, stdev = own.maps["off_resonance"]
        return WaterShift(
            hertz=values.astype(np.float64),
            hertz_stdev=None if stdev is None else stdev.astype(np.float64),
            hertz_per_ppm=scale,
            status=own.status,
            decisions=own.decisions[:1],
            warnings=(),
        )
    hertz, hertz_stdev = np.empty(len(signal)), np.empty(len(signal))
    status = np.empty(len(signal), dtype=np.uint8)

    def work(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        z = spectra(signal[part], layout=layout, noise=noise)
        found = water_minimum(z.values, offsets=layout.offsets, noise=z.stdev, smoothing=smoothing)
        hertz[part] = found.values["water_shift"] * scale
        hertz_stdev[part] = found.stdev["water_shift"] * scale
        status[part] = np.where(z.status == Status.CONVERGED, found.status, z.status)

    run_blocks(work, len(signal), block=BLOCK, threads=threads)
    strong = layout.saturation.b1_rms > STRONG_SATURATION
    return WaterShift(
        hertz=hertz,
        hertz_stdev=hertz_stdev,
        hertz_per_ppm=scale,
        status=status,
        decisions=("B0 was taken from the spectrum itself: the centre of the dip of water.",),
        warnings=(
            f"B0 comes from a dip that a B1 of {1e6 * layout.saturation.b1_rms:.2g} µT has broadened: pools beside it draw the "
            "centre by about 0.01 to 0.02 ppm, and its noise enters MTR asymmetry; a WASABI, WASSR or field map scan is better.",
        )
        if strong
        else (),
    )
