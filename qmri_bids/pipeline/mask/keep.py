"""The nodes that keep what is done of a run as soon as it is done: its mask and its motion, whatever fails later."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import map_metadata, raw_uris
from qmri_bids.bids.write import atomic_path, write_map
from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.pipeline.earlier.mask_record import file_of_person, mask_output, mask_record
from qmri_bids.pipeline.mask.report import mask_check
from qmri_bids.pipeline.volumes import load_mask, load_mean, load_volume
from qmri_bids.reports.content import RunReport, Section

KEEPING_NODES = ("keep_mask", "keep_motion")
"""Nodes whose folder holds `PARTIAL`, in the order of the report."""

PARTIAL = "partial.pickle"
"""What they add to the report of a run that fails later."""


class _KeepInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="the run, or the series of a fingerprint")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    bids_dir = Directory(exists=True, mandatory=True, desc="root of the raw dataset")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")


class _KeepOutput(TraitedSpec):
    partial = File(exists=True, desc="what a report can show of the run so far")


class _KeepMaskInput(_KeepInput):
    cycles = File(exists=True, mandatory=True, desc="phase cycles or magnitudes as scanned, 4D")
    volumes = traits.List(traits.Int, desc="which of them are averaged; all by default")
    mask = File(exists=True, mandatory=True, desc="mask that was found, or given")
    section = traits.Str(mandatory=True, desc="where the report shows the images as scanned")
    found = traits.Dict(
        desc="what it holds and what speaks for it; none of a mask that was given, which stays as it is"
    )


class KeepMask(SimpleInterface):
    """Write the mask as found, and draw the scan with it."""

    input_spec = _KeepMaskInput
    output_spec = _KeepOutput
    needs = NodeMemory(fixed=400e6, per_voxel=60, per_value=8)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.reports.figure_table import mask_figure

        inputs = self.inputs
        magnitude, affine = load_mean(inputs.cycles, volumes=inputs.volumes)
        mask = load_mask(inputs.mask, shape=magnitude.shape)
        assert mask is not None  # the input is mandatory
        files: list[Path] = []
        found = dict(inputs.found) if isdefined(inputs.found) else None
        if found is not None:
            output = mask_output(found["kind"])
            path = output_path(Path(inputs.output_dir), entities=inputs.run.entities, output=output)
            metadata = map_metadata(
                output,
                sources=_sources(inputs.run, bids_dir=Path(inputs.bids_dir)),
                extra=mask_record(mask, by_hand=False),
            )
            if not file_of_person(path, besides=mask):
                write_map(path, mask, affine=affine, metadata=metadata)
            files.append(path)
        figure = mask_figure(
            magnitude,
            mask=mask,
            affine=affine,
            image_name="mean of the images as scanned",
            section=Section(inputs.section),
        )
        report = RunReport(
            **_partial(inputs, files=files),
            checks=() if found is None else (mask_check(found),),
            figures=(figure,),
            warnings=inputs.run.warnings,
        )
        self._results["partial"] = _save(Path(runtime.cwd), report)
        return runtime


class _KeepMotionInput(_KeepInput):
    motion = File(exists=True, mandatory=True, desc="result of the motion correction (npz)")
    affine_of = File(exists=True, mandatory=True, desc="image on the grid of the series")


class KeepMotion(SimpleInterface):
    """Write the motion as found, and draw it."""

    input_spec = _KeepMotionInput
    output_spec = _KeepOutput
    needs = NodeMemory(fixed=400e6)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.pipeline.motion.files import write_run_motion
        from qmri_bids.pipeline.results.report_parts import motion_light
        from qmri_bids.reports.figure_table import motion_figure

        inputs = self.inputs
        with np.load(inputs.motion) as stored:
            motion = {name: stored[name] for name in stored.files}
        files = write_run_motion(
            motion,
            run=inputs.run,
            sources=_sources(inputs.run, bids_dir=Path(inputs.bids_dir)),
            output_dir=Path(inputs.output_dir),
        )
        noun = inputs.run.volume_noun
        figure = motion_figure(
            motion["parameters"], motion["framewise_displacement"], reference=int(motion["reference"]), noun=noun
        )
        light = motion_light(motion, affine=load_volume(inputs.affine_of)[1], noun=noun)
        report = RunReport(**_partial(inputs, files=files), checks=(light,), figures=(figure,))
        self._results["partial"] = _save(Path(runtime.cwd), report)
        return runtime


def _sources(run: Any, *, bids_dir: Path) -> list[str]:
    """Return the raw images of a run as sidecars name them."""
    return raw_uris(run.paths, bids_dir=bids_dir)


def _partial(inputs: Any, *, files: Sequence[Path]) -> dict[str, Any]:
    """Return what every part of a report says of its run."""
    run, root = inputs.run, Path(inputs.output_dir)
    return {
        "title": run.title,
        "session": run.entities.get("ses", ""),
        "entities": {key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
        "decisions": tuple(inputs.decisions) if isdefined(inputs.decisions) else (),
        "outputs": tuple(path.relative_to(root).as_posix() for path in files),
    }


def _save(folder: Path, report: RunReport) -> str:
    path = folder / PARTIAL
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(report))
    return str(path)


STAYS = (
    "The run failed after this. Its mask and its motion stay in the output folder, and the next call goes on from them; maps of "
    "an earlier call were removed. If the mask is to blame, correct it in any editor (in place, or given with --mask-file) or let "
    "it be found otherwise (--mask-method)."
)
"""What a person can do with what was done."""


def joined(parts: Sequence[RunReport], *, ending: str = STAYS) -> RunReport:
    """Return the report of a run as far as it got.

    Parameters
    ----------
    parts
        One or more, from `PARTIAL` of the nodes that ended.
    ending
        Sentence that says why there is no more.
    """
    first = parts[0]
    return RunReport(
        title=first.title,
        session=first.session,
        entities=first.entities,
        checks=tuple(each for part in parts for each in part.checks),
        decisions=(*dict.fromkeys(sentence for part in parts for sentence in part.decisions), ending),
        warnings=tuple(each for part in parts for each in part.warnings),
        figures=tuple(each for part in parts for each in part.figures),
        outputs=tuple(dict.fromkeys(each for part in parts for each in part.outputs)),
    )
