"""What all estimators that invert the signal equation share: chunks, amplitude, noise, uncertainty, status.

An estimator of this kind is one differentiable function from complex cycles to T1, T2 and θ. Everything else follows:
the complex amplitude by linear least squares on all cycles, hence M0; the noise from the residual; the standard deviation of
every map by first-order propagation of that noise through the estimator itself, by automatic differentiation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.estimation.base import (
    PAIRS,
    Estimate,
    Joint,
    KnownMaps,
    NaturalPoint,
    ProtocolNotSupported,
    Status,
    check_shapes,
)
from qmri_bids.estimation.noise import noise_from_residual
from qmri_bids.physics.bssfp import amplitude, natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol

MAPS = ("T1", "T2", "M0", "off_resonance")
CHUNK = 65_536
"""Voxels estimated at a time, whatever their number: the memory stays bounded."""

JOINT = (*("_".join(pair) for pair in PAIRS[:3]), "amplitude", "amplitude_stdev")
"""What is kept besides for images of other contrast; see `estimation.base.Joint`."""

FEW_CYCLES = 4
"""Number of cycles up to which first-order propagation of the noise falls short (measured)."""

MINIMUM_SIGNAL_TO_NOISE = 3.0
"""Root mean square of the cycles over the noise sd below which no estimate is given."""


@dataclass(frozen=True, kw_only=True)
class ValidRange:
    """Where an estimator is valid; outside, a voxel is flagged and has no value.

    Parameters
    ----------
    t1, t2
        Ranges of the relaxation times [s].
    flip_angle
        Range of the actual flip angle [rad].
    """

    t1: tuple[float, float] = (0.050, 6.0)
    t2: tuple[float, float] = (0.002, 3.0)
    flip_angle: tuple[float, float] = (0.0, math.pi)


class SteadyStateEstimator(ABC):
    """Base of the estimators that invert the steady state of bSSFP."""

    name: str
    model: Mapping[str, str] = MappingProxyType({})
    dtype = torch.float64
    device = torch.device("cpu")
    """Where the function is computed; of a network, where it lies."""

    @abstractmethod
    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad] of cycles (V, N); NaN where there is no solution. Differentiable."""

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if the increments are not evenly spaced."""
        if not protocol.is_evenly_spaced:
            degrees = ", ".join(f"{math.degrees(each):.1f}" for each in protocol.rf_phase_increment)
            raise ProtocolNotSupported(
                expected=f"evenly spaced RF phase increments (estimator {self.name})",
                found=f"{degrees}°",
                advice="Use --bssfp-estimator pinn or ml, which serve any increments.",
            )

    def remarks(self, protocol: BssfpProtocol) -> tuple[str, ...]:
        """Return what a reader of the maps must know: by default, that few cycles are noisy beyond first order."""
        if protocol.number_of_cycles > FEW_CYCLES:
            return ()
        return (
            f"Standard deviations of {self.name} are propagated to first order, which is too little at "
            f"{protocol.number_of_cycles} phase cycles: one standard deviation holds 45-62 %, not 68 % (SNR 25).",
        )

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range outside which a voxel is flagged OUT_OF_RANGE."""
        return ValidRange()

    def largest_misfit(self, protocol: BssfpProtocol) -> float:
        """Return the residual relative to the signal, beyond noise, from which on an estimate counts as out of range."""
        return math.inf

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point estimate in natural coordinates; see `Estimator.natural`."""
        self.check(protocol)
        complex_dtype = torch.complex128 if self.dtype is torch.float64 else torch.complex64
        parts = []
        for begin in range(0, max(len(cycles), 1), CHUNK):
            part = torch.as_tensor(cycles[begin : begin + CHUNK], dtype=complex_dtype, device=self.device)
            scale = torch.as_tensor(b1[begin : begin + CHUNK], dtype=self.dtype, device=self.device)
            with torch.no_grad():
                t1, t2, theta = self.solve(part, scale, protocol)
                parts.append((*natural_coordinates(t1, t2, b1=scale, protocol=protocol), theta))
        found = [torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True)]
        return NaturalPoint(e2=found[0], b=found[1], theta=found[2])

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
            If the estimator does not cover the protocol.
        ValueError
            If the shapes do not belong together.
        """
        self.check(protocol)
        shape = cycles.shape[:-1]
        check_shapes(cycles, protocol=protocol, known=known)
        flat = cycles.reshape(-1, cycles.shape[-1])
        b1 = known.b1.reshape(-1)
        b1_stdev = np.zeros_like(b1) if known.b1_stdev is None else known.b1_stdev.reshape(-1)
        parts = []
        for begin in range(0, max(len(flat), 1), CHUNK):
            part = slice(begin, begin + CHUNK)
            parts.append(self._estimate_chunk(flat[part], b1[part], b1_stdev[part], protocol))
        stdev_names = [f"{name}_stdev" for name in MAPS]
        maps = {
            key: np.concatenate([part[key] for part in parts]).reshape(shape)
            for key in (*MAPS, *stdev_names, "residual", "status", *JOINT)
        }
        # This kind of estimator knows no fluid beside tissue.
        none = np.where(np.isfinite(maps["T1"]), np.float32(0.0), np.float32(math.nan))
        joint = dict.fromkeys(("fluid", "fluid_stdev", *("_".join(pair) for pair in PAIRS)), none)
        return Estimate(
            values={name: maps[name] for name in MAPS},
            stdev={name: maps[f"{name}_stdev"] for name in MAPS},
            residual=maps["residual"],
            status=maps["status"],
            joint=Joint.of(joint | {name: maps[name] for name in JOINT}),
        )

    def _estimate_chunk(
        self,
        cycles: NDArray[np.complexfloating],
        b1: NDArray[np.floating],
        b1_stdev: NDArray[np.floating],
        protocol: BssfpProtocol,
    ) -> dict[str, NDArray]:
        scale = np.sqrt(np.mean(np.abs(cycles) ** 2, axis=-1))
        usable = np.isfinite(scale) & (scale > 0.0) & np.isfinite(b1) & (b1 > 0.0)
        # Unusable voxels go through as zeros of a harmless signal and are masked below: the arrays keep their shape.
        safe = np.where(usable[:, None], cycles / np.where(usable, scale, 1.0)[:, None], 1.0)
        complex_dtype = torch.complex128 if self.dtype is torch.float64 else torch.complex64
        signal = torch.as_tensor(safe, dtype=complex_dtype, device=self.device).requires_grad_()
        b1_tensor = torch.as_tensor(np.where(usable, b1, 1.0), dtype=self.dtype, device=self.device).requires_grad_()
        t1, t2, theta = self.solve(signal, b1_tensor, protocol)
        m0, fit = fit_amplitude(signal, t1, t2, theta, b1_tensor, protocol)
        off_resonance = theta / (2.0 * math.pi * protocol.repetition_time)
        outputs = dict(zip(MAPS, (t1, t2, m0, off_resonance), strict=True)) | {"amplitude": fit[0].abs()}
        noise = noise_from_residual(signal.detach(), *(each.detach() for each in fit), protocol=protocol)
        result, slopes = {}, {}
        for name, output in outputs.items():
            by_signal, by_b1 = torch.autograd.grad(
                output.sum(), (signal, b1_tensor), retain_graph=True, materialize_grads=True
            )
            from_noise = (torch.linalg.vector_norm(by_signal, dim=-1) * noise).cpu().numpy()
            result[f"{name}_stdev"] = np.hypot(from_noise, by_b1.cpu().numpy() * b1_stdev)
            result[name] = output.detach().cpu().numpy()
            slopes[name] = by_signal, by_b1.cpu().numpy() * b1_stdev
        for one, two in PAIRS[:3]:
            (by_signal, of_b1), (other, of_other_b1) = slopes[one], slopes[two]
            together = ((by_signal * other.conj()).real.sum(dim=-1) * noise**2).cpu().numpy() + of_b1 * of_other_b1
            with np.errstate(all="ignore"):
                result[f"{one}_{two}"] = together / (result[f"{one}_stdev"] * result[f"{two}_stdev"])
        for key in ("M0", "M0_stdev", "amplitude", "amplitude_stdev"):
            result[key] = result[key] * scale
        left = _relative_residual(signal.detach(), *(each.detach() for each in fit), protocol=protocol)
        residual = left.cpu().numpy()
        status = self._status(result, noise.cpu().numpy(), residual, usable, b1, protocol)
        failed = status != Status.CONVERGED
        result = {key: np.where(failed, np.nan, value).astype(np.float32) for key, value in result.items()}
        result["residual"] = np.where(usable, residual, np.nan).astype(np.float32)
        result["status"] = status
        return result

    def _status(
        self,
        result: dict[str, NDArray],
        noise: NDArray,
        residual: NDArray,
        usable: NDArray[np.bool_],
        b1: NDArray,
        protocol: BssfpProtocol,
    ) -> NDArray[np.uint8]:
        bounds = self.valid_range(protocol)
        flip_angle = b1 * protocol.flip_angle
        status = np.full(len(usable), Status.CONVERGED, dtype=np.uint8)
        outside = ~(
            _within(result["T1"], bounds.t1) & _within(result["T2"], bounds.t2) & _within(flip_angle, bounds.flip_angle)
        )
        with np.errstate(invalid="ignore"):
            # A point that is not the best one leaves signal in the residual; twice the noise is what an inefficient one may leave.
            outside |= residual**2 > self.largest_misfit(protocol) ** 2 + 8.0 * noise**2
        status[outside] = Status.OUT_OF_RANGE
        solved = np.isfinite(result["T1"]) & np.isfinite(result["T2"]) & np.isfinite(result["T1_stdev"])
        status[~solved] = Status.NO_ROOT
        # The signal is normalised to a root mean square of 1; a complex sample has noise in two channels.
        with np.errstate(invalid="ignore"):
            status[solved & (noise * MINIMUM_SIGNAL_TO_NOISE * math.sqrt(2.0) > 1.0)] = Status.LOW_SIGNAL
        status[~usable] = Status.INVALID_INPUT
        return status


