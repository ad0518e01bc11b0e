"""Maximum likelihood on all complex cycles: nearly unbiased, at the Cramér-Rao bound, for any three or more increments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, KnownMaps, NaturalPoint
from qmri_bids.estimation.bssfp.bounded_fit import RelaxationBounds, bounded_fit
from qmri_bids.estimation.bssfp.profile_fit import NaturalFit, fit_natural
from qmri_bids.estimation.bssfp.profile_start import check_increments, different_increments
from qmri_bids.estimation.bssfp.relaxation import CHUNK, estimate_by_fit
from qmri_bids.estimation.bssfp.steady_state import ValidRange
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.units import seconds_to_milliseconds

_THREE_CYCLES = (
    "Maximum likelihood with 3 different phase cycles: one degree of freedom is left, and with noise a second solution fits some "
    "voxels as well as the true one, so that the standard deviations are too small (at SNR 25 they cover 60 %, not 68 %); "
    "four or more cycles do not have this."
)

_BOUNDS = (
    "Maximum likelihood within bounds: T1 {t1} ms, T2 {t2} ms. Voxels whose likelihood is highest at an edge have no value; "
    "near the edges the others are a selection, biased towards the middle."
)


def _in_milliseconds(bounds: tuple[float, float]) -> str:
    low, high = (f"{seconds_to_milliseconds(each):g}" for each in bounds)
    return f"{low} to {high}"


class MaximumLikelihood:
    """Least squares of the complex profile, started from the linear solution; other starts are subclasses.

    Parameters
    ----------
    threads
        Threads of the compiled kernel; the result does not depend on it.
    bounds
        Box in (T1, T2) within which the likelihood is maximised; None for no bounds. Voxels whose optimum lies inside are the same
        with and without; one whose likelihood is highest at the edge is AT_BOUND, without a value, and `natural` returns its
        constrained optimum.
    """

    name = "ml"
    model: Mapping[str, str] = MappingProxyType({})

    def __init__(self, threads: int = 1, bounds: RelaxationBounds | None = None) -> None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, found {threads}")
        self.threads = threads
        self.bounds = bounds

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if fewer than three increments differ."""
        check_increments(protocol, name=self.name)

    def remarks(self, protocol: BssfpProtocol) -> tuple[str, ...]:
        """Warn of three cycles, where several solutions fit the data equally well, and of bounds."""
        found = [_THREE_CYCLES] if different_increments(protocol) == 3 else []
        if self.bounds is not None:
            found.append(_BOUNDS.format(t1=_in_milliseconds(self.bounds.t1), t2=_in_milliseconds(self.bounds.t2)))
        return tuple(found)

    def estimate(self, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol, known: KnownMaps) -> Estimate:
        """Estimate T1, T2, M0 and off-resonance with their standard deviations.

        Parameters
        ----------
        cycles
            Complex signal, shape (..., N), the last axis in the order of the protocol's increments.
        protocol
            The acquisition.
        known
            The B1 map and, where known, its standard deviation, shape (...).

        Returns
        -------
        Estimate
            Float32 maps of shape (...).

        Raises
        ------
        ProtocolNotSupported
            If fewer than three increments differ.
        ValueError
            If the shapes do not belong together.
        """
        self.check(protocol)
        return estimate_by_fit(
            lambda part, b1: self.fit(part, protocol=protocol),
            cycles,
            protocol=protocol,
            known=known,
            valid_range=self.valid_range(protocol),
            bounds=self.bounds,
            threads=self.threads,
        )

    def fit(self, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol) -> NaturalFit:
        """Fit complex cycles (V, N)."""
        return fit_natural(
            cycles,
            rf_phase_increment=protocol.rf_phase_increment,
            start=self.start(cycles, protocol=protocol),
            threads=self.threads,
        )

    def start(self, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol) -> NaturalPoint | None:
        """Return where the fit begins; None for the linear solution."""
        return None

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range outside which a voxel is flagged OUT_OF_RANGE."""
        return ValidRange()

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point in natural coordinates, nothing flagged; see `Estimator.natural`."""
        self.check(protocol)
        parts = []
        for begin in range(0, max(len(cycles), 1), CHUNK):
            data = cycles[begin : begin + CHUNK]
            fit = self.fit(data, protocol=protocol)
            if self.bounds is not None:
                fit = bounded_fit(
                    fit,
                    data,
                    b1=b1[begin : begin + CHUNK],
                    protocol=protocol,
                    bounds=self.bounds,
                    threads=self.threads,
                ).fit
            parts.append((fit.e2, fit.b, fit.theta))
        e2, b, theta = (np.concatenate(each) for each in zip(*parts, strict=True))
        return NaturalPoint(e2=e2, b=b, theta=theta)
