"""The node that computes images of other contrast, and bSSFP without bands, from what was estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from nipype.pipeline import engine as pe
from numpy.typing import NDArray

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.estimation.base import PAIRS
from qmri_bids.estimation.images.banding import crossing_pairs, geometric_solution, root_of_squares
from qmri_bids.estimation.images.synthetic import FluidTimes, TwoWays, WaterMaps, synthetic_image
from qmri_bids.physics.sequences import USUAL_FIELD, all_requested
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.estimate_file import StoredEstimate
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.quantity import STDEV
from qmri_bids.sentence import count_of
from qmri_bids.units import radians_to_degrees

SYNTHETIC, BAND_FREE = "synthetic_", "bandfree_"
"""How the names of both kinds of images begin."""

APPARENT, FREED = "apparent", "mtcorrected"
"""Which T1 images are computed from: that of one pool, or T1 as an inversion recovery sees it with M0 of free water."""

_MAPS = {APPARENT: {"T1": "T1", "M0": "M0"}, FREED: {"T1": "mtcorrected_T1", "M0": "free_M0"}}

UNTOLD = 2.0
"""Standard deviation over the median of the image beyond which a voxel has none: a few such voxels outshine all others."""

IMAGE_MAPS = ("T1", "T2", "M0", "fluid")
"""Maps of which both explanations of a voxel have their own."""

Images = dict[str, NDArray[np.floating]]


def images_node(options: ProcessingOptions, *, relaxation: str) -> pe.Node | None:
    """Return the node that makes the images that a call asks for; None where it asks for none of this kind of run."""
    methods = list(options.banding_free) if relaxation == APPARENT else []
    if not options.synthetic and not methods:
        return None
    interface = MakeImages(synthetic=list(options.synthetic), banding_free=methods, relaxation=relaxation)
    return pe.Node(interface, name="make_images")


class _MakeImagesInput(BaseInterfaceInputSpec):
    estimate = File(
        exists=True, mandatory=True, desc="maps with their standard deviations and what goes with them (npz)"
    )
    cycles = File(exists=True, desc="complex phase cycles as estimated, 4D; for images without bands alone")
    protocol = traits.Any(mandatory=True, desc="BssfpProtocol of these cycles")
    synthetic = traits.List(traits.Str, desc="images to compute, as the command line names them")
    banding_free = traits.List(traits.Str, desc="ways to an image without bands")
    relaxation = traits.Enum(APPARENT, FREED, usedefault=True, desc="which T1 and M0 images are computed from")


class _MakeImagesOutput(TraitedSpec):
    images = File(exists=True, desc="images and standard deviations by name of the map (npz)")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class MakeImages(SimpleInterface):
    """Compute images of other contrast, and bSSFP without bands, with their standard deviations."""

    input_spec = _MakeImagesInput
    output_spec = _MakeImagesOutput
    needs = NodeMemory(fixed=300e6, per_voxel=600, per_value=120)

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        stored = StoredEstimate(Path(inputs.estimate))
        images: Images = {}
        decisions: list[str] = []
        warnings: list[str] = []
        if inputs.synthetic:
            made, said = synthetic_images(
                stored,
                requests=inputs.synthetic,
                field_strength=inputs.protocol.field_strength,
                relaxation=inputs.relaxation,
            )
            images |= made
            decisions += said
        if inputs.banding_free:
            cycles = load_volume(inputs.cycles)[0] if isdefined(inputs.cycles) else None
            made, said, warnings = band_free_images(
                stored, cycles, methods=inputs.banding_free, rf_phase_increment=inputs.protocol.rf_phase_increment
            )
            images |= made
            decisions += said
        path = Path(runtime.cwd) / "images.npz"
        np.savez(path, **dict[str, Any](images))
        self._results["images"] = str(path)
        self._results["decisions"] = decisions
        self._results["warnings"] = warnings
        return runtime


def synthetic_images(
    stored: StoredEstimate, *, requests: Sequence[str], field_strength: float | None, relaxation: str
) -> tuple[Images, list[str]]:
    """Return images of other contrast by name, each with its standard deviation, and sentences.

    Parameters
    ----------
    stored
        What was estimated.
    requests
        Images as the command line names them.
    field_strength
        Field [T]; None where it is not known.
    relaxation
        `apparent` or `mtcorrected`.
    """
    maps, said = _water(stored, relaxation)
    inside = stored.status[""] != 0
    voxels = _of(maps, inside)
    ways = _two_ways(stored, fluid=maps.fluid, inside=inside)
    images: Images = {}
    for request in all_requested(requests):
        contrast = request.contrast(field_strength=field_strength)
        name = f"{SYNTHETIC}{request.name}"
        image, stdev = synthetic_image(contrast, voxels if ways is None or relaxation == FREED else ways)
        if ways is not None and relaxation == FREED:
            lone = (~np.isfinite(stored.arrays["mtcorrected_T1"]) & (stored.arrays["T2"] > FLUID_T2))[inside]
            image, stdev = (
                np.where(lone, own, each)
                for own, each in zip(synthetic_image(contrast, ways), (image, stdev), strict=True)
            )
        known = np.isfinite(image)
        median = np.median(image[known]) if known.any() else np.nan
        untold = known & ~(stdev <= UNTOLD * median)
        for end, values in (("", image), (STDEV, stdev)):
            images[f"{name}{end}"] = _whole(np.where(untold, np.nan, values), inside)
        number = int(np.count_nonzero(untold))
        beyond = f" There is none in {count_of(number, 'voxel')}: the standard deviation would exceed {UNTOLD:g} times its median."
        said.append(f"Synthetic {contrast.sentence}{beyond if number else ''}")
    if field_strength is None:
        said.append(f"The field of the scan is not stated: usual parameters are those of {USUAL_FIELD:g} T.")
    return images, said


def _of(maps: WaterMaps, inside: NDArray[np.bool_]) -> WaterMaps:
    """Return maps of some voxels."""
    return WaterMaps(
        values={name: each[inside] for name, each in maps.values.items()},
        stdev={name: each[inside] for name, each in maps.stdev.items()},
        correlation={pair: each[inside] for pair, each in maps.correlation.items()},
        fluid=maps.fluid,
    )


def _two_ways(stored: StoredEstimate, *, fluid: FluidTimes | None, inside: NDArray[np.bool_]) -> TwoWays | None:
    """Return both explanations of the voxels; None where there is one."""
    if stored.joint is None or not stored.joint.ways or fluid is None:
        return None
    arrays = stored.joint.ways

    def way(name: str, *, fluid: FluidTimes | None) -> WaterMaps:
        names = IMAGE_MAPS[: 3 if fluid is None else 4]
        maps = WaterMaps(
            values={key: arrays[f"{name}_{key}"] for key in names},
            stdev={key: arrays[f"{name}_{key}{STDEV}"] for key in names},
            correlation={pair: arrays[f"{name}_{'_'.join(pair)}"] for pair in PAIRS if {*pair} <= {*names}},
            fluid=fluid,
        )
        return _of(maps, inside)

    return TwoWays(
        alone=way("alone", fluid=None), together=way("together", fluid=fluid), probability=arrays["probability"][inside]
    )


def _water(stored: StoredEstimate, relaxation: str) -> tuple[WaterMaps, list[str]]:
    """Return what images are computed from, and sentences."""
    arrays, joint, constants = stored.arrays, stored.joint, stored.constants
    names = _MAPS[relaxation] | {"T2": "T2"}
    values = {name: arrays[own] for name, own in names.items()}
    stdev = {name: arrays[f"{own}{STDEV}"] for name, own in names.items()}
    said = []
    if relaxation == FREED:
        said.append(
            "Synthetic images were computed from T1 as an inversion recovery sees it, M0 of free water and T2 of pc-bSSFP."
        )
        alone = ~np.isfinite(values["T1"]) & (arrays["T2"] > FLUID_T2)
        if alone.any():
            for name in names:
                values[name] = np.where(alone, arrays[name], values[name])
                stdev[name] = np.where(alone, arrays[f"{name}{STDEV}"], stdev[name])
            said.append(
                f"In {count_of(int(np.count_nonzero(alone)), 'voxel')} of fluid, which has no semisolid pool, they were "
                "computed from its T1 and M0 as they are."
            )
    else:
        said.append(
            "Synthetic images were computed from the apparent T1 of bSSFP: in tissue it is lower than that of an inversion "
            "recovery, by magnetization transfer, and contrast by T1 is changed by as much."
        )
    fluid = None
    correlation: Mapping[tuple[str, str], NDArray[Any]] = {}
    if joint is None:
        said.append("The estimate does not tell how errors of T1, T2 and M0 go together: they count as independent.")
    else:
        correlation = joint.correlation
        if "FluidT1" in constants:
            values["fluid"], stdev["fluid"] = joint.fluid, joint.fluid_stdev
            fluid = FluidTimes(
                t1=constants["FluidT1"],
                t2=constants["FluidT2"],
                t1_stdev=constants["FluidT1StandardDeviation"],
                t2_stdev=constants["FluidT2StandardDeviation"],
            )
            share = joint.ways["probability"] if joint.ways else joint.fluid - 0.01 * values["M0"]
            number = int(np.count_nonzero(share > 0.0))
            if number:
                said.append(
                    f"In {count_of(number, 'voxel')} tissue shares its place with fluid of T1 {fluid.t1:.2g} s and T2 "
                    f"{fluid.t2:.2g} s: the signals of both were added up."
                )
            if joint.ways and relaxation == APPARENT:
                said.append(
                    "There the image is the mean of what tissue alone and tissue with fluid would give, by their probability; T1 "
                    "and T2 of tissue beside fluid are known to spread as in the rest of the scan."
                )
    return WaterMaps(values=values, stdev=stdev, correlation=correlation, fluid=fluid), said


FLUID_T2 = 0.2
"""Apparent T2 [s] above which a voxel is fluid, which has no semisolid pool."""


def band_free_images(
    stored: StoredEstimate,
    cycles: NDArray[np.complexfloating] | None,
    *,
    methods: Sequence[str],
    rf_phase_increment: Sequence[float],
) -> tuple[Images, list[str], list[str]]:
    """Return images without bands by name, each with its standard deviation, sentences and warnings.

    Parameters
    ----------
    stored
        What was estimated.
    cycles
        Complex cycles as they were estimated, shape (X, Y, Z, N); None where only the model is asked for.
    methods
        Of `pipeline.options.BANDING_FREE`.
    rf_phase_increment
        Increments of the cycles [rad].
    """
    images: Images = {}
    said: list[str] = []
    warnings: list[str] = []
    noise = stored.arrays.get("noise")
    for method in methods:
        name = f"{BAND_FREE}{method}"
        if method == "model":
            if stored.joint is None:
                warnings.append(
                    "There is no bSSFP image of the fitted profile: this estimator does not keep its amplitude."
                )
                continue
            images[name], images[f"{name}{STDEV}"] = stored.joint.amplitude, stored.joint.amplitude_stdev
            said.append("bSSFP without bands is the amplitude of the fitted profile of every voxel.")
            continue
        assert cycles is not None
        if method == "geometric":
            pairs = crossing_pairs(rf_phase_increment)
            if not pairs:
                shown = ", ".join(f"{radians_to_degrees(each):.4g}" for each in rf_phase_increment)
                warnings.append(
                    "There is no geometric solution of bSSFP: it needs two pairs of cycles half a turn apart, one 20° or more "
                    f"from the other, and the increments are {shown}°; --banding-free model takes any."
                )
                continue
            said.append(f"The geometric solution of bSSFP was found of {len(pairs)} pairs of cycles half a turn apart.")
        found = np.full((2, *cycles.shape[:3]), np.nan, dtype=np.float32)
        for place in range(cycles.shape[2]):  # slice by slice: it takes several times the memory of its cycles
            level = None if noise is None else noise[:, :, place]
            part = np.asarray(cycles[:, :, place])
            found[:, :, :, place] = (
                geometric_solution(part, rf_phase_increment=rf_phase_increment, noise=level)
                if method == "geometric"
                else root_of_squares(part, noise=level)
            )
        images[name], images[f"{name}{STDEV}"] = found
    return images, said, warnings


def _whole(values: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    full = np.full(inside.shape, np.nan, dtype=np.float32)
    full[inside] = values
    return full
