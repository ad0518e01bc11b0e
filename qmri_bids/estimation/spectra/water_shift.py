"""The shift of water that corrects a Z-spectrum: given, from WASSR volumes of the series, or from the spectrum itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.b0_maps import wassr_maps
from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.spectra.disturbances.drift import Drift
from qmri_bids.estimation.spectra.lorentzian.fit import fit_lorentzian
from qmri_bids.estimation.spectra.lorentzian.maps import masked
from qmri_bids.estimation.spectra.lorentzian.pools import Bounded, LorentzianPool
from qmri_bids.estimation.spectra.series import SeriesLayout, spectra
from qmri_bids.estimation.spectra.spline import spline_operator
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import ppm_to_hertz

SEARCH = 2.5
"""The minimum is looked for so far from the nominal frequency [ppm]."""

WINDOW = 1.0
"""Half width of the window of the fit [ppm], wider where offsets are sparse."""

WINDOW_SPACINGS = 3.5
"""Half width of the window is at least so many spacings of the offsets near water."""

STEP = 0.02
"""Grid on which the minimum is looked for [ppm]; the fit refines it."""

REACH = 0.6
"""The centre lies within this of the minimum [ppm]."""

LARGEST_STDEV = 0.2
"""A centre less certain than this [ppm] is none."""

MINIMUM_DEPTH = 6.0
"""Depth of a dip over the noise: noise alone spans four of its standard deviations over two dozen offsets."""

FEWEST_OFFSETS = 6
"""Offsets that must lie in the search range; the fit has four parameters."""

LARGEST_GAP = 1.05
"""Distance between neighbouring offsets [ppm] in which no minimum is believed: half the width of a dip of water, so that nothing
in between was sampled, and the curve there is the spline's own."""

_LEVEL = Bounded(start=0.8, lower=0.02, upper=1.5)
_WATER = LorentzianPool(
    amplitude=Bounded(start=0.6, lower=0.0, upper=1.5),
    width=Bounded(start=1.4, lower=0.2, upper=10.0),
    position=Bounded(start=0.0, lower=-REACH, upper=REACH),
)


def unsampled_dip(offsets: NDArray[np.floating] | Sequence[float]) -> str:
    """Return why offsets [ppm] cannot show the dip of water, empty where they can.

    Examples
    --------
    >>> unsampled_dip([-2.5, -2.0, -1.5, 1.5, 2.0, 2.5])
    'no offset lies between -1.5 and 1.5 ppm, where its dip is'
    >>> unsampled_dip([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    ''
    """
    close = np.unique([offset for offset in offsets if abs(offset) <= SEARCH])
    if len(close) < FEWEST_OFFSETS:
        return f"{len(close)} of its offsets lie within ±{SEARCH:g} ppm of water (at least {FEWEST_OFFSETS} are needed)"
    after = int(np.clip(np.searchsorted(close, 0.0), 1, len(close) - 1))
    if close[0] < 0.0 < close[-1] and close[after] - close[after - 1] <= LARGEST_GAP:
        return ""
    if not close[0] < 0.0 < close[-1]:
        return f"its offsets near water lie on one side of it alone ({close[0]:g} to {close[-1]:g} ppm)"
    return f"no offset lies between {close[after - 1]:g} and {close[after]:g} ppm, where its dip is"


