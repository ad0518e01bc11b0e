"""Pictures of the phase cycles: a montage, the motion between them and the signal profile of one voxel."""

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
from qmri_bids.reports.encode import encode_png
from qmri_bids.reports.planes import GAP, RADIOLOGICAL, WIDTH, View, gray, new_canvas, signed
from qmri_bids.reports.styles import TISSUE_COLORS
from qmri_bids.units import fraction_to_percent, radians_to_degrees, seconds_to_milliseconds

_MILLIMETRES = 1e3
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
    from matplotlib.patches import Rectangle

    count = len(increments)
    if np.ndim(magnitude) != 4 or np.shape(magnitude)[-1] != count:
        raise ValueError(
            f"magnitude must have shape (X, Y, Z, {count}) for {count} increments, found {magnitude.shape}"
        )
    inside = View(affine=affine, mask=mask)
    cut = inside.cuts("axial", (0.5,))[0]
    mean = inside.reorient(np.nan_to_num(np.mean(magnitude, axis=-1)))
    relative = gray(np.mean(magnitude, axis=-1))
    view = View(affine=affine, mask=(relative > 0.1) | np.asarray(mask, dtype=bool))
    width, height = view.size("axial")

    rows = max(1, round(math.sqrt(count / 3.0)))
    columns = math.ceil(count / rows)
    # The mean is as high as all rows of cycles together.
    tile = (WIDTH - GAP * (columns + 2)) / (columns + rows)
    tile_height = tile * height / width
    canvas_height = rows * tile_height + GAP * (rows + 1)
    canvas = new_canvas(height=canvas_height)
    canvas.add_artist(Rectangle((0, 0), 1, 1, transform=canvas.transFigure, color="black", zorder=-1))

    def panel(left: float, top: float, scale: float, image: NDArray[Any], limit: float) -> Any:
        box = (
            left / WIDTH,
            (canvas_height - top - scale * tile_height) / canvas_height,
            scale * tile / WIDTH,
            scale * tile_height / canvas_height,
        )
        axes = canvas.add_axes(box)
        axes.set_axis_off()
        axes.imshow(
            image,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="gray",
            vmin=0,
            vmax=limit,
        )
        return axes

    block = rows + GAP * (rows - 1) / tile_height
    large = panel(GAP, GAP, block, view.image(gray(mean, within=inside.mask), cut), 1.0)
    outline = view.image(inside.mask, cut).astype(float)
    if outline.min() < 0.5 < outline.max():
        large.contour(outline, levels=[0.5], colors="#f0e442", linewidths=1.0)
    white: dict[str, Any] = {"color": "white", "fontsize": 8}
    large.text(0.02, 0.985, "R", transform=large.transAxes, va="top", **white)
    large.text(0.98, 0.985, "L", transform=large.transAxes, ha="right", va="top", **white)
    large.text(0.02, 0.015, "mean", transform=large.transAxes, **white)
    slices = [np.nan_to_num(view.image(view.reorient(magnitude[..., n]), cut)) for n in range(count)]
    brain = outline > 0.5
    limit = float(np.percentile([image[brain] if brain.any() else image for image in slices], 99.5)) or 1.0
    for number, increment in enumerate(increments):
        row, column = divmod(number, columns)
        left = 2 * GAP + block * tile + column * (tile + GAP)
        text = f"{radians_to_degrees(increment):.4g}°"
        axes = panel(left, GAP + row * (tile_height + GAP), 1.0, slices[number], limit)
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", **white)
        if number == reference:
            axes.text(0.02, 0.02, "reference", color="#f0e442", fontsize=7, transform=axes.transAxes, va="bottom")
    return Figure(
        key=key,
        title=title,
        caption=f"Magnitude of the {count} phase cycles in the axial slice at z = {signed(cut.position)} mm, "
        "labelled with the RF phase increment; all have the same window. The dark bands move with the "
        "increment, "
        "the anatomy must not. Left: the mean, with the outline of the brain mask in yellow. "
        f"{RADIOLOGICAL}",
        image=encode_png(canvas),
        section=Section.CYCLES,
        alternative=f"Montage of {count} phase cycles and their mean",
    )


