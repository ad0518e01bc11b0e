"""What every estimator returns, and the table in which estimators are found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.protocol import BssfpProtocol


class Status(IntEnum):
    """Why a voxel has a value or none: the codes of the quality mask."""

    OUTSIDE = 0
    """Outside the brain mask: not estimated."""
    CONVERGED = 1
    """Estimated."""
    OUT_OF_RANGE = 2
    """The estimate lies outside the range on which the estimator is valid."""
    NO_ROOT = 3
    """The signal equations have no solution with positive T1 and T2."""
    LOW_SIGNAL = 4
    """Signal too low against the noise for an estimate."""
    INVALID_INPUT = 5
    """A cycle or a known map has no finite value here."""
    NOT_CONVERGED = 6
    """The fit had not settled after its last iteration."""
    AT_BOUND = 7
    """The likelihood is highest at the edge of the bounds that were asked for."""
    NOT_IDENTIFIABLE = 8
    """Fraction and rate of a pool cannot be told apart: a standard deviation exceeds its value."""
    MIXED = 9
    """Tissue and fluid that could not be told apart: estimated, with a standard deviation that holds the fluid."""
    MISFIT = 10
    """The model leaves more of the signal than noise does: estimated, but by a model that does not hold."""
    NOT_UNIQUE = 11
    """Several optima describe the signal as well as noise can tell and differ by more than the standard deviation: estimated, with
    one that holds their spread."""
    WRONG_UNITS = 12
    """Data of the opposite sense of precession that were to count as given (interface for arrays): not estimated."""


WITH_VALUE = (Status.CONVERGED, Status.MIXED, Status.MISFIT, Status.NOT_UNIQUE)
"""Codes with a value in the maps."""

IN_STATISTICS = (Status.CONVERGED, Status.MIXED)
"""Codes that statistics of tissue count. Few cycles call half of the voxels mixed, by their noise: those that are left would be
biased by the choice (T1 of grey matter by 9 % at 6 cycles and 4 mm), all together are not."""


def has_value(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where maps have a value, of the shape of the codes."""
    return np.isin(status, WITH_VALUE)


@dataclass(frozen=True, kw_only=True)
class KnownMaps:
    """Maps that are measured otherwise and enter an estimation as known.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, shape (...).
    b1_stdev
        Standard deviation of `b1`, same shape; None where it is not known, and then B1 counts as exact.
    inside
        Where in an image the voxels lie, True in as many places as there are voxels, in the order of its indices: noise is then
        pooled over neighbours, and fluid next door is accounted for. None where that is not known.
    """

    b1: NDArray[np.floating]
    b1_stdev: NDArray[np.floating] | None = None
    inside: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions:
    """How an estimator is made; each uses what concerns it.

    Parameters
    ----------
    threads
        Threads of compiled kernels.
    weights_folder
        Folder of further network weights, searched before those of the package; None for the package alone.
    device
        Device of networks: `auto`, `cpu`, `cuda` or `cuda:N`; all else stays on the processor.
    """

    threads: int = 1
    weights_folder: Path | None = None
    device: str = "cpu"


