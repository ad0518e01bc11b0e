"""The nodes that estimate: Z-spectra, B0 and B1, MTR and MT saturation; each leaves one file of maps in volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits
from numpy.typing import NDArray

from qmri_bids.bids.images import volumes_in
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.results.estimate_file import save_estimate
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.pipeline.voxels import LEAST_OVERLAP, Voxels
from qmri_bids.quantity import STDEV

if TYPE_CHECKING:
    from qmri_bids.estimation.spectra.powers import Powers


class EstimateInput(BaseInterfaceInputSpec):
    """What a node that estimates takes from the workflow of a series."""

    run = traits.Any(mandatory=True, desc="the run")
    series = File(exists=True, mandatory=True, desc="aligned magnitudes, 4D")
    mask = File(exists=True, mandatory=True, desc="where to estimate")
    motion = File(exists=True, desc="result of the motion correction: where every volume has data")
    noise = traits.Either(
        traits.Float, None, desc="standard deviation of one volume; None where the aligned series tells it"
    )
    processes = traits.Int(1, usedefault=True, nohash=True, desc="threads")


class EstimateOutput(TraitedSpec):
    """What it leaves."""

    estimate = File(exists=True, desc="maps, their standard deviations, residual and status, in volumes (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


def _voxels_of(inputs: Any) -> tuple[Voxels, NDArray[np.float32]]:
    """Return the voxels of a node, and their signal."""
    voxels = Voxels(inputs.mask, motions=[inputs.motion])
    return voxels, voxels.signal(inputs.series)


def _roles_of(inputs: Any, roles: Sequence[str]) -> tuple[str, ...]:
    """Return what each volume is to the estimation: those that moved too far are left out of it."""
    if not isdefined(inputs.motion):
        return tuple(roles)
    with np.load(inputs.motion) as stored:
        censored = stored["censored"] if "censored" in stored else np.zeros(len(roles), dtype=bool)
    return tuple("left out" if out else role for role, out in zip(roles, censored, strict=True))


@dataclass(frozen=True, kw_only=True)
class _Noise:
    """Standard deviation of one volume, None where the series is too short to tell, and what to say."""

    level: float | None
    decisions: list[str]
    warnings: list[str]


def _noise_of(inputs: Any, signal: NDArray[np.floating]) -> _Noise:
    """Return the noise that is known of a series, or what its voxels in the brain tell."""
    from qmri_bids.estimation.component_noise import component_noise, rounding_noise

    known = inputs.noise if isdefined(inputs.noise) else None
    if known is not None:
        return _Noise(level=known, decisions=_near_floor(signal, known), warnings=[])
    noise = component_noise(signal)
    if noise is None:
        return _Noise(level=None, decisions=[], warnings=[])
    floor = rounding_noise(signal)
    if not noise > floor:
        warning = (
            f"THE NOISE OF THE SERIES CANNOT BE TOLD: its weakest components hold no more than rounding ({floor:.2g}), and "
            "standard deviations are too small. State the noise of one volume with --noise-sd."
        )
        return _Noise(level=floor, decisions=[], warnings=[warning])
    told = (
        f"Standard deviation of one volume in the brain, from the weakest components of the series: {noise:.4g}, "
        f"{100.0 * noise / float(np.median(signal.max(axis=1))):.2g} % of full signal (what motion has left adds to it)."
    )
    return _Noise(level=noise, decisions=[told, *_near_floor(signal, noise)], warnings=[])


LOW = 3.0
"""Magnitudes below so many times the noise are raised by it: by 6 % of themselves at 3, by 25 % of the noise at 2."""


def _near_floor(signal: NDArray[np.floating], noise: float) -> list[str]:
    """Say where magnitudes are so small that their noise raises them (Gudbjartsson & Patz, Magn Reson Med 34:910, 1995)."""
    usable = signal[np.isfinite(signal).all(axis=1)]
    low = np.mean(usable < LOW * noise, axis=0) if len(usable) else np.zeros(0)
    images = int(np.count_nonzero(low > 0.5))
    if not images:
        return []
    share = 100.0 * noise / float(np.median(usable.max(axis=1)))
    return [
        f"In {images} images the median magnitude lies below {LOW:g} times the noise, which raises magnitudes there: by up to "
        f"{1.25 * share:.2g} % of full signal where there is none. They were not corrected; the bottom of the dip of water is too "
        "high by as much, its place is not moved."
    ]


def _powers_of(inputs: Any, voxels: Voxels) -> Powers | None:
    """Return what takes the spectra of a run to their nominal B1, None where it is not asked for."""
    from qmri_bids.estimation.spectra.powers import OtherSpectra, Powers
    from qmri_bids.units import ppm_to_hertz

    run = inputs.run
    if run.powers is None:
        return None
    others = []
    for path, ratio in zip(inputs.powers, run.powers.ratios, strict=True):
        with np.load(path) as stored:
            part = {name: stored[name][voxels.inside].astype(np.float64) for name in stored.files}
        hertz = ppm_to_hertz(1.0, field_strength=run.protocol.field_strength)
        others.append(
            OtherSpectra(
                ratio=ratio,
                values=part["z"],
                stdev=part["z_stdev"],
                scale_stdev=part["z_scale_stdev"],
                water_shift=part["off_resonance"] / hertz,
            )
        )
    spread = None
    if isdefined(inputs.b1_stdev):
        spread = load_volume(inputs.b1_stdev)[0][voxels.inside].astype(np.float64)
    b1 = load_volume(inputs.b1)[0][voxels.inside].astype(np.float64)
    return Powers(others=tuple(others), b1=b1, b1_stdev=spread)


class _EstimateZSpectrumInput(EstimateInput):
    b0 = File(exists=True, desc="off-resonance on this grid (npz); from the spectrum itself without")
    t1 = File(exists=True, desc="T1 on this grid (npz)")
    t1_value = traits.Float(desc="T1 of every voxel [s], where there is no map")
    powers = traits.List(
        File(exists=True), desc="spectra at other powers on this grid (npz), as `run.powers` lists them"
    )
    b1 = File(exists=True, desc="actual over nominal B1 on this grid")
    b1_stdev = File(exists=True, desc="its standard deviation, where it is known")
    asymmetry = traits.List(traits.Float, mandatory=True, desc="offsets of MTR asymmetry [ppm]")
    ranges = traits.List(traits.Any, desc="ranges of the mean MTR asymmetry [ppm]")
    measures = traits.List(traits.Str, desc="other measures")
    pools = traits.List(traits.Str, desc="pools of the Lorentzian fit; chosen by the offsets by default")


class EstimateZSpectrum(SimpleInterface):
    """Correct Z-spectra for B0, and map their asymmetry, Lorentzian pools and AREX."""

    input_spec = _EstimateZSpectrumInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=400e6, per_voxel=300, per_value=70, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES
        from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps

        inputs, run = self.inputs, self.inputs.run
        voxels, signal = _voxels_of(inputs)
        noise = _noise_of(inputs, signal)
        roles = _roles_of(inputs, run.roles)
        if run.b0 is not None and run.b0.method == "spectrum":
            roles = tuple("left out" if role == "wassr" else role for role in roles)
        uncorrected = run.b0 is not None and run.b0.method == "none"
        t1 = voxels.values_of(inputs.t1, run.t1_map)
        t1_stdev = voxels.values_of(inputs.t1, f"{run.t1_map}{STDEV}")
        if isdefined(inputs.t1_value):
            t1 = np.full(len(signal), inputs.t1_value)
        elsewhere = _elsewhere(t1, t1_stdev, source=run.t1_source)
        if elsewhere:
            t1 = t1_stdev = None
        found = zspectrum_maps(
            signal,
            protocol=run.protocol,
            roles=roles,
            water_shift=voxels.values_of(inputs.b0, "off_resonance"),
            water_shift_stdev=voxels.values_of(inputs.b0, "off_resonance_stdev"),
            t1=t1,
            t1_stdev=t1_stdev,
            noise=noise.level,
            powers=_powers_of(inputs, voxels),
            options=ZSpectrumOptions(
                asymmetry=tuple(inputs.asymmetry),
                ranges=tuple(inputs.ranges) if isdefined(inputs.ranges) else (),
                measures=tuple(inputs.measures) if isdefined(inputs.measures) else (),
                pools=tuple(inputs.pools) if isdefined(inputs.pools) else None,
                lines=run.line_model or SHIPPED_LINES,
                shift_of_water="ignored" if uncorrected else "found",
            ),
            threads=inputs.processes,
        )
        maps: dict[str, tuple[NDArray[Any], NDArray[Any] | None]] = {**found.maps}
        if not uncorrected:
            maps = {"off_resonance": (found.water_shift, found.water_shift_stdev), **maps}
        extra: dict[str, Any] = {"offsets": found.offsets, "corrected": found.corrected, "drift": np.array(found.drift)}
        # Another run may take these to its nominal power.
        extra |= {"z": found.z, "z_stdev": found.z_stdev, "z_scale_stdev": found.z_scale_stdev}
        # Without a fit there is no model that could leave a residual.
        residual = found.residual if found.fitted is not None else np.full_like(found.residual, np.nan)
        if found.fitted is not None and found.parameters is not None:
            extra |= {"fitted": found.fitted, "parameters": found.parameters, "pools": np.array(found.pools)}
            extra["broad"] = np.array(found.broad)
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps=maps,
            residual=residual,
            status={"": found.status},
            known=None if t1 is None else {"T1": (t1, t1_stdev)},
            **extra,
        )
        voxels.decisions += noise.decisions
        self._results["decisions"] = [*voxels.decisions, *found.decisions]
        self._results["warnings"] = [*elsewhere, *noise.warnings, *found.warnings]
        return runtime


def _elsewhere(
    t1: NDArray[np.float64] | None, stdev: NDArray[np.float64] | None, *, source: str | None
) -> tuple[str, ...]:
    """Say that T1 has values in next to none of the voxels; nothing where it has, or there is none."""
    if t1 is None or not len(t1):
        return ()
    share = float(np.mean(np.isfinite(t1) & (t1 > 0.0) & (True if stdev is None else np.isfinite(stdev))))
    if share >= LEAST_OVERLAP:
        return ()
    return (
        f"AREX IS LEFT OUT: the T1 of {source} has values in {100.0 * share:.1f} % of the voxels of this scan (at least "
        f"{100.0 * LEAST_OVERLAP:.0f} % expected): does it show the same place? Check the coordinates in its header, or give "
        "another.",
    )


class EstimateB0(SimpleInterface):
    """Map B0, and B1 of WASABI, from spectra around water."""

    input_spec = EstimateInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=380e6, per_voxel=200, per_value=16, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.b0_maps import wasabi_maps, wassr_maps

        inputs, run = self.inputs, self.inputs.run
        voxels, signal = _voxels_of(inputs)
        noise = _noise_of(inputs, signal)
        found = {"wasabi": wasabi_maps, "wassr": wassr_maps}[run.kind](
            signal,
            protocol=run.protocol,
            roles=_roles_of(inputs, run.roles),
            noise=noise.level,
            threads=inputs.processes,
        )
        extra: dict[str, Any] = {"offsets": found.offsets, "corrected": found.spectra}
        if found.fitted is not None:
            extra["fitted"] = found.fitted
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps=found.maps,
            residual=found.residual,
            status={"": found.status},
            **extra,
        )
        voxels.decisions += noise.decisions
        self._results["decisions"] = [*voxels.decisions, *found.decisions]
        self._results["warnings"] = [*noise.warnings, *found.warnings]
        return runtime


class EstimateMtr(SimpleInterface):
    """Map the magnetisation transfer ratio."""

    input_spec = EstimateInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=265e6, per_voxel=100)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.mt.maps import mtr

        inputs = self.inputs
        voxels, signal = _voxels_of(inputs)
        number = volumes_in(inputs.run.unsaturated)
        found = mtr(signal[:, number:], signal[:, :number], noise=inputs.noise if isdefined(inputs.noise) else None)
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={"MTR": (found.values["MTR"], found.stdev["MTR"])},
            residual=found.residual,
            status={"": found.status},
        )
        self._results["decisions"] = voxels.decisions
        self._results["warnings"] = _exchanged(found.values["MTR"], "MTR", "mt-on and mt-off")
        return runtime


class _EstimateMtsatInput(EstimateInput):
    b1 = File(exists=True, desc="actual over nominal flip angle; 1 is assumed where none is given")
    b1_stdev = File(exists=True, desc="its standard deviation, where it is known")
    correction = traits.Str(mandatory=True, desc="key of the table of corrections to nominal B1")


class EstimateMtsat(SimpleInterface):
    """Map MT saturation, R1 and amplitude."""

    input_spec = _EstimateMtsatInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=265e6, per_voxel=150)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.base import KnownMaps
        from qmri_bids.estimation.mt.maps import mtsat

        inputs = self.inputs
        voxels, signal = _voxels_of(inputs)
        b1 = np.ones(len(signal))
        if isdefined(inputs.b1):
            b1 = load_volume(inputs.b1)[0][voxels.inside].astype(np.float64)
        b1_stdev = None
        if isdefined(inputs.b1_stdev):
            b1_stdev = load_volume(inputs.b1_stdev)[0][voxels.inside].astype(np.float64)
        if not isdefined(inputs.noise) or inputs.noise is None:
            raise ValueError(
                "the noise of the scans cannot be told: the head covers too few voxels; state it with --noise-sd"
            )
        found = mtsat(
            signal[:, 0],
            signal[:, 1],
            signal[:, 2],
            protocols=inputs.run.protocols,
            known=KnownMaps(b1=b1, b1_stdev=b1_stdev),
            noise=inputs.noise,
            correction=inputs.correction if isdefined(inputs.b1) else "none",
        )
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={name: (found.values[name], found.stdev[name]) for name in found.values},
            residual=found.residual,
            status={"": found.status},
        )
        self._results["decisions"] = voxels.decisions
        self._results["warnings"] = _exchanged(
            found.values["MTsat"], "MT saturation", "the images with and without MT pulse"
        )
        return runtime


def _exchanged(values: NDArray[np.floating], name: str, images: str) -> list[str]:
    """Return a warning where a map is negative as a whole: an MT pulse takes signal away."""
    median = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    if median >= 0.0:
        return []
    return [f"THE MEDIAN OF {name} IS NEGATIVE ({100.0 * median:.0f} %), which no tissue has: are {images} exchanged?"]
