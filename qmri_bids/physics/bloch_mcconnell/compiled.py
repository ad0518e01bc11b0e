"""The compiled Bloch-McConnell signal with its Jacobian, for whole brains: arrays in, arrays out, double precision throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.generator import B1, POOLS, R1, W0, add_gradient, generator
from qmri_bids.physics.bloch_mcconnell.lane_kernels import (
    LANES,
    MOST_DOUBLINGS,
    POLYNOMIAL_SLOTS,
    add_left_adjoint,
    add_outer,
    add_product,
    add_right_adjoint,
    exponential,
    exponential_adjoint,
)
from qmri_bids.physics.bloch_mcconnell.reference import (
    VoxelParameters,
    as_columns,
    carrier_offset,
    parameter_names,
    precession,
    tipped_pools,
)
from qmri_bids.physics.bloch_mcconnell.saturation_kernels import (
    add_tip_slope,
    apply,
    apply_adjoint,
    between_images,
    tip,
    turn,
)
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Carrier, Pulse, SaturationProtocol, Start
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import GYROMAGNETIC_RATIO

RELAXED, PREVIOUS, STEADY_STATE = 0, 1, 2

_SLOTS = POLYNOMIAL_SLOTS + 1 + MOST_DOUBLINGS
"""Matrices of a workspace; those that are not needed are never touched."""


@njit(nogil=True, cache=True, error_model="numpy")
def simulate(
    integers: NDArray,
    reals: NDArray,
    segments: NDArray,
    readout: NDArray,
    start: int,
    rotating: int,
    b1: NDArray,
    w0: NDArray,
    r1_pools: NDArray,
    r2_pools: NDArray,
    shifts: NDArray,
    fractions: NDArray,
    rates: NDArray,
    follows: NDArray,
    lines: NDArray,
    line_slopes: NDArray,
    chosen: NDArray,
    signal: NDArray,
    jacobian: NDArray,
) -> None:
    """Fill signal and Jacobian of V voxels.

    Parameters
    ----------
    integers
        First segment, number of segments (0: no RF), number of pulses and number of tipped pools of each image, shape (N, 4).
    reals
        Offset [rad/s], gap [s], turn of the carrier against water over the gap [rad], spoiler [s] and recovery [s] of each image,
        shape (N, 5).
    segments
        Amplitude ω1 [rad/s], phase [rad] and duration [s] of the segments, shape (S, 3).
    readout
        Number of excitations (0: none), flip angle [rad], spacing [s], whether B1 scales it.
    start
        `RELAXED`, `PREVIOUS` or `STEADY_STATE`.
    rotating
        Number of pools with transverse magnetisation.
    b1, w0
        Relative B1 and Δω0 [rad/s], shape (V,).
    r1_pools, r2_pools, fractions, rates
        Rates [1/s] and fractions, shape (P, V), water first with fraction 1 and rate 0.
    shifts
        Offsets of the pools from water [rad/s], shape (P,).
    follows
        Whether a pool's R1 is that of water, shape (P,).
    lines, line_slopes
        π g and π dg/dΔω0 of a z-only pool, shape (N, V), or (N, 0) without one.
    chosen
        Places in the gradient that the Jacobian takes; none: the signal alone.
    signal, jacobian
        Signal and its derivatives, to be filled, shape (V, N) and (V, N, len(chosen)).
    """
    voxels, images = signal.shape
    pools = len(shifts)
    n = pools + 2 * rotating
    size = n * (n + 1) * LANES
    row = (n + 1) * LANES
    places = POOLS + 2 * (pools - 1)
    wanted = len(chosen) > 0
    most_segments = max(1, integers[:, 1].max())
    most_pulses = max(1, integers[:, 2].max())
    work = np.zeros((_SLOTS, size))
    gap_work = np.zeros((_SLOTS, size))
    spoiler_work = np.zeros((_SLOTS, size))
    slopes = np.zeros((7, size))
    pulse_slope = np.zeros(size)
    pieces = np.zeros((most_segments if most_segments > 1 else 0, size))
    products = np.zeros((most_segments if most_segments > 1 else 0, size))
    before = np.zeros((most_pulses, row))
    after = np.zeros((most_pulses, row))
    at_gap = np.zeros((most_pulses, row))
    pulse_slopes = np.zeros((most_pulses, row))
    gap_slopes = np.zeros((most_pulses, row))
    state = np.zeros(row)
    end_state = np.zeros((1, row))
    end_slope = np.zeros((1, row))
    voxel = np.zeros((2, LANES))
    r1, r2, fraction, rate = (
        np.zeros((pools, LANES)),
        np.zeros((pools, LANES)),
        np.zeros((pools, LANES)),
        np.zeros((pools, LANES)),
    )
    line, line_slope, none = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    gradient = np.zeros((places, LANES))
    z_slope = np.zeros((places, LANES))
    link = np.zeros((LANES, 6))
    cosine, sine, angle_slope = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    z_begin, z_end, factor = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    zero_end = np.zeros(LANES)
    water = 2 * rotating
    for group in range(0, voxels, LANES):
        for lane in range(LANES):
            v = min(group + lane, voxels - 1)
            voxel[0, lane], voxel[1, lane] = b1[v], w0[v]
            for p in range(pools):
                r1[p, lane], r2[p, lane] = r1_pools[p, v], r2_pools[p, v]
                fraction[p, lane], rate[p, lane] = fractions[p, v], rates[p, v]
        z_slope[:] = 0.0
        z_end[:] = 1.0
        gap_length, gap_halved, spoiler_length, spoiler_halved = -1.0, 0, -1.0, 0
        gap_slot, spoiler_slot, pulse_slot, halved = 0, 0, 0, 0
        for image in range(images):
            first, count, pulses, tipped = (
                integers[image, 0],
                integers[image, 1],
                integers[image, 2],
                integers[image, 3],
            )
            offset, gap, gained, spoiler, recovery = (
                reals[image, 0],
                reals[image, 1],
                reals[image, 2],
                reals[image, 3],
                reals[image, 4],
            )
            for lane in range(LANES):
                between_images(
                    int(readout[0]),
                    readout[1],
                    readout[2],
                    readout[3] > 0.0,
                    recovery,
                    r1[0, lane],
                    voxel[0, lane],
                    link[lane],
                )
                if start == PREVIOUS and image > 0:
                    for place in range(places):
                        z_slope[place, lane] *= link[lane, 0]
                    z_slope[R1, lane] += link[lane, 2] * z_end[lane] + link[lane, 3]
                    z_slope[B1, lane] += link[lane, 4] * z_end[lane] + link[lane, 5]
                    z_begin[lane] = link[lane, 0] * z_end[lane] + link[lane, 1]
                else:
                    z_begin[lane] = 1.0
            if start != PREVIOUS:
                z_slope[:] = 0.0
            if start == STEADY_STATE and count == 0:
                z_begin[:] = link[:, 1] / (1.0 - link[:, 0])
            # Exponentials: of the pulse for each image, of gap and spoiler where they change.
            if count > 0:
                if lines.shape[1] > 0:
                    for lane in range(LANES):
                        v = min(group + lane, voxels - 1)
                        line[lane], line_slope[lane] = lines[image, v], line_slopes[image, v]
                for j in range(count):
                    halved = generator(
                        work[0], pools, rotating, segments[first + j, 2], segments[first + j, 0], segments[first + j, 1],
                        offset, line, voxel, r1, r2, shifts, fraction, rate,
                    )  # fmt: skip
                    pulse_slot = exponential(work, n, 0, halved)
                    if count > 1:
                        pieces[j] = work[pulse_slot]
                        products[j] = work[pulse_slot]
                        if j > 0:
                            products[j] += products[j - 1]
                            add_product(pieces[j], products[j - 1], products[j], n, 0)
                if gap > 0.0 and gap != gap_length and pulses > 1:
                    gap_halved = generator(
                        gap_work[0], pools, rotating, gap, 0.0, 0.0, 0.0, none, voxel, r1, r2, shifts, fraction, rate
                    )
                    gap_slot = exponential(gap_work, n, water, gap_halved)
                    gap_length = gap
                if spoiler > 0.0 and spoiler != spoiler_length:
                    spoiler_halved = generator(
                        spoiler_work[0], pools, rotating, spoiler, 0.0, 0.0, 0.0, none, voxel, r1, r2, shifts, fraction, rate
                    )  # fmt: skip
                    spoiler_slot = exponential(spoiler_work, n, water, spoiler_halved)
                    spoiler_length = spoiler
                for lane in range(LANES):
                    if tipped > 0:
                        strength = voxel[0, lane] * segments[first, 0]
                        away = voxel[1, lane] - offset
                        length = math.sqrt(strength * strength + away * away)
                        cosine[lane] = abs(away) / length if length > 0.0 else 1.0
                        sine[lane] = math.copysign(strength, away) / length if length > 0.0 else 0.0
            whole = products[count - 1] if count > 1 else work[pulse_slot]
            turn_cosine, turn_sine = math.cos(gained), math.sin(gained)
            # A steady state needs the map from begin to end first: two runs, from 0 and from 1.
            runs = 3 if start == STEADY_STATE and count > 0 else 1
            for run in range(runs):
                if runs == 3 and run < 2:
                    z_begin[:] = float(run)
                state[:] = 0.0
                for lane in range(LANES):
                    state[n * LANES + lane] = 1.0
                    for p in range(pools):
                        share = 1.0 if p == 0 else fraction[p, lane]
                        state[(water + p) * LANES + lane] = share * z_begin[lane]
                for pulse in range(pulses if count > 0 else 0):
                    tip(state, cosine, sine, 1.0, rotating, tipped)
                    before[pulse] = state
                    apply(whole, before[pulse], state, n)
                    tip(state, cosine, sine, -1.0, rotating, tipped)
                    after[pulse] = state
                    if pulse < pulses - 1 and gap > 0.0:
                        at_gap[pulse] = state
                        apply(gap_work[gap_slot], at_gap[pulse], state, n)
                        if gained != 0.0:
                            turn(state, turn_cosine, turn_sine, rotating)
                if count > 0 and spoiler > 0.0:
                    end_state[0] = state
                    apply(spoiler_work[spoiler_slot], end_state[0], state, n)
                for lane in range(LANES):
                    z_end[lane] = state[water * LANES + lane]
                if runs == 3 and run == 0:
                    zero_end[:] = z_end
                if runs == 3 and run == 1:
                    for lane in range(LANES):
                        gain = z_end[lane] - zero_end[lane]
                        z_begin[lane] = (link[lane, 0] * zero_end[lane] + link[lane, 1]) / (1.0 - link[lane, 0] * gain)
            for lane in range(min(LANES, voxels - group)):
                signal[group + lane, image] = z_end[lane]
            if not wanted:
                continue
            # Back from z of water through the train.
            gradient[:] = 0.0
            state[:] = 0.0
            for lane in range(LANES):
                state[water * LANES + lane] = 1.0
            if count > 0:
                if spoiler > 0.0:
                    end_slope[0] = state
                    apply_adjoint(spoiler_work[spoiler_slot], end_slope[0], state, n)
                    # The crusher keeps z alone.
                    state[: water * LANES] = 0.0
                angle_slope[:] = 0.0
                for pulse in range(pulses - 1, -1, -1):
                    if pulse < pulses - 1 and gap > 0.0:
                        if gained != 0.0:
                            turn(state, turn_cosine, -turn_sine, rotating)
                        gap_slopes[pulse] = state
                        apply_adjoint(gap_work[gap_slot], gap_slopes[pulse], state, n)
                    add_tip_slope(state, after[pulse], -1.0, rotating, tipped, angle_slope)
                    tip(state, cosine, sine, 1.0, rotating, tipped)
                    pulse_slopes[pulse] = state
                    apply_adjoint(whole, pulse_slopes[pulse], state, n)
                    add_tip_slope(state, before[pulse], 1.0, rotating, tipped, angle_slope)
                    tip(state, cosine, sine, -1.0, rotating, tipped)
                for lane in range(LANES):
                    if tipped > 0:
                        strength = voxel[0, lane] * segments[first, 0]
                        away = voxel[1, lane] - offset
                        square = strength * strength + away * away
                        if square > 0.0:
                            gradient[B1, lane] += angle_slope[lane] * segments[first, 0] * away / square
                            gradient[W0, lane] -= angle_slope[lane] * strength / square
                pulse_slope[:] = 0.0
                add_outer(pulse_slopes.ravel(), before.ravel(), pulses, pulse_slope, n, 0)
                for j in range(count - 1, -1, -1):
                    slopes[0][:] = pulse_slope
                    if count > 1:
                        halved = generator(
                            work[0], pools, rotating, segments[first + j, 2], segments[first + j, 0], segments[first + j, 1],
                            offset, line, voxel, r1, r2, shifts, fraction, rate,
                        )  # fmt: skip
                        pulse_slot = exponential(work, n, 0, halved)
                        if j > 0:
                            add_left_adjoint(pulse_slope, products[j - 1], slopes[0], n, 0)
                            slopes[1][:] = pulse_slope
                            add_right_adjoint(pieces[j], slopes[1], pulse_slope, n, 0)
                    exponential_adjoint(work, slopes, n, 0, halved)
                    add_gradient(
                        slopes[0], pools, rotating, segments[first + j, 2] * 0.5**halved, segments[first + j, 0],
                        segments[first + j, 1], line, line_slope, voxel, r1, fraction, rate, follows, gradient,
                    )  # fmt: skip
                if gap > 0.0 and pulses > 1:
                    slopes[0][:] = 0.0
                    add_outer(gap_slopes.ravel(), at_gap.ravel(), pulses - 1, slopes[0], n, water)
                    exponential_adjoint(gap_work, slopes, n, water, gap_halved)
                    add_gradient(
                        slopes[0], pools, rotating, gap * 0.5**gap_halved, 0.0, 0.0, none, none,
                        voxel, r1, fraction, rate, follows, gradient,
                    )  # fmt: skip
                if spoiler > 0.0:
                    slopes[0][:] = 0.0
                    add_outer(end_slope.ravel(), end_state.ravel(), 1, slopes[0], n, water)
                    exponential_adjoint(spoiler_work, slopes, n, water, spoiler_halved)
                    add_gradient(
                        slopes[0], pools, rotating, spoiler * 0.5**spoiler_halved, 0.0, 0.0, none, none,
                        voxel, r1, fraction, rate, follows, gradient,
                    )  # fmt: skip
            # `state` is now the adjoint of the start (Z, f Z, …): its gain, and the fractions in it.
            for lane in range(LANES):
                gain = state[water * LANES + lane]
                for p in range(1, pools):
                    gain += fraction[p, lane] * state[(water + p) * LANES + lane]
                    gradient[POOLS + p - 1, lane] += z_begin[lane] * state[(water + p) * LANES + lane]
                factor[lane] = gain
                if start == STEADY_STATE:
                    a, b = link[lane, 0], 1.0 / (1.0 - gain * link[lane, 0])
                    for place in range(places):
                        z_slope[place, lane] = a * gradient[place, lane]
                    z_slope[R1, lane] += link[lane, 2] * z_end[lane] + link[lane, 3]
                    z_slope[B1, lane] += link[lane, 4] * z_end[lane] + link[lane, 5]
                    for place in range(places):
                        z_slope[place, lane] *= b
                for place in range(places):
                    z_slope[place, lane] = gradient[place, lane] + gain * z_slope[place, lane]
            for lane in range(min(LANES, voxels - group)):
                for column in range(len(chosen)):
                    jacobian[group + lane, image, column] = z_slope[chosen[column], lane]


BLOCK = 512
"""Voxels handed to a thread at a time."""

_STARTS = {Start.RELAXED: RELAXED, Start.PREVIOUS: PREVIOUS, Start.STEADY_STATE: STEADY_STATE}


@dataclass(frozen=True, kw_only=True)
class SignalAndJacobian:
    """Signal of V voxels and what it does when parameters change.

    Parameters
    ----------
    signal
        Signed Z of water, shape (..., N) for voxels of shape (...); NaN where a parameter is not finite.
    jacobian
        Derivatives in the named parameters, shape (..., N, len(parameters)).
    parameters
        Names as in `reference.parameter_names`, in the order of the last axis.
    """

    signal: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    parameters: tuple[str, ...]


def _protocol_arrays(model: PoolModel, protocol: SaturationProtocol) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return the tables of images, their times, the segments and the readout that the kernel reads."""
    places: dict[Pulse, int] = {}
    segments: list[tuple[float, float, float]] = []
    integers, reals = [], []
    for image in protocol.images:
        saturation = image.saturation
        if saturation is None:
            integers.append((0, 0, 0, 0))
            reals.append((0.0, 0.0, 0.0, 0.0, image.recovery))
            continue
        if saturation.pulse not in places:
            places[saturation.pulse] = len(segments)
            segments.extend(
                (2.0 * math.pi * GYROMAGNETIC_RATIO * each.amplitude, each.phase, each.duration)
                for each in saturation.pulse.segments
            )
        offset = carrier_offset(image, protocol.field_strength)
        gained = offset * saturation.gap if saturation.carrier is Carrier.RUNS else 0.0
        tipped = tipped_pools(model, saturation.spin_lock)
        integers.append((places[saturation.pulse], len(saturation.pulse.segments), saturation.number, tipped))
        reals.append((offset, saturation.gap, gained, saturation.spoiler, image.recovery))
    readout = protocol.readout
    flips = (
        (0.0, 0.0, 0.0, 0.0)
        if readout is None
        else (float(readout.number), readout.flip_angle, readout.spacing, float(readout.scales_with_b1))
    )
    table = np.array(segments, dtype=np.float64).reshape(-1, 3)
    return np.array(integers, dtype=np.int64), np.array(reals), table, np.array(flips)


