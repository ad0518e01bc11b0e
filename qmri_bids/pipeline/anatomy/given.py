"""The node that takes over the anatomy of a workflow around this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from qmri_bids.bids.anatomy.given import GIVEN_FIELDS

_MANY = ("t1w_tpms", "anat2std_xfm", "std2anat_xfm", "std_reference")


class _TakeAnatomyInput(BaseInterfaceInputSpec):
    pipeline = traits.Str(mandatory=True, desc="what made the anatomy")
    spaces = traits.List(traits.Str, desc="spaces in which maps are wanted")
    atlas = traits.Any(desc="Atlas; none for none")
    t1w_preproc = File(exists=True, mandatory=True, desc=GIVEN_FIELDS["t1w_preproc"])
    t1w_mask = File(exists=True, desc=GIVEN_FIELDS["t1w_mask"])
    t1w_dseg = File(exists=True, desc=GIVEN_FIELDS["t1w_dseg"])
    t1w_tpms = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["t1w_tpms"])
    template = InputMultiObject(traits.Str, desc=GIVEN_FIELDS["template"])
    anat2std_xfm = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["anat2std_xfm"])
    std2anat_xfm = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["std2anat_xfm"])
    std_reference = InputMultiObject(File(exists=True), desc=GIVEN_FIELDS["std_reference"])


class _TakeAnatomyOutput(TraitedSpec):
    anatomy = traits.Any(desc="Anatomy")
    files = traits.List(File(exists=True), desc="its files")


class TakeAnatomy(SimpleInterface):
    """Check what another workflow hands over, and whether the spaces asked for can be had with it."""

    input_spec = _TakeAnatomyInput
    output_spec = _TakeAnatomyOutput

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.bids.anatomy.given import given_anatomy
        from qmri_bids.bids.anatomy.spaces import check_spaces

        inputs = self.inputs
        found: dict[str, Any] = {}
        for name in GIVEN_FIELDS:
            value = getattr(inputs, name)
            if not isdefined(value):
                continue
            if name == "template":
                found[name] = list(value)
            elif name in _MANY:
                found[name] = [Path(each) for each in value]
            else:
                found[name] = Path(value)
        anatomy = given_anatomy(pipeline=inputs.pipeline, **found)
        check_spaces(
            inputs.spaces if isdefined(inputs.spaces) else (),
            atlas=inputs.atlas if isdefined(inputs.atlas) else None,
            anatomies={inputs.pipeline: anatomy},
        )
        self._results["anatomy"] = anatomy
        self._results["files"] = [str(path) for path in anatomy.paths]
        return runtime
