"""Tables of Z for one saturation from full relaxation, in bands of x, carrier less water.

All pools shift with water, so that images at all offsets and points of all off-resonances share one function of x. Between shaped
pulses, however, the carrier stands still against nominal water, and transverse magnetisation recalls by how many turns u water
precessed from pulse to pulse: narrow lines, 1/T2 wide, at every 1/(pulse + gap). In x alone they could hardly be tabulated; in x
and u, where they stand still, Z is smooth. In water alone the memory is longer still, near resonance even this fails, and no band
is made there: such points are few and quick to simulate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.signals.kernel_arguments import kernel_pools, kernel_segments
from qmri_bids.phantom.signals.spline_table import (
    B1_RANGE,
    RELAXATION_NODES,
    Axis,
    SplineTable,
    Values,
    voxels_of_nodes,
)
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Saturation, SaturationProtocol
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import GYROMAGNETIC_RATIO

LONGEST_MEMORY = 10.0
"""A train of pulses whose period the T2 of water outlasts so many times is not tabulated at all."""
CORE, SHELL, ALIAS = 215.0, 620.0, 900.0
"""Within the first distance from water [Hz] trains nutate it as often as B1 says; within the second they keep its phase. The third
is the width to each side of what the steps of a shaped pulse repeat at multiples of their rate."""
TURNS = 32
"""Nodes in the turns of water from pulse to pulse."""
CORE_STEP, SHELL_STEP, ALIAS_STEP, BLOCK_STEP = 2.0, 6.0, 16.0, 0.04
"""Distance of nodes in x [Hz]; the last in units of one over the duration of a single block."""
FAR_STEP = 0.05
"""Relative distance of nodes in x far from water."""
NUTATION_STEP, B1_STEP = 0.24, 0.08
"""Distance of nodes in B1: near water by the angle of nutation of a pulse [rad], beyond relative."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """A range of x.

    Parameters
    ----------
    lower, upper
        Its ends [Hz].
    step
        Distance of nodes [Hz], or relative if they are spaced by the logarithm of x.
    logarithmic
        Whether they are; x has one sign then.
    turns
        Nodes in the turns of water.
    b1_step
        Distance of nodes in relative B1.
    """

    lower: float
    upper: float
    step: float
    logarithmic: bool
    turns: int
    b1_step: float

    def coordinate(self, x: Values) -> NDArray[np.float64]:
        """Return x, or log |x|."""
        return np.log(np.abs(x)) if self.logarithmic else np.asarray(x, dtype=np.float64)

    @property
    def axis(self) -> Axis:
        """The nodes in `coordinate`."""
        ends = sorted(self.coordinate(np.array([self.lower, self.upper])).tolist())
        return Axis.over(ends[0], ends[1], step=self.step)

    @property
    def positions(self) -> NDArray[np.float64]:
        """The nodes in x [Hz]."""
        nodes = self.axis.nodes
        return math.copysign(1.0, self.upper + self.lower) * np.exp(nodes) if self.logarithmic else nodes


@dataclass(frozen=True, kw_only=True)
class BandTable:
    """The table of a band."""

    band: Band
    table: SplineTable

    def holds(self, x: Values) -> NDArray[np.bool_]:
        """Return which x [Hz] lie in the band."""
        inside: NDArray[np.bool_] = (x >= self.band.lower) & (x <= self.band.upper)
        return inside

    def at(self, x: Values, turns: Values, *, b1: Values, t1: Values, t2: Values) -> NDArray[np.float64]:
        """Return Z at n points, shape (n,)."""
        return self.table.at(self.band.coordinate(x), turns, b1=b1, t1=t1, t2=t2)


def _windows(protocol: SaturationProtocol, off_resonance: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the ranges of x that the images reach, those that overlap merged."""
    hertz = [
        offset * 1e-6 * GYROMAGNETIC_RATIO * protocol.field_strength
        for offset in protocol.offsets
        if offset is not None
    ]
    merged: list[tuple[float, float]] = []
    for lower, upper in sorted((each - off_resonance[1], each - off_resonance[0]) for each in set(hertz)):
        if merged and lower <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(upper, merged[-1][1]))
        else:
            merged.append((lower, upper))
    return merged


