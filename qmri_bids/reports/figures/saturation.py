"""Pictures of a saturation protocol: one repetition to scale in time, and the series of images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.saturation import SaturatedImage, Saturation, SaturationProtocol, SpinLock
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.units import seconds_to_milliseconds, tesla_to_microtesla

if TYPE_CHECKING:
    from matplotlib.axes import Axes


COLORS = {"recovery": "#e9edf0", "pulses": "#0072b2", "spoiler": "#e3b5ce", "readout": "#eadcae"}
"""Colours of the parts of a repetition."""

_LEVEL = "#d55e00"
"""Colour of the root mean square of B1."""

MOST_STEPS = 64
"""Steps that a pulse is drawn with in a long train."""

_UNKNOWN_READOUT = 0.06
"""Share of a repetition that a readout of unknown length takes in the picture."""


def needs_zoom(protocol: SaturationProtocol, image: SaturatedImage, saturation: Saturation) -> bool:
    """Return whether a single pulse cannot be seen in the whole repetition."""
    readout = 0.0 if protocol.readout is None else protocol.readout.number * protocol.readout.spacing
    total = image.recovery + saturation.duration + saturation.spoiler + readout
    return saturation.number > 1 or saturation.duration < 0.2 * total


def _clock(seconds: float) -> tuple[float, str]:
    """Return the factor and unit in which a time of this length is read."""
    return (1.0, "s") if seconds >= 1.0 or seconds == 0.0 else (seconds_to_milliseconds(1.0), "ms")


def duration_text(seconds: float) -> str:
    """Return a time with its unit.

    Examples
    --------
    >>> duration_text(3.5), duration_text(0.0205)
    ('3.5 s', '20.5 ms')
    """
    factor, unit = _clock(seconds)
    return f"{factor * seconds:.4g} {unit}"


def envelope(saturation: Saturation, *, first: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return corners of B1 [µT] over time [s] from the start of pulse `first`; phase π counts as negative."""
    segments = saturation.pulse.segments
    amplitude = np.array([tesla_to_microtesla(each.amplitude) * _sign(each.phase) for each in segments])
    edges = np.concatenate([[0.0], np.cumsum([each.duration for each in segments])])
    if saturation.number - first > 4 and len(segments) > MOST_STEPS:
        kept = np.unique(np.linspace(0, len(segments) - 1, MOST_STEPS).astype(int))
        amplitude = amplitude[kept]
        edges = np.concatenate([edges[kept], edges[-1:]])
    # Every step has two corners; zero before and after makes the flanks of a pulse upright.
    time = np.concatenate([[0.0], np.repeat(edges, 2)[1:-1], edges[-1:]])
    height = np.concatenate([[0.0], np.repeat(amplitude, 2), [0.0]])
    step = saturation.pulse.duration + saturation.gap
    starts = step * np.arange(saturation.number - first)
    return (starts[:, None] + time).ravel(), np.tile(height, len(starts))


def _sign(phase: float) -> float:
    return -1.0 if math.cos(phase) < -0.999 else 1.0


