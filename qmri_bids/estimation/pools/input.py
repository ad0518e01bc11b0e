"""What estimators of pools ask of their input, and how series of different gain become comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels


def check_exchange_shapes(signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> None:
    """Raise `ValueError` unless images (V, N), scan and known maps (V,) belong together."""
    if signal.ndim != 2 or signal.shape[1] != scan.number_of_images:
        raise ValueError(
            f"signal must have shape (V, {scan.number_of_images}), the images of the scan, found {signal.shape}"
        )
    if known.t1.shape != signal.shape[:1]:
        raise ValueError(f"known maps must have shape {signal.shape[:1]}, found {known.t1.shape}")


def usable_voxels(
    signal: NDArray[np.floating], known: KnownVoxels, *, names: Sequence[str] = KNOWN
) -> NDArray[np.bool_]:
    """Return which voxels have finite images and known maps (those of `names`) that mean something, shape (V,)."""
    usable = np.isfinite(signal).all(axis=1) & (signal > 0.0).any(axis=1)
    for name in names:
        values, stdev = getattr(known, name), known.stdev(name)
        usable &= np.isfinite(values)
        if name != "off_resonance":
            usable &= values > 0.0
        if stdev is not None:
            usable &= np.isfinite(stdev)
    return usable


def series_scales(signal: NDArray[np.floating], scan: ExchangeScan) -> NDArray[np.float64]:
    """Return the level of each series, shape (S,): the median over voxels of its images that are M0, or of its brightest.

    Divided by it, series that were stored with different gains have the same noise relative to M0, as one fit of both assumes.
    """
    scales = []
    for protocol, part in zip(scan.protocols, scan.series, strict=True):
        own = signal[:, part]
        level = own[:, list(protocol.m0_images)].mean(axis=1) if protocol.m0_images else own.max(axis=1)
        middle = float(np.median(level)) if level.size else 1.0
        scales.append(middle if np.isfinite(middle) and middle > 0.0 else 1.0)
    return np.array(scales)


def by_image(values: NDArray[Any], scan: ExchangeScan) -> NDArray[Any]:
    """Return values of the series (..., S) as values of their images (..., N)."""
    return np.repeat(values, [protocol.number_of_images for protocol in scan.protocols], axis=-1)


@dataclass(frozen=True, kw_only=True)
class ExchangeInput:
    """The voxels of a scan that can be estimated, and the way back.

    Parameters
    ----------
    signal
        Images of the usable voxels, each series over its level (`series_scales`), shape (U, N).
    known
        Known maps of these voxels.
    usable
        Which voxels they are, shape (V,).
    scales
        Level of each series, shape (S,).
    scan
        Series and pools.
    """

    signal: NDArray[np.float64]
    known: KnownVoxels
    usable: NDArray[np.bool_]
    scales: NDArray[np.float64]
    scan: ExchangeScan

    @classmethod
    def of(
        cls, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels, fits_water: bool = False
    ) -> ExchangeInput:
        """Return what can be estimated of images (V, N) with their known maps.

        Parameters
        ----------
        signal, scan, known
            Images, series and pools, and maps of the voxels.
        fits_water
            Whether the estimator fits relaxation times of water along, where the scan says so.

        Raises
        ------
        ValueError
            If images, scan and known maps do not belong together, or the estimator cannot fit what the scan leaves open.
        """
        if scan.fitted and not fits_water:
            raise ValueError(
                f"{' and '.join(name.upper() for name in scan.fitted)} of water must be known for this estimator; the estimator "
                "ml alone fits it along"
            )
        check_exchange_shapes(signal, scan=scan, known=known)
        usable = usable_voxels(signal, known, names=scan.known)
        data = np.asarray(signal[usable], dtype=np.float64)
        scales = series_scales(data, scan)
        return cls(signal=data / by_image(scales, scan), known=known[usable], usable=usable, scales=scales, scan=scan)

    def whole(self, estimate: ExchangeEstimate) -> ExchangeEstimate:
        """Return the estimate of all voxels, in the units of the series; what was not usable is NaN and INVALID_INPUT."""
        scaled = replace(
            estimate,
            amplitude=estimate.amplitude * self.scales,
            fitted=estimate.fitted * by_image(self.scales, self.scan),
        )
        return _spread(scaled, self.usable)


def _spread(estimate: ExchangeEstimate, usable: NDArray[np.bool_]) -> ExchangeEstimate:
    """Return the estimate of all voxels from that of the usable ones; the others are NaN and INVALID_INPUT."""

    def whole(values: NDArray[Any], fill: float) -> NDArray[Any]:
        full = np.full((len(usable), *values.shape[1:]), fill, dtype=values.dtype)
        full[usable] = values
        return full

    def each(maps: Mapping[str, NDArray[Any]], fill: float = np.nan) -> dict[str, NDArray[Any]]:
        return {name: whole(values, fill) for name, values in maps.items()}

    return ExchangeEstimate(
        values=each(estimate.values),
        stdev=each(estimate.stdev),
        correlation=each(estimate.correlation),
        status=each(estimate.status, Status.INVALID_INPUT),
        gain=each(estimate.gain),
        **{name: whole(getattr(estimate, name), np.nan) for name in ("amplitude", "fitted", "residual", "noise")},
    )
