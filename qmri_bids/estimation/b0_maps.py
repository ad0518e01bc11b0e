"""B0 and B1 maps of WASABI and WASSR series, from volumes to maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.spectra.series import SeriesLayout, series_layout, series_noise, spectra
from qmri_bids.estimation.spectra.wasabi_fit import fit_wasabi
from qmri_bids.estimation.spectra.wassr import fit_wassr
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal
from qmri_bids.units import ppm_to_hertz

Map = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Values and standard deviation, shape (V,)."""


@dataclass(frozen=True, kw_only=True)
class B0Maps:
    """Maps of a series that measures B0.

    Parameters
    ----------
    offsets
        Offsets of the spectra, increasing [ppm], shape (K,).
    spectra, fitted
        Measured and fitted Z, shape (V, K); `fitted` is None where the method has no model of the spectrum.
    maps
        `off_resonance` [Hz], and of WASABI `b1` (actual over nominal), with standard deviations; NaN where there is none.
    residual
        What is left relative to the signal, shape (V,): of WASABI the misfit of the model, of WASSR the asymmetry about the centre.
    status
        `Status` codes, shape (V,).
    decisions, warnings
        What was decided and what a reader must know, as sentences.
    """

    offsets: NDArray[np.float64]
    spectra: NDArray[np.float32]
    fitted: NDArray[np.float32] | None
    maps: Mapping[str, Map]
    residual: NDArray[np.floating]
    status: NDArray[np.uint8]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def wasabi_maps(
    signal: NDArray[np.floating],
    *,
    protocol: SaturationProtocol,
    roles: Sequence[str],
    noise: float | None = None,
    threads: int = 1,
) -> B0Maps:
    """Map B0 and B1 of a WASABI series.

    Parameters
    ----------
    signal
        Aligned magnitudes in the order of acquisition, shape (V, N).
    protocol
        One image a volume.
    roles
        "m0" for volumes that normalise, anything else for the others.
    noise
        Standard deviation of one volume; from the series by default.
    threads
        Threads; the result does not depend on it.

    Raises
    ------
    ValueError
        If the series has no volume that normalises, or the pulse is not one block.
    """
    layout = _layout(signal, protocol=protocol, roles=roles)
    if not layout.unsaturated:
        raise ValueError("WASABI needs an unsaturated volume (M0) that normalises the others, found none")
    train = layout.saturation
    if train.number != 1 or len({segment.amplitude for segment in train.pulse.segments}) != 1:
        raise ValueError(
            f"WASABI needs one block of RF of constant amplitude, found {train.number} pulses of "
            f"{len(train.pulse.segments)} segments; check the pulse shape and the number of pulses"
        )
    sigma, sentence = _noise(signal, layout=layout, noise=noise)
    z = spectra(signal, layout=layout, noise=sigma)
    model = WasabiProtocol(
        offsets=tuple((layout.offsets * ppm_to_hertz(1.0, field_strength=protocol.field_strength)).tolist()),
        b1_nominal=train.pulse.segments[0].amplitude,
        pulse_duration=train.pulse.duration,
    )
    found = fit_wasabi(z.values, protocol=model, noise=z.stdev, threads=threads)
    fitted = wasabi_signal(
        *(found.values[name].astype(np.float64) for name in ("off_resonance", "b1")),
        c=found.values["c"].astype(np.float64),
        d=found.values["d"].astype(np.float64),
        protocol=model,
    )
    return _maps(
        found,
        layout=layout,
        z=z.values,
        worst=z.status,
        fitted=fitted.astype(np.float32),
        names=("off_resonance", "b1"),
        decisions=(
            f"B0 and B1 were mapped by WASABI: {len(layout.offsets)} offsets, a block of {1e3 * model.pulse_duration:g} ms "
            f"and {1e6 * model.b1_nominal:.3g} µT.",
            sentence,
        ),
    )