def _within(values: NDArray, bounds: tuple[float, float]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return (values >= bounds[0]) & (values <= bounds[1])


def fit_amplitude(
    signal: torch.Tensor,
    t1: torch.Tensor,
    t2: torch.Tensor,
    theta: torch.Tensor,
    b1: torch.Tensor,
    protocol: BssfpProtocol,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Fit the complex amplitude by linear least squares.

    Parameters
    ----------
    signal
        Complex cycles, shape (V, N).
    t1, t2, theta, b1
        Parameters [s], [s], [rad] and actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.

    Returns
    -------
    m0, fit
        M0, and the fit as (complex amplitude, E2, b, θ), shape (V,) each.
    """
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    shape = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
    fitted = (shape.conj() * signal).sum(dim=-1) / shape.abs().square().sum(dim=-1)
    unit = amplitude(t1, t2, b1=b1, off_resonance=torch.zeros_like(t1), protocol=protocol).abs()
    return fitted.abs() / unit, (fitted, e2, b, theta)


def _relative_residual(
    signal: torch.Tensor,
    fitted: torch.Tensor,
    e2: torch.Tensor,
    b: torch.Tensor,
    theta: torch.Tensor,
    *,
    protocol: BssfpProtocol,
) -> torch.Tensor:
    """Return the root mean square of the residual; the signal has a root mean square of 1."""
    model = fitted[:, None] * profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
    return torch.sqrt((signal - model).abs().square().mean(dim=-1))
