"""Mistakes of labs and converters in phase-cycled bSSFP, and whether header, sidecar or data of the scan hold evidence of them.

What counts as evidence was decided by thought before any of them was processed: tissue at a stated field has a T1 and a T2 within
broad limits (`pipeline/tissues/plausible.py` has its own), six cycles overdetermine a profile, an echo of balanced SSFP lies at
half the repetition time, and pixdim[4] of a series of cycles holds the repetition time, too.
"""

from __future__ import annotations

import math

import numpy as np
from files_changes import (
    LABELS,
    MAGNITUDE,
    PHASE,
    alternating,
    angles,
    both,
    clip,
    copied,
    cycles,
    cycles_keys,
    each,
    exchange,
    factors,
    ghost,
    half_empty,
    half_k_space,
    header,
    homodyne,
    increments,
    keys,
    levels,
    noise,
    noisy,
    normalised,
    offset,
    one,
    placed,
    shifted,
    sizes,
    smooth,
    stored,
    times,
    turned,
    values,
    zoomed,
)
from scipy import ndimage

TIME = "RepetitionTimeExcitation"


def _time_in_header(seconds):
    return header(MAGNITUDE, PHASE, make=lambda head: head["pixdim"].__setitem__(4, seconds))


def _times(factor: float):
    """State all times of the sequence wrong by one factor."""
    return both(cycles_keys(**{TIME: times(factor), "EchoTime": times(factor)}), _time_in_header(0.0048 * factor))


def _places(*order: int):
    return lambda old: old[list(order)]


def _set(number: int, degrees: float):
    return lambda old: np.where(np.arange(len(old)) == number, old + degrees, old)


def _exchanged_axes(affine):
    return affine[:, [1, 0, 2, 3]]


def _field(name: str, value):
    return lambda head: head.__setitem__(name, value)


TISSUE = "beyond what tissue of the stated field has"
WITHIN = "stays within what tissue may have, and nothing else states it"
PROFILE = "cycles overdetermine the profile of bSSFP and do not fit it"
SAME = "a constant in all cycles moves the off-resonance alone"

