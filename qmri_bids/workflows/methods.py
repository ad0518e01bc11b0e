"""What the methods text says of the runs of a participant."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids import __version__
from qmri_bids.pipeline.options import FULL, RESAMPLING, ProcessingOptions
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind
from qmri_bids.scans.methods import brain_mask, given_motion, spaces_and_anatomies
from qmri_bids.sentence import Sentence
from qmri_bids.workflows.run_kinds import RUN_KINDS

_FOLLOWED = Sentence(
    paragraph="preprocessing",
    text="Images within a run were rigidly registered to each other with ANTs [avants2011]; motion is summarised as framewise "
    "displacement [power2012].",
)


def _masks_and_motion(runs: Sequence[Run], options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences on what levels without maps do, each once."""
    sentences = [brain_mask(run, options) for run in runs]
    if "motion" not in options.ignore and any(options.earlier_motion(run.label) is None for run in runs):
        sentences.append(_FOLLOWED)
    sentences += [sentence for run in runs for sentence in given_motion(run, options)]
    if options.level == RESAMPLING and runs:
        sessions = [run.entities.get("ses", "") for run in runs]
        sentences += spaces_and_anatomies(sessions, options.spaces, maps=False)
    return [sentence for place, sentence in enumerate(sentences) if sentence not in sentences[:place]]


def method_sentences(runs: Sequence[Run], options: ProcessingOptions) -> list[Sentence]:
    """Return the sentences of the methods for what was done, each once.

    Parameters
    ----------
    runs
        Runs of the participant that passed the checks.
    options
        Estimator, steps left out.
    """
    sentences = [
        Sentence(
            paragraph="general",
            text="Results in this report come from qmri_bids {version}, a BIDS App [gorgolewski2017] for quantitative MRI, "
            "built on Nipype [gorgolewski2011] and nibabel [brett_nibabel]. Inputs and outputs follow "
            "the Brain Imaging Data Structure [gorgolewski2016] and its conventions for quantitative MRI [karakuzu2022].",
            values={"version": __version__},
        )
    ]
    if options.level != FULL:
        return [
            *sentences,
            Sentence(
                paragraph="general", text="Only masks and the motion of the head were found; no maps were estimated."
            ),
            *_masks_and_motion(runs, options),
        ]
    groups: dict[RunKind, list[Run]] = {}
    for run in runs:
        groups.setdefault(RUN_KINDS[run.kind], []).append(run)
    for kind, group in groups.items():
        sentences += kind.methods(group, options)
    if runs:
        sentences += spaces_and_anatomies([run.entities.get("ses", "") for run in runs], options.spaces)
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="Voxels without a valid estimate hold no number (NaN) in every map; the quality mask states the reason.",
            )
        )
    unique: list[Sentence] = []
    for sentence in sentences:
        if sentence not in unique:
            unique.append(sentence)
    return unique