def _lines(
    model: PoolModel, protocol: SaturationProtocol, off_resonance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return π g of a z-only pool and its derivative in Δω0 for every image and voxel; without such a pool no voxels."""
    pool = model.mt
    if pool is None or pool.lineshape is None:
        empty = np.empty((protocol.number_of_images, 0))
        return empty, empty
    values = np.zeros((protocol.number_of_images, len(off_resonance)))
    slopes = np.zeros_like(values)
    centre = precession(pool, protocol.field_strength)
    different, back = np.unique(off_resonance, return_inverse=True)
    for index, image in enumerate(protocol.images):
        if image.saturation is not None:
            away = carrier_offset(image, protocol.field_strength) - centre - different
            line, slope = absorption(pool.lineshape, away, t2=pool.t2)
            values[index], slopes[index] = math.pi * line[back], -math.pi * slope[back]
    return values, slopes


def signal_and_jacobian(
    model: PoolModel,
    protocol: SaturationProtocol,
    voxels: VoxelParameters,
    *,
    parameters: Sequence[str] = (),
    threads: int = 1,
) -> SignalAndJacobian:
    """Return the signed Z of water at every readout and its Jacobian.

    Parameters
    ----------
    model
        The pools.
    protocol
        The acquisition, N images.
    voxels
        What differs from voxel to voxel, numbers or arrays.
    parameters
        What to differentiate in, of `reference.parameter_names`; none: the signal alone.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    SignalAndJacobian
        In SI units: derivatives in T1 and T2 per second, in the off-resonance per hertz.

    Raises
    ------
    ValueError
        If a parameter is not one of the model.

    Examples
    --------
    >>> from qmri_bids.physics.pools import Water
    >>> from qmri_bids.physics.saturation_presets import wasabi_3t_001
    >>> water = PoolModel(water=Water(t1=1.0, t2=0.04))
    >>> found = signal_and_jacobian(water, wasabi_3t_001(), VoxelParameters(b1=[0.9, 1.1]), parameters=("b1",))
    >>> found.signal.shape, found.jacobian.shape
    ((2, 32), (2, 32, 1))
    """
    names = parameter_names(model)
    unknown = [name for name in parameters if name not in names]
    if unknown:
        raise ValueError(f"parameters must be among {list(names)}, found {unknown}")
    columns, shape = as_columns(voxels.resolved(model))
    finite = np.all([np.isfinite(each) for each in columns.values()], axis=0)
    finite &= (columns["t1"] > 0.0) & (columns["t2"] > 0.0)
    values = {name: each[finite] for name, each in columns.items()}
    number, images = int(finite.sum()), protocol.number_of_images
    signal = np.empty((number, images))
    jacobian = np.empty((number, images, len(parameters)))
    integers, reals, segments, readout = _protocol_arrays(model, protocol)
    one = np.ones(number)
    r1_water = 1.0 / values["t1"]
    r1 = np.array([r1_water] + [r1_water if pool.t1 is None else one / pool.t1 for pool in model.exchanging])
    r2 = np.array([1.0 / values["t2"]] + [one / pool.t2 for pool in model.exchanging])
    fractions = np.array([one] + [values[f"{name}.fraction"] for name in model.names])
    rates = np.array([0.0 * one] + [values[f"{name}.rate"] for name in model.names])
    shifts = np.array([0.0] + [precession(pool, protocol.field_strength) for pool in model.exchanging])
    follows = np.array([True] + [pool.t1 is None for pool in model.exchanging])
    w0 = 2.0 * math.pi * values["off_resonance"]
    chosen = np.array([names.index(name) for name in parameters], dtype=np.int64)

    def run(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        lines, line_slopes = _lines(model, protocol, w0[part])
        simulate(
            integers, reals, segments, readout, _STARTS[protocol.start], model.number_of_rotating_pools,
            values["b1"][part], w0[part], np.ascontiguousarray(r1[:, part]), np.ascontiguousarray(r2[:, part]), shifts,
            np.ascontiguousarray(fractions[:, part]), np.ascontiguousarray(rates[:, part]), follows, lines, line_slopes,
            chosen, signal[part], jacobian[part],
        )  # fmt: skip

    run_blocks(run, number, block=BLOCK, threads=threads)
    # From rates to times and from rad/s to hertz.
    units = {"t1": -(r1_water**2), "t2": -1.0 / values["t2"] ** 2, "off_resonance": 2.0 * math.pi * one}
    for column, name in enumerate(parameters):
        if name in units:
            jacobian[:, :, column] *= units[name][:, None]
    whole = np.full((len(finite), images), np.nan)
    whole[finite] = signal
    slopes = np.full((len(finite), images, len(parameters)), np.nan)
    slopes[finite] = jacobian
    return SignalAndJacobian(
        signal=whole.reshape(*shape, images),
        jacobian=slopes.reshape(*shape, images, len(parameters)),
        parameters=tuple(parameters),
    )