def water_minimum(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    noise: NDArray[np.floating] | float,
    smoothing: float = 0.0,
    threads: int = 1,
) -> Estimate:
    """Return the shift of water of every spectrum.

    Parameters
    ----------
    z
        Z-spectra, shape (V, N).
    offsets
        Nominal offsets [ppm], shape (N,), all different.
    noise
        Standard deviation of Z, shape (V,) or one for all.
    smoothing
        Smoothing of the spline whose minimum is the start (`spline.spline_operator`).
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Estimate
        `water_shift` [ppm], shape (V,). OUT_OF_RANGE where the minimum lies at the edge of what was measured or searched, or in a
        gap between offsets,
        LOW_SIGNAL where there is no dip, NOT_CONVERGED or AT_BOUND where the fit has no optimum near the minimum.

    Raises
    ------
    ValueError
        If shapes do not belong together, or fewer than six offsets lie within 2.5 ppm.
    """
    measured = np.asarray(offsets, dtype=np.float64)
    if z.ndim != 2 or measured.shape != (z.shape[1],):
        raise ValueError(f"z must have shape (V, N) with one column an offset, found {z.shape} and {measured.shape}")
    close = np.sort(measured[np.abs(measured) <= SEARCH])
    if len(close) < FEWEST_OFFSETS:
        raise ValueError(
            f"the shift of water needs at least {FEWEST_OFFSETS} offsets within ±{SEARCH} ppm, found {len(close)}; "
            "give a field map, a WASSR or a WASABI scan"
        )
    window = max(WINDOW, WINDOW_SPACINGS * float(np.median(np.diff(close))))
    sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (len(z),))
    finite = np.isfinite(z).all(axis=1) & np.isfinite(sigma)
    start, depth, edge = _minimum(np.where(finite[:, None], z, 0.0), measured, close, smoothing)
    inside = np.abs(measured - start[:, None]) <= window
    fit = fit_lorentzian(
        np.where(inside & finite[:, None], z, math.nan),
        offsets=measured,
        pools={"water": _WATER},
        baseline=_LEVEL,
        water_shift=start,
        threads=threads,
    )
    column = fit.columns("water").start + 2
    status = np.full(len(z), Status.CONVERGED, dtype=np.uint8)
    with np.errstate(all="ignore"):
        # Sidebands of pulse trains and the beat of long T2 are no Lorentzian: what they leave counts as noise.
        misfit = np.sqrt(fit.residual_sum / np.maximum(inside.sum(axis=1) - 4, 1))
        stdev = np.sqrt(fit.covariance[:, column, column].astype(np.float64)) * np.maximum(sigma, misfit)
        status[fit.at_bound[:, column]] = Status.AT_BOUND
        status[~fit.converged] = Status.NOT_CONVERGED
        status[edge | (inside.sum(axis=1) < FEWEST_OFFSETS - 1)] = Status.OUT_OF_RANGE
        flat = ~(depth > MINIMUM_DEPTH * sigma) | ~(stdev < LARGEST_STDEV)
        status[flat & (status != Status.OUT_OF_RANGE)] = Status.LOW_SIGNAL
        residual = np.sqrt(fit.residual_sum / fit.signal_sum)
    status[~finite] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={"water_shift": masked(start + fit.parameters[:, column], good)},
        stdev={"water_shift": masked(stdev, good)},
        residual=masked(residual, good),
        status=status,
    )


def _minimum(
    z: NDArray[np.float64], offsets: NDArray[np.float64], close: NDArray[np.float64], smoothing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return place and depth of the minimum of the smoothed spectra, and whether it lies at an edge or in a gap."""
    operator = spline_operator(offsets, smoothing=smoothing)
    nodes = operator.nodes(z)
    grid = np.arange(close[0], close[-1] + 0.5 * STEP, STEP)
    rows = operator.rows(grid[None])
    # The grid is that of all voxels: a matrix from nodes to values there.
    matrix = np.zeros((nodes.shape[1], len(grid)))
    np.add.at(matrix, (rows.rows[0], np.arange(len(grid))[:, None]), rows.weights[0])
    curve = nodes @ matrix
    place = curve.argmin(axis=1)
    depth = curve.max(axis=1) - curve.min(axis=1)
    after = np.clip(np.searchsorted(close, grid[place]), 1, len(close) - 1)
    gap = close[after] - close[after - 1] > LARGEST_GAP
    return grid[place], depth, (place == 0) | (place == len(grid) - 1) | gap


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
        Aligned magnitudes, the images that they are, and number of threads: those of `zspectrum_maps` (`maps.py`).
    layout
        Layout of the spectrum: its offsets, and which volumes make it up.
    noise
        Standard deviation of one volume.
    smoothing
        Smoothing of the spline whose minimum is looked for.
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


def no_water_shift(voxels: int, protocol: SaturationProtocol) -> WaterShift:
    """Return a shift of zero for every voxel, which is not measured and has no standard deviation."""
    return WaterShift(
        hertz=np.zeros(voxels),
        hertz_stdev=None,
        hertz_per_ppm=ppm_to_hertz(1.0, field_strength=protocol.field_strength),
        status=np.full(voxels, Status.CONVERGED, dtype=np.uint8),
        decisions=("B0 was not corrected: standard deviations hold no shift of water.",),
        warnings=(),
    )


def drifted(shift: WaterShift, *, drift: Drift, roles: Sequence[str], given: bool) -> WaterShift:
    """Return the shift of water in the middle of the spectrum, with the uncertainty of a drift that was corrected.

    Parameters
    ----------
    shift
        As it was found: from WASSR volumes it is that of their own time.
    drift
        Of the field.
    roles
        Of all images.
    given
        Whether the shift is a map of another scan.
    """
    if drift.operator is None:
        return shift
    hertz, warnings = shift.hertz, shift.warnings
    water = [index for index, role in enumerate(roles) if role == "wassr"]
    if given:
        warnings = (
            *warnings,
            f"The field drifted by {drift.hertz:+.0f} Hz during the series, and the B0 map is that of another time: it may be "
            "off by about as much.",
        )
    elif water:
        hertz = hertz - drift.hertz * drift.times[water].mean()
    stdev = shift.hertz_stdev
    if stdev is not None:
        # Offsets are displaced by the error of the drift times their time, this much in the mean square.
        spectrum = [index for index, role in enumerate(roles) if role == "cest"]
        stdev = np.hypot(stdev, drift.stdev * float(np.sqrt(np.mean(np.square(drift.times[spectrum])))))
    return replace(shift, hertz=hertz, hertz_stdev=stdev, warnings=warnings)