def wassr_maps(
    signal: NDArray[np.floating],
    *,
    protocol: SaturationProtocol,
    roles: Sequence[str],
    noise: float | None = None,
    threads: int = 1,
) -> B0Maps:
    """Map B0 of a WASSR series.

    Parameters
    ----------
    signal, protocol, noise, threads
        Aligned magnitudes, the images that they are, noise of one volume and number of threads: those of `wasabi_maps`.
    roles
        "m0", "wassr" or "cest" of every volume; those of "wassr" count, or those of "cest" where there are none. Unsaturated
        volumes are not needed.

    Raises
    ------
    ValueError
        If there are too few offsets.
    """
    layout = _layout(signal, protocol=protocol, roles=roles)
    hertz = layout.offsets * ppm_to_hertz(1.0, field_strength=protocol.field_strength)
    decision = f"B0 was mapped by WASSR: maximum symmetry of {len(layout.offsets)} offsets."
    if not layout.unsaturated:
        values, worst = _relative(signal, layout=layout)
        return _maps(
            fit_wassr(values, offsets=hertz, threads=threads),
            layout=layout,
            z=values,
            worst=worst,
            fitted=None,
            names=("off_resonance",),
            decisions=(decision, "No volume is unsaturated: spectra are relative to their largest value."),
        )
    sigma, sentence = _noise(signal, layout=layout, noise=noise)
    z = spectra(signal, layout=layout, noise=sigma)
    return _maps(
        fit_wassr(z.values, offsets=hertz, noise=z.stdev, threads=threads),
        layout=layout,
        z=z.values,
        worst=z.status,
        fitted=None,
        names=("off_resonance",),
        decisions=(decision, sentence),
    )


def _relative(signal: NDArray[np.floating], *, layout: SeriesLayout) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return spectra relative to their largest value, shape (V, K), and their status."""
    means = [np.asarray(signal, dtype=np.float64)[:, list(group)].mean(axis=1) for group in layout.members]
    values = np.stack(means, axis=1)
    top = values.max(axis=1, keepdims=True)
    status = np.where(np.isfinite(top[:, 0]) & (top[:, 0] > 0.0), Status.CONVERGED, Status.INVALID_INPUT).astype(
        np.uint8
    )
    with np.errstate(all="ignore"):
        return values / top, status


def _layout(signal: NDArray[np.floating], *, protocol: SaturationProtocol, roles: Sequence[str]) -> SeriesLayout:
    """Return which volumes make up the spectrum."""
    if signal.ndim != 2 or signal.shape[1] != protocol.number_of_images:
        raise ValueError(
            f"signal must have shape (V, {protocol.number_of_images}), one column an image, found {signal.shape}"
        )
    return series_layout(protocol, roles=roles, role="wassr" if "wassr" in roles else "cest")


def _noise(signal: NDArray[np.floating], *, layout: SeriesLayout, noise: float | None) -> tuple[float, str]:
    """Return the noise of a volume, and a sentence."""
    if noise is None:
        return series_noise(signal, layout=layout)
    return float(noise), f"Standard deviations follow from a noise of {noise:.4g} in one volume."


def _maps(
    found: Estimate,
    *,
    layout: SeriesLayout,
    z: NDArray[np.float64],
    worst: NDArray[np.uint8],
    fitted: NDArray[np.float32] | None,
    names: Sequence[str],
    decisions: tuple[str, ...],
) -> B0Maps:
    """Return maps with the status of the normalisation where that has failed."""
    status = np.where(worst == Status.CONVERGED, found.status, worst).astype(np.uint8)
    good = status == Status.CONVERGED
    lost = 100.0 * float(np.mean(~good)) if len(good) else 0.0
    return B0Maps(
        offsets=layout.offsets,
        spectra=z.astype(np.float32),
        fitted=fitted,
        maps={
            name: tuple(np.where(good, each[name], math.nan).astype(np.float32) for each in (found.values, found.stdev))  # type: ignore[misc]
            for name in names
        },
        residual=found.residual,
        status=status,
        decisions=(*decisions, f"{lost:.1f} % of the voxels have no value."),
    )
