"""Spoiled gradient echoes of water and a semisolid pool, with and without an MT pulse, in their exact steady state.

In a repetition time of some 20 ms the pools do not come to equilibrium with one another: both longitudinal magnetisations are
carried from pulse to pulse, where a series of CEST images carries one. The excitation leaves the semisolid pool untouched; spoiling
is perfect. Pools of CEST do not respond to a pulse 2 kHz off resonance and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

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
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Pulse

OFF_RESONANCE_RANGE = 900.0
"""Range of off-resonance that is tabulated, to both sides of a tissue's chemical shift [Hz]."""
OFF_RESONANCE_STEP, B1_STEP = 75.0, 0.05
"""Distance of nodes in off-resonance [Hz] and in B1."""

GAUSS_WIDTH = 1.0 / 6.0
"""Standard deviation of the MT pulse over its duration: it is cut at three of them."""


@dataclass(frozen=True, kw_only=True)
class MtPulse:
    """A Gaussian MT pulse.

    Parameters
    ----------
    duration
        Duration of the pulse [s].
    b1_rms
        Root mean square of B1 over the pulse [T].
    offset
        Frequency offset of its carrier from water [Hz].
    """

    duration: float = 10e-3
    b1_rms: float = 5e-6
    offset: float = 2000.0

    @property
    def pulse(self) -> Pulse:
        """The pulse in steps."""
        t = (np.arange(64) + 0.5) / 64 - 0.5
        shape = np.exp(-0.5 * np.square(t / GAUSS_WIDTH))
        mean = self.b1_rms * float(shape.mean() / np.sqrt(np.mean(np.square(shape))))
        return Pulse.shaped(shape, mean_amplitude=mean, duration=self.duration)

    @property
    def bandwidth(self) -> float:
        """Full width at half maximum of the spectrum [Hz]."""
        return math.sqrt(8.0 * math.log(2.0)) / (2.0 * math.pi * GAUSS_WIDTH * self.duration)


@dataclass(frozen=True, kw_only=True)
class SpoiledEcho:
    """A spoiled gradient echo.

    Parameters
    ----------
    flip_angle
        Nominal flip angle [rad].
    repetition_time
        TR [s].
    mt_pulse
        Played right before each excitation; None for none.
    """

    flip_angle: float
    repetition_time: float
    mt_pulse: MtPulse | None = None


def _exchange(
    r1: NDArray[np.float64], fractions: NDArray[np.float64], rates: NDArray[np.float64], duration: float
) -> NDArray[np.float64]:
    """Return the affine map of z of all pools through free recovery and exchange, shape (V, P, P + 1).

    Parameters
    ----------
    r1
        R1 [1/s], shape (P, V).
    fractions, rates
        Fractions relative to water and exchange rates [1/s], shape (P,), water first.
    duration
        Duration of the recovery [s].
    """
    from scipy.linalg import expm

    matrix = np.zeros((len(fractions), len(fractions)))
    for p in range(1, len(fractions)):
        forth = fractions[p] * rates[p]
        matrix[0, 0] -= forth
        matrix[p, p] -= rates[p]
        matrix[0, p], matrix[p, 0] = rates[p], forth
    if np.array_equal(r1, np.broadcast_to(r1[0], r1.shape)):
        # Recovery with one rate goes beside any exchange, which leaves the equilibrium as it is.
        decay = np.exp(-r1[0] * duration)[:, None, None] * expm(matrix * duration)
    else:
        # Nodes of a table differ by few rates: an exponential for each of them.
        different, back = np.unique(r1, axis=1, return_inverse=True)
        generators = matrix - np.eye(len(fractions)) * different.T[:, :, None]
        decay = expm(generators * duration)[np.reshape(back, -1)]
    constant = fractions[:, None] - decay @ fractions[:, None]
    return np.concatenate([decay, constant], axis=2)