def draw_repetition(axes: Axes, protocol: SaturationProtocol, image: SaturatedImage, saturation: Saturation) -> None:
    """Draw recovery, pulses, spoiler and readout of one image."""
    readout = None if protocol.readout is None else protocol.readout.number * protocol.readout.spacing
    known = image.recovery + saturation.duration + saturation.spoiler + (readout or 0.0)
    ends = np.cumsum(
        [
            0.0,
            image.recovery,
            saturation.duration,
            saturation.spoiler,
            known * _UNKNOWN_READOUT if readout is None else readout,
        ]
    )
    factor, unit = _clock(float(ends[-1]))
    time, height = envelope(saturation)
    for name, begin, end in zip(("recovery", "", "spoiler", "readout"), ends[:-1], ends[1:], strict=True):
        if name and end > begin:
            axes.axvspan(factor * begin, factor * end, color=COLORS[name], linewidth=0, zorder=0)
    if readout is None:
        axes.axvspan(
            factor * ends[3], factor * ends[4], facecolor="none", edgecolor="#b9a562", hatch="////", linewidth=0
        )
    axes.fill_between(factor * (ends[1] + time), 0.0, height, color=COLORS["pulses"], linewidth=0.3)
    level = tesla_to_microtesla(saturation.b1_rms)
    marks_level = level < 0.985 * float(np.abs(height).max())
    if marks_level:
        axes.plot(factor * ends[1:3], [level, level], color=_LEVEL, linewidth=1.2)
    axes.set_xlim(0.0, factor * ends[-1])
    axes.set_ylim(min(0.0, 1.15 * float(height.min())), 1.25 * float(height.max()))
    axes.set_xlabel(f"time in the repetition [{unit}]", fontsize=9)
    axes.set_ylabel("B1 [µT]", fontsize=9)
    plain(axes)
    axes.grid(False)
    train = (
        f"{saturation.number} pulses of {duration_text(saturation.pulse.duration)}"
        if saturation.number > 1
        else f"pulse {duration_text(saturation.pulse.duration)}"
    )
    names = {
        "recovery": f"recovery {duration_text(image.recovery)}" if image.recovery else "",
        "pulses": train,
        "spoiler": f"spoiler {duration_text(saturation.spoiler)}" if saturation.spoiler else "",
        "readout": "readout" if readout is None else f"readout {duration_text(readout)}",
    }
    _key(axes, {name: text for name, text in names.items() if text}, level=f"rms {level:.3g} µT" if marks_level else "")


