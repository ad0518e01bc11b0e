"""Z of a tissue at millions of points: tables of the Bloch-McConnell model, or the model itself where no table can hold it.

A tissue's pools are the same everywhere; T1 and T2 of its water, off-resonance and B1 vary from point to point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.signals.kernel_arguments import kernel_line, kernel_pools, kernel_segments
from qmri_bids.phantom.signals.spline_table import (
    B1_RANGE,
    RELAXATION_NODES,
    Axis,
    SplineTable,
    Values,
    voxels_of_nodes,
)
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Saturation, SaturationProtocol, SpinLock, Start
from qmri_bids.system.blocks import run_blocks
from qmri_bids.units import GYROMAGNETIC_RATIO, ppm_to_hertz

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
        The pools.
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
    absorbed = kernel_line(model, 2.0 * math.pi * x, protocol.field_strength)
    out = np.empty((len(x), band.turns, len(nodes["b1"])))

    def run(index: int) -> None:
        saturate(
            segments, pieces, saturation.number, saturation.gap, saturation.spoiler, 2.0 * math.pi * x[index],
            gaps[index], nodes["b1"], r1, r2, shifts, fractions, rates, model.number_of_rotating_pools, absorbed[index],
            out[index],
        )  # fmt: skip

    run_blocks(run, len(x), block=1, threads=threads)
    return out.reshape(len(x), band.turns, b1.number, len(RELAXATION_NODES))


OFF_RESONANCE_RANGE = 900.0
"""Range of off-resonance, to both sides of a tissue's chemical shift [Hz]: air against tissue makes at most ±800 Hz at 3 T."""
USUAL_RANGE = 650.0
"""What spectra are tabulated for: the few points beyond are simulated."""


class TissueSignal(Protocol):
    """Z of a tissue."""

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """Return the signed Z of n points in one image, shape (n,), from T1 and T2 [s], relative B1 and off-resonance [Hz]."""
        ...


@dataclass(frozen=True, kw_only=True)
class DirectSignal:
    """Every point simulated.

    Parameters
    ----------
    model
        The pools.
    protocol
        The acquisition; its images start relaxed.
    """

    model: PoolModel
    protocol: SaturationProtocol

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        alone = replace(self.protocol, images=(self.protocol.images[image],))
        voxels = VoxelParameters(t1=t1, t2=t2, b1=b1, off_resonance=off_resonance)
        return signal_and_jacobian(self.model, alone, voxels).signal[:, 0]


@dataclass(frozen=True, kw_only=True)
class SeriesSignal:
    """A table in off-resonance and B1 for every image: where Z has no narrow lines, as under spin lock.

    Parameters
    ----------
    tables
        One an image; the coordinate is the off-resonance [Hz].
    """

    tables: tuple[SplineTable, ...]

    @classmethod
    def build(
        cls, model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float, threads: int
    ) -> SeriesSignal:
        """Simulate the nodes."""
        ends = chemical_shift - OFF_RESONANCE_RANGE, chemical_shift + OFF_RESONANCE_RANGE
        x, b1 = Axis.over(*ends, step=6.0), Axis.over(*B1_RANGE, step=0.04)
        nodes = voxels_of_nodes(model, b1)
        voxels = VoxelParameters(t1=nodes["t1"], t2=nodes["t2"], b1=nodes["b1"], off_resonance=x.nodes[:, None])
        z = np.moveaxis(signal_and_jacobian(model, protocol, voxels, threads=threads).signal, -1, 0)
        shape = (x.number, 1, b1.number, len(RELAXATION_NODES))
        return cls(tables=tuple(SplineTable.of(each.reshape(shape), model=model, x=x, b1=b1) for each in z))

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        nothing = np.zeros(len(off_resonance))
        return self.tables[image].at(off_resonance, nothing, b1=b1, t1=t1, t2=t2)


@dataclass(frozen=True, kw_only=True)
class SpectrumSignal:
    """Images of one saturation, each from full relaxation: bands of carrier less water, and the model itself between them.

    Parameters
    ----------
    exact
        The model.
    bands
        Tables in carrier less water x [Hz] and the turns of water from pulse to pulse, see `build_bands`.
    """

    exact: DirectSignal
    bands: tuple[BandTable, ...]

    @classmethod
    def build(
        cls, model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float, threads: int
    ) -> SpectrumSignal:
        """Simulate the nodes."""
        usual = chemical_shift - USUAL_RANGE, chemical_shift + USUAL_RANGE
        bands = build_bands(model, protocol, off_resonance=usual, threads=threads)
        return cls(exact=DirectSignal(model=model, protocol=protocol), bands=bands)

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        protocol = self.exact.protocol
        offset, saturation = protocol.images[image].offset, protocol.images[image].saturation
        assert offset is not None
        assert saturation is not None
        off_resonance = np.asarray(off_resonance, dtype=np.float64)
        x = ppm_to_hertz(offset, protocol.field_strength) - off_resonance
        turns = off_resonance * saturation.gap - x * saturation.pulse.duration
        out, left = np.empty(len(x)), np.ones(len(x), dtype=bool)
        for band in self.bands:
            here = left & band.holds(x)
            if here.any():
                out[here] = band.at(x[here], turns[here], b1=b1[here], t1=t1[here], t2=t2[here])
                left &= ~here
        if left.any():
            out[left] = self.exact.z(image, t1=t1[left], t2=t2[left], b1=b1[left], off_resonance=off_resonance[left])
        return out


@lru_cache(maxsize=32)
def tissue_signal(
    model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float = 0.0, threads: int = 2
) -> TissueSignal:
    """Return what gives Z of a tissue in the images of a protocol, within 3e-4 of the model.

    Parameters
    ----------
    model
        The pools; T1 and T2 may differ by ±9 % from those of its water.
    protocol
        Either a spectrum (relaxed start, one saturation) or a spin-locked series.
    chemical_shift
        Chemical shift of the tissue's water [Hz]: the middle of its off-resonances.
    threads
        Processor threads to use; the result does not depend on it.

    Raises
    ------
    ValueError
        If the protocol is neither.
    """
    saturations = {image.saturation for image in protocol.images}
    if protocol.start is Start.RELAXED and len(saturations) == 1 and None not in saturations:
        return SpectrumSignal.build(model, protocol, chemical_shift=chemical_shift, threads=threads)
    locked = all(each is None or each.spin_lock is not SpinLock.NONE for each in saturations)
    if locked:
        return SeriesSignal.build(model, protocol, chemical_shift=chemical_shift, threads=threads)
    raise ValueError(
        "a protocol can be tabulated if all its images start relaxed and share a saturation, or are spin-locked; found start "
        f"'{protocol.start}' with {len(saturations)} saturations"
    )