def _aliases(saturation: Saturation, windows: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the parts of the windows [Hz] in which the steps of a shaped pulse repeat its spectrum."""
    rate = len(saturation.pulse.segments) / saturation.pulse.duration
    for low, high in windows:
        for k in range(math.ceil((low - ALIAS) / rate), math.floor((high + ALIAS) / rate) + 1):
            if k != 0 and len(saturation.pulse.segments) > 1:
                yield max(low, k * rate - ALIAS), min(high, k * rate + ALIAS)


def bands_of(model: PoolModel, protocol: SaturationProtocol, *, off_resonance: tuple[float, float]) -> Iterator[Band]:
    """Yield the bands to tabulate, those that come first where they overlap before the others."""
    saturation = protocol.images[0].saturation
    assert saturation is not None
    pulse, period = saturation.pulse, saturation.pulse.duration + saturation.gap
    area = math.fsum(each.amplitude * each.duration for each in pulse.segments)
    fine = min(B1_STEP, NUTATION_STEP / (2.0 * math.pi * GYROMAGNETIC_RATIO * area))
    windows = _windows(protocol, off_resonance)
    train = saturation.number > 1
    if train and model.water.t2 > LONGEST_MEMORY * period:
        return
    edge = SHELL if train else 6.0 / pulse.duration
    if train:
        bands: list[tuple[float, float, float, float]] = []
        shell = (CORE_STEP, fine)
        if model.exchanging:
            bands.append((-CORE, CORE, CORE_STEP, fine))
            shell = (SHELL_STEP, B1_STEP)
        bands += [(-SHELL, -CORE, *shell), (CORE, SHELL, *shell)]
        bands += [(*ends, ALIAS_STEP, B1_STEP) for ends in _aliases(saturation, windows)]
    else:
        bands = [(-edge, edge, BLOCK_STEP / pulse.duration, fine)]
    for lower, upper, step, b1_step in bands:
        turns = TURNS if train else 1
        yield Band(lower=lower, upper=upper, step=step, logarithmic=False, turns=turns, b1_step=b1_step)
    for lower, upper in windows:
        for start, stop in ((max(lower, edge), upper), (lower, min(upper, -edge))):
            if start < stop:
                yield Band(lower=start, upper=stop, step=FAR_STEP, logarithmic=True, turns=1, b1_step=B1_STEP)


def build_bands(
    model: PoolModel, protocol: SaturationProtocol, *, off_resonance: tuple[float, float], threads: int
) -> tuple[BandTable, ...]:
    """Return the tables of all bands.

    Parameters
    ----------
    model
        The pools; a semisolid pool has x, y and z.
    protocol
        Images of one saturation from full relaxation.
    off_resonance
        Range of the points [Hz].
    threads
        Processor threads to use; the result does not depend on it.
    """
    tables = []
    for band in bands_of(model, protocol, off_resonance=off_resonance):
        b1 = Axis.over(*B1_RANGE, step=band.b1_step)
        z = _simulate(model, protocol, band, b1, threads=threads)
        tables.append(BandTable(band=band, table=SplineTable.of(z, model=model, x=band.axis, b1=b1)))
    return tuple(tables)


def _simulate(
    model: PoolModel, protocol: SaturationProtocol, band: Band, b1: Axis, *, threads: int
) -> NDArray[np.float64]:
    """Return Z at the nodes of a band, shape (X, U, W, 6)."""
    from qmri_bids.phantom.signals.train_kernels import saturate

    saturation = protocol.images[0].saturation
    assert saturation is not None
    x = band.positions
    segments, pieces = kernel_segments(saturation.pulse)
    # Of u turns in a period, -x·duration fall on the pulse: the rest is the precession over the gap.
    turns = np.arange(band.turns) / band.turns
    gaps = 2.0 * math.pi * (turns[None, :] + x[:, None] * saturation.pulse.duration)
    nodes = voxels_of_nodes(model, b1)
    r1, r2, shifts, fractions, rates = kernel_pools(model, nodes["t1"], nodes["t2"], protocol.field_strength)
    out = np.empty((len(x), band.turns, len(nodes["b1"])))

    def run(index: int) -> None:
        saturate(
            segments, pieces, saturation.number, saturation.gap, saturation.spoiler, 2.0 * math.pi * x[index],
            gaps[index], nodes["b1"], r1, r2, shifts, fractions, rates, out[index],
        )  # fmt: skip

    run_blocks(run, len(x), block=1, threads=threads)
    return out.reshape(len(x), band.turns, b1.number, len(RELAXATION_NODES))
