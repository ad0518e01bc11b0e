"""Which sentences of the methods hold for motion and brain masks that were taken from earlier derivatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from qmri_bids.reports.methods import Step
from qmri_bids.workflows.options import ProcessingOptions


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
        step: Step = (
            "brain_mask" if fits is None else ("brain_mask_given", {"run": run.label, "source": fits.mask_source})
        )
        if step not in steps:
            steps.append(step)
    return steps
