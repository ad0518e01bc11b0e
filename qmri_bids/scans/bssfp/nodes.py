"""The nodes of the workflows: few and fat, each one step that a reader of the methods would name.

A node reads and writes files in its own folder and calls the plain functions of `preprocessing` and `estimation`; what those
decided comes out as sentences. Heavy libraries are imported when a node runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.pipeline.results.estimate_file import save_estimate
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.pipeline.voxels import Voxels, network_sentences


class _CyclesOutput(TraitedSpec):
    cycles = File(exists=True, desc="complex phase cycles, 4D")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class _LoadCyclesInput(ReadsFiles):
    files = traits.Any(mandatory=True, desc="PcBssfpFiles: where magnitude and phase lie")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")


class LoadCycles(SimpleInterface):
    """Read the cycles as complex data in the sense of precession of the model."""

    input_spec = _LoadCyclesInput
    output_spec = _CyclesOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.bssfp.convention import precession_sense
        from qmri_bids.preprocessing.complex_data import load_cycles
        from qmri_bids.preprocessing.gibbs.k_space_edge import undo_alternation

        files, protocol = self.inputs.files, self.inputs.protocol
        series = load_cycles(
            magnitude=files.magnitude,
            phase=files.phase,
            real=files.real,
            imaginary=files.imaginary,
            complex_=files.complex_,
            phase_units=files.phase_units,
        )
        cycles = series.cycles
        if files.volumes and cycles.shape[-1] != len(files.volumes):
            cycles = cycles[..., list(files.volumes)]
        # Before anything else: what alternates in sign from slice to slice no interpolation and no mean survives.
        cycles, alternation = undo_alternation(cycles)
        sense = precession_sense(cycles, protocol=protocol)
        if sense.sign < 0:
            cycles = cycles.conj()
        self._results["cycles"] = save_volume(Path(runtime.cwd) / "cycles.nii", cycles, series.affine)
        self._results["decisions"] = [*series.decisions, *alternation, sense.sentence]
        return runtime


class _RemovePhaseDriftInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D, aligned")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    b1 = File(exists=True, desc="actual over nominal flip angle; 1 is assumed where none is given")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")
    seed = traits.Int(0, usedefault=True, desc="of the choice of voxels")


class _RemovePhaseDriftOutput(_CyclesOutput):
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class RemovePhaseDrift(SimpleInterface):
    """Remove receive phase that differs between cycles."""

    input_spec = _RemovePhaseDriftInput
    output_spec = _RemovePhaseDriftOutput

    def _run_interface(self, runtime: Any) -> Any:
        import torch

        from qmri_bids.preprocessing.phase_drift import remove_phase_drift

        torch.set_num_threads(1)  # several would add in another order
        cycles, affine = load_volume(self.inputs.cycles)
        mask = load_volume(self.inputs.mask)[0] > 0
        b1 = np.ones(mask.shape, dtype=np.float32)
        if isdefined(self.inputs.b1):
            b1 = load_volume(self.inputs.b1)[0]
        result = remove_phase_drift(cycles, mask=mask, b1=b1, protocol=self.inputs.protocol, seed=self.inputs.seed)
        self._results["cycles"] = save_volume(Path(runtime.cwd) / "cycles.nii", result.cycles, affine)
        self._results["decisions"] = list(result.decisions)
        self._results["warnings"] = list(result.warnings)
        return runtime


class _EstimateRelaxationInput(BaseInterfaceInputSpec):
    cycles = File(exists=True, mandatory=True, desc="complex phase cycles, 4D, preprocessed")
    mask = File(exists=True, mandatory=True, desc="where to estimate")
    b1 = File(exists=True, desc="actual over nominal flip angle; 1 is assumed where none is given")
    motion = File(exists=True, desc="result of the motion correction: where every cycle has data")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol")
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    weights_folder = traits.Str(desc="folder searched for weights before those of the package")
    weights_state = traits.Dict(desc="what tells one state of that folder from another")
    posterior = traits.Str(desc="prior under which posterior maps are computed too")
    device = traits.Str("cpu", usedefault=True, desc="where networks compute")
    processes = traits.Int(
        1, usedefault=True, nohash=True, desc="threads of compiled kernels; does not change the result"
    )


class _EstimateRelaxationOutput(TraitedSpec):
    estimate = File(exists=True, desc="values, stdev, residual, status and posterior (npz)")
    model = traits.Dict(desc="what identifies the model behind the estimator")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class EstimateRelaxation(SimpleInterface):
    """Estimate T1, T2, M0 and off-resonance with their uncertainty in every voxel of the mask."""

    input_spec = _EstimateRelaxationInput
    output_spec = _EstimateRelaxationOutput

    def _run_interface(self, runtime: Any) -> Any:
        import torch

        from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
        from qmri_bids.estimation.bssfp.convention import increment_reference_warning
        from qmri_bids.estimation.bssfp.table import ESTIMATORS

        voxels = Voxels(self.inputs.mask, motions=[self.inputs.motion])
        decisions = voxels.decisions
        b1 = np.ones(int(voxels.inside.sum()), dtype=np.float32)
        if isdefined(self.inputs.b1):
            b1 = voxels.signal(self.inputs.b1)
        protocol = self.inputs.protocol
        torch.set_num_threads(1)  # several would add in another order; compiled kernels take theirs voxel by voxel
        folder = Path(self.inputs.weights_folder) if isdefined(self.inputs.weights_folder) else None
        estimator = ESTIMATORS[self.inputs.estimator].create(
            EstimatorOptions(threads=self.inputs.processes, weights_folder=folder, device=self.inputs.device)
        )
        signal = voxels.signal(self.inputs.cycles)
        found = estimator.estimate(signal, protocol=protocol, known=KnownMaps(b1=b1))
        decisions += network_sentences(estimator, folder)
        posterior = None
        if isdefined(self.inputs.posterior):
            from qmri_bids.estimation.bssfp.posterior.maps import posterior_maps

            under_prior = posterior_maps(
                signal, b1=b1, protocol=protocol, prior=self.inputs.posterior, threads=self.inputs.processes
            )
            posterior = {name: (values, under_prior.stdev[name]) for name, values in under_prior.mean.items()}
            decisions.append(under_prior.sentence())
        path = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={name: (values, found.stdev.get(name)) for name, values in found.values.items()},
            residual=found.residual,
            status={"": found.status},
            posterior=posterior,
            # What the map of off-resonance is known up to: who takes it must know.
            off_resonance_period=1.0 / protocol.repetition_time,
        )
        warning = increment_reference_warning(found.values["off_resonance"], protocol=protocol)
        self._results["estimate"] = path
        self._results["model"] = dict(estimator.model)
        self._results["decisions"] = decisions
        self._results["warnings"] = [*estimator.remarks(protocol), *([warning] if warning else [])]
        return runtime
