"""The compiled Bloch-McConnell signal with its Jacobian, for whole brains: arrays in, arrays out, double precision throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.kernels import PREVIOUS, RELAXED, STEADY_STATE, simulate
from qmri_bids.physics.bloch_mcconnell.reference import (
    VoxelParameters,
    as_columns,
    carrier_offset,
    parameter_names,
    precession,
    tipped_pools,
)
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Carrier, Pulse, SaturationProtocol, Start
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import GYROMAGNETIC_RATIO

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
        Names as in `bloch_mcconnell.parameter_names`, in the order of the last axis.
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
        What to differentiate in, of `bloch_mcconnell.parameter_names`; none: the signal alone.
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
