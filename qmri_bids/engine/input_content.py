"""What the files hold that nodes read: a node whose files have changed under their names runs again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, isdefined, traits
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.bids.digests import Digests


class ReadsFiles(BaseInterfaceInputSpec):
    """Inputs of a node that reads files which no other node has written."""

    content = traits.Dict(desc="digests of the files that are named by other inputs; set by `note_content`")


def note_content(workflow: pe.Workflow, digests: Digests) -> None:
    """Tell every node what the files hold that it reads.

    Parameters
    ----------
    workflow
        Its nodes have their inputs.
    digests
        Digests of files; remembers them.
    """
    for node in workflow._graph.nodes:
        if isinstance(node, pe.Workflow):
            note_content(node, digests)
        elif "content" in node.inputs.copyable_trait_names():
            values = [*_values(node), *_passed_on(workflow, node)]
            paths = sorted({path for value in values for path in _files(value)})
            node.inputs.content = {str(path): digests.of(path) for path in paths}


def weights_state(folder: Path | None) -> dict[str, str]:
    """Return what tells one state of a folder of weights from another: the digests of the cards in it.

    Parameters
    ----------
    folder
        Folder of weights; None for that of the package, which changes with the version only.
    """
    if folder is None or not folder.is_dir():
        return {}
    digests = Digests(None)
    return {path.name: digests.of(path) for path in sorted(folder.glob("*.json"))}


def _values(node: pe.Node) -> list[Any]:
    """Return the inputs of a node that count for whether it runs again."""
    ignored = node.inputs.traits(nohash=True)
    return [value for name, value in node.inputs.get_traitsfree().items() if name not in ignored and isdefined(value)]


def _passed_on(workflow: pe.Workflow, node: pe.Node) -> Iterator[Any]:
    """Return values that a node gets from one that only passes them on."""
    for source, _, edge in workflow._graph.in_edges(node, data=True):
        if isinstance(source, pe.Node) and isinstance(source.interface, IdentityInterface):
            for field, _ in edge["connect"]:
                value = getattr(source.inputs, field)
                if isdefined(value):
                    yield value


def _files(value: Any) -> Iterator[Path]:
    """Return the files that a value names."""
    if isinstance(value, str | Path):
        path = Path(value)
        if path.is_absolute() and path.is_file():
            yield path
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _files(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _files(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _files(each)
