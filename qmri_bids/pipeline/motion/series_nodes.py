"""The nodes of CEST and MT runs: from raw files to series on one grid, and tissues told apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits
from numpy.typing import NDArray

from qmri_bids.engine.input_content import ReadsFiles
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.tissues.nodes import NO_BRAIN
from qmri_bids.pipeline.volumes import load_mask, load_volume, save_motion, save_volume
from qmri_bids.tissue_labels import FLUID, GREY, WHITE

if TYPE_CHECKING:
    from qmri_bids.preprocessing.motion.saturated import SaturatedMotion


class _LoadSeriesInput(ReadsFiles):
    paths = traits.List(traits.Str, mandatory=True, desc="magnitude images of one grid, 3D or 4D")
    volumes = traits.List(traits.Int, desc="which volumes of them; all by default")
    roles = traits.List(traits.Str, desc="what each of these volumes is")
    offsets = traits.List(desc="offset of each [ppm], None without one; of series that are normalised by their m0")
    smooth = traits.Bool(False, usedefault=True, desc="whether the saturated volumes make up a spectrum")
    taper = traits.Bool(False, usedefault=True, desc="whether Gibbs ringing is removed by tapering k-space")
    noise_sd = traits.Float(desc="standard deviation of the noise of one volume, where it is stated")


class _LoadSeriesOutput(TraitedSpec):
    series = File(exists=True, desc="magnitudes as scanned, 4D")
    reference_volumes = traits.List(traits.Int, desc="volumes of full signal: the contrast in which the head is found")
    noise = traits.Either(
        traits.Float, None, desc="standard deviation of one volume; None where the aligned series tells it"
    )
    noise_before = traits.Either(traits.Float, None, desc="what it was before the series was denoised, if it was")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class LoadSeries(SimpleInterface):
    """Read the images of a run as one series; tell the noise of a few images, and of a series that was denoised before."""

    input_spec = _LoadSeriesInput
    output_spec = _LoadSeriesOutput
    needs = NodeMemory(fixed=270e6, per_value=18)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.content.spectra import check_spectrum
        from qmri_bids.preprocessing.loading.noise import noise_as_read
        from qmri_bids.preprocessing.loading.series import read_series

        read = read_series(
            [Path(each) for each in self.inputs.paths],
            volumes=self.inputs.volumes if isdefined(self.inputs.volumes) else None,
            saturated=isdefined(self.inputs.roles),
        )
        doubts: tuple[str, ...] = ()
        if isdefined(self.inputs.offsets):
            doubts = check_spectrum(
                read.volumes, offsets=self.inputs.offsets, roles=self.inputs.roles, smooth=self.inputs.smooth
            )
        noise = noise_as_read(
            read.volumes,
            affine=read.affine,
            stated=self.inputs.noise_sd if isdefined(self.inputs.noise_sd) else None,
            saturated=isdefined(self.inputs.roles),
        )
        series, affine, decisions = read.volumes, read.affine, list(read.decisions)
        if self.inputs.taper:
            from qmri_bids.preprocessing.gibbs.apodization import apodize_magnitudes

            series, said = apodize_magnitudes(series)
            decisions += said
        if isdefined(self.inputs.roles):
            full = [index for index, role in enumerate(self.inputs.roles) if role == "m0"]
            if not full:
                full = [int(np.argmax(series.mean(axis=(0, 1, 2))))]
                decisions.append(
                    f"No volume is unsaturated: the head is looked for in the brightest, volume {full[0] + 1}."
                )
        else:
            full = [0]
        self._results["series"] = save_volume(Path(runtime.cwd) / "series.nii", series, affine)
        self._results["reference_volumes"] = full
        self._results["noise"] = noise.level
        self._results["noise_before"] = noise.before
        self._results["decisions"] = [*decisions, *noise.decisions]
        self._results["warnings"] = [*read.warnings, *doubts, *noise.warnings]
        return runtime


FRINGED = ("wasabi", "wassr")
"""Kinds of runs whose volumes differ by patterns that move with the offset."""


class _AlignSeriesInput(BaseInterfaceInputSpec):
    protocol = traits.Any(desc="SaturationProtocol of a long series; none of a few images of different contrast")
    roles = traits.List(traits.Str, desc="what each volume of the protocol is")
    kind = traits.Str("", usedefault=True, desc="kind of the CEST run")
    threshold = traits.Float(
        desc="largest framewise displacement of a volume that is estimated [m]; without one all are"
    )
    droppable = traits.Bool(True, usedefault=True, desc="whether the estimation can do without single volumes")
    series = File(exists=True, mandatory=True, desc="magnitudes as scanned, 4D")
    brain = File(exists=True, desc="mask of the brain in the images as scanned; the whole head without one")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="processes; does not change the result")


class _AlignSeriesOutput(TraitedSpec):
    series = File(exists=True, desc="aligned magnitudes, 4D")
    motion = File(exists=True, desc="transforms, parameters and framewise displacement (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class AlignSeries(SimpleInterface):
    """Align the volumes of a run rigidly."""

    input_spec = _AlignSeriesInput
    output_spec = _AlignSeriesOutput
    needs = NodeMemory(fixed=320e6, per_value=75, parallel=True, per_worker=150e6)

    def _run_interface(self, runtime: Any) -> Any:
        series, affine = load_volume(self.inputs.series)
        result = self._aligned(series, affine)
        extra: dict[str, Any] = {}
        decisions: list[str] = list(result.decisions)
        warnings: list[str] = []
        if isdefined(self.inputs.threshold):
            from qmri_bids.preprocessing.motion.censoring import censor_saturated

            found = censor_saturated(
                result.framewise_displacement,
                threshold=self.inputs.threshold,
                roles=list(self.inputs.roles) if isdefined(self.inputs.protocol) else (),
                droppable=self.inputs.droppable,
            )
            extra["censored"] = found.censored
            decisions += found.decisions
            warnings += found.warnings
        folder = Path(runtime.cwd)
        self._results["motion"] = save_motion(folder, result, trusted=result.trusted, **extra)
        self._results["series"] = save_volume(folder / "series.nii", result.volumes, affine)
        self._results["decisions"] = decisions
        self._results["warnings"] = warnings
        return runtime

    def _aligned(self, series: NDArray[Any], affine: NDArray[np.float64]) -> SaturatedMotion:
        """Return the aligned volumes and their motion."""
        from qmri_bids.preprocessing.motion.saturated import correct_saturated_motion
        from qmri_bids.preprocessing.motion.scan_series import align_fringes, align_scans

        if self.inputs.kind in FRINGED:
            roles = list(self.inputs.roles)
            reference = roles.index("m0") if "m0" in roles else int(np.argmax(series.mean(axis=(0, 1, 2))))
            return align_fringes(
                series,
                affine=affine,
                reference=reference,
                brain=load_mask(self.inputs.brain, shape=series.shape[:3]),
                processes=self.inputs.processes,
            )
        if not isdefined(self.inputs.protocol):
            return align_scans(series, affine=affine)
        protocol = self.inputs.protocol
        return correct_saturated_motion(
            series,
            affine=affine,
            roles=tuple(self.inputs.roles),
            offsets=protocol.offsets,
            b1_rms=tuple(0.0 if each.saturation is None else each.saturation.b1_rms for each in protocol.images),
            brain=load_mask(self.inputs.brain, shape=series.shape[:3]),
            processes=self.inputs.processes,
        )


class _DenoiseSeriesInput(BaseInterfaceInputSpec):
    series = File(exists=True, mandatory=True, desc="aligned magnitudes, 4D")
    mask = File(exists=True, mandatory=True, desc="where to denoise")
    noise = traits.Either(traits.Float, None, desc="standard deviation of one volume, where it is known")
    noise_before = traits.Either(
        traits.Float, None, desc="that of the noise before, of a series that was denoised already"
    )


class _DenoiseSeriesOutput(TraitedSpec):
    series = File(exists=True, desc="denoised magnitudes, 4D")
    noise = traits.Either(
        traits.Float, None, desc="standard deviation of one volume after it; None where nothing was done"
    )
    noise_before = traits.Either(traits.Float, None, desc="standard deviation of the noise of one volume before")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class DenoiseSeries(SimpleInterface):
    """Denoise an aligned series by principal components of patches."""

    input_spec = _DenoiseSeriesInput
    output_spec = _DenoiseSeriesOutput
    needs = NodeMemory(fixed=420e6, per_value=40)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.denoising import denoise_series

        series, affine = load_volume(self.inputs.series)
        found = denoise_series(
            series,
            mask=load_volume(self.inputs.mask)[0] > 0,
            noise=self.inputs.noise if isdefined(self.inputs.noise) else None,
            noise_before=self.inputs.noise_before if isdefined(self.inputs.noise_before) else None,
        )
        self._results["series"] = save_volume(Path(runtime.cwd) / "series.nii", found.series, affine)
        self._results["noise"], self._results["noise_before"] = found.left, found.before
        self._results["decisions"], self._results["warnings"] = list(found.decisions), list(found.warnings)
        return runtime


class _BringSeriesInput(BaseInterfaceInputSpec):
    series = File(exists=True, mandatory=True, desc="magnitudes as scanned, 4D")
    aligned = File(exists=True, mandatory=True, desc="the same series, aligned")
    motion = File(exists=True, desc="result of the motion correction; none where motion was left alone")
    volumes = traits.List(traits.Int, mandatory=True, desc="volumes of full signal, by which the scans are registered")
    reference = File(exists=True, mandatory=True, desc="image of full signal of the other scan, on the grid asked for")
    label = traits.Str(mandatory=True, desc="name of the series, for the sentences")
    processes = traits.Int(1, usedefault=True, nohash=True, desc="threads; does not change the result")


class _BringSeriesOutput(TraitedSpec):
    series = File(exists=True, desc="magnitudes on the grid of the reference, 4D")
    motion = File(exists=True, desc="transforms from the reference to every volume as scanned, and the motion (npz)")
    registration = File(exists=True, desc="transform of the scan, similarity and its image of full signal (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class BringSeries(SimpleInterface):
    """Register a series to another scan of the session, and interpolate its volumes once, motion included."""

    input_spec = _BringSeriesInput
    output_spec = _BringSeriesOutput
    needs = NodeMemory(fixed=330e6, per_value=30, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.registration.resampling import common_coverage, resample_series
        from qmri_bids.preprocessing.registration.scans import register_scans

        inputs, folder = self.inputs, Path(runtime.cwd)
        volumes, moving_affine = load_volume(inputs.series)
        reference, affine = load_volume(inputs.reference)
        full = list(inputs.volumes)
        found = register_scans(
            reference,
            fixed_affine=affine,
            moving=load_volume(inputs.aligned)[0][..., full].mean(axis=3),
            moving_affine=moving_affine,
        )
        motion: dict[str, Any] = {"transforms": np.tile(np.eye(4), (volumes.shape[3], 1, 1))}
        if isdefined(inputs.motion):
            with np.load(inputs.motion) as stored:
                motion = {name: stored[name] for name in stored.files}
        grid: dict[str, Any] = {"affine": moving_affine, "target_shape": reference.shape, "target_affine": affine}
        motion["transforms"] = motion["transforms"] @ found.transform
        motion["coverage"] = common_coverage(motion["transforms"], shape=volumes.shape[:3], **grid)
        series = resample_series(volumes, transforms=motion["transforms"], threads=inputs.processes, **grid)
        np.savez(folder / "motion.npz", **motion)
        np.savez(
            folder / "registration.npz",
            **found.stored,
            anatomical=series[..., full].mean(axis=3),
        )
        self._results["series"] = save_volume(folder / "series.nii", series, affine)
        self._results["motion"] = str(folder / "motion.npz")
        self._results["registration"] = str(folder / "registration.npz")
        self._results["decisions"] = [
            f"The series {inputs.label}: {each}" for each in (*found.decisions, *found.warnings)
        ]
        return runtime


class _ClassifyTissueInput(BaseInterfaceInputSpec):
    maps = File(exists=True, mandatory=True, desc="maps by name (npz), volumes")
    mask = File(exists=True, mandatory=True, desc="brain mask")
    kind = traits.Str(BRAIN, usedefault=True, desc="of what the mask is: brain, or object, which has no tissues")


class _ClassifyTissueOutput(TraitedSpec):
    tissue = traits.Either(File(exists=True), None, desc="labels of grey matter, white matter and fluid")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


TISSUE_CONTRASTS: Mapping[str, tuple[int, int, int]] = {
    "T1": (WHITE, GREY, FLUID),
    "amplitude_MT": (FLUID, GREY, WHITE),
    "MTsat": (FLUID, GREY, WHITE),
    "MT_fraction": (FLUID, GREY, WHITE),
}
"""Maps that tell tissues apart, the best first, with the labels in ascending order of the map."""


def _telling(values: NDArray[Any], mask: NDArray[np.bool_]) -> bool:
    """Whether a map differs from voxel to voxel: a number that stands for a map does not."""
    inside = values[mask & np.isfinite(values)]
    return bool(inside.size and np.ptp(inside) > 0.0)


class ClassifyTissue(SimpleInterface):
    """Tell white matter, grey matter and fluid for statistics and mean spectra, from the best map that there is."""

    input_spec = _ClassifyTissueInput
    output_spec = _ClassifyTissueOutput
    needs = NodeMemory(fixed=500e6, per_voxel=350)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.preprocessing.tissues.classes import tissue_classes
        from qmri_bids.preprocessing.tissues.mixtures import TYPICAL_PROTOCOL
        from qmri_bids.preprocessing.tissues.pure import pure_tissue
        from qmri_bids.preprocessing.tissues.segmentation import segment_tissues

        if self.inputs.kind != BRAIN:
            self._results.update(tissue=None, decisions=[NO_BRAIN])
            return runtime
        image, affine = load_volume(self.inputs.mask)
        mask = image > 0
        with np.load(self.inputs.maps) as stored:
            maps = {name: stored[name] for name in TISSUE_CONTRASTS if name in stored}
            relaxation = {name: stored[name] for name in ("T1", "T2") if name in stored}
        name = next((each for each, values in maps.items() if _telling(values, mask)), None)
        if name is None:
            self._results["tissue"] = None
            self._results["decisions"] = [
                "Tissues were not told apart: there is no map of T1, MT saturation or the line or fraction of MT."
            ]
            return runtime
        if name == "T1":
            t2 = relaxation.get("T2")
            found = segment_tissues(
                relaxation["T1"],
                t2 if t2 is not None and _telling(t2, mask) else None,
                mask=mask,
                protocol=TYPICAL_PROTOCOL,  # Maps of both times are those of pc-bSSFP.
            )
            self._results["tissue"] = save_volume(Path(runtime.cwd) / "tissue.nii", found.labels, affine)
            self._results["decisions"] = [
                "Maps of another scan, brought here, tell the tissues.",
                *found.decisions,
                *pure_tissue(found.labels, mask=mask).decisions,
            ]
            return runtime
        labels, decisions = tissue_classes(maps[name], affine=affine, mask=mask, ascending=TISSUE_CONTRASTS[name])
        self._results["tissue"] = save_volume(Path(runtime.cwd) / "tissue.nii", labels, affine)
        self._results["decisions"] = [
            f"White matter, grey matter and fluid were told apart by {name}.",
            *decisions,
            *pure_tissue(labels, mask=mask).decisions,
        ]
        return runtime
