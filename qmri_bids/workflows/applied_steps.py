"""Which sentences of the methods hold for motion and brain masks that were taken from earlier derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from qmri_bids.reports.methods import Step
from qmri_bids.workflows.options import ProcessingOptions

FOUND: Mapping[str, str] = {
    "auto": "brain_mask",
    "library": "brain_mask",
    "template": "brain_mask_template",
    "object": "object_mask",
    "none": "no_mask",
}
"""Sentences by `options.MASK_METHODS`."""


class _Labelled(Protocol):
    @property
    def label(self) -> str: ...


def given_motion(run: _Labelled, options: ProcessingOptions) -> list[Step]:
    """Return the step of a motion that was applied; none where it was fitted or left alone."""
    motion = options.earlier_motion(run.label)
    return [] if motion is None else [("motion_given", {"run": run.label, "source": motion.source})]


def brain_mask_steps(runs: Iterable[_Labelled], options: ProcessingOptions) -> list[Step]:
    """Return the steps of the brain masks of runs: found, read, or both."""
    steps: list[Step] = []
    for run in runs:
        fits = options.earlier_mask(run.label)
        if fits is None:
            step: Step = FOUND[options.mask_method]
        elif fits.by_hand:
            step = ("brain_mask_by_hand", {"run": run.label, "source": fits.mask_source})
        else:
            step = ("brain_mask_given", {"run": run.label, "source": fits.mask_source})
        if step not in steps:
            steps.append(step)
    return steps