PAIRS = (("T1", "T2"), ("T1", "M0"), ("T2", "M0"), ("T1", "fluid"), ("T2", "fluid"), ("M0", "fluid"))
"""What is correlated in `Joint`: `fluid` is the M0 of fluid."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What images of other contrast need beside T1, T2 and M0 with their standard deviations; shape (...) each.

    Parameters
    ----------
    fluid, fluid_stdev
        The part of M0 that is that of fluid, which T1 and T2 do not hold, since they are those of the tissue beside it; 0 where one
        pool describes the voxel.
    correlation
        Correlation of the errors by pair of `PAIRS`; 0 where one of them has none.
    amplitude, amplitude_stdev
        Magnitude of bSSFP without bands, in the unit of the signal: what multiplies the profile.
    ways
        Both explanations of a voxel, empty where there is one everywhere: T1, T2 and M0 of tissue `alone`, those and fluid of both
        `together`, as in `alone_T1`, `alone_T1_stdev`, `alone_T1_T2` (a correlation), and `probability` of the second.
    """

    fluid: NDArray[np.floating]
    fluid_stdev: NDArray[np.floating]
    correlation: Mapping[tuple[str, str], NDArray[np.floating]]
    amplitude: NDArray[np.floating]
    amplitude_stdev: NDArray[np.floating]
    ways: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """Return all by name, as `fluid`, `amplitude_stdev` or `T1_M0`."""
        single = ("fluid", "fluid_stdev", "amplitude", "amplitude_stdev")
        pairs = {"_".join(pair): values for pair, values in self.correlation.items()}
        return {name: getattr(self, name) for name in single} | pairs | dict(self.ways)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Joint:
        """Return what `arrays` gave."""
        single = ("fluid", "fluid_stdev", "amplitude", "amplitude_stdev")
        pairs = {"_".join(pair): pair for pair in PAIRS}
        return cls(
            **{name: arrays[name] for name in single},
            correlation={pair: arrays[name] for name, pair in pairs.items()},
            ways={name: values for name, values in arrays.items() if name not in single and name not in pairs},
        )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Parameters with their uncertainty, voxel by voxel.

    Parameters
    ----------
    values
        Maps by name, of phase cycles `T1` [s], `T2` [s], `M0` [arbitrary] and `off_resonance` [Hz]; shape (...). NaN where
        `status` is none of `WITH_VALUE`.
    stdev
        Standard deviation of each map that has one, same names, units and shape.
    residual
        Root mean square over the cycles (or offsets) of signal minus model, relative to that of the signal, shape (...); NaN where
        an estimator has none.
    status
        `Status` codes, uint8, shape (...).
    noise
        Standard deviation of the noise in real and imaginary part of a cycle, in the unit of the signal, shape (...); None where
        an estimator does not tell it.
    misfit
        Residual over that of noise alone, 1 where the model holds, shape (...); None like `noise`.
    one_pool
        `T1`, `T2`, `T1_stdev` and `T2_stdev` [s] of a fit of tissue alone where the values account for fluid, same shape: what
        mixtures look like.
    constants
        Numbers that hold for all voxels, by the key of the sidecar [SI units].
    joint
        What images of other contrast need beside the maps of relaxation; None where an estimator does not tell it.
    decisions
        What was decided, as sentences.
    """

    values: Mapping[str, NDArray[np.floating]]
    stdev: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    residual: NDArray[np.floating]
    status: NDArray[np.uint8]
    noise: NDArray[np.floating] | None = None
    misfit: NDArray[np.floating] | None = None
    one_pool: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    joint: Joint | None = None
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NaturalPoint:
    """Natural coordinates of the profile of every voxel (`physics.bssfp.profile`).

    Parameters
    ----------
    e2, b
        Shape parameters, shape (V,); NaN where an estimator has no solution, not restricted to (0, 1).
    theta
        Precession between pulses [rad], shape (V,).
    """

    e2: NDArray[np.floating]
    b: NDArray[np.floating]
    theta: NDArray[np.floating]


class Estimator(Protocol):
    """Turns the complex signal of phase cycles into relaxation times."""

    name: str
    model: Mapping[str, str]
    """What identifies the model behind the estimator, for the sidecar: name, version or hash."""

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if the estimator cannot serve the protocol."""
        ...

    def remarks(self, protocol: BssfpProtocol) -> tuple[str, ...]:
        """Return what a reader of the maps must know of this estimator at this protocol, one sentence each."""
        ...

    def estimate(self, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol, known: KnownMaps) -> Estimate:
        """Estimate from complex cycles of shape (..., N); the known maps have shape (...)."""
        ...

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point estimate of cycles (V, N) with nothing flagged and nothing clamped: what an evaluation scores."""
        ...


def check_shapes(cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol, known: KnownMaps) -> None:
    """Raise `ValueError` unless cycles (..., N), protocol and known maps (...) belong together."""
    if cycles.shape[-1] != protocol.number_of_cycles:
        raise ValueError(f"cycles has {cycles.shape[-1]} volumes, the protocol {protocol.number_of_cycles} increments")
    for name, values in (("B1 map", known.b1), ("B1 standard deviation", known.b1_stdev)):
        if values is not None and values.shape != cycles.shape[:-1]:
            raise ValueError(f"the {name} has shape {values.shape}, the cycles {cycles.shape[:-1]}")
    voxels, places = math.prod(cycles.shape[:-1]), None if known.inside is None else np.count_nonzero(known.inside)
    if places is not None and places != voxels:
        raise ValueError(f"known.inside is True in {places} places, the cycles have {voxels} voxels")


class ProtocolNotSupported(ValueError):
    """An estimator cannot serve a protocol.

    Parameters
    ----------
    expected
        What the estimator covers.
    found
        What the protocol has.
    advice
        What to do.
    """

    def __init__(self, *, expected: str, found: str, advice: str) -> None:
        super().__init__(f"expected {expected}, found {found}. {advice}")
        self.expected = expected
        self.found = found
        self.advice = advice
