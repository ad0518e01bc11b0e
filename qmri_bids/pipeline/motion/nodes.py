"""The nodes of a pc-bSSFP run that align its cycles, clean them of ringing and leave out those that moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.volumes import load_mask, load_volume, save_motion, save_volume
from qmri_bids.units import millimetres_to_metres


class _CyclesOutput(TraitedSpec):
    cycles = File(exists=True, desc="complex phase cycles, 4D")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class _CorrectMotionInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D")
    brain = File(exists=True, desc="mask of the brain in the images as scanned; the whole head without one")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="processes; does not change the result")


class _CorrectMotionOutput(_CyclesOutput):
    motion = File(exists=True, desc="transforms, parameters and framewise displacement (npz)")


class CorrectMotion(SimpleInterface):
    """Align the cycles rigidly to the middle one."""

    input_spec = _CorrectMotionInput
    output_spec = _CorrectMotionOutput
    needs = NodeMemory(fixed=340e6, per_value=300, parallel=True, per_worker=160e6, per_worker_voxel=60)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.motion.phase_cycles import correct_motion

        cycles, affine = load_volume(self.inputs.cycles)
        result = correct_motion(
            cycles,
            affine=affine,
            protocol=self.inputs.protocol,
            brain=load_mask(self.inputs.brain, shape=cycles.shape[:3]),
            processes=self.inputs.processes,
        )
        folder = Path(runtime.cwd)
        self._results["motion"] = save_motion(folder, result)
        self._results["cycles"] = save_volume(folder / "cycles.nii", result.cycles, affine)
        self._results["decisions"] = list(result.decisions)
        return runtime


class _RemoveGibbsInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles as scanned, 4D")
    method = traits.Str(mandatory=True, desc="key of the table of methods")
    in_slices = traits.Bool(False, usedefault=True, desc="whether slices were excited one by one")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="processes; does not change the result")


class RemoveGibbs(SimpleInterface):
    """Remove Gibbs ringing from cycles as scanned."""

    input_spec = _RemoveGibbsInput
    output_spec = _CyclesOutput
    needs = NodeMemory(fixed=250e6, per_value=32, parallel=True, per_worker_voxel=60)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.gibbs.methods import remove_ringing

        cycles, affine = load_volume(self.inputs.cycles)
        result = remove_ringing(
            cycles,
            method=self.inputs.method,
            in_slices=self.inputs.in_slices,
            processes=self.inputs.processes,
        )
        self._results["cycles"] = save_volume(Path(runtime.cwd) / "cycles.nii", result.volumes, affine)
        self._results["decisions"] = list(result.decisions)
        return runtime


def check_estimator(name: str, weights_folder: Path | None, protocol: Any) -> None:
    """Raise `ProtocolNotSupported` if an estimator does not serve the cycles of a protocol."""
    from qmri_bids.estimation.base import EstimatorOptions
    from qmri_bids.estimation.estimators import ESTIMATORS

    ESTIMATORS[name].create(EstimatorOptions(weights_folder=weights_folder)).check(protocol)


class _CensorCyclesInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="PcBssfpRun")
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D, aligned")
    motion = File(exists=True, mandatory=True, desc="result of the motion correction (npz)")
    threshold = traits.Float(mandatory=True, desc="largest framewise displacement [m]")
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    weights_folder = traits.Str(desc="folder searched for weights before those of the package")


class _CensorCyclesOutput(_CyclesOutput):
    motion = File(exists=True, desc="the motion, with the cycles that were left out and the increments of all (npz)")
    run = traits.Any(desc="the run with the protocol of the cycles that are left")
    protocol = traits.Any(desc="BssfpProtocol of the cycles that are left")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class CensorCycles(SimpleInterface):
    """Leave out the cycles before which the head moved further than a threshold."""

    input_spec = _CensorCyclesInput
    output_spec = _CensorCyclesOutput
    needs = NodeMemory(fixed=300e6, per_value=24)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.base import ProtocolNotSupported
        from qmri_bids.preprocessing.motion.censoring import censor, too_few

        run, folder = self.inputs.run, Path(runtime.cwd)
        cycles, affine = load_volume(self.inputs.cycles)
        with np.load(self.inputs.motion) as stored:
            motion = {name: stored[name] for name in stored.files}
        found = censor(motion["framewise_displacement"], threshold=self.inputs.threshold, noun="cycle")
        increments = run.protocol.rf_phase_increment
        kept = np.flatnonzero(~found.censored)
        if len(kept) < 3:
            raise too_few(found, needed=3, noun="cycle")
        protocol = replace(run.protocol, rf_phase_increment=tuple(increments[index] for index in kept))
        weights = Path(self.inputs.weights_folder) if isdefined(self.inputs.weights_folder) else None
        try:
            check_estimator(self.inputs.estimator, weights, protocol)
        except ProtocolNotSupported as refused:
            raise ValueError(
                f"--fd-threshold left {len(kept)} of {len(increments)} cycles, which the estimator does not serve: expected "
                f"{refused.expected}, found {refused.found}. {refused.advice}"
            ) from refused
        np.savez(folder / "motion.npz", **motion, censored=found.censored, rf_phase_increment=np.asarray(increments))
        self._results["cycles"] = (
            save_volume(folder / "cycles.nii", cycles[..., kept], affine)
            if found.censored.any()
            else self.inputs.cycles
        )
        self._results["motion"] = str(folder / "motion.npz")
        self._results["run"] = replace(run, protocol=protocol)
        self._results["protocol"] = protocol
        self._results["decisions"] = list(found.decisions)
        self._results["warnings"] = list(found.warnings)
        return runtime


class _CalibrateCyclesInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="PcBssfpRun, with the protocol of these cycles")
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D, aligned")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    motion = File(exists=True, desc="result of the motion correction (npz), with the cycles that were left out")
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    weights_folder = traits.Str(desc="folder searched for weights before those of the package")
    seed = traits.Int(0, usedefault=True, desc="of the choice of voxels")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="threads; does not change the result")


class _CalibrateCyclesOutput(_CensorCyclesOutput):
    motion = File(desc="the motion, with the cycles that were left out and the increments of all (npz)")
    calibration = File(exists=True, desc="frequency, gain and phase of every cycle of the scan (npz)")


class CalibrateCycles(SimpleInterface):
    """Remove what gain, phase and frequency every cycle has of its own, and leave out one that does not follow the others."""

    input_spec = _CalibrateCyclesInput
    output_spec = _CalibrateCyclesOutput
    needs = NodeMemory(fixed=700e6, per_value=30, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.base import ProtocolNotSupported
        from qmri_bids.preprocessing.calibration.cycles import calibrate_cycles

        run, folder = self.inputs.run, Path(runtime.cwd)
        cycles, affine = load_volume(self.inputs.cycles)
        motion: dict[str, Any] = {}
        if isdefined(self.inputs.motion):
            with np.load(self.inputs.motion) as stored:
                motion = {name: stored[name] for name in stored.files}
        increments = np.asarray(motion.get("rf_phase_increment", run.protocol.rf_phase_increment))
        here = np.flatnonzero(~np.asarray(motion.get("censored", np.zeros(len(increments), dtype=bool)), dtype=bool))
        weights = Path(self.inputs.weights_folder) if isdefined(self.inputs.weights_folder) else None

        def serves(protocol: Any) -> bool:
            try:
                check_estimator(self.inputs.estimator, weights, protocol)
            except ProtocolNotSupported:
                return False
            return True

        found = calibrate_cycles(
            cycles,
            mask=load_volume(self.inputs.mask)[0] > 0,
            protocol=run.protocol,
            numbers=[int(index) + 1 for index in here],
            serves=serves,
            voxel_size=millimetres_to_metres(float(np.linalg.norm(affine[:3, :3], axis=0).max())),
            seed=self.inputs.seed,
            threads=self.inputs.processes,
        )
        left_out = np.zeros(len(increments), dtype=bool)
        left_out[here[found.left_out]] = True
        if motion and (left_out.any() or "censored" in motion):
            censored = np.ones(len(increments), dtype=bool)
            censored[here[~found.left_out]] = False
            motion |= {"censored": censored, "rf_phase_increment": increments}

        def of_scan(values: Any) -> Any:
            full = np.full(len(increments), np.nan)
            full[here] = values
            return full

        np.savez(
            folder / "calibration.npz",
            rf_phase_increment=increments,
            left_out=left_out,
            **{
                name: of_scan(getattr(found, name))
                for name in ("frequency", "frequency_stdev", "gain", "gain_stdev", "phase")
            },
        )
        if motion:
            np.savez(folder / "motion.npz", **motion)
            self._results["motion"] = str(folder / "motion.npz")
        self._results["cycles"] = save_volume(folder / "cycles.nii", found.cycles, affine)
        self._results["calibration"] = str(folder / "calibration.npz")
        self._results["run"] = replace(run, protocol=found.protocol) if left_out.any() else run
        self._results["protocol"] = found.protocol
        self._results["decisions"] = list(found.decisions)
        self._results["warnings"] = list(found.warnings)
        return runtime