FLIP_ANGLE = (
    ("fa 0.5×", cycles_keys(FlipAngle=7.5), "data", TISSUE),
    ("fa 2×", cycles_keys(FlipAngle=30.0), "data", TISSUE),
    ("fa 20 for 15", cycles_keys(FlipAngle=20.0), "data", "T1 alone falls below what T2 lets expect"),
    ("fa 10 for 15", cycles_keys(FlipAngle=10.0), "data", TISSUE),
    ("fa 1.1×", cycles_keys(FlipAngle=16.5), "", WITHIN),
    ("fa 0.9×", cycles_keys(FlipAngle=13.5), "", WITHIN),
    ("fa 1.2×", cycles_keys(FlipAngle=18.0), "", WITHIN),
    ("fa 0.8×", cycles_keys(FlipAngle=12.0), "", WITHIN),
    ("fa in radians", cycles_keys(FlipAngle=math.radians(15.0)), "sidecar", "a quarter of a degree is no flip angle"),
    ("fa of the B1 scan", cycles_keys(FlipAngle=80.0), "data", TISSUE),
    ("fa tenfold", cycles_keys(FlipAngle=150.0), "sidecar", "no bSSFP has 150°"),
)
REPETITION = (
    ("tr 0.5×", cycles_keys(**{TIME: 0.0024}), "sidecar", "TE is as long as TR"),
    ("tr 2×", cycles_keys(**{TIME: 0.0096}), "header", "pixdim[4] says 4.8 ms, and TE is not TR/2"),
    ("tr 1.1×", cycles_keys(**{TIME: 0.00528}), "header", "pixdim[4] says 4.8 ms"),
    ("tr 0.9×", cycles_keys(**{TIME: 0.00432}), "header", "pixdim[4] says 4.8 ms"),
    ("tr in ms", cycles_keys(**{TIME: 4.8}), "sidecar", "4.8 s are no TR of bSSFP"),
    ("tr in µs", cycles_keys(**{TIME: 4800.0}), "sidecar", "4800 s are no TR of bSSFP"),
    ("tr of a volume", cycles_keys(**{TIME: 0.92}), "sidecar", "TE is 0.3 % of TR"),
    ("tr and te exchanged", cycles_keys(**{TIME: 0.0024, "EchoTime": 0.0048}), "sidecar", "TE is longer than TR"),
    ("tr 1.1× everywhere", both(cycles_keys(**{TIME: 0.00528}), _time_in_header(0.00528)), "", WITHIN),
    ("tr 0.9× everywhere", both(cycles_keys(**{TIME: 0.00432}), _time_in_header(0.00432)), "", WITHIN),
    ("tr 1.25×, te with it", _times(1.25), "", WITHIN),
    ("tr 0.5×, te with it", _times(0.5), "data", TISSUE),
    ("tr 2×, te with it", _times(2.0), "data", TISSUE),
    ("tr 3×, te with it", _times(3.0), "data", TISSUE),
    ("te 0.5×", cycles_keys(EchoTime=0.0012), "sidecar", "TE is not TR/2"),
    ("te as long as tr", cycles_keys(EchoTime=0.0048), "sidecar", "TE is not shorter than TR"),
    ("te in ms", cycles_keys(EchoTime=2.4), "sidecar", "TE is longer than TR"),
    ("tr in the phase alone", keys(PHASE, **{TIME: 0.0096}), "sidecar", "the sidecars disagree"),
    ("fa in the phase alone", keys(PHASE, FlipAngle=30.0), "sidecar", "the sidecars disagree"),
    ("field 1.5 for 3 T", cycles_keys(MagneticFieldStrength=1.5), "", "tissue of 1.5 and 3 T differs by a quarter"),
    ("field 7 for 3 T", cycles_keys(MagneticFieldStrength=7.0), "", "tissue of 7 and 3 T differs by a third"),
    ("field in mT", cycles_keys(MagneticFieldStrength=3000.0), "sidecar", "no scanner has 3000 T"),
)
INCREMENTS = (
    ("increments in radians", increments(np.radians), "sidecar", "all of them within 6 degrees"),
    ("increments in gon", increments(times(400.0 / 360.0)), "data", PROFILE),
    ("increments halved", increments(times(0.5)), "data", PROFILE),
    ("increments doubled", increments(times(2.0)), "data", PROFILE),
    ("increments in turns", increments(times(1.0 / 360.0)), "sidecar", "all of them within 1 degree"),
    ("increments as numbers of cycles", increments(lambda old: np.arange(len(old))), "sidecar", "within 5 degrees"),
    ("increments negated", increments(times(-1.0)), "data", "the sense of precession"),
    ("increments reversed", increments(lambda old: old[::-1]), "data", "the sense of precession"),
    ("increments shuffled", increments(_places(3, 0, 5, 1, 4, 2)), "data", PROFILE),
    ("increments sorted by even and odd", increments(_places(0, 2, 4, 1, 3, 5)), "data", PROFILE),
    ("increments of neighbours exchanged", increments(_places(0, 2, 1, 3, 4, 5)), "data", PROFILE),
    ("increments half a turn apart exchanged", increments(_places(3, 1, 2, 0, 4, 5)), "data", PROFILE),
    ("increments moved on by one", increments(lambda old: np.roll(old, 1)), "", SAME),
    ("increments + 180", increments(lambda old: old + 180.0), "", SAME),
    ("increments + 45", increments(lambda old: old + 45.0), "", SAME),
    ("increments + 360", increments(lambda old: old + 360.0), "sidecar", "means the same"),
    ("increment of one + 10", increments(_set(2, 10.0)), "data", PROFILE),
    ("increment of one + 20", increments(_set(2, 20.0)), "data", PROFILE),
    ("increment of one + 180", increments(_set(2, 180.0)), "data", PROFILE),
    ("increment of one as of its neighbour", increments(_set(2, 60.0)), "data", PROFILE),
    ("increments in steps of 50", increments(lambda old: old[0] + 50.0 * np.arange(len(old))), "data", PROFILE),
    ("increments in steps of 58", increments(lambda old: old[0] + 58.0 * np.arange(len(old))), "data", PROFILE),
    ("increments in steps of 66", increments(lambda old: old[0] + 66.0 * np.arange(len(old))), "data", PROFILE),
    ("increments to the end of the turn", increments(lambda old: np.linspace(0, 360, len(old))), "data", PROFILE),
    ("increments as phases of pulses", increments(np.cumsum), "data", PROFILE),
    ("increments one short", increments(lambda old: old[:-1]), "sidecar", "fewer than volumes"),
)
PHASES = (
    ("phase negated", cycles(np.conj), "data", "the sense of precession"),
    (
        "phase in half turns",
        both(values(PHASE, make=times(1 / 4096), floats=True), keys(PHASE, Units="rad")),
        "data",
        "nowhere beyond ±1",
    ),
    (
        "phase in turns",
        both(values(PHASE, make=times(1 / 8192), floats=True), keys(PHASE, Units="rad")),
        "data",
        "nowhere beyond ±0.5",
    ),
    (
        "phase in degrees",
        both(values(PHASE, make=times(180 / 4096), floats=True), keys(PHASE, Units="rad")),
        "data",
        "spans ±180",
    ),
    ("phase 0 to 4095", header(PHASE, make=lambda head: head.set_slope_inter(1.0, 0.0)), "data", "spans 0 to 4095"),
    ("phase ±4096 as radians", keys(PHASE, Units="rad"), "data", "spans ±4096"),
    ("phase halved", values(PHASE, make=times(0.5)), "data", PROFILE),
    ("phase doubled", cycles(angles(times(2.0))), "data", PROFILE),
    ("phase of one cycle + 180", cycles(one(2, np.negative)), "data", PROFILE),
    ("phase of one cycle + 45", cycles(one(2, times(np.exp(0.25j * math.pi)))), "data", PROFILE),
    ("phase of one cycle negated", cycles(one(2, np.conj)), "data", PROFILE),
    ("phase growing by 10 a cycle", cycles(each(lambda c, n: c * np.exp(1j * n * math.radians(10)))), "data", PROFILE),
    ("phase growing by 60 a cycle", cycles(each(lambda c, n: c * np.exp(1j * n * math.radians(60)))), "data", PROFILE),
    (
        "phase of every cycle by chance",
        cycles(each(lambda c, n: c * np.exp(2j * math.pi * ((n * 0.382) % 1)))),
        "data",
        PROFILE,
    ),
    ("phase and magnitude exchanged", exchange(MAGNITUDE, PHASE), "data", PROFILE),
    ("magnitude as phase", copied(MAGNITUDE, PHASE), "data", PROFILE),
    ("phase of zeros", values(PHASE, make=times(0.0)), "data", "no image"),
    (
        "phase of noise",
        values(PHASE, make=lambda old: np.random.default_rng(1).uniform(-4096, 4094, old.shape)),
        "data",
        PROFILE,
    ),
    ("phase in reversed order", stored(PHASE, make=lambda old: old[..., ::-1]), "data", PROFILE),
    ("phase moved on by one cycle", stored(PHASE, make=lambda old: np.roll(old, 1, axis=3)), "data", PROFILE),
    ("phase mirrored", stored(PHASE, make=lambda old: old[::-1]), "data", "it does not lie on the magnitude"),
    ("phase slices reversed", stored(PHASE, make=lambda old: old[:, :, ::-1]), "data", "it is not on the magnitude"),
    (
        "phase moved by two voxels",
        stored(PHASE, make=lambda old: np.roll(old, 2, axis=1)),
        "data",
        "it does not lie on the magnitude",
    ),
    ("phase smoothed with its wraps", values(PHASE, make=smooth(1.0)), "data", PROFILE),
    ("phase filtered by homodyne", cycles(each(lambda c, n: homodyne(c))), "data", PROFILE),
    (
        "phase relative to the first cycle",
        cycles(lambda c: c * np.exp(-1j * np.angle(c[..., :1]))),
        "",
        "a receive phase of its own in every voxel",
    ),
    ("phase as a sign", cycles(lambda c: np.abs(c) * np.sign(c.real)), "data", PROFILE),
    ("phase in 16 steps", stored(PHASE, make=lambda old: old // 256 * 256), "data", "few values"),
    ("every second slice negated", cycles(alternating), "data", "the phase jumps by half a turn from slice to slice"),
    ("every second slice of one cycle negated", cycles(one(2, alternating)), "data", PROFILE),
)
MAGNITUDES = (
    ("one cycle empty", cycles(one(2, times(0.0))), "data", "no image"),
    ("one cycle as its neighbour", cycles(lambda c: c[..., [0, 1, 1, 3, 4, 5]]), "data", "equal to the last digit"),
    (
        "one cycle as its neighbour, with noise",
        cycles(lambda c: one(2, lambda _: noisy(0.01)(c[..., 1]))(c)),
        "data",
        PROFILE,
    ),
    ("one cycle 0.5×", cycles(one(2, times(0.5))), "data", PROFILE),
    ("one cycle 0.8×", cycles(one(2, times(0.8))), "data", PROFILE),
    ("one cycle 0.9×", cycles(one(2, times(0.9))), "data", PROFILE),
    ("one cycle 1.1×", cycles(one(2, times(1.1))), "data", PROFILE),
    ("one cycle 2×", cycles(one(2, times(2.0))), "data", PROFILE),
    ("first cycle before the steady state", cycles(one(0, times(0.85))), "data", PROFILE),
    ("one magnitude with an offset", cycles(one(2, sizes(offset(0.2)))), "data", "air of one cycle is bright"),
    ("all magnitudes with an offset", cycles(each(lambda c, n: sizes(offset(0.2))(c))), "data", "air is bright"),
    ("magnitudes cut off", cycles(sizes(clip(0.5))), "data", "many voxels have the largest value"),
    ("one magnitude cut off", cycles(one(2, sizes(clip(0.5)))), "data", "many voxels have the largest value"),
    ("one cycle moved by one voxel", cycles(one(2, lambda c: np.roll(c, 1, axis=0))), "data", "registration tells"),
    ("one cycle moved by three voxels", cycles(one(2, lambda c: np.roll(c, 3, axis=1))), "data", "registration tells"),
    ("one cycle mirrored", cycles(one(2, lambda c: c[::-1])), "data", PROFILE),
    ("one cycle with slices reversed", cycles(one(2, lambda c: c[:, :, ::-1])), "data", PROFILE),
    ("one cycle rotated by 90", cycles(one(2, lambda c: turned(c.real) + 1j * turned(c.imag))), "data", PROFILE),
    ("one cycle of noise", cycles(one(2, noise)), "data", "no image"),
    ("one cycle without half its slices", cycles(one(2, half_empty(2))), "data", "slices of zeros"),
    ("one cycle with a ghost", cycles(one(2, ghost(0.3))), "data", PROFILE),
    ("cycles with a ghost", cycles(ghost(0.2)), "data", "an image outside of the head"),
    ("intensity fluctuating by 5 %", cycles(factors(1.05, 0.96, 1.02, 0.93, 1.06, 0.98)), "data", PROFILE),
    ("intensity fluctuating by 15 %", cycles(factors(1.15, 0.9, 1.08, 0.8, 1.17, 0.9)), "data", PROFILE),
    ("intensity alternating", cycles(factors(1.1, 0.9, 1.1, 0.9, 1.1, 0.9)), "data", PROFILE),
    ("intensity drifting by 30 %", cycles(factors(1.0, 0.94, 0.88, 0.82, 0.76, 0.7)), "data", PROFILE),
    ("cycles scaled to one maximum", cycles(lambda c: c / np.abs(c).max(axis=(0, 1, 2))), "data", PROFILE),
    ("cycles scaled to one mean", cycles(normalised), "data", "every cycle has the same mean"),
    (
        "cycles without their bias",
        cycles(each(lambda c, n: c / (smooth(4.0)(np.abs(c)) + 1e-3 * np.abs(c).max()))),
        "data",
        PROFILE,
    ),
    (
        "all cycles without one bias",
        cycles(lambda c: c / (smooth(4.0)(np.abs(c).mean(axis=3)) + 1e-3)[..., None]),
        "",
        "a receive field of its own",
    ),
    ("cycles smoothed", cycles(smooth(1.0)), "", "a scan of low resolution looks like it"),
    ("magnitudes smoothed", cycles(sizes(smooth(1.0))), "data", PROFILE),
    ("root of magnitudes", cycles(sizes(np.sqrt)), "data", PROFILE),
    ("square of magnitudes", cycles(sizes(np.square)), "data", PROFILE),
    ("logarithm of magnitudes", cycles(sizes(lambda a: np.log1p(20.0 * a / a.max()))), "data", PROFILE),
    ("magnitudes in 8 levels", cycles(sizes(levels(8))), "data", "8 values"),
    ("magnitudes in 32 levels", cycles(sizes(levels(32))), "data", "32 values"),
    (
        "slope halved",
        header(MAGNITUDE, make=lambda head: head.set_slope_inter(head.get_slope_inter()[0] / 2, 0)),
        "",
        "magnitudes have no unit",
    ),
    (
        "intercept of the header",
        header(MAGNITUDE, make=lambda h: h.set_slope_inter(h.get_slope_inter()[0], 0.04)),
        "data",
        "air is bright",
    ),
    ("air set to zero", cycles(lambda c: c * (smooth(1.5)(np.abs(c).mean(axis=3)) > 0.04)[..., None]), "", "harmless"),
    (
        "one cycle as the mean of two",
        cycles(lambda c: one(2, lambda _: (c[..., 1] + c[..., 3]) / 2)(c)),
        "data",
        PROFILE,
    ),
    (
        "cycles smoothed over cycles",
        cycles(lambda c: ndimage.convolve1d(c, [0.25, 0.5, 0.25], axis=3, mode="wrap")),
        "data",
        "too little of the second configuration; any profile smoothed is one of another shape",
    ),
    ("noise", cycles(noisy(0.05)), "data", "the noise itself"),
    ("half of k-space empty", cycles(half_k_space), "", "a scan of low resolution looks like it"),
)
HEADERS = (
    ("voxels 1.1× larger", placed(MAGNITUDE, PHASE, make=zoomed(1.1, 1.1, 1.1)), "data", "a brain of 2 litres"),
    ("voxels 2× larger", placed(MAGNITUDE, PHASE, make=zoomed(2.0, 2.0, 2.0)), "data", "a brain of 12 litres"),
    ("slices 1.5× thicker", placed(MAGNITUDE, PHASE, make=zoomed(1.0, 1.0, 1.5)), "data", "no head is so long"),
    (
        "cycles mirrored by their affine",
        placed(MAGNITUDE, PHASE, make=zoomed(-1.0, 1.0, 1.0)),
        "data",
        "B1 lies elsewhere",
    ),
    (
        "cycles mirrored by their voxels",
        stored(MAGNITUDE, PHASE, LABELS, make=lambda v: v[::-1]),
        "data",
        "B1 lies elsewhere",
    ),
    (
        "cycles with first axes exchanged",
        placed(MAGNITUDE, PHASE, make=_exchanged_axes),
        "data",
        "the head lies on its ear",
    ),
    ("cycles upside down", placed(MAGNITUDE, PHASE, make=zoomed(1.0, 1.0, -1.0)), "data", "the head stands on its top"),
    ("qform elsewhere", header(MAGNITUDE, PHASE, make=_field("qoffset_y", 80.0)), "header", "qform and sform disagree"),
    (
        "sform elsewhere",
        header(MAGNITUDE, PHASE, make=lambda h: h["srow_y"].__setitem__(3, 80.0)),
        "header",
        "qform and sform disagree",
    ),
    ("units of metres", header(MAGNITUDE, PHASE, make=_field("xyzt_units", 9)), "header", "a voxel of 5 m"),
    ("sizes in metres", placed(MAGNITUDE, PHASE, make=zoomed(1e-3, 1e-3, 1e-3)), "header", "a voxel of 5 µm"),
    (
        "affine lost",
        header(MAGNITUDE, PHASE, make=lambda h: (h.set_qform(None, 0), h.set_sform(None, 0))),
        "header",
        "qform and sform have code 0",
    ),
    (
        "affine of voxels of 1 mm",
        placed(MAGNITUDE, PHASE, make=lambda _: np.eye(4)),
        "data",
        "a brain of 12 millilitres",
    ),
    ("phase elsewhere", placed(PHASE, make=shifted(1, 20.0)), "header", "another grid than the magnitude"),
    ("cycles 40 mm elsewhere", placed(MAGNITUDE, PHASE, make=shifted(1, 40.0)), "data", "B1 lies elsewhere"),
    (
        "lower half of the head",
        stored(MAGNITUDE, PHASE, LABELS, make=lambda v: v[:, :, : v.shape[2] // 2]),
        "",
        "a slab",
    ),
)
MISTAKES = (*FLIP_ANGLE, *REPETITION, *INCREMENTS, *PHASES, *MAGNITUDES, *HEADERS)
"""Name, change, evidence, and why."""
