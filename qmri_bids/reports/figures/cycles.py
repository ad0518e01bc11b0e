"""Pictures of the phase cycles: a montage, and the signal profile of one voxel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.montage import draw_montage
from qmri_bids.reports.drawing.planes import RADIOLOGICAL, new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.units import fraction_to_percent, radians_to_degrees, seconds_to_milliseconds

_degrees: Callable[[Any], Any] = radians_to_degrees


def cycles_figure(
    magnitude: NDArray[np.floating],
    *,
    increments: Sequence[float],
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    reference: int | None = None,
    key: str = "cycles",
    title: str = "Phase cycles",
) -> Figure:
    """Return the same axial slice of every cycle, beside their mean with the outline of the brain mask.

    Parameters
    ----------
    magnitude
        Magnitude of the cycles, shape (X, Y, Z, N).
    increments
        RF phase increments [rad], N of them.
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Brain mask, shape (X, Y, Z); it places the slice.
    reference
        Index of the reference of the motion correction, marked where given.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If the number of increments is not that of the cycles.
    """
    count = len(increments)
    if np.ndim(magnitude) != 4 or np.shape(magnitude)[-1] != count:
        raise ValueError(
            f"magnitude must have shape (X, Y, Z, {count}) for {count} increments, found {magnitude.shape}"
        )
    montage = draw_montage(
        magnitude,
        labels=[f"{radians_to_degrees(increment):.4g}°" for increment in increments],
        affine=affine,
        mask=mask,
        mean=np.mean(magnitude, axis=-1),
        marked=reference,
    )
    return Figure(
        key=key,
        title=title,
        caption=f"Magnitude of the {count} phase cycles in the {montage.cut.words}, "
        "labelled with the RF phase increment; all have the same window. The dark bands move with the "
        "increment, "
        "the anatomy must not. Left: the mean, with the outline of the brain mask in yellow. "
        f"{RADIOLOGICAL}",
        image=encode_picture(montage.canvas),
        section=Section.CYCLES,
        alternative=f"Montage of {count} phase cycles and their mean",
    )


def profile_figure(
    cycles: NDArray[np.complexfloating],
    *,
    estimate: Estimate,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    noise: NDArray[np.floating] | None = None,
    key: str = "profile",
    title: str = "Signal profile: measured and model",
) -> Figure | None:
    """Return magnitude and phase of a typical voxel against the increment, measured and modelled.

    Parameters
    ----------
    cycles
        Complex cycles, shape (..., N).
    estimate
        Estimate with the maps `T1`, `T2` and `off_resonance`, shape (...).
    b1
        Actual over nominal flip angle, shape (...).
    protocol
        The acquisition.
    noise
        Standard deviation of real and imaginary part of a cycle, shape (...): the error bars; none without it.
    key, title
        Name and heading of the figure.

    Returns
    -------
    Figure or None
        None where no voxel was estimated: there is nothing to show.

    Notes
    -----
    The voxel is the one whose T1 and T2 are closest to the medians of all estimated voxels.
    """
    usable = (estimate.status == Status.CONVERGED) & np.isfinite(b1) & np.isfinite(cycles).all(axis=-1)
    if not usable.any():
        return None
    t1, t2, offset = (estimate.values[name] for name in ("T1", "T2", "off_resonance"))
    distance = np.full(t1.shape, np.inf)
    typical = np.median(t1[usable]), np.median(t2[usable])
    distance[usable] = np.hypot(np.log(t1[usable] / typical[0]), np.log(t2[usable] / typical[1]))
    voxel = np.unravel_index(int(np.argmin(distance)), distance.shape)
    measured = np.asarray(cycles[voxel], dtype=complex)

    def model(increments: Sequence[float]) -> NDArray[np.complexfloating]:
        sampled = BssfpProtocol(
            repetition_time=protocol.repetition_time,
            echo_time=protocol.echo_time,
            flip_angle=protocol.flip_angle,
            rf_phase_increment=tuple(increments),
        )
        values = (np.asarray(float(values[voxel])) for values in (t1, t2, b1, offset))
        first, second, field, shift = values
        result: NDArray[np.complexfloating] = signal(first, second, b1=field, off_resonance=shift, protocol=sampled)
        return result

    at_cycles = model(protocol.rf_phase_increment)
    # The amplitude and the receiver phase are free: both curves are drawn relative to them.
    factor = np.vdot(at_cycles, measured) / np.vdot(at_cycles, at_cycles).real
    scale = abs(factor) * np.abs(at_cycles).max()
    measured = measured / factor / np.abs(at_cycles).max()
    spread = math.nan if noise is None else float(noise[voxel]) / scale
    dense = np.linspace(0.0, 2.0 * math.pi, 361)
    curve = model(tuple(dense)) / np.abs(at_cycles).max()
    degrees = _degrees(np.asarray(protocol.rf_phase_increment)) % 360.0
    canvas = new_canvas(height=2.9)
    left, right = canvas.subplots(1, 2)
    canvas.subplots_adjust(left=0.07, right=0.985, top=0.97, bottom=0.17, wspace=0.2)
    jumps = np.unwrap(np.angle(curve))
    nearest = np.interp(degrees, _degrees(dense), jumps)
    phase = nearest + np.angle(measured * np.exp(-1j * nearest))
    error = np.full(len(measured), spread)
    for axes, line, points, bars, label in (
        (left, np.abs(curve), np.abs(measured), error, "magnitude [relative]"),
        (right, _degrees(jumps), _degrees(phase), _degrees(error / np.abs(measured)), "phase [°]"),
    ):
        axes.plot(_degrees(dense), line, color=TISSUE_COLORS[0], linewidth=1.6, label="model")
        axes.errorbar(
            degrees,
            points,
            yerr=bars if math.isfinite(spread) else None,
            fmt="o",
            color=TISSUE_COLORS[1],
            markersize=4,
            elinewidth=1.0,
            capsize=2,
            label="measured",
        )
        axes.set_xlabel("RF phase increment [°]", fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.set_xlim(0, 360)
        axes.set_xticks(range(0, 361, 60))
        plain(axes)
    left.set_ylim(bottom=0.0)
    left.legend(frameon=False, fontsize=9, loc="best")
    index = f" ({', '.join(str(int(number)) for number in voxel)})" if t1.ndim == 3 else ""
    return Figure(
        key=key,
        title=title,
        caption=f"Voxel{index}, the one closest to the medians of T1 and T2: "
        f"T1 = {seconds_to_milliseconds(t1[voxel]):.0f} ms, T2 = {seconds_to_milliseconds(t2[voxel]):.0f} "
        "ms, "
        f"off-resonance {offset[voxel]:.1f} Hz, B1 {fraction_to_percent(b1[voxel]):.0f} %. "
        "Amplitude and receiver phase are fitted. "
        + (
            "Bars: the noise of one cycle in the voxel (one standard deviation)."
            if math.isfinite(spread)
            else "No bars: the noise of the voxel is not known."
        ),
        image=encode_picture(canvas),
        section=Section.QUALITY,
        alternative="Measured signal and model against the RF phase increment",
    )