def _key(axes: Axes, names: dict[str, str], *, level: str) -> None:
    """Write what the colours mean above the axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=COLORS[name], edgecolor="#999999", linewidth=0.4, label=text) for name, text in names.items()
    ]
    if level:
        handles.insert(-1, Line2D([], [], color=_LEVEL, linewidth=1.4, label=level))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncol=len(handles),
        frameon=False,
        fontsize=8,
        handlelength=1.1,
        handleheight=0.8,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def draw_end(axes: Axes, saturation: Saturation) -> None:
    """Draw the last pulses with their gap and the spoiler."""
    shown = min(saturation.number, 2)
    time, height = envelope(saturation, first=saturation.number - shown)
    length = shown * (saturation.pulse.duration + saturation.gap) - saturation.gap
    end = length + saturation.spoiler
    factor, unit = _clock(end)
    axes.fill_between(factor * time, 0.0, height, color=COLORS["pulses"], alpha=0.35, linewidth=0)
    axes.plot(factor * time, height, color=COLORS["pulses"], linewidth=1.2)
    if saturation.spoiler:
        axes.axvspan(factor * length, factor * end, color=COLORS["spoiler"], linewidth=0, zorder=0)
    if saturation.gap and shown > 1:
        begin = factor * saturation.pulse.duration
        axes.annotate(
            f"gap {duration_text(saturation.gap)}",
            (begin + 0.5 * factor * saturation.gap, 1.04 * float(height.max())),
            fontsize=8,
            ha="center",
            va="bottom",
        )
    axes.set_xlim(0.0, factor * end)
    axes.set_ylim(min(0.0, 1.15 * float(height.min())), 1.25 * float(height.max()))
    axes.set_xlabel(f"time [{unit}]", fontsize=9)
    axes.set_title("the last two pulses" if shown > 1 else "the pulse", fontsize=9, pad=4)
    plain(axes)
    axes.grid(False)
    axes.locator_params(axis="x", nbins=5)


ROLE_COLORS = {"m0": "#8c8c8c", "cest": "#0072b2", "wassr": "#009e73"}
"""Colours of the images by what they are for."""

ROLE_NAMES = {"m0": "M0", "cest": "saturated", "wassr": "WASSR"}

_FAR = 20.0
"""Offsets beyond [ppm] ask for a logarithmic axis."""


def saturation_figure(
    protocol: SaturationProtocol,
    *,
    roles: Sequence[str] | None = None,
    remark: str = "",
    key: str = "saturation",
    title: str = "Saturation protocol",
) -> Figure:
    """Return one repetition of a protocol to scale in time, its pulse, and offset and B1 of every image.

    Parameters
    ----------
    protocol
        The acquisition.
    roles
        What each image is for: `m0`, `cest` or `wassr`; `m0` or `cest` by the protocol where not given.
    remark
        A sentence more for the caption.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If there is not one known role for every image.
    """
    images = protocol.images
    parts = tuple(roles) if roles is not None else tuple("m0" if each.is_m0 else "cest" for each in images)
    if len(parts) != len(images) or set(parts) - set(ROLE_COLORS):
        raise ValueError(
            f"roles must be one of {', '.join(ROLE_COLORS)} for each of the {len(images)} images, "
            f"found {len(parts)}: {', '.join(sorted(set(parts)))}"
        )
    number = _typical(images, parts)
    saturation = None if number is None else images[number].saturation
    height = 2.45 if saturation is None else 5.05
    canvas = new_canvas(height=height)
    sentences = []
    if number is not None and saturation is not None:
        zoomed = needs_zoom(protocol, images[number], saturation)
        bottom, tall = 1.0 - 2.02 / height, 1.60 / height
        timeline = canvas.add_axes((0.065, bottom, 0.60 if zoomed else 0.92, tall))
        draw_repetition(timeline, protocol, images[number], saturation)
        if zoomed:
            draw_end(canvas.add_axes((0.735, bottom, 0.25, tall)), saturation)
        sentences += _repetition_text(protocol, number, saturation, zoomed=zoomed)
    upper = canvas.add_axes((0.065, 1.34 / height, 0.92, 0.92 / height))
    lower = canvas.add_axes((0.065, 0.46 / height, 0.92, 0.74 / height), sharex=upper)
    _series(upper, lower, images, parts)
    canvas.align_ylabels([upper, lower])
    sentences += _series_text(images, parts)
    return Figure(
        key=key,
        title=title,
        caption=" ".join([*sentences, *([remark] if remark else [])]),
        image=encode_picture(canvas),
        section=Section.PROTOCOL,
        alternative=f"Timeline of one repetition, and offset and B1 of the {len(images)} images",
    )


def _typical(images: Sequence[SaturatedImage], roles: Sequence[str]) -> int | None:
    """Return the first saturated image with the most common recovery, not M0 where there are others; None without any."""
    saturated = [index for index, image in enumerate(images) if image.saturation is not None]
    candidates = [index for index in saturated if roles[index] == "cest"] or saturated
    if not candidates:
        return None
    common = Counter(images[index].recovery for index in candidates).most_common(1)[0][0]
    return next(index for index in candidates if images[index].recovery == common)


def _series(upper: Axes, lower: Axes, images: Sequence[SaturatedImage], roles: Sequence[str]) -> None:
    """Draw offset and B1 of every image, with M0 shaded."""
    numbers = np.arange(1, len(images) + 1)
    offsets = np.array([np.nan if image.offset is None else image.offset for image in images])
    levels = np.array(
        [0.0 if each.saturation is None else tesla_to_microtesla(each.saturation.b1_rms) for each in images]
    )
    role = np.array(roles)
    for name in dict.fromkeys(roles):
        here = role == name
        lower.bar(numbers[here], levels[here], width=0.8, color=ROLE_COLORS[name])
        if name != "m0":
            upper.plot(
                numbers[here], offsets[here], "o", color=ROLE_COLORS[name], markersize=3.5, label=ROLE_NAMES[name]
            )
    for axes in (upper, lower):
        for number in numbers[role == "m0"]:
            axes.axvspan(number - 0.5, number + 0.5, color="#e2e2e2", linewidth=0, zorder=-1)
        plain(axes)
    used = offsets[role != "m0"]
    used = used[np.isfinite(used)]
    reach = float(np.abs(used).max()) if used.size else 1.0
    if reach > _FAR:
        upper.set_yscale("symlog", linthresh=10.0, linscale=1.2)
        ticks = [tick for tick in (10, 100, 1000) if tick <= 1.01 * reach]
        upper.set_yticks([*(-tick for tick in reversed(ticks)), 0, *ticks])
        upper.set_yticklabels([f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in upper.get_yticks()])
        upper.minorticks_off()
        upper.set_ylim(-1.6 * reach, 1.6 * reach)
    elif used.size:
        low, high = min(float(used.min()), 0.0), max(float(used.max()), 0.0)
        margin = max(0.1 * (high - low), 0.1)
        upper.set_ylim(low - margin, high + margin)
    upper.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
    upper.tick_params(labelbottom=False)
    upper.set_ylabel("offset [ppm]", fontsize=9)
    lower.set_ylabel("B1 rms [µT]", fontsize=9)
    lower.set_ylim(0.0, 1.15 * max(float(levels.max()), 1e-3))
    lower.set_xlabel("image", fontsize=9)
    lower.set_xlim(0.4, len(images) + 0.6)
    step = max(1, math.ceil(len(images) / 24))
    lower.set_xticks(numbers[::step])
    _series_key(upper, roles)


def _series_key(axes: Axes, roles: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor="#e2e2e2", label=f"{ROLE_NAMES[name]}")
        if name == "m0"
        else Line2D([], [], marker="o", linestyle="", color=ROLE_COLORS[name], markersize=4, label=ROLE_NAMES[name])
        for name in dict.fromkeys(roles)
    ]
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncol=len(handles),
        frameon=False,
        fontsize=8,
        handlelength=1.1,
        borderaxespad=0.1,
    )


def _repetition_text(protocol: SaturationProtocol, number: int, saturation: Saturation, *, zoomed: bool) -> list[str]:
    image = protocol.images[number]
    said = f"Top: the repetition of image {number + 1}, to scale in time: "
    if image.recovery:
        said += f"recovery of {duration_text(image.recovery)}, "
    said += (
        f"{saturation.number} pulses of {duration_text(saturation.pulse.duration)}, "
        f"{duration_text(saturation.gap)} apart ({duration_text(saturation.duration)} in all)"
        if saturation.number > 1
        else f"one pulse of {duration_text(saturation.pulse.duration)}"
    )
    said += f", B1 of {tesla_to_microtesla(saturation.b1_rms):.3g} µT (root mean square over pulse and gap)"
    said += f", spoiler of {duration_text(saturation.spoiler)}." if saturation.spoiler else "."
    sentences = [said]
    if zoomed:
        sentences.append("Right: the end of it, enlarged.")
    if saturation.spin_lock is not SpinLock.NONE:
        sentences.append(f"Every pulse stands between spin-lock tips ({saturation.spin_lock}), which are not drawn.")
    if protocol.readout is None:
        sentences.append("The length of the readout (hatched) is not known and not to scale.")
    return sentences


def _series_text(images: Sequence[SaturatedImage], roles: Sequence[str]) -> list[str]:
    sentences = [f"Bottom: offset and B1 of the {len(images)} images in the order of the scan."]
    references = [image for image, role in zip(images, roles, strict=True) if role == "m0"]
    if references:
        offsets = sorted({image.offset for image in references if image.offset is not None})
        where = " and ".join(f"{offset:g} ppm".replace("-", "\N{MINUS SIGN}") for offset in offsets)
        bare = any(image.offset is None for image in references)
        how = " and ".join([*([f"at {where}"] if offsets else []), *(["without saturation"] if bare else [])])
        sentences.append(f"Shaded: M0, {how}; its offset is not drawn.")
    if any(image.saturation is None and role != "m0" for image, role in zip(images, roles, strict=True)):
        sentences.append("An image without a dot has no saturation.")
    recoveries = sorted({image.recovery for image in images})
    if len(recoveries) > 1:
        sentences.append(f"The recovery varies from {duration_text(recoveries[0])} to {duration_text(recoveries[-1])}.")
    return sentences