def _after(second: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one affine map after another."""
    found = second[:, :, :-1] @ first
    found[:, :, -1] += second[:, :, -1]
    return found


def steady_state(
    model: PoolModel,
    echo: SpoiledEcho,
    *,
    t1: Values,
    t2: Values,
    b1: Values,
    off_resonance: Values,
    field_strength: float,
) -> NDArray[np.float64]:
    """Return the signal that M0 = 1 gives: longitudinal magnetisation of water before the excitation times sin(B1 α).

    Parameters
    ----------
    model
        Water and a semisolid pool.
    echo
        The sequence.
    t1, t2, b1, off_resonance
        Relaxation times of water [s], relative B1 and off-resonance [Hz] of the voxels, shape (V,).
    field_strength
        B0 [T].
    """
    from qmri_bids.phantom.signals.train_kernels import pulse_maps

    t1, t2, b1, off_resonance = (np.asarray(each, dtype=np.float64) for each in (t1, t2, b1, off_resonance))
    r1, r2, shifts, fractions, rates = kernel_pools(model, t1, t2, field_strength)
    played = echo.mt_pulse
    free = _exchange(r1, fractions, rates, echo.repetition_time - (0.0 if played is None else played.duration))
    angle = b1 * echo.flip_angle
    # Excitation, free exchange and recovery, then the pulse, after which what is transverse is crushed.
    turn = free.copy()
    turn[:, :, 0] *= np.cos(angle)[:, None]
    if played is not None:
        segments, pieces = kernel_segments(played.pulse)
        pulse = np.empty_like(free)
        carrier, w0 = 2.0 * math.pi * played.offset, 2.0 * math.pi * off_resonance
        lines = kernel_line(model, carrier - w0, field_strength)
        rotating = model.number_of_rotating_pools
        pulse_maps(segments, pieces, carrier, b1, w0, r1, r2, shifts, fractions, rates, rotating, lines, pulse)
        turn = _after(pulse, turn)
    steady = np.linalg.solve(np.eye(len(fractions)) - turn[:, :, :-1], turn[:, :, -1:])
    signal: NDArray[np.float64] = steady[:, 0, 0] * np.sin(angle)
    return signal


@dataclass(frozen=True, kw_only=True)
class EchoSignal:
    """Tables of the signals of some echoes, as `saturation.TissueSignal`: sin(B1 α) is in them."""

    tables: tuple[SplineTable, ...]

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """Return the signal of n points in one echo, shape (n,)."""
        return self.tables[image].at(off_resonance, np.zeros(len(off_resonance)), b1=b1, t1=t1, t2=t2)


@lru_cache(maxsize=64)
def _table(model: PoolModel, echo: SpoiledEcho, *, chemical_shift: float, field_strength: float) -> SplineTable:
    x = Axis.over(chemical_shift - OFF_RESONANCE_RANGE, chemical_shift + OFF_RESONANCE_RANGE, step=OFF_RESONANCE_STEP)
    b1 = Axis.over(*B1_RANGE, step=B1_STEP)
    nodes = voxels_of_nodes(model, b1)
    found = steady_state(
        model,
        echo,
        t1=np.tile(nodes["t1"], x.number),
        t2=np.tile(nodes["t2"], x.number),
        b1=np.tile(nodes["b1"], x.number),
        off_resonance=np.repeat(x.nodes, len(nodes["b1"])),
        field_strength=field_strength,
    )
    values = found.reshape(x.number, 1, b1.number, len(RELAXATION_NODES))
    return SplineTable.of(values, model=model, x=x, b1=b1)


def echo_signal(
    model: PoolModel, echoes: tuple[SpoiledEcho, ...], *, chemical_shift: float, field_strength: float
) -> EchoSignal:
    """Return the signals of a tissue in some echoes, within 1e-4 of `steady_state`.

    Parameters
    ----------
    model
        The pools; those of CEST are left out.
    echoes
        The sequences.
    chemical_shift
        Chemical shift of the tissue's water [Hz]: the middle of its off-resonances.
    field_strength
        B0 [T].
    """
    pair = replace(model, cest=())
    return EchoSignal(
        tables=tuple(
            _table(pair, echo, chemical_shift=chemical_shift, field_strength=field_strength) for echo in echoes
        )
    )
