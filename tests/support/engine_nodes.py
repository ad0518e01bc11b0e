"""Nodes for tests of the engine; other processes import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits

from qmri_bids.engine.input_content import ReadsFiles


class _WorkInput(BaseInterfaceInputSpec):
    after = traits.Any(desc="what must be done before")
    deed = traits.Str("nothing", usedefault=True)
    note = traits.Str("", usedefault=True, nohash=True, desc="file that gets a line for every time the node runs")


class _WorkOutput(TraitedSpec):
    out = traits.Int()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail() -> None:
    raise OSError(28, "No space left on device")


DEEDS = {"nothing": lambda: None, "kill": _kill, "fail": _fail, "sleep": lambda: time.sleep(120.0)}


class Work(SimpleInterface):
    """Does what it is told and leaves its process number."""

    input_spec = _WorkInput
    output_spec = _WorkOutput

    def _run_interface(self, runtime: Any) -> Any:
        if self.inputs.note:
            with Path(self.inputs.note).open("a") as note:
                note.write(f"{os.getpid()} {self.inputs.deed}\n")
        DEEDS[self.inputs.deed]()
        self._results["out"] = os.getpid()
        return runtime


class _ReadInput(ReadsFiles):
    files = traits.Any(mandatory=True)
    note = traits.Str(mandatory=True, nohash=True)


class _ReadOutput(TraitedSpec):
    copy = File(exists=True)


class Read(SimpleInterface):
    """Copies a text and notes that it ran."""

    input_spec = _ReadInput
    output_spec = _ReadOutput

    def _run_interface(self, runtime: Any) -> Any:
        text = Path(self.inputs.files["text"]).read_text()
        with Path(self.inputs.note).open("a") as note:
            note.write(f"{text}\n")
        copy = Path(runtime.cwd) / "copy.txt"
        copy.write_text(text)
        self._results["copy"] = str(copy)
        return runtime
