"""The nodes of scans of a field: read, and mapped in the voxels of the mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits
from numpy.typing import NDArray

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.estimation.base import Status
from qmri_bids.pipeline.results.estimate_file import arrays_of, save_estimate
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.pipeline.voxels import Voxels
from qmri_bids.scans.fields.loading import LARGEST_PHASE_STDEV
from qmri_bids.scans.saturation.estimates import EstimateInput, EstimateOutput


class _LoadFieldInput(ReadsFiles):
    run = traits.Any(mandatory=True, desc="the run")


class _LoadFieldOutput(TraitedSpec):
    series = File(exists=True, desc="image in which the head is found, 4D, one volume")
    noise = traits.Either(traits.Float, None, desc="None: the map brings its own standard deviation where it is known")
    maps = File(exists=True, desc="map by name with its standard deviation and where it is valid (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class LoadField(SimpleInterface):
    """Read the map of a scan on its own grid, and its image."""

    input_spec = _LoadFieldInput
    output_spec = _LoadFieldOutput
    needs = NodeMemory(fixed=220e6, per_voxel=180)

    def _run_interface(self, runtime: Any) -> Any:
        loaded, folder = self.inputs.run.load(), Path(runtime.cwd)
        np.savez(folder / "maps.npz", **dict[str, Any](loaded.maps))
        self._results["maps"] = str(folder / "maps.npz")
        self._results["series"] = save_volume(folder / "image.nii", loaded.image[..., np.newaxis], loaded.affine)
        self._results["noise"] = None
        self._results["decisions"] = list(loaded.decisions)
        self._results["warnings"] = list(loaded.warnings)
        return runtime


class _EstimateFieldInput(EstimateInput):
    maps = File(exists=True, mandatory=True, desc="map by name with its standard deviation and where it is valid (npz)")


def _save(
    runtime: Any,
    voxels: Voxels,
    *,
    name: str,
    values: NDArray[Any],
    stdev: NDArray[Any] | None,
    status: NDArray[np.uint8],
    residual: NDArray[Any] | None = None,
) -> str:
    """Write a map, NaN where the status is not CONVERGED."""
    good = status == Status.CONVERGED
    kept = [None if each is None else np.where(good, each, np.nan).astype(np.float32) for each in (values, stdev)]
    left = np.full(len(status), np.nan, dtype=np.float32) if residual is None else np.where(good, residual, np.nan)
    return save_estimate(
        Path(runtime.cwd) / "estimate.npz",
        voxels,
        maps={name: (kept[0], kept[1])},  # type: ignore[dict-item]
        residual=left.astype(np.float32),
        status={"": status},
    )


class EstimateB1Scan(SimpleInterface):
    """Make the B1 of a scan smooth on its own grid."""

    input_spec = _EstimateFieldInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=220e6, per_voxel=100)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.b1 import implausible_warning, smooth_scan

        scan = self.inputs.run.scan
        voxels, affine = Voxels(self.inputs.mask), load_volume(self.inputs.mask)[1]
        stored = arrays_of(Path(self.inputs.maps))
        found = smooth_scan(
            stored["b1"],
            valid=stored["valid"],
            affine=affine,
            stdev=stored.get("b1_stdev"),
            method_error=scan.method_error,
        )
        b1, spread, measured = (each[voxels.inside] for each in (found.map, found.stdev, stored["b1"]))
        status = np.where(np.isfinite(b1), Status.CONVERGED, Status.INVALID_INPUT).astype(np.uint8)
        with np.errstate(all="ignore"):
            residual = np.abs(measured - b1) / b1
        known = not scan.is_ready_made
        path = _save(
            runtime,
            voxels,
            name="b1",
            values=b1,
            stdev=spread if known else None,
            status=status,
            residual=residual,
        )
        self._results["estimate"] = path
        self._results["decisions"] = [
            *voxels.decisions,
            *found.decisions,
            _said(spread, found.single, known=known, method_error=scan.method_error),
        ]
        self._results["warnings"] = list(implausible_warning(b1, region="mask"))
        return runtime


def _said(spread: NDArray[np.floating], single: float, *, known: bool, method_error: float) -> str:
    """Say where the standard deviation comes from, or why there is none."""
    if not known:
        return (
            "No standard deviation of B1 is given: the map came ready-made, and what was done to it is not known. Its scatter "
            f"about the smooth surface is {100.0 * single:.2g} % of nominal."
        )
    finite = spread[np.isfinite(spread)]
    typical = float(np.median(finite)) if finite.size else float("nan")
    return (
        f"Standard deviation of B1: {100.0 * single:.2g} % of nominal in one voxel, from the noise of the scan, "
        f"{100.0 * typical:.2g} % of the smooth map, from its long waves, with {100.0 * abs(method_error):.2g} % that the method "
        "errs where T1 is not known. "
        "What a method gets wrong beyond that everywhere is not in it."
    )


class EstimateB0Scan(SimpleInterface):
    """Map the off-resonance of a field map where it has values."""

    input_spec = _EstimateFieldInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=200e6, per_voxel=60)

    def _run_interface(self, runtime: Any) -> Any:
        scan = self.inputs.run.scan
        voxels = Voxels(self.inputs.mask)
        stored = {name: values[voxels.inside] for name, values in arrays_of(Path(self.inputs.maps)).items()}
        spread = stored.get("off_resonance_stdev")
        status = np.where(stored["valid"], Status.CONVERGED, Status.INVALID_INPUT).astype(np.uint8)
        decisions = list(voxels.decisions)
        if spread is None:
            why = "the noise of its image is not known (no air with noise)" if scan.echo_times else "it came ready-made"
            decisions.append(f"No standard deviation of the off-resonance is given: {why}.")
        elif scan.echo_times is not None:
            largest = LARGEST_PHASE_STDEV / (2.0 * np.pi * (scan.echo_times[1] - scan.echo_times[0]))
            low = (status == Status.CONVERGED) & ~(spread <= largest)
            status[low] = Status.LOW_SIGNAL
            finite = spread[status == Status.CONVERGED]
            typical = float(np.median(finite)) if finite.size else float("nan")
            decisions.append(
                "Standard deviation of the off-resonance, from the noise in the air of the magnitude image: "
                f"{typical:.2g} Hz (median), if both echoes are as bright as that image; {int(low.sum()):,} voxels are darker than "
                "three times the noise and have no value."
            )
        lost = 100.0 * float(np.mean(status != Status.CONVERGED)) if len(status) else 0.0
        decisions.append(f"{lost:.1f} % of the voxels have no value.")
        self._results["estimate"] = _save(
            runtime, voxels, name="off_resonance", values=stored["off_resonance"], stdev=spread, status=status
        )
        self._results["decisions"] = decisions
        self._results["warnings"] = []
        return runtime