def motion_figure(
    parameters: NDArray[np.floating],
    framewise_displacement: NDArray[np.floating],
    *,
    reference: int | None = None,
    key: str = "motion",
    title: str = "Head motion between the cycles",
) -> Figure:
    """Return translations, rotations and framewise displacement over the cycles.

    Parameters
    ----------
    parameters
        Translations along x, y, z [m] and rotations about x, y, z [rad], shape (N, 6).
    framewise_displacement
        Displacement from cycle to cycle [m], shape (N,); NaN where it has none (the first cycle).
    reference
        Index of the reference cycle, marked where given.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    parameters = np.asarray(parameters, dtype=float)
    displacement = np.asarray(framewise_displacement, dtype=float) * _MILLIMETRES
    if parameters.ndim != 2 or parameters.shape[1] != 6 or displacement.shape != parameters.shape[:1]:
        raise ValueError(
            "parameters must have shape (N, 6) and framewise_displacement (N,), "
            f"found {parameters.shape} and {displacement.shape}"
        )
    cycles = np.arange(1, len(parameters) + 1)
    canvas = new_canvas(height=4.6)
    top, middle, bottom = canvas.subplots(3, 1, sharex=True, gridspec_kw={"hspace": 0.16})
    canvas.subplots_adjust(left=0.09, right=0.90, top=0.98, bottom=0.10)
    translations = parameters[:, :3] * _MILLIMETRES
    rotations = _degrees(parameters[:, 3:])
    for axes, values in ((top, translations), (middle, rotations)):
        for column, label in enumerate("xyz"):
            axes.plot(
                cycles,
                values[:, column],
                "o-",
                color=TISSUE_COLORS[column],
                markersize=3.5,
                linewidth=1.4,
                label=label,
            )
        axes.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
        _widen(axes, values, least=0.1)
        axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False, fontsize=9, handlelength=1.4)
    bottom.bar(cycles, np.nan_to_num(displacement), color="#5b6f7d", width=0.6)
    finite = displacement[np.isfinite(displacement)]
    bottom.set_ylim(0.0, 1.15 * max(float(finite.max(initial=0.0)), 0.1))
    top.set_ylabel("translation [mm]", fontsize=9)
    middle.set_ylabel("rotation [°]", fontsize=9)
    bottom.set_ylabel("displacement [mm]", fontsize=9)
    bottom.set_xlabel("cycle", fontsize=9)
    bottom.set_xlim(0.4, len(cycles) + 0.6)
    step = max(1, math.ceil(len(cycles) / 24))
    bottom.set_xticks(cycles[::step])
    for axes in (top, middle, bottom):
        _plain(axes)
        if reference is not None:
            axes.axvspan(reference + 0.5, reference + 1.5, color="#f0e442", alpha=0.35, zorder=-1, linewidth=0)
    canvas.align_ylabels([top, middle, bottom])
    if reference is not None:
        top.annotate(
            "reference",
            (reference + 1, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color="#555555",
        )
    largest = f"{finite.max():.2f} mm" if finite.size else "not known"
    return Figure(
        key=key,
        title=title,
        caption="Rigid motion of every cycle relative to the reference (shaded), as estimated and corrected: "
        "translations along and rotations about x (right), y (anterior) and z (superior), and the "
        "displacement from the "
        f"cycle before. Largest displacement: {largest}.",
        image=encode_png(canvas),
        section=Section.MOTION,
        alternative="Curves of translation, rotation and displacement over the cycles",
    )


def profile_figure(
    cycles: NDArray[np.complexfloating],
    *,
    estimate: Estimate,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    key: str = "profile",
    title: str = "Signal profile: measured and model",
) -> Figure | None:
    """Return magnitude and phase of a typical voxel against the increment, measured and modelled.

    Parameters
    ----------
    cycles
        Complex cycles, shape (..., N).
    estimate
        With the maps `T1`, `T2` and `off_resonance`, shape (...).
    b1
        Actual over nominal flip angle, shape (...).
    protocol
        The acquisition.
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
    measured = measured / factor / np.abs(at_cycles).max()
    dense = np.linspace(0.0, 2.0 * math.pi, 361)
    curve = model(tuple(dense)) / np.abs(at_cycles).max()
    degrees = _degrees(np.asarray(protocol.rf_phase_increment)) % 360.0
    canvas = new_canvas(height=2.9)
    left, right = canvas.subplots(1, 2)
    canvas.subplots_adjust(left=0.07, right=0.985, top=0.97, bottom=0.17, wspace=0.2)
    jumps = np.unwrap(np.angle(curve))
    nearest = np.interp(degrees, _degrees(dense), jumps)
    phase = nearest + np.angle(measured * np.exp(-1j * nearest))
    for axes, line, points, label in (
        (left, np.abs(curve), np.abs(measured), "magnitude [relative]"),
        (right, _degrees(jumps), _degrees(phase), "phase [°]"),
    ):
        axes.plot(_degrees(dense), line, color=TISSUE_COLORS[0], linewidth=1.6, label="model")
        axes.plot(degrees, points, "o", color=TISSUE_COLORS[1], markersize=5, label="measured")
        axes.set_xlabel("RF phase increment [°]", fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.set_xlim(0, 360)
        axes.set_xticks(range(0, 361, 60))
        _plain(axes)
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
        "Amplitude and receiver phase are fitted.",
        image=encode_png(canvas),
        section=Section.QUALITY,
        alternative="Measured signal and model against the RF phase increment",
    )


def _plain(axes: Any) -> None:
    """Give axes a quiet grid and no box."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#e3e6e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _widen(axes: Any, values: NDArray[np.floating], *, least: float) -> None:
    """Set symmetric limits around zero, never tighter than `least`: noise must not look like motion."""
    finite = np.abs(values[np.isfinite(values)])
    limit = max(1.15 * float(finite.max(initial=0.0)), least)
    axes.set_ylim(-limit, limit)
