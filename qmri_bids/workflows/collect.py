"""The node that hands over what the runs of a participant left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, SimpleInterface, TraitedSpec, isdefined, traits
from nipype.interfaces.io import add_traits

PER_RUN = {"files": "files", "maps": "maps", "report": "reports", "mask": "masks", "magnitude": "magnitudes"}
"""Outputs of the workflow of a run, and what they are called where they are of all runs."""


class _CollectRunsOutput(TraitedSpec):
    labels = traits.List(traits.Str, desc="names of the runs, in the order of the lists below")
    files = traits.List(traits.Str, desc="files written of all runs, those of the first run first")
    maps = traits.List(traits.Dict, desc="images of each run by what they show, for `select_map`")
    reports = traits.List(traits.Str, desc="report of each run, for `load_run_report`")
    masks = traits.List(traits.Str, desc="brain mask of each run")
    magnitudes = traits.List(traits.Str, desc="mean magnitude of each run")


class CollectRuns(SimpleInterface):
    """Make one list of each output of the runs.

    Parameters
    ----------
    labels
        Names of the runs; its inputs are called by `collected`.
    """

    input_spec = DynamicTraitedSpec
    output_spec = _CollectRunsOutput

    def __init__(self, *, labels: Sequence[str] = (), **arguments: Any) -> None:
        super().__init__(**arguments)
        self._labels = list(labels)
        add_traits(self.inputs, [collected(number, what) for number in range(len(labels)) for what in PER_RUN])

    def _run_interface(self, runtime: Any) -> Any:
        self._results["labels"] = self._labels
        for what, name in PER_RUN.items():
            values = [getattr(self.inputs, collected(number, what)) for number in range(len(self._labels))]
            missing = [label for label, value in zip(self._labels, values, strict=True) if not isdefined(value)]
            if missing:
                raise ValueError(f"{what}: expected one of each run, found none of {', '.join(missing)}")
            self._results[name] = [each for value in values for each in value] if what == "files" else values
        return runtime


def collected(number: int, what: str) -> str:
    """Return the input of `CollectRuns` for an output of a run."""
    return f"run{number}_{what}"
